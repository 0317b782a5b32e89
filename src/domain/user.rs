//! A user: as a row offers it, and as the store gives it back.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
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

/// What people know a user by, besides the keys. `T` is a text, borrowed or owned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile<T> {
    /// Full name.
    pub name: Option<T>,
    /// Short name.
    pub nickname: Option<T>,
    /// First name.
    pub given_name: Option<T>,
    /// Last name.
    pub family_name: Option<T>,
    /// URL of a picture.
    pub picture: Option<T>,
    /// E.164: `+` and digits.
    pub phone_number: Option<T>,
    /// Whether the number is known to be the user's.
    pub phone_verified: Option<bool>,
}

impl<T> Default for Profile<T> {
    fn default() -> Self {
        Self {
            name: None,
            nickname: None,
            given_name: None,
            family_name: None,
            picture: None,
            phone_number: None,
            phone_verified: None,
        }
    }
}

impl<T> Profile<T> {
    /// The same with other texts.
    pub fn map<'a, U>(&'a self, text: impl Fn(&'a T) -> U) -> Profile<U> {
        Profile {
            name: self.name.as_ref().map(&text),
            nickname: self.nickname.as_ref().map(&text),
            given_name: self.given_name.as_ref().map(&text),
            family_name: self.family_name.as_ref().map(&text),
            picture: self.picture.as_ref().map(&text),
            phone_number: self.phone_number.as_ref().map(&text),
            phone_verified: self.phone_verified,
        }
    }

    /// This profile where it says something, and `other` where it does not.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            name: self.name.or(other.name),
            nickname: self.nickname.or(other.nickname),
            given_name: self.given_name.or(other.given_name),
            family_name: self.family_name.or(other.family_name),
            picture: self.picture.or(other.picture),
            phone_number: self.phone_number.or(other.phone_number),
            phone_verified: self.phone_verified.or(other.phone_verified),
        }
    }
}

/// What a user has done here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Activity {
    /// When the user signed in last.
    pub last_login: Option<Timestamp>,
    /// The address that was from.
    pub last_ip: Option<String>,
    /// How often the user has signed in.
    pub logins_count: u64,
    /// When the password was set last.
    pub last_password_reset: Option<Timestamp>,
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
    /// The id the user has had elsewhere.
    pub id: Option<UserId>,
    /// Whether the user may not sign in.
    pub blocked: bool,
    /// Names and the like.
    pub profile: Profile<Cow<'a, str>>,
    /// JSON text of an object, without blanks between its tokens.
    pub app_metadata: Option<Cow<'a, str>>,
    /// JSON text of an object, without blanks between its tokens.
    pub user_metadata: Option<Cow<'a, str>>,
}

impl Candidate<'_> {
    /// The same, with texts of its own.
    pub fn into_owned(self) -> Candidate<'static> {
        let own = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        Candidate {
            profile: self.profile.map(|text| own(text.clone())),
            app_metadata: self.app_metadata.map(own),
            user_metadata: self.user_metadata.map(own),
            ..self
        }
    }

    /// The user it would be; its id is `made` if it brings none.
    pub fn to_user(&self, made: &UserId, now: Timestamp) -> User {
        User {
            id: self.id.as_ref().unwrap_or(made).clone(),
            email: self.email.as_str().to_owned(),
            email_verified: self.email_verified,
            username: self.username.as_ref().map(|name| name.as_str().to_owned()),
            created_at: now,
            updated_at: now,
            blocked: self.blocked,
            profile: self.profile.map(|text| text.clone().into_owned()),
            activity: Activity::default(),
            app_metadata: self.app_metadata.as_deref().map(str::to_owned),
            user_metadata: self.user_metadata.as_deref().map(str::to_owned),
        }
    }
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
    /// When it was imported or made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
    /// Whether it may not sign in.
    pub blocked: bool,
    /// Names and the like.
    pub profile: Profile<String>,
    /// What it has done here.
    pub activity: Activity,
    /// JSON text of an object.
    pub app_metadata: Option<String>,
    /// JSON text of an object.
    pub user_metadata: Option<String>,
}

impl User {
    /// Full name; the address where there is none.
    pub fn name(&self) -> &str {
        self.as_ref().name()
    }

    /// Short name; the part of the address before the `@` where there is none.
    pub fn nickname(&self) -> &str {
        self.as_ref().nickname()
    }
}
