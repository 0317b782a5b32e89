//! A receiver of webhooks in a process of its own; see `tests/tools/webhook_receiver.py`.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::helpers::{tool, until};

pub const SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3";

/// Settings under which events go to this machine, and failures soon show.
pub const EAGER: &[(&str, &str)] = &[
    ("INTAKE_WEBHOOKS_ALLOW_PRIVATE_TARGETS", "true"),
    ("INTAKE_WEBHOOKS_RETRY_FIRST", "20ms"),
    ("INTAKE_WEBHOOKS_RETRY_LONGEST", "100ms"),
    ("INTAKE_WEBHOOKS_TIMEOUT", "1s"),
    ("INTAKE_LOG_LEVEL", "error"),
];

/// Somebody else's server, in a process of its own.
pub struct Receiver {
    child: Option<Child>,
    directory: TempDir,
    python: PathBuf,
    port: String,
}

impl Receiver {
    /// One that takes everything; `None` where its tools are missing.
    pub fn start() -> Option<Self> {
        let python = tool("python")?;
        let directory = tempfile::tempdir().unwrap();
        let mut receiver = Self { child: None, directory, python, port: "0".to_owned() };
        receiver.come(&[]);
        Some(receiver)
    }

    /// Starts it, at the port it had.
    pub fn come(&mut self, options: &[&str]) {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/webhook_receiver.py");
        let mut command = Command::new(&self.python);
        command
            .arg(program)
            .arg(self.record())
            .args(["--port", &self.port, "--secret", SECRET])
            .args(options);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        self.child = Some(child);
        line.trim().clone_into(&mut self.port);
        assert!(!self.port.is_empty(), "the receiver did not start");
    }

    pub fn go(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    fn record(&self) -> PathBuf {
        self.directory.path().join("requests")
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook", self.port)
    }

    /// How requests are treated from now on; see the receiver.
    pub fn treat(&self, mode: &str) {
        let url = format!("http://127.0.0.1:{}/control/{mode}", self.port);
        assert_eq!(ureq::post(url).send_empty().unwrap().status(), 204);
    }

    /// Every request so far.
    pub fn requests(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.record()).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Requests treated in this way.
    pub fn treated(&self, mode: &str) -> Vec<Value> {
        let mut requests = self.requests();
        requests.retain(|request| request["treatment"] == mode);
        requests
    }

    /// The events of requests that were taken.
    pub fn taken(&self) -> Vec<Value> {
        self.treated("ok").iter().flat_map(items).collect()
    }

    /// Waits until so many different events were taken.
    pub fn wait_for(&self, count: usize) -> Vec<Value> {
        until("so many events", || (count <= ids(&self.taken()).len()).then(|| self.taken()))
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.go();
        }
    }
}

/// The events in a request, in whatever format.
pub fn items(request: &Value) -> Vec<Value> {
    let body = request["body"].as_str().unwrap();
    match serde_json::from_str(body) {
        Ok(Value::Array(items)) => items,
        Ok(item) => vec![item],
        Err(_) => body.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
    }
}

/// The different ids among events.
pub fn ids(events: &[Value]) -> BTreeSet<String> {
    events.iter().map(|event| event["log_id"].as_str().unwrap().to_owned()).collect()
}

/// Events without those that came before, with how many those are. Each has to come right after the one
/// before it, or to begin again earlier.
pub fn once(events: &[Value]) -> (Vec<String>, usize) {
    let mut seen: Vec<String> = Vec::new();
    for event in events {
        let id = event["log_id"].as_str().unwrap();
        if seen.last().is_none_or(|last| last.as_str() < id) {
            seen.push(id.to_owned());
        } else {
            assert!(seen.iter().any(|one| one == id), "{id} came too late");
        }
    }
    let again = events.len() - seen.len();
    (seen, again)
}
