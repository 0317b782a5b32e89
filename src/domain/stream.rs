//! Log streams: events of the tenant log, posted to somebody's server.

use serde::{Deserialize, Serialize};

use super::{Event, EventType, StreamId, Timestamp};

/// Where events go, and which.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogStream {
    /// Id used in the API.
    pub id: StreamId,
    /// Name for people.
    pub name: String,
    /// Whether events are sent.
    pub status: StreamStatus,
    /// How they are sent.
    pub sink: HttpSink,
    /// Which ones; all if there is none.
    pub filters: Vec<EventFilter>,
    /// When it was made.
    pub created_at: Timestamp,
}

impl LogStream {
    /// Whether an event is for this stream.
    pub fn wants(&self, event: &Event) -> bool {
        self.filters.is_empty() || self.filters.iter().any(|filter| filter.lets_pass(event.r#type))
    }
}

/// Whether a stream's events are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StreamStatus {
    /// They are.
    Active,
    /// Somebody has stopped it.
    Paused,
    /// It failed for too long.
    Suspended,
}

/// A server that takes events.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpSink {
    /// Its URL.
    pub endpoint: String,
    /// Value of the `Authorization` header.
    pub authorization: Option<String>,
    /// Value of the `Content-Type` header.
    pub content_type: String,
    /// How events are written.
    pub format: ContentFormat,
    /// Further headers.
    pub custom_headers: Vec<(String, String)>,
    /// Most events in one request.
    pub batch_size: u32,
    /// Key of the signature, if requests are signed: `whsec_` and base64.
    pub secret: Option<String>,
}

impl std::fmt::Debug for HttpSink {
    /// Without what opens doors.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpSink").field("format", &self.format).finish_non_exhaustive()
    }
}

/// How the events of a request are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ContentFormat {
    /// One per line.
    JsonLines,
    /// An array.
    JsonArray,
    /// One per request.
    JsonObject,
}

/// Events that are for a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "type", content = "name")]
pub enum EventFilter {
    /// Those of a category.
    Category(String),
    /// Those of one type.
    Event(EventType),
}

impl EventFilter {
    fn lets_pass(&self, kind: EventType) -> bool {
        match self {
            Self::Category(name) => kind.category() == name,
            Self::Event(wanted) => kind == *wanted,
        }
    }
}

/// How far a stream is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamProgress {
    /// Number of the next event to look at.
    pub next: u64,
    /// Events the receiver has taken.
    pub delivered: u64,
    /// Events that were removed by age before they could be sent.
    pub lost: u64,
    /// Failed tries since the last that worked.
    pub attempts: u32,
    /// Since when it fails.
    pub failing_since: Option<Timestamp>,
    /// Why the last try failed.
    pub last_error: Option<String>,
    /// When the receiver took something last.
    pub last_delivery_at: Option<Timestamp>,
}
