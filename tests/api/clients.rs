//! Who may ask for tokens: clients, their settings and their secrets.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::helpers::{Answer, Server, open_store};

const CLIENTS: &str = "/api/v2/clients";

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("{name} in {value}"))
}

fn at(client: &Value, rest: &str) -> String {
    format!("{CLIENTS}/{}{rest}", text(client, "client_id"))
}

#[track_caller]
fn made(server: &Server, body: &Value) -> Value {
    let answer = server.send("POST", CLIENTS, body);
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.json()
}

#[track_caller]
fn refused(answer: &Answer, rule: &str, property: &str) {
    let on = if property.is_empty() { String::new() } else { format!(" on property {property}") };
    let message = format!("Payload validation error: '{rule}'{on}.");
    answer.assert_refusal(400, "Bad Request", &message, "invalid_body");
}

#[track_caller]
fn not_there(answer: &Answer) {
    answer.assert_refusal(404, "Not Found", "The client does not exist", "inexistent_client");
}

/// Asks for a token as this client.
fn token(server: &Server, id: &str, secret: &str) -> Answer {
    let asked = json!({ "grant_type": "client_credentials", "client_id": id, "client_secret": secret });
    let headers = [("content-type", "application/json")];
    server.request("POST", "/oauth/token", &headers, asked.to_string().as_bytes())
}

fn granted(server: &Server, client: &Value) {
    let audience = format!("{}/api/v2/", server.about["url"].as_str().unwrap_or("http://intake.test"));
    let grant = json!({ "client_id": client["client_id"], "audience": audience, "scope": ["read:users"] });
    assert_eq!(server.send("POST", "/api/v2/client-grants", &grant).status, 201);
}

#[test]
fn a_new_client_has_the_documented_properties_and_its_secret_once() {
    let server = Server::ephemeral();
    let answer = server.send("POST", CLIENTS, &json!({ "name": "Nightly" }));
    assert_eq!((answer.status, answer.header("cache-control")), (201, "no-store"));
    let mut client = answer.json();
    let is_random =
        |text: &str, length| text.len() == length && text.bytes().all(|b| b.is_ascii_alphanumeric());
    assert!(is_random(text(&client, "client_id"), 32) && is_random(text(&client, "client_secret"), 64));
    client.as_object_mut().unwrap().remove("client_secret");
    let expected = json!({
        "tenant": "intake", "global": false, "name": "Nightly", "client_id": client["client_id"],
        "is_first_party": true, "oidc_conformant": false, "is_token_endpoint_ip_header_trusted": false,
        "sso_disabled": false, "cross_origin_authentication": false, "custom_login_page_on": true,
        "callbacks": [], "token_endpoint_auth_method": "client_secret_post",
        "jwt_configuration": { "secret_encoded": false, "lifetime_in_seconds": 36000 },
        "refresh_token": {
            "rotation_type": "non-rotating", "expiration_type": "non-expiring", "leeway": 0,
            "token_lifetime": 31_557_600, "idle_token_lifetime": 2_592_000,
            "infinite_token_lifetime": true, "infinite_idle_token_lifetime": true,
        },
        "grant_types": ["authorization_code", "implicit", "refresh_token", "client_credentials"],
    });
    assert_eq!(client, expected);
    assert_eq!(server.get(&at(&client, "")).json(), expected);
    let token = server.token_for("read:client_keys");
    assert_eq!(server.get_as(&at(&client, ""), &token).json(), expected);
    assert_eq!(server.get(&at(&client, "?fields=client_secret,name")).json(), json!({ "name": "Nightly" }));
    let public = made(&server, &json!({ "name": "App", "app_type": "spa" }));
    assert_eq!(text(&public, "token_endpoint_auth_method"), "none");
}

#[test]
fn settings_are_kept_changed_and_taken_back() {
    let server = Server::ephemeral();
    let said = json!({
        "name": "App", "description": "d".repeat(140), "app_type": "regular_web", "is_first_party": false,
        "grant_types": ["password", "http://auth0.com/oauth/grant-type/password-realm"],
        "callbacks": ["https://app.test/back"], "client_metadata": { "team": "one" },
        "token_endpoint_auth_method": "client_secret_basic", "addons": { "samlp": { "x": [1] } },
        "jwt_configuration": { "alg": "RS256" }, "logo_uri": "https://app.test/logo.png",
    });
    let mut client = made(&server, &said);
    client.as_object_mut().unwrap().remove("client_secret");
    for (name, value) in said.as_object().unwrap() {
        assert_eq!(client[name], *value, "{name}");
    }
    assert_eq!(server.get(&at(&client, "")).json(), client);
    let change = json!({ "name": "New", "is_first_party": null, "callbacks": null, "description": "" });
    let answer = server.send("PATCH", &at(&client, ""), &change);
    client["name"] = json!("New");
    client["is_first_party"] = json!(true);
    client["callbacks"] = json!([]);
    client["description"] = json!("");
    assert_eq!((answer.status, answer.json()), (200, client.clone()));
    assert_eq!(server.get(&at(&client, "")).json(), client);
}

#[test]
fn a_client_that_cannot_be_is_refused() {
    let server = Server::ephemeral();
    let with = |name: &str, value: Value| {
        let mut body = json!({ "name": "App" });
        body[name] = value;
        server.send("POST", CLIENTS, &body)
    };
    refused(&server.send("POST", CLIENTS, &json!({})), "Missing required property: name", "");
    refused(&with("name", json!("")), "String is too short (0 chars), minimum 1", "name");
    for name in ["a<b", "a>b"] {
        refused(&with("name", json!(name)), "String does not match pattern ^[^<>]+$", "name");
    }
    refused(
        &with("description", json!("d".repeat(141))),
        "String is too long (141 chars), maximum 140",
        "description",
    );
    refused(&with("app_type", json!("web")), "No enum match for: web", "app_type");
    refused(
        &with("grant_types", json!(["password", "pasword"])),
        "No enum match for: pasword",
        "grant_types[1]",
    );
    let null = "Expected type array but found type null";
    refused(&with("grant_types", Value::Null), null, "grant_types");
    refused(&with("callbacks", json!("x")), "Expected type array but found type string", "callbacks");
    let url = "u".repeat(2049);
    refused(
        &with("callbacks", json!([url])),
        "String is too long (2049 chars), maximum 2048",
        "callbacks[0]",
    );
    refused(&with("addons", json!([])), "Expected type object but found type array", "addons");
    refused(&with("sso", json!(1)), "Expected type boolean but found type integer", "sso");
    let eleven: Value = (0..11).map(|n| (n.to_string(), json!(""))).collect::<serde_json::Map<_, _>>().into();
    refused(
        &with("client_metadata", eleven),
        "Too many properties defined (11), maximum 10",
        "client_metadata",
    );
    for name in ["client_id", "client_secret", "global", "descripton"] {
        refused(&with(name, json!("x")), &format!("Additional properties not allowed: {name}"), "");
    }
    let client = made(&server, &json!({ "name": "App" }));
    for (body, rule, property) in [
        (json!({ "name": "<" }), "String does not match pattern ^[^<>]+$", "name"),
        (json!({ "name": null }), "Expected type string but found type null", "name"),
        (json!({ "client_secret": "x" }), "Additional properties not allowed: client_secret", ""),
        (json!({ "grant_types": null }), null, "grant_types"),
    ] {
        refused(&server.send("PATCH", &at(&client, ""), &body), rule, property);
    }
    assert_eq!(text(&server.get(&at(&client, "")).json(), "name"), "App");
}

/// The limit for all that clients can make; theirs is a smaller one.
#[test]
fn what_is_kept_of_a_connection_or_a_grant_does_not_grow_without_end() {
    let server = Server::ephemeral();
    let connection = server.connection_id();
    let options = |length: usize| {
        let body = json!({ "options": { "x": "y".repeat(length) } });
        server.send("PATCH", &format!("/api/v2/connections/{connection}"), &body)
    };
    let client = made(&server, &json!({ "name": "App" }));
    let client = text(&client, "client_id").to_owned();
    let scopes = |count: usize| {
        let scope: Vec<String> = (0..count).map(|at| format!("{at:0>280}")).collect();
        let audience = format!("https://api-{count}.test");
        let body = json!({ "client_id": client, "audience": audience, "scope": scope });
        server.send("POST", "/api/v2/client-grants", &body)
    };
    assert_eq!(options(90_000).status, 200);
    assert_eq!(scopes(330).status, 201);
    for refusal in [options(100_000), scopes(350)] {
        assert_eq!(refusal.status, 400, "{refusal:?}");
        let message = text(&refusal.json(), "message").to_owned();
        assert!(message.contains("Too large to be kept ("), "{message}");
        assert!(message.ends_with(" bytes), maximum 98304'."), "{message}");
    }
}

#[test]
fn settings_do_not_grow_without_end() {
    let server = Server::ephemeral();
    let client = made(&server, &json!({ "name": "App" }));
    let change = |name: &str, length: usize| {
        server.send("PATCH", &at(&client, ""), &json!({ name: "x".repeat(length) }))
    };
    assert_eq!(change("custom_login_page", 40_000).status, 200);
    let refusal = change("form_template", 30_000);
    assert_eq!(refusal.status, 400, "{refusal:?}");
    assert!(text(&refusal.json(), "message").contains("too large (7"), "{refusal:?}");
    assert!(text(&refusal.json(), "message").ends_with("bytes), maximum 65536'."), "{refusal:?}");
    assert_eq!(server.get(&at(&client, "")).json().get("form_template"), None);
    assert_eq!(change("form_template", 20_000).status, 200);
}

#[test]
fn clients_come_in_pages_and_by_kind() {
    let server = Server::ephemeral();
    let first = server.get(CLIENTS).json();
    assert_eq!(first.as_array().unwrap().len(), 1);
    assert_eq!(text(&first[0], "name"), "Default client");
    for (name, kind, own) in [("a", "spa", true), ("b", "native", false), ("c", "spa", false)] {
        made(&server, &json!({ "name": name, "app_type": kind, "is_first_party": own }));
    }
    let names = |query: &str| {
        let list = server.get(&format!("{CLIENTS}?{query}")).json();
        let mut names: Vec<String> =
            list.as_array().unwrap().iter().map(|one| text(one, "name").to_owned()).collect();
        names.sort();
        names.join(",")
    };
    assert_eq!(names(""), "Default client,a,b,c");
    assert_eq!(names("is_global=false&app_type="), "Default client,a,b,c");
    assert_eq!(names("is_global=true"), "");
    assert_eq!(names("is_first_party=true"), "Default client,a");
    assert_eq!(names("is_first_party=false"), "b,c");
    assert_eq!(names("app_type=spa"), "a,c");
    assert_eq!(names("app_type=spa,native&is_first_party=false"), "b,c");
    let page =
        server.get(&format!("{CLIENTS}?include_totals=true&per_page=3&page=1&fields=client_id")).json();
    assert_eq!((&page["start"], &page["limit"], &page["total"]), (&json!(3), &json!(3), &json!(4)));
    assert_eq!(page["clients"].as_array().unwrap().len(), 1);
    let (mut seen, mut from) = (Vec::new(), String::new());
    loop {
        let page = server.get(&format!("{CLIENTS}?take=3&from={from}")).json();
        seen.extend(page["clients"].as_array().unwrap().iter().map(|one| text(one, "client_id").to_owned()));
        let Some(next) = page.get("next") else { break };
        from = next.as_str().unwrap().to_owned();
    }
    assert_eq!(seen.len(), 4);
    assert!(seen.is_sorted());
    for (query, property) in [("per_page=101", "per_page"), ("take=101", "take")] {
        let message = format!(
            "Query validation error: 'Value 101 is greater than maximum 100' on property {property}."
        );
        server.get(&format!("{CLIENTS}?{query}")).assert_refusal(
            400,
            "Bad Request",
            &message,
            "invalid_query_string",
        );
    }
    for name in ["is_global", "is_first_party"] {
        let message = format!(
            "Query validation error: 'Expected type boolean but found type string' on property {name}."
        );
        server.get(&format!("{CLIENTS}?{name}=1")).assert_refusal(
            400,
            "Bad Request",
            &message,
            "invalid_query_string",
        );
    }
}

#[test]
fn at_most_fifty_clients_come_unless_more_are_asked_for() {
    let server = Server::ephemeral();
    for number in 0..50 {
        made(&server, &json!({ "name": number.to_string() }));
    }
    let count = |query: &str| server.get(&format!("{CLIENTS}{query}")).json().as_array().unwrap().len();
    assert_eq!((count(""), count("?per_page=100")), (50, 51));
}

#[test]
fn a_rotated_secret_is_dead_and_the_new_one_works_at_once() {
    let server = Server::ephemeral();
    let client = made(&server, &json!({ "name": "App" }));
    granted(&server, &client);
    let (id, old) = (text(&client, "client_id"), text(&client, "client_secret"));
    assert_eq!(token(&server, id, old).status, 200);
    let answer = server.send("POST", &at(&client, "/rotate-secret"), &Value::Null);
    assert_eq!((answer.status, answer.header("cache-control")), (200, "no-store"));
    let new = answer.json();
    assert_ne!(text(&new, "client_secret"), old);
    assert_eq!(token(&server, id, old).status, 401);
    assert_eq!(token(&server, id, text(&new, "client_secret")).status, 200);
    let mut rest = new.clone();
    rest.as_object_mut().unwrap().remove("client_secret");
    assert_eq!(rest, server.get(&at(&client, "")).json());
}

#[test]
fn a_deleted_client_takes_its_grants_and_its_place_in_connections_along() {
    let server = Server::ephemeral();
    let client = made(&server, &json!({ "name": "App" }));
    granted(&server, &client);
    let id = text(&client, "client_id");
    let connection = format!("/api/v2/connections/{}", server.connection_id());
    let body = json!([{ "client_id": id, "status": true }]);
    assert_eq!(server.send("PATCH", &format!("{connection}/clients"), &body).status, 204);
    let grants =
        || server.get(&format!("/api/v2/client-grants?client_id={id}")).json().as_array().unwrap().len();
    assert_eq!(
        (grants(), server.get(&connection).json()["enabled_clients"].as_array().unwrap().len()),
        (1, 2)
    );
    for _ in 0..2 {
        let answer = server.send("DELETE", &at(&client, ""), &Value::Null);
        assert_eq!((answer.status, answer.text.as_str()), (204, ""));
    }
    assert_eq!(grants(), 0);
    assert_eq!(server.get(&connection).json()["enabled_clients"], json!([server.about["client_id"]]));
    assert_eq!(token(&server, id, text(&client, "client_secret")).status, 401);
    not_there(&server.get(&at(&client, "")));
    not_there(&server.send("PATCH", &at(&client, ""), &json!({ "name": "x" })));
    not_there(&server.send("POST", &at(&client, "/rotate-secret"), &Value::Null));
    let grant = json!({ "client_id": id, "audience": "https://x.test/", "scope": [] });
    not_there(&server.send("POST", "/api/v2/client-grants", &grant));
}

/// Whether any file of a directory has these bytes in it.
fn is_in(directory: &Path, text: &str) -> bool {
    fs::read_dir(directory).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return is_in(&path, text);
        }
        let bytes = fs::read(&path).unwrap_or_default();
        bytes.windows(text.len()).any(|part| part == text.as_bytes())
    })
}

#[test]
fn secrets_are_neither_on_disk_nor_in_the_log_and_every_change_is() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::on(directory.path(), &[]);
    let client = made(&server, &json!({ "name": "App-to-be-found", "client_metadata": { "a": "b" } }));
    granted(&server, &client);
    let rotated = server.send("POST", &at(&client, "/rotate-secret"), &Value::Null).json();
    let secrets = [text(&client, "client_secret").to_owned(), text(&rotated, "client_secret").to_owned()];
    let id = text(&client, "client_id");
    for secret in &secrets {
        token(&server, id, secret);
    }
    assert_eq!(server.send("PATCH", &at(&client, ""), &json!({ "description": "d" })).status, 200);
    refused(
        &server.send("PATCH", &at(&client, ""), &json!({ "x": 1 })),
        "Additional properties not allowed: x",
        "",
    );
    assert_eq!(server.send("DELETE", &at(&client, ""), &Value::Null).status, 204);
    assert!(server.stop().success());
    let events = open_store(directory.path()).events_from(0, 100).unwrap();
    let told = |at: usize| {
        let event = &events[at].1.event;
        (event.r#type.code(), event.description.clone(), event.details["response"]["statusCode"].clone())
    };
    let api = |code, description: &str, status: u16| (code, description.to_owned(), json!(status));
    assert_eq!(told(0), api("sapi", "Create a Client", 201));
    assert_eq!(told(1), api("sapi", "Create Client Grant", 201));
    assert_eq!(told(2), api("sapi", "Rotate a Client Secret", 200));
    let details = &events[0].1.event.details;
    assert_eq!(details["client"], json!({ "client_id": id, "name": "App-to-be-found" }));
    assert_eq!(details["changed"], json!(["name", "client_metadata"]));
    let all: Vec<&str> = events.iter().map(|(_, logged)| logged.event.r#type.code()).collect();
    assert_eq!(all[..3], ["sapi"; 3]);
    let count = |code: &str| all.iter().filter(|one| **one == code).count();
    assert_eq!((count("sapi"), count("fapi"), count("seccft"), count("feccft")), (5, 1, 1, 1), "{all:?}");
    let log = serde_json::to_string(&events.iter().map(|(_, logged)| logged).collect::<Vec<_>>()).unwrap();
    assert!(is_in(directory.path(), "App-to-be-found") && log.contains(id));
    for secret in &secrets {
        assert!(!is_in(directory.path(), secret) && !log.contains(secret.as_str()));
    }
}

#[test]
fn wrong_secrets_cannot_fill_the_log() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::on(directory.path(), &[]);
    let client = made(&server, &json!({ "name": "App" }));
    granted(&server, &client);
    for _ in 0..5 {
        assert_eq!(token(&server, text(&client, "client_id"), "wrong").status, 401);
        assert_eq!(token(&server, "nobody", "wrong").status, 401);
    }
    assert_eq!(token(&server, text(&client, "client_id"), text(&client, "client_secret")).status, 200);
    assert!(server.stop().success());
    let events = open_store(directory.path()).events_from(0, 100).unwrap();
    let codes = events.iter().map(|(_, logged)| logged.event.r#type.code());
    let exchanges: Vec<&str> = codes.filter(|code| code.ends_with("ccft")).collect();
    assert_eq!(exchanges, ["feccft", "seccft"]);
    let failed = &events.iter().find(|(_, logged)| logged.event.r#type.code() == "feccft").unwrap().1.event;
    assert_eq!(failed.description, "Wrong client secret");
    assert_eq!(failed.origin.client_id.as_deref(), Some(text(&client, "client_id")));
}
