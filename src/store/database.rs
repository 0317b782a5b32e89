//! sled, opened and committed to in the one way that is fast and survives a power cut.
//!
//! What sled 0.34 does not do by itself is done here: `flush` is no fsync, so every commit syncs the
//! log through a file handle of our own; a snapshot cut short is removed before opening; a recovery
//! that panics or hangs becomes an error. Every change is one batch on one tree; a commit is a change, or a
//! few that are synced together.
//!
//! A full disk is met before sled meets it (see `ahead`); faults that reach sled all the same end in an error (see
//! `watch`), never in waiting.
//!
//! **Invariant:** what was synced with `Ok` is on disk, and the witness knows it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::Options;
use super::ahead::{Ahead, give_back};
use super::cached::Cached;
use super::error::{Result, StoreError};
use super::keys::{HEAD, VERSION};
use super::loss::{Loss, OnLoss};
use super::roll_call::Move;
use super::watch::Watch;
use super::witness::{Seal, Witness};
use crate::domain::{Owed, Timestamp};
use crate::files::{below, remove_durably, sync};

/// The layout this program writes and reads.
pub(super) const LAYOUT: u32 = 3;

/// Log segments of this size survive simulated power cuts as long as a commit is smaller; frozen
/// into the database when it is made.
const SEGMENT_BYTES: usize = 8 << 20;

/// Bytes that are read at once.
const PIECE: usize = 1 << 20;

/// How long to wait for the lock: sled holds its own a few milliseconds longer than its handle.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);

/// The part of the store that every commit moves on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    /// Changes so far.
    pub(super) commit: u64,
    /// CRC-32 of the last change's keys and values.
    pub(super) crc: u32,
    /// The ticket for the next job.
    pub(super) next_ticket: u64,
    /// The number for the next connection.
    pub(super) next_connection: u32,
    /// The number for the next event of the tenant log.
    pub(super) next_event: u64,
    /// The time in the id of the last event.
    pub(super) last_event: Timestamp,
    /// The number for the next letter, or the next range of garbage.
    pub(super) next_number: u64,
}

/// Writes that belong together: all of them happen, or none.
#[derive(Debug, Default)]
pub(super) struct Change {
    writes: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    /// What gets its number from the commit: numbers are given in the order of commits, so that who
    /// reads up to one of them has missed none before it.
    pub(super) numbered: Numbered,
    /// Users that are elsewhere after it, or nowhere.
    pub(super) moves: Vec<Move>,
}

/// What a commit gives numbers to.
#[derive(Debug, Default)]
pub(super) struct Numbered {
    pub(super) owed: Owed,
    /// Ranges of keys that nobody reads any more.
    pub(super) garbage: Vec<Garbage>,
}

/// A range of keys to be removed, both ends included.
pub(super) type Garbage = (Vec<u8>, Vec<u8>);

impl Change {
    pub(super) fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.writes.push((key, Some(value)));
    }

    pub(super) fn remove(&mut self, key: Vec<u8>) {
        self.writes.push((key, None));
    }

    /// Adds what is to be told of the change.
    pub(super) fn owe(&mut self, owed: Owed) {
        self.numbered.owed.append(owed);
    }

    /// Leaves a range of keys to be removed later, in small steps. Nothing may read or write them
    /// any more.
    pub(super) fn discard(&mut self, range: RangeInclusive<Vec<u8>>) {
        self.numbered.garbage.push(range.into_inner());
    }

    /// Adds all of `other`, after our own.
    pub(super) fn append(&mut self, mut other: Self) {
        self.writes.append(&mut other.writes);
        self.owe(other.numbered.owed);
        self.numbered.garbage.append(&mut other.numbered.garbage);
        self.moves.append(&mut other.moves);
    }

    /// How much there is to write, in bytes, about.
    pub(super) fn bytes(&self) -> usize {
        /// More than an event has, but for those that quote much of a request.
        const EVENT: usize = 4 << 10;
        let writes = self.writes.iter().map(|(key, value)| key.len() + value.as_ref().map_or(0, Vec::len));
        let Owed { events, letters, tickets } = &self.numbered.owed;
        let letters = letters.iter().map(|letter| letter.text.len() + letter.html.len());
        writes.sum::<usize>() + letters.sum::<usize>() + (events.len() + tickets.len()) * EVENT
    }

    /// Whether it does nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// The writes, for tests that go behind the store's back.
    #[cfg(test)]
    pub(super) fn into_writes(self) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
        self.writes
    }

    fn crc(&self) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        for (key, value) in &self.writes {
            hasher.update(key);
            hasher.update(value.as_deref().unwrap_or_default());
        }
        hasher.finalize()
    }
}

#[derive(Debug)]
pub(super) struct Database {
    // Fields drop in this order: nobody watches any more, and sled writes its last bytes, before the log handle goes.
    _watch: Watch,
    db: sled::Db,
    log: File,
    ahead: Ahead,
    cached: Cached,
    witness: Witness,
    /// What was missing when it was opened, to be accepted by [`Database::accept_loss`] before anything is written.
    pub(super) loss: Option<Loss>,
    #[cfg(test)]
    pub(super) faults: faults::Faults,
}

impl Database {
    /// Opens or makes the database in `<directory>/database`, with `<directory>/witness` beside it.
    ///
    /// On a full disk it is opened with the room that was taken ahead of the log.
    pub(super) fn open(options: &Options, on_loss: OnLoss) -> Result<(Self, Head)> {
        let directory = &*options.path;
        let path = folder(directory);
        let making = Making::begin(directory, &path, on_loss)?;
        let cached = Cached::of(directory);
        if cached.is_doubted() && path.exists() {
            cached.drop_pages()?;
        }
        cached.doubt()?;
        let config = config(&path, options.cache_bytes);
        let (db, on_full_disk) = match open_watched(&path, &config, options.open_timeout) {
            Err(error) if error.is_full() && give_back(&path.join("db")) => {
                (open_watched(&path, &config, options.open_timeout)?, true)
            }
            outcome => (outcome.map_err(|error| making.explain(error, &path))?, false),
        };
        let log = OpenOptions::new().read(true).write(true).open(path.join("db"))?;
        // What a process wrote that died before it could sync is about to be shown and witnessed.
        log.sync_data()?;
        let ahead = Ahead::new(directory, options.reserve);
        if on_full_disk && let Err(error) = ahead.take_again(&log) {
            tracing::warn!("the room that the database was opened with is given to others: {error}");
        }
        let head = HEAD.get(&db, &[])?.unwrap_or_default();
        check_version(&db, head)?;
        let (witness, loss) = Witness::open(directory, Seal { commit: head.commit, crc: head.crc }, on_loss)?;
        sync_names(&path, directory)?;
        making.end()?;
        cached.believe()?;
        let database = Self {
            _watch: Watch::over(db.clone(), config)?,
            db,
            log,
            ahead,
            cached,
            witness,
            loss,
            #[cfg(test)]
            faults: faults::Faults::default(),
        };
        Ok((database, head))
    }

    /// The tree that holds everything.
    pub(super) fn tree(&self) -> &sled::Tree {
        &self.db
    }

    /// From now on nothing was acknowledged but what is there.
    pub(super) fn accept_loss(&self, head: &Head) -> Result<()> {
        self.witness.restart(Seal { commit: head.commit, crc: head.crc })
    }

    /// Its files, in bytes.
    pub(super) fn size(&self) -> Result<u64> {
        Ok(self.db.size_on_disk()?)
    }

    /// Sees to it that there is room for a commit.
    pub(super) fn make_room(&self) -> Result<()> {
        self.ahead.secure(&self.log)
    }

    /// From now on the disk says whether there is room.
    #[cfg(test)]
    pub(super) fn trust_the_disk(&self) {
        self.ahead.trust();
    }

    /// Hands a change to the database and moves `head` on. It is on disk once it is synced; after an error it is
    /// unknown whether it happened, and the database must be reopened.
    pub(super) fn apply(&self, head: &mut Head, mut change: Change) -> Result<()> {
        let next = Head { commit: head.commit + 1, crc: change.crc(), ..*head };
        HEAD.put(&mut change, &[], &next)?;
        if head.commit == 0 {
            VERSION.put(&mut change, &[], &LAYOUT)?;
        }
        let mut batch = sled::Batch::default();
        for (key, value) in change.writes {
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        #[cfg(test)]
        self.faults.strike(faults::At::Apply)?;
        self.db.apply_batch(batch)?;
        #[cfg(test)]
        self.faults.come_nearer();
        *head = next;
        Ok(())
    }

    /// Makes durable what was applied up to `head`.
    pub(super) fn sync(&self, head: &Head) -> Result<()> {
        self.db.flush()?;
        #[cfg(test)]
        self.faults.strike(faults::At::Sync)?;
        self.log.sync_data()?;
        self.witness.record(Seal { commit: head.commit, crc: head.crc })?;
        #[cfg(test)]
        self.faults.strike(faults::At::Publish)?;
        #[cfg(test)]
        self.faults.strike(faults::At::Panic)?;
        Ok(())
    }

    /// After a fault: what is cached of its files may never get to the disk.
    pub(super) fn doubt_cached(&self) {
        if let Err(error) = self.cached.doubt() {
            tracing::error!("what was written before the fault may seem to be on disk and not be: {error}");
        }
    }
}

/// A database in the making, marked by a file: a power cut before all of it is synced leaves one that
/// never opens, and of which nobody was ever told anything. The next start makes it anew.
struct Making {
    mark: PathBuf,
    /// There was one before, which was lost.
    is_replacement: bool,
}

impl Making {
    /// Sets the mark, before the first file of a new database is there.
    fn begin(directory: &Path, database: &Path, on_loss: OnLoss) -> Result<Self> {
        let acknowledged = Witness::acknowledged(directory)?;
        let making = Self { mark: directory.join("database.new"), is_replacement: acknowledged > 0 };
        if making.mark.exists() && acknowledged == 0 && database.exists() {
            fs::remove_dir_all(database)?;
        }
        if database.exists() {
            return Ok(making);
        }
        if acknowledged > 0 && on_loss == OnLoss::Refuse {
            // Nothing is made in its place: the mark must never lie beside a database put back later.
            return Err(StoreError::Lost { found: 0, acknowledged });
        }
        File::create(&making.mark)?;
        sync(directory)?;
        Ok(making)
    }

    /// Why a database does not open may be that it was being made in place of one that was lost. It is not made anew
    /// by itself: somebody may have put one back.
    fn explain(&self, error: StoreError, database: &Path) -> StoreError {
        let is_unopenable = matches!(error, StoreError::Unopenable { .. });
        if is_unopenable && self.is_replacement && self.mark.exists() {
            StoreError::HalfReplaced(database.to_owned())
        } else {
            error
        }
    }

    /// Takes the mark away, for good before anything is promised.
    fn end(self) -> Result<()> {
        Ok(remove_durably(&self.mark)?)
    }
}

/// An open that was killed leaves a half-written snapshot which the next one would take for whole.
fn remove_cut_snapshots(path: &Path) -> Result<()> {
    let Ok(entries) = fs::read_dir(path) else {
        return Ok(());
    };
    for entry in entries {
        let file = entry?.path();
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            fs::remove_file(&file)?;
        }
    }
    Ok(())
}

fn config(path: &Path, cache_bytes: u64) -> sled::Config {
    sled::Config::new()
        .path(path)
        .cache_capacity(cache_bytes)
        .flush_every_ms(None)
        .segment_size(SEGMENT_BYTES)
}

/// Opens sled on a thread of its own, because its recovery can panic or hang on a damaged log.
fn open_watched(path: &Path, config: &sled::Config, patience: Duration) -> Result<sled::Db> {
    remove_cut_snapshots(path)?;
    let unopenable = |why: &str| StoreError::Unopenable { path: path.to_owned(), why: why.to_owned() };
    let (sender, receiver) = mpsc::channel();
    let (config, read) = (config.clone(), path.to_owned());
    thread::Builder::new().name("recovery".to_owned()).spawn(move || {
        let opened = read_through(&read).map_err(sled::Error::Io).and_then(|()| open_when_unlocked(&config));
        // The receiver is gone only if we took too long; then nobody wants the answer.
        let _ = sender.send(opened);
    })?;
    match receiver.recv_timeout(patience) {
        Ok(Ok(db)) => Ok(db),
        Ok(Err(sled::Error::Io(error))) => Err(error.into()),
        Ok(Err(error)) => Err(unopenable(&error.to_string())),
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            Err(unopenable("its recovery panicked, so its log is damaged"))
        }
        Err(mpsc::RecvTimeoutError::Timeout) => Err(StoreError::Slow { path: path.to_owned(), patience }),
    }
}

/// Reads every file of a database. Its recovery takes what cannot be read for the end of the log, and overwrites what
/// comes behind that: so a disk that does not give all of it must not be recovered from. What it has given is in the
/// system's cache when the recovery reads it.
fn read_through(path: &Path) -> io::Result<()> {
    if !path.exists() {
        return Ok(());
    }
    let mut piece = vec![0; PIECE];
    for file in below(path)? {
        let mut file = File::open(file)?;
        while file.read(&mut piece)? > 0 {}
    }
    Ok(())
}

fn open_when_unlocked(config: &sled::Config) -> sled::Result<sled::Db> {
    let deadline = Instant::now() + LOCK_PATIENCE;
    loop {
        match config.open() {
            Err(sled::Error::Io(error))
                if error.to_string().contains("lock") && Instant::now() < deadline =>
            {
                thread::sleep(Duration::from_millis(5));
            }
            result => return result,
        }
    }
}

/// sled syncs neither its configuration nor the directories it makes, and the process that made
/// them may have died before we could.
fn sync_names(path: &Path, directory: &Path) -> Result<()> {
    Ok([&*path.join("conf"), path, directory].into_iter().try_for_each(sync)?)
}

fn check_version(db: &sled::Db, head: Head) -> Result<()> {
    match VERSION.get(db, &[])? {
        Some(LAYOUT) => Ok(()),
        None if head.commit == 0 && db.is_empty() => Ok(()),
        found => Err(StoreError::Version { found: found.unwrap_or_default(), known: LAYOUT }),
    }
}

/// Where the files of the database are.
pub(super) fn folder(directory: &Path) -> PathBuf {
    directory.join("database")
}

/// Where it keeps values too large for the log; stays empty, as those are never synced.
pub(super) fn blobs(directory: &Path) -> PathBuf {
    folder(directory).join("blobs")
}

/// Faults on demand, for tests.
#[cfg(test)]
pub(super) mod faults {
    use std::sync::atomic::{AtomicU8, Ordering};

    use super::{Result, StoreError};

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(in crate::store) enum At {
        Apply = 1,
        Sync = 2,
        Publish = 3,
        /// Where `Publish` is, but as a panic.
        Panic = 4,
        /// Where `Apply` is, but for the second change of a commit.
        SecondApply = 5,
    }

    #[derive(Debug, Default)]
    pub(in crate::store) struct Faults(AtomicU8);

    impl Faults {
        /// The next commit fails there.
        pub(in crate::store) fn arm(&self, at: At) {
            self.0.store(at as u8, Ordering::SeqCst);
        }

        /// The second change is the next one now.
        pub(super) fn come_nearer(&self) {
            let (far, near) = (At::SecondApply as u8, At::Apply as u8);
            let _ = self.0.compare_exchange(far, near, Ordering::SeqCst, Ordering::SeqCst);
        }

        pub(super) fn strike(&self, at: At) -> Result<()> {
            match self.0.compare_exchange(at as u8, 0, Ordering::SeqCst, Ordering::SeqCst) {
                Ok(_) if at == At::Panic => panic!("a panic on demand"),
                Ok(_) => Err(StoreError::Io(std::io::Error::other("a fault on demand"))),
                Err(_) => Ok(()),
            }
        }
    }
}
