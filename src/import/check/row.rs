//! A row taken apart: each property's text in its place, and the names of all others.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::de::IgnoredAny;

use crate::domain::{Code, Fault, UserId};
use crate::import::tokens::{Cursor, decode, type_of};

use super::faults::{Faults, cut};
use super::metadata::Metadata;
use super::names::{Names, Seen};

/// A row's properties as JSON text.
#[derive(Debug, Default)]
pub(super) struct Row<'a> {
    pub(super) email: Option<&'a str>,
    pub(super) email_verified: Option<&'a str>,
    pub(super) username: Option<&'a str>,
    pub(super) app_metadata: Option<Metadata<'a>>,
    pub(super) user_metadata: Option<Metadata<'a>>,
    pub(super) user_id: Option<&'a str>,
    pub(super) name: Option<&'a str>,
    pub(super) nickname: Option<&'a str>,
    pub(super) given_name: Option<&'a str>,
    pub(super) family_name: Option<&'a str>,
    pub(super) picture: Option<&'a str>,
    pub(super) phone_number: Option<&'a str>,
    pub(super) phone_verified: Option<&'a str>,
    pub(super) blocked: Option<&'a str>,
    /// Names and values beyond the first five, until it is settled what they are.
    others: Vec<(Cow<'a, str>, &'a str)>,
    /// Names of properties that the schema does not know.
    unknown: Vec<Cow<'a, str>>,
    /// Names that were given before.
    repeated: BTreeSet<Cow<'a, str>>,
    /// The same of unknown ones, in their order.
    repeated_unknown: Vec<Cow<'a, str>>,
    /// Names that are no text; they are among the unknown ones, too.
    broken: Vec<&'a str>,
}

impl<'a> Row<'a> {
    /// Takes apart what somebody sent who may have sent anything.
    pub(super) fn parse(text: &'a str) -> Result<Self, Fault> {
        if text.trim_ascii().starts_with('{') && serde_json::from_str::<IgnoredAny>(text).is_err() {
            return Err(no_object("text that is no JSON"));
        }
        Self::of_json(text)
    }

    /// Takes apart what is known to be JSON. Beyond the five properties that all rows may have nothing is in its
    /// place yet.
    pub(super) fn of_json(text: &'a str) -> Result<Self, Fault> {
        let mut cursor = Cursor::new(text);
        if cursor.peek() != Some(b'{') {
            return Err(no_object(type_of(text.trim_ascii())));
        }
        let mut row = Self::default();
        cursor.enter();
        while let Some(text) = cursor.name() {
            let name = text.decode().unwrap_or_else(|| {
                row.broken.push(text.inner());
                Cow::Borrowed(text.inner())
            });
            let is_new = if let Some(place) = row.metadata(&name) {
                let metadata = Metadata::take(&mut cursor, &name);
                set(place, metadata)
            } else if let Some(place) = row.basic(&name) {
                set(place, cursor.value())
            } else {
                row.others.push((name, cursor.value()));
                continue;
            };
            if !is_new {
                row.repeated.insert(name);
            }
        }
        Ok(row)
    }

    /// Whether the row comes from an export: its id has the prefix that ids have there.
    pub(super) fn is_exported(&self) -> bool {
        let id = self.others.iter().find(|(name, _)| name == "user_id");
        id.and_then(|(_, value)| decode(value)).is_some_and(|id| id.starts_with(UserId::PREFIX))
    }

    /// The row when it is known what it may have: nothing else, or a profile and these names, of which
    /// nothing comes.
    pub(super) fn settled(mut self, profile: Option<&[&str]>) -> Self {
        let mut names = Names::default();
        for (name, value) in std::mem::take(&mut self.others) {
            match profile.and_then(|_| self.beyond(&name)) {
                Some(place) if place.is_none() => *place = Some(value),
                Some(_) => drop(self.repeated.insert(name)),
                None => match names.see(name.clone()) {
                    Seen::Once if profile.is_some_and(|let_be| let_be.contains(&&*name)) => {}
                    Seen::Once => self.unknown.push(name),
                    Seen::Twice => self.repeated_unknown.push(name),
                    Seen::Often => {}
                },
            }
        }
        self
    }

    /// The row with whatever it has besides, which is let be.
    pub(super) fn open(self) -> Self {
        Self { unknown: Vec::new(), repeated_unknown: Vec::new(), ..self.settled(Some(&[])) }
    }

    /// The place of a property for metadata.
    fn metadata(&mut self, name: &str) -> Option<&mut Option<Metadata<'a>>> {
        match name {
            "app_metadata" => Some(&mut self.app_metadata),
            "user_metadata" => Some(&mut self.user_metadata),
            _ => None,
        }
    }

    /// The place of another property that all rows may have. Most rows have no others, so that these come
    /// first.
    fn basic(&mut self, name: &str) -> Option<&mut Option<&'a str>> {
        Some(match name {
            "email" => &mut self.email,
            "email_verified" => &mut self.email_verified,
            "username" => &mut self.username,
            _ => return None,
        })
    }

    /// The place of a property of the profile.
    fn beyond(&mut self, name: &str) -> Option<&mut Option<&'a str>> {
        Some(match name {
            "user_id" => &mut self.user_id,
            "name" => &mut self.name,
            "nickname" => &mut self.nickname,
            "given_name" => &mut self.given_name,
            "family_name" => &mut self.family_name,
            "picture" => &mut self.picture,
            "phone_number" => &mut self.phone_number,
            "phone_verified" => &mut self.phone_verified,
            "blocked" => &mut self.blocked,
            _ => return None,
        })
    }

    /// Notes what may not be there, may not be there twice, or is no name.
    pub(super) fn note_strangers(&self, faults: &mut Faults) {
        for name in &self.unknown {
            let name = cut(name);
            let rule = format!("Additional properties not allowed: {name}");
            faults.note(Fault::of_property(Code::ObjectAdditionalProperties, name, rule));
        }
        let repeated = self.repeated_unknown.iter().chain(&self.repeated);
        repeated.for_each(|name| faults.note_repeated(name, name));
        self.broken.iter().for_each(|name| faults.note_broken(name));
    }
}

/// Puts a value in its place, unless there is one; tells whether it did.
fn set<T>(place: &mut Option<T>, value: T) -> bool {
    let is_new = place.is_none();
    place.get_or_insert(value);
    is_new
}

fn no_object(found: &str) -> Fault {
    Fault::of_row(Code::InvalidType, format!("Expected type object but found type {found}"))
}
