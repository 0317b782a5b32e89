//! `[webhooks]`: how the events of log streams are sent.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::Deserialize;

use super::values::{Fault, duration, first_broken, whole};

/// `[webhooks]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhooks {
    /// Whether events may go to private, loopback and link-local addresses, and by plain `http`.
    pub allow_private_targets: bool,
    /// How long a receiver may take.
    #[serde(deserialize_with = "duration")]
    pub timeout: Duration,
    /// Pause after the first try that failed.
    #[serde(deserialize_with = "duration")]
    pub retry_first: Duration,
    /// Longest pause between two tries.
    #[serde(deserialize_with = "duration")]
    pub retry_longest: Duration,
    /// How long a stream may fail until it is suspended.
    #[serde(deserialize_with = "duration")]
    pub suspend_after: Duration,
    /// How many streams there may be.
    #[serde(deserialize_with = "whole")]
    pub max_streams: usize,
}

impl Webhooks {
    /// How long a receiver may take.
    const TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_mins(5);
    /// First pause.
    const RETRY_FIRST: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_hours(1);
    /// Longest pause that can be set; the shortest is the first.
    const RETRY_LONGEST: Duration = Duration::from_hours(24);
    /// How long a stream may fail.
    const SUSPEND_AFTER: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(365 * 24);
    /// Most streams that can be allowed; each has a thread.
    pub const MAX_STREAMS: usize = 100;

    /// The first of the settings that makes no sense, and why.
    pub(super) fn fault(&self) -> Option<Fault> {
        first_broken([
            ("webhooks.timeout", Self::TIMEOUT.contains(&self.timeout), "must be 100ms to 5m"),
            ("webhooks.retry_first", Self::RETRY_FIRST.contains(&self.retry_first), "must be 10ms to 1h"),
            (
                "webhooks.retry_longest",
                (self.retry_first..=Self::RETRY_LONGEST).contains(&self.retry_longest),
                "must be retry_first to 1d",
            ),
            (
                "webhooks.suspend_after",
                Self::SUSPEND_AFTER.contains(&self.suspend_after),
                "must be 1s to 365d",
            ),
            ("webhooks.max_streams", self.max_streams <= Self::MAX_STREAMS, "must be 0 to 100"),
        ])
    }
}
