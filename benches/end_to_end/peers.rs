//! What users would pick instead, with the same rows: benches/peers/peers.py runs it, in turns with intake.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;

use crate::Bench;
use crate::files::UsersFile;
use crate::server::Server;
use crate::table::{Target, Values, line, note, short};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/peers.py");

/// Each peer as the script names it, what it does, and how many times its rate is to be reached.
const PEERS: [(&str, &str, &str, &str); 4] = [
    ("postgres-copy", "Postgres, COPY from a ready CSV", "2", "3.5"),
    ("postgres-script", "script JSON to COPY", "4", "6"),
    ("sqlite-script", "SQLite, script in one transaction", "5", "8"),
    ("duckdb", "DuckDB, read_json", "1.5", "2.5"),
];

/// Each turn: intake, and then every peer there is.
pub(crate) fn peers(bench: &Bench) {
    for rows in bench.options.sizes(&[100_000], &[2_000, 100_000], &[2_000, 100_000]) {
        note(format!("peers: {} rows", short(rows)));
        let file = UsersFile::new(0..rows);
        let Some(mut script) = Script::start(&file) else {
            return;
        };
        let mut ours = Values::empty();
        let mut theirs = [const { Values::empty() }; PEERS.len()];
        for _ in 0..bench.options.runs() {
            let server = Server::throwaway();
            ours.push(server.client().insert(&server.connection, &file).completed);
            drop(server);
            for ((name, ..), times) in PEERS.iter().zip(&mut theirs) {
                times.extend(script.run(name, rows));
            }
        }
        let what = format!("peers {} rows", short(rows));
        line(format!("{what}: intake"), ours.rates(rows).per_second("rows"), "", &Target::none());
        for ((_, peer, least, aim), times) in PEERS.into_iter().zip(theirs) {
            if times.len() > 0 {
                let ratio = times.over(&ours).plain();
                let target = if rows == 100_000 { Target::new(least, aim) } else { Target::none() };
                line(
                    format!("{what}: {peer}; intake / it"),
                    times.rates(rows).per_second("rows"),
                    ratio,
                    &target,
                );
            }
        }
    }
}

/// The running script; it stops what it has started when its input ends.
struct Script {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    there: Vec<String>,
}

impl Script {
    /// Starts it; tells what is missing. `None` without Python.
    fn start(file: &UsersFile) -> Option<Self> {
        let mut command = Command::new("python3");
        command.arg(SCRIPT).arg("measure").arg(file.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let Ok(mut child) = command.spawn() else {
            eprintln!("peers: python3 is missing");
            return None;
        };
        let (input, output) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        let mut script = Self { child, input, output, there: Vec::new() };
        let about: Value = serde_json::from_str(&script.read()).unwrap();
        for (name, how) in about["missing"].as_object().unwrap() {
            eprintln!("peers: {name} is missing: {}", how.as_str().unwrap());
        }
        for (name, version) in about["there"].as_object().unwrap() {
            note(format!("{name}: {}", version.as_str().unwrap()));
            script.there.push(name.clone());
        }
        Some(script)
    }

    /// Seconds that the peer took, if it is there.
    fn run(&mut self, name: &str, rows: u64) -> Option<f64> {
        if !self.there.iter().any(|one| one == name) {
            return None;
        }
        writeln!(self.input.as_ref().unwrap(), "{name}").unwrap();
        let done: Value = serde_json::from_str(&self.read()).unwrap();
        assert_eq!(done["rows"], rows, "{name}: {done}");
        done["seconds"].as_f64()
    }

    fn read(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "{SCRIPT} ended");
        line
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        drop(self.input.take());
        // It fails only when the script has ended.
        let _ = self.child.wait();
    }
}
