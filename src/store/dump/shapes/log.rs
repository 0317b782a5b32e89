//! What is told: events of the tenant log, letters, and the streams that post events.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Fault, Line, read};
use crate::domain::{
    Event, EventFilter, Fate, HttpSink, Letter, LogId, LogStream, Logged, Origin, Posted, StreamProgress,
    StreamStatus, Timestamp,
};

/// An event of the tenant log.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct EventLine {
    log_id: String,
    date: Timestamp,
    r#type: String,
    description: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    connection: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    connection_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ip: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user_agent: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    client_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    client_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hostname: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    strategy: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    audience: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    details: Map<String, Value>,
}

impl Line for EventLine {
    const KIND: &'static str = "event";
}

impl From<Logged> for EventLine {
    fn from(logged: Logged) -> Self {
        let Logged { log_id, event, .. } = logged;
        let Origin { ip, user_agent, client_id, client_name, hostname } = event.origin;
        Self {
            log_id,
            date: event.date,
            r#type: event.r#type.to_string(),
            description: event.description,
            connection: event.connection,
            connection_id: event.connection_id,
            ip,
            user_agent,
            client_id,
            client_name,
            hostname,
            user_id: event.user_id,
            user_name: event.user_name,
            strategy: event.strategy,
            audience: event.audience,
            scope: event.scope,
            details: event.details,
        }
    }
}

impl EventLine {
    /// The event, and its number.
    pub(in super::super) fn into_logged(self) -> Result<(u64, Logged), Fault> {
        let LogId { number, .. } = read("log_id", &self.log_id)?;
        let Self { ip, user_agent, client_id, client_name, hostname, .. } = self;
        let event = Event {
            date: self.date,
            r#type: read("type", &self.r#type)?,
            description: self.description,
            connection: self.connection,
            connection_id: self.connection_id,
            origin: Origin { ip, user_agent, client_id, client_name, hostname },
            user_id: self.user_id,
            user_name: self.user_name,
            strategy: self.strategy,
            audience: self.audience,
            scope: self.scope,
            details: self.details,
        };
        Ok((number, Logged { id: self.log_id.clone(), log_id: self.log_id, event }))
    }
}

/// A letter that is not sent.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct LetterLine {
    number: u64,
    to: String,
    subject: String,
    text: String,
    html: String,
    message_id: String,
    written_at: Timestamp,
    attempts: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_answer: Option<String>,
    /// When it is tried next; or `given_up_at`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    due_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    given_up_at: Option<Timestamp>,
}

impl Line for LetterLine {
    const KIND: &'static str = "letter";
}

impl From<Posted> for LetterLine {
    fn from(posted: Posted) -> Self {
        let Posted { number, letter, attempts, last_answer, fate } = posted;
        let Letter { to, subject, text, html, message_id, written_at } = letter;
        let (due_at, given_up_at) = match fate {
            Fate::Due(at) => (Some(at), None),
            Fate::GivenUp(at) => (None, Some(at)),
        };
        Self {
            number,
            to,
            subject,
            text,
            html,
            message_id,
            written_at,
            attempts,
            last_answer,
            due_at,
            given_up_at,
        }
    }
}

impl TryFrom<LetterLine> for Posted {
    type Error = Fault;
    fn try_from(line: LetterLine) -> Result<Self, Fault> {
        let fate = match (line.due_at, line.given_up_at) {
            (Some(at), None) => Fate::Due(at),
            (None, Some(at)) => Fate::GivenUp(at),
            _ => return Err("expected either due_at or given_up_at".to_owned()),
        };
        let LetterLine { number, to, subject, text, html, message_id, written_at, .. } = line;
        let letter = Letter { to, subject, text, html, message_id, written_at };
        Ok(Self { number, letter, attempts: line.attempts, last_answer: line.last_answer, fate })
    }
}

/// A log stream, and how far it is.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct StreamLine {
    id: String,
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    declared_as: Option<String>,
    status: StatusShape,
    endpoint: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    authorization: Option<String>,
    content_type: String,
    content_format: String,
    custom_headers: Vec<(String, String)>,
    batch_size: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    filters: Vec<FilterShape>,
    created_at: Timestamp,
    /// Number of the next event to look at.
    next_event: u64,
    delivered: u64,
    lost: u64,
    attempts: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failing_since: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_error: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_delivery_at: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StatusShape {
    Active,
    Paused,
    Suspended,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum FilterShape {
    Category(String),
    Event(String),
}

impl Line for StreamLine {
    const KIND: &'static str = "log_stream";
}

impl StreamLine {
    pub(in super::super) fn of(stream: LogStream, progress: StreamProgress) -> Self {
        let HttpSink { endpoint, authorization, content_type, format, custom_headers, batch_size, secret } =
            stream.sink;
        let StreamProgress { next, delivered, lost, attempts, failing_since, last_error, last_delivery_at } =
            progress;
        let filter = |filter| match filter {
            EventFilter::Category(name) => FilterShape::Category(name),
            EventFilter::Event(kind) => FilterShape::Event(kind.to_string()),
        };
        Self {
            id: stream.id.to_string(),
            name: stream.name,
            declared_as: stream.declared_as,
            status: match stream.status {
                StreamStatus::Active => StatusShape::Active,
                StreamStatus::Paused => StatusShape::Paused,
                StreamStatus::Suspended => StatusShape::Suspended,
            },
            endpoint,
            authorization,
            content_type,
            content_format: format.name().to_owned(),
            custom_headers,
            batch_size,
            secret,
            filters: stream.filters.into_iter().map(filter).collect(),
            created_at: stream.created_at,
            next_event: next,
            delivered,
            lost,
            attempts,
            failing_since,
            last_error,
            last_delivery_at,
        }
    }

    pub(in super::super) fn into_stream(self) -> Result<(LogStream, StreamProgress), Fault> {
        let filter = |filter| {
            Ok(match filter {
                FilterShape::Category(name) => EventFilter::Category(name),
                FilterShape::Event(code) => EventFilter::Event(read("event", &code)?),
            })
        };
        let stream = LogStream {
            id: read("id", &self.id)?,
            name: self.name,
            declared_as: self.declared_as,
            status: match self.status {
                StatusShape::Active => StreamStatus::Active,
                StatusShape::Paused => StreamStatus::Paused,
                StatusShape::Suspended => StreamStatus::Suspended,
            },
            sink: HttpSink {
                endpoint: self.endpoint,
                authorization: self.authorization,
                content_type: self.content_type,
                format: read("content_format", &self.content_format)?,
                custom_headers: self.custom_headers,
                batch_size: self.batch_size,
                secret: self.secret,
            },
            filters: self.filters.into_iter().map(filter).collect::<Result<_, Fault>>()?,
            created_at: self.created_at,
        };
        let progress = StreamProgress {
            next: self.next_event,
            delivered: self.delivered,
            lost: self.lost,
            attempts: self.attempts,
            failing_since: self.failing_since,
            last_error: self.last_error,
            last_delivery_at: self.last_delivery_at,
        };
        Ok((stream, progress))
    }
}
