//! What the store counts from the start of the process on; a reopening of the database changes nothing of it.
//!
//! Chunks, commits and ends of jobs are counted, never single rows: what is counted costs an import nothing.
//! A commit that a fault cuts short after it reached the disk is counted as failed, and its rows are not.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;

use crate::domain::{Errand, Job, Stage, Summary, Task, TaskStage};

/// Upper bounds of the classes that commits are counted in, in seconds.
const LATENCIES: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

const IMPORT: &str = "users_import";
const EXPORT: &str = "users_export";
const VERIFICATION: &str = "verification_email";
const COMPLETED: &str = "completed";
const FAILED: &str = "failed";

/// Counters since the start of the process; clones count together.
#[derive(Debug, Clone)]
pub struct Meters {
    /// Rows that made a user.
    pub inserted: Counter,
    /// Rows that changed a user.
    pub updated: Counter,
    /// Rows with faults.
    pub failed: Counter,
    /// Jobs that have ended, by type and outcome.
    pub ended_jobs: Family<[(&'static str, &'static str); 2], Counter>,
    /// Commits on disk.
    pub commits: Counter,
    /// Commits that a fault cut short.
    pub failed_commits: Counter,
    /// How long commits take that succeed, in seconds.
    pub commit_seconds: Histogram,
    pace: Arc<Mutex<Pace>>,
}

impl Default for Meters {
    fn default() -> Self {
        Self {
            inserted: Counter::default(),
            updated: Counter::default(),
            failed: Counter::default(),
            ended_jobs: ended_jobs(),
            commits: Counter::default(),
            failed_commits: Counter::default(),
            commit_seconds: Histogram::new(LATENCIES),
            pace: Arc::new(Mutex::new(Pace::new(Instant::now()))),
        }
    }
}

/// A counter for every type and outcome, which is there before anything has ended.
fn ended_jobs() -> Family<[(&'static str, &'static str); 2], Counter> {
    let family = Family::default();
    for kind in [IMPORT, EXPORT, VERIFICATION] {
        for outcome in [COMPLETED, FAILED] {
            drop(family.get_or_create(&[("type", kind), ("outcome", outcome)]));
        }
    }
    family
}

impl Meters {
    /// Rows per second over the last few seconds that are over.
    pub fn rows_per_second(&self) -> f64 {
        self.pace.lock().rate(Instant::now())
    }

    /// Counts the rows of a chunk: a job's summary before it and after.
    pub(super) fn note_rows(&self, before: &Summary, after: &Summary) {
        self.inserted.inc_by(after.inserted - before.inserted);
        self.updated.inc_by(after.updated - before.updated);
        self.failed.inc_by(after.failed - before.failed);
        self.pace.lock().note(Instant::now(), after.total - before.total);
    }

    /// Counts an import if it has ended.
    pub(super) fn note_job(&self, job: &Job) {
        match job.stage {
            Stage::Pending(_) => {}
            Stage::Completed { .. } => self.note_end(IMPORT, COMPLETED),
            Stage::Failed { .. } => self.note_end(IMPORT, FAILED),
        }
    }

    /// Counts a task if it has ended.
    pub(super) fn note_task(&self, task: &Task) {
        let kind = match task.what {
            Errand::Export(_) => EXPORT,
            Errand::VerificationEmail { .. } => VERIFICATION,
        };
        match task.stage {
            TaskStage::Pending => {}
            TaskStage::Completed { .. } => self.note_end(kind, COMPLETED),
            TaskStage::Failed { .. } => self.note_end(kind, FAILED),
        }
    }

    fn note_end(&self, kind: &'static str, outcome: &'static str) {
        self.ended_jobs.get_or_create(&[("type", kind), ("outcome", outcome)]).inc();
    }

    /// Counts a commit that took so long.
    pub(super) fn note_commit(&self, took: Duration, is_on_disk: bool) {
        if is_on_disk {
            self.commits.inc();
            self.commit_seconds.observe(took.as_secs_f64());
        } else {
            self.failed_commits.inc();
        }
    }
}

/// Seconds that a pace is taken from.
const WINDOW: u64 = 10;
const SLOTS: usize = 11;

/// Rows by the second, for the one that is running and the few before it.
#[derive(Debug)]
struct Pace {
    begun: Instant,
    /// A second since then, and its rows.
    seconds: [(u64, u64); SLOTS],
}

impl Pace {
    fn new(begun: Instant) -> Self {
        Self { begun, seconds: [(0, 0); SLOTS] }
    }

    fn second(&self, at: Instant) -> u64 {
        at.saturating_duration_since(self.begun).as_secs()
    }

    fn note(&mut self, at: Instant, rows: u64) {
        let second = self.second(at);
        let slot = &mut self.seconds[usize::try_from(second).unwrap_or_default() % SLOTS];
        if slot.0 != second {
            *slot = (second, 0);
        }
        slot.1 += rows;
    }

    #[expect(clippy::cast_precision_loss, reason = "no such number of rows in so few seconds")]
    fn rate(&self, at: Instant) -> f64 {
        let now = self.second(at);
        let last = now.saturating_sub(WINDOW)..now;
        let rows: u64 =
            self.seconds.iter().filter(|(second, _)| last.contains(second)).map(|slot| slot.1).sum();
        rows as f64 / now.clamp(1, WINDOW) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_is_that_of_the_last_ten_seconds_that_are_over() {
        let begun = Instant::now();
        let at = |seconds: f64| begun + Duration::from_secs_f64(seconds);
        let mut pace = Pace::new(begun);
        let rate = |pace: &Pace, seconds: f64| pace.rate(at(seconds)).to_string();
        pace.note(at(0.2), 60);
        pace.note(at(0.9), 40);
        assert_eq!([0.9, 1.0, 2.0, 10.9, 11.0].map(|now| rate(&pace, now)), ["0", "100", "50", "10", "0"]);
        pace.note(at(11.0), 30);
        assert_eq!([11.5, 12.0, 21.9, 22.0].map(|now| rate(&pace, now)), ["0", "3", "3", "0"]);
    }
}
