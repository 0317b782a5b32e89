//! Restoring: a backup becomes a data directory.
//!
//! The backup is verified before anything is written. Then the data directory says of itself that it is the half
//! of a backup, which every start refuses, until all of it is durable. That way it may be a mount point, or lie
//! where nobody may make a directory beside it.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use super::backup::{make_empty, sync};
use super::error::{Result, StoreError};
use super::format;
use super::manifest::{FileSeal, Manifest};
use super::open::DirectoryLock;
use super::room::free_bytes;

/// Makes the backup in `from` the data directory `to`, which has to be empty or not there, but for what a restore
/// that was cut short has left. The disk is left with `min_free` bytes at least.
pub fn restore(from: &Path, to: &Path, min_free: u64) -> Result<Manifest> {
    let manifest = Manifest::read(from)?;
    manifest.verify(from)?;
    let goes_on = format::is_half_restored(to);
    if !goes_on {
        make_empty(to).map_err(|error| match error {
            StoreError::Io(why) => StoreError::Unusable { path: to.to_owned(), why },
            other => other,
        })?;
    }
    let _lock = DirectoryLock::take(to)?;
    if goes_on {
        clear(to, &manifest)?;
    }
    check_room(to, &manifest, min_free)?;
    format::write_restoring(to)?;
    if let Err(error) = copy(from, to, &manifest) {
        // If even this fails, the directory says that it is the half of a backup.
        if clear(to, &manifest).is_ok() {
            let _ = format::remove(to);
        }
        return Err(error);
    }
    format::write(to)?;
    Ok(manifest)
}

/// Copies a backup, durably, into a directory that is there. Its manifest comes last.
pub fn copy_backup(from: &Path, to: &Path) -> Result<()> {
    let manifest = Manifest::read(from)?;
    copy(from, to, &manifest)?;
    manifest.verify(to)?;
    format::write(to)?;
    manifest.write(to)
}

fn check_room(to: &Path, manifest: &Manifest, min_free: u64) -> Result<()> {
    let (free, needed) = (free_bytes(to)?, min_free.saturating_add(manifest.bytes()));
    if free < needed { Err(StoreError::DiskFull { free, needed }) } else { Ok(()) }
}

/// Copies every file, durably.
fn copy(from: &Path, to: &Path, manifest: &Manifest) -> Result<()> {
    let mut folders = BTreeSet::from([to.to_owned()]);
    for file in &manifest.files {
        let place = to.join(&file.path);
        if let Some(folder) = place.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        fs::copy(from.join(&file.path), &place)?;
        sync(&place)?;
        folders.extend(place.ancestors().skip(1).take_while(|folder| *folder != to).map(Path::to_owned));
    }
    folders.iter().try_for_each(|folder| sync(folder))
}

/// Removes what a restore of this backup may have made.
fn clear(to: &Path, manifest: &Manifest) -> Result<()> {
    let first = |file: &FileSeal| Path::new(&file.path).components().next().map(|name| to.join(name));
    for path in manifest.files.iter().filter_map(first).collect::<BTreeSet<_>>() {
        if path.is_dir() {
            fs::remove_dir_all(&path)?;
        } else if path.exists() {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}
