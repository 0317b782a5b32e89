//! The keys of a data directory: the one that signs, and those that did before and are still believed.
//!
//! | file | holds |
//! |---|---|
//! | `signing-key.pem` | the key that signs |
//! | `retired-key-<second>-<id>.pem` | a key whose tokens and links are taken until that second (UNIX time) |
//! | `signing-key.lock` | nothing; whoever makes a key holds it |
//!
//! **Invariants:** from the first start on there is a signing key at every moment, also after a crash at any
//! step of a rotation: the old one is among the retired before the new one takes its name, in one step. Two
//! who make keys take turns. Nobody else may read any of these files.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::keys::{Key, KeyError};
use crate::domain::{SigningAlgorithm, Timestamp};
use crate::files;

/// Name of the file of the key that signs.
pub const KEY_FILE: &str = "signing-key.pem";
const LOCK_FILE: &str = "signing-key.lock";
const RETIRED: (&str, &str) = ("retired-key-", ".pem");
/// How the names of unfinished files begin.
const UNFINISHED: [&str; 2] = [".signing-key", ".retired-key-"];
/// How long a server may go on signing with a key that was retired, as it has not noticed yet.
const NOTICE: Duration = Duration::from_secs(5);

/// All keys that there are.
#[derive(Debug, Clone)]
pub struct Keys {
    pub(super) current: Key,
    retired: Vec<Retired>,
}

/// A key that signs nothing any more.
#[derive(Debug, Clone)]
struct Retired {
    key: Key,
    /// It is believed before this second.
    until: u64,
}

/// What became of the signing key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    /// The id of the new one.
    pub id: String,
    /// What it is for.
    pub algorithm: SigningAlgorithm,
    /// Until when the one before is believed, if it is.
    pub overlap_ends: Option<Timestamp>,
}

impl Keys {
    /// Reads the keys in `directory`; the one that signs is made when there is none.
    pub fn open_or_create(directory: &Path, algorithm: SigningAlgorithm) -> Result<Self, KeyError> {
        let path = directory.join(KEY_FILE);
        if !path.try_exists().map_err(in_file(&path))? {
            let _turn = take_turn(directory)?;
            if !path.try_exists().map_err(in_file(&path))? {
                place(directory, KEY_FILE, Key::generate(algorithm)?.as_bytes())?;
            }
        }
        let keys = Self::open(directory)?;
        let found = keys.current.algorithm;
        if found == algorithm {
            Ok(keys)
        } else {
            Err(KeyError::OtherAlgorithm { path, wanted: algorithm, found })
        }
    }

    /// Reads the keys in `directory`, whatever they are for.
    pub fn open(directory: &Path) -> Result<Self, KeyError> {
        // First the one that signs: of a rotation meanwhile, the retired one is met twice rather than not at all.
        let current = read(&directory.join(KEY_FILE))?;
        let mut retired = Vec::new();
        for (path, until) in retired_files(directory)? {
            match read(&path) {
                Ok(key) if key.id != current.id => retired.push(Retired { key, until }),
                Err(error) if !error.is_absence() => return Err(error),
                _ => {}
            }
        }
        Ok(Self { current, retired })
    }

    /// Makes a new key that signs from now on. The one before is believed for as long as `overlap`; if that
    /// is nothing, neither it nor any that was retired before.
    pub fn rotate(
        directory: &Path,
        algorithm: SigningAlgorithm,
        overlap: Duration,
        now: Timestamp,
    ) -> Result<Rotation, KeyError> {
        let path = directory.join(KEY_FILE);
        let _turn = take_turn(directory)?;
        sweep_unfinished(directory).map_err(in_file(directory))?;
        let pem = Key::generate(algorithm)?;
        let made = Key::from_pem(&path, pem.as_bytes())?;
        let mut overlap_ends = None;
        if !overlap.is_zero() && path.try_exists().map_err(in_file(&path))? {
            let until = now.after(overlap).after(NOTICE);
            retire(directory, &path, until.seconds())?;
            overlap_ends = Some(now.after(overlap));
        }
        if overlap.is_zero() {
            // First: who sees the new key knows that they are gone.
            for (path, _) in retired_files(directory)? {
                remove(&path)?;
            }
        }
        place(directory, KEY_FILE, pem.as_bytes())?;
        Ok(Rotation { id: made.id, algorithm, overlap_ends })
    }

    /// The key with this id if it is believed at this time, and until when; else the one that signs.
    pub(super) fn named(&self, id: Option<&str>, now: Timestamp) -> (&Key, u64) {
        let mut believed = self.believed(now).filter(|(key, _)| Some(key.id.as_str()) == id);
        believed.next().unwrap_or((&self.current, u64::MAX))
    }

    /// The keys that are believed at this time, the one that signs first, each with the second when that ends.
    pub(super) fn believed(&self, now: Timestamp) -> impl Iterator<Item = (&Key, u64)> {
        let retired = self.retired.iter().map(|retired| (&retired.key, retired.until));
        let retired = retired.filter(move |(_, until)| now.seconds() < *until);
        std::iter::once((&self.current, u64::MAX)).chain(retired)
    }
}

/// What the files look like from outside: it differs whenever they do.
pub(super) fn stamp(directory: &Path) -> io::Result<Vec<(PathBuf, [i64; 3])>> {
    let mut stamp = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let is_key = path.file_name().is_some_and(|name| name == KEY_FILE) || until_of(&path).is_some();
        if let Some(found) = is_key.then(|| path.metadata().ok()).flatten() {
            stamp.push((path, [found.ino().cast_signed(), found.mtime(), found.mtime_nsec()]));
        }
    }
    stamp.sort();
    Ok(stamp)
}

/// Removes the retired keys that are believed no more. They are not believed while they are there, either: so it
/// can wait for a clock that is beyond doubt, and has to, as nothing brings them back.
pub fn remove_expired(directory: &Path, now: Timestamp) -> Result<(), KeyError> {
    for (path, until) in retired_files(directory)? {
        if until <= now.seconds() {
            remove(&path)?;
        }
    }
    Ok(())
}

/// Keeps a copy of the key that is about to be replaced.
fn retire(directory: &Path, path: &Path, until: u64) -> Result<(), KeyError> {
    let pem = fs::read(path).map_err(in_file(path))?;
    let id = Key::from_pem(path, &pem)?.id;
    let (before, after) = RETIRED;
    place(directory, &format!("{before}{until}-{id}{after}"), &pem)
}

fn read(path: &Path) -> Result<Key, KeyError> {
    Key::from_pem(path, &fs::read(path).map_err(in_file(path))?)
}

/// The files of retired keys, each with the second when it ends.
fn retired_files(directory: &Path) -> Result<Vec<(PathBuf, u64)>, KeyError> {
    let entries = fs::read_dir(directory).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let paths = entries.map_err(in_file(directory))?.into_iter().map(|entry| entry.path());
    Ok(paths.filter_map(|path| until_of(&path).map(|until| (path, until))).collect())
}

fn until_of(path: &Path) -> Option<u64> {
    let (before, after) = RETIRED;
    let name = path.file_name()?.to_str()?;
    name.strip_prefix(before)?.strip_suffix(after)?.split_once('-')?.0.parse().ok()
}

/// Waits until nobody else makes keys in this directory.
fn take_turn(directory: &Path) -> Result<File, KeyError> {
    let path = directory.join(LOCK_FILE);
    let file = File::options().create(true).truncate(false).write(true).mode(0o600).open(&path);
    let file = file.map_err(in_file(&path))?;
    file.lock().map_err(in_file(&path))?;
    Ok(file)
}

/// Writes a file of mode 0600, which is there wholly and durably or not at all.
fn place(directory: &Path, name: &str, content: &[u8]) -> Result<(), KeyError> {
    let path = directory.join(name);
    files::write(&path, content).map_err(in_file(&path))
}

/// Removes what a crash has left. Only for who has the turn.
fn sweep_unfinished(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if UNFINISHED.iter().any(|beginning| name.to_string_lossy().starts_with(beginning)) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn remove(path: &Path) -> Result<(), KeyError> {
    files::remove(path).map_err(in_file(path))
}

fn in_file(path: &Path) -> impl Fn(io::Error) -> KeyError {
    move |source| KeyError::File { path: path.to_owned(), source }
}
