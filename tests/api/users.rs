//! Reading users back.

use serde_json::{Value, json};

use crate::helpers::{Server, escape};

const FILE: &str = r#"[
    {"email": "Ann@Example.TEST", "email_verified": true, "username": "Ann.K",
     "app_metadata": {"plan": "pro"}, "user_metadata": {"z": 1, "a": [true, null]}},
    {"email": "bob@example.test", "email_verified": false}
]"#;

const USERNAMES: &str = "Username-Password-Authentication";

#[track_caller]
fn assert_time(value: &Value) {
    let text = value.as_str().unwrap();
    assert!(text.len() == 24 && text.ends_with('Z') && &text[19..20] == ".", "{text}");
}

#[test]
fn a_user_has_exactly_the_documented_properties() {
    let server = Server::ephemeral();
    assert_eq!(server.import(FILE, false)["summary"]["inserted"], 2);
    for (email, given) in [
        (
            "ann@example.test",
            json!({ "username": "ann.k", "email_verified": true, "nickname": "ann",
                    "app_metadata": { "plan": "pro" }, "user_metadata": { "z": 1, "a": [true, null] } }),
        ),
        ("bob@example.test", json!({ "email_verified": false, "nickname": "bob" })),
    ] {
        let user = server.user(email);
        let id = user["user_id"].as_str().unwrap();
        let hex = id.strip_prefix("auth0|").unwrap();
        assert!(hex.len() == 24 && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)));
        assert_time(&user["created_at"]);
        assert_eq!(user["created_at"], user["updated_at"]);
        let mut expected = json!({
            "email": email, "name": email, "user_id": id,
            "created_at": user["created_at"], "updated_at": user["updated_at"],
            "identities": [{ "provider": "auth0", "connection": USERNAMES, "isSocial": false, "user_id": hex }],
        });
        expected.as_object_mut().unwrap().extend(given.as_object().unwrap().clone());
        assert_eq!(user, expected);
    }
}

#[test]
fn an_id_may_be_written_with_or_without_escapes() {
    let server = Server::ephemeral();
    server.import(FILE, false);
    let ann = server.user("ann@example.test");
    let id = ann["user_id"].as_str().unwrap().to_owned();
    let bearer = format!("Bearer {}", server.token);
    for written in [id.clone(), escape(&id), id.replace('|', "%7c"), id.replace("auth0", "%61uth0")] {
        // Not through a client that might mend the path.
        let path = format!("/api/v2/users/{written}");
        let answer = server.request("GET", &path, &[("authorization", &bearer)], b"");
        assert_eq!(answer.status, 200, "{written}: {}", answer.text);
        assert_eq!(answer.json(), ann);
        assert_eq!(answer.header("content-type"), "application/json; charset=utf-8");
    }
}

#[test]
fn an_id_that_is_nobodys_is_not_found() {
    let server = Server::ephemeral();
    server.import(FILE, false);
    let id = server.user("ann@example.test")["user_id"].as_str().unwrap().to_owned();
    let hex = id.strip_prefix("auth0|").unwrap();
    for id in [
        "auth0|000000000000000000000000",
        "auth0|",
        "nonsense",
        hex,
        &id.to_uppercase(),
        &format!("{id}0"),
        &format!("sms|{hex}"),
        "%00",
        "a/b",
        "\u{1f600}",
    ] {
        let answer = server.get(&format!("/api/v2/users/{}", escape(id)));
        answer.assert_refusal(404, "Not Found", "The user does not exist.", "inexistent_user");
    }
    let bearer = format!("Bearer {}", server.token);
    for path in ["/api/v2/users/%FF%FE", "/api/v2/users/%zz", "/api/v2/users/%"] {
        let answer = server.request("GET", path, &[("authorization", &bearer)], b"");
        assert!([400, 404].contains(&answer.status), "{path}: {}", answer.text);
        assert_eq!(answer.json()["statusCode"], answer.status);
    }
}

#[test]
fn users_are_found_by_the_address_as_it_is_kept() {
    let server = Server::ephemeral();
    server.import(FILE, false);
    let found = |query: &str| server.get(&format!("/api/v2/users-by-email?{query}"));
    assert_eq!(found("email=ann%40example.test").json().as_array().unwrap().len(), 1);
    assert_eq!(
        found("email=ann@example.test&unknown=1&include_fields=true").json().as_array().unwrap().len(),
        1
    );
    for other in [
        "Ann@Example.TEST",
        "ann@example.TEST",
        "nobody@example.test",
        "",
        "ann",
        "ann@example.test%20",
        "%00",
    ] {
        let answer = found(&format!("email={other}"));
        assert_eq!((answer.status, &*answer.text), (200, "[]"), "{other}");
    }
    let bearer = format!("Bearer {}", server.token);
    for query in ["email=%FF", "email=%zz", "email=%", "email=a&&&=&=b", "email=%ed%a0%80"] {
        let path = format!("/api/v2/users-by-email?{query}");
        let answer = server.request("GET", &path, &[("authorization", &bearer)], b"");
        assert_eq!((answer.status, &*answer.text), (200, "[]"), "{query}");
    }
    let message = "Query validation error: 'Missing required property: email'.";
    for query in ["", "Email=ann@example.test", "q=x"] {
        found(query).assert_refusal(400, "Bad Request", message, "invalid_query_string");
    }
}

#[test]
fn an_address_with_signs_that_mean_something_in_a_query_is_found_when_escaped() {
    let server = Server::ephemeral();
    let email = "a+b&c%d=e'{f}@example.test";
    let file = json!([{ "email": email, "email_verified": true }]).to_string();
    assert_eq!(server.import(&file, false)["summary"]["inserted"], 1);
    assert_eq!(server.user(email)["email"], email);
    // A bare plus is a blank, as in every form.
    assert_eq!(server.get("/api/v2/users-by-email?email=a+b").text, "[]");
}

#[test]
fn fields_may_be_chosen_or_left_out() {
    let server = Server::ephemeral();
    server.import(FILE, false);
    let ann = server.user("ann@example.test");
    let id = escape(ann["user_id"].as_str().unwrap());
    let both = |query: &str| {
        let by_email = server.get(&format!("/api/v2/users-by-email?email=ann@example.test&{query}")).json();
        let by_id = server.get(&format!("/api/v2/users/{id}?{query}")).json();
        assert_eq!(by_email, json!([by_id]));
        by_id
    };
    assert_eq!(both("fields=email,username"), json!({ "email": "ann@example.test", "username": "ann.k" }));
    assert_eq!(both("fields=email&include_fields=true"), json!({ "email": "ann@example.test" }));
    assert_eq!(both("fields=nothing"), json!({}));
    assert_eq!(both("fields="), ann);
    assert_eq!(both("include_fields=false"), ann);
    let mut rest = ann.clone();
    rest.as_object_mut().unwrap().retain(|name, _| name != "identities" && name != "app_metadata");
    assert_eq!(both("fields=identities%2Capp_metadata&include_fields=false"), rest);
    let message =
        "Query validation error: 'Expected type boolean but found type string' on property include_fields.";
    server.get(&format!("/api/v2/users/{id}?include_fields=yes")).assert_refusal(
        400,
        "Bad Request",
        message,
        "invalid_query_string",
    );
}
