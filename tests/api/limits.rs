//! What one client may take: just allowed, and just refused.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;

use crate::helpers::{Answer, Form, Server, read_answer, until};

/// A request for a list by the owner of the token, with this query and these more lines.
fn head(server: &Server, query: &str, lines: &str) -> String {
    format!(
        "GET /api/v2/jobs{query} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
         authorization: Bearer {}\r\n{lines}\r\n",
        server.token
    )
}

/// The head of a body that is on its way.
fn body_head(server: &Server, path: &str, length: usize) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n",
        server.token
    )
}

const TOO_LARGE: &str = "Request Header Fields Too Large";

#[test]
fn a_head_has_a_longest_uri_most_headers_and_a_largest_size() {
    let server = Server::ephemeral();
    let raw = |text: String| server.raw(text.as_bytes());
    let uri = |length: usize| format!("?x={}", "a".repeat(length - "/api/v2/jobs?x=".len()));
    assert_eq!(raw(head(&server, &uri(61_440), "")).status, 200);
    let message = "Path and query are longer than 61440 bytes, the most that is taken.";
    raw(head(&server, &uri(61_441), "")).assert_refusal(414, "URI Too Long", message, "");

    // Three are there already.
    let headers = |count: usize| "x-a: b\r\n".repeat(count - 3);
    assert_eq!(raw(head(&server, "", &headers(64))).status, 200);
    let message = "There are more than 64 headers, the most that are taken.";
    raw(head(&server, "", &headers(65))).assert_refusal(431, TOO_LARGE, message, "");
    raw(head(&server, "", &headers(96))).assert_refusal(431, TOO_LARGE, message, "");

    // The blank line at the end is not counted.
    let padded = |size: usize| {
        let bare = head(&server, "", "x-a: \r\n").len() - 2;
        head(&server, "", &format!("x-a: {}\r\n", "a".repeat(size - bare)))
    };
    assert_eq!(raw(padded(65_536)).status, 200);
    let message = "The headers are larger than 65536 bytes, the most that is taken.";
    raw(padded(65_537)).assert_refusal(431, TOO_LARGE, message, "");
    raw(padded(120_000)).assert_refusal(431, TOO_LARGE, message, "");
    // Where a URI names a place, that counts, too.
    let named = |size: usize| padded(size - "http://x".len()).replacen(" /", " http://x/", 1);
    assert_eq!(raw(named(65_536)).status, 200);
    raw(named(65_537)).assert_refusal(431, TOO_LARGE, message, "");

    // What the parser itself does not take.
    let message = "There are too many headers, or too large ones.";
    raw(head(&server, "", &headers(97))).assert_refusal(431, TOO_LARGE, message, "");
    let unfinished = padded(200_000)[..131_072].to_owned();
    raw(unfinished).assert_refusal(431, TOO_LARGE, message, "");
}

#[test]
fn what_is_no_http_gets_an_error_object_too() {
    let server = Server::ephemeral();
    let message = "The request is not well-formed HTTP.";
    for bytes in ["\x16\x03\x01\x02\x00", "GET / HTTP/1.1\r\n\r\n", "GET /a b HTTP/1.1\r\nhost: x\r\n\r\n"] {
        let answer = server.raw(bytes.as_bytes());
        answer.assert_refusal(400, "Bad Request", message, "");
        assert_eq!(answer.header("connection"), "close");
        assert_has_usual_headers(&answer);
    }
    // Behind good ones, whose answers wait together with the refusal.
    for good in ["GET /healthz", "OPTIONS /healthz"] {
        let answer = server.raw(format!("{good} HTTP/1.1\r\nhost: x\r\n\r\nno http\r\n\r\n").as_bytes());
        let (before, refusal) = answer.text.split_once("HTTP/1.1 400 Bad Request\r\n").unwrap();
        assert!(before.is_empty() || before == r#"{"status":"ok"}"#, "{before}");
        assert!(refusal.contains(message), "{refusal}");
    }
}

#[track_caller]
fn assert_has_usual_headers(answer: &Answer) {
    assert_eq!(answer.header("cache-control"), "no-cache");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
}

#[test]
fn a_refusal_of_a_head_is_an_answer_like_others() {
    let app = "https://app.example.test";
    let server = Server::ephemeral_with(&[("INTAKE_SERVER_CORS_ORIGINS", app)]);
    let refused = || {
        let text = server.get("/metrics").text;
        let line =
            text.lines().find_map(|line| line.strip_prefix("intake_http_requests_total{class=\"4xx\"} "));
        line.unwrap_or_else(|| panic!("{text}")).parse::<u32>().unwrap()
    };
    let before = refused();
    let lines = format!("origin: {app}\r\n");
    for (request, status) in [
        (head(&server, &format!("?x={}", "a".repeat(61_440)), &lines), 414),
        (head(&server, "", &(lines.clone() + &"x-a: b\r\n".repeat(64))), 431),
    ] {
        let answer = server.raw(request.as_bytes());
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (status, app));
        assert_has_usual_headers(&answer);
    }
    assert_eq!(refused(), before + 2);
}

#[test]
fn an_upload_has_most_parts_and_longest_fields() {
    let server = Server::ephemeral_with(&[("INTAKE_LIMITS_MAX_PARTS", "5")]);
    let connection = server.connection_id();
    let form = |unknown: usize| {
        (0..unknown).fold(Form::import(&connection, "[]", false), |form, _| form.with("unknown", "x"))
    };
    assert_eq!(server.upload(&form(2)).status, 202);
    let message = "Payload validation error: 'Too many parts, maximum 5'.";
    server.upload(&form(3)).assert_refusal(400, "Bad Request", message, "invalid_body");
    server.upload(&form(5000)).assert_refusal(400, "Bad Request", message, "invalid_body");
    let with_id =
        |length: usize| Form::import(&connection, "[]", false).with("external_id", &"x".repeat(length));
    assert_eq!(server.upload(&with_id(4096)).status, 202);
    let message =
        "Payload validation error: 'String is too long, maximum 4096 bytes' on property external_id.";
    server.upload(&with_id(4097)).assert_refusal(400, "Bad Request", message, "invalid_body");
}

#[test]
fn a_json_body_has_a_largest_size_that_can_be_set() {
    let server = Server::ephemeral_with(&[("INTAKE_LIMITS_MAX_BODY_SIZE", "4KB")]);
    let bearer = format!("Bearer {}", server.token);
    let headers = [("authorization", &*bearer), ("content-type", "application/json")];
    let post = |length: usize| {
        let body = format!(r#"{{"name":"App"{}}}"#, " ".repeat(length - 14));
        server.request("POST", "/api/v2/clients", &headers, body.as_bytes())
    };
    assert_eq!(post(4096).status, 201);
    let message = "Payload content length greater than maximum allowed: 4096";
    post(4097).assert_refusal(413, "Request Entity Too Large", message, "");
}

/// Writes one byte after the other; whether all were taken.
fn trickle(stream: &mut TcpStream, bytes: &[u8], pause: Duration) -> bool {
    for byte in bytes {
        std::thread::sleep(pause);
        if stream.write_all(&[*byte]).is_err() {
            return false;
        }
    }
    true
}

const SHORT: Duration = Duration::from_millis(100);

#[test]
fn a_head_has_to_come_in_time_whether_it_is_the_first_or_not() {
    let server = Server::ephemeral_with(&[("INTAKE_LIMITS_HEADER_TIMEOUT", "2s")]);
    let overdue = |stream: &mut TcpStream| {
        let message = "The request's headers did not come in time.";
        read_answer(stream).assert_refusal(408, "Request Timeout", message, "");
    };
    // Nothing, a half one, and one that comes byte by byte.
    overdue(&mut server.dial());
    let mut stream = server.dial();
    stream.write_all(b"GET / HTTP/1.1\r\nhost:").unwrap();
    overdue(&mut stream);
    let mut stream = server.dial();
    trickle(&mut stream, &[b'x'; 40], SHORT);
    overdue(&mut stream);
    // After a good one, too.
    let mut stream = server.dial();
    let mut health = |rest: &[u8]| {
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        let mut answer = vec![0; 4096];
        let length = stream.read(&mut answer).unwrap();
        assert!(answer[..length].starts_with(b"HTTP/1.1 200 OK"));
        stream.write_all(rest).unwrap();
    };
    health(b"");
    health(b"GET /");
    overdue(&mut stream);
    // In two pieces it may come.
    let mut stream = server.dial();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nconnection: close\r\n").unwrap();
    trickle(&mut stream, b"host: x\r\n\r\n", Duration::from_millis(50));
    assert_eq!(read_answer(&mut stream).status, 200);
}

#[test]
fn a_body_may_pause_for_so_long() {
    let server = Server::ephemeral_with(&[("INTAKE_LIMITS_MAX_PAUSE", "1s")]);
    let id = server.connection_id();
    let form = Form::import(&id, "[]", false);
    let (first, second) = form.bytes().split_at(form.bytes().len() / 2);
    let upload = |framing: &str, first: &[u8]| {
        let mut stream = server.dial();
        stream.write_all(Server::upload_head(&server.token, framing).as_bytes()).unwrap();
        stream.write_all(first).unwrap();
        stream
    };
    let length = format!("content-length: {}", form.bytes().len());
    let mut stream = upload(&length, first);
    std::thread::sleep(Duration::from_millis(400));
    stream.write_all(second).unwrap();
    assert_eq!(read_answer(&mut stream).status, 202);
    let message = "The request's body stopped coming.";
    read_answer(&mut upload(&length, first)).assert_refusal(408, "Request Timeout", message, "");
    // Of chunks as of a body whose length is known, and before the first byte.
    read_answer(&mut upload("transfer-encoding: chunked", b"100\r\nx")).assert_refusal(
        408,
        "Request Timeout",
        message,
        "",
    );
    read_answer(&mut upload("expect: 100-continue\r\ntransfer-encoding: chunked", b"").continued())
        .assert_refusal(408, "Request Timeout", message, "");
    let mut stream = server.dial();
    stream.write_all(body_head(&server, "/api/v2/clients", 10).as_bytes()).unwrap();
    read_answer(&mut stream).assert_refusal(408, "Request Timeout", message, "");
}

trait Continued {
    /// After `100 Continue`.
    fn continued(self) -> Self;
}

impl Continued for TcpStream {
    fn continued(mut self) -> Self {
        let mut told = [0; 25];
        self.read_exact(&mut told).unwrap();
        assert_eq!(&told, b"HTTP/1.1 100 Continue\r\n\r\n");
        self
    }
}

#[test]
fn a_body_has_to_keep_a_rate_once_its_grace_is_over() {
    let server = Server::ephemeral_with(&[
        ("INTAKE_LIMITS_MIN_RATE", "100"),
        ("INTAKE_LIMITS_RATE_GRACE", "1s"),
        ("INTAKE_LIMITS_MAX_PAUSE", "30s"),
    ]);
    let id = server.connection_id();
    let form = Form::import(&id, &format!("[{}]", " ".repeat(600)), false);
    let (begun, rest) = form.bytes().split_at(form.bytes().len() - 40);
    let upload = |sent: &[u8]| {
        let mut stream = server.dial();
        let length = format!("content-length: {}", form.bytes().len());
        stream.write_all(Server::upload_head(&server.token, &length).as_bytes()).unwrap();
        stream.write_all(sent).unwrap();
        stream
    };
    // What came at once buys the time for a slow end.
    let mut stream = upload(begun);
    assert!(trickle(&mut stream, rest, Duration::from_millis(50)));
    assert_eq!(read_answer(&mut stream).status, 202);
    let mut stream = upload(b"");
    trickle(&mut stream, &[b'x'; 40], SHORT);
    let message = "The request's body comes too slowly.";
    read_answer(&mut stream).assert_refusal(408, "Request Timeout", message, "");
}

#[test]
fn a_body_that_is_no_upload_has_so_much_time_as_a_whole() {
    let server =
        Server::ephemeral_with(&[("INTAKE_LIMITS_BODY_TIMEOUT", "2s"), ("INTAKE_LIMITS_MIN_RATE", "0")]);
    let body = br#"{"name":"App"}"#;
    let send = |path: &str, length: usize, pause: Duration| {
        let mut stream = server.dial();
        let head = body_head(&server, path, length).replace("host: x", "host: x\r\nconnection: close");
        stream.write_all(head.as_bytes()).unwrap();
        trickle(&mut stream, &body[..], pause);
        stream
    };
    let mut stream = send("/api/v2/clients", body.len(), Duration::from_millis(20));
    assert_eq!(read_answer(&mut stream).status, 201);
    let message = "The request's body comes too slowly.";
    let mut stream = send("/api/v2/clients", 1000, SHORT);
    read_answer(&mut stream).assert_refusal(408, "Request Timeout", message, "");
    // People who have not said who they are have no more time.
    let mut stream = send("/oauth/token", 1000, SHORT);
    let answer = read_answer(&mut stream);
    let told = json!({ "error": "invalid_request", "error_description": message });
    assert_eq!((answer.status, answer.json()), (408, told));
}

#[test]
fn a_body_that_nobody_reads_holds_no_connection() {
    let server = Server::ephemeral_with(&[
        ("INTAKE_LIMITS_HEADER_TIMEOUT", "1s"),
        ("INTAKE_LIMITS_MAX_PAUSE", "1s"),
        ("INTAKE_SERVER_IDLE_TIMEOUT", "1h"),
    ]);
    for (request, status) in [("GET /healthz", "200"), ("GET /nothing", "404"), ("POST /oauth/token", "408")]
    {
        let mut stream = server.dial();
        let head = format!("{request} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {answer}");
    }
}

fn health(stream: &mut TcpStream) -> Answer {
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    read_answer(stream)
}

#[test]
fn a_connection_above_the_limit_is_told_to_come_back() {
    let server = Server::ephemeral_with(&[("INTAKE_LIMITS_MAX_CONNECTIONS", "4")]);
    // Each has its place once it was answered.
    let take_place = || {
        let mut stream = server.dial();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        let mut answer = [0; 1024];
        assert!(stream.read(&mut answer).unwrap() > 0);
        stream
    };
    let mut held: Vec<TcpStream> = (0..4).map(|_| take_place()).collect();
    let message = "There are too many connections, please try again in a few seconds.";
    let refused = read_answer(&mut server.dial());
    refused.assert_refusal(503, "Service Unavailable", message, "");
    assert_eq!((refused.header("retry-after"), refused.header("connection")), ("5", "close"));
    // The fourth is served, and its place is then another's.
    assert_eq!(health(&mut held[3]).status, 200);
    until("there is a place", || (health(&mut server.dial()).status == 200).then_some(()));
}

#[test]
fn an_upload_above_the_limit_is_told_to_come_back() {
    let server = Server::ephemeral_with(&[("INTAKE_LIMITS_MAX_UPLOADS", "2")]);
    let form = Form::import(&server.connection_id(), "[]", false);
    let begin = || {
        let mut stream = server.dial();
        let framing = format!("expect: 100-continue\r\ncontent-length: {}", form.bytes().len());
        stream.write_all(Server::upload_head(&server.token, &framing).as_bytes()).unwrap();
        // It is in hand by then.
        stream.continued()
    };
    let mut held = [begin(), begin()];
    let message = "There are too many uploads, please try again in a few seconds.";
    let refused = server.upload(&form);
    refused.assert_refusal(503, "Service Unavailable", message, "");
    assert_eq!(refused.header("retry-after"), "5");
    for stream in &mut held {
        stream.write_all(form.bytes()).unwrap();
        assert_eq!(read_answer(stream).status, 202);
    }
    assert_eq!(server.upload(&form).status, 202);
}
