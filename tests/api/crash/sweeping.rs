//! The server is killed while it removes what is old: that goes as a whole, and nothing else does.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use intake::domain::{
    Code, Event, EventType, FailedRow, Fate, Fault, IdSeries, Job, JobId, Letter, Owed, Position, Timestamp,
};
use intake::store::{ChunkRow, NewJob, Order, Store, Words};

use super::house::{House, kill_at_start, wait_until_it_listens};
use super::{Dice, wanted_kills};
use crate::logs::ago;

const OLD: u16 = 450;
const YOUNG: u16 = 50;

fn id(number: u16) -> JobId {
    let mut entropy = [7; 16];
    // A letter of the id has fewer values than a byte.
    entropy[0] = u8::try_from(number / 50).unwrap();
    entropy[1] = u8::try_from(number % 50).unwrap();
    JobId::from_entropy(entropy)
}

fn is_old(number: u16) -> bool {
    number < OLD
}

/// A job that ended at this time with a failed row, an event of that time, and now and then a letter given up.
fn leave(store: &Store, number: u16, at: Timestamp) {
    let connection = store.connections().unwrap().remove(0);
    let mut upload = store.begin_upload(&id(number)).unwrap();
    upload.write(b"[1]").unwrap();
    let new = NewJob {
        id: id(number),
        connection,
        external_id: Some(number.to_string()),
        upsert: false,
        send_completion_email: false,
        created_at: at,
        ids: IdSeries::new(at, [0; 8]),
        rows: Ok(1),
    };
    let job = store.enqueue(new, upload, Owed::nothing()).unwrap();
    let fault = Fault::of_row(Code::InvalidType, "wrong");
    let failed = FailedRow::new(0, 1, "1".to_owned(), vec![fault]);
    let row = ChunkRow { index: 0, end: Position { row: 1, byte: 3, line: 1 }, verdict: Err(failed.clone()) };
    let ended = |job: &Job| told(job, at);
    let words = Words { failed_row: &|_, _| failed.clone(), ended: &ended };
    store.apply(&job, &[row], at, words).unwrap();
}

fn told(job: &Job, at: Timestamp) -> Owed {
    let name = job.external_id.clone().unwrap();
    let mut owed = Owed::from(Event::new(at, EventType::ImportCompleted, name.clone()));
    let letter = Letter {
        to: "ann@example.test".to_owned(),
        subject: name.clone(),
        text: String::new(),
        html: String::new(),
        message_id: format!("{name}@example.test"),
        written_at: at,
    };
    owed.letters.extend(name.ends_with('5').then_some(letter));
    owed
}

/// The old ones come before the young ones, as jobs do.
fn furnish(store: &Store) {
    for (numbers, minutes) in [(0..OLD, 120), (OLD..OLD + YOUNG, 30)] {
        thread::scope(|scope| {
            for part in 0..10 {
                let mine = numbers.clone().filter(move |number| number % 10 == part);
                scope.spawn(move || {
                    for number in mine {
                        leave(store, number, ago(minutes));
                    }
                });
            }
        });
    }
    for letter in store.letters().unwrap() {
        let fate = Fate::GivenUp(letter.letter.written_at);
        store.letter_not_sent(letter.number, "550 no", fate, Owed::nothing()).unwrap();
    }
}

/// How many old jobs are left. All that is young has to be there, and each job with its failed row.
fn look(store: &Store) -> usize {
    let mut left = 0;
    let events = store.events(None, Order::OldestFirst, 0, usize::MAX, false).unwrap().events;
    let letters = store.letters().unwrap();
    for number in 0..OLD + YOUNG {
        let name = number.to_string();
        let Some(job) = store.job(&id(number)).unwrap() else {
            assert!(is_old(number), "job {number} is gone");
            continue;
        };
        assert_eq!(store.failed_rows(job.ticket, 0).unwrap().0.len(), 1, "job {number}");
        if is_old(number) {
            left += 1;
            continue;
        }
        assert!(events.iter().any(|logged| logged.event.description == name), "event {number} is gone");
        let has_letter = letters.iter().any(|letter| letter.letter.subject == name);
        assert_eq!(has_letter, name.ends_with('5'), "the letter of job {number}");
    }
    left
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn killed_while_it_removes_what_is_old_it_removes_nothing_else() {
    let settings = [
        ("INTAKE_MAIL_TRANSPORT", "off"),
        ("INTAKE_RETENTION_JOBS", "1h"),
        ("INTAKE_RETENTION_LOGS", "1h"),
        ("INTAKE_RETENTION_LETTERS", "1h"),
        ("INTAKE_RETENTION_CHECK_EVERY", "100ms"),
        ("INTAKE_RETENTION_CLOCK_PATIENCE", "0s"),
    ];
    let furnished = House::with(&settings, None, None);
    drop(furnished.start());
    furnish(&furnished.open());
    let mut dice = Dice(3);
    let (mut kills, mut midway, mut laps) = (0, 0, 0);
    while kills < wanted_kills() / 4 {
        let house = House::with(&settings, None, None);
        copy(&furnished.data(), &house.data());
        let mut left = look(&house.open());
        assert_eq!(left, usize::from(OLD));
        while left > 0 {
            let mut child = house.begin_to_start();
            // It begins to remove right before it listens.
            if dice.below(4) > 0 {
                wait_until_it_listens(&mut child);
            }
            thread::sleep(Duration::from_micros(dice.below(80_000)));
            kill_at_start(child);
            kills += 1;
            let before = left;
            left = look(&house.open());
            assert!(left <= before);
            midway += usize::from(0 < left && left < usize::from(OLD));
        }
        let store = house.open();
        let jobs = store.jobs(&|_| true, 0, usize::MAX, false).unwrap().jobs;
        assert_eq!(jobs.len(), usize::from(YOUNG));
        laps += 1;
    }
    eprintln!("{kills} kills, {midway} of them with some of it gone, in {laps} laps");
    assert!(midway > 0, "no kill met the removal");
}
