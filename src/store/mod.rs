//! Everything that is on disk: users, jobs, failed rows, connections, clients, uploaded files.
//!
//! The keys are listed in `keys`. Users lie in blocks (`block`), found through a directory of hashed
//! keys in memory (`directory`) that is rebuilt at start. All writing goes through one writer:
//! check, pack, commit, publish, answer. The store is synchronous and knows neither HTTP nor the
//! form of an uploaded file; which thread calls it is the caller's choice.
//!
//! **Invariants**
//! - What a call has returned `Ok` for is on disk.
//! - Rows, failed rows and the place of a job in its file change in one commit, and a chunk that does
//!   not begin at that place is refused: no row is applied twice.
//! - A fault between a commit and its publication makes the store unavailable until [`Store::reopen`].

mod apply;
mod block;
mod commit;
mod database;
mod directory;
mod edit;
mod error;
mod failures;
mod jobs;
mod keys;
mod open;
mod record;
mod spool;
mod users;
mod witness;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;

pub use apply::ChunkRow;
pub use error::{Result, StoreError};
pub use jobs::{NewJob, Page};
pub use open::is_locked;
pub use record::Draft;
pub use spool::Upload;

use crate::domain::{Candidate, Client, Connection, ConnectionId, Timestamp, UserId};
use commit::Core;
use directory::KeyHasher;
use keys::{CLIENTS, CONNECTIONS};
use open::DirectoryLock;
use spool::Spool;

/// Where the store is and how much it may take.
#[derive(Debug, Clone)]
pub struct Options {
    /// The data directory; made when missing.
    pub path: PathBuf,
    /// Bytes of memory for the database's page cache.
    pub cache_bytes: u64,
    /// Bytes of disk that uploads must leave free.
    pub min_free_disk: u64,
    /// How many unfinished jobs there may be.
    pub max_active_jobs: Option<usize>,
    /// How long the database may take to recover.
    pub open_timeout: Duration,
}

/// The store; shared by reference, safe to call from any thread.
#[derive(Debug)]
pub struct Store {
    options: Options,
    hasher: KeyHasher,
    spool: Spool,
    /// `None` while a fault is being mended.
    core: RwLock<Option<Arc<Core>>>,
    /// Dropped last.
    _lock: DirectoryLock,
}

impl Store {
    /// The data directory.
    pub fn path(&self) -> &Path {
        &self.options.path
    }

    /// All connections, in the order they were made.
    pub fn connections(&self) -> Result<Vec<Connection>> {
        Ok(self.core()?.connections.read().clone())
    }

    /// The connection with this id.
    pub fn connection(&self, id: &ConnectionId) -> Result<Option<Connection>> {
        Ok(self.core()?.connections.read().iter().find(|connection| connection.id == *id).cloned())
    }

    /// Adds a connection; its number is given here.
    pub fn create_connection(&self, connection: Connection) -> Result<Connection> {
        let core = self.core()?;
        let mut writer = core.writer.lock();
        let connection = Connection { number: writer.head.next_connection, ..connection };
        writer.head.next_connection += 1;
        let mut change = database::Change::default();
        CONNECTIONS.put(&mut change, &[&connection.number.to_be_bytes()], &connection)?;
        let published = core.commit(&mut writer, change)?;
        core.connections.write().push(connection.clone());
        published.done();
        Ok(connection)
    }

    /// The client with this id.
    pub fn client(&self, id: &str) -> Result<Option<Client>> {
        CLIENTS.get(self.core()?.database.tree(), &[id.as_bytes()])
    }

    /// All clients, by id.
    pub fn clients(&self) -> Result<Vec<Client>> {
        CLIENTS.values(self.core()?.database.tree()).collect()
    }

    /// Adds or replaces a client.
    pub fn put_client(&self, client: &Client) -> Result<()> {
        let mut change = database::Change::default();
        CLIENTS.put(&mut change, &[client.id.as_bytes()], client)?;
        self.core()?.commit_with_others(change)
    }

    /// Makes a row ready for [`Store::apply`]: the work that needs no lock.
    pub fn draft(&self, candidate: &Candidate, id: UserId, now: Timestamp) -> Result<Draft> {
        Draft::new(&self.hasher, candidate, id, now)
    }
}
