//! Who has guessed too often, and who asks for too many letters. Kept in memory, and only so much of it.
//!
//! Failures count for one name from one address, whether somebody has that name or not, and for one address;
//! for IPv6 the address is its network, as one machine has all addresses of it. They are forgotten `block_for`
//! after the first of them, or a busy address would collect them for ever; a block lasts that long from the last.
//! An attempt counts from its beginning, or many at once would all be the first.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::domain::{Connection, Timestamp, User};
use crate::tokens::secret_hash;

/// How many names and addresses are remembered; beyond that those go first that were quiet longest.
const REMEMBERED: usize = 100_000;
/// Failures before there are pauses.
const FREE: usize = 3;
/// The first pause; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_millis(1600);
/// When to come back if others from the same address are just being judged.
const BUSY: Duration = Duration::from_secs(1);

/// How fast one address may ask for letters to one user, who need not exist.
const FOR_ONE_USER: Rate = Rate { burst: 10, refill: Duration::from_mins(1) };
/// How fast it may ask for letters to all users: made-up ones cost no letter, but fill the tenant log.
const FOR_ALL_USERS: Rate = Rate { burst: 100, refill: Duration::from_secs(6) };

/// Hash of a connection and a name in it.
type Name = [u8; 32];

/// A name, and the address it is used from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Who {
    network: Option<IpAddr>,
    name: Name,
}

impl Who {
    pub(super) fn new(address: Option<IpAddr>, connection: &Connection, name: &str) -> Self {
        Self { network: address.map(network), name: name_hash(connection, name) }
    }
}

fn name_hash(connection: &Connection, name: &str) -> Name {
    secret_hash(&format!("{} {}", connection.id, name.to_lowercase()))
}

/// The part of an address that stands for one caller.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

/// When failures become too many.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) failures: usize,
    pub(super) address_failures: usize,
    pub(super) block_for: Duration,
}

/// A refusal of any further attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMany {
    /// When to come back.
    pub retry_after: Duration,
}

/// Counts failures.
#[derive(Debug)]
pub(super) struct Attempts {
    counts: Arc<Mutex<Counts>>,
}

#[derive(Debug)]
struct Counts {
    limits: Limits,
    by_name: Remembered<Who, Count>,
    by_address: Remembered<Option<IpAddr>, Count>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    failures: usize,
    /// Attempts that are not judged yet.
    pending: usize,
    first: Timestamp,
    last: Timestamp,
}

impl Count {
    /// Leave for one more attempt; gives back how many failed before.
    fn begin(&mut self, most: usize, block_for: Duration, now: Timestamp) -> Result<usize, TooMany> {
        self.forget_old(most, block_for, now);
        if self.failures >= most {
            return Err(TooMany { retry_after: block_for.saturating_sub(now.since(self.last)) });
        }
        if self.failures + self.pending >= most {
            return Err(TooMany { retry_after: BUSY });
        }
        Ok(self.failures + self.pending)
    }

    /// Notes a failure; tells whether it is the one that leads to a block.
    fn fail(&mut self, most: usize, block_for: Duration, now: Timestamp) -> bool {
        self.forget_old(most, block_for, now);
        if self.failures == 0 {
            self.first = now;
        }
        self.failures += 1;
        self.last = now;
        self.failures == most
    }

    fn forget_old(&mut self, most: usize, block_for: Duration, now: Timestamp) {
        let counts_from = if self.failures < most { self.first } else { self.last };
        if now.since(counts_from) >= block_for {
            self.failures = 0;
        }
    }
}

/// An attempt that is not judged yet. Dropped without that, it counts for nothing.
#[derive(Debug)]
pub struct Attempt {
    who: Who,
    pause: Duration,
    counts: Arc<Mutex<Counts>>,
}

impl Attempt {
    /// How long to wait before the password is looked at.
    pub fn pause(&self) -> Duration {
        self.pause
    }

    /// Notes a failure; tells whether it is the one that leads to a block.
    pub(super) fn failed(self, now: Timestamp) -> bool {
        let counts = &mut *self.counts.lock();
        let Limits { failures, address_failures, block_for } = counts.limits;
        let note = |count: Option<&mut Count>, most: usize| {
            count.is_some_and(|count| count.fail(most, block_for, now))
        };
        let of_name = note(counts.by_name.get(&self.who), failures);
        note(counts.by_address.get(&self.who.network), address_failures) || of_name
    }

    /// Notes that the password was right. The failures for other names stay: guessing them is not made good
    /// by knowing one.
    pub(super) fn succeeded(self) {
        if let Some(count) = self.counts.lock().by_name.get(&self.who) {
            count.failures = 0;
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let counts = &mut *self.counts.lock();
        let both = [counts.by_name.get(&self.who), counts.by_address.get(&self.who.network)];
        for count in both.into_iter().flatten() {
            count.pending = count.pending.saturating_sub(1);
        }
    }
}

impl Attempts {
    pub(super) fn new(limits: Limits) -> Self {
        let (by_name, by_address) = (Remembered::new(REMEMBERED), Remembered::new(REMEMBERED));
        Self { counts: Arc::new(Mutex::new(Counts { limits, by_name, by_address })) }
    }

    /// Leave for an attempt.
    pub(super) fn begin(&self, who: Who, now: Timestamp) -> Result<Attempt, TooMany> {
        let counts = &mut *self.counts.lock();
        let Limits { failures, address_failures, block_for } = counts.limits;
        let mut of_address = counts.by_address.get(&who.network).copied().unwrap_or_default();
        of_address.begin(address_failures, block_for, now)?;
        let mut of_name = counts.by_name.get(&who).copied().unwrap_or_default();
        let before = of_name.begin(failures, block_for, now)?;
        of_address.pending += 1;
        of_name.pending += 1;
        counts.by_address.put(who.network, of_address, now);
        counts.by_name.put(who, of_name, now);
        Ok(Attempt { who, pause: pause(before), counts: self.counts.clone() })
    }

    /// Forgets the failures for a user, from wherever they came: the password is a new one.
    pub(super) fn forget(&self, connection: &Connection, user: &User) {
        let names =
            [Some(&user.email), user.username.as_ref()].map(|it| it.map(|it| name_hash(connection, it)));
        for (who, count) in &mut self.counts.lock().by_name.entries {
            if names.contains(&Some(who.name)) {
                count.value.failures = 0;
            }
        }
    }
}

/// The pause before an attempt, by how many failed before.
fn pause(failures: usize) -> Duration {
    let Some(doublings) = failures.checked_sub(FREE) else {
        return Duration::ZERO;
    };
    let doubled = u32::try_from(doublings).ok().and_then(|by| 1_u32.checked_shl(by));
    FIRST_PAUSE.saturating_mul(doubled.unwrap_or(u32::MAX)).min(LONGEST_PAUSE)
}

/// A map that does not grow for ever.
#[derive(Debug)]
struct Remembered<K, V> {
    entries: HashMap<K, Entry<V>>,
    most: usize,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    used: Timestamp,
}

impl<K: Eq + Hash, V> Remembered<K, V> {
    fn new(most: usize) -> Self {
        Self { entries: HashMap::new(), most }
    }

    fn get(&mut self, key: &K) -> Option<&mut V> {
        self.entries.get_mut(key).map(|entry| &mut entry.value)
    }

    /// Remembers a value; where there is no room, forgets the tenth of all that was used least lately.
    fn put(&mut self, key: K, value: V, now: Timestamp) {
        if self.entries.len() >= self.most && !self.entries.contains_key(&key) {
            let mut times: Vec<Timestamp> = self.entries.values().map(|entry| entry.used).collect();
            let tenth = times.len() / 10;
            let (_, limit, _) = times.select_nth_unstable(tenth);
            let limit = *limit;
            let before = self.entries.len();
            self.entries.retain(|_, entry| limit < entry.used);
            debug_assert!(self.entries.len() < before);
        }
        self.entries.insert(key, Entry { value, used: now });
    }
}

/// So many at once, and then one more each time.
#[derive(Debug, Clone, Copy)]
struct Rate {
    burst: u32,
    refill: Duration,
}

/// How fast letters are asked for; each time is when somebody will have the whole burst again.
#[derive(Debug)]
pub(super) struct Paces {
    by_name: Mutex<Remembered<Who, Timestamp>>,
    by_address: Mutex<Remembered<Option<IpAddr>, Timestamp>>,
}

/// What one may still ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// When to come back, if this was too much.
    pub retry_after: Option<Duration>,
    /// How much is allowed at once.
    pub limit: u32,
    /// How much of that is left.
    pub remaining: u32,
    /// When it is all there again.
    pub reset: Timestamp,
}

impl Default for Paces {
    fn default() -> Self {
        let (by_name, by_address) = (Remembered::new(REMEMBERED), Remembered::new(REMEMBERED));
        Self { by_name: Mutex::new(by_name), by_address: Mutex::new(by_address) }
    }
}

impl Paces {
    /// One request more. An address that asks for too many users leaves no trace of further ones, or it could
    /// push others out of memory.
    pub(super) fn step(&self, who: Who, now: Timestamp) -> Pace {
        let for_all = self.by_address.lock().step(who.network, FOR_ALL_USERS, now);
        if for_all.retry_after.is_some() {
            return for_all;
        }
        self.by_name.lock().step(who, FOR_ONE_USER, now)
    }
}

impl<K: Eq + Hash> Remembered<K, Timestamp> {
    fn step(&mut self, key: K, rate: Rate, now: Timestamp) -> Pace {
        let Rate { burst, refill } = rate;
        let full_at = self.get(&key).copied().unwrap_or_default().max(now);
        let after = full_at.after(refill);
        let over = after.since(now).checked_sub(refill * burst).filter(|over| !over.is_zero());
        let full_at = if over.is_none() { after } else { full_at };
        self.put(key, full_at, now);
        let used = full_at.since(now).as_millis().div_ceil(refill.as_millis());
        let remaining = burst.saturating_sub(u32::try_from(used).unwrap_or(burst));
        Pace { retry_after: over, limit: burst, remaining, reset: full_at }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may")]
mod tests {
    use super::*;

    const BLOCK: Duration = Duration::from_mins(15);

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_520_242_272_000 + seconds * 1000)
    }

    fn connection() -> Connection {
        Connection::database("con_8dQ2xYz0aBcD1eFg".parse().unwrap(), "db".to_owned(), Vec::new())
    }

    fn who(address: &str, name: &str) -> Who {
        Who::new(Some(address.parse().unwrap()), &connection(), name)
    }

    fn attempts() -> Attempts {
        Attempts::new(Limits { failures: 5, address_failures: 8, block_for: BLOCK })
    }

    fn retry(refused: Result<Attempt, TooMany>) -> u64 {
        refused.unwrap_err().retry_after.as_secs()
    }

    #[test]
    fn failures_slow_a_name_down_and_then_block_it_for_a_while() {
        let attempts = attempts();
        let mut pauses = Vec::new();
        for second in 0..5 {
            let attempt = attempts.begin(who("10.0.0.1", "ann"), at(second)).unwrap();
            pauses.push(attempt.pause().as_millis());
            assert_eq!(attempt.failed(at(second)), second == 4);
        }
        assert_eq!(pauses, [0, 0, 0, 100, 200]);
        assert_eq!(retry(attempts.begin(who("10.0.0.1", "Ann"), at(5))), 15 * 60 - 1);
        assert_eq!(retry(attempts.begin(who("10.0.0.1", "ann"), at(4 + 15 * 60 - 1))), 1);
        for other in [who("10.0.0.1", "bob"), who("10.0.0.2", "ann")] {
            assert_eq!(attempts.begin(other, at(6)).unwrap().pause(), Duration::ZERO);
        }
        let free = attempts.begin(who("10.0.0.1", "ann"), at(4 + 15 * 60)).unwrap();
        assert_eq!(free.pause(), Duration::ZERO);
    }

    #[test]
    fn pauses_grow_to_an_end() {
        assert_eq!([0, 2, 3, 4, 7, 8, 100].map(|n| pause(n).as_millis()), [0, 0, 100, 200, 1600, 1600, 1600]);
        assert_eq!(pause(usize::MAX), LONGEST_PAUSE);
    }

    #[test]
    fn an_address_is_blocked_for_every_name_when_it_fails_for_many() {
        let attempts = attempts();
        for (number, name) in ["a", "b", "c", "d", "e", "f", "g", "h"].into_iter().enumerate() {
            let attempt = attempts.begin(who("10.0.0.1", name), at(0)).unwrap();
            assert_eq!(attempt.failed(at(0)), number == 7);
        }
        assert_eq!(retry(attempts.begin(who("10.0.0.1", "i"), at(0))), 15 * 60);
        attempts.begin(who("10.0.0.2", "i"), at(0)).unwrap();
        attempts.begin(who("10.0.0.1", "i"), at(15 * 60)).unwrap();
    }

    #[test]
    fn an_address_in_use_all_day_is_blocked_only_when_it_fails_often_in_a_while() {
        let attempts = attempts();
        let fail = |name: u64, second| {
            let attempt = attempts.begin(who("10.0.0.1", &name.to_string()), at(second)).unwrap();
            attempt.failed(at(second))
        };
        for round in 0..96 {
            assert!(!fail(round, round * 5 * 60), "one failure in five minutes");
        }
        let start = 24 * 60 * 60;
        let blocks: Vec<bool> = (0..8).map(|round| fail(round, start + round * 60)).collect();
        assert_eq!(blocks, [false, false, false, false, false, false, false, true]);
        let end = start + 7 * 60 + 15 * 60;
        assert_eq!(retry(attempts.begin(who("10.0.0.1", "ann"), at(end - 1))), 1);
        attempts.begin(who("10.0.0.1", "ann"), at(end)).unwrap();
    }

    #[test]
    fn failures_for_a_name_are_forgotten_a_while_after_the_first() {
        let attempts = attempts();
        let begin = |second| attempts.begin(who("10.0.0.1", "ann"), at(second)).unwrap();
        for second in [0, 600, 600, 899] {
            begin(second).failed(at(second));
        }
        assert_eq!(begin(899).pause().as_millis(), 200);
        assert_eq!(begin(900).pause(), Duration::ZERO);
        let late = begin(899);
        assert!(!late.failed(at(900)), "the fifth, but the first of the next while");
        assert_eq!(begin(901).pause(), Duration::ZERO);
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        assert_eq!(who("2001:db8::1", "ann"), who("2001:db8::2:0:0:ffff", "ann"));
        assert_ne!(who("2001:db8::1", "ann"), who("2001:db8:0:1::1", "ann"));
        assert_ne!(who("10.0.0.1", "ann"), who("10.0.0.2", "ann"));
    }

    #[test]
    fn attempts_at_the_same_moment_count_before_they_are_judged() {
        let attempts = attempts();
        let mut begun: Vec<Attempt> =
            (0..5).map(|_| attempts.begin(who("10.0.0.1", "ann"), at(0)).unwrap()).collect();
        assert_eq!(begun[4].pause().as_millis(), 200);
        assert_eq!(retry(attempts.begin(who("10.0.0.1", "ann"), at(0))), 1);
        begun.pop();
        attempts.begin(who("10.0.0.1", "ann"), at(0)).unwrap();
    }

    #[test]
    fn the_right_password_clears_the_name_but_not_the_address() {
        let attempts = attempts();
        for _ in 0..4 {
            attempts.begin(who("10.0.0.1", "ann"), at(0)).unwrap().failed(at(0));
        }
        attempts.begin(who("10.0.0.1", "ann"), at(0)).unwrap().succeeded();
        assert_eq!(attempts.begin(who("10.0.0.1", "ann"), at(0)).unwrap().pause(), Duration::ZERO);
        for _ in 0..4 {
            attempts.begin(who("10.0.0.1", "ann"), at(0)).unwrap().failed(at(0));
        }
        assert_eq!(retry(attempts.begin(who("10.0.0.1", "bob"), at(0))), 15 * 60);
    }

    #[test]
    fn a_new_password_clears_the_user_everywhere() {
        let attempts = attempts();
        let names = [who("10.0.0.1", "ann@x.test"), who("10.0.0.2", "anniek"), who("10.0.0.2", "bob")];
        for who in names {
            for _ in 0..5 {
                // The pause between two keeps the address free.
                if let Ok(attempt) = attempts.begin(who, at(0)) {
                    attempt.failed(at(0));
                }
            }
        }
        let user = User {
            id: crate::domain::UserId::from_bytes([0; 12]),
            email: "ann@x.test".to_owned(),
            email_verified: false,
            username: Some("anniek".to_owned()),
            created_at: at(0),
            updated_at: at(0),
            blocked: false,
            app_metadata: None,
            user_metadata: None,
        };
        attempts.forget(&connection(), &user);
        attempts.begin(names[0], at(0)).unwrap();
        let counts = attempts.counts.lock();
        let failures = |who: Who| counts.by_name.entries[&who].value.failures;
        assert_eq!(names.map(failures), [0, 0, 3]);
    }

    #[test]
    fn memory_has_an_end_and_forgets_what_was_quiet_longest() {
        let mut few = Remembered::new(20);
        for number in 0..100_u64 {
            few.put(number, (), at(number));
            assert!(few.entries.len() <= 20);
            assert!(few.get(&number).is_some());
        }
        assert!(few.get(&50).is_none() && few.get(&90).is_some());
        for number in 100..200_u64 {
            few.put(number, (), at(100));
            assert!(few.entries.len() <= 20);
        }
    }

    #[test]
    fn ten_letters_at_once_and_then_one_a_minute() {
        let paces = Paces::default();
        let step = |second| paces.step(who("10.0.0.1", "ann@x.test"), at(second));
        for left in (0..10).rev() {
            let pace = step(0);
            assert_eq!((pace.retry_after, pace.remaining), (None, left));
        }
        let pace = step(0);
        assert_eq!((pace.retry_after, pace.remaining), (Some(Duration::from_mins(1)), 0));
        assert_eq!(pace.reset, at(600));
        assert_eq!(step(59).retry_after, Some(Duration::from_secs(1)));
        assert_eq!(step(60).retry_after, None);
        assert_eq!(step(60).retry_after, Some(Duration::from_mins(1)));
        assert_eq!(paces.step(who("10.0.0.2", "ann@x.test"), at(0)).retry_after, None);
        assert_eq!(paces.step(who("10.0.0.1", "bob@x.test"), at(0)).retry_after, None);
        let pace = step(10_000);
        assert_eq!((pace.retry_after, pace.remaining, pace.limit), (None, 9, 10));
    }

    #[test]
    fn letters_to_a_hundred_users_at_once_and_then_ten_a_minute() {
        let paces = Paces::default();
        let step = |number: u32, second| paces.step(who("10.0.0.1", &format!("{number}@x.test")), at(second));
        for number in 0..100 {
            assert_eq!(step(number, 0).retry_after, None);
        }
        let pace = step(100, 0);
        assert_eq!((pace.retry_after, pace.limit, pace.remaining), (Some(Duration::from_secs(6)), 100, 0));
        assert_eq!(pace.reset, at(600));
        assert_eq!(step(100, 5).retry_after, Some(Duration::from_secs(1)));
        assert_eq!(step(100, 6).remaining, 9, "what was refused does not count for the user");
        assert_eq!(step(101, 6).retry_after, Some(Duration::from_secs(6)));
        assert_eq!(paces.step(who("10.0.0.2", "ann@x.test"), at(6)).retry_after, None);
        let allowed = (0..100).filter(|number| step(*number, 66).retry_after.is_none());
        assert_eq!(allowed.count(), 10);
    }
}
