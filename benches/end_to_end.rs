//! The whole path, from a client's upload to the `completed` it reads, through the real program over
//! HTTP; beside it, in the same run, the bare store loop with the same rows.
//!
//! `cargo bench --bench end_to_end -- 2000 100000 1000000` takes numbers of rows; `--runs 5` repeats
//! each and prints medians.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    missing_docs,
    reason = "a bench"
)]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use intake::domain::{Candidate, Owed};
use serde_json::Value;
use support::bare::{candidate, connection, import, open};
use support::generator;
use support::machine::{disk, peak_of};
use ureq::Agent;

mod support;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BOUNDARY: &str = "bench-boundary";

fn main() {
    let mut runs = 3;
    let mut sizes = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.parse() {
            Ok(rows) => sizes.push(rows),
            Err(_) if argument == "--runs" => runs = arguments.next().unwrap().parse().unwrap(),
            Err(_) => {}
        }
    }
    if sizes.is_empty() {
        sizes = vec![2_000, 100_000];
    }
    println!("medians of {runs} runs");
    println!(
        "      rows       file    upload  completed     rows/s  bare rows/s  ratio  peak memory  disk/user"
    );
    for rows in sizes {
        print(rows, runs);
    }
}

fn print(rows: u64, runs: usize) {
    let file = file(rows);
    let real: Vec<Run> = (0..runs).map(|_| through_http(&file, rows)).collect();
    let bare = median((0..runs).map(|_| bare(rows)).collect());
    let completed = median(real.iter().map(|run| run.completed.as_secs_f64()).collect());
    let upload = median(real.iter().map(|run| run.upload.as_secs_f64()).collect());
    let memory = median(real.iter().map(|run| run.peak as f64).collect());
    let disk = median(real.iter().map(|run| run.disk as f64).collect());
    println!(
        "{rows:>10} {:>7.1} MB {:>6.1} ms {:>7.1} ms {:>10.0} {bare:>12.0} {:>6.2} {:>9.0} MB {:>8.0} B",
        file.len() as f64 / 1e6,
        upload * 1e3,
        completed * 1e3,
        rows as f64 / completed,
        rows as f64 / completed / bare,
        memory / f64::from(1 << 20),
        disk / rows as f64,
    );
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn file(rows: u64) -> Vec<u8> {
    let rows: Vec<String> = (0..rows).map(generator::row).collect();
    format!("[\n{}\n]\n", rows.join(",\n")).into_bytes()
}

/// Rows per second of the bare store loop.
fn bare(rows: u64) -> f64 {
    let directory = tempfile::tempdir().unwrap();
    let candidates: Vec<Candidate> = (0..rows).map(candidate).collect();
    let store = open(directory.path());
    let connection = store.create_connection(connection(), Owed::nothing()).unwrap();
    rows as f64 / import(&store, &connection, 1, false, &candidates).total.as_secs_f64()
}

/// What one import took.
struct Run {
    /// Until the 202 was read.
    upload: Duration,
    /// Until `completed` was read.
    completed: Duration,
    /// Bytes of memory at most.
    peak: u64,
    /// Bytes on disk afterwards.
    disk: u64,
}

fn through_http(file: &[u8], rows: u64) -> Run {
    let temporary = tempfile::tempdir().unwrap();
    let (mut server, about) = start(temporary.path());
    let agent: Agent = Agent::config_builder().http_status_as_error(true).build().into();
    let text = |name: &str| about[name].as_str().unwrap();
    let token = format!("Bearer {}", text("token"));
    let body = body(text("connection_id"), file);
    let begun = Instant::now();
    let mut answer = agent
        .post(format!("{}/api/v2/jobs/users-imports", text("url")))
        .header("authorization", &token)
        .header("content-type", format!("multipart/form-data; boundary={BOUNDARY}"))
        .send(&body[..])
        .unwrap();
    let job: Value = answer.body_mut().read_json().unwrap();
    let upload = begun.elapsed();
    let url = format!("{}/api/v2/jobs/{}", text("url"), job["id"].as_str().unwrap());
    let job = loop {
        let mut answer = agent.get(&url).header("authorization", &token).call().unwrap();
        let job: Value = answer.body_mut().read_json().unwrap();
        if job["status"] != "pending" {
            break job;
        }
        thread::sleep(Duration::from_micros(500));
    };
    let completed = begun.elapsed();
    assert_eq!(job["summary"]["inserted"], rows, "{job}");
    let run = Run { upload, completed, peak: peak_of(server.id()), disk: disk(temporary.path()) };
    server.kill().unwrap();
    server.wait().unwrap();
    run
}

fn start(temporary: &Path) -> (Child, Value) {
    let mut server = Command::new(env!("CARGO_BIN_EXE_intake"))
        .args(["serve", "--ephemeral"])
        .current_dir(temporary)
        .env("TMPDIR", temporary)
        .env("INTAKE_IMPORT_MAX_FILE_SIZE", "4GB")
        .env("INTAKE_LOG_LEVEL", "warn")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (server, serde_json::from_str(&line).unwrap())
}

fn body(connection_id: &str, file: &[u8]) -> Vec<u8> {
    let head = format!(
        "--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"connection_id\"\r\n\r\n{connection_id}\r\n\
         --{BOUNDARY}\r\ncontent-disposition: form-data; name=\"users\"; filename=\"users.json\"\r\n\r\n"
    );
    let mut body = head.into_bytes();
    body.extend_from_slice(file);
    body.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
    body
}
