//! A user as bytes: the keys first, because the rebuild at start reads only those.

use serde::{Deserialize, Serialize};

use super::directory::{Key, KeyHasher};
use super::error::{Result, StoreError};
use crate::domain::{
    Activity, Candidate, Profile, Ticket, Timestamp, User, UserId, UserIdRef, UserRef, Username,
};

/// What a user is found by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Keys<'a> {
    pub(super) email: &'a str,
    pub(super) email_verified: bool,
    pub(super) username: Option<&'a str>,
    #[serde(borrow)]
    pub(super) id: UserIdRef<'a>,
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

/// A job's row that changed a user who was there before, or made one with an id of its own.
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

/// What a user has done; only those have it who have done something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Done<'a> {
    last_login: Option<Timestamp>,
    last_ip: Option<&'a str>,
    logins_count: u64,
    last_password_reset: Option<Timestamp>,
}

/// Everything stored of a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record<'a> {
    #[serde(borrow)]
    pub(super) keys: Keys<'a>,
    pub(super) created_at: Timestamp,
    pub(super) updated_at: Timestamp,
    pub(super) blocked: bool,
    /// One byte for the many who have none.
    #[serde(borrow)]
    pub(super) profile: Option<Profile<&'a str>>,
    #[serde(borrow)]
    pub(super) done: Option<Done<'a>>,
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

    /// The user as it is stored.
    pub(super) fn of(user: &'a User, touches: Vec<Touch>) -> Self {
        let Activity { last_login, last_ip, logins_count, last_password_reset } = &user.activity;
        let done = Done {
            last_login: *last_login,
            last_ip: last_ip.as_deref(),
            logins_count: *logins_count,
            last_password_reset: *last_password_reset,
        };
        Self {
            keys: Keys {
                email: &user.email,
                email_verified: user.email_verified,
                username: user.username.as_deref(),
                id: user.id.as_ref(),
            },
            created_at: user.created_at,
            updated_at: user.updated_at,
            blocked: user.blocked,
            profile: unless_empty(user.profile.map(String::as_str)),
            done: unless_empty(done),
            app_metadata: user.app_metadata.as_deref(),
            user_metadata: user.user_metadata.as_deref(),
            touches,
        }
    }

    pub(super) fn to_user(&self) -> User {
        self.as_user().to_user()
    }

    /// The user, borrowed.
    pub(super) fn as_user(&self) -> UserRef<'a> {
        let done = self.done.unwrap_or_default();
        UserRef {
            id: self.keys.id,
            email: self.keys.email,
            email_verified: self.keys.email_verified,
            username: self.keys.username,
            created_at: self.created_at,
            updated_at: self.updated_at,
            blocked: self.blocked,
            profile: self.profile.clone().unwrap_or_default(),
            last_login: done.last_login,
            last_ip: done.last_ip,
            logins_count: done.logins_count,
            last_password_reset: done.last_password_reset,
            app_metadata: self.app_metadata,
            user_metadata: self.user_metadata,
        }
    }
}

fn unless_empty<T: Default + PartialEq>(value: T) -> Option<T> {
    Some(value).filter(|value| *value != T::default())
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
    /// Whether the id was brought along, and may be anybody's.
    pub(super) has_given_id: bool,
}

impl Draft {
    /// A user to be, whose id is `made` if it brings none. `row` is the job's row it comes from, if it does.
    pub(super) fn new(
        hasher: &KeyHasher,
        candidate: &Candidate,
        made: &UserId,
        row: Option<(Ticket, u64)>,
        now: Timestamp,
    ) -> Result<Self> {
        let keys = Keys {
            email: candidate.email.as_str(),
            email_verified: candidate.email_verified,
            username: candidate.username.as_ref().map(Username::as_str),
            id: candidate.id.as_ref().unwrap_or(made).as_ref(),
        };
        // An id of the job's own tells the row by itself.
        let row = row.filter(|_| candidate.id.is_some());
        let touch = row.map(|(ticket, row)| Touch { ticket, row, named: keys.username.is_some() });
        let record = Record {
            keys,
            created_at: now,
            updated_at: now,
            blocked: candidate.blocked,
            profile: unless_empty(candidate.profile.map(|text| &**text)),
            done: None,
            app_metadata: candidate.app_metadata.as_deref(),
            user_metadata: candidate.user_metadata.as_deref(),
            touches: touch.into_iter().collect(),
        };
        Ok(Self {
            record: record.encode()?,
            email: hasher.hash(Key::Email(keys.email)),
            username: keys.username.map(|name| hasher.hash(Key::Username(name))),
            id: hasher.hash(Key::Id(keys.id)),
            has_given_id: candidate.id.is_some(),
        })
    }

    /// What the directory knows the user by.
    pub(super) fn hashes(&self) -> impl Iterator<Item = u64> {
        [Some(self.email), self.username, Some(self.id)].into_iter().flatten()
    }
}
