//! Clients, and what they may ask tokens for.

use super::Store;
use super::commit::Core;
use super::database::Change;
use super::error::{Result, StoreError};
use super::keys::{CLIENTS, CONNECTIONS, GRANTS};
use crate::domain::{Client, ClientGrant, Connection, GrantId, Owed};

impl Store {
    /// The client with this id.
    pub fn client(&self, id: &str) -> Result<Option<Client>> {
        CLIENTS.get(self.core()?.database.tree(), &[id.as_bytes()])
    }

    /// All clients, by id.
    pub fn clients(&self) -> Result<Vec<Client>> {
        CLIENTS.values(self.core()?.database.tree()).collect()
    }

    /// Adds a client, and a grant of its own if one comes with it.
    pub fn create_client(&self, client: &Client, grant: Option<&ClientGrant>, owed: Owed) -> Result<()> {
        let core = self.core()?;
        let mut writer = core.writer.lock();
        let mut change = Change::default();
        if CLIENTS.get(core.database.tree(), &[client.id.as_bytes()])?.is_some() {
            return Err(StoreError::Exists);
        }
        CLIENTS.check_size(client)?;
        CLIENTS.put(&mut change, &[client.id.as_bytes()], client)?;
        if let Some(grant) = grant {
            put_grant(&mut change, grant)?;
        }
        change.owe(owed);
        core.commit(&mut writer, change)?.done();
        Ok(())
    }

    /// Changes a client; gives it back as it is then, or `None` if there is none. The id stays.
    pub fn update_client(
        &self,
        id: &str,
        how: impl FnOnce(&mut Client),
        owed: Owed,
    ) -> Result<Option<Client>> {
        let core = self.core()?;
        let mut writer = core.writer.lock();
        let Some(mut client) = CLIENTS.get(core.database.tree(), &[id.as_bytes()])? else {
            return Ok(None);
        };
        how(&mut client);
        id.clone_into(&mut client.id);
        let mut change = Change::default();
        CLIENTS.check_size(&client)?;
        CLIENTS.put(&mut change, &[id.as_bytes()], &client)?;
        change.owe(owed);
        core.commit(&mut writer, change)?.done();
        Ok(Some(client))
    }

    /// Deletes a client, its grants, and its place in connections; tells whether there was one.
    pub fn delete_client(&self, id: &str, owed: Owed) -> Result<bool> {
        let core = self.core()?;
        let mut writer = core.writer.lock();
        let tree = core.database.tree();
        if CLIENTS.get(tree, &[id.as_bytes()])?.is_none() {
            return Ok(false);
        }
        let mut change = Change::default();
        CLIENTS.remove(&mut change, &[id.as_bytes()]);
        for grant in GRANTS.values(tree) {
            let grant = grant?;
            if grant.client_id == id {
                GRANTS.remove(&mut change, &[grant.id.as_str().as_bytes()]);
            }
        }
        let without: Vec<Connection> = without_client(&core, id);
        for connection in &without {
            CONNECTIONS.put(&mut change, &[&connection.number.to_be_bytes()], connection)?;
        }
        change.owe(owed);
        let published = core.commit(&mut writer, change)?;
        for connection in core.connections.write().iter_mut() {
            connection.enabled_clients.retain(|client| client != id);
        }
        published.done();
        Ok(true)
    }

    /// The grant with this id.
    pub fn grant(&self, id: &GrantId) -> Result<Option<ClientGrant>> {
        GRANTS.get(self.core()?.database.tree(), &[id.as_str().as_bytes()])
    }

    /// All grants, by id.
    pub fn grants(&self) -> Result<Vec<ClientGrant>> {
        GRANTS.values(self.core()?.database.tree()).collect()
    }

    /// The grant of a client for an API; `None` is this server's own.
    pub fn grant_for(&self, client_id: &str, audience: Option<&str>) -> Result<Option<ClientGrant>> {
        let is_it =
            |grant: &ClientGrant| grant.client_id == client_id && grant.audience.as_deref() == audience;
        Ok(self.grants()?.into_iter().find(is_it))
    }

    /// Adds a grant to a client that exists. It has one for each API at most.
    pub fn create_grant(&self, grant: &ClientGrant, owed: Owed) -> Result<()> {
        let core = self.core()?;
        let mut writer = core.writer.lock();
        if CLIENTS.get(core.database.tree(), &[grant.client_id.as_bytes()])?.is_none() {
            return Err(StoreError::UnknownClient(grant.client_id.clone()));
        }
        for other in GRANTS.values(core.database.tree()) {
            let other = other?;
            if other.client_id == grant.client_id && other.audience == grant.audience {
                return Err(StoreError::Exists);
            }
        }
        let mut change = Change::default();
        put_grant(&mut change, grant)?;
        change.owe(owed);
        core.commit(&mut writer, change)?.done();
        Ok(())
    }

    /// Changes what a grant allows; gives it back as it is then, or `None` if there is none.
    pub fn update_grant(&self, id: &GrantId, scope: Vec<String>, owed: Owed) -> Result<Option<ClientGrant>> {
        let core = self.core()?;
        let mut writer = core.writer.lock();
        let key = [id.as_str().as_bytes()];
        let Some(grant) = GRANTS.get(core.database.tree(), &key)? else {
            return Ok(None);
        };
        let grant = ClientGrant { scope, ..grant };
        let mut change = Change::default();
        put_grant(&mut change, &grant)?;
        change.owe(owed);
        core.commit(&mut writer, change)?.done();
        Ok(Some(grant))
    }

    /// Deletes a grant; tells whether there was one.
    pub fn delete_grant(&self, id: &GrantId, owed: Owed) -> Result<bool> {
        let core = self.core()?;
        let mut writer = core.writer.lock();
        let key = [id.as_str().as_bytes()];
        if GRANTS.get(core.database.tree(), &key)?.is_none() {
            return Ok(false);
        }
        let mut change = Change::default();
        GRANTS.remove(&mut change, &key);
        change.owe(owed);
        core.commit(&mut writer, change)?.done();
        Ok(true)
    }
}

fn put_grant(change: &mut Change, grant: &ClientGrant) -> Result<()> {
    GRANTS.check_size(grant)?;
    GRANTS.put(change, &[grant.id.as_str().as_bytes()], grant)
}

/// The connections enabled for a client, as they are without it.
fn without_client(core: &Core, id: &str) -> Vec<Connection> {
    let connections = core.connections.read();
    let enabled = connections.iter().filter(|one| one.enabled_clients.iter().any(|client| client == id));
    let without = enabled.cloned().map(|mut connection| {
        connection.enabled_clients.retain(|client| client != id);
        connection
    });
    without.collect()
}
