//! `[search]`: what searches for users may take.

use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde::Deserialize;

use super::values::{Fault, duration, first_broken, whole};

/// `[search]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Search {
    /// How long a search may take, waiting included.
    #[serde(deserialize_with = "duration")]
    pub timeout: Duration,
    /// Searches that look at everybody at the same time.
    #[serde(deserialize_with = "whole")]
    pub max_concurrent: NonZeroUsize,
}

impl Search {
    /// How long a search may be allowed to take.
    pub const TIMEOUTS: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_mins(10);
    /// Most searches that can be allowed at the same time; each has a thread.
    pub const MAX_CONCURRENT: usize = 64;

    /// The first of the settings that makes no sense, and why.
    pub(super) fn fault(&self) -> Option<Fault> {
        let concurrent = 1..=Self::MAX_CONCURRENT;
        first_broken([
            ("search.timeout", Self::TIMEOUTS.contains(&self.timeout), "must be 1ms to 10m"),
            ("search.max_concurrent", concurrent.contains(&self.max_concurrent.get()), "must be 1 to 64"),
        ])
    }
}
