//! Verifying an address: a job, a mail, a link, a page.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::helpers::{Answer, Form, PATIENCE, Server, escape};
use crate::login::{CONNECTION, PASSWORD, World};
use crate::smtp::MailServer;

const JOBS: &str = "/api/v2/jobs/verification-email";
const TICKETS: &str = "/api/v2/tickets/email-verification";
const PAGE: &str = "/u/email-verification";
const ANN: &str = "ann@example.test";

/// The text of the ticket in a link, wherever that is.
#[track_caller]
fn ticket_in(text: &str) -> String {
    let start = format!("http://intake.test{PAGE}?ticket=");
    let (_, rest) = text.split_once(&start).unwrap_or_else(|| panic!("no link in {text}"));
    rest.chars().take_while(char::is_ascii_alphanumeric).collect()
}

fn page(server: &Server, ticket: &str) -> Answer {
    server.request("GET", &format!("{PAGE}?ticket={}", escape(ticket)), &[], b"")
}

/// Presses the button of the page.
fn press(server: &Server, ticket: &str) -> Answer {
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    server.request("POST", PAGE, &headers, format!("ticket={}", escape(ticket)).as_bytes())
}

#[track_caller]
fn assert_gone(answer: &Answer) {
    assert_eq!(answer.status, 404, "{answer:?}");
    assert!(answer.text.contains("This link does not work any more"), "{}", answer.text);
    assert!(!answer.text.contains("<form"), "{}", answer.text);
}

fn id_of(server: &Server, email: &str) -> Value {
    server.user(email)["user_id"].clone()
}

fn is_verified(server: &Server, email: &str) -> bool {
    server.user(email)["email_verified"] == true
}

/// Has the job done for a user; tells its answer.
#[track_caller]
fn ask(server: &Server, email: &str) -> Value {
    let answer = server.send("POST", JOBS, &json!({ "user_id": id_of(server, email) }));
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.json()
}

/// The text of a ticket for the administrator to deliver, wanted like this.
#[track_caller]
fn ticket(server: &Server, email: &str, more: &Value) -> String {
    let mut asked = more.clone();
    asked["user_id"] = id_of(server, email);
    let answer = server.send("POST", TICKETS, &asked);
    assert_eq!(answer.status, 201, "{}", answer.text);
    let link = answer.json()["ticket"].as_str().unwrap().to_owned();
    let ticket = ticket_in(&link);
    assert_eq!(link, format!("http://intake.test{PAGE}?ticket={ticket}#"));
    assert_eq!(ticket.len(), 32);
    ticket
}

/// A server on a directory that sends its letters to a mail server.
fn mailing(directory: &Path, mail: &MailServer, more: &[(&str, &str)]) -> Server {
    let settings = mail.settings();
    let settings = settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    Server::on(directory, &settings.chain(more.iter().copied()).collect::<Vec<_>>())
}

/// The same with a user.
fn mailing_with_ann(directory: &Path, mail: &MailServer, more: &[(&str, &str)]) -> Server {
    let server = mailing(directory, mail, more);
    let row = json!([{ "email": ANN, "email_verified": false }]).to_string();
    let imported = server
        .upload(&Form::import(&server.connection_id(), &row, false).with("send_completion_email", "false"));
    server.wait(imported.json()["id"].as_str().unwrap());
    server
}

#[test]
fn a_job_sends_a_mail_whose_link_verifies_the_address() {
    let Some(mail) = MailServer::start(&[]) else { return };
    let directory = tempfile::tempdir().unwrap();
    let settings = [("INTAKE_TENANT_NAME", "acme <b>"), ("INTAKE_LOGIN_VERIFICATION_LINK_LIFETIME", "36h")];
    let server = mailing_with_ann(directory.path(), &mail, &settings);
    let before = server.user(ANN);
    let job = ask(&server, ANN);
    let id = job["id"].as_str().unwrap();
    let expected = json!({
        "type": "verification_email", "status": "pending", "created_at": job["created_at"], "id": id,
    });
    assert_eq!(job, expected);
    let done = server.wait(id);
    assert_eq!(
        done,
        json!({ "status": "completed", "type": job["type"], "created_at": job["created_at"], "id": id })
    );
    assert_eq!(server.get(&format!("/api/v2/jobs/{id}/errors")).status, 204);

    let letter = mail.wait_for_letters(1).remove(0);
    assert_eq!((&letter["to"], &letter["envelope_to"]), (&json!(ANN), &json!([ANN])));
    assert_eq!(letter["subject"], "Verify your email address for acme <b>");
    assert_eq!(letter["defects"], json!([]));
    let text = letter["text"].as_str().unwrap();
    assert!(text.contains("for 1 day 12 hours from when") && text.contains(ANN), "{text}");
    let html = letter["html"].as_str().unwrap();
    assert!(!html.contains("<b>") && html.contains("acme &lt;b&gt;"), "{html}");
    let ticket = ticket_in(text);
    assert!(html.contains(&ticket));
    assert!(!letter["message_id"].as_str().unwrap().contains(&ticket));

    // Programs that check mail follow links, too.
    for _ in 0..3 {
        let shown = page(&server, &ticket);
        assert_eq!(shown.status, 200, "{}", shown.text);
        assert!(shown.text.contains(ANN) && shown.text.contains(&ticket) && shown.text.contains("<button"));
    }
    assert_eq!(server.user(ANN), before, "looking verifies nothing");
    let pressed = press(&server, &ticket);
    assert_eq!(pressed.status, 200, "{}", pressed.text);
    assert!(pressed.text.contains("Your address is verified"), "{}", pressed.text);
    let after = server.user(ANN);
    assert_eq!(after["email_verified"], true);
    assert!(after["updated_at"].as_str() > before["updated_at"].as_str());

    let log = server.get("/api/v2/logs?per_page=100&sort=date:1").json();
    let log = log.as_array().unwrap();
    let told =
        |kind: &str| log.iter().find(|event| event["type"] == kind).unwrap_or_else(|| panic!("no {kind}"));
    for kind in ["svr", "sv"] {
        assert_eq!(told(kind)["user_id"], before["user_id"]);
        assert_eq!(told(kind)["user_name"], ANN);
        assert_eq!(told(kind)["connection_id"], server.connection_id());
    }
    assert_eq!(told("svr")["details"]["body"]["job_id"], id);
    let asked = log.iter().find(|event| event["description"] == "Send an Email Address Verification Email");
    assert_eq!(asked.unwrap()["details"]["response"], json!({ "statusCode": 201, "body": { "id": id } }));
    assert!(!json!(log).to_string().contains(&ticket));
}

#[test]
fn a_link_works_once_and_only_while_it_is_the_newest_of_its_kind() {
    let world = World::with("");
    let server = &world.server;
    let (older, newer) = (ticket(server, ANN, &json!({})), ticket(server, ANN, &json!({})));
    let reset = world.ticket(ANN);
    assert_gone(&page(server, &older));
    assert_gone(&press(server, &older));
    assert_gone(&page(server, &reset));
    assert_gone(&press(server, &reset));
    assert_gone(&world.set(&newer, PASSWORD, PASSWORD));
    assert!(!is_verified(server, ANN));
    assert_eq!(press(server, &newer).status, 200);
    assert_gone(&page(server, &newer));
    assert_gone(&press(server, &newer));
    assert!(is_verified(server, ANN));
    assert_eq!(world.set(&reset, PASSWORD, PASSWORD).status, 200, "links of the other kind stay good");
    assert_eq!((world.events(&["sv"]).len(), world.events(&["fv"]).len()), (1, 0));
    assert_eq!(world.letters().len(), 0, "the caller delivers the link");
    let made = world.events(&["sapi"]);
    let made =
        made.iter().find(|event| event["description"] == "Create an Email Verification Ticket").unwrap();
    assert_eq!(made["user_name"], ANN);
    assert!(!made.to_string().contains(&newer));

    let job = ask(server, "bob@example.test");
    assert_eq!(server.wait(job["id"].as_str().unwrap())["status"], "completed");
    let first = ticket_in(&world.letters()[0]);
    let second = ticket(server, "bob@example.test", &json!({}));
    assert_gone(&page(server, &first));
    assert_eq!(page(server, &second).status, 200);
}

#[test]
fn of_two_who_press_the_button_at_once_one_wins() {
    let world = World::with("");
    let ticket = ticket(&world.server, ANN, &json!({}));
    let statuses: Vec<u16> = thread::scope(|scope| {
        let all: Vec<_> = (0..6).map(|_| scope.spawn(|| press(&world.server, &ticket).status)).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| [200, 404].contains(status)), "{statuses:?}");
    assert_eq!(world.events(&["sv"]).len(), 1);
    assert!(is_verified(&world.server, ANN));
}

#[test]
fn a_link_ends_after_its_time_and_with_its_user() {
    let world = World::with("");
    let server = &world.server;
    let short = ticket(server, ANN, &json!({ "ttl_sec": 1 }));
    let deadline = Instant::now() + PATIENCE;
    while page(server, &short).status == 200 {
        assert!(Instant::now() < deadline, "the link never ends");
        thread::sleep(Duration::from_millis(20));
    }
    assert_gone(&page(server, &short));
    assert_gone(&press(server, &short));
    assert!(!is_verified(server, ANN));

    let orphan = ticket(server, ANN, &json!({ "ttl_sec": 0 }));
    assert_eq!(page(server, &orphan).status, 200);
    let path = format!("/api/v2/connections/{CONNECTION}/users?email={}", escape(ANN));
    assert_eq!(world.call("DELETE", &path, &json!({})).status, 204);
    assert_gone(&page(server, &orphan));
    assert_gone(&press(server, &orphan));
}

#[test]
fn a_link_verifies_no_address_that_the_user_got_later() {
    let world = World::with("");
    let server = &world.server;
    let path = format!("/api/v2/users/{}", escape(id_of(server, ANN).as_str().unwrap()));
    let old = ticket(server, ANN, &json!({}));
    assert_eq!(page(server, &old).status, 200);
    assert_eq!(server.send("PATCH", &path, &json!({ "email": "anna@example.test" })).status, 200);
    assert_gone(&page(server, &old));
    assert_gone(&press(server, &old));
    assert!(!is_verified(server, "anna@example.test"));
    // Who gets another address is asked to verify that one.
    let letters = world.letters();
    assert!(letters.len() == 1 && letters[0].contains("To: anna@example.test"), "{letters:?}");
    assert_eq!(press(server, &ticket_in(&letters[0])).status, 200);
    assert!(is_verified(server, "anna@example.test"));
}

#[test]
fn users_who_are_made_one_by_one_are_asked_to_verify_their_address() {
    let world = World::with("");
    let server = &world.server;
    let make = |more: Value| {
        let mut asked = more;
        asked["connection"] = "staff".into();
        let answer = server.send("POST", "/api/v2/users", &asked);
        assert_eq!(answer.status, 201, "{}", answer.text);
        answer.json()
    };
    make(json!({ "email": "known@example.test", "email_verified": true }));
    make(json!({ "email": "quiet@example.test", "verify_email": false }));
    assert_eq!(world.letters().len(), 0);
    let user = make(json!({ "email": "new@example.test" }));
    let letters = world.letters();
    assert!(letters.len() == 1 && letters[0].contains("To: new@example.test"), "{letters:?}");
    let told = &world.events(&["svr"])[0];
    assert_eq!((&told["user_id"], &told["user_name"]), (&user["user_id"], &user["email"]));
    let first = ticket_in(&letters[0]);

    let path = format!("/api/v2/users/{}", escape(user["user_id"].as_str().unwrap()));
    let asked = json!({ "verify_email": true, "client_id": "app" });
    assert_eq!(server.send("PATCH", &path, &asked).status, 200);
    assert_eq!(world.events(&["svr"])[1]["client_id"], "app");
    assert_gone(&page(server, &first));
    let tickets = world.letters();
    let newest = tickets.iter().map(|letter| ticket_in(letter)).find(|ticket| *ticket != first).unwrap();
    assert_eq!(press(server, &newest).status, 200);
    assert!(is_verified(server, "new@example.test"));
}

#[test]
fn a_ticket_can_lead_on_and_tell_how_it_went() {
    let world = World::with("");
    let server = &world.server;
    let bare = id_of(server, ANN).as_str().unwrap().strip_prefix("auth0|").unwrap().to_owned();
    let asked = json!({
        "result_url": "https://app.test:8443/done?a=1#top", "includeEmailInRedirect": true, "client_id": "app",
        "ttl_sec": 2_592_000, "identity": { "user_id": bare, "provider": "auth0", "connection_id": CONNECTION },
    });
    let first = ticket(server, ANN, &asked);
    let policy = page(server, &first).header("content-security-policy").to_owned();
    assert!(policy.contains("form-action 'self' https://app.test:8443;"), "{policy}");
    let done = press(server, &first);
    let expected = "https://app.test:8443/done?a=1&supportSignUp=true&supportForgotPassword=true\
                    &email=ann%40example.test&success=true&code=success\
                    &message=Your+email+was+verified.+You+can+continue+using+the+application.#top";
    assert_eq!((done.status, done.header("location")), (303, expected));
    assert_eq!((done.header("referrer-policy"), done.header("cache-control")), ("no-referrer", "no-store"));
    assert_eq!(world.events(&["sv"])[0]["client_id"], "app");
    assert_gone(&press(server, &first));

    let second = ticket(server, ANN, &json!({ "result_url": "http://app.test" }));
    let location = press(server, &second).header("location").to_owned();
    assert!(
        location.starts_with("http://app.test/?supportSignUp=true&supportForgotPassword=true&success=true&")
    );
}

#[test]
fn the_page_lets_nothing_in_and_nothing_out() {
    let world = World::with("");
    let server = &world.server;
    let shown = page(server, &ticket(server, "\"<b>&'x\"@example.test", &json!({})));
    assert_eq!(shown.status, 200);
    assert!(!shown.text.contains("<b>") && shown.text.contains("&lt;b&gt;&amp;&#x27;x"), "{}", shown.text);
    assert!(!shown.text.contains("<script") && !shown.text.contains("style=") && !shown.text.contains("//"));
    let policy =
        "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
    assert_eq!(shown.header("content-security-policy"), policy);
    assert_eq!((shown.header("referrer-policy"), shown.header("cache-control")), ("no-referrer", "no-store"));
    assert_eq!(shown.header("content-type"), "text/html; charset=utf-8");
    let gone = page(server, "");
    for ticket in
        ["x", "<script>alert(1)</script>", "\"><img src=x>", &"a".repeat(32), &"a".repeat(600), "%00"]
    {
        for answer in [page(server, ticket), press(server, ticket)] {
            assert_gone(&answer);
            assert_eq!(answer.text, gone.text, "dead links look the same");
        }
    }
    assert_gone(&server.request("GET", PAGE, &[], b""));
    assert_eq!(server.request("POST", PAGE, &[], &[b'a'; 1025]).status, 413);
    assert_eq!(server.request("POST", PAGE, &[], &[b'a'; 1024]).status, 400);
    assert_eq!(server.request("POST", PAGE, &[], b"").status, 400);
    assert_eq!(world.events(&["sv", "fv"]).len(), 0, "links that are no good leave no trace");
}

#[test]
fn a_job_or_ticket_that_makes_no_sense_is_refused() {
    let world = World::with("");
    let server = &world.server;
    let id = id_of(server, ANN);
    let bare = id.as_str().unwrap().strip_prefix("auth0|").unwrap();
    let other =
        id_of(server, "bob@example.test").as_str().unwrap().strip_prefix("auth0|").unwrap().to_owned();
    for path in [JOBS, TICKETS] {
        let refused = |body: Value, status: u16, message: &str, code: &str| {
            let error = if status == 404 { "Not Found" } else { "Bad Request" };
            server.send("POST", path, &body).assert_refusal(status, error, message, code);
        };
        let invalid = |body: Value, rule: &str| {
            refused(body, 400, &format!("Payload validation error: {rule}."), "invalid_body");
        };
        invalid(json!({}), "'Missing required property: user_id'");
        invalid(json!({ "user_id": 1 }), "'Expected type string but found type integer' on property user_id");
        invalid(json!({ "user_id": id, "x": 1 }), "'Additional properties not allowed: x'");
        invalid(
            json!({ "user_id": id, "organization_id": "org_0000000000000000" }),
            "'There are no organizations here; leave it out' on property organization_id",
        );
        invalid(
            json!({ "user_id": id, "client_id": "nobody" }),
            "'There is no client with this id' on property client_id",
        );
        let identity = |identity: Value| json!({ "user_id": id, "identity": identity });
        invalid(identity(json!({})), "'Missing required property: user_id' on property identity");
        invalid(
            identity(json!({ "user_id": bare, "provider": "auth0", "connection_id": "x" })),
            "'String does not match pattern ^con_[A-Za-z0-9]{16}$' on property identity.connection_id",
        );
        invalid(
            identity(json!({ "user_id": bare, "provider": "auth0", "y": 1 })),
            "'Additional properties not allowed: y' on property identity",
        );
        refused(
            identity(
                json!({ "user_id": bare, "provider": "auth0", "connection_id": "con_000000000000000x" }),
            ),
            400,
            "Identity connection does not exist.",
            "inexistent_connection",
        );
        for foreign in [
            json!({ "user_id": other, "provider": "auth0" }),
            json!({ "user_id": bare, "provider": "google-oauth2" }),
            json!({ "user_id": bare, "provider": "auth0", "connection_id": "con_0000000000000002" }),
        ] {
            let message = "The user exists, but does not contain the given identity.";
            refused(identity(foreign), 400, message, "invalid_body");
        }
        for nobody in ["auth0|000000000000000000000000", "nonsense"] {
            let status = if path == JOBS { 400 } else { 404 };
            refused(json!({ "user_id": nobody }), status, "The user does not exist.", "inexistent_user");
        }
    }
    assert_eq!(world.letters().len(), 0);
    let whole = json!({
        "user_id": id, "client_id": "app", "organization_id": null,
        "identity": { "user_id": bare, "provider": "auth0" },
    });
    assert_eq!(server.send("POST", JOBS, &whole).status, 201);
    assert_eq!(world.events(&["svr"])[0]["client_id"], "app");
    let refused = |body: Value, rule: &str| {
        let message = format!("Payload validation error: {rule}.");
        server.send("POST", TICKETS, &body).assert_refusal(400, "Bad Request", &message, "invalid_body");
    };
    refused(
        json!({ "user_id": id, "result_url": "javascript:alert(1)" }),
        "'Expected an http:// or https:// URL' on property result_url",
    );
    refused(
        json!({ "user_id": id, "ttl_sec": 2_592_001 }),
        "'Value 2592001 is greater than maximum 2592000' on property ttl_sec",
    );
    for (path, scope) in [(JOBS, "update:users"), (TICKETS, "create:user_tickets")] {
        let reader = World::token(&world.data(), "read:users");
        let message = format!("Insufficient scope, expected any of: {scope}");
        let answer = server.send_as("POST", path, &json!({}), &reader);
        answer.assert_refusal(403, "Forbidden", &message, "insufficient_scope");
        let able = World::token(&world.data(), scope);
        assert_eq!(server.send_as("POST", path, &json!({ "user_id": id }), &able).status, 201);
    }

    let closed =
        world.call("PATCH", &format!("/api/v2/connections/{CONNECTION}"), &json!({ "enabled_clients": [] }));
    assert_eq!(closed.status, 200, "{}", closed.text);
    let answer = server.send("POST", JOBS, &json!({ "user_id": id }));
    answer.assert_refusal(400, "Bad Request", "Connection must be enabled.", "operation_not_supported");
}

#[test]
fn where_there_is_no_mail_the_job_fails_and_says_so() {
    let world = World::without_mail("");
    let server = &world.server;
    let handed_over = ticket(server, ANN, &json!({}));
    let job = ask(server, ANN);
    assert_eq!(job["status"], "pending");
    let id = job["id"].as_str().unwrap();
    let failed = server.wait(id);
    let reason = "No letters are sent from here: mail.transport is off";
    assert_eq!((&failed["status"], &failed["status_details"]), (&json!("failed"), &json!(reason)));
    assert_eq!(server.get(&format!("/api/v2/jobs/{id}/errors")).json(), failed);
    let told = &world.events(&["svr", "fvr"])[0];
    assert_eq!((&told["type"], &told["description"]), (&json!("fvr"), &json!(reason)));
    assert_eq!(told["details"]["body"]["job_id"], id);
    assert_eq!(world.letters().len(), 0);
    assert_eq!(press(server, &handed_over).status, 200, "a link that an administrator hands over stays good");
    server.get("/api/v2/jobs/job_0000000000000000").assert_refusal(
        404,
        "Not Found",
        "Job not found.",
        "inexistent_job",
    );
}

#[test]
fn a_letter_that_waits_for_the_mail_server_outlives_a_kill() {
    let Some(mut mail) = MailServer::start(&[]) else { return };
    let directory = tempfile::tempdir().unwrap();
    let server = mailing_with_ann(directory.path(), &mail, &[]);
    mail.go();
    let job = ask(&server, ANN);
    drop(server); // kill -9
    mail.come_back(&[]);
    let server = mailing(directory.path(), &mail, &[]);
    let ticket = ticket_in(mail.wait_for_letters(1)[0]["text"].as_str().unwrap());
    assert_eq!(server.wait(job["id"].as_str().unwrap())["status"], "completed");
    assert_eq!(press(&server, &ticket).status, 200);
    assert!(is_verified(&server, ANN));
    assert_eq!(mail.letters().len(), 1);
}

#[test]
fn people_verify_their_address_in_a_browser() {
    let (Some(mail), Some(browser)) = (MailServer::start(&[]), Browser::start()) else { return };
    let directory = tempfile::tempdir().unwrap();
    let server = mailing_with_ann(directory.path(), &mail, &[]);
    ask(&server, ANN);
    let ticket = ticket_in(mail.wait_for_letters(1)[0]["text"].as_str().unwrap());
    // Nobody here knows the name by which the world reaches this server.
    let link = format!("{}{PAGE}?ticket={ticket}", server.url);
    browser.open(&link);
    browser.until_text("h1", "Verify your address");
    browser.until_text("strong", ANN);
    browser.shoot("verify");
    browser.until("document.activeElement?.matches('button[type=submit]')");
    browser.press(crate::browser::ENTER);
    browser.until_text("h1", "Your address is verified");
    browser.shoot("verify-done");
    assert!(is_verified(&server, ANN));
    assert_eq!(browser.console(), Vec::<String>::new());
    browser.open(&link);
    browser.until_text("h1", "This link does not work any more");
    browser.shoot("verify-gone");

    let asked =
        json!({ "user_id": id_of(&server, ANN), "result_url": format!("{}/u/pages.css", server.url) });
    let answer = server.send("POST", TICKETS, &asked).json();
    browser.open(&answer["ticket"].as_str().unwrap().replacen("http://intake.test", &server.url, 1));
    browser.until_text("h1", "Verify your address");
    browser.click("button[type=submit]");
    browser.until("location.pathname === '/u/pages.css' && location.search.includes('code=success')");
}
