//! Where a file of users comes from.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};

use super::Problem;

/// A file, or what standard input or another pipe held: a copy without a name, so that nothing is left
/// of it however the command ends.
pub(super) enum Source {
    File(PathBuf),
    Copy(File),
}

impl Source {
    pub(super) fn open(input: &Path) -> Result<Self, Problem> {
        if input == Path::new("-") {
            return Ok(Self::Copy(copy(&mut io::stdin().lock())?));
        }
        let file = Self::File(input.to_owned());
        let mut opened = file.file()?;
        if opened.metadata().is_ok_and(|about| about.is_file()) {
            return Ok(file);
        }
        copy(&mut opened).map(Self::Copy).map_err(|error| file.unreadable(&error))
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
            Self::Copy(_) => "the copy of the input".to_owned(),
        };
        Problem::new(format!("{name} cannot be read: {error}"))
    }
}

fn copy(stream: &mut impl Read) -> io::Result<File> {
    let mut copy = tempfile::tempfile()?;
    io::copy(stream, &mut copy)?;
    Ok(copy)
}
