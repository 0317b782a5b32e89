//! The bare store loop: rows that are parsed already become users on disk, as fast as the store can.
//! Drafts are made on one thread and applied on another, as in an import.

use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use intake::domain::{
    Candidate, Connection, ConnectionId, Email, IdSeries, Job, JobId, Owed, Position, Profile, Ticket,
    Timestamp, Username,
};
use intake::store::{ChunkRow, NewJob, Options, Store, Words};

/// Rows of the first chunks; all others are as large as the last of these.
const CHUNKS: [usize; 5] = [512, 512, 1024, 2048, 4096];
const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// Where the time went.
pub(crate) struct Spent {
    pub(crate) total: Duration,
    pub(crate) draft: Duration,
    pub(crate) apply: Duration,
}

/// Writes the candidates as one job.
pub(crate) fn import(
    store: &Store,
    connection: &Connection,
    number: u8,
    upsert: bool,
    candidates: &[Candidate],
) -> Spent {
    let ids = IdSeries::new(NOW, [number; 8]);
    let new = NewJob {
        id: JobId::from_entropy([number; 16]),
        connection: connection.clone(),
        external_id: None,
        upsert,
        send_completion_email: false,
        created_at: NOW,
        ids,
        rows: Ok(candidates.len() as u64),
    };
    let upload = store.begin_upload(&new.id).unwrap();
    let mut job = store.enqueue(new, upload, Owed::nothing()).unwrap();
    let ticket = job.ticket;
    let begun = Instant::now();
    let (mut draft, mut apply) = (Duration::ZERO, Duration::ZERO);
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel::<Vec<ChunkRow>>(2);
        let drafting = scope.spawn(move || {
            let mut spent = Duration::ZERO;
            let (mut row, mut sizes) = (0, CHUNKS.into_iter());
            while row < candidates.len() {
                let begun = Instant::now();
                let size = sizes.next().unwrap_or(CHUNKS[CHUNKS.len() - 1]);
                let end = (row + size).min(candidates.len());
                let chunk = chunk(store, ticket, ids, row, &candidates[row..end]);
                row = end;
                spent += begun.elapsed();
                sender.send(chunk).unwrap();
            }
            spent
        });
        for chunk in receiver {
            let begun = Instant::now();
            job = applied(store, &job, &chunk);
            apply += begun.elapsed();
        }
        draft = drafting.join().unwrap();
    });
    assert!(job.progress().is_none());
    Spent { total: begun.elapsed(), draft, apply }
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

fn applied(store: &Store, job: &Job, chunk: &[ChunkRow]) -> std::sync::Arc<Job> {
    store
        .apply(
            job,
            chunk,
            NOW,
            Words { failed_row: &|_, faults| panic!("{faults:?}"), ended: &|_| Owed::nothing() },
        )
        .unwrap()
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

/// A store in this directory.
pub(crate) fn open(directory: &Path) -> Store {
    Store::open(Options {
        path: directory.to_owned(),
        cache_bytes: 64 << 20,
        min_free_disk: 0,
        max_active_jobs: None,
        open_timeout: Duration::from_mins(1),
    })
    .unwrap()
}

/// A connection to be made.
pub(crate) fn connection() -> Connection {
    Connection::database(ConnectionId::from_entropy([1; 16]), "users".to_owned(), Vec::new())
}
