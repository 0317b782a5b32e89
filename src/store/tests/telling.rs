//! Events and letters: numbered in the order of commits, and told once they are on disk.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::domain::{Fate, LogId};

const WRITERS: u64 = 6;
const EACH: u64 = 40;

fn event(name: String) -> Event {
    Event::new(NOW, EventType::Login, name)
}

fn letter(name: &str) -> Letter {
    Letter {
        to: "ann@acme.test".to_owned(),
        subject: name.to_owned(),
        text: String::new(),
        html: String::new(),
        message_id: name.to_owned(),
        written_at: NOW,
    }
}

fn number(logged: &Logged) -> u64 {
    logged.log_id.parse::<LogId>().unwrap().number
}

/// Follows the log until `done`; gives back the descriptions it saw.
fn follow(store: &Store, done: &AtomicBool) -> Vec<String> {
    let (mut next, mut seen) = (0, Vec::new());
    loop {
        let is_last = done.load(Ordering::SeqCst);
        let some = store.events_from(next, 7).unwrap();
        if some.is_empty() && is_last {
            return seen;
        }
        for (number, logged) in some {
            assert_eq!(number, next, "a hole, or one again");
            next += 1;
            seen.push(logged.event.description);
        }
    }
}

#[test]
fn who_follows_the_log_misses_nothing_and_sees_nothing_twice() {
    let store = TestStore::new();
    let before = commits(&store);
    let done = AtomicBool::new(false);
    let seen = std::thread::scope(|scope| {
        let reader = scope.spawn(|| follow(&store, &done));
        // Nobody is shown what is not on disk yet.
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                let newest = store.events(None, Order::NewestFirst, 0, 1, false).unwrap();
                let end = store.next_event().unwrap();
                assert!(newest.events.first().is_none_or(|newest| number(newest) < end));
                let ahead = LogId { at: NOW, number: end };
                let shown = store.event(ahead).unwrap().is_some();
                assert!(!shown || end < store.next_event().unwrap());
            }
        });
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let store = &store;
                scope.spawn(move || {
                    for at in (0..EACH).step_by(2) {
                        let name = |at: u64| format!("{writer} {at}");
                        let events = vec![event(name(at)), event(name(at + 1))];
                        store
                            .tell(Owed { events, letters: vec![letter(&name(at))], ..Owed::nothing() })
                            .unwrap();
                    }
                })
            })
            .collect();
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        done.store(true, Ordering::SeqCst);
        reader.join().unwrap()
    });
    let mut by_writer: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for name in &seen {
        let (writer, at) = name.split_once(' ').unwrap();
        by_writer.entry(writer.parse().unwrap()).or_default().push(at.parse().unwrap());
    }
    let all: BTreeMap<u64, Vec<u64>> = (0..WRITERS).map(|writer| (writer, (0..EACH).collect())).collect();
    assert_eq!(by_writer, all, "every event of a writer, in its order");
    let letters: Vec<u64> = store.letters().unwrap().iter().map(|posted| posted.number).collect();
    assert_eq!(letters.len() as u64, WRITERS * EACH / 2);
    let page = store.newest_letters(2, 3, true).unwrap();
    let newest: Vec<u64> = page.letters.iter().map(|posted| posted.number).collect();
    let wanted: Vec<u64> = letters.iter().rev().skip(2).take(3).copied().collect();
    assert_eq!((newest, page.total), (wanted, Some(letters.len())));
    let page = store.newest_letters(letters.len(), 3, false).unwrap();
    assert_eq!((page.letters, page.total), (Vec::new(), None));
    assert!(letters.is_sorted_by(|one, next| one < next), "{letters:?}");
    let needed = commits(&store) - before;
    assert!(needed < WRITERS * EACH / 2, "{needed} commits: none was shared");
}

#[test]
fn ids_go_on_when_the_clock_is_set_back_and_after_a_restart() {
    let mut store = TestStore::new();
    for millis in [2000, 1000] {
        store.tell(Event::new(Timestamp::from_millis(millis), EventType::Login, "").into()).unwrap();
    }
    store.restart();
    store.tell(Event::new(Timestamp::from_millis(1500), EventType::Login, "").into()).unwrap();
    let events = store.events_from(0, 9).unwrap();
    let dates: Vec<u64> = events.iter().map(|(_, logged)| logged.event.date.millis()).collect();
    assert_eq!(dates, [2000, 1000, 1500], "an event keeps its own time");
    let ids: Vec<&String> = events.iter().map(|(_, logged)| &logged.log_id).collect();
    assert!(ids.is_sorted_by(|one, next| one < next), "{ids:?}");
}

#[test]
fn events_are_found_by_number_by_page_and_from_either_end() {
    let store = TestStore::new();
    let events = (0..10).map(|at| event(at.to_string())).collect();
    store.tell(Owed { events, ..Owed::nothing() }).unwrap();
    let names = |page: EventPage| {
        let names: Vec<String> = page.events.into_iter().map(|logged| logged.event.description).collect();
        (names.join(""), page.total)
    };
    let even = |logged: &Logged| number(logged).is_multiple_of(2);
    let page =
        |order, skip, take, counted| names(store.events(Some(&even), order, skip, take, counted).unwrap());
    assert_eq!(page(Order::NewestFirst, 1, 2, true), ("64".to_owned(), Some(5)));
    assert_eq!(page(Order::OldestFirst, 1, 2, false), ("24".to_owned(), None));
    assert_eq!(page(Order::OldestFirst, 4, 9, true), ("8".to_owned(), Some(5)));
    assert_eq!(page(Order::OldestFirst, 5, 9, true), (String::new(), Some(5)));
    let any = |skip, counted| names(store.events(None, Order::NewestFirst, skip, 3, counted).unwrap());
    assert_eq!(any(1, true), ("876".to_owned(), Some(10)));
    assert_eq!(any(9, false), ("0".to_owned(), None));
    assert_eq!(store.events_from(8, 9).unwrap().len(), 2);
    assert_eq!(store.events_from(10, 9).unwrap().len(), 0);
    assert!(store.event(LogId { at: NOW, number: 9 }).unwrap().is_some());
    assert!(store.event(LogId { at: NOW, number: 10 }).unwrap().is_none());
}

#[test]
fn the_bell_rings_for_what_is_told_and_for_what_is_to_be_removed() {
    let store = TestStore::new();
    let rings = || store.bell().rings();
    let before = rings();
    store.update_connection(&store.connection.id, |_| {}, Owed::nothing()).unwrap();
    assert_eq!(rings(), before, "there is nothing to tell");
    store.tell(event("one".to_owned()).into()).unwrap();
    assert!(before < rings());
    let before = rings();
    store.tell(Owed { letters: vec![letter("one")], ..Owed::nothing() }).unwrap();
    assert!(before < rings());
    let before = rings();
    store.delete_connection(&store.connection.id, Owed::nothing()).unwrap();
    assert!(before < rings());
}

#[test]
fn a_letter_stays_until_it_is_sent_and_keeps_count_of_its_tries() {
    let mut store = TestStore::new();
    store.tell(Owed { letters: vec![letter("one"), letter("two")], ..Owed::nothing() }).unwrap();
    let [one, two] = store.letters().unwrap().try_into().unwrap();
    assert_eq!((one.attempts, one.fate), (0, Fate::Due(NOW)));
    let given_up = Fate::GivenUp(NOW);
    store.letter_not_sent(one.number, "451 later", given_up, Owed::nothing()).unwrap();
    store.letter_sent(two.number).unwrap();
    store.letter_not_sent(two.number, "451 later", given_up, Owed::nothing()).unwrap();
    store.restart();
    let [one] = store.letters().unwrap().try_into().unwrap();
    assert_eq!((one.attempts, one.fate), (1, given_up));
    assert_eq!(one.last_answer.as_deref(), Some("451 later"));
    let (rings, mark) = (store.bell().rings(), store.outbox_mark().unwrap());
    assert!(!store.try_letter_again(two.number, NOW, Owed::nothing()).unwrap());
    assert_eq!((store.bell().rings(), store.outbox_mark().unwrap()), (rings, mark), "nothing has happened");
    assert!(store.try_letter_again(one.number, NOW, Owed::nothing()).unwrap());
    assert_eq!(store.letter(one.number).unwrap().unwrap().fate, Fate::Due(NOW));
    for is_there in [true, false] {
        assert_eq!(store.drop_letter(one.number, event("dropped".to_owned()).into()).unwrap(), is_there);
    }
    assert_eq!(store.events_from(0, 9).unwrap().len(), 1, "it is told once");
}
