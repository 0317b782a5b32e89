//! A job's file meets the store: one thread reads and judges ahead, the other writes.

use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use thiserror::Error;

use super::check::{Limits, judge_read};
use super::read::{RawChunk, Rows};
use super::report::reported;
use crate::domain::{FailedRow, Fault, Job, Owed, Progress, Timestamp};
use crate::store::{ChunkRow, Store, StoreError, Words};

/// Chunks read ahead of the writer.
const AHEAD: usize = 1;
/// Rows in the first chunks of a file with more than a chunk: the writer is not to wait long for them.
const RAMP: [usize; 3] = [1024, 2048, 4096];
/// Rows in every further chunk.
const MOST_ROWS: usize = 12288;
/// Rows of a file that is written at once.
const FEW_ROWS: u64 = 4096;

/// Why a job could not go on for now.
#[derive(Debug, Error)]
pub enum RunError {
    /// The store did not take a chunk.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The uploaded file cannot be read.
    #[error("the uploaded file cannot be read: {0}")]
    File(#[from] io::Error),
}

/// A chunk ready to be written, and the text it was made of.
struct Prepared {
    raw: RawChunk,
    rows: Vec<ChunkRow>,
}

/// Works on a job from where it stands until it has ended, or until `pause`, which sees it after each
/// chunk, says so. `ended` tells what is owed when it has ended.
///
/// Returns the job as it stands then. Running it again goes on from there; what was committed is not
/// done again.
pub fn run(
    store: &Store,
    job: &Arc<Job>,
    limits: Limits,
    now: impl Fn() -> Timestamp + Sync,
    pause: impl Fn(&Job) -> bool,
    ended: &dyn Fn(&Job) -> Owed,
) -> Result<Arc<Job>, RunError> {
    let Some(progress) = job.progress() else {
        return Ok(job.clone());
    };
    if job.rows == Ok(0) {
        let failed_row = &|_, faults| FailedRow::new(0, 1, reported(None), faults);
        return Ok(store.apply(job, &[], now(), Words { failed_row, ended })?);
    }
    let file = store.file(job)?;
    let (sender, receiver) = sync_channel(AHEAD);
    thread::scope(|scope| {
        let (now, mut job) = (&now, job.clone());
        let begun_as = job.clone();
        let ahead = move || prepare_all(store, &begun_as, progress, file, limits, now, &sender);
        thread::Builder::new().spawn_scoped(scope, ahead)?;
        for prepared in receiver {
            let Prepared { raw, rows } = prepared?;
            let failed_row = &|at: usize, faults| failed_row(&raw, at, faults);
            job = store.apply(&job, &rows, now(), Words { failed_row, ended })?;
            if job.progress().is_none() || pause(&job) {
                return Ok(job);
            }
        }
        Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it has fewer rows than when it was accepted")
            .into())
    })
}

/// Reads and judges until the file ends or nobody wants more.
fn prepare_all(
    store: &Store,
    job: &Job,
    progress: Progress,
    file: File,
    limits: Limits,
    now: &(impl Fn() -> Timestamp + Sync),
    sender: &SyncSender<Result<Prepared, RunError>>,
) {
    let mut rows = match Rows::open(file, progress.next, NonZeroUsize::MIN) {
        Ok(rows) => rows,
        Err(error) => return drop(sender.send(Err(error.into()))),
    };
    for step in 0.. {
        rows.limit(chunk_rows(step, job));
        let prepared = match rows.next() {
            None => return,
            Some(Ok(raw)) => prepare(store, job, raw, limits, now()).map_err(RunError::from),
            Some(Err(error)) => Err(RunError::from(error)),
        };
        let failed = prepared.is_err();
        if sender.send(prepared).is_err() || failed {
            return;
        }
    }
}

/// Rows in the next chunk; fewer after each attempt that ended the process, so that it gets anywhere.
fn chunk_rows(step: usize, job: &Job) -> NonZeroUsize {
    let all = job.rows.as_ref().copied().unwrap_or(u64::MAX);
    let rows = match RAMP.get(step) {
        _ if all <= FEW_ROWS => usize::try_from(all).unwrap_or(MOST_ROWS),
        rows => rows.copied().unwrap_or(MOST_ROWS),
    };
    NonZeroUsize::new(rows >> job.attempts.min(9)).unwrap_or(NonZeroUsize::MIN)
}

fn prepare(
    store: &Store,
    job: &Job,
    raw: RawChunk,
    limits: Limits,
    now: Timestamp,
) -> Result<Prepared, StoreError> {
    let mut rows = Vec::with_capacity(raw.rows.len());
    for (at, row) in raw.rows.iter().enumerate() {
        let verdict = match judge_read(raw.text_of(row), &limits) {
            Ok(candidate) => {
                Ok(store.draft(&candidate, &job.ids.id(row.index), (job.ticket, row.index), now)?)
            }
            Err(faults) => Err(failed_row(&raw, at, faults)),
        };
        rows.push(ChunkRow { index: row.index, end: row.end, verdict });
    }
    Ok(Prepared { raw, rows })
}

fn failed_row(raw: &RawChunk, at: usize, faults: Vec<Fault>) -> FailedRow {
    let row = &raw.rows[at];
    FailedRow::new(row.index, row.line, reported(raw.text_of(row)), faults)
}
