//! The commands as a person types them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::helpers::{INTAKE, Server, intake, token};

/// A directory for data and files of its own, and the program in it.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str, content: &str) -> String {
        fs::write(self.path(name), content).unwrap();
        name.to_owned()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.run_with(arguments, &[])
    }

    fn run_with(&self, arguments: &[&str], settings: &[(&str, &str)]) -> Output {
        intake(arguments, settings).current_dir(self.0.path()).stdin(Stdio::null()).output().unwrap()
    }
}

fn data(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name).to_str().unwrap().to_owned()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn rows(count: usize) -> String {
    let row = |at| json!({ "email": format!("user{at}@example.test"), "email_verified": true }).to_string();
    format!("[{}]", (0..count).map(row).collect::<Vec<_>>().join(",\n"))
}

#[test]
fn a_newcomer_imports_without_any_configuration() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let output = place.run(&["import", &data("users.json"), "--report", "report.json"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("3 rows: 3 inserted, 0 updated, 0 failed"), "{}", stdout(&output));
    assert!(!place.path("report.json").exists(), "there is nothing to report");
    let mode = |name: &str| fs::metadata(place.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("intake-data"), mode("intake-data/signing-key.pem")), (0o700, 0o600));
    let said = stderr(&output);
    assert!(said.contains("intake-data") && said.contains("client_secret"), "{said}");
}

#[test]
fn failed_rows_are_counted_by_code_and_written_to_a_report() {
    let place = Place::new();
    place.run(&["import", &data("users.json"), "--report", "report.json"]);
    let output = place.run(&["import", &data("mixed.json"), "--report", "report.json"]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let told = stdout(&output);
    assert!(told.contains("7 rows: 1 inserted, 0 updated, 6 failed"), "{told}");
    assert!(told.contains("DUPLICATED_USER: 2 rows, on lines 5, 8"), "{told}");
    assert!(told.contains("report.json"), "{told}");
    let report: Value = serde_json::from_slice(&fs::read(place.path("report.json")).unwrap()).unwrap();
    let places: Vec<_> =
        report.as_array().unwrap().iter().map(|row| (row["index"].as_u64(), row["line"].as_u64())).collect();
    assert_eq!(places, (1..7).map(|at| (Some(at), Some(at + 2))).collect::<Vec<_>>());
}

#[test]
fn a_file_above_the_limit_is_cut_between_rows() {
    let place = Place::new();
    let mut file = rows(2000);
    file = file.replace("user1500@example.test", "not an address");
    let file = place.file("users.json", &file);
    let limit = [("INTAKE_IMPORT_MAX_FILE_SIZE", "20KB")];
    let output = place.run_with(&["import", &file, "--json"], &limit);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let outcome: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(outcome[0]["summary"], json!({ "inserted": 1999, "updated": 0, "failed": 1, "total": 2000 }));
    assert!(outcome[0]["jobs"].as_array().unwrap().len() > 5, "{outcome}");
    let report: Value = serde_json::from_slice(&fs::read(place.path("users.report.json")).unwrap()).unwrap();
    assert_eq!(
        (&report[0]["index"], &report[0]["line"]),
        (&json!(1500), &json!(1501)),
        "numbers are the file's own"
    );
}

#[test]
fn a_row_that_no_request_can_hold_is_reported_and_the_others_are_imported() {
    let place = Place::new();
    let long = "x".repeat(30 << 10);
    let rows = json!([
        { "email": "a@example.test", "email_verified": true },
        { "email": "b@example.test", "email_verified": true, "user_metadata": { "long": long } },
        { "email": "c@example.test", "email_verified": true },
    ]);
    let file = place.file("users.json", &rows.to_string());
    let output = place.run_with(&["import", &file], &[("INTAKE_IMPORT_MAX_FILE_SIZE", "20KB")]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(stdout(&output).contains("3 rows: 2 inserted, 0 updated, 1 failed"), "{}", stdout(&output));
    assert!(stdout(&output).contains("PROFILE_SIZE_EXCEEDED"), "{}", stdout(&output));
}

#[test]
fn a_broken_file_fails_whether_it_must_be_cut_or_not() {
    let place = Place::new();
    let file = place.file("users.json", &rows(2000).replace(']', ""));
    for limit in ["20KB", "1MB"] {
        let output = place.run_with(&["import", &file], &[("INTAKE_IMPORT_MAX_FILE_SIZE", limit)]);
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        assert!(stdout(&output).contains("0 rows: 0 inserted"), "{}", stdout(&output));
        assert!(stdout(&output).contains("at line 2000 column"), "{}", stdout(&output));
    }
}

#[test]
fn a_running_server_is_used_and_standard_input_is_a_file() {
    let place = Place::new();
    let server = Server::on(&place.path("intake-data"), &[]);
    let mut child = intake(&["import", "-", "--upsert", "--external-id", "nightly"], &[])
        .current_dir(place.0.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), rows(3).as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("using the server at"), "{}", stderr(&output));
    let jobs = server.get("/api/v2/jobs?external_id=nightly").json();
    assert_eq!(jobs[0]["summary"]["inserted"], 3, "{jobs}");
}

/// A shell gives a pipe such a name for `intake import <(zcat users.json.gz)`.
#[test]
fn a_pipe_with_a_name_is_read_like_standard_input() {
    let place = Place::new();
    let mut child = intake(&["import", "/dev/stdin"], &[])
        .current_dir(place.0.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let file = rows(3).replace("user1@example.test", "no address");
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), file.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(stdout(&output).contains("3 rows: 2 inserted, 0 updated, 1 failed"), "{}", stdout(&output));
    assert!(place.path("stdin.report.json").exists(), "{}", stdout(&output));
}

#[test]
fn imports_at_once_take_turns_with_the_data_directory() {
    let place = Place::new();
    let spawn = |name: &str| {
        let file = place.file(name, &rows(300).replace("user", name));
        intake(&["import", &file], &[("INTAKE_IMPORT_MAX_FILE_SIZE", "8KB")])
            .current_dir(place.0.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    for import in ["a", "b", "c", "d"].map(spawn) {
        let output = import.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert!(stdout(&output).contains("300 inserted"), "{}", stdout(&output));
    }
}

#[test]
fn a_file_that_cannot_be_imported_does_not_hide_what_became_of_the_others() {
    let place = Place::new();
    let (first, last) = (place.file("a.json", &rows(3)), place.file("b.json", "[]"));
    let output = place.run(&["import", &first, "missing.json", &last, "--json"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let outcomes: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(outcomes[0]["summary"]["inserted"], 3, "{outcomes}");
    let failure = outcomes[1]["failures"][0].as_str().unwrap();
    assert!(failure.contains("missing.json cannot be read"), "{failure}");
    assert_eq!(outcomes[2]["jobs"].as_array().unwrap().len(), 1, "{outcomes}");
}

#[test]
fn a_report_that_cannot_be_written_costs_the_report_and_nothing_else() {
    let place = Place::new();
    let file = place.file("users.json", "[{}]");
    let output = place.run(&["import", &file, "--report", "users.json"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("choose another name"), "{}", stderr(&output));
    assert_eq!(fs::read_to_string(place.path(&file)).unwrap(), "[{}]", "the file is as it was");

    let output = place.run(&["import", &file, "--report", "missing/report.json"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let told = stdout(&output);
    assert!(told.contains("1 rows: 0 inserted, 0 updated, 1 failed"), "{told}");
    assert!(told.contains("the report missing/report.json cannot be written: No such file"), "{told}");
    assert!(told.contains("OBJECT_REQUIRED: 1 row, on line 1") && told.contains("job: job_"), "{told}");
}

/// Half of the rows would be taken for all of them.
#[test]
fn nothing_is_left_of_a_report_that_the_disk_did_not_take() {
    let (place, server) = (Place::new(), Server::ephemeral());
    let file = place.file("users.json", &format!("[{}]", vec!["{}"; 2000].join(",\n")));
    for (blocks, report) in [(0, "none.json"), (8, "half.json")] {
        let import = format!(
            "ulimit -f {blocks}; exec \"$0\" import {file} --url {} --token {} --report {report}",
            server.url, server.token
        );
        let output = Command::new("bash").args(["-c", &import, INTAKE]).current_dir(place.0.path()).output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        let told = stdout(&output);
        assert!(told.contains(&format!("the report {report} cannot be written: File too large")), "{told}");
        assert!(told.contains("2000 rows: 0 inserted, 0 updated, 2000 failed"), "{told}");
        assert!(!place.path(report).exists(), "{report}");
    }
}

#[test]
fn nothing_is_left_of_standard_input_however_the_command_ends() {
    let place = Place::new();
    let temporary = place.path("temporary");
    fs::create_dir(&temporary).unwrap();
    let mut child = intake(&["import", "-"], &[("TMPDIR", temporary.to_str().unwrap())])
        .current_dir(place.0.path())
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // More than a pipe holds: once it is written, the command is reading.
    std::io::Write::write_all(child.stdin.as_mut().unwrap(), &vec![b' '; 1 << 20]).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(fs::read_dir(&temporary).unwrap().count(), 0);
}

/// A server that answers one request after the other with these, and then is gone.
fn scripted(answers: &'static [(&str, &str)]) -> String {
    use std::io::{BufRead, BufReader, Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for (status, body) in answers {
            let mut stream = listener.accept().unwrap().0;
            let mut request = BufReader::new(stream.try_clone().unwrap());
            let (mut line, mut length) = (String::new(), 0);
            while request.read_line(&mut line).unwrap() > 2 {
                length =
                    line.strip_prefix("content-length: ").map_or(length, |it| it.trim().parse().unwrap());
                line.clear();
            }
            request.read_exact(&mut vec![0; length]).unwrap();
            let bytes = body.len();
            write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {bytes}\r\nconnection: close\r\n\r\n{body}")
                .unwrap();
        }
    });
    url
}

const CONNECTIONS: (&str, &str) = ("200 OK", r#"[{"id":"con_8dQ2xYz0aBcD1eFg","name":"users"}]"#);
const ACCEPTED: (&str, &str) = ("202 Accepted", r#"{"id":"job_a","status":"pending"}"#);

#[test]
fn a_server_that_is_back_in_a_moment_is_asked_again() {
    let url = scripted(&[
        CONNECTIONS,
        ACCEPTED,
        ("503 Service Unavailable", "{}"),
        (
            "200 OK",
            r#"{"id":"job_a","status":"completed","summary":{"inserted":3,"updated":0,"failed":0,"total":3}}"#,
        ),
        ("204 No Content", ""),
    ]);
    let place = Place::new();
    let file = place.file("users.json", &rows(3));
    let output = place.run(&["import", &file, "--url", &url, "--token", "any"]);
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
}

#[test]
fn the_jobs_of_a_server_that_has_gone_are_named() {
    let url = scripted(&[CONNECTIONS, ACCEPTED]);
    let place = Place::new();
    let file = place.file("users.json", &rows(3));
    let output = place.run(&["import", &file, "--url", &url, "--token", "any", "--json"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let outcome: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(outcome[0]["jobs"], json!(["job_a"]));
    assert!(outcome[0]["failures"][0].as_str().unwrap().contains("no answer from"), "{outcome}");
}

#[test]
fn a_server_elsewhere_is_used_with_a_token() {
    let place = Place::new();
    let server = Server::ephemeral();
    let file = place.file("users.json", &rows(3));
    let output = place.run(&["import", &file, "--url", &server.url, "--token", &server.token]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(server.user("user2@example.test")["email_verified"], true);
    let output = place.run(&["import", &file, "--url", &server.url, "--token", "nonsense"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("401"), "{}", stderr(&output));
}

#[test]
fn wrong_usage_ends_with_2_and_what_cannot_run_with_1() {
    let place = Place::new();
    for wrong in [
        &["import"][..],
        &["export"],
        &["import", "a.json", "--url", "http://x"],
        &["token", "--ttl", "soon"],
        &["token", "--scope", "read:users bogus"],
        &["import", "a.json", "b.json", "--report", "failed.json"],
        &["dump", "--json"],
        &["dump", "--json", "-"],
        &["serve", "--bind", "localhost:3000"],
    ] {
        let output = place.run(wrong);
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
        assert!(!stderr(&output).is_empty() && !place.path("intake-data").exists(), "{wrong:?}");
    }
    let scope = place.run(&["token", "--scope", "read:users bogus"]);
    assert!(stderr(&scope).contains("bogus"), "{}", stderr(&scope));
    let bind = place.run(&["serve", "--bind", "localhost:3000"]);
    assert!(stderr(&bind).contains("like 127.0.0.1:3000"), "{}", stderr(&bind));
    let file = place.file("file", "");
    let output = place.run_with(&["serve"], &[("INTAKE_STORAGE_PATH", &file)]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("the data directory file (storage.path)"), "{}", stderr(&output));
    let output = place.run_with(&["serve"], &[("INTAKE_IMPORT_MAX_FIEL_SIZE", "1MB")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("INTAKE_IMPORT_MAX_FIEL_SIZE"), "{}", stderr(&output));
}

#[test]
fn a_check_tells_every_fault_and_stores_nothing() {
    let place = Place::new();
    let output = place.run(&["check", &data("mixed.json")]);
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    let told = stdout(&output);
    assert!(told.contains("line 6 (index 4)\n  NOT_PASSED"), "{told}");
    assert!(told.contains("line 5 (index 3)\n  DUPLICATED_USER: A user with this email was already provided. (index 0 is the first)"), "{told}");
    assert!(told.ends_with("7 rows, 5 of them cannot be imported\n"), "{told}");
    assert!(!place.path("intake-data").exists());

    let output = place.run(&["check", &data("mixed.json"), "--json"]);
    let told: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(told["summary"], json!({ "total": 7, "failed": 5 }));
    assert_eq!(told["errors"][0]["errors"][0]["code"], "INVALID_FORMAT");

    assert_eq!(place.run(&["check", &data("users.json")]).status.code(), Some(0));
    let output = place.run(&["check", &place.file("single.json", "{\"email\": 1}")]);
    assert_eq!(output.status.code(), Some(4));
    assert!(stdout(&output).contains("wrap it in [ ]"), "{}", stdout(&output));
}

#[test]
fn a_token_has_the_scopes_and_the_time_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::on(directory.path(), &[]);
    let narrow = token(directory.path(), &["--scope", "read:users"], &[]);
    assert_eq!(server.get_as("/api/v2/users-by-email?email=a@b.test", &narrow).status, 200);
    assert_eq!(server.get_as("/api/v2/connections", &narrow).status, 403);
    let short = token(directory.path(), &["--ttl", "1s"], &[]);
    std::thread::sleep(std::time::Duration::from_millis(2100));
    let answer = server.get_as("/api/v2/connections", &short);
    assert_eq!(
        (answer.status, answer.json()["message"].as_str()),
        (401, Some("Expired token received for JSON Web Token validation"))
    );
}

#[test]
fn every_command_has_a_manual_with_an_example() {
    let place = Place::new();
    for command in ["serve", "import", "check", "token", "backup", "restore"] {
        let output = place.run(&[command, "--help"]);
        assert_eq!(output.status.code(), Some(0));
        let manual = stdout(&output);
        assert!(manual.contains("Examples:") && manual.contains("Exit status:"), "{manual}");
    }
}

/// Each of these files is a mistake that people make; the message says where it is and what to do.
#[test]
fn a_file_that_is_no_array_is_told_from_its_look() {
    let place = Place::new();
    for (file, position, advice) in [
        ("ndjson.json", "at line 1 column 1 (byte 0)", "NDJSON"),
        ("single-object.json", "at line 1 column 1 (byte 0)", "wrap it in [ ]"),
        ("cut-short.json", "at line 3 column 23 (byte 83)", "cut short"),
        ("trailing-comma.json", "at line 3 column 1 (byte 61)", "comma"),
        ("table.csv", "at line 1 column 1 (byte 0)", "CSV"),
    ] {
        let path = data(&format!("broken/{file}"));
        let checked = place.run(&["check", &path]);
        assert_eq!(checked.status.code(), Some(4), "{file}");
        let imported = place.run(&["import", &path]);
        assert_eq!(imported.status.code(), Some(1), "{file}");
        for told in [stdout(&checked), stdout(&imported)] {
            assert!(told.contains(position) && told.contains(advice), "{file}: {told}");
        }
    }
}
