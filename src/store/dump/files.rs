//! The files beside the database, as a dump is loaded: signing keys, uploads of unfinished jobs, exports.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::super::error::{Result, StoreError};
use super::super::exports::Exports;
use super::super::spool::{Spool, Upload};
use super::lines::{Refusal, Taken};
use super::pieces::{bytes_of, check_follows};
use super::shapes::{ExportFileLine, SigningKeyLine, UploadLine};
use super::write::is_signing_key;
use crate::domain::{ExportFormat, JobId, Ticket};
use crate::files::sync;

/// The files that are there, and those that should follow.
pub(super) struct Files {
    directory: PathBuf,
    spool: Spool,
    exports: Exports,
    /// Of each unfinished job, what has come of its file.
    uploads: BTreeMap<Ticket, (JobId, Option<Upload>)>,
    /// The files of exports that have ended well.
    expected: HashMap<String, PathBuf>,
    /// The export whose file is being written, and its length.
    export: Option<(String, File, u64)>,
}

impl Files {
    /// In a new data directory.
    pub(super) fn open(directory: &Path) -> Result<Self> {
        Ok(Self {
            directory: directory.to_owned(),
            spool: Spool::open(directory)?,
            exports: Exports::open(directory)?,
            uploads: BTreeMap::new(),
            expected: HashMap::new(),
            export: None,
        })
    }

    /// The file of this unfinished job has to follow.
    pub(super) fn expect_upload(&mut self, job: Ticket, id: JobId) {
        self.uploads.insert(job, (id, None));
    }

    /// The file of this export may follow.
    pub(super) fn expect_export(&mut self, id: &JobId, format: ExportFormat) {
        self.expected.insert(id.to_string(), self.exports.path(id, format));
    }

    pub(super) fn signing_key(&self, line: &SigningKeyLine) -> Taken {
        if !is_signing_key(&line.file) {
            return Err(Refusal::Line(format!("\"{}\" is no name of a signing key", line.file)));
        }
        let written = create(&self.directory.join(&line.file)).and_then(|mut file| {
            file.write_all(line.pem.as_bytes())?;
            file.sync_all()
        });
        Ok(written.map_err(StoreError::from)?)
    }

    pub(super) fn upload(&mut self, line: &UploadLine) -> Taken {
        let Some((id, upload)) = self.uploads.get_mut(&line.job) else {
            let missing = format!("there is no unfinished job with the number {} above", line.job);
            return Err(Refusal::Line(missing));
        };
        let upload = match upload {
            Some(upload) => upload,
            None => upload.insert(self.spool.create(id, 0)?),
        };
        check_follows(line.offset, upload.bytes())?;
        Ok(upload.write(&bytes_of(&line.data)?)?)
    }

    pub(super) fn export(&mut self, line: &ExportFileLine) -> Taken {
        let (file, length) = match &mut self.export {
            Some((id, file, length)) if *id == line.export => (file, length),
            _ => self.begin_export(&line.export)?,
        };
        check_follows(line.offset, *length)?;
        let bytes = bytes_of(&line.data)?;
        file.write_all(&bytes).map_err(StoreError::from)?;
        *length += bytes.len() as u64;
        Ok(())
    }

    fn begin_export(&mut self, id: &str) -> std::result::Result<(&mut File, &mut u64), Refusal> {
        let missing = || Refusal::Line(format!("there is no completed export {id} above"));
        let file = create(self.expected.get(id).ok_or_else(missing)?).map_err(StoreError::from)?;
        self.end_export()?;
        let (_, file, length) = self.export.insert((id.to_owned(), file, 0));
        Ok((file, length))
    }

    fn end_export(&mut self) -> Result<()> {
        match self.export.take() {
            Some((_, file, _)) => Ok(file.sync_all()?),
            None => Ok(()),
        }
    }

    /// Makes all of them durable; what should have followed has to be there.
    pub(super) fn finish(&mut self) -> Result<()> {
        self.end_export()?;
        for (job, (_, upload)) in std::mem::take(&mut self.uploads) {
            let mut upload = upload.ok_or_else(|| {
                StoreError::Corrupt(format!(
                    "the dump lacks the file of job number {job}, which is unfinished"
                ))
            })?;
            upload.sync()?;
            upload.keep();
        }
        self.spool.sync()?;
        Ok(sync(self.exports.folder())?)
    }
}

fn create(path: &Path) -> io::Result<File> {
    File::options().write(true).create_new(true).mode(0o600).open(path)
}
