//! The file `format` of the data directory: which version of it this is, told before anything else is touched.
//!
//! | its text | the directory |
//! |---|---|
//! | `intake data directory, format 3` | has this layout, which is the number in the database, too |
//! | `intake data directory, being restored` | is the half of a backup |
//! | no such file | was made before there was one, or is new |
//!
//! **Invariant:** whoever writes to a data directory calls [`check_format`] first. What it refuses is left as it is,
//! to the last time of change.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use super::cached;
use super::database::{self, LAYOUT};
use super::error::{Result, StoreError};
use super::witness::Witness;

pub(super) const FILE: &str = "format";
const BEGINNING: &str = "intake data directory, ";
const RESTORING: &str = "being restored";
/// Bytes of it that are read: it has less.
const LONGEST: u64 = 1 << 10;

/// What a data directory without the file may hold to be taken for ours, or for empty. What is hidden may lie
/// anywhere.
const OURS: [&str; 11] = [
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
    match text.strip_prefix(BEGINNING).map(str::trim_end) {
        Some(RESTORING) => Err(StoreError::HalfRestored(directory.to_owned())),
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
    database::folder(directory).is_dir() || Witness::acknowledged(directory) > 0
}

/// Whether a restore of the directory was cut short.
pub(super) fn is_half_restored(directory: &Path) -> bool {
    matches!(look(directory), Err(StoreError::HalfRestored(_)))
}

/// Says, durably, that the directory has our format.
pub(super) fn write(directory: &Path) -> Result<()> {
    put(directory, &format!("format {LAYOUT}"))
}

/// Says, durably, that the directory is the half of a backup, until [`write()`] says otherwise.
pub(super) fn write_restoring(directory: &Path) -> Result<()> {
    put(directory, RESTORING)
}

/// Says nothing any more.
pub(super) fn remove(directory: &Path) -> io::Result<()> {
    fs::remove_file(directory.join(FILE))
}

/// There is the file as a whole or as it was, whatever happens.
fn put(directory: &Path, what: &str) -> Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    writeln!(file, "{BEGINNING}{what}")?;
    file.as_file().sync_all()?;
    file.persist(directory.join(FILE)).map_err(|error| error.error)?;
    Ok(File::open(directory)?.sync_all()?)
}

fn read(directory: &Path) -> Result<Option<String>> {
    let unusable = |why| StoreError::Unusable { path: directory.to_owned(), why };
    let file = match File::open(directory.join(FILE)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unusable(error)),
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
