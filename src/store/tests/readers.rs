//! Readers beside a writer.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

#[test]
fn a_user_that_moves_is_found_at_every_moment() {
    let store = TestStore::new();
    let rows: Vec<Row> =
        (0..64).map(|at| Row::from((&*format!("u{at}@acme.test"), &*format!("n{at}")))).collect();
    let import = Import::insert(1, rows.clone());
    store.import(&import);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for reader in 0..3 {
            let (store, done, import) = (&store, &done, &import);
            scope.spawn(move || {
                let mut dice = Dice(reader);
                while !done.load(Ordering::Relaxed) {
                    let at = dice.below(64);
                    let by_email = store.by_email(&format!("u{at}@acme.test")).unwrap();
                    let by_name = store.by_username(&format!("n{at}")).unwrap();
                    let by_id = store.user(&import.ids().id(at)).unwrap().unwrap().0;
                    assert_eq!(
                        [by_email.id, by_name.id, by_id.id],
                        std::array::from_fn(|_| import.ids().id(at))
                    );
                    assert!(store.users().len() >= 64, "a scan may see a user twice, never not at all");
                }
            });
        }
        let mut dice = Dice(9);
        for number in 2..10 {
            let bytes = if number % 2 == 0 { 30 << 10 } else { 90 << 10 };
            let large = rows.iter().map(|row| row.clone().app(&dice.noise(bytes)));
            store.import_in_chunks(&Import::upsert(number, large.collect()), 8);
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(store.users().len(), 64);
}

#[test]
fn whoever_asks_for_a_job_never_sees_it_go_backwards() {
    let store = TestStore::new();
    let rows = (0..2000).map(|at| Row::from(&*format!("u{at}@acme.test")));
    let import = Import::insert(1, rows.collect());
    store.enqueue(&import);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut last = 0;
                loop {
                    let job = store.job(&import.id()).unwrap().unwrap();
                    let total = summary(&job).total;
                    assert!(last <= total);
                    // What the job counts is there.
                    assert!(total == 0 || store.by_email(&format!("u{}@acme.test", total - 1)).is_some());
                    last = total;
                    if job.progress().is_none() {
                        break;
                    }
                }
            });
        }
        import.finish(&store, 50);
    });
}
