//! One file: POST to `completed`.

use std::fs::File;
use std::io::{Read, Write};
use std::time::Instant;

use intake::domain::{Candidate, Owed};

use crate::Bench;
use crate::client::{Existing, Pace};
use crate::files::UsersFile;
use crate::server::Server;
use crate::support::{bare, machine};
use crate::table::{Target, Values, line, note, short};

/// Rows of a file as large as the default limit allows.
const SMALL: u64 = 2_000;
/// Imports of a small file into one server.
const LATER: u64 = 10;
/// Bytes that are appended and synced in one go: what a chunk of rows comes to.
const APPENDED: usize = 1 << 20;

/// Each turn: the real thing, the bare store, the bytes alone.
pub(crate) fn import(bench: &Bench) {
    for rows in bench.options.sizes(&[2_000, 100_000], &[2_000, 100_000, 1_000_000], &ALL) {
        import_of(bench, rows);
    }
}

const ALL: [u64; 4] = [2_000, 100_000, 1_000_000, 5_000_000];

fn import_of(bench: &Bench, rows: u64) {
    note(format!("import: {} rows", short(rows)));
    let file = UsersFile::new(0..rows);
    let candidates: Vec<Candidate> = (0..rows).map(bare::candidate).collect();
    let [mut real, mut bare, mut append, mut memory, mut disk] = [const { Values::empty() }; 5];
    for _ in 0..bench.options.runs() {
        let server = Server::throwaway();
        real.push(server.client().insert(&server.connection, &file).completed);
        memory.push(server.peak());
        disk.push(server.disk() / rows as f64);
        drop(server);
        bare.push(through_bare_store(&candidates));
        append.push(append_and_sync(&file));
    }
    let rate: Values = real.rates(rows);
    let what = format!("import {} rows", short(rows));
    let target = if rows == 100_000 { Target::new("0.5", "0.7") } else { Target::none() };
    line(format!("{what}: POST to completed"), real.seconds(), "", &Target::none());
    line(
        format!("{what}: rate, vs bare store loop"),
        rate.per_second("rows"),
        bare.over(&real).plain(),
        &target,
    );
    line(format!("{what}: bare store loop"), bare.rates(rows).per_second("rows"), "", &Target::none());
    line(
        format!("{what}: append + sync of the bytes"),
        append.seconds(),
        append.over(&real).plain(),
        &Target::none(),
    );
    line(format!("{what}: peak memory"), memory.megabytes(), "", &Target::none());
    line(format!("{what}: disk per user"), disk.bytes(), "", &Target::new("250 B", "160 B"));
}

fn through_bare_store(candidates: &[Candidate]) -> f64 {
    let directory = tempfile::tempdir().unwrap();
    let store = bare::open(directory.path());
    let connection = store.create_connection(bare::connection(), Owed::nothing()).unwrap();
    machine::settle();
    bare::import(&store, &connection, 1, false, candidates).as_secs_f64()
}

/// Seconds until the file's bytes are on disk a second time, synced as often as an import commits.
fn append_and_sync(file: &UsersFile) -> f64 {
    let mut from = file.open();
    let mut to: File = tempfile::tempfile().unwrap();
    let mut piece = vec![0; APPENDED];
    machine::settle();
    let begun = Instant::now();
    loop {
        match from.read(&mut piece).unwrap() {
            0 => return begun.elapsed().as_secs_f64(),
            length => {
                to.write_all(&piece[..length]).unwrap();
                to.sync_data().unwrap();
            }
        }
    }
}

/// Into a fresh server, and then into the same one.
pub(crate) fn small(bench: &Bench) {
    note("small");
    let files: Vec<UsersFile> =
        (0..=LATER).map(|number| UsersFile::new(number * SMALL..(number + 1) * SMALL)).collect();
    let [mut first, mut later, mut accepted] = [const { Values::empty() }; 3];
    for _ in 0..bench.options.runs() {
        let server = Server::throwaway();
        let mut client = server.client();
        for (number, file) in files.iter().enumerate() {
            let imported = client.import(&server.connection, file, Existing::Fail, Pace::Eager);
            assert_eq!(imported.job["summary"]["inserted"], SMALL, "{}", imported.job);
            if number == 0 {
                first.push(imported.completed);
            } else {
                later.push(imported.completed);
                accepted.push(imported.accepted);
            }
        }
    }
    let target = Target::new("40 ms", "15 ms");
    line("small: 2,000 rows, first of a fresh server", first.seconds(), "", &target);
    line(format!("small: 2,000 rows, the {LATER} after it"), later.seconds(), "", &target);
    line(
        "small: of these, until the 202",
        accepted.seconds(),
        accepted.over(&later).plain(),
        &Target::none(),
    );
}
