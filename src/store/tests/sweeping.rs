//! What is old goes, what is live stays: each age, on both sides.

use super::*;
use crate::domain::{ContentFormat, Fate, HttpSink, LogStream, StreamId, StreamStatus};
use crate::store::sweep::STEP;
use database::faults::At;

/// A millisecond after [`NOW`].
const LATER: Timestamp = Timestamp::from_millis(NOW.millis() + 1);
const LONG_AGO: Timestamp = Timestamp::from_millis(0);

/// Nothing is old.
const YOUNG: Ages = Ages {
    jobs: LONG_AGO,
    events: LONG_AGO,
    unsent_events: LONG_AGO,
    letters: LONG_AGO,
    tasks: LONG_AGO,
    now: NOW,
};

/// Everything before [`LATER`] is old, but for tickets.
const ALL_OLD: Ages =
    Ages { jobs: LATER, events: LATER, unsent_events: LATER, letters: LATER, tasks: LATER, now: NOW };

fn sweep_all(store: &TestStore, old: Ages) {
    let mut sweep = Sweep::of(old);
    while store.sweep(&mut sweep).unwrap() {}
}

fn spooled(store: &TestStore) -> usize {
    std::fs::read_dir(store.options.path.join("spool")).unwrap().count()
}

fn tell(store: &TestStore, at: Timestamp) {
    store.tell(Event::new(at, EventType::Login, "").into()).unwrap();
}

fn numbers(store: &TestStore) -> Vec<u64> {
    store.events_from(0, usize::MAX).unwrap().into_iter().map(|(number, _)| number).collect()
}

#[test]
fn a_job_goes_with_its_failed_rows_once_its_end_is_old_enough() {
    let mut store = TestStore::new();
    let import = Import::insert(1, rows!["ann@acme.test", "ann@acme.test"]);
    let ticket = store.import(&import).ticket;
    sweep_all(&store, Ages { jobs: NOW, ..YOUNG });
    assert_eq!(store.failures(&import).len(), 1, "it ended at that very moment");
    sweep_all(&store, Ages { jobs: LATER, ..YOUNG });
    assert_eq!(store.job(&import.id()).unwrap(), None);
    assert!(matches!(store.failed_rows(ticket, 0), Err(StoreError::JobGone(_))));
    assert_eq!([b'j', b'k', b'x', b'g'].map(|family| keys_of(&store, family)), [0; 4]);
    assert!(store.by_email("ann@acme.test").is_some(), "its users stay");
    store.restart();
    let next = store.enqueue(&Import::insert(2, Vec::new()));
    assert!(ticket < next.ticket, "no ticket is used again");
}

#[test]
fn an_unfinished_job_stays_however_old_it_is() {
    let mut store = TestStore::new();
    let import =
        Import::upsert(1, rows!["ann@acme.test", "ann@acme.test", ("ann@acme.test", "n"), "bob@acme.test"]);
    store.enqueue(&import);
    import.step(&store, 3).unwrap();
    let done = Import::insert(2, rows!["cy@acme.test"]);
    store.import(&done);
    sweep_all(&store, ALL_OLD);
    store.restart();
    assert_eq!(store.job(&done.id()).unwrap(), None, "the one behind it is gone");
    assert_eq!((store.failures(&import).len(), spooled(&store)), (2, 1));
    assert_eq!(counts(&import.finish(&store, 9)), [2, 0, 2]);
}

#[test]
fn a_job_accepted_long_ago_stays_while_its_end_is_recent() {
    let store = TestStore::new();
    let import = Import::insert(1, rows!["ann@acme.test"]);
    let new = NewJob { created_at: LONG_AGO, ..import.new_job(&store.connection) };
    let mut upload = store.begin_upload(&import.id()).unwrap();
    upload.write(b"[]").unwrap();
    Store::enqueue(&store, new, upload, accepted(&import.id())).unwrap();
    import.finish(&store, 9);
    sweep_all(&store, Ages { jobs: NOW, ..YOUNG });
    assert!(store.job(&import.id()).unwrap().is_some());
}

#[test]
fn what_a_fault_left_of_a_job_goes_with_it() {
    let store = TestStore::new();
    store.import(&Import::insert(1, rows![("ann@acme.test", "ann")]));
    let import = Import::upsert(2, rows![("ann@acme.test", "new"), ("ann@acme.test", "b")]);
    store.enqueue(&import);
    faults::strike(&store, At::Sync, || import.step(&store, 9));
    assert!(store.job(&import.id()).unwrap().unwrap().progress().is_none());
    assert_eq!((spooled(&store), keys_of(&store, b't')), (0, 1), "only the file went, with the reopening");
    sweep_all(&store, ALL_OLD);
    assert_eq!((spooled(&store), keys_of(&store, b't')), (0, 0));
}

#[test]
fn a_sweep_that_fails_is_done_again_and_removes_nothing_else() {
    for at in [At::Apply, At::Sync, At::Publish, At::Panic] {
        let store = TestStore::new();
        for number in 1..4 {
            store.import(&Import::insert(number, rows!["ann@acme.test", "ann@acme.test"]));
        }
        let live = Import::upsert(9, rows!["ann@acme.test", "ann@acme.test"]);
        store.enqueue(&live);
        live.step(&store, 1).unwrap();
        for _ in 0..2 {
            if keys_of(&store, b'j') > 1 || keys_of(&store, b'g') > 0 {
                faults::strike(&store, at, || store.sweep(&mut Sweep::of(ALL_OLD)));
            }
        }
        sweep_all(&store, ALL_OLD);
        assert_eq!([b'j', b'k', b'x', b'g', b'e'].map(|family| keys_of(&store, family)), [1, 1, 0, 0, 0]);
        assert_eq!(counts(&live.finish(&store, 9)), [0, 1, 1]);
    }
}

#[test]
fn events_go_by_age_a_few_at_a_time() {
    let mut store = TestStore::new();
    let old = (0..2 * STEP + 50).map(|_| Event::new(NOW, EventType::Login, "")).collect();
    store.tell(Owed { events: old, ..Owed::nothing() }).unwrap();
    tell(&store, LATER);
    sweep_all(&store, Ages { events: NOW, ..YOUNG });
    assert_eq!(numbers(&store).len(), 2 * STEP + 51);
    let later = Ages { events: LATER, now: LATER, ..YOUNG };
    let mut sweep = Sweep::of(later);
    for left in [STEP + 51, 51, 1] {
        let more = store.sweep(&mut sweep).unwrap();
        assert_eq!((numbers(&store).len(), more), (left, left > 1));
    }
    assert_eq!(numbers(&store), [2 * STEP as u64 + 50]);
    sweep_all(&store, Ages { events: Timestamp::from_millis(LATER.millis() + 1), ..later });
    assert_eq!(numbers(&store), [0; 0]);
    store.restart();
    tell(&store, NOW);
    assert_eq!(numbers(&store), [2 * STEP as u64 + 51], "no number is used again");
}

fn stream(number: u8) -> LogStream {
    LogStream {
        id: StreamId::from_entropy([number; 16]),
        name: "siem".to_owned(),
        declared_as: None,
        status: StreamStatus::Active,
        sink: HttpSink {
            endpoint: "https://siem.test".to_owned(),
            authorization: None,
            content_type: "application/json".to_owned(),
            format: ContentFormat::JsonLines,
            custom_headers: Vec::new(),
            batch_size: 100,
            secret: None,
        },
        filters: Vec::new(),
        created_at: NOW,
    }
}

#[test]
fn events_that_a_stream_has_to_send_stay_longer() {
    let store = TestStore::new();
    let (fast, slow) = (stream(1), LogStream { status: StreamStatus::Suspended, ..stream(2) });
    for stream in [&fast, &slow] {
        store.create_stream(stream, Some(0), 2, Owed::nothing()).unwrap();
    }
    (0..6).for_each(|_| tell(&store, NOW));
    let reach = |stream: &LogStream, next| {
        store.note_stream_progress(&stream.id, |progress| progress.next = next).unwrap();
    };
    reach(&fast, 6);
    reach(&slow, 2);
    let old = Ages { events: LATER, unsent_events: NOW, ..YOUNG };
    sweep_all(&store, old);
    assert_eq!(numbers(&store), [2, 3, 4, 5], "the slowest stream counts");
    reach(&slow, 4);
    sweep_all(&store, old);
    assert_eq!(numbers(&store), [4, 5]);
    sweep_all(&store, Ages { unsent_events: LATER, ..old });
    assert_eq!(numbers(&store), [0; 0], "but not for ever");
    tell(&store, NOW);
    sweep_all(&store, old);
    assert_eq!(numbers(&store), [6]);
    store.delete_stream(&slow.id, Owed::nothing()).unwrap();
    reach(&fast, 7);
    sweep_all(&store, old);
    assert_eq!(numbers(&store), [0; 0], "a stream that is gone needs nothing");
}

#[test]
fn what_a_wrong_clock_dated_in_the_future_holds_up_nothing() {
    let store = TestStore::new();
    let future = NOW.after(Duration::from_hours(10_000));
    tell(&store, future);
    tell(&store, NOW);
    tell(&store, future);
    let import = Import::insert(1, rows!["ann@acme.test"]);
    let new = NewJob { created_at: future, ..import.new_job(&store.connection) };
    let upload = store.begin_upload(&import.id()).unwrap();
    let wrong = Store::enqueue(&store, new, upload, Owed::nothing()).unwrap();
    store.fail(&wrong, String::new(), future, &|_| Owed::nothing()).unwrap();
    let right = Import::insert(2, Vec::new());
    store.import(&right);
    sweep_all(&store, Ages { now: LATER, ..ALL_OLD });
    assert_eq!(numbers(&store), [0, 2], "it stays itself");
    let page = store.events(None, Order::OldestFirst, 0, 1, true).unwrap();
    assert_eq!(page.total, Some(2), "there is a hole between");
    assert!(store.job(&import.id()).unwrap().is_some());
    assert_eq!(store.job(&right.id()).unwrap(), None);
}

#[test]
fn letters_go_by_age_once_they_are_given_up_and_not_before() {
    let store = TestStore::new();
    for number in 1..4 {
        store.import(&Import::insert(number, Vec::new()));
    }
    let [due, dead, forward] = store.letters().unwrap().try_into().unwrap();
    for letter in [&dead, &forward] {
        store.letter_not_sent(letter.number, "550 no", Fate::GivenUp(NOW), Owed::nothing()).unwrap();
    }
    let left = || store.letters().unwrap().iter().map(|letter| letter.number).collect::<Vec<_>>();
    sweep_all(&store, Ages { letters: NOW, ..YOUNG });
    assert_eq!(left(), [due.number, dead.number, forward.number]);
    store.try_letter_again(forward.number, NOW, Owed::nothing()).unwrap();
    sweep_all(&store, Ages { letters: LATER, ..YOUNG });
    assert_eq!(left(), [due.number, forward.number]);
}

#[test]
fn many_dead_letters_go_a_few_at_a_time() {
    let store = TestStore::new();
    let core = store.core().unwrap();
    let mut change = database::Change::default();
    let letter =
        ended(&Import::insert(1, Vec::new()).enqueue(&store, &store.connection).unwrap()).letters.remove(0);
    for number in 1000..=1000 + STEP as u64 {
        let fate = Fate::GivenUp(NOW);
        let posted =
            crate::domain::Posted { number, letter: letter.clone(), attempts: 9, last_answer: None, fate };
        keys::LETTERS.put(&mut change, &[&number.to_be_bytes()], &posted).unwrap();
    }
    core.commit(&mut core.writer.lock(), change).unwrap().done();
    let mut sweep = Sweep::of(ALL_OLD);
    assert!(store.sweep(&mut sweep).unwrap());
    assert_eq!(keys_of(&store, b'l'), 1);
    assert!(!store.sweep(&mut sweep).unwrap());
    assert_eq!(keys_of(&store, b'l'), 0);
}

#[test]
fn tickets_go_when_they_expire() {
    let store = TestStore::new();
    store.import(&Import::insert(1, rows!["ann@acme.test"]));
    tickets::issue(&store, 1, tickets::ann(), true);
    let expiry = NOW.after(Duration::from_mins(1));
    sweep_all(&store, Ages { now: Timestamp::from_millis(expiry.millis() - 1), ..YOUNG });
    assert_eq!((keys_of(&store, b'r'), keys_of(&store, b'n')), (1, 1));
    sweep_all(&store, Ages { now: expiry, ..YOUNG });
    assert_eq!((keys_of(&store, b'r'), keys_of(&store, b'n')), (0, 0));
}
