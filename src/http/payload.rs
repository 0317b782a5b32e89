//! JSON bodies: read within a limit, and taken apart member by member, in the API's own words.
//!
//! Only those who hold the token for an operation get here: [`Granted`](super::auth::Granted) is an earlier
//! argument of every handler. A member that is asked for is taken out, so what is left at the end of a closed
//! object is what nobody knows ([`Object::close`]).

use std::collections::HashMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use actix_web::web;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::body::read_small;
use super::error::{ApiError, Place};

/// Largest JSON body taken, in bytes.
pub(super) const LARGEST: u64 = 64 << 10;

/// Largest JSON body about a user, in bytes: there is room for the largest metadata that can be set.
pub(super) const LARGEST_USER: u64 = 256 << 10;

/// Any number of them.
pub(super) const ANY: RangeInclusive<usize> = 0..=usize::MAX;

/// The value a request's body is. `413` above [`LARGEST`], `400` if it is no JSON.
pub(super) async fn read(payload: web::Payload) -> Result<Value, ApiError> {
    parse(&read_small(payload, LARGEST).await?)
}

/// The text of a request's body about a user, for what must be kept as it was written.
pub(super) async fn read_user(payload: web::Payload) -> Result<String, ApiError> {
    let content = read_small(payload, LARGEST_USER).await?;
    String::from_utf8(content).map_err(|fault| wrong(format!("Invalid JSON: {fault}"), ""))
}

/// The object a request's body is.
pub(super) async fn read_object(payload: web::Payload) -> Result<Object, ApiError> {
    Object::of(read(payload).await?, String::new())
}

/// The objects of the array a request's body is.
pub(super) async fn read_objects(
    payload: web::Payload,
    count: RangeInclusive<usize>,
) -> Result<Vec<Object>, ApiError> {
    objects(read(payload).await?, "", count)
}

fn parse(content: &[u8]) -> Result<Value, ApiError> {
    if content.is_empty() {
        return Err(wrong(mismatch("object", &Value::Null), ""));
    }
    serde_json::from_slice(content).map_err(|fault| wrong(format!("Invalid JSON: {fault}"), ""))
}

/// An object that was sent.
#[derive(Debug, Clone)]
pub(super) struct Object {
    /// Where it is in the body; empty for the body itself.
    path: String,
    members: Map<String, Value>,
}

impl Object {
    /// The object that `value` is.
    pub(super) fn of(value: Value, path: String) -> Result<Self, ApiError> {
        match value {
            Value::Object(members) => Ok(Self { path, members }),
            other => Err(wrong(mismatch("object", &other), &path)),
        }
    }

    /// Some members of the object that a text is; nothing is said of the others.
    pub(super) fn with(names: &[&str], text: &str) -> Result<Self, ApiError> {
        let Ok(mut given) = serde_json::from_str::<HashMap<String, &RawValue>>(text) else {
            return Self::of(parse(text.as_bytes())?, String::new());
        };
        let member = |name: &&str| {
            let value = given.remove(*name)?.get();
            Some(serde_json::from_str(value).map(|value| ((*name).to_owned(), value)))
        };
        let members = names.iter().filter_map(member).collect::<Result<_, _>>();
        let members = members.map_err(|fault| wrong(format!("Invalid JSON: {fault}"), ""))?;
        Ok(Self { path: String::new(), members })
    }

    /// Whether there is such a member left.
    pub(super) fn has(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }

    /// A refusal of one of its members.
    pub(super) fn refuse(&self, name: &str, rule: impl fmt::Display) -> ApiError {
        wrong(rule.to_string(), &self.path_of(name))
    }

    /// A value that has to be there.
    pub(super) fn required<T>(&self, value: Option<T>, name: &str) -> Result<T, ApiError> {
        value.ok_or_else(|| wrong(format!("Missing required property: {name}"), &self.path))
    }

    /// Any value.
    pub(super) fn value(&mut self, name: &str) -> Option<Value> {
        self.members.shift_remove(name)
    }

    /// Whether the member is there and null; if so, it is taken out.
    pub(super) fn null(&mut self, name: &str) -> bool {
        let is_null = self.members.get(name).is_some_and(Value::is_null);
        is_null && self.value(name).is_some()
    }

    /// A text with so many characters.
    pub(super) fn text(
        &mut self,
        name: &str,
        length: RangeInclusive<usize>,
    ) -> Result<Option<String>, ApiError> {
        let value = self.value(name);
        value.map(|value| text(value, &self.path_of(name), &length)).transpose()
    }

    /// A text with a form of its own, whose faults are worded as rules.
    pub(super) fn parsed<T>(&mut self, name: &str) -> Result<Option<T>, ApiError>
    where
        T: FromStr<Err: fmt::Display>,
    {
        let Some(given) = self.text(name, ANY)? else {
            return Ok(None);
        };
        given.parse().map(Some).map_err(|fault| self.refuse(name, fault))
    }

    /// One of some words.
    pub(super) fn one_of(
        &mut self,
        name: &str,
        words: &[&'static str],
    ) -> Result<Option<&'static str>, ApiError> {
        let Some(given) = self.text(name, ANY)? else {
            return Ok(None);
        };
        let found = words.iter().find(|word| **word == given);
        let refuse = || self.refuse(name, format_args!("No enum match for: {}", shortened(&given)));
        found.copied().map(Some).ok_or_else(refuse)
    }

    /// `true` or `false`.
    pub(super) fn flag(&mut self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(other) => Err(self.refuse(name, mismatch("boolean", &other))),
        }
    }

    /// A whole number in this range.
    pub(super) fn whole(&mut self, name: &str, range: RangeInclusive<u64>) -> Result<Option<u64>, ApiError> {
        let Some(value) = self.value(name) else {
            return Ok(None);
        };
        let (least, most) = range.into_inner();
        let rule = match value.as_u64() {
            _ if kind(&value) != "integer" => mismatch("integer", &value),
            Some(number) if most < number => format!("Value {number} is greater than maximum {most}"),
            Some(number) if least <= number => return Ok(Some(number)),
            _ => format!("Value {value} is less than minimum {least}"),
        };
        Err(self.refuse(name, rule))
    }

    /// An object inside this one.
    pub(super) fn object(&mut self, name: &str) -> Result<Option<Self>, ApiError> {
        let value = self.value(name);
        value.map(|value| Self::of(value, self.path_of(name))).transpose()
    }

    /// An array of so many objects.
    pub(super) fn objects(
        &mut self,
        name: &str,
        count: RangeInclusive<usize>,
    ) -> Result<Option<Vec<Self>>, ApiError> {
        let value = self.value(name);
        value.map(|value| objects(value, &self.path_of(name), count)).transpose()
    }

    /// An array of so many texts, each with so many characters.
    pub(super) fn texts(
        &mut self,
        name: &str,
        count: RangeInclusive<usize>,
        length: RangeInclusive<usize>,
    ) -> Result<Option<Vec<String>>, ApiError> {
        let Some(value) = self.value(name) else {
            return Ok(None);
        };
        let path = self.path_of(name);
        let items = array(value, &path, count)?.into_iter().enumerate();
        let texts = items.map(|(at, item)| text(item, &format!("{path}[{at}]"), &length));
        texts.collect::<Result<_, _>>().map(Some)
    }

    /// An object of so many texts at most, each with so many characters, and its name too.
    pub(super) fn object_of_texts(
        &mut self,
        name: &str,
        most: usize,
        most_chars: usize,
    ) -> Result<Option<Map<String, Value>>, ApiError> {
        let Some(mut given) = self.object(name)? else {
            return Ok(None);
        };
        let count = given.members.len();
        if most < count {
            return Err(self.refuse(name, format!("Too many properties defined ({count}), maximum {most}")));
        }
        let mut texts = Map::new();
        for key in given.members.keys().cloned().collect::<Vec<_>>() {
            let chars = key.chars().count();
            if most_chars < chars {
                let rule = format!("A property's name is too long ({chars} chars), maximum {most_chars}");
                return Err(self.refuse(name, rule));
            }
            let text = given.text(&key, 0..=most_chars)?;
            texts.insert(key, text.into());
        }
        Ok(Some(texts))
    }

    /// What is left, for objects that may have any members.
    pub(super) fn rest(self) -> Map<String, Value> {
        self.members
    }

    /// Refuses what is left.
    pub(super) fn close(self) -> Result<(), ApiError> {
        if self.members.is_empty() {
            return Ok(());
        }
        let names: Vec<String> = self.members.keys().map(|name| shortened(name)).collect();
        Err(wrong(format!("Additional properties not allowed: {}", names.join(",")), &self.path))
    }

    fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }
}

/// The text that a value is, if it is as long as it may be.
fn text(value: Value, path: &str, length: &RangeInclusive<usize>) -> Result<String, ApiError> {
    let Value::String(text) = value else {
        return Err(wrong(mismatch("string", &value), path));
    };
    let (chars, least, most) = (text.chars().count(), length.start(), length.end());
    match chars {
        _ if chars < *least => {
            Err(wrong(format!("String is too short ({chars} chars), minimum {least}"), path))
        }
        _ if *most < chars => Err(wrong(format!("String is too long ({chars} chars), maximum {most}"), path)),
        _ => Ok(text),
    }
}

fn array(value: Value, path: &str, count: RangeInclusive<usize>) -> Result<Vec<Value>, ApiError> {
    let Value::Array(items) = value else {
        return Err(wrong(mismatch("array", &value), path));
    };
    let (given, least, most) = (items.len(), *count.start(), *count.end());
    match given {
        _ if given < least => Err(wrong(format!("Array is too short ({given}), minimum {least}"), path)),
        _ if most < given => Err(wrong(format!("Array is too long ({given}), maximum {most}"), path)),
        _ => Ok(items),
    }
}

fn objects(value: Value, path: &str, count: RangeInclusive<usize>) -> Result<Vec<Object>, ApiError> {
    let items = array(value, path, count)?.into_iter().enumerate();
    items.map(|(at, item)| Object::of(item, format!("{path}[{at}]"))).collect()
}

fn wrong(rule: String, path: &str) -> ApiError {
    ApiError::invalid_at(Place::Payload, rule, path)
}

fn mismatch(wanted: &str, found: &Value) -> String {
    format!("Expected type {wanted} but found type {}", kind(found))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if !number.is_f64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// What a client sent, as far as it can be quoted in an answer.
fn shortened(text: &str) -> String {
    text.chars().take(100).collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may")]
mod tests {
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
}
