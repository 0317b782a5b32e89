//! Bodies that are forms, wherever JSON is taken.

use serde_json::{Value, json};

use crate::helpers::{Answer, Server, escape};

const FORM: &str = "application/x-www-form-urlencoded";

fn send(server: &Server, method: &str, path: &str, content_type: &str, body: impl AsRef<[u8]>) -> Answer {
    let bearer = format!("Bearer {}", server.token);
    let mut headers = vec![("authorization", &*bearer)];
    headers.extend((!content_type.is_empty()).then_some(("content-type", content_type)));
    server.request(method, path, &headers, body.as_ref())
}

#[track_caller]
fn refused(answer: &Answer, rest: &str) {
    let message = format!("Payload validation error: {rest}");
    answer.assert_refusal(400, "Bad Request", &message, "invalid_body");
}

#[test]
fn a_form_says_the_same_as_json() {
    let server = Server::ephemeral();
    server.import(r#"[{"email":"ann@x.test","email_verified":true}]"#, false);
    let user = server.user("ann@x.test")["user_id"].as_str().unwrap().to_owned();
    let form = |method: &str, path: &str, body: &str| send(&server, method, path, FORM, body);

    let made = form("POST", "/api/v2/clients", "name=Nightly+import&callbacks=https%3A%2F%2Fa.test%2F");
    assert_eq!(made.status, 201, "{}", made.text);
    let client = made.json();
    assert_eq!(
        (&client["name"], &client["callbacks"]),
        (&json!("Nightly import"), &json!(["https://a.test/"]))
    );
    let id = client["client_id"].as_str().unwrap();
    let body = "callbacks=https://a.test/&callbacks=https://b.test/&is_first_party=true";
    let changed = form("PATCH", &format!("/api/v2/clients/{id}"), body);
    assert_eq!(changed.status, 200, "{}", changed.text);
    assert_eq!(changed.json()["callbacks"], json!(["https://a.test/", "https://b.test/"]));

    let grant = format!("client_id={id}&audience=https://other.test/&scope=read:a&scope=read:b");
    let grant = form("POST", "/api/v2/client-grants", &grant);
    assert_eq!((grant.status, &grant.json()["scope"]), (201, &json!(["read:a", "read:b"])), "{}", grant.text);

    let options = escape(r#"{"password_policy":"low"}"#);
    let body = format!("name=two&strategy=auth0&enabled_clients={id}&options={options}");
    let connection = form("POST", "/api/v2/connections", &body);
    assert_eq!(connection.status, 201, "{}", connection.text);
    let connection = connection.json();
    assert_eq!(connection["enabled_clients"], json!([id]));
    assert_eq!(connection["options"]["password_policy"], "low");

    let ticket = format!("user_id={}&ttl_sec=60&mark_email_as_verified=true", escape(&user));
    let ticket = form("POST", "/api/v2/tickets/password-change", &ticket);
    assert_eq!(ticket.status, 201, "{}", ticket.text);

    let blocked = form("PATCH", &format!("/api/v2/users/{}", escape(&user)), "blocked=true");
    assert_eq!((blocked.status, &blocked.json()["blocked"]), (200, &json!(true)), "{}", blocked.text);

    let sink = escape(r#"{"httpEndpoint":"https://1.1.1.1/"}"#);
    let stream = form("POST", "/api/v2/log-streams", &format!("name=a&type=http&sink={sink}"));
    assert_eq!((stream.status, &stream.json()["sink"]["httpEndpoint"]), (200, &json!("https://1.1.1.1/")));
}

#[test]
fn a_form_that_breaks_a_rule_is_refused_in_the_words_of_the_api() {
    let server = Server::ephemeral();
    let ticket = "/api/v2/tickets/password-change";
    let kind = "; charset=utf-8";
    for (path, body, rest) in [
        ("/api/v2/clients", "", "'Expected type object but found type null'."),
        ("/api/v2/clients", "x=1", "'Missing required property: name'."),
        ("/api/v2/clients", "name=a&name=b", "'Expected type string but found type array' on property name."),
        ("/api/v2/clients", "name=a&shoe=7", "'Additional properties not allowed: shoe'."),
        (
            "/api/v2/clients",
            "name=a&is_first_party=yes",
            "'Expected type boolean but found type string' on property is_first_party.",
        ),
        (
            ticket,
            "user_id=a&ttl_sec=soon",
            "'Expected type integer but found type string' on property ttl_sec.",
        ),
        (
            ticket,
            "user_id=a&ttl_sec=1.5",
            "'Expected type integer but found type number' on property ttl_sec.",
        ),
        (ticket, "user_id=a&ttl_sec=-1", "'Value -1 is less than minimum 0' on property ttl_sec."),
        (
            "/api/v2/connections",
            "name=a&strategy=auth0&options=x",
            "'Expected type object but found type string' on property options.",
        ),
    ] {
        refused(&send(&server, "POST", path, &format!("{FORM}{kind}"), body), rest);
    }
    refused(&send(&server, "POST", "/api/v2/clients", FORM, b"name=\xff"), "'Invalid form'.");
}

#[test]
fn json_is_taken_whatever_its_type_says_and_an_upload_is_no_form() {
    let server = Server::ephemeral();
    let post = |content_type: &str, body: &str| send(&server, "POST", "/api/v2/clients", content_type, body);
    for content_type in
        ["", "application/json", "application/json; charset=utf-8", "text/plain", "nonsense", FORM]
    {
        let answer = post(content_type, r#" {"name":"App"}"#);
        assert_eq!(answer.status, 201, "{content_type}: {}", answer.text);
    }
    // Texts in JSON stay texts.
    let answer = post("application/json", r#"{"name":"App","is_first_party":"true"}"#);
    refused(&answer, "'Expected type boolean but found type string' on property is_first_party.");
    let answer = post("text/plain", "name=App");
    assert_eq!(answer.status, 400, "{}", answer.text);
    let upload = send(&server, "POST", "/api/v2/jobs/users-imports", FORM, "connection_id=x&users=[]");
    refused(&upload, "'Invalid multipart payload format'.");
    let list: Value = server.get("/api/v2/clients").json();
    assert!(list.as_array().unwrap().len() > 5);
}
