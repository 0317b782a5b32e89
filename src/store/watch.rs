//! A watch over sled's log: it wakes those who wait for bytes that will never be written.
//!
//! When the write of a buffer fails that several changes were still being added to, sled 0.34 notes the error but wakes
//! nobody: a flush that waits for that buffer would wait for ever, and the only writer with it. Any
//! further flush sees the error, returns it, and wakes the others; here is who calls it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Pause between two looks.
const PAUSE: Duration = Duration::from_secs(1);

/// A thread that watches over a database until this is dropped.
#[derive(Debug)]
pub(super) struct Watch {
    over: Arc<AtomicBool>,
    /// `None` once it has ended.
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    pub(super) fn over(db: sled::Db, config: sled::Config) -> std::io::Result<Self> {
        let over = Arc::new(AtomicBool::new(false));
        let seen = over.clone();
        let thread = thread::Builder::new().name("log-watch".to_owned()).spawn(move || {
            while !seen.load(Ordering::SeqCst) {
                if config.global_error().is_err() {
                    // It says what is known already.
                    drop(db.flush());
                }
                thread::park_timeout(PAUSE);
            }
        })?;
        Ok(Self { over, thread: Some(thread) })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panic has ended it already.
            drop(thread.join());
        }
    }
}
