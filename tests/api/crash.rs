//! `kill -9` at any moment loses nothing and does nothing twice.
//!
//! `INTAKE_TEST_KILLS` sets how many kills there are at least.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use intake::domain::User;
use intake::store::{Options, Store};
use serde_json::{Value, json};

use crate::helpers::{Form, Server};

const ROWS: usize = 40_000;
const SETTINGS: &[(&str, &str)] = &[("INTAKE_IMPORT_MAX_FILE_SIZE", "50MB"), ("INTAKE_LOG_LEVEL", "error")];

/// The files of one round: users that are there, then two jobs at once, with and without upsert.
struct Round {
    before: String,
    upsert: String,
    insert: String,
}

impl Round {
    fn new(number: usize) -> Self {
        let email = |kind: &str, user: usize| format!("{kind}{user}@round{number}.test");
        let before = (0..ROWS / 4).map(|user| row(&email("upsert", user * 3), user, "before"));
        let upsert = (0..ROWS).map(|at| match at % 10 {
            7 => json!({ "email": email("upsert", at), "verified": true }),
            8 => row(&email("upsert", at / 2).to_uppercase(), at, "again"),
            _ => row(&email("upsert", at), at, "upsert"),
        });
        let insert = (0..ROWS).map(|at| match at % 9 {
            3 => row("no address", at, "insert"),
            5 => row(&email("insert", at - 2), at, "again"),
            _ => row(&email("insert", at), at, "insert"),
        });
        Self { before: array(before), upsert: array(upsert), insert: array(insert) }
    }
}

fn row(email: &str, at: usize, origin: &str) -> Value {
    let mut row = json!({ "email": email, "email_verified": at.is_multiple_of(2), "user_metadata": { "at": at, "origin": origin } });
    if at.is_multiple_of(3) {
        row["username"] = email.replace('@', "-at-").into();
    }
    row
}

fn array(rows: impl Iterator<Item = Value>) -> String {
    let rows: Vec<String> = rows.map(|row| row.to_string()).collect();
    format!("[{}]", rows.join(",\n"))
}

/// What a job came to, without what differs from run to run.
fn outcome(server: &Server, job: &Value) -> Value {
    json!({ "status": job["status"], "summary": job["summary"], "errors": server.errors(job) })
}

/// The users of a directory by e-mail, without ids and times.
fn users(directory: &Path) -> BTreeMap<String, (bool, Option<String>, Option<String>)> {
    let store = Store::open(Options {
        path: directory.to_owned(),
        cache_bytes: 64 << 20,
        min_free_disk: 0,
        reserve: 0,
        max_active_jobs: None,
        open_timeout: Duration::from_mins(1),
    })
    .unwrap();
    assert_eq!(store.check().unwrap(), Vec::<String>::new());
    let mut users = BTreeMap::new();
    for connection in store.connections().unwrap() {
        let see = |user: User| {
            let before = users.insert(user.email, (user.email_verified, user.username, user.user_metadata));
            assert!(before.is_none(), "a user is there twice");
        };
        store.scan(&connection, see).unwrap();
    }
    users
}

/// Small steps that look random, and are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// A server that is killed whenever the dice say so, until both jobs of a round have ended.
struct Gauntlet<'a> {
    directory: &'a Path,
    dice: Dice,
    kills: usize,
    /// Kills that left a job with some of its rows done.
    midway: usize,
}

impl Gauntlet<'_> {
    /// Runs the jobs to their ends, through kills; returns them with the server that saw the last.
    fn run(&mut self, round: &Round, number: usize) -> (Server, Vec<Value>) {
        let upsert = (format!("upsert-{number}"), &round.upsert, true);
        let insert = (format!("insert-{number}"), &round.insert, false);
        for _ in 0..500 {
            let mut server = Server::on(self.directory, SETTINGS);
            let jobs = [&upsert, &insert].map(|(name, ..)| find(&server, name).unwrap());
            let jobs: Vec<Value> = jobs.into_iter().flatten().collect();
            if jobs.len() == 2 && jobs.iter().all(|job| job["status"] != "pending") {
                return (server, jobs);
            }
            let is_midway = |job: &Value| job["percentage_done"].as_u64().is_some_and(|done| done > 0);
            self.midway += usize::from(jobs.iter().any(is_midway));
            let delay = Duration::from_millis(self.dice.below(200));
            thread::scope(|scope| {
                for (name, file, is_upsert) in [&upsert, &insert] {
                    let server = &server;
                    scope.spawn(move || submit(server, name, file, *is_upsert));
                }
                thread::sleep(delay);
                kill(server.child.id());
            });
            server.child.wait().unwrap();
            self.kills += 1;
            for _ in 0..self.dice.below(4) {
                self.kill_unseen();
            }
        }
        panic!("the jobs do not end");
    }

    /// Starts a server and kills it while it starts, or soon after, when it works on what is there.
    fn kill_unseen(&mut self) {
        let mut child = Server::spawn_unready(self.directory, SETTINGS);
        thread::sleep(Duration::from_millis(self.dice.below(50)));
        child.kill().unwrap();
        child.wait().unwrap();
        self.kills += 1;
    }
}

fn kill(process: u32) {
    assert!(Command::new("kill").args(["-9", &process.to_string()]).status().unwrap().success());
}

/// Uploads a file unless its job is there; an upload that got no answer may have made one.
fn submit(server: &Server, name: &str, file: &str, upsert: bool) -> Result<(), ureq::Error> {
    if find(server, name)?.is_some() {
        return Ok(());
    }
    let connections = server.try_get("/api/v2/connections")?.json();
    let form = Form::import(connections[0]["id"].as_str().unwrap(), file, upsert).with("external_id", name);
    let answer = server.try_upload(&form)?;
    assert_eq!(answer.status, 202, "{}", answer.text);
    Ok(())
}

fn find(server: &Server, external_id: &str) -> Result<Option<Value>, ureq::Error> {
    let jobs = server.try_get(&format!("/api/v2/jobs?external_id={external_id}"))?.json();
    assert!(jobs.as_array().unwrap().len() <= 1, "accepted twice: {jobs}");
    Ok(jobs.get(0).cloned())
}

#[test]
fn killed_at_any_moment_the_store_ends_as_if_nothing_had_happened() {
    let wanted: usize = std::env::var("INTAKE_TEST_KILLS").map_or(50, |kills| kills.parse().unwrap());
    let (calm, wild) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut gauntlet = Gauntlet { directory: wild.path(), dice: Dice(7), kills: 0, midway: 0 };
    let mut rounds = 0;
    while gauntlet.kills < wanted {
        let round = Round::new(rounds);
        let server = Server::on(calm.path(), SETTINGS);
        server.import(&round.before, false);
        let undisturbed = [(&round.upsert, true), (&round.insert, false)]
            .map(|(file, upsert)| outcome(&server, &server.import(file, upsert)));
        drop(server);

        let server = Server::on(wild.path(), SETTINGS);
        server.import(&round.before, false);
        drop(server);
        let (server, jobs) = gauntlet.run(&round, rounds);
        for (job, expected) in jobs.iter().zip(undisturbed) {
            assert_eq!(outcome(&server, job), expected, "after {} kills", gauntlet.kills);
        }
        drop(server);
        rounds += 1;
    }
    assert_eq!(users(wild.path()), users(calm.path()));
    let Gauntlet { kills, midway, .. } = gauntlet;
    eprintln!("{kills} kills, {midway} of them midway, in {rounds} rounds of {ROWS} + {ROWS} rows");
    assert!(midway > 0, "no kill met a job that was being worked on");
}
