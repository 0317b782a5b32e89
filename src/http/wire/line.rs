//! One connection: whose turn it is, and until when.
//!
//! Actix limits the time for the first head only: later ones may stall, and answers may be taken as slowly as
//! anybody likes. A [`Line`] stands between it and the socket and knows by its [`Course`] what is due: it ends what
//! waits too long as if the client had gone.
//!
//! **Invariant:** there is no state in which a connection may stay for ever. While a request is in hand its body has
//! its own [`Pace`]; whatever is written has that pace, too.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use actix_web::rt::time::{Instant, Sleep, sleep_until};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;

use super::super::error::ApiError;
use super::super::pace::{Meter, Pace};
use super::refusal;

/// How long each turn may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turns {
    /// To send a head.
    pub(super) head: Duration,
    /// To send nothing between two requests.
    pub(super) idle: Duration,
    /// To close after the last answer.
    pub(super) close: Duration,
    /// To take answers.
    pub(super) pace: Pace,
}

/// Whose turn it is.
#[derive(Debug, Clone, Copy)]
enum Turn {
    /// The client's: a head has to be here by then.
    Head(Instant),
    /// Ours: a request is in hand.
    Ours,
    /// Nobody's, until then.
    Idle(Instant),
    /// The client's: it has to close by then.
    Last(Instant),
}

/// What may still come once a request is answered.
#[derive(Debug, Clone, Copy)]
pub(super) enum Rest {
    /// Other requests.
    Requests,
    /// First what nobody has read of this one's body.
    Body,
    /// Nothing that anybody waits for.
    Nothing,
}

/// What is due on a connection. Clones share it.
#[derive(Debug, Clone)]
pub(in crate::http) struct Course(Rc<State>);

#[derive(Debug)]
struct State {
    turns: Turns,
    turn: Cell<Turn>,
    /// What may come after the answer that was given last; `None` while a request is in hand or on its way.
    rest: Cell<Option<Rest>>,
    /// An answer has begun of which nothing was written yet.
    is_fresh: Cell<bool>,
    /// Who reads from the connection; a turn that ends later than the one before has to be told.
    reader: RefCell<Option<Waker>>,
}

impl Course {
    fn new(turns: Turns) -> Self {
        let turn = Cell::new(Turn::Head(Instant::now() + turns.head));
        let (rest, is_fresh, reader) = (Cell::new(None), Cell::new(true), RefCell::default());
        Self(Rc::new(State { turns, turn, rest, is_fresh, reader }))
    }

    /// A request is in hand.
    pub(super) fn begin(&self) {
        self.0.turn.set(Turn::Ours);
        self.0.rest.set(None);
        self.0.is_fresh.set(true);
    }

    /// It is answered; bytes of the answer may still wait to be written.
    pub(super) fn end(&self, rest: Rest) {
        self.0.rest.set(Some(rest));
        self.wait_for(rest);
    }

    /// Bytes of an answer went out: what is due after it is so from the last of them on.
    fn went(&self) {
        if let Some(rest) = self.0.rest.get() {
            self.wait_for(rest);
        }
    }

    fn wait_for(&self, rest: Rest) {
        let (now, turns) = (Instant::now(), &self.0.turns);
        self.0.turn.set(match rest {
            Rest::Requests => Turn::Idle(now + turns.idle),
            Rest::Body => Turn::Last(now + turns.head),
            Rest::Nothing => Turn::Last(now + turns.close),
        });
        if let Some(reader) = self.0.reader.borrow_mut().take() {
            reader.wake();
        }
    }

    /// Bytes came.
    fn came(&self) {
        if let Turn::Idle(_) = self.0.turn.get() {
            self.0.rest.set(None);
            self.0.turn.set(Turn::Head(Instant::now() + self.0.turns.head));
        }
    }

    fn deadline(&self) -> Option<Instant> {
        match self.0.turn.get() {
            Turn::Head(by) | Turn::Idle(by) | Turn::Last(by) => Some(by),
            Turn::Ours => None,
        }
    }
}

/// A connection that ends when it has to.
pub(super) struct Line<T> {
    io: T,
    course: Course,
    alarm: Pin<Box<Sleep>>,
    taken: Meter,
    /// What is written in place of a refusal of actix, and how much of it was.
    instead: Option<(Vec<u8>, usize)>,
    is_over: bool,
    /// Its place among the connections.
    _place: OwnedSemaphorePermit,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Line<T> {
    /// A connection on which the first head is due.
    pub(super) fn new(io: T, turns: Turns, place: OwnedSemaphorePermit) -> Self {
        Self {
            io,
            course: Course::new(turns),
            alarm: Box::pin(sleep_until(Instant::now() + turns.head)),
            taken: Meter::new(turns.pace),
            instead: None,
            is_over: false,
            _place: place,
        }
    }

    /// What is due on it.
    pub(super) fn course(&self) -> Course {
        self.course.clone()
    }

    /// When the turn ends. Who still has to take an answer is held to the pace of that.
    fn deadline(&self) -> Option<Instant> {
        if self.taken.is_waiting() { None } else { self.course.deadline() }
    }

    /// Ready when the turn has ended.
    fn turn_ends(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.deadline() else {
            return Poll::Pending;
        };
        if self.alarm.deadline() != deadline {
            self.alarm.as_mut().reset(deadline);
        }
        self.alarm.as_mut().poll(context)
    }

    /// Ends the connection. Who was to send a head is told, if that can be written at once.
    fn give_up(&mut self, context: &mut Context<'_>) {
        self.is_over = true;
        if let Turn::Head(_) = self.course.0.turn.get() {
            let told = Pin::new(&mut self.io).poll_write(context, &refusal::text(&ApiError::HeadOverdue));
            drop(told.map(|written| written.map(|bytes| self.taken.moved(bytes))));
        }
    }

    /// Holds what waits to be written against the client.
    fn watch<R>(
        &mut self,
        context: &mut Context<'_>,
        done: Poll<io::Result<R>>,
        bytes: impl FnOnce(&R) -> usize,
    ) -> Poll<io::Result<R>> {
        match done {
            Poll::Pending => {
                ready!(self.taken.wait(context));
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the answer is not taken")))
            }
            Poll::Ready(Ok(done)) => {
                let bytes = bytes(&done);
                self.taken.moved(bytes);
                if bytes > 0 {
                    self.course.went();
                }
                Poll::Ready(Ok(done))
            }
            Poll::Ready(failed) => Poll::Ready(failed),
        }
    }

    /// Writes what is written instead.
    fn write_instead(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some((text, written)) = &mut self.instead {
            if text.len() == *written {
                self.instead = None;
                break;
            }
            let bytes = ready!(Pin::new(&mut self.io).poll_write(context, &text[*written..]))?;
            *written += bytes;
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for Line<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.is_over {
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.io).poll_read(context, buffer);
        let is_late = match &read {
            Poll::Pending => {
                this.course.0.reader.replace(Some(context.waker().clone()));
                this.turn_ends(context).is_ready()
            }
            Poll::Ready(Ok(())) if buffer.filled().len() > before => {
                let is_late = this.deadline().is_some_and(|deadline| deadline <= Instant::now());
                this.course.came();
                is_late
            }
            Poll::Ready(_) => false,
        };
        if is_late {
            buffer.set_filled(before);
            this.give_up(context);
            return Poll::Ready(Ok(()));
        }
        read
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Line<T> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.course.0.is_fresh.take() {
            this.taken = Meter::new(this.course.0.turns.pace);
        }
        if this.instead.is_none()
            && let Some(text) = refusal::instead_of(bytes)
        {
            this.instead = Some((text, 0));
        }
        let done = if this.instead.is_some() {
            this.write_instead(context).map_ok(|()| bytes.len())
        } else {
            Pin::new(&mut this.io).poll_write(context, bytes)
        };
        this.watch(context, done, |bytes| *bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let done = Pin::new(&mut this.io).poll_flush(context);
        this.watch(context, done, |()| 0)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let done = Pin::new(&mut this.io).poll_shutdown(context);
        this.watch(context, done, |()| 0)
    }
}
