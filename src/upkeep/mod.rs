//! Upkeep: one thread that removes what is old, and what deletions have left, while all else goes on.
//!
//! Every so often it looks for all of that; when the store's bell rings, for what a deletion left only.
//! It goes in small steps with pauses between them, so that nobody waits long for the writer.
//!
//! **Invariant:** nothing goes by the system's clock itself, which may be wrong, but by one that goes on from the time
//! that was known last (`clock`), also from an earlier process.
//!
//! Deliberately absent: how things are removed, which `store` and `tokens` know, and any memory of what was done. A
//! step that failed or was cut short is simply taken again.

mod clock;

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;

use crate::domain::Timestamp;
use crate::store::{Ages, Store, StoreError, Sweep};
use crate::tokens::remove_expired;
use clock::SteadyClock;

/// Pause between two steps.
const PAUSE: Duration = Duration::from_millis(10);
/// Pause after a step that failed, before it is taken again.
const RETRY: Duration = Duration::from_secs(1);
/// How far the time may go on before it is kept anew: a start after a crash may doubt that much of it.
const KEPT_EVERY: Duration = Duration::from_mins(10);

/// How long things are kept.
#[derive(Debug, Clone, Copy)]
pub struct Keep {
    /// Jobs with their failed rows, after their end.
    pub jobs: Duration,
    /// Events of the tenant log.
    pub logs: Duration,
    /// Events that a log stream still has to send.
    pub unsent_logs: Duration,
    /// Letters that were given up.
    pub letters: Duration,
    /// Exports with their files, and other jobs that took no file.
    pub exports: Duration,
    /// How often it is looked what is old.
    pub check_every: Duration,
    /// How long a clock has to be ahead of what is known of the time, until things are old by it.
    pub clock_patience: Duration,
}

impl Keep {
    fn ages(&self, now: Timestamp) -> Ages {
        Ages {
            jobs: now.before(self.jobs),
            events: now.before(self.logs),
            unsent_events: now.before(self.unsent_logs),
            letters: now.before(self.letters),
            tasks: now.before(self.exports),
            now,
        }
    }
}

/// The thread that removes things.
pub struct Upkeep {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    store: Arc<Store>,
    keep: Keep,
    stopping: AtomicBool,
    /// What went wrong last, and was logged.
    trouble: Mutex<Option<String>>,
}

impl Upkeep {
    /// Starts the thread; it looks for what is old at once.
    pub fn start(store: Arc<Store>, keep: Keep) -> Result<Self, StoreError> {
        let known = store.known_time()?.unwrap_or_else(|| SystemTime::now().into());
        let clock = SteadyClock::new(known, keep.clock_patience);
        let trouble = Mutex::default();
        let shared = Arc::new(Shared { store, keep, stopping: AtomicBool::new(false), trouble });
        let at_work = shared.clone();
        let thread = thread::Builder::new().name("upkeep".to_owned()).spawn(move || at_work.work(clock))?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Ends the thread after the step in hand; returns when it has ended.
    pub fn stop(&self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        self.shared.store.bell().ring();
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the upkeep thread ended by a panic");
        }
    }
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for Upkeep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upkeep").field("keep", &self.shared.keep).finish_non_exhaustive()
    }
}

impl Shared {
    fn work(&self, mut clock: SteadyClock) {
        let mut asked = Instant::now();
        let mut due = asked;
        let mut now = || {
            let passed = asked.elapsed();
            asked += passed;
            clock.read(SystemTime::now().into(), passed)
        };
        loop {
            let heard = self.store.bell().rings();
            let in_time = Instant::now() < due;
            let done =
                if in_time { self.in_steps(|| self.store.sweep_garbage()) } else { self.remove_old(now()) };
            if !(done && in_time) {
                let every = self.keep.check_every;
                due = Instant::now() + if done { every } else { every.min(RETRY) };
            }
            if self.is_stopping() {
                // A start that comes soon has nothing to doubt then; if it cannot be kept, it waits a little longer.
                drop(self.store.keep_time(now(), Duration::ZERO));
                return;
            }
            self.store.bell().wait(heard, due.saturating_duration_since(Instant::now()));
        }
    }

    /// Keeps the time, and removes what is old by it; `false` if that failed.
    fn remove_old(&self, now: Timestamp) -> bool {
        let mut sweep = Sweep::of(self.keep.ages(now));
        self.in_steps(|| {
            self.store.keep_time(now, KEPT_EVERY)?;
            remove_expired(self.store.path(), now).map_err(io::Error::other)?;
            self.store.sweep(&mut sweep)
        })
    }

    /// Takes steps until there is nothing more to do; `false` if one failed.
    fn in_steps(&self, mut step: impl FnMut() -> Result<bool, StoreError>) -> bool {
        while !self.is_stopping() {
            let outcome = catch_unwind(AssertUnwindSafe(&mut step));
            let trouble = match outcome {
                Ok(Ok(more)) => {
                    *self.trouble.lock() = None;
                    if !more {
                        return true;
                    }
                    thread::sleep(PAUSE);
                    continue;
                }
                // Somebody mends it already, or has said that the disk is full.
                Ok(Err(StoreError::Unavailable | StoreError::NoRoom(_))) => return false,
                Ok(Err(error)) => error.to_string(),
                Err(_) => "it panicked".to_owned(),
            };
            self.note(trouble);
            return false;
        }
        true
    }

    /// Logs what went wrong, once as long as it goes on.
    fn note(&self, trouble: String) {
        let mut last = self.trouble.lock();
        if last.as_ref() != Some(&trouble) {
            tracing::error!("what is old could not be removed, trying again: {trouble}");
            *last = Some(trouble);
        }
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may")]
mod tests {
    use super::*;
    use crate::domain::{Connection, ConnectionId, Event, EventType, Owed};
    use crate::store::Options;

    const DAY: Duration = Duration::from_hours(24);

    fn open(directory: &std::path::Path) -> Arc<Store> {
        let options = Options {
            path: directory.to_owned(),
            cache_bytes: 8 << 20,
            min_free_disk: 0,
            reserve: 0,
            max_active_jobs: None,
            open_timeout: Duration::from_mins(1),
        };
        Arc::new(Store::open(options).unwrap())
    }

    fn upkeep(store: &Arc<Store>, check_every: Duration) -> Upkeep {
        let clock_patience = Duration::ZERO;
        let keep = Keep {
            jobs: DAY,
            logs: DAY,
            unsent_logs: DAY,
            letters: DAY,
            exports: DAY,
            check_every,
            clock_patience,
        };
        Upkeep::start(store.clone(), keep).unwrap()
    }

    fn connection(store: &Store, number: u8) -> ConnectionId {
        let id = ConnectionId::from_entropy([number; 16]);
        let connection = Connection::database(id.clone(), format!("users-{number}"), Vec::new());
        store.create_connection(connection, Owed::nothing()).unwrap();
        id
    }

    #[track_caller]
    fn wait_until(mut holds: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_mins(1);
        while !holds() {
            assert!(Instant::now() < deadline, "it takes too long");
            thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn what_a_deletion_leaves_is_removed_at_once_however_rarely_it_is_looked_for_what_is_old() {
        let directory = tempfile::tempdir().unwrap();
        let store = open(directory.path());
        let id = connection(&store, 1);
        let upkeep = upkeep(&store, DAY);
        for number in 2..5 {
            let next = connection(&store, number);
            assert!(store.delete_connection(&next, Owed::nothing()).unwrap());
            wait_until(|| !store.has_garbage().unwrap());
        }
        upkeep.stop();
        assert!(store.delete_connection(&id, Owed::nothing()).unwrap());
        assert!(store.has_garbage().unwrap(), "nobody is there to remove it");
    }

    #[test]
    fn what_is_old_is_removed_at_the_start_and_after_every_pause() {
        let directory = tempfile::tempdir().unwrap();
        let store = open(directory.path());
        let tell = || {
            let old = Timestamp::from(SystemTime::now()).before(DAY + DAY);
            store.tell(Event::new(old, EventType::Login, "").into()).unwrap();
        };
        let left = || store.events_from(0, 9).unwrap().len();
        tell();
        let upkeep = upkeep(&store, Duration::from_millis(100));
        for _ in 0..2 {
            wait_until(|| left() == 0);
            tell();
        }
        upkeep.stop();
        upkeep.stop();
        let before = left();
        tell();
        assert_eq!(left(), before + 1, "nobody is there to remove it");
    }

    #[test]
    fn what_is_known_of_the_time_is_there_at_the_next_start() {
        let directory = tempfile::tempdir().unwrap();
        let store = open(directory.path());
        let now = || Timestamp::from(SystemTime::now());
        assert_eq!(store.known_time().unwrap(), None);
        let event = now().before(DAY / 2);
        store.tell(Event::new(event, EventType::Login, "").into()).unwrap();
        assert_eq!(store.known_time().unwrap(), Some(event), "where no time was kept");
        let begun = now();
        let upkeep = upkeep(&store, DAY);
        wait_until(|| store.known_time().unwrap() >= Some(begun));
        let stopped = now();
        upkeep.stop();
        let known = store.known_time().unwrap();
        assert!(known >= Some(stopped), "it is kept at a stop as well");
        store.keep_time(now().after(KEPT_EVERY / 2), KEPT_EVERY).unwrap();
        assert_eq!(store.known_time().unwrap(), known, "not more often than needed");
        drop((store, upkeep));
        assert_eq!(open(directory.path()).known_time().unwrap(), known);
    }

    #[test]
    fn it_goes_on_after_the_store_was_away() {
        let directory = tempfile::tempdir().unwrap();
        let store = open(directory.path());
        let id = connection(&store, 1);
        let upkeep = upkeep(&store, Duration::from_millis(100));
        store.break_next_commit();
        assert!(store.delete_connection(&id, Owed::nothing()).is_err());
        assert!(!store.is_available());
        let heard = store.bell().rings();
        store.bell().ring(); // it looks, and finds nobody at home
        store.bell().wait(heard + 1, Duration::from_millis(200));
        store.reopen().unwrap();
        assert!(store.delete_connection(&id, Owed::nothing()).unwrap());
        wait_until(|| !store.has_garbage().unwrap());
        drop(upkeep);
    }
}
