//! Where a file of users comes from.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::Problem;

/// A file, or what standard input held.
pub(super) enum Source {
    File(PathBuf),
    Copy(NamedTempFile),
}

impl Source {
    pub(super) fn open(input: &Path) -> Result<Self, Problem> {
        if input != Path::new("-") {
            return Ok(Self::File(input.to_owned()));
        }
        let mut copy = NamedTempFile::new()?;
        io::copy(&mut io::stdin().lock(), &mut copy)?;
        Ok(Self::Copy(copy))
    }

    pub(super) fn path(&self) -> &Path {
        match self {
            Self::File(path) => path,
            Self::Copy(copy) => copy.path(),
        }
    }

    pub(super) fn file(&self) -> Result<File, Problem> {
        File::open(self.path()).map_err(|error| self.unreadable(&error))
    }

    pub(super) fn unreadable(&self, error: &io::Error) -> Problem {
        Problem::new(format!("{} cannot be read: {error}", self.path().display()))
    }
}
