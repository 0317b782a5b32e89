//! Where users can go: the list of connections in all the forms clients ask for.

use serde_json::{Value, json};

use crate::helpers::{Answer, Form, Server, open_store};

const SIX: &str = r#"
    [[clients]]
    client_id = "importer"
    client_secret = "0123456789abcdef0123456789abcdef"
    [[connections]]
    name = "db-1"
    id = "con_0000000000000001"
    clients = ["importer"]
    [[connections]]
    name = "db-2"
    id = "con_0000000000000002"
    [[connections]]
    name = "sms"
    strategy = "sms"
    [[connections]]
    name = "db-3"
    [[connections]]
    name = "google"
    strategy = "google-oauth2"
    [[connections]]
    name = "db-4"
    password_policy = "low"
"#;
const ALL: [&str; 6] = ["db-1", "db-2", "sms", "db-3", "google", "db-4"];

fn names(list: &Value) -> Vec<String> {
    let list = list.as_array().unwrap_or_else(|| panic!("{list}"));
    list.iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
}

fn list(server: &Server, query: &str) -> Value {
    let answer = server.get(&format!("/api/v2/connections?{query}"));
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

#[test]
fn a_connection_has_exactly_the_documented_properties() {
    let server = Server::ephemeral_configured(SIX);
    let expected = json!({
        "id": "con_0000000000000001", "name": "db-1", "strategy": "auth0",
        "options": { "strategy_version": 2, "passwordPolicy": "good", "brute_force_protection": true },
        "realms": ["db-1"], "enabled_clients": ["importer"], "is_domain_connection": false,
    });
    let answer = server.get("/api/v2/connections/con_0000000000000001");
    assert_eq!((answer.status, answer.json()), (200, expected.clone()));
    assert_eq!(answer.header("content-type"), "application/json; charset=utf-8");
    assert_eq!(list(&server, "name=db-1"), json!([expected]));
    let policy = |name: &str| list(&server, &format!("name={name}"))[0]["options"]["passwordPolicy"].clone();
    assert_eq!((policy("db-4"), policy("sms")), (json!("low"), Value::Null));
}

#[test]
fn connections_come_as_an_array_a_page_or_from_a_checkpoint() {
    let server = Server::ephemeral_configured(SIX);
    assert_eq!(names(&list(&server, "")), ALL);
    assert_eq!(names(&list(&server, "include_fields=true&unknown=1")), ALL);
    assert_eq!(names(&list(&server, "page=1&per_page=4")), ALL[4..]);
    assert_eq!(names(&list(&server, "per_page=2")), ALL[..2]);
    assert_eq!(list(&server, "page=9"), json!([]));
    let mut page = list(&server, "include_totals=true");
    assert_eq!(names(&page["connections"].take()), ALL);
    assert_eq!(page, json!({ "start": 0, "limit": 50, "total": 6, "connections": null }));
    let mut page = list(&server, "include_totals=true&page=1&per_page=4&strategy=auth0");
    assert_eq!(page["connections"].take(), json!([]));
    assert_eq!(page, json!({ "start": 4, "limit": 4, "total": 4, "connections": null }));
    let mut page = list(&server, "take=50");
    assert_eq!(names(&page["connections"].take()), ALL);
    assert_eq!(page, json!({ "connections": null }));
    let page = list(&server, "include_totals=true&take=50");
    assert_eq!((names(&page["connections"]).len(), page.get("total")), (6, None));
}

#[test]
fn a_walk_from_checkpoint_to_checkpoint_meets_every_connection_once() {
    let server = Server::ephemeral_configured(SIX);
    for (filter, expected) in [("", &ALL[..]), ("&strategy=auth0", &["db-1", "db-2", "db-3", "db-4"])] {
        for take in 1..=6 {
            let (mut seen, mut from) = (Vec::new(), String::new());
            loop {
                let page = list(&server, &format!("take={take}&from={from}{filter}"));
                let found = names(&page["connections"]);
                assert!(found.len() <= take);
                seen.extend(found);
                let Some(next) = page.get("next") else { break };
                from = next.as_str().unwrap().to_owned();
            }
            assert_eq!(seen, expected, "{take} at a time");
        }
    }
}

#[test]
fn connections_are_chosen_by_name_and_strategy() {
    let server = Server::ephemeral_configured(SIX);
    let chosen = |query: &str| names(&list(&server, query));
    assert_eq!(chosen("strategy=auth0"), ["db-1", "db-2", "db-3", "db-4"]);
    assert_eq!(chosen("strategy=sms&strategy=google-oauth2"), ["sms", "google"]);
    assert_eq!(chosen("strategy=email"), [""; 0]);
    assert_eq!(chosen("name=google"), ["google"]);
    assert_eq!(chosen("name=Google"), [""; 0]);
    assert_eq!(chosen("name=db"), [""; 0]);
    assert_eq!(chosen("name=sms&strategy=auth0"), [""; 0]);
}

#[test]
fn fields_of_connections_may_be_chosen() {
    let server = Server::ephemeral_configured(SIX);
    assert_eq!(list(&server, "fields=name&per_page=2"), json!([{ "name": "db-1" }, { "name": "db-2" }]));
    let page = list(&server, "fields=id,name&take=1&strategy=auth0");
    assert_eq!(page["connections"], json!([{ "id": "con_0000000000000001", "name": "db-1" }]));
    let one = server.get(
        "/api/v2/connections/con_0000000000000002?fields=options,realms,enabled_clients&include_fields=false",
    );
    let expected = json!({ "id": "con_0000000000000002", "name": "db-2", "strategy": "auth0", "is_domain_connection": false });
    assert_eq!(one.json(), expected);
}

#[test]
fn a_page_that_cannot_be_is_refused() {
    let server = Server::ephemeral();
    let integer = "Expected type integer but found type string";
    let boolean = "Expected type boolean but found type string";
    for (query, rule, property) in [
        ("per_page=0", "Value 0 is less than minimum 1", "per_page"),
        ("per_page=101", "Value 101 is greater than maximum 100", "per_page"),
        ("per_page=ten", integer, "per_page"),
        ("page=-1", "Value -1 is less than minimum 0", "page"),
        ("page=1.5", integer, "page"),
        ("page=", integer, "page"),
        ("take=0", "Value 0 is less than minimum 1", "take"),
        ("take=101", "Value 101 is greater than maximum 100", "take"),
        ("include_totals=1", boolean, "include_totals"),
        ("include_fields=maybe", boolean, "include_fields"),
        ("from=nonsense", "Expected the value of next from an earlier answer", "from"),
    ] {
        let message = format!("Query validation error: '{rule}' on property {property}.");
        let answer = server.get(&format!("/api/v2/connections?{query}"));
        answer.assert_refusal(400, "Bad Request", &message, "invalid_query_string");
    }
}

#[test]
fn a_connection_that_is_not_there_is_not_found() {
    let server = Server::ephemeral();
    let answer = server.get("/api/v2/connections/con_0000000000000000");
    answer.assert_refusal(404, "Not Found", "The connection does not exist", "inexistent_connection");
    for id in [
        "nonsense",
        "con_",
        "con_00000000000000000",
        "con_000000000000000!",
        "%00",
        "Username-Password-Authentication",
    ] {
        let answer = server.get(&format!("/api/v2/connections/{id}"));
        let message =
            "Path validation error: 'String does not match pattern ^con_[A-Za-z0-9]{16}$' on property id.";
        answer.assert_refusal(400, "Bad Request", message, "invalid_uri");
    }
}

const CONNECTIONS: &str = "/api/v2/connections";

/// The path of a connection, and what is below it.
fn at(id: &Value, rest: &str) -> String {
    format!("{CONNECTIONS}/{}{rest}", id.as_str().unwrap())
}

fn database(name: &str) -> Value {
    json!({ "name": name, "strategy": "auth0" })
}

#[track_caller]
fn made(server: &Server, body: &Value) -> Value {
    let answer = server.send("POST", CONNECTIONS, body);
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.json()
}

#[track_caller]
fn refused(answer: &Answer, rule: &str, property: &str) {
    let on = if property.is_empty() { String::new() } else { format!(" on property {property}") };
    let message = format!("Payload validation error: '{rule}'{on}.");
    answer.assert_refusal(400, "Bad Request", &message, "invalid_body");
}

fn a_client(server: &Server) -> String {
    let answer = server.send("POST", "/api/v2/clients", &json!({ "name": "another" }));
    answer.json()["client_id"].as_str().unwrap().to_owned()
}

#[test]
fn a_new_database_has_the_defaults_and_takes_imports_once_it_is_enabled() {
    let server = Server::ephemeral();
    let created = made(&server, &database("staff-db"));
    let id = &created["id"];
    let expected = json!({
        "id": id, "name": "staff-db", "strategy": "auth0",
        "options": { "strategy_version": 2, "passwordPolicy": "good", "brute_force_protection": true },
        "realms": ["staff-db"], "enabled_clients": [], "is_domain_connection": false,
    });
    assert_eq!(created, expected);
    assert_eq!(server.get(&at(id, "")).json(), expected);
    let form = Form::import(id.as_str().unwrap(), r#"[{"email":"a@x.test","email_verified":true}]"#, false);
    server.upload(&form).assert_refusal(
        400,
        "Bad Request",
        "Connection must be enabled.",
        "operation_not_supported",
    );
    let clients = json!({ "enabled_clients": [a_client(&server)] });
    assert_eq!(server.send("PATCH", &at(id, ""), &clients).status, 200);
    let job = server.wait(server.upload(&form).json()["id"].as_str().unwrap());
    assert_eq!(job["summary"]["inserted"], 1);
    assert_eq!(server.user("a@x.test")["identities"][0]["connection"], "staff-db");
}

#[test]
fn all_that_can_be_said_of_a_connection_is_kept_through_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::on(directory.path(), &[]);
    let client = a_client(&server);
    let said = json!({
        "name": "a1-b2", "strategy": "auth0", "display_name": "Staff", "realms": ["a1-b2", "staff"],
        "is_domain_connection": true, "show_as_button": false, "enabled_clients": [client, client],
        "metadata": { "team": "one" }, "options": { "passwordPolicy": null, "own": { "n": 1.50, "x": [null] } },
    });
    let created = made(&server, &said);
    for (name, value) in said.as_object().unwrap() {
        match name.as_str() {
            "enabled_clients" => assert_eq!(created[name], json!([client])),
            "options" => assert_eq!(
                created[name],
                json!({
                    "strategy_version": 2, "passwordPolicy": null, "brute_force_protection": true,
                    "own": { "n": 1.50, "x": [null] },
                })
            ),
            _ => assert_eq!(created[name], *value, "{name}"),
        }
    }
    assert!(server.stop().success());
    let server = Server::on(directory.path(), &[]);
    assert_eq!(server.get(&at(&created["id"], "")).json(), created);
}

#[test]
fn a_connection_that_cannot_be_is_refused() {
    let server = Server::ephemeral();
    let post = |body: Value| server.send("POST", CONNECTIONS, &body);
    let pattern = "String does not match pattern ^[a-zA-Z0-9](-[a-zA-Z0-9]|[a-zA-Z0-9])*$";
    made(&server, &database(&"a".repeat(128)));
    refused(&post(database(&"b".repeat(129))), "String is too long (129 chars), maximum 128", "name");
    for name in ["", "-a", "a-", "a--b", "a b", "a_b"] {
        refused(&post(database(name)), pattern, "name");
    }
    refused(&post(json!({ "strategy": "auth0" })), "Missing required property: name", "");
    refused(&post(json!({ "name": "x" })), "Missing required property: strategy", "");
    refused(
        &post(json!({ "name": 1, "strategy": "auth0" })),
        "Expected type string but found type integer",
        "name",
    );
    let more = json!({ "name": "x", "strategy": "auth0", "id": "con_0000000000000001", "nmae": 1 });
    refused(&post(more), "Additional properties not allowed: id,nmae", "");
    let unknown = json!({ "name": "x", "strategy": "auth0", "enabled_clients": ["nobody"] });
    refused(&post(unknown), "The client nobody does not exist", "enabled_clients");
    let policy = json!({ "name": "x", "strategy": "auth0", "options": { "passwordPolicy": "strong" } });
    refused(&post(policy), "No enum match for: strong", "options.passwordPolicy");
    let message = "Only database connections (strategy auth0) can be created.";
    post(json!({ "name": "x", "strategy": "sms" })).assert_refusal(
        400,
        "Bad Request",
        message,
        "operation_not_supported",
    );
    assert_eq!(names(&list(&server, "name=x")), [""; 0]);
}

#[test]
fn no_two_connections_go_by_one_name() {
    let server = Server::ephemeral();
    let one = made(&server, &json!({ "name": "one", "strategy": "auth0", "realms": ["one", "uno"] }));
    let two = made(&server, &database("two"));
    let taken = |answer: Answer| {
        let message = "A connection with the same name already exists";
        answer.assert_refusal(409, "Conflict", message, "conflict");
    };
    taken(server.send("POST", CONNECTIONS, &database("one")));
    taken(server.send("POST", CONNECTIONS, &database("uno")));
    taken(server.send("POST", CONNECTIONS, &json!({ "name": "x", "strategy": "auth0", "realms": ["two"] })));
    taken(server.send("PATCH", &at(&two["id"], ""), &json!({ "realms": ["uno"] })));
    assert_eq!(
        server.send("PATCH", &at(&one["id"], ""), &json!({ "realms": [] })).json()["realms"],
        json!(["one"])
    );
    made(&server, &database("uno"));
}

#[test]
fn a_change_touches_what_it_names_and_replaces_options_as_a_whole() {
    let server = Server::ephemeral();
    let created = made(
        &server,
        &json!({ "name": "db", "strategy": "auth0", "options": { "own": 1, "passwordPolicy": "low" } }),
    );
    let path = at(&created["id"], "");
    let answer = server.send("PATCH", &path, &json!({ "options": { "own": 2 } }));
    let mut expected = created.clone();
    expected["options"] = json!({ "own": 2 });
    assert_eq!((answer.status, answer.json()), (200, expected.clone()));
    let answer = server.send("PATCH", &path, &json!({ "display_name": "DB", "metadata": { "a": "b" } }));
    expected["display_name"] = json!("DB");
    expected["metadata"] = json!({ "a": "b" });
    assert_eq!((answer.status, answer.json()), (200, expected.clone()));
    refused(&server.send("PATCH", &path, &json!({})), "Too few properties defined (0), minimum 1", "");
    let both = json!({ "name": "other", "strategy": "sms" });
    refused(&server.send("PATCH", &path, &both), "Additional properties not allowed: name,strategy", "");
    let unknown = json!({ "display_name": "never", "enabled_clients": ["nobody"] });
    refused(&server.send("PATCH", &path, &unknown), "The client nobody does not exist", "enabled_clients");
    assert_eq!(server.get(&path).json(), expected);
    let nowhere = format!("{CONNECTIONS}/con_0000000000000000");
    let answer = server.send("PATCH", &nowhere, &json!({ "display_name": "DB" }));
    answer.assert_refusal(404, "Not Found", "The connection does not exist", "inexistent_connection");
}

#[test]
fn a_connection_is_switched_on_and_off_for_clients() {
    let server = Server::ephemeral();
    let created = made(&server, &database("db"));
    let path = at(&created["id"], "/clients");
    let mut clients: Vec<String> = (0..5).map(|_| a_client(&server)).collect();
    clients.sort();
    let switch = |status: bool, clients: &[String]| {
        let changes = clients.iter().map(|id| json!({ "client_id": id, "status": status }));
        server.send("PATCH", &path, &changes.collect())
    };
    let enabled = || {
        let (mut seen, mut from) = (Vec::new(), String::new());
        loop {
            let page = server.get(&format!("{path}?take=2&from={from}")).json();
            let found = page["clients"].as_array().unwrap();
            assert!(found.len() <= 2);
            seen.extend(found.iter().map(|one| one["client_id"].as_str().unwrap().to_owned()));
            let Some(next) = page.get("next") else { return seen };
            from = next.as_str().unwrap().to_owned();
        }
    };
    assert_eq!(server.get(&path).json(), json!({ "clients": [] }));
    let answer = switch(true, &clients);
    assert_eq!((answer.status, answer.text.as_str()), (204, ""));
    assert_eq!(enabled(), clients);
    assert_eq!(switch(true, &clients[..2]).status, 204);
    assert_eq!(switch(false, &clients[1..3]).status, 204);
    assert_eq!(enabled(), [&clients[..1], &clients[3..]].concat());
    // All or none.
    let with_nobody = [clients[1].clone(), "nobody".to_owned()];
    for status in [true, false] {
        let answer = switch(status, &with_nobody);
        answer.assert_refusal(404, "Not Found", "The client does not exist", "inexistent_client");
    }
    assert_eq!(enabled().len(), 3);
    let fifty = vec![clients[0].clone(); 50];
    assert_eq!(switch(true, &fifty).status, 204);
    refused(&switch(true, &[&fifty[..], &clients[..1]].concat()), "Array is too long (51), maximum 50", "");
    refused(&switch(true, &[]), "Array is too short (0), minimum 1", "");
    refused(
        &server.send("PATCH", &path, &json!([{ "client_id": "a" }])),
        "Missing required property: status",
        "[0]",
    );
    let more = json!([{ "client_id": "a", "status": true, "x": 1 }]);
    refused(&server.send("PATCH", &path, &more), "Additional properties not allowed: x", "[0]");
    refused(&server.send("PATCH", &path, &json!({})), "Expected type array but found type object", "");
    assert_eq!(server.get(&format!("{path}?take=1000")).status, 200);
    let message = "Query validation error: 'Value 1001 is greater than maximum 1000' on property take.";
    let answer = server.get(&format!("{path}?take=1001"));
    answer.assert_refusal(400, "Bad Request", message, "invalid_query_string");
    for method in ["GET", "PATCH"] {
        let body = json!([{ "client_id": clients[0], "status": true }]);
        let answer = server.send(method, &format!("{CONNECTIONS}/con_0000000000000000/clients"), &body);
        answer.assert_refusal(404, "Not Found", "The connection does not exist", "inexistent_connection");
    }
}

#[test]
fn a_user_is_deleted_by_address_from_one_connection() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::on(directory.path(), &[]);
    let one = server.connection_id();
    let two = made(&server, &json!({ "name": "two", "strategy": "auth0", "is_domain_connection": true }));
    let file = r#"[{"email":"ann@x.test","email_verified":true,"username":"ann"},{"email":"bob@x.test","email_verified":true}]"#;
    for id in [&*one, two["id"].as_str().unwrap()] {
        server.wait(server.upload(&Form::import(id, file, false)).json()["id"].as_str().unwrap());
    }
    let delete = |id: &str, email: &str| {
        server.send("DELETE", &format!("{CONNECTIONS}/{id}/users?email={email}"), &Value::Null)
    };
    for _ in 0..2 {
        let answer = delete(&one, "ANN%40x.test");
        assert_eq!((answer.status, answer.text.as_str()), (204, ""));
    }
    assert_eq!(server.user("ann@x.test")["identities"][0]["connection"], "two");
    assert_eq!(server.get("/api/v2/users-by-email?email=bob@x.test").json().as_array().unwrap().len(), 2);
    // Address and user name are free again.
    let job = server.wait(
        server.upload(&Form::import(&one, &file.replace("bob", "eve"), false)).json()["id"].as_str().unwrap(),
    );
    assert_eq!(job["summary"]["inserted"], 2, "{job}");
    let query = |text: &str| format!("Query validation error: {text}.");
    let email = "'Object didn't pass validation for format email' on property email";
    delete(&one, "ann").assert_refusal(400, "Bad Request", &query(email), "invalid_query_string");
    let answer = server.send("DELETE", &format!("{CONNECTIONS}/{one}/users"), &Value::Null);
    let missing = query("'Missing required property: email'");
    answer.assert_refusal(400, "Bad Request", &missing, "invalid_query_string");
    delete("con_0000000000000000", "ann@x.test").assert_refusal(
        404,
        "Not Found",
        "The connection does not exist",
        "inexistent_connection",
    );
    assert!(server.stop().success());
    let events = open_store(directory.path()).events_from(0, 100).unwrap();
    let told: Vec<_> =
        events.iter().map(|(_, logged)| &logged.event).filter(|event| event.user_id.is_some()).collect();
    let codes: Vec<&str> = told.iter().map(|event| event.r#type.code()).collect();
    assert_eq!(codes, ["sapi", "sdu"]);
    assert!(told.iter().all(|event| event.user_name.as_deref() == Some("ann@x.test")));
    assert!(told.iter().all(|event| event.connection_id.as_deref() == Some(&*one)));
}

#[test]
fn users_of_other_kinds_of_connections_cannot_be_deleted() {
    let server = Server::ephemeral_configured(SIX);
    let sms = &list(&server, "name=sms")[0]["id"];
    let answer = server.send("DELETE", &at(sms, "/users?email=ann@x.test"), &Value::Null);
    answer.assert_refusal(
        400,
        "Bad Request",
        "Connection must be a database connection.",
        "operation_not_supported",
    );
}
