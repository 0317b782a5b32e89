//! A full disk, or a process that may not write larger files: uploads are refused, jobs wait and go on, reads never
//! stop, and the database opens afterwards.
//!
//! The disks are small ones in memory, which only root can mount; without that the tests say so and pass.
//! `INTAKE_TEST_FULL` sets how often a disk is filled at a random moment.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::helpers::{
    Answer, Form, INTAKE, PATIENCE, Server, intake, on, open_store, read_answer, tool, until,
};
use crate::small_disk::{Disk, FileDisk};
use crate::smtp::MailServer;

/// The least that a server takes ahead, and no other thought for the disk.
const SETTINGS: &[(&str, &str)] = &[
    ("INTAKE_STORAGE_RESERVE", "16MB"),
    ("INTAKE_STORAGE_MIN_FREE_DISK", "0"),
    ("INTAKE_IMPORT_MAX_FILE_SIZE", "50MB"),
    ("INTAKE_MAIL_TRANSPORT", "off"),
];
/// What a server says once when it cannot write, and once when it can.
const FULL: &str = "nothing can be written: ";
const ROOM: &str = "there is room again";

fn serve(disk: &Disk, more: &[(&str, &str)]) -> Server {
    disk.serve(&[SETTINGS, more].concat())
}

fn email(file: &str, row: usize) -> String {
    format!("{file}-{row}@acme.test")
}

/// A file of rows that do not pack well.
fn rows(name: &str, rows: usize) -> String {
    let mut dice = Dice(name.bytes().map(u64::from).sum());
    let row = |row| {
        let noise = (0..12).map(|_| format!("{:08x}", dice.below(1 << 31))).collect::<Vec<_>>().concat();
        json!({ "email": email(name, row), "email_verified": true, "user_metadata": { "noise": noise } })
            .to_string()
    };
    format!("[{}]", (0..rows).map(row).collect::<Vec<_>>().join(",\n"))
}

fn emails(file: &str, rows: usize) -> impl Iterator<Item = String> {
    (0..rows).map(move |row| email(file, row))
}

/// Small steps that look random, and are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

fn submit(server: &Server, file: &str) -> String {
    let answer = server.upload(&Form::import(&server.connection_id(), file, false));
    assert_eq!(answer.status, 202, "{}", answer.text);
    answer.json()["id"].as_str().unwrap().to_owned()
}

fn ready(server: &Server) -> (u16, Value) {
    let answer = server.get("/readyz");
    (answer.status, answer.json()["status"].clone())
}

fn figure(server: &Server, name: &str) -> f64 {
    let text = server.get("/metrics").text;
    let line = text.lines().find(|line| line.starts_with(&format!("{name} ")));
    line.and_then(|line| line.rsplit_once(' ')).unwrap().1.parse().unwrap()
}

/// Waits until nothing can be written.
fn wait_until_full(server: &Server) {
    until("the job has to wait", || (ready(server) == (200, json!("full"))).then_some(()));
}

#[track_caller]
fn assert_no_room(answer: &Answer, setting: &str) {
    assert_eq!(answer.status, 507, "{answer:?}");
    let body = answer.json();
    assert_eq!(
        (&body["error"], &body["errorCode"]),
        (&json!("Insufficient Storage"), &json!("insufficient_storage"))
    );
    let message = body["message"].as_str().unwrap();
    assert!(message.starts_with("The server has no room for this: "), "{message}");
    assert!(message.contains(setting) && message.contains(" bytes "), "{message}");
}

fn create_user(server: &Server, name: &str) -> Answer {
    let connection = server.get("/api/v2/connections").json()[0]["name"].clone();
    let body = json!({ "connection": connection, "email": format!("{name}@acme.test"), "password": "Pa55word-0123!" });
    server.send("POST", "/api/v2/users", &body)
}

const ROWS: usize = 24_000;

/// A disk so full that a job can only begin, and a server whose job waits.
fn a_job_that_waits(disk: &Disk, more: &[(&str, &str)]) -> (Server, String) {
    let server = serve(disk, more);
    assert_eq!(server.import(&rows("early", 2), false)["status"], "completed");
    let file = rows("late", ROWS);
    disk.fill(file.len() as u64 + (200 << 10));
    let job = submit(&server, &file);
    wait_until_full(&server);
    disk.fill(0);
    (server, job)
}

fn all_rows() -> BTreeSet<String> {
    emails("early", 2).chain(emails("late", ROWS)).collect()
}

#[test]
fn on_a_full_disk_jobs_wait_reads_go_on_and_uploads_are_refused_until_there_is_room() {
    let Some(disk) = Disk::of_megabytes(64) else { return };
    let (server, job) = a_job_that_waits(&disk, &[]);
    for _ in 0..3 {
        let about = server.get(&format!("/api/v2/jobs/{job}")).json();
        assert_eq!(about["status"], "pending", "{about}");
        assert_eq!(server.user(&email("early", 0))["email"], email("early", 0));
        assert_eq!(server.user(&email("late", 0))["email"], email("late", 0), "a part of the job is done");
        assert_no_room(
            &server.upload(&Form::import(&server.connection_id(), &rows("more", 2), false)),
            "storage.",
        );
        assert_no_room(&create_user(&server, "nobody"), "storage.reserve");
        assert_eq!(ready(&server), (200, json!("full")));
        assert_eq!((figure(&server, "intake_ready"), figure(&server, "intake_store_full")), (1.0, 1.0));
        thread::sleep(Duration::from_millis(700));
    }
    assert_eq!(disk.spooled(), 1, "nothing is left of what was refused");
    assert!(figure(&server, "intake_store_commits_total{outcome=\"failed\"}") < 1.0);
    assert_eq!(
        (disk.told_times(FULL), disk.told_times(ROOM), disk.told_times("ERROR")),
        (1, 0, 1),
        "{}",
        disk.told()
    );

    disk.clear();
    let ended = server.wait(&job);
    assert_eq!(ended["summary"], json!({ "failed": 0, "updated": 0, "inserted": ROWS, "total": ROWS }));
    assert_eq!((disk.told_times(FULL), disk.told_times(ROOM)), (1, 1), "{}", disk.told());
    assert_eq!(ready(&server), (200, json!("ready")));
    assert_eq!(create_user(&server, "somebody").status, 201);
    assert!(server.stop().success());
    disk.assert_users(&all_rows().into_iter().chain(["somebody@acme.test".to_owned()]).collect());
}

#[test]
fn a_server_that_dies_on_a_full_disk_starts_on_it_and_goes_on_when_there_is_room() {
    let Some(disk) = Disk::of_megabytes(64) else { return };
    let (server, job) = a_job_that_waits(&disk, &[]);
    drop(server); // kill -9
    disk.fill(0);
    for _ in 0..2 {
        let server = serve(&disk, &[]);
        assert_eq!(server.get(&format!("/api/v2/jobs/{job}")).json()["status"], "pending");
        assert_eq!(server.user(&email("late", 0))["email"], email("late", 0));
        disk.fill(0);
        wait_until_full(&server);
        assert!(server.stop().success());
        disk.fill(0);
    }
    let server = serve(&disk, &[]);
    wait_until_full(&server);
    disk.clear();
    assert_eq!(server.wait(&job)["summary"]["inserted"], ROWS);
    assert!(server.stop().success());
    disk.assert_users(&all_rows());
}

#[test]
fn a_server_that_started_on_a_full_disk_is_found_by_commands_when_there_is_room_and_until_then_they_say_why()
{
    let Some(disk) = Disk::of_megabytes(64) else { return };
    let (server, _) = a_job_that_waits(&disk, &[]);
    drop(server);
    disk.fill(0);
    // The start waits for its key: what it gave back of the disk until then is taken by somebody else.
    let (key, kept) = (disk.data().join("signing-key.pem"), disk.data().join("kept.pem"));
    fs::rename(&key, &kept).unwrap();
    assert!(Command::new("mkfifo").arg(&key).status().unwrap().success());
    let server = thread::scope(|scope| {
        scope.spawn(|| {
            let mut pipe = File::options().write(true).open(&key).unwrap();
            disk.fill(0);
            pipe.write_all(&fs::read(&kept).unwrap()).unwrap();
            fs::rename(&kept, &key).unwrap();
        });
        serve(&disk, &[])
    });
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), rows("more", 2)).unwrap();
    let run = |arguments: &[&str]| {
        let output = intake(arguments, &on(&disk.data(), SETTINGS)).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    for arguments in [&["doctor"][..], &["import", file.path().to_str().unwrap()]] {
        let begun = Instant::now();
        let (status, told) = run(arguments);
        assert!(begun.elapsed() < PATIENCE, "{arguments:?} waited for {:?}", begun.elapsed());
        assert_eq!(status, Some(1), "{arguments:?}: {told}");
        assert!(told.contains("another process is using the data directory"), "{told}");
        assert!(
            told.contains("so full that it cannot say where it is: make room there, or stop it"),
            "{told}"
        );
    }
    disk.clear();
    until("it says where it is", || intake::app::running(&disk.data()));
    let (status, told) = run(&["doctor"]);
    assert_eq!(status, Some(0), "{told}");
    assert!(told.contains(&format!("using the server at {}", server.url)), "{told}");
    assert!(server.stop().success());
    assert!(!disk.data().join("server.json").exists());
}

#[test]
fn a_directory_without_any_room_is_refused_at_start_and_opens_when_there_is_some() {
    let Some(disk) = Disk::of_megabytes(64) else { return };
    let (server, job) = a_job_that_waits(&disk, &[]);
    drop(server);
    // As a copy of the directory would have it: nothing is there beyond the end of the log.
    let log = File::options().write(true).open(disk.data().join("database/db")).unwrap();
    log.set_len(log.metadata().unwrap().len()).unwrap();
    disk.fill(0);
    for _ in 0..2 {
        let told = refused_start(&disk.data());
        assert!(
            told.contains(&format!("the disk of the data directory {} is full", disk.data().display())),
            "{told}"
        );
        assert!(told.contains("make room there and start again"), "{told}");
    }
    disk.clear();
    let server = serve(&disk, &[]);
    assert_eq!(server.wait(&job)["summary"]["inserted"], ROWS);
    assert!(server.stop().success());
    disk.assert_users(&all_rows());
}

#[test]
fn where_no_room_can_be_taken_ahead_it_is_looked_for() {
    let Some(disk) = FileDisk::without_fallocate(64) else { return };
    let server = serve(&disk, &[]);
    assert_eq!(server.import(&rows("early", 2), false)["status"], "completed");
    let file = rows("late", ROWS);
    disk.fill(file.len() as u64 + (17 << 20));
    let job = submit(&server, &file);
    wait_until_full(&server);
    assert_no_room(&create_user(&server, "nobody"), "storage.reserve");
    assert_eq!(server.user(&email("early", 0))["email"], email("early", 0));
    assert_eq!(disk.told_times("takes no room beforehand"), 1, "{}", disk.told());
    disk.clear();
    assert_eq!(server.wait(&job)["summary"]["inserted"], ROWS);
    assert!(server.stop().success());
    disk.assert_users(&all_rows());
}

#[test]
fn an_upload_that_meets_a_full_disk_midway_is_refused_and_leaves_nothing() {
    let Some(disk) = Disk::of_megabytes(64) else { return };
    // With and without a thought for the disk: it is met by looking, or by writing.
    for (min_free, left, words) in
        [("8MB", 4 << 20, "storage.min_free_disk"), ("0", 0, "The server has no room")]
    {
        let server = serve(&disk, &[("INTAKE_STORAGE_MIN_FREE_DISK", min_free)]);
        let form = Form::import(&server.connection_id(), &rows("midway", ROWS), false);
        let mut stream = server.dial();
        let head = Server::upload_head(&server.token, &format!("content-length: {}", form.bytes().len()));
        let (first, rest) = form.bytes().split_at(form.bytes().len() / 2);
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(first).unwrap();
        until("it is on its way", || (disk.spooled() == 1).then_some(()));
        disk.fill(left);
        stream.write_all(rest).unwrap();
        let answer = read_answer(&mut stream);
        assert_eq!(answer.status, 507, "{answer:?}");
        assert!(answer.text.contains(words), "{answer:?}");
        assert_eq!(disk.spooled(), 0);
        let jobs = server.get("/api/v2/jobs").json();
        assert!(jobs.as_array().unwrap().iter().all(|job| job["status"] == "completed"), "{jobs}");
        disk.clear();
        assert_eq!(server.import(&rows("after", 2), true)["status"], "completed");
    }
}

#[test]
fn an_export_that_the_disk_does_not_hold_fails_and_leaves_nothing() {
    let Some(disk) = Disk::of_megabytes(64) else { return };
    let server = serve(&disk, &[("INTAKE_STORAGE_RESERVE", "20MB")]);
    server.import(&rows("early", ROWS), false);
    disk.fill(100 << 10);
    let order = server.send("POST", "/api/v2/jobs/users-exports", &json!({ "format": "json" }));
    let job = server.wait(order.json()["id"].as_str().unwrap());
    assert_eq!(job["status"], "failed", "{job}");
    let details = job["status_details"].as_str().unwrap();
    assert!(details.starts_with("The file could not be written: "), "{details}");
    assert_eq!(fs::read_dir(disk.data().join("exports")).unwrap().count(), 0);
    disk.clear();
    let order = server.send("POST", "/api/v2/jobs/users-exports", &json!({ "format": "json" }));
    assert_eq!(server.wait(order.json()["id"].as_str().unwrap())["status"], "completed");
}

#[test]
fn while_nothing_can_be_written_no_letter_is_sent_and_afterwards_each_is_sent_once() {
    let (Some(disk), Some(mut mail)) = (Disk::of_megabytes(64), MailServer::start(&[])) else { return };
    let settings = mail.settings();
    let mut settings: Vec<_> = settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    settings.push(("INTAKE_TENANT_OWNERS", "ann@acme.test"));
    mail.go();
    let (server, job) = a_job_that_waits(&disk, &settings);
    mail.come_back(&[]);
    // It is tried every 200 ms.
    thread::sleep(Duration::from_millis(1500));
    assert_eq!(mail.brought().len(), 0, "it could not be written down that it was sent");
    disk.clear();
    server.wait(&job);
    mail.wait_for_letters(2);
    until("the outbox is empty", || (server.get("/api/v2/outbox").json() == json!([])).then_some(()));
    assert_eq!(mail.letters().len(), 2);
}

#[test]
fn letters_that_are_files_wait_for_room_and_are_written_once() {
    let Some(disk) = Disk::of_megabytes(64) else { return };
    // More of them than there is room for when the file of their job is gone.
    let owners: Vec<String> = (0..20).map(|owner| format!("owner{owner}@acme.test")).collect();
    let settings = [
        ("INTAKE_STORAGE_RESERVE", "20MB"),
        ("INTAKE_MAIL_TRANSPORT", "file"),
        ("INTAKE_MAIL_RETRY_FIRST", "100ms"),
        ("INTAKE_MAIL_RETRY_LONGEST", "200ms"),
        ("INTAKE_TENANT_OWNERS", &owners.join(",")),
    ];
    let server = serve(&disk, &settings);
    let letters = || {
        let Ok(folder) = fs::read_dir(disk.data().join("mail")) else { return (0, 0) };
        let sizes: Vec<u64> = folder.map(|entry| entry.unwrap().metadata().unwrap().len()).collect();
        (sizes.iter().filter(|size| **size > 0).count(), sizes.len())
    };
    server.import(&rows("one", 2), false);
    until("the letters are there", || (letters() == (20, 20)).then_some(()));
    let file = rows("two", 2);
    disk.fill(8192);
    let job = submit(&server, &file);
    assert_eq!(server.wait(&job)["status"], "completed");
    thread::sleep(Duration::from_secs(1));
    assert!(letters().0 < 40, "{:?}", letters());
    assert!(disk.told_times("WARN") <= 2, "{}", disk.told());
    disk.clear();
    until("the outbox is empty", || (server.get("/api/v2/outbox").json() == json!([])).then_some(()));
    assert_eq!(letters(), (40, 40), "none twice, none empty");
}

#[test]
fn a_process_that_may_not_write_larger_files_waits_and_goes_on_when_it_may() {
    let Some(prlimit) = tool("prlimit") else { return };
    let directory = tempfile::tempdir().unwrap();
    let server = Server::on(directory.path(), SETTINGS);
    let limit = |bytes: &str| {
        let id = server.child.id().to_string();
        let set = Command::new(&prlimit).args(["--pid", &id, &format!("--fsize={bytes}:")]).status();
        assert!(set.unwrap().success());
    };
    let log = directory.path().join("database/db");
    let length = || fs::metadata(&log).unwrap().len();
    assert_eq!(server.import(&rows("early", 2), false)["status"], "completed");
    limit(&(length() + (17 << 20)).to_string());
    let job = submit(&server, &rows("late", ROWS));
    wait_until_full(&server);
    assert_eq!(server.user(&email("late", 0))["email"], email("late", 0));
    assert_no_room(&create_user(&server, "nobody"), "ulimit -f");
    assert_no_room(
        &server.upload(&Form::import(&server.connection_id(), &rows("more", 2), false)),
        "ulimit -f",
    );
    assert_eq!(server.get(&format!("/api/v2/jobs/{job}")).json()["status"], "pending");
    limit("unlimited");
    assert_eq!(server.wait(&job)["summary"]["inserted"], ROWS);

    // A file that is larger itself: its writing meets the limit, and the signal for that ends nobody.
    limit(&(length() + (17 << 20)).to_string());
    let large = rows("large", 2) + &" ".repeat(40 << 20);
    assert!(length() + (17 << 20) < large.len() as u64);
    let answer = server.upload(&Form::import(&server.connection_id(), &large, false));
    assert_eq!(answer.status, 507, "{answer:?}");
    assert_eq!(fs::read_dir(directory.path().join("spool")).unwrap().count(), 0);
    limit("unlimited");
    assert_eq!(server.get("/api/v2/jobs").json().as_array().unwrap().len(), 2);
    assert!(server.stop().success());
    assert_eq!(open_store(directory.path()).check().unwrap(), Vec::<String>::new());
}

#[test]
fn a_start_with_too_low_a_limit_for_files_says_which() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let told = |kilobytes: u32| {
        let mut command = Command::new("bash");
        let script = format!("ulimit -f {kilobytes}; exec \"$0\" serve --bind 127.0.0.1:0");
        command.args(["-c", &script, INTAKE]).env("INTAKE_STORAGE_PATH", &data);
        ended_start(&mut command)
    };
    let refused = told(16 << 10);
    assert!(refused.contains("raise the limit for the size of files (ulimit -f"), "{refused}");
    let server = Server::on(&data, &[]);
    assert_eq!(server.import(&rows("early", 2), false)["status"], "completed");
}

#[test]
fn a_directory_that_cannot_be_written_to_is_refused_with_what_to_do() {
    let Some(disk) = Disk::of_megabytes(64) else { return };
    let server = serve(&disk, &[]);
    server.import(&rows("early", 2), false);
    assert!(server.stop().success());
    let what_to_do =
        "it must belong to the user that runs the server (chown), on a disk that is mounted for writing";
    let of = |path: &Path| {
        format!("the data directory {} (storage.path) cannot be made or written to", path.display())
    };

    disk.remount("ro");
    let told = refused_start(&disk.data());
    assert!(told.contains(&of(&disk.data())) && told.contains("Read-only file system"), "{told}");
    assert!(told.contains(what_to_do), "{told}");
    disk.remount("rw");

    let nobody = |command: &mut Command| ended_start(command.uid(65534).gid(65534));
    let mut command = start(&disk.data());
    let can_run = Command::new(INTAKE).arg("--version").uid(65534).stdout(Stdio::null()).status();
    if can_run.is_ok_and(|status| status.success()) {
        let told = nobody(&mut command);
        assert!(told.contains(&of(&disk.data())) && told.contains("Permission denied"), "{told}");
        assert!(told.contains(what_to_do), "{told}");
    } else {
        eprintln!("skipped: another user cannot run the program");
    }
    for folder in ["spool", "exports", "mail", "database"] {
        let path = disk.data().join(folder);
        fs::create_dir_all(&path).unwrap();
        let bind = |options: &str| {
            Command::new("mount").args(["-o", options]).args([&path, &path]).status().unwrap()
        };
        assert!(bind("bind").success() && bind("remount,bind,ro").success());
        let told = refused_start(&disk.data());
        assert!(Command::new("umount").arg(&path).status().unwrap().success());
        assert!(told.contains(&of(&path)) && told.contains(what_to_do), "{folder}: {told}");
    }
    let server = serve(&disk, &[]);
    assert_eq!(server.user(&email("early", 0))["email"], email("early", 0));
    assert!(server.stop().success());
    disk.assert_users(&emails("early", 2).collect());
}

fn start(directory: &Path) -> Command {
    let path = directory.to_str().unwrap();
    let settings = [SETTINGS, &[("INTAKE_STORAGE_PATH", path), ("INTAKE_MAIL_TRANSPORT", "file")]].concat();
    intake(&["serve", "--bind", "127.0.0.1:0"], &settings)
}

/// What a server says that does not start on a directory.
fn refused_start(directory: &Path) -> String {
    ended_start(&mut start(directory))
}

fn ended_start(command: &mut Command) -> String {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + PATIENCE;
    while child.try_wait().unwrap().is_none() {
        if deadline < Instant::now() {
            child.kill().unwrap();
            panic!("it has started");
        }
        thread::sleep(Duration::from_millis(5));
    }
    let Output { status, stderr, .. } = child.wait_with_output().unwrap();
    assert!(!status.success() && status.code().is_some(), "{status}");
    String::from_utf8(stderr).unwrap()
}

/// Jobs on a disk that is filled to the last byte at any moment, with a server that is killed at any moment.
#[test]
fn filled_at_any_moment_the_disk_costs_time_and_nothing_else() {
    let fillings: usize = std::env::var("INTAKE_TEST_FULL").map_or(6, |count| count.parse().unwrap());
    let Some(disk) = Disk::of_megabytes(96) else { return };
    let (mut dice, mut wanted, mut delayed) = (Dice(11), BTreeSet::new(), 0);
    let mut server = serve(&disk, &[]);
    let file = rows("x", 20_000);
    for number in 0..fillings {
        let name = format!("f{number}");
        let rows = 4000 + usize::try_from(dice.below(8000)).unwrap();
        let job = submit(&server, &self::rows(&name, rows));
        thread::sleep(Duration::from_millis(dice.below(60)));
        disk.fill(0);
        thread::sleep(Duration::from_millis(dice.below(100)));
        assert_eq!(server.get("/api/v2/connections").status, 200, "reads go on");
        let refused = server.upload(&Form::import(&server.connection_id(), &file, false));
        assert_eq!(refused.status, 507, "{refused:?}");
        if dice.below(3) == 0 {
            drop(server); // kill -9
            if dice.below(2) == 0 {
                disk.clear();
                disk.fill(0);
            }
            server = serve(&disk, &[]);
        }
        delayed += usize::from(server.get(&format!("/api/v2/jobs/{job}")).json()["status"] == "pending");
        disk.clear();
        assert_eq!(server.wait(&job)["summary"]["inserted"], rows);
        wanted.extend(emails(&name, rows));
        if number % 3 == 2 {
            server = afresh(server, &disk, &mut wanted);
        }
    }
    assert!(server.stop().success());
    disk.assert_users(&wanted);
    eprintln!("{fillings} times full, {delayed} of them while a job was at work");
}

/// The disk is small: what was found right goes.
fn afresh(server: Server, disk: &Disk, wanted: &mut BTreeSet<String>) -> Server {
    assert!(server.stop().success());
    disk.assert_users(&std::mem::take(wanted));
    fs::remove_dir_all(disk.data()).unwrap();
    serve(disk, &[])
}

/// The system takes writes, and only later does the disk refuse them: what is cached is no proof of anything.
#[test]
fn what_a_failing_disk_did_not_take_is_never_shown_as_done() {
    let failures: usize = std::env::var("INTAKE_TEST_FULL").map_or(6, |count| count.parse().unwrap());
    let Some(disk) = FileDisk::that_can_fail(500) else { return };
    let (mut dice, mut wanted, mut faults) = (Dice(5), BTreeSet::new(), 0);
    let mut server = serve(&disk, &[]);
    for number in 0.. {
        if failures <= number && 3 <= faults {
            break;
        }
        assert!(number < failures + 50, "the database met {faults} of {number} failures");
        let name = format!("f{number}");
        let rows = 12_000 + usize::try_from(dice.below(8000)).unwrap();
        let job = submit(&server, &self::rows(&name, rows));
        thread::sleep(Duration::from_millis(dice.below(80)));
        disk.fail();
        thread::sleep(Duration::from_millis(dice.below(2500)));
        faults += usize::from(ready(&server).0 == 503);
        if dice.below(2) == 0 {
            drop(server); // kill -9
            if dice.below(2) == 0 {
                let told = refused_start(&disk.data());
                assert!(told.contains(&format!("{} failed (", disk.data().display())), "{told}");
            }
            disk.mend();
            server = serve(&disk, &[]);
        } else {
            disk.mend();
        }
        until("it is mended", || (ready(&server).0 == 200).then_some(()));
        assert_eq!(server.wait(&job)["summary"]["inserted"], rows);
        wanted.extend(emails(&name, rows));
        drop(server); // kill -9
        disk.forget_cached();
        disk.assert_users(&wanted);
        server = serve(&disk, &[]);
        eprintln!("{} failures, {faults} of them met by the database", number + 1);
    }
}

/// No room helps then, and nothing may seem to be kept.
#[test]
fn once_its_directory_is_not_there_any_more_a_server_accepts_nothing_and_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let (data, log) = (directory.path().join("data"), directory.path().join("log"));
    let server = Server::logging_to(&log, &data, SETTINGS);
    assert_eq!(server.import(&rows("early", 2), false)["status"], "completed");
    let (aside, said) = (directory.path().join("aside"), "was removed or moved while");
    fs::rename(&data, &aside).unwrap();
    fs::create_dir(&data).unwrap();
    let refused = create_user(&server, "late");
    assert!(refused.status == 503 && refused.text.contains(said), "{refused:?}");
    fs::remove_dir(&data).unwrap();
    fs::rename(&aside, &data).unwrap();
    assert_eq!(create_user(&server, "late").status, 201);
    fs::remove_dir_all(&data).unwrap();

    let user = server.user(&email("early", 0));
    let path = format!("/api/v2/users/{}", user["user_id"].as_str().unwrap());
    for refused in [
        server.upload(&Form::import(&server.connection_id(), &rows("late", 2), false)),
        create_user(&server, "later"),
        server.send("PATCH", &path, &json!({ "user_metadata": { "a": 1 } })),
    ] {
        assert_eq!(refused.status, 503, "{refused:?}");
        assert!(refused.text.contains(said), "{refused:?}");
    }
    assert_eq!(server.get(&path).json(), user);
    assert_eq!(server.get("/readyz").status, 503);
    assert!(!data.exists());
    server.stop();
    let told = fs::read_to_string(&log).unwrap();
    assert_eq!(told.matches(said).count(), 2, "{told}");
}
