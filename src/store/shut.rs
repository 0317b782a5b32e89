//! A data directory that nobody serves: its database as it is, without anything of it in memory.
//!
//! Nothing is written to it but what opening a database takes: its log is recovered, and the witness learns how far
//! it goes.

use std::path::PathBuf;

use super::Options;
use super::database::{Database, Head};
use super::error::{Result, StoreError};
use super::keys::CONNECTIONS;
use super::open::DirectoryLock;
use crate::domain::Connection;

/// An open database and its directory.
#[derive(Debug)]
pub(super) struct Shut {
    pub(super) path: PathBuf,
    pub(super) head: Head,
    pub(super) database: Database,
    /// Dropped last.
    _lock: DirectoryLock,
}

impl Shut {
    /// Opens the database of a data directory that nobody has open. It is never made.
    pub(super) fn open(options: &Options) -> Result<Self> {
        let path = options.path.clone();
        if !path.join("database").is_dir() {
            return Err(StoreError::Absent(path));
        }
        let lock = DirectoryLock::take(&path)?;
        let (database, head) = Database::open(&path, options.cache_bytes, options.open_timeout)?;
        Ok(Self { path, head, database, _lock: lock })
    }

    pub(super) fn tree(&self) -> &sled::Tree {
        self.database.tree()
    }

    /// The connections that there are; what is left of deleted ones belongs to nobody.
    pub(super) fn connections(&self) -> Result<Vec<Connection>> {
        CONNECTIONS.values(self.tree()).collect()
    }
}
