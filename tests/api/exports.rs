//! Exports: what is in the file, who gets it and for how long, and that it imports again.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::helpers::{Form, Server, escape, intake, shared, until};

/// Asks for an export and waits for its end.
fn export(server: &Server, body: &Value) -> Value {
    let answer = server.send("POST", "/api/v2/jobs/users-exports", body);
    assert_eq!(answer.status, 200, "{}", answer.text);
    server.wait(answer.json()["id"].as_str().unwrap())
}

/// The path a link leads to, on whatever port.
fn path_of(location: &str) -> &str {
    let (_, rest) = location.split_once("://").unwrap();
    &rest[rest.find('/').unwrap()..]
}

/// The bytes behind a link, as they are sent.
fn fetch(server: &Server, location: &str) -> Vec<u8> {
    let mut stream = server.dial();
    let path = path_of(location);
    write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\naccept-encoding: gzip\r\nconnection: close\r\n\r\n")
        .unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    let split = all.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(all[..split].to_vec()).unwrap().to_lowercase();
    let body = all.split_off(split + 4);
    assert!(head.starts_with("http/1.1 200 "), "{head}");
    assert!(head.contains("content-type: application/gzip") && !head.contains("content-encoding"), "{head}");
    assert!(head.contains(&format!("content-length: {}", body.len())), "{head}");
    body
}

fn unpack(packed: &[u8]) -> String {
    let mut text = String::new();
    GzDecoder::new(packed).read_to_string(&mut text).unwrap();
    text
}

pub fn pack(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

/// The content of an export that has ended well.
pub fn exported(server: &Server, body: &Value) -> String {
    let job = export(server, body);
    assert_eq!(job["status"], "completed", "{job}");
    unpack(&fetch(server, job["location"].as_str().unwrap()))
}

fn row(at: usize) -> Value {
    json!({ "email": format!("u{at:05}@acme.test"), "email_verified": at.is_multiple_of(2) })
}

fn rows(count: usize) -> String {
    (0..count).map(row).collect::<Value>().to_string()
}

/// Uploads bytes and waits for the end of the job.
pub fn import(server: &Server, connection: &str, file: &[u8]) -> Value {
    let form = Form::of(&[("connection_id", connection)]).with_file(file);
    let answer = server.upload(&form);
    assert_eq!(answer.status, 202, "{}", answer.text);
    server.wait(answer.json()["id"].as_str().unwrap())
}

#[test]
fn the_job_repeats_what_was_asked_for_and_ends_with_a_link() {
    let server = Server::with_two_connections();
    let body = json!({
        "connection_id": "con_0000000000000001", "format": "csv", "limit": 5,
        "fields": [{ "name": "email" }, { "name": "user_metadata.plan", "export_as": "Plan" }],
    });
    let answer = server.send("POST", "/api/v2/jobs/users-exports", &body);
    assert_eq!(answer.status, 200);
    let accepted = answer.json();
    for name in ["connection_id", "format", "limit", "fields"] {
        assert_eq!(accepted[name], body[name], "{name}");
    }
    assert_eq!((&accepted["type"], &accepted["status"]), (&json!("users_export"), &json!("pending")));
    assert_eq!(accepted["connection"], "one");
    assert!(accepted["created_at"].is_string() && accepted.get("location").is_none());
    let id = accepted["id"].as_str().unwrap();
    let job = server.wait(id);
    let start = format!("{}/exports/{id}.csv.gz?expires=", server.url);
    assert!(job["location"].as_str().unwrap().starts_with(&start), "{job}");
    assert_eq!(unpack(&fetch(&server, job["location"].as_str().unwrap())), "email,Plan\n");
    assert_eq!(server.get(&format!("/api/v2/jobs/{id}/errors")).status, 204);
    let event = server.get("/api/v2/logs?q=type:sapi&per_page=1&sort=date:-1").json();
    assert_eq!(event[0]["details"]["job_id"], *id);
    let least = server.send("POST", "/api/v2/jobs/users-exports", &json!({})).json();
    assert_eq!(least["format"], "csv");
    assert!(least.get("connection_id").is_none() && least.get("fields").is_none());
    let bearer = format!("Bearer {}", server.token);
    let headers = [("authorization", &*bearer), ("content-type", "application/x-www-form-urlencoded")];
    let form = server.request("POST", "/api/v2/jobs/users-exports", &headers, b"format=json&limit=3");
    assert_eq!(
        (form.status, &form.json()["limit"], &form.json()["format"]),
        (200, &json!(3), &json!("json"))
    );
}

#[test]
fn what_is_no_export_is_refused() {
    let server = Server::with_two_connections();
    let fields = |count: usize| vec![json!({ "name": "email" }); count];
    let long = "x".repeat(101);
    let refused = [
        (json!({ "format": "xml" }), "No enum match for: xml' on property format"),
        (json!({ "limit": 0 }), "Value 0 is less than minimum 1' on property limit"),
        (json!({ "limit": "1" }), "Expected type integer but found type string' on property limit"),
        (json!({ "fields": {} }), "Expected type array but found type object' on property fields"),
        (json!({ "fields": fields(31) }), "Array is too long (31), maximum 30' on property fields"),
        (json!({ "fields": [{}] }), "Missing required property: name' on property fields[0]"),
        (
            json!({ "fields": [{ "name": long }] }),
            "String is too long (101 chars), maximum 100' on property fields[0].name",
        ),
        (
            json!({ "fields": [{ "name": "a", "x": 1 }] }),
            "Additional properties not allowed: x' on property fields[0]",
        ),
        (json!({ "color": 1 }), "Additional properties not allowed: color'"),
        (
            json!({ "connection_id": "one" }),
            "String does not match pattern ^con_[A-Za-z0-9]{16}$' on property connection_id",
        ),
    ];
    for (body, rule) in refused {
        let message = format!("Payload validation error: '{rule}.");
        server.send("POST", "/api/v2/jobs/users-exports", &body).assert_refusal(
            400,
            "Bad Request",
            &message,
            "invalid_body",
        );
    }
    let accepted = [
        json!({ "fields": fields(30) }),
        json!({ "format": "json", "fields": fields(31) }),
        json!({ "fields": [{ "name": "x".repeat(100) }] }),
    ];
    for body in accepted {
        assert_eq!(server.send("POST", "/api/v2/jobs/users-exports", &body).status, 200);
    }
    server
        .send("POST", "/api/v2/jobs/users-exports", &json!({ "connection_id": "con_0000000000000009" }))
        .assert_refusal(400, "Bad Request", "The connection does not exist.", "inexistent_connection");
    let server = Server::ephemeral();
    let token = server.token_for("create:users");
    assert_eq!(server.send_as("POST", "/api/v2/jobs/users-exports", &json!({}), &token).status, 403);
}

#[test]
fn an_export_has_the_users_of_its_connection_or_all_up_to_its_limit() {
    let server = Server::with_two_connections();
    import(&server, "con_0000000000000001", rows(40).as_bytes());
    import(&server, "con_0000000000000002", rows(7).as_bytes());
    let count = |body: Value| exported(&server, &body).lines().count();
    assert_eq!(count(json!({ "format": "json" })), 47);
    assert_eq!(count(json!({ "format": "json", "connection_id": "con_0000000000000002" })), 7);
    for limit in [1, 16, 17, 40, 41, 47, 48] {
        assert_eq!(count(json!({ "format": "json", "limit": limit })), limit.min(47));
        assert_eq!(count(json!({ "limit": limit })), limit.min(47) + 1);
    }
    let text =
        exported(&server, &json!({ "format": "json", "connection_id": "con_0000000000000002", "limit": 1 }));
    let shown = server.get(&format!("/api/v2/users-by-email?email={}", escape("u00000@acme.test")));
    let shown: Vec<Box<RawValue>> = serde_json::from_str(&shown.text).unwrap();
    assert_eq!(text.trim_end(), shown[1].get(), "a row is the user as the API shows it, byte for byte");
    assert!(text.starts_with("{\"user_id\":\"auth0|"));
}

#[test]
fn the_cells_of_csv_are_no_formulas_whatever_a_user_is_called() {
    let Some(folder) = shared("blns") else { return };
    let strings: Vec<String> =
        serde_json::from_str(&std::fs::read_to_string(folder.join("blns.json")).unwrap()).unwrap();
    let server = Server::ephemeral();
    let user = |(at, text): (usize, &String)| json!({ "email": format!("u{at}@acme.test"), "email_verified": true, "user_metadata": { "text": text, "n": -1.50 } });
    let job = server.import(&strings.iter().enumerate().map(user).collect::<Value>().to_string(), false);
    assert_eq!(job["summary"]["inserted"], strings.len());
    let fields =
        json!([{ "name": "user_metadata.text", "export_as": "Text" }, { "name": "user_metadata.n" }]);
    let text = exported(&server, &json!({ "fields": fields }));
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    assert_eq!(reader.headers().unwrap(), &["Text", "user_metadata.n"][..]);
    let found: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(found.len(), strings.len());
    let mut guarded = 0;
    for (record, text) in found.iter().zip(&strings) {
        let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
        let wanted = if is_formula { format!("'{text}") } else { text.clone() };
        assert_eq!((&record[0], &record[1]), (&*wanted, "-1.5"));
        guarded += usize::from(is_formula);
    }
    assert!(guarded > 5);
}

#[test]
fn a_link_is_good_for_a_while_for_one_file() {
    let server = Server::ephemeral_with(&[("INTAKE_EXPORTS_LINK_LIFETIME", "1s")]);
    let job = export(&server, &json!({}));
    let id = job["id"].as_str().unwrap();
    let refused = |path: &str| {
        let answer = server.request("GET", path, &[], b"");
        let message = "The link is not good any more: ask for the job again, its location is a fresh one.";
        answer.assert_refusal(403, "Forbidden", message, "invalid_link");
    };
    let path = path_of(job["location"].as_str().unwrap()).to_owned();
    let gone = until("the link has expired", || {
        let answer = server.request("HEAD", &path, &[], b"");
        (answer.status != 200).then_some(answer)
    });
    assert_eq!((gone.status, gone.text.as_str()), (403, ""));
    refused(&path);
    let fresh =
        || path_of(server.get(&format!("/api/v2/jobs/{id}")).json()["location"].as_str().unwrap()).to_owned();
    fetch(&server, &format!("x://y{}", fresh()));
    let (file, query) =
        fresh().split_once('?').map(|(file, query)| (file.to_owned(), query.to_owned())).unwrap();
    refused(&file);
    refused(&format!("{}?{query}", file.replace("csv", "json")));
    refused(&format!("{file}?{}", query.replace("expires=1", "expires=2")));
    refused(&format!("{file}?{query}x"));
    refused("/exports/..%2fsigning-key.pem?expires=99999999999&signature=AAAA");
}

#[test]
fn exports_go_after_a_while_with_their_files() {
    let directory = tempfile::tempdir().unwrap();
    let settings = [("INTAKE_RETENTION_EXPORTS", "1s"), ("INTAKE_RETENTION_CHECK_EVERY", "100ms")];
    let server = Server::on(directory.path(), &settings);
    let answer = server.send("POST", "/api/v2/jobs/users-exports", &json!({}));
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    let files = || std::fs::read_dir(directory.path().join("exports")).unwrap().count();
    let mut location = String::new();
    let gone = until("the job is gone", || {
        let answer = server.get(&format!("/api/v2/jobs/{id}"));
        if answer.status == 200 {
            location = answer.json()["location"].as_str().unwrap_or(&location).to_owned();
        }
        (answer.status != 200).then_some(answer)
    });
    gone.assert_refusal(404, "Not Found", "Job not found.", "inexistent_job");
    until("the file is gone", || (files() == 0).then_some(()));
    let answer = server.request("GET", path_of(&location), &[], b"");
    let message = "The file of this export is gone: start another export.";
    answer.assert_refusal(404, "Not Found", message, "inexistent_export");
}

#[test]
fn as_many_exports_as_allowed_may_wait_and_one_more_is_told_to_come_back() {
    let directory = tempfile::tempdir().unwrap();
    let settings = [("INTAKE_IMPORT_MAX_FILE_SIZE", "50MB"), ("INTAKE_EXPORTS_MAX_PENDING", "2")];
    let server = Server::on(directory.path(), &settings);
    assert_eq!(server.import(&rows(60_000), false)["status"], "completed");
    let ask = || server.send("POST", "/api/v2/jobs/users-exports", &json!({ "format": "csv" }));
    let accepted = [ask(), ask()];
    let refused = ask();
    assert_eq!(refused.header("retry-after"), "5");
    let message = "There are 2 users exports that are not done, as many as exports.max_pending allows, \
                   please wait until some of them are finished and try again";
    refused.assert_refusal(429, "Too Many Requests", message, "too_many_requests");
    for answer in accepted {
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(server.wait(answer.json()["id"].as_str().unwrap())["status"], "completed");
    }
    assert_eq!(ask().status, 200);
}

#[test]
fn an_export_that_was_killed_begins_anew() {
    let directory = tempfile::tempdir().unwrap();
    let settings = [("INTAKE_IMPORT_MAX_FILE_SIZE", "50MB"), ("INTAKE_LOG_LEVEL", "error")];
    let server = Server::on(directory.path(), &settings);
    assert_eq!(server.import(&rows(60_000), false)["status"], "completed");
    let id =
        server.send("POST", "/api/v2/jobs/users-exports", &json!({ "format": "json" })).json()["id"].clone();
    let id = id.as_str().unwrap();
    let folder = directory.path().join("exports");
    let files = |ending: &str| {
        let names = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.to_str().unwrap().ends_with(ending)).count()
    };
    until("the file is being written", || (files(".part") + files(".gz") == 1).then_some(()));
    drop(server); // kill -9
    std::fs::write(folder.join("job_0000000000000000.part"), "left over").unwrap();
    std::fs::write(folder.join("job_0000000000000000.json.gz"), "of nobody").unwrap();
    let server = Server::on(directory.path(), &settings);
    let job = server.wait(id);
    assert_eq!(job["status"], "completed", "{job}");
    let text = unpack(&fetch(&server, job["location"].as_str().unwrap()));
    let emails: Vec<Value> =
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["email"].clone()).collect();
    let wanted: Vec<Value> = (0..60_000).map(|at| row(at)["email"].clone()).collect();
    assert!(emails == wanted);
    assert_eq!((files(".part"), files(".gz")), (0, 1));
    let about = std::fs::metadata(folder.join(format!("{id}.json.gz"))).unwrap();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&about.permissions()) & 0o777, 0o600);
}

#[test]
fn an_export_for_which_there_is_no_room_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::on(directory.path(), &[("INTAKE_STORAGE_MIN_FREE_DISK", "1000000GB")]);
    let job = export(&server, &json!({}));
    assert_eq!(job["status"], "failed", "{job}");
    let details = job["status_details"].as_str().unwrap();
    assert!(details.starts_with("The file could not be written: the disk is nearly full: "), "{details}");
    let errors = server.get(&format!("/api/v2/jobs/{}/errors", job["id"].as_str().unwrap()));
    assert_eq!((errors.status, &errors.json()["status_details"]), (200, &job["status_details"]));
    assert_eq!(std::fs::read_dir(directory.path().join("exports")).unwrap().count(), 0);
}

/// Texts that break things, made to a pattern: no dice, so that every run has the same.
fn texts() -> Vec<String> {
    let mut texts: Vec<String> = shared("blns")
        .map(|folder| {
            serde_json::from_str(&std::fs::read_to_string(folder.join("blns.json")).unwrap()).unwrap()
        })
        .unwrap_or_default();
    texts.extend(
        [
            "👩‍👩‍👧‍👦🏳️‍🌈",
            "Z̸̧̢a̷͉l̴g̶o̵",
            "שלום‏ עולם مرحبا",
            "e\u{301} é",
            "a\u{0}b",
            "\u{2028}\u{feff}\u{10ffff}",
            "\u{202e}abc",
        ]
        .map(str::to_owned),
    );
    texts
}

/// A row with everything that a user can bring along.
fn rich_row(at: usize, texts: &[String]) -> String {
    let text = |step: usize| serde_json::to_string(&texts[(at * 7 + step) % texts.len()]).unwrap();
    let name = |step: usize| {
        let text: String =
            texts[(at * 5 + step) % texts.len()].chars().filter(|c| !c.is_control()).take(100).collect();
        serde_json::to_string(if text.is_empty() { "-" } else { &text }).unwrap()
    };
    let profile = match at % 4 {
        0 => String::new(),
        1 => format!(
            ",\"name\":{},\"nickname\":{},\"given_name\":{},\"family_name\":{}",
            name(1),
            name(2),
            name(3),
            name(4)
        ),
        2 => format!(
            ",\"username\":\"user{at}\",\"picture\":\"https://pictures.test/{at}.png\",\"user_id\":\"auth0|given-{at}\""
        ),
        _ => format!(
            ",\"phone_number\":\"+4930{at:06}\",\"phone_verified\":{},\"blocked\":{},\"user_id\":\"auth0|{at:024x}\"",
            at.is_multiple_of(8),
            at.is_multiple_of(3)
        ),
    };
    let exported =
        if profile.contains("user_id") { "" } else { &*format!(",\"user_id\":\"auth0|own-{at}\"") };
    format!(
        "{{\"email\":\"u{at}@acme.test\",\"email_verified\":{}{profile}{exported},\
         \"app_metadata\":{{\"n\":[1.000,-0,12345678901234567890123.10,1e400],{}:{{\"deep\":[[[{{\"x\":{}}}]],null,true]}}}},\
         \"user_metadata\":{{\"t\":{},\"esc\":\"\\u0000 \\u00e9 \\uD83D\\ude00 \\/\",\"k\":{{}}}}}}",
        at.is_multiple_of(2),
        format_args!("\"k{}\"", at % 50),
        text(1),
        text(2),
    )
}

/// Members of exported users that an import does not take: only the server knows them.
const EXPORT_ONLY: [&str; 3] = ["created_at", "updated_at", "identities"];

/// The users of an export by id, each member as it is written, less those that only the server knows.
fn users_in(text: &str) -> BTreeMap<String, BTreeMap<String, String>> {
    let users = text.lines().map(|line| {
        let mut members: BTreeMap<String, Box<RawValue>> = serde_json::from_str(line).unwrap();
        for name in EXPORT_ONLY {
            members.remove(name);
        }
        let id = members["user_id"].get().to_owned();
        (id, members.into_iter().map(|(name, value)| (name, value.get().to_owned())).collect())
    });
    users.collect()
}

#[test]
fn an_export_of_ten_thousand_rich_users_imports_again_as_the_same_users() {
    const USERS: usize = 10_000;
    let texts = texts();
    let file = format!("[{}]", (0..USERS).map(|at| rich_row(at, &texts)).collect::<Vec<_>>().join(",\n"));
    let settings = [("INTAKE_IMPORT_MAX_FILE_SIZE", "64MB")];
    let first = Server::ephemeral_with(&settings);
    let job = first.import(&file, false);
    assert_eq!(job["summary"]["inserted"], USERS, "{job}");
    let job = export(&first, &json!({ "format": "json" }));
    let packed = fetch(&first, job["location"].as_str().unwrap());
    let before = users_in(&unpack(&packed));
    assert_eq!(before.len(), USERS);
    drop(first); // nothing is left of it

    let second = Server::ephemeral_with(&settings);
    let job = import(&second, &second.connection_id(), &packed);
    assert_eq!(job["summary"]["inserted"], USERS, "{job}");
    let after = users_in(&exported(&second, &json!({ "format": "json" })));
    for (id, user) in &before {
        assert_eq!(after.get(id), Some(user), "{id}");
    }
    assert_eq!(after.len(), before.len());
    assert!(after["\"auth0|own-0\""]["user_metadata"].contains(r"\u0000 \u00e9 \uD83D\ude00 \/"));
}

#[test]
fn a_packed_file_is_unpacked_within_its_own_limit() {
    let server = Server::ephemeral_with(&[("INTAKE_IMPORT_MAX_UNPACKED_SIZE", "100KB")]);
    let connection = server.connection_id();
    let users = format!("{}\n", exported_rows(20));
    assert_eq!(import(&server, &connection, &pack(users.as_bytes()))["summary"]["inserted"], 20);
    let blanks = |count: usize| pack(&[rows(3).as_bytes(), &vec![b' '; count][..]].concat());
    let fits = (100 << 10) - rows(3).len();
    assert_eq!(import(&server, &connection, &blanks(fits))["summary"]["total"], 3);
    let answer = server.upload(&Form::of(&[("connection_id", &connection)]).with_file(&blanks(fits + 1)));
    let message =
        "The unpacked file is larger than 102400 bytes, the most that is taken (import.max_unpacked_size)";
    answer.assert_refusal(413, "Request Entity Too Large", message, "");
    let packed = pack(users.as_bytes());
    for damaged in [&packed[..packed.len() - 1], &packed[..30], &[0x1f, 0x8b]] {
        let job = import(&server, &connection, damaged);
        assert_eq!(job["status"], "failed");
        let details = job["status_details"].as_str().unwrap();
        assert!(details.contains("the file is a damaged gzip file"), "{details}");
    }
}

/// Lines as an export has them.
fn exported_rows(count: usize) -> String {
    let row = |at: usize| {
        format!("{{\"user_id\":\"auth0|x{at}\",\"email\":\"x{at}@acme.test\",\"email_verified\":true}}")
    };
    (0..count).map(row).collect::<Vec<_>>().join("\n")
}

#[test]
fn an_export_above_the_limit_is_cut_by_the_command_and_one_below_is_checked() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("users.json.gz");
    std::fs::write(&file, pack(exported_rows(2000).as_bytes())).unwrap();
    let path = file.to_str().unwrap();
    let server = Server::ephemeral_with(&[("INTAKE_IMPORT_MAX_FILE_SIZE", "20KB")]);
    let check = intake(&["check", path], &[]).output().unwrap();
    assert!(check.status.success(), "{check:?}");
    assert_eq!(String::from_utf8_lossy(&check.stdout), "2000 rows, 0 of them cannot be imported\n");
    let imported = intake(&["import", path, "--url", &server.url, "--token", &server.token, "--json"], &[])
        .output()
        .unwrap();
    assert!(imported.status.success(), "{imported:?}");
    let outcome: Value = serde_json::from_slice(&imported.stdout).unwrap();
    assert_eq!(outcome[0]["summary"]["inserted"], 2000, "{outcome}");
    assert!(outcome[0]["jobs"].as_array().unwrap().len() > 5);
    check_piped(&file);
}

/// The same from standard input, and a damaged file.
fn check_piped(file: &Path) {
    let piped = Command::new("sh")
        .args(["-c", "cat \"$1\" | \"$0\" check -", crate::helpers::INTAKE, file.to_str().unwrap()])
        .output()
        .unwrap();
    assert!(piped.status.success(), "{piped:?}");
    let bytes = std::fs::read(file).unwrap();
    std::fs::write(file, &bytes[..bytes.len() / 2]).unwrap();
    let damaged = intake(&["check", file.to_str().unwrap()], &[]).output().unwrap();
    assert!(!damaged.status.success());
    assert!(
        String::from_utf8_lossy(&damaged.stderr).contains("cannot be read: as a gzip file"),
        "{damaged:?}"
    );
}

#[test]
fn users_that_change_during_an_export_are_in_it_once() {
    const USERS: usize = 20_000;
    let directory = tempfile::tempdir().unwrap();
    let server = Server::on(
        directory.path(),
        &[("INTAKE_IMPORT_MAX_FILE_SIZE", "64MB"), ("INTAKE_LOG_LEVEL", "error")],
    );
    assert_eq!(server.import(&rows(USERS), false)["status"], "completed");
    let grown = |bytes: usize| {
        let row = |at| json!({ "email": row(at)["email"], "email_verified": true, "app_metadata": { "x": "y".repeat(bytes) } });
        (0..USERS).step_by(10).map(row).collect::<Value>().to_string()
    };
    thread::scope(|scope| {
        scope.spawn(|| [20_000, 40, 30_000].map(|bytes| server.import(&grown(bytes), true)));
        for _ in 0..4 {
            let text = exported(&server, &json!({ "format": "json", "fields": [{ "name": "email" }] }));
            let mut emails: Vec<&str> = text.lines().collect();
            emails.sort_unstable();
            emails.dedup();
            assert_eq!((emails.len(), text.lines().count()), (USERS, USERS));
            thread::sleep(Duration::from_millis(1));
        }
    });
}
