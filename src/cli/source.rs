//! Where a file of users comes from.

use std::fs::File;
use std::io::{self, Seek};
use std::path::{Path, PathBuf};

use super::Problem;

/// A file, or what standard input held: a copy without a name, so that nothing is left of it however
/// the command ends.
pub(super) enum Source {
    File(PathBuf),
    Copy(File),
}

impl Source {
    pub(super) fn open(input: &Path) -> Result<Self, Problem> {
        if input != Path::new("-") {
            return Ok(Self::File(input.to_owned()));
        }
        let mut copy = tempfile::tempfile()?;
        io::copy(&mut io::stdin().lock(), &mut copy)?;
        Ok(Self::Copy(copy))
    }

    /// The file from its start. There is one place in a copy: use one of these after the other.
    pub(super) fn file(&self) -> Result<File, Problem> {
        let file = match self {
            Self::File(path) => File::open(path),
            Self::Copy(copy) => copy.try_clone().and_then(|mut file| file.rewind().map(|()| file)),
        };
        file.map_err(|error| self.unreadable(&error))
    }

    pub(super) fn unreadable(&self, error: &io::Error) -> Problem {
        let name = match self {
            Self::File(path) => path.display().to_string(),
            Self::Copy(_) => "standard input".to_owned(),
        };
        Problem::new(format!("{name} cannot be read: {error}"))
    }
}
