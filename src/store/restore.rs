//! Restoring: a backup becomes a data directory. And moving one that was made inside of a data directory.
//!
//! The backup is verified before anything is written, and what it becomes is whole or empty (see `site`).

use std::fs;
use std::path::Path;

use super::directory::KeyHasher;
use super::error::Result;
use super::loss::OnLoss;
use super::manifest::Manifest;
use super::room::check_room;
use super::site::{DataSite, Site};
use super::{Options, Store};
use crate::files::{copy_inside, folder_of, make_folder, sync, sync_folders};

/// Makes the backup in `from` a data directory, which has to be empty or not there, but for what a restore or a load
/// that was cut short has left. It is one once it has been opened as a start does.
pub fn restore(from: &Path, options: &Options) -> Result<Manifest> {
    let manifest = Manifest::read(from)?;
    manifest.verify(from)?;
    let to = &*options.path;
    let site = DataSite::take(to)?;
    check_room(to, manifest.bytes(), options.min_free_disk)?;
    copy(from, to, &manifest)?;
    let store = Store::open_locked(options.clone(), KeyHasher::new(u64::MAX), OnLoss::Refuse, site.lock())?;
    site.keep()?;
    drop(store);
    Ok(manifest)
}

/// Moves a backup to a directory that is empty or not there, durably: under its new name or, to another disk, as a
/// copy. Then the first one is left to be removed, and the disk has `min_free` bytes at least.
pub fn move_backup(from: &Path, to: &Path, min_free: u64) -> Result<()> {
    let folder = folder_of(to);
    make_folder(folder)?;
    if fs::rename(from, to).is_ok() {
        return Ok(sync(folder)?);
    }
    let manifest = Manifest::read(from)?;
    let site = Site::take(to)?;
    check_room(to, manifest.bytes(), min_free)?;
    copy(from, to, &manifest)?;
    manifest.verify(to)?;
    manifest.write(to)?;
    site.keep()
}

/// Copies every file, durably.
fn copy(from: &Path, to: &Path, manifest: &Manifest) -> Result<()> {
    let places: Vec<_> = manifest.files.iter().map(|file| to.join(&file.path)).collect();
    for (file, place) in manifest.files.iter().zip(&places) {
        copy_inside(&from.join(&file.path), from, to)?;
        sync(place)?;
    }
    Ok(sync_folders(&places, to)?)
}
