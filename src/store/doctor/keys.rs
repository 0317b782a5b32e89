//! Keys of users: where each was seen, and that no two users share one.

use super::super::block::Block;
use super::super::directory::{Key, KeyHasher, Place};
use super::super::keys::BLOCKS;
use super::super::record::Keys;
use super::{Ailment, Doctor};
use crate::domain::UserIdRef;

/// Where a key was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Seen {
    /// Its hash.
    hash: u64,
    /// The number of the connection.
    connection: u32,
    place: Place,
}

/// The ids of all users, by their hashes.
#[derive(Debug)]
pub(super) struct Present {
    hasher: KeyHasher,
    /// Sorted once all are there.
    ids: Vec<Seen>,
}

impl Default for Present {
    fn default() -> Self {
        Self { hasher: KeyHasher::new(u64::MAX), ids: Vec::new() }
    }
}

impl Present {
    /// Takes a user's id; its other keys are added to those of its connection.
    pub(super) fn see(&mut self, keys: &Keys, connection: u32, place: Place, names: &mut Vec<Seen>) {
        for key in keys.each() {
            let list = if matches!(key, Key::Id(_)) { &mut self.ids } else { &mut *names };
            list.push(Seen { hash: self.hasher.hash(key), connection, place });
        }
    }

    /// Whether a connection has a user with this id. Hashes of 64 bits are taken at their word.
    pub(super) fn has(&self, connection: u32, id: UserIdRef) -> bool {
        let hash = self.hasher.hash(Key::Id(id));
        let first = self.ids.partition_point(|seen| seen.hash < hash);
        let same = self.ids[first..].iter().take_while(|seen| seen.hash == hash);
        same.into_iter().any(|seen| seen.connection == connection)
    }
}

impl Doctor<'_> {
    /// That none of the ids is there twice.
    pub(super) fn examine_ids(&self, present: &mut Present) {
        self.examine_shared(&mut present.ids);
    }

    /// That none of these keys is there twice; puts them in order.
    pub(super) fn examine_shared(&self, seen: &mut [Seen]) {
        seen.sort_unstable();
        for group in seen.chunk_by(|one, other| one.hash == other.hash) {
            for (at, one) in group.iter().enumerate() {
                for other in &group[..at] {
                    self.shared.tick();
                    self.examine_pair(*other, *one);
                }
            }
        }
    }

    /// That two users whose keys have one hash have no key in common.
    fn examine_pair(&self, one: Seen, other: Seen) {
        if (one.connection, one.place) == (other.connection, other.place) {
            return; // two keys of one user
        }
        let (Some(first), Some(second)) = (self.block(one), self.block(other)) else {
            return;
        };
        let records = (first.record(one.place.slot()), second.record(other.place.slot()));
        let (Some(first), Some(second)) = records else { return };
        let (Ok(first), Ok(second)) = (Keys::decode(first), Keys::decode(second)) else {
            return;
        };
        let is_one_connection = one.connection == other.connection;
        let counts = |key: &Key| is_one_connection || matches!(key, Key::Id(_));
        if first.each().filter(counts).any(|key| second.each().any(|held| held == key)) {
            let (here, there) = (self.name(one.connection), self.name(other.connection));
            let what = format!(
                "{} of connection {here} and {} of {there} have a key in common",
                first.id, second.id
            );
            self.add(Ailment::KeyTaken, what);
        }
    }

    fn name(&self, connection: u32) -> &str {
        self.connection(connection).map_or("?", |connection| &connection.name)
    }

    fn block(&self, Seen { connection, place, .. }: Seen) -> Option<Block> {
        let key = [&connection.to_be_bytes()[..], &place.block().to_be_bytes()];
        let value = BLOCKS.get_bytes(self.store.tree(), &key).ok()??;
        Block::decode(&value).ok()
    }
}
