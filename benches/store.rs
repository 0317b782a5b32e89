//! How fast the store alone is, see `support/bare.rs`.
//!
//! `cargo bench --bench store -- 100000 1000000` takes numbers of rows.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    missing_docs,
    reason = "a bench"
)]

use std::time::Instant;

use intake::domain::{Candidate, Owed};
use support::bare::{candidate, connection, import, open};
use support::generator;
use support::machine::{disk, resident};

mod support;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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
    let connection = store.create_connection(connection(), Owed::nothing()).unwrap();
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
