//! Rows that insert nobody: they change users, or fail.

use crate::Bench;
use crate::client::{Existing, Pace};
use crate::files::UsersFile;
use crate::server::Server;
use crate::support::generator;
use crate::table::{Target, Values, line, note, short};

/// Each turn: users are inserted, a tenth of them changed at random, and then all.
pub(crate) fn upsert(bench: &Bench) {
    let users = bench.options.size(200_000, 1_000_000);
    note(format!("upsert: into {} users", short(users)));
    let new = UsersFile::new(0..users);
    let tenth = UsersFile::of(generator::random_tenth(users).into_iter().map(generator::changed_row));
    let all = UsersFile::of((0..users).map(generator::changed_row));
    let [mut inserts, mut random, mut ordered] = [const { Values::empty() }; 3];
    for _ in 0..bench.options.runs() {
        let server = Server::throwaway();
        let mut client = server.client();
        inserts.push(users as f64 / client.insert(&server.connection, &new).completed);
        for (file, rates) in [(&tenth, &mut random), (&all, &mut ordered)] {
            let imported = client.import(&server.connection, file, Existing::Change, Pace::Calm);
            assert_eq!(imported.job["summary"]["updated"], file.rows, "{}", imported.job);
            rates.push(file.rows as f64 / imported.completed);
        }
    }
    let what = format!("upsert into {} users", short(users));
    line(format!("{what}: the inserts before"), inserts.per_second("rows"), "", &Target::none());
    let target = Target::new("0.05", "0.1");
    let ratio = random.over(&inserts).plain();
    line(format!("{what}: 10 % at random, vs inserts"), random.per_second("rows"), ratio, &target);
    let target = Target::new("0.4", "0.6");
    let ratio = ordered.over(&inserts).plain();
    line(format!("{what}: all in file order, vs inserts"), ordered.per_second("rows"), ratio, &target);
}

/// Each turn: a file whose rows are inserted, and one whose rows fail, into fresh servers.
pub(crate) fn failing(bench: &Bench) {
    let rows = bench.options.size(100_000, 100_000);
    note(format!("failing: {} rows", short(rows)));
    let good = UsersFile::new(0..rows);
    let broken = UsersFile::of((0..rows).map(generator::broken_row));
    let [mut inserts, mut failures, mut usual, mut memory] = [const { Values::empty() }; 4];
    for _ in 0..bench.options.runs() {
        let server = Server::throwaway();
        inserts.push(rows as f64 / server.client().insert(&server.connection, &good).completed);
        usual.push(server.peak());
        let server = Server::throwaway();
        let failed = server.client().import(&server.connection, &broken, Existing::Fail, Pace::Calm);
        assert_eq!(failed.job["summary"]["failed"], rows, "{}", failed.job);
        failures.push(rows as f64 / failed.completed);
        memory.push(server.peak());
    }
    let what = format!("failing {} rows", short(rows));
    line(
        format!("{what}: rate, vs inserts"),
        failures.per_second("rows"),
        failures.over(&inserts).plain(),
        &Target::new("0.3", "0.5"),
    );
    line(
        format!("{what}: peak memory, vs inserts"),
        memory.megabytes(),
        memory.over(&usual).plain(),
        &Target::new("no spike", ""),
    );
}
