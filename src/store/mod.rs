//! Everything that is on disk: users and their passwords, jobs and failed rows, connections, clients,
//! the tenant log and its streams, the outbox, uploaded files, exports.
//!
//! The keys are listed in `keys`. Users lie in blocks (`block`), found through a directory of hashed
//! keys in memory (`directory`) that is rebuilt at start. All writing goes through one writer:
//! check, pack, commit, publish, answer. The store is synchronous and knows neither HTTP nor the
//! form of an uploaded file; which thread calls it is the caller's choice.
//!
//! **Invariants**
//! - What a call has returned `Ok` for is on disk.
//! - Rows, failed rows and the place of a job in its file change together, and a chunk that does
//!   not begin at that place is refused: no row is applied twice.
//! - A fault between a commit and its publication makes the store unavailable until [`Store::reopen`].
//! - Without room for a commit none is begun ([`NoRoom`]), and reading goes on.

mod ahead;
mod apply;
mod backup;
mod bell;
mod block;
mod cached;
mod clients;
mod commit;
mod connections;
mod database;
mod directory;
mod doctor;
mod dump;
mod edit;
mod error;
mod exports;
mod failures;
mod figures;
mod format;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod jobs;
mod keys;
mod listing;
mod log;
mod logins;
mod loss;
mod manifest;
mod meters;
mod open;
mod outbox;
mod record;
mod restore;
mod roll_call;
mod room;
mod shut;
mod site;
mod spool;
mod streams;
mod sweep;
mod tasks;
mod time;
mod unsent;
mod users;
mod watch;
mod witness;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};

pub use ahead::NoRoom;
pub use apply::{ChunkRow, Words};
pub use backup::unseal;
pub use bell::Bell;
pub use doctor::{Diagnosis, Finding};
pub use dump::{Counts, LoadError, Written};
pub use error::{Result, StoreError};
pub use exports::ExportFile;
pub use figures::{Condition, Disk, Figures};
pub use format::{check_format, is_made};
pub use jobs::{NewJob, Page};
pub use listing::Browsed;
pub use log::{EventPage, Order};
pub use loss::{Loss, OnLoss};
pub use manifest::Manifest;
pub use meters::Meters;
pub use open::{check_writable, is_locked};
pub use outbox::{DueLetters, LetterPage, OutboxMark};
pub use record::Draft;
pub use restore::{move_backup, restore};
pub use roll_call::{Met, RollCall};
pub use room::{has_no_room, is_full};
pub use site::check_empty;
pub use spool::Upload;
pub use sweep::{Ages, Sweep};
pub use users::{Refused, Taken};

use crate::domain::{Candidate, Ticket, Timestamp, UserId};
use commit::Core;
use directory::KeyHasher;
use exports::Exports;
use open::DirectoryLock;
use spool::Spool;

/// Where the store is and how much it may take.
#[derive(Debug, Clone)]
pub struct Options {
    /// The data directory; made when missing.
    pub path: PathBuf,
    /// Bytes of memory for the database's page cache.
    pub cache_bytes: u64,
    /// Bytes of disk that must be left free by uploads, exports, backups, restores, and copies to be opened.
    pub min_free_disk: u64,
    /// Bytes of disk taken ahead of the database's log; 0 takes none, and only looks whether there is room.
    pub reserve: u64,
    /// How many unfinished jobs there may be.
    pub max_active_jobs: Option<usize>,
    /// How long the database may take to recover.
    pub open_timeout: Duration,
}

/// The store; shared by reference, safe to call from any thread.
#[derive(Debug)]
pub struct Store {
    options: Options,
    hasher: KeyHasher,
    spool: Spool,
    exports: Exports,
    bell: Arc<Bell>,
    meters: Meters,
    /// How often letters were put forward.
    put_forward: AtomicU64,
    /// `None` while a fault is being mended.
    core: RwLock<Option<Arc<Core>>>,
    /// What was accepted when it was opened.
    loss: Option<Loss>,
    /// Held while a backup is made.
    backing_up: Mutex<()>,
    /// Dropped last.
    _lock: DirectoryLock,
}

impl Store {
    /// The data directory.
    pub fn path(&self) -> &Path {
        &self.options.path
    }

    /// What was missing when the store was opened, and accepted.
    pub fn loss(&self) -> Option<&Loss> {
        self.loss.as_ref()
    }

    /// Rings when there is something new to tell or to remove.
    pub fn bell(&self) -> &Arc<Bell> {
        &self.bell
    }

    /// Makes a row of a job ready for [`Store::apply`]: the work that needs no lock. `made` is the id of its user,
    /// unless it brings one along.
    pub fn draft(
        &self,
        candidate: &Candidate,
        made: &UserId,
        row: (Ticket, u64),
        now: Timestamp,
    ) -> Result<Draft> {
        Draft::new(&self.hasher, candidate, made, Some(row), now)
    }
}
