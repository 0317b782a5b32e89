//! `[limits]`: what one client may take of the server's connections, time and memory.

use std::ops::RangeInclusive;
use std::time::Duration;

use humantime::format_duration;
use serde::Deserialize;

use super::values::{ByteSize, Fault, duration};

/// `[limits]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Connections at the same time.
    pub max_connections: usize,
    /// Uploads at the same time.
    pub max_uploads: usize,
    /// Longest path with query.
    pub max_uri_size: ByteSize,
    /// Most headers of a request.
    pub max_headers: usize,
    /// Largest first line and headers of a request, together.
    pub max_header_size: ByteSize,
    /// How long these may take.
    #[serde(deserialize_with = "duration")]
    pub header_timeout: Duration,
    /// How long nothing may come in the middle of a body.
    #[serde(deserialize_with = "duration")]
    pub max_pause: Duration,
    /// Bytes each second that have to move on average; 0 is any.
    pub min_rate: ByteSize,
    /// Time to wait that is not held against a client.
    #[serde(deserialize_with = "duration")]
    pub rate_grace: Duration,
    /// How long a body may take as a whole that is no upload.
    #[serde(deserialize_with = "duration")]
    pub body_timeout: Duration,
    /// Largest body of the API that is no upload.
    pub max_body_size: ByteSize,
    /// Most parts of an upload.
    pub max_parts: usize,
    /// Longest text part of an upload.
    pub max_field_size: ByteSize,
}

/// Times that something may take or pause.
const TIMES: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_hours(1);

impl Limits {
    /// Fewest and most connections and uploads.
    pub const PLACES: RangeInclusive<usize> = 1..=1_000_000;
    /// Fewest and most headers. Whatever is set, the parser takes no more.
    pub const HEADERS: RangeInclusive<usize> = 8..=96;
    /// Smallest and largest head of a request. The parser takes twice as much.
    pub const HEADER_SIZES: RangeInclusive<ByteSize> = ByteSize(1 << 10)..=ByteSize(64 << 10);
    /// Smallest and largest URI. The parser takes no longer ones.
    pub const URI_SIZES: RangeInclusive<ByteSize> = ByteSize(1 << 10)..=ByteSize(60 << 10);
    /// Smallest and largest body that is collected in memory.
    pub const BODY_SIZES: RangeInclusive<ByteSize> = ByteSize(4 << 10)..=ByteSize(1 << 20);
    /// Fewest and most parts.
    pub const PARTS: RangeInclusive<usize> = 5..=10_000;
    /// Shortest and longest text parts: letters quote them, and have to fit into the database's log.
    pub const FIELD_SIZES: RangeInclusive<ByteSize> = ByteSize(64)..=ByteSize(8 << 10);
    /// Slowest and fastest rate.
    pub const RATES: RangeInclusive<ByteSize> = ByteSize(0)..=ByteSize(1 << 20);

    /// The first of the settings that makes no sense, and why.
    pub(super) fn fault(&self) -> Option<Fault> {
        let number = |key, value, range| outside(key, value, range, usize::to_string);
        let size = |key, value, range| outside(key, value, range, ByteSize::to_string);
        let time = |key, value| outside(key, value, &TIMES, |time| format_duration(*time).to_string());
        let faults = [
            number("limits.max_connections", &self.max_connections, &Self::PLACES),
            number("limits.max_uploads", &self.max_uploads, &Self::PLACES),
            number("limits.max_headers", &self.max_headers, &Self::HEADERS),
            number("limits.max_parts", &self.max_parts, &Self::PARTS),
            size("limits.max_uri_size", &self.max_uri_size, &Self::URI_SIZES),
            size("limits.max_header_size", &self.max_header_size, &Self::HEADER_SIZES),
            size("limits.max_body_size", &self.max_body_size, &Self::BODY_SIZES),
            size("limits.max_field_size", &self.max_field_size, &Self::FIELD_SIZES),
            size("limits.min_rate", &self.min_rate, &Self::RATES),
            time("limits.header_timeout", &self.header_timeout),
            time("limits.max_pause", &self.max_pause),
            time("limits.rate_grace", &self.rate_grace),
            time("limits.body_timeout", &self.body_timeout),
        ];
        faults.into_iter().flatten().next()
    }
}

/// What is wrong with a setting that is not in its range.
pub(super) fn outside<T: PartialOrd>(
    key: &'static str,
    value: &T,
    range: &RangeInclusive<T>,
    show: impl Fn(&T) -> String,
) -> Option<Fault> {
    let rule = || format!("must be {} to {}", show(range.start()), show(range.end()));
    (!range.contains(value)).then(|| (key, rule()))
}
