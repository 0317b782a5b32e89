//! Users as a file.

use std::io::{BufRead, BufReader};
use std::time::{Duration, Instant};

use flate2::read::MultiGzDecoder;
use serde_json::json;

use crate::Bench;
use crate::client::id_of;
use crate::server::Server;
use crate::table::{Target, Values, line, note, short};

/// All users as lines of JSON: asked for until `completed` is read, and then fetched.
pub(crate) fn export(bench: &Bench) {
    let users = bench.options.size(200_000, 1_000_000);
    let directory = bench.stock.with(users);
    note(format!("export: {} users", short(users)));
    let server = Server::on(directory.path());
    let [mut made, mut fetched, mut both] = [const { Values::empty() }; 3];
    let mut file = Vec::new();
    for _ in 0..bench.options.runs() {
        let mut client = server.client();
        let begun = Instant::now();
        let order = json!({ "connection_id": server.connection, "format": "json" });
        let job = id_of(&client.post("/api/v2/jobs/users-exports", &order));
        let job = client.wait(&job, Duration::from_millis(5));
        let until_made = begun.elapsed().as_secs_f64();
        let location = job["location"].as_str().unwrap();
        let path = &location[location.find("/exports/").unwrap()..];
        file = client.get(path).body;
        let until_fetched = begun.elapsed().as_secs_f64();
        made.push(users as f64 / until_made);
        fetched.push(users as f64 / (until_fetched - until_made));
        both.push(users as f64 / until_fetched);
    }
    let lines = BufReader::new(MultiGzDecoder::new(&file[..])).lines().map(Result::unwrap).count();
    assert_eq!(lines as u64, users);
    let what = format!("export {} users", short(users));
    line(format!("{what}: POST to completed"), made.per_second("users"), "", &Target::none());
    let packed = format!("{} B/user", file.len() as u64 / users);
    line(
        format!("{what}: download of the packed file"),
        fetched.per_second("users"),
        packed,
        &Target::none(),
    );
    line(format!("{what}: both together"), both.per_second("users"), "", &Target::new("400k/s", "800k/s"));
}
