//! What is old goes by itself, and what is not stays.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use intake::domain::{Event, EventType, Fate, IdSeries, JobId, Letter, Owed, Timestamp};
use intake::store::{NewJob, Store};
use serde_json::json;

use crate::helpers::{PATIENCE, Server};
use crate::logs::{ago, open};

fn rows(count: usize) -> String {
    let row = |at| json!({ "email": format!("user{at}@example.test"), "email_verified": true }).to_string();
    format!("[{}]", (0..count).map(row).collect::<Vec<_>>().join(",\n"))
}

/// The server was away for longer than its clock is believed otherwise.
const BELIEVING: (&str, &str) = ("INTAKE_RETENTION_CLOCK_PATIENCE", "0s");

#[track_caller]
fn wait_until(mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "it takes too long");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A job that failed at this time, an event of that time, and a letter given up then.
fn leave(store: &Store, number: u8, at: Timestamp) {
    let connection = store.connections().unwrap().remove(0);
    let id = JobId::from_entropy([number; 16]);
    let mut upload = store.begin_upload(&id).unwrap();
    upload.write(b"[]").unwrap();
    let new = NewJob {
        id,
        connection,
        external_id: None,
        upsert: false,
        send_completion_email: false,
        created_at: at,
        ids: IdSeries::new(at, [number; 8]),
        rows: Ok(1),
    };
    let job = store.enqueue(new, upload, Event::new(at, EventType::ApiSuccess, "").into()).unwrap();
    let letter = Letter {
        to: "ann@example.test".to_owned(),
        subject: number.to_string(),
        text: String::new(),
        html: String::new(),
        message_id: format!("{number}@example.test"),
        written_at: at,
    };
    let owed = Owed { letters: vec![letter], ..Owed::nothing() };
    store.fail(&job, "left behind".to_owned(), at, &|_| owed.clone()).unwrap();
    let letter = store.letters().unwrap().pop().unwrap();
    store.letter_not_sent(letter.number, "550 no", Fate::GivenUp(at), Owed::nothing()).unwrap();
}

/// Lets a server with these settings remove what is old, until the first job is gone; tells which jobs,
/// events and letters are left of two: from two hours and from half an hour ago.
fn left_after(settings: &[(&str, &str)]) -> [usize; 3] {
    let directory = tempfile::tempdir().unwrap();
    drop(Server::on(directory.path(), &[]));
    let store = open(directory.path());
    (1..).zip([120, 30]).for_each(|(number, minutes)| leave(&store, number, ago(minutes)));
    drop(store);
    let server = Server::on(
        directory.path(),
        &[settings, &[("INTAKE_RETENTION_CHECK_EVERY", "100ms"), BELIEVING]].concat(),
    );
    let path = format!("/api/v2/jobs/{}", JobId::from_entropy([1; 16]));
    wait_until(|| server.get(&path).status == 404);
    assert!(server.stop().success());
    let store = open(directory.path());
    let events = store.events_from(0, 99).unwrap();
    let events = events.iter().filter(|(_, logged)| logged.event.description.is_empty()).count();
    let jobs = store.jobs(&|_| true, 0, 99, false).unwrap().jobs.len();
    assert_eq!(fs::read_dir(directory.path().join("spool")).unwrap().count(), 0);
    [jobs, events, store.letters().unwrap().len()]
}

#[test]
fn jobs_events_and_letters_go_at_the_age_that_is_set_for_each() {
    let jobs = ("INTAKE_RETENTION_JOBS", "1h");
    assert_eq!(left_after(&[jobs]), [1, 2, 2]);
    assert_eq!(left_after(&[jobs, ("INTAKE_RETENTION_LOGS", "1h")]), [1, 1, 2]);
    assert_eq!(left_after(&[jobs, ("INTAKE_RETENTION_LETTERS", "1h")]), [1, 2, 1]);
    assert_eq!(
        left_after(&[jobs, ("INTAKE_RETENTION_LOGS", "1m"), ("INTAKE_RETENTION_LETTERS", "1m")]),
        [1, 0, 0]
    );
}

#[test]
fn a_running_server_forgets_jobs_and_events_and_keeps_users() {
    let settings = [
        ("INTAKE_RETENTION_JOBS", "1s"),
        ("INTAKE_RETENTION_LOGS", "1s"),
        ("INTAKE_RETENTION_UNSENT_LOGS", "1s"),
        ("INTAKE_RETENTION_CHECK_EVERY", "100ms"),
        ("INTAKE_IMPORT_MAX_FILE_SIZE", "50MB"),
    ];
    let server = Server::ephemeral_with(&settings);
    // Worked on for longer than ended jobs are kept.
    let job = server.import(&rows(60_000).replace("user7@example.test", "no address"), false);
    assert_eq!(job["summary"], json!({ "failed": 1, "updated": 0, "inserted": 59_999, "total": 60_000 }));
    let path = format!("/api/v2/jobs/{}", job["id"].as_str().unwrap());
    wait_until(|| server.get(&path).status == 404);
    server.get(&format!("{path}/errors")).assert_refusal(
        404,
        "Not Found",
        "The job does not exist",
        "inexistent_job",
    );
    wait_until(|| server.get("/api/v2/logs").json() == json!([]));
    assert_eq!(server.get("/api/v2/jobs").json(), json!([]));
    assert_eq!(server.user("user59999@example.test")["email_verified"], true);
    assert_eq!(server.import(&rows(3), false)["summary"]["failed"], 3);
}
