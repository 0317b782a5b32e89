//! Where nobody takes what is said: a log on a disk that is full, a pipe whose reader has gone.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::helpers::{INTAKE, intake, until};

const ROWS: &str = r#"[{ "email": "ann@example.test", "email_verified": true }]"#;

/// Where it cannot be said.
#[derive(Debug, Clone, Copy)]
enum To {
    Full,
    Nobody,
}

/// A command with one of its streams, by number, where nothing can be written; it has no input.
fn mute(stream: u8, to: To, arguments: &[&str], data: &Path) -> Command {
    // The input of the shell is handed on as what is written to.
    let place = match to {
        To::Full => "/dev/full".to_owned(),
        To::Nobody => "&0".to_owned(),
    };
    let mut command = Command::new("sh");
    command.args(["-c", &format!("exec \"$0\" \"$@\" {stream}>{place}"), INTAKE]).args(arguments);
    for (name, value) in intake(&[], &[("INTAKE_STORAGE_PATH", data.to_str().unwrap())]).get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.env("INTAKE_LOG_LEVEL", "trace").current_dir(data.parent().unwrap());
    match to {
        To::Full => command.stdin(Stdio::null()),
        To::Nobody => command.stdin(std::io::pipe().unwrap().1),
    };
    command
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn nothing_ends_because_its_notices_cannot_be_written() {
    for to in [To::Full, To::Nobody] {
        let files = tempfile::tempdir().unwrap();
        fs::write(files.path().join("users.json"), ROWS).unwrap();
        let run_on = |name: &str, arguments: &[&str]| {
            let data = files.path().join(name);
            let output = mute(2, to, arguments, &data).output().unwrap();
            assert_eq!(output.status.code(), Some(0), "{to:?}: {arguments:?}: {output:?}");
        };
        let run = |arguments: &[&str]| run_on("data", arguments);
        run(&["import", "users.json"]);
        run(&["check", "users.json"]);
        run(&["token"]);
        run(&["rotate-key"]);
        run(&["backup", "alone"]);
        run(&["dump"]);
        run(&["dump", "alone.dump"]);
        run(&["doctor"]);
        run_on("restored", &["restore", "alone"]);
        run_on("loaded", &["load", "alone.dump"]);

        let data = files.path().join("data");
        let mut serve = mute(2, to, &["serve", "--bind", "127.0.0.1:0"], &data).spawn().unwrap();
        until("the server is there", || {
            assert_eq!(serve.try_wait().unwrap(), None, "{to:?}");
            data.join("server.json").exists().then_some(())
        });
        run(&["import", "users.json", "--upsert"]);
        run(&["backup", "beside"]);
        run(&["dump", "beside.dump"]);
        run(&["rotate-key"]);
        run(&["doctor"]);
        assert_eq!(serve.try_wait().unwrap(), None, "{to:?}");
        let pid = serve.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        assert_eq!(serve.wait().unwrap().code(), Some(0), "{to:?}");

        let missing = mute(2, to, &["doctor", "missing"], &data).output().unwrap();
        assert_eq!(missing.status.code(), Some(1), "{to:?}: what went wrong is still told by the status");
    }
}

#[test]
fn a_result_that_cannot_be_written_is_an_error_and_one_that_nobody_reads_is_a_quiet_one() {
    let files = tempfile::tempdir().unwrap();
    let data = files.path().join("data");
    fs::write(files.path().join("users.json"), ROWS).unwrap();
    fs::write(files.path().join("bad.json"), "[{}]").unwrap();
    let run = |to: To, arguments: &[&str]| {
        let output = mute(1, to, arguments, &data).env_remove("INTAKE_LOG_LEVEL").output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{to:?}: {arguments:?}: {}", stderr(&output));
        stderr(&output)
    };
    for (to, name) in [(To::Full, "full"), (To::Nobody, "nobody")] {
        let mut said = Vec::new();
        for arguments in [
            &["import", "users.json", "--upsert"][..],
            &["import", "users.json", "--upsert", "--json"],
            &["check", "bad.json"],
            &["check", "bad.json", "--json"],
            &["token"],
            &["rotate-key"],
            &["backup", name],
            &["dump"],
            &["dump", &format!("{name}.dump")],
            &["doctor"],
            &["doctor", "--json"],
            &["serve", "--ephemeral"],
            &["help"],
            &["--version"],
        ] {
            said.push((format!("{arguments:?}"), run(to, arguments)));
        }
        for (arguments, words) in said {
            let is_told = words.contains("standard output cannot be written: No space left on device");
            assert_eq!(is_told, matches!(to, To::Full), "{to:?}: {arguments}: {words}");
            let is_fault = |line: &&str| line.starts_with("intake: ") || line.contains("panicked");
            let faults = words.lines().filter(is_fault).count();
            assert_eq!(faults, usize::from(is_told), "{to:?}: {arguments}: {words}");
        }
        let made = fs::read(files.path().join(name).join("backup.json")).unwrap();
        assert!(serde_json::from_slice::<Value>(&made).is_ok(), "what was made is made");
        assert!(files.path().join(format!("{name}.dump")).exists());
    }
}
