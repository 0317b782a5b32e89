//! `[retention]`: how long things are kept.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::Deserialize;

use super::values::{Fault, duration, first_broken};

/// `[retention]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// Jobs and their failed rows, after their end.
    #[serde(deserialize_with = "duration")]
    pub jobs: Duration,
    /// Events of the tenant log.
    #[serde(deserialize_with = "duration")]
    pub logs: Duration,
    /// Events that a log stream still has to send.
    #[serde(deserialize_with = "duration")]
    pub unsent_logs: Duration,
    /// Letters that were given up.
    #[serde(deserialize_with = "duration")]
    pub letters: Duration,
    /// Exports with their files, and other jobs that took no file, after their end.
    #[serde(deserialize_with = "duration")]
    pub exports: Duration,
    /// How often it is looked what is old.
    #[serde(deserialize_with = "duration")]
    pub check_every: Duration,
    /// How long a clock that has jumped ahead has to stay there until things are old by it.
    #[serde(deserialize_with = "duration")]
    pub clock_patience: Duration,
}

impl Retention {
    /// Shortest and longest time that something can be kept: a century outlives the server.
    pub const AGES: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(36_500 * 24);
    /// How often, and how rarely, it can be looked what is old.
    pub const CHECKS: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_hours(24);
    /// Longest time that a clock can be doubted.
    pub const MAX_CLOCK_PATIENCE: Duration = Duration::from_hours(30 * 24);

    /// The first of the settings that makes no sense, and why.
    pub(super) fn fault(&self) -> Option<Fault> {
        let is_age = |age: Duration| Self::AGES.contains(&age);
        first_broken([
            ("retention.jobs", is_age(self.jobs), "must be 1s to 36500d"),
            ("retention.logs", is_age(self.logs), "must be 1s to 36500d"),
            ("retention.unsent_logs", is_age(self.unsent_logs), "must be 1s to 36500d"),
            ("retention.letters", is_age(self.letters), "must be 1s to 36500d"),
            ("retention.exports", is_age(self.exports), "must be 1s to 36500d"),
            ("retention.check_every", Self::CHECKS.contains(&self.check_every), "must be 100ms to 1d"),
            (
                "retention.clock_patience",
                self.clock_patience <= Self::MAX_CLOCK_PATIENCE,
                "must be at most 30d",
            ),
            (
                "retention.unsent_logs",
                self.logs <= self.unsent_logs,
                "may not be shorter than retention.logs",
            ),
        ])
    }
}
