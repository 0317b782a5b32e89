//! Uploaded files, from the first byte until their job has ended.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::error::Result;
use super::room::Room;
use crate::domain::JobId;

/// The folder with the files of unfinished jobs.
#[derive(Debug)]
pub(super) struct Spool(PathBuf);

/// A file on its way in. Dropped before its job was accepted, it is removed.
#[derive(Debug)]
pub struct Upload {
    file: File,
    room: Room,
    path: PathBuf,
    bytes: u64,
    kept: bool,
}

impl Spool {
    pub(super) fn open(directory: &Path) -> Result<Self> {
        let path = directory.join("spool");
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    pub(super) fn create(&self, id: &JobId, min_free_disk: u64) -> Result<Upload> {
        let path = self.path(id);
        let file = File::options().write(true).create_new(true).mode(0o600).open(&path)?;
        let room = Room::new(&self.0, min_free_disk);
        Ok(Upload { file, room, path, bytes: 0, kept: false })
    }

    /// The file of an unfinished job.
    pub(super) fn read(&self, id: &JobId) -> io::Result<File> {
        File::open(self.path(id))
    }

    /// Makes the entry of a new file durable.
    pub(super) fn sync(&self) -> Result<()> {
        Ok(File::open(&self.0)?.sync_all()?)
    }

    /// Removes a file that is needed no more; if that fails, the next start does it.
    pub(super) fn remove(&self, id: &JobId) {
        match fs::remove_file(self.path(id)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!("the file of job {id} was not removed: {error}");
            }
            _ => {}
        }
    }

    /// Removes what no unfinished job needs.
    pub(super) fn sweep(&self, needed: &HashSet<&JobId>) -> Result<()> {
        let needed: HashSet<PathBuf> = needed.iter().map(|id| self.path(id)).collect();
        for entry in fs::read_dir(&self.0)? {
            let path = entry?.path();
            if !needed.contains(&path) {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    fn path(&self, id: &JobId) -> PathBuf {
        self.0.join(format!("{id}.json"))
    }
}

impl Upload {
    /// Adds bytes to the end. Blocks.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.room.take(bytes.len() as u64)?;
        self.file.write_all(bytes)?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Bytes written so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Makes the content durable.
    pub(super) fn sync(&self) -> Result<()> {
        Ok(self.file.sync_all()?)
    }

    /// A job needs the file from now on.
    pub(super) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if !self.kept
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!("an abandoned upload was not removed: {error}");
        }
    }
}
