//! Everybody else is down, and the server dies meanwhile: what is owed arrives all the same.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use crate::helpers::{Form, Server, until};
use crate::receiver::{EAGER, Receiver, ids, once};
use crate::smtp::MailServer;

const JOBS: usize = 20;
/// The server is killed after so many uploads, at whatever it is doing then.
const KILLED_EVERY: usize = 4;

/// Ten users of its own; every fifth file is none.
fn file(number: usize) -> String {
    if number.is_multiple_of(5) {
        return "[{]".to_owned();
    }
    let row = |row| json!({ "email": format!("u{number}-{row}@acme.test"), "email_verified": true });
    (0..10).map(row).collect::<Value>().to_string()
}

fn events(receiver: &Receiver, types: &[&str]) -> Vec<Value> {
    let mut taken = receiver.taken();
    taken.retain(|item| types.contains(&item["data"]["type"].as_str().unwrap()));
    taken
}

fn job_ids(events: &[Value]) -> BTreeSet<String> {
    let id = |event: &Value| event["data"]["details"]["job_id"].as_str().unwrap().to_owned();
    events.iter().map(id).collect()
}

#[test]
fn every_letter_and_event_arrives_though_all_were_down_during_twenty_jobs_and_the_server_was_killed() {
    let (Some(mut mail), Some(mut receiver)) = (MailServer::start(&[]), Receiver::start()) else { return };
    let directory = tempfile::tempdir().unwrap();
    let mailing = mail.settings();
    let mailing = mailing.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let settings: Vec<_> =
        EAGER.iter().copied().chain(mailing).chain([("INTAKE_TENANT_OWNERS", "ann@acme.test")]).collect();
    let start = |directory: &Path| Server::on(directory, &settings);
    let mut server = start(directory.path());
    let filters = ["sapi", "sui", "fui"].map(|name| json!({ "type": "event", "name": name }));
    let stream = json!({
        "name": "imports", "type": "http", "sink": { "httpEndpoint": receiver.url() }, "filters": filters,
    });
    assert_eq!(server.send("POST", "/api/v2/log-streams", &stream).status, 200);
    mail.go();
    receiver.go();

    let mut jobs = BTreeSet::new();
    for number in 0..JOBS {
        let answer = server.upload(&Form::import(&server.connection_id(), &file(number), false));
        assert_eq!(answer.status, 202, "{}", answer.text);
        jobs.insert(answer.json()["id"].as_str().unwrap().to_owned());
        if number % KILLED_EVERY == KILLED_EVERY - 1 {
            drop(server); // kill -9
            server = start(directory.path());
        }
    }
    mail.come_back(&[]);
    receiver.come(&[]);
    drop(server);
    let server = start(directory.path());

    for job in &jobs {
        server.wait(job);
    }
    until("the outbox is empty", || (server.get("/api/v2/outbox").json() == json!([])).then_some(()));
    let letters = mail.letters();
    let told: BTreeSet<&str> = letters.iter().map(|letter| letter["message_id"].as_str().unwrap()).collect();
    let expected: BTreeSet<String> = jobs.iter().map(|id| format!("<{id}.0@intake.test>")).collect();
    assert_eq!(told, expected.iter().map(String::as_str).collect());

    let ended = until("all events are there", || {
        let ended = events(&receiver, &["sui", "fui"]);
        (JOBS <= ids(&ended).len()).then_some(ended)
    });
    assert_eq!(job_ids(&ended), jobs);
    assert_eq!(ids(&ended).len(), JOBS, "one event for the end of each job");
    assert_eq!(ids(&events(&receiver, &["fui"])).len(), JOBS / 5);
    let accepted = events(&receiver, &["sapi"]);
    // The request that made the stream is told of as well.
    assert_eq!(ids(&accepted).len(), JOBS + 1);
    let (_, again) = once(&receiver.taken());
    eprintln!("came twice: {} of {} letters, {again} events", letters.len() - told.len(), letters.len());
}
