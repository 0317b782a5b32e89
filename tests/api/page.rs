//! The status page as the server gives it: its files, their headers, and the one-time link.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::helpers::{Answer, Server, intake};

const JSON: (&str, &str) = ("content-type", "application/json");

fn get(server: &Server, path: &str) -> Answer {
    server.request("GET", path, &[], b"")
}

fn sign_in(server: &Server, code: &str) -> Answer {
    server.request("POST", "/u/sign-in", &[JSON], json!({ "code": code }).to_string().as_bytes())
}

fn code(server: &Server) -> String {
    let link = server.about["page"].as_str().unwrap();
    link.strip_prefix(&format!("{}/#code=", server.url)).unwrap().to_owned()
}

/// Addresses in quotes that lead to files of the page.
fn named_files(text: &str) -> Vec<String> {
    let quoted = text.split('"').filter(|part| !part.contains(char::is_whitespace));
    let files = quoted.filter_map(|part| part.strip_prefix("./").or(part.strip_prefix("/static/")));
    files.map(|name| format!("/static/{name}")).collect()
}

#[test]
fn the_page_and_all_its_files_come_under_a_strict_policy() {
    let server = Server::ephemeral();
    let mut paths = vec!["/".to_owned()];
    let mut seen = 0;
    while let Some(path) = paths.get(seen).cloned() {
        seen += 1;
        let answer = get(&server, &path);
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        let kind = match path.rsplit('.').next().unwrap() {
            "css" => "text/css; charset=utf-8",
            "js" => "text/javascript; charset=utf-8",
            "svg" => "image/svg+xml; charset=utf-8",
            _ => "text/html; charset=utf-8",
        };
        assert_eq!(answer.header("content-type"), kind, "{path}");
        let policy = answer.header("content-security-policy");
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "connect-src 'self'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "require-trusted-types-for 'script'",
        ] {
            assert!(policy.split("; ").any(|given| given == part), "{path} lacks {part}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("cache-control"), "no-cache");
        for found in named_files(&answer.text) {
            if !paths.contains(&found) {
                paths.push(found);
            }
        }
    }
    assert!(paths.len() > 10, "{paths:?}");
}

#[test]
fn a_file_that_the_browser_has_is_not_sent_again() {
    let server = Server::ephemeral();
    let answer = get(&server, "/static/status.js");
    let tag = answer.header("etag").to_owned();
    assert!(!answer.text.is_empty() && !tag.is_empty());
    let again = server.request("GET", "/static/status.js", &[("if-none-match", &tag)], b"");
    assert_eq!((again.status, &*again.text), (304, ""));
    let other = server.request("GET", "/static/status.css", &[("if-none-match", &tag)], b"");
    assert_eq!(other.status, 200);
}

#[test]
fn only_files_of_the_page_are_served() {
    let server = Server::ephemeral();
    for path in
        ["/static/", "/static/nothing.js", "/static/../Cargo.toml", "/index.html", "/static/status.html"]
    {
        get(&server, path).assert_refusal(404, "Not Found", "Not Found", "");
    }
    assert_eq!(server.request("POST", "/", &[], b"").status, 405);
}

#[test]
fn the_link_of_a_start_signs_in_once() {
    let server = Server::ephemeral();
    let code = code(&server);
    assert!(code.len() == 32 && code.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    let answer = sign_in(&server, &code);
    assert_eq!((answer.status, answer.header("cache-control")), (200, "no-store"), "{answer:?}");
    let token = answer.json()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(answer.json()["expires_in"], 86400);
    for path in ["/api/v2/jobs", "/api/v2/connections"] {
        assert_eq!(server.get_as(path, &token).status, 200);
    }
    let again = sign_in(&server, &code);
    assert_eq!((again.status, again.json()["errorCode"].as_str()), (401, Some("invalid_code")), "{again:?}");
    assert!(again.json()["message"].as_str().unwrap().contains("intake token"));
}

#[test]
fn wrong_codes_are_refused_and_too_many_of_them_end_the_link() {
    let server = Server::ephemeral();
    let code = code(&server);
    for _ in 0..19 {
        assert_eq!(sign_in(&server, "nonsense").status, 401);
    }
    assert_eq!(sign_in(&server, &code).status, 200);
    let server = Server::ephemeral();
    let code = self::code(&server);
    for _ in 0..20 {
        assert_eq!(sign_in(&server, "nonsense").status, 401);
    }
    assert_eq!(sign_in(&server, &code).status, 401);
}

#[test]
fn other_sites_cannot_use_up_the_link() {
    let server = Server::ephemeral();
    let code = code(&server);
    // These are the types that a page of another site may send without being asked who it is.
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
        for _ in 0..20 {
            let answer = server.request("POST", "/u/sign-in", &[("content-type", kind)], br#"{"code":"x"}"#);
            assert_eq!(answer.status, 400, "{answer:?}");
        }
    }
    assert_eq!(sign_in(&server, &code).status, 200);
}

#[test]
fn what_is_no_request_to_sign_in_is_refused_and_costs_nothing() {
    let server = Server::ephemeral();
    let code = code(&server);
    for body in ["", "{}", "[]", r#"{"code":1}"#, "no json"] {
        let answer = server.request("POST", "/u/sign-in", &[JSON], body.as_bytes());
        assert_eq!(answer.status, 400, "{body}: {answer:?}");
    }
    let large = |bytes: usize| sign_in(&server, &"x".repeat(bytes)).status;
    assert_eq!((large(4096 - r#"{"code":""}"#.len()), large(4097 - r#"{"code":""}"#.len())), (401, 413));
    assert_eq!(sign_in(&server, &code).status, 200);
}

#[test]
fn a_start_prints_the_link_and_no_log_has_its_code() {
    let directory = tempfile::tempdir().unwrap();
    let settings =
        [("INTAKE_STORAGE_PATH", directory.path().to_str().unwrap()), ("INTAKE_LOG_LEVEL", "trace")];
    let mut child = intake(&["serve", "--bind", "127.0.0.1:0"], &settings)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let mut told = Vec::new();
    let link = loop {
        let line = lines.next().expect("the server ended");
        if let Some(rest) = line.trim().strip_prefix("status page ") {
            break rest.split(' ').next().unwrap().to_owned();
        }
        told.push(line);
    };
    let (url, code) = link.split_once("/#code=").unwrap();
    let url = format!("{url}/u/sign-in");
    let body = json!({ "code": code });
    let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
    let statuses = [0, 1].map(|_| agent.post(&url).send_json(&body).unwrap().status().as_u16());
    child.kill().unwrap();
    child.wait().unwrap();
    told.extend(lines);
    assert_eq!(statuses, [200, 401]);
    assert!(!told.join("\n").contains(code), "{told:?}");
}

#[test]
fn progress_in_rows_is_told_when_it_is_asked_for() {
    let server = Server::ephemeral();
    let job = server.import(include_str!("../data/mixed.json"), true);
    let path = format!("/api/v2/jobs/{}", job["id"].as_str().unwrap());
    assert!(job.get("progress").is_none() && job.get("upsert").is_none(), "{job}");
    let with = server.get(&format!("{path}?include=progress")).json();
    let expected = json!({ "rows_done": 7, "rows_total": 7, "inserted": 2, "updated": 0, "failed": 5 });
    assert_eq!((&with["progress"], &with["upsert"]), (&expected, &json!(true)), "{with}");
    assert_eq!(with["file_size"], include_str!("../data/mixed.json").len());
    assert!(with["ended_at"].as_str() >= with["created_at"].as_str(), "{with}");
    let listed = server.get("/api/v2/jobs?include=progress").json();
    assert_eq!(listed, json!([with]));
    let none = server.import("no json", false);
    let path = format!("/api/v2/jobs/{}?include=progress", none["id"].as_str().unwrap());
    let expected = json!({ "rows_done": 0, "inserted": 0, "updated": 0, "failed": 0 });
    assert_eq!(server.get(&path).json()["progress"], expected);
    let message = "Query validation error: 'No enum match for: all' on property include.";
    for path in ["/api/v2/jobs?include=all".to_owned(), path.replace("progress", "all")] {
        server.get(&path).assert_refusal(400, "Bad Request", message, "invalid_query_string");
    }
}

#[test]
fn signing_in_to_the_page_is_an_event_of_the_tenant_log() {
    let server = Server::ephemeral();
    assert_eq!(sign_in(&server, &code(&server)).status, 200);
    let event: Value = server.get("/api/v2/logs").json()[0].clone();
    assert_eq!((&event["type"], &event["client_id"]), (&json!("seccft"), &json!("intake-page")), "{event}");
}
