//! `intake rotate-key`: a new signing key while the server runs, while it does not, and when it is killed.

use std::fs;
use std::path::Path;
use std::process::Output;
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::helpers::{Server, intake, token, until};

fn run(directory: &Path, arguments: &[&str], more: &[(&str, &str)]) -> Output {
    let path = ("INTAKE_STORAGE_PATH", directory.to_str().unwrap());
    let settings = [&[path, ("INTAKE_SERVER_PUBLIC_URL", "http://intake.test")], more].concat();
    intake(&[&["rotate-key"], arguments].concat(), &settings).output().unwrap()
}

/// Rotates the key; tells the id of the new one.
#[track_caller]
fn rotate(directory: &Path, arguments: &[&str], settings: &[(&str, &str)]) -> String {
    let output = run(directory, arguments, settings);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The ids of the keys that a server shows.
fn shown(server: &Server) -> Vec<String> {
    let keys = server.request("GET", "/.well-known/jwks.json", &[], b"").json()["keys"].clone();
    keys.as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

fn header(token: &str) -> Value {
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    serde_json::from_slice(&header).unwrap()
}

fn status(server: &Server, token: &str) -> u16 {
    server.get_as("/api/v2/connections", token).status
}

fn retired(directory: &Path) -> usize {
    let names = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_str().unwrap().starts_with("retired-key-")).count()
}

#[test]
fn a_running_server_uses_the_new_key_at_once_and_takes_what_the_old_one_signed() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::on(directory.path(), &[]);
    server.import(r#"[{ "email": "ann@example.test", "email_verified": true }]"#, false);
    let export = server.send("POST", "/api/v2/jobs/users-exports", &json!({})).json();
    let export = server.wait(export["id"].as_str().unwrap());
    let link = export["location"].as_str().unwrap().strip_prefix("http://intake.test").unwrap();
    let old = shown(&server);
    let new = rotate(directory.path(), &[], &[]);
    assert_eq!(shown(&server), [&*new, &*old[0]], "when the command has ended the server has the key");
    let minted = token(directory.path(), &[], &[]);
    let asked = server.request("HEAD", link, &[], b"");
    assert_eq!(asked.status, 200, "links of before are good");
    assert_eq!(header(&minted)["kid"], new.as_str());
    assert_eq!((status(&server, &server.token), status(&server, &minted)), (200, 200));
    let before = server.token.clone();
    assert!(server.stop().success());
    let server = Server::on(directory.path(), &[]);
    assert_eq!((status(&server, &before), status(&server, &minted)), (200, 200), "also after a restart");
    assert_eq!(shown(&server), [&*new, &*old[0]]);
}

#[test]
fn what_a_leaked_key_has_signed_is_refused_when_the_command_has_ended() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::on(directory.path(), &[]);
    rotate(directory.path(), &[], &[]);
    let second = token(directory.path(), &[], &[]);
    assert_eq!((status(&server, &server.token), status(&server, &second)), (200, 200));
    let third = rotate(directory.path(), &["--now"], &[]);
    for leaked in [&server.token, &second] {
        server.get_as("/api/v2/connections", leaked).assert_refusal(
            401,
            "Unauthorized",
            "Invalid signature received for JSON Web Token validation",
            "",
        );
    }
    assert_eq!((shown(&server), retired(directory.path())), (vec![third], 0));
    assert_eq!(status(&server, &token(directory.path(), &[], &[])), 200);
}

#[test]
fn a_retired_key_is_removed_when_its_last_token_has_expired() {
    let directory = tempfile::tempdir().unwrap();
    let settings = [("INTAKE_TOKENS_LIFETIME", "2s"), ("INTAKE_RETENTION_CHECK_EVERY", "100ms")];
    let server = Server::on(directory.path(), &settings);
    let begun = Instant::now();
    let new = rotate(directory.path(), &[], &settings);
    assert_eq!((shown(&server).len(), retired(directory.path())), (2, 1));
    until("the old key is gone", || (shown(&server) == [&*new]).then_some(()));
    assert!(Duration::from_secs(6) <= begun.elapsed(), "not before its time, and 5 s for servers to notice");
    until("its file is gone", || (retired(directory.path()) == 0).then_some(()));
}

#[test]
fn an_overlap_can_be_longer_than_tokens_usually_live() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::on(directory.path(), &[("INTAKE_TOKENS_LIFETIME", "1s")]);
    let long = token(directory.path(), &["--ttl", "1h"], &[]);
    let output = run(directory.path(), &["--overlap", "1h"], &[]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && said.contains("stay good until they expire, 20"), "{said}");
    thread::sleep(Duration::from_secs(7));
    assert_eq!((status(&server, &long), retired(directory.path())), (200, 1));
}

#[test]
fn the_algorithm_is_changed_by_a_rotation_without_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::on(directory.path(), &[]);
    let rsa = [("INTAKE_TOKENS_ALGORITHM", "RS256")];
    rotate(directory.path(), &[], &rsa);
    let minted = token(directory.path(), &[], &rsa);
    assert_eq!(header(&minted)["alg"], "RS256");
    assert_eq!((status(&server, &server.token), status(&server, &minted)), (200, 200));
    let discovery = server.request("GET", "/.well-known/openid-configuration", &[], b"").json();
    assert_eq!(discovery["id_token_signing_alg_values_supported"], json!(["ES256", "RS256"]));
    let before = server.token.clone();
    assert!(server.stop().success());
    let server = Server::on(directory.path(), &rsa);
    assert_eq!((status(&server, &before), status(&server, &minted)), (200, 200));
    assert!(server.stop().success());
    // Whoever forgets to set it is told both ways out.
    let path = ("INTAKE_STORAGE_PATH", directory.path().to_str().unwrap());
    let output = intake(&["serve", "--bind", "127.0.0.1:0"], &[path]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("intake rotate-key") && said.contains("set tokens.algorithm to RS256"), "{said}");
}

#[test]
fn a_rotation_that_is_killed_leaves_all_tokens_good_and_a_key_to_sign_with() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::on(directory.path(), &[]);
    let mut tokens = vec![server.token.clone()];
    for number in 0..30_u64 {
        let settings = [("INTAKE_STORAGE_PATH", directory.path().to_str().unwrap())];
        let mut child = intake(&["rotate-key"], &settings).spawn().unwrap();
        thread::sleep(Duration::from_micros(number * 700));
        child.kill().unwrap();
        child.wait().unwrap();
        tokens.push(token(directory.path(), &[], &[]));
        assert!(directory.path().join("signing-key.pem").exists());
    }
    let last = rotate(directory.path(), &[], &[]);
    assert_eq!(shown(&server)[0], last);
    for token in &tokens {
        assert_eq!(status(&server, token), 200);
    }
    let names = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = names.filter(|name| name.to_str().unwrap().starts_with('.')).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn keys_that_cannot_be_read_leave_those_before_in_use() {
    let files = tempfile::tempdir().unwrap();
    let (data, log) = (files.path().join("data"), files.path().join("log"));
    let server = Server::logging_to(&log, &data, &[]);
    let key = fs::read(data.join("signing-key.pem")).unwrap();
    fs::write(data.join("signing-key.pem"), "MARK-no-key").unwrap();
    let said = "the signing keys before stay in use";
    until("it is said", || fs::read_to_string(&log).unwrap().contains(said).then_some(()));
    assert_eq!(status(&server, &server.token), 200);
    fs::write(data.join("signing-key.pem"), &key).unwrap();
    thread::sleep(Duration::from_secs(1));
    assert_eq!(status(&server, &server.token), 200);
    let log = fs::read_to_string(&log).unwrap();
    assert_eq!(log.matches(said).count(), 1, "once, not with every look: {log}");
    assert!(!log.contains("MARK"), "{log}");
}

#[test]
fn keys_that_could_not_be_read_for_a_moment_are_read_again() {
    let (files, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (data, log) = (files.path().join("data"), files.path().join("log"));
    let server = Server::logging_to(&log, &data, &[]);
    let key = data.join("signing-key.pem");
    fs::copy(&key, elsewhere.path().join("signing-key.pem")).unwrap();
    let new = rotate(elsewhere.path(), &[], &[]);
    fs::write(&key, "no key").unwrap();
    until("it is said", || fs::read_to_string(&log).unwrap().contains("stay in use").then_some(()));
    // Nothing is to be seen from outside when it can be read.
    let modified = fs::metadata(&key).unwrap().modified().unwrap();
    fs::write(&key, fs::read(elsewhere.path().join("signing-key.pem")).unwrap()).unwrap();
    fs::File::options().write(true).open(&key).unwrap().set_modified(modified).unwrap();
    until("it signs", || (shown(&server)[0] == new).then_some(()));
}

#[test]
fn there_is_nothing_to_rotate_where_there_is_no_data_directory() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing");
    let output = run(&missing, &[], &[]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        (output.status.code(), said.contains("there is no data directory")),
        (Some(1), true),
        "{said}"
    );
    assert!(!missing.exists());
    let output = run(directory.path(), &["--now", "--overlap", "1h"], &[]);
    assert_eq!(output.status.code(), Some(2));
}
