//! Log streams: the events of the tenant log, posted to somebody's server; names standardwebhooks.
//!
//! Each active stream has a thread ([`worker`]), which posts what comes after the stream's checkpoint and
//! moves that on when the receiver has taken it. Another thread sees to it that each has one.
//!
//! **Invariants**
//! - Every event that a stream wants arrives at least once, and in order: nothing later is sent before it
//!   was taken. What is removed by age before is counted as lost.
//! - Two threads never send for one stream.
//! - Nothing goes to an address that [`Targets`] does not allow.
//!
//! Deliberately absent: any state of its own on disk (that is the store's), and any wish to be sent a
//! redirect.

mod post;
mod target;
mod worker;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::Mutex;

use crate::domain::{LogStream, StreamId, StreamProgress, StreamStatus};
use crate::store::{Store, StoreError};
use post::Poster;
pub use target::{TargetFault, Targets, same_origin};
use worker::Worker;

/// Pause after a fault of the store, before it is asked again.
const PAUSE: Duration = Duration::from_secs(1);
/// How long nobody looks whether there is something to do, if no bell rings.
const SILENCE: Duration = Duration::from_secs(30);
/// Events that are looked at to count those that wait.
const COUNTED: usize = 2_000;

/// How events are sent.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Where they may go.
    pub targets: Targets,
    /// How long a receiver may take.
    pub timeout: Duration,
    /// Pause after the first try that failed.
    pub retry_first: Duration,
    /// Longest pause.
    pub retry_longest: Duration,
    /// How long a stream may fail until it is suspended.
    pub suspend_after: Duration,
    /// How many streams there may be.
    pub max_streams: usize,
}

/// The threads that send.
pub struct Streams {
    shared: Arc<Shared>,
    supervisor: Mutex<Option<JoinHandle<()>>>,
}

/// What the threads share.
struct Shared {
    store: Arc<Store>,
    options: Options,
    poster: Poster,
    stopping: AtomicBool,
    /// Streams that have a thread, with the event that each is at.
    served: Mutex<BTreeMap<StreamId, Arc<AtomicU64>>>,
}

/// How far a stream is behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lag {
    /// Which stream.
    pub id: StreamId,
    /// Whether it is sent at all.
    pub status: StreamStatus,
    /// Events in the log from the first on that it has still to send, or to pass over.
    pub events: u64,
    /// Events the receiver has taken.
    pub delivered: u64,
    /// Events that were removed by age before they could be sent.
    pub lost: u64,
}

impl Streams {
    /// Starts the threads; they begin with what an earlier process left unsent.
    pub fn start(store: Arc<Store>, options: Options) -> io::Result<Self> {
        let poster = Poster::new(options.targets, options.timeout);
        let (stopping, served) = (AtomicBool::new(false), Mutex::default());
        let shared = Arc::new(Shared { store, options, poster, stopping, served });
        let supervising = shared.clone();
        let supervisor =
            thread::Builder::new().name("streams".to_owned()).spawn(move || supervise(&supervising))?;
        Ok(Self { shared, supervisor: Mutex::new(Some(supervisor)) })
    }

    /// How events are sent.
    pub fn options(&self) -> &Options {
        &self.shared.options
    }

    /// How far each stream is behind. No event is read for that, however many there are.
    pub fn lags(&self) -> Result<Vec<Lag>, StoreError> {
        let store = &self.shared.store;
        let mut lags = Vec::new();
        for LogStream { id, status, .. } in store.streams()? {
            let progress = store.stream_progress(&id)?.unwrap_or_default();
            // What was passed over lately is not written down yet.
            let at = self.shared.served.lock().get(&id).map_or(0, |at| at.load(Ordering::Relaxed));
            let events = store.next_event()?.saturating_sub(at.max(progress.next));
            lags.push(Lag { id, status, events, delivered: progress.delivered, lost: progress.lost });
        }
        Ok(lags)
    }

    /// Lets every thread stop; a receiver that says nothing is not waited for.
    pub fn stop(&self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        self.shared.store.bell().ring();
        if let Some(supervisor) = self.supervisor.lock().take()
            && supervisor.join().is_err()
        {
            tracing::error!("the thread that supervises log streams ended by a panic");
        }
    }
}

impl Drop for Streams {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }
}

/// Gives each active stream a thread, until all is to stop; returns when all threads have.
fn supervise(shared: &Arc<Shared>) {
    let bell = shared.store.bell();
    let mut threads: Vec<JoinHandle<()>> = Vec::new();
    loop {
        let heard = bell.rings();
        if shared.is_stopping() {
            break;
        }
        threads.retain(|thread| !thread.is_finished());
        let patience = match serve_all(shared, &mut threads) {
            Ok(()) => SILENCE,
            Err(error) => {
                log_fault("log streams cannot be read", &error);
                PAUSE
            }
        };
        bell.wait(heard, patience);
    }
    // Whatever a thread ended by, it has told.
    for thread in threads {
        drop(thread.join());
    }
}

fn serve_all(shared: &Arc<Shared>, threads: &mut Vec<JoinHandle<()>>) -> Result<(), StoreError> {
    let streams = shared.store.streams()?;
    let active = streams.into_iter().filter(|stream| stream.status == StreamStatus::Active);
    for stream in active {
        let at = Arc::new(AtomicU64::new(0));
        match shared.served.lock().entry(stream.id.clone()) {
            Entry::Occupied(_) => continue,
            Entry::Vacant(place) => drop(place.insert(at.clone())),
        }
        let service = Service { shared: shared.clone(), id: stream.id, at };
        let thread = thread::Builder::new().name(format!("stream-{}", service.id));
        threads.push(thread.spawn(move || service.run())?);
    }
    Ok(())
}

/// What one thread does; the stream can have another when it is dropped.
struct Service {
    shared: Arc<Shared>,
    id: StreamId,
    at: Arc<AtomicU64>,
}

impl Service {
    fn run(self) {
        let mut worker = Worker::new(&self.shared, &self.id, &self.at);
        if catch_unwind(AssertUnwindSafe(|| worker.run())).is_err() {
            tracing::error!("log stream {} crashed and goes on; please report it as a bug", self.id);
            thread::sleep(PAUSE);
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.shared.served.lock().remove(&self.id);
        self.shared.store.bell().ring();
    }
}

/// That the store is being mended, or has no room, is said elsewhere.
fn log_fault(what: &str, error: &StoreError) {
    if !matches!(error, StoreError::Unavailable | StoreError::NoRoom(_)) {
        tracing::error!("{what}, trying again: {error}");
    }
}

/// How many events a stream still has to send. Where the log goes on for long, the events that are not
/// looked at are counted as if it wanted them all.
pub fn waiting(store: &Store, stream: &LogStream, progress: &StreamProgress) -> Result<u64, StoreError> {
    let events = store.events_from(progress.next, COUNTED)?;
    let wanted = events.iter().filter(|(_, logged)| stream.wants(&logged.event)).count();
    let seen = events.last().map_or(progress.next, |(number, _)| number + 1);
    Ok(wanted as u64 + store.next_event()?.saturating_sub(seen))
}
