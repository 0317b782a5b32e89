//! Uploads: what is taken, what is refused, and that those who are refused get to know why.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::helpers::{Answer, BOUNDARY, Form, Server, read_answer, shared};

const ROW: &str = r#"[{"email":"ann@example.test","email_verified":true}]"#;
const LIMIT: usize = 512_000;
const TOO_LARGE: &str = "Payload content length greater than maximum allowed: 512000";

/// Checks that an upload is taken and gives users.
#[track_caller]
fn assert_taken(server: &Server, form: &Form) -> Value {
    let answer = server.upload(form);
    assert_eq!(answer.status, 202, "{}", answer.text);
    let job = server.wait(answer.json()["id"].as_str().unwrap());
    assert_eq!(job["status"], "completed", "{job}");
    assert_eq!(job["summary"]["total"], 1, "{job}");
    answer.json()
}

/// A form that fills a body to this size with blanks behind the file's array.
fn form_of(size: usize, connection: &str) -> Form {
    let bare = Form::import(connection, ROW, false).bytes().len();
    let form = Form::import(connection, &format!("{ROW}{}", " ".repeat(size - bare)), false);
    assert_eq!(form.bytes().len(), size);
    form
}

fn chunked(body: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    for chunk in body.chunks(10_000) {
        all.extend(format!("{:x}\r\n", chunk.len()).bytes());
        all.extend_from_slice(chunk);
        all.extend(b"\r\n");
    }
    all.extend(b"0\r\n\r\n");
    all
}

fn send(server: &Server, token: &str, framing: &str, body: &[u8]) -> Answer {
    server.raw(&[Server::upload_head(token, framing).as_bytes(), body].concat())
}

#[test]
fn an_upload_is_answered_with_the_pending_job() {
    let server = Server::ephemeral();
    let form = Form::import(&server.connection_id(), ROW, true).with("external_id", "batch-17");
    let answer = server.upload(&form);
    assert_eq!(answer.status, 202);
    assert_eq!(answer.header("content-type"), "application/json; charset=utf-8");
    assert_eq!(answer.header("cache-control"), "no-cache");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    let job = answer.json();
    let (id, created_at) = (job["id"].as_str().unwrap(), job["created_at"].as_str().unwrap());
    let expected = json!({
        "type": "users_import", "status": "pending", "connection_id": server.about["connection_id"],
        "connection": "Username-Password-Authentication", "created_at": created_at, "id": id,
        "external_id": "batch-17",
    });
    assert_eq!(job, expected);
    let random = id.strip_prefix("job_").unwrap();
    assert!(random.len() == 16 && random.bytes().all(|b| b.is_ascii_alphanumeric()), "{id}");
    assert!(created_at.len() == 24 && created_at.ends_with('Z') && &created_at[10..11] == "T");
}

#[test]
fn existing_users_are_changed_only_when_that_is_asked_for() {
    let server = Server::ephemeral();
    let id = server.connection_id();
    server.import(ROW, false);
    for (form, updated) in [
        (Form::of(&[("connection_id", &id)]), 0),
        (Form::of(&[("connection_id", &id), ("upsert", "false")]), 0),
        (Form::of(&[("connection_id", &id), ("upsert", "true")]), 1),
    ] {
        let answer = server.upload(&form.with_file(ROW.as_bytes()));
        let job = server.wait(answer.json()["id"].as_str().unwrap());
        let expected = json!({ "failed": 1 - updated, "updated": updated, "inserted": 0, "total": 1 });
        assert_eq!(job["summary"], expected);
    }
}

#[test]
fn an_empty_external_id_counts_as_absent() {
    let server = Server::ephemeral();
    let form = Form::import(&server.connection_id(), ROW, false).with("external_id", "");
    assert_eq!(assert_taken(&server, &form).get("external_id"), None);
}

#[test]
fn parts_come_as_the_published_clients_send_them() {
    let server = Server::ephemeral();
    let id = server.connection_id();
    let users = "content-disposition: form-data; name=\"users\"";
    let forms = [
        // npm: the file first, named `blob` by older ones.
        Form::of(&[])
            .with_part(
                &format!("{users}; filename=\"blob\"\r\ncontent-type: application/octet-stream"),
                ROW.as_bytes(),
            )
            .with("connection_id", &id)
            .with("upsert", "true")
            .with("send_completion_email", "false"),
        // Python: the fields first, the file part without a content type.
        Form::of(&[("connection_id", &id), ("upsert", "true"), ("send_completion_email", "true")])
            .with_part(&format!("{users}; filename=\"users.json\""), ROW.as_bytes()),
        // curl with `;type=text/json`.
        Form::of(&[("upsert", "true")])
            .with_part(&format!("{users}; filename=\"a.txt\"\r\nContent-Type: text/json"), ROW.as_bytes())
            .with("connection_id", &id),
        // No file name at all, unquoted names, upper-case header names.
        Form::of(&[("upsert", "true"), ("connection_id", &id)])
            .with_part("CONTENT-DISPOSITION: form-data; name=users", ROW.as_bytes()),
        // Parts that mean nothing here, even twice.
        Form::of(&[("tenant", "x"), ("tenant", "y"), ("upsert", "true"), ("connection_id", &id)])
            .with_file(ROW.as_bytes())
            .with("users[]", "no"),
    ];
    for form in forms {
        assert_taken(&server, &form);
    }
}

#[test]
fn query_parameters_of_an_upload_are_ignored() {
    let server = Server::ephemeral();
    let form = Form::import(&server.connection_id(), ROW, false);
    let head = Server::upload_head(&server.token, &format!("content-length: {}", form.bytes().len()))
        .replace("users-imports", "users-imports?test=value&upsert=maybe");
    let answer = server.raw(&[head.as_bytes(), form.bytes()].concat());
    assert_eq!(answer.status, 202, "{}", answer.text);
}

#[test]
fn an_upload_that_lacks_something_is_refused_with_its_name() {
    let server = Server::ephemeral();
    let id = server.connection_id();
    let users = |form: Form| form.with_file(ROW.as_bytes());
    let boolean = "Payload validation error: 'Expected type boolean but found type string' on property";
    let twice = "Payload validation error: 'Part given twice' on property";
    let table = [
        (Form::of(&[("connection_id", &id)]), "Must provide 'users' file as multipart part.", "invalid_body"),
        (Form::import(&id, "", false), "Users file must not be empty.", "invalid_body"),
        (users(Form::of(&[])), "Must provide 'connection_id' as multipart part.", "invalid_body"),
        (
            users(Form::of(&[("connection_id", "con_0000000000000000")])),
            "The connection does not exist.",
            "inexistent_connection",
        ),
        (
            users(Form::of(&[("connection_id", &id), ("upsert", "yes")])),
            &format!("{boolean} upsert."),
            "invalid_body",
        ),
        (
            users(Form::of(&[("connection_id", &id), ("upsert", "True")])),
            &format!("{boolean} upsert."),
            "invalid_body",
        ),
        (
            users(Form::of(&[("connection_id", &id), ("upsert", "")])),
            &format!("{boolean} upsert."),
            "invalid_body",
        ),
        (
            users(Form::of(&[("connection_id", &id), ("send_completion_email", "1")])),
            &format!("{boolean} send_completion_email."),
            "invalid_body",
        ),
    ];
    for (form, message, code) in table {
        server.upload(&form).assert_refusal(400, "Bad Request", message, code);
    }
    let full = || {
        let texts = [("connection_id", &*id), ("upsert", "true"), ("external_id", "")];
        users(Form::of(&texts)).with("send_completion_email", "true")
    };
    assert_eq!(server.upload(&full()).status, 202);
    for part in ["connection_id", "upsert", "external_id", "send_completion_email", "users"] {
        let value = if part == "connection_id" { id.as_str() } else { "true" };
        let message = format!("{twice} {part}.");
        server.upload(&full().with(part, value)).assert_refusal(400, "Bad Request", &message, "invalid_body");
    }
}

#[test]
fn a_text_part_is_short_and_is_text() {
    let server = Server::ephemeral();
    let id = server.connection_id();
    let external_id = |value: &[u8]| {
        let headers = "content-disposition: form-data; name=\"external_id\"";
        Form::import(&id, ROW, false).with_part(headers, value)
    };
    let refused = |value: &[u8], rule: &str| {
        let message = format!("Payload validation error: '{rule}' on property external_id.");
        server.upload(&external_id(value)).assert_refusal(400, "Bad Request", &message, "invalid_body");
    };
    refused(&[b'x'; 4097], "String is too long, maximum 4096 bytes");
    refused(b"\xff", "String is not valid UTF-8");
    let longest = server.upload(&external_id(&[b'x'; 4096]));
    assert_eq!((longest.status, longest.json()["external_id"].as_str().unwrap().len()), (202, 4096));
    let strange = "\u{1f600}\"\\\r\n\0</script>";
    assert_eq!(server.upload(&external_id(strange.as_bytes())).json()["external_id"], strange);
}

#[test]
fn who_gives_the_name_of_a_connection_is_told_to_give_its_id() {
    let server = Server::ephemeral();
    let names = [
        "Username-Password-Authentication",
        "con_8dQ2xYz0aBcD1eF",
        "con_8dQ2xYz0aBcD1eF!",
        "CON_8dQ2xYz0aBcD1eFg",
        "",
    ];
    for name in names {
        let answer = server.upload(&Form::import(name, ROW, false));
        let message = "Payload validation error: 'String does not match pattern ^con_[A-Za-z0-9]{16}$' on \
                       property connection_id (the id of the connection, not its name).";
        answer.assert_refusal(400, "Bad Request", message, "invalid_body");
    }
}

#[test]
fn users_go_into_enabled_database_connections_only() {
    let server = Server::ephemeral_configured(
        r#"
        [[clients]]
        client_id = "importer"
        client_secret = "0123456789abcdef0123456789abcdef"
        [[connections]]
        name = "staff-db"
        id = "con_000000000000staf"
        clients = ["importer"]
        [[connections]]
        name = "sms"
        id = "con_0000000000000sms"
        strategy = "sms"
        clients = ["importer"]
        [[connections]]
        name = "google"
        id = "con_000000000000goog"
        strategy = "google-oauth2"
        [[connections]]
        name = "nobody"
        id = "con_0000000000nobody"
        "#,
    );
    let refused = [
        ("con_0000000000000sms", "Connection must be a database connection."),
        ("con_000000000000goog", "Connection must be a database connection."),
        ("con_0000000000nobody", "Connection must be enabled."),
    ];
    for (id, message) in refused {
        let answer = server.upload(&Form::import(id, ROW, false));
        answer.assert_refusal(400, "Bad Request", message, "operation_not_supported");
    }
    assert_taken(&server, &Form::import("con_000000000000staf", ROW, false));
}

#[test]
fn a_body_that_is_no_form_is_refused() {
    let server = Server::ephemeral();
    let form = Form::import(&server.connection_id(), ROW, false);
    let length = form.bytes().len();
    let types = [
        "application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=other",
        "text",
        "",
    ];
    let refused = |answer: Answer| {
        let message = "Payload validation error: 'Invalid multipart payload format'.";
        answer.assert_refusal(400, "Bad Request", message, "invalid_body");
    };
    for content_type in types {
        let head = Server::upload_head(&server.token, &format!("content-length: {length}"))
            .replace(&format!("multipart/form-data; boundary={BOUNDARY}"), content_type);
        refused(server.raw(&[head.as_bytes(), form.bytes()].concat()));
    }
    // Cut short; the end of the body is no end of the form.
    for missing in [3, 5, 60, length - 1, length] {
        let body = &form.bytes()[..length - missing];
        refused(send(&server, &server.token, &format!("content-length: {}", body.len()), body));
    }
}

#[test]
fn the_limit_counts_every_byte_of_the_body() {
    let server = Server::ephemeral();
    let id = server.connection_id();
    let (fits, over) = (form_of(LIMIT, &id), form_of(LIMIT + 1, &id));
    assert_eq!(server.upload(&fits).status, 202);
    server.upload(&over).assert_refusal(413, "Request Entity Too Large", TOO_LARGE, "");
    let chunks = "transfer-encoding: chunked";
    let answer = send(&server, &server.token, chunks, &chunked(fits.bytes()));
    assert_eq!(answer.status, 202, "{}", answer.text);
    let answer = send(&server, &server.token, chunks, &chunked(over.bytes()));
    answer.assert_refusal(413, "Request Entity Too Large", TOO_LARGE, "");
}

#[test]
fn bytes_around_the_parts_count_too() {
    let server = Server::ephemeral();
    let form = Form::import(&server.connection_id(), ROW, false);
    let mut padded = form.bytes().to_vec();
    padded.resize(LIMIT + 1, b' ');
    let answer = send(&server, &server.token, "transfer-encoding: chunked", &chunked(&padded));
    answer.assert_refusal(413, "Request Entity Too Large", TOO_LARGE, "");
}

#[test]
fn the_limit_is_a_setting() {
    let server = Server::ephemeral_with(&[("INTAKE_IMPORT_MAX_FILE_SIZE", "2KB")]);
    let id = server.connection_id();
    assert_eq!(server.upload(&form_of(2048, &id)).status, 202);
    let message = "Payload content length greater than maximum allowed: 2048";
    server.upload(&form_of(2049, &id)).assert_refusal(413, "Request Entity Too Large", message, "");
}

/// Many clients look for an answer only once all is sent. They must not find a broken connection.
#[test]
fn who_sends_everything_first_still_learns_why_it_was_refused() {
    let server = Server::ephemeral();
    let (id, reader) = (server.connection_id(), server.token_for("read:users"));
    let large = form_of(5_000_000, &id);
    let length = format!("content-length: {}", large.bytes().len());
    let answer = send(&server, &server.token, &length, large.bytes());
    answer.assert_refusal(413, "Request Entity Too Large", TOO_LARGE, "");
    let chunks = chunked(large.bytes());
    let answer = send(&server, &server.token, "transfer-encoding: chunked", &chunks);
    answer.assert_refusal(413, "Request Entity Too Large", TOO_LARGE, "");
    send(&server, "x", &length, large.bytes()).assert_refusal(401, "Unauthorized", "Invalid token", "");
    let answer = send(&server, &reader, "transfer-encoding: chunked", &chunks);
    let message = "Insufficient scope, expected any of: create:users";
    answer.assert_refusal(403, "Forbidden", message, "insufficient_scope");
    let fits = Form::of(&[("connection_id", "staff-db")]).with_file(&vec![b' '; 500_000]);
    let answer =
        send(&server, &server.token, &format!("content-length: {}", fits.bytes().len()), fits.bytes());
    assert_eq!(answer.status, 400, "{}", answer.text);
    // Endpoints that take no body, and none at all.
    for (method, path, status) in [
        ("POST", "/api/v2/nothing", 404),
        ("PUT", "/api/v2/jobs/users-imports", 405),
        ("PUT", "/api/v2/connections", 405),
        ("POST", "/api/v2/connections", 401),
        ("POST", "/oauth/token", 413),
    ] {
        let answer = server.request(method, path, &[], large.bytes());
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text);
    }
}

#[test]
fn a_client_that_asks_before_it_sends_is_told_to_go_on() {
    let server = Server::ephemeral();
    let form = Form::import(&server.connection_id(), ROW, false);
    let framing = format!("expect: 100-continue\r\ncontent-length: {}", form.bytes().len());
    let mut stream = server.dial();
    stream.write_all(Server::upload_head(&server.token, &framing).as_bytes()).unwrap();
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(form.bytes()).unwrap();
    assert_eq!(read_answer(&mut stream).status, 202);
}

/// Every other upload finds the server well, whatever came before.
#[test]
fn malformed_forms_are_refused_and_never_break_the_server() {
    let mut bodies: Vec<(String, String, Vec<u8>)> = Vec::new();
    if let Some(folder) = shared("busboy") {
        let text = fs::read(folder.join("multipart_cases.json")).unwrap();
        for case in serde_json::from_slice::<Vec<Value>>(&text).unwrap() {
            let body = STANDARD.decode(case["source_b64"].as_str().unwrap()).unwrap();
            let content_type =
                format!("multipart/form-data; boundary={}", case["boundary"].as_str().unwrap());
            bodies.push((case["what"].to_string(), content_type, body));
        }
    }
    if let Some(folder) = shared("multiparty/http") {
        for path in files(&folder, "http") {
            let request = fs::read(&path).unwrap();
            let split = request.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
            let head = str::from_utf8(&request[..split]).unwrap();
            let content_type =
                head.lines().find_map(|line| line.strip_prefix("Content-Type: ")).unwrap_or("");
            bodies.push((
                path.display().to_string(),
                content_type.trim().to_owned(),
                request[split + 4..].to_vec(),
            ));
        }
    }
    if let Some(folder) = shared("python-multipart/http") {
        for path in files(&folder, "http") {
            let about = fs::read_to_string(path.with_extension("yaml")).unwrap();
            let boundary = about.lines().find_map(|line| line.strip_prefix("boundary: ")).unwrap();
            let content_type = format!("multipart/form-data; boundary={boundary}");
            bodies.push((path.display().to_string(), content_type, fs::read(&path).unwrap()));
        }
    }
    let server = Server::ephemeral();
    let bearer = format!("Bearer {}", server.token);
    for (name, content_type, body) in &bodies {
        let headers = [("authorization", &*bearer), ("content-type", content_type)];
        let answer = server.request("POST", "/api/v2/jobs/users-imports", &headers, body);
        assert_eq!(answer.status, 400, "{name}: {}", answer.text);
        let error = answer.json();
        assert_eq!((&error["statusCode"], &error["error"]), (&json!(400), &json!("Bad Request")), "{name}");
        assert_eq!(error["errorCode"], "invalid_body", "{name}: {error}");
    }
    assert_taken(&server, &Form::import(&server.connection_id(), ROW, false));
    eprintln!("{} malformed or foreign forms", bodies.len());
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|it| it == extension) {
            found.push(path);
        }
    }
    assert!(!found.is_empty());
    found
}
