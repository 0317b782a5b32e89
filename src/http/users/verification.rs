//! The letter with which a user proves that the address is theirs.
//!
//! Here is the one place where it is owed, in the same commit as the user who is to get it. Nothing is written
//! yet.

use super::super::State;
use crate::domain::{Connection, Letter, User};

/// The letters a user is owed who was just made or changed: one if it is wanted.
pub(super) fn letters(
    is_wanted: bool,
    _state: &State,
    _user: &User,
    _connection: &Connection,
    _client_id: Option<&str>,
) -> Vec<Letter> {
    if is_wanted {
        tracing::debug!("a verification letter is wanted, but none is written yet");
    }
    Vec::new()
}
