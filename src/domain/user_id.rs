//! The id of a user: made here, or brought along.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The id of a user; `auth0|` and a text to the outside.
///
/// Those made here have 24 hex digits. A text of that form that somebody brings along is the same id.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UserId(Form);

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Form {
    Made([u8; 12]),
    Given(Box<str>),
}

/// An id that somebody else holds; as the store keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum UserIdRef<'a> {
    /// One of 24 hex digits.
    Made([u8; 12]),
    /// Any other text.
    Given(&'a str),
}

/// Why a text is no id of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum UserIdFault {
    /// There is nothing after the prefix.
    #[error("String is too short (0 chars), minimum 1")]
    Empty,
    /// More characters than [`UserId::MAX_CHARS`].
    #[error("String is too long ({0} chars), maximum {max}", max = UserId::MAX_CHARS)]
    TooLong(usize),
    /// There is a blank in it.
    #[error(r"String does not match pattern ^\S*$")]
    Blank,
    /// It does not begin with [`UserId::PREFIX`].
    #[error(r"String does not match pattern ^auth0\|\S+$")]
    OtherProvider,
}

impl UserId {
    /// What stands before the text in `user_id`.
    pub const PREFIX: &'static str = "auth0|";
    /// Longest text, in characters, without the prefix.
    pub const MAX_CHARS: usize = 255;

    /// Longest text with the prefix, in characters.
    pub const MAX_TEXT_CHARS: usize = Self::PREFIX.len() + Self::MAX_CHARS;

    /// From its twelve bytes.
    pub const fn from_bytes(bytes: [u8; 12]) -> Self {
        Self(Form::Made(bytes))
    }

    /// Reads an id with or without its prefix, as people write it in files.
    pub fn parse_given(text: &str) -> Result<Self, UserIdFault> {
        Self::of_bare(text.strip_prefix(Self::PREFIX).unwrap_or(text))
    }

    fn of_bare(text: &str) -> Result<Self, UserIdFault> {
        match text.chars().count() {
            0 => Err(UserIdFault::Empty),
            long if Self::MAX_CHARS < long => Err(UserIdFault::TooLong(long)),
            _ if text.chars().any(char::is_whitespace) => Err(UserIdFault::Blank),
            _ => Ok(Self(digits(text).map_or_else(|| Form::Given(text.into()), Form::Made))),
        }
    }

    /// The text without the prefix.
    pub fn bare(&self) -> Cow<'_, str> {
        self.as_ref().bare()
    }

    /// The id, borrowed.
    pub fn as_ref(&self) -> UserIdRef<'_> {
        match &self.0 {
            Form::Made(bytes) => UserIdRef::Made(*bytes),
            Form::Given(text) => UserIdRef::Given(text),
        }
    }
}

impl<'a> UserIdRef<'a> {
    /// The text without the prefix.
    pub fn bare(self) -> Cow<'a, str> {
        match self {
            Self::Made(bytes) => Cow::Owned(hex(bytes)),
            Self::Given(text) => Cow::Borrowed(text),
        }
    }

    /// The id as one's own.
    pub fn to_owned(self) -> UserId {
        UserId(match self {
            Self::Made(bytes) => Form::Made(bytes),
            Self::Given(text) => Form::Given(text.into()),
        })
    }
}

fn hex(bytes: [u8; 12]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

/// The bytes that 24 hex digits in lower case stand for.
fn digits(text: &str) -> Option<[u8; 12]> {
    let digits = text.as_bytes();
    if digits.len() != 24 {
        return None;
    }
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; 12];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = value(pair[0])? << 4 | value(pair[1])?;
    }
    Some(bytes)
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_ref().fmt(f)
    }
}

impl fmt::Display for UserIdRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", UserId::PREFIX, self.bare())
    }
}

impl FromStr for UserId {
    type Err = UserIdFault;
    fn from_str(text: &str) -> Result<Self, UserIdFault> {
        Self::of_bare(text.strip_prefix(Self::PREFIX).ok_or(UserIdFault::OtherProvider)?)
    }
}

impl TryFrom<String> for UserId {
    type Error = UserIdFault;
    fn try_from(text: String) -> Result<Self, UserIdFault> {
        text.parse()
    }
}

impl From<UserId> for String {
    fn from(id: UserId) -> Self {
        id.to_string()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may")]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, shown: Result<&str, UserIdFault>) {
        let given = UserId::parse_given(text).map(|id| id.to_string());
        assert_eq!(given, shown.map(str::to_owned));
    }

    #[test]
    fn an_id_has_its_prefix_once_however_it_is_given() {
        check("5a9d0e50c55b3650a5c9fff9", Ok("auth0|5a9d0e50c55b3650a5c9fff9"));
        check("auth0|5a9d0e50c55b3650a5c9fff9", Ok("auth0|5a9d0e50c55b3650a5c9fff9"));
        check("legacy-17", Ok("auth0|legacy-17"));
        check("auth0|legacy-17", Ok("auth0|legacy-17"));
        check("google-oauth2|1", Ok("auth0|google-oauth2|1"));
    }

    #[test]
    fn an_id_has_bounds_and_no_blanks() {
        check("", Err(UserIdFault::Empty));
        check("auth0|", Err(UserIdFault::Empty));
        check(&"ü".repeat(255), Ok(&format!("auth0|{}", "ü".repeat(255))));
        check(&"ü".repeat(256), Err(UserIdFault::TooLong(256)));
        check("a b", Err(UserIdFault::Blank));
        check("a\u{a0}b", Err(UserIdFault::Blank));
    }

    #[test]
    fn digits_in_lower_case_are_an_id_made_here_and_no_others_are() {
        let form = |text: &str| UserId::parse_given(text).unwrap();
        let made = form("5a9d0e50c55b3650a5c9fff9");
        assert!(matches!(made.as_ref(), UserIdRef::Made(_)));
        assert!(matches!(form("5A9D0E50C55B3650A5C9FFF9").as_ref(), UserIdRef::Given(_)));
        assert_eq!(made.to_string().parse(), Ok(made.clone()));
        assert_eq!(made.as_ref().to_owned(), made);
    }

    #[test]
    fn whoever_asks_for_a_user_says_the_prefix() {
        let parsed = |text: &str| text.parse::<UserId>();
        assert_eq!(parsed("legacy-17"), Err(UserIdFault::OtherProvider));
        assert_eq!(parsed("sms|legacy-17"), Err(UserIdFault::OtherProvider));
        assert_eq!(parsed("auth0|legacy-17").unwrap().bare(), "legacy-17");
        // Imports that did not take the prefix off have left such ids elsewhere.
        let doubled = UserId::parse_given("auth0|auth0|x").unwrap();
        assert_eq!((&*doubled.bare(), doubled.to_string().parse()), ("auth0|x", Ok(doubled.clone())));
    }
}
