//! The outbox as far as it is kept in memory: which letters wait and which were given up, so that nobody
//! has to read all of them to say how many there are.
//!
//! **Invariant:** between commits it says what the letters on disk say.

use std::collections::{BTreeMap, BTreeSet};

use super::error::Result;
use super::keys::LETTERS;
use crate::domain::{Fate, Posted, Timestamp};

/// The letters that are not sent, by their numbers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Unsent {
    /// With the time each was written.
    waiting: BTreeMap<u64, Timestamp>,
    given_up: BTreeSet<u64>,
}

impl Unsent {
    /// The letters on disk.
    pub(super) fn read(tree: &sled::Tree) -> Result<Self> {
        let mut unsent = Self::default();
        for letter in LETTERS.values(tree) {
            unsent.put(&letter?);
        }
        Ok(unsent)
    }

    /// A letter as it is from now on.
    pub(super) fn put(&mut self, posted: &Posted) {
        self.remove(posted.number);
        match posted.fate {
            Fate::Due(_) => self.wait(posted.number, posted.letter.written_at),
            Fate::GivenUp(_) => drop(self.given_up.insert(posted.number)),
        }
    }

    /// A new letter.
    pub(super) fn wait(&mut self, number: u64, written_at: Timestamp) {
        self.waiting.insert(number, written_at);
    }

    pub(super) fn remove(&mut self, number: u64) {
        self.waiting.remove(&number);
        self.given_up.remove(&number);
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// How many were given up.
    pub(super) fn given_up(&self) -> usize {
        self.given_up.len()
    }

    /// When the first was written of those that wait.
    pub(super) fn oldest(&self) -> Option<Timestamp> {
        self.waiting.values().next().copied()
    }
}
