//! Bodies, JSON or form: read within a limit, and taken apart member by member, in the API's own words.
//!
//! Only those who hold the token for an operation get here: [`Granted`](super::auth::Granted) is an earlier
//! argument of every handler. A member that is asked for is taken out, so what is left at the end of a closed
//! object is what nobody knows ([`Object::close`]).
//!
//! All values of a form are texts (arrays of them, where a name is repeated). They become what is asked for if
//! they say such a thing, and are refused in the same words as JSON otherwise.

mod form;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::future::{Ready, ready};
use std::ops::RangeInclusive;
use std::str::FromStr;

use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest, dev};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::State;
use super::body::{Incoming, read_small};
use super::error::{ApiError, Place};

/// Any number of them.
pub(super) const ANY: RangeInclusive<usize> = 0..=usize::MAX;

/// A body that is JSON, unless its type says that it is a form.
pub(super) struct Payload {
    content: Incoming,
    is_form: bool,
    most: u64,
}

impl FromRequest for Payload {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut dev::Payload) -> Self::Future {
        let most = request.app_data::<Data<State>>().map_or(0, |state| state.bounds.max_body_size);
        let content = Incoming::from_request(request, payload).into_inner();
        ready(content.map(|content| Self { content, is_form: form::is_type(request), most }))
    }
}

impl Payload {
    async fn read(self) -> Result<Vec<u8>, ApiError> {
        read_small(self.content, self.most).await
    }
}

/// Members of a user that are no texts.
const NO_TEXTS: [&str; 6] =
    ["app_metadata", "blocked", "email_verified", "phone_verified", "user_metadata", "verify_email"];

/// The JSON text of a request's body about a user, for what must be kept as it was written.
pub(super) async fn read_user(payload: Payload) -> Result<String, ApiError> {
    let is_form = payload.is_form;
    let content = payload.read().await?;
    if is_form && form::is_one(&content) {
        return Ok(form::to_json(&form::parse(&content)?, &NO_TEXTS));
    }
    String::from_utf8(content).map_err(|fault| wrong(format!("Invalid JSON: {fault}"), ""))
}

/// The object a request's body is. `413` above `limits.max_body_size`, `400` if it is neither JSON nor a form.
pub(super) async fn read_object(payload: Payload) -> Result<Object, ApiError> {
    let is_form = payload.is_form;
    let content = payload.read().await?;
    if is_form && form::is_one(&content) {
        return Ok(Object { path: String::new(), members: form::parse(&content)?, is_form });
    }
    Object::of(parse(&content)?, String::new())
}

/// The objects of the array a request's body is. No form says such a thing.
pub(super) async fn read_objects(
    payload: Payload,
    count: RangeInclusive<usize>,
) -> Result<Vec<Object>, ApiError> {
    objects(parse(&payload.read().await?)?, "", count)
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
    /// Whether it was sent as a form.
    is_form: bool,
}

impl Object {
    /// The object that `value` is.
    pub(super) fn of(value: Value, path: String) -> Result<Self, ApiError> {
        match value {
            Value::Object(members) => Ok(Self { path, members, is_form: false }),
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
        Ok(Self { path: String::new(), members, is_form: false })
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

    /// A value of some kind. What a form says is taken for JSON if that is of this kind.
    fn value_as(&mut self, name: &str, is_kind: fn(&Value) -> bool) -> Option<Value> {
        let value = self.value(name)?;
        let said = value.as_str().filter(|_| self.is_form).and_then(|text| serde_json::from_str(text).ok());
        Some(said.filter(is_kind).unwrap_or(value))
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
        match self.value_as(name, Value::is_boolean) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(other) => Err(self.refuse(name, mismatch("boolean", &other))),
        }
    }

    /// A whole number in this range.
    pub(super) fn whole(&mut self, name: &str, range: RangeInclusive<u64>) -> Result<Option<u64>, ApiError> {
        let Some(value) = self.value_as(name, Value::is_number) else {
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
        let value = self.value_as(name, Value::is_object);
        value.map(|value| Self::of(value, self.path_of(name))).transpose()
    }

    /// An array of so many objects.
    pub(super) fn objects(
        &mut self,
        name: &str,
        count: RangeInclusive<usize>,
    ) -> Result<Option<Vec<Self>>, ApiError> {
        let value = self.value_as(name, Value::is_array);
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
        // A name that a form does not repeat.
        let value = if self.is_form && value.is_string() { Value::Array(vec![value]) } else { value };
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
