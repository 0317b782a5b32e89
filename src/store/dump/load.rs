//! Loading a dump: a store is made beside the place where it is to be, looked at as a start does, and put there as a
//! whole.

use std::fs::{self, DirBuilder, Permissions};
use std::io::BufRead;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::super::backup::{make_empty, sync};
use super::super::error::{Result, StoreError};
use super::super::{Options, Store, format};
use super::lines::Reader;
use super::loader::Loader;
use super::{Counts, LoadError};

impl Store {
    /// Makes a data directory of a dump; tells how many lines there were of each kind. The directory must be missing or
    /// empty. If anything is wrong with the dump, nothing is made at all.
    pub fn load(options: &Options, from: &mut dyn BufRead) -> std::result::Result<Counts, LoadError> {
        let place = &options.path;
        let is_there = place.is_dir();
        let parent = if is_there { place.clone() } else { parent_of(place) };
        make_empty_or_missing(place, &parent)?;
        let (reader, header) = Reader::begin(from)?;
        // Where it is a mount point, there is no place beside it.
        let ours = Permissions::from_mode(0o700);
        let building =
            tempfile::Builder::new().prefix(".intake-load-").permissions(ours).tempdir_in(&parent)?;
        let within = Options { path: building.path().to_owned(), ..options.clone() };
        let mut loader = Loader::new(&within)?;
        let counts = reader.each(|kind, body| loader.take(kind, body))?;
        loader.finish(header.commit)?;
        // As a start does: what was loaded can be opened, and no two users share a key.
        drop(Store::open(within)?);
        sync(building.path())?;
        if is_there {
            move_up(building.path(), place)?;
        } else {
            fs::rename(building.path(), place)?;
            // It is gone from there.
            let _ = building.keep();
        }
        sync(&parent)?;
        Ok(counts)
    }
}

/// Refuses a place where there is something.
fn make_empty_or_missing(place: &Path, parent: &Path) -> Result<()> {
    if place.exists() {
        make_empty(place)
    } else {
        let unusable = |why| StoreError::Unusable { path: place.to_owned(), why };
        DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(unusable)
    }
}

/// Moves a data directory up into the empty one it is in, which no start takes for one before all of it is there.
fn move_up(from: &Path, to: &Path) -> Result<()> {
    format::write_restoring(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if name != format::FILE && name != "lock" {
            fs::rename(entry.path(), to.join(name))?;
        }
    }
    sync(to)?;
    format::write(to)
}

fn parent_of(place: &Path) -> PathBuf {
    match place.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}
