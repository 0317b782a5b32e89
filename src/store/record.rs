//! A user as bytes: the keys first, because the rebuild at start reads only those.

use serde::{Deserialize, Serialize};

use super::directory::{Key, KeyHasher};
use super::error::{Result, StoreError};
use crate::domain::{Candidate, Ticket, Timestamp, User, UserId, Username};

/// What a user is found by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Keys<'a> {
    pub(super) email: &'a str,
    pub(super) email_verified: bool,
    pub(super) username: Option<&'a str>,
    pub(super) id: UserId,
}

impl<'a> Keys<'a> {
    /// Reads the keys and leaves the rest alone.
    pub(super) fn decode(record: &'a [u8]) -> Result<Self> {
        postcard::take_from_bytes(record).map(|(keys, _)| keys).map_err(|error| undecodable(&error))
    }

    /// The keys, each with its kind.
    pub(super) fn each(&'a self) -> impl Iterator<Item = Key<'a>> {
        [Some(Key::Email(self.email)), self.username.map(Key::Username), Some(Key::Id(self.id))]
            .into_iter()
            .flatten()
    }
}

/// A job's row that changed a user who was there before.
///
/// It is kept until no unfinished job can ask for it: it is how a second row for the same user is
/// recognised, also after a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Touch {
    pub(super) ticket: Ticket,
    pub(super) row: u64,
    /// Whether the row named the user by its own user name, too.
    pub(super) named: bool,
}

/// Everything stored of a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record<'a> {
    #[serde(borrow)]
    pub(super) keys: Keys<'a>,
    pub(super) created_at: u64,
    pub(super) updated_at: u64,
    pub(super) blocked: bool,
    pub(super) app_metadata: Option<&'a str>,
    pub(super) user_metadata: Option<&'a str>,
    pub(super) touches: Vec<Touch>,
}

impl<'a> Record<'a> {
    pub(super) fn decode(record: &'a [u8]) -> Result<Self> {
        postcard::from_bytes(record).map_err(|error| undecodable(&error))
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>> {
        let room = 64
            + self.keys.email.len()
            + self.app_metadata.map_or(0, str::len)
            + self.user_metadata.map_or(0, str::len);
        postcard::to_extend(self, Vec::with_capacity(room))
            .map_err(|error| StoreError::Corrupt(format!("a user does not encode: {error}")))
    }

    pub(super) fn to_user(&self) -> User {
        User {
            id: self.keys.id,
            email: self.keys.email.to_owned(),
            email_verified: self.keys.email_verified,
            username: self.keys.username.map(str::to_owned),
            created_at: Timestamp::from_millis(self.created_at),
            updated_at: Timestamp::from_millis(self.updated_at),
            blocked: self.blocked,
            app_metadata: self.app_metadata.map(str::to_owned),
            user_metadata: self.user_metadata.map(str::to_owned),
        }
    }
}

fn undecodable(error: &postcard::Error) -> StoreError {
    StoreError::Corrupt(format!("a user does not decode: {error}"))
}

/// A row made ready outside the writer's lock: encoded, and its keys hashed.
#[derive(Debug)]
pub struct Draft {
    pub(super) record: Vec<u8>,
    pub(super) email: u64,
    pub(super) username: Option<u64>,
    pub(super) id: u64,
}

impl Draft {
    pub(super) fn new(hasher: &KeyHasher, candidate: &Candidate, id: UserId, now: Timestamp) -> Result<Self> {
        let keys = Keys {
            email: candidate.email.as_str(),
            email_verified: candidate.email_verified,
            username: candidate.username.as_ref().map(Username::as_str),
            id,
        };
        let record = Record {
            keys,
            created_at: now.millis(),
            updated_at: now.millis(),
            blocked: false,
            app_metadata: candidate.app_metadata.as_deref(),
            user_metadata: candidate.user_metadata.as_deref(),
            touches: Vec::new(),
        };
        Ok(Self {
            record: record.encode()?,
            email: hasher.hash(Key::Email(keys.email)),
            username: keys.username.map(|name| hasher.hash(Key::Username(name))),
            id: hasher.hash(Key::Id(id)),
        })
    }
}
