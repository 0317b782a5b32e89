//! The store's promises, tested on real directories.
//!
//! A [`TestStore`] that goes out of scope compares its directory of keys with the disk, so every test
//! ends with [`Store::check`].

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::print_stdout,
    clippy::type_complexity,
    clippy::useless_vec,
    clippy::needless_for_each,
    clippy::similar_names,
    reason = "tests"
)]

mod accepting;
mod backup;
mod beside;
mod check;
mod clients;
mod deletion;
mod doctor;
mod dump;
mod duplicates;
mod faults;
mod figures;
mod format;
mod history;
mod kills;
mod listing;
mod loss;
mod model;
mod open;
mod power;
mod readers;
mod roll_calls;
mod room;
mod sizes;
mod sweeping;
mod telling;
mod tickets;
mod users;
mod workload;

use std::ops::Deref;
use std::path::Path;
use std::time::Duration;

use super::directory::KeyHasher;
use super::*;
use crate::domain::{
    Code, Connection, ConnectionId, Email, Event, EventType, FailedRow, Fault, FileFault, IdSeries, Job,
    JobId, Letter, Logged, Owed, Position, Profile, Stage, Summary, Ticket, User, UserId, Username,
};

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// A store in a directory of its own, with one connection.
struct TestStore {
    /// `None` while it is closed.
    store: Option<Store>,
    connection: Connection,
    options: Options,
    mask: u64,
    _directory: tempfile::TempDir,
}

impl TestStore {
    fn new() -> Self {
        Self::hashing(u64::MAX)
    }

    /// A store whose keys have the hash bits of `mask` only.
    fn hashing(mask: u64) -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self::with(options(&directory.path().join("data")), directory, mask)
    }

    fn limited_to(active_jobs: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options =
            Options { max_active_jobs: Some(active_jobs), ..options(&directory.path().join("data")) };
        Self::with(options, directory, u64::MAX)
    }

    fn with(options: Options, directory: tempfile::TempDir, mask: u64) -> Self {
        let store = Store::open_hashing(options.clone(), KeyHasher::new(mask), OnLoss::Refuse).unwrap();
        let connection = store.create_connection(connection(1), Owed::nothing()).unwrap();
        Self { store: Some(store), connection, options, mask, _directory: directory }
    }

    /// Closes the store and opens it again, as a restart does.
    fn restart(&mut self) {
        self.close();
        self.open().unwrap();
    }

    fn close(&mut self) {
        self.store = None;
    }

    fn open(&mut self) -> Result<()> {
        self.open_despite(OnLoss::Refuse)
    }

    fn open_despite(&mut self, on_loss: OnLoss) -> Result<()> {
        let store = Store::open_hashing(self.options.clone(), KeyHasher::new(self.mask), on_loss)?;
        self.store = Some(store);
        Ok(())
    }

    fn enqueue(&self, import: &Import) -> Arc<Job> {
        import.enqueue(self, &self.connection).unwrap()
    }

    /// Imports rows in chunks of at most this many; gives back the job as it ended.
    fn import_in_chunks(&self, import: &Import, chunk: usize) -> Arc<Job> {
        self.enqueue(import);
        import.finish(self, chunk)
    }

    fn import(&self, import: &Import) -> Arc<Job> {
        self.import_in_chunks(import, usize::MAX)
    }

    /// Code and `duplicate_of` of each fault of each failed row.
    fn failures(&self, import: &Import) -> Vec<(u64, Vec<(Code, Option<u64>)>)> {
        failed_rows(self, import).into_iter().map(|row| (row.index, verdicts(&row))).collect()
    }

    fn by_email(&self, email: &str) -> Option<User> {
        self.users_by_email(email).unwrap().pop().map(|(user, _)| user)
    }

    fn by_username(&self, name: &str) -> Option<User> {
        self.users_by_username(name).unwrap().pop().map(|(user, _)| user)
    }

    fn users(&self) -> Vec<User> {
        scan(self, &self.connection)
    }
}

impl Deref for TestStore {
    type Target = Store;
    fn deref(&self) -> &Store {
        self.store.as_ref().unwrap()
    }
}

impl Drop for TestStore {
    fn drop(&mut self) {
        if let Some(store) = self.store.as_ref().filter(|_| !std::thread::panicking()) {
            assert_eq!(store.check().unwrap(), Vec::<String>::new());
        }
    }
}

fn options(path: &Path) -> Options {
    Options {
        path: path.to_owned(),
        cache_bytes: 16 << 20,
        min_free_disk: 0,
        reserve: 0,
        max_active_jobs: None,
        open_timeout: Duration::from_mins(1),
    }
}

fn connection(number: u8) -> Connection {
    Connection::database(ConnectionId::from_entropy([number; 16]), format!("connection-{number}"), Vec::new())
}

fn scan(store: &Store, connection: &Connection) -> Vec<User> {
    let mut users = Vec::new();
    store.scan(connection, |user| users.push(user)).unwrap();
    users
}

fn verdicts(row: &FailedRow) -> Vec<(Code, Option<u64>)> {
    row.faults.iter().map(|fault| (fault.code, fault.duplicate_of)).collect()
}

/// What is owed for the end of a job: one event and one letter, which name it.
fn ended(job: &Job) -> Owed {
    let letter = Letter {
        to: "owner@acme.test".to_owned(),
        subject: job.id.to_string(),
        text: String::new(),
        html: String::new(),
        message_id: job.id.to_string(),
        written_at: NOW,
    };
    let event = Event::new(NOW, EventType::ImportCompleted, "Done").with("job_id", job.id.as_str());
    Owed { events: vec![event], letters: vec![letter], ..Owed::nothing() }
}

/// The event of a job that was accepted.
fn accepted(id: &JobId) -> Owed {
    Event::new(NOW, EventType::ApiSuccess, "Accepted").with("job_id", id.as_str()).into()
}

/// Checks that every job is told of as [`accepted`] once, every ended one as [`ended`] once by an event
/// and once by a letter, and that nothing else is.
#[track_caller]
fn assert_jobs_told(store: &Store) {
    let jobs = |wanted: &dyn Fn(&Job) -> bool| {
        let jobs = store.jobs(wanted, 0, usize::MAX, false).unwrap().jobs;
        let mut ids: Vec<String> = jobs.iter().map(|job| job.id.to_string()).collect();
        ids.sort();
        ids
    };
    let events = |kind: EventType| {
        let is_it = |logged: &Logged| logged.event.r#type == kind;
        let events = store.events(Some(&is_it), Order::OldestFirst, 0, usize::MAX, false).unwrap().events;
        let id = |logged: &Logged| logged.event.details["job_id"].as_str().unwrap().to_owned();
        let mut ids: Vec<String> = events.iter().map(id).collect();
        ids.sort();
        ids
    };
    let mut letters: Vec<String> =
        store.letters().unwrap().into_iter().map(|posted| posted.letter.subject).collect();
    letters.sort();
    let has_ended = |job: &Job| job.progress().is_none();
    assert_eq!(events(EventType::ApiSuccess), jobs(&|_| true), "accepted");
    assert_eq!(events(EventType::ImportCompleted), jobs(&has_ended), "ended, as events");
    assert_eq!(letters, jobs(&has_ended), "ended, as letters");
}

/// How many keys a family has.
fn keys_of(store: &Store, family: u8) -> usize {
    store.core().unwrap().database.tree().scan_prefix([family]).count()
}

/// All pages of a job's failed rows.
fn failed_rows(store: &Store, import: &Import) -> Vec<FailedRow> {
    let Some(job) = store.job(&import.id()).unwrap() else {
        return Vec::new();
    };
    let mut rows = Vec::new();
    let mut from = Some(0);
    while let Some(first) = from {
        let (page, next) = store.failed_rows(job.ticket, first).unwrap();
        rows.extend(page);
        from = next;
    }
    rows
}

fn summary(job: &Job) -> Summary {
    match &job.stage {
        Stage::Pending(progress) => progress.summary,
        Stage::Completed { summary, .. } | Stage::Failed { summary, .. } => *summary,
    }
}

/// Inserted, updated, failed.
fn counts(job: &Job) -> [u64; 3] {
    let summary = summary(job);
    assert_eq!(summary.total, summary.inserted + summary.updated + summary.failed);
    [summary.inserted, summary.updated, summary.failed]
}

/// A row of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Row {
    email: String,
    verified: bool,
    username: Option<String>,
    id: Option<UserId>,
    app_metadata: Option<String>,
    user_metadata: Option<String>,
    /// Refused by a rule before the store sees it.
    malformed: bool,
}

impl From<&str> for Row {
    fn from(email: &str) -> Self {
        Self { email: email.to_owned(), ..Self::default() }
    }
}

impl From<(&str, &str)> for Row {
    fn from((email, username): (&str, &str)) -> Self {
        Self { username: Some(username.to_owned()), ..Self::from(email) }
    }
}

impl Row {
    fn app(self, json: &str) -> Self {
        Self { app_metadata: Some(json.to_owned()), ..self }
    }

    fn user(self, json: &str) -> Self {
        Self { user_metadata: Some(json.to_owned()), ..self }
    }

    fn candidate(&self) -> Candidate<'_> {
        Candidate {
            email: Email::parse(&self.email).unwrap(),
            email_verified: self.verified,
            username: self.username.as_ref().map(|name| Username::parse(name).unwrap()),
            id: self.id.clone(),
            blocked: false,
            profile: Profile::default(),
            app_metadata: self.app_metadata.as_deref().map(Into::into),
            user_metadata: self.user_metadata.as_deref().map(Into::into),
        }
    }

    fn report(&self, index: u64, faults: Vec<Fault>) -> FailedRow {
        FailedRow { index, line: index + 1, user: format!("{{\"email\":\"{}\"}}", self.email), faults }
    }
}

/// Rows from e-mail addresses, or pairs of an address and a user name.
macro_rules! rows {
    ($($row:expr),* $(,)?) => { vec![$($crate::store::tests::Row::from($row)),*] };
}
use rows;

/// An upload, always the same for the same number: its ids can be compared between stores.
#[derive(Debug, Clone)]
struct Import {
    number: u8,
    upsert: bool,
    rows: Vec<Row>,
}

impl Import {
    fn insert(number: u8, rows: Vec<Row>) -> Self {
        Self { number, upsert: false, rows }
    }

    fn upsert(number: u8, rows: Vec<Row>) -> Self {
        Self { upsert: true, ..Self::insert(number, rows) }
    }

    fn id(&self) -> JobId {
        JobId::from_entropy([self.number; 16])
    }

    fn ids(&self) -> IdSeries {
        IdSeries::new(NOW, [self.number; 8])
    }

    fn new_job(&self, connection: &Connection) -> NewJob {
        NewJob {
            id: self.id(),
            connection: connection.clone(),
            external_id: None,
            upsert: self.upsert,
            send_completion_email: false,
            created_at: NOW,
            ids: self.ids(),
            rows: Ok(self.rows.len() as u64),
        }
    }

    fn enqueue(&self, store: &Store, connection: &Connection) -> Result<Arc<Job>> {
        let mut upload = store.begin_upload(&self.id())?;
        upload.write(b"[]")?;
        store.enqueue(self.new_job(connection), upload, accepted(&self.id()))
    }

    /// The job's next chunk, of at most this many rows.
    fn chunk(&self, store: &Store, job: &Job, most: usize) -> Vec<ChunkRow> {
        let first = job.progress().unwrap().next.row as usize;
        let end = first.saturating_add(most).min(self.rows.len());
        (first..end)
            .map(|at| (at as u64, &self.rows[at]))
            .map(|(index, row)| ChunkRow {
                index,
                end: Position { row: index + 1, byte: (index + 1) * 100, line: index + 2 },
                verdict: if row.malformed {
                    let fault = Fault::of_row(Code::InvalidFormat, "malformed");
                    Err(row.report(index, vec![fault]))
                } else {
                    Ok(store
                        .draft(&row.candidate(), &self.ids().id(index), (job.ticket, index), NOW)
                        .unwrap())
                },
            })
            .collect()
    }

    fn apply(&self, store: &Store, job: &Job, chunk: &[ChunkRow]) -> Result<Arc<Job>> {
        let failed_row = &|at: usize, faults| {
            let index = chunk[at].index;
            self.rows[index as usize].report(index, faults)
        };
        store.apply(job, chunk, NOW, Words { failed_row, ended: &ended })
    }

    /// Writes the next chunk of the job as the store knows it.
    fn step(&self, store: &Store, most: usize) -> Result<Arc<Job>> {
        let job = store.job(&self.id())?.unwrap();
        self.apply(store, &job, &self.chunk(store, &job, most))
    }

    fn finish(&self, store: &Store, most: usize) -> Arc<Job> {
        loop {
            let job = self.step(store, most).unwrap();
            if job.progress().is_none() {
                return job;
            }
        }
    }
}

/// Numbers without a pattern, the same each time.
#[derive(Debug, Clone)]
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// A JSON object of about this many bytes that does not compress.
    fn noise(&mut self, bytes: usize) -> String {
        const LETTERS: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-";
        let text: String =
            (0..bytes.saturating_sub(8)).map(|_| char::from(LETTERS[self.below(64) as usize])).collect();
        format!("{{\"n\":\"{text}\"}}")
    }
}

/// A number from the environment, for longer runs than the usual one.
fn setting(name: &str, usual: usize) -> usize {
    std::env::var(name).map_or(usual, |value| value.parse().unwrap())
}

/// How many changes there were.
fn commits(store: &TestStore) -> u64 {
    store.core().unwrap().writer.lock().head.commit
}
