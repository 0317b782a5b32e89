//! Where users can go: the list of connections in all the forms clients ask for.

use serde_json::{Value, json};

use crate::helpers::Server;

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
        "id": "con_0000000000000001", "name": "db-1", "strategy": "auth0", "options": {},
        "realms": ["db-1"], "enabled_clients": ["importer"], "is_domain_connection": false,
    });
    let answer = server.get("/api/v2/connections/con_0000000000000001");
    assert_eq!((answer.status, answer.json()), (200, expected.clone()));
    assert_eq!(answer.header("content-type"), "application/json; charset=utf-8");
    assert_eq!(list(&server, "name=db-1"), json!([expected]));
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
