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
use super::keys::{BLOCKS, CREDENTIALS, of_user};
use super::logins::{drop_all_tickets, drop_newest};
use super::record::{Draft, Keys, Record};
use crate::domain::{
    Candidate, Connection, ConnectionId, Credential, Owed, TicketKind, Timestamp, User, UserId, UserIdRef,
};

/// What of a user belongs to somebody else already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// The e-mail address.
    Email,
    /// The user name.
    Username,
    /// The id, in this connection or another one.
    Id,
}

/// Why one user is not made or changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// There is no such connection, or it is going.
    NoConnection,
    /// Nobody there has the id.
    NoUser,
    /// Somebody else has what was to be this user's.
    Taken(Taken),
}

impl Store {
    /// The user with this id, and its connection.
    pub fn user(&self, id: &UserId) -> Result<Option<(User, Connection)>> {
        Ok(self.users_with(Key::Id(id.as_ref()))?.pop())
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

    /// Makes one user; its id is `made` unless the candidate brings one. `owed` is what is to be told of it.
    pub fn create_user(
        &self,
        connection: &ConnectionId,
        candidate: &Candidate,
        made: &UserId,
        credential: Option<&Credential>,
        now: Timestamp,
        owed: impl FnOnce(&User) -> Owed,
    ) -> Result<std::result::Result<User, Refused>> {
        let draft = Draft::new(&self.hasher, candidate, made, None, now)?;
        let core = self.core()?;
        let mut writer = core.writer.lock();
        let Some(number) = number_of(&core, connection) else {
            return Ok(Err(Refused::NoConnection));
        };
        let tail = writer.tails.get(&number).copied().unwrap_or_default();
        let mut edit = Edit::new(&core, number, tail, 1);
        let record = Record::decode(&draft.record)?;
        if let Some(taken) = taken(&mut edit, &record.keys, None)? {
            return Ok(Err(Refused::Taken(taken)));
        }
        edit.insert(&draft)?;
        let mut change = Change::default();
        edit.write(&mut change)?;
        if let Some(credential) = credential {
            CREDENTIALS.put(&mut change, &[&of_user(number, record.keys.id)], credential)?;
        }
        let user = record.to_user();
        change.owe(owed(&user));
        let unpublished = core.commit(&mut writer, change)?;
        writer.tails.insert(number, edit.publish());
        unpublished.done();
        Ok(Ok(user))
    }

    /// Changes one user, as `how` says; its new password, if there is to be one, is what that returns. An address
    /// or user name that somebody else has is refused; whoever gets another address needs new tickets. `owed` is
    /// what is to be told of the user as it is then.
    pub fn change_user<E: From<Refused>>(
        &self,
        connection: &ConnectionId,
        id: &UserId,
        how: impl FnOnce(&mut User) -> std::result::Result<Option<Credential>, E>,
        owed: impl FnOnce(&User) -> Owed,
    ) -> Result<std::result::Result<User, E>> {
        let core = self.core()?;
        let mut writer = core.writer.lock();
        let Some(number) = number_of(&core, connection) else {
            return Ok(Err(Refused::NoConnection.into()));
        };
        let tail = writer.tails.get(&number).copied().unwrap_or_default();
        let mut edit = Edit::new(&core, number, tail, 1);
        let Some(place) = find_in(&mut edit, id)? else {
            return Ok(Err(Refused::NoUser.into()));
        };
        let stored = edit.record(place)?;
        let before = Record::decode(&stored)?;
        let mut user = before.to_user();
        let credential = match how(&mut user) {
            Ok(credential) => credential,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let after = Record::of(&user, before.touches.clone());
        if let Some(taken) = taken(&mut edit, &after.keys, Some(place))? {
            return Ok(Err(Refused::Taken(taken).into()));
        }
        edit.rekey(place, &after.encode()?)?;
        let mut change = Change::default();
        edit.write(&mut change)?;
        if let Some(credential) = &credential {
            CREDENTIALS.put(&mut change, &[&of_user(number, after.keys.id)], credential)?;
        }
        if before.keys.email != after.keys.email {
            drop_all_tickets(&core, &mut change, number, id)?;
        } else if credential.is_some() {
            drop_newest(&core, &mut change, number, id, TicketKind::SetPassword)?;
        }
        change.owe(owed(&user));
        let unpublished = core.commit(&mut writer, change)?;
        writer.tails.insert(number, edit.publish());
        unpublished.done();
        Ok(Ok(user))
    }

    /// Deletes a user with all that belongs to it; tells whether there was one with this id in the
    /// connection.
    pub fn delete_user(&self, connection: &ConnectionId, id: &UserId, owed: Owed) -> Result<bool> {
        self.edit_user(connection, id, owed, |edit, place, change| {
            edit.delete(place)?;
            CREDENTIALS.remove(change, &[&of_user(edit.connection, id.as_ref())]);
            drop_all_tickets(edit.core, change, edit.connection, id)?;
            Ok(true)
        })
    }

    /// Changes something about one user, in one commit. Nothing happens, and `false` is the answer, if
    /// there is no such user or `how` says no.
    pub(super) fn edit_user(
        &self,
        connection: &ConnectionId,
        id: &UserId,
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

    pub(super) fn users_with(&self, key: Key) -> Result<Vec<(User, Connection)>> {
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
fn find_in(edit: &mut Edit, id: &UserId) -> Result<Option<Place>> {
    let hash = edit.core.hasher.hash(Key::Id(id.as_ref()));
    edit.find(Key::Id(id.as_ref()), hash)
}

/// Changes a user in the edit, but none of its keys.
pub(super) fn alter(edit: &mut Edit, place: Place, how: impl FnOnce(&mut User)) -> Result<()> {
    let stored = edit.record(place)?;
    let record = Record::decode(&stored)?;
    let mut user = record.to_user();
    how(&mut user);
    edit.replace(place, &Record::of(&user, record.touches).encode()?)
}

/// Which of the keys belongs to somebody else than the user at `own`.
fn taken(edit: &mut Edit, keys: &Keys, own: Option<Place>) -> Result<Option<Taken>> {
    for key in keys.each() {
        let hash = edit.core.hasher.hash(key);
        let holder = edit.find(key, hash)?;
        if holder.is_some_and(|place| Some(place) != own) {
            return Ok(Some(match key {
                Key::Email(_) => Taken::Email,
                Key::Username(_) => Taken::Username,
                Key::Id(_) => Taken::Id,
            }));
        }
    }
    let is_new = own.is_none();
    Ok((is_new && is_elsewhere(edit.core, edit.connection, keys.id)?).then_some(Taken::Id))
}

/// Whether a user of another connection has this id.
pub(super) fn is_elsewhere(core: &Core, connection: u32, id: UserIdRef) -> Result<bool> {
    let key = Key::Id(id);
    let hash = core.hasher.hash(key);
    let others: Vec<u32> = core.connections.read().iter().map(|other| other.number).collect();
    for other in others.into_iter().filter(|other| *other != connection) {
        let candidates = core.directory.connection(other).candidates(hash);
        if confirm(core, other, key, &candidates)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}
