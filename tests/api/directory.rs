//! Data directories that the program must not touch, or only by leave.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::json;

use crate::helpers::{Server, intake, token};

/// Every path below a directory, with what is there and when it was changed.
fn picture(directory: &Path) -> BTreeMap<PathBuf, (Option<Vec<u8>>, SystemTime)> {
    let mut picture = BTreeMap::new();
    let mut paths = vec![directory.to_owned()];
    while let Some(path) = paths.pop() {
        let about = fs::metadata(&path).unwrap();
        if about.is_dir() {
            paths.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        let content = about.is_file().then(|| fs::read(&path).unwrap());
        picture.insert(path, (content, about.modified().unwrap()));
    }
    picture
}

/// Runs each command that could write to the directory; tells what they say.
fn refusals(directory: &Path) -> Vec<String> {
    let place = tempfile::tempdir().unwrap();
    let (file, backup) = (place.path().join("users.json"), place.path().join("backup"));
    fs::write(&file, "[]").unwrap();
    let commands: [&[&str]; 5] = [
        &["serve", "--bind", "127.0.0.1:0"],
        &["serve", "--bind", "127.0.0.1:0", "--accept-loss"],
        &["import", file.to_str().unwrap()],
        &["token"],
        &["backup", backup.to_str().unwrap()],
    ];
    let run = |arguments: &&[&str]| {
        let path = ("INTAKE_STORAGE_PATH", directory.to_str().unwrap());
        let output = intake(arguments, &[path]).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    commands.iter().map(run).collect()
}

#[test]
fn a_directory_of_a_newer_version_is_refused_untouched() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::on(directory.path(), &[]);
    server.import(&json!([{ "email": "ann@acme.test", "email_verified": true }]).to_string(), false);
    drop(server);
    fs::remove_file(directory.path().join("signing-key.pem")).unwrap();
    for (name, told) in [
        ("intake data directory, format 4\n", "use the program it was made with"),
        ("something else", "use the program that the data directory was made with"),
    ] {
        fs::write(directory.path().join("format"), name).unwrap();
        let before = picture(directory.path());
        for refusal in refusals(directory.path()) {
            assert!(refusal.contains(told), "{refusal}");
        }
        assert_eq!(picture(directory.path()), before);
    }
}

#[test]
fn a_directory_of_somebody_else_is_refused_untouched() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("photos")).unwrap();
    let before = picture(directory.path());
    for refusal in refusals(directory.path()) {
        assert!(refusal.contains("holds \"photos\" and no data of intake"), "{refusal}");
    }
    assert_eq!(picture(directory.path()), before);
}

#[test]
fn a_loss_is_refused_by_name_and_accepted_aloud() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path();
    let import = |email: &str| {
        let server = Server::on(data, &[]);
        server.import(&json!([{ "email": email, "email_verified": true }]).to_string(), false);
        assert!(server.stop().success());
    };
    import("ann@acme.test");
    let copy = tempfile::tempdir().unwrap();
    let copied =
        std::process::Command::new("cp").arg("-r").arg(data.join("database")).arg(copy.path()).status();
    assert!(copied.unwrap().success());
    import("bob@acme.test");
    fs::remove_dir_all(data.join("database")).unwrap();
    fs::rename(copy.path().join("database"), data.join("database")).unwrap();
    let upload = data.join("spool/job_0123456789abcdef.json");
    fs::write(&upload, "[]").unwrap();
    let setting = ("INTAKE_STORAGE_PATH", data.to_str().unwrap());
    let output = intake(&["serve", "--bind", "127.0.0.1:0"], &[setting]).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(told.contains("was acknowledged") && told.contains("intake serve --accept-loss"), "{told}");
    assert!(upload.exists());

    let log = tempfile::NamedTempFile::new().unwrap();
    let server = Server::logging_with(log.path(), data, &["--accept-loss"]);
    assert_eq!(server.get("/api/v2/users-by-email?email=bob@acme.test").json(), json!([]));
    assert_eq!(server.user("ann@acme.test")["email"], "ann@acme.test");
    assert!(server.stop().success());
    let told = fs::read_to_string(log.path()).unwrap();
    let kept = data.join("lost/job_0123456789abcdef.json");
    assert!(told.contains("accepted a loss: the database ends at commit"), "{told}");
    assert!(told.contains("WARN") && told.contains(kept.to_str().unwrap()), "{told}");
    assert!(kept.exists() && !upload.exists());
    import("eve@acme.test");

    let server = Server::logging_with(log.path(), data, &["--accept-loss"]);
    assert_eq!(server.user("eve@acme.test")["email"], "eve@acme.test");
    assert!(server.stop().success());
    let told = fs::read_to_string(log.path()).unwrap();
    assert!(!told.contains("loss"), "there is none any more: {told}");
    assert!(!token(data, &[], &[]).is_empty());
}
