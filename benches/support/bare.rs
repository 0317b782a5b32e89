//! The bare store loop: rows that are parsed already become users on disk, as fast as the store can.
//! Drafts are made on one thread and applied on another, as in an import.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use intake::domain::{
    Candidate, Connection, ConnectionId, Email, IdSeries, Job, JobId, Owed, Position, Profile, Ticket,
    Timestamp, Username,
};
use intake::store::{ChunkRow, NewJob, Options, Store, Words};

/// So many rows are one chunk, as in an import.
const FEW_ROWS: usize = 4096;
/// Rows of the first chunks of more; all others are as large as the last of these.
const CHUNKS: [usize; 4] = [1024, 2048, 4096, 12288];
/// When everything happens.
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// A job on its way through the store, without a file.
pub(crate) struct Loop {
    job: Arc<Job>,
    ids: IdSeries,
}

impl Loop {
    /// Takes on a job with so many rows; its `number` keeps it apart from the others.
    pub(crate) fn begin(store: &Store, connection: &Connection, number: u8, upsert: bool, rows: u64) -> Self {
        let ids = IdSeries::new(NOW, [number; 8]);
        let new = NewJob {
            id: JobId::from_entropy([number; 16]),
            connection: connection.clone(),
            external_id: None,
            upsert,
            send_completion_email: false,
            created_at: NOW,
            ids,
            rows: Ok(rows),
        };
        let upload = store.begin_upload(&new.id).unwrap();
        Self { job: store.enqueue(new, upload, Owed::nothing()).unwrap(), ids }
    }

    /// These rows, the first of which has this index, ready to be applied.
    pub(crate) fn chunk(&self, store: &Store, first: usize, candidates: &[Candidate]) -> Vec<ChunkRow> {
        chunk(store, self.job.ticket, self.ids, first, candidates)
    }

    /// All rows in the chunks they are applied in.
    pub(crate) fn all_chunks(&self, store: &Store, candidates: &[Candidate]) -> Vec<Vec<ChunkRow>> {
        cut(candidates.len()).map(|rows| self.chunk(store, rows.start, &candidates[rows])).collect()
    }

    /// Applies the next chunk.
    pub(crate) fn apply(&mut self, store: &Store, chunk: &[ChunkRow]) {
        let words = Words { failed_row: &|_, faults| panic!("{faults:?}"), ended: &|_| Owed::nothing() };
        self.job = store.apply(&self.job, chunk, NOW, words).unwrap();
    }
}

/// Writes the candidates as one job; tells how long that took.
pub(crate) fn import(
    store: &Store,
    connection: &Connection,
    number: u8,
    upsert: bool,
    candidates: &[Candidate],
) -> Duration {
    let mut writing = Loop::begin(store, connection, number, upsert, candidates.len() as u64);
    let (ticket, ids) = (writing.job.ticket, writing.ids);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel::<Vec<ChunkRow>>(2);
        scope.spawn(move || {
            for rows in cut(candidates.len()) {
                sender.send(chunk(store, ticket, ids, rows.start, &candidates[rows])).unwrap();
            }
        });
        for chunk in receiver {
            writing.apply(store, &chunk);
        }
    });
    assert!(writing.job.progress().is_none());
    begun.elapsed()
}

/// The rows of each chunk.
fn cut(rows: usize) -> impl Iterator<Item = Range<usize>> {
    let (mut row, mut sizes) = (0, CHUNKS.into_iter());
    std::iter::from_fn(move || {
        let size = sizes.next().unwrap_or(CHUNKS[CHUNKS.len() - 1]);
        let chunk = row..(row + size).min(rows);
        row = chunk.end;
        (!chunk.is_empty()).then_some(chunk)
    })
}

fn chunk(
    store: &Store,
    ticket: Ticket,
    ids: IdSeries,
    first: usize,
    candidates: &[Candidate],
) -> Vec<ChunkRow> {
    let row = |(index, candidate): (u64, &Candidate)| ChunkRow {
        index,
        end: Position { row: index + 1, byte: index + 1, line: index + 1 },
        verdict: Ok(store.draft(candidate, &ids.id(index), (ticket, index), NOW).unwrap()),
    };
    (first as u64..).zip(candidates).map(row).collect()
}

/// Row `i`, parsed.
pub(crate) fn candidate(i: u64) -> Candidate<'static> {
    Candidate {
        email: Email::parse(&super::generator::email(i)).unwrap(),
        email_verified: super::generator::email_verified(i),
        username: super::generator::username(i).map(|name| Username::parse(&name).unwrap()),
        id: None,
        blocked: false,
        profile: Profile::default(),
        app_metadata: Some(super::generator::app_metadata(i).into()),
        user_metadata: Some(super::generator::user_metadata(i).into()),
    }
}

/// The same user with another note.
pub(crate) fn changed_candidate(i: u64) -> Candidate<'static> {
    Candidate { user_metadata: Some(super::generator::changed_user_metadata(i).into()), ..candidate(i) }
}

/// A store in this directory.
pub(crate) fn open(directory: &Path) -> Store {
    Store::open(Options {
        path: directory.to_owned(),
        cache_bytes: 64 << 20,
        min_free_disk: 0,
        reserve: 0,
        max_active_jobs: None,
        open_timeout: Duration::from_mins(1),
    })
    .unwrap()
}

/// A connection to be made.
pub(crate) fn connection() -> Connection {
    Connection::database(ConnectionId::from_entropy([1; 16]), "users".to_owned(), Vec::new())
}
