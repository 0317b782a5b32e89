//! Uploaded files, from the first byte until their job has ended.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use parking_lot::Mutex;

use super::error::Result;
use super::loss;
use super::room::Room;
use crate::domain::JobId;
use crate::files;

/// The folder with the files of unfinished jobs.
#[derive(Debug)]
pub(super) struct Spool {
    folder: PathBuf,
    /// The files that are on their way in.
    coming: Coming,
}

type Coming = Arc<Mutex<HashSet<PathBuf>>>;

/// So many bytes are synced while the next are coming, so that the end of a large file is not a long wait.
const SYNCED_AT_ONCE: u64 = 4 << 20;

/// A file on its way in. Dropped before its job was accepted, it is removed.
#[derive(Debug)]
pub struct Upload {
    file: Arc<File>,
    room: Room,
    path: PathBuf,
    coming: Coming,
    bytes: u64,
    /// The sync in the background, and how many bytes there were when it began.
    syncing: Option<JoinHandle<io::Result<()>>>,
    synced: u64,
    kept: bool,
}

impl Spool {
    pub(super) fn open(directory: &Path) -> Result<Self> {
        let spool = Self::of(directory);
        fs::create_dir_all(&spool.folder)?;
        Ok(spool)
    }

    /// The folder of a data directory as it is.
    pub(super) fn of(directory: &Path) -> Self {
        Self { folder: directory.join("spool"), coming: Coming::default() }
    }

    pub(super) fn create(&self, id: &JobId, min_free_disk: u64) -> Result<Upload> {
        let (path, coming) = (self.path(id), self.coming.clone());
        let mut others = coming.lock();
        let file = Arc::new(File::options().write(true).create_new(true).mode(0o600).open(&path)?);
        others.insert(path.clone());
        drop(others);
        let room = Room::new(&self.folder, min_free_disk);
        Ok(Upload { file, room, path, coming, bytes: 0, syncing: None, synced: 0, kept: false })
    }

    /// The file of an unfinished job.
    pub(super) fn read(&self, id: &JobId) -> io::Result<File> {
        File::open(self.path(id))
    }

    /// Makes the entry of a new file durable.
    pub(super) fn sync(&self) -> Result<()> {
        Ok(files::sync(&self.folder)?)
    }

    /// Removes a file that is needed no more; if that fails, the next start does it.
    pub(super) fn remove(&self, id: &JobId) {
        if let Err(error) = files::remove(&self.path(id)) {
            tracing::warn!("the file of job {id} was not removed: {error}");
        }
    }

    /// Removes what no unfinished job needs, nor one that is about to be accepted. No job may be accepted meanwhile.
    pub(super) fn sweep(&self, needed: &HashSet<&JobId>) -> Result<()> {
        Ok(self.unneeded(needed)?.iter().try_for_each(|path| files::remove(path))?)
    }

    /// Keeps what no unfinished job needs elsewhere: after a loss it may be an upload that was acknowledged.
    pub(super) fn keep_lost(&self, directory: &Path, needed: &HashSet<&JobId>) -> Result<Vec<PathBuf>> {
        loss::keep(directory, &self.folder, &self.unneeded(needed)?)
    }

    fn unneeded(&self, needed: &HashSet<&JobId>) -> Result<Vec<PathBuf>> {
        let needed: HashSet<PathBuf> = needed.iter().map(|id| self.path(id)).collect();
        let mut unneeded = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            unneeded.extend(Some(entry?.path()).filter(|path| !needed.contains(path)));
        }
        let coming = self.coming.lock();
        unneeded.retain(|path| !coming.contains(path));
        Ok(unneeded)
    }

    /// The folder with the files.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn path(&self, id: &JobId) -> PathBuf {
        self.folder.join(format!("{id}.json"))
    }
}

impl Upload {
    /// Adds bytes to the end. Blocks.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.room.take(bytes.len() as u64)?;
        (&*self.file).write_all(bytes)?;
        self.bytes += bytes.len() as u64;
        if self.bytes >= self.synced + SYNCED_AT_ONCE
            && self.syncing.as_ref().is_none_or(JoinHandle::is_finished)
        {
            self.end_sync()?;
            let file = self.file.clone();
            // Without a thread for it, all is synced at the end.
            self.syncing =
                thread::Builder::new().name("sync".to_owned()).spawn(move || file.sync_data()).ok();
            self.synced = self.bytes;
        }
        Ok(())
    }

    /// Bytes written so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Makes the content durable.
    pub(super) fn sync(&mut self) -> Result<()> {
        self.end_sync()?;
        Ok(self.file.sync_all()?)
    }

    /// Waits for the sync in the background. Its failure is told only once by the system, so it counts.
    fn end_sync(&mut self) -> Result<()> {
        let ended = self.syncing.take().map(JoinHandle::join);
        ended.unwrap_or(Ok(Ok(()))).unwrap_or_else(|_| Err(io::Error::other("a sync panicked")))?;
        Ok(())
    }

    /// A job needs the file from now on.
    pub(super) fn keep(&mut self) {
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
        self.coming.lock().remove(&self.path);
    }
}
