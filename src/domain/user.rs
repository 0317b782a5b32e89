//! A user: as a row offers it, and as the store gives it back.

use std::borrow::Cow;

use thiserror::Error;

use super::{Email, Timestamp, UserId};

/// A user name in lower case: two spellings of one name are one user.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Username(String);

/// Why a text is no user name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum UsernameFault {
    /// Fewer characters than [`Username::MIN_CHARS`].
    #[error("String is too short ({0} chars), minimum {min}", min = Username::MIN_CHARS)]
    TooShort(usize),
    /// More characters than [`Username::MAX_CHARS`].
    #[error("String is too long ({0} chars), maximum {max}", max = Username::MAX_CHARS)]
    TooLong(usize),
}

impl Username {
    /// Shortest name, in characters.
    pub const MIN_CHARS: usize = 1;
    /// Longest name, in characters.
    pub const MAX_CHARS: usize = 128;

    /// Parses `raw`; the only way to obtain a [`Username`].
    pub fn parse(raw: &str) -> Result<Self, UsernameFault> {
        let lower = raw.to_lowercase();
        match lower.chars().count().max(raw.chars().count()) {
            length if length < Self::MIN_CHARS => Err(UsernameFault::TooShort(length)),
            length if length > Self::MAX_CHARS => Err(UsernameFault::TooLong(length)),
            _ => Ok(Self(lower)),
        }
    }

    /// The name, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A row that has passed every rule that needs no look at other users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// The key by which an existing user is found.
    pub email: Email,
    /// Whether the address is known to be the user's.
    pub email_verified: bool,
    /// Second key, if the row has one.
    pub username: Option<Username>,
    /// JSON text of an object, without blanks between its tokens.
    pub app_metadata: Option<Cow<'a, str>>,
    /// JSON text of an object, without blanks between its tokens.
    pub user_metadata: Option<Cow<'a, str>>,
}

/// A stored user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its id.
    pub id: UserId,
    /// E-mail address, in lower case.
    pub email: String,
    /// Whether the address is known to be the user's.
    pub email_verified: bool,
    /// User name, in lower case.
    pub username: Option<String>,
    /// When it was imported first.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
    /// Whether it may not sign in.
    pub blocked: bool,
    /// JSON text of an object.
    pub app_metadata: Option<String>,
    /// JSON text of an object.
    pub user_metadata: Option<String>,
}
