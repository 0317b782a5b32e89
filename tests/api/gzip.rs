//! Compressed answers, for those who ask.

use std::io::Read;

use flate2::read::GzDecoder;
use ureq::Agent;
use ureq::http::HeaderMap;

use crate::helpers::{Form, Server};

struct Raw {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Raw {
    fn is_gzip(&self) -> bool {
        self.headers.get("content-encoding").is_some_and(|given| given == "gzip")
    }

    fn unpacked(&self) -> String {
        let mut text = String::new();
        GzDecoder::new(&self.body[..]).read_to_string(&mut text).unwrap();
        text
    }
}

/// Asks without a client that would unpack the answer by itself.
fn get(server: &Server, path: &str, accepts: Option<&str>) -> Raw {
    let agent: Agent = Agent::config_builder().http_status_as_error(false).build().into();
    let request = agent.get(format!("{}{path}", server.url));
    let mut request = request.header("authorization", format!("Bearer {}", server.token));
    if let Some(accepts) = accepts {
        request = request.header("accept-encoding", accepts);
    }
    let mut answer = request.call().unwrap();
    let body = answer.body_mut().with_config().limit(u64::MAX).read_to_vec().unwrap();
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    assert_eq!(headers.get_all("vary").iter().collect::<Vec<_>>(), ["accept-encoding"], "{path}");
    Raw { status, headers, body }
}

/// A server on which a job of 5,000 rows failed in all of them.
fn with_failed_rows() -> (Server, String) {
    let server = Server::ephemeral();
    let rows: Vec<_> = (0..5000).map(|at| format!("{{\"email\":\"bad{at}\"}}")).collect();
    let job = server.import(&format!("[{}]", rows.join(",")), false);
    let path = format!("/api/v2/jobs/{}/errors", job["id"].as_str().unwrap());
    (server, path)
}

#[test]
fn long_answers_are_compressed_for_those_who_ask() {
    let (server, rows) = with_failed_rows();
    for path in [&*rows, "/openapi.json", "/", "/static/status.js", "/static/status.css"] {
        let plain = get(&server, path, None);
        assert!(plain.status == 200 && !plain.is_gzip() && !plain.headers.contains_key("content-encoding"));
        for accepts in ["gzip", "gzip, deflate, br", "br;q=1.0, gzip;q=0.8, *;q=0.1", "GZIP"] {
            let packed = get(&server, path, Some(accepts));
            assert!(packed.is_gzip(), "{path} for {accepts}");
            assert_eq!(packed.headers["content-type"], plain.headers["content-type"], "{path}");
            assert!(!packed.headers.contains_key("content-length"), "{path}");
            assert!(packed.body.len() < plain.body.len(), "{path}");
            assert_eq!(packed.unpacked().as_bytes(), plain.body, "{path}");
        }
    }
}

#[test]
fn who_does_not_ask_gets_what_everybody_always_got() {
    let (server, rows) = with_failed_rows();
    for path in [&*rows, "/api/v2/clients", "/static/status.js"] {
        let plain = get(&server, path, None);
        for accepts in
            ["", "identity", "br", "gzip;q=0", "identity, gzip;q=0", "identity;q=0", "*;q=0", ";;;", "x"]
        {
            let same = get(&server, path, Some(accepts));
            assert_eq!((same.status, same.is_gzip()), (200, false), "{path} for {accepts}");
            assert!(same.body == plain.body, "{path} for {accepts}");
            let length = |raw: &Raw| raw.headers.get("content-length").cloned();
            assert_eq!(length(&same), length(&plain), "{path} for {accepts}");
        }
    }
}

#[test]
fn short_answers_and_none_are_left_alone() {
    let server = Server::ephemeral();
    let job = server.import(r#"[{"email":"ann@x.test","email_verified":true}]"#, false);
    let id = job["id"].as_str().unwrap();
    for (path, status) in [
        (format!("/api/v2/jobs/{id}"), 200),
        (format!("/api/v2/jobs/{id}/errors"), 204),
        ("/api/v2/nothing".to_owned(), 404),
        ("/.well-known/jwks.json".to_owned(), 200),
    ] {
        let answer = get(&server, &path, Some("gzip"));
        assert_eq!(answer.status, status);
        assert!(!answer.headers.contains_key("content-encoding"), "{path}");
        assert!(status == 204 || answer.headers.contains_key("content-length"), "{path}");
    }
    let style = get(&server, "/static/status.css", Some("gzip"));
    let tag = style.headers["etag"].to_str().unwrap();
    for accepts in ["gzip", "identity"] {
        let headers = [("if-none-match", tag), ("accept-encoding", accepts)];
        let known = server.request("GET", "/static/status.css", &headers, b"");
        assert_eq!((known.status, &*known.text), (304, ""));
    }
}

#[test]
fn what_is_uploaded_is_taken_as_it_is() {
    let server = Server::ephemeral();
    let form =
        Form::import(&server.connection_id(), r#"[{"email":"a@x.test","email_verified":true}]"#, false);
    let framing = format!("accept-encoding: gzip\r\ncontent-length: {}", form.bytes().len());
    let head = Server::upload_head(&server.token, &framing);
    let answer = server.raw(&[head.as_bytes(), form.bytes()].concat());
    assert_eq!(answer.status, 202, "{}", answer.text);
    assert_eq!(server.wait(answer.json()["id"].as_str().unwrap())["summary"]["inserted"], 1);
}
