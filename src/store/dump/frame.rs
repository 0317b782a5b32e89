//! What holds a dump together: its first line, its last one, and the sum over all between.

use serde::{Deserialize, Serialize};

use super::{Counts, Written};
use crate::domain::Timestamp;

/// The name of the format, in the first line of every dump.
const FORMAT: &str = "intake-dump";
/// The version of the format that is written; the only one there is.
const FORMAT_VERSION: u32 = 1;

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Header {
    pub(super) format: String,
    pub(super) version: u32,
    /// Version of the program that wrote it.
    #[serde(default)]
    program: String,
    #[serde(default)]
    written_at: Timestamp,
    /// Number of the last change of the store.
    #[serde(default)]
    pub(super) commit: u64,
}

impl Header {
    pub(super) fn new(written: Written, commit: u64) -> Self {
        Self {
            format: FORMAT.to_owned(),
            version: FORMAT_VERSION,
            program: written.program.to_owned(),
            written_at: written.at,
            commit,
        }
    }

    /// What stands against loading it.
    pub(super) fn refusal(&self) -> Option<String> {
        if self.format != FORMAT {
            Some(format!("its first line names the format \"{}\", not \"{FORMAT}\"", self.format))
        } else if self.version > FORMAT_VERSION {
            Some(format!(
                "it is of version {}, this program knows up to version {FORMAT_VERSION}: use the program it was \
                 made with, or a newer one",
                self.version
            ))
        } else if self.version == 0 {
            Some("there is no version 0".to_owned())
        } else {
            None
        }
    }
}

/// The kind of the last line.
pub(super) const END: &str = "end";

/// The last line, apart from its kind.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct End {
    pub(super) counts: Counts,
    /// CRC-32 of all bytes before this line, as eight hex digits.
    pub(super) crc32: String,
}

impl End {
    pub(super) fn new(counts: &Counts, sum: crc32fast::Hasher) -> Self {
        Self { counts: counts.clone(), crc32: digits(sum) }
    }

    /// What differs from what was read, if anything does.
    pub(super) fn difference(&self, counts: &Counts, sum: crc32fast::Hasher) -> Option<String> {
        let found = digits(sum);
        if self.counts != *counts {
            let kinds = self.counts.keys().chain(counts.keys());
            let of = |counts: &Counts, kind: &String| counts.get(kind).copied().unwrap_or_default();
            let mut other = kinds.filter(|kind| of(&self.counts, kind) != of(counts, kind));
            let kind = other.next()?;
            let (said, read) = (of(&self.counts, kind), of(counts, kind));
            Some(format!(
                "{said} lines of kind {kind} were written, but there are {read}: the dump is damaged"
            ))
        } else if self.crc32 != found {
            Some(format!("the lines before have the sum {found}, not {}: the dump is damaged", self.crc32))
        } else {
            None
        }
    }
}

fn digits(sum: crc32fast::Hasher) -> String {
    format!("{:08x}", sum.finalize())
}
