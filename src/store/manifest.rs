//! What a backup says of itself: as of when it is, and every file with its checksum.
//!
//! The file is written last, so a directory with it holds a whole backup. The checksums find what a disk or a
//! transfer has changed; they are no protection from somebody who changes a backup on purpose.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path};

use serde::{Deserialize, Serialize};

use super::database::LAYOUT;
use super::error::{Result, StoreError};
use crate::domain::Timestamp;
use crate::files;

/// Its name in the directory of a backup.
const FILE: &str = "backup.json";
/// Bytes that are looked at in one go.
const PIECE: usize = 1 << 20;

/// All about a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The format of the data directory.
    pub format: u32,
    /// The version of the program that made it.
    pub program: String,
    /// As of when it is.
    pub made_at: Timestamp,
    /// The last commit in it.
    pub commit: u64,
    /// Users in it.
    pub users: u64,
    /// Jobs in it that were not done.
    pub unfinished_jobs: u64,
    /// Every file, in the order of their names.
    pub files: Vec<FileSeal>,
}

/// A file of a backup, as it has to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSeal {
    /// Where it is in the directory.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// CRC-32 of its content, in hex.
    pub crc32: String,
}

impl Manifest {
    /// All its files together, in bytes.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Reads that of a backup; one of another format is refused.
    pub fn read(directory: &Path) -> Result<Self> {
        let no_backup = |why: String| StoreError::NoBackup { path: directory.to_owned(), why };
        let text = match fs::read(directory.join(FILE)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(no_backup(format!(
                    "there is no {FILE} in it, so it is no backup, or not a whole one"
                )));
            }
            Err(error) => return Err(no_backup(error.to_string())),
        };
        let malformed = |error| no_backup(format!("its {FILE} is damaged: {error}"));
        let text: serde_json::Value = serde_json::from_slice(&text).map_err(malformed)?;
        match text.get("format").and_then(serde_json::Value::as_u64) {
            Some(found) if found != u64::from(LAYOUT) => {
                let found = u32::try_from(found).unwrap_or(u32::MAX);
                return Err(StoreError::Version { found, known: LAYOUT });
            }
            _ => {}
        }
        let manifest: Self = serde_json::from_value(text).map_err(malformed)?;
        match manifest.files.iter().find(|file| !stays_inside(&file.path)) {
            Some(file) => Err(no_backup(format!("\"{}\" in its {FILE} is no place in it", file.path))),
            None => Ok(manifest),
        }
    }

    /// Writes it, durably.
    pub(super) fn write(&self, directory: &Path) -> Result<()> {
        let mut text = serde_json::to_vec_pretty(self).map_err(io::Error::from)?;
        text.push(b'\n');
        Ok(files::write(&directory.join(FILE), &text)?)
    }

    /// Removes that of a directory, durably: from now on it is no backup.
    pub(super) fn remove(directory: &Path) -> Result<()> {
        Ok(files::remove_durably(&directory.join(FILE))?)
    }

    /// Refuses a backup that is not what its manifest says.
    pub(super) fn verify(&self, directory: &Path) -> Result<()> {
        for seal in &self.files {
            let no_backup = |why: String| StoreError::NoBackup { path: directory.to_owned(), why };
            let found = match FileSeal::of(directory, &seal.path) {
                Ok(found) => found,
                Err(error) => return Err(no_backup(format!("{} cannot be read: {error}", seal.path))),
            };
            if found.bytes != seal.bytes {
                let why = format!("{} has {} bytes, it had {}", seal.path, found.bytes, seal.bytes);
                return Err(no_backup(why));
            }
            if found.crc32 != seal.crc32 {
                return Err(no_backup(format!("{} is not what it was when the backup was made", seal.path)));
            }
        }
        Ok(())
    }
}

impl FileSeal {
    /// Reads a file in `directory`.
    pub(super) fn of(directory: &Path, path: &str) -> io::Result<Self> {
        let mut file = File::open(directory.join(path))?;
        let (mut hasher, mut bytes) = (crc32fast::Hasher::new(), 0);
        let mut piece = vec![0; PIECE];
        loop {
            let read = file.read(&mut piece)?;
            if read == 0 {
                break;
            }
            hasher.update(&piece[..read]);
            bytes += read as u64;
        }
        Ok(Self { path: path.to_owned(), bytes, crc32: format!("{:08x}", hasher.finalize()) })
    }
}

/// Whether a directory is a backup, and a whole one.
pub(super) fn is_backup(directory: &Path) -> bool {
    directory.join(FILE).is_file()
}

fn stays_inside(path: &str) -> bool {
    !path.is_empty() && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
}
