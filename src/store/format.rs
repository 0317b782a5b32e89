//! The file `format` of the data directory: which version of it this is, told before anything else is touched.
//!
//! | its text | the directory |
//! |---|---|
//! | `intake data directory, format 3` | has this layout, which is the number in the database, too |
//! | `intake data directory, being restored` | is half made, by a restore or a load |
//! | no such file | was made before there was one, or is new |
//!
//! **Invariant:** whoever writes to a data directory calls [`check_format`] first. What it refuses is left as it is,
//! to the last time of change.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use super::cached;
use super::database::{self, LAYOUT};
use super::error::{Result, StoreError};
use super::witness::Witness;
use crate::files;

pub(super) const FILE: &str = "format";
const BEGINNING: &str = "intake data directory, ";
const HALF_MADE: &str = "being restored";
/// Bytes of it that are read: it has less.
const LONGEST: u64 = 1 << 10;

/// What a data directory without the file may hold to be taken for ours, or for empty. What is hidden may lie
/// anywhere.
const OURS: [&str; 12] = [
    "backups",
    "database",
    cached::MARK,
    "database.new",
    "exports",
    "lock",
    "lost",
    "lost+found",
    "mail",
    "server.json",
    "spool",
    "witness",
];
/// Ends of names of files that may be there before the first start: keys, their locks, settings.
const ENDINGS: [&str; 3] = ["lock", "pem", "toml"];

/// What is known of a directory that may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// The file says that it is ours.
    Known,
    /// There is no such file.
    Untold,
}

/// Refuses a data directory that this program must not touch: of another version, or somebody else's. One that
/// is not there is none of these.
pub fn check_format(directory: &Path) -> Result<()> {
    look(directory).map(drop)
}

/// The same; tells what is known of it otherwise.
pub(super) fn look(directory: &Path) -> Result<Format> {
    let Some(text) = read(directory)? else {
        return match stranger(directory)? {
            Some(name) => Err(StoreError::Foreign { path: directory.to_owned(), name }),
            None => Ok(Format::Untold),
        };
    };
    match told(&text) {
        Some(HALF_MADE) => Err(StoreError::HalfMade(directory.to_owned())),
        Some(told) => match told.strip_prefix("format ").and_then(|number| number.parse().ok()) {
            Some(LAYOUT) => Ok(Format::Known),
            Some(found) => Err(StoreError::Version { found, known: LAYOUT }),
            None => Err(StoreError::UnknownFormat(directory.join(FILE))),
        },
        None => Err(StoreError::UnknownFormat(directory.join(FILE))),
    }
}

/// Whether a store was ever made in the directory.
pub fn is_made(directory: &Path) -> bool {
    database::folder(directory).is_dir() || !matches!(Witness::acknowledged(directory), Ok(0))
}

/// Whether a restore or a load was cut short that was to make the directory.
pub(super) fn is_half_made(directory: &Path) -> bool {
    read(directory).ok().flatten().is_some_and(|text| told(&text) == Some(HALF_MADE))
}

/// Says, durably, that the directory has our format.
pub(super) fn write(directory: &Path) -> Result<()> {
    put(directory, &format!("format {LAYOUT}"))
}

/// Says, durably, that the directory is half made, until [`write()`] says otherwise.
pub(super) fn write_half_made(directory: &Path) -> Result<()> {
    put(directory, HALF_MADE)
}

fn put(directory: &Path, what: &str) -> Result<()> {
    Ok(files::write(&directory.join(FILE), format!("{BEGINNING}{what}\n").as_bytes())?)
}

/// What the file says, if it is ours.
fn told(text: &str) -> Option<&str> {
    text.strip_prefix(BEGINNING).map(str::trim_end)
}

fn read(directory: &Path) -> Result<Option<String>> {
    let unusable = |why| StoreError::Unusable { path: directory.to_owned(), why };
    let Some(file) = files::open_if_there(&directory.join(FILE)).map_err(unusable)? else {
        return Ok(None);
    };
    let mut bytes = Vec::new();
    file.take(LONGEST).read_to_end(&mut bytes).map_err(unusable)?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// The name of something that is neither ours nor anybody's who prepares a directory for us. A directory with a
/// store is ours, whatever else is in it.
fn stranger(directory: &Path) -> Result<Option<String>> {
    if is_made(directory) {
        return Ok(None);
    }
    let unusable = |why| StoreError::Unusable { path: directory.to_owned(), why };
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unusable(error)),
    };
    for entry in entries {
        let name = entry.map_err(unusable)?.file_name().to_string_lossy().into_owned();
        let ending = Path::new(&name).extension().and_then(|ending| ending.to_str());
        let may_be_there = name.starts_with('.')
            || OURS.contains(&&*name)
            || ending.is_some_and(|ending| ENDINGS.contains(&ending));
        if !may_be_there {
            return Ok(Some(name));
        }
    }
    Ok(None)
}
