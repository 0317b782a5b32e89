//! The e-mail rule against tables, properties and addresses that others have collected.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use proptest::prelude::*;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::domain::testing::corpus;

use super::{Email, EmailFault};

const DOCUMENT: &str = include_str!("../../../docs/email-rule.md");

#[track_caller]
fn good(raw: &str, wanted: &str) {
    assert_eq!(Email::parse(raw).as_ref().map(Email::as_str), Ok(wanted), "{raw}");
}

#[track_caller]
fn bad(raw: &str, wanted: EmailFault) {
    assert_eq!(Email::parse(raw), Err(wanted), "{raw}");
}

#[test]
fn an_address_is_kept_in_lower_case() {
    good("Ann@ACME.test", "ann@acme.test");
    good("\"Ann Smith\"@ACME.test", "\"ann smith\"@acme.test");
    good("JÜRGEN@MÜLLER.example", "jürgen@müller.example");
    good("ann@localhost", "ann@localhost");
    good("ann@[IPv6:2001:DB8::1]", "ann@[ipv6:2001:db8::1]");
}

#[test]
fn the_part_before_the_at_has_rules() {
    good("a.b+c!#$%&'*/=?^_`{|}~-@x.y", "a.b+c!#$%&'*/=?^_`{|}~-@x.y");
    good(r#""a@b\"\\ ..(,"@x.y"#, r#""a@b\"\\ ..(,"@x.y"#);
    good("\"\"@x.y", "\"\"@x.y");
    bad("", EmailFault::NoAt);
    bad("ann", EmailFault::NoAt);
    bad("\"ann@x.y", EmailFault::NoAt);
    bad("@x.y", EmailFault::LocalEmpty);
    for local in [".a", "a.", "a..b", "a b", "a,b", "a\"b", "\"a\"b", "\"a\n\"", "\"\\é\"", "a\u{a0}"] {
        bad(&format!("{local}@x.y"), EmailFault::LocalMalformed);
    }
    good(&format!("{}@x.y", "a".repeat(64)), &format!("{}@x.y", "a".repeat(64)));
    bad(&format!("{}@x.y", "a".repeat(65)), EmailFault::LocalTooLong);
    // This letter grows by a byte in lower case.
    bad(&format!("{}@x.y", "İ".repeat(32)), EmailFault::LocalTooLong);
}

#[test]
fn the_part_after_the_at_has_rules() {
    let label = "d".repeat(63);
    good(&format!("a@{label}.x"), &format!("a@{label}.x"));
    for domain in ["", ".", "x.", ".x", "x..y", "-x", "x-", "x_y", "x y", "a@b", "xn--0.x", "\u{ff0e}"] {
        bad(&format!("a@{domain}"), EmailFault::DomainMalformed);
    }
    bad(&format!("a@d{label}.x"), EmailFault::DomainMalformed);
    let domain = [label.as_str(); 3].join(".") + "." + &"d".repeat(60);
    good(&format!("a@{domain}"), &format!("a@{domain}"));
    bad(&format!("ab@{domain}"), EmailFault::TooLong);
}

#[test]
fn an_address_literal_is_an_ip_address() {
    let right = [
        "1.2.3.4",
        "001.02.3.255",
        "IPv6:::",
        "IPv6:1:2:3:4:5:6:7:8",
        "IPv6:1:2:3:4:5:6:1.2.3.4",
        "IPv6:1::6:1.2.3.4",
        "IPv6:::1.2.3.4",
        "IPv6:1:2:3:4:5:6::",
    ];
    for literal in right {
        assert!(Email::parse(&format!("a@[{literal}]")).is_ok(), "{literal}");
    }
    let wrong = [
        "",
        "1.2.3",
        "1.2.3.256",
        "1.2.3.0004",
        "1.2.3.+4",
        "::1",
        "IPv6:1:2:3:4:5:6:7",
        "IPv6:1:2:3:4:5:6:7::",
        "IPv6:1::2::3",
        "IPv6:12345::",
        "IPv6:1.2.3.4::",
        "IPv6::1",
        "IPv6:1:2:3:4:5:6:7:1.2.3.4",
        "IPv6:fe80::1%eth0",
        "x:y",
    ];
    for literal in wrong {
        bad(&format!("a@[{literal}]"), EmailFault::DomainMalformed);
    }
}

proptest! {
    #[test]
    fn parsing_is_total_and_idempotent(raw in ".{0,20}@.{0,20}") {
        if let Ok(email) = Email::parse(&raw) {
            prop_assert_eq!(Email::parse(email.as_str()), Ok(email.clone()));
        }
    }
}

/// An address of a public collection and whether it should be accepted.
struct Case {
    group: String,
    /// As the document shows it: what is not printable ASCII, as an escape.
    shown: String,
    wanted: bool,
    accepted: bool,
}

impl Case {
    fn new(group: String, address: &str, wanted: bool) -> Self {
        let show = |c: char| {
            let plain = c.is_ascii_graphic() || c == ' ';
            if plain { c.to_string() } else { c.escape_default().to_string() }
        };
        let shown = address.chars().map(show).collect();
        Self { group, shown, wanted, accepted: Email::parse(address).is_ok() }
    }
}

/// Asserts that these addresses, and no others, are judged otherwise than their collection wants,
/// and that the document tells of each, and how many there are of each group.
fn compare(cases: &[Case], disagreements: &[&str]) {
    let found = cases.iter().filter(|case| case.accepted != case.wanted);
    let found: BTreeSet<&str> = found.map(|case| case.shown.as_str()).collect();
    assert_eq!(found, disagreements.iter().copied().collect());
    for address in found {
        assert!(DOCUMENT.contains(&format!("`{address}`")), "not in the document: {address}");
    }
    for line in counts(cases) {
        assert!(DOCUMENT.contains(&line), "not in the document: {line}");
    }
}

/// Lines of the document's table.
fn counts(cases: &[Case]) -> Vec<String> {
    let mut groups: BTreeMap<&str, [usize; 4]> = BTreeMap::new();
    for case in cases {
        let [all, accepted, refused, otherwise] = groups.entry(&case.group).or_default();
        *all += 1;
        *accepted += usize::from(case.accepted);
        *refused += usize::from(!case.accepted);
        *otherwise += usize::from(case.accepted != case.wanted);
    }
    let line = |(group, [all, accepted, refused, otherwise]): (&str, [usize; 4])| {
        format!("| {group} | {all} | {accepted} | {refused} | {otherwise} |")
    };
    groups.into_iter().map(line).collect()
}

#[test]
fn the_json_schema_test_suite_agrees() {
    let Some(folder) = corpus("JSON-Schema-Test-Suite/tests") else {
        return;
    };
    let cases_of = |draft: &str, format: &str| -> Vec<Case> {
        let path = folder.join(draft).join("optional/format").join(format!("{format}.json"));
        let groups: serde_json::Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        let tests =
            groups.as_array().unwrap().iter().flat_map(|group| group["tests"].as_array().unwrap().iter());
        // Whatever is no text is fine by a format.
        let judged = tests.filter_map(|test| Some((test["data"].as_str()?, &test["valid"])));
        let group = format!("JSON Schema Test Suite | {draft} {format}");
        judged.map(|(text, valid)| Case::new(group.clone(), text, valid.as_bool().unwrap())).collect()
    };
    for draft in ["draft7", "draft2020-12"] {
        compare(&cases_of(draft, "email"), &[]);
        compare(&cases_of(draft, "idn-email"), &[r"\u{85}@example.com"]);
    }
}

#[test]
fn isemail_agrees_but_for_seven_domains() {
    let Some(folder) = corpus("isemail") else {
        return;
    };
    compare(&isemail_cases(&fs::read_to_string(folder.join("tests.xml")).unwrap(), "tests"), &[]);
    compare(
        &isemail_cases(&fs::read_to_string(folder.join("tests-original.xml")).unwrap(), "tests-original"),
        &[
            "first.last@[IPv6:1111:2222:3333::4444:5555:12.34.56.78]",
            "first.last@[IPv6:1111:2222:3333::4444:5555:6666:7777]",
            "first.last@[IPv6:::a2:a3:a4:b1:b2:b3:b4]",
            "first.last@[IPv6:::a2:a3:a4:b1:ffff:11.22.33.44]",
            "first.last@[IPv6:a1:a2:a3:a4:b1:b2:b3::]",
            "first.last@[IPv6:a1:a2:a3:a4:b1::11.22.33.44]",
            "test@xn--example.com",
        ],
    );
}

fn isemail_cases(text: &str, file: &str) -> Vec<Case> {
    let document = roxmltree::Document::parse(text).unwrap();
    let tests = document.descendants().filter(|node| node.has_tag_name("test"));
    tests
        .map(|test| {
            let text_of = |name: &str| {
                let child = test.children().find(|node| node.has_tag_name(name));
                child.and_then(|node| node.text()).unwrap_or_default()
            };
            let address: String = text_of("address").chars().map(control_character).collect();
            let category = text_of("category").trim_start_matches("ISEMAIL_");
            let wanted = ["VALID_CATEGORY", "DNSWARN", "RFC5321"].contains(&category);
            Case::new(format!("isemail | {file} {category}"), &address, wanted)
        })
        .collect()
}

/// The collection writes control characters as their pictures.
fn control_character(c: char) -> char {
    match u32::from(c) {
        0x2421 => '\u{7f}',
        picture @ 0x2400..=0x241f => char::from_u32(picture - 0x2400).unwrap(),
        _ => c,
    }
}

#[derive(Deserialize)]
struct Listed<'a> {
    #[serde(borrow)]
    address: &'a RawValue,
    test: &'a str,
    verdict: &'a str,
}

#[test]
fn email_validator_disagrees_where_it_goes_beyond_syntax() {
    let Some(path) = corpus("email-validator/addresses.json") else {
        return;
    };
    let text = fs::read_to_string(path).unwrap();
    let listed: Vec<Listed<'_>> = serde_json::from_str(&text).unwrap();
    // One of them is half a surrogate pair: no text, so no address for us to judge.
    let cases: Vec<Case> = listed.iter().filter_map(validator_case).collect();
    assert_eq!((listed.len(), cases.len()), (136, 135));
    compare(&cases, &EMAIL_VALIDATOR);
}

/// Why is told in the document.
const EMAIL_VALIDATOR: [&str; 28] = [
    "MyName <me@example.org>",
    "My Name <me@example.org>",
    r#""My.\"Na\\me\".Is" <"me \" \\ me"@example.org>"#,
    r#""s\u{323}\u{307}" <s\u{323}\u{307}@nfc.tld>"#,
    "my@localhost",
    "me@bad-tld-1",
    "me@bad.tld-2",
    "me@yy--0.tld",
    "me@[127.0.0.1]",
    "me@[IPv6:::1]",
    "me@anything.arpa",
    "me@valid.invalid",
    "me@link.local",
    "me@host.localhost",
    "me@onion.onion.onion",
    "me@test.test.test",
    r"me.\u{37e}@example.com",
    r"my.\u{fb2c}.address@1111111111222222222233333333334444444444555555555.6666666666777777777788888888889999999999000000000.1111111111222222222233333333334444444444555555555.6666666666777777777788888888889999999999000000000.11111111112222222222333333333344.info",
    r"my.long.address@\u{3bb}111111111222222222233333333334444444444555555555.6666666666777777777788888888889999999999000000000.1111111111222222222233333333334444444444555555555.6666666666777777777788888888889999999999000000000.11111111112222222222333333.info",
    r"my.\u{3bb}ong.address@\u{3bb}111111111222222222233333333334444444444555555555.6666666666777777777788888888889999999999000000000.1111111111222222222233333333334444444444555555555.6666666666777777777788888888889999999999000000000.11111111112222222222333333.info",
    r"\u{3bb}ambda\u{30c4}@test",
    r#""quoted.with..unicode.\u{3bb}"@example.com"#,
    r"\u{300}@test",
    r"\u{200b}@test",
    r"\u{202d}forward-\u{202e}reversed@test",
    r"\u{e000}@test",
    r"\u{10fdef}@test",
    r"\u{fdef}@test",
];

fn validator_case(listed: &Listed<'_>) -> Option<Case> {
    let address: String = serde_json::from_str(listed.address.get()).ok()?;
    let group = format!("email-validator | {}", listed.test);
    // These are no addresses but what the library's own test puts before "@test".
    let case = match listed.test {
        "test_email_unsafe_character" => Case::new(group, &format!("{address}@test"), false),
        _ => Case::new(group, &address, listed.verdict == "valid"),
    };
    Some(case)
}
