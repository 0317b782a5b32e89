//! `[login]`: sign-in and passwords.

use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde::Deserialize;

use super::values::{Fault, duration, first_broken, whole};
use crate::domain::ConnectionName;

/// `[login]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// Connection of users who sign in without naming one; empty: the only one there is.
    pub default_connection: String,
    /// Whether an imported user is told that a password has to be set first.
    pub explain_password_change: bool,
    /// Failures of one user from one address until that is blocked.
    #[serde(deserialize_with = "whole")]
    pub max_failures: NonZeroUsize,
    /// Failures from one address until that is blocked.
    #[serde(deserialize_with = "whole")]
    pub max_address_failures: NonZeroUsize,
    /// How long a block lasts.
    #[serde(deserialize_with = "duration")]
    pub block_for: Duration,
    /// Pause between two reset mails that nobody asked for.
    #[serde(deserialize_with = "duration")]
    pub reset_mail_pause: Duration,
    /// How long the link in a reset mail is good.
    #[serde(deserialize_with = "duration")]
    pub reset_link_lifetime: Duration,
    /// How long the link in a mail is good that asks to verify an address.
    #[serde(deserialize_with = "duration")]
    pub verification_link_lifetime: Duration,
}

impl Login {
    /// Most failures that can be set to lead to a block.
    pub const MAX_FAILURES: usize = 10_000;
    /// Longest block, and longest pause between two letters.
    pub const MAX_PAUSE: Duration = Duration::from_hours(30 * 24);
    /// How long links may be good.
    pub const LINK_LIFETIMES: RangeInclusive<Duration> =
        Duration::from_mins(1)..=Duration::from_hours(30 * 24);

    /// The first of the settings that makes no sense, and why.
    pub(super) fn fault(&self) -> Option<Fault> {
        let name = &self.default_connection;
        let name_fault = name.parse::<ConnectionName>().err().filter(|_| !name.is_empty());
        let failures = 1..=Self::MAX_FAILURES;
        let blocks = Duration::from_secs(1)..=Self::MAX_PAUSE;
        let broken = first_broken([
            ("login.max_failures", failures.contains(&self.max_failures.get()), "must be 1 to 10000"),
            (
                "login.max_address_failures",
                failures.contains(&self.max_address_failures.get()),
                "must be 1 to 10000",
            ),
            ("login.block_for", blocks.contains(&self.block_for), "must be 1s to 30d"),
            ("login.reset_mail_pause", self.reset_mail_pause <= Self::MAX_PAUSE, "must be 0s to 30d"),
            (
                "login.reset_link_lifetime",
                Self::LINK_LIFETIMES.contains(&self.reset_link_lifetime),
                "must be 1m to 30d",
            ),
            (
                "login.verification_link_lifetime",
                Self::LINK_LIFETIMES.contains(&self.verification_link_lifetime),
                "must be 1m to 30d",
            ),
        ]);
        name_fault.map(|fault| ("login.default_connection", fault.to_string())).or(broken)
    }
}
