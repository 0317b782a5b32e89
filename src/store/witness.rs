//! The witness: a small file that remembers the last acknowledged commit, beside the database.
//!
//! After a power cut a log may end early and still open without complaint. The witness knows how far
//! it should have gone.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use super::error::{Result, StoreError};
use super::loss::{Loss, OnLoss};
use crate::files::open_if_there;

/// What is remembered of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seal {
    pub(super) commit: u64,
    pub(super) crc: u32,
}

/// Two slots, written in turn, so that a torn write leaves the older one.
#[derive(Debug)]
pub(super) struct Witness {
    file: File,
    /// Which slot is the older one.
    older: AtomicU64,
}

pub(super) const FILE: &str = "witness";
const SLOTS: [u64; 2] = [0, 1];
const SLOT_BYTES: usize = 16;
const SLOT_DISTANCE: u64 = 512;

impl Witness {
    /// Opens the file in the data directory and refuses a database that ends before the last acknowledged commit,
    /// unless that is accepted: then nothing is written until [`Witness::restart`].
    pub(super) fn open(directory: &Path, found: Seal, on_loss: OnLoss) -> Result<(Self, Option<Loss>)> {
        let path = directory.join(FILE);
        let witness =
            Self::of(OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?)?;
        match witness.last()? {
            Some(seen) if seen.commit > found.commit && on_loss == OnLoss::Accept => {
                let loss = Loss { found: found.commit, acknowledged: seen.commit, kept: Vec::new() };
                Ok((witness, Some(loss)))
            }
            Some(seen) if seen.commit > found.commit => {
                Err(StoreError::Lost { found: found.commit, acknowledged: seen.commit })
            }
            Some(seen) if seen.commit == found.commit && seen.crc != found.crc => {
                Err(StoreError::WitnessDisagrees(found.commit))
            }
            _ => {
                witness.record(found)?;
                Ok((witness, None))
            }
        }
    }

    /// The last commit acknowledged in this directory; 0 if there never was one.
    pub(super) fn acknowledged(directory: &Path) -> Result<u64> {
        let witness = Self::read(directory)?;
        let last = witness.map(|witness| witness.last()).transpose()?.flatten();
        Ok(last.map_or(0, |seal| seal.commit))
    }

    /// How many of its two seals are whole; `None` if there is no witness.
    pub(super) fn seals(directory: &Path) -> Result<Option<usize>> {
        let witness = Self::read(directory)?;
        let seals = witness.map(|witness| witness.slots()).transpose()?;
        Ok(seals.map(|seals| seals.into_iter().flatten().count()))
    }

    fn read(directory: &Path) -> Result<Option<Self>> {
        open_if_there(&directory.join(FILE))?.map(Self::of).transpose()
    }

    fn of(file: File) -> Result<Self> {
        let witness = Self { file, older: AtomicU64::new(0) };
        let [first, second] = witness.slots()?.map(|seal| seal.map_or(0, |seal| seal.commit));
        witness.older.store(u64::from(second < first), Ordering::Relaxed);
        Ok(witness)
    }

    /// Remembers `seal`, durably.
    pub(super) fn record(&self, seal: Seal) -> Result<()> {
        let slot = self.older.fetch_xor(1, Ordering::Relaxed);
        self.file.write_all_at(&encode(seal), slot * SLOT_DISTANCE)?;
        Ok(self.file.sync_data()?)
    }

    /// Forgets every commit that was seen, and remembers `seal`.
    pub(super) fn restart(&self, seal: Seal) -> Result<()> {
        self.file.set_len(0)?;
        self.record(seal)
    }

    fn last(&self) -> Result<Option<Seal>> {
        Ok(self.slots()?.into_iter().flatten().max_by_key(|seal| seal.commit))
    }

    /// The seals that are whole. It is an error, and no seal that is missing, if the disk does not give them.
    fn slots(&self) -> Result<[Option<Seal>; 2]> {
        let mut seals = [None; 2];
        for (seal, slot) in seals.iter_mut().zip(SLOTS) {
            let mut bytes = [0; SLOT_BYTES];
            match self.file.read_exact_at(&mut bytes, slot * SLOT_DISTANCE) {
                Ok(()) => *seal = decode(bytes),
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(seals)
    }
}

fn encode(seal: Seal) -> [u8; SLOT_BYTES] {
    let mut bytes = [0; SLOT_BYTES];
    bytes[..8].copy_from_slice(&seal.commit.to_be_bytes());
    bytes[8..12].copy_from_slice(&seal.crc.to_be_bytes());
    let check = crc32fast::hash(&bytes[..12]);
    bytes[12..].copy_from_slice(&check.to_be_bytes());
    bytes
}

fn decode(bytes: [u8; SLOT_BYTES]) -> Option<Seal> {
    let (commit, rest) = bytes.split_first_chunk()?;
    let seal = Seal { commit: u64::from_be_bytes(*commit), crc: u32::from_be_bytes(*rest.first_chunk()?) };
    (encode(seal) == bytes).then_some(seal)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may")]
mod tests {
    use super::*;

    /// However far the commits are apart.
    #[test]
    fn a_torn_write_leaves_the_seal_before() {
        for step in 1..=4 {
            let directory = tempfile::tempdir().unwrap();
            let mut before = Seal { commit: 7, crc: 1 };
            Witness::open(directory.path(), before, OnLoss::Refuse).unwrap();
            for number in 1..=5 {
                let witness = Witness::of(
                    File::options().read(true).write(true).open(directory.path().join(FILE)).unwrap(),
                )
                .unwrap();
                let seal = Seal { commit: 7 + number * step, crc: 1 };
                witness.record(seal).unwrap();
                assert_eq!(witness.last().unwrap(), Some(seal));
                let slot = 1 - witness.older.load(Ordering::Relaxed);
                witness.file.write_all_at(&[0xff; 5], slot * SLOT_DISTANCE).unwrap();
                assert_eq!(witness.last().unwrap(), Some(before), "step {step}");
                witness.older.store(slot, Ordering::Relaxed);
                witness.record(seal).unwrap();
                before = seal;
            }
        }
    }
}
