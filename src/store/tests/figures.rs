//! What is told of the store at a glance is what is there: after changes, faults and restarts.

use prometheus_client::metrics::counter::Counter;

use super::*;
use crate::domain::Fate;
use database::faults::At;

fn letter(name: &str, written_at: Timestamp) -> Owed {
    let letter = Letter {
        to: "ann@acme.test".to_owned(),
        subject: name.to_owned(),
        text: String::new(),
        html: String::new(),
        message_id: name.to_owned(),
        written_at,
    };
    Owed { letters: vec![letter], ..Owed::nothing() }
}

fn later(millis: u64) -> Timestamp {
    Timestamp::from_millis(NOW.millis() + millis)
}

/// Waiting, given up, and when the oldest was written that waits.
fn outbox(store: &TestStore) -> (usize, usize, Option<Timestamp>) {
    let figures = store.figures().unwrap();
    (figures.letters_waiting, figures.letters_given_up, figures.oldest_letter)
}

fn users(store: &TestStore) -> Vec<u64> {
    store.figures().unwrap().users.into_iter().map(|(_, users)| users).collect()
}

#[test]
fn letters_are_counted_as_they_come_are_given_up_put_forward_and_go() {
    let mut store = TestStore::new();
    assert_eq!(outbox(&store), (0, 0, None));
    for (name, at) in [("a", 1), ("b", 2), ("c", 3)] {
        store.tell(letter(name, later(at))).unwrap();
    }
    assert_eq!(outbox(&store), (3, 0, Some(later(1))));
    let numbers: Vec<u64> = store.letters().unwrap().iter().map(|posted| posted.number).collect();
    store.letter_not_sent(numbers[0], "no", Fate::GivenUp(NOW), Owed::nothing()).unwrap();
    assert_eq!(outbox(&store), (2, 1, Some(later(2))));
    store.letter_sent(numbers[1]).unwrap();
    store.letter_sent(numbers[1]).unwrap();
    assert_eq!(outbox(&store), (1, 1, Some(later(3))), "sent once, said twice");
    store.restart();
    assert_eq!(outbox(&store), (1, 1, Some(later(3))));
    store.try_letter_again(numbers[0], NOW, Owed::nothing()).unwrap();
    assert_eq!(outbox(&store), (2, 0, Some(later(1))));
    store.drop_letter(numbers[0], Owed::nothing()).unwrap();
    store.letter_not_sent(numbers[2], "no", Fate::GivenUp(NOW), Owed::nothing()).unwrap();
    assert_eq!(outbox(&store), (0, 1, None));
    let old = Ages { jobs: NOW, events: NOW, unsent_events: NOW, letters: later(9), tasks: NOW, now: NOW };
    while store.sweep(&mut Sweep::of(old)).unwrap() {}
    assert_eq!(outbox(&store), (0, 0, None));
}

#[test]
fn users_are_counted_per_connection_through_imports_deletions_faults_and_restarts() {
    let mut store = TestStore::new();
    store.create_connection(connection(2), Owed::nothing()).unwrap();
    let import = Import::insert(1, rows!["ann@acme.test", "bob@acme.test", "ann@acme.test"]);
    store.import(&import);
    assert_eq!(users(&store), [2, 0]);
    store.import(&Import::upsert(2, rows!["ann@acme.test", "cy@acme.test"]));
    assert_eq!(users(&store), [3, 0]);
    let ann = store.by_email("ann@acme.test").unwrap().id;
    faults::strike(&store, At::Publish, || store.delete_user(&store.connection.id, &ann, Owed::nothing()));
    assert_eq!(users(&store), [2, 0]);
    store.restart();
    assert_eq!(users(&store), [2, 0]);
    assert_eq!(store.figures().unwrap().directory_keys, 4, "an address and an id each");
    store.delete_connection(&store.connection.id, Owed::nothing()).unwrap();
    assert_eq!(users(&store), [0]);
    assert_eq!(store.figures().unwrap().directory_keys, 0);
}

#[test]
fn bytes_to_do_become_fewer_with_every_chunk_and_are_those_of_unfinished_jobs_only() {
    let mut store = TestStore::new();
    let files = [1, 2].map(|number| Import::insert(number, rows!["ann@acme.test", "bob@acme.test"]));
    let jobs = files.each_ref().map(|file| store.enqueue(file));
    let told = |store: &TestStore| store.figures().unwrap().bytes_to_do;
    let all: u64 = jobs.iter().map(|job| job.bytes).sum();
    assert!(all > 0);
    assert_eq!(told(&store), all);
    files[0].step(&store, 1).unwrap();
    let left = told(&store);
    assert_eq!(left, store.bytes_to_do(jobs[1].ticket).unwrap());
    assert!(jobs[1].bytes <= left && left < all);
    store.restart();
    assert_eq!(told(&store), left);
    files[0].finish(&store, 9);
    assert_eq!(told(&store), jobs[1].bytes);
    store.fail(&jobs[1], "why".to_owned(), NOW, &ended).unwrap();
    assert_eq!(told(&store), 0);
}

#[test]
fn rows_ends_and_commits_are_counted_across_a_reopening() {
    let store = TestStore::new();
    let meters = store.meters();
    let rows = || [&meters.inserted, &meters.updated, &meters.failed].map(Counter::get);
    let jobs =
        |outcome| meters.ended_jobs.get(&[("type", "users_import"), ("outcome", outcome)]).unwrap().get();
    let before = commits(&store);
    let counted = meters.commits.get();
    store.import_in_chunks(&Import::insert(1, rows!["ann@acme.test", "bob@acme.test", "ann@acme.test"]), 1);
    assert_eq!((rows(), jobs("completed"), jobs("failed")), ([2, 0, 1], 1, 0));
    assert_eq!(meters.commits.get() - counted, commits(&store) - before);
    let import = Import::upsert(2, rows!["ann@acme.test", "cy@acme.test"]);
    let job = store.enqueue(&import);
    faults::strike(&store, At::Apply, || import.step(&store, 1));
    assert_eq!((rows(), meters.failed_commits.get()), ([2, 0, 1], 1));
    import.step(&store, 1).unwrap();
    let job = store.job(&job.id).unwrap().unwrap();
    store.fail(&job, "why".to_owned(), NOW, &ended).unwrap();
    assert_eq!((rows(), jobs("completed"), jobs("failed")), ([2, 1, 1], 1, 1));
}

#[test]
fn a_fault_and_a_reopening_are_told_apart() {
    let store = TestStore::new();
    assert_eq!(store.condition(), Condition::Ready);
    store.core().unwrap().database.faults.arm(At::Sync);
    store.tell(letter("a", NOW)).unwrap_err();
    assert_eq!(store.condition(), Condition::Faulty);
    assert!(matches!(store.figures(), Err(StoreError::Unavailable)));
    assert!(store.disk().is_ok());
    {
        // As `reopen` does while it rebuilds the directory, and when it could not.
        let mut slot = store.core.write();
        assert_eq!(store.condition(), Condition::Reopening);
        *slot = None;
    }
    assert_eq!(store.condition(), Condition::Reopening);
    store.reopen().unwrap();
    assert_eq!(store.condition(), Condition::Ready);
}
