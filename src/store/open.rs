//! Opening: lock, recover, check, rebuild. A first start, a start after a crash and the mending of a
//! fault while running are the same code.

use std::collections::HashMap;
use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};
use rustix::fs::{Access, AtFlags, CWD, accessat};
use rustix::io::Errno;

use super::bell::Bell;
use super::block::{Block, SLOTS};
use super::cached::Cached;
use super::commit::{Core, Kept, Writer};
use super::database::{Database, blobs};
use super::directory::{Directory, KeyHasher, Place, Shards};
use super::error::{Result, StoreError};
use super::exports::Exports;
use super::format::{self, Format};
use super::keys::{BLOCKS, CONNECTIONS, JOBS, QUEUE, trailing_u32, trailing_u64};
use super::loss::{Loss, OnLoss};
use super::manifest::Manifest;
use super::meters::Meters;
use super::record::Keys;
use super::room::is_full;
use super::spool::Spool;
use super::tasks::PendingExports;
use super::unsent::Unsent;
use super::{Options, Store, backup};
use crate::domain::{Connection, Job};
use crate::files::make_folder;

const LOCK_FILE: &str = "lock";
/// How long to wait for that lock: another process that is just ending, or one that was just forked,
/// lets go of it at once.
const LOCK_PATIENCE: Duration = Duration::from_millis(200);
/// How long a fault's witnesses may take to let go of the database.
const RELEASE_PATIENCE: Duration = Duration::from_secs(10);

impl Store {
    /// Opens the data directory, which is made (mode 0700) when missing.
    pub fn open(options: Options) -> Result<Self> {
        Self::open_hashing(options, KeyHasher::new(u64::MAX), OnLoss::Refuse)
    }

    /// The same, even if acknowledged commits are missing and that is accepted: see [`Store::loss`].
    pub fn open_despite(options: Options, on_loss: OnLoss) -> Result<Self> {
        Self::open_hashing(options, KeyHasher::new(u64::MAX), on_loss)
    }

    pub(super) fn open_hashing(options: Options, hasher: KeyHasher, on_loss: OnLoss) -> Result<Self> {
        let format = format::look(&options.path)?;
        let directory = options.path.clone();
        let unusable = |why| StoreError::Unusable { path: directory.clone(), why };
        make_folder(&directory).map_err(unusable)?;
        let lock = DirectoryLock::take(&directory)?;
        let open = || {
            let store = Self::open_locked(options, hasher, on_loss, lock)?;
            if format == Format::Untold {
                format::write(store.path())?;
            }
            Ok(store)
        };
        open().map_err(|error| in_directory(error, &directory))
    }

    /// The same for a directory that is locked, whatever it says of its format.
    pub(super) fn open_locked(
        options: Options,
        hasher: KeyHasher,
        on_loss: OnLoss,
        lock: DirectoryLock,
    ) -> Result<Self> {
        FOLDERS.iter().try_for_each(|folder| check_writable(&options.path.join(folder)))?;
        // Whatever is opened is no backup any more.
        Manifest::remove(&options.path)?;
        let spool = Spool::open(&options.path)?;
        let exports = Exports::open(&options.path)?;
        let bell = Arc::new(Bell::default());
        let meters = Meters::default();
        let core = open_core(&options, &hasher, bell.clone(), meters.clone(), on_loss)
            .map_err(|error| name_disk(error, &options.path))?;
        let loss = settle(&core, &spool, &options.path)?;
        backup::sweep(&options.path)?;
        let core = RwLock::new(Some(Arc::new(core)));
        let put_forward = AtomicU64::new(0);
        let backing_up = Mutex::default();
        let store = Self {
            options,
            hasher,
            spool,
            exports,
            bell,
            meters,
            put_forward,
            core,
            loss,
            backing_up,
            _lock: lock,
        };
        store.drop_stale_claims()?;
        store.drop_stale_exports()?;
        Ok(store)
    }

    /// Whether calls can succeed; if not, [`Store::reopen`] mends it.
    pub fn is_available(&self) -> bool {
        self.core().is_ok()
    }

    /// Opens the database anew after a fault. Does nothing when there was none.
    pub fn reopen(&self) -> Result<()> {
        if self.is_available() {
            return Ok(());
        }
        let mut slot = self.core.write();
        if slot.as_ref().is_some_and(|core| !core.is_poisoned()) {
            return Ok(());
        }
        if let Some(core) = slot.take() {
            release(core)?;
        }
        let cached = Cached::of(&self.options.path);
        cached.doubt()?;
        cached.drop_pages()?;
        let (bell, meters) = (self.bell.clone(), self.meters.clone());
        let core = open_core(&self.options, &self.hasher, bell, meters, OnLoss::Refuse)?;
        // Of jobs that were being accepted, or were ending, it is known only now what became of them.
        sweep(&core, &self.spool)?;
        *slot = Some(Arc::new(core));
        Ok(())
    }

    pub(super) fn core(&self) -> Result<Arc<Core>> {
        // Only a reopening takes the lock for itself.
        let slot = self.core.try_read().ok_or(StoreError::Unavailable)?;
        slot.as_ref().filter(|core| !core.is_poisoned()).cloned().ok_or(StoreError::Unavailable)
    }

    /// Compares the directory with what a rebuild from disk gives; tells what differs.
    ///
    /// Takes about as long as a start, and holds up all writing meanwhile.
    pub fn check(&self) -> Result<Vec<String>> {
        let core = self.core()?;
        let writer = core.writer.lock();
        let mut findings = Vec::new();
        for connection in core.connections.read().iter() {
            let again = Directory::default();
            let tail = rebuild(&core.database, &core.hasher, &again, connection)?;
            if tail != writer.tails.get(&connection.number).copied().unwrap_or_default() {
                findings.push(format!(
                    "the open block of connection {} in memory is not its last on disk",
                    connection.name
                ));
            }
            let (live, disk) =
                (core.directory.connection(connection.number), again.connection(connection.number));
            if live.users() != disk.users() {
                findings.push(format!(
                    "the number of users of connection {} in memory is not that on disk",
                    connection.name
                ));
            }
            if live.sorted() != disk.sorted() {
                findings.push(format!(
                    "the keys of connection {} in memory are not those on disk",
                    connection.name
                ));
            }
        }
        if *core.unsent.lock() != Unsent::read(core.database.tree())? {
            findings.push("the letters in memory are not those on disk".to_owned());
        }
        if fs::read_dir(blobs(&self.options.path)).is_ok_and(|mut files| files.next().is_some()) {
            findings.push("the database keeps values outside its log, where they are not synced".to_owned());
        }
        Ok(findings)
    }
}

/// One process per data directory; the next one waits a moment for the last one to be gone.
#[derive(Debug, Clone)]
pub(super) struct DirectoryLock(#[expect(dead_code, reason = "held, not read")] Arc<File>);

impl DirectoryLock {
    pub(super) fn take(directory: &Path) -> Result<Self> {
        let file = File::options().create(true).truncate(false).write(true).open(directory.join(LOCK_FILE));
        let file = file.map_err(|why| StoreError::Unusable { path: directory.to_owned(), why })?;
        let deadline = Instant::now() + LOCK_PATIENCE;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self(Arc::new(file))),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    thread::sleep(Duration::from_millis(5));
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(StoreError::Locked(directory.to_owned()));
                }
                Err(TryLockError::Error(error)) => return Err(error.into()),
            }
        }
    }
}

/// Whether some process has this data directory open.
pub fn is_locked(directory: &Path) -> bool {
    let file = File::options().write(true).open(directory.join(LOCK_FILE));
    file.is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}

/// Folders of a data directory that are written to.
const FOLDERS: [&str; 4] = ["", "database", "spool", "exports"];

/// Refuses a folder of the data directory that is there, but that this process may not write to.
pub fn check_writable(folder: &Path) -> Result<()> {
    match accessat(CWD, folder, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(why) => Err(StoreError::Unusable { path: folder.to_owned(), why: why.into() }),
    }
}

/// Says of a disk that is full, or closed to us, what there is to do.
pub(super) fn in_directory(error: StoreError, directory: &Path) -> StoreError {
    let path = directory.to_owned();
    match error {
        StoreError::Io(why) if is_full(&why) => StoreError::FullAtStart { path, why },
        lack @ StoreError::Io(_) if lack.is_lack() => match lack {
            StoreError::Io(why) => StoreError::Lack(why),
            other => other,
        },
        StoreError::Io(why) if why.kind() == ErrorKind::PermissionDenied => {
            StoreError::Unusable { path, why }
        }
        error => error,
    }
}

/// The same, and of one that fails.
fn name_disk(error: StoreError, directory: &Path) -> StoreError {
    match in_directory(error, directory) {
        StoreError::Io(why) => StoreError::FailingAtStart { path: directory.to_owned(), why },
        error => error,
    }
}

/// Waits until nobody else holds the database, and closes it.
fn release(mut core: Arc<Core>) -> Result<()> {
    let deadline = Instant::now() + RELEASE_PATIENCE;
    loop {
        match Arc::try_unwrap(core) {
            Ok(core) => {
                // sled panics when the disk does not take its last sync: that is known, and the log is read anew.
                if catch_unwind(AssertUnwindSafe(|| drop(core))).is_err() {
                    tracing::error!("the database panicked while it was closed after a fault");
                }
                return Ok(());
            }
            Err(shared) if Instant::now() < deadline => core = shared,
            Err(_) => return Err(StoreError::Unavailable),
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// Rids the spool of what no job needs.
fn sweep(core: &Core, spool: &Spool) -> Result<()> {
    spool.sweep(&core.active.lock().tickets.keys().collect())
}

/// Does that; or keeps that and accepts the loss, if there was one.
fn settle(core: &Core, spool: &Spool, directory: &Path) -> Result<Option<Loss>> {
    let Some(loss) = core.database.loss.clone() else {
        return sweep(core, spool).map(|()| None);
    };
    let active = core.active.lock();
    let needed = active.tickets.keys().collect();
    // First kept, then accepted: the start after a crash in between finds the loss again.
    let kept = spool.keep_lost(directory, &needed)?;
    core.database.accept_loss(&core.writer.lock().head)?;
    tracing::warn!(
        "a loss was accepted: the database ends at commit {}, commit {} was acknowledged; uploads kept: {}",
        loss.found,
        loss.acknowledged,
        kept.len()
    );
    Ok(Some(Loss { kept, ..loss }))
}

fn open_core(
    options: &Options,
    hasher: &KeyHasher,
    bell: Arc<Bell>,
    meters: Meters,
    on_loss: OnLoss,
) -> Result<Core> {
    let (database, head) = Database::open(options, on_loss)?;
    let connections = CONNECTIONS.values(database.tree()).collect::<Result<Vec<_>>>()?;
    let directory = Directory::default();
    let mut tails = HashMap::new();
    for connection in &connections {
        tails.insert(connection.number, rebuild(&database, hasher, &directory, connection)?);
    }
    let jobs = unfinished_jobs(&database)?;
    let letters = Unsent::read(database.tree())?;
    let exports = PendingExports::read(database.tree())?;
    let kept = Kept { connections, jobs, letters, exports };
    Ok(Core::new(database, directory, hasher.clone(), kept, Writer { head, tails }, bell, meters))
}

pub(super) fn unfinished_jobs(database: &Database) -> Result<Vec<Job>> {
    let tree = database.tree();
    tree.range(QUEUE.below(&[]))
        .map(|entry| {
            let ticket = trailing_u64(&entry?.0)?;
            let job = JOBS.get(tree, &[&ticket.to_be_bytes()])?;
            job.ok_or_else(|| StoreError::Corrupt(format!("job number {ticket} is queued but not there")))
        })
        .collect()
}

/// Fills the directory with a connection's keys, on two threads; tells the number of its open block.
fn rebuild(
    database: &Database,
    hasher: &KeyHasher,
    directory: &Directory,
    connection: &Connection,
) -> Result<u32> {
    let blocks = BLOCKS.below(&[&connection.number.to_be_bytes()]);
    let Some(last) = database.tree().range(blocks).next_back().transpose()? else {
        return Ok(0);
    };
    let last = trailing_u32(&last.0)?;
    let shards = directory.connection(connection.number);
    shards.reserve(2 * last as usize * SLOTS as usize);
    let rebuild = Rebuild { tree: database.tree(), hasher, shards: &shards, connection };
    let middle = last / 2;
    thread::scope(|scope| {
        let low = thread::Builder::new().spawn_scoped(scope, || rebuild.blocks(0, middle));
        rebuild.blocks(middle + 1, last)?;
        // Without a thread for it, this one does it.
        low.map_or_else(|_| Ok(rebuild.blocks(0, middle)), thread::ScopedJoinHandle::join)
            .unwrap_or_else(|_| Err(StoreError::Corrupt("the rebuild of the directory panicked".to_owned())))
    })?;
    Ok(last)
}

struct Rebuild<'a> {
    tree: &'a sled::Tree,
    hasher: &'a KeyHasher,
    shards: &'a Shards,
    connection: &'a Connection,
}

/// Keys that are put into the directory in one go.
const KEYS_AT_ONCE: usize = 64 << 10;

impl Rebuild<'_> {
    fn blocks(&self, first: u32, last: u32) -> Result<()> {
        if last < first {
            return Ok(());
        }
        let mut found = Vec::with_capacity(KEYS_AT_ONCE + 3 * SLOTS as usize);
        for entry in self.tree.range(self.key(first)..=self.key(last)) {
            let (key, value) = entry?;
            let number = trailing_u32(&key)?;
            let block = Block::decode(&value)?;
            let mut users = 0;
            for (slot, record) in block.records() {
                users += 1;
                let place = Place::new(number, slot).ok_or_else(|| {
                    StoreError::Corrupt(format!("there is a block with the number {number}"))
                })?;
                found.extend(Keys::decode(record)?.each().map(|key| (self.hasher.hash(key), place)));
            }
            self.shards.note_users(users, 0);
            if found.len() >= KEYS_AT_ONCE {
                self.add(&mut found)?;
            }
        }
        self.add(&mut found)
    }

    fn key(&self, block: u32) -> Vec<u8> {
        BLOCKS.key(&[&self.connection.number.to_be_bytes(), &block.to_be_bytes()])
    }

    /// Two users with one key are a bug of ours: neither is served.
    fn add(&self, found: &mut Vec<(u64, Place)>) -> Result<()> {
        let mut met = Vec::new();
        self.shards.insert_all(found, |place, other| met.push((place, other)));
        found.clear();
        // Two keys of one user may have the same hash.
        for (place, other) in met.into_iter().filter(|(place, other)| place != other) {
            let (one, another) = (self.block(place)?, self.block(other)?);
            let (Some(one), Some(another)) = (one.record(place.slot()), another.record(other.slot())) else {
                continue;
            };
            let (one, another) = (Keys::decode(one)?, Keys::decode(another)?);
            if one.each().any(|key| another.each().any(|held| held == key)) {
                return Err(StoreError::Corrupt(format!(
                    "users {} and {} of connection {} have a key in common",
                    another.id, one.id, self.connection.name
                )));
            }
        }
        Ok(())
    }

    fn block(&self, place: Place) -> Result<Block> {
        let value = self.tree.get(self.key(place.block()))?;
        Ok(value.map(|value| Block::decode(&value)).transpose()?.unwrap_or_default())
    }
}
