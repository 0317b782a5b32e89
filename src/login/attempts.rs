//! Who has guessed too often, and who asks for too many letters. Kept in memory, and only so much of it.
//!
//! Failures count for one name from one address, whether somebody has that name or not, and for one address;
//! for IPv6 the address is its network, as one machine has all addresses of it. They are forgotten `block_for`
//! after the first of them, or a busy address would collect them for ever; a block lasts that long from the last.
//! A clock that is set back by more than that ends both; none can make them last longer than twice `block_for`.
//! An attempt counts from its beginning, or many at once would all be the first.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::domain::{Connection, Timestamp, User, network};
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
        if now.distance(counts_from) >= block_for {
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
pub struct Allowance {
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
    pub(super) fn step(&self, who: Who, now: Timestamp) -> Allowance {
        let for_all = self.by_address.lock().step(who.network, FOR_ALL_USERS, now);
        if for_all.retry_after.is_some() {
            return for_all;
        }
        self.by_name.lock().step(who, FOR_ONE_USER, now)
    }
}

impl<K: Eq + Hash> Remembered<K, Timestamp> {
    fn step(&mut self, key: K, rate: Rate, now: Timestamp) -> Allowance {
        let Rate { burst, refill } = rate;
        let full_at = self.get(&key).copied().unwrap_or_default();
        // Further ahead than twice the whole burst takes it was before the clock was set back: that is forgotten.
        let is_sane = full_at <= now.after(2 * refill * burst);
        let full_at = if is_sane { full_at.max(now) } else { now };
        let after = full_at.after(refill);
        let over = after.since(now).checked_sub(refill * burst).filter(|over| !over.is_zero());
        let full_at = if over.is_none() { after } else { full_at };
        self.put(key, full_at, now);
        let used = full_at.since(now).as_millis().div_ceil(refill.as_millis());
        let remaining = burst.saturating_sub(u32::try_from(used).unwrap_or(burst));
        Allowance { retry_after: over, limit: burst, remaining, reset: full_at }
    }
}
