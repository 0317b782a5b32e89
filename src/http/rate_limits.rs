//! How many requests somebody may make: a bucket of tokens for every client that shows a good token, and
//! for every address that does not.
//!
//! The question is put where the token is looked at ([`Granted`](super::auth::Granted)), after that and
//! before all else. [`tell`] writes the answer into the headers.
//!
//! **Invariants:** a refused request costs nothing but its refusal: no body, no store, no event. Buckets that are full
//! again are forgotten; when too many addresses are not, newcomers share a few buckets, so that memory has a bound.

use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{HttpMessage, HttpRequest};
use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};

use super::error::ApiError;
use super::{State, now};
use crate::domain::{Timestamp, network};

/// Buckets there may be before those of addresses are shared.
const MOST_BUCKETS: usize = 1 << 16;
/// Buckets that are shared then.
const SHARED: u64 = 1 << 10;
/// After so many requests it is looked which buckets can be forgotten.
const SWEEP: u32 = 1 << 12;

/// How many requests one client may make.
#[derive(Debug, Clone, Copy)]
pub struct RateLimit {
    /// In the long run, each second.
    pub per_second: NonZeroU32,
    /// At once.
    pub burst: NonZeroU32,
}

type Buckets = RateLimiter<Key, DashMapStateStore<Key>, DefaultClock, StateInformationMiddleware>;

/// Whose bucket it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    /// Of the subject of a good token.
    Client(String),
    /// Of an address; nobody has fewer IPv6 ones than a /64.
    Address(Option<IpAddr>),
    /// Of all addresses that come out at this number.
    Shared(u64),
}

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub(super) enum Who<'a> {
    /// The subject of a good token.
    Client(&'a str),
    /// Anybody at an address.
    Address(Option<IpAddr>),
}

/// The buckets of everybody.
pub(super) struct RateLimits {
    buckets: Buckets,
    clock: DefaultClock,
    seen: AtomicU32,
    is_crowded: AtomicBool,
    hasher: RandomState,
}

/// How a bucket stands after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    limit: u32,
    remaining: u32,
    /// When the bucket is full again if nobody takes from it.
    full_at: Timestamp,
    /// How long until it gives again, if it did not.
    refused_for: Option<Duration>,
}

impl RateLimits {
    /// Full buckets.
    pub(super) fn new(limit: RateLimit) -> Self {
        let quota = Quota::per_second(limit.per_second).allow_burst(limit.burst);
        Self {
            buckets: RateLimiter::dashmap(quota).with_middleware(),
            clock: DefaultClock::default(),
            seen: AtomicU32::new(0),
            is_crowded: AtomicBool::new(false),
            hasher: RandomState::new(),
        }
    }

    /// Takes one from the bucket of `who`.
    pub(super) fn take(&self, who: Who<'_>, now: Timestamp) -> Standing {
        if self.seen.fetch_add(1, Ordering::Relaxed) % SWEEP == SWEEP - 1 {
            self.sweep();
        }
        let (quota, remaining, refused_for) = match self.buckets.check_key(&self.key(who)) {
            Ok(state) => (state.quota(), state.remaining_burst_capacity(), None),
            Err(refusal) => (refusal.quota(), 0, Some(refusal.wait_time_from(self.clock.now()))),
        };
        let limit = quota.burst_size().get();
        let missing = limit - remaining - u32::from(refused_for.is_some());
        let full_in = quota.replenish_interval() * missing + refused_for.unwrap_or_default();
        Standing { limit, remaining, full_at: now.after(full_in), refused_for }
    }

    fn key(&self, who: Who<'_>) -> Key {
        let ip = match who {
            Who::Client(subject) => return Key::Client(subject.to_owned()),
            Who::Address(ip) => ip.map(network),
        };
        if self.is_crowded.load(Ordering::Relaxed) {
            Key::Shared(self.hasher.hash_one(ip) % SHARED)
        } else {
            Key::Address(ip)
        }
    }

    /// Forgets the buckets that are full again, when there are many.
    fn sweep(&self) {
        if self.buckets.len() < MOST_BUCKETS {
            return;
        }
        self.buckets.retain_recent();
        self.is_crowded.store(self.buckets.len() >= MOST_BUCKETS, Ordering::Relaxed);
    }
}

impl fmt::Debug for RateLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimits").finish_non_exhaustive()
    }
}

/// Lets a request pass if the bucket of `who` still gives, and notes how that stands.
pub(super) fn admit(request: &HttpRequest, state: &State, who: Who<'_>) -> Result<(), ApiError> {
    let Some(limits) = &state.rate_limits else {
        return Ok(());
    };
    let standing = limits.take(who, now());
    request.extensions_mut().insert(standing);
    standing.refused_for.map_or(Ok(()), |time| Err(ApiError::GlobalLimit(time)))
}

/// A time to wait in whole seconds, at least one.
pub(super) fn whole_seconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis().div_ceil(1000)).unwrap_or(u64::MAX).max(1)
}

/// Writes how the caller's bucket stands to the answer, if one was asked.
pub(super) async fn tell(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let mut answer = next.call(request).await?;
    let standing = answer.request().extensions().get::<Standing>().copied();
    if let Some(Standing { limit, remaining, full_at, .. }) = standing {
        let headers = answer.headers_mut();
        let mut write =
            |name, value: u64| headers.insert(HeaderName::from_static(name), HeaderValue::from(value));
        write("x-ratelimit-limit", limit.into());
        write("x-ratelimit-remaining", remaining.into());
        write("x-ratelimit-reset", full_at.millis().div_ceil(1000));
    }
    Ok(answer)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may")]
mod tests {
    use super::*;

    fn limits(per_second: u32, burst: u32) -> RateLimits {
        RateLimits::new(RateLimit {
            per_second: NonZeroU32::new(per_second).unwrap(),
            burst: NonZeroU32::new(burst).unwrap(),
        })
    }

    #[test]
    fn a_bucket_gives_what_it_holds_and_says_when_it_is_full_again() {
        // One comes back each second, which is longer than this takes.
        let (limits, now) = (limits(1, 3), Timestamp::from_millis(1_000_000));
        let take = || limits.take(Who::Client("a"), now);
        let full_in = |standing: Standing| standing.full_at.since(now).as_millis().div_ceil(1000);
        for (remaining, seconds) in [(2, 1), (1, 2), (0, 3)] {
            let standing = take();
            assert_eq!((standing.limit, standing.remaining, standing.refused_for), (3, remaining, None));
            assert_eq!(full_in(standing), seconds);
        }
        let refused = take();
        let wait = refused.refused_for.unwrap();
        assert!(Duration::ZERO < wait && wait <= Duration::from_secs(1), "{refused:?}");
        assert_eq!((refused.remaining, full_in(refused)), (0, 3));
        assert_eq!(limits.take(Who::Client("b"), now).remaining, 2);
    }

    #[test]
    fn an_address_is_a_bucket_and_so_is_a_network_of_ipv6() {
        let limits = limits(1, 10);
        let take =
            |ip: &str| limits.take(Who::Address(Some(ip.parse().unwrap())), Timestamp::default()).remaining;
        assert_eq!([take("203.0.113.1"), take("203.0.113.2"), take("203.0.113.1")], [9, 9, 8]);
        assert_eq!([take("2001:db8::1"), take("2001:db8::ffff"), take("2001:db8:0:1::1")], [9, 8, 9]);
    }

    #[test]
    fn any_number_of_addresses_takes_so_much_memory_and_no_more() {
        let limits = limits(1, 1000);
        let take = |at: u32| limits.take(Who::Address(Some(IpAddr::V4(at.into()))), Timestamp::default());
        for at in 0..300_000 {
            take(at);
        }
        let most = MOST_BUCKETS + SWEEP as usize + usize::try_from(SHARED).unwrap();
        assert!(limits.buckets.len() <= most, "{}", limits.buckets.len());
        // Who shows a token is not pressed into a crowd.
        assert_eq!(limits.take(Who::Client("a"), Timestamp::default()).remaining, 999);
    }

    #[test]
    fn full_buckets_are_forgotten_when_there_are_many() {
        // A bucket is full again at once.
        let limits = limits(1_000_000, 1);
        for at in 0..300_000_u32 {
            limits.take(Who::Address(Some(IpAddr::V4(at.into()))), Timestamp::default());
            assert!(!limits.is_crowded.load(Ordering::Relaxed), "after {at}");
        }
        assert!(limits.buckets.len() <= MOST_BUCKETS + SWEEP as usize);
    }

    #[test]
    fn times_to_wait_are_whole_seconds_and_never_none() {
        let seconds = |millis| whole_seconds(Duration::from_millis(millis));
        assert_eq!([0, 1, 1000, 1001, 2000].map(seconds), [1, 1, 1, 2, 2]);
    }
}
