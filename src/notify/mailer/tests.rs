//! The mailer against ways that fail.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::net::TcpListener;
use std::path::Path;

use super::*;
use crate::domain::Letter;
use crate::notify::post::{PostSettings, Security, SmtpSettings, Way};
use crate::store::Options;

const PATIENCE: Patience = Patience {
    retry_first: Duration::from_secs(10),
    retry_longest: Duration::from_hours(1),
    give_up_after: Duration::from_hours(72),
};

fn open(directory: &Path) -> Arc<Store> {
    let options = Options {
        path: directory.join("data"),
        cache_bytes: 1 << 20,
        min_free_disk: 0,
        reserve: 0,
        max_active_jobs: None,
        open_timeout: Duration::from_mins(1),
    };
    Arc::new(Store::open(options).unwrap())
}

fn write(store: &Store, numbers: std::ops::Range<u64>, written_at: Timestamp) {
    let letter = |number| Letter {
        to: "ann@acme.test".to_owned(),
        subject: String::new(),
        text: String::new(),
        html: String::new(),
        message_id: format!("{number}@acme.test"),
        written_at,
    };
    store.tell(Owed { letters: numbers.map(letter).collect(), ..Owed::nothing() }).unwrap();
}

fn rounds(store: &Arc<Store>) -> Rounds {
    Rounds {
        store: Arc::downgrade(store),
        bell: store.bell().clone(),
        stopping: Arc::default(),
        patience: PATIENCE,
        rest: None,
        seen: None,
    }
}

/// A mail server that is not there.
fn nowhere() -> Post {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    post(Way::Smtp(SmtpSettings {
        host: "127.0.0.1".to_owned(),
        port: Some(port),
        security: Security::None,
        login: None,
        ca_file: None,
        timeout: Duration::from_secs(1),
    }))
}

fn post(way: Way) -> Post {
    Post::new(PostSettings { from: "intake@acme.test".to_owned(), way }).unwrap()
}

/// Rounds until there is nothing more to do for now; tells how long.
fn play(rounds: &mut Rounds, post: &Post) -> Duration {
    loop {
        match rounds.round(post) {
            Ok(Duration::ZERO) => {}
            Ok(pause) => return pause,
            Err(Cut::Closed) => panic!("the store is closed"),
            Err(Cut::Fault(fault)) => panic!("the store failed: {fault}"),
        }
    }
}

/// How often each letter was tried.
fn attempts(store: &Store) -> Vec<u32> {
    store.letters().unwrap().iter().map(|letter| letter.attempts).collect()
}

#[test]
fn pauses_double_up_to_the_longest() {
    let pauses: Vec<u64> = [1, 2, 3, 9, 10, 11, u32::MAX].map(|n| PATIENCE.pause(n).as_secs()).to_vec();
    assert_eq!(pauses, [10, 20, 40, 2560, 3600, 3600, 3600]);
}

#[test]
fn one_letter_is_tried_while_there_is_no_server() {
    let directory = tempfile::tempdir().unwrap();
    let (store, post) = (open(directory.path()), nowhere());
    let mut rounds = rounds(&store);
    write(&store, 0..50, now());
    let pause = play(&mut rounds, &post);
    assert!(Duration::from_secs(5) < pause && pause <= Duration::from_secs(10), "{pause:?}");
    assert_eq!(attempts(&store).iter().sum::<u32>(), 1);
    // A new letter does not disturb the rest; putting one forward ends it.
    write(&store, 50..51, now());
    play(&mut rounds, &post);
    assert_eq!(attempts(&store).iter().sum::<u32>(), 1);
    let last = store.letters().unwrap().pop().unwrap();
    assert!(store.try_letter_again(last.number, now(), Owed::nothing()).unwrap());
    let pause = play(&mut rounds, &post);
    assert!(Duration::from_secs(10) < pause && pause <= Duration::from_secs(20), "{pause:?}");
    assert_eq!(attempts(&store).iter().sum::<u32>(), 2);
    // There is a way again: all go, but those that were tried have their own time.
    let files = self::post(Way::File(directory.path().join("mail")));
    rounds.rest = None;
    rounds.seen = None;
    play(&mut rounds, &files);
    assert_eq!(attempts(&store), [1, 1]);
}

#[test]
fn letters_too_old_are_given_up_together_and_told_of() {
    let directory = tempfile::tempdir().unwrap();
    let (store, post) = (open(directory.path()), nowhere());
    write(&store, 0..3, now().before(PATIENCE.give_up_after));
    write(&store, 3..4, now());
    play(&mut rounds(&store), &post);
    let fates: Vec<bool> =
        store.letters().unwrap().iter().map(|letter| matches!(letter.fate, Fate::Due(_))).collect();
    assert_eq!(fates, [false, false, false, true]);
    let events = store.events_from(0, 10).unwrap();
    let told = events.iter().filter(|(_, logged)| logged.event.r#type == EventType::MailNotSent);
    assert_eq!(told.count(), 3);
}

#[test]
fn a_clock_that_was_set_back_holds_up_no_letter() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    write(&store, 0..1, now().after(Duration::from_hours(24 * 365)));
    let files = post(Way::File(directory.path().join("mail")));
    play(&mut rounds(&store), &files);
    assert_eq!(store.letters().unwrap(), []);
}

#[test]
fn the_end_of_the_store_is_the_end_of_the_mailer() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let mut rounds = rounds(&store);
    drop(store);
    assert!(matches!(rounds.round(&nowhere()), Err(Cut::Closed)));
}
