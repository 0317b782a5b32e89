//! The clock is set, ahead and back, while a server runs: nothing is lost by it, and nothing waits for it.
//!
//! libfaketime tells the server what time it is; where that is missing the tests say so and pass.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::helpers::{Form, Server, intake, on, token, until};
use crate::receiver::{EAGER, Receiver, ids, once};
use crate::smtp::MailServer;

/// The owner of a clock that can be set.
struct Clock {
    directory: TempDir,
    library: PathBuf,
}

impl Clock {
    fn new() -> Option<Self> {
        let folders = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"];
        let names = folders.map(|folder| Path::new(folder).join("faketime/libfaketimeMT.so.1"));
        let Some(library) = names.into_iter().find(|path| path.is_file()) else {
            assert!(std::env::var_os("REQUIRE_TEST_TOOLS").is_none(), "libfaketime is not installed");
            eprintln!("skipped: libfaketime is not here; tests/run installs it");
            return None;
        };
        let clock = Self { directory: tempfile::tempdir().unwrap(), library };
        clock.set("+0");
        Some(clock)
    }

    /// Sets it this far from the time it is, e.g. `+365d` or `-2h`.
    fn set(&self, offset: &str) {
        let (next, path) = (self.directory.path().join("next"), self.path());
        fs::write(&next, offset).unwrap();
        fs::rename(next, path).unwrap();
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("offset")
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// A server that goes by it, with a token that is good for ten years.
    fn start(&self, settings: &[(&str, &str)]) -> Server {
        let path = self.path();
        let faking = [
            ("LD_PRELOAD", self.library.to_str().unwrap()),
            ("FAKETIME_TIMESTAMP_FILE", path.to_str().unwrap()),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            ("NO_FAKE_STAT", "1"),
            ("INTAKE_RETENTION_CHECK_EVERY", "100ms"),
        ];
        let settings = [settings, &faking].concat();
        let mut server = Server::on(&self.data(), &settings);
        server.token = self.token();
        server
    }

    fn token(&self) -> String {
        token(&self.data(), &["--ttl", "3650d"], &on(&self.data(), &[]))
    }

    /// Gives the server a new key, with a token of it; tells the token of the key before, which is good for a month.
    fn rotate_key(&self, server: &mut Server) -> String {
        let rotated = intake(&["rotate-key", "--overlap", "30d"], &on(&self.data(), &[])).output().unwrap();
        assert!(rotated.status.success());
        std::mem::replace(&mut server.token, self.token())
    }
}

fn rows(count: usize, kind: &str) -> String {
    let row = |at| json!({ "email": format!("{kind}{at}@example.test"), "email_verified": true });
    (0..count).map(row).collect::<Value>().to_string()
}

fn is_there(server: &Server, job: &Value) -> bool {
    server.get(&format!("/api/v2/jobs/{}", job["id"].as_str().unwrap())).status == 200
}

/// Long enough for a few looks at what is old.
fn let_it_look() {
    thread::sleep(Duration::from_millis(600));
}

#[test]
fn a_clock_that_is_ahead_for_a_moment_removes_nothing() {
    let Some(clock) = Clock::new() else { return };
    let mut server = clock.start(&[]);
    let file = rows(10, "u").replace("u3@", "no address ");
    let job = server.import(&file, false);
    let events = server.get("/api/v2/logs").json().as_array().unwrap().len();
    let before = clock.rotate_key(&mut server);
    clock.set("+400d");
    let_it_look();
    // At a start as well, whatever happened meanwhile.
    server.import(&rows(1, "later"), false);
    drop(server);
    let server = clock.start(&[]);
    let_it_look();
    clock.set("+0");
    let_it_look();
    assert!(is_there(&server, &job));
    assert_eq!(server.errors(&job).as_array().unwrap().len(), 1);
    assert!(events < server.get("/api/v2/logs").json().as_array().unwrap().len());
    assert_eq!(
        server.get_as("/api/v2/connections", &before).status,
        200,
        "what the key before has signed is good"
    );
}

#[test]
fn a_start_with_a_clock_that_is_ahead_removes_nothing_though_all_events_are_gone() {
    let Some(clock) = Clock::new() else { return };
    let settings = [("INTAKE_RETENTION_LOGS", "1s"), ("INTAKE_RETENTION_UNSENT_LOGS", "1s")];
    let server = clock.start(&settings);
    let job = server.import(&rows(10, "u"), false);
    until("the events are gone", || (server.get("/api/v2/logs").json() == json!([])).then_some(()));
    drop(server);
    clock.set("+400d");
    let server = clock.start(&settings);
    let_it_look();
    clock.set("+0");
    let_it_look();
    assert!(is_there(&server, &job));
}

#[test]
fn a_clock_that_stays_ahead_is_believed_after_a_while() {
    let Some(clock) = Clock::new() else { return };
    let server = clock.start(&[("INTAKE_RETENTION_CLOCK_PATIENCE", "1s")]);
    let job = server.import(&rows(10, "u"), false);
    clock.set("+400d");
    until("the job is gone", || (!is_there(&server, &job)).then_some(()));
}

#[test]
fn a_letter_does_not_wait_for_a_clock_that_was_set_back() {
    let (Some(clock), Some(mail)) = (Clock::new(), MailServer::start(&["--refuse-first", "2"])) else {
        return;
    };
    let mailing = mail.settings();
    let mut settings: Vec<_> = mailing.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    settings.retain(|(name, _)| !name.contains("RETRY"));
    settings.extend([
        ("INTAKE_MAIL_RETRY_FIRST", "2s"),
        ("INTAKE_MAIL_RETRY_LONGEST", "3s"),
        ("INTAKE_TENANT_OWNERS", "ann@acme.test"),
    ]);
    clock.set("+365d");
    let server = clock.start(&settings);
    server.import(&rows(1, "u"), false);
    until("it was refused", || (mail.brought().len() == 1).then_some(()));
    clock.set("+0");
    until("it was refused again", || (mail.brought().len() == 2).then_some(()));
    clock.set("-365d");
    mail.wait_for_letters(1);
    until("the outbox is empty", || (server.get("/api/v2/outbox").json() == json!([])).then_some(()));
}

#[test]
fn jobs_letters_and_events_go_their_way_however_the_clock_jumps() {
    let (Some(clock), Some(mail), Some(receiver)) = (Clock::new(), MailServer::start(&[]), Receiver::start())
    else {
        return;
    };
    let mailing = mail.settings();
    let mailing = mailing.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let mut settings: Vec<_> =
        EAGER.iter().copied().chain(mailing).chain([("INTAKE_TENANT_OWNERS", "ann@acme.test")]).collect();
    // What happens while the clock is behind is older than it seems.
    let kept = ["JOBS", "LOGS", "UNSENT_LOGS"].map(|name| format!("INTAKE_RETENTION_{name}"));
    settings.extend(kept.iter().map(|name| (name.as_str(), "3650d")));
    let mut server = clock.start(&settings);
    let stream = json!({ "name": "all", "type": "http", "sink": { "httpEndpoint": receiver.url() } });
    assert_eq!(server.send("POST", "/api/v2/log-streams", &stream).status, 200);
    let jumps = ["+365d", "-365d", "+1h", "-1h", "+0", "-10d", "+400d", "+0"];
    let mut jobs = Vec::new();
    for (number, jump) in jumps.into_iter().enumerate() {
        let form = Form::import(&server.connection_id(), &rows(200, &format!("u{number}-")), false);
        let answer = server.upload(&form);
        assert_eq!(answer.status, 202, "{}", answer.text);
        clock.set(jump);
        if number % 3 == 2 {
            drop(server);
            server = clock.start(&settings);
        }
        let job = server.wait(answer.json()["id"].as_str().unwrap());
        assert_eq!(job["summary"]["inserted"], 200, "{jump}: {job}");
        jobs.push(job);
    }
    assert!(jobs.iter().all(|job| is_there(&server, job)));
    let letters = mail.wait_for_letters(jobs.len());
    assert_eq!(letters.len(), jobs.len());
    let log = server.get("/api/v2/logs?per_page=100&sort=date:1").json();
    let log = ids(log.as_array().unwrap());
    let taken = receiver.wait_for(log.len());
    let (order, _) = once(&taken);
    assert_eq!(order, log.into_iter().collect::<Vec<_>>(), "each once, and in order");
}
