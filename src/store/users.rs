//! Users one by one: looked up, changed, deleted. No look-up waits for the writer, but to look again
//! where a user may just have moved.

use super::Store;
use super::block::Block;
use super::commit::Core;
use super::connections::number_of;
use super::database::Change;
use super::directory::{Key, Place};
use super::edit::Edit;
use super::error::Result;
use super::keys::{BLOCKS, CREDENTIALS};
use super::logins::drop_newest;
use super::record::{Keys, Record};
use crate::domain::{Connection, ConnectionId, Owed, Timestamp, User, UserId};

/// What is to be different about a user; `None` stays as it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct UserChange {
    /// Whether the address is known to be the user's.
    pub email_verified: Option<bool>,
    /// Whether the user may not sign in.
    pub blocked: Option<bool>,
}

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

    /// The user with this address in a connection.
    pub fn user_in(&self, connection: &Connection, email: &str) -> Result<Option<User>> {
        let core = self.core()?;
        find(&core, connection.number, Key::Email(email))
    }

    /// The user with this user name in a connection.
    pub fn user_named_in(&self, connection: &Connection, username: &str) -> Result<Option<User>> {
        let core = self.core()?;
        find(&core, connection.number, Key::Username(username))
    }

    /// Changes a user; tells whether there is one with this id in the connection.
    pub fn update_user(
        &self,
        connection: &ConnectionId,
        id: UserId,
        user_change: UserChange,
        now: Timestamp,
        owed: Owed,
    ) -> Result<bool> {
        self.edit_user(connection, id, owed, |edit, place, _| {
            change_record(edit, place, user_change, now)?;
            Ok(true)
        })
    }

    /// Deletes a user with all that belongs to it; tells whether there was one with this id in the
    /// connection.
    pub fn delete_user(&self, connection: &ConnectionId, id: UserId, owed: Owed) -> Result<bool> {
        self.edit_user(connection, id, owed, |edit, place, change| {
            edit.delete(place)?;
            CREDENTIALS.remove(change, &[&edit.connection.to_be_bytes(), id.as_bytes()]);
            drop_newest(edit.core, change, edit.connection, id)?;
            Ok(true)
        })
    }

    /// Changes something about one user, in one commit. Nothing happens, and `false` is the answer, if
    /// there is no such user or `how` says no.
    pub(super) fn edit_user(
        &self,
        connection: &ConnectionId,
        id: UserId,
        owed: Owed,
        how: impl FnOnce(&mut Edit, Place, &mut Change) -> Result<bool>,
    ) -> Result<bool> {
        let core = self.core()?;
        let mut writer = core.writer.lock();
        let Some(number) = number_of(&core, connection) else {
            return Ok(false);
        };
        let tail = writer.tails.get(&number).copied().unwrap_or_default();
        let mut edit = Edit::new(&core, number, tail, 1);
        let Some(place) = find_in(&mut edit, id)? else {
            return Ok(false);
        };
        let mut change = Change::default();
        if !how(&mut edit, place, &mut change)? {
            return Ok(false);
        }
        edit.write(&mut change)?;
        change.owe(owed);
        let unpublished = core.commit(&mut writer, change)?;
        writer.tails.insert(number, edit.publish());
        unpublished.done();
        Ok(true)
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

/// Where the user with this id is, as the edit stands.
fn find_in(edit: &mut Edit, id: UserId) -> Result<Option<Place>> {
    let hash = edit.core.hasher.hash(Key::Id(id));
    edit.find(Key::Id(id), hash)
}

/// Changes a user in the edit.
pub(super) fn change_record(
    edit: &mut Edit,
    place: Place,
    user_change: UserChange,
    now: Timestamp,
) -> Result<()> {
    let stored = edit.record(place)?;
    let mut record = Record::decode(&stored)?;
    record.keys.email_verified = user_change.email_verified.unwrap_or(record.keys.email_verified);
    record.blocked = user_change.blocked.unwrap_or(record.blocked);
    record.updated_at = now.millis();
    edit.replace(place, &record.encode()?)
}
