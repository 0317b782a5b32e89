//! Users by the many: counted, shown one after the other, picked by what they are found by.
//!
//! Nobody waits for who browses: it holds no lock between two blocks, and ends at its deadline or when the store is
//! being mended.

use std::ops::ControlFlow;
use std::time::Instant;

use super::Store;
use super::block::Block;
use super::directory::Key;
use super::error::{Result, StoreError};
use super::keys::BLOCKS;
use super::record::Record;
use crate::domain::{Connection, User, UserKey, UserRef};

/// How browsing ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Browsed {
    /// Everybody was shown.
    Whole,
    /// Enough were.
    Enough,
    /// There was no more time.
    Overdue,
}

impl Store {
    /// How many users a connection has.
    pub fn count(&self, connection: &Connection) -> Result<u64> {
        Ok(self.core()?.directory.connection(connection.number).users())
    }

    /// Shows the users of these connections to `see` in the order they were stored, until that has seen enough.
    /// One who is moved meanwhile may be shown twice, never not at all.
    pub fn browse(
        &self,
        connections: &[Connection],
        deadline: Instant,
        mut see: impl FnMut(&UserRef, &Connection) -> ControlFlow<()>,
    ) -> Result<Browsed> {
        let core = self.core()?;
        for connection in connections {
            for entry in core.database.tree().range(BLOCKS.below(&[&connection.number.to_be_bytes()])) {
                if core.is_poisoned() {
                    return Err(StoreError::Unavailable);
                }
                if deadline <= Instant::now() {
                    return Ok(Browsed::Overdue);
                }
                for (_, record) in Block::decode(&entry?.1)?.records() {
                    if see(&Record::decode(record)?.as_user(), connection).is_break() {
                        return Ok(Browsed::Enough);
                    }
                }
            }
        }
        Ok(Browsed::Whole)
    }

    /// The users that have one of these, in that order, each once.
    pub fn users_with_any(&self, keys: &[UserKey]) -> Result<Vec<(User, Connection)>> {
        let mut users: Vec<(User, Connection)> = Vec::new();
        for key in keys {
            let found = self.users_with(match key {
                UserKey::Email(email) => Key::Email(email),
                UserKey::Username(name) => Key::Username(name),
                UserKey::Id(id) => Key::Id(id.as_ref()),
            })?;
            for (user, connection) in found {
                if users.iter().all(|(known, _)| known.id != user.id) {
                    users.push((user, connection));
                }
            }
        }
        Ok(users)
    }
}
