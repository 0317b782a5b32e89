//! A log stream as clients see it.

use serde::Serialize;
use utoipa::ToSchema;

use super::super::openapi::sent::Filter;
use super::super::openapi::told::{text_or_null, time_or_null};
use super::body::MASK;
use crate::domain::{EventFilter, HttpSink, LogStream, StreamId, StreamProgress, StreamStatus, Timestamp};
use crate::notify::streams::waiting;
use crate::store::{Result, Store};

/// A stream and how far it is.
pub(super) struct Known {
    pub(super) stream: LogStream,
    progress: StreamProgress,
    waiting: u64,
}

impl Known {
    /// A stream, with what else is known of it.
    pub(super) fn of(store: &Store, stream: LogStream) -> Result<Self> {
        let progress = store.stream_progress(&stream.id)?.unwrap_or_default();
        let waiting = waiting(store, &stream, &progress)?;
        Ok(Self { stream, progress, waiting })
    }
}

/// A log stream.
#[derive(Serialize, ToSchema)]
#[schema(as = LogStream)]
pub(super) struct StreamView<'a> {
    #[schema(value_type = String)]
    id: &'a StreamId,
    name: &'a str,
    r#type: &'static str,
    #[schema(value_type = String)]
    status: StreamStatus,
    sink: SinkView<'a>,
    #[schema(value_type = Vec<Filter>)]
    filters: &'a [EventFilter],
    #[serde(rename = "isPriority")]
    is_priority: bool,
    delivery: DeliveryView<'a>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the names the API gives them")]
struct SinkView<'a> {
    http_endpoint: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    http_authorization: Option<&'a str>,
    http_content_type: &'a str,
    http_content_format: &'static str,
    http_custom_headers: Vec<HeaderView<'a>>,
    http_batch_size: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    http_signing_secret: Option<&'a str>,
}

#[derive(Serialize, ToSchema)]
struct HeaderView<'a> {
    header: &'a str,
    value: &'a str,
}

#[derive(Serialize, ToSchema)]
struct DeliveryView<'a> {
    waiting: u64,
    delivered: u64,
    lost: u64,
    attempts: u32,
    #[schema(schema_with = time_or_null)]
    failing_since: Option<Timestamp>,
    #[schema(schema_with = text_or_null)]
    last_error: Option<&'a str>,
    #[schema(schema_with = time_or_null)]
    last_delivery_at: Option<Timestamp>,
}

impl<'a> From<&'a Known> for StreamView<'a> {
    fn from(known: &'a Known) -> Self {
        let Known { stream, progress, waiting } = known;
        Self {
            id: &stream.id,
            name: &stream.name,
            r#type: "http",
            status: stream.status,
            sink: SinkView::of(&stream.sink),
            filters: &stream.filters,
            is_priority: false,
            delivery: DeliveryView {
                waiting: *waiting,
                delivered: progress.delivered,
                lost: progress.lost,
                attempts: progress.attempts,
                failing_since: progress.failing_since,
                last_error: progress.last_error.as_deref(),
                last_delivery_at: progress.last_delivery_at,
            },
        }
    }
}

impl<'a> StreamView<'a> {
    /// The same with a signing secret that nobody has seen yet.
    pub(super) fn with_secret(mut self, made: Option<&'a str>) -> Self {
        self.sink.http_signing_secret = made.or(self.sink.http_signing_secret);
        self
    }
}

impl<'a> SinkView<'a> {
    fn of(sink: &'a HttpSink) -> Self {
        let headers = sink.custom_headers.iter().map(|(header, value)| HeaderView { header, value });
        Self {
            http_endpoint: &sink.endpoint,
            http_authorization: sink.authorization.as_ref().map(|_| MASK),
            http_content_type: &sink.content_type,
            http_content_format: sink.format.name(),
            http_custom_headers: headers.collect(),
            http_batch_size: sink.batch_size,
            http_signing_secret: sink.secret.as_ref().map(|_| MASK),
        }
    }
}
