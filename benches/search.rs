//! How fast users are looked at, one thread, nothing else going on.
//!
//! `cargo bench --bench search -- 1000000` takes the number of users.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    missing_docs,
    reason = "a bench"
)]

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use intake::domain::{Candidate, Owed};
use intake::search::{Best, Query, Sort};
use intake::store::Browsed;
use support::bare::{candidate, connection, import, open};

mod support;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// From those that need the least of a user to those that need the most.
const QUERIES: [&str; 6] = [
    "NOT *",
    "email_verified:false AND logins_count:[5 TO *]",
    "name:*customer*",
    "user_metadata.nosuch.path:x",
    "app_metadata.seats:[38 TO 39} AND email_verified:true",
    "app_metadata.plan:enterprise AND user_metadata.language:de*",
];

fn main() {
    let users = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(100_000);
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let connections = [store.create_connection(connection(), Owed::nothing()).unwrap()];
    let candidates: Vec<Candidate> = (0..users).map(candidate).collect();
    import(&store, &connections[0], 1, false, &candidates);
    drop(candidates);
    let deadline = Instant::now() + Duration::from_mins(10);
    println!("{users} users\n    time      users/s    found  query");
    let report = |begun: Instant, found: u64, what: &str| {
        let spent = begun.elapsed();
        println!("{spent:>8.0?} {:>12.0} {found:>8}  {what}", users as f64 / spent.as_secs_f64());
    };
    for text in QUERIES {
        let query = Query::parse(text).unwrap();
        let (begun, mut found) = (Instant::now(), 0);
        let walk = store.browse(&connections, deadline, |user, connection| {
            found += u64::from(query.matches(user, connection));
            ControlFlow::Continue(())
        });
        assert_eq!(walk.unwrap(), Browsed::Whole);
        report(begun, found, text);
    }
    for text in ["created_at:-1", "email:1"] {
        let (sort, mut best, begun) = (Sort::parse(text).unwrap(), Best::of(1000), Instant::now());
        let walk = store.browse(&connections, deadline, |user, connection| {
            best.offer(sort.key(user, connection), || user.id.to_owned());
            ControlFlow::Continue(())
        });
        assert_eq!(walk.unwrap(), Browsed::Whole);
        report(begun, best.into_sorted().count() as u64, &format!("the first 1000 by {text}"));
    }
}
