//! Log streams: events of the tenant log, posted to somebody's server.

use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::{Event, EventType, StreamId, Timestamp};

/// Where events go, and which.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogStream {
    /// Id used in the API.
    pub id: StreamId,
    /// Name for people.
    pub name: String,
    /// The name in the settings that declared it, which stays when it gets another.
    #[serde(default)]
    pub declared_as: Option<String>,
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
    /// Longest name, in characters.
    pub const MAX_NAME_CHARS: usize = 255;
    /// Most filters.
    pub const MAX_FILTERS: usize = 50;

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

impl HttpSink {
    /// Longest URL, in characters.
    pub const MAX_ENDPOINT_CHARS: usize = 2048;
    /// Longest value of a header, in characters.
    pub const MAX_HEADER_CHARS: usize = 4096;
    /// Most further headers.
    pub const MAX_HEADERS: usize = 20;
    /// Most events in one request that can be asked for.
    pub const MAX_BATCH_SIZE: u32 = 1000;
    /// Most events in one request, unless another number is asked for.
    pub const BATCH_SIZE: u32 = 100;
    /// Content type, unless another is asked for.
    pub const CONTENT_TYPE: &'static str = "application/json";

    /// Checks the name of a further header: one that HTTP knows how to write, and that is not ours.
    pub fn check_header_name(name: &str) -> Result<(), &'static str> {
        const SETTINGS: [&str; 2] = ["authorization", "content-type"];
        const FRAMING: [&str; 9] = [
            "connection",
            "content-length",
            "expect",
            "host",
            "keep-alive",
            "te",
            "trailer",
            "transfer-encoding",
            "upgrade",
        ];
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        let lower = name.to_ascii_lowercase();
        if name.is_empty() || Self::MAX_HEADER_CHARS < name.len() || !name.bytes().all(is_token) {
            Err("is no name of a header")
        } else if SETTINGS.contains(&&*lower) {
            Err("is a header with a property of its own")
        } else if FRAMING.contains(&&*lower) || lower.starts_with("webhook-") {
            Err("is a header the server writes itself")
        } else {
            Ok(())
        }
    }

    /// Checks the value of a header: one line of visible ASCII.
    pub fn check_header_value(value: &str) -> Result<(), &'static str> {
        let is_visible = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
        if value.is_empty() || Self::MAX_HEADER_CHARS < value.len() {
            Err("has no value that a header can have: 1 to 4096 characters")
        } else if value.bytes().all(is_visible) && value.trim() == value {
            Ok(())
        } else {
            Err("has no value that a header can have: visible ASCII, no blanks at its ends")
        }
    }

    /// Checks the key of a signature: `whsec_` and 24 to 64 bytes in base64.
    pub fn check_secret(secret: &str) -> Result<(), &'static str> {
        let key = secret.strip_prefix("whsec_").and_then(|text| STANDARD.decode(text).ok());
        match key {
            Some(key) if (24..=64).contains(&key.len()) => Ok(()),
            _ => Err("is no signing secret: whsec_ and 24 to 64 bytes in base64"),
        }
    }

    /// A key made of random bytes.
    pub fn secret_from_entropy(entropy: [u8; 32]) -> String {
        format!("whsec_{}", STANDARD.encode(entropy))
    }
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

impl ContentFormat {
    /// Every format there is.
    pub const ALL: [Self; 3] = [Self::JsonLines, Self::JsonArray, Self::JsonObject];

    /// Its name in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::JsonLines => "JSONLINES",
            Self::JsonArray => "JSONARRAY",
            Self::JsonObject => "JSONOBJECT",
        }
    }
}

impl FromStr for ContentFormat {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|format| format.name() == text);
        found.ok_or_else(|| format!("No enum match for: {text}"))
    }
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
    /// Every category that a filter may name; nothing ever happens here in some of them.
    pub const CATEGORIES: &'static [&'static str] = &[
        "actions",
        "auth.ancillary.fail",
        "auth.ancillary.success",
        "auth.login.fail",
        "auth.login.notification",
        "auth.login.success",
        "auth.logout.fail",
        "auth.logout.success",
        "auth.signup.fail",
        "auth.signup.success",
        "auth.silent_auth.fail",
        "auth.silent_auth.success",
        "auth.token_exchange.fail",
        "auth.token_exchange.success",
        "management.fail",
        "management.success",
        "other",
        "scim.event",
        "system.notification",
        "user.fail",
        "user.notification",
        "user.success",
    ];

    /// A category by its name.
    pub fn category(name: &str) -> Result<Self, String> {
        let known = Self::CATEGORIES.contains(&name);
        if known { Ok(Self::Category(name.to_owned())) } else { Err(format!("No enum match for: {name}")) }
    }

    /// A type of events by its code.
    pub fn event(code: &str) -> Result<Self, String> {
        code.parse().map(Self::Event).map_err(|_| format!("No enum match for: {code}"))
    }

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

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may")]
mod tests {
    use super::*;

    fn stream(filters: Vec<EventFilter>) -> LogStream {
        LogStream {
            id: StreamId::from_entropy([7; 16]),
            name: "one".to_owned(),
            declared_as: None,
            status: StreamStatus::Active,
            sink: HttpSink {
                endpoint: "https://acme.test/".to_owned(),
                authorization: Some("hush".to_owned()),
                content_type: HttpSink::CONTENT_TYPE.to_owned(),
                format: ContentFormat::JsonLines,
                custom_headers: vec![("x-key".to_owned(), "hush".to_owned())],
                batch_size: 1,
                secret: Some("whsec_hush".to_owned()),
            },
            filters,
            created_at: Timestamp::default(),
        }
    }

    fn wanted(filters: Vec<EventFilter>) -> Vec<&'static str> {
        let stream = stream(filters);
        let event = |kind: EventType| Event::new(Timestamp::default(), kind, "");
        let kinds = EventType::ALL.iter().filter(|kind| stream.wants(&event(**kind)));
        kinds.map(|kind| kind.code()).collect()
    }

    #[test]
    fn filters_add_up_and_none_lets_everything_pass() {
        assert_eq!(wanted(Vec::new()).len(), EventType::ALL.len());
        let import = ["sui", "fui"].map(|code| EventFilter::event(code).unwrap());
        assert_eq!(wanted(import.to_vec()), ["sui", "fui"]);
        let category = EventFilter::category("management.fail").unwrap();
        assert_eq!(wanted(vec![category.clone()]), ["fapi"]);
        assert_eq!(wanted(vec![category, EventFilter::event("sui").unwrap()]), ["fapi", "sui"]);
        assert_eq!(wanted(vec![EventFilter::category("scim.event").unwrap()]), [""; 0]);
        assert!(EventFilter::category("management").is_err() && EventFilter::event("suis").is_err());
    }

    #[test]
    fn every_event_is_in_a_category_that_can_be_asked_for() {
        for kind in EventType::ALL {
            assert!(EventFilter::CATEGORIES.contains(&kind.category()), "{kind}");
        }
    }

    #[test]
    fn a_header_is_one_that_is_not_ours() {
        for name in ["x-key", "X_Key!", "user-agent", "dd-api-key"] {
            assert_eq!(HttpSink::check_header_name(name), Ok(()), "{name}");
        }
        for name in ["", "x key", "x:", "é", "Authorization", "content-type", "HOST", "webhook-id", "te"] {
            assert!(HttpSink::check_header_name(name).is_err(), "{name}");
        }
        for value in ["a", "Bearer a b"] {
            assert_eq!(HttpSink::check_header_value(value), Ok(()), "{value}");
        }
        let long = "x".repeat(HttpSink::MAX_HEADER_CHARS);
        assert_eq!(HttpSink::check_header_value(&long), Ok(()));
        for value in ["", " a", "a\r\nb: c", "é", "\t", &(long + "x")] {
            assert!(HttpSink::check_header_value(value).is_err(), "{value}");
        }
    }

    #[test]
    fn a_secret_has_24_to_64_bytes() {
        let secret = |bytes: usize| format!("whsec_{}", STANDARD.encode(vec![7; bytes]));
        let is_good = |secret: &str| HttpSink::check_secret(secret).is_ok();
        assert_eq!([23, 24, 64, 65].map(|bytes| is_good(&secret(bytes))), [false, true, true, false]);
        assert!(is_good(&HttpSink::secret_from_entropy([9; 32])));
        assert!(!is_good(&secret(24)[6..]) && !is_good("whsec_?") && !is_good(""));
    }

    #[test]
    fn what_opens_doors_is_in_no_debug_output() {
        assert!(!format!("{:?}", stream(Vec::new())).contains("hush"));
    }

    #[test]
    fn a_stream_is_written_with_the_words_of_the_api() {
        let one =
            stream(vec![EventFilter::event("sui").unwrap(), EventFilter::category("user.fail").unwrap()]);
        let value = serde_json::to_value(&one).unwrap();
        assert_eq!((&value["status"], &value["sink"]["format"]), (&"active".into(), &"JSONLINES".into()));
        assert_eq!(value["filters"][0], serde_json::json!({ "type": "event", "name": "sui" }));
        assert_eq!(serde_json::from_value::<LogStream>(value).unwrap(), one);
    }
}
