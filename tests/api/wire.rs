//! What holds for every endpoint: codes, headers, `HEAD` and `OPTIONS`, and what clients send that means nothing.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use crate::helpers::{Answer, Server};

const JSON: &str = "application/json; charset=utf-8";
const PLAIN_JSON: &str = "application/json";

/// A server with a user, a job with a failed row and one without.
fn furnished() -> (Server, BTreeMap<String, String>) {
    let server = Server::ephemeral();
    let bad = server.import(r#"[{"email":"ann@x.test","email_verified":true},{"email":"no"}]"#, false);
    let good = server.import(r#"[{"email":"bob@x.test","email_verified":true}]"#, false);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let names = [
        ("bad", text(&bad["id"])),
        ("good", text(&good["id"])),
        ("user", text(&server.user("ann@x.test")["user_id"])),
        ("con", server.connection_id()),
        ("client", text(&server.about["client_id"])),
        ("log", text(&server.get("/api/v2/logs").json()[0]["log_id"])),
    ];
    (server, names.map(|(name, id)| (name.to_owned(), id)).into())
}

/// A text in which `{name}` stands for an id.
fn filled(text: &str, names: &BTreeMap<String, String>) -> String {
    names.iter().fold(text.to_owned(), |text, (name, id)| text.replace(&format!("{{{name}}}"), id))
}

#[track_caller]
fn assert_headers(answer: &Answer, what: &str) {
    let expected = if what.contains("/errors") { PLAIN_JSON } else { JSON };
    assert_eq!(answer.header("content-type"), expected, "{what}");
    let is_secret = answer.text.contains("client_secret\":");
    assert_eq!(answer.header("cache-control"), if is_secret { "no-store" } else { "no-cache" }, "{what}");
    assert_eq!(answer.header("x-content-type-options"), "nosniff", "{what}");
    assert_eq!(answer.header("vary"), "accept-encoding", "{what}");
    assert!(answer.headers.keys().all(|name| !name.as_str().starts_with("access-control")), "{what}");
    for name in ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"] {
        answer.header(name).parse::<u64>().unwrap_or_else(|_| panic!("{name} of {what}: {answer:?}"));
    }
}

/// Method, path, body, status, and under which name which part of the answer is kept.
type Row = (&'static str, &'static str, Value, u16, &'static str);

fn table() -> Vec<Row> {
    let stream = json!({ "name": "a", "type": "http", "sink": { "httpEndpoint": "https://1.1.1.1/" } });
    vec![
        ("GET", "/api/v2/jobs", json!(null), 200, ""),
        ("GET", "/api/v2/jobs/{bad}", json!(null), 200, ""),
        ("GET", "/api/v2/jobs/{bad}/errors?take=1", json!(null), 200, "json"),
        ("GET", "/api/v2/jobs/{good}/errors", json!(null), 204, ""),
        ("GET", "/api/v2/connections", json!(null), 200, ""),
        ("POST", "/api/v2/connections", json!({ "name": "two", "strategy": "auth0" }), 201, "two=id"),
        ("GET", "/api/v2/connections/{two}", json!(null), 200, ""),
        ("PATCH", "/api/v2/connections/{two}", json!({ "display_name": "Two" }), 200, ""),
        ("GET", "/api/v2/connections/{con}/clients", json!(null), 200, ""),
        (
            "PATCH",
            "/api/v2/connections/{con}/clients",
            json!([{ "client_id": "{client}", "status": true }]),
            204,
            "",
        ),
        ("DELETE", "/api/v2/connections/{con}/users?email=bob@x.test", json!(null), 204, ""),
        ("DELETE", "/api/v2/connections/{two}", json!(null), 202, ""),
        ("DELETE", "/api/v2/connections/{two}", json!(null), 204, ""),
        ("GET", "/api/v2/clients", json!(null), 200, ""),
        ("POST", "/api/v2/clients", json!({ "name": "App" }), 201, "app=client_id"),
        ("GET", "/api/v2/clients/{app}", json!(null), 200, ""),
        ("PATCH", "/api/v2/clients/{app}", json!({ "name": "Apple" }), 200, ""),
        ("POST", "/api/v2/clients/{app}/rotate-secret", json!(null), 200, ""),
        ("GET", "/api/v2/client-grants", json!(null), 200, ""),
        (
            "POST",
            "/api/v2/client-grants",
            json!({ "client_id": "{app}", "audience": "https://other.test/", "scope": [] }),
            201,
            "grant=id",
        ),
        ("PATCH", "/api/v2/client-grants/{grant}", json!({ "scope": ["x"] }), 200, ""),
        ("DELETE", "/api/v2/client-grants/{grant}", json!(null), 204, ""),
        ("DELETE", "/api/v2/clients/{app}", json!(null), 204, ""),
        ("DELETE", "/api/v2/clients/{app}", json!(null), 204, ""),
        ("GET", "/api/v2/users-by-email?email=ann@x.test", json!(null), 200, ""),
        ("GET", "/api/v2/users/{user}", json!(null), 200, ""),
        ("PATCH", "/api/v2/users/{user}", json!({ "blocked": false }), 200, ""),
        ("GET", "/api/v2/users/{user}/logs", json!(null), 200, ""),
        ("GET", "/api/v2/logs", json!(null), 200, ""),
        ("GET", "/api/v2/logs/{log}", json!(null), 200, ""),
        ("GET", "/api/v2/log-streams", json!(null), 200, ""),
        ("POST", "/api/v2/log-streams", stream, 200, "stream=id"),
        ("GET", "/api/v2/log-streams/{stream}", json!(null), 200, ""),
        ("PATCH", "/api/v2/log-streams/{stream}", json!({ "name": "b" }), 200, ""),
        ("DELETE", "/api/v2/log-streams/{stream}", json!(null), 204, ""),
        ("DELETE", "/api/v2/log-streams/{stream}", json!(null), 204, ""),
        ("POST", "/api/v2/tickets/password-change", json!({ "user_id": "{user}" }), 201, ""),
        ("POST", "/api/v2/tickets/email-verification", json!({ "user_id": "{user}" }), 201, ""),
        ("POST", "/api/v2/jobs/verification-email", json!({ "user_id": "{user}" }), 201, ""),
        (
            "POST",
            "/api/v2/users",
            json!({ "connection": "Username-Password-Authentication", "email": "cy@x.test", "password": "Secret-123" }),
            201,
            "cy=user_id",
        ),
        ("DELETE", "/api/v2/users/{cy}", json!(null), 204, ""),
        ("DELETE", "/api/v2/users/{cy}", json!(null), 204, ""),
        ("GET", "/api/v2/outbox", json!(null), 200, ""),
        // Refusals have the same headers.
        ("GET", "/api/v2/connections/con_0000000000000000", json!(null), 404, ""),
        ("GET", "/api/v2/clients/nobody", json!(null), 404, ""),
        ("GET", "/api/v2/jobs?per_page=0", json!(null), 400, ""),
        ("POST", "/api/v2/clients", json!({ "name": 1 }), 400, ""),
    ]
}

#[test]
fn every_endpoint_has_the_documented_code_and_headers() {
    let (server, mut names) = furnished();
    for (method, path, body, status, kept) in table() {
        let (path, body) = (filled(path, &names), filled(&body.to_string(), &names));
        let answer = server.send(method, &path, &serde_json::from_str(&body).unwrap());
        let what = format!("{method} {path}");
        assert_eq!(answer.status, status, "{what}: {}", answer.text);
        assert_headers(&answer, if kept == "json" { "paged" } else { &what });
        assert_eq!(answer.text.is_empty(), status == 204, "{what}");
        if let Some((name, member)) = kept.split_once('=') {
            names.insert(name.to_owned(), answer.json()[member].as_str().unwrap().to_owned());
        }
    }
}

/// An answer without its body, and what differs from one answer to the next.
fn head_of(answer: &Answer) -> BTreeMap<String, String> {
    let text = |value: &ureq::http::HeaderValue| value.to_str().unwrap().to_owned();
    let mut head: BTreeMap<_, _> =
        answer.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    head.retain(|name, _| name != "date" && !name.starts_with("x-ratelimit"));
    head.insert("status".to_owned(), answer.status.to_string());
    head
}

fn call(server: &Server, method: &str, path: &str, more: &[(&str, &str)]) -> Answer {
    let bearer = format!("Bearer {}", server.token);
    let request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", server.url));
    let request = more.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut answer = agent.run(request.header("authorization", bearer).body(()).unwrap()).unwrap();
    let bytes = answer.body_mut().read_to_vec().unwrap();
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    Answer { status, headers, text: String::from_utf8_lossy(&bytes).into_owned() }
}

const READ: &[&str] = &[
    "/",
    "/static/status.js",
    "/.well-known/jwks.json",
    "/.well-known/openid-configuration",
    "/openapi.json",
    "/api/v2/jobs",
    "/api/v2/jobs/{bad}",
    "/api/v2/jobs/{bad}/errors",
    "/api/v2/jobs/{good}/errors",
    "/api/v2/connections",
    "/api/v2/connections/{con}",
    "/api/v2/connections/{con}/clients",
    "/api/v2/connections/con_0000000000000000",
    "/api/v2/clients",
    "/api/v2/clients/{client}",
    "/api/v2/client-grants",
    "/api/v2/users-by-email?email=ann@x.test",
    "/api/v2/users/{user}",
    "/api/v2/users/{user}/logs",
    "/api/v2/logs",
    "/api/v2/logs/{log}",
    "/api/v2/log-streams",
    "/api/v2/outbox",
    "/api/v2/nothing",
    "/api/v2/jobs?per_page=0",
];

#[test]
fn head_is_answered_like_get_but_for_the_body() {
    let (server, names) = furnished();
    for path in READ {
        let path = filled(path, &names);
        for more in [&[][..], &[("accept-encoding", "gzip")]] {
            let got = call(&server, "GET", &path, more);
            let asked = call(&server, "HEAD", &path, more);
            assert_eq!(head_of(&asked), head_of(&got), "{path}");
            assert_eq!(asked.text, "", "{path}");
            let is_streamed = got.headers.contains_key("transfer-encoding");
            assert!(is_streamed || got.status == 204 || got.headers.contains_key("content-length"), "{path}");
        }
    }
    let answer = server.request("HEAD", "/api/v2/jobs", &[], b"");
    assert_eq!((answer.status, answer.header("www-authenticate")), (401, "Bearer"));
    let answer = server.request("HEAD", "/oauth/token", &[], b"");
    assert_eq!((answer.status, answer.header("allow"), &*answer.text), (405, "POST, OPTIONS", ""));
}

/// Reads a head, and nothing after it.
fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    String::from_utf8(head).unwrap().to_lowercase()
}

fn length_in(head: &str) -> usize {
    let lines = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    lines.unwrap_or_else(|| panic!("no length: {head}")).parse().unwrap()
}

#[test]
fn after_an_answer_to_head_the_next_one_follows_at_once() {
    let (server, names) = furnished();
    let mut stream = server.dial();
    for path in ["/api/v2/jobs/{bad}", "/api/v2/jobs/{bad}/errors", "/api/v2/jobs/{good}/errors", "/"] {
        let path = filled(path, &names);
        let request = |method: &str| {
            format!("{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n", server.token)
        };
        for _ in 0..3 {
            stream.write_all(request("HEAD").as_bytes()).unwrap();
            let head = read_head(&mut stream);
            assert!(head.starts_with("http/1.1 20"), "{head}");
        }
    }
}

#[test]
fn options_tells_the_methods_of_every_endpoint_to_everybody() {
    let (server, names) = furnished();
    for (path, allowed) in [
        ("/api/v2/jobs", "GET, HEAD, OPTIONS"),
        ("/api/v2/jobs/users-imports", "POST, OPTIONS"),
        ("/api/v2/jobs/{bad}/errors", "GET, HEAD, OPTIONS"),
        ("/api/v2/connections", "GET, HEAD, POST, OPTIONS"),
        ("/api/v2/connections/{con}", "GET, HEAD, PATCH, DELETE, OPTIONS"),
        ("/api/v2/connections/{con}/users", "DELETE, OPTIONS"),
        ("/api/v2/clients/{client}/rotate-secret", "POST, OPTIONS"),
        ("/oauth/token", "POST, OPTIONS"),
        ("/", "GET, HEAD, OPTIONS"),
    ] {
        let path = filled(path, &names);
        let answer = server.request("OPTIONS", &path, &[], b"");
        assert_eq!((answer.status, answer.header("allow")), (204, allowed), "{path}");
        assert_eq!((&*answer.text, answer.header("content-type")), ("", JSON), "{path}");
        let wrong = server.request("BREW", &path, &[], b"");
        assert_eq!((wrong.status, wrong.header("allow")), (405, allowed), "{path}");
    }
    for path in ["/api/v2/nothing", "*"] {
        let answer = server.request("OPTIONS", path, &[], b"");
        answer.assert_refusal(404, "Not Found", "Not Found", "");
        assert_eq!(answer.header("cache-control"), "no-cache", "{path}");
    }
}

#[test]
fn what_clients_send_without_meaning_it_is_let_be() {
    let (server, names) = furnished();
    let bearer = format!("Bearer {}", server.token);
    for path in READ.iter().filter(|path| !path.contains("per_page")) {
        let path = filled(path, &names);
        let plain = call(&server, "GET", &path, &[]);
        let mark = if path.contains('?') { '&' } else { '?' };
        let strange = format!("{path}{mark}include_fields=true&unknown=1&unknown=2&x[]=%00");
        let answer = call(&server, "GET", &strange, &[("content-type", "application/json")]);
        assert_eq!((answer.status, &answer.text), (plain.status, &plain.text), "{strange}");
    }
    // Written as py 5 does: not through a client that would mend the path.
    let id = &names["user"];
    assert!(id.contains('|'));
    for written in [id.clone(), id.replace('|', "%7C")] {
        for (method, path, body) in [
            ("GET", format!("/api/v2/users/{written}"), &b""[..]),
            ("GET", format!("/api/v2/users/{written}/logs"), b""),
            ("PATCH", format!("/api/v2/users/{written}"), br#"{"blocked":false}"#),
        ] {
            let headers = [("authorization", &*bearer), ("content-type", "application/json")];
            let answer = server.request(method, &path, &headers, body);
            assert_eq!(answer.status, 200, "{method} {path}: {}", answer.text);
        }
    }
}

/// As some clients do with all requests: an empty object, which nobody asked for.
#[test]
fn a_body_that_nobody_reads_leaves_the_connection_as_it_is() {
    let server = Server::ephemeral_with(&[("INTAKE_LIMITS_HEADER_TIMEOUT", "500ms")]);
    let client = server.about["client_id"].as_str().unwrap();
    let rotate = format!("POST /api/v2/clients/{client}/rotate-secret");
    for framing in ["content-length: 2\r\n\r\n{}", "transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"] {
        for request in ["GET /api/v2/users", "DELETE /api/v2/clients/nobody", &*rotate, "GET /healthz"] {
            let mut stream = server.dial();
            for _ in 0..2 {
                let token = &server.token;
                let head =
                    format!("{request} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n{framing}");
                stream.write_all(head.as_bytes()).unwrap();
                let head = read_head(&mut stream);
                assert!(
                    head.starts_with("http/1.1 20") && !head.contains("connection: close"),
                    "{request}: {head}"
                );
                if !head.starts_with("http/1.1 204") {
                    stream.read_exact(&mut vec![0; length_in(&head)]).unwrap();
                }
                std::thread::sleep(Duration::from_secs(1));
            }
        }
    }
}

/// Java's client asks for HTTP/2 with each of its requests, and takes HTTP/1.1. It has to know where that ends.
#[test]
fn who_would_rather_speak_something_else_is_answered_and_told_of_the_end() {
    let server = Server::ephemeral();
    let upgrade = "connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAEAAEAA\r\n";
    for request in [
        format!("GET /healthz HTTP/1.1\r\nhost: x\r\n{upgrade}\r\n"),
        format!("POST /oauth/token HTTP/1.1\r\nhost: x\r\n{upgrade}content-length: 2\r\n\r\n{{}}"),
        "GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n".to_owned(),
    ] {
        let mut stream = server.dial();
        stream.write_all(request.as_bytes()).unwrap();
        let head = read_head(&mut stream);
        assert!(head.contains("connection: close"), "{head}");
        let mut body = Vec::new();
        stream.read_to_end(&mut body).unwrap();
        assert_eq!(body.len(), length_in(&head));
    }
}

/// npm 4 and py 4 keep the connection, send all of a file that is too large, and only then read.
#[test]
fn who_keeps_the_connection_and_sends_everything_first_sees_the_413() {
    let server = Server::ephemeral();
    let mut stream = server.dial();
    for length in [600_000, 2_000_000] {
        let head = format!(
            "POST /api/v2/jobs/users-imports HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
             content-type: multipart/form-data; boundary=x\r\ncontent-length: {length}\r\n\r\n",
            server.token
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&vec![b'x'; length]).unwrap();
        let head = read_head(&mut stream);
        assert!(head.starts_with("http/1.1 413"), "{head}");
        let mut body = vec![0; length_in(&head)];
        stream.read_exact(&mut body).unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["message"], "Payload content length greater than maximum allowed: 512000");
    }
    // And goes on.
    stream.write_all(b"GET /.well-known/jwks.json HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    assert!(read_head(&mut stream).starts_with("http/1.1 200"));
}

/// What is sent in one piece is answered as if each request had waited for the answer before.
#[test]
fn requests_that_are_sent_at_once_are_answered_one_by_one() {
    let server = Server::ephemeral();
    let request = |line: &str, more: &str| {
        format!("{line}\r\nhost: x\r\nauthorization: Bearer {}\r\n{more}\r\n", server.token)
    };
    let get = request("GET /api/v2/connections HTTP/1.1", "");
    let large = request("GET /openapi.json HTTP/1.1", "");
    let head = request("HEAD /api/v2/connections HTTP/1.1", "");
    let unread = request("HEAD /readyz HTTP/1.1", "content-length: 5\r\n") + "abcde";
    let last = request("GET /api/v2/connections HTTP/1.1", "connection: close\r\n");
    let old = request("GET /openapi.json HTTP/1.0", "accept-encoding: gzip\r\n");
    let evil = request(
        "POST /api/v2/connections HTTP/1.1",
        "content-type: application/json\r\ncontent-length: 34\r\n",
    ) + r#"{"name":"evil","strategy":"auth0"}"#;
    // Answers, and how many of them are without a body; all but the last of each keep the connection.
    for (sent, answers, bare) in [
        (vec![&get, &head, &get, &last], 4, 1),
        (vec![&head, &head, &last], 3, 2),
        (vec![&get, &get, &head, &last], 4, 1),
        (vec![&unread, &get, &last], 3, 1),
        (vec![&large, &head, &large, &old], 4, 1),
        (vec![&large, &large, &get, &old], 4, 0),
        (vec![&large, &large, &last], 3, 0),
        (vec![&last, &evil], 1, 0),
        (vec![&get, &old, &evil], 2, 0),
    ] {
        let mut stream = server.dial();
        stream.write_all(sent.into_iter().map(String::as_str).collect::<String>().as_bytes()).unwrap();
        let mut said = Vec::new();
        stream.read_to_end(&mut said).unwrap();
        let mut rest = &said[..];
        let mut found = (0, 0);
        while !rest.is_empty() {
            let end = rest.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
            let head = str::from_utf8(&rest[..end]).unwrap().to_lowercase();
            rest = &rest[end..];
            let is_bare = rest.is_empty() || rest.starts_with(b"HTTP/1.");
            let is_last = head.contains("connection: close") || head.starts_with("http/1.0");
            assert!(head.contains(" 200 ok") && !head.contains("transfer-encoding"), "{head}");
            assert_eq!(is_last, found.0 + 1 == answers, "{head}");
            if !is_bare {
                rest = if head.contains("content-length") { &rest[length_in(&head)..] } else { &[] };
            }
            found = (found.0 + 1, found.1 + usize::from(is_bare));
        }
        assert_eq!(found, (answers, bare));
    }
    let names = server.get("/api/v2/connections").text;
    assert!(!names.contains("evil"), "{names}");
}

#[test]
fn a_head_that_began_behind_a_request_has_its_time_and_no_more() {
    let server = Server::ephemeral_with(&[("INTAKE_LIMITS_HEADER_TIMEOUT", "500ms")]);
    let mut stream = server.dial();
    stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: x\r\n\r\nGET /re").unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    assert!(said.starts_with("HTTP/1.1 200 ") && said.contains("HTTP/1.1 408 "), "{said}");
}
