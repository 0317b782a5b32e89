//! `[limits]`: what one client may take of the server's connections, time and memory.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::Deserialize;

use super::values::{ByteSize, Fault, duration, first_broken};

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
    /// Shortest and longest text parts.
    pub const FIELD_SIZES: RangeInclusive<ByteSize> = ByteSize(64)..=ByteSize(64 << 10);
    /// Slowest and fastest rate.
    pub const RATES: RangeInclusive<ByteSize> = ByteSize(0)..=ByteSize(1 << 20);

    /// The first of the settings that makes no sense, and why.
    pub(super) fn fault(&self) -> Option<Fault> {
        let numbers = first_broken([
            ("limits.max_connections", Self::PLACES.contains(&self.max_connections), "must be 1 to 1000000"),
            ("limits.max_uploads", Self::PLACES.contains(&self.max_uploads), "must be 1 to 1000000"),
            ("limits.max_headers", Self::HEADERS.contains(&self.max_headers), "must be 8 to 96"),
            ("limits.max_parts", Self::PARTS.contains(&self.max_parts), "must be 5 to 10000"),
        ]);
        let sizes = || {
            first_broken([
                ("limits.max_uri_size", Self::URI_SIZES.contains(&self.max_uri_size), "must be 1KB to 60KB"),
                (
                    "limits.max_header_size",
                    Self::HEADER_SIZES.contains(&self.max_header_size),
                    "must be 1KB to 64KB",
                ),
                (
                    "limits.max_body_size",
                    Self::BODY_SIZES.contains(&self.max_body_size),
                    "must be 4KB to 1MB",
                ),
                (
                    "limits.max_field_size",
                    Self::FIELD_SIZES.contains(&self.max_field_size),
                    "must be 64 bytes to 64KB",
                ),
                ("limits.min_rate", Self::RATES.contains(&self.min_rate), "must be 0 to 1MB"),
            ])
        };
        let times = || {
            first_broken([
                ("limits.header_timeout", TIMES.contains(&self.header_timeout), "must be 100ms to 1h"),
                ("limits.max_pause", TIMES.contains(&self.max_pause), "must be 100ms to 1h"),
                ("limits.rate_grace", TIMES.contains(&self.rate_grace), "must be 100ms to 1h"),
                ("limits.body_timeout", TIMES.contains(&self.body_timeout), "must be 100ms to 1h"),
            ])
        };
        numbers.or_else(sizes).or_else(times)
    }
}
