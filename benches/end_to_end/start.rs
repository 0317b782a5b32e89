//! Starts, and what a server has before anything was asked of it.

use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::Bench;
use crate::client::{Existing, id_of};
use crate::files::UsersFile;
use crate::server::Server;
use crate::support::generator;
use crate::table::{Target, Values, line, note, short};

/// Most rows of the import that is killed.
const KILLED_ROWS: u64 = 100_000;

/// From the start of the process to the first answer.
pub(crate) fn start(bench: &Bench) {
    note("start: empty");
    let fresh = (0..bench.options.runs()).map(|_| Server::throwaway().started).collect::<Values>();
    line("start: throwaway, to first answer", fresh.seconds(), "", &target(0));
    for users in bench.options.sizes(&[0, 200_000], &[0, 1_000_000], &[0, 1_000_000, 5_000_000]) {
        let directory = bench.stock.with(users);
        note(format!("start: {} users", short(users)));
        let [stopped, killed] = starts(directory.path(), users, bench.options.runs());
        let what = format!("start: directory with {} users", short(users));
        line(format!("{what}, after a stop"), stopped.seconds(), "", &target(users));
        let how = if users == 0 { "kill -9" } else { "kill -9 in an import" };
        line(format!("{what}, after {how}"), killed.seconds(), "", &target(users));
    }
}

fn target(users: u64) -> Target {
    match users {
        0 => Target::new("50 ms", "15 ms"),
        1_000_000 => Target::new("0.9 s", "0.5 s"),
        5_000_000 => Target::new("4.5 s", "2.5 s"),
        _ => Target::none(),
    }
}

/// Seconds after clean stops, and after kills amid the change of users, which goes on at the next start.
fn starts(directory: &Path, users: u64, runs: usize) -> [Values; 2] {
    let [mut stopped, mut killed] = [const { Values::empty() }; 2];
    for _ in 0..runs {
        let server = Server::on(directory);
        stopped.push(server.started);
        server.stop();
    }
    let file = UsersFile::of((0..users.min(KILLED_ROWS)).map(generator::changed_row));
    let mut server = Server::on(directory);
    for _ in 0..runs {
        let job = (0 < users).then(|| begin_change(&server, &file));
        server.kill();
        server = Server::on(directory);
        killed.push(server.started);
        if let Some(job) = job {
            server.client().wait(&job, Duration::from_millis(5));
        }
    }
    server.stop();
    [stopped, killed]
}

/// Uploads the file and returns when some of it is done.
fn begin_change(server: &Server, file: &UsersFile) -> String {
    let mut client = server.client();
    let job = client.upload(&server.connection, file, Existing::Change);
    loop {
        let now = client.json(&format!("/api/v2/jobs/{job}?include=progress"));
        if now["progress"]["rows_done"].as_u64() > Some(0) {
            return id_of(&now);
        }
    }
}

/// Memory of an empty throwaway server.
pub(crate) fn idle(bench: &Bench) {
    note("idle");
    let memory = |_| {
        let server = Server::throwaway();
        thread::sleep(Duration::from_secs(1));
        server.resident()
    };
    let memory: Values = (0..bench.options.runs()).map(memory).collect();
    line("idle: empty throwaway server, after 1 s", memory.megabytes(), "", &Target::new("25 MB", "12 MB"));
}
