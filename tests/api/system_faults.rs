//! What the system does not give: reads of a disk, handles, time for a sync. Nothing that was accepted is lost by it, and
//! others do not wait for it longer than they must.
//!
//! Faults of the disk are made by strace, which lets calls fail or take their time; without it those tests say so and
//! pass.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::helpers::{Form, PATIENCE, Server, intake, on, tool, until};
use crate::power::record::under_strace;

fn rows(name: &str, count: usize) -> String {
    let row = |at| json!({ "email": format!("{name}{at}@acme.test"), "email_verified": true }).to_string();
    format!("[{}]", (0..count).map(row).collect::<Vec<_>>().join(","))
}

/// A start that has to fail, while calls to a file of its data directory do.
fn refused_start(data: &Path, file: &str, fault: &str) -> Option<String> {
    let path = data.join(file);
    let start = intake(&["serve", "--bind", "127.0.0.1:0"], &on(data, &[]));
    let options = ["-o", "/dev/null", "-P", path.to_str()?, "-e", fault];
    let mut child = under_strace(&options, &start)?.stderr(std::process::Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + PATIENCE;
    while child.try_wait().unwrap().is_none() {
        if deadline < Instant::now() {
            child.kill().unwrap();
            panic!("it has started, or hangs: {fault}");
        }
        thread::sleep(Duration::from_millis(5));
    }
    let Output { status, stderr, .. } = child.wait_with_output().unwrap();
    let told = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(1), "{fault}: {told}");
    Some(told)
}

/// Recovery takes what it cannot read for the end of the log, and would overwrite what comes behind that.
#[test]
fn a_database_that_cannot_be_read_is_refused_and_not_changed() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let server = Server::on(&data, &[]);
    let job = server.import(&rows("a", 3000), false);
    assert_eq!(job["summary"]["inserted"], 3000);
    drop(server); // kill -9
    let log = data.join("database/db");
    let before = fs::read(&log).unwrap();
    for calls in
        ["inject=read,pread64:error=EIO", "inject=read:error=EIO:when=1", "inject=read:error=EIO:when=2"]
    {
        let Some(told) = refused_start(&data, "database/db", calls) else { return };
        assert!(told.contains(&format!("{} failed (Input/output error", data.display())), "{told}");
        assert!(fs::read(&log).unwrap() == before, "{calls}: the log was changed");
    }
    let server = Server::on(&data, &[]);
    assert_eq!(server.user("a2999@acme.test")["email"], "a2999@acme.test");
}

#[test]
fn a_witness_that_cannot_be_read_is_not_taken_for_a_missing_one() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let (database, older) = (data.join("database"), directory.path().join("older"));
    let server = Server::on(&data, &[]);
    server.import(&rows("a", 2), false);
    assert!(server.stop().success());
    let copied = Command::new("cp").arg("-r").args([&database, &older]).status().unwrap();
    assert!(copied.success());
    let server = Server::on(&data, &[]);
    server.import(&rows("b", 2), false);
    assert!(server.stop().success());
    fs::remove_dir_all(&database).unwrap();
    fs::rename(&older, &database).unwrap();
    let before = fs::read(data.join("witness")).unwrap();
    let Some(told) = refused_start(&data, "witness", "inject=pread64:error=EIO") else { return };
    assert!(told.contains("failed (Input/output error"), "{told}");
    assert!(fs::read(data.join("witness")).unwrap() == before);
    let told = refused_start(&data, "witness", "trace=none").unwrap();
    assert!(told.contains("was acknowledged"), "{told}");
}

#[test]
fn jobs_outlast_a_lack_of_handles() {
    let Some(prlimit) = tool("prlimit") else { return };
    let directory = tempfile::tempdir().unwrap();
    let (data, log) = (directory.path().join("data"), directory.path().join("log"));
    let settings = [("INTAKE_IMPORT_MAX_FILE_SIZE", "50MB")];
    let server = Server::logging_to(&log, &data, &settings);
    let limit = |handles: &str| {
        let id = server.child.id().to_string();
        let set = Command::new(&prlimit).args(["--pid", &id, &format!("--nofile={handles}:")]).status();
        assert!(set.unwrap().success());
    };
    let connection = server.connection_id();
    let files: Vec<String> = (0..6).map(|number| rows(&format!("f{number}-"), 60_000)).collect();
    let jobs: Vec<_> =
        files.iter().map(|file| server.upload(&Form::import(&connection, file, false)).json()).collect();
    limit("16");
    let held_up = "an import job was interrupted and will go on: Too many open files";
    until("a job is held up", || fs::read_to_string(&log).unwrap().contains(held_up).then_some(()));
    limit("1024");
    for job in jobs {
        let job = server.wait(job["id"].as_str().unwrap());
        assert_eq!(job["summary"]["inserted"], 60_000, "{job}");
    }
}

/// As many writers as there are threads that may wait, and more, on a disk that takes its time.
#[test]
fn those_who_read_do_not_wait_for_those_who_write() {
    const WRITERS: usize = 900;
    let directory = tempfile::tempdir().unwrap();
    let start = intake(&["serve", "--bind", "127.0.0.1:0"], &on(directory.path(), &[]));
    let slow = ["-o", "/dev/null", "-e", "trace=fdatasync", "-e", "inject=fdatasync:delay_exit=20000"];
    let Some(command) = under_strace(&slow, &start) else { return };
    let server = Server::started_by(command, directory.path(), &[]);
    server.import(&rows("a", 1), false);
    let user = server.user("a0@acme.test")["user_id"].as_str().unwrap().to_owned();
    let mut waiting: Vec<TcpStream> = (0..WRITERS)
        .map(|number| {
            let body = json!({ "user_metadata": { "n": number } }).to_string();
            let mut stream = server.dial();
            let head = format!(
                "PATCH /api/v2/users/{} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: \
                 application/json\r\ncontent-length: {}\r\n\r\n{body}",
                user.replace('|', "%7C"),
                server.token,
                body.len()
            );
            stream.write_all(head.as_bytes()).unwrap();
            stream
        })
        .collect();
    // The first one may still find a thread.
    for _ in 0..3 {
        assert_eq!(server.get(&format!("/api/v2/users/{}", user.replace('|', "%7C"))).status, 200);
        thread::sleep(Duration::from_millis(300));
    }
    // More would mean that the reader stood in line with them.
    let mut answered = 0;
    for stream in &mut waiting {
        stream.set_nonblocking(true).unwrap();
        match stream.read(&mut [0; 64]) {
            Ok(length) => answered += usize::from(length > 0),
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }
    assert!(answered < WRITERS / 6, "{answered} of {WRITERS} were served first");
}
