//! Setting a password: asked for, by a link, on the page.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::helpers::{Answer, PATIENCE, escape};
use crate::login::{CONNECTION, PASSWORD, World, assert_oauth, ticket_in};

const SENT: &str = "We've just sent you an email to reset your password.";
const TICKETS: &str = "/api/v2/tickets/password-change";

fn ask(world: &World, address: &str, body: &Value) -> Answer {
    world.post(address, "/dbconnections/change_password", body)
}

fn page(world: &World, ticket: &str) -> Answer {
    world.server.request("GET", &format!("/u/reset-password?ticket={}", escape(ticket)), &[], b"")
}

#[track_caller]
fn assert_gone(answer: &Answer) {
    assert_eq!(answer.status, 404, "{answer:?}");
    assert!(answer.text.contains("This link does not work any more"), "{}", answer.text);
    assert!(!answer.text.contains("<form"), "{}", answer.text);
}

#[test]
fn a_link_is_mailed_to_users_and_nobody_learns_who_is_one() {
    let world = World::with("");
    let known = json!({ "email": "Ann@example.test", "connection": "staff", "client_id": "app" });
    let unknown = json!({ "email": "nobody@example.test", "connection": "staff", "client_id": "app" });
    for asked in [&known, &unknown] {
        let answer = ask(&world, "10.0.0.1", asked);
        assert_eq!((answer.status, &*answer.text), (200, SENT));
        assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
        assert_eq!((answer.header("x-ratelimit-limit"), answer.header("x-ratelimit-remaining")), ("10", "9"));
    }
    let form = "email=bob%40example.test&connection=staff";
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let answer = world.server.request("POST", "/dbconnections/change_password", &headers, form.as_bytes());
    assert_eq!((answer.status, &*answer.text), (200, SENT));

    let events = world.events(&["scpr", "fcpr"]);
    let told: Vec<_> =
        events.iter().map(|it| (it["type"].as_str().unwrap(), it["user_name"].as_str().unwrap())).collect();
    let expected =
        [("scpr", "ann@example.test"), ("fcpr", "nobody@example.test"), ("scpr", "bob@example.test")];
    assert_eq!(told, expected);
    assert_eq!((&events[0]["ip"], &events[0]["client_name"]), (&json!("10.0.0.1"), &json!("The app")));

    let letters = world.letters();
    assert_eq!(letters.len(), 2);
    let letter = letters.iter().find(|letter| letter.contains("To: ann@example.test")).unwrap();
    assert_eq!(world.set(&ticket_in(letter), PASSWORD, PASSWORD).status, 200);
    assert_eq!(world.sign_in("ann@example.test", PASSWORD).status, 200);
}

#[test]
fn a_request_for_a_link_that_makes_no_sense_is_refused_in_the_old_form() {
    let world = World::with("");
    let whole = json!({ "email": "ann@example.test", "connection": "staff", "client_id": "app" });
    for (name, value, error) in [
        ("email", Value::Null, "email is required"),
        ("email", json!(""), "email is required"),
        ("connection", Value::Null, "connection is required"),
        ("connection", json!("nowhere"), "connection is the name of no database connection"),
        ("connection", json!("customers"), "connection is not enabled for the client"),
        ("client_id", json!("nobody"), "client_id is that of no client"),
        ("email", json!(["a"]), "the body must be JSON or a form"),
    ] {
        let mut asked = whole.clone();
        asked[name] = value;
        let answer = ask(&world, "10.0.0.1", &asked);
        assert_eq!((answer.status, answer.json()), (400, json!({ "error": error })));
        assert_eq!(answer.header("content-type"), "application/json; charset=utf-8");
    }
    let large = vec![b'a'; (16 << 10) + 1];
    assert_eq!(world.server.request("POST", "/dbconnections/change_password", &[], &large).status, 413);
    assert_eq!(world.letters().len(), 0);
}

#[test]
fn one_address_gets_ten_links_for_one_user_at_once() {
    let world = World::with("");
    let asked = |email: &str| json!({ "email": email, "connection": "staff" });
    for left in (0..10).rev() {
        let answer = ask(&world, "10.0.0.1", &asked("ann@example.test"));
        assert_eq!((answer.status, answer.header("x-ratelimit-remaining")), (200, &*left.to_string()));
    }
    let refused = ask(&world, "10.0.0.1", &asked("ANN@example.test"));
    assert_eq!(refused.status, 429);
    assert_eq!(refused.json(), json!({ "error": "too many requests for this address, try again later" }));
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    assert_eq!(refused.header("x-ratelimit-remaining"), "0");
    assert_eq!(ask(&world, "10.0.0.2", &asked("ann@example.test")).status, 200);
    assert_eq!(ask(&world, "10.0.0.1", &asked("bob@example.test")).status, 200);
}

#[test]
fn one_address_gets_only_so_many_links_whoever_they_are_for() {
    let world = World::with("");
    let is_taken = |number: &u32| {
        let asked = json!({ "email": format!("{number}@made-up.test"), "connection": "staff" });
        ask(&world, "10.0.0.1", &asked).status == 200
    };
    let taken = (0..200).take_while(is_taken).count();
    assert!((100..200).contains(&taken), "{taken}");
    let asked = json!({ "email": "ann@example.test", "connection": "staff" });
    let refused = ask(&world, "10.0.0.1", &asked);
    assert_eq!((refused.status, refused.header("x-ratelimit-limit")), (429, "100"));
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=6).contains(&wait), "{wait}");
    assert_eq!(ask(&world, "10.0.0.2", &asked).status, 200);
}

#[test]
fn the_page_tells_the_rules_and_every_one_that_is_broken() {
    let world = World::with("");
    let ticket = world.ticket("ann@example.test");
    // Programs that check mail follow links, too.
    for _ in 0..3 {
        let shown = page(&world, &ticket);
        assert_eq!(shown.status, 200);
        for part in
            ["ann@example.test", "At least 8 characters", "At least 3 of these 4", "new-password", &ticket]
        {
            assert!(shown.text.contains(part), "{part}: {}", shown.text);
        }
        assert!(!shown.text.contains("role=\"alert\""));
    }
    let refused = world.set(&ticket, "abc", "abd");
    assert_eq!(refused.status, 400);
    let (_, alert) = refused.text.split_once("role=\"alert\"").unwrap();
    let (alert, _) = alert.split_once("</div>").unwrap();
    for rule in ["At least 8 characters", "At least 3 of these 4", "Both fields the same"] {
        assert!(alert.contains(rule), "{rule}: {alert}");
    }
    assert!(!refused.text.contains("abc"), "the password comes back: {}", refused.text);
    let failed = &world.events(&["fcp"])[0];
    assert_eq!(failed["user_name"], "ann@example.test");
    assert!(!failed.to_string().contains("abc"));

    let done = world.set(&ticket, PASSWORD, PASSWORD);
    assert_eq!(done.status, 200);
    assert!(done.text.contains("Your password is set"), "{}", done.text);
    assert_eq!(world.events(&["scp"]).len(), 1);
    assert_eq!(world.server.user("ann@example.test")["email_verified"], false, "nobody proved the address");
}

#[test]
fn the_page_keeps_to_the_policy_of_the_connection() {
    let world = World::with("");
    let path = format!("/api/v2/connections/{CONNECTION}");
    let longer = json!({ "passwordPolicy": "low", "password_complexity_options": { "min_length": 12 } });
    let personal = json!({ "passwordPolicy": "low", "password_no_personal_info": { "enable": true } });
    for (options, refused, taken) in [
        (json!({ "passwordPolicy": "none" }), "", "x"),
        (json!({ "passwordPolicy": "low" }), "fiver", "sixsix"),
        (json!({ "passwordPolicy": "fair" }), "alllower1", "UpperLower1"),
        (json!({ "passwordPolicy": "good" }), "UpperLower", "lower-and-1"),
        (json!({ "passwordPolicy": "excellent" }), "aaaA1!aaaA1!", "aabbA1!aabbA1!"),
        (longer, "elevenchars", "twelve-chars"),
        (personal, "xx-annie-xx", "xx-nobody-xx"),
    ] {
        let changed = world.call("PATCH", &path, &json!({ "options": options }));
        assert_eq!(changed.status, 200, "{}", changed.text);
        let ticket = world.ticket("ann@example.test");
        assert_eq!(world.set(&ticket, refused, refused).status, 400, "{options}: {refused}");
        assert_eq!(world.set(&ticket, taken, taken).status, 200, "{options}: {taken}");
    }
}

#[test]
fn a_link_ends_with_its_connection() {
    let world = World::with("");
    let ticket = world.ticket("ann@example.test");
    let deleted = world.call("DELETE", &format!("/api/v2/connections/{CONNECTION}"), &json!({}));
    assert_eq!(deleted.status, 202, "{}", deleted.text);
    assert_gone(&page(&world, &ticket));
    assert_gone(&world.set(&ticket, PASSWORD, PASSWORD));
}

#[test]
fn a_link_works_once_and_only_while_it_is_the_newest() {
    let world = World::with("");
    let (older, newer) = (world.ticket("ann@example.test"), world.ticket("ann@example.test"));
    assert_gone(&page(&world, &older));
    assert_gone(&world.set(&older, PASSWORD, PASSWORD));
    assert_eq!(world.set(&newer, PASSWORD, PASSWORD).status, 200);
    assert_gone(&page(&world, &newer));
    assert_gone(&world.set(&newer, "An0ther password", "An0ther password"));
    assert_eq!(world.sign_in("ann@example.test", PASSWORD).status, 200);
    assert_eq!(world.events(&["fcp"]).len(), 0, "links that are no good leave no trace");
}

#[test]
fn of_two_who_use_a_link_at_once_one_wins() {
    let world = World::with("");
    let ticket = world.ticket("ann@example.test");
    let passwords: Vec<String> = (0..6).map(|number| format!("Passw0rd-{number}")).collect();
    let statuses: Vec<u16> = thread::scope(|scope| {
        let set = |password: &'_ String| world.set(&ticket, password, password).status;
        let all: Vec<_> = passwords.iter().map(|password| scope.spawn(move || set(password))).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    let winner = statuses.iter().position(|status| *status == 200).unwrap();
    assert_eq!(world.sign_in("ann@example.test", &passwords[winner]).status, 200);
    assert_eq!(world.events(&["scp"]).len(), 1);
}

#[test]
fn a_link_ends_after_its_time() {
    let world = World::with("");
    let asked = json!({ "connection_id": CONNECTION, "email": "ann@example.test", "ttl_sec": 1 });
    let answer = world.call("POST", TICKETS, &asked);
    let ticket = ticket_in(answer.json()["ticket"].as_str().unwrap());
    let deadline = Instant::now() + PATIENCE;
    while page(&world, &ticket).status == 200 {
        assert!(Instant::now() < deadline, "the link never ends");
        thread::sleep(Duration::from_millis(20));
    }
    assert_gone(&page(&world, &ticket));
    assert_gone(&world.set(&ticket, PASSWORD, PASSWORD));
    assert_eq!(page(&world, &world.ticket("ann@example.test")).status, 200);
}

#[test]
fn pages_let_nothing_in_and_nothing_out() {
    let world = World::with("");
    let hostile = "\"<b>&'x\"@example.test";
    let shown = page(&world, &world.ticket(hostile));
    assert_eq!(shown.status, 200);
    assert!(!shown.text.contains("<b>"), "{}", shown.text);
    assert!(shown.text.contains("&lt;b&gt;&amp;&#x27;x"), "{}", shown.text);
    assert!(!shown.text.contains("<script") && !shown.text.contains("style=") && !shown.text.contains("//"));
    let policy =
        "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
    assert_eq!(shown.header("content-security-policy"), policy);
    assert_eq!((shown.header("referrer-policy"), shown.header("cache-control")), ("no-referrer", "no-store"));
    assert_eq!(shown.header("content-type"), "text/html; charset=utf-8");
    for ticket in
        ["", "x", "<script>alert(1)</script>", "\"><img src=x>", &"a".repeat(32), &"a".repeat(3000), "%00"]
    {
        let answer = page(&world, ticket);
        assert_gone(&answer);
        assert!(!answer.text.contains("alert") && !answer.text.contains("<img"), "{}", answer.text);
        assert_gone(&world.set(ticket, PASSWORD, PASSWORD));
    }
    assert_gone(&world.server.request("GET", "/u/reset-password", &[], b""));
    let style = world.server.request("GET", "/u/pages.css", &[], b"");
    assert_eq!((style.status, style.header("content-type")), (200, "text/css; charset=utf-8"));
    assert!(!style.text.contains("url("), "style sheets load nothing");
    let large = vec![b'a'; (16 << 10) + 1];
    assert_eq!(world.server.request("POST", "/u/reset-password", &[], &large).status, 413);
    assert_eq!(world.server.request("POST", "/u/reset-password", &[], b"ticket=x").status, 400);
}

#[test]
fn old_links_lead_to_the_page() {
    let world = World::with("");
    let ticket = world.ticket("ann@example.test");
    let moved = world.server.request("GET", &format!("/lo/reset?ticket={ticket}"), &[], b"");
    assert_eq!(
        (moved.status, moved.header("location")),
        (303, &*format!("../u/reset-password?ticket={ticket}"))
    );
    let hostile = world.server.request("GET", "/lo/reset?ticket=%0d%0ax:%20y//evil.test", &[], b"");
    assert_eq!(hostile.header("location"), "../u/reset-password?ticket=xyeviltest");
}

#[test]
fn a_ticket_can_lead_on_and_tell_how_it_went() {
    let world = World::with("");
    let id = world.server.user("ann@example.test")["user_id"].clone();
    let mut asked = json!({
        "user_id": id, "result_url": "https://app.test:8443/done?a=1#top", "includeEmailInRedirect": true,
        "mark_email_as_verified": true, "client_id": "app", "ttl_sec": 0,
    });
    let answer = world.call("POST", TICKETS, &asked);
    assert_eq!(answer.status, 201, "{}", answer.text);
    let link = answer.json()["ticket"].as_str().unwrap().to_owned();
    let ticket = ticket_in(&link);
    assert_eq!(link, format!("http://intake.test/u/reset-password?ticket={ticket}#"));
    assert_eq!(ticket.len(), 32);
    let policy = page(&world, &ticket).header("content-security-policy").to_owned();
    assert!(policy.contains("form-action 'self' https://app.test:8443;"), "{policy}");
    let done = world.set(&ticket, PASSWORD, PASSWORD);
    assert_eq!(done.status, 303);
    let expected = "https://app.test:8443/done?a=1&email=ann%40example.test&success=true\
                    &message=You+can+now+login+to+the+application+with+the+new+password.#top";
    assert_eq!(done.header("location"), expected);
    assert_eq!(world.server.user("ann@example.test")["email_verified"], true);
    assert_eq!(world.events(&["scp"])[0]["client_id"], "app");
    assert_eq!(world.letters().len(), 0, "the caller delivers the link");
    let made = world.events(&["sapi"]);
    let made = made.iter().find(|event| event["description"] == "Create a Password Change Ticket").unwrap();
    assert_eq!(made["user_name"], "ann@example.test");
    assert!(!made.to_string().contains(&ticket));

    asked["includeEmailInRedirect"] = false.into();
    asked["result_url"] = "http://app.test".into();
    let ticket = ticket_in(world.call("POST", TICKETS, &asked).json()["ticket"].as_str().unwrap());
    let done = world.set(&ticket, PASSWORD, PASSWORD);
    assert!(done.header("location").starts_with("http://app.test/?success=true&message="), "{done:?}");
}

#[test]
fn a_ticket_that_makes_no_sense_is_refused() {
    let world = World::with("");
    let id = world.server.user("ann@example.test")["user_id"].clone();
    let refused = |body: Value, rule: &str| {
        let message = format!("Payload validation error: {rule}.");
        world.call("POST", TICKETS, &body).assert_refusal(400, "Bad Request", &message, "invalid_body");
    };
    let missing =
        |name: &str| format!("'Missing required property: {name} (user_id, or connection_id with email)'");
    refused(json!({}), &missing("user_id"));
    refused(json!({ "email": "a@b.test" }), &missing("connection_id"));
    refused(json!({ "connection_id": CONNECTION }), &missing("email"));
    refused(
        json!({ "user_id": id, "email": "a@b.test" }),
        "'Give either user_id or connection_id with email' on property user_id",
    );
    for url in ["javascript:alert(1)", "//x.test", "x", "ftp://x.test", "data:text/html,x", "http://"] {
        refused(
            json!({ "user_id": id, "result_url": url }),
            "'Expected an http:// or https:// URL' on property result_url",
        );
    }
    refused(json!({ "user_id": id, "ttl_sec": -1 }), "'Value -1 is less than minimum 0' on property ttl_sec");
    refused(
        json!({ "user_id": id, "ttl_sec": 2_592_001 }),
        "'Value 2592001 is greater than maximum 2592000' on property ttl_sec",
    );
    refused(json!({ "user_id": id, "x": 1 }), "'Additional properties not allowed: x'");
    refused(
        json!({ "user_id": id, "client_id": "nobody" }),
        "'There is no client with this id' on property client_id",
    );
    let ask = |body: Value| world.call("POST", TICKETS, &body);
    assert_eq!(ask(json!({ "user_id": id, "ttl_sec": 2_592_000 })).status, 201);
    let message = "The connection with id con_000000000000000x does not exist.";
    ask(json!({ "connection_id": "con_000000000000000x", "email": "ann@example.test" })).assert_refusal(
        400,
        "Bad Request",
        message,
        "inexistent_connection",
    );
    let nobody = [
        json!({ "user_id": "auth0|000000000000000000000000" }),
        json!({ "user_id": "nonsense" }),
        json!({ "connection_id": "con_0000000000000002", "email": "ann@example.test" }),
    ];
    for body in nobody {
        ask(body).assert_refusal(404, "Not Found", "The user does not exist.", "inexistent_user");
    }
    let reader = World::token(&world.data(), "read:users");
    let headers = [("authorization", &*format!("Bearer {reader}"))];
    let message = "Insufficient scope, expected any of: create:user_tickets";
    world.server.request("POST", TICKETS, &headers, b"{}").assert_refusal(
        403,
        "Forbidden",
        message,
        "insufficient_scope",
    );
}

#[test]
fn no_letters_are_written_where_there_is_no_mail() {
    let world = World::without_mail("explain_password_change = true\nreset_mail_pause = \"0s\"");
    let links = ["ann@example.test", "bob@example.test"].map(|email| world.ticket(email));
    let answer = ask(&world, "10.0.0.1", &json!({ "email": "ann@example.test", "connection": "staff" }));
    assert_eq!((answer.status, &*answer.text), (200, SENT), "nobody learns who is a user");
    let refused = world.sign_in("bob@example.test", PASSWORD);
    assert_oauth(&refused, 403, "invalid_grant", "Password change required.");
    let events = world.events(&["scpr", "fcpr"]);
    assert_eq!((&events[0]["type"], &events[0]["user_name"]), (&json!("fcpr"), &json!("ann@example.test")));
    assert_eq!(events[0]["description"], "No letters are sent from here");
    assert_eq!(world.letters().len(), 0);
    assert!(!world.data().join("mail").exists());
    for link in links {
        assert_eq!(page(&world, &link).status, 200, "a link that an administrator hands over stays good");
    }
}
