//! What the system has cached of the database's files, and when that is not to be believed.
//!
//! After a write or sync that failed, Linux keeps bytes as if they were on disk that never got there, and the next
//! sync says that all is well. So after a fault the cache is dropped before the database is read, by this process or
//! by the next one: a file remembers that. A power cut may take it, as that takes the cache, too.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Advice, fadvise};

use super::database::folder;
use super::room::is_full;
use crate::files::remove;

/// The file that is there while the cache is doubted.
pub(super) const MARK: &str = "database.doubted";

/// The database of a data directory, as it is cached.
#[derive(Debug)]
pub(super) struct Cached {
    database: PathBuf,
    mark: PathBuf,
}

impl Cached {
    pub(super) fn of(directory: &Path) -> Self {
        Self { database: folder(directory), mark: directory.join(MARK) }
    }

    /// From now on it is dropped before each opening, until one of them believes it. On a disk that is full this may
    /// not be remembered.
    pub(super) fn doubt(&self) -> io::Result<()> {
        match File::create(&self.mark) {
            Err(error) if !is_full(&error) => Err(error),
            _ => Ok(()),
        }
    }

    pub(super) fn is_doubted(&self) -> bool {
        self.mark.exists()
    }

    /// The next to read it reads from the disk.
    pub(super) fn drop_pages(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.database)? {
            let path = entry?.path();
            if path.is_file() {
                let file = File::open(path)?;
                // What still waits to be written cannot be dropped. If writing it fails now, it can.
                drop(file.sync_data());
                fadvise(&file, 0, None, Advice::DontNeed)?;
            }
        }
        Ok(())
    }

    /// It was read, written and synced without a fault.
    pub(super) fn believe(&self) -> io::Result<()> {
        remove(&self.mark)
    }
}
