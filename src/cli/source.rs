//! Where a file of users comes from. One that is packed is unpacked first.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::{Path, PathBuf};

use super::Problem;
use crate::import::{is_packed, unpack};

/// A file, or what standard input or another pipe held, or what a packed file holds: a copy without a name, so that nothing is left
/// of it however the command ends.
pub(super) enum Source {
    File(PathBuf),
    Copy(File),
}

impl Source {
    pub(super) fn open(input: &Path) -> Result<Self, Problem> {
        let source = if input == Path::new("-") {
            Self::Copy(copy(&mut io::stdin().lock())?)
        } else {
            let file = Self::File(input.to_owned());
            let mut opened = file.file()?;
            if opened.metadata().is_ok_and(|about| about.is_file()) {
                file
            } else {
                copy(&mut opened).map(Self::Copy).map_err(|error| file.unreadable(&error))?
            }
        };
        source.unpacked()
    }

    /// What is in it, if it is packed.
    fn unpacked(self) -> Result<Self, Problem> {
        let mut head = Vec::new();
        let read = self.file()?.take(2).read_to_end(&mut head);
        read.map_err(|error| self.unreadable(&error))?;
        if !is_packed(&head) {
            return Ok(self);
        }
        let mut copy = tempfile::tempfile()?;
        let unpacked = unpack(BufReader::new(self.file()?), &mut copy);
        unpacked.map_err(|error| self.unreadable(&io::Error::other(format!("as a gzip file: {error}"))))?;
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
