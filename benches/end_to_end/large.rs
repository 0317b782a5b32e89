//! Five million users.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::Bench;
use crate::client::{Client, Existing};
use crate::files::UsersFile;
use crate::server::Server;
use crate::support::machine;
use crate::table::{Target, Values, line, note, short};

const MANY: u64 = 5_000_000;
/// Rows of the files whose times are compared.
const PIECE: u64 = 100_000;
/// How many of them come first, and how many last.
const PIECES: u64 = 5;
/// Share of the stored users that are 1 GB of a file, if five million are stored.
const UPLOADED: (u64, u64) = (4, 5);

const MEGABYTE: f64 = 1024.0 * 1024.0;

/// Five files of 100,000 rows first, one large file, five files of 100,000 rows last.
pub(crate) fn flat(bench: &Bench) {
    let users = bench.options.size(MANY, MANY);
    let piece = PIECE.min(users / (4 * PIECES));
    note(format!("flat: {} users", short(users)));
    let server = Server::throwaway();
    let mut client = server.client();
    let mut pieces = |from: u64| -> Values {
        let file = |number| UsersFile::new(from + number * piece..from + (number + 1) * piece);
        let rate = |number| piece as f64 / client.insert(&server.connection, &file(number)).completed;
        (0..PIECES).map(rate).collect()
    };
    let first = pieces(0);
    let last_begin = users - PIECES * piece;
    let bulk = UsersFile::new(PIECES * piece..last_begin);
    let rest = server.client().insert(&server.connection, &bulk);
    let last = pieces(last_begin);
    let what = format!("flat: {} users", short(users));
    let (few, rate) = (short(piece), bulk.rows as f64 / rest.completed);
    line(format!("{what}, first {PIECES} x {few}"), first.per_second("rows"), "", &Target::none());
    let rate: Values = [rate].into_iter().collect();
    line(format!("{what}, the file between"), rate.per_second("rows"), "", &Target::none());
    let ratio = format!("{:.2}", last.median() / first.median());
    line(
        format!("{what}, last {PIECES} x {few}"),
        last.per_second("rows"),
        ratio,
        &Target::new("0.9", "1.0"),
    );
    let disk: Values = [server.disk() / users as f64].into_iter().collect();
    line(format!("{what}, disk per user"), disk.bytes(), "", &Target::new("250 B", "160 B"));
}

/// A file of 1 GB goes into a server with five million users, and into an empty one.
pub(crate) fn memory(bench: &Bench) {
    let users = bench.options.size(MANY, MANY);
    let directory = bench.stock.with(users);
    let file = UsersFile::new(users..users + users * UPLOADED.0 / UPLOADED.1);
    let size = format!("{:.2} GB", file.bytes as f64 / 1e9);
    note(format!("memory: {size} into {} users", short(users)));
    let server = Server::on(directory.path());
    let what = format!("memory: {} users", short(users));
    let full = server.resident();
    report(&format!("{what}, after the start"), full, users);
    let [received, imported] = peaks(&server, &file);
    report(&format!("{what}, while {size} are received"), received, users);
    report(&format!("{what}, while they are imported"), imported, users + file.rows);
    drop(server);
    let server = Server::throwaway();
    let each: Values = [(full - server.resident()) / users as f64].into_iter().collect();
    line(format!("{what}, each of them"), each.bytes(), "", &Target::new("60 B", "50 B"));
    let [received, imported] = peaks(&server, &file);
    report(&format!("memory: nobody, while {size} are received"), received, 0);
    report("memory: nobody, while they are imported", imported, file.rows);
}

/// What was taken, and what may be taken with so many users at the end.
fn report(what: &str, bytes: f64, users: u64) {
    let least = 60.0 * users as f64 + 150.0 * MEGABYTE;
    let aim = 50.0 * users as f64 + 80.0 * MEGABYTE;
    let target = Target::new(format!("{:.0} MB", least / MEGABYTE), format!("{:.0} MB", aim / MEGABYTE));
    let value: Values = [bytes].into_iter().collect();
    line(what, value.megabytes(), format!("{:.2} of least", bytes / least), &target);
}

/// Most memory until the upload was accepted, and from then on until its job had ended.
fn peaks(server: &Server, file: &UsersFile) -> [f64; 2] {
    let (process, peak, is_over) = (server.process_id(), AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::SeqCst) {
                peak.fetch_max(machine::resident_of(process), Ordering::SeqCst);
                thread::sleep(Duration::from_millis(5));
            }
        });
        let mut client: Client = server.client();
        let job = client.upload(&server.connection, file, Existing::Fail);
        let received = peak.swap(0, Ordering::SeqCst);
        client.wait(&job, Duration::from_millis(100));
        is_over.store(true, Ordering::SeqCst);
        [received, peak.load(Ordering::SeqCst)].map(|bytes| bytes as f64)
    })
}
