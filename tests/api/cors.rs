//! Pages of other origins.

use crate::helpers::{Answer, Server, intake};

const APP: &str = "https://app.example.test";

fn ask(server: &Server, method: &str, path: &str, origin: &str, more: &[(&str, &str)]) -> Answer {
    let headers: Vec<_> = [("origin", origin)].into_iter().chain(more.iter().copied()).collect();
    server.request(method, path, &headers, b"")
}

fn preflight(server: &Server, path: &str, origin: &str) -> Answer {
    let asks = [
        ("access-control-request-method", "PATCH"),
        ("access-control-request-headers", "authorization,auth0-client"),
    ];
    ask(server, "OPTIONS", path, origin, &asks)
}

fn varies_by(answer: &Answer) -> Vec<&str> {
    answer.headers.get_all("vary").iter().map(|value| value.to_str().unwrap()).collect()
}

#[track_caller]
fn assert_closed(answer: &Answer) {
    let opens = |name: &str| name.starts_with("access-control-");
    assert!(!answer.headers.keys().any(|name| opens(name.as_str())), "{answer:?}");
}

#[test]
fn pages_of_named_origins_may_read_every_answer() {
    let server =
        Server::ephemeral_with(&[("INTAKE_SERVER_CORS_ORIGINS", &format!("{APP},http://localhost:5173"))]);
    let bearer = format!("Bearer {}", server.token);
    for (path, status) in
        [("/api/v2/connections", 200), ("/api/v2/clients/nobody", 404), ("/api/v2/nothing", 404)]
    {
        for origin in [APP, "http://localhost:5173"] {
            let answer = ask(&server, "GET", path, origin, &[("authorization", &bearer)]);
            assert_eq!(
                (answer.status, answer.header("access-control-allow-origin")),
                (status, origin),
                "{path}"
            );
            let exposed = answer.header("access-control-expose-headers");
            for name in [
                "x-ratelimit-limit",
                "x-ratelimit-remaining",
                "x-ratelimit-reset",
                "retry-after",
                "link",
                "location",
            ] {
                assert!(exposed.contains(name), "{name}: {exposed}");
            }
            assert!(exposed.contains("x-intake-max-file-size"));
            assert!(!answer.headers.contains_key("access-control-allow-credentials"));
            assert_eq!(varies_by(&answer), ["accept-encoding", "origin"]);
        }
    }
    // Refusals, too, or the page would never learn of them.
    let refused = ask(&server, "GET", "/api/v2/connections", APP, &[]);
    assert_eq!((refused.status, refused.header("access-control-allow-origin")), (401, APP));
}

#[test]
fn a_preflight_needs_no_token_and_is_told_what_the_endpoint_does() {
    let server = Server::ephemeral_with(&[("INTAKE_SERVER_CORS_ORIGINS", APP)]);
    let answer = preflight(&server, "/api/v2/clients/x", APP);
    assert_eq!((answer.status, &*answer.text), (204, ""));
    for (name, value) in [
        ("access-control-allow-origin", APP),
        ("access-control-allow-methods", "GET, HEAD, PATCH, DELETE, OPTIONS"),
        ("access-control-allow-headers", "authorization,auth0-client"),
        ("access-control-max-age", "600"),
    ] {
        assert_eq!(answer.header(name), value);
    }
    assert_eq!(
        preflight(&server, "/oauth/token", APP).header("access-control-allow-methods"),
        "POST, OPTIONS"
    );
    let unknown = preflight(&server, "/api/v2/nothing", APP);
    assert_eq!((unknown.status, unknown.header("access-control-allow-methods")), (404, ""));
}

#[test]
fn other_origins_get_no_leave() {
    let server = Server::ephemeral_with(&[("INTAKE_SERVER_CORS_ORIGINS", APP)]);
    for origin in [
        "https://evil.test",
        "https://app.example.test.evil.test",
        "https://app.example.test:8443",
        "http://app.example.test",
        "https://APP.example.test",
        "null",
        "",
    ] {
        for answer in [
            ask(&server, "GET", "/.well-known/jwks.json", origin, &[]),
            preflight(&server, "/api/v2/clients", origin),
        ] {
            assert!([200, 204].contains(&answer.status), "{origin}: {answer:?}");
            assert_closed(&answer);
            assert_eq!(varies_by(&answer), ["accept-encoding", "origin"]);
        }
    }
    let same = server.request("GET", "/.well-known/jwks.json", &[], b"");
    assert_closed(&same);
}

#[test]
fn without_the_setting_nobody_gets_leave() {
    let server = Server::ephemeral();
    for answer in
        [ask(&server, "GET", "/.well-known/jwks.json", APP, &[]), preflight(&server, "/api/v2/clients", APP)]
    {
        assert_closed(&answer);
        assert_eq!(varies_by(&answer), ["accept-encoding"]);
    }
}

#[test]
fn an_origin_that_no_browser_would_send_stops_the_program_by_name() {
    for (given, expected) in [
        ("*", "is no origin like https://app.example.com (and * is not allowed)"),
        ("null", "is no origin like"),
        ("app.example.test", "is no origin like"),
        ("file:///x", "is no origin like"),
        ("https://app.example.test/", "browsers would write https://app.example.test"),
        ("https://App.example.test", "browsers would write https://app.example.test"),
        ("https://app.example.test:443", "browsers would write https://app.example.test"),
        ("https://app.example.test/path", "browsers would write https://app.example.test"),
        ("https://me@app.example.test", "browsers would write https://app.example.test"),
    ] {
        let settings = [("INTAKE_SERVER_CORS_ORIGINS", given)];
        let output = intake(&["serve", "--ephemeral"], &settings).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{given} was taken");
        assert!(said.contains("server.cors_origins") && said.contains(expected), "{given}: {said}");
    }
}
