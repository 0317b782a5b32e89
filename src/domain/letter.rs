//! Letters the server owes somebody, and what else a change leaves to be told.

use serde::{Deserialize, Serialize};

use super::{Event, TicketHash, Timestamp, UserTicket};

/// A letter to one reader, ready to be sent.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// Address of the reader.
    pub to: String,
    /// Subject.
    pub subject: String,
    /// The letter as plain text.
    pub text: String,
    /// The letter as HTML.
    pub html: String,
    /// The same on every try, so that nobody reads a letter twice; without angle brackets.
    pub message_id: String,
    /// When it was written.
    pub written_at: Timestamp,
}

impl std::fmt::Debug for Letter {
    /// Without what it says and to whom: there may be a link in it that opens doors.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Letter").field("message_id", &self.message_id).finish_non_exhaustive()
    }
}

/// A letter in the outbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Posted {
    /// Its place in the outbox; never used again.
    pub number: u64,
    /// The letter.
    pub letter: Letter,
    /// How often it was tried.
    pub attempts: u32,
    /// What the mail server said last.
    pub last_answer: Option<String>,
    /// What is to become of it.
    pub fate: Fate,
}

/// What is to become of a letter in the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fate {
    /// It is tried at this time, or later.
    Due(Timestamp),
    /// It was given up at this time, and is kept to be seen.
    GivenUp(Timestamp),
}

/// What a change leaves to be told; it is written in the same step as the change.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Owed {
    /// For the tenant log.
    pub events: Vec<Event>,
    /// For the outbox.
    pub letters: Vec<Letter>,
    /// Tickets whose links are in the letters, or in an answer. Each is the newest of its kind from then on.
    pub tickets: Vec<(TicketHash, UserTicket)>,
}

impl Owed {
    /// Nothing.
    pub fn nothing() -> Self {
        Self::default()
    }

    /// This, and then `more`.
    #[must_use]
    pub fn and(mut self, more: Self) -> Self {
        self.append(more);
        self
    }

    /// Adds `more`.
    pub fn append(&mut self, mut more: Self) {
        self.events.append(&mut more.events);
        self.letters.append(&mut more.letters);
        self.tickets.append(&mut more.tickets);
    }
}

impl From<Event> for Owed {
    fn from(event: Event) -> Self {
        Self { events: vec![event], ..Self::nothing() }
    }
}
