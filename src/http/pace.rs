//! How fast bytes have to move between a client and us, in either direction.
//!
//! Only time in which we wait for the client counts: a disk that is slow is not held against anybody.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::rt::time::{Instant, Sleep, sleep_until};

/// How fast.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// How long nothing may come.
    pub pause: Duration,
    /// Time to wait that is free.
    pub grace: Duration,
    /// Bytes each second that have to move on average after that; 0 is any.
    pub rate: u64,
}

impl Pace {
    /// The same for answers, which move in large steps: the system of a client holds some for it, 128 KB by default on
    /// Linux, and asks for more only when most of that was taken.
    pub(super) fn of_answers(self) -> Self {
        Self { pause: self.pause.saturating_add(self.grace), ..self }
    }
}

/// Who moves too little.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TooSlow {
    /// Nothing came for too long.
    Stalled,
    /// What came was too little.
    Slow,
}

/// What moved so far, and how long we had to wait for it.
pub(super) struct Meter {
    pace: Pace,
    bytes: u64,
    waited: Duration,
    since: Option<Instant>,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Meter {
    /// Nothing moved yet.
    pub(super) fn new(pace: Pace) -> Self {
        Self { pace, bytes: 0, waited: Duration::ZERO, since: None, alarm: None }
    }

    /// Notes that bytes moved.
    pub(super) fn moved(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        if let Some(since) = self.since.take() {
            self.waited += since.elapsed();
        }
    }

    /// Whether something is waited for.
    pub(super) fn is_waiting(&self) -> bool {
        self.since.is_some()
    }

    /// Notes that nothing moves now; ready when that has been so for too long.
    pub(super) fn wait(&mut self, context: &mut Context<'_>) -> Poll<TooSlow> {
        let (deadline, verdict) = self.deadline();
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if alarm.deadline() != deadline {
            alarm.as_mut().reset(deadline);
        }
        alarm.as_mut().poll(context).map(|()| verdict)
    }

    fn deadline(&mut self) -> (Instant, TooSlow) {
        let since = *self.since.get_or_insert_with(Instant::now);
        let left = self.allowed().map(|allowed| allowed.saturating_sub(self.waited));
        match left {
            Some(left) if left < self.pace.pause => (since + left, TooSlow::Slow),
            _ => (since + self.pace.pause, TooSlow::Stalled),
        }
    }

    /// How long we may have waited for what came; `None` is any time.
    fn allowed(&self) -> Option<Duration> {
        let millis = self.bytes.saturating_mul(1000).checked_div(self.pace.rate)?;
        Some(self.pace.grace.saturating_add(Duration::from_millis(millis)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meter(rate: u64) -> Meter {
        Meter::new(Pace { pause: Duration::from_secs(15), grace: Duration::from_secs(10), rate })
    }

    #[test]
    fn bytes_buy_time_and_no_rate_is_any_rate() {
        let allowed = |rate, bytes| {
            let mut meter = meter(rate);
            meter.moved(bytes);
            meter.allowed().map(|time| time.as_secs())
        };
        assert_eq!(allowed(1024, 0), Some(10));
        assert_eq!(allowed(1024, 1024), Some(11));
        assert_eq!(allowed(1024, 512_000), Some(510));
        assert_eq!(allowed(0, 1), None);
    }

    #[test]
    fn who_sends_little_has_less_time_than_who_pauses_after_much() {
        let verdict = |bytes| {
            let mut meter = meter(1024);
            meter.moved(bytes);
            meter.deadline().1
        };
        assert_eq!(verdict(0), TooSlow::Slow);
        assert_eq!(verdict(4 << 10), TooSlow::Slow);
        assert_eq!(verdict(5 << 10), TooSlow::Stalled);
    }
}
