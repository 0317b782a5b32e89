//! A data directory that nobody writes to: that of the settings while no server has it open, or else a copy which
//! the running server makes.
//!
//! The lock of the directory is not held, so that whoever gets it may open a store on it; a server that is started
//! in this very moment is met there, as an error.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Problem;
use super::host::Host;
use super::queue::Queue;
use super::said::notice;
use crate::app;
use crate::config::Settings;

/// A data directory that nobody writes to. A copy is removed when this is dropped.
pub(super) struct Still {
    path: PathBuf,
    is_copy: bool,
}

impl Still {
    /// That of the settings or a copy of it, as soon as it is free or its server answers.
    pub(super) fn of(settings: &Settings) -> Result<Self, Problem> {
        let directory = &settings.storage.path;
        if !app::has_data(directory)? {
            let directory = directory.display();
            return Err(Problem::new(format!("there is no data of intake in {directory} (storage.path)")));
        }
        let mut queue = Queue::of(directory);
        while app::is_locked(directory) {
            if let Some(host) = Host::find(settings)? {
                let id = host.client().back_up()?;
                return Ok(Self { path: directory.join("backups").join(id), is_copy: true });
            }
            queue.wait()?;
        }
        Ok(Self { path: directory.clone(), is_copy: false })
    }

    /// The same, to be opened: a copy is no backup any more.
    pub(super) fn to_open(settings: &Settings) -> Result<Self, Problem> {
        let mut still = Self::of(settings)?;
        if still.is_copy {
            still.path = app::unseal(&still.path)?;
        }
        Ok(still)
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is a copy, with the manifest of a backup in it.
    pub(super) fn is_copy(&self) -> bool {
        self.is_copy
    }
}

impl Drop for Still {
    fn drop(&mut self) {
        // It may have been moved.
        if self.is_copy
            && let Err(error) = fs::remove_dir_all(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            notice(format_args!("intake: the copy {} was not removed: {error}", self.path.display()));
        }
    }
}
