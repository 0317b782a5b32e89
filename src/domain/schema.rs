//! Which properties the rows of an import may have.

use std::str::FromStr;

use thiserror::Error;

/// What a row may say besides its user's e-mail address, user name and metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RowSchema {
    /// Nothing; but rows of an export may say what users have.
    #[default]
    Basic,
    /// An id, names, a picture, a phone number, and whether the user is blocked.
    Profile,
}

/// A text that names no [`RowSchema`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("expected basic or profile")]
pub struct UnknownSchema;

impl FromStr for RowSchema {
    type Err = UnknownSchema;
    fn from_str(text: &str) -> Result<Self, UnknownSchema> {
        match text {
            "basic" => Ok(Self::Basic),
            "profile" => Ok(Self::Profile),
            _ => Err(UnknownSchema),
        }
    }
}
