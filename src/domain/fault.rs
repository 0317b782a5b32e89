//! What can be wrong with a row, and with a file as a whole.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The kind of a fault, as clients know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Code {
    /// A required property is missing.
    ObjectRequired,
    /// A value has the wrong JSON type.
    InvalidType,
    /// A text breaks the rule for its format.
    InvalidFormat,
    /// A property the schema does not know.
    ObjectAdditionalProperties,
    /// A property that may not be given.
    NotPassed,
    /// A text does not have the form it must have.
    Pattern,
    /// A text is too short.
    MinLength,
    /// A text is too long.
    MaxLength,
    /// One object names a property twice.
    DuplicatedProperty,
    /// The user's metadata, or the row as a whole, is too large.
    ProfileSizeExceeded,
    /// The user exists, or an earlier row of the file gave it.
    DuplicatedUser,
    /// The user name belongs to somebody else.
    ConflictUsername,
    /// The id belongs to somebody else.
    Conflict,
}

impl Code {
    /// Every kind, in the order of their declaration. The store counts rows in this order.
    pub const ALL: [Self; 13] = [
        Self::ObjectRequired,
        Self::InvalidType,
        Self::InvalidFormat,
        Self::ObjectAdditionalProperties,
        Self::NotPassed,
        Self::Pattern,
        Self::MinLength,
        Self::MaxLength,
        Self::DuplicatedProperty,
        Self::ProfileSizeExceeded,
        Self::DuplicatedUser,
        Self::ConflictUsername,
        Self::Conflict,
    ];

    /// What it means, for people who have not read the manual.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::ObjectRequired => "a required property is missing",
            Self::InvalidType => "a value is of the wrong type, for example a number instead of a text",
            Self::InvalidFormat => "a text is not what it should be, for example no e-mail address",
            Self::ObjectAdditionalProperties => "there is a property that users do not have",
            Self::NotPassed => "there is a property that may not be given",
            Self::Pattern => "a text does not have the form it must have, for example a phone number",
            Self::MinLength => "a text is too short",
            Self::MaxLength => "a text is too long",
            Self::DuplicatedProperty => "a property is named twice",
            Self::ProfileSizeExceeded => "the user's metadata, or the row as a whole, is too large",
            Self::DuplicatedUser => "the user exists already, or an earlier row of the file gave it",
            Self::ConflictUsername => "the user name belongs to somebody else",
            Self::Conflict => "the user_id belongs to somebody else",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// One thing wrong with one row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Its kind.
    pub code: Code,
    /// What is wrong, in the API's wording.
    pub message: String,
    /// Which property, in the file's own terms (`app_metadata.clientID`); `None` for the whole row.
    pub path: Option<String>,
    /// The index of the row that gave the same user first.
    pub duplicate_of: Option<u64>,
    /// What to do about it, where the message alone leaves that open.
    pub hint: Option<String>,
}

impl Fault {
    /// A fault of the whole row.
    pub fn of_row(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), path: None, duplicate_of: None, hint: None }
    }

    /// A fault of one property, worded `Error in <path> property - <rule>`.
    pub fn of_property(code: Code, path: impl Into<String>, rule: impl fmt::Display) -> Self {
        let path = path.into();
        let message = format!("Error in {path} property - {rule}");
        Self { path: Some(path), ..Self::of_row(code, message) }
    }

    /// The rule that is broken, without the property it is about.
    pub fn rule(&self) -> &str {
        let before = self.path.as_ref().map(|path| format!("Error in {path} property - "));
        before.and_then(|before| self.message.strip_prefix(&before)).unwrap_or(&self.message)
    }

    /// A second row for one user: row `first` gave the same `key` (`email`, `username` or `user_id`).
    pub fn given_before(key: &str, first: u64) -> Self {
        let message = format!("A user with this {key} was already provided.");
        Self { duplicate_of: Some(first), ..Self::of_row(Code::DuplicatedUser, message) }
    }

    fn bytes(&self) -> usize {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        64 + self.message.len() + text(&self.path) + text(&self.hint)
    }

    /// The same fault with advice.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

/// A row that could not be imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedRow {
    /// Place in the file's array, from 0.
    pub index: u64,
    /// Line of the file the row starts on, from 1.
    pub line: u64,
    /// The row as given, as JSON text of an object, without secrets.
    pub user: String,
    /// Everything wrong with it; never empty.
    pub faults: Vec<Fault>,
}

impl FailedRow {
    /// Bytes of text in it, about.
    pub fn bytes(&self) -> usize {
        self.user.len() + self.faults.iter().map(Fault::bytes).sum::<usize>()
    }

    /// Most bytes of text in a row's faults; further ones are only counted.
    pub const MAX_FAULT_BYTES: usize = 24 << 10;

    /// A failed row. A row with thousands of faults keeps the first, and says how many more there are.
    pub fn new(index: u64, line: u64, user: String, mut faults: Vec<Fault>) -> Self {
        let mut bytes = 0;
        let kept = faults.iter().take_while(|fault| {
            bytes += fault.bytes();
            bytes <= Self::MAX_FAULT_BYTES
        });
        let (kept, all) = (kept.count().max(1), faults.len());
        faults.truncate(kept);
        if let Some(last) = faults.last_mut().filter(|_| kept < all) {
            last.hint = Some(format!("the row has {} further errors", all - kept));
        }
        Self { index, line, user, faults }
    }
}

/// Why a file cannot be imported at all: what is wrong, where, and perhaps what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Error)]
#[error("{what} at line {line} column {column} (byte {byte}){}", Advice(self.hint.as_deref()))]
pub struct FileFault {
    /// What is wrong.
    pub what: String,
    /// Line, from 1.
    pub line: u64,
    /// Byte within the line, from 1.
    pub column: u64,
    /// Byte within the file, from 0.
    pub byte: u64,
    /// What to do.
    pub hint: Option<String>,
}

struct Advice<'a>(Option<&'a str>);

impl fmt::Display for Advice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |hint| write!(f, ": {hint}"))
    }
}
