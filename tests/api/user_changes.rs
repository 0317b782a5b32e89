//! Users made, changed and deleted one by one.

use std::thread;

use serde_json::{Value, json};

use crate::helpers::{Answer, Server, escape};
use crate::login::{PASSWORD, World};

const DATABASE: &str = "Username-Password-Authentication";
const EXISTS: &str = "The user already exists.";

/// A throwaway server with the connection `named`, whose users have user names.
fn server() -> Server {
    let server = Server::ephemeral();
    let body = json!({ "name": "named", "strategy": "auth0", "is_domain_connection": true,
                       "options": { "requires_username": true } });
    assert_eq!(server.send("POST", "/api/v2/connections", &body).status, 201);
    server
}

fn create(server: &Server, body: &Value) -> Answer {
    server.send("POST", "/api/v2/users", body)
}

/// Makes a user of the usual connection with these members.
fn made(server: &Server, members: &Value) -> Value {
    let mut body = json!({ "connection": DATABASE });
    body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    let answer = create(server, &body);
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.json()
}

fn path(user: &Value) -> String {
    format!("/api/v2/users/{}", escape(user["user_id"].as_str().unwrap()))
}

fn patch(server: &Server, user: &Value, body: &Value) -> Answer {
    server.send("PATCH", &path(user), body)
}

fn patched(server: &Server, user: &Value, body: &Value) -> Value {
    let answer = patch(server, user, body);
    assert_eq!(answer.status, 200, "{body}: {}", answer.text);
    assert_eq!(server.get(&path(user)).text, answer.text);
    answer.json()
}

#[track_caller]
fn invalid(answer: &Answer, rule: &str, property: &str) {
    let on = if property.is_empty() { String::new() } else { format!(" on property {property}") };
    let message = format!("Payload validation error: '{rule}'{on}.");
    answer.assert_refusal(400, "Bad Request", &message, "invalid_body");
}

#[test]
fn a_user_is_made_with_all_that_is_given() {
    let server = server();
    let body = json!({
        "connection": "named", "email": "Ann@Example.TEST", "username": "AnnK", "password": PASSWORD,
        "user_id": "legacy-17", "name": "Ann Keller", "nickname": "annie", "given_name": "Ann",
        "family_name": "Keller", "picture": "https://example.test/ann.png", "phone_number": "+4912345",
        "phone_verified": true, "email_verified": true, "verify_email": false, "blocked": true,
        "app_metadata": { "plan": "pro" }, "user_metadata": { "z": 1, "a": null },
    });
    let answer = create(&server, &body);
    assert_eq!(answer.status, 201, "{}", answer.text);
    let user = answer.json();
    let mut expected = body.as_object().unwrap().clone();
    for gone in ["connection", "password", "verify_email"] {
        expected.remove(gone);
    }
    let identity =
        json!({ "provider": "auth0", "connection": "named", "isSocial": false, "user_id": "legacy-17" });
    expected.extend(
        json!({ "email": "ann@example.test", "username": "annk", "user_id": "auth0|legacy-17",
                "identities": [identity], "created_at": user["created_at"], "updated_at": user["created_at"] })
        .as_object()
        .unwrap()
        .clone(),
    );
    assert_eq!(user, Value::Object(expected));
    assert_eq!(server.get(&path(&user)).text, answer.text);
    assert_eq!(server.user("ann@example.test"), user);
    assert!(!answer.text.contains(PASSWORD));
}

#[test]
fn a_user_needs_no_more_than_an_address() {
    let server = Server::ephemeral();
    let user = made(&server, &json!({ "email": "ann@example.test" }));
    assert_eq!((&user["email_verified"], &user["name"]), (&json!(false), &json!("ann@example.test")));
    let hex = user["user_id"].as_str().unwrap().strip_prefix("auth0|").unwrap();
    assert!(hex.len() == 24 && hex.bytes().all(|b| b.is_ascii_hexdigit()), "{hex}");
    for absent in ["blocked", "username", "phone_number", "app_metadata", "user_metadata"] {
        assert_eq!(user.get(absent), None);
    }
    let told = server.get("/api/v2/logs?q=type:sapi").text;
    assert!(told.contains("Create a User") && told.contains(hex), "{told}");
}

#[test]
fn metadata_of_a_request_are_kept_to_the_digit() {
    let server = Server::ephemeral();
    let metadata = r#"{"z":1.000,"n":12345678901234567890123,"e":1e400,"\u0061":"\ud83d\ude00"}"#;
    let body = format!(
        r#"{{"connection":"{DATABASE}","email":"a@x.test","app_metadata":{metadata},"user_metadata":{{"k":1.50,"gone":1}}}}"#
    );
    let bearer = format!("Bearer {}", server.token);
    let headers = [("authorization", &*bearer), ("content-type", "application/json")];
    let answer = server.request("POST", "/api/v2/users", &headers, body.as_bytes());
    assert_eq!(answer.status, 201, "{}", answer.text);
    assert!(answer.text.contains(&format!("\"app_metadata\":{metadata}")), "{}", answer.text);
    let id = path(&server.get("/api/v2/users-by-email?email=a@x.test&fields=user_id").json()[0]);
    let change = br#"{"user_metadata":{"gone":null,"big":0.10000000000000000000001},"app_metadata":{}}"#;
    let answer = server.request("PATCH", &id, &headers, change);
    assert_eq!(answer.status, 200, "{}", answer.text);
    let after = r#""app_metadata":{},"user_metadata":{"k":1.50,"big":0.10000000000000000000001}"#;
    assert!(answer.text.contains(after), "{}", answer.text);
}

#[test]
fn the_body_of_a_new_user_is_closed_and_each_member_has_its_rule() {
    let server = server();
    let refused = |members: Value, rule: &str, property: &str| {
        let mut body = json!({ "connection": DATABASE, "email": "ann@example.test" });
        body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        invalid(&create(&server, &body), rule, property);
    };
    let text = |chars: usize| "\u{e4}".repeat(chars);
    let long = |chars: usize, most: usize| format!("String is too long ({chars} chars), maximum {most}");
    let short = "String is too short (0 chars), minimum 1";
    refused(json!({ "id": 1, "nmae": 2 }), "Additional properties not allowed: id,nmae", "");
    refused(json!({ "logins_count": 1 }), "Additional properties not allowed: logins_count", "");
    let bad = "Object didn't pass validation for format email: no";
    refused(json!({ "email": "no" }), bad, "email");
    refused(json!({ "email": null }), "Expected type string but found type null", "email");
    refused(json!({ "email_verified": 1 }), "Expected type boolean but found type integer", "email_verified");
    refused(json!({ "verify_email": 1 }), "Expected type boolean but found type integer", "verify_email");
    refused(json!({ "password": "" }), short, "password");
    refused(json!({ "password": 12 }), "Expected type string but found type integer", "password");
    refused(json!({ "connection": 12 }), "Expected type string but found type integer", "connection");
    refused(json!({ "username": text(129) }), &long(129, 128), "username");
    refused(json!({ "username": "" }), short, "username");
    refused(json!({ "user_id": text(256) }), &long(256, 255), "user_id");
    refused(json!({ "user_id": "a b" }), r"String does not match pattern ^\S*$", "user_id");
    for (name, most) in [("name", 300), ("nickname", 300), ("given_name", 150), ("family_name", 150)] {
        refused(json!({ name: text(most + 1) }), &long(most + 1, most), name);
        refused(json!({ name: "" }), short, name);
        let email = format!("{name}@example.test");
        let user = made(&server, &json!({ "email": email, name: text(most) }));
        assert_eq!(user[name], text(most));
    }
    refused(
        json!({ "picture": "ann.png" }),
        "Object didn't pass validation for format uri: ann.png",
        "picture",
    );
    let url = |chars: usize| format!("https://x.test/{}", "p".repeat(chars - 15));
    refused(json!({ "picture": url(2049) }), &long(2049, 2048), "picture");
    made(&server, &json!({ "email": "url@example.test", "picture": url(2048) }));
    for number in ["+1234567890123456", "+", "123", "+12a"] {
        let rule = format!(r"String does not match pattern ^\+[0-9]{{1,15}}$: {number}");
        refused(json!({ "phone_number": number }), &rule, "phone_number");
    }
    made(&server, &json!({ "email": "phone@example.test", "phone_number": "+123456789012345" }));
    let not = "Data matches schema from 'not'";
    refused(json!({ "app_metadata": { "_id": 1 } }), not, "app_metadata._id");
    refused(json!({ "user_metadata": [] }), "Expected type object but found type array", "user_metadata");
    invalid(&create(&server, &json!({ "email": "a@b.c" })), "Missing required property: connection", "");
    invalid(&create(&server, &json!({ "connection": DATABASE })), "Missing required property: email", "");
    invalid(&create(&server, &json!([])), "Expected type object but found type array", "");
    assert_eq!(server.get("/api/v2/users-by-email?email=ann@example.test").text, "[]");
}

#[test]
fn metadata_and_bodies_have_an_end() {
    let server = Server::ephemeral_with(&[("INTAKE_IMPORT_MAX_METADATA_SIZE", "96KB")]);
    // {"x":"…"} is 8 bytes and the text.
    let metadata = |bytes: usize| json!({ "x": "x".repeat(bytes - 8) });
    let most = 96 << 10;
    let user = made(&server, &json!({ "email": "a@x.test", "user_metadata": metadata(most) }));
    let larger = json!({ "connection": DATABASE, "email": "b@x.test", "user_metadata": metadata(most + 1) });
    let rule = format!(
        "The metadata of a user has {} bytes, the limit is {most} (import.max_metadata_size)",
        most + 1
    );
    invalid(&create(&server, &larger), &rule, "");
    // Each is small enough, both together are not.
    invalid(
        &patch(&server, &user, &json!({ "app_metadata": { "a": 1 } })),
        &rule.replace("98305", "98311"),
        "",
    );
    assert_eq!(server.user("a@x.test"), user);
    patched(&server, &user, &json!({ "user_metadata": { "x": null }, "app_metadata": { "a": 1 } }));
    let deep = |levels: usize| (1..levels).fold(json!({}), |inner, _| json!({ "a": inner }));
    patched(&server, &user, &json!({ "app_metadata": deep(98) }));
    let path = format!("app_metadata{}", ".a".repeat(98));
    let rule = "Arrays and objects are nested deeper than 98 levels";
    invalid(&patch(&server, &user, &json!({ "app_metadata": deep(99) })), rule, &path);

    let bearer = format!("Bearer {}", server.token);
    let headers = [("authorization", &*bearer), ("content-type", "application/json")];
    let padded = |bytes: usize| {
        let body = json!({ "connection": DATABASE, "email": "c@x.test" }).to_string();
        body.clone() + &" ".repeat(bytes - body.len())
    };
    let post = |bytes: usize| server.request("POST", "/api/v2/users", &headers, padded(bytes).as_bytes());
    let message = "Payload content length greater than maximum allowed: 262144";
    post((256 << 10) + 1).assert_refusal(413, "Request Entity Too Large", message, "");
    assert_eq!(post(256 << 10).status, 201);
}

#[test]
fn the_connection_decides_who_can_be_made_there() {
    let server = server();
    let refused = |body: Value, message: &str, code: &str| {
        create(&server, &body).assert_refusal(400, "Bad Request", message, code);
    };
    let with = |connection: &str, members: Value| {
        let mut body = json!({ "connection": connection, "email": "ann@example.test" });
        body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        body
    };
    let unsupported = "operation_not_supported";
    refused(with("nowhere", json!({})), "Connection does not exist.", "inexistent_connection");
    refused(with(&server.connection_id(), json!({})), "Connection does not exist.", "inexistent_connection");
    let closed = json!({ "name": "closed", "strategy": "auth0" });
    assert_eq!(server.send("POST", "/api/v2/connections", &closed).status, 201);
    refused(with("closed", json!({})), "Connection is disabled.", unsupported);
    let message = "Cannot set username for connection without requires_username.";
    refused(with(DATABASE, json!({ "username": "ann" })), message, unsupported);
    let message = "Missing username for connection with requires_username.";
    refused(with("named", json!({})), message, unsupported);
    let message = "PasswordStrengthError: Password is too weak";
    refused(with(DATABASE, json!({ "password": "short" })), message, "invalid_password");
    assert_eq!(server.get("/api/v2/users-by-email?email=ann@example.test").text, "[]");
}

#[test]
fn nobody_gets_what_somebody_has() {
    let server = server();
    let ann = made(&server, &json!({ "email": "ann@example.test", "user_id": "auth0|a" }));
    let taken =
        |body: Value| create(&server, &body).assert_refusal(409, "Conflict", EXISTS, "auth0_idp_error");
    taken(json!({ "connection": DATABASE, "email": "ANN@example.test" }));
    taken(json!({ "connection": DATABASE, "email": "bob@example.test", "user_id": "a" }));
    // An id is one person's everywhere, an address in each connection.
    let named = |members: Value| {
        let mut body = json!({ "connection": "named" });
        body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        body
    };
    taken(named(json!({ "email": "bob@example.test", "username": "b", "user_id": "a" })));
    assert_eq!(
        create(&server, &named(json!({ "email": "ann@example.test", "username": "ann" }))).status,
        201
    );
    taken(named(json!({ "email": "bob@example.test", "username": "ANN" })));
    let bob = create(&server, &named(json!({ "email": "bob@example.test", "username": "bob" }))).json();
    let message = "The specified new email already exists";
    patch(&server, &bob, &json!({ "email": "Ann@example.test" })).assert_refusal(
        409,
        "Conflict",
        message,
        "auth0_idp_error",
    );
    let message = "The specified new username already exists";
    patch(&server, &bob, &json!({ "username": "Ann" })).assert_refusal(
        409,
        "Conflict",
        message,
        "auth0_idp_error",
    );
    assert_eq!(server.get(&path(&bob)).json(), bob);
    // One's own is not taken.
    assert_eq!(patched(&server, &ann, &json!({ "email": "ANN@example.test" }))["email"], "ann@example.test");
}

#[test]
fn of_many_who_want_one_address_at_once_one_gets_it() {
    let server = Server::ephemeral();
    let body = json!({ "connection": DATABASE, "email": "ann@example.test" });
    let answers: Vec<u16> = thread::scope(|scope| {
        let asking: Vec<_> = (0..8).map(|_| scope.spawn(|| create(&server, &body).status)).collect();
        asking.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(answers.iter().filter(|status| **status == 201).count(), 1, "{answers:?}");
    assert_eq!(answers.iter().filter(|status| **status == 409).count(), 7, "{answers:?}");
    server.user("ann@example.test");
}

#[test]
fn names_are_set_and_unset() {
    let server = Server::ephemeral();
    let user = made(&server, &json!({ "email": "ann@example.test", "name": "Ann", "given_name": "A" }));
    let change = json!({ "name": "Anna", "nickname": "n", "family_name": "K", "picture": "https://x.test/",
                         "phone_number": "+49", "phone_verified": true, "blocked": true });
    let after = patched(&server, &user, &change);
    for (name, value) in change.as_object().unwrap() {
        assert_eq!(&after[name], value, "{name}");
    }
    assert_eq!(after["given_name"], "A");
    assert!(user["updated_at"].as_str() <= after["updated_at"].as_str());
    assert_eq!(patched(&server, &user, &json!({ "phone_number": "+50" })).get("phone_verified"), None);
    let unset = json!({ "name": null, "nickname": null, "given_name": null, "family_name": null,
                        "picture": null, "phone_number": null, "blocked": false });
    let mut expected = user.clone();
    expected["name"] = json!("ann@example.test");
    expected.as_object_mut().unwrap().remove("given_name");
    let mut after = patched(&server, &user, &unset);
    after["updated_at"] = expected["updated_at"].clone();
    assert_eq!(after, expected);
}

#[test]
fn metadata_are_merged_on_the_first_level() {
    let server = Server::ephemeral();
    let user = made(
        &server,
        &json!({ "email": "ann@example.test", "user_metadata": { "a": { "x": 1, "y": 2 }, "b": 1, "c": 2 } }),
    );
    let after = patched(
        &server,
        &user,
        &json!({ "user_metadata": { "a": { "z": null }, "b": null, "none": null, "d": [] }, "app_metadata": { "p": 1 } }),
    );
    assert_eq!(after["user_metadata"], json!({ "a": { "z": null }, "c": 2, "d": [] }));
    assert_eq!(after["app_metadata"], json!({ "p": 1 }));
    let after = patched(&server, &user, &json!({ "user_metadata": {} }));
    assert_eq!((&after["user_metadata"], &after["app_metadata"]), (&json!({}), &json!({ "p": 1 })));
    let not = "Data matches schema from 'not'";
    let forbidden = json!({ "app_metadata": { "created_at": null } });
    invalid(&patch(&server, &user, &forbidden), not, "app_metadata.created_at");
}

#[test]
fn another_address_is_to_be_proved_and_finds_the_user() {
    let server = Server::ephemeral();
    let user = made(&server, &json!({ "email": "ann@example.test", "email_verified": true }));
    let found = |email: &str| server.get(&format!("/api/v2/users-by-email?email={email}")).json();
    // The same again changes nothing.
    assert_eq!(patched(&server, &user, &json!({ "email": "ANN@example.test" }))["email_verified"], true);
    let after = patched(&server, &user, &json!({ "email": "Anna@Example.test", "verify_email": false }));
    assert_eq!((&after["email"], &after["email_verified"]), (&json!("anna@example.test"), &json!(false)));
    assert_eq!((found("ann@example.test"), found("anna@example.test")), (json!([]), json!([after])));
    let after = patched(&server, &user, &json!({ "email": "ann@example.test", "email_verified": true }));
    assert_eq!(after["email_verified"], true);
    assert_eq!((found("anna@example.test"), found("ann@example.test")), (json!([]), json!([after])));
    // The old address is free.
    made(&server, &json!({ "email": "anna@example.test" }));
}

#[test]
fn some_members_cannot_be_changed_together() {
    let server = server();
    let body = json!({ "connection": "named", "email": "ann@example.test", "username": "ann" });
    let user = create(&server, &body).json();
    let value = |name: &str| match name {
        "email_verified" => json!(true),
        "email" => json!("x@example.test"),
        _ => json!(PASSWORD),
    };
    for (one, other) in [
        ("password", "email"),
        ("password", "email_verified"),
        ("username", "email"),
        ("username", "email_verified"),
        ("username", "password"),
    ] {
        let answer = patch(&server, &user, &json!({ one: value(one), other: value(other) }));
        let message = format!("Cannot update {one} and {other} simultaneously.");
        answer.assert_refusal(400, "Bad Request", &message, "operation_not_supported");
    }
    assert_eq!(server.get(&path(&user)).json(), user);
    let after = patched(&server, &user, &json!({ "username": "Anna", "blocked": true }));
    assert_eq!(after["username"], "anna");
}

#[test]
fn a_change_is_an_open_object_that_says_something() {
    let server = Server::ephemeral();
    let user = made(&server, &json!({ "email": "ann@example.test" }));
    let tolerated =
        json!({ "name": "Ann", "connection": DATABASE, "client_id": "x", "user_id": 7, "foo": {} });
    let after = patched(&server, &user, &tolerated);
    assert_eq!((&after["name"], after.get("foo")), (&json!("Ann"), None));
    assert_eq!(after["user_id"], user["user_id"]);
    let few = "Too few properties defined (0), minimum 1";
    invalid(&patch(&server, &user, &json!({})), few, "");
    invalid(&patch(&server, &user, &json!({ "foo": 1 })), few, "");
    invalid(
        &patch(&server, &user, &json!({ "blocked": null })),
        "Expected type boolean but found type null",
        "blocked",
    );
    let twice = server.request(
        "PATCH",
        &path(&user),
        &[("authorization", &format!("Bearer {}", server.token))],
        br#"{"name":"a","name":"b"}"#,
    );
    invalid(&twice, "Property given twice: name", "name");
    let other = patch(&server, &user, &json!({ "name": "x", "connection": "other" }));
    let message = "The user is not in the given connection.";
    other.assert_refusal(400, "Bad Request", message, "inexistent_connection");
    let message = "Cannot set username for connection without requires_username.";
    patch(&server, &user, &json!({ "username": "ann" })).assert_refusal(
        400,
        "Bad Request",
        message,
        "operation_not_supported",
    );
    let nobody = json!({ "user_id": "auth0|nobody" });
    let message = "The user does not exist.";
    patch(&server, &nobody, &json!({ "name": "x" })).assert_refusal(
        404,
        "Not Found",
        message,
        "inexistent_user",
    );
    assert_eq!(server.get(&path(&user)).json(), after);
}

#[test]
fn scopes_say_who_may_change_what() {
    let server = Server::ephemeral();
    let user = made(&server, &json!({ "email": "ann@example.test" }));
    let token = server.token_for("update:users_app_metadata");
    let change = |body: Value| server.send_as("PATCH", &path(&user), &body, &token);
    assert_eq!(change(json!({ "app_metadata": { "a": 1 } })).status, 200);
    let message = "Insufficient scope, expected any of: update:users";
    for body in [
        json!({ "app_metadata": { "a": 2 }, "user_metadata": {} }),
        json!({ "app_metadata": { "a": 2 }, "password": PASSWORD }),
        json!({ "app_metadata": { "a": 2 }, "verify_email": true }),
        json!({ "name": "x" }),
    ] {
        change(body).assert_refusal(403, "Forbidden", message, "insufficient_scope");
    }
    assert_eq!(server.user("ann@example.test")["app_metadata"], json!({ "a": 1 }));
    let reader = server.token_for("read:users");
    let as_reader = |method: &str, path: &str, body: Value| server.send_as(method, path, &body, &reader);
    let message = "Insufficient scope, expected any of: update:users,update:users_app_metadata";
    as_reader("PATCH", &path(&user), json!({ "app_metadata": {} })).assert_refusal(
        403,
        "Forbidden",
        message,
        "insufficient_scope",
    );
    as_reader("DELETE", &path(&user), Value::Null).assert_refusal(
        403,
        "Forbidden",
        "Insufficient scope, expected any of: delete:users",
        "insufficient_scope",
    );
    as_reader("POST", "/api/v2/users", json!({})).assert_refusal(
        403,
        "Forbidden",
        "Insufficient scope, expected any of: create:users",
        "insufficient_scope",
    );
}

#[test]
fn who_is_deleted_is_gone_and_may_come_again() {
    let server = Server::ephemeral();
    let members = json!({ "email": "ann@example.test", "user_id": "a" });
    let user = made(&server, &members);
    let delete = |id: &str| {
        let answer = server.send("DELETE", &format!("/api/v2/users/{id}"), &Value::Null);
        assert_eq!((answer.status, &*answer.text), (204, ""), "{id}");
        assert_eq!(answer.header("content-type"), "application/json; charset=utf-8");
    };
    delete("auth0%7Ca");
    assert_eq!(server.get(&path(&user)).status, 404);
    assert_eq!(server.get("/api/v2/users-by-email?email=ann@example.test").text, "[]");
    for nobody in ["auth0%7Ca", "auth0|a", "nonsense", "sms%7Ca"] {
        delete(nobody);
    }
    let events = server.get("/api/v2/logs?per_page=100").json();
    let events: Vec<&Value> =
        events.as_array().unwrap().iter().filter(|event| event["user_id"] == "auth0|a").collect();
    let told = |text: &str| events.iter().filter(|event| event["description"] == text).count();
    assert_eq!((told("Delete a User"), told("User deleted"), told("Create a User")), (1, 1, 1), "{events:?}");
    made(&server, &members);
}

#[test]
fn ids_of_any_text_are_found_however_they_are_escaped() {
    let server = Server::ephemeral();
    let bearer = format!("Bearer {}", server.token);
    for (at, id) in
        ["plain", "a/b", "a|b", "auth0|auth0|x", "100%", "%2F", "a+b", "ü\u{1f600}", "a?b#c;d", "..", "\"\\"]
            .iter()
            .enumerate()
    {
        let user = made(&server, &json!({ "email": format!("user{at}@example.test"), "user_id": id }));
        let whole = user["user_id"].as_str().unwrap();
        assert_eq!(whole, format!("auth0|{}", id.strip_prefix("auth0|").unwrap_or(id)));
        // Not through a client that might mend the path.
        for written in [escape(whole), escape(whole).to_lowercase(), escape(whole).replacen("%7C", "|", 1)] {
            if written.to_lowercase() == written && whole.to_lowercase() != whole {
                continue;
            }
            let answer = server.request(
                "GET",
                &format!("/api/v2/users/{written}"),
                &[("authorization", &bearer)],
                b"",
            );
            assert_eq!(answer.status, 200, "{written}: {}", answer.text);
            assert_eq!(answer.json(), user, "{written}");
        }
        let after = patched(&server, &user, &json!({ "name": "x" }));
        let fields = server.get(&format!("{}?fields=user_id,name", path(&user)));
        assert_eq!(fields.json(), json!({ "user_id": whole, "name": "x" }));
        assert_eq!(after["identities"][0]["user_id"], whole.strip_prefix("auth0|").unwrap());
    }
}

#[test]
fn a_password_that_is_given_signs_in_until_another_is() {
    let world = World::with("");
    let create = json!({ "connection": "staff", "email": "new@example.test", "password": PASSWORD });
    let user = world.call("POST", "/api/v2/users", &create);
    assert_eq!(user.status, 201, "{}", user.text);
    let user = user.json();
    assert_eq!(user.get("last_password_reset"), None);
    assert_eq!(world.sign_in("new@example.test", PASSWORD).status, 200);
    let weak = world.call("PATCH", &path(&user), &json!({ "password": "short" }));
    let message = "PasswordStrengthError: Password is too weak";
    weak.assert_refusal(400, "Bad Request", message, "invalid_password");
    let other = "Another-Pa55-word";
    let after = world.call("PATCH", &path(&user), &json!({ "password": other, "connection": "staff" }));
    assert_eq!(after.status, 200, "{}", after.text);
    assert!(after.json()["last_password_reset"].is_string(), "{}", after.text);
    assert!(!after.text.contains(other));
    assert_eq!(world.sign_in("new@example.test", PASSWORD).status, 403);
    assert_eq!(world.sign_in("new@example.test", other).status, 200);
    let told = world.server.get("/api/v2/logs?per_page=100").text;
    assert!(told.contains("\"changed\":[\"password\"]") && !told.contains(other), "{told}");
    // The password goes with the user, and an address goes to another one without it.
    let moved = world.call("PATCH", &path(&user), &json!({ "email": "moved@example.test" }));
    assert_eq!(moved.status, 200, "{}", moved.text);
    assert_eq!(world.sign_in("new@example.test", other).status, 403);
    assert_eq!(world.sign_in("moved@example.test", other).status, 200);
    let bearer = format!("Bearer {}", world.server.token);
    let gone = world.server.request("DELETE", &path(&user), &[("authorization", &bearer)], b"");
    assert_eq!(gone.status, 204);
    let create = json!({ "connection": "staff", "email": "moved@example.test" });
    assert_eq!(world.call("POST", "/api/v2/users", &create).status, 201);
    assert_eq!(world.sign_in("moved@example.test", other).status, 403);
}

#[test]
fn a_new_password_ends_the_block_of_the_user() {
    let world = World::with("max_failures = 2\nblock_for = \"1h\"");
    let user = world.server.user("ann@example.test");
    for _ in 0..3 {
        world.sign_in("ann@example.test", "wrong");
    }
    assert_eq!(world.sign_in("ann@example.test", PASSWORD).status, 429);
    assert_eq!(world.call("PATCH", &path(&user), &json!({ "password": PASSWORD })).status, 200);
    assert_eq!(world.sign_in("ann@example.test", PASSWORD).status, 200);
}
