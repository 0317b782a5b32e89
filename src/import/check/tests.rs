//! Every rule for rows, with its code, words and path.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use proptest::prelude::*;

use crate::domain::{Candidate, Code, Fault, RowSchema};
use crate::import::testing;

use super::{Limits, MAX_FAULTS, TextChange, UserChange, judge, judge_change, judge_new, judge_read};

const BOUNDLESS: Limits = Limits { max_metadata_bytes: usize::MAX, schema: RowSchema::Basic };
const LIMITS: Limits = Limits { max_metadata_bytes: 1000, schema: RowSchema::Basic };

fn judged(text: &str) -> Result<Candidate<'_>, Vec<Fault>> {
    judge(text, &LIMITS)
}

/// The faults of a row, each as `CODE path: message | hint`.
fn faults(text: &str) -> Vec<String> {
    let faults = judged(text).unwrap_err();
    faults
        .iter()
        .map(|fault| {
            let path = fault.path.as_deref().unwrap_or("-");
            let hint = fault.hint.as_ref().map_or(String::new(), |hint| format!(" | {hint}"));
            format!("{} {path}: {}{hint}", fault.code, fault.message)
        })
        .collect()
}

#[track_caller]
fn bad(text: &str, wanted: &[&str]) {
    assert_eq!(faults(text), wanted, "{text}");
}

/// Asserts the faults of a row that is good but for these members.
#[track_caller]
fn bad_with(members: &str, wanted: &[&str]) {
    bad(&format!(r#"{{"email":"a@b.c","email_verified":true,{members}}}"#), wanted);
}

fn good_with(members: &str) -> String {
    format!(r#"{{"email":"a@b.c","email_verified":true,{members}}}"#)
}

#[test]
fn a_good_row_is_a_candidate() {
    let user = judged(r#"{"email":"Ann@ACME.test","email_verified":false}"#).unwrap();
    assert_eq!(user.email.as_str(), "ann@acme.test");
    assert!(!user.email_verified);
    assert_eq!((user.username, user.app_metadata, user.user_metadata), (None, None, None));

    let text = r#" { "user_metadata" : { "a b" : [ 1e400 , " \" " ] } , "app_metadata":{},
        "username":"\u0041nn", "em\u0061il_verified" : true, "email":"ann\u0040acme.test" } "#;
    let user = judged(text).unwrap();
    assert_eq!(user.email.as_str(), "ann@acme.test");
    assert!(user.email_verified);
    assert_eq!(user.username.unwrap().as_str(), "ann");
    assert_eq!(user.app_metadata.as_deref(), Some("{}"));
    assert_eq!(user.user_metadata.as_deref(), Some(r#"{"a b":[1e400," \" "]}"#));
}

#[test]
fn a_row_must_be_an_object() {
    let rows = [
        ("[]", "array"),
        (" \"x\"", "string"),
        ("true", "boolean"),
        ("null", "null"),
        ("12", "integer"),
        ("-1.0", "integer"),
        ("1e2", "integer"),
        ("1.5", "number"),
        ("1e400", "number"),
    ];
    for (row, found) in rows {
        bad(row, &[&format!("INVALID_TYPE -: Expected type object but found type {found}")]);
    }
}

#[test]
fn what_a_request_sends_need_not_be_json() {
    for text in ["{x", "{", r#"{"email":"a@b.c"}}"#, r#"{"email":"a@b.c",}"#] {
        let faults = judge_new(text, &LIMITS, &[]).unwrap_err();
        assert_eq!(faults[0].message, "Expected type object but found type text that is no JSON", "{text}");
        assert_eq!(judge_change(text, &LIMITS).unwrap_err(), faults);
    }
    assert!(judge_new(r#" {"email":"a@b.c"} "#, &LIMITS, &[]).is_ok());
}

#[test]
fn what_is_required_must_be_there_and_of_its_type() {
    bad(
        "{}",
        &[
            "OBJECT_REQUIRED email: Error in email property - Missing required property: email",
            "OBJECT_REQUIRED email_verified: Error in email_verified property - Missing required property: email_verified",
        ],
    );
    bad(
        r#"{"email":7,"email_verified":"yes","username":null,"app_metadata":[],"user_metadata":"{}"}"#,
        &[
            "INVALID_TYPE email: Error in email property - Expected type string but found type integer",
            "INVALID_TYPE email_verified: Error in email_verified property - Expected type boolean but found type string",
            "INVALID_TYPE username: Error in username property - Expected type string but found type null",
            "INVALID_TYPE app_metadata: Error in app_metadata property - Expected type object but found type array",
            "INVALID_TYPE user_metadata: Error in user_metadata property - Expected type object but found type string",
        ],
    );
}

#[test]
fn an_address_must_follow_the_rule() {
    bad(
        r#"{"email":"ann@@acme.test","email_verified":true}"#,
        &[
            "INVALID_FORMAT email: Error in email property - Object didn't pass validation for format email: ann@@acme.test | the part after the @ is no domain name and no address in brackets",
        ],
    );
    let long = "é".repeat(400);
    let found = faults(&format!(r#"{{"email":"{long}","email_verified":true}}"#));
    assert!(found[0].contains(&format!("email: {}… | an address has", "é".repeat(300))));
}

#[test]
fn a_username_has_a_length() {
    bad_with(
        r#""username":"""#,
        &["MIN_LENGTH username: Error in username property - String is too short (0 chars), minimum 1"],
    );
    bad_with(
        &format!(r#""username":"{}""#, "x".repeat(129)),
        &["MAX_LENGTH username: Error in username property - String is too long (129 chars), maximum 128"],
    );
    assert!(judged(&good_with(&format!(r#""username":"{}""#, "ü".repeat(128)))).is_ok());
}

#[test]
fn nothing_else_is_allowed() {
    bad_with(
        r#""name":"Ann","user_id":1,"Email":"x","name":2"#,
        &[
            "OBJECT_ADDITIONAL_PROPERTIES name: Error in name property - Additional properties not allowed: name",
            "OBJECT_ADDITIONAL_PROPERTIES user_id: Error in user_id property - Additional properties not allowed: user_id",
            "OBJECT_ADDITIONAL_PROPERTIES Email: Error in Email property - Additional properties not allowed: Email",
            "DUPLICATED_PROPERTY name: Error in name property - Property given twice: name",
        ],
    );
}

#[test]
fn twelve_names_are_reserved_on_the_first_level_of_app_metadata() {
    let names = [
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
    for name in names {
        let fault = format!(
            "NOT_PASSED app_metadata.{name}: Error in app_metadata.{name} property - \
             Data matches schema from 'not'"
        );
        bad_with(&format!(r#""app_metadata":{{"x":1,"{name}":null}}"#), &[&fault]);
        let elsewhere = format!(r#""app_metadata":{{"x":{{"{name}":1}}}},"user_metadata":{{"{name}":1}}"#);
        assert!(judged(&good_with(&elsewhere)).is_ok(), "{name}");
    }
    bad_with(
        r#""app_metadata":{"\u005fid":1}"#,
        &["NOT_PASSED app_metadata._id: Error in app_metadata._id property - Data matches schema from 'not'"],
    );
}

#[test]
fn a_property_is_given_once() {
    let twice = |path: &str, name: &str| {
        format!("DUPLICATED_PROPERTY {path}: Error in {path} property - Property given twice: {name}")
    };
    bad_with(r#""email":7,"\u0065mail":8"#, &[&twice("email", "email")]);
    bad_with(
        r#""user_metadata":{"a":{"b":1,"c":{"b":1},"\u0062":2,"b":3}}"#,
        &[&twice("user_metadata.a.b", "b")],
    );
    bad_with(
        r#""user_metadata":{"list":[{"x":[[],[{"":1,"":2}]],"x":1},{"x":1}]}"#,
        &[&twice("user_metadata.list[0].x[1][0].", ""), &twice("user_metadata.list[0].x", "x")],
    );
}

#[test]
fn half_a_surrogate_pair_is_no_text() {
    let broken = |path: &str| {
        format!("INVALID_FORMAT {path}: Error in {path} property - Text has half of a surrogate pair")
    };
    bad(r#"{"email":"a\ud800@b.c","email_verified":true}"#, &[&broken("email")]);
    bad_with(r#""username":"\udc00""#, &[&broken("username")]);
    bad_with(
        r#""app_metadata":{"a":["x","\ud83d"],"\ud83d":1},"user_metadata":{"a":"\ud83d\ude00"}"#,
        &[&broken("app_metadata.a[1]"), &broken(r"app_metadata.\ud83d")],
    );
    bad_with(
        r#""\ud83d":1"#,
        &[
            r"OBJECT_ADDITIONAL_PROPERTIES \ud83d: Error in \ud83d property - Additional properties not allowed: \ud83d",
            &broken(r"\ud83d"),
        ],
    );
}

#[test]
fn metadata_has_a_largest_size() {
    let sized = |app: usize, user: usize| {
        // {"x":"…"} is 8 bytes and the text; the blank does not count.
        let text = |bytes: usize| format!(r#"{{"x": "{}"}}"#, "x".repeat(bytes - 8));
        good_with(&format!(r#""app_metadata":{},"user_metadata":{}"#, text(app), text(user)))
    };
    assert!(judged(&sized(400, 600)).is_ok());
    bad(
        &sized(401, 600),
        &[
            "PROFILE_SIZE_EXCEEDED -: The metadata of a user has 1001 bytes, the limit is 1000 (import.max_metadata_size)",
        ],
    );
    let fault = judge_read(None, &LIMITS).unwrap_err();
    assert_eq!(fault[0].code, Code::ProfileSizeExceeded);
    assert_eq!(fault[0].message, "The row has more than 1048576 bytes");
}

#[test]
fn a_hopeless_row_does_not_fill_the_report() {
    let names: Vec<String> = (0..500).map(|n| format!(r#""{n}":1"#)).collect();
    let found = faults(&format!("{{{}}}", names.join(",")));
    assert_eq!(found.len(), MAX_FAULTS);
    assert!(found[MAX_FAULTS - 1].ends_with(" | only the first 100 faults are listed"));
    let found = faults(&good_with(&format!(r#""{}":1"#, "x".repeat(100_000))));
    assert!(found[0].len() < 1500, "{}", found[0].len());
}

#[test]
fn deep_text_that_no_scanner_has_seen_does_no_harm() {
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    let text = good_with(&format!(r#""user_metadata":{{"a":{deep}}}"#));
    let faults = judge(&text, &BOUNDLESS).unwrap_err();
    assert_eq!(faults[0].rule(), "Arrays and objects are nested deeper than 98 levels");
    let nested = |levels: usize| {
        let deep = "[".repeat(levels - 1) + &"]".repeat(levels - 1);
        good_with(&format!(r#""user_metadata":{{"a":{deep}}}"#))
    };
    assert!(judge(&nested(98), &BOUNDLESS).is_ok());
    assert!(judge(&nested(99), &BOUNDLESS).is_err());
}

/// Judges a row of which more is allowed.
fn whole(members: &str) -> Result<Candidate<'static>, Vec<String>> {
    let text = good_with(members);
    let judged = judge(&text, &Limits { schema: RowSchema::Profile, ..LIMITS });
    let shown =
        |fault: &Fault| format!("{} {}: {}", fault.code, fault.path.as_deref().unwrap(), fault.rule());
    judged.map(Candidate::into_owned).map_err(|faults| faults.iter().map(shown).collect())
}

#[test]
fn a_profile_has_its_rules() {
    let user = whole(
        r#""user_id":"legacy-17","name":"\u0041nn","nickname":"n","given_name":"g","family_name":"f",
        "picture":"https://x.test/","phone_number":"+491","phone_verified":false,"blocked":true"#,
    );
    let user = user.unwrap();
    assert_eq!(user.id.unwrap().bare(), "legacy-17");
    assert_eq!(user.profile.name.as_deref(), Some("Ann"));
    assert_eq!(user.profile.phone_number.as_deref(), Some("+491"));
    assert_eq!((user.profile.phone_verified, user.blocked), (Some(false), true));
    let bad = |members: &str, wanted: &[&str]| assert_eq!(whole(members).unwrap_err(), wanted, "{members}");
    bad(
        r#""user_id":7,"name":null,"picture":{},"phone_number":1,"phone_verified":"no","blocked":0"#,
        &[
            "INVALID_TYPE user_id: Expected type string but found type integer",
            "INVALID_TYPE blocked: Expected type boolean but found type integer",
            "INVALID_TYPE name: Expected type string but found type null",
            "INVALID_TYPE picture: Expected type string but found type object",
            "INVALID_TYPE phone_number: Expected type string but found type integer",
            "INVALID_TYPE phone_verified: Expected type boolean but found type string",
        ],
    );
    for (name, most) in [("name", 300), ("nickname", 300), ("given_name", 150), ("family_name", 150)] {
        let sized = |chars: usize| format!("\"{name}\":\"{}\"", "\u{e4}".repeat(chars));
        assert!(whole(&sized(most)).is_ok());
        let long = format!("MAX_LENGTH {name}: String is too long ({} chars), maximum {most}", most + 1);
        bad(&sized(most + 1), &[&long]);
        bad(&sized(0), &[&format!("MIN_LENGTH {name}: String is too short (0 chars), minimum 1")]);
    }
    bad(r#""picture":"x""#, &["INVALID_FORMAT picture: Object didn't pass validation for format uri: x"]);
    for number in ["", "+", "49", "+1234567890123456", "+\u{661}"] {
        let pattern =
            format!(r"PATTERN phone_number: String does not match pattern ^\+[0-9]{{1,15}}$: {number}");
        bad(&format!("\"phone_number\":\"{number}\""), &[&pattern]);
    }
    bad(r#""name":"a","n\u0061me":"b""#, &["DUPLICATED_PROPERTY name: Property given twice: name"]);
    bad(r#""name":"\ud800""#, &["INVALID_FORMAT name: Text has half of a surrogate pair"]);
}

#[test]
fn the_prefix_of_an_id_tells_a_row_of_an_export_wherever_it_stands() {
    let exported = [
        r#""name":"Ann","last_ip":1,"created_at":null,"user_id":"auth0|x""#,
        r#""us\u0065r_id":"auth0\u007cx","name":"Ann","identities":[{}]"#,
    ];
    for members in exported {
        let text = good_with(members);
        let user = judged(&text).unwrap();
        assert_eq!((user.id.unwrap().bare(), user.profile.name.unwrap()), ("x".into(), "Ann".into()));
    }
    let doubled = good_with(r#""user_id":"auth0|auth0|x""#);
    assert_eq!(judged(&doubled).unwrap().id.unwrap().to_string(), "auth0|auth0|x");
    for members in [r#""user_id":"x""#, r#""user_id":"sms|x""#, r#""user_id":["auth0|x"]"#, r#""last_ip":1"#]
    {
        let strangers = judged(&good_with(members)).unwrap_err();
        assert_eq!(strangers[0].code, Code::ObjectAdditionalProperties, "{members}");
    }
    let twice = r#""user_id":"auth0|x","last_ip":1,"last_ip":2"#;
    bad_with(
        twice,
        &["DUPLICATED_PROPERTY last_ip: Error in last_ip property - Property given twice: last_ip"],
    );
}

#[test]
fn a_user_of_a_request_need_not_be_verified_and_may_have_no_id() {
    let text = r#"{"email":"A@b.c","connection":"db","user_id":"","last_ip":1}"#;
    let faults = judge_new(text, &LIMITS, &["connection"]).unwrap_err();
    assert_eq!(
        faults.iter().map(Fault::rule).collect::<Vec<_>>(),
        ["Additional properties not allowed: last_ip"]
    );
    let user = judge_new(text, &LIMITS, &["connection", "last_ip"]).unwrap();
    assert_eq!((user.email.as_str(), user.email_verified, user.id), ("a@b.c", false, None));
    assert_eq!(judge_new("{}", &LIMITS, &[]).unwrap_err()[0].rule(), "Missing required property: email");
}

#[test]
fn a_change_says_what_is_different_and_no_more() {
    let change =
        judge_change(r#"{"foo":1,"foo":2,"user_id":"x","name":null,"nickname":"n"}"#, &LIMITS).unwrap();
    assert_eq!(change.names(), ["name", "nickname"]);
    assert_eq!(change.profile.name, Some(TextChange::Unset));
    assert_eq!(change.profile.nickname, Some(TextChange::Set("n".to_owned())));
    assert_eq!(judge_change("{}", &LIMITS).unwrap(), UserChange::default());
    let faults =
        judge_change(r#"{"email":"no","blocked":null,"app_metadata":{"_id":1}}"#, &LIMITS).unwrap_err();
    assert_eq!(
        faults.iter().map(|fault| fault.code).collect::<Vec<_>>(),
        [Code::InvalidFormat, Code::InvalidType, Code::NotPassed]
    );
}

proptest! {
    #[test]
    fn metadata_comes_back_as_it_was_given(
        members in prop::collection::vec(testing::json(), 0..5),
    ) {
        let members: Vec<String> = members
            .iter()
            .enumerate()
            .map(|(number, value)| format!("\"m{number}\" : {value}"))
            .collect();
        let metadata = format!("{{ {} }}", members.join(", "));
        let row = good_with(&format!(r#""user_metadata":{metadata}"#));
        // A draw may hold a name twice or half a pair; those rows are refused for that alone.
        match judge(&row, &Limits { max_metadata_bytes: usize::MAX, schema: RowSchema::Basic }) {
            Ok(user) => {
                let stored = user.user_metadata.unwrap();
                prop_assert_eq!(testing::tokens(&stored), testing::tokens(&metadata));
                prop_assert!(serde_json::from_str::<serde::de::IgnoredAny>(&stored).is_ok());
            }
            Err(faults) => {
                let expected = [Code::DuplicatedProperty, Code::InvalidFormat];
                prop_assert!(faults.iter().all(|fault| expected.contains(&fault.code)));
            }
        }
    }

    #[test]
    fn any_text_gets_a_verdict(
        row in testing::json(),
        changes in prop::collection::vec((any::<usize>(), any::<usize>(), 0_u8..3), 0..4),
    ) {
        let mut text = good_with(&format!(r#""app_metadata":{row}"#)).into_bytes();
        for (place, byte, kind) in changes {
            testing::mutate(&mut text, place, byte, kind);
        }
        let text = String::from_utf8_lossy(&text);
        if let Err(faults) = judged(&text) {
            prop_assert!(!faults.is_empty());
        }
    }
}

/// The path to a fault is spelled out for those faults that are listed, and for no others: this would be many
/// gigabytes otherwise.
#[test]
fn very_many_faults_in_a_place_with_a_very_long_name_are_cut_short() {
    let name = "n".repeat(400_000);
    let members = vec![r#""\ud800":0"#; 50_000].join(",");
    let text = good_with(&format!(r#""app_metadata":{{"{name}":{{{members}}}}}"#));
    let faults = judge(&text, &BOUNDLESS).unwrap_err();
    assert_eq!(faults.len(), MAX_FAULTS);
    assert!(faults.iter().all(|fault| fault.path.as_ref().is_some_and(|path| path.len() < 400)));
    assert!(faults[MAX_FAULTS - 1].hint.is_some());
}
