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
}

impl Exports {
    /// Shortest and longest time that a link can be good.
    pub const LIFETIMES: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(24);

    /// The first of the settings that makes no sense, and why.
    pub(super) fn fault(&self) -> Option<Fault> {
        let is_lifetime = Self::LIFETIMES.contains(&self.link_lifetime);
        first_broken([("exports.link_lifetime", is_lifetime, "must be 1s to 1d")])
    }
}
