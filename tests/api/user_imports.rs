//! What rows of an import may say of users besides the five properties, and when.

use serde_json::{Value, json};

use crate::helpers::{Server, intake};

const PROFILE: &[(&str, &str)] = &[("INTAKE_IMPORT_SCHEMA", "profile")];

fn profile() -> Value {
    json!({
        "name": "Ann Keller", "nickname": "annie", "given_name": "Ann", "family_name": "Keller",
        "picture": "https://example.test/ann.png", "phone_number": "+4912345", "phone_verified": true,
        "blocked": true,
    })
}

/// What only a server knows of its users; rows of exports have it.
fn export_only() -> Value {
    json!({
        "created_at": "2018-03-05T09:31:12.590Z", "updated_at": 7, "identities": [{ "user_id": "x" }],
        "last_login": "2018-03-05T09:31:12.590Z", "last_ip": "10.0.0.1", "logins_count": 3,
        "last_password_reset": "2018-03-05T09:31:12.590Z", "multifactor": [],
        "multifactor_last_modified": null,
    })
}

fn row(email: &str, more: &[&Value]) -> Value {
    let mut row = json!({ "email": email, "email_verified": true });
    for more in more {
        row.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    }
    row
}

/// The faults of the only row, as `CODE path`.
fn faults(server: &Server, row: &Value, upsert: bool) -> Vec<String> {
    let job = server.import(&json!([row]).to_string(), upsert);
    let rows = server.errors(&job);
    let faults = rows[0]["errors"].as_array().cloned().unwrap_or_default();
    let shown = |fault: &Value| {
        format!("{} {}", fault["code"].as_str().unwrap(), fault["path"].as_str().unwrap_or("-"))
    };
    faults.iter().map(shown).collect()
}

#[test]
fn rows_made_by_hand_have_five_properties_unless_more_are_allowed() {
    let server = Server::ephemeral();
    let given = row("ann@x.test", &[&profile(), &json!({ "user_id": "legacy-17" })]);
    let strangers = faults(&server, &given, false);
    assert_eq!(strangers.len(), 9, "{strangers:?}");
    assert!(
        strangers.iter().all(|fault| fault.starts_with("OBJECT_ADDITIONAL_PROPERTIES ")),
        "{strangers:?}"
    );
    let server = Server::ephemeral_with(PROFILE);
    assert_eq!(faults(&server, &given, false), [""; 0]);
    let user = server.user("ann@x.test");
    assert_eq!(user["user_id"], "auth0|legacy-17");
    for (name, value) in profile().as_object().unwrap() {
        assert_eq!(&user[name], value, "{name}");
    }
    let known = row("bob@x.test", &[&export_only()]);
    assert_eq!(faults(&server, &known, false), [""; 0]);
    assert_eq!(
        faults(&server, &row("c@x.test", &[&json!({ "nmae": 1 })]), false),
        ["OBJECT_ADDITIONAL_PROPERTIES nmae"]
    );
}

#[test]
fn rows_of_an_export_are_taken_as_they_are() {
    let server = Server::ephemeral();
    for (at, id) in
        ["auth0|legacy-17", "auth0|5a9d0e50c55b3650a5c9fff9", "auth0|auth0|twice"].iter().enumerate()
    {
        let email = format!("ann{at}@x.test");
        let given = row(&email, &[&profile(), &export_only(), &json!({ "user_id": id })]);
        assert_eq!(faults(&server, &given, false), [""; 0], "{given}");
        let user = server.user(&email);
        assert_eq!(user["user_id"], *id);
        for (name, value) in profile().as_object().unwrap() {
            assert_eq!(&user[name], value, "{name}");
        }
        for name in ["last_login", "last_ip", "logins_count", "last_password_reset", "multifactor"] {
            assert_eq!(user.get(name), None, "{name}");
        }
        assert_ne!(user["created_at"], "2018-03-05T09:31:12.590Z");
    }
    // What an export does not know is not taken, and verified or not has to be said.
    let strange = row("bob@x.test", &[&json!({ "user_id": "auth0|b", "password_hash": "x" })]);
    assert_eq!(faults(&server, &strange, false), ["OBJECT_ADDITIONAL_PROPERTIES password_hash"]);
    let open = json!({ "email": "bob@x.test", "user_id": "auth0|b" });
    assert_eq!(faults(&server, &open, false), ["OBJECT_REQUIRED email_verified"]);
}

#[test]
fn what_the_server_shows_of_a_user_imports_again() {
    let server = Server::ephemeral();
    let metadata = json!({ "app_metadata": { "plan": "größe 😀" }, "user_metadata": { "z": [1, null] } });
    let given =
        row("ann@x.test", &[&profile(), &metadata, &json!({ "user_id": "auth0|a", "username": "ann" })]);
    assert_eq!(faults(&server, &given, false), [""; 0]);
    let shown = server.user("ann@x.test");
    let other = Server::ephemeral();
    assert_eq!(faults(&other, &shown, false), [""; 0]);
    let mut again = other.user("ann@x.test");
    for name in ["created_at", "updated_at"] {
        again[name] = shown[name].clone();
    }
    assert_eq!(again, shown);
}

#[test]
fn an_upsert_changes_names_but_neither_id_nor_phone_nor_block() {
    let server = Server::ephemeral();
    assert_eq!(faults(&server, &row("ann@x.test", &[&json!({ "username": "ann" })]), false), [""; 0]);
    let before = server.user("ann@x.test");
    let given = row("ann@x.test", &[&profile(), &json!({ "user_id": "auth0|other", "username": "else" })]);
    assert_eq!(faults(&server, &given, true), [""; 0]);
    let after = server.user("ann@x.test");
    for name in ["user_id", "username", "blocked", "phone_number", "phone_verified"] {
        assert_eq!(after.get(name), before.get(name), "{name}");
    }
    for name in ["name", "nickname", "given_name", "family_name", "picture"] {
        assert_eq!(after[name], profile()[name], "{name}");
    }
}

#[test]
fn an_id_is_one_users() {
    let server = Server::ephemeral();
    let with = |email: &str, id: &str| row(email, &[&json!({ "user_id": id })]);
    assert_eq!(faults(&server, &with("ann@x.test", "auth0|a"), false), [""; 0]);
    assert_eq!(faults(&server, &with("bob@x.test", "auth0|a"), false), ["DUPLICATED_USER -"]);
    assert_eq!(faults(&server, &with("bob@x.test", "auth0|a"), true), ["CONFLICT -"]);
    let twice = json!([with("c@x.test", "auth0|c"), with("d@x.test", "auth0|c")]);
    let job = server.import(&twice.to_string(), true);
    let fault = &server.errors(&job)[0]["errors"][0];
    assert_eq!(fault["message"], "A user with this user_id was already provided.");
    assert_eq!((&fault["code"], &fault["duplicate_of"]), (&json!("DUPLICATED_USER"), &json!(0)));
    for (id, code) in [
        ("auth0|".to_owned(), "MIN_LENGTH user_id"),
        (format!("auth0|{}", "x".repeat(256)), "MAX_LENGTH user_id"),
        ("auth0|a b".to_owned(), "PATTERN user_id"),
    ] {
        assert_eq!(faults(&server, &with("e@x.test", &id), false), [code]);
    }
    assert_eq!(faults(&server, &with("e@x.test", &format!("auth0|{}", "x".repeat(255))), false), [""; 0]);
}

#[test]
fn the_command_line_judges_as_the_server_does() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("users.json");
    let rows = json!([
        row("ann@x.test", &[&profile(), &json!({ "user_id": "auth0|a" })]),
        row("bob@x.test", &[&json!({ "name": "Bob" })]),
        row("c@x.test", &[&json!({ "user_id": "auth0|a" })]),
    ]);
    std::fs::write(&file, rows.to_string()).unwrap();
    let check = |settings: &[(&str, &str)]| {
        let output = intake(&["check", "--json", file.to_str().unwrap()], settings).output().unwrap();
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        let codes = told["errors"].as_array().unwrap().iter().map(|row| row["errors"][0]["code"].clone());
        codes.collect::<Vec<_>>()
    };
    assert_eq!(check(&[]), ["OBJECT_ADDITIONAL_PROPERTIES", "DUPLICATED_USER"]);
    assert_eq!(check(PROFILE), ["DUPLICATED_USER"]);
}
