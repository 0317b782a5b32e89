//! The rules for rows, as a client meets them: what is refused in which words, what is changed,
//! and that what is kept comes back as it was sent.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::helpers::{Form, Server};

/// A fault of a property as the API shows it.
fn fault(code: &str, path: &str, rule: &str) -> Value {
    json!({ "code": code, "message": format!("Error in {path} property - {rule}"), "path": path })
}

fn hinted(code: &str, path: &str, rule: &str, hint: &str) -> Value {
    let mut fault = fault(code, path, rule);
    fault["hint"] = hint.into();
    fault
}

fn exists() -> Value {
    json!({ "code": "DUPLICATED_USER", "message": "The user already exist and upsert parameter is false" })
}

fn given_before(key: &str, first: u64) -> Value {
    let message = format!("A user with this {key} was already provided.");
    json!({ "code": "DUPLICATED_USER", "message": message, "duplicate_of": first })
}

/// The file's failed rows: index and faults.
fn faults(server: &Server, job: &Value) -> Vec<(u64, Value)> {
    let errors = server.errors(job);
    let rows = errors.as_array().unwrap().iter();
    rows.map(|row| (row["index"].as_u64().unwrap(), row["errors"].clone())).collect()
}

fn counts(job: &Value) -> [u64; 4] {
    ["failed", "updated", "inserted", "total"].map(|name| job["summary"][name].as_u64().unwrap())
}

fn email(local: usize, total: usize) -> String {
    let (local, domain) = ("a".repeat(local), total - local - 1);
    let labels = std::iter::repeat_n("b".repeat(59), 9).collect::<Vec<_>>().join(".");
    format!("{local}@{}", &labels[..domain])
}

/// A failed row of the answer, the row as text.
#[derive(Deserialize)]
struct Failed<'a> {
    #[serde(borrow)]
    user: &'a RawValue,
    errors: Value,
    index: usize,
    line: usize,
}

const GOOD: &str = r#""email":"ann@x.test","email_verified":true"#;
const SURROGATE: &str = "Text has half of a surrogate pair";

fn type_fault(path: &str, expected: &str, found: &str) -> Value {
    fault("INVALID_TYPE", path, &format!("Expected type {expected} but found type {found}"))
}

fn missing(name: &str) -> Value {
    fault("OBJECT_REQUIRED", name, &format!("Missing required property: {name}"))
}

fn stranger(name: &str) -> Value {
    let rule = format!("Additional properties not allowed: {name}");
    fault("OBJECT_ADDITIONAL_PROPERTIES", name, &rule)
}

fn twice(path: &str, name: &str) -> Value {
    fault("DUPLICATED_PROPERTY", path, &format!("Property given twice: {name}"))
}

fn bad_email(value: &str, hint: &str) -> Value {
    let rule = format!("Object didn't pass validation for format email: {value}");
    hinted("INVALID_FORMAT", "email", &rule, hint)
}

/// Imports these rows, one a line; each fails with just these faults, and none leaves a user.
fn assert_faults(table: &[(String, Vec<Value>)]) {
    let server = Server::ephemeral();
    let file = format!("[\n{}\n]", table.iter().map(|(row, _)| row.as_str()).collect::<Vec<_>>().join(",\n"));
    let job = server.import(&file, false);
    let count = table.len() as u64;
    assert_eq!(counts(&job), [count, 0, 0, count]);
    let answer = server.get(&format!("/api/v2/jobs/{}/errors", job["id"].as_str().unwrap()));
    // Rows come back as they were sent, with numbers and texts that this test's reader does not take.
    let errors: Vec<Failed<'_>> = serde_json::from_str(&answer.text).unwrap();
    assert_eq!(errors.len(), table.len());
    for ((at, (row, expected)), found) in table.iter().enumerate().zip(errors) {
        assert_eq!(found.errors, json!(expected), "{row}");
        assert_eq!((found.index, found.line), (at, at + 2), "{row}");
        let shown = if row.starts_with('{') { row } else { "{}" };
        assert_eq!(found.user.get(), shown);
    }
    assert_eq!(server.get("/api/v2/users-by-email?email=ann@x.test").text, "[]");
}

#[test]
fn a_row_is_an_object() {
    let whole = |found: &str| {
        vec![
            json!({ "code": "INVALID_TYPE", "message": format!("Expected type object but found type {found}") }),
        ]
    };
    assert_faults(&[
        ("1".into(), whole("integer")),
        ("1.5".into(), whole("number")),
        ("null".into(), whole("null")),
        ("true".into(), whole("boolean")),
        (r#""ann@x.test""#.into(), whole("string")),
        (format!("[{{{GOOD}}}]"), whole("array")),
    ]);
}

#[test]
fn a_row_has_an_address_and_says_whether_it_is_verified() {
    let (string, boolean) = (
        |found| type_fault("email", "string", found),
        |found| type_fault("email_verified", "boolean", found),
    );
    let local = "the part before the @ has a character or a dot that may not stand there";
    let domain = "the part after the @ is no domain name and no address in brackets";
    let table = [
        ("{}", vec![missing("email"), missing("email_verified")]),
        (r#"{"email":"ann@x.test"}"#, vec![missing("email_verified")]),
        (r#"{"email_verified":true}"#, vec![missing("email")]),
        (r#"{"Email":"ann@x.test","email_verified":true}"#, vec![missing("email"), stranger("Email")]),
        (r#"{"email":null,"email_verified":null}"#, vec![string("null"), boolean("null")]),
        (r#"{"email":1e400,"email_verified":"true"}"#, vec![string("number"), boolean("string")]),
        (r#"{"email":["a@x.test"],"email_verified":1}"#, vec![string("array"), boolean("integer")]),
        (r#"{"email":"ann@@x.test","email_verified":true}"#, vec![bad_email("ann@@x.test", domain)]),
        (r#"{"email":" ann@x.test","email_verified":true}"#, vec![bad_email(" ann@x.test", local)]),
        (r#"{"email":"ann@x.test ","email_verified":true}"#, vec![bad_email("ann@x.test ", domain)]),
        (r#"{"email":"","email_verified":true}"#, vec![bad_email("", "there is no @")]),
        (
            r#"{"email":"\ud83d@x.test","email_verified":true}"#,
            vec![fault("INVALID_FORMAT", "email", SURROGATE)],
        ),
    ];
    assert_faults(&table.map(|(row, faults)| (row.to_owned(), faults)));
}

#[test]
fn a_user_name_is_a_text_of_1_to_128_characters() {
    let row = |value: &str| format!(r#"{{{GOOD},"username":{value}}}"#);
    let short = fault("MIN_LENGTH", "username", "String is too short (0 chars), minimum 1");
    let long = fault("MAX_LENGTH", "username", "String is too long (129 chars), maximum 128");
    assert_faults(&[
        (row("7"), vec![type_fault("username", "string", "integer")]),
        (row("null"), vec![type_fault("username", "string", "null")]),
        (row(r#""""#), vec![short]),
        (row(&format!("\"{}\"", "ü".repeat(129))), vec![long]),
        (row(r#""\ud83d""#), vec![fault("INVALID_FORMAT", "username", SURROGATE)]),
    ]);
}

#[test]
fn metadata_are_objects_that_name_nothing_twice() {
    let row = |rest: &str| format!("{{{GOOD},{rest}}}");
    assert_faults(&[
        (row(r#""app_metadata":[]"#), vec![type_fault("app_metadata", "object", "array")]),
        (
            row(r#""app_metadata":null,"user_metadata":"{}""#),
            vec![
                type_fault("app_metadata", "object", "null"),
                type_fault("user_metadata", "object", "string"),
            ],
        ),
        (row(r#""user_metadata":{"a":[{"b":1,"b":1}]}"#), vec![twice("user_metadata.a[0].b", "b")]),
        (row(r#""app_metadata":{"a":{"\u0062":1,"b":2,"b":3}}"#), vec![twice("app_metadata.a.b", "b")]),
        (
            row(r#""user_metadata":{"a":["x","\udc00"]}"#),
            vec![fault("INVALID_FORMAT", "user_metadata.a[1]", SURROGATE)],
        ),
    ]);
}

#[test]
fn a_row_has_no_other_properties_and_none_twice() {
    let row = |rest: &str| format!("{{{GOOD},{rest}}}");
    assert_faults(&[
        (row(r#""name":"Ann","":1"#), vec![stranger("name"), stranger("")]),
        (row(r#""user_id":"1","picture":"p""#), vec![stranger("user_id"), stranger("picture")]),
        (row(r#""email":"bob@x.test""#), vec![twice("email", "email")]),
        (row(r#""app_metadata":{},"app_metadata":{}"#), vec![twice("app_metadata", "app_metadata")]),
    ]);
}

#[test]
fn twelve_keys_of_app_metadata_are_forbidden() {
    let keys = [
        "clientID",
        "globalClientID",
        "global_client_id",
        "email_verified",
        "user_id",
        "identities",
        "lastIP",
        "lastLogin",
        "metadata",
        "created_at",
        "loginsCount",
        "_id",
    ];
    assert_faults(&keys.map(|key| {
        let path = format!("app_metadata.{key}");
        let row = format!(r#"{{{GOOD},"app_metadata":{{"{key}":1}}}}"#);
        (row, vec![fault("NOT_PASSED", &path, "Data matches schema from 'not'")])
    }));
}

#[test]
fn forbidden_keys_are_forbidden_at_the_first_level_of_app_metadata_only() {
    let server = Server::ephemeral();
    let file = r#"[{"email":"ann@x.test","email_verified":true,
        "app_metadata":{"a":{"user_id":1,"_id":2},"ClientID":3,"email":4,"b":[{"identities":5}]},
        "user_metadata":{"user_id":1,"metadata":{},"created_at":"x"}}]"#;
    let job = server.import(file, false);
    assert_eq!(counts(&job), [0, 0, 1, 1], "{}", server.errors(&job));
    let hidden = r#"[{"email":"bob@x.test","email_verified":true,"app_metadata":{"user\u005fid":1}}]"#;
    assert_eq!(server.errors(&server.import(hidden, false))[0]["errors"][0]["code"], "NOT_PASSED");
}

#[test]
fn all_faults_of_a_row_are_told_at_once() {
    let server = Server::ephemeral();
    let file = r#"[
        {"email": "no", "email_verified": "yes", "username": "", "app_metadata": {"_id": 1, "user_id": 2},
         "user_metadata": 3, "password": "s3cret", "x": 1}]"#;
    let job = server.import(file, false);
    let found = &server.errors(&job)[0];
    let mut seen: Vec<(&str, &str)> = found["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fault| (fault["code"].as_str().unwrap(), fault["path"].as_str().unwrap()))
        .collect();
    seen.sort_unstable();
    let expected = [
        ("INVALID_FORMAT", "email"),
        ("INVALID_TYPE", "email_verified"),
        ("INVALID_TYPE", "user_metadata"),
        ("MIN_LENGTH", "username"),
        ("NOT_PASSED", "app_metadata._id"),
        ("NOT_PASSED", "app_metadata.user_id"),
        ("OBJECT_ADDITIONAL_PROPERTIES", "password"),
        ("OBJECT_ADDITIONAL_PROPERTIES", "x"),
    ];
    assert_eq!(seen, expected);
    assert_eq!((&found["index"], &found["line"]), (&json!(0), &json!(2)));
}

#[test]
fn addresses_and_names_have_limits_to_the_character() {
    let server = Server::ephemeral();
    let row = |email: &str| json!({ "email": email, "email_verified": true });
    let named =
        |email: &str, name: String| json!({ "email": email, "email_verified": true, "username": name });
    let file = json!([
        row(&email(64, 100)),
        row(&email(65, 100)),
        row(&email(60, 254)),
        row(&email(60, 255)),
        named("a@x.test", "n".repeat(128)),
        named("b@x.test", "m".repeat(129)),
        named("c@x.test", "ü".repeat(128)),
        named("d@x.test", "x".to_owned()),
    ]);
    let job = server.import(&file.to_string(), false);
    let found: Vec<_> =
        faults(&server, &job).into_iter().map(|(at, errors)| (at, errors[0]["code"].clone())).collect();
    let expected = [(1, json!("INVALID_FORMAT")), (3, json!("INVALID_FORMAT")), (5, json!("MAX_LENGTH"))];
    assert_eq!(found, expected);
    assert_eq!(server.user(&email(60, 254))["email_verified"], true);
}

#[test]
fn metadata_have_a_limit_to_the_byte() {
    const LIMIT: usize = 2048;
    let server = Server::ephemeral_with(&[("INTAKE_IMPORT_MAX_METADATA_SIZE", "2KB")]);
    // Both objects together, without the blanks between tokens.
    let row = |name: &str, size: usize| {
        let filling = "x".repeat(size - r#"{"a":""}{"b":""}"#.len() - 100);
        format!(
            r#"{{"email":"{name}@x.test","email_verified":true,"app_metadata": {{ "a" : "{filling}" }},
               "user_metadata": {{ "b" : "{}" }} }}"#,
            "y".repeat(100)
        )
    };
    let job = server.import(&format!("[{},{}]", row("fits", LIMIT), row("over", LIMIT + 1)), false);
    assert_eq!(counts(&job), [1, 0, 1, 2]);
    let message = "The metadata of a user has 2049 bytes, the limit is 2048 (import.max_metadata_size)";
    let expected = json!([{ "code": "PROFILE_SIZE_EXCEEDED", "message": message }]);
    assert_eq!(faults(&server, &job), [(1, expected)]);
    assert_eq!(server.user("fits@x.test")["user_metadata"]["b"], "y".repeat(100));
}

#[test]
fn metadata_come_back_as_they_were_sent() {
    let server = Server::ephemeral_with(&[("INTAKE_IMPORT_MAX_FILE_SIZE", "2MB")]);
    let app = concat!(
        r#"{"z":1,"a":2,"m":{"y":[],"b":{}},"digits":1234567890123456789012345678901234567890,"#,
        r#""tenths":0.10,"huge":1e400,"tiny":-1E-400,"zero":-0,"plus":1.5E+3}"#,
    );
    let user = concat!(
        r#"{"escapes":"\u00e9\/\b\f\n\r\t\"\\\u0000","plain":"é","emoji":"😀","pair":"\ud83d\ude00","#,
        "\"line\":\"\u{2028}\",\"\":\"no name\",\"a.b\":{\"$\":null},\"\\u0061\":true}",
    );
    let file = format!(
        r#"[{{"email":"ann@x.test","email_verified":true,"app_metadata":{app},"user_metadata":{user}}}]"#
    );
    let job = server.import(&file, false);
    assert_eq!(counts(&job), [0, 0, 1, 1], "{}", server.errors(&job));
    let found = server.get("/api/v2/users-by-email?email=ann@x.test").text;
    assert!(found.contains(&format!("\"app_metadata\":{app}")), "{found}");
    assert!(found.contains(&format!("\"user_metadata\":{user}")), "{found}");
    let chosen = server.get("/api/v2/users-by-email?email=ann@x.test&fields=app_metadata").text;
    assert_eq!(chosen, format!("[{{\"app_metadata\":{app}}}]"));
}

#[test]
fn a_failed_row_comes_back_as_it_was_sent_but_for_secrets() {
    let server = Server::ephemeral();
    let given = concat!(
        r#"{"email":"no","username":"Ann","app_metadata":{"z":1e400,"a":"\u00e9","password":"kept"},"#,
        r#""password":"s3cret","password_hash":"$2b$10$s3cret","client_secret":["s3cret"],"#,
        r#""custom_password_hash":{"algorithm":"hmac","hash":{"value":"s3cret","encoding":"hex","#,
        r#""key":{"value":"s3cret"}},"salt":{"value":"s3cret","position":"suffix"}},"#,
        r#""mfa_factors":[{"totp":{"secret":"s3cret"}},{"phone":{"value":"s3cret"}}],"name":"Ann"}"#,
    );
    let shown = concat!(
        r#"{"email":"no","username":"Ann","app_metadata":{"z":1e400,"a":"\u00e9","password":"kept"},"#,
        r#""password":"*****","password_hash":"*****","client_secret":"*****","#,
        r#""custom_password_hash":{"algorithm":"hmac","hash":{"value":"*****","encoding":"hex","#,
        r#""key":{"value":"*****"}},"salt":{"value":"*****","position":"suffix"}},"#,
        r#""mfa_factors":[{"totp":{"secret":"*****"}},{"phone":{"value":"*****"}}],"name":"Ann"}"#,
    );
    let job = server.import(&format!("[{given}]"), false);
    let text = server.get(&format!("/api/v2/jobs/{}/errors", job["id"].as_str().unwrap())).text;
    assert!(text.contains(&format!("\"user\":{shown},")), "{text}");
    assert!(!text.contains("s3cret"), "{text}");
}

#[test]
fn lines_are_counted_however_they_end_and_a_byte_order_mark_is_no_row() {
    let server = Server::ephemeral();
    let lines = |file: &str| -> Vec<Value> {
        let errors = server.errors(&server.import(file, false));
        errors.as_array().unwrap().iter().map(|row| row["line"].clone()).collect()
    };
    assert_eq!(lines("\u{feff}[{},\n{}]"), [1, 2]);
    assert_eq!(lines("[\r\n{},\r\n\r\n{\r\n},{}]\r\n"), [2, 4, 5]);
    assert_eq!(lines("[\n\t{\n}\n,\n   1]"), [2, 5]);
    assert_eq!(lines(r#"[{"a":"\n"},{}]"#), [1, 1]);
}

#[test]
fn without_upsert_an_existing_user_stays_untouched() {
    let server = Server::ephemeral();
    server.import(
        r#"[{"email":"ann@x.test","email_verified":false,"username":"Ann","user_metadata":{"a":1}}]"#,
        false,
    );
    let before = server.user("ann@x.test");
    let file = r#"[
        {"email":"ANN@X.test","email_verified":true,"user_metadata":{"a":2},"app_metadata":{"b":1}},
        {"email":"other@x.test","email_verified":true,"username":"aNN"},
        {"email":"ann@x.test","email_verified":true,"username":"ann"}]"#;
    let job = server.import(file, false);
    assert_eq!(counts(&job), [3, 0, 0, 3]);
    let expected = [0, 1, 2].map(|at| (at, json!([exists()])));
    assert_eq!(faults(&server, &job), expected);
    assert_eq!(server.user("ann@x.test"), before);
    assert_eq!(server.get("/api/v2/users-by-email?email=other@x.test").text, "[]");
}

#[test]
fn an_upsert_changes_what_is_given_and_keeps_the_rest() {
    let server = Server::ephemeral();
    let file = r#"[
        {"email":"both@x.test","email_verified":false,"username":"Both","app_metadata":{"a":1,"b":{"c":2}},"user_metadata":{"d":3}},
        {"email":"empty@x.test","email_verified":true,"app_metadata":{"a":1},"user_metadata":{"d":3}},
        {"email":"none@x.test","email_verified":true},
        {"email":"kept@x.test","email_verified":false,"app_metadata":{"a":1},"user_metadata":{"d":3}}]"#;
    server.import(file, false);
    let emails = ["both@x.test", "empty@x.test", "none@x.test", "kept@x.test"];
    let before = emails.map(|email| server.user(email));
    let file = r#"[
        {"email":"BOTH@x.test","email_verified":true,"app_metadata":{"b":{}}},
        {"email":"empty@x.test","email_verified":false,"app_metadata":{},"user_metadata":{}},
        {"email":"none@x.test","email_verified":true,"user_metadata":{"new":[]}},
        {"email":"kept@x.test","email_verified":true},
        {"email":"new@x.test","email_verified":true}]"#;
    let job = server.import(file, true);
    assert_eq!(counts(&job), [0, 4, 1, 5], "{}", server.errors(&job));
    let changes = [
        json!({ "email_verified": true, "app_metadata": { "b": {} } }),
        json!({ "email_verified": false, "app_metadata": {}, "user_metadata": {} }),
        json!({ "user_metadata": { "new": [] } }),
        json!({ "email_verified": true }),
    ];
    for ((email, before), changes) in emails.iter().zip(before).zip(changes) {
        let after = server.user(email);
        assert!(before["updated_at"].as_str() < after["updated_at"].as_str(), "{after}");
        let mut expected = before;
        expected.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        expected["updated_at"] = after["updated_at"].clone();
        assert_eq!(after, expected);
    }
}

#[test]
fn an_upsert_does_not_rename_anybody() {
    let server = Server::ephemeral();
    let file = r#"[
        {"email":"ann@x.test","email_verified":true,"username":"ann"},
        {"email":"bob@x.test","email_verified":true}]"#;
    server.import(file, false);
    let file = r#"[
        {"email":"ann@x.test","email_verified":false,"username":"ANNE"},
        {"email":"bob@x.test","email_verified":false,"username":"bob"}]"#;
    let job = server.import(file, true);
    assert_eq!(counts(&job), [0, 2, 0, 2], "{}", server.errors(&job));
    assert_eq!(server.user("ann@x.test")["username"], "ann");
    assert_eq!(server.user("bob@x.test").get("username"), None);
    // The name that was not taken is free.
    let job = server.import(r#"[{"email":"eve@x.test","email_verified":true,"username":"anne"}]"#, false);
    assert_eq!(counts(&job), [0, 0, 1, 1], "{}", server.errors(&job));
}

#[test]
fn a_new_user_cannot_take_the_name_of_another() {
    let server = Server::ephemeral();
    server.import(r#"[{"email":"ann@x.test","email_verified":true,"username":"ann"}]"#, false);
    let job = server.import(r#"[{"email":"bob@x.test","email_verified":true,"username":"ANN"}]"#, true);
    assert_eq!(counts(&job), [1, 0, 0, 1]);
    let message = "The username belongs to another user, whose email is not the one given";
    let expected = json!([{ "code": "CONFLICT_USERNAME", "message": message }]);
    assert_eq!(faults(&server, &job), [(0, expected)]);
    assert_eq!(server.get("/api/v2/users-by-email?email=bob@x.test").text, "[]");
}

#[test]
fn the_second_row_for_a_user_fails_in_both_modes_and_names_the_first() {
    let file = r#"[
        {"email":"no"},
        {"email":"ann@x.test","email_verified":true,"username":"ann","user_metadata":{"row":1}},
        {"email":"bob@x.test","email_verified":true,"username":"bob"},
        {"email":"Ann@X.Test","email_verified":false,"user_metadata":{"row":3}},
        {"email":"eve@x.test","email_verified":true,"username":"BOB"},
        {"email":"ann@x.test","email_verified":false,"username":"bob"},
        {"email":"eve@x.test","email_verified":true,"username":"eve"}]"#;
    for upsert in [false, true] {
        for again in [false, true] {
            let server = Server::ephemeral();
            if again && upsert {
                server.import(file, false);
            }
            let job = server.import(file, upsert);
            let fresh = !(again && upsert);
            assert_eq!(counts(&job), if fresh { [4, 0, 3, 7] } else { [4, 3, 0, 7] });
            let found = faults(&server, &job);
            assert_eq!(found[0].0, 0);
            let expected = [
                (3, json!([given_before("email", 1)])),
                (4, json!([given_before("username", 2)])),
                (5, json!([given_before("email", 1), given_before("username", 2)])),
            ];
            assert_eq!(found[1..], expected, "upsert {upsert}, again {again}");
            assert_eq!(server.user("ann@x.test")["user_metadata"], json!({ "row": 1 }));
            assert_eq!(server.user("ann@x.test")["email_verified"], true);
            assert_eq!(server.user("eve@x.test")["username"], "eve");
        }
    }
}

/// Rows are written in chunks; a second row is recognised however far behind the first it comes.
#[test]
fn a_second_row_is_recognised_far_behind_the_first() {
    let server = Server::ephemeral_with(&[("INTAKE_IMPORT_MAX_FILE_SIZE", "5MB")]);
    let row = |at| json!({ "email": format!("user{at}@x.test"), "email_verified": true }).to_string();
    let rows: Vec<String> = (0..10_000).chain([0, 9_999]).map(row).collect();
    for upsert in [false, true] {
        let job = server.import(&format!("[{}]", rows.join(",")), upsert);
        let found = faults(&server, &job);
        let last = &found[found.len() - 2..];
        let expected =
            [(10_000, json!([given_before("email", 0)])), (10_001, json!([given_before("email", 9_999)]))];
        assert_eq!(last, expected);
        assert_eq!(counts(&job), if upsert { [2, 10_000, 0, 10_002] } else { [2, 0, 10_000, 10_002] });
    }
}

#[test]
fn an_address_is_one_user_in_each_connection() {
    let server = Server::with_two_connections();
    let import = |connection: &str, verified: bool, upsert: bool| {
        let file = json!([{ "email": "ann@x.test", "email_verified": verified, "username": "ann" }]);
        let answer = server.upload(&Form::import(connection, &file.to_string(), upsert));
        counts(&server.wait(answer.json()["id"].as_str().unwrap()))
    };
    assert_eq!(import("con_0000000000000001", true, false), [0, 0, 1, 1]);
    assert_eq!(import("con_0000000000000002", true, false), [0, 0, 1, 1]);
    assert_eq!(import("con_0000000000000002", false, true), [0, 1, 0, 1]);
    let users = server.get("/api/v2/users-by-email?email=ann@x.test").json();
    let found: Vec<_> = users
        .as_array()
        .unwrap()
        .iter()
        .map(|user| {
            (user["identities"][0]["connection"].as_str().unwrap(), user["email_verified"].as_bool().unwrap())
        })
        .collect();
    assert_eq!(found, [("one", true), ("two", false)]);
    assert_ne!(users[0]["user_id"], users[1]["user_id"]);
}
