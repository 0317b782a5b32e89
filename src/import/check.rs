//! Judges one row by everything that can be said without looking at other users.
//!
//! | file | |
//! |---|---|
//! | `row` | a row taken apart: which property has which text |
//! | `rules` | what each property may be |
//! | `metadata` | what may stand in metadata |
//! | `change` | what is to be different about a user, judged by the same rules |
//! | `merge` | metadata changed member by member |
//!
//! The rules are the schema of the API: five properties and no others, or with
//! [`RowSchema::Profile`] those that users have besides. A row whose `user_id` begins with `auth0|` comes from
//! an export and may have these in any case; what only the server knows of a user is let be in both.
//! All faults of a row are found, not just the first. Metadata is checked but never converted: what is stored
//! is what was given, down to the digits of a number, less the blanks between tokens.

mod change;
mod faults;
mod merge;
mod metadata;
mod names;
mod row;
mod rules;
#[cfg(test)]
mod tests;

use crate::domain::{Candidate, Code, Fault, RowSchema};

use super::read::MAX_ROW_BYTES;

pub use change::{TextChange, UserChange, judge_change};
pub use faults::MAX_FAULTS;
pub(super) use faults::cut;

use faults::Faults;
use row::Row;

/// Properties of exported users that only the server knows; rows may have them, and nothing comes of it.
const EXPORT_ONLY: &[&str] = &[
    "created_at",
    "identities",
    "last_ip",
    "last_login",
    "last_password_reset",
    "logins_count",
    "multifactor",
    "multifactor_last_modified",
    "updated_at",
];

/// The part of the rules that the operator sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Largest metadata of a user, both objects together, in bytes without blanks between tokens.
    pub max_metadata_bytes: usize,
    /// Which properties rows may have.
    pub schema: RowSchema,
}

/// Judges the text of one row, known to be JSON: a user, or everything wrong with it.
pub fn judge<'a>(text: &'a str, limits: &Limits) -> Result<Candidate<'a>, Vec<Fault>> {
    let row = Row::of_json(text).map_err(|fault| vec![fault])?;
    let has_profile = limits.schema == RowSchema::Profile || row.is_exported();
    let row = row.settled(has_profile.then_some(EXPORT_ONLY));
    candidate(&row, limits, &["email", "email_verified"])
}

/// Judges a row, or what is left of one that was too long to be read.
pub fn judge_read<'a>(text: Option<&'a str>, limits: &Limits) -> Result<Candidate<'a>, Vec<Fault>> {
    let too_long = || {
        let message = format!("The row has more than {MAX_ROW_BYTES} bytes");
        vec![Fault::of_row(Code::ProfileSizeExceeded, message)]
    };
    judge(text.ok_or_else(too_long)?, limits)
}

/// Judges the JSON text of a user that is made by a request: nothing but an address is required, and members
/// that belong to the request itself are let be.
pub fn judge_new<'a>(text: &'a str, limits: &Limits, beside: &[&str]) -> Result<Candidate<'a>, Vec<Fault>> {
    let row = Row::parse(text).map_err(|fault| vec![fault])?;
    let mut row = row.settled(Some(beside));
    row.user_id = row.user_id.filter(|id| *id != r#""""#);
    candidate(&row, limits, &["email"])
}

/// The user in a row that has what it must have, and nothing wrong with it.
fn candidate<'a>(row: &Row<'a>, limits: &Limits, must: &[&str]) -> Result<Candidate<'a>, Vec<Fault>> {
    let mut faults = Faults::default();
    let noted = &mut faults;
    rules::required(must, "email", row.email, noted);
    let email = row.email.and_then(|value| rules::email(value, noted));
    rules::required(must, "email_verified", row.email_verified, noted);
    let email_verified = rules::flag("email_verified", row.email_verified, noted);
    let username = row.username.and_then(|value| rules::username(value, noted));
    let id = row.user_id.and_then(|value| rules::user_id(value, noted));
    let blocked = rules::flag("blocked", row.blocked, noted);
    let profile = rules::profile(row, noted);
    let (app_metadata, user_metadata) = rules::metadata(row, *limits, noted);
    row.note_strangers(noted);
    match email {
        Some(email) if faults.list.is_empty() => Ok(Candidate {
            email,
            email_verified: email_verified.unwrap_or(false),
            username,
            id,
            blocked: blocked.unwrap_or(false),
            profile,
            app_metadata,
            user_metadata,
        }),
        _ => Err(faults.list),
    }
}
