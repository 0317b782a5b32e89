//! The time by which things are old: that of the system's clock, unless it has just jumped ahead.
//!
//! A clock that is wrong for a moment must not cost what was to be kept for months. So a clock that is further
//! ahead than time has passed is believed only once it has been so for a while; until then time goes on from
//! where it was. One that is set back is believed at once: by it less is old. While nobody ran, time has passed as
//! well; but how much of it only that clock can say, so it has to be patient after a start, too.

use std::time::Duration;

use crate::domain::Timestamp;

/// So far ahead a clock may be without being doubted.
const LEEWAY: Duration = Duration::from_mins(1);

#[derive(Debug)]
pub(super) struct SteadyClock {
    at: Timestamp,
    /// For how long the clock was ahead, if it is doubted.
    ahead_for: Option<Duration>,
    patience: Duration,
}

impl SteadyClock {
    /// A clock that goes on from what was `known` of the time at last, and is believed again after `patience`.
    pub(super) fn new(known: Timestamp, patience: Duration) -> Self {
        Self { at: known, ahead_for: None, patience }
    }

    /// The time to go by when the clock says `now`, and this much has `passed` since it was asked last.
    pub(super) fn read(&mut self, now: Timestamp, passed: Duration) -> Timestamp {
        let expected = self.at.after(passed);
        let ahead_for = self.ahead_for.map_or(Duration::ZERO, |before| before + passed);
        let is_ahead = expected.after(LEEWAY) < now;
        if is_ahead && ahead_for < self.patience {
            if self.ahead_for.is_none() {
                let ahead = humantime::format_duration(Duration::from_secs(now.since(expected).as_secs()));
                let patience = humantime::format_duration(self.patience);
                tracing::warn!(
                    "the clock is {ahead} ahead of the time that was known last: nothing is removed by age for it \
                     before {patience} have passed (retention.clock_patience)"
                );
            }
            self.ahead_for = Some(ahead_for);
            self.at = expected;
        } else {
            self.ahead_for = None;
            self.at = now;
        }
        self.at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);
    const YEAR: Duration = Duration::from_hours(365 * 24);
    const MINUTE: Duration = Duration::from_mins(1);

    fn at(minutes: u64) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000).after(MINUTE * u32::try_from(minutes).unwrap_or_default())
    }

    #[test]
    fn a_clock_that_jumps_ahead_is_believed_once_it_has_stayed_there() {
        let mut clock = SteadyClock::new(at(0), HOUR);
        assert_eq!(clock.read(at(1), MINUTE), at(1));
        for minute in 2..62 {
            assert_eq!(clock.read(at(minute).after(YEAR), MINUTE), at(minute), "minute {minute}");
        }
        assert_eq!(clock.read(at(62).after(YEAR), MINUTE), at(62).after(YEAR));
        assert_eq!(clock.read(at(63).after(YEAR), MINUTE), at(63).after(YEAR));
    }

    #[test]
    fn a_clock_that_was_ahead_for_a_moment_leaves_no_trace() {
        let mut clock = SteadyClock::new(at(0), HOUR);
        for minute in 1..200 {
            let ahead = if minute % 30 == 0 { Duration::ZERO } else { YEAR };
            assert_eq!(clock.read(at(minute).after(ahead), MINUTE), at(minute));
        }
    }

    #[test]
    fn a_clock_that_is_set_back_is_believed_at_once() {
        let mut clock = SteadyClock::new(at(100), HOUR);
        assert_eq!(clock.read(at(7), MINUTE), at(7));
        assert_eq!(clock.read(at(8), MINUTE), at(8));
        assert_eq!(clock.read(at(101), MINUTE), at(9), "and ahead again it is doubted");
    }

    #[test]
    fn a_clock_may_be_a_little_ahead_and_without_patience_far() {
        let mut clock = SteadyClock::new(at(0), HOUR);
        assert_eq!(clock.read(at(2), MINUTE), at(2));
        assert_eq!(clock.read(at(4).after(Duration::from_millis(1)), MINUTE), at(3));
        let mut clock = SteadyClock::new(at(0), Duration::ZERO);
        assert_eq!(clock.read(at(9).after(YEAR), MINUTE), at(9).after(YEAR));
    }
}
