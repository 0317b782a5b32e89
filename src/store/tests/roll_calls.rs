//! Roll calls: every user once, whatever happens meanwhile.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

fn rows(count: u64) -> Vec<Row> {
    (0..count).map(|at| Row::from(&*format!("u{at}@acme.test"))).collect()
}

/// The addresses a roll call meets, and how often; `between` is called before each block.
fn met(store: &TestStore, mut between: impl FnMut(usize)) -> HashMap<String, usize> {
    let mut met = HashMap::new();
    let mut call = store.roll_call(&store.connection).unwrap();
    for step in 0.. {
        between(step);
        let Some(block) = call.next() else { break };
        for user in block.unwrap().users() {
            *met.entry(user.unwrap().email.to_owned()).or_default() += 1;
        }
    }
    met
}

/// Makes users so large that they move, or so small that they stay.
fn grow(store: &TestStore, number: u8, users: impl Iterator<Item = u64>, bytes: usize) {
    let mut dice = Dice(number.into());
    let rows = users.map(|at| Row::from(&*format!("u{at}@acme.test")).app(&dice.noise(bytes)));
    store.import_in_chunks(&Import::upsert(number, rows.collect()), 8);
}

#[track_caller]
fn assert_each_once(met: &HashMap<String, usize>, count: usize) {
    assert!(met.values().all(|times| *times == 1), "somebody was met twice: {met:?}");
    assert_eq!(met.len(), count);
}

#[test]
fn a_roll_call_meets_everybody_once() {
    let store = TestStore::new();
    assert!(met(&store, |_| {}).is_empty());
    for (number, count) in [(1, 1), (2, 16), (3, 17), (4, 100)] {
        store.import(&Import::insert(number, rows(count)));
        assert_each_once(&met(&store, |_| {}), count as usize);
    }
}

#[test]
fn users_that_move_before_or_after_they_are_met_are_met_once() {
    for moved_at in 0..9 {
        let store = TestStore::new();
        store.import(&Import::insert(1, rows(100)));
        let moved = met(&store, |step| {
            if step == moved_at {
                // Of every block some; the last ones are moved on twice.
                grow(&store, 2, (0..100).step_by(3), 30 << 10);
                grow(&store, 3, (60..100).step_by(3), 90 << 10);
            }
        });
        assert_each_once(&moved, 100);
    }
}

#[test]
fn users_deleted_or_made_meanwhile_are_not_met() {
    let store = TestStore::new();
    let import = Import::insert(1, rows(40));
    store.import(&import);
    let delete =
        |at| assert!(store.delete_user(&store.connection.id, &import.ids().id(at), Owed::nothing()).unwrap());
    let met = met(&store, |step| {
        if step == 1 {
            delete(0); // was met
            delete(20);
            store.import(&Import::insert(
                2,
                (100..150).map(|at| Row::from(&*format!("u{at}@acme.test"))).collect(),
            ));
            // Moves, and is deleted where it went.
            grow(&store, 3, 21..22, 95 << 10);
            grow(&store, 4, 22..38, 20 << 10);
            delete(37);
        }
    });
    assert_each_once(&met, 38);
    assert!(met.contains_key("u0@acme.test") && !met.contains_key("u20@acme.test"));
}

#[test]
fn a_roll_call_ends_when_its_connection_is_deleted_or_the_store_was_away() {
    let store = TestStore::new();
    store.import(&Import::insert(1, rows(40)));
    let mut cut = store.roll_call(&store.connection).unwrap();
    cut.next().unwrap().unwrap();
    store.break_next_commit();
    assert!(store.tell(Owed::nothing()).is_err());
    assert!(matches!(cut.next(), Some(Err(StoreError::Unavailable))));
    store.reopen().unwrap();
    assert!(matches!(cut.next(), Some(Err(StoreError::Unavailable))), "it would not hear of moves");
    let mut call = store.roll_call(&store.connection).unwrap();
    call.next().unwrap().unwrap();
    assert!(store.delete_connection(&store.connection.id, Owed::nothing()).unwrap());
    assert!(
        matches!(call.next(), Some(Err(StoreError::ConnectionGone(name))) if name == store.connection.name)
    );
}

#[test]
fn roll_calls_beside_a_busy_writer_meet_everybody_once() {
    let store = TestStore::new();
    store.import(&Import::insert(1, rows(200)));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    assert_each_once(&met(&store, |_| std::thread::yield_now()), 200);
                }
            });
        }
        for number in 2..12 {
            let bytes = if number % 2 == 0 { 30 << 10 } else { 90 << 10 };
            grow(&store, number, (0..200).step_by(usize::from(number)), bytes);
        }
        done.store(true, Ordering::Relaxed);
    });
}
