//! Backups of a server at work, and what becomes of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use intake::domain::Job;
use intake::store::Store;
use serde_json::{Value, json};

use crate::helpers::{Form, INTAKE, Server, intake, open_store, until};

const SETTINGS: &[(&str, &str)] = &[("INTAKE_IMPORT_MAX_FILE_SIZE", "50MB"), ("INTAKE_LOG_LEVEL", "error")];
const BACKUPS: usize = 10;
/// Rows of a file; each tenth is malformed.
const ROWS: usize = 6000;
/// Users that are deleted one by one, from the first on.
const DOOMED: usize = 2000;

fn email(kind: &str, number: usize) -> String {
    format!("{number}@{kind}.test")
}

fn row(email: &str, origin: &str) -> Value {
    json!({ "email": email, "email_verified": true, "app_metadata": { "origin": origin } })
}

fn array(rows: impl Iterator<Item = Value>) -> String {
    format!("[{}]", rows.map(|row| row.to_string()).collect::<Vec<_>>().join(",\n"))
}

/// A file of users of this kind.
fn file(kind: &str, origin: &str) -> String {
    array((0..ROWS).map(|at| {
        if at % 10 == 3 { json!({ "email": email(kind, at) }) } else { row(&email(kind, at), origin) }
    }))
}

fn run(arguments: &[&str], data: &Path) -> Output {
    let path = ("INTAKE_STORAGE_PATH", data.to_str().unwrap());
    intake(arguments, &[path, ("INTAKE_SERVER_PUBLIC_URL", "http://intake.test")]).output().unwrap()
}

#[track_caller]
fn succeed(arguments: &[&str], data: &Path) -> Output {
    let output = run(arguments, data);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

#[track_caller]
fn refuse(arguments: &[&str], data: &Path) -> String {
    let output = run(arguments, data);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Addresses of users, with where they came from.
fn users(store: &Store) -> BTreeMap<String, String> {
    let mut users = BTreeMap::new();
    for connection in store.connections().unwrap() {
        let see = |user: intake::domain::User| {
            let app: Value = serde_json::from_str(user.app_metadata.as_deref().unwrap_or("{}")).unwrap();
            let origin = app["origin"].as_str().unwrap_or_default().to_owned();
            assert!(users.insert(user.email, origin).is_none(), "a user is there twice");
        };
        store.scan(&connection, see).unwrap();
    }
    users
}

fn failed(store: &Store, job: &Job) -> BTreeSet<u64> {
    let (mut rows, mut from) = (BTreeSet::new(), Some(0));
    while let Some(first) = from {
        let (page, next) = store.failed_rows(job.ticket, first).unwrap();
        rows.extend(page.iter().map(|row| row.index));
        from = next;
    }
    rows
}

/// Checks that each job has done its rows up to where it is, and no other; tells whether one was in the middle.
fn check_jobs(store: &Store, users: &BTreeMap<String, String>) -> bool {
    let mut midway = false;
    for job in store.jobs(&|_| true, 0, usize::MAX, false).unwrap().jobs {
        let Some(kind) = job.external_id.clone() else { continue };
        let next = job.progress().map_or(ROWS, |at| usize::try_from(at.next.row).unwrap());
        midway |= 0 < next && next < ROWS;
        let (bad, good): (Vec<_>, Vec<_>) = (0..next).partition(|at| at % 10 == 3);
        let summary = job.summary();
        let done = if job.upsert { summary.updated } else { summary.inserted };
        let counted = [done, summary.failed, summary.total].map(|count| usize::try_from(count).unwrap());
        assert_eq!(counted, [good.len(), bad.len(), next], "{kind}");
        assert_eq!(failed(store, &job), bad.iter().map(|at| *at as u64).collect(), "{kind}");
        let (place, origin) = if job.upsert { ("old", kind.clone()) } else { (&*kind, "insert".to_owned()) };
        let expected: BTreeSet<_> = good.iter().map(|at| email(place, *at)).collect();
        let is_its = |(address, from): &(&String, &String)| {
            **from == origin && address.ends_with(&format!("@{place}.test"))
        };
        let found: BTreeSet<_> = users.iter().filter(is_its).map(|(address, _)| address.clone()).collect();
        assert_eq!(found, expected, "{kind}");
    }
    midway
}

/// How many one-by-one writes had come to their end.
#[derive(Debug, Default)]
struct Single {
    begun: AtomicUsize,
    done: AtomicUsize,
}

impl Single {
    fn write(&self, work: impl FnOnce(usize)) {
        let number = self.begun.fetch_add(1, Ordering::SeqCst);
        work(number);
        self.done.store(number + 1, Ordering::SeqCst);
    }
}

/// A backup and how far the one-by-one writes were before and after it: made ones, then removed ones.
struct Taken {
    path: PathBuf,
    before: [usize; 2],
    after: [usize; 2],
}

/// Takes backups while files, single users and deletions come in.
fn take_under_load(server: &Server, data: &Path, places: &Path) -> Vec<Taken> {
    let (made, removed, stop) = (Single::default(), Single::default(), AtomicBool::new(false));
    let connection = server.connection_id();
    let submit = |kind: &str, file: &str, upsert: bool| {
        let form = Form::import(&connection, file, upsert).with("external_id", kind);
        let answer = server.upload(&form);
        assert_eq!(answer.status, 202, "{}", answer.text);
        server.wait(answer.json()["id"].as_str().unwrap());
    };
    let going = || !stop.load(Ordering::SeqCst);
    thread::scope(|scope| {
        for importer in 0..2 {
            let (submit, going) = (&submit, &going);
            scope.spawn(move || {
                for number in (0..40).take_while(|_| going()) {
                    let kind = format!("insert-{importer}-{number}");
                    submit(&kind, &file(&kind, "insert"), false);
                }
            });
        }
        scope.spawn(|| {
            submit("upsert", &file("old", "upsert"), true);
        });
        scope.spawn(|| {
            while going() {
                made.write(|number| {
                    let user = json!({ "connection": "Username-Password-Authentication", "password": "Wq7-kx2!pLm9",
                        "email": email("single", number), "email_verified": true });
                    let answer = server.send("POST", "/api/v2/users", &user);
                    assert_eq!(answer.status, 201, "{}", answer.text);
                });
            }
        });
        scope.spawn(|| {
            while going() && removed.begun.load(Ordering::SeqCst) < DOOMED {
                removed.write(|number| {
                    let id = server.user(&email("doomed", number))["user_id"].as_str().unwrap().to_owned();
                    let path = format!("/api/v2/users/{}", id.replace('|', "%7C"));
                    assert_eq!(server.send("DELETE", &path, &Value::Null).status, 204);
                });
            }
        });
        let taken = (0..BACKUPS).map(|number| {
            let path = places.join(format!("backup-{number}"));
            let before = [&made, &removed].map(|single| single.done.load(Ordering::SeqCst));
            succeed(&["backup", text(&path)], data);
            let after = [&made, &removed].map(|single| single.begun.load(Ordering::SeqCst));
            Taken { path, before, after }
        });
        let taken = taken.collect();
        stop.store(true, Ordering::SeqCst);
        taken
    })
}

#[test]
fn backups_under_load_are_whole_moments_that_go_on_to_the_same_end() {
    let (data, places) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = Server::on(data.path(), SETTINGS);
    server.import(&array((0..ROWS).map(|at| row(&email("old", at), "before"))), false);
    server.import(&array((0..DOOMED).map(|at| row(&email("doomed", at), "before"))), false);
    let taken = take_under_load(&server, data.path(), places.path());
    let mut midway = 0;
    for Taken { path, before, after } in taken {
        let restored = path.with_extension("restored");
        succeed(&["restore", text(&path)], &restored);
        let store = open_store(&restored);
        assert_eq!(store.check().unwrap(), Vec::<String>::new());
        let users = users(&store);
        let is_midway = check_jobs(&store, &users);
        let count = |kind: &str| users.keys().filter(|address| address.ends_with(kind)).count();
        let [made, removed] = [count("@single.test"), DOOMED - count("@doomed.test")];
        assert!((0..made).all(|number| users.contains_key(&email("single", number))));
        assert!((removed..DOOMED).all(|number| users.contains_key(&email("doomed", number))));
        for (at, number) in [made, removed].into_iter().enumerate() {
            let span = before[at]..=after[at];
            assert!(span.contains(&number), "{number} is not in {span:?}");
        }
        drop(store);
        if is_midway && midway < 3 {
            goes_on(&restored, &server);
        }
        midway += usize::from(is_midway);
    }
    eprintln!("{midway} of {BACKUPS} backups met a job midway");
    assert!(midway > 0, "no backup met a job that was being worked on");
}

/// Starts a server on a restored backup: its jobs end as they did on the server it was taken from.
fn goes_on(restored: &Path, original: &Server) {
    let server = Server::on(restored, SETTINGS);
    let jobs = server.get_as("/api/v2/jobs?per_page=100", &original.token);
    assert_eq!(jobs.status, 200, "a token from before is good: {}", jobs.text);
    for job in jobs.json().as_array().unwrap() {
        let id = job["id"].as_str().unwrap();
        let [ended, expected] = [&server, original].map(|server| {
            let job = server.wait(id);
            json!({ "status": job["status"], "summary": job["summary"], "errors": server.errors(&job) })
        });
        assert_eq!(ended, expected, "{id}");
    }
}

#[test]
fn a_server_killed_while_it_makes_a_backup_misses_nothing() {
    let data = tempfile::tempdir().unwrap();
    let part = || {
        let entries = fs::read_dir(data.path().join("backups")).into_iter().flatten();
        entries
            .map(|entry| entry.unwrap().path())
            .find(|path| path.extension().is_some_and(|end| end == "part"))
    };
    let mut server = Server::on(data.path(), SETTINGS);
    server.import(&file("one", "insert"), false);
    let mut halves = 0;
    for delay in 0..12 {
        thread::scope(|scope| {
            let address = &server;
            scope.spawn(move || {
                let bearer = format!("Bearer {}", address.token);
                let mut stream = address.dial();
                let head =
                    format!("POST /api/v2/backups HTTP/1.1\r\nhost: x\r\nauthorization: {bearer}\r\n\r\n");
                std::io::Write::write_all(&mut stream, head.as_bytes()).unwrap();
                thread::sleep(Duration::from_millis(3 + 5 * delay));
                address.signal("KILL");
            });
        });
        server.child.wait().unwrap();
        halves += usize::from(part().is_some());
        server = Server::on(data.path(), SETTINGS);
        assert_eq!(part(), None, "half a backup is gone after a start");
    }
    assert!(halves > 0, "no kill met a backup in the making");
    let place = tempfile::tempdir().unwrap();
    succeed(&["backup", text(&place.path().join("last"))], data.path());
    drop(server);
    let store = open_store(data.path());
    assert_eq!(store.check().unwrap(), Vec::<String>::new());
    assert_eq!(users(&store).len(), ROWS * 9 / 10);
}

#[test]
fn a_backup_needs_no_server_and_says_what_is_in_it() {
    let (data, places) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = Server::on(data.path(), &[]);
    server.import(&array((0..3).map(|at| row(&email("one", at), "insert"))), false);
    let [with, without] = ["with", "without"].map(|name| places.path().join(name));
    let told = |output: Output| serde_json::from_slice::<Value>(&output.stdout).unwrap();
    let running = told(succeed(&["backup", text(&with), "--json"], data.path()));
    assert_eq!(fs::read_dir(data.path().join("backups")).unwrap().count(), 0, "it was moved");
    assert!(server.stop().success());
    let stopped = told(succeed(&["backup", text(&without), "--json"], data.path()));
    for (told, place) in [(running, with), (stopped, without)] {
        assert_eq!((&told["users"], &told["unfinished_jobs"]), (&json!(3), &json!(0)));
        assert_eq!(told["directory"], text(&place));
        assert!(told["bytes"].as_u64() > Some(0) && told["commit"].as_u64() > Some(0), "{told}");
        let restored = place.with_extension("restored");
        let output = succeed(&["restore", text(&place)], &restored);
        assert!(String::from_utf8_lossy(&output.stdout).contains("3 users, 0 unfinished jobs"), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("what came after"), "{output:?}");
        assert_eq!(users(&open_store(&restored)).len(), 3);
    }
}

/// As a disk of its own is that was just mounted.
#[test]
fn a_backup_is_made_where_there_is_nothing_but_what_file_systems_put_there() {
    let (data, places) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut server = Some(Server::on(data.path(), &[]));
    for name in ["running", "stopped"] {
        let disk = places.path().join(name);
        let theirs = [disk.join("lost+found/#12"), disk.join(".hidden")];
        fs::create_dir_all(disk.join("lost+found")).unwrap();
        for file in &theirs {
            fs::write(file, "theirs").unwrap();
        }
        succeed(&["backup", text(&disk)], data.path());
        let told = fs::read_to_string(disk.join("backup.json")).unwrap();
        assert!(!told.contains("lost+found") && !told.contains(".hidden"), "{name}: {told}");
        assert!(theirs.iter().all(|file| file.exists()), "{name}");
        succeed(&["restore", text(&disk)], &disk.with_extension("restored"));
        drop(server.take());
    }
}

#[test]
fn the_api_makes_backups_for_those_who_may_and_the_log_tells_of_it() {
    let server = Server::ephemeral();
    let answer = server.send("POST", "/api/v2/backups", &Value::Null);
    assert_eq!(answer.status, 201, "{}", answer.text);
    let made = answer.json();
    let place = PathBuf::from(made["path"].as_str().unwrap());
    assert!(place.ends_with(Path::new("backups").join(made["id"].as_str().unwrap())), "{made}");
    assert!(place.join("backup.json").exists());
    let logged = server.get("/api/v2/logs?q=type:sapi").json();
    let logged = logged.as_array().unwrap().iter().find(|event| event["description"] == "Create a Backup");
    assert_eq!(logged.unwrap()["details"]["response"]["body"]["id"], made["id"]);
    let other = server.token_for("create:users");
    assert_eq!(server.send_as("POST", "/api/v2/backups", &Value::Null, &other).status, 403);
}

#[test]
fn a_nearly_full_disk_refuses_a_backup_and_nothing_of_it_stays() {
    let (data, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let to = place.path().join("backup");
    let full = [("INTAKE_STORAGE_MIN_FREE_DISK", "8000000GB")];
    let server = Server::on(data.path(), &full);
    let answer = server.send("POST", "/api/v2/backups", &Value::Null);
    let answer = answer.json();
    assert_eq!((&answer["statusCode"], &answer["errorCode"]), (&json!(507), &json!("insufficient_storage")));
    assert!(answer["message"].as_str().unwrap().contains("(storage.min_free_disk)"), "{answer}");
    let told = refuse(&["backup", text(&to)], data.path());
    assert!(told.contains("disk is nearly full"), "{told}");
    assert_eq!(fs::read_dir(data.path().join("backups")).unwrap().count(), 0);
    assert!(!to.exists());
}

#[test]
fn backup_and_restore_say_what_is_in_their_way() {
    let (data, places) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (backup, restored) = (places.path().join("backup"), places.path().join("restored"));
    let missing = places.path().join("missing");
    let told = refuse(&["backup", text(&backup)], &missing);
    assert!(told.contains("there is no data of intake") && !missing.exists(), "{told}");
    fs::create_dir(&missing).unwrap();
    refuse(&["backup", text(&backup)], &missing);
    assert_eq!(fs::read_dir(&missing).unwrap().count(), 0, "a backup of nothing makes nothing");
    let server = Server::on(data.path(), &[]);
    let told = refuse(&["backup", text(&data.path().join("mine"))], data.path());
    assert!(told.contains("is in the data directory"), "{told}");
    let link = places.path().join("link");
    std::os::unix::fs::symlink(data.path(), &link).unwrap();
    let told = refuse(&["backup", text(&link.join("not/yet/there"))], data.path());
    assert!(told.contains("is in the data directory"), "{told}");
    succeed(&["backup", text(&backup)], data.path());
    let told = refuse(&["backup", text(&backup)], data.path());
    assert!(told.contains("is not empty"), "{told}");
    let told = refuse(&["restore", text(&backup)], data.path());
    assert!(told.contains("is not empty"), "a running server's: {told}");
    drop(server);
    let log = backup.join("database/db");
    let mut bytes = fs::read(&log).unwrap();
    bytes[100] ^= 1;
    fs::write(&log, bytes).unwrap();
    let told = refuse(&["restore", text(&backup)], &restored);
    assert!(told.contains("database/db is not what it was"), "{told}");
    fs::remove_file(backup.join("backup.json")).unwrap();
    let told = refuse(&["restore", text(&backup)], &restored);
    assert!(told.contains("there is no backup.json in it"), "{told}");
    assert!(!restored.exists());
}

/// What a command asks of the system about folders, syncs and copies; `None` where nobody can look on.
fn watched(arguments: &[&str], data: &Path, log: &Path) -> Option<Command> {
    let can_trace = Command::new("strace").args(["-o", "/dev/null", "true"]).status();
    if !can_trace.is_ok_and(|status| status.success()) {
        eprintln!("skipped: there is no strace, or it may not trace");
        return None;
    }
    let mut command = Command::new("strace");
    command.args(["-D", "-f", "-y", "-q", "-e", "trace=mkdir,mkdirat,fsync,copy_file_range", "-o"]).arg(log);
    command.arg(INTAKE).args(arguments).current_dir(std::env::temp_dir());
    command.env("INTAKE_STORAGE_PATH", data).env("INTAKE_SERVER_PUBLIC_URL", "http://intake.test");
    Some(command)
}

/// Checks that every folder that was made had its name synced, and that there were so many at least.
#[track_caller]
fn assert_names_synced(log: &Path, least: usize) {
    let log = fs::read_to_string(log).unwrap();
    let lines: Vec<&str> = log.lines().collect();
    let mut made = 0;
    for (at, line) in lines.iter().enumerate() {
        if !line.contains("mkdir") || !line.ends_with("= 0") {
            continue;
        }
        let folder = Path::new(line.split('"').nth(1).unwrap()).parent().unwrap();
        let sync = format!("<{}>", text(folder));
        let is_synced = lines[at..].iter().any(|line| line.contains("fsync") && line.contains(&sync));
        assert!(is_synced, "{line}, and no sync of {sync} after it");
        made += 1;
    }
    assert!(least <= made, "{log}");
}

#[test]
fn every_name_on_the_way_to_a_backup_is_on_disk_before_it_is_told_of() {
    let places = tempfile::tempdir().unwrap();
    let place = |name: &str| places.path().join(name);
    let log = place("log");
    let data = place("some/where/data");
    let Some(command) = watched(&["serve", "--bind", "127.0.0.1:0"], &data, &log) else { return };
    let server = Server::started_by(command, &data, &[]);
    server.import(&array((0..3).map(|at| row(&email("one", at), "insert"))), false);
    let answer = server.send("POST", "/api/v2/backups", &Value::Null);
    assert_eq!(answer.status, 201, "{}", answer.text);
    let pid = format!("{} ", server.child.id());
    let is_end = |line: &str| line.starts_with(&pid) && line.contains("+++ exited");
    assert!(server.stop().success());
    let told =
        until("all is written down", || fs::read_to_string(&log).ok().filter(|log| log.lines().any(is_end)));
    assert_names_synced(&log, 8);
    let is_shared = |line: &&str| line.contains("copy_file_range") && line.contains("/database/");
    assert_eq!(told.lines().find(is_shared), None, "blocks that a copy may share are no reserve any more");

    let (backup, restored, loaded) = (place("a/b/backup"), place("c/d/restored"), place("e/f/loaded"));
    succeed(&["dump", text(&place("dump"))], &data);
    for (arguments, data) in [
        (["backup", text(&backup)], &data),
        (["restore", text(&backup)], &restored),
        (["load", text(&place("dump"))], &loaded),
    ] {
        let output = watched(&arguments, data, &log).unwrap().output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert_names_synced(&log, 4);
    }
}
