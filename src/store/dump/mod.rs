//! A store as text that outlives the storage engine, and a store made of such a text: lines of JSON, described in
//! `docs/dump-format.md`.
//!
//! A dump is read from a data directory that nobody serves, and loaded into one that is not there yet; both take
//! little memory, however many users there are.
//!
//! **Invariants**
//! - Everything somebody may ask a server for is in a dump; what deletions have left is not.
//! - A server on what was loaded goes on as the dumped one would have: no id is given twice, no row is applied twice.
//! - A text that was cut off or damaged loads nothing at all.

mod files;
mod frame;
mod lines;
mod load;
mod loader;
mod pieces;
mod shapes;
mod write;

use std::collections::BTreeMap;
use std::io;

use thiserror::Error;

use super::error::StoreError;
use crate::domain::Timestamp;

/// How many lines there are of each kind.
pub type Counts = BTreeMap<String, u64>;

/// What is said of a dump in its first line, but for what the store knows.
#[derive(Debug, Clone, Copy)]
pub struct Written<'a> {
    /// Version of the program.
    pub program: &'a str,
    /// Now.
    pub at: Timestamp,
}

/// Why a dump was not loaded. Nothing of it was.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The text is no dump, or not of a version that is known.
    #[error("this is no dump that can be loaded: {0}")]
    Foreign(String),
    /// A line is not as it should be, or missing.
    #[error("line {line} of the dump: {why}; nothing was loaded")]
    Line {
        /// Which, from 1.
        line: u64,
        /// What is wrong with it.
        why: String,
    },
    /// The text cannot be read on.
    #[error("line {line} of the dump cannot be read: {error}; nothing was loaded")]
    Unreadable {
        /// Which, from 1.
        line: u64,
        /// What the system says.
        error: io::Error,
    },
    /// The store that was to be made.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<io::Error> for LoadError {
    fn from(error: io::Error) -> Self {
        Self::Store(error.into())
    }
}
