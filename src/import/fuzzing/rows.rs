//! What must hold of a row.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::{RawValue, Value};

use crate::domain::{Candidate, Fault, RowSchema, Username};
use crate::import::{
    Limits, MAX_FAULTS, MAX_REPORTED_BYTES, Scanner, judge, judge_change, judge_new, reported,
};

const MASK: &str = "\"*****\"";
/// What tells how a hash was made, and is no secret.
const HARMLESS: [&[u8]; 9] = [
    b"algorithm",
    b"encoding",
    b"digest",
    b"position",
    b"keylen",
    b"cost",
    b"blockSize",
    b"parallelization",
    b"id",
];

/// The text of a row, or any other.
pub fn row_rules(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let is_good = is_row(&text);
    for schema in [RowSchema::Basic, RowSchema::Profile] {
        let limits = Limits { max_metadata_bytes: 4096, schema };
        let verdicts = [judge(&text, &limits), judge_new(&text, &limits, &["connection", "password"])];
        for faults in verdicts.iter().filter_map(|verdict| verdict.as_ref().err()) {
            are_said(faults);
        }
        if let Err(faults) = judge_change(&text, &limits) {
            are_said(&faults);
        }
        // Of what no scanner has seen, nothing is promised but a verdict.
        if let [Ok(candidate), _] = &verdicts
            && is_good
        {
            is_the_same_again(candidate);
        }
    }
    let report = reported(Some(&text));
    if is_good && text.len() <= MAX_REPORTED_BYTES {
        tells_no_secret(&text, &report);
    }
}

fn are_said(faults: &[Fault]) {
    assert!((1..=MAX_FAULTS).contains(&faults.len()));
    assert!(faults.iter().all(|fault| !fault.message.is_empty() && fault.message.len() < 5000), "{faults:?}");
}

/// Whether a good file may have it as a row.
fn is_row(text: &str) -> bool {
    let mut scanner = Scanner::new();
    scanner.push_unreported(format!("[{text}]").as_bytes());
    scanner.finish() == Ok(1)
}

/// What a row offers, written as a row, is offered by that row.
fn is_the_same_again(candidate: &Candidate<'_>) {
    let text = written(candidate);
    let limits = Limits { max_metadata_bytes: 4096, schema: RowSchema::Profile };
    assert_eq!(judge(&text, &limits).as_ref(), Ok(candidate), "{text}");
}

fn written(candidate: &Candidate<'_>) -> String {
    let quoted = |text: &str| Value::from(text).to_string();
    let profile = &candidate.profile;
    let texts = [
        ("username", candidate.username.as_ref().map(Username::as_str)),
        ("name", profile.name.as_deref()),
        ("nickname", profile.nickname.as_deref()),
        ("given_name", profile.given_name.as_deref()),
        ("family_name", profile.family_name.as_deref()),
        ("picture", profile.picture.as_deref()),
        ("phone_number", profile.phone_number.as_deref()),
    ];
    let mut members: Vec<(&str, String)> =
        texts.iter().filter_map(|(name, text)| Some((*name, quoted((*text)?)))).collect();
    members.push(("email", quoted(candidate.email.as_str())));
    members.push(("email_verified", candidate.email_verified.to_string()));
    members.push(("blocked", candidate.blocked.to_string()));
    members.extend(profile.phone_verified.map(|flag| ("phone_verified", flag.to_string())));
    members.extend(candidate.id.as_ref().map(|id| ("user_id", quoted(&id.to_string()))));
    members.extend(candidate.app_metadata.as_ref().map(|text| ("app_metadata", text.to_string())));
    members.extend(candidate.user_metadata.as_ref().map(|text| ("user_metadata", text.to_string())));
    let members: Vec<String> = members.iter().map(|(name, value)| format!("\"{name}\" :\n{value}")).collect();
    format!("{{ {} }}", members.join(" , "))
}

/// The members of an object as they are written, those that are there twice included. A name with half of a
/// surrogate pair is no text, but these bytes.
struct Members(Vec<(Vec<u8>, Box<RawValue>)>);

struct Name(Vec<u8>);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Name;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Name, E> {
                Ok(Name(bytes.to_vec()))
            }
            fn visit_str<E>(self, text: &str) -> Result<Name, E> {
                Ok(Name(text.as_bytes().to_vec()))
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some((Name(name), value)) = map.next_entry()? {
                    members.push((name, value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// The report has the members of the row, and of what may be a secret nothing but its shape.
fn tells_no_secret(row: &str, report: &str) {
    let Ok(Members(given)) = serde_json::from_str(row) else {
        return assert_eq!(report, "{}");
    };
    let Members(shown) = serde_json::from_str(report).unwrap();
    let names = |members: &[(Vec<u8>, Box<RawValue>)]| -> Vec<Vec<u8>> {
        members.iter().map(|(name, _)| name.clone()).collect()
    };
    assert_eq!(names(&given), names(&shown));
    for ((name, given), (_, shown)) in given.iter().zip(&shown) {
        let is_secret = ["password", "secret"].iter().any(|word| contains(name, word.as_bytes()))
            || name.eq_ignore_ascii_case(b"mfa_factors");
        // A name that is no text may have been meant to be any.
        if is_secret || str::from_utf8(name).is_err() {
            is_masked(shown.get());
        } else {
            assert_eq!(shown.get(), tight(given.get()));
        }
    }
}

fn contains(name: &[u8], word: &[u8]) -> bool {
    name.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word))
}

/// Nothing in the value tells more than how a hash was made.
fn is_masked(value: &str) {
    if let Ok(Members(members)) = serde_json::from_str(value) {
        for (name, value) in members {
            let is_container = value.get().starts_with(['{', '[']);
            if is_container || !HARMLESS.contains(&&name[..]) {
                is_masked(value.get());
            }
        }
    } else if let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(value) {
        for item in items {
            is_masked(item.get());
        }
    } else {
        assert_eq!(value, MASK);
    }
}

/// The text without the blanks between its tokens.
fn tight(text: &str) -> String {
    let (mut in_text, mut is_escaped) = (false, false);
    let is_kept = |c: &char| {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' if in_text => is_escaped = true,
            '"' => in_text = !in_text,
            ' ' | '\t' | '\r' | '\n' => return in_text,
            _ => {}
        }
        true
    };
    text.chars().filter(is_kept).collect()
}
