//! Files that others have made to break readers of JSON, sent as users files.

use std::fs;

use serde_json::Value;

use crate::helpers::{Form, Server, shared};

/// Every file ends in a final state with a clear message, and the next one finds the server well.
#[test]
fn whatever_json_it_is_sent_a_job_ends_with_a_clear_message() {
    let Some(suite) = shared("JSONTestSuite/test_parsing") else {
        return;
    };
    let server = Server::ephemeral();
    let connection = server.connection_id();
    let mut seen = 0;
    for entry in fs::read_dir(suite).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let content = fs::read(&path).unwrap();
        let answer = server.upload(&Form::of(&[("connection_id", &connection)]).with_file(&content));
        if content.is_empty() {
            assert_eq!(
                (answer.status, answer.json()["message"].as_str()),
                (400, Some("Users file must not be empty."))
            );
            continue;
        }
        assert_eq!(answer.status, 202, "{name}: {}", answer.text);
        let job = server.wait(answer.json()["id"].as_str().unwrap());
        let array = serde_json::from_slice::<Vec<Value>>(&content).is_ok();
        match (name.as_bytes()[0], job["status"].as_str().unwrap()) {
            (b'y', "completed") => assert!(array, "{name} is no array"),
            (b'n' | b'i', "failed") => assert_file_fault(&name, &job),
            (b'y', "failed") => {
                assert!(!array, "{name} is an array");
                assert_file_fault(&name, &job);
            }
            (b'i', "completed") => {}
            (_, status) => panic!("{name} ended {status}: {job}"),
        }
        let errors = server.errors(&job);
        if job["status"] == "completed" {
            assert_eq!(errors.as_array().unwrap().len(), job["summary"]["failed"], "{name}");
        }
        seen += 1;
    }
    assert!(seen > 300, "only {seen} files");
}

fn assert_file_fault(name: &str, job: &Value) {
    let details = job["status_details"].as_str().unwrap();
    assert!(
        details.starts_with("Failed to parse users file JSON when importing users: "),
        "{name}: {details}"
    );
    assert!(
        details.contains(" at line ") && details.contains(" column ") && details.contains("(byte "),
        "{name}: {details}"
    );
}

/// Strings that are hard on naive readers come back as they were sent, as keys and as values.
#[test]
fn naughty_strings_come_back_as_they_were() {
    let Some(folder) = shared("blns") else { return };
    let strings: Vec<String> = serde_json::from_slice(&fs::read(folder.join("blns.json")).unwrap()).unwrap();
    let server = Server::ephemeral();
    let rows: Vec<Value> = strings
        .iter()
        .enumerate()
        .map(|(at, text)| serde_json::json!({ "email": format!("user{at}@blns.test"), "email_verified": true, "user_metadata": { text: text } }))
        .collect();
    let job = server.import(&Value::from(rows).to_string(), false);
    assert_eq!(job["summary"]["inserted"], strings.len(), "{job} {}", server.errors(&job));
    for (at, text) in strings.iter().enumerate() {
        assert_eq!(server.user(&format!("user{at}@blns.test"))["user_metadata"][text], **text);
    }
}
