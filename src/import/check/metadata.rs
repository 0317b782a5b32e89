//! Looks through metadata for what must not be stored, whatever its shape.

use std::fmt;

use crate::domain::{Code, Fault};
use crate::import::scan::MAX_DEPTH;
use crate::import::tokens::{Cursor, decode};

use super::faults::{Faults, cut};
use super::names::{Names, Seen};

/// Most arrays and objects around each other: in a file there are the array of rows and the row besides.
const DEEPEST: u32 = MAX_DEPTH - 2;

/// Looks through metadata for what no schema can forgive.
pub(super) struct Walk<'w> {
    /// Names the outermost object must not have.
    reserved: &'static [&'static str],
    faults: &'w mut Faults,
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

impl<'w> Walk<'w> {
    pub(super) fn new(reserved: &'static [&'static str], faults: &'w mut Faults) -> Self {
        Self { reserved, faults }
    }

    /// Looks through the value of the row's property `name`.
    pub(super) fn start(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.value(&mut Cursor::new(text), &Place { above: None, step: Step::Name(name), depth: 1 });
        }
    }

    fn value(&mut self, cursor: &mut Cursor<'_>, place: &Place<'_>) {
        match cursor.peek() {
            // Deeper than any file goes that was scanned; requests may try.
            Some(b'{' | b'[') if DEEPEST < place.depth => self.refuse_depth(cursor, place),
            Some(b'{') => self.object(cursor, place),
            Some(b'[') => self.array(cursor, place),
            Some(b'"') if decode(cursor.value()).is_none() => self.faults.note_broken(&place.to_string()),
            Some(b'"') => {}
            _ => drop(cursor.value()),
        }
    }

    fn refuse_depth(&mut self, cursor: &mut Cursor<'_>, place: &Place<'_>) {
        cursor.value();
        let rule = format!("Arrays and objects are nested deeper than {DEEPEST} levels");
        self.faults.note(Fault::of_property(Code::InvalidFormat, cut(&place.to_string()), rule));
    }

    fn object(&mut self, cursor: &mut Cursor<'_>, place: &Place<'_>) {
        let mut names = Names::default();
        cursor.enter();
        while let Some(token) = cursor.name() {
            let decoded = decode(token);
            let name = decoded.as_deref().unwrap_or_else(|| token.trim_matches('"'));
            let inner = place.below(Step::Name(name));
            match decoded.clone().map(|name| names.see(name)) {
                None => self.faults.note_broken(&inner.to_string()),
                Some(Seen::Twice) => self.faults.note_repeated(&inner.to_string(), name),
                Some(Seen::Once | Seen::Often) => {}
            }
            if place.above.is_none() && self.reserved.contains(&name) {
                let rule = "Data matches schema from 'not'";
                self.faults.note(Fault::of_property(Code::NotPassed, inner.to_string(), rule));
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
