//! Log streams that settings ask for.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use super::values::Secret;
use crate::domain::{ContentFormat, EventFilter, HttpSink, LogStream};

/// One of `[[log_streams]]`, its secret files read. Whether its endpoint may be used is not checked here:
/// that takes a name server.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "StreamEntry")]
pub struct DeclaredStream {
    /// Unique name.
    pub name: String,
    /// Where events go, and how.
    pub sink: HttpSink,
    /// Which ones; all if there is none.
    pub filters: Vec<EventFilter>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StreamEntry {
    name: String,
    endpoint: String,
    authorization: Option<Secret>,
    authorization_file: Option<PathBuf>,
    secret: Option<Secret>,
    secret_file: Option<PathBuf>,
    content_type: Option<String>,
    format: Option<String>,
    batch_size: Option<u32>,
    #[serde(default)]
    headers: BTreeMap<String, Secret>,
    #[serde(default)]
    types: Vec<String>,
    #[serde(default)]
    categories: Vec<String>,
}

impl TryFrom<StreamEntry> for DeclaredStream {
    type Error = String;
    fn try_from(entry: StreamEntry) -> Result<Self, String> {
        let filters = filters(&entry)?;
        let custom_headers = entry.headers.iter().map(header).collect::<Result<Vec<_>, _>>()?;
        at_most("headers", custom_headers.len(), HttpSink::MAX_HEADERS)?;
        at_most("characters of endpoint", entry.endpoint.chars().count(), HttpSink::MAX_ENDPOINT_CHARS)?;
        at_most("characters of name", entry.name.chars().count(), LogStream::MAX_NAME_CHARS)?;
        if entry.name.trim().is_empty() {
            return Err("name: may not be empty".to_owned());
        }
        let batch_size = entry.batch_size.unwrap_or(HttpSink::BATCH_SIZE);
        if !(1..=HttpSink::MAX_BATCH_SIZE).contains(&batch_size) {
            return Err(format!("batch_size: must be 1 to {}", HttpSink::MAX_BATCH_SIZE));
        }
        let sink = HttpSink {
            endpoint: entry.endpoint,
            authorization: one_of("authorization", entry.authorization, entry.authorization_file)?,
            content_type: entry.content_type.unwrap_or_else(|| HttpSink::CONTENT_TYPE.to_owned()),
            format: format(entry.format.as_deref())?,
            custom_headers,
            batch_size,
            secret: one_of("secret", entry.secret, entry.secret_file)?,
        };
        let values =
            [("content_type", Some(&sink.content_type)), ("authorization", sink.authorization.as_ref())];
        for (name, value) in values.into_iter().filter_map(|(name, value)| Some((name, value?))) {
            HttpSink::check_header_value(value).map_err(|why| format!("{name}: {why}"))?;
        }
        sink.secret
            .as_deref()
            .map_or(Ok(()), HttpSink::check_secret)
            .map_err(|why| format!("secret: {why}"))?;
        Ok(Self { name: entry.name, sink, filters })
    }
}

fn filters(entry: &StreamEntry) -> Result<Vec<EventFilter>, String> {
    let types = entry.types.iter().map(|code| {
        EventFilter::event(code).map_err(|_| format!("types: there is no event type \"{code}\""))
    });
    let categories = entry.categories.iter().map(|name| {
        EventFilter::category(name).map_err(|_| format!("categories: there is no category \"{name}\""))
    });
    let filters = types.chain(categories).collect::<Result<Vec<_>, _>>()?;
    at_most("types and categories", filters.len(), LogStream::MAX_FILTERS)?;
    Ok(filters)
}

fn format(given: Option<&str>) -> Result<ContentFormat, String> {
    let names = || ContentFormat::ALL.map(ContentFormat::name).join(", ");
    let parsed = given.map_or(Ok(ContentFormat::JsonLines), str::parse);
    parsed.map_err(|_| format!("format: expected one of {}", names()))
}

fn header((name, value): (&String, &Secret)) -> Result<(String, String), String> {
    HttpSink::check_header_name(name).map_err(|why| format!("headers: {name} {why}"))?;
    HttpSink::check_header_value(value.expose()).map_err(|why| format!("headers: {name} {why}"))?;
    Ok((name.clone(), value.expose().to_owned()))
}

fn at_most(what: &str, given: usize, most: usize) -> Result<(), String> {
    if given <= most { Ok(()) } else { Err(format!("there are {given} {what}, at most {most} can be")) }
}

/// A secret that may be in a file instead.
fn one_of(name: &str, text: Option<Secret>, path: Option<PathBuf>) -> Result<Option<String>, String> {
    let secret = match (text, path) {
        (Some(_), Some(_)) => return Err(format!("expected either {name} or {name}_file")),
        (None, Some(path)) => Some(Secret::from_file(&path).map_err(|why| format!("{name}_file {why}"))?),
        (text, None) => text,
    };
    Ok(secret.map(|secret| secret.expose().to_owned()))
}
