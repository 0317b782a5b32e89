//! Calling the roll: all users of a connection, each of them once, while others change them.
//!
//! A roll call reads block by block and holds nobody up. A user that is changed may move to another block, and
//! might so be met twice, or not at all. Therefore it keeps a bit for each place with a user it has yet to
//! meet, and a commit that moves users moves their bits *before* it happens.
//!
//! **Why that is enough.** A block is read first, then its bits are taken. Where a user moves away between the
//! two, or before, its bit has gone along, so the user is passed over here and met there. Where it moves away
//! after, it was met, and no bit goes along. A bit that arrives before its user does is left alone, and looked
//! at again once that commit is over. A commit that fails after its bits were moved makes the store
//! unavailable, and with it the roll call.
//!
//! Users made after it has begun are not met. It needs two bytes of memory for sixteen users.

use std::ptr;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::Store;
use super::block::{Block, SLOTS};
use super::commit::Core;
use super::connections::number_of;
use super::directory::Place;
use super::error::{Result, StoreError};
use super::record::Record;
use crate::domain::{Connection, UserRef};

/// A user who is elsewhere after a commit, or nowhere.
#[derive(Debug, Clone, Copy)]
pub(super) struct Move {
    pub(super) connection: u32,
    pub(super) from: Place,
    pub(super) to: Option<Place>,
}

/// The roll calls that are going on.
#[derive(Debug, Default)]
pub(super) struct RollCalls(Mutex<Vec<Weak<Left>>>);

impl RollCalls {
    fn begin(&self, left: &Arc<Left>) {
        let mut calls = self.0.lock();
        calls.retain(|call| call.strong_count() > 0);
        calls.push(Arc::downgrade(left));
    }

    /// Tells everybody of the moves of the commit that is about to happen.
    pub(super) fn note(&self, moves: &[Move]) {
        if moves.is_empty() {
            return;
        }
        for left in self.0.lock().iter().filter_map(Weak::upgrade) {
            left.follow(moves);
        }
    }
}

/// The slots with users still to be met, a number for each block of one connection.
#[derive(Debug)]
struct Left {
    connection: u32,
    blocks: Mutex<Vec<u16>>,
}

impl Left {
    fn follow(&self, moves: &[Move]) {
        let mut blocks = self.blocks.lock();
        for Move { from, to, .. } in moves.iter().filter(|one| one.connection == self.connection) {
            let Some(bits) = blocks.get_mut(from.block() as usize).filter(|bits| has(**bits, from.slot()))
            else {
                continue;
            };
            *bits &= !bit(from.slot());
            if let Some(to) = to {
                let number = to.block() as usize;
                if blocks.len() <= number {
                    blocks.resize(number + 1, 0);
                }
                blocks[number] |= bit(to.slot());
            }
        }
    }

    /// The first block from this one on in which somebody is left.
    fn first_from(&self, number: u32) -> Option<u32> {
        let blocks = self.blocks.lock();
        let rest = blocks.get(number as usize..)?;
        let found = rest.iter().position(|bits| *bits != 0)?;
        u32::try_from(found).ok()?.checked_add(number)
    }

    /// Takes the bits of those who are there, and of those who were there at the start and are no more; tells
    /// who is to be met.
    fn take(&self, number: u32, there: u16, at_start: u16) -> u16 {
        let mut blocks = self.blocks.lock();
        let Some(bits) = blocks.get_mut(number as usize) else {
            return 0;
        };
        let met = *bits & there;
        *bits &= !(there | at_start);
        met
    }
}

const fn bit(slot: u32) -> u16 {
    1 << (slot % SLOTS)
}

const fn has(bits: u16, slot: u32) -> bool {
    bits & bit(slot) != 0
}

/// The bits of the first slots, so many of them.
fn first(slots: u32) -> u16 {
    (0..slots.min(SLOTS)).fold(0, |bits, slot| bits | bit(slot))
}

/// A roll call; as an iterator it gives those who are met, one block after the other.
#[derive(Debug)]
pub struct RollCall<'a> {
    store: &'a Store,
    connection: Connection,
    /// The database it began in; after a fault there is another.
    core: Weak<Core>,
    left: Arc<Left>,
    /// The next block to look at.
    next: u32,
    /// The last block at the start, and the slots it had.
    tail: (u32, u16),
}

/// The users of one block who are met.
#[derive(Debug)]
pub struct Met {
    block: Block,
    slots: u16,
}

impl Met {
    /// One after the other, borrowed.
    pub fn users(&self) -> impl Iterator<Item = Result<UserRef<'_>>> {
        let records = self.block.records().filter(|(slot, _)| has(self.slots, *slot));
        records.map(|(_, record)| Ok(Record::decode(record)?.as_user()))
    }
}

impl Store {
    /// Calls the roll of all users a connection has now: each is met once, as it is at that moment, unless
    /// it is deleted before. Nobody is held up. Fails where the connection is deleted or the store reopened.
    pub fn roll_call(&self, connection: &Connection) -> Result<RollCall<'_>> {
        let core = self.core()?;
        let writer = core.writer.lock();
        let last = writer.tails.get(&connection.number).copied().unwrap_or_default();
        let slots = core.block(connection.number, last)?.map_or(0, |block| block.len());
        let tail = (last, first(slots));
        let mut blocks = vec![u16::MAX; last as usize];
        blocks.push(tail.1);
        let left = Arc::new(Left { connection: connection.number, blocks: Mutex::new(blocks) });
        core.roll_calls.begin(&left);
        drop(writer);
        let core = Arc::downgrade(&core);
        Ok(RollCall { store: self, connection: connection.clone(), core, left, next: 0, tail })
    }
}

impl RollCall<'_> {
    /// Blocks there were at the start, and how many of them were looked at.
    pub fn progress(&self) -> (u64, u64) {
        let all = u64::from(self.tail.0) + 1;
        (u64::from(self.next).min(all), all)
    }

    fn next_met(&mut self) -> Result<Option<Met>> {
        loop {
            let core = self.core()?;
            let number = match self.left.first_from(self.next) {
                Some(number) => number,
                None => match self.left.first_from(0) {
                    None => return Ok(None),
                    Some(number) => {
                        // Somebody is on the way there: wait for that commit.
                        drop(core.writer.lock());
                        number
                    }
                },
            };
            self.next = number.saturating_add(1);
            let block = core.block(self.connection.number, number)?.unwrap_or_default();
            let there = block.records().fold(0, |bits, (slot, _)| bits | bit(slot));
            let slots = self.left.take(number, there, self.at_start(number));
            if slots != 0 {
                return Ok(Some(Met { block, slots }));
            }
        }
    }

    /// The slots a block had at the start, used or not.
    fn at_start(&self, number: u32) -> u16 {
        let (last, slots) = self.tail;
        match number {
            number if number < last => u16::MAX,
            number if number == last => slots,
            _ => 0,
        }
    }

    fn core(&self) -> Result<Arc<Core>> {
        let core = self.store.core()?;
        if !ptr::eq(Arc::as_ptr(&core), self.core.as_ptr()) {
            return Err(StoreError::Unavailable);
        }
        match number_of(&core, &self.connection.id) {
            Some(number) if number == self.connection.number => Ok(core),
            _ => Err(StoreError::ConnectionGone(self.connection.name.clone())),
        }
    }
}

impl Iterator for RollCall<'_> {
    type Item = Result<Met>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_met().transpose()
    }
}
