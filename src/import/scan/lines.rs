//! Files that are lines: how they are told from other objects, and what is between two of them.

use super::{Expected, Form, ROWS, Scanner, State, opening};

/// What an export begins each row with, up to the quote behind it.
const FIRST_NAME: &[u8] = b"user_id\"";

const NO_SEPARATORS: &str = "the rows of an export have nothing but blanks between them";

impl Scanner {
    /// Before the first name of the object that the file begins with.
    pub(super) fn first_token(&mut self, bytes: &[u8], at: usize) -> usize {
        let at = self.blanks(bytes, at);
        match bytes.get(at) {
            None => return at,
            Some(b'"') => {
                self.in_name = true;
                self.state = State::FirstName(0);
            }
            Some(_) => {
                self.state = State::Between(Expected::FirstName);
                return at;
            }
        }
        at + 1
    }

    /// The next byte of that name. It is plain ASCII as long as it is the wanted one, so that any other name
    /// can be read on from here.
    pub(super) fn first_name(&mut self, seen: usize, byte: u8, at: usize) -> usize {
        if FIRST_NAME.get(seen) != Some(&byte) {
            self.state = State::Text;
            return at;
        }
        self.state = State::FirstName(seen + 1);
        if seen + 1 == FIRST_NAME.len() {
            self.take_for_lines();
        }
        at + 1
    }

    /// The object in hand is the first row, and stands where it would in an array.
    fn take_for_lines(&mut self) {
        let place = self.opening.take().map(|opening| opening.place());
        self.row = place.map(|(line, byte)| (byte, line));
        self.form = Form::Lines;
        self.row_depth = ROWS;
        self.depth = ROWS + 1;
        self.state = State::Between(Expected::Colon);
    }

    pub(super) fn between_lines(&mut self, bytes: &[u8], at: usize) -> usize {
        let at = self.blanks(bytes, at);
        match bytes.get(at) {
            None => at,
            Some(b'{') => self.value(bytes, at),
            Some(b',' | b']' | b'[') => self.refuse(at, "expected '{' of the next row", Some(NO_SEPARATORS)),
            Some(&byte) => self.refuse(at, "expected '{' of the next row", opening::hint_for(byte)),
        }
    }
}
