//! Reading users. No call in here waits for the writer, but to look again where a user may just
//! have moved.

use super::Store;
use super::block::Block;
use super::commit::Core;
use super::directory::{Key, Place};
use super::error::Result;
use super::keys::BLOCKS;
use super::record::{Keys, Record};
use crate::domain::{Connection, User, UserId};

impl Store {
    /// The user with this id, and its connection.
    pub fn user(&self, id: UserId) -> Result<Option<(User, Connection)>> {
        Ok(self.users_with(Key::Id(id))?.pop())
    }

    /// The users with this address (in lower case, as stored), at most one per connection.
    pub fn users_by_email(&self, email: &str) -> Result<Vec<(User, Connection)>> {
        self.users_with(Key::Email(email))
    }

    /// The users with this user name (in lower case, as stored), at most one per connection.
    pub fn users_by_username(&self, username: &str) -> Result<Vec<(User, Connection)>> {
        self.users_with(Key::Username(username))
    }

    fn users_with(&self, key: Key) -> Result<Vec<(User, Connection)>> {
        let core = self.core()?;
        let connections = core.connections.read().clone();
        let mut users = Vec::new();
        for connection in connections {
            if let Some(user) = find(&core, connection.number, key)? {
                users.push((user, connection));
            }
        }
        Ok(users)
    }

    /// Shows every user of a connection to `see`, in the order they were stored. One that is moved
    /// meanwhile may be shown twice, never not at all.
    pub fn scan(&self, connection: &Connection, mut see: impl FnMut(User)) -> Result<()> {
        let core = self.core()?;
        for entry in core.database.tree().range(BLOCKS.below(&[&connection.number.to_be_bytes()])) {
            for (_, record) in Block::decode(&entry?.1)?.records() {
                see(Record::decode(record)?.to_user());
            }
        }
        Ok(())
    }
}

fn find(core: &Core, connection: u32, key: Key) -> Result<Option<User>> {
    let shards = core.directory.connection(connection);
    let hash = core.hasher.hash(key);
    let candidates = shards.candidates(hash);
    let found = confirm(core, connection, key, &candidates)?;
    if found.is_some() || candidates.is_empty() {
        return Ok(found);
    }
    // A commit may have moved the user after we saw its old place: look again once that is published.
    drop(core.writer.lock());
    confirm(core, connection, key, &shards.candidates(hash))
}

/// A hash is only a hint: the record decides.
fn confirm(core: &Core, connection: u32, key: Key, candidates: &[Place]) -> Result<Option<User>> {
    for place in candidates {
        let Some(block) = core.block(connection, place.block())? else {
            continue;
        };
        let Some(record) = block.record(place.slot()) else {
            continue;
        };
        if Keys::decode(record)?.each().any(|held| held == key) {
            return Ok(Some(Record::decode(record)?.to_user()));
        }
    }
    Ok(None)
}
