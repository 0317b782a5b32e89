//! What happens inside a token: a text, a number or a literal.

use crate::import::bytes::plain_run;

use super::number::Number;
use super::opening;
use super::utf8::Partial;
use super::{Expected, Scanner, State};

impl Scanner {
    pub(super) fn text(&mut self, bytes: &[u8], at: usize) -> usize {
        let at = at + plain_run(&bytes[at..]);
        match bytes.get(at) {
            None => return at,
            Some(b'"') if self.in_name => self.state = State::Between(Expected::Colon),
            Some(b'"') => self.value_ended(),
            Some(b'\\') => self.state = State::Escape,
            Some(&byte) if byte < b' ' => {
                let what = "a control character in a text must be written as an escape";
                return self.refuse(at, what, opening::hint_for(byte));
            }
            Some(&byte) => match Partial::start(byte) {
                Some(partial) => return self.character(partial, bytes, at + 1),
                None => return self.refuse_encoding(at),
            },
        }
        at + 1
    }

    /// The rest of a character beyond ASCII, and all such characters right after it.
    pub(super) fn character(&mut self, mut partial: Partial, bytes: &[u8], mut at: usize) -> usize {
        while let Some(&byte) = bytes.get(at) {
            let next = if partial.is_whole() {
                if byte < 0x80 {
                    break;
                }
                Partial::start(byte)
            } else {
                partial.next(byte)
            };
            let Some(next) = next else {
                return self.refuse_encoding(at);
            };
            partial = next;
            at += 1;
        }
        self.state = if partial.is_whole() { State::Text } else { State::Character(partial) };
        at
    }

    pub(super) fn refuse_encoding(&mut self, at: usize) -> usize {
        self.refuse(at, "a text is not valid UTF-8", Some(opening::SAVE_AS_UTF8))
    }

    pub(super) fn escape(&mut self, byte: u8, at: usize) -> usize {
        self.state = match byte {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => State::Text,
            b'u' => State::Hex(4),
            _ => {
                let hint = "a backslash in a text is written as two";
                return self.refuse(at, "there is no such escape", Some(hint));
            }
        };
        at + 1
    }

    pub(super) fn hex(&mut self, missing: u8, byte: u8, at: usize) -> usize {
        if !byte.is_ascii_hexdigit() {
            return self.refuse(at, "expected four hexadecimal digits after \\u", None);
        }
        self.state = if missing == 1 { State::Text } else { State::Hex(missing - 1) };
        at + 1
    }

    pub(super) fn number(&mut self, mut number: Number, bytes: &[u8], mut at: usize) -> usize {
        while let Some(&byte) = bytes.get(at) {
            match number.next(byte) {
                Ok(Some(next)) => number = next,
                Ok(None) => {
                    self.value_ended();
                    return at;
                }
                Err(what) => return self.refuse(at, what, None),
            }
            at += 1;
        }
        self.state = State::Number(number);
        at
    }

    pub(super) fn literal(&mut self, rest: &'static [u8], bytes: &[u8], at: usize) -> usize {
        let ready = rest.len().min(bytes.len() - at);
        let same = rest.iter().zip(&bytes[at..]).take_while(|(want, got)| want == got).count();
        if same < ready {
            return self.refuse(at + same, "expected a value", opening::hint_for(b'a'));
        }
        if ready == rest.len() {
            self.value_ended();
        } else {
            self.state = State::Literal(&rest[ready..]);
        }
        at + ready
    }
}
