//! Judges one row by everything that can be said without looking at other users.
//!
//! The rules are the schema of the API: five properties and no others. All faults of a row are
//! found, not just the first. Metadata is checked but never converted: what is stored is what was
//! given, down to the digits of a number, less the blanks between tokens.

mod faults;
mod members;
mod metadata;
mod names;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::domain::{Candidate, Code, Email, Fault, Profile, Username};

use super::read::MAX_ROW_BYTES;
use super::tokens::{compact, decode, type_of};

pub use faults::MAX_FAULTS;
pub(super) use faults::cut;

use faults::Faults;
use members::Members;
use metadata::Walk;
use names::{Names, Seen};

/// First-level properties of `app_metadata` that are the server's own.
const RESERVED: [&str; 12] = [
    "_id",
    "clientID",
    "created_at",
    "email_verified",
    "globalClientID",
    "global_client_id",
    "identities",
    "lastIP",
    "lastLogin",
    "loginsCount",
    "metadata",
    "user_id",
];

/// The part of the rules that the operator sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Largest metadata of a user, both objects together, in bytes without blanks between tokens.
    pub max_metadata_bytes: usize,
}

/// Judges the JSON text of one row: a user, or everything wrong with it.
pub fn judge<'a>(text: &'a str, limits: &Limits) -> Result<Candidate<'a>, Vec<Fault>> {
    let row = Row::parse(text).map_err(|fault| vec![fault])?;
    let mut faults = Faults::default();
    let email = row.email(&mut faults);
    let email_verified = row.email_verified(&mut faults);
    let username = row.username(&mut faults);
    let (app_metadata, user_metadata) = row.metadata(*limits, &mut faults);
    row.note_strangers(&mut faults);
    match (email, email_verified) {
        (Some(email), Some(email_verified)) if faults.list.is_empty() => Ok(Candidate {
            email,
            email_verified,
            username,
            id: None,
            blocked: false,
            profile: Profile::default(),
            app_metadata,
            user_metadata,
        }),
        _ => Err(faults.list),
    }
}

/// Judges a row, or what is left of one that was too long to be read.
pub fn judge_read<'a>(text: Option<&'a str>, limits: &Limits) -> Result<Candidate<'a>, Vec<Fault>> {
    let too_long = || {
        let message = format!("The row has more than {MAX_ROW_BYTES} bytes");
        vec![Fault::of_row(Code::ProfileSizeExceeded, message)]
    };
    judge(text.ok_or_else(too_long)?, limits)
}

/// A row's properties as JSON text.
#[derive(Debug, Default)]
struct Row<'a> {
    email: Option<&'a str>,
    email_verified: Option<&'a str>,
    username: Option<&'a str>,
    app_metadata: Option<&'a str>,
    user_metadata: Option<&'a str>,
    /// The names of all others.
    unknown: Vec<Cow<'a, str>>,
    /// Names that were given before.
    repeated: Vec<Cow<'a, str>>,
    /// Names that are no text; they are among the unknown ones, too.
    broken: Vec<&'a str>,
}

impl<'a> Row<'a> {
    fn parse(text: &'a str) -> Result<Self, Fault> {
        let text = text.trim_ascii();
        let found = match serde_json::from_str::<Members>(text) {
            Ok(members) => return Ok(Self::from_members(&members)),
            Err(_) if text.starts_with('{') => "text that is no JSON",
            Err(_) => type_of(text),
        };
        Err(Fault::of_row(Code::InvalidType, format!("Expected type object but found type {found}")))
    }

    fn from_members(members: &Members<'a>) -> Self {
        let mut row = Self::default();
        let mut names = Names::default();
        let mut repeated = BTreeSet::new();
        for (token, value) in &members.0 {
            let (name, place) = row.place(token.get());
            match place {
                Some(place) if place.is_none() => *place = Some(value.get()),
                Some(_) => drop(repeated.insert(name)),
                None => match names.see(name.clone()) {
                    Seen::Once => row.unknown.push(name),
                    Seen::Twice => row.repeated.push(name),
                    Seen::Often => {}
                },
            }
        }
        row.repeated.extend(repeated);
        row
    }

    /// The name a token says, and the place for the value of the property with that name.
    fn place(&mut self, token: &'a str) -> (Cow<'a, str>, Option<&mut Option<&'a str>>) {
        let Some(name) = decode(token) else {
            let name = token.trim_matches('"');
            self.broken.push(name);
            return (Cow::Borrowed(name), None);
        };
        let place = match &*name {
            "email" => Some(&mut self.email),
            "email_verified" => Some(&mut self.email_verified),
            "username" => Some(&mut self.username),
            "app_metadata" => Some(&mut self.app_metadata),
            "user_metadata" => Some(&mut self.user_metadata),
            _ => None,
        };
        (name, place)
    }

    fn email(&self, faults: &mut Faults) -> Option<Email> {
        let value = required(self.email, "email", faults)?;
        let text = text_at("email", value, faults)?;
        match Email::parse(&text) {
            Ok(email) => Some(email),
            Err(why) => {
                let value = cut(&text);
                let rule = format!("Object didn't pass validation for format email: {value}");
                let fault = Fault::of_property(Code::InvalidFormat, "email", rule);
                faults.note(fault.with_hint(why.to_string()));
                None
            }
        }
    }

    fn email_verified(&self, faults: &mut Faults) -> Option<bool> {
        match required(self.email_verified, "email_verified", faults)? {
            "true" => Some(true),
            "false" => Some(false),
            value => {
                faults.note_type("email_verified", "boolean", value);
                None
            }
        }
    }

    fn username(&self, faults: &mut Faults) -> Option<Username> {
        use crate::domain::UsernameFault as F;
        let text = text_at("username", self.username?, faults)?;
        match Username::parse(&text) {
            Ok(username) => Some(username),
            Err(why) => {
                let code = match why {
                    F::TooShort(_) => Code::MinLength,
                    F::TooLong(_) => Code::MaxLength,
                };
                faults.note(Fault::of_property(code, "username", why));
                None
            }
        }
    }

    /// Both metadata objects, without blanks. If they are too large nothing inside is looked at.
    fn metadata(&self, limits: Limits, faults: &mut Faults) -> (Option<Cow<'a, str>>, Option<Cow<'a, str>>) {
        let app = object_at("app_metadata", self.app_metadata, faults);
        let user = object_at("user_metadata", self.user_metadata, faults);
        let length = |text: &Option<Cow<'a, str>>| text.as_ref().map_or(0, |text| text.len());
        let (size, limit) = (length(&app) + length(&user), limits.max_metadata_bytes);
        if size > limit {
            let message = format!(
                "The metadata of a user has {size} bytes, the limit is {limit} \
                 (import.max_metadata_size)"
            );
            faults.note(Fault::of_row(Code::ProfileSizeExceeded, message));
        } else {
            Walk::new("app_metadata", &RESERVED, faults).start(app.as_deref());
            Walk::new("user_metadata", &[], faults).start(user.as_deref());
        }
        (app, user)
    }

    fn note_strangers(&self, faults: &mut Faults) {
        for name in &self.unknown {
            let name = cut(name);
            let rule = format!("Additional properties not allowed: {name}");
            faults.note(Fault::of_property(Code::ObjectAdditionalProperties, name, rule));
        }
        self.repeated.iter().for_each(|name| faults.note_repeated(name, name));
        self.broken.iter().for_each(|name| faults.note_broken(name));
    }
}

/// The value of a property that must be there.
fn required<'a>(value: Option<&'a str>, name: &str, faults: &mut Faults) -> Option<&'a str> {
    if value.is_none() {
        let rule = format!("Missing required property: {name}");
        faults.note(Fault::of_property(Code::ObjectRequired, name, rule));
    }
    value
}

/// What a value says that must be a text.
fn text_at<'a>(path: &str, value: &'a str, faults: &mut Faults) -> Option<Cow<'a, str>> {
    if !value.starts_with('"') {
        faults.note_type(path, "string", value);
        return None;
    }
    let text = decode(value);
    if text.is_none() {
        faults.note_broken(path);
    }
    text
}

/// The text, less blanks, of a value that must be an object if it is there.
fn object_at<'a>(path: &str, value: Option<&'a str>, faults: &mut Faults) -> Option<Cow<'a, str>> {
    let value = value?;
    if value.starts_with('{') {
        return Some(compact(value));
    }
    faults.note_type(path, "object", value);
    None
}
