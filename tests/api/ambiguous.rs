//! Requests that others have made to confuse readers of HTTP, byte by byte as they are: none is read in two ways.

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::helpers::{Server, shared};

/// The statuses of all answers to some bytes after which nothing more comes.
fn answers(server: &Server, bytes: &[u8]) -> Vec<u16> {
    let mut stream = server.dial();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    // The server may have had enough before the end.
    let _ = stream.write_all(bytes).and_then(|()| stream.shutdown(Shutdown::Write));
    let mut said = Vec::new();
    match stream.read_to_end(&mut said) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => {
            panic!("{error} after {}, to {}", said.escape_ascii(), bytes.escape_ascii())
        }
        _ => {}
    }
    let said = String::from_utf8_lossy(&said);
    let status = |answer: &str| answer.split(' ').next().unwrap().parse().unwrap();
    said.split("HTTP/1.1 ").skip(1).map(status).filter(|status| *status != 100).collect()
}

/// What the samples call wrong and is answered here nevertheless, and why that is harmless.
const LENIENT: &[(&str, &str)] = &[
    ("CRLF between requests, explicit `close`", "closed after the first answer; the second is not looked at"),
    ("CRLF between requests, explicit `close` followed by tab", "the same"),
    ("Empty headers separated by LF", "a line may end with LF alone (RFC 9112, 2.2)"),
    ("Headers separated by LF", "the same"),
    ("Missing CR between headers", "the same; what follows is the body, and then a request of its own"),
    ("No extension after semicolon", "an extension means nothing, with a name or without"),
    ("Upgrade GET request", "an upgrade may be ignored (RFC 9110, 7.8)"),
    ("Upgrade POST request", "the same; closed after the answer"),
];

#[test]
fn what_a_strict_reader_refuses_is_refused_or_harmless() {
    let Some(folder) = shared("llhttp-requests") else { return };
    let text = fs::read_to_string(folder.join("requests.json")).unwrap();
    let samples: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert!(samples.len() > 150);
    let server = Server::ephemeral();
    let mut lenient = BTreeMap::new();
    for sample in &samples {
        let bytes = STANDARD.decode(sample["raw_b64"].as_str().unwrap()).unwrap();
        let answers = answers(&server, &bytes);
        assert!(answers.iter().all(|status| *status < 500), "{answers:?} to {}", bytes.escape_ascii());
        let is_refused = answers.is_empty() || answers.contains(&400);
        if sample["type"] == "request" && sample["error"] == true && !is_refused {
            lenient.insert(sample["title"].as_str().unwrap().to_owned(), answers);
        }
        assert_eq!(server.request("GET", "/healthz", &[], b"").status, 200);
    }
    let titles: Vec<&str> = LENIENT.iter().map(|(title, _)| *title).collect();
    assert_eq!(lenient.keys().map(String::as_str).collect::<Vec<_>>(), titles, "{lenient:#?}");
}

/// Each is followed by a good request, which must not be answered: where one ends and the other begins is not clear.
const AMBIGUOUS: &[(&str, &str)] = &[
    ("two lengths", "content-length: 4\r\ncontent-length: 5\r\n\r\nbody"),
    ("the same length twice", "content-length: 4\r\ncontent-length: 4\r\n\r\nbody"),
    ("a list of lengths", "content-length: 4, 4\r\n\r\nbody"),
    ("a length with a sign", "content-length: +4\r\n\r\nbody"),
    ("a negative length", "content-length: -4\r\n\r\nbody"),
    ("a hexadecimal length", "content-length: 0x4\r\n\r\nbody"),
    ("an empty length", "content-length: \r\n\r\nbody"),
    ("too large a length", "content-length: 18446744073709551616\r\n\r\nbody"),
    ("a length and chunks", "content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("chunks and a length", "transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n0\r\n\r\n"),
    ("no length and chunks", "content-length: 0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("chunks twice", "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("chunks, packed", "transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    ("chunks, not last", "transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
    ("identity", "transfer-encoding: identity\r\n\r\n0\r\n\r\n"),
    ("a word like chunks", "transfer-encoding: xchunked\r\n\r\n0\r\n\r\n"),
    ("chunks with a control byte", "transfer-encoding: \x0bchunked\r\n\r\n0\r\n\r\n"),
    ("chunks behind a blank", "transfer-encoding : chunked\r\n\r\n0\r\n\r\n"),
    ("a length behind a blank", "content-length : 4\r\n\r\nbody"),
    ("a folded header", "x-a: b\r\n content-length: 4\r\n\r\nbody"),
    ("folded chunks", "transfer-encoding:\r\n chunked\r\n\r\n0\r\n\r\n"),
    ("a bare CR", "x-a: b\rcontent-length: 4\r\n\r\nbody"),
    ("a NUL byte", "x-a: b\0c\r\ncontent-length: 4\r\n\r\nbody"),
    ("no name", ": b\r\ncontent-length: 4\r\n\r\nbody"),
    ("two hosts", "host: y\r\n\r\n"),
    ("a chunk size of no digits", "transfer-encoding: chunked\r\n\r\ng\r\nbody\r\n0\r\n\r\n"),
    ("a chunk size with a sign", "transfer-encoding: chunked\r\n\r\n+4\r\nbody\r\n0\r\n\r\n"),
    ("a chunk size with a prefix", "transfer-encoding: chunked\r\n\r\n0x4\r\nbody\r\n0\r\n\r\n"),
    ("too large a chunk size", "transfer-encoding: chunked\r\n\r\n10000000000000004\r\nbody\r\n0\r\n\r\n"),
    ("an empty chunk size", "transfer-encoding: chunked\r\n\r\n\r\nbody\r\n0\r\n\r\n"),
    ("a chunk that is longer than it says", "transfer-encoding: chunked\r\n\r\n2\r\nbody\r\n0\r\n\r\n"),
    ("a chunk size that ends with LF", "transfer-encoding: chunked\r\n\r\n4\nbody\r\n0\r\n\r\n"),
    ("a chunk that ends with LF", "transfer-encoding: chunked\r\n\r\n4\r\nbody\n0\r\n\r\n"),
    ("an extension with a bare LF", "transfer-encoding: chunked\r\n\r\n4;a\nb\r\nbody\r\n0\r\n\r\n"),
];

#[test]
fn behind_a_request_whose_end_is_not_clear_nothing_is_answered() {
    let server = Server::ephemeral();
    for (what, rest) in AMBIGUOUS {
        // Asked of an endpoint that reads its body, and of one that does not.
        for path in ["/oauth/token", "/healthz"] {
            let request = format!(
                "POST {path} HTTP/1.1\r\nhost: x\r\n{rest}GET /.well-known/jwks.json HTTP/1.1\r\nhost: x\r\n\r\n"
            );
            let answers = answers(&server, request.as_bytes());
            assert!(!answers.contains(&200), "{what}: {answers:?} to {request:?}");
            assert!(answers.len() <= 2 && answers.iter().all(|status| *status < 500), "{what}: {answers:?}");
        }
    }
    // A clear one is answered, and so is what follows.
    for rest in [
        "content-length: 4\r\n\r\nbody",
        "transfer-encoding: chunked\r\n\r\n4;a=\"b\"\r\nbody\r\n0\r\nx: y\r\n\r\n",
    ] {
        let request = format!(
            "POST /oauth/token HTTP/1.1\r\nhost: x\r\n{rest}GET /.well-known/jwks.json HTTP/1.1\r\nhost: x\r\n\r\n"
        );
        assert_eq!(answers(&server, request.as_bytes()), [400, 200], "{rest:?}");
    }
}
