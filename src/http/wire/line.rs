//! One connection: what goes over it, and when it ends.
//!
//! Actix limits the time for the first head only: later ones may stall, and answers may be taken as slowly as
//! anybody likes. A [`Line`] stands between it and the socket and knows by its [`Course`] what is due: it ends what
//! waits too long as if the client had gone.
//!
//! Nor does actix mind how much it is sent: it reads requests ahead while others are answered, and answers those as it
//! would the last one it has read (to HEAD without a body, to HTTP/1.0, with an end of the connection). So it gets one
//! request at a time: a head to its end, and of the body what is wanted.
//!
//! **Invariants:** there is no state in which a connection may stay for ever. While a request is in hand its body has
//! its own pace; whatever is written has one, too. Nothing is read while an answer waits to be written or made, but
//! for the body that it is made of.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_web::rt::time::{Instant, Sleep, sleep_until};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;

use super::super::error::ApiError;
use super::super::pace::Meter;
use super::course::{Course, Turn, Turns};
use super::refusal;

/// Bytes that are read over before others have their turn, and at once.
const UNWANTED: usize = 64 << 10;
const SCRAP: usize = 16 << 10;

/// A connection that ends when it has to.
pub(super) struct Line<T> {
    io: T,
    course: Course,
    alarm: Pin<Box<Sleep>>,
    taken: Meter,
    /// What came behind the request in hand.
    held: Vec<u8>,
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
            taken: Meter::new(turns.pace.of_answers()),
            held: Vec::new(),
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
        if let Turn::Head(_) = self.course.turn() {
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
                if self.taken.is_waiting() {
                    self.course.wake_reader();
                }
                self.taken.moved(bytes);
                if bytes > 0 {
                    self.course.went();
                }
                Poll::Ready(Ok(done))
            }
            Poll::Ready(failed) => Poll::Ready(failed),
        }
    }

    /// Gives what was held back, or else what the client sends.
    fn fill(&mut self, context: &mut Context<'_>, part: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.held.is_empty() {
            return Pin::new(&mut self.io).poll_read(context, part);
        }
        let length = part.remaining().min(self.held.len());
        part.put_slice(&self.held[..length]);
        self.held.drain(..length);
        Poll::Ready(Ok(()))
    }

    /// Reads over what comes and nobody wants: a client that still sends when the connection is closed might not get to
    /// see its last answer. Tells whether that was all.
    fn swallow(&mut self, context: &mut Context<'_>) -> bool {
        let mut scrap = [0; SCRAP];
        for _ in 0..UNWANTED / SCRAP {
            let mut part = ReadBuf::new(&mut scrap);
            match Pin::new(&mut self.io).poll_read(context, &mut part) {
                Poll::Ready(Ok(())) if !part.filled().is_empty() => {}
                Poll::Ready(_) => return true,
                Poll::Pending => return false,
            }
        }
        context.waker().wake_by_ref();
        false
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
        this.course.set_reader(context.waker());
        if this.taken.is_waiting() {
            return Poll::Pending;
        }
        if let Turn::Last(_) = this.course.turn() {
            return if this.swallow(context) { Poll::Ready(Ok(())) } else { this.turn_ends(context).map(Ok) };
        }
        let room = this.course.room().min(buffer.remaining());
        if room == 0 {
            return Poll::Pending;
        }
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(room));
        let read = this.fill(context, &mut part);
        let bytes = part.filled().len();
        let is_late = match &read {
            Poll::Pending => this.turn_ends(context).is_ready(),
            Poll::Ready(_) => bytes > 0 && this.deadline().is_some_and(|deadline| deadline <= Instant::now()),
        };
        if is_late {
            this.give_up(context);
            return Poll::Ready(Ok(()));
        }
        if bytes > 0 {
            let length = this.course.came(part.filled());
            this.held.splice(..0, part.filled()[length..].iter().copied());
            buffer.advance(length);
        }
        read
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Line<T> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let mut ours = bytes;
        if this.instead.is_none()
            && let Some((before, text)) = refusal::instead_of(bytes)
        {
            ours = before;
            this.instead = before.is_empty().then_some((text, 0));
        }
        let done = if this.instead.is_some() {
            this.write_instead(context).map_ok(|()| bytes.len())
        } else {
            Pin::new(&mut this.io).poll_write(context, ours)
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
        this.swallow(context);
        let done = Pin::new(&mut this.io).poll_shutdown(context);
        this.watch(context, done, |()| 0)
    }
}
