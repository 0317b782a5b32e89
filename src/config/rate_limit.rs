//! `[rate_limit]`: how many requests one client may make.

use serde::Deserialize;

use super::values::{Fault, first_broken, whole};

/// `[rate_limit]`
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// Requests each second in the long run; 0 is no limit.
    #[serde(deserialize_with = "whole")]
    pub requests_per_second: usize,
    /// Requests at once.
    #[serde(deserialize_with = "whole")]
    pub burst: usize,
}

impl RateLimit {
    /// The highest that either can be.
    pub const MOST: usize = 1_000_000;

    /// The first of the settings that makes no sense, and why.
    pub(super) fn fault(&self) -> Option<Fault> {
        first_broken([
            (
                "rate_limit.requests_per_second",
                self.requests_per_second <= Self::MOST,
                "must be 1 to 1000000, or 0 for no limit",
            ),
            ("rate_limit.burst", (1..=Self::MOST).contains(&self.burst), "must be 1 to 1000000"),
        ])
    }
}
