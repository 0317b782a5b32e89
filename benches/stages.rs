//! How fast each stage is alone: from the bytes of an upload to a user in a block, and back out.
//!
//! `cargo bench --bench stages` measures all, `-- read` those with that in their names, and tells what changed
//! since the last time. `elem` is a row, or a user. The whole path is the business of `end_to_end`.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, missing_docs, reason = "a bench")]

use std::hint::black_box;
use std::io::{self, Cursor};
use std::num::NonZeroUsize;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BatchSize, Bencher, BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use intake::domain::{Candidate, Connection, Export, ExportFormat, Owed, Position, RowSchema, UserId};
use intake::export::Sheet;
use intake::import::{Limits, Rows, Scanner, judge};
use intake::store::{ChunkRow, Met, Store};
use support::bare::{self, Loop};
use support::generator;
use tempfile::TempDir;

mod support;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Rows of the file, and users of the stores that are read.
const ROWS: u64 = 100_000;
/// Rows that are written to a store at a time.
const WRITTEN: u64 = 20_000;
/// Bytes of an upload that come at once.
const BLOCK: usize = 256 << 10;
/// Rows that are read at once.
const CHUNK: NonZeroUsize = NonZeroUsize::new(4096).unwrap();
const LIMITS: Limits = Limits { max_metadata_bytes: 64 << 10, schema: RowSchema::Basic };

criterion_group!(stages, text, write, lookup, recover, export);
criterion_main!(stages);

/// What happens to the text of a file: scan as it comes in, read, check.
fn text(criterion: &mut Criterion) {
    let rows: Vec<String> = (0..ROWS).map(generator::row).collect();
    let file = format!("[\n{}\n]\n", rows.join(",\n")).into_bytes();
    let mut group = group(criterion, "text", ROWS);
    group.bench_function("scan", |bencher| {
        bencher.iter(|| {
            let mut scanner = Scanner::new();
            file.chunks(BLOCK).for_each(|block| scanner.push_unreported(block));
            assert_eq!(scanner.finish(), Ok(ROWS));
        });
    });
    group.bench_function("read", |bencher| {
        bencher.iter(|| {
            let rows = Rows::open(Cursor::new(&file), Position::default(), CHUNK).unwrap();
            assert_eq!(rows.map(|chunk| black_box(chunk.unwrap()).rows.len() as u64).sum::<u64>(), ROWS);
        });
    });
    group.bench_function("check", |bencher| {
        bencher.iter(|| rows.iter().for_each(|row| drop(black_box(judge(row, &LIMITS).unwrap()))));
    });
}

/// What it takes to store rows: encode, and apply as new users, as changes in order and at random.
fn write(criterion: &mut Criterion) {
    let candidates: Vec<Candidate> = (0..WRITTEN).map(bare::candidate).collect();
    let changed: Vec<Candidate> = (0..WRITTEN).map(bare::changed_candidate).collect();
    let random: Vec<Candidate> =
        generator::random_tenth(WRITTEN * 10).into_iter().map(|i| bare::changed_candidate(i / 10)).collect();
    let mut group = group(criterion, "write", WRITTEN);
    let (_directory, store, connection) = filled(&[]);
    let job = Loop::begin(&store, &connection, 9, false, WRITTEN);
    group.bench_function("encode", |bencher| {
        bencher.iter(|| black_box(job.all_chunks(&store, &candidates)));
    });
    group.bench_function("insert", |bencher| apply(bencher, &[], &candidates));
    group.bench_function("upsert in order", |bencher| apply(bencher, &candidates, &changed));
    group.bench_function("upsert at random", |bencher| apply(bencher, &candidates, &random));
}

/// Applies rows to a store that has these users.
fn apply(bencher: &mut Bencher, there: &[Candidate], rows: &[Candidate]) {
    let prepare = || {
        let (directory, store, connection) = filled(there);
        let job = Loop::begin(&store, &connection, 2, !there.is_empty(), rows.len() as u64);
        let chunks: Vec<Vec<ChunkRow>> = job.all_chunks(&store, rows);
        (directory, store, job, chunks)
    };
    bencher.iter_batched(
        prepare,
        |(directory, store, mut job, chunks)| {
            for chunk in &chunks {
                job.apply(&store, chunk);
            }
            (directory, store, chunks)
        },
        BatchSize::PerIteration,
    );
}

/// One user of many, found by what is unique.
fn lookup(criterion: &mut Criterion) {
    let candidates: Vec<Candidate> = (0..ROWS).map(bare::candidate).collect();
    let (_directory, store, connection) = filled(&candidates);
    let emails: Vec<String> = generator::random_tenth(ROWS).into_iter().map(generator::email).collect();
    let ids: Vec<UserId> =
        emails.iter().map(|email| store.user_in(&connection, email).unwrap().unwrap().id).collect();
    let mut group = group(criterion, "lookup", 1);
    group.bench_function("by e-mail", |bencher| {
        let mut emails = emails.iter().cycle();
        bencher.iter(|| store.user_in(&connection, emails.next().unwrap()).unwrap().unwrap());
    });
    group.bench_function("by id", |bencher| {
        let mut ids = ids.iter().cycle();
        bencher.iter(|| store.user(ids.next().unwrap()).unwrap().unwrap());
    });
}

/// A store opened again.
fn recover(criterion: &mut Criterion) {
    let candidates: Vec<Candidate> = (0..ROWS).map(bare::candidate).collect();
    let (directory, store, _) = filled(&candidates);
    drop(store);
    let mut group = group(criterion, "recover", ROWS);
    group.bench_function("open", |bencher| {
        bencher.iter_batched(|| (), |()| bare::open(directory.path()), BatchSize::PerIteration);
    });
}

/// Users as lines of a file, from the store and alone.
fn export(criterion: &mut Criterion) {
    let candidates: Vec<Candidate> = (0..ROWS).map(bare::candidate).collect();
    let (_directory, store, connection) = filled(&candidates);
    let mut group = group(criterion, "export", ROWS);
    group.bench_function("roll call", |bencher| {
        bencher.iter(|| {
            let blocks = store.roll_call(&connection).unwrap();
            let users = |met: Result<Met, _>| black_box(met.unwrap()).users().count() as u64;
            assert_eq!(blocks.map(users).sum::<u64>(), ROWS);
        });
    });
    let blocks: Vec<Met> = store.roll_call(&connection).unwrap().map(Result::unwrap).collect();
    let what = Export { connection: None, format: ExportFormat::Json, limit: None, fields: Vec::new() };
    group.bench_function("sheet", |bencher| {
        bencher.iter(|| {
            let mut sheet = Sheet::new(&what, io::sink()).unwrap();
            for user in blocks.iter().flat_map(Met::users) {
                sheet.add(&user.unwrap(), &connection).unwrap();
            }
            sheet.finish().unwrap();
        });
    });
}

/// A new store with these users.
fn filled(users: &[Candidate]) -> (TempDir, Store, Connection) {
    let directory = tempfile::tempdir().unwrap();
    let store = bare::open(directory.path());
    let connection = store.create_connection(bare::connection(), Owed::nothing()).unwrap();
    if !users.is_empty() {
        bare::import(&store, &connection, 1, false, users);
    }
    (directory, store, connection)
}

/// Benches that handle so many rows each time.
fn group<'a>(criterion: &'a mut Criterion, name: &str, rows: u64) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(10).measurement_time(Duration::from_secs(4)).throughput(Throughput::Elements(rows));
    group
}
