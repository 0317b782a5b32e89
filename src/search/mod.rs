//! The language in which users are searched for, and the order in which they are shown.
//!
//! It is the subset of Lucene's that the API documents, and means what is said there; where Lucene is no real
//! logic, ours is. A value is compared as a whole: `name:jane` is not found in "Jane Smith", `name:jane*` is.
//!
//! | form | meaning |
//! |---|---|
//! | `field:term`, `field:"a phrase"` | the value is this one; a backslash takes its meaning from the next character |
//! | `field:ja*`, `field:*ith`, `field:*mit*` | the value begins, ends or goes on like this; quoted, a star is a star |
//! | `field:[1 TO 9}`, `field:{* TO 9]`, `field:>=1` | it lies between; a bracket takes its end in, a brace does not |
//! | `_exists_:field`, `field:*` | there is a value; null, `[]` and `{}` are none |
//! | `term` | one of the texts people know a user by is this |
//! | `a AND b`, `a OR b`, `NOT a`, `(…)`, `field:(a OR b)` | also `&&`, `\|\|`, `!`; `AND` binds closer |
//! | `a b`, `+a b -c` | with nothing between them one of the terms is enough, but `+` must be and `-` or `NOT` must not |
//!
//! The rooms that keep users know nothing of this one: they show users, [`Query::matches`] judges each, and
//! [`Query::keys`] and [`Query::connections`] tell beforehand which are worth showing.
//!
//! **Invariants:** parsing ends and never panics, whatever the text. A printed query parses to itself,
//! unless it is longer in print than queries may be. Whoever
//! [`Query::matches`] has one of [`Query::keys`], and is in one of [`Query::connections`].
//!
//! Deliberately absent: scores, fuzzy terms, boosts, regular expressions, words inside of texts, `?`.

mod date;
mod field;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod metadata;
mod node;
mod parser;
mod reader;
mod sort;
#[cfg(test)]
mod tests;
mod value;

use std::fmt;

use thiserror::Error;

use crate::domain::{Connection, UserKey, UserRef};
use node::Node;
use parser::Parser;
pub use sort::{Best, Sort, SortFault, SortKey};

/// What is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Query(Node);

/// Why a text is no query.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("at character {at}: {why}")]
pub struct QueryFault {
    /// Where, in characters; the first is 1.
    pub at: usize,
    /// What is wrong, and what to do.
    pub why: String,
}

impl Query {
    /// Longest query, in characters.
    pub const MAX_CHARS: usize = 10_000;
    /// Most terms, ranges and the like in one.
    pub const MAX_TERMS: usize = 256;
    /// How deep parentheses and `NOT` may lie in one another.
    pub const MAX_DEPTH: usize = 20;

    /// Reads a query.
    pub fn parse(text: &str) -> Result<Self, QueryFault> {
        Parser::new(text)?.query().map(Self)
    }

    /// Whether the user, who is in this connection, is one of those asked for.
    pub fn matches(&self, user: &UserRef, connection: &Connection) -> bool {
        self.0.holds(user, connection)
    }

    /// What all users asked for are found by, each by one of these; `None` if that cannot be told.
    pub fn keys(&self) -> Option<Vec<UserKey>> {
        self.0.only(&node::Leaf::keys)
    }

    /// The names of the connections that all users asked for are in; `None` if that cannot be told.
    pub fn connections(&self) -> Option<Vec<String>> {
        self.0.only(&node::Leaf::connections)
    }

    /// Whether everybody in these connections is asked for.
    pub fn is_about_connections_only(&self) -> bool {
        self.0.is_about_connections_only()
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
