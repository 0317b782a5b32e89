//! `[storage]`: where everything is kept, and what the database may take for it.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use humantime::format_duration;
use serde::Deserialize;

use super::limits::outside;
use super::values::{ByteSize, Fault, duration, text};

/// `[storage]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Storage {
    /// The data directory.
    #[serde(deserialize_with = "text")]
    pub path: PathBuf,
    /// Memory for the database's cache.
    pub cache: ByteSize,
    /// Disk space uploads may not use up.
    pub min_free_disk: ByteSize,
    /// Disk space taken ahead of the database's log.
    pub reserve: ByteSize,
    /// How long opening may take.
    #[serde(deserialize_with = "duration")]
    pub open_timeout: Duration,
}

impl Storage {
    /// Smallest and largest cache. The database panics with next to none.
    pub const CACHES: RangeInclusive<ByteSize> = ByteSize(1 << 20)..=ByteSize(1 << 40);
    /// Least that is taken ahead of the log, which is what one commit may need, and most.
    pub const RESERVES: RangeInclusive<ByteSize> = ByteSize(16 << 20)..=ByteSize(1 << 40);
    /// Shortest and longest time for opening: a database that needs longer is called damaged.
    pub const OPEN_TIMEOUTS: RangeInclusive<Duration> =
        Duration::from_secs(10)..=Duration::from_hours(7 * 24);

    /// The first of the settings that makes no sense, and why.
    pub(super) fn fault(&self) -> Option<Fault> {
        if self.path.as_os_str().is_empty() {
            return Some(("storage.path", "may not be empty".to_owned()));
        }
        let time = |time: &Duration| format_duration(*time).to_string();
        outside("storage.cache", &self.cache, &Self::CACHES, ByteSize::to_string)
            .or_else(|| outside("storage.reserve", &self.reserve, &Self::RESERVES, ByteSize::to_string))
            .or_else(|| outside("storage.open_timeout", &self.open_timeout, &Self::OPEN_TIMEOUTS, time))
    }
}
