//! Many who want something at once.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::Bench;
use crate::client::{Client, Existing};
use crate::files::UsersFile;
use crate::server::Server;
use crate::support::generator;
use crate::table::{Target, Values, line, note, short};

/// Pause of the reading client after each answer.
const PAUSE: Duration = Duration::from_millis(1);
/// Reads of each kind while nothing else goes on.
const IDLE_READS: usize = 1_000;
/// Users who are looked for, spread over all.
const SOUGHT: u64 = 1_000;

/// Clients that upload at the same time.
const UPLOADERS: u64 = 64;
/// Rows of each of their files.
const ROWS: u64 = 2_000;

/// Latencies of reads by id and by address.
#[derive(Default)]
struct Reads([Values; 2]);

/// One client reads, idle and during an import of as many users as there are.
pub(crate) fn reads(bench: &Bench) {
    let users = bench.options.size(200_000, 1_000_000);
    let directory = bench.stock.with(users);
    note(format!("reads: {} users, and as many more", short(users)));
    let server = Server::on(directory.path());
    let file = UsersFile::new(users..2 * users);
    let mut client = server.client();
    let (mut idle, mut busy) = (Reads::default(), Reads::default());
    let paths: Vec<[String; 2]> =
        (0..SOUGHT.min(users)).map(|i| paths(&mut client, i * (users / SOUGHT.min(users)))).collect();
    let mut paths = paths.iter().cycle();
    for _ in 0..IDLE_READS {
        idle.read(&mut client, paths.next().unwrap());
    }
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            server.client().insert(&server.connection, &file);
            is_over.store(true, Ordering::SeqCst);
        });
        while !is_over.load(Ordering::SeqCst) {
            busy.read(&mut client, paths.next().unwrap());
        }
    });
    let what = format!("reads of {} users", short(users));
    for (kind, which) in ["id", "e-mail"].into_iter().enumerate() {
        line(format!("{what} by {which}, idle"), idle.0[kind].latency(), "", &Target::none());
        let number = format!("{} reads", busy.0[kind].len());
        let target = Target::new("p99 10 ms", "p99 3 ms");
        line(format!("{what} by {which}, during an import"), busy.0[kind].latency(), number, &target);
    }
}

/// Where user `i` is found.
fn paths(client: &mut Client, i: u64) -> [String; 2] {
    let by_email = format!("/api/v2/users-by-email?email={}", generator::email(i).replace('@', "%40"));
    let id = client.json(&by_email)[0]["user_id"].as_str().unwrap().replace('|', "%7C");
    [format!("/api/v2/users/{id}"), by_email]
}

impl Reads {
    fn read(&mut self, client: &mut Client, paths: &[String; 2]) {
        for (kind, path) in paths.iter().enumerate() {
            let begun = Instant::now();
            client.get(path);
            self.0[kind].push(begun.elapsed().as_secs_f64());
            thread::sleep(PAUSE);
        }
    }
}

/// All begin at once; it is over when the last job has ended.
pub(crate) fn uploads(bench: &Bench) {
    note("uploads");
    let files: Vec<UsersFile> =
        (0..UPLOADERS).map(|number| UsersFile::new(number * ROWS..(number + 1) * ROWS)).collect();
    let [mut all, mut accepted, mut alone] = [const { Values::empty() }; 3];
    for _ in 0..bench.options.runs() {
        let server = Server::throwaway();
        let begun = Instant::now();
        let mut client = server.client();
        for file in &files {
            client.insert(&server.connection, file);
        }
        alone.push(begun.elapsed().as_secs_f64());
        drop(server);
        let server = Server::throwaway();
        let (took, taken) = at_once(&server, &files);
        all.push(took);
        accepted.extend(taken);
    }
    let what = format!("uploads: {UPLOADERS} files of {ROWS} rows");
    line(format!("{what}, one after the other"), alone.seconds(), "", &Target::none());
    line(format!("{what}, at once"), all.seconds(), all.over(&alone).plain(), &Target::none());
    line(format!("{what}, at once, until the 202"), accepted.latency(), "", &Target::none());
}

/// Seconds until the last job has ended, and those until each 202.
fn at_once(server: &Server, files: &[UsersFile]) -> (f64, Vec<f64>) {
    let barrier = Barrier::new(files.len() + 1);
    let upload = |file| {
        let mut client = server.client();
        barrier.wait();
        let begun = Instant::now();
        let job = client.upload(&server.connection, file, Existing::Fail);
        let accepted = begun.elapsed().as_secs_f64();
        client.wait(&job, Duration::from_millis(50));
        accepted
    };
    thread::scope(|scope| {
        let upload = &upload;
        let clients: Vec<_> = files.iter().map(|file| scope.spawn(move || upload(file))).collect();
        barrier.wait();
        let begun = Instant::now();
        let accepted = clients.into_iter().map(|client| client.join().unwrap()).collect();
        (begun.elapsed().as_secs_f64(), accepted)
    })
}
