//! What may come before the opening bracket and after the closing one.

use super::opening::{self, Opening};
use super::{NOWHERE, SECOND_ARRAY, Scanner, State, utf8};

impl Scanner {
    pub(super) fn start(&mut self, bytes: &[u8], at: usize) -> usize {
        let at = self.blanks(bytes, at);
        match bytes.get(at) {
            None => {}
            Some(b'[') => self.open(false),
            Some(&utf8::MARK_START) if self.offset + at as u64 == 0 => self.state = State::Mark(1),
            Some(&byte) => return self.odd_start(byte, at),
        }
        at + 1
    }

    pub(super) fn mark(&mut self, seen: usize, byte: u8, at: usize) -> usize {
        if utf8::MARK.get(seen) != Some(&byte) {
            return self.refuse(at, opening::NO_JSON, Some(opening::SAVE_AS_UTF8));
        }
        let whole = seen + 1 == utf8::MARK.len();
        self.state = if whole { State::Start } else { State::Mark(seen + 1) };
        at + 1
    }

    /// The file is no array. An object is read on: it may be the first of an export's lines, and one object is
    /// told from many.
    pub(super) fn odd_start(&mut self, byte: u8, at: usize) -> usize {
        let place = self.offset + at as u64;
        self.opening = Some(Opening::new(self.line, place - self.line_start + 1, place));
        self.row_depth = NOWHERE;
        if byte == b'{' {
            self.open(true);
            self.state = State::FirstToken;
            return at + 1;
        }
        self.state = State::Strange;
        at
    }

    pub(super) fn strange(&mut self, byte: u8, at: usize) -> usize {
        let enough = self.opening.as_mut().is_none_or(|opening| !opening.take(byte));
        if enough { self.refuse_strange() } else { at + 1 }
    }

    pub(super) fn done(&mut self, bytes: &[u8], at: usize) -> usize {
        let at = self.blanks(bytes, at);
        match bytes.get(at) {
            None => at,
            Some(_) if self.opening.is_some() => self.refuse_opening(opening::NDJSON),
            Some(&byte) => {
                let hint = if byte == b'[' { Some(SECOND_ARRAY) } else { opening::hint_for(byte) };
                self.refuse(at, "there is something after the closing ']'", hint)
            }
        }
    }
}
