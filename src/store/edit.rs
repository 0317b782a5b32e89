//! Changing users: the blocks of a connection as they will be after the commit in hand.
//!
//! Nothing outside sees an edit until it is committed; then [`Edit::publish`] makes the directory
//! follow.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use super::apply::ChunkRow;
use super::block::Block;
use super::commit::Core;
use super::database::Change;
use super::directory::{Key, Place, Places, Shards};
use super::error::{Result, StoreError};
use super::keys::BLOCKS;
use super::record::{Draft, Keys};
use super::roll_call::Move;

/// The blocks of one connection as they will be after the commit in hand.
pub(super) struct Edit<'a> {
    pub(super) core: &'a Core,
    pub(super) connection: u32,
    shards: Arc<Shards>,
    /// Blocks read or made so far.
    blocks: BTreeMap<u32, Block>,
    changed: BTreeSet<u32>,
    /// The open block, which takes the next new user.
    tail: u32,
    added: Places,
    /// Those of the hashes looked up that led somewhere before the edit.
    known: HashSet<u64>,
    removed: Vec<(u64, Place)>,
    /// Users that are elsewhere now, or nowhere, for those who call the roll.
    moves: Vec<Move>,
    /// Bytes of records in changed blocks, about.
    bytes: usize,
    /// Users that come and that go.
    come: u64,
    gone: u64,
}

impl<'a> Edit<'a> {
    /// Begins an edit of about this many users; `tail` is the connection's open block.
    pub(super) fn new(core: &'a Core, connection: u32, tail: u32, users: usize) -> Self {
        let mut added = Places::default();
        added.reserve(3 * users);
        Self {
            core,
            connection,
            shards: core.directory.connection(connection),
            blocks: BTreeMap::new(),
            changed: BTreeSet::new(),
            tail,
            added,
            known: HashSet::new(),
            removed: Vec::new(),
            moves: Vec::new(),
            bytes: 0,
            come: 0,
            gone: 0,
        }
    }

    /// The block with this number, read on first use.
    fn block(&mut self, number: u32) -> Result<&mut Block> {
        match self.blocks.entry(number) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => {
                Ok(entry.insert(self.core.block(self.connection, number)?.unwrap_or_default()))
            }
        }
    }

    /// Looks up the keys of many rows in one go, for [`Edit::may_know`].
    pub(super) fn look_up(&mut self, rows: &[ChunkRow]) {
        let drafts = rows.iter().filter_map(|row| row.verdict.as_ref().ok());
        self.known = self.shards.known(drafts.flat_map(Draft::hashes).collect());
    }

    /// Whether a hash that was looked up may lead to somebody, as the edit stands.
    pub(super) fn may_know(&self, hash: u64) -> bool {
        self.added.has(hash) || self.known.contains(&hash)
    }

    /// The place of the user with this key, as the edit stands.
    pub(super) fn find(&mut self, key: Key, hash: u64) -> Result<Option<Place>> {
        let mut candidates = self.shards.candidates(hash);
        candidates.extend(self.added.candidates(hash));
        for place in candidates {
            let record = self.block(place.block())?.record(place.slot());
            if let Some(record) = record
                && Keys::decode(record)?.each().any(|held| held == key)
            {
                return Ok(Some(place));
            }
        }
        Ok(None)
    }

    pub(super) fn record(&mut self, place: Place) -> Result<Vec<u8>> {
        let record = self.block(place.block())?.record(place.slot()).map(<[u8]>::to_vec);
        record.ok_or_else(|| StoreError::Corrupt("a key leads to a deleted user".to_owned()))
    }

    /// Adds a user whose keys nobody else has.
    pub(super) fn insert(&mut self, draft: &Draft) -> Result<()> {
        self.come += 1;
        self.append(&draft.record, draft.hashes()).map(drop)
    }

    fn append(&mut self, record: &[u8], hashes: impl Iterator<Item = u64>) -> Result<Place> {
        let mut tail = self.tail;
        if !self.block(tail)?.has_room_for(record.len()) {
            tail += 1;
        }
        let slot = self.block(tail)?.push(record);
        let place = Place::new(tail, slot)
            .ok_or_else(|| StoreError::Corrupt("the connection has no room for further users".to_owned()))?;
        self.tail = tail;
        self.note_change(tail, record);
        hashes.for_each(|hash| self.added.insert(hash, place));
        Ok(place)
    }

    fn note_move(&mut self, from: Place, to: Option<Place>) {
        self.moves.push(Move { connection: self.connection, from, to });
    }

    /// Changes a user in its place, or moves it where its block would grow too large.
    pub(super) fn replace(&mut self, place: Place, record: &[u8]) -> Result<()> {
        self.note_change(place.block(), record);
        if self.block(place.block())?.replace(place.slot(), record) {
            return Ok(());
        }
        self.block(place.block())?.delete(place.slot());
        let keys = Keys::decode(record)?;
        let hashes: Vec<u64> = keys.each().map(|key| self.core.hasher.hash(key)).collect();
        self.removed.extend(hashes.iter().map(|hash| (*hash, place)));
        let to = self.append(record, hashes.into_iter())?;
        self.note_move(place, Some(to));
        Ok(())
    }

    /// The same for a user whose keys may be others than before; nobody else has them.
    pub(super) fn rekey(&mut self, place: Place, record: &[u8]) -> Result<()> {
        let before = self.record(place)?;
        let hash = |key| self.core.hasher.hash(key);
        let (old, new) = (Keys::decode(&before)?, Keys::decode(record)?);
        let gone: Vec<u64> = old.each().filter(|key| new.each().all(|kept| kept != *key)).map(hash).collect();
        let come: Vec<u64> =
            new.each().filter(|key| old.each().all(|known| known != *key)).map(hash).collect();
        self.note_change(place.block(), record);
        if self.block(place.block())?.replace(place.slot(), record) {
            self.removed.extend(gone.into_iter().map(|hash| (hash, place)));
            for hash in come {
                self.added.insert(hash, place);
            }
            return Ok(());
        }
        self.take_out(place)?;
        let hashes: Vec<u64> = new.each().map(|key| self.core.hasher.hash(key)).collect();
        let to = self.append(record, hashes.into_iter())?;
        self.note_move(place, Some(to));
        Ok(())
    }

    /// Removes a user.
    pub(super) fn delete(&mut self, place: Place) -> Result<()> {
        self.gone += 1;
        self.take_out(place)?;
        self.note_move(place, None);
        Ok(())
    }

    fn take_out(&mut self, place: Place) -> Result<()> {
        let record = self.record(place)?;
        let keys = Keys::decode(&record)?;
        let hashes = keys.each().map(|key| (self.core.hasher.hash(key), place));
        self.removed.extend(hashes.collect::<Vec<_>>());
        self.note_change(place.block(), &[]);
        self.block(place.block())?.delete(place.slot());
        Ok(())
    }

    /// A block is written as a whole, however little of it changes.
    fn note_change(&mut self, block: u32, record: &[u8]) {
        if self.changed.insert(block) {
            self.bytes += self.blocks.get(&block).map_or(0, Block::bytes);
        }
        self.bytes += record.len();
    }

    /// How much there is to write since the last time, in bytes of records.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds the blocks that were changed since the last time to `change`.
    pub(super) fn write(&mut self, change: &mut Change) -> Result<()> {
        for number in std::mem::take(&mut self.changed) {
            if let Some(block) = self.blocks.get(&number) {
                let key = [&self.connection.to_be_bytes()[..], &number.to_be_bytes()];
                BLOCKS.put_bytes(change, &key, block.encode()?);
            }
        }
        change.moves.append(&mut self.moves);
        self.bytes = 0;
        Ok(())
    }

    /// Makes the directory follow, after the commit. Returns the new open block.
    pub(super) fn publish(self) -> u32 {
        self.shards.insert_all(&mut self.added.iter().collect::<Vec<_>>(), |_, _| {});
        self.removed.iter().for_each(|(hash, place)| self.shards.remove(*hash, *place));
        self.shards.note_users(self.come, self.gone);
        self.tail
    }
}
