//! Deleting a connection: its users are gone at once and for good, whatever comes in between.

use serde_json::{Value, json};

use crate::helpers::{Answer, Form, Server, open_store};

const ROWS: usize = 50_000;
const SETTINGS: &[(&str, &str)] = &[("INTAKE_IMPORT_MAX_FILE_SIZE", "50MB")];

fn rows(count: usize) -> String {
    let row =
        |at: usize| format!(r#"{{"email":"user{at}@x.test","email_verified":true,"username":"user{at}"}}"#);
    format!("[{}]", (0..count).map(row).collect::<Vec<_>>().join(","))
}

fn made(server: &Server, name: &str) -> String {
    let body = json!({ "name": name, "strategy": "auth0", "is_domain_connection": true });
    let answer = server.send("POST", "/api/v2/connections", &body);
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.json()["id"].as_str().unwrap().to_owned()
}

fn delete(server: &Server, id: &str) -> Answer {
    server.send("DELETE", &format!("/api/v2/connections/{id}"), &Value::Null)
}

fn import(server: &Server, id: &str, file: &str) -> Value {
    let answer = server.upload(&Form::import(id, file, false));
    assert_eq!(answer.status, 202, "{}", answer.text);
    server.wait(answer.json()["id"].as_str().unwrap())
}

fn users(server: &Server, email: &str) -> usize {
    server.get(&format!("/api/v2/users-by-email?email={email}")).json().as_array().unwrap().len()
}

#[test]
fn a_deleted_connection_is_accepted_then_nothing_then_not_there() {
    let server = Server::ephemeral();
    let id = made(&server, "db");
    assert_eq!(import(&server, &id, &rows(10))["summary"]["inserted"], 10);
    assert_eq!(users(&server, "user9@x.test"), 1);
    let answer = delete(&server, &id);
    assert_eq!((answer.status, users(&server, "user9@x.test")), (202, 0));
    let body = answer.json();
    assert_eq!(body.as_object().unwrap().len(), 1);
    let at = body["deleted_at"].as_str().unwrap();
    assert!(at.len() == 24 && at.ends_with('Z'), "{at}");
    let answer = delete(&server, &id);
    assert_eq!((answer.status, answer.text.as_str()), (204, ""));
    assert_eq!(answer.header("content-type"), "application/json; charset=utf-8");
    let answer = server.get(&format!("/api/v2/connections/{id}"));
    answer.assert_refusal(404, "Not Found", "The connection does not exist", "inexistent_connection");
    let message =
        "Path validation error: 'String does not match pattern ^con_[A-Za-z0-9]{16}$' on property id.";
    delete(&server, "db").assert_refusal(400, "Bad Request", message, "invalid_uri");
}

#[test]
fn users_of_a_deleted_connection_are_gone_at_once_and_stay_so_through_a_kill() {
    let directory = tempfile::tempdir().unwrap();
    let mut server = Server::on(directory.path(), SETTINGS);
    let kept = made(&server, "kept");
    let doomed = made(&server, "doomed");
    assert_eq!(import(&server, &kept, &rows(10))["summary"]["inserted"], 10);
    assert_eq!(import(&server, &doomed, &rows(ROWS))["summary"]["inserted"], ROWS);
    let last = format!("user{}@x.test", ROWS - 1);
    let id_of_last = server.user(&last)["user_id"].as_str().unwrap().to_owned();
    assert_eq!(users(&server, "user0@x.test"), 2);
    assert_eq!(delete(&server, &doomed).status, 202);
    server.child.kill().unwrap();
    server.child.wait().unwrap();
    drop(server);

    let server = Server::on(directory.path(), SETTINGS);
    assert_eq!((users(&server, &last), users(&server, "user0@x.test")), (0, 1));
    assert_eq!(server.get(&format!("/api/v2/users/{}", id_of_last.replace('|', "%7C"))).status, 404);
    assert_eq!(delete(&server, &doomed).status, 204);
    let again = made(&server, "doomed");
    assert_ne!(again, doomed);
    assert_eq!(users(&server, &last), 0);
    let job = import(&server, &again, &rows(20));
    assert_eq!(job["summary"]["inserted"], 20, "{job}");
    assert!(server.stop().success());
    let store = open_store(directory.path());
    assert_eq!(store.check().unwrap(), Vec::<String>::new());
    let count = |name: &str| {
        let connection = store.connection_named(name).unwrap().unwrap();
        let mut users = 0;
        store.scan(&connection, |_| users += 1).unwrap();
        users
    };
    assert_eq!((count("kept"), count("doomed")), (10, 20));
}

#[test]
fn jobs_into_a_deleted_connection_fail_and_say_why() {
    let server =
        Server::ephemeral_with(&[("INTAKE_IMPORT_MAX_FILE_SIZE", "50MB"), ("INTAKE_IMPORT_WORKERS", "1")]);
    let id = made(&server, "doomed");
    let file = rows(ROWS);
    let jobs: Vec<String> = (0..3)
        .map(|_| server.upload(&Form::import(&id, &file, false)).json()["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(delete(&server, &id).status, 202);
    let ended: Vec<Value> = jobs.iter().map(|job| server.wait(job)).collect();
    let failed: Vec<&Value> = ended.iter().filter(|job| job["status"] == "failed").collect();
    assert!(!failed.is_empty(), "every job was done before the connection was deleted: {ended:?}");
    for job in failed {
        let reason = "CONNECTION_NOT_FOUND: the connection doomed was deleted before the job was done";
        assert_eq!(job["status_details"], reason);
        let answer = server.get(&format!("/api/v2/jobs/{}/errors", job["id"].as_str().unwrap()));
        assert_eq!((answer.status, &answer.json()["status_details"]), (200, &json!(reason)));
    }
    assert_eq!(users(&server, "user0@x.test"), 0);
    // The one that is there works on.
    assert_eq!(server.import(&rows(5), false)["summary"]["inserted"], 5);
}
