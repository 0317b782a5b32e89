//! Files of exports: each is there as a whole, for a task that has ended well, or not at all.

use std::collections::HashSet;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::Store;
use super::error::Result;
use super::keys::TASKS;
use super::room::Room;
use crate::domain::{ExportFormat, JobId};
use crate::files::{open_if_there, remove, sync};

/// The folder with the files.
#[derive(Debug)]
pub(super) struct Exports(PathBuf);

/// A file being written, under a name that nobody asks for. Dropped before it is finished, it is removed.
#[derive(Debug)]
pub struct ExportFile {
    file: File,
    room: Room,
    folder: PathBuf,
    part: PathBuf,
    name: PathBuf,
    finished: bool,
}

impl Exports {
    pub(super) fn open(directory: &Path) -> Result<Self> {
        let exports = Self::of(directory);
        DirBuilder::new().recursive(true).mode(0o700).create(&exports.0)?;
        Ok(exports)
    }

    /// The folder of a data directory as it is.
    pub(super) fn of(directory: &Path) -> Self {
        Self(directory.join("exports"))
    }

    /// The folder with the files.
    pub(super) fn folder(&self) -> &Path {
        &self.0
    }

    pub(super) fn path(&self, id: &JobId, format: ExportFormat) -> PathBuf {
        self.0.join(format.file_name(id))
    }

    /// Removes a file that is there no more for anybody; if that fails, the next start does it.
    pub(super) fn remove(&self, id: &JobId, format: ExportFormat) {
        if let Err(error) = remove(&self.path(id, format)) {
            tracing::warn!("the file of export {id} was not removed: {error}");
        }
    }
}

impl Store {
    /// Opens the file of an export to be; an unfinished one of the same name is overwritten.
    pub fn begin_export(&self, id: &JobId, format: ExportFormat) -> Result<ExportFile> {
        let Exports(folder) = &self.exports;
        let name = self.exports.path(id, format);
        let part = folder.join(format!("{id}.part"));
        let file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
        let room = Room::new(folder, self.options.min_free_disk);
        Ok(ExportFile { file, room, folder: folder.clone(), part, name, finished: false })
    }

    /// The file of an export that has ended well; `None` if it is gone.
    pub fn export_file(&self, id: &JobId, format: ExportFormat) -> Result<Option<File>> {
        Ok(open_if_there(&self.exports.path(id, format))?)
    }

    /// Removes what belongs to no export that has ended well.
    pub(super) fn drop_stale_exports(&self) -> Result<()> {
        let mut needed = HashSet::new();
        let core = self.core()?;
        for task in TASKS.values(core.database.tree()) {
            let task = task?;
            needed.extend(task.file_format().map(|format| self.exports.path(&task.id, format)));
        }
        for entry in fs::read_dir(&self.exports.0)? {
            let path = entry?.path();
            if !needed.contains(&path) {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }
}

impl ExportFile {
    /// Makes the file durable, and gives it its name.
    pub fn finish(mut self) -> Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.part, &self.name)?;
        self.finished = true;
        Ok(sync(&self.folder)?)
    }
}

impl Write for ExportFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.room.take(bytes.len() as u64)?;
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for ExportFile {
    fn drop(&mut self) {
        if !self.finished
            && let Err(error) = fs::remove_file(&self.part)
        {
            tracing::warn!("an abandoned export was not removed: {error}");
        }
    }
}
