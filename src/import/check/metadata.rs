//! Looks through metadata for what must not be stored, whatever its shape.

use std::fmt::Write as _;

use crate::domain::{Code, Fault};
use crate::import::scan::MAX_DEPTH;
use crate::import::tokens::{Cursor, decode};

use super::faults::{Faults, cut};
use super::names::{Names, Seen};

/// Most arrays and objects around each other: in a file there are the array of rows and the row besides.
const DEEPEST: u32 = MAX_DEPTH - 2;

/// Looks through metadata for what no schema can forgive.
pub(super) struct Walk<'w> {
    /// Where it is.
    path: String,
    depth: u32,
    /// Names the outermost object must not have.
    reserved: &'static [&'static str],
    faults: &'w mut Faults,
}

impl<'w> Walk<'w> {
    pub(super) fn new(name: &str, reserved: &'static [&'static str], faults: &'w mut Faults) -> Self {
        Self { path: name.to_owned(), depth: 0, reserved, faults }
    }

    pub(super) fn start(mut self, compact: Option<&str>) {
        if let Some(text) = compact {
            self.value(&mut Cursor::new(text));
        }
    }

    fn value(&mut self, cursor: &mut Cursor<'_>) {
        self.depth += 1;
        match cursor.peek() {
            // Deeper than any file goes that was scanned; requests may try.
            Some(b'{' | b'[') if DEEPEST < self.depth => self.refuse_depth(cursor),
            Some(b'{') => self.object(cursor),
            Some(b'[') => self.array(cursor),
            Some(b'"') if decode(cursor.value()).is_none() => self.faults.note_broken(&self.path),
            Some(b'"') => {}
            _ => drop(cursor.value()),
        }
        self.depth -= 1;
    }

    fn refuse_depth(&mut self, cursor: &mut Cursor<'_>) {
        cursor.value();
        let rule = format!("Arrays and objects are nested deeper than {DEEPEST} levels");
        self.faults.note(Fault::of_property(Code::InvalidFormat, cut(&self.path), rule));
    }

    fn object(&mut self, cursor: &mut Cursor<'_>) {
        let mut names = Names::default();
        let length = self.path.len();
        cursor.enter();
        while let Some(token) = cursor.name() {
            let name = decode(token);
            self.path.push('.');
            self.path.push_str(name.as_deref().unwrap_or(token.trim_matches('"')));
            match name.map(|name| names.see(name)) {
                None => self.faults.note_broken(&self.path),
                Some(Seen::Twice) => self.faults.note_repeated(&self.path, &self.path[length + 1..]),
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
            self.faults.note(Fault::of_property(Code::NotPassed, self.path.as_str(), rule));
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
