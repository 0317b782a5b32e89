//! Waiting for a data directory that another process has open: for its end, or until it says where it is.
//!
//! An import with a server of its own never says that, and may take its time. On a full disk no server can, and
//! nobody waits for room that may never come.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::Problem;
use super::said::notice;
use crate::app;

/// Pause before it is seen whether the directory is free.
const PAUSE: Duration = Duration::from_millis(100);
/// How long there may be no room to say where it is.
const PATIENCE: Duration = Duration::from_secs(5);

/// A place in the queue for a directory.
pub(super) struct Queue<'a> {
    directory: &'a Path,
    since: Option<Instant>,
}

impl<'a> Queue<'a> {
    pub(super) fn of(directory: &'a Path) -> Self {
        Self { directory, since: None }
    }

    /// Waits a little; the first time, it says so.
    pub(super) fn wait(&mut self) -> Result<(), Problem> {
        let directory = self.directory.display();
        let since = *self.since.get_or_insert_with(|| {
            notice(format_args!("another process is using the data directory {directory}: waiting for it"));
            Instant::now()
        });
        if PATIENCE <= since.elapsed() && app::has_no_room(self.directory) {
            return Err(Problem::new(format!(
                "another process is using the data directory {directory}, and its disk is so full that it cannot say \
                 where it is: make room there, or stop it"
            )));
        }
        thread::sleep(PAUSE);
        Ok(())
    }
}
