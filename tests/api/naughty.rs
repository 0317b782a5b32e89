//! Strings that are hard on naive programs, in every field that takes a text: they come back byte for byte, or
//! are refused by the name of the field.
//!
//! Where they are told to people, on the page, in mails and by webhooks, is in `naughty_told`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::{Map, Value, json};

use crate::exports::{exported, import, pack};
use crate::helpers::{Answer, BOUNDARY, Form, Server, escape, shared};

/// Some more, by what is hard on them.
const MORE: [&str; 14] = [
    "nul \0 inside",
    "\u{202e}right to left\u{202c} and \u{2066}isolated\u{2069}",
    "'=1+1",
    "''@SUM(1)",
    "＝1+1",
    "\r=1",
    "\n=1",
    "\t=1",
    "\"=1\"",
    ";=1",
    "a\u{2028}b\u{2029}c",
    "\u{feff}mark",
    "%00%0d%0aset-cookie: a=b",
    "{{7*7}}${7*7}<%= 7*7 %>",
];

/// All of them, each once; `None` where the collection is missing.
pub fn strings() -> Option<Vec<String>> {
    let folder = shared("blns")?;
    let listed: Vec<String> = serde_json::from_slice(&fs::read(folder.join("blns.json")).unwrap()).unwrap();
    let long = format!("{}\u{1f4a9}", "x".repeat(5000));
    let mut seen = BTreeSet::new();
    let all = listed.into_iter().chain(MORE.map(str::to_owned)).chain([long]);
    Some(all.filter(|text| seen.insert(text.clone())).collect())
}

fn email(at: usize) -> String {
    format!("user{at}@blns.test")
}

/// A server that takes whole profiles.
fn server() -> Server {
    Server::ephemeral_with(&[
        ("INTAKE_IMPORT_SCHEMA", "profile"),
        ("INTAKE_IMPORT_MAX_FILE_SIZE", "8MB"),
        ("INTAKE_SEARCH_TIMEOUT", "1m"),
    ])
}

/// A row with a string wherever it may stand, by the rules of the README.
fn row(at: usize, text: &str, names: &mut BTreeSet<String>, ids: &mut BTreeSet<String>) -> Value {
    let mut row = json!({
        "email": email(at), "email_verified": true,
        "app_metadata": { "key": text, "list": [text, { "deep": { text: text } }] },
        "user_metadata": { text: text, "nested": { text: [{ text: text }] } },
    });
    let length = text.chars().count();
    let mut give = |name: &str| row[name] = text.into();
    if (1..=300).contains(&length) {
        give("name");
        give("nickname");
    }
    if (1..=150).contains(&length) {
        give("given_name");
        give("family_name");
    }
    let lower = text.to_lowercase();
    if (1..=128).contains(&length.max(lower.chars().count())) && names.insert(lower) {
        give("username");
    }
    if (1..=255).contains(&length) && !text.contains(char::is_whitespace) && ids.insert(text.to_owned()) {
        give("user_id");
    }
    row
}

fn rows(strings: &[String]) -> Vec<Value> {
    let (mut names, mut ids) = (BTreeSet::new(), BTreeSet::new());
    let row = |(at, text): (usize, &String)| row(at, text, &mut names, &mut ids);
    strings.iter().enumerate().map(row).collect()
}

/// What is shown of a user, as the row gave it.
fn as_given(shown: &Value, row: &Value) -> Value {
    let mut given = shown.clone();
    let members = given.as_object_mut().unwrap();
    members.retain(|name, _| row.get(name).is_some());
    if let Some(id) = row["user_id"].as_str() {
        assert_eq!(shown["user_id"], format!("auth0|{id}"));
        members.insert("user_id".to_owned(), id.into());
    }
    if let Some(name) = row["username"].as_str() {
        assert_eq!(shown["username"], name.to_lowercase());
        members.insert("username".to_owned(), name.into());
    }
    given
}

#[track_caller]
fn assert_shown(server: &Server, rows: &[Value]) {
    for row in rows {
        let found = server.user(row["email"].as_str().unwrap());
        assert_eq!(as_given(&found, row), *row);
        let id = found["user_id"].as_str().unwrap();
        let answer = server.get(&format!("/api/v2/users/{}", escape(id)));
        assert_eq!((answer.status, answer.json()), (200, found), "{row}");
    }
}

#[test]
fn naughty_strings_come_back_from_every_field_of_a_user() {
    let Some(strings) = strings() else { return };
    let server = server();
    let rows = rows(&strings);
    let job = server.import(&Value::from(rows.clone()).to_string(), false);
    assert_eq!(job["summary"]["inserted"], strings.len(), "{job} {}", server.errors(&job));
    assert_shown(&server, &rows);
    // The same written by escapes alone, over a user that is there.
    let escaped = escapes_only(&Value::from(rows.clone()).to_string());
    let job = server.import(&escaped, true);
    assert_eq!(job["summary"]["updated"], strings.len(), "{job} {}", server.errors(&job));
    assert_shown(&server, &rows);
}

/// JSON text without a byte beyond ASCII.
fn escapes_only(text: &str) -> String {
    let mut units = [0; 2];
    let escaped = text.chars().map(|c| match c {
        ' '..='\u{7e}' => c.to_string(),
        _ => c.encode_utf16(&mut units).iter().fold(String::new(), |all, unit| format!("{all}\\u{unit:04x}")),
    });
    escaped.collect()
}

#[test]
fn naughty_strings_are_found_by_a_search_for_them() {
    let Some(strings) = strings() else { return };
    let server = server();
    let job = server.import(&Value::from(rows(&strings)).to_string(), false);
    assert_eq!(job["summary"]["inserted"], strings.len());
    for (at, text) in strings.iter().enumerate().filter(|(_, text)| text.len() < 300) {
        let quoted = text.replace('\\', r"\\").replace('"', "\\\"");
        let query = format!("app_metadata.key:\"{quoted}\"");
        let answer = server.get(&format!("/api/v2/users?fields=email&q={}", escape(&query)));
        assert_eq!((answer.status, answer.json()), (200, json!([{ "email": email(at) }])), "{query:?}");
        // Names are found whatever their case, so that there may be more.
        let query = format!("given_name:\"{quoted}\"");
        let found = server.get(&format!("/api/v2/users?fields=email&q={}", escape(&query))).json();
        let is_there = (1..=150).contains(&text.chars().count());
        assert_eq!(found.as_array().unwrap().contains(&json!({ "email": email(at) })), is_there, "{query:?}");
    }
    // Without quotes they are queries, good ones or bad ones.
    for text in &strings {
        for path in
            ["/api/v2/users?q=", "/api/v2/users?sort=", "/api/v2/logs?q=", "/api/v2/connections?name="]
        {
            let answer = server.get(&format!("{path}{}", escape(text)));
            assert!([200, 400, 414].contains(&answer.status), "{path}{text:?}: {answer:?}");
        }
    }
}

/// A row that is refused is shown as it was given, and so are its faults.
#[test]
fn naughty_strings_come_back_in_the_rows_that_failed() {
    let Some(strings) = strings() else { return };
    let server = Server::ephemeral_with(&[("INTAKE_IMPORT_MAX_FILE_SIZE", "8MB")]);
    let row = |text: &String| match &**text {
        "email" | "email_verified" => json!({}),
        _ => json!({ "email": text, "email_verified": text, text.clone(): { text.clone(): [text] } }),
    };
    let rows: Vec<Value> = strings.iter().map(row).collect();
    let job = server.import(&Value::from(rows.clone()).to_string(), false);
    assert_eq!(job["summary"]["failed"], strings.len());
    let failed = server.errors(&job);
    let failed = failed.as_array().unwrap();
    assert_eq!(failed.len(), rows.len());
    for ((failed, row), text) in failed.iter().zip(&rows).zip(&strings) {
        assert_eq!(failed["user"], *row);
        let paths: Vec<&str> =
            failed["errors"].as_array().unwrap().iter().filter_map(|it| it["path"].as_str()).collect();
        assert!(paths.contains(&"email_verified"), "{failed}");
        if text.len() < 300 && row.get(text).is_some() {
            assert!(paths.contains(&text.as_str()), "{failed}");
        }
    }
}

/// What is no header of a part is no form.
const NO_FORM: &str = "Payload validation error: 'Invalid multipart payload format'.";

/// What stands in an external id comes back; what a file is called does not matter, unless it has control
/// characters, which no header may have.
#[test]
fn naughty_strings_are_external_ids_and_names_of_files() {
    let Some(strings) = strings() else { return };
    let server = Server::ephemeral();
    let connection = server.connection_id();
    for text in strings.iter().filter(|text| !text.is_empty()) {
        let parts = [("connection_id", &*connection), ("external_id", text), ("upsert", "true")];
        // As browsers write it, and curl.
        let name = text.replace('\\', "\\\\").replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A");
        let head =
            |name: &str| format!("content-disposition: form-data; name=\"users\"; filename=\"{name}\"");
        let mut answer = server.upload(&Form::of(&parts).with_part(&head(&name), b"[{}]"));
        if name.contains(|c: char| c.is_ascii_control() && c != '\t') {
            answer.assert_refusal(400, "Bad Request", NO_FORM, "invalid_body");
            answer = server.upload(&Form::of(&parts).with_part(&head("users.json"), b"[{}]"));
        }
        if text.len() > 4096 {
            let message =
                "Payload validation error: 'String is too long, maximum 4096 bytes' on property external_id.";
            answer.assert_refusal(400, "Bad Request", message, "invalid_body");
            continue;
        }
        assert_eq!(answer.status, 202, "{text:?}: {}", answer.text);
        let job = server.wait(answer.json()["id"].as_str().unwrap());
        assert_eq!(job["external_id"], **text);
        let listed = server.get(&format!("/api/v2/jobs?external_id={}", escape(text)));
        assert_eq!((listed.status, listed.json()), (200, json!([job])), "{text:?}");
    }
}

/// The names of files in odd spellings. What reads the headers of parts takes no name that is not UTF-8, or
/// whose last quote is escaped: that is a pity, as the name means nothing here, but it is said.
#[test]
fn names_of_files_may_be_spelt_in_many_ways() {
    let server = Server::ephemeral();
    let connection = server.connection_id();
    let names: [(&[u8], u16); 9] = [
        (b"\"a\xff\xfe\x80.json\"", 400),
        (b"\"\xe4\xf6\xfc.json\"", 400),
        (b"\"\\\"", 400),
        (b"\"a \\\"quoted\\\" one.json\"", 202),
        (b"\"..\\\\..\\\\etc\\\\passwd\"", 202),
        (b"unquoted.json", 202),
        (b"\"\"", 202),
        (b"\"a;b=c; name=x\"", 202),
        (b"\"a.json\"; filename*=UTF-8''%e2%82%ac.json", 202),
    ];
    for (name, status) in names {
        let head = format!("--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"users\"; filename=");
        let rest = format!(
            "\r\n\r\n[]\r\n--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"connection_id\"\r\n\r\n\
             {connection}\r\n--{BOUNDARY}--\r\n"
        );
        let body = [head.as_bytes(), name, rest.as_bytes()].concat();
        let request = Server::upload_head(&server.token, &format!("content-length: {}", body.len()));
        let answer = server.raw(&[request.as_bytes(), &body].concat());
        assert_eq!(answer.status, status, "{}: {}", name.escape_ascii(), answer.text);
        if status == 400 {
            answer.assert_refusal(400, "Bad Request", NO_FORM, "invalid_body");
        }
    }
}

/// Takes the guard off that a formula has in CSV, as the README says.
fn unguarded(cell: &str) -> &str {
    let starts = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];
    assert!(!cell.starts_with(starts), "a spreadsheet would take {cell:?} for a formula");
    match cell.strip_prefix('\'') {
        Some(rest) if rest.trim_start_matches('\'').starts_with(starts) => rest,
        _ => cell,
    }
}

#[test]
fn naughty_strings_come_back_from_exports_and_import_again() {
    let Some(strings) = strings() else { return };
    let server = server();
    let rows = rows(&strings);
    let job = server.import(&Value::from(rows.clone()).to_string(), false);
    assert_eq!(job["summary"]["inserted"], strings.len());
    let shown: BTreeMap<String, Value> = rows
        .iter()
        .map(|row| row["email"].as_str().unwrap().to_owned())
        .map(|email| (email.clone(), server.user(&email)))
        .collect();

    let lines = exported(&server, &json!({ "format": "json" }));
    let users: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(users.len(), rows.len());
    assert!(users.iter().all(|user| shown[user["email"].as_str().unwrap()] == *user));

    let names =
        ["email", "user_id", "username", "name", "nickname", "given_name", "family_name", "app_metadata.key"];
    let fields: Vec<Value> = names.iter().map(|name| json!({ "name": name })).collect();
    let sheet = exported(&server, &json!({ "format": "csv", "fields": fields }));
    let mut read = csv::Reader::from_reader(sheet.as_bytes());
    let mut seen = 0;
    for line in read.records() {
        let line = line.unwrap();
        let user = &shown[&line[0]];
        for (cell, name) in line.iter().zip(names) {
            let pointer = format!("/{}", name.replace('.', "/"));
            let wanted = user.pointer(&pointer).and_then(Value::as_str).unwrap_or_default();
            assert_eq!(unguarded(cell), wanted, "{name} of {user}");
        }
        seen += 1;
    }
    assert_eq!(seen, rows.len());

    let other = Server::ephemeral_with(&[("INTAKE_IMPORT_MAX_FILE_SIZE", "8MB")]);
    let job = import(&other, &other.connection_id(), &pack(lines.as_bytes()));
    assert_eq!(job["summary"]["inserted"], strings.len(), "{job} {}", other.errors(&job));
    assert_shown(&other, &rows);
}

/// Asks for something with a text in it. What is refused is refused by the name of the property.
#[track_caller]
fn take(server: &Server, method: &str, path: &str, body: &Value, property: &str) -> Option<Value> {
    let answer: Answer = server.send(method, path, body);
    if answer.status == 400 {
        let message = answer.json()["message"].as_str().unwrap().to_owned();
        assert!(message.contains(property), "{body}: {message}");
        return None;
    }
    assert!([200, 201].contains(&answer.status), "{body}: {answer:?}");
    Some(answer.json())
}

#[test]
fn naughty_strings_name_connections_clients_and_streams_or_are_refused_by_name() {
    let Some(strings) = strings() else { return };
    let server = Server::ephemeral();
    let connection = format!("/api/v2/connections/{}", server.connection_id());
    let client = server.send("POST", "/api/v2/clients", &json!({ "name": "one" })).json();
    let client = format!("/api/v2/clients/{}", client["client_id"].as_str().unwrap());
    let stream =
        json!({ "name": "one", "type": "http", "sink": { "httpEndpoint": "https://hooks.example.com/" } });
    let stream = server.send("POST", "/api/v2/log-streams", &stream).json();
    let stream = format!("/api/v2/log-streams/{}", stream["id"].as_str().unwrap());
    let sink = |name: &str, text: &str| json!({ "sink": { "httpEndpoint": "https://hooks.example.com/", name: text } });
    let mut kept = BTreeMap::new();
    // Each change is a commit of its own, so that each property gets some of the strings, and the next one others.
    for (at, text) in strings.iter().enumerate() {
        let header = json!([{ "header": "x-one", "value": text }]);
        let header =
            json!({ "sink": { "httpEndpoint": "https://hooks.example.com/", "httpCustomHeaders": header } });
        let metadata = json!({ text.clone(): text });
        let asked: [(&str, &str, Value, &str); 9] = [
            (&connection, "/display_name", json!({ "display_name": text }), "display_name"),
            (&connection, "/metadata", json!({ "metadata": metadata }), "metadata"),
            (&connection, "/options/note", json!({ "options": { "note": text } }), "options"),
            (&client, "/name", json!({ "name": text }), "name"),
            (&client, "/description", json!({ "description": text }), "description"),
            (&client, "/client_metadata", json!({ "client_metadata": { "note": text } }), "client_metadata"),
            (&stream, "/name", json!({ "name": text }), "name"),
            (&stream, "/sink/httpContentType", sink("httpContentType", text), "httpContentType"),
            (&stream, "/sink/httpCustomHeaders/0/value", header, "value"),
        ];
        for (path, pointer, body, property) in asked.iter().skip(at % asked.len()).take(1) {
            if take(&server, "PATCH", path, body, property).is_none() {
                continue;
            }
            let shown = server.get(path).json();
            let found = shown.pointer(pointer);
            // An empty text may be the same as none.
            let wanted = body.pointer(pointer);
            assert!(found == wanted || text.is_empty(), "{pointer} of {body}: {shown}");
            *kept.entry(*pointer).or_insert(0) += 1;
        }
        let names = [("/api/v2/connections", "name"), ("/api/v2/users", "connection")];
        for (path, property) in names.into_iter().skip(at % 8).take(1) {
            let mut body = Map::from_iter([(property.to_owned(), Value::from(text.clone()))]);
            if property == "name" {
                body.insert("strategy".to_owned(), "auth0".into());
            } else {
                body.insert("email".to_owned(), "a@b.test".into());
            }
            let answer = server.send("POST", path, &body.clone().into());
            assert!([201, 400, 409].contains(&answer.status), "{body:?}: {answer:?}");
        }
    }
    // Most of them are texts like any other, but not in headers.
    for pointer in ["/display_name", "/options/note", "/name", "/description"] {
        assert!(kept[pointer] > 40, "{kept:?}");
    }
}

#[test]
fn naughty_strings_make_and_change_single_users() {
    let Some(strings) = strings() else { return };
    let server = server();
    for (at, text) in strings.iter().enumerate().filter(|(_, text)| (1..=150).contains(&text.chars().count()))
    {
        let mut row = json!({
            "email": email(at), "name": text, "given_name": text, "user_metadata": { text: text },
        });
        let mut body = row.clone();
        body["connection"] = "Username-Password-Authentication".into();
        let made = server.send("POST", "/api/v2/users", &body);
        assert_eq!(made.status, 201, "{body}: {}", made.text);
        assert_eq!(as_given(&made.json(), &row), row);
        let path = format!("/api/v2/users/{}", escape(made.json()["user_id"].as_str().unwrap()));
        let change = json!({ "nickname": text, "app_metadata": { text: [text] } });
        let changed = server.send("PATCH", &path, &change);
        assert_eq!(changed.status, 200, "{change}: {}", changed.text);
        row["nickname"] = text.clone().into();
        row["app_metadata"] = json!({ text: [text] });
        assert_eq!(as_given(&server.get(&path).json(), &row), row);
        // Of an id and an address, most are none.
        let answer = server.get(&format!("/api/v2/users/{}", escape(text)));
        assert!([400, 404].contains(&answer.status), "{text:?}: {answer:?}");
        let answer = server.get(&format!("/api/v2/users-by-email?email={}", escape(text)));
        assert!([200, 400].contains(&answer.status), "{text:?}: {answer:?}");
    }
}
