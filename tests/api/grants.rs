//! What a client's own tokens may do: grants, and the tokens they lead to.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::helpers::{Answer, Server, escape, open_store};

const GRANTS: &str = "/api/v2/client-grants";
const OTHER: &str = "https://other.test/api";

#[track_caller]
fn refused(answer: &Answer, rule: &str, property: &str) {
    let on = if property.is_empty() { String::new() } else { format!(" on property {property}") };
    let message = format!("Payload validation error: '{rule}'{on}.");
    answer.assert_refusal(400, "Bad Request", &message, "invalid_body");
}

fn own(server: &Server) -> String {
    format!("{}/api/v2/", server.about["url"].as_str().unwrap_or("http://intake.test"))
}

fn client(server: &Server, body: &Value) -> Value {
    let answer = server.send("POST", "/api/v2/clients", body);
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.json()
}

fn grant(server: &Server, client: &Value, audience: &str, scope: &[&str]) -> Answer {
    let body = json!({ "client_id": client["client_id"], "audience": audience, "scope": scope });
    server.send("POST", GRANTS, &body)
}

/// Asks for a token as this client.
fn ask(server: &Server, client: &Value, audience: Option<&str>, scope: &str) -> Answer {
    let text = |name: &str| escape(client[name].as_str().unwrap());
    let mut form = format!(
        "grant_type=client_credentials&client_id={}&client_secret={}&scope={}",
        text("client_id"),
        text("client_secret"),
        escape(scope)
    );
    if let Some(audience) = audience {
        form.extend(["&audience=", &*escape(audience)]);
    }
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    server.request("POST", "/oauth/token", &headers, form.as_bytes())
}

fn claims(token: &Value) -> Value {
    let payload = token["access_token"].as_str().unwrap().split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

#[track_caller]
fn no_token(answer: &Answer, error: &str, description: &str) {
    assert_eq!(answer.status, 403, "{answer:?}");
    assert_eq!(answer.json(), json!({ "error": error, "error_description": description }));
}

fn no_grant(audience: &str) -> String {
    format!(
        "Client is not authorized to access \"{audience}\". You need to create a \"client-grant\" associated to this API."
    )
}

#[test]
fn a_grant_is_made_listed_changed_and_taken_back() {
    let server = Server::ephemeral();
    let app = client(&server, &json!({ "name": "App" }));
    let answer = grant(&server, &app, &own(&server), &["read:users", "create:users"]);
    assert_eq!(answer.status, 201, "{}", answer.text);
    let mut made = answer.json();
    let id = made["id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("cgr_") && id.len() == 20);
    let expected = json!({
        "id": id, "client_id": app["client_id"], "audience": own(&server), "scope": ["read:users", "create:users"],
    });
    assert_eq!(made, expected);
    let other = grant(&server, &app, OTHER, &[]).json();
    assert_eq!((&other["audience"], &other["scope"]), (&json!(OTHER), &json!([])));
    let ids = |query: &str| {
        let list = server.get(&format!("{GRANTS}?{query}")).json();
        list.as_array().unwrap().iter().map(|one| one["id"].clone()).collect::<Vec<_>>()
    };
    let of_app = format!("client_id={}", app["client_id"].as_str().unwrap());
    assert_eq!((ids("").len(), ids(&of_app).len()), (3, 2));
    assert_eq!(ids(&format!("audience={OTHER}")), [other["id"].clone()]);
    assert_eq!(ids(&format!("{of_app}&audience={}", escape(&own(&server)))), [json!(id)]);
    assert_eq!(ids("audience=nowhere"), [Value::Null; 0]);
    let page = server.get(&format!("{GRANTS}?include_totals=true&per_page=2&page=1")).json();
    assert_eq!((&page["start"], &page["limit"], &page["total"]), (&json!(2), &json!(2), &json!(3)));
    assert_eq!(page["client_grants"].as_array().unwrap().len(), 1);
    let page = server.get(&format!("{GRANTS}?take=2")).json();
    let rest = server.get(&format!("{GRANTS}?take=2&from={}", page["next"].as_str().unwrap())).json();
    assert_eq!((rest["client_grants"].as_array().unwrap().len(), rest.get("next")), (1, None));
    let path = format!("{GRANTS}/{id}");
    let answer = server.send("PATCH", &path, &json!({ "scope": ["read:logs"] }));
    made["scope"] = json!(["read:logs"]);
    assert_eq!((answer.status, answer.json()), (200, made.clone()));
    assert_eq!(
        server.get(&format!("{GRANTS}?{of_app}&audience={}", escape(&own(&server)))).json(),
        json!([made])
    );
    for _ in 0..2 {
        let answer = server.send("DELETE", &path, &Value::Null);
        assert_eq!((answer.status, answer.text.as_str()), (204, ""));
    }
    assert_eq!(ids(&of_app), [other["id"].clone()]);
    let answer = server.send("PATCH", &path, &json!({ "scope": [] }));
    answer.assert_refusal(404, "Not Found", "The client grant does not exist", "inexistent_client_grant");
}

#[test]
fn a_grant_that_cannot_be_is_refused() {
    let server = Server::ephemeral();
    let app = client(&server, &json!({ "name": "App" }));
    let id = &app["client_id"];
    let post = |body: Value| server.send("POST", GRANTS, &body);
    refused(&post(json!({ "audience": OTHER })), "Missing required property: client_id", "");
    refused(&post(json!({ "client_id": id })), "Missing required property: audience", "");
    let more = json!({ "client_id": id, "audience": OTHER, "scope": [], "id": "x" });
    refused(&post(more), "Additional properties not allowed: id", "");
    let with = |audience: usize, scope: Value| {
        post(json!({ "client_id": id, "audience": "a".repeat(audience), "scope": scope }))
    };
    refused(&with(0, json!([])), "String is too short (0 chars), minimum 1", "audience");
    refused(&with(601, json!([])), "String is too long (601 chars), maximum 600", "audience");
    refused(&with(1, json!("read:users")), "Expected type array but found type string", "scope");
    refused(&with(1, json!([""])), "String is too short (0 chars), minimum 1", "scope[0]");
    refused(&with(1, json!(["a".repeat(281)])), "String is too long (281 chars), maximum 280", "scope[0]");
    refused(&with(1, json!(vec!["a"; 1001])), "Array is too long (1001), maximum 1000", "scope");
    for scope in ["a b", "a\"", "a\\", "\u{e4}", "a\n"] {
        let rule = r"String does not match pattern ^[\x21\x23-\x5B\x5D-\x7E]+$";
        refused(&with(1, json!(["a", scope])), rule, "scope[1]");
    }
    let long = "a".repeat(280);
    assert_eq!(with(600, json!([long])).status, 201);
    assert_eq!(with(599, json!(vec!["a"; 1000])).status, 201);
    let taken = "The client has a grant for this audience already; change that one";
    with(600, json!([])).assert_refusal(409, "Conflict", taken, "conflict");
    assert_eq!(grant(&server, &app, &own(&server), &[]).status, 201);
    grant(&server, &app, &own(&server), &[]).assert_refusal(409, "Conflict", taken, "conflict");
    let nobody = json!({ "client_id": "nobody" });
    grant(&server, &nobody, OTHER, &[]).assert_refusal(
        404,
        "Not Found",
        "The client does not exist",
        "inexistent_client",
    );
    refused(
        &server.send("PATCH", &format!("{GRANTS}/cgr_0000000000000000"), &json!({})),
        "Missing required property: scope",
        "",
    );
    let rule = "Path validation error: 'String does not match pattern ^cgr_[A-Za-z0-9]{16}$' on property id.";
    let answer = server.send("DELETE", &format!("{GRANTS}/nonsense"), &Value::Null);
    answer.assert_refusal(400, "Bad Request", rule, "invalid_uri");
}

#[test]
fn grants_decide_what_a_clients_own_tokens_may_do() {
    let server = Server::ephemeral();
    let app = client(&server, &json!({ "name": "App" }));
    for audience in [None, Some(own(&server))] {
        no_token(&ask(&server, &app, audience.as_deref(), ""), "access_denied", &no_grant(&own(&server)));
    }
    let made =
        grant(&server, &app, &own(&server), &["read:users", "read:nonsense", "read:connections"]).json();
    let token = ask(&server, &app, None, "").json();
    assert_eq!(token["scope"], "read:users read:connections");
    let bearer = token["access_token"].as_str().unwrap();
    assert_eq!(server.get_as("/api/v2/connections", bearer).status, 200);
    assert_eq!(server.get_as("/api/v2/clients", bearer).status, 403);
    assert_eq!(
        ask(&server, &app, Some(&own(&server)), "read:users read:clients").json()["scope"],
        "read:users"
    );
    let path = format!("{GRANTS}/{}", made["id"].as_str().unwrap());
    assert_eq!(server.send("PATCH", &path, &json!({ "scope": ["read:clients"] })).status, 200);
    assert_eq!(ask(&server, &app, None, "").json()["scope"], "read:clients");
    assert_eq!(server.send("DELETE", &path, &Value::Null).status, 204);
    no_token(&ask(&server, &app, None, ""), "access_denied", &no_grant(&own(&server)));
}

#[test]
fn a_token_for_another_api_is_good_there_and_not_here() {
    let server = Server::ephemeral();
    let app = client(&server, &json!({ "name": "App" }));
    grant(&server, &app, &own(&server), &["read:users"]);
    no_token(&ask(&server, &app, Some(OTHER), ""), "access_denied", &no_grant(OTHER));
    grant(&server, &app, OTHER, &["do:this", "do:that"]);
    let token = ask(&server, &app, Some(OTHER), "").json();
    assert_eq!((&token["scope"], &token["expires_in"]), (&json!("do:this do:that"), &json!(86400)));
    let claims = claims(&token);
    assert_eq!((&claims["aud"], &claims["scope"]), (&json!(OTHER), &json!("do:this do:that")));
    assert_eq!(claims["azp"], app["client_id"]);
    let here =
        server.get_as("/api/v2/users-by-email?email=a@x.test", token["access_token"].as_str().unwrap());
    here.assert_refusal(401, "Unauthorized", "Invalid token", "");
    assert_eq!(ask(&server, &app, Some(OTHER), "do:that read:users").json()["scope"], "do:that");
}

#[test]
fn a_client_uses_the_grant_types_it_is_allowed() {
    let server = Server::ephemeral();
    let app = client(&server, &json!({ "name": "App", "grant_types": ["password"] }));
    grant(&server, &app, &own(&server), &["read:users"]);
    let refusal = "Grant type 'client_credentials' not allowed for the client.";
    no_token(&ask(&server, &app, None, ""), "unauthorized_client", refusal);
    let path = format!("/api/v2/clients/{}", app["client_id"].as_str().unwrap());
    assert_eq!(server.send("PATCH", &path, &json!({ "grant_types": ["client_credentials"] })).status, 200);
    assert_eq!(ask(&server, &app, None, "").status, 200);
    assert_eq!(server.send("PATCH", &path, &json!({ "grant_types": [] })).status, 200);
    no_token(&ask(&server, &app, None, ""), "unauthorized_client", refusal);
}

#[test]
fn grant_types_of_declared_clients_are_settings() {
    let server = Server::ephemeral_configured(
        r#"
        [[clients]]
        client_id = "machine"
        client_secret = "0123456789abcdef0123456789abcdef"
        [[clients]]
        client_id = "page"
        client_secret = "0123456789abcdef0123456789abcdef"
        grant_types = ["password"]
        "#,
    );
    let status = |id: &str| {
        let app = json!({ "client_id": id, "client_secret": "0123456789abcdef0123456789abcdef" });
        ask(&server, &app, None, "").status
    };
    assert_eq!((status("machine"), status("page")), (200, 403));
    assert_eq!(server.get("/api/v2/clients/page").json()["grant_types"], json!(["password"]));
}

#[test]
fn the_log_tells_of_every_token_and_every_one_refused() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::on(directory.path(), &[]);
    let app = client(&server, &json!({ "name": "App" }));
    let made = grant(&server, &app, OTHER, &["do:this"]).json();
    assert_eq!(ask(&server, &app, Some(OTHER), "").status, 200);
    assert_eq!(ask(&server, &app, None, "").status, 403);
    assert!(server.stop().success());
    let events = open_store(directory.path()).events_from(0, 100).unwrap();
    let events: Vec<_> = events.into_iter().map(|(_, logged)| logged.event).collect();
    let codes: Vec<&str> = events.iter().map(|event| event.r#type.code()).collect();
    assert_eq!(codes, ["sapi", "sapi", "seccft", "feccft"]);
    let expected =
        json!({ "id": made["id"], "client_id": app["client_id"], "audience": OTHER, "scope": ["do:this"] });
    assert_eq!(events[1].details["grant"], expected);
    assert_eq!((events[2].audience.as_deref(), events[2].scope.as_deref()), (Some(OTHER), Some("do:this")));
    assert_eq!(events[3].audience.as_deref(), Some("http://intake.test/api/v2/"));
    assert_eq!(events[3].description, no_grant("http://intake.test/api/v2/"));
    for event in &events[2..] {
        assert_eq!(event.origin.client_name.as_deref(), Some("App"));
        assert_eq!(event.origin.client_id.as_deref(), app["client_id"].as_str());
        assert_eq!(event.origin.ip.as_deref(), Some("127.0.0.1"));
    }
}
