//! Whether a data directory that nobody serves is sound: every value is read and held against the others.
//!
//! Nothing in it is changed but by opening the database, which recovers its log as every start does.
//!
//! **Invariants**
//! - What is damaged is a finding, never a panic and never the end of the examination: each family is looked at by
//!   itself, and an examination that gets nowhere ends.
//! - What a crash may leave for the next start to remove is no finding.

mod access;
mod files;
mod finding;
mod jobs;
mod keys;
mod log;
mod logins;
mod users;

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(super) use finding::Ailment;
pub use finding::Finding;

use super::error::{Result, StoreError};
use super::keys::{FAMILIES, GARBAGE, KNOWN_TIME, Keyspace};
use super::shut::Shut;
use super::{Options, Store};
use crate::domain::Connection;
use finding::Findings;
use jobs::JobFacts;
use keys::Present;

/// What came out.
#[derive(Debug, Serialize)]
pub struct Diagnosis {
    /// What is wrong; nothing if all is well.
    pub findings: Vec<Finding>,
    /// How much was looked at, by kind.
    pub examined: BTreeMap<&'static str, u64>,
}

impl Store {
    /// Examines a data directory that nobody has open. It is an error only where that cannot be done at all.
    pub fn examine(options: &Options) -> Result<Diagnosis> {
        if !options.path.is_dir() {
            return Err(StoreError::Absent(options.path.clone()));
        }
        let shared = Arc::new(Shared::default());
        files::examine_directory(options, &shared);
        check_threads()?;
        match Shut::open(options) {
            Ok(store) => watch(store, options, &shared)?,
            Err(error) => match ailment_of(&error) {
                Some((ailment, what)) => shared.add(ailment, what),
                None => return Err(error),
            },
        }
        let findings = shared.findings.lock().list();
        let examined = shared.examined.lock().clone();
        Ok(Diagnosis { findings, examined })
    }
}

/// What an examination has come to; somebody else may look while it goes on.
#[derive(Debug, Default)]
struct Shared {
    findings: Mutex<Findings>,
    examined: Mutex<BTreeMap<&'static str, u64>>,
    /// Goes on with everything that is looked at.
    ticks: AtomicU64,
}

impl Shared {
    fn add(&self, ailment: Ailment, what: impl Into<String>) {
        self.findings.lock().add(ailment, what.into());
    }

    fn tick(&self) {
        self.ticks.fetch_add(1, Ordering::Relaxed);
    }

    fn note_examined(&self, kind: &'static str, count: u64) {
        *self.examined.lock().entry(kind).or_default() += count;
    }
}

/// What a store that does not open has; `None` if somebody only has to do something else first.
fn ailment_of(error: &StoreError) -> Option<(Ailment, String)> {
    let ailment = match error {
        // Nothing was found out about the store.
        error if error.is_full() || error.is_lack() => return None,
        StoreError::Absent(_) => Ailment::DatabaseMissing,
        StoreError::Version { .. } | StoreError::UnknownFormat(_) => Ailment::OtherVersion,
        StoreError::HalfMade(_) => Ailment::HalfMade,
        StoreError::Slow { .. } => Ailment::ExaminationStuck,
        StoreError::Lost { .. } => Ailment::CommitsLost,
        StoreError::WitnessDisagrees(_) => Ailment::WitnessDisagrees,
        StoreError::Io(why) if why.kind() == ErrorKind::PermissionDenied => return None,
        StoreError::Io(_)
        | StoreError::Corrupt(_)
        | StoreError::Unopenable { .. }
        | StoreError::HalfReplaced(_)
        | StoreError::Database(_) => Ailment::DatabaseUnopenable,
        _ => return None,
    };
    Some((ailment, error.to_string()))
}

/// Checks that there are threads for the database: it waits without end for those that it did not get, which would
/// look like damage.
fn check_threads() -> Result<()> {
    const LEAST: usize = 3;
    let (ours, end) = mpsc::channel::<()>();
    let end = Arc::new(Mutex::new(end));
    let spawn = |_| {
        let end = end.clone();
        // It ends when nobody holds it any more, which is what the error says.
        thread::Builder::new().name("probe".to_owned()).spawn(move || end.lock().recv().is_err())
    };
    let threads: io::Result<Vec<_>> = (0..LEAST).map(spawn).collect();
    drop(ours);
    threads.map_err(StoreError::Lack)?.into_iter().for_each(|thread| drop(thread.join()));
    Ok(())
}

/// Examines on a thread of its own, as damage can make the database hang; ends when it gets nowhere.
fn watch(store: Shut, options: &Options, shared: &Arc<Shared>) -> Result<()> {
    const LOOK_EVERY: Duration = Duration::from_millis(100);
    let (done, ended) = mpsc::channel::<()>();
    let (options, patience) = (options.clone(), options.open_timeout);
    let theirs = shared.clone();
    // Without a thread nothing was found out about the store.
    let spawned = thread::Builder::new().name("doctor".to_owned()).spawn(move || {
        // Closing it may panic as well.
        let closed = catch_unwind(AssertUnwindSafe(|| examine_all(store, &options, &theirs)));
        if closed.is_err() {
            theirs.add(Ailment::DatabaseUnreadable, "the database could not be closed in good order");
        }
        drop(done);
    });
    spawned.map_err(StoreError::Lack)?;
    let (mut ticks, mut since) = (0, Instant::now());
    while ended.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
        let now = shared.ticks.load(Ordering::Relaxed);
        if now != ticks {
            (ticks, since) = (now, Instant::now());
        } else if since.elapsed() > patience {
            let patience = humantime::format_duration(patience);
            let what = format!("reading the database came to a stop for {patience} (storage.open_timeout)");
            shared.add(Ailment::ExaminationStuck, what);
            break;
        }
    }
    Ok(())
}

/// An examination, as far as it is.
struct Doctor<'a> {
    store: &'a Shut,
    options: &'a Options,
    shared: &'a Shared,
    connections: Vec<Connection>,
    garbage: Vec<(Vec<u8>, Vec<u8>)>,
    jobs: BTreeMap<u64, JobFacts>,
    /// The users that there are.
    present: Present,
}

fn examine_all(store: Shut, options: &Options, shared: &Shared) {
    let mut doctor = Doctor {
        store: &store,
        options,
        shared,
        connections: Vec::new(),
        garbage: Vec::new(),
        jobs: BTreeMap::new(),
        present: Present::default(),
    };
    for (name, part) in parts() {
        if catch_unwind(AssertUnwindSafe(|| part(&mut doctor))).is_err() {
            shared
                .add(Ailment::DatabaseUnreadable, format!("{name} could not be read: the database panicked"));
        }
    }
    drop(doctor);
    drop(store);
}

/// A part of an examination.
type Part<'a> = fn(&mut Doctor<'a>);

/// Every part, in an order in which later ones know of earlier ones.
fn parts<'a>() -> [(&'static str, Part<'a>); 15] {
    [
        ("ranges to be removed", Doctor::examine_garbage),
        ("keys of no family", Doctor::examine_families),
        ("the time", Doctor::examine_time),
        ("connections", Doctor::examine_connections),
        ("clients", Doctor::examine_clients),
        ("jobs", Doctor::examine_jobs),
        ("the queue", Doctor::examine_queue),
        ("users", Doctor::examine_users),
        ("users by job", Doctor::examine_made),
        ("failed rows", Doctor::examine_failures),
        ("claims", Doctor::examine_claims),
        ("passwords and tickets", Doctor::examine_logins),
        ("the log", Doctor::examine_events),
        ("letters and log streams", Doctor::examine_told),
        ("exports", Doctor::examine_tasks),
    ]
}

impl Doctor<'_> {
    fn add(&self, ailment: Ailment, what: impl Into<String>) {
        self.shared.add(ailment, what);
    }

    fn is_garbage(&self, key: &[u8]) -> bool {
        self.garbage.iter().any(|(first, last)| **first <= *key && *key <= **last)
    }

    /// The connection with this number.
    fn connection(&self, number: u32) -> Option<&Connection> {
        self.connections.iter().find(|connection| connection.number == number)
    }

    /// Hands over every key of a family with its value, until the database fails.
    fn each<V>(&self, family: &Keyspace<V>, kind: &'static str, mut see: impl FnMut(&[u8], &[u8])) {
        let mut count = 0;
        for entry in self.store.tree().scan_prefix(family.key(&[])) {
            self.shared.tick();
            match entry {
                Ok((key, value)) => see(&key, &value),
                Err(error) => {
                    self.add(
                        Ailment::DatabaseUnreadable,
                        format!("{kind} cannot be read to their end: {error}"),
                    );
                    break;
                }
            }
            count += 1;
        }
        self.shared.note_examined(kind, count);
    }

    /// The same with values that are sound; of one that is damaged it is noted what it is.
    fn each_value<V: Serialize + DeserializeOwned>(
        &self,
        family: &Keyspace<V>,
        kind: &'static str,
        what: &str,
        mut see: impl FnMut(&[u8], V),
    ) {
        self.each(family, kind, |key, value| {
            if let Some(value) = self.sound(|| what.to_owned(), family.decode(value)) {
                see(key, value);
            }
        });
    }

    /// The same where keys are numbers, of which `next` is the one to be given next.
    fn each_numbered<V: Serialize + DeserializeOwned>(
        &self,
        family: &Keyspace<V>,
        kind: &'static str,
        what: &str,
        next: u64,
        mut see: impl FnMut(Option<u64>, V),
    ) {
        self.each(family, kind, |key, value| {
            let number = number_in(key);
            if let Some(number) = number.filter(|number| next <= *number) {
                let what = format!("{what} has the number {number}, the next one to be given is {next}");
                self.add(Ailment::CounterBehind, what);
            }
            if let Some(value) = self.sound(|| what.to_owned(), family.decode(value)) {
                see(number, value);
            }
        });
    }

    /// The value, unless it is damaged, which is noted.
    fn sound<T>(&self, what: impl FnOnce() -> String, value: Result<T>) -> Option<T> {
        match value {
            Ok(value) => Some(value),
            Err(error) => {
                self.add(Ailment::ValueDamaged, format!("{}: {error}", what()));
                None
            }
        }
    }

    fn examine_garbage(&mut self) {
        let mut garbage = Vec::new();
        let (what, next) = ("a range to be removed", self.store.head.next_number);
        self.each_numbered(&GARBAGE, "ranges to be removed", what, next, |_, range| garbage.push(range));
        self.garbage = garbage;
    }

    fn examine_time(&mut self) {
        let time = KNOWN_TIME.get(self.store.tree(), &[]);
        self.sound(|| "the time that was known last".to_owned(), time);
    }

    fn examine_families(&mut self) {
        for family in (0..=u8::MAX).filter(|family| !FAMILIES.contains(family)) {
            self.shared.tick();
            if let Some(found) = self.store.tree().scan_prefix([family]).next() {
                let what = match found {
                    Ok(_) => {
                        format!("there are keys that begin with the byte {family}, which no version made")
                    }
                    Err(error) => format!("keys that begin with the byte {family} cannot be read: {error}"),
                };
                self.add(Ailment::ForeignKeys, what);
            }
        }
    }
}

/// The number that the rest of a key is.
fn number_in(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(key.get(1..)?.try_into().ok()?))
}
