//! Room ahead of the database's log: taken from the disk before it is needed.
//!
//! sled 0.34 is broken by the first write that the disk does not take, until it is opened anew. So the disk is asked
//! beforehand, for blocks beyond the end of the log, where the next commits will go. If it has none to give, a commit
//! is refused before anything of it has happened; and when the disk is full all the same, these blocks are what the
//! database is opened with.
//!
//! **Invariant:** a commit begins only if as much as it may need lies ahead of the log's end, or is free where the file
//! system takes nothing beforehand.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::{Errno, retry_on_intr};
use rustix::process::{Resource, getrlimit};
use thiserror::Error;

use super::database::folder;
use super::error::Result;
use super::room::free_bytes;

/// What one commit may need: the rest of a segment of the log, and another.
pub(super) const LEAST: u64 = 16 << 20;
/// More is taken whenever the log has grown by about this much.
const STEP: u64 = 2 << 20;
/// What the system counts a file's room in.
const BLOCK: u64 = 512;

/// Why the database cannot be written to for now. Nothing has happened, and reading goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NoRoom {
    /// The disk.
    #[error(
        "the disk is full: {free} bytes are free, and the database needs {needed} to be written to (storage.reserve)"
    )]
    Disk {
        /// Free bytes.
        free: u64,
        /// Bytes that must be.
        needed: u64,
    },
    /// What the process's user may have of the disk.
    #[error(
        "the disk quota is used up, and the database needs {needed} bytes to be written to (storage.reserve)"
    )]
    Quota {
        /// Bytes that must be to be had.
        needed: u64,
    },
    /// The process may not write larger files.
    #[error(
        "the process may write files of {limit} bytes only, and the database needs {needed}: raise the limit for \
         the size of files (ulimit -f, LimitFSIZE=)"
    )]
    FileSize {
        /// The limit.
        limit: u64,
        /// Bytes that the log may have after the next commit.
        needed: u64,
    },
    /// The file to write to is not there any more, whatever room there is.
    #[error(
        "the data directory was removed or moved while the server was using it: nothing can be kept any more; put it \
         back where it was, or stop the server and restore a backup (intake restore)"
    )]
    Removed,
}

/// The blocks that were taken.
#[derive(Debug)]
pub(super) struct Ahead {
    /// The data directory.
    path: PathBuf,
    /// How much is to lie ahead; 0 is nothing, it is only looked whether there is room.
    reserve: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The length of the log when it was last seen.
    length: Option<u64>,
    /// Up to where its blocks are there.
    taken: u64,
    /// The file system gives nothing beforehand.
    only_looks: bool,
    /// Why nothing can be written, as was logged.
    lacking: Option<NoRoom>,
    #[cfg(test)]
    trusts: bool,
}

impl Ahead {
    pub(super) fn new(path: &Path, reserve: u64) -> Self {
        let state = State { only_looks: reserve == 0, ..State::default() };
        Self { path: path.to_owned(), reserve, state: Mutex::new(state) }
    }

    /// Sees to it that there is room for a commit. Logs once that there is none, and once that there is again.
    pub(super) fn secure(&self, log: &File) -> Result<()> {
        let mut state = self.state.lock();
        #[cfg(test)]
        if state.trusts {
            return Ok(());
        }
        let lacking = self.look(&mut state, log)?;
        match (state.lacking, lacking) {
            (None, Some(why)) => tracing::error!("nothing can be written: {why}"),
            (Some(_), None) => tracing::warn!("there is room again: the database is written to"),
            _ => {}
        }
        state.lacking = lacking;
        lacking.map_or(Ok(()), |why| Err(why.into()))
    }

    /// What is lacking for a commit.
    fn look(&self, state: &mut State, log: &File) -> io::Result<Option<NoRoom>> {
        let now = log.metadata()?;
        if !self.is_there(&now) {
            return Ok(Some(NoRoom::Removed));
        }
        let length = now.len();
        let limit = getrlimit(Resource::Fsize).current.unwrap_or(u64::MAX);
        if limit < length + LEAST {
            return Ok(Some(NoRoom::FileSize { limit, needed: length + LEAST }));
        }
        if state.length.is_none_or(|before| length < before) {
            // What was taken before, by another process perhaps; or the log was cut off, and with its end what lay beyond.
            state.taken = now.blocks() * BLOCK;
        }
        state.length = Some(length);
        if state.only_looks {
            return self.look_only();
        }
        if length + self.reserve <= state.taken {
            return Ok(None);
        }
        match self.take(state, length, limit - length, log)? {
            Some(_) if length + LEAST <= state.taken => Ok(None),
            outcome => Ok(outcome),
        }
    }

    /// Whether the log is still found by its name.
    fn is_there(&self, log: &Metadata) -> bool {
        let named = fs::metadata(folder(&self.path).join("db"));
        named.is_ok_and(|named| (named.dev(), named.ino()) == (log.dev(), log.ino()))
    }

    /// Takes blocks, without a change of the log's length, `most` bytes of them; tells why they are not to be had.
    fn take(&self, state: &mut State, length: u64, most: u64, log: &File) -> io::Result<Option<NoRoom>> {
        let bytes = (self.reserve + STEP).min(most);
        let needed = (length + bytes).saturating_sub(state.taken.max(length));
        let free = free_bytes(&self.path)?;
        // To ask for more than there is would take it from others for a moment.
        if free < needed {
            return Ok(Some(NoRoom::Disk { free, needed }));
        }
        match retry_on_intr(|| fallocate(log, FallocateFlags::KEEP_SIZE, length, bytes)) {
            Ok(()) => {
                state.taken = length + bytes;
                Ok(None)
            }
            Err(Errno::NOSPC) => Ok(Some(NoRoom::Disk { free, needed })),
            Err(Errno::DQUOT) => Ok(Some(NoRoom::Quota { needed })),
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
                tracing::warn!(
                    "the file system takes no room beforehand (storage.reserve), so it is only looked for"
                );
                state.only_looks = true;
                self.look_only()
            }
            Err(error) => Err(error.into()),
        }
    }

    fn look_only(&self) -> io::Result<Option<NoRoom>> {
        let free = free_bytes(&self.path)?;
        Ok((free < LEAST).then_some(NoRoom::Disk { free, needed: LEAST }))
    }

    /// Takes what is to be had up to the reserve: after [`give_back`] it is still ours, and for the next opening.
    pub(super) fn take_again(&self, log: &File) -> io::Result<()> {
        let bytes = free_bytes(&self.path)?.min(self.reserve) / STEP * STEP;
        if bytes > 0 {
            fallocate(log, FallocateFlags::KEEP_SIZE, log.metadata()?.len(), bytes)?;
        }
        Ok(())
    }

    /// From now on commits are not held back, so that faults reach the database.
    #[cfg(test)]
    pub(super) fn trust(&self) {
        self.state.lock().trusts = true;
    }
}

/// Gives back what was taken ahead of the log, if anything was: then a full disk has room for opening the database.
pub(super) fn give_back(log: &Path) -> bool {
    let given = || {
        let log = File::options().write(true).open(log)?;
        let before = log.metadata()?;
        log.set_len(before.len())?;
        io::Result::Ok(log.metadata()?.blocks() < before.blocks())
    };
    given().unwrap_or(false)
}
