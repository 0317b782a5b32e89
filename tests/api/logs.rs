//! The tenant log: what is written down, and how it is read.

use std::path::Path;
use std::time::{Duration, SystemTime};

use intake::domain::{Event, EventType, Owed, Timestamp};
use intake::store::{Ages, Options, Store, Sweep};
use serde_json::{Value, json};

use crate::helpers::{Answer, Form, Server, escape};

/// The store of a directory that no server uses.
pub fn open(directory: &Path) -> Store {
    let options = Options {
        path: directory.to_owned(),
        cache_bytes: 16 << 20,
        min_free_disk: 0,
        reserve: 0,
        max_active_jobs: None,
        open_timeout: Duration::from_mins(1),
    };
    Store::open(options).unwrap()
}

/// So many minutes ago.
pub fn ago(minutes: u64) -> Timestamp {
    Timestamp::from(SystemTime::now()).before(Duration::from_mins(minutes))
}

/// Thirty events, one a minute: sign-ins of two users in turn, every fifth one failed.
fn furnish(directory: &Path) {
    let events = (0..30).map(|at| {
        let kind = if at % 5 == 0 { EventType::WrongPassword } else { EventType::Login };
        let mut event = Event::new(ago(60 - at), kind, kind.meaning());
        event.user_id = Some(format!("auth0|{:024}", at % 2));
        event.user_name =
            Some(["ann@acme.test", "bob@acme.test"][usize::try_from(at % 2).unwrap()].to_owned());
        event.connection = Some("staff db".to_owned());
        event.with("at", at)
    });
    open(directory).tell(Owed { events: events.collect(), ..Owed::nothing() }).unwrap();
}

/// The numbers of the events in an answer.
#[track_caller]
fn ats(answer: &Answer) -> Vec<u64> {
    assert_eq!(answer.status, 200, "{}", answer.text);
    let json = answer.json();
    let logs = json.get("logs").unwrap_or(&json).as_array().unwrap();
    logs.iter().map(|log| log["details"]["at"].as_u64().unwrap()).collect()
}

/// All events about requests, oldest first.
fn requests(server: &Server) -> Vec<Value> {
    let logs = server.get("/api/v2/logs?take=100").json();
    let of_requests = |log: &&Value| log["type"] == "sapi" || log["type"] == "fapi";
    logs.as_array().unwrap().iter().filter(of_requests).cloned().collect()
}

#[test]
fn an_accepted_upload_is_written_down_with_request_and_answer() {
    let server = Server::ephemeral();
    let connection = server.connection_id();
    let form = Form::import(&connection, "[]", true).with("external_id", "batch-17");
    let job = server.upload(&form).json();
    let [event] = requests(&server).try_into().unwrap();
    let expected = json!({
        "request": {
            "method": "post", "path": "/api/v2/jobs/users-imports",
            "body": {
                "connection_id": connection, "external_id": "batch-17", "upsert": true,
                "send_completion_email": true,
            },
        },
        "response": { "statusCode": 202, "body": job },
        "job_id": job["id"], "external_id": "batch-17",
    });
    assert_eq!(event["details"], expected);
    assert_eq!(event["type"], "sapi");
    assert_eq!(event["description"], "Create import users job");
    assert_eq!(event["connection_id"], json!(connection));
    assert_eq!(event["connection"], job["connection"]);
    assert_eq!(event["ip"], "127.0.0.1");
    assert_eq!(event["_id"], event["log_id"]);
    assert!(event.get("user_id").is_none(), "what is not known is left out: {event}");
    let one = server.get(&format!("/api/v2/logs/{}", event["log_id"].as_str().unwrap()));
    assert_eq!(one.json(), event);
}

#[test]
fn a_refused_upload_is_written_down_with_the_reason_unless_its_token_is_no_good() {
    let settings = [("INTAKE_IMPORT_MAX_ACTIVE_JOBS", "1"), ("INTAKE_IMPORT_MAX_FILE_SIZE", "8MB")];
    let server = Server::ephemeral_with(&settings);
    let connection = server.connection_id();
    let row = |at| format!("{{\"email\":\"user{at}@example.test\",\"email_verified\":true}}");
    let large = format!("[{}]", (0..100_000).map(row).collect::<Vec<_>>().join(","));
    let form = Form::of(&[("connection_id", &connection), ("upsert", "maybe")]).with_file(b"[]");
    let mut refused = vec![server.upload(&form)];
    assert_eq!(server.upload(&Form::import(&connection, &large, false)).status, 202);
    refused.push(server.upload(&Form::import(&connection, "[]", false)));
    let reader = server.token_for("read:users");
    let upload_as = |token: &str, length: &str| {
        let framing = format!("content-length: {length}\r\nuser-agent: probe/1");
        server.raw(Server::upload_head(token, &framing).as_bytes())
    };
    refused.push(upload_as(&reader, "0"));
    refused.push(upload_as(&server.token, "9000000"));
    // Nothing of these: anybody could fill the log.
    assert_eq!(upload_as("nonsense", "0").status, 401);
    let none = server.request("POST", "/api/v2/jobs/users-imports?x=1", &[], b"");
    assert_eq!(none.status, 401);
    // Nor of what changes nothing, refused or not.
    assert_eq!(server.get_as("/api/v2/connections", &reader).status, 403);
    let mut logged = requests(&server);
    assert_eq!(logged.remove(1)["type"], "sapi");
    assert_eq!(logged.len(), refused.len(), "{logged:?}");
    let statuses: Vec<u16> = refused.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [400, 429, 403, 413]);
    for (event, answer) in logged.iter().zip(&refused) {
        let expected = json!({
            "request": { "method": "post", "path": "/api/v2/jobs/users-imports" },
            "response": { "statusCode": answer.status, "body": { "message": answer.json()["message"] } },
        });
        assert_eq!(event["details"], expected);
        assert_eq!((&event["type"], &event["ip"]), (&json!("fapi"), &json!("127.0.0.1")));
    }
    let clients = [2, 3].map(|at| logged[at]["client_id"].as_str().unwrap());
    assert_eq!(clients, [server.about["client_id"].as_str().unwrap(), "intake-ephemeral"]);
    assert_eq!(logged[2]["user_agent"], "probe/1");
}

#[test]
fn the_query_of_a_request_is_written_down_without_what_opens_doors() {
    let server = Server::ephemeral();
    let reader = server.token_for("read:users");
    let path = "/api/v2/jobs/users-imports?test=value&access_token=hush&client_secret=hush";
    let bearer = format!("Bearer {reader}");
    assert_eq!(server.request("POST", path, &[("authorization", &bearer)], b"").status, 403);
    let [event] = requests(&server).try_into().unwrap();
    assert_eq!(event["details"]["request"]["query"], json!({ "test": "value" }));
    assert!(!event.to_string().contains("hush"), "{event}");
}

#[test]
fn events_come_in_pages_newest_first() {
    let directory = tempfile::tempdir().unwrap();
    furnish(directory.path());
    let server = Server::on(directory.path(), &[]);
    let get = |query: &str| server.get(&format!("/api/v2/logs?{query}"));
    assert_eq!(ats(&get("")), (0..30).rev().collect::<Vec<_>>());
    assert_eq!(ats(&get("per_page=4")), [29, 28, 27, 26]);
    assert_eq!(ats(&get("per_page=4&page=7&sort=date:-1")), [1, 0]);
    assert_eq!(ats(&get("per_page=4&page=8")), [0; 0]);
    assert_eq!(ats(&get("per_page=3&page=1&sort=date:1")), [3, 4, 5]);
    let page = get("per_page=4&page=7&include_totals=true").json();
    assert_eq!([&page["start"], &page["limit"], &page["length"], &page["total"]], [28, 4, 2, 30]);
    assert_eq!(page["logs"].as_array().unwrap().len(), 2);
    let page = get("per_page=1&include_totals=true&q=type:fp").json();
    assert_eq!((&page["total"], &page["logs"][0]["details"]["at"]), (&json!(6), &json!(25)));
    let fields = get("per_page=1&fields=type,user_name").json();
    assert_eq!(fields, json!([{ "type": "s", "user_name": "bob@acme.test" }]));
    let rest = get("per_page=1&fields=type,_id,log_id,date,description,details&include_fields=false").json();
    let expected = json!([{
        "connection": "staff db", "user_id": "auth0|000000000000000000000001", "user_name": "bob@acme.test",
    }]);
    assert_eq!(rest, expected);
}

#[test]
fn pages_end_at_a_thousand_events_and_say_where_to_read_on() {
    let server = Server::ephemeral();
    for allowed in ["page=9&per_page=100", "page=999&per_page=1", "page=19", "per_page=100"] {
        assert_eq!(server.get(&format!("/api/v2/logs?{allowed}")).status, 200, "{allowed}");
    }
    for refused in ["page=10&per_page=100", "page=1000&per_page=1", "page=20", "page=33&per_page=30"] {
        for path in ["/api/v2/logs", "/api/v2/users/auth0%7Cx/logs"] {
            let answer = server.get(&format!("{path}?{refused}"));
            let message = "Query validation error: 'Pages lead to the first 1000 events only; read on at \
                           /api/v2/logs with from (the log_id of the last event you have) and take' on \
                           property page.";
            answer.assert_refusal(400, "Bad Request", message, "invalid_query_string");
        }
    }
    assert_eq!(server.get("/api/v2/logs?per_page=101").status, 400);
    assert_eq!(server.get("/api/v2/logs?take=101").status, 400);
    assert_eq!(server.get("/api/v2/logs?take=100").status, 200);
    let answer = server.get("/api/v2/logs?sort=type:1");
    let message = "Query validation error: 'Expected date:1 (oldest first) or date:-1 (newest first)' on property sort.";
    answer.assert_refusal(400, "Bad Request", message, "invalid_query_string");
}

#[test]
fn events_are_found_by_what_they_say() {
    let directory = tempfile::tempdir().unwrap();
    furnish(directory.path());
    let server = Server::on(directory.path(), &[]);
    let found = |query: &str| ats(&server.get(&format!("/api/v2/logs?sort=date:1&q={}", escape(query))));
    assert_eq!(found("type:fp"), [0, 5, 10, 15, 20, 25]);
    assert_eq!(found("type:fp AND user_name:ann@acme.test"), [0, 10, 20]);
    assert_eq!(found("fp bob*"), [5, 15, 25]);
    assert_eq!(found("connection:\"staff db\" description:incorrect"), [0; 0]);
    assert_eq!(found("connection:\"staff db\" description:Incorrect user_name:a*"), [0, 10, 20]);
    assert_eq!(found("connection:staff"), [0; 0]);
    let from = ago(56);
    assert_eq!(found(&format!("type:fp date:[{from} TO *]")), [5, 10, 15, 20, 25]);
    assert_eq!(found(&format!("date:[* TO {from}]")), [0, 1, 2, 3, 4]);
    let search = server.get("/api/v2/logs?sort=date:1&search=type%3Afp%20AND%20user_name%3Aann*");
    assert_eq!(ats(&search), [0, 10, 20]);
    let answer = server.get("/api/v2/logs?search=colour:red");
    assert_eq!(answer.status, 400);
    assert!(
        answer.json()["message"].as_str().unwrap().contains("user_name' on property search"),
        "{answer:?}"
    );
    let answer = server.get("/api/v2/logs?q=type:s%20OR%20type:fp");
    let message = "Query validation error: 'OR or NOT is not supported; write field:value terms joined by AND, and \
                   values with blanks in quotes' on property q.";
    answer.assert_refusal(400, "Bad Request", message, "invalid_query_string");
}

/// The path of the link to what follows.
fn next(answer: &Answer) -> Option<String> {
    let link = answer.headers.get("link")?.to_str().unwrap();
    let path = link.strip_prefix("<http://intake.test/").unwrap().strip_suffix(">; rel=\"next\"").unwrap();
    Some(format!("/{path}"))
}

#[test]
fn who_follows_the_links_gets_every_event_once_and_goes_on_with_later_ones() {
    let directory = tempfile::tempdir().unwrap();
    furnish(directory.path());
    let server = Server::on(directory.path(), &[]);
    // Beside a checkpoint nothing else counts, not even what makes no sense.
    let mut path = Some("/api/v2/logs?take=7&q=((&page=x&sort=y&include_totals=z&fields=type".to_owned());
    let (mut seen, mut pages, mut last) = (Vec::new(), 0, String::new());
    while let Some(at) = path.take() {
        let answer = server.get(&at);
        seen.extend(ats(&answer));
        pages += 1;
        path = next(&answer);
        assert_eq!(path.is_some(), answer.text != "[]", "there is a link as long as there are events");
        last = path.clone().unwrap_or(last);
    }
    assert_eq!((seen, pages), ((0..30).collect::<Vec<_>>(), 6));
    server.import("[]", false);
    let more = server.get(&last).json();
    assert_eq!(more[0]["type"], "sapi", "{more}");
    let after = more.as_array().unwrap().last().unwrap()["log_id"].as_str().unwrap().to_owned();
    let answer = server.get(&format!("/api/v2/logs?from={after}"));
    assert_eq!((answer.text.as_str(), next(&answer)), ("[]", None));
}

#[test]
fn a_checkpoint_still_works_when_its_event_is_gone_and_one_from_elsewhere_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    furnish(directory.path());
    let store = open(directory.path());
    let (_, third) = store.events_from(2, 1).unwrap().remove(0);
    let long_ago = Timestamp::from_millis(0);
    let now = ago(0);
    let ages = Ages {
        jobs: long_ago,
        events: ago(50),
        unsent_events: ago(50),
        letters: long_ago,
        tasks: long_ago,
        now,
    };
    let mut sweep = Sweep::of(ages);
    while store.sweep(&mut sweep).unwrap() {}
    drop(store);
    let server = Server::on(directory.path(), &[]);
    let from = |id: &str| server.get(&format!("/api/v2/logs?take=2&from={id}"));
    assert_eq!(server.get(&format!("/api/v2/logs/{}", third.log_id)).status, 404);
    let left = ats(&from(&third.log_id));
    assert!(left[0] > 8 && left[1] == left[0] + 1, "the oldest two there are: {left:?}");
    let elsewhere = format!("{}{:036}", &third.log_id[..20], 1_223_372_036_854_775_862_u64);
    let message = "Query validation error: 'There is no event with this id yet; it is from another log' on property from.";
    from(&elsewhere).assert_refusal(400, "Bad Request", message, "invalid_query_string");
    let message = "Query validation error: 'String does not match pattern ^900[0-9]{53}$' on property from.";
    from("17").assert_refusal(400, "Bad Request", message, "invalid_query_string");
}

#[test]
fn an_event_that_is_not_there_is_not_found() {
    let server = Server::ephemeral();
    server.upload(&Form::import(&server.connection_id(), "[]", false));
    let [event] = requests(&server).try_into().unwrap();
    let id = event["log_id"].as_str().unwrap();
    let other_time = id.replacen("900202", "900201", 1);
    for wrong in ["x", &other_time, &format!("{}9", &id[..55]), &id[1..]] {
        let answer = server.get(&format!("/api/v2/logs/{wrong}"));
        answer.assert_refusal(404, "Not Found", "Log not found.", "");
    }
    let fields = server.get(&format!("/api/v2/logs/{id}?fields=type")).json();
    assert_eq!(fields, json!({ "type": "sapi" }));
}

#[test]
fn the_events_of_a_user_are_those_about_that_user() {
    let directory = tempfile::tempdir().unwrap();
    furnish(directory.path());
    let server = Server::on(directory.path(), &[]);
    let get = |user: &str, query: &str| server.get(&format!("/api/v2/users/{}/logs?{query}", escape(user)));
    let bob = "auth0|000000000000000000000001";
    assert_eq!(ats(&get(bob, "per_page=3")), [29, 27, 25]);
    assert_eq!(ats(&get(bob, "per_page=3&page=1&sort=date:1")), [7, 9, 11]);
    let page = get(bob, "per_page=3&page=4&include_totals=true").json();
    assert_eq!([&page["start"], &page["limit"], &page["length"], &page["total"]], [12, 3, 3, 15]);
    assert_eq!(get(bob, "per_page=1&fields=type").json(), json!([{ "type": "s" }]));
    assert_eq!(get("auth0|00000000000000000000000f", "").json(), json!([]));
    assert_eq!(get("nobody", "").json(), json!([]));
}

#[test]
fn the_log_is_read_with_either_of_two_permissions() {
    let server = Server::ephemeral();
    for scope in ["read:logs", "read:logs_users"] {
        let token = server.token_for(scope);
        for path in ["/api/v2/logs", "/api/v2/logs?take=1", "/api/v2/users/auth0%7Cx/logs"] {
            assert_eq!(server.get_as(path, &token).status, 200, "{path}");
        }
    }
    let token = server.token_for("read:users read:connections create:users");
    let message = "Insufficient scope, expected any of: read:logs,read:logs_users";
    for path in ["/api/v2/logs", "/api/v2/logs/x", "/api/v2/users/auth0%7Cx/logs"] {
        server.get_as(path, &token).assert_refusal(403, "Forbidden", message, "insufficient_scope");
    }
    assert!(requests(&server).is_empty(), "reading leaves no trace");
}
