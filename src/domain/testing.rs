//! Where tests find public collections of test cases, and chance that comes out the same each time.

use std::path::{Path, PathBuf};

/// A public collection of test cases beside the repository; they are not part of it.
///
/// `None`, with a word on the terminal, where there is none. `INTAKE_SHARED` says where else.
pub(crate) fn corpus(name: &str) -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let shared = std::env::var_os("INTAKE_SHARED").map_or_else(beside, PathBuf::from);
    let path = shared.join("corpora").join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: there is no {}; set INTAKE_SHARED", path.display());
    None
}

/// Chance that depends on nothing but where it starts.
#[derive(Debug, Clone)]
pub(crate) struct Chance(u64);

impl Chance {
    /// The same for the same bytes.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        Self(bytes.iter().fold(0xcbf2_9ce4_8422_2325, mix))
    }

    /// Any number.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() >> 32).unwrap_or(0) % end
    }
}

/// The bytes in pieces of a few, cut at places that depend on nothing but the bytes.
pub(crate) fn pieces(bytes: &[u8]) -> Vec<&[u8]> {
    let mut chance = Chance::of(bytes);
    // Some come byte by byte, others in larger pieces.
    let longest = [1, 3, 17, 200][chance.below(4)];
    let (mut pieces, mut rest) = (Vec::new(), bytes);
    while !rest.is_empty() {
        let (piece, others) = rest.split_at(rest.len().min(1 + chance.below(longest)));
        pieces.push(piece);
        rest = others;
    }
    pieces
}
