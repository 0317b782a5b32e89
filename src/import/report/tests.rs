//! What is shown of failed rows, and what is not.

use proptest::prelude::*;

use crate::import::testing;

use super::{MAX_REPORTED_BYTES, reported};

#[track_caller]
fn shows(given: &str, wanted: &str) {
    assert_eq!(reported(Some(given)), wanted);
}

#[test]
fn a_row_is_shown_as_given_less_blanks() {
    shows(
        r#" { "email" : "a b" , "x":[ 1.50, {} ,"\ud800"] } "#,
        r#"{"email":"a b","x":[1.50,{},"\ud800"]}"#,
    );
    shows("{ }", "{}");
    shows(r#"{"a":1,"a":2}"#, r#"{"a":1,"a":2}"#);
}

#[test]
fn a_row_that_is_no_object_is_shown_as_an_empty_one() {
    for row in ["[1,{}]", "\"{\"", "12", "null", ""] {
        shows(row, "{}");
    }
}

#[test]
fn secrets_are_masked() {
    shows(
        r#"{"password":"x","pass\u0077ord_hash":{"a":1}}"#,
        r#"{"password":"*****","pass\u0077ord_hash":"*****"}"#,
    );
    shows(
        r#"{"Password":1,"clientSecret":"x","passwords":["x"]}"#,
        r#"{"Password":"*****","clientSecret":"*****","passwords":"*****"}"#,
    );
    shows(
        r#"{"custom_password_hash":{"algorithm":"hmac","hash":{"value":"x","encoding":"hex","digest":"md5","key":{"value":"k","encoding":"utf8"}},"salt":{"value":"s","position":"prefix"},"keylen":32}}"#,
        r#"{"custom_password_hash":{"algorithm":"hmac","hash":{"value":"*****","encoding":"hex","digest":"md5","key":{"value":"*****","encoding":"utf8"}},"salt":{"value":"*****","position":"prefix"},"keylen":32}}"#,
    );
    shows(
        r#"{"mfa_factors":[{"totp":{"secret":"x"}},{"phone":{"value":"+1"}},{"secret":["x"]}]}"#,
        r#"{"mfa_factors":[{"totp":{"secret":"*****"}},{"phone":{"value":"*****"}},{"secret":"*****"}]}"#,
    );
}

#[test]
fn what_has_a_name_that_is_no_text_may_be_a_secret() {
    shows(r#"{"password\ud83d":"x","\udc00":{"a":1}}"#, r#"{"password\ud83d":"*****","\udc00":"*****"}"#);
}

#[test]
fn a_secret_of_the_wrong_type_is_masked_as_a_whole() {
    shows(r#"{"custom_password_hash":"x"}"#, r#"{"custom_password_hash":"*****"}"#);
    shows(r#"{"custom_password_hash":["x"]}"#, r#"{"custom_password_hash":"*****"}"#);
    shows(r#"{"mfa_factors":{"totp":{"secret":"x"}}}"#, r#"{"mfa_factors":"*****"}"#);
    shows(
        r#"{"custom_password_hash":{"hash":"x","salt":["s"],"algorithm":{"x":"y"}}}"#,
        r#"{"custom_password_hash":{"hash":"*****","salt":["*****"],"algorithm":{"x":"*****"}}}"#,
    );
}

#[test]
fn of_a_long_row_it_is_shown_who_it_is_about() {
    let filler = "x".repeat(MAX_REPORTED_BYTES);
    shows(
        &format!(
            r#"{{"n":"{filler}","email":"a\ud800","username":"ann","email_verified":true,"email":"b"}}"#
        ),
        r#"{"email":"a\ud800","username":"ann","email_verified":true,"truncated":true}"#,
    );
    shows(
        &format!(r#"{{"email":"{filler}","username":"\ud800{filler}","email_verified":[1]}}"#),
        &format!(r#"{{"email":"{}…","truncated":true}}"#, "x".repeat(300)),
    );
    shows(&format!(r#"{{"password":"{filler}"}}"#), r#"{"password":"*****"}"#);
    assert_eq!(reported(None), r#"{"truncated":true}"#);
}

proptest! {
    #[test]
    fn a_report_is_json_text_of_an_object_and_never_tells_a_secret(
        value in testing::json(),
        other in testing::json(),
        name in "password|password_hash|custom_password_hash|mfa_factors|x",
    ) {
        let row = format!(r#"{{"{name}" : {value}, "y":{other}}}"#);
        let report = reported(Some(&row));
        // Values of other types would refuse half a surrogate pair and numbers out of range.
        prop_assert!(serde_json::from_str::<serde::de::IgnoredAny>(&report).is_ok());
        prop_assert_eq!(report.chars().next(), Some('{'));
        if name.starts_with("password") {
            let mask = format!(r#"{{"{name}":"*****","#);
            prop_assert!(report.starts_with(&mask));
        } else if name == "x" {
            prop_assert_eq!(testing::tokens(&report), testing::tokens(&row));
        }
    }

    #[test]
    fn any_text_gets_a_report(
        row in testing::json(),
        changes in prop::collection::vec((any::<usize>(), any::<usize>(), 0_u8..3), 0..4),
    ) {
        let mut text = format!(r#"{{"custom_password_hash":{row}}}"#).into_bytes();
        for (place, byte, kind) in changes {
            testing::mutate(&mut text, place, byte, kind);
        }
        let report = reported(Some(&String::from_utf8_lossy(&text)));
        prop_assert_eq!(report.chars().next(), Some('{'));
    }
}
