//! Power cuts of a whole server: what it asks of the disk and what it answers are recorded, and data directories are
//! rebuilt as a disk may show them after the power failed. What had been answered by then has to be there.
//!
//! The limits are the real ones: commits of up to 3 MB. The recording is made by strace; where that is missing the
//! tests say so and pass. `INTAKE_CUTS` sets how many cuts there are.

#[path = "../power/record.rs"]
#[allow(dead_code, reason = "the tests of the store use the rest")]
pub mod record;

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, SystemTime};

use flate2::read::GzDecoder;
use intake::domain::{ExportFormat, Stage, TicketKind};
use intake::store::Store;
use intake::tokens::secret_hash;
use serde_json::{Value, json};

use crate::crash::Dice;
use crate::helpers::{Form, Server, escape, intake, on, open_store, until};
use record::{Deed, Luck, Record, Recorder, What};

/// Rows of a file: more than a commit takes, in rows and in bytes.
const ROWS: usize = 20_000;
const SETTINGS: &[(&str, &str)] = &[
    ("INTAKE_IMPORT_MAX_FILE_SIZE", "50MB"),
    ("INTAKE_RETENTION_JOBS", "1s"),
    ("INTAKE_RETENTION_CHECK_EVERY", "100ms"),
    ("INTAKE_TENANT_OWNERS", "ann@acme.test"),
];

/// What a server answered, and what has to be true for ever after.
#[derive(Debug, Clone)]
enum Promise {
    /// A job was accepted, with so many bytes.
    Accepted(String, String),
    /// A job has completed: these users are there.
    Completed(String),
    /// A user is at this version, or a later one.
    User(String, u64),
    Gone(String),
    /// A link was used: the password is set.
    Password(String, String),
    Client(String, String),
    NoClient(String),
    Exported(String),
    NoConnection,
}

/// A recorded run, with every promise and the line before which it was sent.
struct Run {
    record: Record,
    promises: Vec<(usize, Promise)>,
    key: Vec<u8>,
    doomed: String,
}

/// Random letters: values that fill the log.
fn noise(dice: &mut Dice, length: usize) -> String {
    (0..length).map(|_| char::from(b'a' + u8::try_from(dice.below(26)).unwrap())).collect()
}

fn file(kind: &str, rows: usize, dice: &mut Dice) -> String {
    let row = |at: usize| {
        let verified = !at.is_multiple_of(50) || at == 0;
        let email = if verified { format!("{kind}{at}@acme.test") } else { "no address".to_owned() };
        json!({ "email": email, "email_verified": true, "user_metadata": { "noise": noise(dice, 220) } })
    };
    (0..rows).map(row).collect::<Value>().to_string()
}

/// Does something of every kind, one request after the other; says what each answer promises.
struct Client<'a> {
    server: &'a Server,
    promises: Vec<Promise>,
}

impl Client<'_> {
    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let answer = self.server.send(method, path, body);
        assert!(answer.status < 300, "{method} {path}: {}", answer.text);
        serde_json::from_str(&answer.text).unwrap_or_default()
    }

    fn import(&mut self, connection: &str, file: &str, kind: &str) {
        let answer = self.server.upload(&Form::import(connection, file, false));
        let id = answer.json()["id"].as_str().unwrap().to_owned();
        self.promises.push(Promise::Accepted(id.clone(), file.to_owned()));
        let job = self.server.wait(&id);
        assert_eq!(job["status"], "completed", "{job}");
        self.promises.push(Promise::Completed(kind.to_owned()));
    }

    fn users(&mut self, connection: &str) {
        for number in 0..6 {
            let email = format!("single{number}@acme.test");
            let user = json!({
                "email": email, "connection": connection, "user_metadata": { "v": 0 }, "verify_email": number == 1,
            });
            let user = self.ask("POST", "/api/v2/users", &user);
            self.promises.push(Promise::User(email.clone(), 0));
            let path = format!("/api/v2/users/{}", escape(user["user_id"].as_str().unwrap()));
            for version in 1..4 {
                self.ask("PATCH", &path, &json!({ "user_metadata": { "v": version } }));
                self.promises.push(Promise::User(email.clone(), version));
            }
            if number % 2 == 0 {
                self.ask("DELETE", &path, &Value::Null);
                self.promises.push(Promise::Gone(email));
            }
        }
    }

    fn password(&mut self, connection: &str, email: &str) {
        let wish = json!({ "connection_id": connection, "email": email });
        let link = self.ask("POST", "/api/v2/tickets/password-change", &wish)["ticket"].clone();
        let ticket = link.as_str().unwrap().split("ticket=").nth(1).unwrap().trim_end_matches('#').to_owned();
        let password = escape("Pa55-wörd and more");
        let form = format!("ticket={ticket}&password={password}&again={password}");
        let kind = [("content-type", "application/x-www-form-urlencoded")];
        let answer = self.server.request("POST", "/u/reset-password", &kind, form.as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.text);
        self.promises.push(Promise::Password(email.to_owned(), ticket));
    }

    fn clients(&mut self) {
        for number in 0..3 {
            let client = self.ask("POST", "/api/v2/clients", &json!({ "name": format!("client {number}") }));
            let [id, secret] =
                ["client_id", "client_secret"].map(|name| client[name].as_str().unwrap().to_owned());
            self.promises.push(Promise::Client(id.clone(), secret));
            let rotated = self.ask("POST", &format!("/api/v2/clients/{id}/rotate-secret"), &json!({}));
            let secret = rotated["client_secret"].as_str().unwrap().to_owned();
            self.promises.push(Promise::Client(id.clone(), secret));
            if number == 1 {
                self.ask("DELETE", &format!("/api/v2/clients/{id}"), &Value::Null);
                self.promises.push(Promise::NoClient(id));
            }
        }
    }

    fn export(&mut self, connection: &str) {
        let wish = json!({ "connection_id": connection, "format": "json" });
        let id = self.ask("POST", "/api/v2/jobs/users-exports", &wish)["id"].as_str().unwrap().to_owned();
        assert_eq!(self.server.wait(&id)["status"], "completed");
        self.promises.push(Promise::Exported(id));
    }
}

/// Runs the server; `None` without strace.
fn run() -> Option<Run> {
    let directory = tempfile::tempdir().unwrap();
    let outer = directory.path().join("outer");
    fs::create_dir(&outer).unwrap();
    let (data, trace) = (outer.join("data"), directory.path().join("trace"));
    let command = intake(&["serve", "--bind", "127.0.0.1:0"], &on(&data, SETTINGS));
    let server = Server::started_by(record::recorded(&command, &trace)?, &data, SETTINGS);
    let connection = server.connection_id();
    let mut dice = Dice(11);
    let mut client = Client { server: &server, promises: Vec::new() };
    client.users("Username-Password-Authentication");
    client.import(&connection, &file("first", ROWS, &mut dice), "first");
    client.password(&connection, "first1@acme.test");
    client.clients();
    client.import(&connection, &file("second", ROWS, &mut dice), "second");
    client.export(&connection);
    let doomed = client.ask(
        "POST",
        "/api/v2/connections",
        &json!({ "name": "doomed", "strategy": "auth0",
        "is_domain_connection": true }),
    );
    let doomed = doomed["id"].as_str().unwrap().to_owned();
    client.import(&doomed, &file("doomed", ROWS / 4, &mut dice), "doomed");
    client.ask("DELETE", &format!("/api/v2/connections/{doomed}"), &Value::Null);
    client.promises.push(Promise::NoConnection);
    // What is left of it, and all jobs, go now.
    until("all is swept", || (server.get("/api/v2/jobs").json() == json!([])).then_some(()));
    thread::sleep(Duration::from_millis(500));
    client.export(&connection);
    let told = client.promises;
    assert!(server.stop().success());
    let key = fs::read(data.join("signing-key.pem")).unwrap();
    let mut recorder = Recorder::of(&outer);
    recorder.read(&record::whole(&trace)?);
    let record = recorder.done();
    let promises = placed(&record, told);
    Some(Run { record, promises, key, doomed })
}

/// Finds the line at which each promise was sent: answers come in the order of the requests.
fn placed(record: &Record, told: Vec<Promise>) -> Vec<(usize, Promise)> {
    let mut answers = record.deeds.iter().filter_map(|deed| match &deed.what {
        What::Told(text) => Some((deed.begin, String::from_utf8_lossy(text))),
        _ => None,
    });
    let mut place = |promise: &Promise| {
        let is_it = |text: &str| match promise {
            Promise::Accepted(id, _) => text.starts_with("HTTP/1.1 202 ") && text.contains(id.as_str()),
            Promise::Completed(_) => text.contains("\"status\":\"completed\""),
            Promise::User(email, version) => {
                text.contains(email.as_str()) && text.contains(&format!("{{\"v\":{version}}}"))
            }
            Promise::Gone(_) | Promise::NoClient(_) => text.starts_with("HTTP/1.1 204 "),
            Promise::NoConnection => text.starts_with("HTTP/1.1 20"),
            Promise::Password(..) => text.contains("text/html"),
            Promise::Client(_, secret) => text.contains(secret.as_str()),
            Promise::Exported(id) => text.contains(id.as_str()) && text.contains("\"status\":\"completed\""),
        };
        answers.find(|(_, text)| is_it(text)).unwrap_or_else(|| panic!("no answer for {promise:?}")).0
    };
    told.into_iter().map(|promise| (place(&promise), promise)).collect()
}

/// One recording serves all tests.
fn recorded() -> Option<&'static Run> {
    static RUN: OnceLock<Option<Run>> = OnceLock::new();
    RUN.get_or_init(run).as_ref()
}

impl Run {
    /// Cuts the power before a line, and looks for all that was promised by then.
    fn cut(&self, line: usize, luck: Luck, dice: &mut Dice) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        self.record.cut(line, luck, |limit| dice.below(limit), directory.path());
        let data = directory.path().join("data");
        let promised: Vec<&Promise> =
            self.promises.iter().filter(|(sent, _)| *sent < line).map(|(_, promise)| promise).collect();
        if promised.is_empty() && !data.exists() {
            return directory;
        }
        let store = open_store(&data);
        assert_eq!(store.check().unwrap(), Vec::<String>::new(), "line {line}, {luck:?}");
        if !promised.is_empty() {
            assert_eq!(fs::read(data.join("signing-key.pem")).unwrap(), self.key, "the signing key");
        }
        for promise in &promised {
            self.assert_kept(&store, promise, &promised);
        }
        directory
    }

    fn assert_kept(&self, store: &Store, promise: &Promise, all: &[&Promise]) {
        let is_told = |wanted: &dyn Fn(&Promise) -> bool| all.iter().any(|promise| wanted(promise));
        let user = |email: &str| store.users_by_email(email).unwrap().into_iter().next();
        match promise {
            Promise::Accepted(id, file) => match store.job(&id.parse().unwrap()).unwrap() {
                Some(job) if job.progress().is_some() => {
                    let kept = std::io::read_to_string(store.file(&job).unwrap()).unwrap();
                    assert!(kept == *file, "the file of job {id} is not what was sent");
                }
                Some(job) => assert!(matches!(job.stage, Stage::Completed { .. })),
                None => assert!(is_told(&|it| matches!(it, Promise::Completed(_))), "job {id} is gone"),
            },
            Promise::Completed(kind) => {
                let is_gone = self.is_deleted(store);
                for at in
                    [0, 1, ROWS / 8 + 1, ROWS / 4 - 1].into_iter().filter(|_| kind != "doomed" || !is_gone)
                {
                    assert!(user(&format!("{kind}{at}@acme.test")).is_some(), "user {at} of {kind} is gone");
                }
                let rows = if kind == "doomed" { ROWS / 4 } else { ROWS };
                let last = (0..rows).rev().find(|at| !at.is_multiple_of(50)).unwrap();
                let is_there = user(&format!("{kind}{last}@acme.test")).is_some();
                assert!(is_there || (kind == "doomed" && is_gone), "the last user of {kind} is gone");
            }
            Promise::User(email, version) => match user(email) {
                Some((user, _)) => {
                    let metadata: Value = serde_json::from_str(&user.user_metadata.unwrap()).unwrap();
                    assert!(*version <= metadata["v"].as_u64().unwrap(), "{email}: {metadata}");
                }
                None => assert!(
                    self.is_ever(|it| matches!(it, Promise::Gone(gone) if gone == email)),
                    "{email} is gone at version {version}"
                ),
            },
            Promise::Gone(email) => assert!(user(email).is_none(), "{email} is back"),
            Promise::Password(email, ticket) => {
                let (user, connection) = user(email).unwrap();
                assert!(store.credential(&connection, &user.id).unwrap().is_some(), "no password");
                let now = SystemTime::now().into();
                let left = store.ticket(secret_hash(ticket), TicketKind::SetPassword, now).unwrap();
                assert_eq!(left, None, "a used link is good again");
            }
            Promise::Client(id, secret) => {
                let of_it = |it: &&Promise| matches!(it, Promise::Client(other, _) if other == id);
                let later = self
                    .promises
                    .iter()
                    .map(|(_, it)| it)
                    .filter(of_it)
                    .skip_while(|it| !matches!(it, Promise::Client(_, other) if other == secret));
                let mut later =
                    later.filter_map(|it| if let Promise::Client(_, it) = it { Some(it) } else { None });
                match store.client(id).unwrap() {
                    Some(client) => {
                        assert!(later.any(|it| client.secret_hash == secret_hash(it)), "its secret");
                    }
                    None => assert!(self.is_ever(|it| matches!(it, Promise::NoClient(gone) if gone == id))),
                }
            }
            Promise::NoClient(id) => assert!(store.client(id).unwrap().is_none(), "a deleted client is back"),
            Promise::Exported(id) => {
                let file = store.export_file(&id.parse().unwrap(), ExportFormat::Json).unwrap();
                let mut text = String::new();
                GzDecoder::new(file.expect("the file of an export is gone"))
                    .read_to_string(&mut text)
                    .unwrap();
                assert!(text.contains("second1@acme.test"));
            }
            Promise::NoConnection => assert!(self.is_deleted(store), "a deleted connection is back"),
        }
    }

    /// Whether it is promised at some moment of the run; what is on its way may be there before its answer is.
    fn is_ever(&self, wanted: impl Fn(&Promise) -> bool) -> bool {
        self.promises.iter().any(|(_, promise)| wanted(promise))
    }

    fn is_deleted(&self, store: &Store) -> bool {
        store.connection(&self.doomed.parse().unwrap()).unwrap().is_none()
    }
}

#[test]
fn when_everything_unsynced_is_lost_each_answer_is_true_at_the_moment_it_is_sent() {
    let Some(run) = recorded() else { return };
    let mut dice = Dice(1);
    for (line, promise) in &run.promises {
        // The answer itself is the first thing that is lost.
        let directory = run.cut(line + 1, Luck::NONE, &mut dice);
        assert!(directory.path().join("data").exists(), "{promise:?}");
    }
    let largest = largest_commit(&run.record);
    eprintln!("{} answers; up to {largest} bytes of the log between two syncs", run.promises.len());
    assert!(largest > 2 << 20, "no commit of the real size: {largest}");
}

/// Most bytes that were written to the log from one sync to the next.
fn largest_commit(record: &Record) -> usize {
    let log = record.file("data/database/db");
    let (mut most, mut bytes) = (0, 0);
    for Deed { what, .. } in &record.deeds {
        match what {
            What::Write { file, bytes: written, .. } if *file == log => bytes += written.len(),
            What::Sync(file) if *file == log => bytes = 0,
            _ => {}
        }
        most = most.max(bytes);
    }
    most
}

#[test]
fn after_a_power_cut_at_any_moment_the_server_keeps_all_it_has_answered() {
    let Some(run) = recorded() else { return };
    let cuts: usize = std::env::var("INTAKE_CUTS").map_or(24, |cuts| cuts.parse().unwrap());
    let mut dice = Dice(std::env::var("INTAKE_SEED").map_or(5, |seed| seed.parse().unwrap()));
    let mut resumed = 0;
    for cut in 0..cuts {
        let line = usize::try_from(dice.below(run.record.lines as u64 + 1)).unwrap();
        let luck = Luck::draw(line, |limit| dice.below(limit));
        let directory = run.cut(line, luck, &mut dice);
        // Now and then a server goes on from there.
        if cut % 4 == 0 {
            let data = directory.path().join("data");
            let server = Server::on(&data, &SETTINGS[..1]);
            let jobs = server.get("/api/v2/jobs").json();
            for job in jobs.as_array().unwrap() {
                let job = server.wait(job["id"].as_str().unwrap());
                assert_eq!(job["status"], "completed", "{job}");
                resumed += 1;
            }
        }
    }
    eprintln!("{cuts} cuts, {resumed} jobs seen through to their end");
}

#[test]
fn a_new_data_directory_and_all_files_in_it_have_their_names_synced() {
    let Some(run) = recorded() else { return };
    let unsynced: BTreeSet<&str> = run
        .record
        .deeds
        .iter()
        .filter(|deed| deed.safe_from == usize::MAX)
        .filter_map(|deed| match &deed.what {
            What::Create(path, _) | What::Directory(path) => Some(path.as_str()),
            _ => None,
        })
        .collect();
    // Nothing is told of these, or they are made anew when they are missing.
    let safe = ["snap.", "data/lock", "data/server.json", ".part", "data/.tmp"];
    let lost: Vec<_> =
        unsynced.into_iter().filter(|path| !safe.iter().any(|safe| path.contains(safe))).collect();
    assert_eq!(lost, Vec::<&str>::new());
}
