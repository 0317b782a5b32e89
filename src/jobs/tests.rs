//! What the engine makes of jobs that others left behind.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::path::Path;
use std::time::Instant;

use super::*;
use crate::domain::{Connection, ConnectionId, IdSeries, JobId, RowSchema};
use crate::import::Scanner;
use crate::store::{NewJob, Options};

const LIMITS: Limits = Limits { max_metadata_bytes: 64 << 10, schema: RowSchema::Basic };
const WORKERS: NonZeroUsize = NonZeroUsize::MIN;

fn open(directory: &Path) -> Arc<Store> {
    let options = Options {
        path: directory.to_owned(),
        cache_bytes: 8 << 20,
        min_free_disk: 0,
        reserve: 0,
        max_active_jobs: None,
        open_timeout: Duration::from_mins(1),
    };
    Arc::new(Store::open(options).unwrap())
}

/// Owes nobody anything.
fn quiet() -> Ended {
    Box::new(|_| Owed::nothing())
}

fn connection(store: &Store) -> Connection {
    let id = ConnectionId::from_entropy([1; 16]);
    store
        .create_connection(Connection::database(id, "users".to_owned(), Vec::new()), Owed::nothing())
        .unwrap()
}

fn accept(store: &Store, connection: &Connection, number: u8, file: &str) -> Arc<Job> {
    let id = JobId::from_entropy([number; 16]);
    let mut upload = store.begin_upload(&id).unwrap();
    upload.write(file.as_bytes()).unwrap();
    let mut scanner = Scanner::new();
    scanner.push_unreported(file.as_bytes());
    let new = NewJob {
        id,
        connection: connection.clone(),
        external_id: None,
        upsert: false,
        send_completion_email: false,
        created_at: now(),
        ids: IdSeries::new(now(), [number; 8]),
        rows: scanner.finish(),
    };
    store.enqueue(new, upload, Owed::nothing()).unwrap()
}

fn ended(store: &Store, job: &Job) -> Arc<Job> {
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let job = store.job(&job.id).unwrap().unwrap();
        if job.progress().is_none() {
            return job;
        }
        assert!(Instant::now() < deadline, "{job:?}");
        thread::sleep(Duration::from_millis(1));
    }
}

fn row(name: &str) -> String {
    format!(r#"[{{"email":"{name}@example.test","email_verified":true}}]"#)
}

/// Every attempt is noted before it is made, so that one that ends the process counts.
#[test]
fn a_job_that_keeps_ending_the_process_is_given_up_and_the_next_one_runs() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let connection = connection(&store);
    let deadly = accept(&store, &connection, 1, &row("deadly"));
    let unlucky = accept(&store, &connection, 2, &row("unlucky"));
    for attempt in 1..=MAX_ATTEMPTS {
        let job = store.unfinished_job(deadly.ticket).unwrap().unwrap();
        assert_eq!(store.try_again(&job).unwrap().attempts, attempt);
    }
    let job = store.unfinished_job(unlucky.ticket).unwrap().unwrap();
    store.try_again(&job).unwrap();
    drop(store);

    let store = open(directory.path());
    let engine = Engine::start(store.clone(), LIMITS, WORKERS, quiet()).unwrap();
    let Stage::Failed { reason, summary, .. } = &ended(&store, &deadly).stage else { panic!() };
    assert!(reason.contains(&format!("stopped {MAX_ATTEMPTS} times")), "{reason}");
    assert_eq!(summary.total, 0);
    assert!(
        matches!(ended(&store, &unlucky).stage, Stage::Completed { summary, .. } if summary.inserted == 1)
    );
    engine.stop();
    assert_eq!(store.check().unwrap(), Vec::<String>::new());
}

#[test]
fn a_job_whose_file_is_gone_or_too_short_ends_with_the_reason() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let connection = connection(&store);
    let gone = accept(&store, &connection, 1, &row("gone"));
    let short = accept(&store, &connection, 2, &row("short"));
    let spool = directory.path().join("spool");
    std::fs::remove_file(spool.join(format!("{}.json", gone.id))).unwrap();
    std::fs::write(spool.join(format!("{}.json", short.id)), "[]").unwrap();
    let _engine = Engine::start(store.clone(), LIMITS, WORKERS, quiet()).unwrap();
    for job in [gone, short] {
        let Stage::Failed { reason, .. } = &ended(&store, &job).stage else { panic!() };
        assert!(reason.starts_with("The uploaded file cannot be read: "), "{reason}");
    }
}

#[test]
fn a_stopped_engine_leaves_its_jobs_to_the_next() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let connection = connection(&store);
    let engine = Engine::start(store.clone(), LIMITS, WORKERS, quiet()).unwrap();
    engine.stop();
    let job = accept(&store, &connection, 1, &row("patient"));
    engine.submit(job.ticket);
    drop(engine);
    assert!(store.job(&job.id).unwrap().unwrap().progress().is_some());
    let _engine = Engine::start(store.clone(), LIMITS, WORKERS, quiet()).unwrap();
    assert!(matches!(ended(&store, &job).stage, Stage::Completed { summary, .. } if summary.inserted == 1));
}

#[test]
fn percent_and_time_left_are_those_of_the_bytes_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let connection = connection(&store);
    let engine = Engine::start(store.clone(), LIMITS, WORKERS, quiet()).unwrap();
    engine.stop();
    let blanks = " ".repeat(usize::try_from(FIRST_GUESS).unwrap());
    let first = accept(&store, &connection, 1, &format!("[]{blanks}"));
    let second = accept(&store, &connection, 2, &format!("[]{blanks}"));
    assert_eq!((engine.percentage_done(&first), engine.time_left_seconds(&first)), (0, 2));
    assert_eq!((engine.percentage_done(&second), engine.time_left_seconds(&second)), (0, 3));
}

#[test]
fn tiny_files_do_not_change_what_is_thought_of_the_pace() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let connection = connection(&store);
    let engine = Engine::start(store.clone(), LIMITS, WORKERS, quiet()).unwrap();
    let tiny = accept(&store, &connection, 1, "[]");
    engine.submit(tiny.ticket);
    ended(&store, &tiny);
    engine.stop();
    let blanks = " ".repeat(usize::try_from(FIRST_GUESS).unwrap());
    let large = accept(&store, &connection, 2, &format!("[]{blanks}"));
    assert_eq!(engine.time_left_seconds(&large), 2);
}

#[test]
fn a_job_whose_connection_was_deleted_fails_and_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let connection = connection(&store);
    let jobs = [accept(&store, &connection, 1, &row("ann")), accept(&store, &connection, 2, "[]")];
    store.delete_connection(&connection.id, Owed::nothing()).unwrap();
    let engine = Engine::start(store.clone(), LIMITS, WORKERS, quiet()).unwrap();
    for job in jobs {
        match &ended(&store, &job).stage {
            Stage::Failed { reason, .. } => assert!(reason.starts_with("CONNECTION_NOT_FOUND: "), "{reason}"),
            other => panic!("{other:?}"),
        }
    }
    engine.stop();
}
