//! The thread that works on exports.

use std::collections::HashSet;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use thiserror::Error;

use super::pack::Packer;
use super::sheet::Sheet;
use crate::domain::{CONNECTION_NOT_FOUND, Connection, Export, JobId, Owed, Task, TaskStage, Timestamp};
use crate::store::{Bell, Store, StoreError};

/// An export that was cut short this often by the end of the process is given up.
const MAX_ATTEMPTS: u32 = 30;

/// How long to sleep without work: the bell makes it prompt, a nap makes it certain.
const NAP: Duration = Duration::from_secs(10);
/// Pause after a fault of the store, before it is asked again.
const PAUSE: Duration = Duration::from_secs(1);

/// The thread, and those who want something of it.
pub struct Exports {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    store: Arc<Store>,
    bell: Bell,
    stopping: AtomicBool,
    progress: Mutex<Option<Progress>>,
    /// What went wrong last, and was logged.
    trouble: Mutex<Option<String>>,
}

/// How far the export in hand is.
#[derive(Debug, Clone)]
struct Progress {
    id: JobId,
    begun: Instant,
    percent: u64,
}

/// Why an export could not go on for now.
#[derive(Debug, Error)]
enum Trouble {
    #[error("the server is being stopped")]
    Stopping,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Store(error.into())
    }
}

impl Exports {
    /// Starts the thread; it begins with what an earlier process left unfinished.
    pub fn start(store: Arc<Store>) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            store,
            bell: Bell::default(),
            stopping: AtomicBool::new(false),
            progress: Mutex::default(),
            trouble: Mutex::default(),
        });
        let at_work = shared.clone();
        let thread = thread::Builder::new().name("export".to_owned()).spawn(move || at_work.work())?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Tells the thread that there is a new export in the store.
    pub fn submit(&self) {
        self.shared.bell.ring();
    }

    /// Whole percent of an unfinished export, at most 99, and the whole seconds it will take from now on by its
    /// pace so far.
    pub fn progress(&self, id: &JobId) -> (u64, u64) {
        let progress = self.shared.progress.lock().clone().filter(|progress| progress.id == *id);
        progress.map_or((0, 0), |Progress { begun, percent, .. }| {
            (percent, begun.elapsed().as_secs() * (100 - percent) / percent.max(1))
        })
    }

    /// Lets the export in hand go, to begin anew at the next start; returns when the thread has ended.
    pub fn stop(&self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        self.shared.bell.ring();
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the export thread ended by a panic");
        }
    }
}

impl Drop for Exports {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for Exports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exports").finish_non_exhaustive()
    }
}

impl Shared {
    fn work(&self) {
        let mut left_over = None;
        loop {
            let heard = self.bell.rings();
            if self.is_stopping() {
                return;
            }
            let patience = match self.take_turn(&mut left_over) {
                Ok(true) => continue,
                Ok(false) => NAP,
                Err(error) => {
                    self.note(&error);
                    PAUSE
                }
            };
            self.bell.wait(heard, patience);
        }
    }

    /// Works on the oldest export that is not done, if there is one.
    fn take_turn(&self, left_over: &mut Option<HashSet<JobId>>) -> Result<bool, StoreError> {
        let pending = self.store.pending_exports()?;
        let left_over = left_over.get_or_insert_with(|| pending.iter().cloned().collect());
        let Some(mut task) = pending.first().map(|id| self.store.task(id)).transpose()?.flatten() else {
            return Ok(false);
        };
        // Or its end could not be written down, and it would be made again and again.
        self.store.check_room()?;
        if left_over.remove(&task.id) {
            if MAX_ATTEMPTS <= task.attempts {
                let reason =
                    format!("The server was stopped {MAX_ATTEMPTS} times while it worked on this export.");
                return self.end(task, Err(reason)).map(|()| true);
            }
            task.attempts += 1;
            self.store.put_task(&task, Owed::nothing())?;
        }
        let Some(outcome) = self.run(&task) else {
            return Ok(true);
        };
        self.end(task, outcome?)?;
        *self.trouble.lock() = None;
        Ok(true)
    }

    /// Exports; tells how many users that were, or why it can never be done. `None` if it is to be done later.
    fn run(&self, task: &Task) -> Option<Result<Result<u64, String>, StoreError>> {
        let export = task.export()?;
        let begun = Progress { id: task.id.clone(), begun: Instant::now(), percent: 0 };
        *self.progress.lock() = Some(begun);
        let done = catch_unwind(AssertUnwindSafe(|| self.export(&task.id, export)));
        *self.progress.lock() = None;
        Some(Ok(match done {
            Ok(Ok(users)) => Ok(users),
            Ok(Err(Trouble::Stopping)) => return None,
            Ok(Err(Trouble::Store(error))) if matches!(error, StoreError::Unavailable) || error.is_lack() => {
                return Some(Err(error));
            }
            Ok(Err(Trouble::Store(StoreError::ConnectionGone(name)))) => Err(format!(
                "{CONNECTION_NOT_FOUND}: the connection {name} was deleted before the export was done"
            )),
            Ok(Err(trouble)) => {
                tracing::error!("export {} failed: {trouble}", task.id);
                Err(format!("The file could not be written: {trouble}"))
            }
            Err(_) => Err("The export crashed. Please report it as a bug.".to_owned()),
        }))
    }

    /// Writes the file of an export; tells how many users it has.
    fn export(&self, id: &JobId, what: &Export) -> Result<u64, Trouble> {
        let file = self.store.begin_export(id, what.format)?;
        let mut sheet = Sheet::new(what, Packer::new(file)?)?;
        let connections = self.connections(what)?;
        let limit = what.limit.unwrap_or(u64::MAX);
        let mut users = 0;
        for (number, connection) in connections.iter().enumerate() {
            let share = (number, connections.len());
            match self.add_users(connection, share, limit, &mut users, &mut sheet) {
                Ok(()) => {}
                // Of a connection that nobody asked for in particular, nothing more is there.
                Err(Trouble::Store(StoreError::ConnectionGone(_))) if what.connection.is_none() => {}
                Err(trouble) => return Err(trouble),
            }
        }
        sheet.finish()?.finish()?.finish()?;
        Ok(users)
    }

    fn connections(&self, what: &Export) -> Result<Vec<Connection>, StoreError> {
        match &what.connection {
            None => self.store.connections(),
            Some((id, name)) => {
                let found = self.store.connection(id)?;
                found.map(|one| vec![one]).ok_or_else(|| StoreError::ConnectionGone(name.clone()))
            }
        }
    }

    /// Adds the users of one connection until there are `most` in all; `share` is which one it is, of how many.
    fn add_users<W: io::Write>(
        &self,
        connection: &Connection,
        share: (usize, usize),
        most: u64,
        added: &mut u64,
        sheet: &mut Sheet<W>,
    ) -> Result<(), Trouble> {
        let mut call = self.store.roll_call(connection)?;
        while *added < most
            && let Some(met) = call.next()
        {
            for user in met?.users().take(usize::try_from(most - *added).unwrap_or(usize::MAX)) {
                sheet.add(&user?, connection)?;
                *added += 1;
            }
            if self.is_stopping() {
                return Err(Trouble::Stopping);
            }
            let (done, all) = call.progress();
            self.note_progress(share, done * 100 / all);
        }
        Ok(())
    }

    fn note_progress(&self, (number, all): (usize, usize), percent: u64) {
        if let Some(progress) = self.progress.lock().as_mut() {
            progress.percent = ((number as u64 * 100 + percent) / all.max(1) as u64).min(99);
        }
    }

    fn end(&self, task: Task, outcome: Result<u64, String>) -> Result<(), StoreError> {
        let at: Timestamp = SystemTime::now().into();
        let stage = match outcome {
            Ok(users) => {
                tracing::info!("export job {} completed: {users} users", task.id);
                TaskStage::Completed { at, users }
            }
            Err(reason) => {
                tracing::warn!("export job {} failed", task.id);
                TaskStage::Failed { at, reason }
            }
        };
        self.store.put_task(&Task { stage, ..task }, Owed::nothing())
    }

    /// Logs what went wrong, once as long as it goes on; that there is no room, the store has said.
    fn note(&self, error: &StoreError) {
        if matches!(error, StoreError::NoRoom(_)) {
            return;
        }
        let trouble = error.to_string();
        let mut last = self.trouble.lock();
        if last.as_ref() != Some(&trouble) {
            tracing::error!("exports cannot be worked on, trying again: {trouble}");
            *last = Some(trouble);
        }
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }
}
