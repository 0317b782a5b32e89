//! Files that are imported while the server is killed.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Duration;

use intake::domain::Stage;
use intake::store::Store;
use serde_json::{Value, json};

use super::house::{connection_id, connection_name};
use super::{Act, Asked, Phase};
use crate::helpers::{Form, Server, escape};

/// Rows of the larger files.
const ROWS: usize = 12_000;

/// A file and the name it is sent by.
pub struct File {
    name: String,
    text: String,
    upsert: bool,
}

/// What was answered about jobs.
#[derive(Default)]
pub struct Answered {
    accepted: BTreeSet<String>,
    ended: BTreeMap<String, String>,
}

impl Answered {
    /// Asks for a job; tells whether it has ended.
    fn ask(&mut self, server: &Server, id: &str) -> Asked<bool> {
        let answer = server.try_get(&format!("/api/v2/jobs/{id}"))?;
        assert_eq!(answer.status, 200, "job {id}: {}", answer.text);
        let job = answer.json();
        let status = job["status"].as_str().unwrap().to_owned();
        if status == "pending" {
            return Ok(false);
        }
        let before = self.ended.insert(id.to_owned(), status.clone());
        assert!(before.is_none_or(|before| before == status), "job {id} ended twice");
        Ok(true)
    }

    /// Whatever was answered is in the store.
    fn look(&self, store: &Store) {
        for id in &self.accepted {
            assert!(store.job(&id.parse().unwrap()).unwrap().is_some(), "accepted job {id} is gone");
        }
        for (id, status) in &self.ended {
            let job = store.job(&id.parse().unwrap()).unwrap().unwrap();
            let is_as_told = match job.stage {
                Stage::Completed { .. } => status == "completed",
                Stage::Failed { .. } => status == "failed",
                Stage::Pending(_) => false,
            };
            assert!(is_as_told, "job {id} was {status}, and is {:?}", job.stage);
        }
    }
}

/// The id of a job; an upload that got no answer may have made one.
fn find(server: &Server, name: &str) -> Asked<Option<String>> {
    let jobs = server.try_get(&format!("/api/v2/jobs?external_id={}", escape(name)))?.json();
    assert!(jobs.as_array().unwrap().len() <= 1, "accepted twice: {jobs}");
    Ok(jobs[0]["id"].as_str().map(str::to_owned))
}

pub fn row(email: &str, at: usize, origin: &str) -> Value {
    let mut row = json!({
        "email": email, "email_verified": at.is_multiple_of(2),
        "user_metadata": { "at": at, "origin": origin },
    });
    if at.is_multiple_of(3) {
        row["username"] = email.replace('@', "-at-").into();
    }
    if at.is_multiple_of(5) {
        row["app_metadata"] = json!({ "plan": at, "digits": "0".repeat(at % 200) });
    }
    row
}

pub fn array(rows: impl Iterator<Item = Value>) -> String {
    let rows: Vec<String> = rows.map(|row| row.to_string()).collect();
    format!("[{}]", rows.join(",\n"))
}

/// A file of new users, with rows that fail.
fn inserts(kind: &str, round: usize, rows: usize) -> String {
    let email = |at: usize| format!("{kind}{at}@round{round}.test");
    array((0..rows).map(|at| match at % 9 {
        3 => row("no address", at, kind),
        5 => row(&email(at - 2), at, "again"),
        _ => row(&email(at), at, kind),
    }))
}

/// A file that changes every third user of another one, and adds some.
fn upserts(kind: &str, round: usize, rows: usize) -> String {
    let email = |at: usize| format!("{kind}{at}@round{round}.test");
    array((0..rows).map(|at| match at % 10 {
        7 => json!({ "email": email(at), "verified": true }),
        8 => row(&email(at / 2 * 3).to_uppercase(), at, "again"),
        _ => row(&email(at * 3), at, "changed"),
    }))
}

/// Large files, sent at the same time.
pub struct Imports {
    round: usize,
    phase: Phase,
    files: Vec<File>,
    answered: Answered,
    /// Where the upload of the last life stood when it ended.
    at: Option<Phase>,
}

impl Imports {
    pub fn of(round: usize, phase: Phase) -> Self {
        let file = |kind: &str, text: String, upsert| File { name: format!("{kind}-{round}"), text, upsert };
        let files = match phase {
            Phase::Uploading => vec![file("first", inserts("first", round, ROWS), false)],
            Phase::Examining => vec![file("second", inserts("second", round, ROWS / 2), false)],
            _ => vec![
                file("upsert", upserts("first", round, ROWS), true),
                file("insert", inserts("third", round, ROWS), false),
            ],
        };
        Self { round, phase, files, answered: Answered::default(), at: None }
    }

    /// Sends a file slowly enough that kills find it on its way.
    fn send(&mut self, server: &Server, number: usize, begun: &Sender<()>) -> Asked<String> {
        const SLICES: usize = 40;
        let connection = connection_id(server, &connection_name(self.round))?.unwrap();
        let file = &self.files[number];
        let form = Form::import(&connection, &file.text, file.upsert).with("external_id", &file.name);
        let length = format!("content-length: {}", form.bytes().len());
        let mut stream = server.dial();
        self.at = Some(Phase::Uploading);
        stream.write_all(Server::upload_head(&server.token, &length).as_bytes())?;
        for slice in form.bytes().chunks(form.bytes().len() / SLICES) {
            if self.phase == Phase::Uploading {
                let _ = begun.send(());
                thread::sleep(Duration::from_millis(1));
            }
            stream.write_all(slice)?;
        }
        self.at = Some(Phase::Examining);
        if self.phase == Phase::Examining {
            let _ = begun.send(());
        }
        let answer = read_answer(stream)?;
        self.at = None;
        assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let job: Value = serde_json::from_str(body).unwrap();
        Ok(job["id"].as_str().unwrap().to_owned())
    }
}

/// An answer to its end; one that is cut short is none.
fn read_answer(mut stream: TcpStream) -> std::io::Result<String> {
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let is_whole = answer.split_once("\r\n\r\n").is_some_and(|(_, body)| body.ends_with('}'));
    if is_whole { Ok(answer) } else { Err(std::io::ErrorKind::UnexpectedEof.into()) }
}

impl Act for Imports {
    fn go_on(&mut self, server: &Server, begun: &Sender<()>) -> Asked<()> {
        self.at = None;
        let mut jobs = Vec::new();
        for number in 0..self.files.len() {
            let id = match find(server, &self.files[number].name)? {
                Some(id) => id,
                None => self.send(server, number, begun)?,
            };
            self.answered.accepted.insert(id.clone());
            jobs.push(id);
        }
        let _ = begun.send(());
        while let Some(id) = jobs.last() {
            if self.answered.ask(server, id)? {
                jobs.pop();
            } else {
                thread::sleep(Duration::from_millis(2));
            }
        }
        Ok(())
    }

    fn look(&mut self, store: &Store) -> Vec<Phase> {
        self.answered.look(store);
        let unfinished = store.unfinished().unwrap();
        let jobs = unfinished.into_iter().filter_map(|ticket| store.unfinished_job(ticket).unwrap());
        let is_midway = jobs.filter_map(|job| job.progress()).any(|at| at.next.row > 0);
        self.at.take().into_iter().chain(is_midway.then_some(Phase::Importing)).collect()
    }

    fn span(&self) -> Duration {
        Duration::from_millis(match self.phase {
            Phase::Uploading => 40,
            // What follows the last byte is short.
            Phase::Examining => 4,
            _ => 150,
        })
    }
}

/// Many small files: jobs end all the time, and letters and events are on their way.
pub struct Small {
    round: usize,
    files: Vec<File>,
    answered: Answered,
}

impl Small {
    pub fn new(round: usize) -> Self {
        let file = |number: usize| {
            let is_broken = number.is_multiple_of(4);
            let text =
                if is_broken { "[{]".to_owned() } else { inserts(&format!("small{number}-"), round, 30) };
            File { name: format!("small-{round}-{number}"), text, upsert: false }
        };
        Self { round, files: (0..12).map(file).collect(), answered: Answered::default() }
    }
}

impl Act for Small {
    fn go_on(&mut self, server: &Server, begun: &Sender<()>) -> Asked<()> {
        let connection = connection_id(server, &connection_name(self.round))?.unwrap();
        let mut jobs = Vec::new();
        for file in &self.files {
            let id = if let Some(id) = find(server, &file.name)? {
                id
            } else {
                let form = Form::import(&connection, &file.text, file.upsert).with("external_id", &file.name);
                let answer = server.try_upload(&form)?;
                assert_eq!(answer.status, 202, "{}", answer.text);
                let _ = begun.send(());
                answer.json()["id"].as_str().unwrap().to_owned()
            };
            self.answered.accepted.insert(id.clone());
            jobs.push(id);
        }
        while let Some(id) = jobs.last() {
            if self.answered.ask(server, id)? {
                jobs.pop();
            }
        }
        Ok(())
    }

    fn look(&mut self, store: &Store) -> Vec<Phase> {
        self.answered.look(store);
        let mut met = Vec::new();
        let jobs = store.jobs(&|job| job.progress().is_none(), 0, usize::MAX, false).unwrap().jobs;
        let names: BTreeSet<&str> = self.files.iter().map(|file| file.name.as_str()).collect();
        let is_news = |job: &intake::domain::Job| {
            job.external_id.as_deref().is_some_and(|name| names.contains(name))
                && !self.answered.ended.contains_key(job.id.as_str())
        };
        if jobs.iter().any(|job| is_news(job)) {
            met.push(Phase::Ending);
        }
        if !store.letters().unwrap().is_empty() {
            met.push(Phase::Mailing);
        }
        for stream in store.streams().unwrap() {
            let at = store.stream_progress(&stream.id).unwrap().unwrap_or_default().next;
            if at < store.next_event().unwrap() {
                met.push(Phase::Telling);
            }
        }
        met
    }

    fn span(&self) -> Duration {
        Duration::from_millis(120)
    }
}
