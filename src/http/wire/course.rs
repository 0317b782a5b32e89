//! What is due on a connection: whose turn it is, until when, and how much may be read meanwhile.
//!
//! Nothing of a socket is here: that is for the line, which asks; what follows a request tells.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use actix_web::rt::time::Instant;

use super::super::pace::Pace;

/// Bytes that actix is given before it has looked at the ones before, or wants more of a body.
const AHEAD: usize = 16 << 10;

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
pub(super) enum Turn {
    /// The client's: a head has to be here by then.
    Head(Instant),
    /// Ours: a request is in hand.
    Ours,
    /// Nobody's, until then: all that came is answered.
    Idle(Instant),
    /// The client's: it has its last answer, and has to close by then.
    Last(Instant),
}

/// What is due on a connection. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Course(Rc<State>);

#[derive(Debug)]
struct State {
    turns: Turns,
    turn: Cell<Turn>,
    /// Bytes that actix may be given.
    room: Cell<usize>,
    /// Bytes of the body in hand that it was not given; where chunks tell the end, all there are.
    body: Cell<u64>,
    /// Nothing of the line of a head that has begun has come but its end, if that.
    is_line_empty: Cell<bool>,
    reader: RefCell<Option<Waker>>,
}

impl Course {
    /// That of a connection on which the first head is due.
    pub(super) fn new(turns: Turns) -> Self {
        let turn = Cell::new(Turn::Head(Instant::now() + turns.head));
        let (room, body, is_line_empty) = (Cell::new(AHEAD), Cell::default(), Cell::default());
        Self(Rc::new(State { turns, turn, room, body, is_line_empty, reader: RefCell::default() }))
    }

    /// Whose turn it is.
    pub(super) fn turn(&self) -> Turn {
        self.0.turn.get()
    }

    /// When that ends by itself.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.turn() {
            Turn::Head(by) | Turn::Idle(by) | Turn::Last(by) => Some(by),
            Turn::Ours => None,
        }
    }

    /// A request is in hand, with a body of so many bytes.
    pub(super) fn begin(&self, body: u64) {
        self.0.turn.set(Turn::Ours);
        self.0.body.set(body);
        self.0.room.set(0);
    }

    /// More of its body is wanted: everything that came of it was taken.
    pub(super) fn want(&self) {
        self.make_room();
    }

    /// It is answered; bytes of the answer may still wait to be written.
    pub(super) fn end(&self, is_last: bool) {
        let (now, turns) = (Instant::now(), &self.0.turns);
        let next = if is_last { Turn::Last(now + turns.close) } else { Turn::Idle(now + turns.idle) };
        self.0.turn.set(next);
        self.make_room();
    }

    fn make_room(&self) {
        self.0.room.set(AHEAD);
        self.wake_reader();
    }

    /// Bytes of an answer went out: what is due after it is so from the last of them on.
    pub(super) fn went(&self) {
        match self.turn() {
            Turn::Idle(_) => self.end(false),
            Turn::Last(_) => self.end(true),
            Turn::Head(_) | Turn::Ours => {}
        }
    }

    /// Bytes came; tells how many of them belong to the request in hand, or the next one.
    pub(super) fn came(&self, bytes: &[u8]) -> usize {
        let state = &self.0;
        if let Turn::Idle(_) = state.turn.get() {
            state.turn.set(Turn::Head(Instant::now() + state.turns.head));
        }
        let room = state.room.get() - bytes.len();
        if let Turn::Ours = state.turn.get() {
            state.body.set(state.body.get() - bytes.len() as u64);
        } else if let Some(end) = self.end_of_head(bytes) {
            state.room.set(0);
            return end;
        }
        state.room.set(room);
        bytes.len()
    }

    /// Where a head ends, which is with an empty line. Actix takes lines that end with LF alone, too.
    fn end_of_head(&self, bytes: &[u8]) -> Option<usize> {
        let mut is_line_empty = self.0.is_line_empty.get();
        let end = bytes.iter().position(|byte| match byte {
            b'\n' => std::mem::replace(&mut is_line_empty, true),
            b'\r' => false,
            _ => {
                is_line_empty = false;
                false
            }
        });
        self.0.is_line_empty.set(is_line_empty && end.is_none());
        Some(end? + 1)
    }

    /// How many bytes may be read now. If there are none, the reader is woken once there are.
    pub(super) fn room(&self) -> usize {
        let room = self.0.room.get();
        if let Turn::Ours = self.turn() {
            return room.min(usize::try_from(self.0.body.get()).unwrap_or(usize::MAX));
        }
        if room == 0 {
            // Actix looks at what it has before it comes back for more.
            self.make_room();
        }
        room
    }

    /// Who reads from the connection, to be woken when a turn lasts longer or more may be read.
    pub(super) fn set_reader(&self, reader: &Waker) {
        self.0.reader.replace(Some(reader.clone()));
    }

    /// Wakes that reader.
    pub(super) fn wake_reader(&self) {
        if let Some(reader) = self.0.reader.take() {
            reader.wake();
        }
    }
}
