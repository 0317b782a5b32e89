//! Clients that mean no good, or are gone: others are served meanwhile, and nothing is left of them.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};

use crate::helpers::{Form, PATIENCE, Server, intake, read_answer, token, until};

/// Handles that the server has open.
fn handles(server: &Server) -> usize {
    fs::read_dir(format!("/proc/{}/fd", server.child.id())).unwrap().count()
}

/// Memory that the server holds, in MiB.
fn memory(server: &Server) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", server.child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() >> 10
}

fn spooled(directory: &Path) -> usize {
    fs::read_dir(directory.join("spool")).unwrap().count()
}

/// What a bad client does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bad {
    /// Says nothing at all.
    Silent,
    /// Stops in its headers.
    HalfHead,
    /// Sends a byte of its headers now and then.
    TricklingHead,
    /// Stops in its second request.
    HalfSecond,
    /// Stops in a file, of which there is little.
    HalfBody,
    /// Stops in a file, of which so much is there that it is on the disk.
    LargeHalfBody,
    /// The same in chunks.
    HalfChunk,
    /// Sends a byte of its file now and then.
    TricklingBody,
}

impl Bad {
    const ALL: [(Self, usize); 8] = [
        (Self::Silent, 60),
        (Self::HalfHead, 60),
        (Self::TricklingHead, 60),
        (Self::HalfSecond, 60),
        (Self::HalfBody, 80),
        (Self::LargeHalfBody, 60),
        (Self::HalfChunk, 60),
        (Self::TricklingBody, 60),
    ];

    fn begin(self, server: &Server, body: &[u8]) -> TcpStream {
        let mut stream = server.dial();
        let head = |framing: &str| {
            let head = Server::upload_head(&server.token, framing);
            head.replace("connection: close\r\n", "")
        };
        let length = format!("content-length: {}", body.len());
        let (few, many) = (&body[..2000], &body[..400_000]);
        let sent = match self {
            Self::Silent => Vec::new(),
            Self::HalfHead | Self::TricklingHead => head(&length).into_bytes()[..200].to_vec(),
            Self::HalfSecond => b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\nGET /he".to_vec(),
            Self::HalfBody | Self::TricklingBody => [head(&length).as_bytes(), few].concat(),
            Self::LargeHalfBody => [head(&length).as_bytes(), many].concat(),
            Self::HalfChunk => [head("transfer-encoding: chunked").as_bytes(), b"7d0\r\n", few].concat(),
        };
        match self {
            // In two steps, or the half one would be read with the whole one.
            Self::HalfSecond => {
                stream.write_all(&sent[..sent.len() - 7]).unwrap();
                let mut answer = [0; 1024];
                assert!(stream.read(&mut answer).unwrap() > 0);
                stream.write_all(&sent[sent.len() - 7..]).unwrap();
            }
            _ => stream.write_all(&sent).unwrap(),
        }
        stream.set_nonblocking(true).unwrap();
        stream
    }

    /// Whether the server has closed; what it says before that is read over.
    fn is_gone(self, stream: &mut TcpStream) -> bool {
        if [Self::TricklingHead, Self::TricklingBody].contains(&self) && stream.write(b"x").is_err() {
            return true;
        }
        let mut said = [0; 4096];
        loop {
            match stream.read(&mut said) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => return error.kind() != ErrorKind::WouldBlock,
            }
        }
    }
}

/// A client that goes away in the middle of an upload.
fn vanish(server: &Server, body: &[u8]) {
    let mut stream = server.dial();
    let length = format!("content-length: {}", body.len());
    stream.write_all(Server::upload_head(&server.token, &length).as_bytes()).unwrap();
    stream.write_all(&body[..400_000]).unwrap();
}

/// Imports and polls until it is told to stop; how long each answer took.
fn be_good(server: &Server, connection: &str, name: &str, is_over: &AtomicBool) -> Vec<Duration> {
    let mut times = Vec::new();
    let mut ask_in_time = |ask: &dyn Fn() -> Value| {
        let begun = Instant::now();
        let answer = ask();
        times.push(begun.elapsed());
        answer
    };
    for number in 0.. {
        let file = json!([{ "email": format!("{name}{number}@x.test"), "email_verified": true }]).to_string();
        let job = ask_in_time(&|| {
            let answer = server.upload(&Form::import(connection, &file, false));
            assert_eq!(answer.status, 202, "{}", answer.text);
            answer.json()
        });
        let path = format!("/api/v2/jobs/{}", job["id"].as_str().unwrap());
        let ended = until("the job has ended", || {
            thread::sleep(Duration::from_millis(20));
            Some(ask_in_time(&|| server.get(&path).json())).filter(|job| job["status"] != "pending")
        });
        assert_eq!(ended["summary"]["inserted"], 1, "{ended}");
        if is_over.load(Ordering::Relaxed) {
            break;
        }
    }
    times
}

/// Waits until the server has closed all of them; how long the last one stayed.
fn outstay(bad: Vec<(Bad, TcpStream)>) -> Duration {
    let begun = Instant::now();
    let mut left = bad;
    while !left.is_empty() {
        left.retain_mut(|(kind, stream)| !kind.is_gone(stream));
        let kinds: Vec<Bad> = left.iter().map(|(kind, _)| *kind).collect();
        assert!(begun.elapsed() < Duration::from_secs(30), "still there after 30 s: {kinds:?}");
        thread::sleep(Duration::from_millis(500));
    }
    begun.elapsed()
}

/// What is over when this is dropped, by a failure, too: nobody waits for a client that goes on for ever.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The promise as it is made, with the settings as they are.
#[test]
fn five_hundred_half_open_uploads_hold_up_nobody_and_leave_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::on(directory.path(), &[]);
    let connection = server.connection_id();
    let form = Form::import(&connection, &format!("[{}]", " ".repeat(450_000)), false);
    be_good(&server, &connection, "first", &AtomicBool::new(true));
    let (handles_before, memory_before) = (handles(&server), memory(&server));

    let is_over = AtomicBool::new(false);
    let (stayed, mut times) = thread::scope(|scope| {
        let over = Over(&is_over);
        let good = scope.spawn(|| be_good(&server, &connection, "good", &is_over));
        let kinds = Bad::ALL.iter().flat_map(|(kind, count)| std::iter::repeat_n(*kind, *count));
        let bad: Vec<_> = kinds.map(|kind| (kind, kind.begin(&server, form.bytes()))).collect();
        assert_eq!(bad.len(), 500);
        for _ in 0..50 {
            vanish(&server, form.bytes());
        }
        until("some are on the disk", || (spooled(directory.path()) > 0).then_some(()));
        eprintln!(
            "held: {} handles, {} MiB, {} files",
            handles(&server),
            memory(&server),
            spooled(directory.path())
        );
        let stayed = outstay(bad);
        drop(over);
        (stayed, good.join().unwrap())
    });
    times.sort_unstable();
    let (count, longest) = (times.len(), times[times.len() - 1]);
    eprintln!(
        "good client: {count} answers, p50 {:?}, p99 {:?}, longest {longest:?}; the last bad one left after {stayed:?}",
        times[count / 2],
        times[count * 99 / 100],
    );
    assert!(longest < Duration::from_secs(2), "{longest:?}");

    until("nothing is left of the files", || (spooled(directory.path()) == 0).then_some(()));
    until("no more handles are open than before", || (handles(&server) <= handles_before + 1).then_some(()));
    let memory_after = memory(&server);
    eprintln!(
        "before: {handles_before} handles, {memory_before} MiB; after: {} handles, {memory_after} MiB",
        handles(&server)
    );
    // An allocator keeps some for the next ones; 500 uploads in hand may take as much.
    assert!(memory_after < memory_before + 250, "{memory_before} MiB grew to {memory_after} MiB");
}

/// A connection that takes next to nothing unless it is read from.
fn narrow(server: &Server) -> TcpStream {
    let address: SocketAddr = server.url.strip_prefix("http://").unwrap().parse().unwrap();
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&address.into()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.into()
}

/// A request whose answer is large, and how large.
fn request_for_much(server: &Server) -> (String, usize) {
    let rows: Vec<Value> = (0..5000).map(|at| json!({ "email": format!("no address {at}") })).collect();
    let job = server.import(&Value::from(rows).to_string(), false);
    let path = format!("/api/v2/jobs/{}/errors", job["id"].as_str().unwrap());
    let size = server.get(&path).text.len();
    assert!(size > 500_000);
    let token = &server.token;
    (format!("GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n"), size)
}

#[test]
fn who_never_takes_an_answer_is_gone_in_time_and_who_takes_it_slowly_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let settings = [("INTAKE_LIMITS_MAX_PAUSE", "2s"), ("INTAKE_LIMITS_RATE_GRACE", "2s")];
    let server = Server::on(directory.path(), &settings);
    let (request, size) = request_for_much(&server);
    let before = handles(&server);

    let last = request.replace("host: x", "host: x\r\nconnection: close");
    let ask = |count: usize| {
        let mut stream = narrow(&server);
        stream.write_all((request.repeat(count - 1) + &last).as_bytes()).unwrap();
        stream
    };
    // As many as make more than the system holds for one connection.
    let mut silent: Vec<TcpStream> = (0..20).map(|_| ask((32 << 20) / size)).collect();
    until("they are held", || (handles(&server) > before + 15).then_some(()));
    // A little at a time: so slowly that what the system holds for a connection would last for several pauses.
    let mut slow = ask(4);
    let mut buffer = vec![0; 16 << 10];
    let (begun, mut taken) = (Instant::now(), 0);
    loop {
        if begun.elapsed() < Duration::from_secs(6) {
            thread::sleep(Duration::from_millis(100));
        }
        let length = slow.read(&mut buffer).unwrap();
        if length == 0 {
            break;
        }
        taken += length;
    }
    assert!(taken > 4 * size, "{taken} of {} bytes", 4 * size);
    // To ask for more buys no time.
    for stream in &silent {
        stream.set_nonblocking(true).unwrap();
    }
    until("the silent ones are gone", || {
        for stream in &mut silent {
            drop(stream.write(request.as_bytes()));
        }
        (handles(&server) <= before + 1).then_some(())
    });
}

/// For much longer than a pause may be: what the system of a usual client holds for it moves in large steps.
#[test]
fn who_takes_answers_a_little_faster_than_the_least_rate_gets_all_of_them() {
    let directory = tempfile::tempdir().unwrap();
    let settings = [
        ("INTAKE_LIMITS_MIN_RATE", "64KB"),
        ("INTAKE_LIMITS_RATE_GRACE", "1s"),
        ("INTAKE_LIMITS_MAX_PAUSE", "2s"),
    ];
    let server = Server::on(directory.path(), &settings);
    let (request, size) = request_for_much(&server);
    let mut stream = server.dial();
    stream.write_all(request.repeat(4).as_bytes()).unwrap();
    let mut buffer = vec![0; 8 << 10];
    let (begun, mut taken) = (Instant::now(), 0);
    while taken < 4 * size {
        let due = begun.elapsed().as_millis() * 96;
        if taken as u128 > due && begun.elapsed() < Duration::from_secs(10) {
            thread::sleep(Duration::from_millis(20));
            continue;
        }
        let length = stream.read(&mut buffer).unwrap();
        assert!(length > 0, "closed after {:?} and {taken} bytes", begun.elapsed());
        taken += length;
    }
}

#[test]
fn requests_are_not_read_while_their_answers_are_not_taken() {
    let server = Server::ephemeral();
    let before = memory(&server);
    let mut stream = server.dial();
    stream.set_nonblocking(true).unwrap();
    // Answers to these are ten times as large, and need no token.
    let requests = "OPTIONS /api/v2/users HTTP/1.1\r\nhost: x\r\n\r\n".repeat(1000);
    let (begun, mut at) = (Instant::now(), 0);
    while begun.elapsed() < Duration::from_secs(5) {
        match stream.write(&requests.as_bytes()[at..]) {
            Ok(length) => at = (at + length) % requests.len(),
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }
    let after = memory(&server);
    assert!(after < before + 15, "{before} MiB grew to {after} MiB");
    // They are read once there is room for the answers.
    stream.set_nonblocking(false).unwrap();
    let mut taken = vec![0; 8 << 20];
    stream.read_exact(&mut taken).unwrap();
    assert!(taken.starts_with(b"HTTP/1.1 204 "));
}

/// Seconds of the processor that the server has used.
fn used(server: &Server) -> f64 {
    let text = fs::read_to_string(format!("/proc/{}/stat", server.child.id())).unwrap();
    let fields: Vec<&str> = text.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11..13].iter().map(|ticks| ticks.parse::<f64>().unwrap() / 100.0).sum()
}

/// Each of them sends many requests at once and takes no answer.
#[test]
fn many_who_ask_for_much_at_once_and_take_nothing_cost_little() {
    let server = Server::ephemeral();
    let before = memory(&server);
    let requests = "GET /openapi.json HTTP/1.1\r\nhost:\r\n\r\n".repeat(2000);
    let mut greedy = Vec::new();
    for _ in 0..200 {
        let mut stream = narrow(&server);
        stream.set_nonblocking(true).unwrap();
        // What does not go is not read.
        let _ = stream.write(requests.as_bytes());
        greedy.push(stream);
    }
    thread::sleep(Duration::from_secs(2));
    let after = memory(&server);
    assert!(after < before + 80, "{before} MiB grew to {after} MiB");
}

#[test]
fn requests_that_wait_for_others_cost_nothing() {
    let server = Server::ephemeral();
    let mut stream = narrow(&server);
    stream.set_nonblocking(true).unwrap();
    let requests = "GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n".repeat(7000);
    let (begun, mut sent) = (Instant::now(), 0);
    while sent < requests.len() && begun.elapsed() < Duration::from_secs(2) {
        match stream.write(&requests.as_bytes()[sent..]) {
            Ok(length) => sent += length,
            Err(_) => thread::sleep(Duration::from_millis(10)),
        }
    }
    assert!(sent > 200_000, "{sent} bytes");
    let before = used(&server);
    thread::sleep(Duration::from_secs(2));
    let used = used(&server) - before;
    assert!(used < 0.2, "{used} s of 2 s");
}

/// Who finds the line of the system full would have to try again, after a second at the earliest.
#[test]
fn many_who_come_at_once_need_not_come_again() {
    let server = Server::ephemeral();
    server.signal("STOP");
    let place = server.url.strip_prefix("http://").unwrap().parse().unwrap();
    let come = || {
        let mut stream = TcpStream::connect_timeout(&place, Duration::from_millis(900))?;
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")?;
        Ok::<_, std::io::Error>(stream)
    };
    let many: Result<Vec<_>, _> = (0..1000).map(|_| come()).collect();
    server.signal("CONT");
    for mut stream in many.unwrap() {
        assert_eq!(read_answer(&mut stream).status, 200);
    }
}

#[test]
fn half_open_handshakes_hold_up_nobody() {
    let server = Server::ephemeral_with_tls(&[("INTAKE_LIMITS_HEADER_TIMEOUT", "15s")]);
    server.get("/healthz");
    let before = handles(&server);
    let place = server.about["url"].as_str().unwrap().strip_prefix("https://").unwrap().to_owned();
    let held: Vec<TcpStream> = (0..600).map(|_| TcpStream::connect(&place).unwrap()).collect();
    until("all are held", || (handles(&server) > before + 550).then_some(()));
    // One more is shaken hands with: the server answers to what it says.
    let mut good = TcpStream::connect(&place).unwrap();
    good.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    good.write_all(CLIENT_HELLO_TOO_OLD).unwrap();
    let mut alert = [0; 7];
    good.read_exact(&mut alert).unwrap();
    assert_eq!(alert[0], 0x15, "no alert of TLS: {alert:?}");
    until("the half-open ones are gone", || (handles(&server) <= before + 1).then_some(()));
    drop(held);
}

/// The first word of a client that speaks no version of TLS that there still is; it is answered with an alert.
const CLIENT_HELLO_TOO_OLD: &[u8] = &[
    0x16, 3, 1, 0, 45, 1, 0, 0, 41, 3, 1, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 0, 0, 2, 0, 0x2f, 1, 0,
];

/// A process that does not outlive its test.
struct Killed(std::process::Child);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn with_few_handles_there_are_few_connections_and_the_log_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let data = directory.path().join("data");
    let serve = intake(&[], &[("INTAKE_STORAGE_PATH", data.to_str().unwrap())]);
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "ulimit -n 300; exec \"$0\" serve --bind 127.0.0.1:0"]).arg(serve.get_program());
    command.env("INTAKE_STORAGE_PATH", &data).stderr(fs::File::create(&log).unwrap());
    command.stdout(std::process::Stdio::null());
    let _child = Killed(command.current_dir(directory.path()).spawn().unwrap());
    let text = || fs::read_to_string(&log).unwrap();
    let url = until("the server listens", || {
        let text = text();
        let line = text.lines().find_map(|line| line.strip_prefix("intake listens on "))?;
        Some(line.split(',').next()?.to_owned())
    });
    let warning = "300 handles are enough for 22 connections only, not the 4096 of limits.max_connections: raise \
                   the limit of open files (ulimit -n, LimitNOFILE=) to 5352";
    assert!(text().contains(warning), "{}", text());
    let place = url.strip_prefix("http://").unwrap();
    let held: Vec<TcpStream> = (0..600).map(|_| TcpStream::connect(place).unwrap()).collect();
    let ask = || {
        let mut stream = TcpStream::connect(place).unwrap();
        stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.split(' ').nth(1)?.parse::<u16>().ok()
    };
    until("one above is told so", || (ask() == Some(503)).then_some(()));
    drop(held);
    until("there is room again", || (ask() == Some(200)).then_some(()));
    assert!(!text().contains("ERROR"), "{}", text());
}

/// As large as one may be in the system's buffers, so that it is on its way when the client is gone.
#[test]
fn who_leaves_in_the_middle_of_an_answer_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::on(directory.path(), &[]);
    let (request, _) = request_for_much(&server);
    let before = handles(&server);
    for _ in 0..100 {
        let mut stream = narrow(&server);
        stream.write_all(request.repeat(3).as_bytes()).unwrap();
    }
    until("they are gone", || (handles(&server) <= before + 1).then_some(()));
    assert_eq!(server.get("/api/v2/jobs").status, 200);
}

#[test]
fn a_bad_client_is_no_error_in_the_log() {
    let directory = tempfile::tempdir().unwrap();
    let (log, data) = (directory.path().join("log"), directory.path().join("data"));
    let server = Server::logging_to(&log, &data, &[("INTAKE_LIMITS_HEADER_TIMEOUT", "200ms")]);
    server.raw(b"nonsense\r\n\r\n");
    read_answer(&mut server.dial());
    vanish(&server, &vec![b'x'; 500_000]);
    assert_eq!(server.get("/api/v2/jobs").status, 200);
    let text = fs::read_to_string(&log).unwrap();
    assert!(!text.contains("ERROR") && !text.contains("WARN"), "{text}");
    assert!(!token(&data, &[], &[]).is_empty());
}
