//! Room on the disk: what has to stay free, however much is written.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::error::{Result, StoreError};

/// Bytes that may be written between two looks at the disk.
const STEP: u64 = 1 << 20;
/// What a small file takes.
const BLOCK: u64 = 4 << 10;

/// What a file that grows may take of the disk.
#[derive(Debug)]
pub(super) struct Room {
    path: PathBuf,
    min_free: u64,
    /// Bytes that may be written before the next look.
    credit: u64,
}

impl Room {
    /// Room in the file system of `path`, but for the last `min_free` bytes.
    pub(super) fn new(path: &Path, min_free: u64) -> Self {
        Self { path: path.to_owned(), min_free, credit: 0 }
    }

    /// Asks for so many bytes; [`ErrorKind::StorageFull`] if they are not to be had.
    pub(super) fn take(&mut self, bytes: u64) -> io::Result<()> {
        if self.credit < bytes {
            let needed = self.min_free.saturating_add(bytes);
            let free = free_bytes(&self.path)?;
            if free < needed {
                let why = format!(
                    "the disk is nearly full: {free} bytes are free and {needed} are needed (storage.min_free_disk)"
                );
                return Err(io::Error::new(ErrorKind::StorageFull, why));
            }
            self.credit = bytes.saturating_add(STEP);
        }
        self.credit -= bytes;
        Ok(())
    }
}

/// Refuses to write so many bytes to the file system of `path`, if less than `min_free` would be left.
pub(super) fn check_room(path: &Path, bytes: u64, min_free: u64) -> Result<()> {
    let (free, needed) = (free_bytes(path)?, min_free.saturating_add(bytes));
    if free < needed { Err(StoreError::DiskFull { free, needed }) } else { Ok(()) }
}

/// Whether an error says that the disk, or what we may have of it, is used up.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
}

/// Whether there is no room left for even a small file.
pub fn has_no_room(directory: &Path) -> bool {
    free_bytes(directory).is_ok_and(|free| free < BLOCK)
}

/// Bytes that are free for us.
pub(super) fn free_bytes(path: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(path)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}
