//! The faults of one row, worded and counted.

use std::borrow::Cow;

use crate::domain::{Code, Fault};
use crate::import::tokens::type_of;

/// Most faults listed for one row.
pub const MAX_FAULTS: usize = 100;

/// The faults found so far.
#[derive(Debug, Default)]
pub(super) struct Faults {
    pub(super) list: Vec<Fault>,
}

impl Faults {
    pub(super) fn note(&mut self, fault: Fault) {
        if self.is_full() {
            self.note_more();
        } else {
            self.list.push(fault);
        }
    }

    /// Whether no further fault will be listed.
    pub(super) fn is_full(&self) -> bool {
        self.list.len() >= MAX_FAULTS
    }

    /// Notes that there are more than are listed.
    pub(super) fn note_more(&mut self) {
        if let Some(last) = self.list.last_mut() {
            last.hint = Some(format!("only the first {MAX_FAULTS} faults are listed"));
        }
    }

    pub(super) fn note_type(&mut self, path: &str, expected: &str, value: &str) {
        let rule = format!("Expected type {expected} but found type {}", type_of(value));
        self.note(Fault::of_property(Code::InvalidType, path, rule));
    }

    pub(super) fn note_repeated(&mut self, path: &str, name: &str) {
        let rule = format!("Property given twice: {}", cut(name));
        self.note(Fault::of_property(Code::DuplicatedProperty, cut(path), rule));
    }

    /// A text or name that is none.
    pub(super) fn note_broken(&mut self, path: &str) {
        let rule = "Text has half of a surrogate pair";
        self.note(Fault::of_property(Code::InvalidFormat, cut(path), rule));
    }
}

/// As much of a text as a message should quote.
pub(in crate::import) fn cut(text: &str) -> Cow<'_, str> {
    const MAX_CHARS: usize = 300;
    match text.char_indices().nth(MAX_CHARS) {
        Some((at, _)) => Cow::Owned(format!("{}\u{2026}", &text[..at])),
        None => Cow::Borrowed(text),
    }
}
