//! Looks through metadata for what must not be stored, whatever its shape.

use std::borrow::Cow;
use std::fmt;

use crate::domain::{Code, Fault};
use crate::import::scan::MAX_DEPTH;
use crate::import::tokens::{Cursor, compact};

use super::faults::{Faults, cut};
use super::names::{Names, Seen};

/// Most arrays and objects around each other: in a file there are the array of rows and the row besides.
const DEEPEST: u32 = MAX_DEPTH - 2;

/// First-level properties of `app_metadata` that are the server's own.
const RESERVED: &[&str] = &[
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

/// The value of one of a row's properties for metadata, looked through on the way past it.
#[derive(Debug)]
pub(super) struct Metadata<'a> {
    /// As it is written; it may be no object.
    pub(super) text: &'a str,
    has_blanks: bool,
    /// What no schema can forgive.
    pub(super) faults: Vec<Fault>,
}

impl<'a> Metadata<'a> {
    /// Takes the value of the property with this name.
    pub(super) fn take(cursor: &mut Cursor<'a>, name: &str) -> Self {
        let reserved = if name == "app_metadata" { RESERVED } else { &[] };
        let mut walk = Walk { reserved, faults: Faults::default() };
        let is_object = cursor.peek() == Some(b'{');
        let (start, blanks) = (cursor.place(), cursor.blanks());
        if is_object {
            walk.value(cursor, &Place { above: None, step: Step::Name(name), depth: 1 });
        } else {
            cursor.value();
        }
        let has_blanks = cursor.blanks() > blanks;
        Self { text: cursor.taken_since(start), has_blanks, faults: walk.faults.list }
    }

    /// The text without blanks.
    pub(super) fn compact(&self) -> Cow<'a, str> {
        if self.has_blanks { compact(self.text) } else { Cow::Borrowed(self.text) }
    }
}

/// Looks through metadata.
struct Walk {
    /// Names the outermost object must not have.
    reserved: &'static [&'static str],
    faults: Faults,
}

/// Where in the row a value is. It is spelled out only for those who have to hear of it.
#[derive(Clone, Copy)]
struct Place<'p> {
    above: Option<&'p Place<'p>>,
    step: Step<'p>,
    depth: u32,
}

#[derive(Clone, Copy)]
enum Step<'p> {
    Name(&'p str),
    Item(usize),
}

impl<'p> Place<'p> {
    fn below(&'p self, step: Step<'p>) -> Self {
        Place { above: Some(self), step, depth: self.depth + 1 }
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(above) = self.above {
            above.fmt(f)?;
        }
        match self.step {
            Step::Name(name) if self.above.is_none() => f.write_str(name),
            Step::Name(name) => write!(f, ".{name}"),
            Step::Item(number) => write!(f, "[{number}]"),
        }
    }
}

impl Walk {
    fn value(&mut self, cursor: &mut Cursor<'_>, place: &Place<'_>) {
        match cursor.peek() {
            // Deeper than any file goes that was scanned; requests may try.
            Some(b'{' | b'[') if DEEPEST < place.depth => self.refuse_depth(cursor, place),
            Some(b'{') => self.object(cursor, place),
            Some(b'[') => self.array(cursor, place),
            Some(b'"') if cursor.string().decode().is_none() => self.note(place, Faults::note_broken),
            Some(b'"') => {}
            _ => drop(cursor.value()),
        }
    }

    /// Notes something about a place. That is spelled out only as long as there is room for it: there may be
    /// very many faults, in very deep places.
    fn note(&mut self, place: &Place<'_>, note: impl FnOnce(&mut Faults, &str)) {
        if self.faults.is_full() {
            self.faults.note_more();
        } else {
            note(&mut self.faults, &place.to_string());
        }
    }

    fn refuse_depth(&mut self, cursor: &mut Cursor<'_>, place: &Place<'_>) {
        cursor.value();
        let rule = format!("Arrays and objects are nested deeper than {DEEPEST} levels");
        self.note(place, |faults, path| {
            faults.note(Fault::of_property(Code::InvalidFormat, cut(path), rule));
        });
    }

    fn object(&mut self, cursor: &mut Cursor<'_>, place: &Place<'_>) {
        let mut names = Names::default();
        cursor.enter();
        while let Some(text) = cursor.name() {
            let decoded = text.decode();
            let name = decoded.as_deref().unwrap_or(text.inner());
            let inner = place.below(Step::Name(name));
            match decoded.clone().map(|name| names.see(name)) {
                None => self.note(&inner, Faults::note_broken),
                Some(Seen::Twice) => self.note(&inner, |faults, path| faults.note_repeated(path, name)),
                Some(Seen::Once | Seen::Often) => {}
            }
            if place.above.is_none() && self.reserved.contains(&name) {
                let rule = "Data matches schema from 'not'";
                self.note(&inner, |faults, path| {
                    faults.note(Fault::of_property(Code::NotPassed, path, rule));
                });
            }
            self.value(cursor, &inner);
        }
    }

    fn array(&mut self, cursor: &mut Cursor<'_>, place: &Place<'_>) {
        let mut number = 0;
        cursor.enter();
        while cursor.item() {
            self.value(cursor, &place.below(Step::Item(number)));
            number += 1;
        }
    }
}
