//! Work that a process can be killed in: what comes next depends on nothing but what the store holds.

use super::*;
use crate::domain::Posted;

/// Rows written in one commit, which has several changes.
const CHUNK: u64 = 150;

/// Everything a store holds that somebody may ask for.
#[derive(Debug, PartialEq)]
pub(super) struct Holdings {
    users: Vec<User>,
    jobs: Vec<(Ticket, Stage)>,
    failed: Vec<Vec<FailedRow>>,
    /// What is told, in order.
    events: Vec<Logged>,
    letters: Vec<Posted>,
}

/// Two rounds of imports; those of one round are worked on together, chunk by chunk.
pub(super) fn rounds(rows: u64) -> [Vec<Import>; 2] {
    let file = |number: u8, upsert, first: u64| {
        let mut dice = Dice(number.into());
        let rows = (0..rows).map(|at| row(&mut dice, first + at, upsert)).collect();
        Import { number, upsert, rows }
    };
    [
        vec![file(1, false, 0), file(2, false, rows / 2)],
        vec![file(3, true, rows / 4), file(4, false, rows), file(5, true, rows / 3)],
    ]
}

fn row(dice: &mut Dice, at: u64, upsert: bool) -> Row {
    // Some rows repeat an earlier one.
    let at = if dice.below(20) == 0 { at / 2 } else { at };
    let size = if upsert && dice.below(10) == 0 { 6000 } else { 80 };
    Row {
        verified: dice.below(2) == 0,
        username: (dice.below(2) == 0).then(|| format!("n{}", at / (1 + dice.below(2)))),
        app_metadata: (dice.below(3) > 0).then(|| dice.noise(size)),
        malformed: dice.below(30) == 0,
        ..Row::from(&*format!("u{at}@acme.test"))
    }
}

/// Does what is next; `false` if all is done. Tells `acknowledged` what the store has promised.
pub(super) fn step(store: &Store, rounds: &[Vec<Import>], acknowledged: &mut impl FnMut(&Job)) -> bool {
    let connection = match store.connections().unwrap().into_iter().next() {
        Some(connection) => connection,
        None => store.create_connection(connection(1), Owed::nothing()).unwrap(),
    };
    for round in rounds {
        let missing = round.iter().find(|import| store.job(&import.id()).unwrap().is_none());
        if let Some(import) = missing {
            acknowledged(&import.enqueue(store, &connection).unwrap());
            return true;
        }
        let next = round
            .iter()
            .filter_map(|import| {
                let job = store.job(&import.id()).unwrap().unwrap();
                Some((job.progress()?.next.row, job.ticket, import))
            })
            .min_by_key(|(row, ticket, _)| (row / CHUNK, *ticket));
        if let Some((row, _, import)) = next {
            // What a crash has left of a chunk is done first: which of two files has a user depends on the order.
            let left = CHUNK - row % CHUNK;
            acknowledged(&import.step(store, left as usize).unwrap());
            return true;
        }
    }
    false
}

pub(super) fn run(store: &Store, rounds: &[Vec<Import>], mut acknowledged: impl FnMut(&Job)) {
    while step(store, rounds, &mut acknowledged) {}
}

pub(super) fn holdings(store: &Store, rounds: &[Vec<Import>]) -> Holdings {
    let connections = store.connections().unwrap();
    let mut jobs: Vec<_> = store
        .jobs(&|_| true, 0, usize::MAX, false)
        .unwrap()
        .jobs
        .into_iter()
        .map(|job| (job.ticket, job.stage.clone()))
        .collect();
    jobs.reverse();
    let failed = rounds.iter().flatten().map(|import| failed_rows(store, import)).collect();
    assert_jobs_told(store);
    Holdings {
        users: connections.first().map_or_else(Vec::new, |first| scan(store, first)),
        jobs,
        failed,
        events: store.events(None, Order::OldestFirst, 0, usize::MAX, false).unwrap().events,
        letters: store.letters().unwrap(),
    }
}

/// What an undisturbed run leaves.
pub(super) fn undisturbed(rounds: &[Vec<Import>]) -> Holdings {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(options(directory.path())).unwrap();
    run(&store, rounds, |_| {});
    assert_eq!(store.check().unwrap(), Vec::<String>::new());
    holdings(&store, rounds)
}

/// A promise as a line of text: the job's number, and the rows it has behind it.
pub(super) fn promise(job: &Job) -> String {
    let row = job.progress().map_or(u64::MAX, |progress| progress.next.row);
    format!("ack {} {row}\n", job.ticket)
}

/// Whether the store keeps a promise made in an earlier life.
#[track_caller]
pub(super) fn assert_kept(store: &Store, rounds: &[Vec<Import>], promise: &str) {
    let mut words = promise.split_whitespace().skip(1).map(|word| word.parse::<u64>().unwrap());
    let (ticket, row) = (words.next().unwrap(), words.next().unwrap());
    let job = rounds
        .iter()
        .flatten()
        .filter_map(|import| store.job(&import.id()).unwrap())
        .find(|job| job.ticket == ticket);
    let job = job.unwrap_or_else(|| panic!("job {ticket} is gone"));
    let now = job.progress().map_or(u64::MAX, |progress| progress.next.row);
    assert!(row <= now, "job {ticket} is at row {now}, and was at {row}");
}
