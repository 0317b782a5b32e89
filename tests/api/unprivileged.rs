//! What others on the same machine can see and do: the modes of files, and a server that is nobody.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::helpers::{Form, INTAKE, Server, intake, until};

/// Everything in a folder with its mode, the folder itself included.
fn modes(folder: &Path) -> BTreeMap<PathBuf, u32> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(path) = folders.pop() {
        let about = fs::symlink_metadata(&path).unwrap();
        found.insert(path.clone(), about.permissions().mode() & 0o7777);
        if about.is_dir() {
            folders.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    found
}

#[track_caller]
fn assert_private(folder: &Path, least: usize) {
    let found = modes(folder);
    assert!(least <= found.len(), "{found:?}");
    for (path, mode) in found {
        let expected = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode, expected, "{}: {mode:o}", path.display());
    }
}

/// A command as somebody runs it who gives everything to everybody.
fn generous(arguments: &[&str], settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "umask 0; exec \"$0\" \"$@\"", INTAKE]).args(arguments);
    let clean = intake(&[], settings);
    for (name, value) in clean.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.current_dir(std::env::temp_dir());
    command
}

/// Users, rows that fail, letters, an export, a rotation, an upload cut off: whatever makes files.
fn story(server: &Server, data: &Path) {
    let rows = json!([
        { "email": "ann@example.test", "email_verified": true, "app_metadata": { "a": "b".repeat(2000) } },
        { "email": "nobody", "email_verified": true },
    ]);
    let job = server.import(&rows.to_string(), false);
    assert_eq!(job["status"], "completed");
    let export = server.send("POST", "/api/v2/jobs/users-exports", &json!({})).json();
    server.wait(export["id"].as_str().unwrap());
    until("a letter is written", || {
        fs::read_dir(data.join("mail")).ok().and_then(|mut letters| letters.next()).map(|_| ())
    });
}

#[test]
fn nothing_in_the_data_directory_is_for_anybody_else_whatever_the_umask() {
    let files = tempfile::tempdir().unwrap();
    let data = files.path().join("data");
    let settings = [
        ("INTAKE_STORAGE_PATH", data.to_str().unwrap()),
        ("INTAKE_SERVER_PUBLIC_URL", "http://intake.test"),
        ("INTAKE_TENANT_OWNERS", "owner@example.test"),
    ];
    let command = generous(&["serve", "--bind", "127.0.0.1:0"], &settings);
    let server = Server::started_by(command, &data, &settings);
    story(&server, &data);
    let rotated = generous(&["rotate-key"], &settings).output().unwrap();
    assert!(rotated.status.success());
    // While it runs: the address, the lock and an upload that is still coming.
    let form = Form::import(&server.connection_id(), "[]", false);
    let head = Server::upload_head(&server.token, &format!("content-length: {}", form.bytes().len()));
    let mut stream = server.dial();
    std::io::Write::write_all(
        &mut stream,
        &[head.as_bytes(), &form.bytes()[..form.bytes().len() - 4]].concat(),
    )
    .unwrap();
    until("the upload is there", || fs::read_dir(data.join("spool")).unwrap().next().map(|_| ()));
    assert_private(&data, 15);
    drop(stream);
    assert!(server.stop().success());
    assert_private(&data, 12);
}

#[test]
fn throwaway_servers_and_reports_of_failed_rows_are_for_nobody_else_either() {
    let files = tempfile::tempdir().unwrap();
    let temporary = files.path().join("tmp");
    fs::create_dir(&temporary).unwrap();
    let settings = [("TMPDIR", temporary.to_str().unwrap())];
    let server = Server::spawn_ephemeral(&mut generous(&["serve", "--ephemeral", "--tls"], &settings));
    server.import(r#"[{ "email": "ann@example.test", "email_verified": true }]"#, false);
    let directory = fs::read_dir(&temporary).unwrap().next().unwrap().unwrap().path();
    assert_private(&directory, 12);
    drop(server);
    let (rows, report) = (files.path().join("rows.json"), files.path().join("failed.json"));
    fs::write(&rows, r#"[{ "email": "MARK", "email_verified": true }]"#).unwrap();
    let data = files.path().join("data");
    let settings = [("INTAKE_STORAGE_PATH", data.to_str().unwrap())];
    let arguments = ["import", rows.to_str().unwrap(), "--report", report.to_str().unwrap()];
    let output = generous(&arguments, &settings).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(fs::read_to_string(&report).unwrap().contains("MARK"));
    assert_private(&report, 1);
    assert_private(&data, 10);
}

#[test]
fn a_directory_that_others_may_enter_is_told_of() {
    let files = tempfile::tempdir().unwrap();
    let (data, log) = (files.path().join("data"), files.path().join("log"));
    fs::create_dir(&data).unwrap();
    for (mode, is_told) in [(0o755, true), (0o750, true), (0o700, false)] {
        fs::set_permissions(&data, fs::Permissions::from_mode(mode)).unwrap();
        let server = Server::logging_to(&log, &data, &[]);
        let said = fs::read_to_string(&log).unwrap();
        assert_eq!(said.contains("other users of this machine may look into"), is_told, "{mode:o}: {said}");
        assert!(server.stop().success());
    }
}

/// Nobody's ids, as systems have them.
const NOBODY: u32 = 65_534;

/// A server that may write to its data directory and to nothing else, and has no privilege to give itself any.
#[test]
fn the_server_runs_as_nobody_in_a_file_system_that_it_cannot_change() {
    if !is_root() {
        eprintln!("skipped: only root can become nobody");
        return;
    }
    let files = tempfile::Builder::new().prefix("intake-nobody-").tempdir_in("/tmp").unwrap();
    fs::set_permissions(files.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let (data, program) = (files.path().join("data"), files.path().join("intake"));
    fs::create_dir(&data).unwrap();
    std::os::unix::fs::chown(&data, Some(NOBODY), Some(NOBODY)).unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).unwrap();
    fs::copy(INTAKE, &program).unwrap();
    let settings = [
        ("INTAKE_STORAGE_PATH", data.to_str().unwrap()),
        ("INTAKE_SERVER_PUBLIC_URL", "http://intake.test"),
        ("INTAKE_TENANT_OWNERS", "owner@example.test"),
    ];
    let as_nobody = "exec setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs --bounding-set=-all \
                     --inh-caps=-all \"$@\"";
    // A file system of its own, read-only but for the data directory, and no /tmp to write to.
    let confined = format!(
        "mount --bind {data} {data} && mount -o remount,bind,ro / && {{ mount -o remount,bind,ro /tmp \
         2>/dev/null || true; }} && {as_nobody}",
        data = data.display()
    );
    let can_unshare = Command::new("unshare").args(["--mount", "true"]).status().is_ok_and(|it| it.success());
    let mut command = if can_unshare {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", &confined, "sh"]);
        command
    } else {
        eprintln!("without a file system of its own: unshare --mount is not allowed here");
        let mut command = Command::new("sh");
        command.args(["-c", as_nobody, "sh"]);
        command
    };
    command.arg(&program).args(["serve", "--bind", "127.0.0.1:0"]).current_dir("/");
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("INTAKE_")) {
        command.env_remove(name);
    }
    command.envs(settings);
    let server = Server::started_by(command, &data, &settings);
    story(&server, &data);
    let status = fs::read_to_string(format!("/proc/{}/status", server.child.id())).unwrap();
    for line in ["NoNewPrivs:\t1", "CapEff:\t0000000000000000", "CapBnd:\t0000000000000000"] {
        assert!(status.contains(line), "{line}: {status}");
    }
    let uids = status.lines().find(|line| line.starts_with("Uid:")).unwrap();
    assert_eq!(uids.split_whitespace().skip(1).collect::<Vec<_>>(), ["65534"; 4]);
    // The administrator rotates its key: it is the server's all the same.
    let rotated = intake(&["rotate-key"], &settings).output().unwrap();
    assert!(rotated.status.success(), "{}", String::from_utf8_lossy(&rotated.stderr));
    for path in modes(&data).into_keys() {
        let about = fs::symlink_metadata(&path).unwrap();
        assert_eq!((about.uid(), about.gid()), (NOBODY, NOBODY), "{}", path.display());
    }
    assert_private(&data, 14);
    assert!(server.stop().success());
}

/// As in `/var/lib/private`, where systemd keeps what belongs to a user that it makes up: he alone gets nowhere there.
#[test]
fn what_root_does_to_somebody_elses_directory_is_his() {
    if !is_root() {
        eprintln!("skipped: only root can become nobody");
        return;
    }
    let files = tempfile::Builder::new().prefix("intake-private-").tempdir_in("/tmp").unwrap();
    let program = files.path().join("intake");
    fs::copy(INTAKE, &program).unwrap();
    let close = |mode| fs::set_permissions(files.path(), fs::Permissions::from_mode(mode)).unwrap();
    let place = |name: &str| {
        let path = files.path().join(name);
        fs::create_dir(&path).unwrap();
        std::os::unix::fs::chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        path
    };
    let (data, restored, loaded) = (place("data"), place("restored"), place("loaded"));
    let rows = files.path().join("rows.json");
    fs::write(&rows, r#"[{ "email": "ann@example.test", "email_verified": true }]"#).unwrap();
    fs::set_permissions(&rows, fs::Permissions::from_mode(0o600)).unwrap();
    let root = |data: &Path, arguments: &[&str]| {
        let mut command = intake(arguments, &[("INTAKE_STORAGE_PATH", data.to_str().unwrap())]);
        let output = command.current_dir(files.path()).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let nobody = || {
        let mut command = Command::new(&program);
        command.arg("doctor").env("INTAKE_STORAGE_PATH", &data).current_dir("/");
        command.uid(NOBODY).gid(NOBODY).output().unwrap()
    };
    close(0o700);
    root(&data, &["import", "rows.json"]);
    root(&data, &["token"]);
    root(&data, &["rotate-key"]);
    root(&data, &["doctor"]);
    root(&data, &["dump", "a.dump"]);
    root(&data, &["backup", "backup"]);
    root(&restored, &["restore", "backup"]);
    root(&loaded, &["load", "a.dump"]);
    for path in [&data, &restored, &loaded].into_iter().flat_map(|data| modes(data).into_keys()) {
        let about = fs::symlink_metadata(&path).unwrap();
        assert_eq!((about.uid(), about.gid()), (NOBODY, NOBODY), "{}", path.display());
    }
    assert_eq!(fs::metadata(files.path().join("a.dump")).unwrap().uid(), 0, "who asked for it has it");
    close(0o755);
    let output = nobody();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::os::unix::fs::chown(data.join("database/conf"), Some(0), Some(0)).unwrap();
    let output = nobody();
    let said = String::from_utf8_lossy(&output.stderr);
    let told = format!("the data directory {} (storage.path) cannot be made or written to", data.display());
    assert!(said.contains(&told) && said.contains("(chown)"), "{said}");
}

fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    status.lines().any(|line| line.starts_with("Uid:") && line.split_whitespace().nth(1) == Some("0"))
}
