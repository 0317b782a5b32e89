//! The key directory: where each e-mail address, user name and id is, in memory.
//!
//! It holds hashes and places, never the keys themselves. A hit is a candidate that must be
//! confirmed against the record, so collisions are harmless. Nothing of it is on disk: it is rebuilt
//! from the blocks at start.
//!
//! **Invariant:** between commits it equals what a rebuild would give.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hashbrown::HashTable;
use parking_lot::RwLock;
use smallvec::SmallVec;

use super::block::SLOTS;
use crate::domain::UserIdRef;

/// What a user can be found by. Texts are in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key<'a> {
    Email(&'a str),
    Username(&'a str),
    Id(UserIdRef<'a>),
}

/// Hashes keys with a secret drawn at process start, so that nobody can send colliding ones.
#[derive(Debug, Clone)]
pub(super) struct KeyHasher {
    state: RandomState,
    mask: u64,
}

impl KeyHasher {
    /// `mask` is all ones but in tests that want collisions.
    pub(super) fn new(mask: u64) -> Self {
        Self { state: RandomState::new(), mask }
    }

    pub(super) fn hash(&self, key: Key) -> u64 {
        let mut hasher = self.state.build_hasher();
        let (kind, bytes) = match &key {
            Key::Email(text) => (b'e', text.as_bytes()),
            Key::Username(text) => (b'n', text.as_bytes()),
            Key::Id(UserIdRef::Made(bytes)) => (b'i', bytes.as_slice()),
            Key::Id(UserIdRef::Given(text)) => (b'g', text.as_bytes()),
        };
        hasher.write_u8(kind);
        hasher.write(bytes);
        hasher.finish() & self.mask
    }
}

/// Where a user is: a block of its connection, and the slot in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place(u32);

impl Place {
    /// `None` beyond the last block that a place can name.
    pub(super) fn new(block: u32, slot: u32) -> Option<Self> {
        Some(Self(block.checked_mul(SLOTS)?.checked_add(slot)?))
    }

    pub(super) fn block(self) -> u32 {
        self.0 / SLOTS
    }

    pub(super) fn slot(self) -> u32 {
        self.0 % SLOTS
    }
}

/// A hash and a place in twelve bytes; a `u64` would pad them to sixteen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    hash: [u32; 2],
    place: Place,
}

impl Entry {
    #[expect(clippy::cast_possible_truncation, reason = "the two halves of a hash")]
    fn new(hash: u64, place: Place) -> Self {
        Self { hash: [(hash >> 32) as u32, hash as u32], place }
    }

    fn hash(&self) -> u64 {
        u64::from(self.hash[0]) << 32 | u64::from(self.hash[1])
    }
}

/// The places a hash may lead to: with luck one, or none.
pub(super) type Candidates = SmallVec<[Place; 4]>;

/// Hashes of keys and the places they lead to.
#[derive(Debug, Default)]
pub(super) struct Places(HashTable<Entry>);

impl Places {
    pub(super) fn insert(&mut self, hash: u64, place: Place) {
        self.0.insert_unique(hash, Entry::new(hash, place), Entry::hash);
    }

    pub(super) fn remove(&mut self, hash: u64, place: Place) {
        let wanted = Entry::new(hash, place);
        if let Ok(entry) = self.0.find_entry(hash, |entry| *entry == wanted) {
            entry.remove();
        }
    }

    /// Whether the hash leads anywhere.
    pub(super) fn has(&self, hash: u64) -> bool {
        self.0.find(hash, |entry| entry.hash() == hash).is_some()
    }

    /// Every place the hash may lead to.
    pub(super) fn candidates(&self, hash: u64) -> impl Iterator<Item = Place> {
        self.0.iter_hash(hash).filter(move |entry| entry.hash() == hash).map(|entry| entry.place)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, Place)> {
        self.0.iter().map(|entry| (entry.hash(), entry.place))
    }

    pub(super) fn reserve(&mut self, entries: usize) {
        self.0.reserve(entries, Entry::hash);
    }
}

/// One big table would stall everybody while it doubles.
const SHARDS: usize = 64;

/// The keys of one connection.
#[derive(Debug)]
pub(super) struct Shards {
    shards: [RwLock<Places>; SHARDS],
    /// How many users have them.
    users: AtomicU64,
}

impl Default for Shards {
    fn default() -> Self {
        Self { shards: std::array::from_fn(|_| RwLock::default()), users: AtomicU64::new(0) }
    }
}

impl Shards {
    /// The places a hash may lead to. The lock is not held when this returns.
    pub(super) fn candidates(&self, hash: u64) -> Candidates {
        self.shard(hash).read().candidates(hash).collect()
    }

    /// Those of the hashes that lead anywhere.
    pub(super) fn known(&self, mut hashes: Vec<u64>) -> HashSet<u64> {
        let mut known = HashSet::new();
        hashes.sort_unstable_by_key(|hash| shard_of(*hash));
        for of_shard in hashes.chunk_by(|one, other| shard_of(*one) == shard_of(*other)) {
            let shard = self.shard(of_shard[0]).read();
            known.extend(of_shard.iter().filter(|hash| shard.has(**hash)));
        }
        known
    }

    /// Inserts many, shard by shard: that is easier on locks and caches. `meet` is told of
    /// each whose hash led to another place before, and of that place.
    pub(super) fn insert_all(&self, entries: &mut [(u64, Place)], mut meet: impl FnMut(Place, Place)) {
        entries.sort_unstable_by_key(|(hash, _)| shard_of(*hash));
        for of_shard in entries.chunk_by(|one, other| shard_of(one.0) == shard_of(other.0)) {
            let mut shard = self.shard(of_shard[0].0).write();
            shard.reserve(of_shard.len());
            for (hash, place) in of_shard {
                shard.candidates(*hash).for_each(|other| meet(*place, other));
                shard.insert(*hash, *place);
            }
        }
    }

    pub(super) fn remove(&self, hash: u64, place: Place) {
        self.shard(hash).write().remove(hash, place);
    }

    /// Makes room for this many more keys, spread evenly.
    pub(super) fn reserve(&self, keys: usize) {
        self.shards.iter().for_each(|shard| shard.write().reserve(keys / SHARDS));
    }

    /// How many users there are.
    pub(super) fn users(&self) -> u64 {
        self.users.load(Ordering::Relaxed)
    }

    /// So many users have come, and so many have gone.
    pub(super) fn note_users(&self, come: u64, gone: u64) {
        self.users.fetch_add(come, Ordering::Relaxed);
        self.users.fetch_sub(gone, Ordering::Relaxed);
    }

    /// How many keys there are, and the bytes of memory they take.
    pub(super) fn size(&self) -> (usize, usize) {
        self.shards.iter().fold((0, size_of::<Self>()), |(keys, bytes), shard| {
            let shard = shard.read();
            (keys + shard.0.len(), bytes + shard.0.allocation_size())
        })
    }

    /// Everything in it, sorted.
    pub(super) fn sorted(&self) -> Vec<(u64, Place)> {
        let mut all: Vec<_> =
            self.shards.iter().flat_map(|shard| shard.read().iter().collect::<Vec<_>>()).collect();
        all.sort_unstable();
        all
    }

    fn shard(&self, hash: u64) -> &RwLock<Places> {
        &self.shards[shard_of(hash)]
    }
}

/// The table inside a shard uses the low bits and the top seven; these are others.
fn shard_of(hash: u64) -> usize {
    usize::try_from(hash >> 40).unwrap_or_default() % SHARDS
}

/// The keys of all connections.
#[derive(Debug, Default)]
pub(super) struct Directory(RwLock<HashMap<u32, Arc<Shards>>>);

impl Directory {
    /// The keys of one connection.
    pub(super) fn connection(&self, number: u32) -> Arc<Shards> {
        if let Some(shards) = self.0.read().get(&number) {
            return shards.clone();
        }
        self.0.write().entry(number).or_default().clone()
    }

    /// Drops the keys of a connection that is gone.
    pub(super) fn forget(&self, number: u32) {
        self.0.write().remove(&number);
    }
}
