//! Dumps, what is loaded of them, and the doctor, as a person types them.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use serde_json::{Value, json};

use crate::helpers::{Form, Server, intake};

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
        let mut child = command.spawn().unwrap();
        // Who refuses the input does not read it.
        let _ = child.stdin.take().unwrap().write_all(input);
        child.wait_with_output().unwrap()
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
    assert!(place.refuse("data", &["dump", "--json"]).contains("--json needs a FILE"));
    assert!(place.refuse("nowhere", &["dump"]).contains("there is no data of intake in"));
    assert!(place.refuse("data", &["load", "a.dump"]).contains("is not empty"));
    assert!(place.refuse("copy", &["load", "b.dump"]).contains("b.dump cannot be read"));
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
