//! Everything that a store holds, but for what differs by nature: ids that are drawn, and times.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher};

use intake::domain::{Activity, Client, Connection, Job, Stage, Timestamp, User};
use intake::store::{Order, Store};
use serde_json::json;

use super::house::{House, OWNER};
use crate::helpers::{Server, until};
use crate::receiver::{ids, once};

/// Kinds of things, each with its names and a digest of all that is known of them.
pub struct Holdings(BTreeMap<&'static str, BTreeMap<String, u64>>);

impl Holdings {
    fn put(&mut self, kind: &'static str, name: &str, what: &impl Debug) {
        let mut hasher = DefaultHasher::new();
        format!("{what:?}").hash(&mut hasher);
        let before = self.0.entry(kind).or_default().insert(name.to_owned(), hasher.finish());
        assert!(before.is_none(), "{kind} {name} is there twice");
    }

    pub fn assert_same(&self, other: &Self) {
        assert_eq!(self.0.keys().collect::<Vec<_>>(), other.0.keys().collect::<Vec<_>>());
        for (kind, things) in &self.0 {
            let others = &other.0[kind];
            let differs = |name: &&String| things.get(*name) != others.get(*name);
            let found: Vec<_> = things.keys().chain(others.keys()).filter(differs).take(5).collect();
            assert_eq!(found, Vec::<&String>::new(), "{kind} differ");
        }
        let counts: Vec<_> = self.0.iter().map(|(kind, things)| (*kind, things.len())).collect();
        eprintln!("the same in both stores: {counts:?}");
    }
}

pub fn read(store: &Store) -> Holdings {
    let mut all = Holdings(BTreeMap::new());
    for connection in store.connections().unwrap() {
        read_users(store, &connection, &mut all);
        let plain = Connection { number: 0, id: "con_0000000000000000".parse().unwrap(), ..connection };
        all.put("connections", &plain.name, &plain);
    }
    let names: BTreeMap<String, String> =
        store.clients().unwrap().into_iter().map(|client| (client.id, client.name)).collect();
    for client in store.clients().unwrap() {
        let plain = Client { id: String::new(), secret_hash: [0; 32], ..client };
        all.put("clients", &plain.name, &plain.settings);
    }
    for grant in store.grants().unwrap() {
        let client = &names[&grant.client_id];
        all.put("grants", &format!("{client} for {:?}", grant.audience), &grant.scope);
    }
    read_jobs(store, &mut all);
    all
}

fn read_users(store: &Store, connection: &Connection, all: &mut Holdings) {
    let mut with_password = Vec::new();
    let see = |user: User| {
        if user.activity.last_password_reset.is_some() || user.email.starts_with("single") {
            with_password.push((user.email.clone(), user.id.clone()));
        }
        let name = format!("{} {}", connection.name, user.email);
        let plain = User {
            id: "auth0|0".parse().unwrap(),
            created_at: Timestamp::from_millis(0),
            updated_at: Timestamp::from_millis(0),
            activity: Activity::default(),
            ..user
        };
        all.put("users", &name, &plain);
    };
    store.scan(connection, see).unwrap();
    for (email, id) in with_password {
        let is_set = store.credential(connection, &id).unwrap().is_some();
        all.put("passwords", &format!("{} {email}", connection.name), &is_set);
    }
}

/// Jobs with their failed rows and with the events that tell of them; no export that was accepted is left undone.
fn read_jobs(store: &Store, all: &mut Holdings) {
    let mut told: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for logged in store.events(None, Order::OldestFirst, 0, usize::MAX, false).unwrap().events {
        if let Some(job) = logged.event.details.get("job_id").and_then(|id| id.as_str()) {
            told.entry(job.to_owned()).or_default().push(format!("{:?}", logged.event.r#type));
        }
    }
    for job in store.jobs(&|_| true, 0, usize::MAX, false).unwrap().jobs {
        let outcome = match &job.stage {
            Stage::Completed { summary, .. } => format!("{summary:?}"),
            Stage::Failed { reason, summary, .. } => format!("{reason} {summary:?}"),
            Stage::Pending(_) => panic!("job {} has not ended", job.id),
        };
        let events = told.remove(job.id.as_str());
        let known = (&job.connection_name, job.upsert, job.bytes, &job.rows, outcome, events);
        let name = job.external_id.clone().unwrap();
        all.put("jobs", &name, &known);
        all.put("failed rows", &name, &failed_rows(store, &job));
    }
    assert_eq!(store.pending_exports().unwrap(), []);
    assert!(store.letters().unwrap().is_empty(), "letters are left");
}

fn failed_rows(store: &Store, job: &Job) -> String {
    let mut all = String::new();
    let mut next = Some(0);
    while let Some(from) = next {
        let (rows, more) = store.failed_rows(job.ticket, from).unwrap();
        for row in rows {
            all.extend([format!("{row:?}"), "\n".to_owned()]);
        }
        next = more;
    }
    all
}

/// Waits until all letters and events have arrived: for every job a letter, at least once and always with the same
/// Message-ID and text, none for anything else; every event of the log at least once, and in order.
pub fn assert_all_told(server: &Server, house: &House) {
    let (mail, receiver) = (house.mail.as_ref().unwrap(), house.receiver.as_ref().unwrap());
    until("the outbox is empty", || (server.get("/api/v2/outbox").json() == json!([])).then_some(()));
    let mut jobs = Vec::new();
    for page in 0.. {
        let more = server.get(&format!("/api/v2/jobs?per_page=100&page={page}")).json();
        let more = more.as_array().unwrap().clone();
        if more.is_empty() {
            break;
        }
        jobs.extend(more);
    }
    let mut expected: Vec<String> =
        jobs.iter().map(|job| format!("<{}.0@intake.test>", job["id"].as_str().unwrap())).collect();
    expected.sort_unstable();
    let letters = mail.letters();
    let mut told = BTreeMap::new();
    for letter in &letters {
        let id = letter["message_id"].as_str().unwrap();
        assert!(letter["to"].to_string().contains(OWNER), "{letter}");
        let before = told.insert(id, letter["text"].clone());
        assert!(before.is_none_or(|before| before == letter["text"]), "two letters with the id {id}");
    }
    assert_eq!(told.keys().map(|id| (*id).to_owned()).collect::<Vec<_>>(), expected);

    let mut log = Vec::new();
    let mut path = "/api/v2/logs?take=100".to_owned();
    loop {
        let page = server.get(&path).json();
        let Some(last) = page.as_array().unwrap().last() else { break };
        path = format!("/api/v2/logs?take=100&from={}", last["log_id"].as_str().unwrap());
        log.extend(page.as_array().unwrap().clone());
    }
    let log = ids(&log);
    // The request that made the stream was told before there was one.
    let events = receiver.wait_for(log.len());
    let (order, again) = once(&events);
    assert_eq!(order, log.into_iter().collect::<Vec<_>>(), "every event, in order");
    let letters_again = letters.len() - told.len();
    eprintln!("{} letters, {letters_again} twice; {} events, {again} twice", told.len(), order.len());
}
