//! The bare store loop: rows that are parsed already become users on disk, as fast as the store can.
//!
//! `cargo bench --bench store -- 100000 1000000` takes numbers of rows. Drafts are made on one thread
//! and applied on another, as in an import.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    missing_docs,
    reason = "a bench"
)]

use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use intake::domain::{
    Candidate, Connection, ConnectionId, DATABASE_STRATEGY, Email, IdSeries, Job, JobId, Position, Timestamp,
    Username,
};
use intake::store::{ChunkRow, NewJob, Options, Store};

#[path = "generator.rs"]
mod generator;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Rows of the first chunks; all others are as large as the last of these.
const CHUNKS: [usize; 5] = [512, 512, 1024, 2048, 4096];
const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

fn main() {
    let numbers: Vec<u64> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let numbers = if numbers.is_empty() { vec![2_000, 100_000] } else { numbers };
    println!("      rows      job     rows/s   draft  commit    disk/user   memory/user");
    for rows in numbers {
        run(rows);
    }
}

fn run(rows: u64) {
    let directory = tempfile::tempdir().unwrap();
    let candidates: Vec<Candidate> = (0..rows).map(candidate).collect();
    let bytes: usize = (0..rows.min(1000)).map(|i| generator::row(i).len()).sum();
    let before = resident();
    let store = open(directory.path());
    let connection = store.create_connection(connection()).unwrap();
    for (number, upsert) in [(1, false), (2, true)] {
        let spent = import(&store, &connection, number, upsert, &candidates);
        println!(
            "{rows:>10} {:>8} {:>10.0} {:>7.0?} {:>7.0?} {:>10} B {:>11} B",
            if upsert { "upsert" } else { "insert" },
            rows as f64 / spent.total.as_secs_f64(),
            spent.draft,
            spent.apply,
            disk(directory.path()) / rows,
            resident().saturating_sub(before) / rows,
        );
    }
    drop(store);
    let begun = Instant::now();
    drop(open(directory.path()));
    println!(
        "{rows:>10}   reopen in {:.0?}; a row has {} bytes",
        begun.elapsed(),
        bytes as u64 / rows.min(1000)
    );
}

struct Spent {
    total: Duration,
    draft: Duration,
    apply: Duration,
}

fn import(
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
    let mut job = store.enqueue(new, upload).unwrap();
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
                let chunk = chunk(store, ids, row, &candidates[row..end]);
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

fn chunk(store: &Store, ids: IdSeries, first: usize, candidates: &[Candidate]) -> Vec<ChunkRow> {
    let row = |(index, candidate): (u64, &Candidate)| ChunkRow {
        index,
        end: Position { row: index + 1, byte: index + 1, line: index + 1 },
        verdict: Ok(store.draft(candidate, ids.id(index), NOW).unwrap()),
    };
    (first as u64..).zip(candidates).map(row).collect()
}

fn applied(store: &Store, job: &Job, chunk: &[ChunkRow]) -> std::sync::Arc<Job> {
    store.apply(job, chunk, NOW, &|_, faults| panic!("{faults:?}")).unwrap()
}

fn candidate(i: u64) -> Candidate<'static> {
    Candidate {
        email: Email::parse(&generator::email(i)).unwrap(),
        email_verified: generator::email_verified(i),
        username: generator::username(i).map(|name| Username::parse(&name).unwrap()),
        app_metadata: Some(generator::app_metadata(i).into()),
        user_metadata: Some(generator::user_metadata(i).into()),
    }
}

fn open(directory: &Path) -> Store {
    Store::open(Options {
        path: directory.to_owned(),
        cache_bytes: 64 << 20,
        min_free_disk: 0,
        max_active_jobs: None,
        open_timeout: Duration::from_mins(1),
    })
    .unwrap()
}

fn connection() -> Connection {
    Connection {
        number: 0,
        id: ConnectionId::from_entropy([1; 16]),
        name: "users".to_owned(),
        strategy: DATABASE_STRATEGY.to_owned(),
        enabled_clients: Vec::new(),
    }
}

/// Bytes of the files in a directory.
fn disk(directory: &Path) -> u64 {
    let entries = std::fs::read_dir(directory).unwrap().map(Result::unwrap);
    entries
        .map(|entry| match entry.metadata().unwrap() {
            metadata if metadata.is_dir() => disk(&entry.path()),
            metadata => metadata.len(),
        })
        .sum()
}

/// Bytes of memory this process has.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kilobytes.unwrap_or_default() << 10
}
