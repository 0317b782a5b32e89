//! What can go wrong in the store, ignorant of who asks.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why a call to the store did not do what it promises.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Being reopened after a fault: try again in a moment.
    #[error("the store is being reopened after a fault: try again in a moment")]
    Unavailable,
    /// As many jobs are unfinished as the settings allow; carries their number.
    #[error("there are {0} unfinished jobs")]
    TooManyActiveJobs(usize),
    /// Something else has this name or id.
    #[error("the name or id is taken")]
    Exists,
    /// There is no client with this id.
    #[error("there is no client {0}")]
    UnknownClient(String),
    /// As many log streams as there may be; carries that number.
    #[error("there are {0} log streams already")]
    TooManyStreams(usize),
    /// As many exports wait to be made as may; carries that number.
    #[error("there are {0} exports to be made already")]
    TooManyExports(usize),
    /// The connection that a job brings users into was deleted; carries its name.
    #[error("connection {0} was deleted")]
    ConnectionGone(String),
    /// The job was removed by age while its failed rows were read; carries its number.
    #[error("job number {0} was removed by age")]
    JobGone(u64),
    /// Too little room for an upload, in bytes.
    #[error("the disk is nearly full: {free} bytes are free and {needed} are needed")]
    DiskFull {
        /// Free bytes.
        free: u64,
        /// Bytes the upload needs, the reserve included.
        needed: u64,
    },
    /// Another process has the data directory open.
    #[error("another process is using the data directory {}", .0.display())]
    Locked(PathBuf),
    /// No place to write to.
    #[error("the data directory {} (storage.path) cannot be made or written to: {why}", .path.display())]
    Unusable {
        /// Its path.
        path: PathBuf,
        /// What the system says.
        why: io::Error,
    },
    /// There is nothing to read.
    #[error("there is no data in {}: name a data directory, or a copy of one (storage.path)", .0.display())]
    Absent(PathBuf),
    /// Written by another version of the program.
    #[error(
        "the data directory has layout version {found}, this program knows version {known}: use the program it was made with"
    )]
    Version {
        /// What the directory says.
        found: u32,
        /// What this program writes.
        known: u32,
    },
    /// The database lacks commits that were acknowledged.
    #[error(
        "the database ends at commit {found}, but commit {acknowledged} was acknowledged: data was lost or an old copy \
         of the database was put back; restore the whole data directory from a backup"
    )]
    Lost {
        /// Last commit in the database.
        found: u64,
        /// Last commit the witness saw.
        acknowledged: u64,
    },
    /// The database cannot be opened.
    #[error("the database in {} cannot be opened: {why}; restore the data directory from a backup", .path.display())]
    Unopenable {
        /// Its directory.
        path: PathBuf,
        /// What was seen.
        why: String,
    },
    /// Something on disk that the store did not write.
    #[error("the store is damaged: {0}")]
    Corrupt(String),
    /// The disk.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The database.
    #[error("{0}")]
    Database(#[from] sled::Error),
}

/// The result of a call to the store.
pub type Result<T> = std::result::Result<T, StoreError>;
