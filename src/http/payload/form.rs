//! Bodies that are forms, as HTML and `curl --data` send them.

use actix_web::HttpRequest;
use actix_web::http::header;
use actix_web::web::Query;
use serde_json::map::Entry;
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

/// The same, with the JSON values that some of the texts say.
pub(super) fn with_values(mut members: Map<String, Value>, names: &[&str]) -> Map<String, Value> {
    for name in names {
        if let Some(value) = members.get_mut(*name)
            && let Some(said) = value.as_str().and_then(|text| serde_json::from_str(text).ok())
        {
            *value = said;
        }
    }
    members
}
