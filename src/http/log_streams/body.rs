//! What is sent to make or change a log stream.

use std::ops::RangeInclusive;

use serde_json::Value;

use crate::domain::{ContentFormat, EventFilter, HttpSink, LogStream, StreamStatus, Timestamp};
use crate::http::error::ApiError;
use crate::http::payload::{ANY, Object};

/// What stands for a secret in answers. Sent back, it means the one that is there.
pub(super) const MASK: &str = "********";
/// Sent as a signing secret, it asks for one to be made.
const GENERATE: &str = "generate";

const NAME: RangeInclusive<usize> = 1..=LogStream::MAX_NAME_CHARS;

/// A stream to make.
pub(super) struct NewStream {
    pub(super) name: String,
    pub(super) sink: HttpSink,
    /// The signing secret, if it was made here.
    pub(super) made_secret: Option<String>,
    pub(super) filters: Vec<EventFilter>,
    pub(super) start_from: Option<Timestamp>,
}

/// What is to be changed.
pub(super) struct StreamChange {
    pub(super) name: Option<String>,
    pub(super) status: Option<StreamStatus>,
    pub(super) sink: Option<SinkChange>,
    pub(super) filters: Option<Vec<EventFilter>>,
}

/// A sink that takes the place of another.
pub(super) struct SinkChange {
    pub(super) endpoint: String,
    pub(super) authorization: Change,
    content_type: String,
    format: ContentFormat,
    custom_headers: Vec<(String, String)>,
    batch_size: u32,
    secret: Change,
}

/// What is to become of a secret.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// What was there stays.
    Keep,
    /// There is none from now on.
    Remove,
    /// It is this one.
    Put(String),
    /// It is this one, which was made here.
    Made(String),
}

impl Change {
    fn onto(self, kept: Option<String>) -> Option<String> {
        match self {
            Self::Keep => kept,
            Self::Remove => None,
            Self::Put(secret) | Self::Made(secret) => Some(secret),
        }
    }

    fn made(&self) -> Option<&str> {
        match self {
            Self::Made(secret) => Some(secret),
            _ => None,
        }
    }
}

impl StreamChange {
    /// The signing secret, if it was made here.
    pub(super) fn made_secret(&self) -> Option<&str> {
        self.sink.as_ref()?.secret.made()
    }
}

impl SinkChange {
    /// The sink as it is then, with the secrets there were.
    pub(super) fn onto(self, authorization: Option<String>, secret: Option<String>) -> HttpSink {
        HttpSink {
            endpoint: self.endpoint,
            authorization: self.authorization.onto(authorization),
            content_type: self.content_type,
            format: self.format,
            custom_headers: self.custom_headers,
            batch_size: self.batch_size,
            secret: self.secret.onto(secret),
        }
    }
}

/// Reads a stream that is to be made.
pub(super) fn new_stream(mut body: Object, entropy: [u8; 32]) -> Result<NewStream, ApiError> {
    let name = body.text("name", NAME)?;
    let name = body.required(name, "name")?;
    let kind = body.one_of("type", &["http"])?;
    body.required(kind, "type")?;
    let sink = body.object("sink")?;
    let sink = self::sink(body.required(sink, "sink")?, entropy)?;
    let filters = filters(&mut body)?.unwrap_or_default();
    let start_from = start_from(&mut body)?;
    let made_secret = sink.secret.made().map(str::to_owned);
    close(body)?;
    Ok(NewStream { name, sink: sink.onto(None, None), made_secret, filters, start_from })
}

/// Reads what is to be changed.
pub(super) fn stream_change(mut body: Object, entropy: [u8; 32]) -> Result<StreamChange, ApiError> {
    let name = body.text("name", NAME)?;
    let status = body.one_of("status", &["active", "paused"])?;
    let status = status.map(|word| match word {
        "active" => StreamStatus::Active,
        _ => StreamStatus::Paused,
    });
    let sink = body.object("sink")?.map(|sink| self::sink(sink, entropy)).transpose()?;
    let filters = filters(&mut body)?;
    close(body)?;
    Ok(StreamChange { name, status, sink, filters })
}

/// `isPriority` changes nothing here. A `pii_config` does not either, but those who ask for one rely on it.
fn close(mut body: Object) -> Result<(), ApiError> {
    body.flag("isPriority")?;
    if !body.null("pii_config") && body.value("pii_config").is_some() {
        return Err(body.refuse("pii_config", "Not supported: events are sent as they are"));
    }
    body.close()
}

fn sink(mut sink: Object, entropy: [u8; 32]) -> Result<SinkChange, ApiError> {
    let endpoint = sink.text("httpEndpoint", 1..=HttpSink::MAX_ENDPOINT_CHARS)?;
    let endpoint = sink.required(endpoint, "httpEndpoint")?;
    let authorization = secret(&mut sink, "httpAuthorization", HttpSink::check_header_value)?;
    let content_type = sink.text("httpContentType", ANY)?;
    let content_type = content_type.unwrap_or_else(|| HttpSink::CONTENT_TYPE.to_owned());
    HttpSink::check_header_value(&content_type).map_err(|why| sink.refuse("httpContentType", why))?;
    let format = sink.parsed("httpContentFormat")?.unwrap_or(ContentFormat::JsonLines);
    let headers = sink.objects("httpCustomHeaders", 0..=HttpSink::MAX_HEADERS)?.unwrap_or_default();
    let custom_headers = headers.into_iter().map(header).collect::<Result<_, _>>()?;
    let batch_size = sink.whole("httpBatchSize", 1..=HttpSink::MAX_BATCH_SIZE.into())?;
    let batch_size = batch_size.and_then(|size| size.try_into().ok()).unwrap_or(HttpSink::BATCH_SIZE);
    let secret = match secret(&mut sink, "httpSigningSecret", |given| match given {
        GENERATE => Ok(()),
        given => HttpSink::check_secret(given),
    })? {
        Change::Put(word) if word == GENERATE => Change::Made(HttpSink::secret_from_entropy(entropy)),
        other => other,
    };
    sink.close()?;
    Ok(SinkChange { endpoint, authorization, content_type, format, custom_headers, batch_size, secret })
}

/// Reads a secret: null or nothing in it removes the one there is, and what answers show for it keeps it.
fn secret(
    sink: &mut Object,
    name: &str,
    check: impl FnOnce(&str) -> Result<(), &'static str>,
) -> Result<Change, ApiError> {
    if sink.null(name) {
        return Ok(Change::Remove);
    }
    match sink.text(name, ANY)? {
        None => Ok(Change::Keep),
        Some(text) if text == MASK => Ok(Change::Keep),
        Some(text) if text.is_empty() => Ok(Change::Remove),
        Some(text) => match check(&text) {
            Ok(()) => Ok(Change::Put(text)),
            Err(why) => Err(sink.refuse(name, why)),
        },
    }
}

fn header(mut header: Object) -> Result<(String, String), ApiError> {
    let name = header.text("header", ANY)?;
    let name = header.required(name, "header")?;
    let value = header.text("value", ANY)?;
    let value = header.required(value, "value")?;
    HttpSink::check_header_name(&name).map_err(|why| header.refuse("header", why))?;
    HttpSink::check_header_value(&value).map_err(|why| header.refuse("value", why))?;
    header.close()?;
    Ok((name, value))
}

fn filters(body: &mut Object) -> Result<Option<Vec<EventFilter>>, ApiError> {
    let filters = body.objects("filters", 0..=LogStream::MAX_FILTERS)?;
    filters.map(|filters| filters.into_iter().map(filter).collect()).transpose()
}

fn filter(mut filter: Object) -> Result<EventFilter, ApiError> {
    let kind = filter.one_of("type", &["category", "event"])?;
    let kind = filter.required(kind, "type")?;
    let name = filter.text("name", ANY)?;
    let name = filter.required(name, "name")?;
    let parse = if kind == "event" { EventFilter::event } else { EventFilter::category };
    let parsed = parse(&name).map_err(|rule| filter.refuse("name", rule))?;
    filter.close()?;
    Ok(parsed)
}

/// A time to come is as good as none: there are no later events than the next.
fn start_from(body: &mut Object) -> Result<Option<Timestamp>, ApiError> {
    let Some(text) = body.text("startFrom", ANY)? else {
        return Ok(None);
    };
    let parsed = serde_json::from_value(Value::String(text.clone()));
    let rule = || format!("Object didn't pass validation for format date-time: {text}");
    parsed.map(Some).map_err(|_| body.refuse("startFrom", rule()))
}
