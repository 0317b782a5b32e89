//! Judges one row by everything that can be said without looking at other users.
//!
//! The rules are the schema of the API: five properties and no others. All faults of a row are
//! found, not just the first. Metadata is checked but never converted: what is stored is what was
//! given, down to the digits of a number, less the blanks between tokens.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::domain::{Candidate, Code, Email, Fault, Username};

use super::read::MAX_ROW_BYTES;
use super::scan::MAX_DEPTH;
use super::tokens::{Cursor, compact, decode, type_of};

/// Most faults listed for one row.
pub const MAX_FAULTS: usize = 100;

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
        Err(Fault::of_row(
            Code::InvalidType,
            format!("Expected type object but found type {found}"),
        ))
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
    fn metadata(
        &self,
        limits: Limits,
        faults: &mut Faults,
    ) -> (Option<Cow<'a, str>>, Option<Cow<'a, str>>) {
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
            faults.note(Fault::of_property(
                Code::ObjectAdditionalProperties,
                name,
                rule,
            ));
        }
        self.repeated
            .iter()
            .for_each(|name| faults.note_repeated(name, name));
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

/// Looks through metadata for what no schema can forgive.
struct Walk<'w> {
    /// Where it is.
    path: String,
    depth: u32,
    /// Names the outermost object must not have.
    reserved: &'static [&'static str],
    faults: &'w mut Faults,
}

impl<'w> Walk<'w> {
    fn new(name: &str, reserved: &'static [&'static str], faults: &'w mut Faults) -> Self {
        Self {
            path: name.to_owned(),
            depth: 0,
            reserved,
            faults,
        }
    }

    fn start(mut self, compact: Option<&str>) {
        if let Some(text) = compact {
            self.value(&mut Cursor::new(text));
        }
    }

    fn value(&mut self, cursor: &mut Cursor<'_>) {
        self.depth += 1;
        match cursor.peek() {
            // Deeper than any file goes that was scanned.
            _ if self.depth > MAX_DEPTH => drop(cursor.value()),
            Some(b'{') => self.object(cursor),
            Some(b'[') => self.array(cursor),
            Some(b'"') if decode(cursor.value()).is_none() => self.faults.note_broken(&self.path),
            Some(b'"') => {}
            _ => drop(cursor.value()),
        }
        self.depth -= 1;
    }

    fn object(&mut self, cursor: &mut Cursor<'_>) {
        let mut names = Names::default();
        let length = self.path.len();
        cursor.enter();
        while let Some(token) = cursor.name() {
            let name = decode(token);
            self.path.push('.');
            self.path
                .push_str(name.as_deref().unwrap_or(token.trim_matches('"')));
            match name.map(|name| names.see(name)) {
                None => self.faults.note_broken(&self.path),
                Some(Seen::Twice) => self
                    .faults
                    .note_repeated(&self.path, &self.path[length + 1..]),
                Some(Seen::Once | Seen::Often) => {}
            }
            self.check_reserved(length + 1);
            self.value(cursor);
            self.path.truncate(length);
        }
    }

    /// Checks the name that starts at this place in the path.
    fn check_reserved(&mut self, name: usize) {
        if self.depth == 1 && self.reserved.contains(&&self.path[name..]) {
            let rule = "Data matches schema from 'not'";
            self.faults.note(Fault::of_property(
                Code::NotPassed,
                self.path.as_str(),
                rule,
            ));
        }
    }

    fn array(&mut self, cursor: &mut Cursor<'_>) {
        let length = self.path.len();
        let mut index = 0_usize;
        cursor.enter();
        while cursor.item() {
            write!(self.path, "[{index}]").ok();
            self.value(cursor);
            self.path.truncate(length);
            index += 1;
        }
    }
}

/// The names of one object, told apart as they come.
#[derive(Debug, Default)]
struct Names<'a>(BTreeMap<Cow<'a, str>, bool>);

/// How often a name has come.
enum Seen {
    Once,
    Twice,
    Often,
}

impl<'a> Names<'a> {
    fn see(&mut self, name: Cow<'a, str>) -> Seen {
        match self.0.entry(name) {
            Entry::Vacant(place) => {
                place.insert(false);
                Seen::Once
            }
            Entry::Occupied(place) if *place.get() => Seen::Often,
            Entry::Occupied(mut place) => {
                place.insert(true);
                Seen::Twice
            }
        }
    }
}

/// The faults found so far.
#[derive(Debug, Default)]
struct Faults {
    list: Vec<Fault>,
}

impl Faults {
    fn note(&mut self, fault: Fault) {
        match self.list.len() {
            length if length < MAX_FAULTS => self.list.push(fault),
            _ => {
                if let Some(last) = self.list.last_mut() {
                    last.hint = Some(format!("only the first {MAX_FAULTS} faults are listed"));
                }
            }
        }
    }

    fn note_type(&mut self, path: &str, expected: &str, value: &str) {
        let rule = format!("Expected type {expected} but found type {}", type_of(value));
        self.note(Fault::of_property(Code::InvalidType, path, rule));
    }

    fn note_repeated(&mut self, path: &str, name: &str) {
        let rule = format!("Property given twice: {}", cut(name));
        self.note(Fault::of_property(
            Code::DuplicatedProperty,
            cut(path),
            rule,
        ));
    }

    /// A text or name that is none.
    fn note_broken(&mut self, path: &str) {
        let rule = "Text has half of a surrogate pair";
        self.note(Fault::of_property(Code::InvalidFormat, cut(path), rule));
    }
}

/// As much of a text as a message should quote.
pub(super) fn cut(text: &str) -> Cow<'_, str> {
    const MAX_CHARS: usize = 300;
    match text.char_indices().nth(MAX_CHARS) {
        Some((at, _)) => Cow::Owned(format!("{}\u{2026}", &text[..at])),
        None => Cow::Borrowed(text),
    }
}

/// The members of an object as they were written: names with their quotes, and values.
struct Members<'a>(Vec<(&'a RawValue, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::with_capacity(8);
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}
