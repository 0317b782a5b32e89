//! What can go wrong in the store, ignorant of who asks.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::io::Errno;
use thiserror::Error;

use super::ahead::NoRoom;
use super::room::is_full;

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
    /// More than may be kept of one thing, in bytes.
    #[error("{bytes} bytes are to be kept of it, {most} may be")]
    TooLarge {
        /// How large it is.
        bytes: usize,
        /// How large it may be.
        most: usize,
    },
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
    /// Too little room for an upload or a copy, in bytes.
    #[error("the disk is nearly full: {free} bytes are free and {needed} are needed (storage.min_free_disk)")]
    DiskFull {
        /// Free bytes.
        free: u64,
        /// Bytes that it needs, the reserve included.
        needed: u64,
    },
    /// No room for the database to write; nothing has happened, and reading goes on.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    /// A database cannot be opened on a disk that is full.
    #[error(
        "the disk of the data directory {} is full ({why}): nothing was changed; make room there and start again",
        .path.display()
    )]
    FullAtStart {
        /// The data directory.
        path: PathBuf,
        /// What the system says.
        why: io::Error,
    },
    /// The disk, when the data directory was opened.
    #[error(
        "the disk of the data directory {} failed ({why}): the system's log says more (dmesg); once the disk is \
         mended start again, or restore a backup elsewhere",
        .path.display()
    )]
    FailingAtStart {
        /// The data directory.
        path: PathBuf,
        /// What the system says.
        why: io::Error,
    },
    /// The system gives this process too little.
    #[error(
        "the system gives this process too little ({0}): raise its limits (ulimit -n -u -v) and try again"
    )]
    Lack(io::Error),
    /// Another process has the data directory open.
    #[error(
        "another process is using the data directory {}: stop it, or give this one a directory of its own (storage.path)",
        .0.display()
    )]
    Locked(PathBuf),
    /// No place to write to.
    #[error(
        "the data directory {} (storage.path) cannot be made or written to: {why}; it must belong to the user that \
         runs the server (chown), on a disk that is mounted for writing",
        .path.display()
    )]
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
    /// What the directory says of its format is nothing we know; carries the file.
    #[error(
        "{} is nothing this program knows: it was written by another one, or damaged; use the program that the data \
         directory was made with, or restore it from a backup", .0.display()
    )]
    UnknownFormat(PathBuf),
    /// A restore, load or backup that was to make the directory did not come to its end.
    #[error(
        "the data directory {} is half made, because its restore, load or backup was cut short: repeat that \
         (intake restore or intake load; a backup elsewhere)", .0.display()
    )]
    HalfMade(PathBuf),
    /// Somebody else's directory.
    #[error(
        "the directory {} (storage.path) holds \"{name}\" and no data of intake: choose one that is empty or does not \
         exist", .path.display()
    )]
    Foreign {
        /// Its path.
        path: PathBuf,
        /// What is in it.
        name: String,
    },
    /// Where something is to be made as a whole there is something already.
    #[error("{} is not empty, it holds \"{name}\": choose a directory that is empty or does not exist", .path.display())]
    Occupied {
        /// The directory.
        path: PathBuf,
        /// What is in it.
        name: String,
    },
    /// A backup is being made, and there is one at a time.
    #[error("a backup is being made already: try again when it is done")]
    BackingUp,
    /// No backup, or not one any more.
    #[error("{} cannot be restored: {why}", .path.display())]
    NoBackup {
        /// Its directory.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The database lacks commits that were acknowledged.
    #[error(
        "the database ends at commit {found}, but commit {acknowledged} was acknowledged: data was lost or an old copy \
         of the database was put back; restore the whole data directory from a backup, or go on without what is \
         missing: intake serve --accept-loss"
    )]
    Lost {
        /// Last commit in the database.
        found: u64,
        /// Last commit the witness saw.
        acknowledged: u64,
    },
    /// Database and witness are not of one data directory; carries the commit they tell it by.
    #[error(
        "the store is damaged: the database and its witness disagree about commit {0}: they are not from one data \
         directory"
    )]
    WitnessDisagrees(u64),
    /// A new database in place of one that was lost did not come to its end.
    #[error(
        "the database in {} was being made in place of one that was lost, and that was cut short: remove this folder, \
         unless you have put it there since, and start again with --accept-loss", .0.display()
    )]
    HalfReplaced(PathBuf),
    /// The database cannot be opened.
    #[error("the database in {} cannot be opened: {why}; restore the data directory from a backup", .path.display())]
    Unopenable {
        /// Its directory.
        path: PathBuf,
        /// What was seen.
        why: String,
    },
    /// The database is not open yet; it may only be large, or the disk slow.
    #[error(
        "the database in {} cannot be opened: its recovery did not end within {}; raise storage.open_timeout and try \
         again, a large database takes its time; only if that does not help, restore the data directory from a backup",
        .path.display(), humantime::format_duration(*.patience)
    )]
    Slow {
        /// Its directory.
        path: PathBuf,
        /// How long it was waited for.
        patience: Duration,
    },
    /// A backup is not opened but as a copy, and there is no place for that.
    #[error(
        "no copy of the backup {} can be made to look into, neither beside it nor in {} ({why}): set TMPDIR to a \
         directory that can be written to, with room for it", .backup.display(), .place.display()
    )]
    NoPlace {
        /// The backup.
        backup: PathBuf,
        /// Where temporary files go.
        place: PathBuf,
        /// What the system says of that place.
        why: io::Error,
    },
    /// Something on disk that the store did not write.
    #[error("the store is damaged: {0}")]
    Corrupt(String),
    /// The same, and where.
    #[error("{}: {what}", .path.display())]
    At {
        /// A file or a folder.
        path: PathBuf,
        /// What went wrong with it.
        what: Box<StoreError>,
    },
    /// The disk.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The database.
    #[error("{0}")]
    Database(#[from] sled::Error),
}

impl StoreError {
    /// Whether there is too little room on the disk, or for the process on it.
    pub fn is_full(&self) -> bool {
        match self {
            Self::DiskFull { .. } | Self::NoRoom(_) | Self::FullAtStart { .. } => true,
            Self::Io(error) | Self::Database(sled::Error::Io(error)) => is_full(error),
            Self::At { what, .. } => what.is_full(),
            _ => false,
        }
    }

    /// Whether the system gives this process too little for now: handles, threads, memory.
    pub fn is_lack(&self) -> bool {
        match self {
            Self::Io(error) | Self::Database(sled::Error::Io(error)) => is_lack(error),
            Self::Lack(_) => true,
            Self::At { what, .. } => what.is_lack(),
            _ => false,
        }
    }

    /// Names the place where it happened, if neither we nor the system do.
    #[must_use]
    pub fn at(self, path: &Path) -> Self {
        match self {
            Self::Io(_) | Self::DiskFull { .. } => Self::At { path: path.to_owned(), what: Box::new(self) },
            named => named,
        }
    }
}

fn is_lack(error: &io::Error) -> bool {
    let of_system = error.raw_os_error().map(Errno::from_raw_os_error);
    of_system.is_some_and(|code| [Errno::MFILE, Errno::NFILE, Errno::AGAIN, Errno::NOMEM].contains(&code))
}

/// The result of a call to the store.
pub type Result<T> = std::result::Result<T, StoreError>;
