//! The engine: jobs wait, are worked on by a few threads, and end.
//!
//! A fresh upload, a job left by a crash and a job whose turn was over take the same path. Nothing
//! here knows HTTP or the form of a file, and nothing here is on disk: the store says which jobs are
//! unfinished and where each stands.
//!
//! **Invariants**
//! - A job is in the hands of one thread at most.
//! - A panic, a missing file and a job that keeps killing the process end that job, not the others.
//! - A full disk ends no job, nor does a lack of handles or threads: it stays where it is until there is more.

mod queue;
#[cfg(test)]
mod tests;

use std::io;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use rustix::process::setpriority_process;

use crate::domain::{CONNECTION_NOT_FOUND, Job, Owed, Stage, Ticket, Timestamp};
use crate::import::{self, Limits, RunError};
use crate::store::{Store, StoreError};
use queue::Queue;

/// A job that was cut short this often without getting anywhere is given up: so often that it is the job, and not bad
/// luck.
pub const MAX_ATTEMPTS: u32 = 30;

/// How long a job is worked on while others wait.
const TURN: Duration = Duration::from_millis(250);
/// Pause after a fault of the store, before it is asked again.
const PAUSE: Duration = Duration::from_secs(1);
/// How much an import thread gives way, as `nice` counts it: 0 is not at all, 19 is most.
const NICENESS: i32 = 5;
/// Bytes of file per second, before anything was measured.
const FIRST_GUESS: u64 = 20 << 20;
/// Bytes of file that a turn must get through for its pace to mean something.
const MEASURABLE: u64 = 1 << 20;

/// Tells what is owed when a job has ended: who is to be told, and in which words.
pub type Ended = Box<dyn Fn(&Job) -> Owed + Send + Sync>;

/// How much there is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Jobs that wait for a turn.
    pub waiting: usize,
    /// Jobs in the hands of a thread.
    pub running: usize,
}

/// Threads that work on jobs.
pub struct Engine {
    shared: Arc<Shared>,
    workers: Mutex<Vec<JoinHandle<()>>>,
}

struct Shared {
    store: Arc<Store>,
    limits: Limits,
    ended: Ended,
    queue: Queue,
    /// Bytes of file per second that the last turn managed.
    pace: Mutex<u64>,
    /// Why the store cannot be reopened, as was logged.
    trouble: Mutex<Option<String>>,
}

impl Engine {
    /// Starts the threads; they begin with what an earlier process left unfinished.
    pub fn start(
        store: Arc<Store>,
        limits: Limits,
        workers: NonZeroUsize,
        ended: Ended,
    ) -> Result<Self, StoreError> {
        let queue = Queue::new(store.unfinished()?);
        let (pace, trouble) = (Mutex::new(FIRST_GUESS), Mutex::default());
        let shared = Arc::new(Shared { store, limits, ended, queue, pace, trouble });
        let spawn = |number| {
            let shared = shared.clone();
            thread::Builder::new().name(format!("import-{number}")).spawn(move || shared.work())
        };
        let workers = (0..workers.get()).map(spawn).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { shared, workers: Mutex::new(workers) })
    }

    /// Tells the engine that a job was accepted.
    pub fn submit(&self, ticket: Ticket) {
        self.shared.queue.submit(ticket);
    }

    /// How many jobs are unfinished at this moment.
    pub fn load(&self) -> Load {
        self.shared.queue.load()
    }

    /// Whole percent of an unfinished job, by bytes of its file: at most 99, never going backwards.
    pub fn percentage_done(&self, job: &Job) -> u64 {
        let done = job.progress().map_or(job.bytes, |progress| progress.next.byte);
        (done * 100 / job.bytes.max(1)).min(99)
    }

    /// Whole seconds until an unfinished job will have ended, by the pace of the work so far.
    pub fn time_left_seconds(&self, job: &Job) -> u64 {
        let pace = *self.shared.pace.lock();
        self.shared.store.bytes_to_do(job.ticket).unwrap_or(job.bytes).div_ceil(pace)
    }

    /// Lets every job stop at its next safe point; returns when all have.
    pub fn stop(&self) {
        self.shared.queue.stop();
        for worker in self.workers.lock().drain(..) {
            if worker.join().is_err() {
                tracing::error!("an import thread ended by a panic");
            }
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn work(&self) {
        give_way();
        while let Some(ticket) = self.queue.next(|| self.mend()) {
            // Before the file is read up to where the job is.
            let ended =
                self.store.check_room().and_then(|()| self.take_turn(ticket)).unwrap_or_else(|error| {
                    self.mend();
                    self.give_up(ticket, &error)
                });
            self.queue.give_back(ticket, ended);
        }
    }

    /// Works on a job for a while; tells whether it has ended.
    fn take_turn(&self, ticket: Ticket) -> Result<bool, StoreError> {
        let Some(mut job) = self.store.unfinished_job(ticket)? else {
            return Ok(true);
        };
        if let Err(fault) = &job.rows {
            let reason = format!("Failed to parse users file JSON when importing users: {fault}");
            return self.fail(&job, reason);
        }
        if self.queue.is_left_over(ticket) {
            if MAX_ATTEMPTS <= job.attempts {
                let reason = format!(
                    "The server was stopped {MAX_ATTEMPTS} times while it worked on this job, without getting any \
                     further. The rows counted here are imported; the fault is in one of the next."
                );
                return self.fail(&job, reason);
            }
            job = self.store.try_again(&job)?;
        }
        self.run(&job)
    }

    fn run(&self, job: &Arc<Job>) -> Result<bool, StoreError> {
        let begun = Instant::now();
        let pause = |at: &Job| {
            self.note_pace(job, at, begun.elapsed());
            self.queue.is_stopping() || (TURN <= begun.elapsed() && self.queue.is_wanted())
        };
        let run = || import::run(&self.store, job, self.limits, now, pause, &self.ended);
        match catch_unwind(AssertUnwindSafe(run)) {
            Ok(Ok(after)) => {
                self.note_pace(job, &after, begun.elapsed());
                *self.trouble.lock() = None;
                log_end(&after);
                Ok(after.progress().is_none())
            }
            Ok(Err(RunError::Store(error))) => Err(error),
            Ok(Err(RunError::File(error))) if may_pass(&error) => Err(error.into()),
            Ok(Err(RunError::File(error))) => {
                self.fail(job, format!("The uploaded file cannot be read: {error}"))
            }
            // The rows written before the panic are known to the store, not to `job`.
            Err(_) => match self.store.unfinished_job(job.ticket)? {
                Some(job) => {
                    self.fail(&job, "The import of this file crashed. Please report it as a bug.".to_owned())
                }
                None => Ok(true),
            },
        }
    }

    /// Ends a job that the store cannot go on with; one that only a fault of the store itself has
    /// interrupted is left alone, to go on after a pause. Returns whether the job has ended.
    fn give_up(&self, ticket: Ticket, error: &StoreError) -> bool {
        let reason = match error {
            StoreError::ConnectionGone(name) => {
                format!("{CONNECTION_NOT_FOUND}: the connection {name} was deleted before the job was done")
            }
            StoreError::Corrupt(_) => {
                tracing::error!("an import job cannot go on: {error}");
                format!("The server could not go on with this file: {error}")
            }
            // The store has said so, and says when there is room again.
            StoreError::NoRoom(_) => {
                self.queue.rest(PAUSE);
                return false;
            }
            _ => {
                self.note(format!("an import job was interrupted and will go on: {error}"));
                self.queue.rest(PAUSE);
                return false;
            }
        };
        let failed = self.store.unfinished_job(ticket).and_then(|job| match job {
            Some(job) => self.fail(&job, reason.clone()),
            None => Ok(true),
        });
        failed.unwrap_or(false)
    }

    fn fail(&self, job: &Job, reason: String) -> Result<bool, StoreError> {
        let job = self.store.fail(job, reason, now(), &self.ended)?;
        log_end(&job);
        Ok(true)
    }

    /// Small files end too soon to tell anything of the pace.
    fn note_pace(&self, before: &Job, after: &Job, took: Duration) {
        let at = |job: &Job| job.progress().map_or(job.bytes, |progress| progress.next.byte);
        let bytes = at(after).saturating_sub(at(before));
        if MEASURABLE <= bytes {
            let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX).max(1);
            *self.pace.lock() = (bytes * 1000 / millis).max(1);
        }
    }

    /// Reopens a store that a fault has made unavailable. One without room is asked whether there is some again.
    fn mend(&self) {
        while !self.store.is_available() && !self.queue.is_stopping() {
            match self.store.reopen() {
                Ok(()) => {
                    tracing::warn!("the store was reopened after a fault");
                    *self.trouble.lock() = None;
                    self.adopt();
                }
                Err(error) => {
                    self.note(format!("the store cannot be reopened, trying again: {error}"));
                    self.queue.rest(PAUSE);
                }
            }
        }
        // It tells by itself.
        drop(self.store.check_room());
    }

    /// Logs what holds jobs up, once as long as that does.
    fn note(&self, trouble: String) {
        let mut last = self.trouble.lock();
        if last.as_ref() != Some(&trouble) {
            tracing::error!("{trouble}");
            *last = Some(trouble);
        }
    }

    /// Takes up jobs whose acceptance was cut short by the fault, yet are there.
    fn adopt(&self) {
        for ticket in self.store.unfinished().unwrap_or_default() {
            self.queue.submit(ticket);
        }
    }
}

/// Whether a file may be read another time: the system does not give it now, or no thread to read it.
fn may_pass(error: &io::Error) -> bool {
    error.raw_os_error().is_some() && error.kind() != io::ErrorKind::NotFound
}

/// Lets requests go first where processors are short: they need little, and somebody waits for them. Threads
/// that this one starts are as modest.
fn give_way() {
    if let Err(error) = setpriority_process(None, NICENESS) {
        tracing::debug!("an import thread keeps its priority: {error}");
    }
}

fn now() -> Timestamp {
    SystemTime::now().into()
}

fn log_end(job: &Job) {
    match &job.stage {
        Stage::Pending(_) => {}
        Stage::Completed { summary, .. } => tracing::info!(
            "import job {} completed: {} inserted, {} updated, {} failed",
            job.id,
            summary.inserted,
            summary.updated,
            summary.failed
        ),
        Stage::Failed { .. } => tracing::warn!("import job {} failed", job.id),
    }
}
