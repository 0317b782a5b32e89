//! Going on after a loss: what somebody who knows of it may accept, and what is kept of it.

use std::fs;
use std::path::{Path, PathBuf};

use super::error::Result;
use crate::files::{make_folder, sync};

/// The folder for what nothing in the database knows any more.
pub(super) const FOLDER: &str = "lost";

/// What to do with a database that lacks commits which were acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnLoss {
    /// Nothing: it is refused, and nothing of it is changed.
    Refuse,
    /// From now on it is all that ever was acknowledged.
    Accept,
}

/// A loss that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// Last commit in the database; 0 if there was none.
    pub found: u64,
    /// Last commit that was acknowledged.
    pub acknowledged: u64,
    /// Uploaded files whose jobs the database does not know, where they are now.
    pub kept: Vec<PathBuf>,
}

/// Moves files of `from` into the folder for what was lost, durably; tells where they are.
pub(super) fn keep(directory: &Path, from: &Path, files: &[PathBuf]) -> Result<Vec<PathBuf>> {
    if files.is_empty() {
        return Ok(Vec::new());
    }
    let folder = directory.join(FOLDER);
    make_folder(&folder)?;
    let mut kept = Vec::new();
    for file in files {
        // Names of spooled files are random: none is there twice.
        let place = folder.join(file.file_name().unwrap_or_default());
        fs::rename(file, &place)?;
        kept.push(place);
    }
    sync(&folder)?;
    sync(from)?;
    kept.sort();
    Ok(kept)
}
