//! Backups and restores without a server: the store is opened for as long as they take.

use std::path::Path;
use std::time::SystemTime;

use crate::config::Settings;
use crate::store::{self, Manifest, Store, StoreError};

use super::options;

/// Makes a backup of the settings' data directory, which nobody may have open, in a directory that is empty or
/// not there.
pub fn back_up(settings: &Settings, to: &Path) -> Result<Manifest, StoreError> {
    Store::open(options::store(settings))?.back_up_to(to, SystemTime::now().into())
}

/// Whether there is a store in a directory, which is then one that this program may open.
pub fn has_data(directory: &Path) -> Result<bool, StoreError> {
    store::check_format(directory)?;
    Ok(store::is_made(directory))
}

/// What the backup in a directory says of itself.
pub fn manifest(of: &Path) -> Result<Manifest, StoreError> {
    Manifest::read(of)
}

/// Copies a backup into a directory that is empty.
pub fn copy_backup(from: &Path, to: &Path) -> Result<(), StoreError> {
    store::copy_backup(from, to)
}

/// Makes a backup the settings' data directory, which has to be empty or not there; and opens it, to see that it
/// can be.
pub fn restore(settings: &Settings, from: &Path) -> Result<Manifest, StoreError> {
    let options = options::store(settings);
    let manifest = store::restore(from, &options.path, options.min_free_disk)?;
    drop(Store::open(options)?);
    Ok(manifest)
}
