//! The witness: a small file that remembers the last acknowledged commit, beside the database.
//!
//! After a power cut a log may end early and still open without complaint. The witness knows how far
//! it should have gone.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::error::{Result, StoreError};

/// What is remembered of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seal {
    pub(super) commit: u64,
    pub(super) crc: u32,
}

/// Two slots, written in turn, so that a torn write leaves the older one.
#[derive(Debug)]
pub(super) struct Witness(File);

const FILE: &str = "witness";
const SLOT_BYTES: usize = 16;
const SLOT_DISTANCE: u64 = 512;

impl Witness {
    /// Opens the file in the data directory and refuses a database that ends before the last acknowledged commit.
    pub(super) fn open(directory: &Path, found: Seal) -> Result<Self> {
        let path = directory.join(FILE);
        let witness =
            Self(OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?);
        match witness.last() {
            Some(seen) if seen.commit > found.commit => {
                Err(StoreError::Lost { found: found.commit, acknowledged: seen.commit })
            }
            Some(seen) if seen.commit == found.commit && seen.crc != found.crc => {
                Err(StoreError::Corrupt(format!(
                    "the database and its witness disagree about commit {}: they are not from one data directory",
                    found.commit
                )))
            }
            _ => {
                witness.record(found)?;
                Ok(witness)
            }
        }
    }

    /// The last commit acknowledged in this directory; 0 if there never was one.
    pub(super) fn acknowledged(directory: &Path) -> u64 {
        let witness = File::open(directory.join(FILE)).map(Self);
        witness.ok().and_then(|witness| witness.last()).map_or(0, |seal| seal.commit)
    }

    /// Remembers `seal`, durably.
    pub(super) fn record(&self, seal: Seal) -> Result<()> {
        self.0.write_all_at(&encode(seal), seal.commit % 2 * SLOT_DISTANCE)?;
        Ok(self.0.sync_data()?)
    }

    fn last(&self) -> Option<Seal> {
        [0, SLOT_DISTANCE].into_iter().filter_map(|at| self.slot(at)).max_by_key(|seal| seal.commit)
    }

    fn slot(&self, at: u64) -> Option<Seal> {
        let mut bytes = [0; SLOT_BYTES];
        self.0.read_exact_at(&mut bytes, at).ok()?;
        let (commit, rest) = bytes.split_first_chunk()?;
        let seal =
            Seal { commit: u64::from_be_bytes(*commit), crc: u32::from_be_bytes(*rest.first_chunk()?) };
        (encode(seal) == bytes).then_some(seal)
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
