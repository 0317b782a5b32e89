//! Bodies that are forms, as HTML and `curl --data` send them.

use actix_web::HttpRequest;
use actix_web::http::header;
use actix_web::web::Query;
use serde_json::map::Entry;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::super::error::ApiError;

const TYPE: &[u8] = b"application/x-www-form-urlencoded";

/// Whether a request says that its body is a form.
pub(super) fn is_type(request: &HttpRequest) -> bool {
    let given = request.headers().get(header::CONTENT_TYPE).map_or(&b""[..], |given| given.as_bytes());
    given.get(..TYPE.len()).is_some_and(|start| start.eq_ignore_ascii_case(TYPE))
}

/// Whether a body that is said to be a form is one. `curl --data '{…}'` says so of JSON, and a form does not
/// begin like that: it would write the bracket as `%7B`.
pub(super) fn is_one(content: &[u8]) -> bool {
    content.trim_ascii_start().first().is_some_and(|first| !b"{[".contains(first))
}

/// The members of a form; those of a repeated name are an array.
pub(super) fn parse(content: &[u8]) -> Result<Map<String, Value>, ApiError> {
    let parsed =
        str::from_utf8(content).ok().and_then(|text| Query::<Vec<(String, String)>>::from_query(text).ok());
    let pairs = parsed.ok_or_else(|| super::wrong("Invalid form".to_owned(), ""))?;
    let mut members = Map::new();
    for (name, text) in pairs.into_inner() {
        match members.entry(name) {
            Entry::Vacant(free) => drop(free.insert(text.into())),
            Entry::Occupied(mut taken) => match taken.get_mut() {
                Value::Array(texts) => texts.push(text.into()),
                one => *one = Value::Array(vec![one.take(), text.into()]),
            },
        }
    }
    Ok(members)
}

/// The JSON text that a form stands for; members of these names are JSON already, and stay as they are written.
pub(super) fn to_json(members: &Map<String, Value>, json: &[&str]) -> String {
    let said = |name: &str, value: &Value| {
        let text = value.as_str().filter(|_| json.contains(&name))?;
        serde_json::from_str::<&RawValue>(text).ok().map(|raw| raw.get().to_owned())
    };
    let member = |(name, value): (&String, &Value)| {
        let value = said(name, value).unwrap_or_else(|| value.to_string());
        format!("{}:{value}", Value::from(name.as_str()))
    };
    format!("{{{}}}", members.iter().map(member).collect::<Vec<_>>().join(","))
}
