//! 200 clients that poll jobs. One thread serves them all, so that they cost little. It shares the cores with
//! the server: how late it is itself is shown beside what it measures.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval_at};

use crate::Bench;
use crate::client::{Existing, id_of};
use crate::files::UsersFile;
use crate::server::Server;
use crate::table::{Target, Values, line, note, short};

const CLIENTS: u32 = 200;
/// Each of them asks so often.
const PERIOD: Duration = Duration::from_millis(200);

/// Two files go into two connections, meanwhile each client polls one of the jobs.
pub(crate) fn polling(bench: &Bench) {
    let rows = bench.options.size(200_000, 500_000);
    note(format!("polling: two files of {} rows", short(rows)));
    let files = [UsersFile::new(0..rows), UsersFile::new(rows..2 * rows)];
    let [mut latencies, mut late, mut rates] = [const { Values::empty() }; 3];
    for _ in 0..bench.options.runs() {
        let (polls, seconds) = poll_during(&files);
        rates.push(polls.len() as f64 / seconds);
        latencies.extend(polls.iter().map(|poll| poll.latency));
        late.extend(polls.iter().map(|poll| poll.late));
    }
    line(
        format!("polling: {CLIENTS} clients each {PERIOD:?}, two imports of {}", short(rows)),
        latencies.latency(),
        rates.per_second("polls"),
        &Target::new("p99 50 ms", "p99 10 ms"),
    );
    line("polling: how late the clients were to ask", late.latency(), "", &Target::none());
}

/// One question to the server.
#[derive(Debug, Clone, Copy)]
struct Poll {
    /// From the first byte sent to the last one read.
    latency: Duration,
    /// How long after its time it was asked: the timer has milliseconds, the rest is waiting for a core.
    late: Duration,
}

/// All polls, and how many seconds it took until both jobs had ended.
fn poll_during(files: &[UsersFile; 2]) -> (Vec<Poll>, f64) {
    let server = Server::throwaway();
    let mut client = server.client();
    let second = json!({ "name": "second", "strategy": "auth0", "enabled_clients": [server.client_id] });
    let second = id_of(&client.post("/api/v2/connections", &second));
    let jobs = [(&server.connection, &files[0]), (&second, &files[1])]
        .map(|(connection, file)| client.upload(connection, file, Existing::Fail));
    let requests = jobs.clone().map(|job| {
        let token = server.token();
        format!(
            "GET /api/v2/jobs/{job} HTTP/1.1\r\nhost: intake.bench\r\nauthorization: Bearer {token}\r\n\r\n"
        )
    });
    let is_over = Arc::new(AtomicBool::new(false));
    let (address, watched) = (server.address().to_owned(), is_over.clone());
    let begun = Instant::now();
    let clients = thread::spawn(move || poll_all(&address, &requests, &watched));
    for job in &jobs {
        client.wait(job, Duration::from_millis(20));
    }
    let seconds = begun.elapsed().as_secs_f64();
    is_over.store(true, Ordering::SeqCst);
    (clients.join().unwrap(), seconds)
}

fn poll_all(address: &str, requests: &[String; 2], is_over: &Arc<AtomicBool>) -> Vec<Poll> {
    Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let mut clients = JoinSet::new();
        for number in 0..CLIENTS {
            let request = requests[number as usize % 2].clone();
            let first = PERIOD * number / CLIENTS;
            clients.spawn(poll(address.to_owned(), request, first, is_over.clone()));
        }
        clients.join_all().await.concat()
    })
}

async fn poll(address: String, request: String, first: Duration, is_over: Arc<AtomicBool>) -> Vec<Poll> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let mut ticks = interval_at(tokio::time::Instant::now() + first, PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut polls, mut answer) = (Vec::new(), Vec::new());
    while !is_over.load(Ordering::SeqCst) {
        let late = ticks.tick().await.elapsed();
        let begun = Instant::now();
        stream.write_all(request.as_bytes()).await.unwrap();
        answer.clear();
        while !is_whole(&answer) {
            assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0, "the server closed");
        }
        polls.push(Poll { latency: begun.elapsed(), late });
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", answer.escape_ascii());
    }
    polls
}

/// Whether that is an answer with its whole body.
fn is_whole(answer: &[u8]) -> bool {
    let Some(head) = answer.windows(4).position(|four| four == b"\r\n\r\n") else {
        return false;
    };
    let text = str::from_utf8(&answer[..head]).unwrap().to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:")).unwrap();
    answer.len() - head - 4 == length.trim().parse::<usize>().unwrap()
}
