//! The rules for bodies, and their words.

#![expect(clippy::unwrap_used, reason = "a test may")]

use serde_json::json;

use super::*;

fn object(value: Value) -> Object {
    Object::of(value, String::new()).unwrap()
}

#[track_caller]
fn check<T: fmt::Debug>(found: Result<T, ApiError>, rule: &str, property: &str) {
    let on = if property.is_empty() { String::new() } else { format!(" on property {property}") };
    assert_eq!(found.unwrap_err().to_string(), format!("Payload validation error: '{rule}'{on}."));
}

#[test]
fn a_body_is_an_object_or_refused() {
    let parsed = |text: &str| parse(text.as_bytes()).and_then(|value| Object::of(value, String::new()));
    assert!(parsed("{\"a\":1}").unwrap().has("a"));
    check(parsed(""), "Expected type object but found type null", "");
    check(parsed("[]"), "Expected type object but found type array", "");
    check(parsed("1.5"), "Expected type object but found type number", "");
    check(parsed("{"), "Invalid JSON: EOF while parsing an object at line 1 column 1", "");
    check(parse(b"\"\xff\""), "Invalid JSON: invalid unicode code point at line 1 column 2", "");
}

#[test]
fn each_rule_has_the_wording_of_the_api() {
    let mut it = object(json!({ "a": 1, "b": "four", "c": [1], "d": {}, "e": 1.5, "f": -1 }));
    assert_eq!(it.text("none", ANY).unwrap(), None);
    check(it.text("a", ANY), "Expected type string but found type integer", "a");
    let again = || object(json!({ "b": "four", "c": ["x", 1], "f": -1, "g": 9, "h": u64::MAX }));
    assert_eq!(again().text("b", 4..=4).unwrap().unwrap(), "four");
    check(again().text("b", 0..=3), "String is too long (4 chars), maximum 3", "b");
    check(again().text("b", 5..=9), "String is too short (4 chars), minimum 5", "b");
    check(again().one_of("b", &["five"]), "No enum match for: four", "b");
    assert_eq!(again().one_of("b", &["five", "four"]).unwrap(), Some("four"));
    check(again().flag("b"), "Expected type boolean but found type string", "b");
    check(again().whole("b", 0..=9), "Expected type integer but found type string", "b");
    check(it.whole("e", 0..=9), "Expected type integer but found type number", "e");
    check(again().whole("f", 0..=9), "Value -1 is less than minimum 0", "f");
    check(again().whole("h", 0..=9), "Value 18446744073709551615 is greater than maximum 9", "h");
    assert_eq!(again().whole("g", 9..=9).unwrap(), Some(9));
    check(again().whole("g", 0..=8), "Value 9 is greater than maximum 8", "g");
    check(again().texts("c", ANY, ANY), "Expected type string but found type integer", "c[1]");
    check(again().texts("c", 0..=1, ANY), "Array is too long (2), maximum 1", "c");
    check(again().texts("c", 3..=9, ANY), "Array is too short (2), minimum 3", "c");
    check(again().texts("b", ANY, ANY), "Expected type array but found type string", "b");
    check(again().objects("c", ANY), "Expected type object but found type string", "c[0]");
    let none: Option<()> = None;
    check(again().required(none, "z"), "Missing required property: z", "");
}

#[test]
fn rules_name_the_whole_way_to_a_member() {
    let mut outer = object(json!({ "options": { "deep": { "min": 0, "y": 1 } } }));
    let mut options = outer.object("options").unwrap().unwrap();
    let mut deep = options.object("deep").unwrap().unwrap();
    check(deep.whole("min", 1..=5), "Value 0 is less than minimum 1", "options.deep.min");
    check(deep.close(), "Additional properties not allowed: y", "options.deep");
    outer.close().unwrap();
}

#[test]
fn what_nobody_asked_for_is_refused_by_name() {
    let mut it = object(json!({ "b": null, "z": 1, "a": 2 }));
    assert!(!it.null("z") && it.null("b") && !it.null("b"));
    check(it.close(), "Additional properties not allowed: z,a", "");
    object(json!({})).close().unwrap();
}

fn form(text: &str) -> Object {
    assert!(form::is_one(text.as_bytes()));
    Object { path: String::new(), members: form::parse(text.as_bytes()).unwrap(), is_form: true }
}

#[test]
fn the_texts_of_a_form_become_what_is_asked_for() {
    let mut it = form("t=true&f=false&n=7&one=a&two=a&two=b&two=a+c&o=%7B%22x%22:true%7D&x=%26%3D");
    assert_eq!((it.flag("t").unwrap(), it.flag("f").unwrap()), (Some(true), Some(false)));
    assert_eq!(it.whole("n", 0..=9).unwrap(), Some(7));
    assert_eq!(it.texts("one", ANY, ANY).unwrap().unwrap(), ["a"]);
    assert_eq!(it.texts("two", ANY, ANY).unwrap().unwrap(), ["a", "b", "a c"]);
    // What stands inside is JSON, with no leniency of its own.
    let mut inner = it.object("o").unwrap().unwrap();
    assert_eq!(inner.flag("x").unwrap(), Some(true));
    assert_eq!(it.text("x", ANY).unwrap().unwrap(), "&=");
    it.close().unwrap();
    // A text that looks like something else is a text where a text is asked for.
    let mut it = form("t=true&n=7&empty=");
    assert_eq!(
        [it.text("t", ANY).unwrap(), it.text("n", ANY).unwrap()],
        [Some("true".into()), Some("7".into())]
    );
    assert_eq!(it.text("empty", ANY).unwrap().unwrap(), "");
}

#[test]
fn what_a_form_says_wrongly_is_refused_like_json() {
    let it = || form("b=yes&n=7.5&m=-1&o=%5B1%5D&two=a&two=b");
    check(it().flag("b"), "Expected type boolean but found type string", "b");
    check(it().flag("n"), "Expected type boolean but found type string", "n");
    check(it().whole("b", 0..=9), "Expected type integer but found type string", "b");
    check(it().whole("n", 0..=9), "Expected type integer but found type number", "n");
    check(it().whole("m", 0..=9), "Value -1 is less than minimum 0", "m");
    check(it().object("o"), "Expected type object but found type string", "o");
    check(it().objects("o", ANY), "Expected type object but found type integer", "o[0]");
    check(it().objects("b", ANY), "Expected type array but found type string", "b");
    check(it().text("two", ANY), "Expected type string but found type array", "two");
    check(it().flag("two"), "Expected type boolean but found type array", "two");
}

#[test]
fn a_form_is_told_from_json_that_says_it_is_one() {
    assert!(form::is_one(b"a=b") && form::is_one(b"%7B=1") && form::is_one(b"\"") && form::is_one(b"="));
    assert!(!form::is_one(b"{}") && !form::is_one(b" \n[") && !form::is_one(b"") && !form::is_one(b"  "));
}
