//! A data directory that nobody serves: its database as it is, without anything of it in memory.
//!
//! Nothing is written to it but what opening a database takes: its log is recovered, and the witness learns how far
//! it goes. The database of a backup is copied for that, as a backup is what its manifest says to the last byte.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::ahead::LEAST;
use super::database::{Database, Head, folder};
use super::error::{Result, StoreError};
use super::keys::CONNECTIONS;
use super::loss::OnLoss;
use super::manifest::is_backup;
use super::open::{DirectoryLock, in_directory};
use super::room::{check_room, is_full};
use super::{Options, format, witness};
use crate::domain::Connection;
use crate::files::{below, bytes_of, copy_inside};

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
        format::check_format(&path)?;
        if !folder(&path).is_dir() {
            return Err(StoreError::Absent(path));
        }
        let copy = if is_backup(&path) { Some(copy_to_open(&path, options.min_free_disk)?) } else { None };
        let opened = copy.as_ref().map_or(&*path, TempDir::path);
        let lock = DirectoryLock::take(opened)?;
        let options = Options { path: opened.to_owned(), ..options.clone() };
        let opened = Database::open(&options, OnLoss::Refuse);
        let (database, head) = opened.map_err(|error| in_directory(error, &options.path))?;
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

/// A copy of what opening changes, beside the backup or where else there is a place for it. Once it is open the disk is
/// left with `min_free` bytes at least.
fn copy_to_open(from: &Path, min_free: u64) -> Result<TempDir> {
    let mut named = tempfile::Builder::new();
    // What is left of it by a kill goes with backups that are not whole.
    named.prefix(".opened-").suffix(".part").permissions(Permissions::from_mode(0o700));
    let beside = from.parent().and_then(|parent| named.tempdir_in(parent).ok());
    let copy = match beside {
        Some(copy) => copy,
        None => named.tempdir().map_err(|error| nowhere(error, from))?,
    };
    let copy_all = || {
        let mut files = below(&folder(from))?;
        files.push(from.join(witness::FILE));
        check_room(copy.path(), bytes_of(&files) + LEAST, min_free)?;
        Ok(files.iter().try_for_each(|file| copy_inside(file, from, copy.path()))?)
    };
    copy_all().map_err(|error: StoreError| if error.is_full() { error.at(copy.path()) } else { error })?;
    // Whoever opens it makes it something else than a backup first.
    if is_backup(from) { Ok(copy) } else { Err(StoreError::Locked(from.to_owned())) }
}

/// Why there is no place for a copy, which says nothing of the backup.
fn nowhere(error: io::Error, backup: &Path) -> StoreError {
    let place = std::env::temp_dir();
    if is_full(&error) {
        return StoreError::Io(error).at(&place);
    }
    StoreError::NoPlace { backup: backup.to_owned(), place, why: error }
}
