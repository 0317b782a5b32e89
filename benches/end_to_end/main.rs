//! The whole path, from a client's upload to the `completed` it reads and everything that is asked
//! meanwhile, through the real program over HTTP.
//!
//! `cargo bench --bench end_to_end -- --help` tells how to choose. Each value is printed as soon as it is
//! there, beside what is to be reached. What is compared is measured in turns, and ratios are medians of
//! the ratios of each turn, so that whatever else the machine does falls on both.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    missing_docs,
    reason = "a bench"
)]

use clap::Parser;

use options::Options;
use stock::Stock;

mod changes;
mod client;
mod export;
mod files;
mod import;
mod large;
mod load;
mod options;
mod peers;
mod polling;
mod server;
mod start;
mod stock;
#[path = "../support/mod.rs"]
mod support;
mod table;
mod watching;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What measures need.
struct Bench {
    options: Options,
    stock: Stock,
}

/// A measure: its name, whether the quick selection has it, what it is, and how it is taken.
type Measure = (&'static str, bool, &'static str, fn(&Bench));

const MEASURES: &[Measure] = &[
    ("small", true, "a file of 2,000 rows, by a client that polls as fast as it may", import::small),
    ("import", true, "a file, beside the bare store and plain writing; memory and disk", import::import),
    ("peers", false, "the same file and Postgres, SQLite and DuckDB (benches/peers)", peers::peers),
    ("start", true, "from the start of the process to the first answer", start::start),
    ("idle", true, "memory of an empty throwaway server after a second", start::idle),
    ("reads", true, "users by id and by address, idle and while a file is imported", load::reads),
    ("polling", true, "200 clients poll jobs while two files are imported", polling::polling),
    ("uploads", true, "64 clients upload 2,000 rows each at once", load::uploads),
    ("failing", true, "a file whose rows all fail, beside one whose rows are all inserted", changes::failing),
    ("upsert", true, "a tenth of the users changed at random, all in file order", changes::upsert),
    ("export", true, "all users as a file of JSON lines, made and fetched", export::export),
    ("watching", false, "an import with logs and the status page, and without", watching::watching),
    ("flat", false, "the last 100,000 of five million users beside the first", large::flat),
    ("memory", false, "memory with five million users while 1 GB is imported", large::memory),
];

fn main() {
    let options = Options::parse();
    if options.list {
        for (name, _, what, _) in MEASURES {
            println!("{name:<10} {what}");
        }
        return;
    }
    for name in &options.only {
        assert!(MEASURES.iter().any(|measure| measure.0 == name), "no measure is named {name}: see --list");
    }
    let bench = Bench { options, stock: Stock::default() };
    table::head();
    for (name, is_quick, _, take) in MEASURES {
        if bench.wants(name, *is_quick) {
            take(&bench);
        }
    }
}

impl Bench {
    fn wants(&self, name: &str, is_quick: bool) -> bool {
        let only = &self.options.only;
        if only.is_empty() { self.options.all || is_quick } else { only.iter().any(|one| one == name) }
    }
}
