//! Places where something is made as a whole: a backup, or a data directory by a restore or a load.
//!
//! A place is empty when that begins, and as it was if it fails. A data directory is locked all the while and says of
//! itself that it is half made, which every start refuses; so it may be made where it is to be, which may be a mount
//! point. What is left of one that was cut short is removed by the next.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::error::{Result, StoreError};
use super::format;
use super::open::DirectoryLock;
use crate::files::{below, make_folder, remove};

/// A place that is ours until it is dropped, and empty then unless it was kept.
#[derive(Debug)]
pub(super) struct Site {
    path: PathBuf,
    was_there: bool,
    is_kept: bool,
}

/// The same for a data directory, which is locked until after it was emptied.
#[derive(Debug)]
pub(super) struct DataSite {
    site: Site,
    lock: DirectoryLock,
}

impl Site {
    /// Takes a directory that is empty or not there, to make a backup in it.
    pub(super) fn take(path: &Path) -> Result<Self> {
        let was_there = path.is_dir();
        make_folder(path)?;
        check_empty(path)?;
        format::write_half_made(path)?;
        Ok(Self { path: path.to_owned(), was_there, is_kept: false })
    }

    /// What was made is whole, and says so durably.
    pub(super) fn keep(mut self) -> Result<()> {
        format::write(&self.path)?;
        self.is_kept = true;
        Ok(())
    }

    /// Removes what was made; that it is half made is forgotten at last.
    fn clear(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let name = entry.file_name();
            if is_nothing(&name.to_string_lossy()) || name == format::FILE {
                continue;
            }
            if entry.file_type()?.is_dir() {
                fs::remove_dir_all(entry.path())?;
            } else {
                fs::remove_file(entry.path())?;
            }
        }
        remove(&self.path.join(format::FILE))
    }
}

impl DataSite {
    /// Takes a directory that is empty, not there, or half made, to make a data directory of it.
    pub(super) fn take(path: &Path) -> Result<Self> {
        let unusable = |why| StoreError::Unusable { path: path.to_owned(), why };
        let was_there = path.is_dir();
        // Somebody else's directory is not touched, not even by a lock.
        if was_there {
            check_vacant(path)?;
        }
        make_folder(path).map_err(unusable)?;
        let lock = DirectoryLock::take(path)?;
        check_vacant(path)?;
        let site = Site { path: path.to_owned(), was_there, is_kept: false };
        site.clear()?;
        format::write_half_made(path)?;
        Ok(Self { site, lock })
    }

    /// The lock, for whoever opens it.
    pub(super) fn lock(&self) -> DirectoryLock {
        self.lock.clone()
    }

    /// What was made is whole, and says so durably.
    pub(super) fn keep(self) -> Result<()> {
        self.site.keep()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if self.is_kept {
            return;
        }
        let emptied = self.clear();
        let removed = if self.was_there { Ok(()) } else { fs::remove_dir_all(&self.path) };
        if let Err(error) = emptied.and(removed) {
            // It says of itself what it is: half made, or without a manifest.
            tracing::warn!("what was made in {} was not removed: {error}", self.path.display());
        }
    }
}

/// Refuses a place with something in it, unless that is half made.
fn check_vacant(path: &Path) -> Result<()> {
    if format::is_half_made(path) { Ok(()) } else { check_empty(path) }
}

/// Refuses a place with something in it. One that is not there has nothing.
pub fn check_empty(path: &Path) -> Result<()> {
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !is_nothing(&name) {
            return Err(StoreError::Occupied { path: path.to_owned(), name });
        }
    }
    Ok(())
}

/// Every file that was made in a place: what leaves it empty is not ours to look into.
pub(super) fn made_in(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut made = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name();
        if is_nothing(&name.to_string_lossy()) || name == format::FILE {
            continue;
        }
        let kind = entry.file_type()?;
        if kind.is_dir() {
            made.extend(below(&entry.path())?);
        } else if kind.is_file() {
            made.push(entry.path());
        }
    }
    Ok(made)
}

/// Whether this name leaves a directory empty: file systems and orchestrators put such things into a fresh one, and
/// a lock is of somebody who has gone.
fn is_nothing(name: &str) -> bool {
    ["lock", "lost+found"].contains(&name) || name.starts_with('.')
}
