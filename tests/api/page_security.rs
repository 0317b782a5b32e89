//! The pages below `/u` and the status page, as an attacker meets them.

use std::collections::HashSet;
use std::thread;

use serde_json::{Value, json};

use crate::helpers::{Server, intake};
use crate::login::{PASSWORD, World};

/// What each answer that a browser shows has to say.
const HEADERS: [(&str, &str); 6] = [
    ("x-frame-options", "DENY"),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("access-control-allow-origin", ""),
];

#[test]
fn no_page_is_framed_sniffed_or_told_of_to_others() {
    let world = World::with("");
    let ticket = world.ticket("ann@example.test");
    let verification = verification_ticket(&world);
    for path in [
        "/".to_owned(),
        "/u/reset-password".to_owned(),
        format!("/u/reset-password?ticket={ticket}"),
        "/u/email-verification".to_owned(),
        format!("/u/email-verification?ticket={verification}"),
    ] {
        let answer = world.server.request("GET", &path, &[("origin", "https://evil.test")], b"");
        for (name, value) in HEADERS {
            assert_eq!(answer.header(name), value, "{path}: {name}");
        }
        let policy = answer.header("content-security-policy");
        for rule in ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action "] {
            assert!(policy.contains(rule), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe-") && !policy.contains('*'), "{path}: {policy}");
        // No inline script, style or handler of events: the policy refuses them, and there are none.
        for (at, _) in answer.text.match_indices("<script") {
            assert!(answer.text[at..].starts_with("<script type=\"module\" src=\"/static/"), "{path}");
        }
        let text = answer.text.to_lowercase();
        for word in
            ["<style", " style=", " onclick", " onload", " onerror", "javascript:", "<iframe", "<base"]
        {
            assert!(!text.contains(word), "{path}: {word}");
        }
    }
    assert_eq!(world.set(&ticket, PASSWORD, PASSWORD).header("x-frame-options"), "DENY");
}

#[test]
fn browsers_are_told_to_come_by_https_alone_where_a_name_is_for_that_alone() {
    let sent = |public_url: &str| {
        let server = Server::ephemeral_with(&[("INTAKE_SERVER_PUBLIC_URL", public_url)]);
        let of =
            |path: &str| server.request("GET", path, &[], b"").header("strict-transport-security").to_owned();
        let all = [of("/"), of("/u/reset-password"), of("/healthz"), of("/api/v2/jobs"), of("/nothing")];
        assert!(all.iter().all(|one| *one == all[0]), "{public_url}: {all:?}");
        all[0].clone()
    };
    assert_eq!(sent("https://users.example.test"), "max-age=31536000");
    assert_eq!(sent("https://users.example.test/intake"), "max-age=31536000");
    // They would keep it for every port of the name, and for whatever else is there.
    for other in [
        "http://users.example.test",
        "https://users.example.test:8443",
        "https://localhost",
        "https://app.localhost",
        "https://intake",
        "https://127.0.0.1",
        "https://[::1]",
        "",
    ] {
        assert_eq!(sent(other), "", "{other}");
    }
}

/// Runs it fifty times at the same moment; tells what came of each.
fn fifty<T: Send>(one: impl Fn() -> T + Sync) -> Vec<T> {
    thread::scope(|scope| {
        let all: Vec<_> = (0..50).map(|_| scope.spawn(&one)).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    })
}

fn verification_ticket(world: &World) -> String {
    let user = world.server.user("bob@example.test")["user_id"].clone();
    let answer = world.call("POST", "/api/v2/tickets/email-verification", &json!({ "user_id": user }));
    assert_eq!(answer.status, 201, "{}", answer.text);
    let link = answer.json()["ticket"].as_str().unwrap().to_owned();
    link.split_once("ticket=").unwrap().1.trim_end_matches('#').to_owned()
}

#[test]
fn of_fifty_who_use_a_ticket_at_once_one_wins() {
    let world = World::with("");
    let ticket = world.ticket("ann@example.test");
    let mut statuses = fifty(|| world.set(&ticket, PASSWORD, PASSWORD).status);
    statuses.sort_unstable();
    // Some may find no turn to hash a password; those have used nothing.
    statuses.retain(|status| *status != 503);
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| [200, 404].contains(status)), "{statuses:?}");
    assert_eq!(world.events(&["scp"]).len(), 1);

    let ticket = verification_ticket(&world);
    let form = format!("ticket={ticket}");
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let press = || world.server.request("POST", "/u/email-verification", &headers, form.as_bytes()).status;
    let statuses = fifty(press);
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| [200, 404].contains(status)), "{statuses:?}");
    assert_eq!(world.events(&["sv"]).len(), 1);
}

#[test]
fn of_fifty_who_use_the_link_of_the_status_page_at_once_one_wins() {
    let server = Server::ephemeral();
    let (_, code) = server.about["page"].as_str().unwrap().split_once("#code=").unwrap();
    let body = json!({ "code": code }).to_string();
    let json = [("content-type", "application/json")];
    let mut statuses = fifty(|| server.request("POST", "/u/sign-in", &json, body.as_bytes()).status);
    statuses.sort_unstable();
    assert_eq!((statuses[0], statuses[1] >= 400), (200, true), "{statuses:?}");
}

/// 32 characters, each one of 62 and as likely as the others, are 190 bits; what can be seen of that is that
/// they are all different, and use all characters alike.
#[test]
fn tickets_and_codes_are_beyond_guessing() {
    let world = World::with("");
    let tickets: HashSet<String> = (0..200).map(|_| world.ticket("ann@example.test")).collect();
    assert_eq!(tickets.len(), 200);
    let mut counts = [0_u32; 128];
    for ticket in &tickets {
        assert!(ticket.len() == 32 && ticket.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{ticket}");
        ticket.bytes().for_each(|byte| counts[usize::from(byte)] += 1);
    }
    let used: Vec<u32> = counts.into_iter().filter(|count| 0 < *count).collect();
    // 103 of each are expected; less than 40 or more than 200 is as likely as a meteorite.
    assert!(used.len() == 62 && used.iter().all(|count| (40..200).contains(count)), "{used:?}");
}

/// There are no cookies, so a foreign page that sends a form brings nobody's rights with it: what it can send, it
/// could send itself. It cannot send what the link of the status page is redeemed with.
#[test]
fn a_foreign_page_has_nobodys_rights() {
    let world = World::with("");
    let foreign = [
        ("origin", "https://evil.test"),
        ("sec-fetch-site", "cross-site"),
        ("content-type", "text/plain"),
        ("cookie", "session=1"),
    ];
    let answer = world.server.request("POST", "/u/sign-in", &foreign, br#"{"code":"x"}"#);
    assert_eq!(answer.status, 400, "{answer:?}");
    for (method, path) in [
        ("POST", "/u/sign-in"),
        ("POST", "/u/reset-password"),
        ("POST", "/u/email-verification"),
        ("POST", "/oauth/token"),
        ("POST", "/dbconnections/change_password"),
        ("GET", "/api/v2/jobs"),
        ("DELETE", "/api/v2/users/auth0%7C000000000000000000000000"),
    ] {
        let answer = world.server.request(method, path, &foreign, b"ticket=x&password=y&again=y");
        assert!((400..500).contains(&answer.status), "{method} {path}: {answer:?}");
        assert!(!answer.headers.contains_key("set-cookie"), "{path}");
        assert!(!answer.headers.contains_key("access-control-allow-origin"), "{path}");
        let asked = [("origin", "https://evil.test"), ("access-control-request-method", method)];
        let preflight = world.server.request("OPTIONS", path, &asked, b"");
        assert!(!preflight.headers.contains_key("access-control-allow-origin"), "{path}");
    }
}

/// As a service, its output is kept: nothing in it opens anything.
#[test]
fn where_output_is_kept_no_secret_is_said() {
    let files = tempfile::tempdir().unwrap();
    let data = files.path().join("data");
    let settings = [("INTAKE_STORAGE_PATH", data.to_str().unwrap())];
    for start in 0..2 {
        let log = files.path().join("log");
        let mut command = intake(&["serve", "--bind", "127.0.0.1:0", "--no-secrets"], &settings);
        let mut child = command.stderr(std::fs::File::create(&log).unwrap()).spawn().unwrap();
        let said = crate::helpers::until("it listens", || {
            let said = std::fs::read_to_string(&log).unwrap();
            said.contains("TOKEN=").then_some(said)
        });
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!said.contains("client_secret") && !said.contains("code="), "{said}");
        assert_eq!(said.contains("client_id"), start == 0, "{said}");
        let is_secret =
            |word: &str| 40 <= word.len() && word.bytes().all(|byte| byte.is_ascii_alphanumeric());
        assert!(!said.split_whitespace().any(is_secret), "{said}");
    }
    let output = intake(&["serve", "--ephemeral", "--no-secrets"], &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "a throwaway server is there to say its secrets");
}

#[test]
fn what_users_are_called_is_text_on_every_page() {
    let world = World::with("");
    let hostile = "\"<b>&'x\"@example.test";
    let user = world.server.user(hostile)["user_id"].clone();
    let answer = world.call("POST", "/api/v2/tickets/email-verification", &json!({ "user_id": user }));
    let link = answer.json()["ticket"].as_str().unwrap().to_owned();
    let path = link.strip_prefix("http://intake.test").unwrap().trim_end_matches('#').to_owned();
    for path in [path, format!("/u/reset-password?ticket={}", world.ticket(hostile))] {
        let shown = world.server.request("GET", &path, &[], b"");
        assert_eq!(shown.status, 200);
        assert!(
            !shown.text.contains("<b>") && shown.text.contains("&lt;b&gt;&amp;&#x27;x"),
            "{}",
            shown.text
        );
    }
    // The API says it as it is, as JSON that no browser takes for a page.
    let json = world.call("GET", "/api/v2/users?q=*", &Value::Null);
    assert!(json.header("content-type").starts_with("application/json"));
    assert_eq!(json.header("x-content-type-options"), "nosniff");
}
