//! A data directory that nobody serves: its database as it is, without anything of it in memory.
//!
//! Nothing is written to it but what opening a database takes: its log is recovered, and the witness learns how far
//! it goes. The database of a backup is copied for that, as a backup is what its manifest says to the last byte.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::database::{Database, Head, folder};
use super::error::{Result, StoreError};
use super::keys::CONNECTIONS;
use super::loss::OnLoss;
use super::open::DirectoryLock;
use super::{Options, format, manifest, witness};
use crate::domain::Connection;

/// An open database and its directory.
#[derive(Debug)]
pub(super) struct Shut {
    pub(super) path: PathBuf,
    pub(super) head: Head,
    pub(super) database: Database,
    /// Dropped after the database.
    _lock: DirectoryLock,
    _copy: Option<TempDir>,
}

impl Shut {
    /// Opens the database of a data directory that nobody has open. It is never made.
    pub(super) fn open(options: &Options) -> Result<Self> {
        let path = options.path.clone();
        if !folder(&path).is_dir() {
            return Err(StoreError::Absent(path));
        }
        format::check_format(&path)?;
        let copy = if is_backup(&path) { Some(copy_database(&path)?) } else { None };
        let opened = copy.as_ref().map_or(&*path, TempDir::path);
        let lock = DirectoryLock::take(opened)?;
        let options = Options { path: opened.to_owned(), ..options.clone() };
        let (database, head) = Database::open(&options, OnLoss::Refuse)?;
        Ok(Self { path, head, database, _lock: lock, _copy: copy })
    }

    pub(super) fn tree(&self) -> &sled::Tree {
        self.database.tree()
    }

    /// The connections that there are; what is left of deleted ones belongs to nobody.
    pub(super) fn connections(&self) -> Result<Vec<Connection>> {
        CONNECTIONS.values(self.tree()).collect()
    }
}

/// Whether a directory is a backup.
pub(super) fn is_backup(directory: &Path) -> bool {
    directory.join(manifest::FILE).is_file()
}

/// A copy of what opening changes, beside the backup or where else there is a place for it.
fn copy_database(from: &Path) -> Result<TempDir> {
    let mut named = tempfile::Builder::new();
    // What is left of it by a kill goes with backups that are not whole.
    named.prefix(".opened-").suffix(".part").permissions(Permissions::from_mode(0o700));
    let beside = from.parent().and_then(|parent| named.tempdir_in(parent).ok());
    let copy = beside.map_or_else(|| named.tempdir(), Ok)?;
    fs::create_dir(folder(copy.path()))?;
    for entry in fs::read_dir(folder(from))? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            fs::copy(entry.path(), folder(copy.path()).join(entry.file_name()))?;
        }
    }
    fs::copy(from.join(witness::FILE), copy.path().join(witness::FILE))?;
    Ok(copy)
}
