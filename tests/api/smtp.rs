//! A real mail server in a process of its own; see `tests/tools/smtp_server.py`.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::helpers::{tool, until};

/// A mail server, which can go and come back at the same port; killed when dropped.
pub struct MailServer {
    python: PathBuf,
    child: Option<Child>,
    port: u16,
    folder: TempDir,
}

impl MailServer {
    /// Starts one; `None` where there is no Python for it. Options are those of the program.
    pub fn start(options: &[&str]) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut server = Self { python: tool("python")?, child: None, port: 0, folder };
        server.come_back(options);
        Some(server)
    }

    /// Starts it again at its old port, with other options.
    pub fn come_back(&mut self, options: &[&str]) {
        self.go();
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/smtp_server.py");
        let mut command = Command::new(&self.python);
        command.arg(program).args(["--port", &self.port.to_string(), "--log"]).arg(self.log()).args(options);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        self.child = Some(child);
        self.port = line.trim().parse().expect("the mail server did not start");
    }

    /// Ends it, as a power cut would.
    pub fn go(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Both fail only when the process has ended.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("letters.jsonl")
    }

    /// Every letter it was brought, with the `answer` it gave.
    pub fn brought(&self) -> Vec<Value> {
        let log = std::fs::read_to_string(self.log()).unwrap_or_default();
        // The last line may be half written.
        let lines = log.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        lines.map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The letters it took.
    pub fn letters(&self) -> Vec<Value> {
        let brought = self.brought().into_iter();
        brought.filter(|letter| letter["answer"].as_str().unwrap().starts_with("250")).collect()
    }

    /// Waits until it has taken so many letters.
    pub fn wait_for_letters(&self, count: usize) -> Vec<Value> {
        until("letters arrive", || Some(self.letters()).filter(|letters| count <= letters.len()))
    }

    /// The settings of a server that sends its letters here, without TLS, and tries again soon.
    pub fn settings(&self) -> Vec<(String, String)> {
        let port = self.port.to_string();
        let settings = [
            ("TRANSPORT", "smtp"),
            ("SMTP_HOST", "127.0.0.1"),
            ("SMTP_PORT", &port),
            ("SMTP_SECURITY", "none"),
            ("RETRY_FIRST", "100ms"),
            ("RETRY_LONGEST", "200ms"),
        ];
        settings.map(|(name, value)| (format!("INTAKE_MAIL_{name}"), value.to_owned())).to_vec()
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        self.go();
    }
}
