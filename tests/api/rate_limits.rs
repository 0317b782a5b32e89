//! How often one client may ask.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::helpers::{Answer, Form, Server, until};

fn limited(per_second: &str, burst: &str) -> Server {
    Server::ephemeral_with(&[
        ("INTAKE_RATE_LIMIT_REQUESTS_PER_SECOND", per_second),
        ("INTAKE_RATE_LIMIT_BURST", burst),
    ])
}

fn number(answer: &Answer, name: &str) -> u64 {
    answer.header(name).parse().unwrap_or_else(|_| panic!("{name}: {answer:?}"))
}

fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

#[track_caller]
fn assert_over(answer: &Answer, limit: u64) {
    answer.assert_refusal(429, "Too Many Requests", "Global limit has been reached", "too_many_requests");
    assert_eq!((number(answer, "x-ratelimit-limit"), number(answer, "x-ratelimit-remaining")), (limit, 0));
    assert!(number(answer, "retry-after") >= 1);
    assert!(number(answer, "x-ratelimit-reset") > 1_700_000_000);
}

const PATH: &str = "/api/v2/connections";

#[test]
fn a_client_may_ask_so_many_times_at_once_and_is_then_told_when_to_come_back() {
    let server = limited("1", "20");
    let mut remaining = Vec::new();
    let refused = loop {
        let asked_at = seconds();
        let answer = server.get(PATH);
        if answer.status != 200 {
            break answer;
        }
        assert_eq!(number(&answer, "x-ratelimit-limit"), 20);
        remaining.push(number(&answer, "x-ratelimit-remaining"));
        let full = number(&answer, "x-ratelimit-reset");
        assert!((asked_at..=seconds() + 21).contains(&full), "{answer:?}");
        assert!(remaining.len() < 1000, "no limit was met");
    };
    assert_over(&refused, 20);
    assert_eq!(number(&refused, "retry-after"), 1);
    assert_eq!(remaining[0], 19);
    // A slow machine is given some more meanwhile, but the last one always was the last.
    assert!(20 <= remaining.len() && remaining.last() == Some(&0), "{remaining:?}");
    // It is given again.
    until("the bucket gives again", || (server.get(PATH).status == 200).then_some(()));
}

#[test]
fn every_client_has_a_bucket_of_its_own_and_so_have_those_without_a_token() {
    let file = r#"
        [rate_limit]
        requests_per_second = 1
        burst = 1000
        [[clients]]
        client_id = "one"
        client_secret = "0123456789abcdef0123456789abcdef"
        [[clients]]
        client_id = "two"
        client_secret = "0123456789abcdef0123456789abcdef"
    "#;
    let server = Server::ephemeral_configured(file);
    let token = |id: &str| {
        let form = format!(
            "grant_type=client_credentials&client_id={id}&client_secret=0123456789abcdef0123456789abcdef"
        );
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let answer = server.request("POST", "/oauth/token", &headers, form.as_bytes());
        answer.json()["access_token"].as_str().unwrap().to_owned()
    };
    let (one, one_more, two) = (token("one"), token("one"), token("two"));
    let left = |answer: &Answer| number(answer, "x-ratelimit-remaining");
    for _ in 0..200 {
        assert_eq!(server.get_as(PATH, &one).status, 200);
    }
    // Another token of the same client does not help.
    assert!(left(&server.get_as(PATH, &one_more)) < 900);
    let other = server.get_as(PATH, &two);
    assert_eq!((other.status, left(&other)), (200, 999));
    let nobody = server.request("GET", PATH, &[], b"");
    assert_eq!((nobody.status, left(&nobody)), (401, 999));
    // Bad tokens of whatever kind are counted together, by address.
    for _ in 0..200 {
        assert_eq!(server.get_as(PATH, "nonsense").status, 401);
    }
    assert!(left(&server.request("GET", PATH, &[], b"")) < 900);
}

#[test]
fn who_shows_no_good_token_is_refused_above_the_limit_but_others_are_not() {
    let server = limited("1", "3");
    for ask in [&|| server.request("GET", PATH, &[], b""), &|| server.get_as(PATH, "nonsense")]
        as [&dyn Fn() -> _; 2]
    {
        assert_over(
            &until("the limit is met", || Some(ask()).filter(|answer: &Answer| answer.status == 429)),
            3,
        );
    }
    let good = server.get(PATH);
    assert_eq!((good.status, number(&good, "x-ratelimit-remaining")), (200, 2));
}

#[test]
fn an_upload_above_the_limit_is_read_over_and_leaves_no_trace() {
    let server = limited("1", "2");
    let form = Form::import("con_0000000000000000", "[]", false);
    let refused =
        until("the limit is met", || Some(server.upload(&form)).filter(|answer| answer.status == 429));
    assert_over(&refused, 2);
    let tried = until("the log can be read", || {
        Some(server.get("/api/v2/logs?q=type:fapi")).filter(|answer| answer.status == 200)
    });
    assert!(!tried.text.contains("Global limit"), "{}", tried.text);
}

#[test]
fn the_usual_limit_is_met_by_nobody_and_none_is_a_setting() {
    let server = Server::ephemeral();
    let answer = server.get(PATH);
    let told = ["x-ratelimit-limit", "x-ratelimit-remaining"].map(|name| number(&answer, name));
    assert_eq!(told[0], 100_000);
    assert!(told[1] > 90_000);
    let server = limited("0", "1");
    for _ in 0..50 {
        let answer = server.get(PATH);
        assert_eq!(answer.status, 200);
        assert!(answer.headers.keys().all(|name| !name.as_str().starts_with("x-ratelimit")), "{answer:?}");
    }
}

#[test]
fn endpoints_that_are_not_of_the_api_have_no_such_limit() {
    let server = limited("1", "1");
    for _ in 0..20 {
        assert_eq!(server.request("GET", "/.well-known/jwks.json", &[], b"").status, 200);
        assert_eq!(server.request("OPTIONS", PATH, &[], b"").status, 204);
    }
}
