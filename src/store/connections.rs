//! Connections: where users live. They are few, and kept in memory as well.

use super::Store;
use super::commit::Core;
use super::database::Change;
use super::error::{Result, StoreError};
use super::keys::{BLOCKS, CLIENTS, CONNECTIONS, CREDENTIALS, NEWEST_TICKETS};
use crate::domain::{Connection, ConnectionId, Owed};

impl Store {
    /// All connections, in the order they were made.
    pub fn connections(&self) -> Result<Vec<Connection>> {
        Ok(self.core()?.connections.read().clone())
    }

    /// The connection with this id.
    pub fn connection(&self, id: &ConnectionId) -> Result<Option<Connection>> {
        Ok(self.core()?.connections.read().iter().find(|connection| connection.id == *id).cloned())
    }

    /// The connection with this name.
    pub fn connection_named(&self, name: &str) -> Result<Option<Connection>> {
        Ok(self.core()?.connections.read().iter().find(|connection| connection.name == name).cloned())
    }

    /// Adds a connection; its number is given here. Its names must be nobody else's, and the clients it
    /// is enabled for must exist.
    pub fn create_connection(&self, connection: Connection, owed: Owed) -> Result<Connection> {
        let core = self.core()?;
        let mut writer = core.writer.lock();
        if core.connections.read().iter().any(|other| other.id == connection.id) {
            return Err(StoreError::Exists);
        }
        check(&core, &connection, &[])?;
        let connection = Connection { number: writer.head.next_connection, ..connection };
        writer.head.next_connection += 1;
        let mut change = Change::default();
        put(&mut change, &connection)?;
        change.owe(owed);
        let published = core.commit(&mut writer, change)?;
        core.connections.write().push(connection.clone());
        published.done();
        Ok(connection)
    }

    /// Changes a connection; gives it back as it is then, or `None` if there is none. Number, id and
    /// name stay what they are. What holds for new connections holds for changed ones.
    pub fn update_connection(
        &self,
        id: &ConnectionId,
        how: impl FnOnce(&mut Connection),
        owed: Owed,
    ) -> Result<Option<Connection>> {
        let core = self.core()?;
        let mut writer = core.writer.lock();
        let Some(before) = core.connections.read().iter().find(|one| one.id == *id).cloned() else {
            return Ok(None);
        };
        let mut after = before.clone();
        how(&mut after);
        let after = Connection { number: before.number, id: before.id, name: before.name, ..after };
        check(&core, &after, &before.enabled_clients)?;
        let mut change = Change::default();
        put(&mut change, &after)?;
        change.owe(owed);
        let published = core.commit(&mut writer, change)?;
        let mut connections = core.connections.write();
        if let Some(one) = connections.iter_mut().find(|one| one.number == after.number) {
            *one = after.clone();
        }
        drop(connections);
        published.done();
        Ok(Some(after))
    }

    /// Deletes a connection with all its users; tells whether there was one. It and they are gone at
    /// once; what they leave on disk is removed bit by bit, see [`Store::sweep`].
    pub fn delete_connection(&self, id: &ConnectionId, owed: Owed) -> Result<bool> {
        let core = self.core()?;
        let mut writer = core.writer.lock();
        let Some(number) = number_of(&core, id) else {
            return Ok(false);
        };
        let mut change = Change::default();
        let key = number.to_be_bytes();
        CONNECTIONS.remove(&mut change, &[&key]);
        for users in [BLOCKS.below(&[&key]), CREDENTIALS.below(&[&key]), NEWEST_TICKETS.below(&[&key])] {
            change.discard(users);
        }
        change.owe(owed);
        let published = core.commit(&mut writer, change)?;
        core.connections.write().retain(|connection| connection.number != number);
        core.directory.forget(number);
        writer.tails.remove(&number);
        published.done();
        Ok(true)
    }
}

/// Refuses a connection that goes by another's name, or is enabled for a client that does not exist and
/// was not `enabled` before.
fn check(core: &Core, connection: &Connection, enabled: &[String]) -> Result<()> {
    let is_other = |other: &&Connection| other.id != connection.id;
    if core.connections.read().iter().filter(is_other).any(|other| connection.clashes_with(other)) {
        return Err(StoreError::Exists);
    }
    for client in connection.enabled_clients.iter().filter(|client| !enabled.contains(client)) {
        if CLIENTS.get(core.database.tree(), &[client.as_bytes()])?.is_none() {
            return Err(StoreError::UnknownClient(client.clone()));
        }
    }
    Ok(())
}

/// The number of the connection with this id.
pub(super) fn number_of(core: &Core, id: &ConnectionId) -> Option<u32> {
    core.connections.read().iter().find(|connection| connection.id == *id).map(|connection| connection.number)
}

fn put(change: &mut Change, connection: &Connection) -> Result<()> {
    CONNECTIONS.check_size(connection)?;
    CONNECTIONS.put(change, &[&connection.number.to_be_bytes()], connection)
}
