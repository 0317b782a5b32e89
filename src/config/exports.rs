//! `[exports]`: files of users to take away.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::Deserialize;

use super::values::{Fault, duration, first_broken};

/// `[exports]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exports {
    /// How long a link to a file is good.
    #[serde(deserialize_with = "duration")]
    pub link_lifetime: Duration,
    /// How many exports may wait to be made, the one in hand counted in.
    pub max_pending: usize,
}

impl Exports {
    /// Shortest and longest time that a link can be good.
    pub const LIFETIMES: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(24);

    /// Fewest and most exports that may be allowed to wait.
    pub const PENDING: RangeInclusive<usize> = 1..=100_000;

    /// The first of the settings that makes no sense, and why.
    pub(super) fn fault(&self) -> Option<Fault> {
        let is_lifetime = Self::LIFETIMES.contains(&self.link_lifetime);
        first_broken([
            ("exports.link_lifetime", is_lifetime, "must be 1s to 1d"),
            ("exports.max_pending", Self::PENDING.contains(&self.max_pending), "must be 1 to 100000"),
        ])
    }
}
