//! Backups and restores without a server: the store is opened for as long as they take.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::config::Settings;
use crate::store::{self, Manifest, Store, StoreError};

use super::options;

/// Makes a backup of the settings' data directory, which nobody may have open, in a directory that is empty or
/// not there.
pub fn back_up(settings: &Settings, to: &Path) -> Result<Manifest, StoreError> {
    let store = Store::open(options::store(settings))?;
    store.back_up_to(to, SystemTime::now().into()).map_err(|error| error.at(to))
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

/// Moves a backup to a directory that is empty or not there, maybe on another disk. The first one may stay behind.
pub fn move_backup(settings: &Settings, from: &Path, to: &Path) -> Result<(), StoreError> {
    let min_free = options::store(settings).min_free_disk;
    store::move_backup(from, to, min_free).map_err(|error| error.at(to))
}

/// Makes a backup in a data directory a copy that may be opened in place; tells where it is then.
pub fn unseal(backup: &Path) -> Result<PathBuf, StoreError> {
    store::unseal(backup)
}

/// Makes a backup the settings' data directory, which has to be empty or not there; and opens it, to see that it
/// can be.
pub fn restore(settings: &Settings, from: &Path) -> Result<Manifest, StoreError> {
    let options = options::store(settings);
    let restored = store::restore(from, &options.path, options.min_free_disk);
    let manifest = restored.map_err(|error| error.at(&options.path))?;
    drop(Store::open(options)?);
    Ok(manifest)
}
