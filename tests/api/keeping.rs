//! Dumps, what is loaded of them, and the doctor, as a person types them.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};

use crate::helpers::{Form, INTAKE, Server, intake, until};
use crate::small_disk::Disk;

const SETTINGS: &[(&str, &str)] = &[("INTAKE_IMPORT_MAX_FILE_SIZE", "50MB"), ("INTAKE_LOG_LEVEL", "error")];

/// A directory for data and files.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs a command on this data directory.
    fn run(&self, data: &str, arguments: &[&str]) -> Output {
        self.run_with(data, arguments, b"")
    }

    fn run_with(&self, data: &str, arguments: &[&str], input: &[u8]) -> Output {
        let mut child = self.spawn(data, arguments);
        // Who refuses the input does not read it.
        let _ = child.stdin.take().unwrap().write_all(input);
        child.wait_with_output().unwrap()
    }

    fn spawn(&self, data: &str, arguments: &[&str]) -> Child {
        let data = self.path(data);
        let settings = [
            ("INTAKE_STORAGE_PATH", data.to_str().unwrap()),
            ("INTAKE_SERVER_PUBLIC_URL", "http://intake.test"),
        ];
        let mut command = intake(arguments, &settings);
        command
            .current_dir(self.0.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    #[track_caller]
    fn succeed(&self, data: &str, arguments: &[&str]) -> String {
        let output = self.run(data, arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {} {}", stdout(&output), stderr(&output));
        stdout(&output)
    }

    #[track_caller]
    fn refuse(&self, data: &str, arguments: &[&str]) -> String {
        let output = self.run(data, arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", stdout(&output));
        stderr(&output)
    }
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn users(count: usize, host: &str) -> String {
    let row = |at: usize| match at % 10 {
        3 => json!({ "email": "no address", "email_verified": true }),
        _ => {
            json!({ "email": format!("u{at}@{host}.test"), "email_verified": true, "user_metadata": { "at": at } })
        }
    };
    Value::from((0..count).map(row).collect::<Vec<_>>()).to_string()
}

fn ids(server: &Server, token: &str) -> Vec<Value> {
    let answer = server.get_as("/api/v2/users?per_page=100&fields=user_id,email&sort=email:1", token);
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json().as_array().unwrap().clone()
}

/// A packed dump of a running server in the middle of a job: the one loaded of it has the same users by the same ids,
/// takes the same tokens and passwords, and ends the job at the same summary and failed rows.
#[test]
fn a_server_on_what_was_loaded_goes_on_as_the_one_that_was_dumped() {
    let place = Place::new();
    let server = Server::on(&place.path("data"), SETTINGS);
    server.import(&users(50, "small"), false);
    let user = json!({ "connection": "Username-Password-Authentication", "password": "Wq7-kx2!pLm9",
        "email": "ann@acme.test", "email_verified": true });
    assert_eq!(server.send("POST", "/api/v2/users", &user).status, 201);
    let form = Form::import(&server.connection_id(), &users(60_000, "large"), false);
    let job = server.upload(&form).json()["id"].as_str().unwrap().to_owned();
    place.succeed("data", &["dump", "all.dump.gz"]);
    assert!(fs::read(place.path("all.dump.gz")).unwrap().starts_with(&[0x1f, 0x8b]));
    let told = place.succeed("copy", &["load", "all.dump.gz", "--json"]);
    let told: Value = serde_json::from_str(&told).unwrap();
    assert!(told["counts"]["user"].as_u64().unwrap() >= 46, "{told}");
    let loaded = Server::on(&place.path("copy"), SETTINGS);
    let end = |server: &Server| {
        let job = server.wait(&job);
        json!({ "status": job["status"], "summary": job["summary"], "errors": server.errors(&job) })
    };
    assert_eq!(end(&loaded), end(&server));
    assert_eq!(ids(&loaded, &server.token), ids(&server, &server.token), "a token from before is good");
    let client = place.succeed("copy", &["doctor"]);
    assert!(client.contains("nothing is wrong"), "{client}");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&place.path("all.dump.gz")), 0o600);
    assert_eq!((mode(&place.path("copy")), mode(&place.path("copy/signing-key.pem"))), (0o700, 0o600));
    assert!(
        !place.path("data/backups").exists()
            || fs::read_dir(place.path("data/backups")).unwrap().count() == 0
    );
}

#[test]
fn a_dump_goes_through_pipes() {
    let place = Place::new();
    fs::write(place.path("users.json"), users(20, "acme")).unwrap();
    place.run("data", &["import", "users.json"]);
    let dump = place.run("data", &["dump"]);
    assert_eq!(dump.status.code(), Some(0), "{}", stderr(&dump));
    assert!(stdout(&dump).starts_with("{\"format\":\"intake-dump\",\"version\":1,"));
    assert!(stderr(&dump).contains("18 users"), "{}", stderr(&dump));
    let load = place.run_with("copy", &["load", "-"], &dump.stdout);
    assert_eq!(load.status.code(), Some(0), "{}", stderr(&load));
    let again = place.run("copy", &["dump", "-"]);
    let body = |dump: &Output| {
        stdout(dump)
            .lines()
            .skip(1)
            .take_while(|line| !line.contains("\"end\""))
            .collect::<Vec<_>>()
            .join("\n")
    };
    assert_eq!(body(&again), body(&dump));
}

#[test]
fn dumps_overwrite_nothing_and_loads_fill_only_what_is_empty() {
    let place = Place::new();
    fs::write(place.path("users.json"), users(20, "acme")).unwrap();
    place.run("data", &["import", "users.json"]);
    let told = place.succeed("data", &["dump", "a.dump", "--json"]);
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((&told["file"], &told["counts"]["user"]), (&json!("a.dump"), &json!(18)));
    let before = fs::read(place.path("a.dump")).unwrap();
    assert!(place.refuse("data", &["dump", "a.dump"]).contains("a.dump is there already"));
    assert_eq!(fs::read(place.path("a.dump")).unwrap(), before);
    let inside = place.refuse("data", &["dump", "data/mine.dump"]);
    assert!(
        inside.contains("data/mine.dump is in the data directory, which a dump is to outlive"),
        "{inside}"
    );
    assert!(!place.path("data/mine.dump").exists());
    assert!(place.refuse("nowhere", &["dump"]).contains("there is no data of intake in"));
    assert!(place.refuse("data", &["load", "a.dump"]).contains("is not empty"));
    assert!(place.refuse("copy", &["load", "b.dump"]).contains("b.dump cannot be read"));
    let folder = place.refuse("copy", &["load", "data"]);
    assert!(folder.contains("intake: data cannot be read: Is a directory"), "{folder}");
    fs::write(place.path("cut.dump"), &before[..before.len() - 10]).unwrap();
    let said = place.refuse("copy", &["load", "cut.dump"]);
    let lines = before.split(|byte| *byte == b'\n').count() - 1;
    assert!(said.contains(&format!("line {lines} of the dump: it does not end")), "{said}");
    assert!(!place.path("copy").exists());
    assert!(!place.path("nowhere").exists());
}

#[test]
fn the_doctor_has_a_line_and_a_status_for_what_is_wrong() {
    let place = Place::new();
    fs::write(place.path("users.json"), users(20, "acme")).unwrap();
    place.run("data", &["import", "users.json"]);
    let said = place.succeed("data", &["doctor"]);
    assert!(said.contains("18 users") && said.contains("nothing is wrong"), "{said}");
    fs::set_permissions(place.path("data/signing-key.pem"), fs::Permissions::from_mode(0o644)).unwrap();
    let output = place.run("elsewhere", &["doctor", "data"]);
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    let said = stdout(&output);
    assert!(said.starts_with("file-mode: others may read signing-key.pem (mode 644) -> "), "{said}");
    assert!(said.ends_with("events examined: 1 finding\n"), "{said}");
    let output = place.run("data", &["doctor", "--json"]);
    assert_eq!(output.status.code(), Some(4));
    let told: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!((&told["findings"][0]["name"], &told["examined"]["users"]), (&json!("file-mode"), &json!(18)));
    assert!(place.refuse("data", &["doctor", "nowhere"]).contains("there is no data in nowhere"));
    fs::write(place.path("data/signing-key.pem"), "no key").unwrap();
    let output = place.run("data", &["doctor"]);
    let said = stdout(&output);
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains("signing-key-unusable: ") && said.contains("intake rotate-key --now"), "{said}");
    place.succeed("data", &["rotate-key", "--now"]);
    place.succeed("data", &["doctor"]);
}

#[test]
fn a_lack_of_handles_is_no_finding() {
    let place = Place::new();
    fs::write(place.path("users.json"), users(20, "acme")).unwrap();
    place.run("data", &["import", "users.json"]);
    for handles in [8, 9, 10, 12] {
        let mut command = Command::new("bash");
        command.args(["-c", &format!("ulimit -n {handles}; exec \"$0\" doctor"), INTAKE]);
        let output = command.env("INTAKE_STORAGE_PATH", place.path("data")).output().unwrap();
        let said = stderr(&output);
        assert!([Some(0), Some(1)].contains(&output.status.code()), "{handles}: {said} {}", stdout(&output));
    }
}

/// A user of this machine that nobody else is.
const SOMEBODY: u32 = 64_777;

/// Somebody's data directory with a user in it, its backup in a folder that is not his, and the program where he may
/// run it; `None` unless root runs this.
fn of_somebody() -> Option<Place> {
    let place = Place(tempfile::Builder::new().prefix("intake-somebody-").tempdir_in("/tmp").unwrap());
    fs::set_permissions(place.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    fs::DirBuilder::new().mode(0o700).create(place.path("data")).unwrap();
    if std::os::unix::fs::chown(place.path("data"), Some(SOMEBODY), Some(SOMEBODY)).is_err() {
        eprintln!("skipped: only root can become somebody");
        return None;
    }
    fs::copy(INTAKE, place.path("intake")).unwrap();
    fs::write(place.path("users.json"), users(20, "acme")).unwrap();
    place.run("data", &["import", "users.json"]);
    place.succeed("data", &["backup", "backup"]);
    Some(place)
}

#[test]
fn a_lack_of_threads_is_no_finding() {
    let Some(place) = of_somebody() else { return };
    let mut lacking = 0;
    for threads in 1..12 {
        let mut command = Command::new("bash");
        command.args(["-c", &format!("ulimit -u {threads}; exec ./intake doctor")]).uid(SOMEBODY);
        command.env("INTAKE_STORAGE_PATH", place.path("data")).current_dir(place.path("")).gid(SOMEBODY);
        command.env("INTAKE_STORAGE_OPEN_TIMEOUT", "10s");
        let output = command.output().unwrap();
        let said = stderr(&output);
        assert!([Some(0), Some(1)].contains(&output.status.code()), "{threads}: {said} {}", stdout(&output));
        lacking += usize::from(said.contains("raise its limits (ulimit"));
    }
    assert!(0 < lacking, "no limit was too small");
}

#[test]
fn a_backup_that_cannot_be_copied_anywhere_is_not_called_broken() {
    let Some(place) = of_somebody() else { return };
    let backup = place.path("backup");
    let chown = |path: &Path| std::os::unix::fs::chown(path, Some(SOMEBODY), Some(SOMEBODY)).unwrap();
    let mut folders = vec![backup.clone()];
    while let Some(path) = folders.pop() {
        chown(&path);
        if path.is_dir() {
            folders.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    let examine = |temporary: &str| {
        let mut command = Command::new(place.path("intake"));
        command.arg("doctor").arg(&backup).env("TMPDIR", temporary).current_dir("/");
        command.uid(SOMEBODY).gid(SOMEBODY).output().unwrap()
    };
    let output = examine("/nowhere");
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said} {}", stdout(&output));
    let told = format!("no copy of the backup {} can be made to look into", backup.display());
    assert!(said.contains(&told) && said.contains("in /nowhere (No such file"), "{said}");
    assert!(said.contains("set TMPDIR"), "{said}");
    let output = examine("/tmp");
    assert_eq!(output.status.code(), Some(0), "{} {}", stderr(&output), stdout(&output));
}

/// The database warns of its settings when they are gone.
#[test]
fn warnings_are_told_beside_what_a_command_answers() {
    let place = Place::new();
    fs::write(place.path("users.json"), users(20, "acme")).unwrap();
    place.run("data", &["import", "users.json"]);
    let lines = |output: &Output| stdout(output).lines().count();
    for (command, lines_before) in ["doctor", "dump"].map(|name| (name, lines(&place.run("data", &[name])))) {
        fs::write(place.path("data/database/conf"), "").unwrap();
        let output = place.run("data", &[command]);
        assert!(stderr(&output).contains("WARN"), "{command}: {}", stderr(&output));
        assert_eq!((output.status.code(), lines(&output)), (Some(0), lines_before), "{command}");
    }
}

#[test]
fn a_running_server_is_examined_by_a_copy() {
    let place = Place::new();
    let server = Server::on(&place.path("data"), SETTINGS);
    server.import(&users(30, "acme"), false);
    let said = place.succeed("data", &["doctor"]);
    assert!(said.contains("27 users") && said.contains("nothing is wrong"), "{said}");
    let named = place.path("data");
    assert!(place.refuse("data", &["doctor", named.to_str().unwrap()]).contains("another process is using"));
    assert_eq!(server.get("/healthz").status, 200);
}

/// Nobody starts a server where a dump is being loaded, nor on what a kill has left of that; but it can be repeated.
#[test]
fn a_load_is_met_by_nobody_and_one_that_was_killed_can_be_repeated() {
    let place = Place::new();
    fs::write(place.path("users.json"), users(20, "acme")).unwrap();
    place.run("data", &["import", "users.json"]);
    place.succeed("data", &["dump", "a.dump"]);
    let dump = fs::read(place.path("a.dump")).unwrap();
    fs::DirBuilder::new().mode(0o700).create(place.path("copy")).unwrap();

    let mut load = place.spawn("copy", &["load", "-"]);
    let mut input = load.stdin.take().unwrap();
    input.write_all(&dump[..dump.len() / 2]).unwrap();
    until("it has begun", || place.path("copy/signing-key.pem").exists().then_some(()));
    let serve = ["serve", "--bind", "127.0.0.1:0"];
    assert!(place.refuse("copy", &serve).contains("is half made"));
    assert!(place.refuse("copy", &["load", "a.dump"]).contains("another process is using"));
    load.kill().unwrap();
    load.wait().unwrap();

    assert!(place.refuse("copy", &serve).contains("repeat that (intake restore or intake load"));
    let found = place.run("copy", &["doctor"]);
    assert_eq!(found.status.code(), Some(4), "{}", stderr(&found));
    assert!(stdout(&found).contains("half-restored: "), "{}", stdout(&found));
    fs::write(place.path("copy/retired-key-9-x.pem"), "the killed one's").unwrap();
    place.succeed("copy", &["load", "a.dump"]);
    assert!(!place.path("copy/retired-key-9-x.pem").exists());
    assert!(place.succeed("copy", &["doctor"]).contains("18 users"));
}

#[test]
fn what_does_not_fit_is_named_and_leaves_nothing() {
    let (place, Some(disk)) = (Place::new(), Disk::of_megabytes(2)) else { return };
    let server = Server::on(&place.path("data"), SETTINGS);
    server.import(&users(20, "acme"), false);
    let [there, file] = ["there", "a.dump"].map(|name| disk.data().with_file_name(name));
    let (there, file) = (there.to_str().unwrap(), file.to_str().unwrap());
    let said = place.refuse("data", &["backup", there]);
    assert!(said.contains(&format!("{there}: the disk is nearly full")), "{said}");
    assert!(!Path::new(there).exists());
    assert_eq!(fs::read_dir(place.path("data/backups")).unwrap().count(), 0);
    disk.fill(0);
    let said = place.refuse("data", &["dump", file]);
    assert!(said.contains(&format!("{file} cannot be written: No space left on device")), "{said}");
    assert!(!Path::new(file).exists());
    place.succeed("data", &["dump", "a.dump"]);
    let said = place.refuse(there, &["load", "a.dump"]);
    assert!(said.contains(&format!("{there}: No space left on device")), "{said}");
    assert!(!Path::new(there).exists());
}

/// Users whose database takes more than it takes to open it.
fn noise() -> String {
    let mut seed = 1_u64;
    let mut word = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("{:016x}", seed ^ (seed >> 29))
    };
    let row = |at: usize| {
        let noise: String = (0..200).map(|_| word()).collect();
        json!({ "email": format!("u{at}@acme.test"), "email_verified": true, "app_metadata": { "n": noise } })
    };
    Value::from((0..5000).map(row).collect::<Vec<_>>()).to_string()
}

/// Beside a running server there is one copy, and on a full disk a backup is not called broken.
#[test]
fn the_doctor_takes_no_more_room_than_it_has_and_finds_nothing_in_its_lack() {
    let (place, Some(disk)) = (Place::new(), Disk::of_megabytes(400)) else { return };
    let settings =
        [SETTINGS, &[("INTAKE_STORAGE_MIN_FREE_DISK", "0"), ("INTAKE_STORAGE_RESERVE", "16MB")]].concat();
    let data = disk.data();
    let run = |arguments: &[&str]| {
        let mut command = intake(arguments, &settings);
        command.env("INTAKE_STORAGE_PATH", &data).current_dir(place.path("")).output().unwrap()
    };
    let server = disk.serve(&settings);
    server.import(&noise(), false);
    let (backup, dump) = (data.with_file_name("backup"), place.path("a.dump"));
    let made = run(&["backup", backup.to_str().unwrap(), "--json"]);
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    let bytes = made["bytes"].as_u64().unwrap();
    disk.fill(bytes + (20 << 20));
    let found = run(&["doctor"]);
    assert_eq!(found.status.code(), Some(0), "{} {}", stdout(&found), stderr(&found));
    let written = run(&["dump", dump.to_str().unwrap()]);
    assert_eq!(written.status.code(), Some(0), "{}", stderr(&written));
    assert_eq!(fs::read_dir(data.join("backups")).unwrap().count(), 0);
    assert!(server.stop().success());

    disk.clear();
    disk.fill(bytes / 2);
    let found = run(&["doctor", backup.to_str().unwrap()]);
    assert_eq!(found.status.code(), Some(1), "{}", stdout(&found));
    assert!(stderr(&found).contains("the disk is nearly full"), "{}", stderr(&found));
    disk.clear();
    let found = run(&["doctor", backup.to_str().unwrap()]);
    assert_eq!(found.status.code(), Some(0), "{} {}", stdout(&found), stderr(&found));
}

#[test]
fn a_limit_for_files_ends_no_command_by_a_signal() {
    let place = Place::new();
    fs::write(place.path("users.json"), users(5000, "acme")).unwrap();
    place.run("data", &["import", "users.json"]);
    place.succeed("data", &["dump", "a.dump"]);
    place.succeed("data", &["backup", "whole"]);
    for (data, arguments) in
        [("data", "backup b"), ("data", "dump b.dump"), ("copy", "restore whole"), ("other", "load a.dump")]
    {
        let mut command = Command::new("bash");
        command.args(["-c", &format!("ulimit -f 100; exec \"$0\" {arguments}"), INTAKE]);
        let output = command
            .current_dir(place.path(""))
            .env("INTAKE_STORAGE_PATH", place.path(data))
            .output()
            .unwrap();
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{arguments}: {:?} {said}", output.status);
        assert!(said.contains("File too large") || said.contains("ulimit -f"), "{arguments}: {said}");
    }
    for left in ["b", "b.dump", "copy", "other"] {
        assert!(!place.path(left).exists(), "{left}");
    }
    assert!(place.succeed("data", &["doctor"]).contains("nothing is wrong"));
}
