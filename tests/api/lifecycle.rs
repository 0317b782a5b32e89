//! Starting, stopping, and what is left on disk.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::json;

use crate::helpers::{Form, Server, intake};

fn rows(count: usize) -> String {
    let row = |at| json!({ "email": format!("user{at}@example.test"), "email_verified": true }).to_string();
    format!("[{}]", (0..count).map(row).collect::<Vec<_>>().join(",\n"))
}

fn spooled(directory: &Path) -> usize {
    fs::read_dir(directory.join("spool")).unwrap().count()
}

#[test]
fn an_ephemeral_server_leaves_nothing_behind() {
    let temporary = tempfile::tempdir().unwrap();
    let server = Server::ephemeral_with(&[("TMPDIR", temporary.path().to_str().unwrap())]);
    for name in ["url", "token", "client_id", "client_secret", "connection_id", "connection"] {
        assert!(server.about[name].is_string(), "{}", server.about);
    }
    assert_eq!(server.import(&rows(10), false)["summary"]["inserted"], 10);
    assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 1);
    assert!(server.stop().success());
    assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0);
}

#[test]
fn an_ephemeral_server_can_be_stopped_as_soon_as_it_is_there() {
    for signal in ["TERM", "INT", "HUP"] {
        for _ in 0..5 {
            let temporary = tempfile::tempdir().unwrap();
            let server = Server::ephemeral_with(&[("TMPDIR", temporary.path().to_str().unwrap())]);
            assert!(server.stop_by(signal).success(), "{signal}");
            assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0);
        }
    }
}

#[test]
fn a_stopped_server_goes_on_where_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let settings = [("INTAKE_IMPORT_MAX_FILE_SIZE", "50MB")];
    let server = Server::on(directory.path(), &settings);
    let form = Form::import(&server.connection_id(), &rows(200_000), false);
    let answer = server.upload(&form);
    assert_eq!(answer.status, 202, "{}", answer.text);
    let begun = std::time::Instant::now();
    assert!(server.stop().success());
    assert!(begun.elapsed() < Duration::from_secs(10));
    let server = Server::on(directory.path(), &settings);
    let job = server.wait(answer.json()["id"].as_str().unwrap());
    assert_eq!(job["summary"], json!({ "failed": 0, "updated": 0, "inserted": 200_000, "total": 200_000 }));
}

#[test]
fn refused_uploads_and_ended_jobs_leave_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::on(directory.path(), &[]);
    let connection = server.connection_id();
    let refused = [
        Form::of(&[("connection_id", "con_0000000000000000")]).with_file(b"[]"),
        Form::of(&[("connection_id", &connection), ("upsert", "maybe")]).with_file(b"[]"),
        Form::of(&[]).with_file(b"[]"),
        Form::import(&connection, &"x".repeat(600_000), false),
    ];
    for form in refused {
        assert!(server.upload(&form).status >= 400);
        assert_eq!(spooled(directory.path()), 0);
    }
    server.import(&rows(10), false);
    server.import("no json", false);
    assert_eq!(spooled(directory.path()), 0);
}

#[test]
fn an_upload_whose_client_vanishes_leaves_no_file() {
    use std::io::Write;
    let directory = tempfile::tempdir().unwrap();
    let server = Server::on(directory.path(), &[]);
    let mut stream = std::net::TcpStream::connect(server.url.strip_prefix("http://").unwrap()).unwrap();
    write!(
        stream,
        "POST /api/v2/jobs/users-imports HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: 400000\r\n\
         content-type: multipart/form-data; boundary=b\r\n\r\n--b\r\ncontent-disposition: form-data; name=\"users\"\r\n\r\n[",
        server.token
    )
    .unwrap();
    stream.write_all(&vec![b' '; 300_000]).unwrap();
    let deadline = std::time::Instant::now() + crate::helpers::PATIENCE;
    while spooled(directory.path()) == 0 {
        assert!(std::time::Instant::now() < deadline, "the upload does not begin");
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(stream);
    while spooled(directory.path()) > 0 {
        assert!(std::time::Instant::now() < deadline, "the file stays");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn an_upload_that_would_fill_the_disk_is_refused() {
    let server = Server::ephemeral_with(&[("INTAKE_STORAGE_MIN_FREE_DISK", "1000000GB")]);
    let answer = server.upload(&Form::import(&server.connection_id(), &rows(1), false));
    assert_eq!(
        (answer.status, answer.json()["error"].as_str()),
        (507, Some("Insufficient Storage")),
        "{}",
        answer.text
    );
}

#[test]
fn as_many_jobs_as_allowed_may_wait_and_one_more_is_told_to_come_back() {
    let settings = [
        ("INTAKE_IMPORT_MAX_ACTIVE_JOBS", "2"),
        ("INTAKE_IMPORT_MAX_FILE_SIZE", "50MB"),
        ("INTAKE_IMPORT_WORKERS", "1"),
    ];
    let server = Server::ephemeral_with(&settings);
    let connection = server.connection_id();
    let file = rows(60_000);
    let first = server.upload(&Form::import(&connection, &file, false));
    let second = server.upload(&Form::import(&connection, &file, false));
    let third = server.upload(&Form::import(&connection, &rows(1), false));
    assert_eq!([first.status, second.status], [202, 202]);
    let message =
        "There are 2 active import users jobs, please wait until some of them are finished and try again";
    third.assert_refusal(429, "Too Many Requests", message, "too_many_requests");
    assert_eq!(third.header("retry-after"), "5");
    // One place is enough.
    server.wait(first.json()["id"].as_str().unwrap());
    let fourth = server.upload(&Form::import(&connection, &rows(1), false));
    assert_eq!(fourth.status, 202, "{}", fourth.text);
    server.wait(second.json()["id"].as_str().unwrap());
    server.wait(fourth.json()["id"].as_str().unwrap());
    for _ in 0..3 {
        let one_more = server.upload(&Form::import(&connection, &rows(1), false));
        assert_eq!(one_more.status, 202, "{}", one_more.text);
        server.wait(one_more.json()["id"].as_str().unwrap());
    }
}

#[test]
fn a_small_job_does_not_wait_for_large_ones_to_end() {
    let server = Server::ephemeral_with(&[("INTAKE_IMPORT_MAX_FILE_SIZE", "50MB")]);
    let connection = server.connection_id();
    let large = rows(300_000);
    let large = [0, 1, 2].map(|_| server.upload(&Form::import(&connection, &large, true)).json());
    let small = json!([{ "email": "small@example.test", "email_verified": true }]).to_string();
    let small = server.upload(&Form::import(&connection, &small, false)).json();
    let small = server.wait(small["id"].as_str().unwrap());
    assert_eq!(small["summary"]["inserted"], 1);
    let pending = server.get("/api/v2/jobs?status=pending").json();
    assert!(!pending.as_array().unwrap().is_empty(), "every large job has ended before the small one");
    for job in large {
        let job = server.wait(job["id"].as_str().unwrap());
        assert_eq!(job["summary"]["total"], 300_000);
        assert_eq!(job["summary"]["failed"], 0, "two jobs may both change a user: {job}");
    }
}

#[test]
fn a_first_start_that_fails_makes_no_client_whose_secret_nobody_has_seen() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let bind = taken.local_addr().unwrap().to_string();
    let directory = tempfile::tempdir().unwrap();
    let path = ("INTAKE_STORAGE_PATH", directory.path().to_str().unwrap());
    let output = intake(&["serve", "--bind", &bind], &[path]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains(&bind) && told.contains("--bind"), "{told}");
    let file = directory.path().join("none.json");
    fs::write(&file, "[]").unwrap();
    let output = intake(&["import", file.to_str().unwrap()], &[path]).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("client_secret"), "{told}");
}

#[test]
fn what_is_declared_is_made_once_and_never_changed() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("intake.toml");
    let declare = |strategy: &str| {
        let text = format!(
            "[[clients]]\nclient_id = \"importer\"\nclient_secret = \"0123456789abcdef\"\n\
             [[connections]]\nname = \"staff-db\"\nstrategy = \"{strategy}\"\nid = \"con_8dQ2xYz0aBcD1eFg\"\n\
             clients = [\"importer\"]\n"
        );
        fs::write(&config, text).unwrap();
    };
    let data = directory.path().join("data");
    let start = || Server::configured(&data, &config);
    declare("auth0");
    let made = start().get("/api/v2/connections").json();
    assert_eq!(made.as_array().unwrap().len(), 1, "{made}");
    assert_eq!(made[0]["id"], "con_8dQ2xYz0aBcD1eFg");
    assert_eq!(made[0]["enabled_clients"], json!(["importer"]));
    declare("google-oauth2");
    assert_eq!(start().get("/api/v2/connections").json(), made);
}

#[test]
fn a_first_start_that_fails_leaves_no_client_whose_secret_nobody_knows() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let config = directory.path().join("settings.toml");
    fs::write(&config, "[[connections]]\nname = \"staff\"\nclients = [\"nobody\"]").unwrap();
    let start = |settings: &str| {
        let arguments = ["serve", "--bind", "127.0.0.1:0", "--config", settings];
        intake(&arguments, &[("INTAKE_STORAGE_PATH", data.to_str().unwrap())])
    };
    let failed = start(config.to_str().unwrap()).output().unwrap();
    assert_eq!(failed.status.code(), Some(1));
    let said = String::from_utf8(failed.stderr).unwrap();
    assert!(said.contains("nobody") && !said.contains("client_secret"), "{said}");
    let mut child = start("/dev/null").stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("client_secret")), "the next start shows the secret");
    child.kill().unwrap();
    child.wait().unwrap();
}
