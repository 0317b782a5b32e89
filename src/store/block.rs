//! A block: up to sixteen users stored as one value.
//!
//! As bytes: a tag, then LZ4 (size first) of the number of slots (u16), the end of each record (u32),
//! and the records back to back. An empty record is a deleted slot; slots never move.

use super::error::{Result, StoreError};

/// Slots in a block.
pub(super) const SLOTS: u32 = 16;
/// Above this many bytes of records a block takes no further one.
const FULL_BYTES: usize = 32 << 10;
/// No block grows beyond this many bytes of records, so that sixteen of them fit into a database node.
const MAX_BYTES: usize = 100 << 10;
/// Nothing larger than this comes out of a block that we wrote.
const MAX_RAW_BYTES: usize = 1 << 20;

const TAG: u8 = 1;

/// Records of users, in slots.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Block {
    ends: Vec<u32>,
    records: Vec<u8>,
}

impl Block {
    /// Slots in use, deleted ones included.
    pub(super) fn len(&self) -> u32 {
        u32::try_from(self.ends.len()).unwrap_or(u32::MAX)
    }

    /// Bytes of all records.
    pub(super) fn bytes(&self) -> usize {
        self.records.len()
    }

    /// The record in a slot, unless it is deleted or was never used.
    pub(super) fn record(&self, slot: u32) -> Option<&[u8]> {
        let slot = usize::try_from(slot).ok()?;
        let record = &self.records[self.start(slot)..usize::try_from(*self.ends.get(slot)?).ok()?];
        (!record.is_empty()).then_some(record)
    }

    /// All records with their slots.
    pub(super) fn records(&self) -> impl Iterator<Item = (u32, &[u8])> {
        (0..self.len()).filter_map(|slot| Some((slot, self.record(slot)?)))
    }

    /// Whether a further record of this many bytes may go in.
    pub(super) fn has_room_for(&self, bytes: usize) -> bool {
        self.ends.is_empty() || (self.len() < SLOTS && self.records.len() + bytes <= FULL_BYTES)
    }

    /// Adds a record and tells its slot.
    pub(super) fn push(&mut self, record: &[u8]) -> u32 {
        if self.ends.is_empty() {
            // The others will be about as long.
            let slots = SLOTS as usize;
            self.ends.reserve_exact(slots);
            self.records.reserve_exact((record.len() * slots * 5 / 4).min(FULL_BYTES.max(record.len())));
        }
        self.records.extend_from_slice(record);
        self.ends.push(u32::try_from(self.records.len()).unwrap_or(u32::MAX));
        self.len() - 1
    }

    /// Puts `record` into a used slot, unless the block would grow too large by it.
    pub(super) fn replace(&mut self, slot: u32, record: &[u8]) -> bool {
        let Ok(slot) = usize::try_from(slot) else {
            return false;
        };
        let (start, end) = (self.start(slot), self.ends[slot] as usize);
        let others = self.records.len() - (end - start);
        if others > 0 && others + record.len() > MAX_BYTES {
            return false;
        }
        self.records.splice(start..end, record.iter().copied());
        for later in &mut self.ends[slot..] {
            *later = u32::try_from(*later as usize - (end - start) + record.len()).unwrap_or(u32::MAX);
        }
        true
    }

    /// Empties a slot.
    pub(super) fn delete(&mut self, slot: u32) {
        self.replace(slot, &[]);
    }

    fn start(&self, slot: usize) -> usize {
        slot.checked_sub(1).map_or(0, |before| self.ends[before] as usize)
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>> {
        let mut raw = Vec::with_capacity(2 + 4 * self.ends.len() + self.records.len());
        raw.extend(u16::try_from(self.ends.len()).unwrap_or(u16::MAX).to_le_bytes());
        raw.extend(self.ends.iter().flat_map(|end| end.to_le_bytes()));
        raw.extend_from_slice(&self.records);
        compress(&raw)
    }

    pub(super) fn decode(value: &[u8]) -> Result<Self> {
        let raw = decompress(value)?;
        let (count, rest) = raw.split_first_chunk::<2>().ok_or_else(damaged)?;
        let (ends, records) =
            rest.split_at_checked(4 * usize::from(u16::from_le_bytes(*count))).ok_or_else(damaged)?;
        let ends: Vec<u32> = ends.as_chunks().0.iter().map(|end| u32::from_le_bytes(*end)).collect();
        let whole = ends.last().map_or(0, |end| *end as usize) == records.len();
        if ends.len() <= SLOTS as usize && ends.is_sorted() && whole {
            Ok(Self { ends, records: records.to_vec() })
        } else {
            Err(damaged())
        }
    }
}

/// A tag, then LZ4 with the size first.
pub(super) fn compress(raw: &[u8]) -> Result<Vec<u8>> {
    let mut value = vec![0; 5 + lz4_flex::block::get_maximum_output_size(raw.len())];
    value[0] = TAG;
    value[1..5].copy_from_slice(&u32::try_from(raw.len()).unwrap_or(u32::MAX).to_le_bytes());
    let length = lz4_flex::block::compress_into(raw, &mut value[5..])
        .map_err(|error| StoreError::Corrupt(format!("a block does not encode: {error}")))?;
    value.truncate(5 + length);
    Ok(value)
}

/// The opposite of [`compress`]; anything else is an error, never a panic.
pub(super) fn decompress(value: &[u8]) -> Result<Vec<u8>> {
    let (&tag, rest) = value.split_first().ok_or_else(damaged)?;
    let (size, packed) = rest.split_first_chunk::<4>().ok_or_else(damaged)?;
    let size = u32::from_le_bytes(*size) as usize;
    if tag != TAG || size > MAX_RAW_BYTES {
        return Err(damaged());
    }
    let raw = lz4_flex::block::decompress(packed, size).map_err(|_| damaged())?;
    if raw.len() == size { Ok(raw) } else { Err(damaged()) }
}

fn damaged() -> StoreError {
    StoreError::Corrupt("a block does not decode".to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sixteen_of_the_largest_users_come_back() {
        let mut block = Block::default();
        for user in 0..SLOTS {
            let record: Vec<u8> = (0..6 << 10).map(|at: u32| (at * (user + 7) % 251) as u8).collect();
            assert_eq!(block.push(&record), user);
        }
        assert_eq!(Block::decode(&block.encode().unwrap()).unwrap(), block);
        assert!(!block.has_room_for(1));
    }

    #[test]
    fn a_deleted_slot_stays_and_the_others_keep_theirs() {
        let mut block = Block::default();
        for record in [b"ann".as_slice(), b"bob", b"cy"] {
            block.push(record);
        }
        block.delete(1);
        assert!(block.replace(0, b"annabel"));
        let block = Block::decode(&block.encode().unwrap()).unwrap();
        assert_eq!(block.records().collect::<Vec<_>>(), [(0, b"annabel".as_slice()), (2, b"cy")]);
        assert_eq!((block.len(), block.record(1), block.record(3)), (3, None, None));
    }

    #[test]
    fn a_block_refuses_to_grow_beyond_what_a_node_can_hold() {
        let mut block = Block::default();
        block.push(&vec![b'a'; 20 << 10]);
        assert!(!block.has_room_for(13 << 10));
        block.push(b"small");
        assert!(block.replace(1, &vec![b'b'; 80 << 10]));
        assert!(!block.replace(1, &vec![b'c'; 81 << 10]));
        assert_eq!(
            block.record(1),
            Some(vec![b'b'; 80 << 10].as_slice()),
            "a refused change changes nothing"
        );
    }

    #[test]
    fn a_damaged_value_is_an_error() {
        let mut block = Block::default();
        block.push(b"somebody");
        let good = block.encode().unwrap();
        for cut in 0..good.len() {
            assert!(Block::decode(&good[..cut]).is_err(), "cut after {cut} bytes");
        }
        let mut other_tag = good.clone();
        other_tag[0] = 9;
        assert!(Block::decode(&other_tag).is_err());
        let mut huge = good;
        huge[1..5].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(Block::decode(&huge).is_err());
    }

    proptest! {
        #[test]
        fn decoding_anything_is_an_answer(value in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Block::decode(&value);
            let mut tagged = vec![TAG, 40, 0, 0, 0];
            tagged.extend(value);
            let _ = Block::decode(&tagged);
        }
    }
}
