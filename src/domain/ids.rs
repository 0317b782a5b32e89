//! The ids of the API, each its own type, and where the ids of imported users come from.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Timestamp, UserId, UserIdRef};

/// A text that is not an id of the wanted kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("String does not match pattern {0}")]
pub struct InvalidId(
    /// The pattern it should match, as a regular expression.
    pub &'static str,
);

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Defines an id of the form prefix + 16 letters or digits.
macro_rules! short_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// What every such id looks like, as a regular expression.
            pub const PATTERN: &'static str = concat!("^", $prefix, "[A-Za-z0-9]{16}$");

            /// An id made of random bytes.
            pub fn from_entropy(entropy: [u8; 16]) -> Self {
                let text = entropy.iter().map(|b| char::from(ALPHABET[usize::from(*b) % 62]));
                Self($prefix.chars().chain(text).collect())
            }

            /// The whole id, prefix included.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let rest = text.strip_prefix($prefix).ok_or(InvalidId(Self::PATTERN))?;
                let well_formed = rest.len() == 16 && rest.bytes().all(|b| b.is_ascii_alphanumeric());
                if well_formed { Ok(Self(text.to_owned())) } else { Err(InvalidId(Self::PATTERN)) }
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

short_id!(
    /// The id of a job.
    JobId,
    "job_"
);
short_id!(
    /// The id of a backup that was asked for by the API, and the name of its directory.
    BackupId,
    "backup_"
);
short_id!(
    /// The id of a connection.
    ConnectionId,
    "con_"
);

short_id!(
    /// The id of a client's grant.
    GrantId,
    "cgr_"
);
short_id!(
    /// The id of a log stream.
    StreamId,
    "lst_"
);

/// The ids of one job's users: four bytes of time, then random bits plus the row's number.
///
/// A row gets the same id however often its job is cut short and resumed, and an id tells which
/// row of the job it was made for; that is how the second row of a user is recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdSeries {
    seconds: u32,
    base: u64,
}

impl IdSeries {
    /// A series that starts at `time`; `entropy` keeps it apart from the others of that second.
    pub fn new(time: Timestamp, entropy: [u8; 8]) -> Self {
        // 24 low bits are left to the row number; a longer file carries on into the random ones.
        const RANDOM_BITS: u64 = !0xff_ffff;
        #[expect(clippy::cast_possible_truncation, reason = "an id has room for four bytes of time")]
        let seconds = time.seconds() as u32;
        Self { seconds, base: u64::from_be_bytes(entropy) & RANDOM_BITS }
    }

    /// The series whose first id this is; `None` if it is none that was made here.
    pub fn beginning_with(first: UserIdRef) -> Option<Self> {
        let UserIdRef::Made(bytes) = first else { return None };
        let (seconds, base) = bytes.split_first_chunk::<4>()?;
        Some(Self { seconds: u32::from_be_bytes(*seconds), base: u64::from_be_bytes(base.try_into().ok()?) })
    }

    /// The id for the row with this number.
    pub fn id(&self, row: u64) -> UserId {
        let mut bytes = [0; 12];
        bytes[..4].copy_from_slice(&self.seconds.to_be_bytes());
        bytes[4..].copy_from_slice(&self.base.wrapping_add(row).to_be_bytes());
        UserId::from_bytes(bytes)
    }

    /// Which of the job's first `rows` rows the id was made for, if any.
    pub fn row_of(&self, id: UserIdRef, rows: u64) -> Option<u64> {
        let UserIdRef::Made(bytes) = id else { return None };
        let (seconds, rest) = bytes.split_first_chunk::<4>()?;
        let number = u64::from_be_bytes(rest.try_into().ok()?).wrapping_sub(self.base);
        (*seconds == self.seconds.to_be_bytes() && number < rows).then_some(number)
    }
}
