//! One process for a data directory: a second one is told so, whatever it calls the directory.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::helpers::{Server, intake, on, until};

/// Far more than it takes to look at a lock, and far less than the wait for a database.
const AT_ONCE: Duration = Duration::from_secs(5);

fn second(directory: &Path) -> Output {
    let begun = Instant::now();
    let output = intake(&["serve", "--bind", "127.0.0.1:0"], &on(directory, &[])).output().unwrap();
    assert!(begun.elapsed() < AT_ONCE, "it waited for {:?}", begun.elapsed());
    output
}

/// That it is refused in words that name the directory and say what to do.
#[track_caller]
fn assert_refused(directory: &Path) {
    let output = second(directory);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    let expected = format!(
        "intake: another process is using the data directory {}: stop it, or give this one a directory of its own \
         (storage.path)\n",
        directory.display()
    );
    assert_eq!(told, expected);
}

#[test]
fn a_second_server_is_refused_at_once_by_whatever_path_it_comes() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let server = Server::on(&data, &[]);
    let link = directory.path().join("link");
    symlink(&data, &link).unwrap();
    let around = directory.path().join("data/../data/.");
    let by_root = Path::new("/proc/self/root").join(data.strip_prefix("/").unwrap());
    for path in [data.clone(), link, around, by_root] {
        assert_refused(&path);
    }
    let row = json!([{ "email": "ann@acme.test", "email_verified": true }]).to_string();
    assert_eq!(server.import(&row, false)["summary"]["inserted"], 1, "the first one works on");
}

#[test]
fn a_second_server_is_refused_while_the_first_one_is_still_starting() {
    let directory = tempfile::tempdir().unwrap();
    let settings = [("INTAKE_IMPORT_MAX_FILE_SIZE", "50MB")];
    let row = |at| json!({ "email": format!("u{at}@acme.test"), "email_verified": true }).to_string();
    let file = format!("[{}]", (0..300_000).map(row).collect::<Vec<_>>().join(","));
    let server = Server::on(directory.path(), &settings);
    server.import(&file, false);
    drop(server);
    // It tells where a server was that is no more.
    std::fs::remove_file(directory.path().join("server.json")).unwrap();
    let mut first = Server::spawn_unready(directory.path(), &settings);
    until("it has the lock", || intake::store::is_locked(directory.path()).then_some(()));
    assert!(intake::app::running(directory.path()).is_none(), "it has started already");
    assert_refused(directory.path());
    first.kill().unwrap();
    first.wait().unwrap();
}

#[test]
fn after_a_kill_the_directory_is_free_at_once() {
    let directory = tempfile::tempdir().unwrap();
    for _ in 0..3 {
        let mut server = Server::on(directory.path(), &[]);
        server.child.kill().unwrap();
        server.child.wait().unwrap();
        assert!(!intake::store::is_locked(directory.path()));
    }
}
