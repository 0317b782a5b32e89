//! What it costs to be watched.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::Bench;
use crate::client::id_of;
use crate::files::UsersFile;
use crate::server::Server;
use crate::table::{Target, Values, line, note, short};

/// How often the page looks here; the real one looks each 700 ms.
const LOOK: Duration = Duration::from_millis(500);

/// Each turn: an import nobody looks at, with a log of warnings only, and one with everything: the log as it is
/// by default, and what the status page asks for. The client that waits is the same in both.
pub(crate) fn watching(bench: &Bench) {
    let rows = bench.options.size(200_000, 1_000_000);
    note(format!("watching: {} rows", short(rows)));
    let file = UsersFile::new(0..rows);
    let [mut alone, mut watched] = [const { Values::empty() }; 2];
    for _ in 0..bench.options.runs() {
        let server = Server::throwaway();
        alone.push(server.client().insert(&server.connection, &file).completed);
        drop(server);
        watched.push(import_watched(&file));
    }
    let what = format!("watching: import of {} rows", short(rows));
    line(format!("{what}, nobody looks"), alone.seconds(), "", &Target::none());
    line(
        format!("{what}, log and page"),
        watched.seconds(),
        alone.over(&watched).plain(),
        &Target::new("nothing", "1.00"),
    );
}

fn import_watched(file: &UsersFile) -> f64 {
    let server = Server::throwaway_with(&[("INTAKE_LOG_LEVEL", "info")]);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| watch(&server, &is_over));
        let seconds = server.client().insert(&server.connection, file).completed;
        is_over.store(true, Ordering::SeqCst);
        seconds
    })
}

/// What the page of a job asks for, and the list of jobs.
fn watch(server: &Server, is_over: &AtomicBool) {
    let mut client = server.client();
    while !is_over.load(Ordering::SeqCst) {
        let jobs = client.json("/api/v2/jobs?per_page=20&page=0&include=progress");
        let list = jobs.as_array().or_else(|| jobs["jobs"].as_array()).unwrap();
        if let Some(job) = list.first() {
            client.json(&format!("/api/v2/jobs/{}?include=progress", id_of(job)));
        }
        thread::sleep(LOOK);
    }
}
