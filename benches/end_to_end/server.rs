//! The real program, as a process of its own.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::client::Client;
use crate::support::machine;

const INTAKE: &str = env!("CARGO_BIN_EXE_intake");
/// Nothing takes longer, but on a machine that is busy with something else.
const PATIENCE: Duration = Duration::from_mins(2);

/// A running server; killed when dropped.
pub(crate) struct Server {
    process: Process,
    address: String,
    token: String,
    /// The connection that every server has.
    pub(crate) connection: String,
    /// The client that a throwaway server has.
    pub(crate) client_id: String,
    /// Seconds from the start of the process to the first answer.
    pub(crate) started: f64,
    /// Where a throwaway server keeps its data.
    pub(crate) directory: PathBuf,
    _temporary: Option<TempDir>,
}

/// A process that does not outlive this value.
struct Process(Child);

impl Server {
    /// A throwaway server that logs warnings only.
    pub(crate) fn throwaway() -> Self {
        Self::throwaway_with(&[])
    }

    /// A throwaway server with these settings besides.
    pub(crate) fn throwaway_with(settings: &[(&str, &str)]) -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let mut command = intake(&["serve", "--ephemeral"], temporary.path());
        command.env("TMPDIR", temporary.path()).envs(settings.iter().copied()).stdout(Stdio::piped());
        let begun = Instant::now();
        let mut process = Process(command.spawn().unwrap());
        let mut line = String::new();
        BufReader::new(process.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let about: Value = serde_json::from_str(&line).unwrap();
        let text = |name: &str| about[name].as_str().unwrap().to_owned();
        let address = text("http_url").trim_start_matches("http://").to_owned();
        let started = first_answer(&address, begun);
        let (token, connection, client_id) = (text("token"), text("connection_id"), text("client_id"));
        let directory = temporary.path().to_owned();
        machine::settle();
        Self {
            process,
            address,
            token,
            connection,
            client_id,
            started,
            directory,
            _temporary: Some(temporary),
        }
    }

    /// A server on a data directory that stays.
    pub(crate) fn on(directory: &Path) -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let mut command = intake(&["serve", "--bind", &address], directory);
        let begun = Instant::now();
        let process = Process(command.stdout(Stdio::null()).spawn().unwrap());
        let started = first_answer(&address, begun);
        let token = intake(&["token"], directory).stderr(Stdio::inherit()).output().unwrap();
        let token = String::from_utf8(token.stdout).unwrap().trim().to_owned();
        let connections = Client::dial(&address, &token).json("/api/v2/connections");
        let connection = connections[0]["id"].as_str().unwrap().to_owned();
        let directory = directory.to_owned();
        let client_id = String::new();
        machine::settle();
        Self { process, address, token, connection, client_id, started, directory, _temporary: None }
    }

    pub(crate) fn client(&self) -> Client {
        Client::dial(&self.address, &self.token)
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    pub(crate) fn process_id(&self) -> u32 {
        self.process.0.id()
    }

    /// Bytes of memory it has.
    pub(crate) fn resident(&self) -> f64 {
        machine::resident_of(self.process_id()) as f64
    }

    /// Bytes of memory it had at most.
    pub(crate) fn peak(&self) -> f64 {
        machine::peak_of(self.process_id()) as f64
    }

    /// Bytes of its data.
    pub(crate) fn disk(&self) -> f64 {
        machine::disk(&self.directory) as f64
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) fn stop(mut self) {
        let id = self.process.0.id().to_string();
        assert!(Command::new("kill").args(["-s", "TERM", &id]).status().unwrap().success());
        let deadline = Instant::now() + PATIENCE;
        while self.process.0.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "the server does not stop");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// `kill -9`.
    pub(crate) fn kill(self) {
        drop(self);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only when it has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A command with the program; its settings are the defaults, but for what a bench must have.
fn intake(arguments: &[&str], directory: &Path) -> Command {
    let mut command = Command::new(INTAKE);
    command.args(arguments).current_dir(directory);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("INTAKE_")) {
        command.env_remove(name);
    }
    command
        .env("INTAKE_STORAGE_PATH", directory.join("data"))
        .env("INTAKE_SERVER_PUBLIC_URL", "http://intake.bench")
        .env("INTAKE_IMPORT_MAX_FILE_SIZE", "8GB")
        .env("INTAKE_LOG_LEVEL", "warn")
        .stderr(log(directory));
    command
}

fn log(directory: &Path) -> File {
    File::options().create(true).append(true).open(directory.join("log")).unwrap()
}

/// Seconds until somebody answers at this address.
fn first_answer(address: &str, begun: Instant) -> f64 {
    while begun.elapsed() < PATIENCE {
        if let Ok(mut client) = Client::try_dial(address, "") {
            client.get("/healthz");
            return begun.elapsed().as_secs_f64();
        }
        thread::sleep(Duration::from_micros(200));
    }
    panic!("the server did not start: nobody listens on {address}");
}
