//! Steps through JSON text that somebody else has found to be valid.
//!
//! Nothing is converted: a number of four hundred digits or half a surrogate pair passes as it
//! was written. Text that is *not* valid leads to nonsense, never to a panic or an endless loop.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use super::bytes::{has_backslash, run_to_quote};

/// The text without blanks between its tokens.
pub(super) fn compact(text: &str) -> Cow<'_, str> {
    let Some(first) = next_blank(text) else {
        return Cow::Borrowed(text);
    };
    let mut rest = text;
    let mut blank = Some(first);
    let mut tight = String::with_capacity(text.len());
    while let Some(at) = blank {
        tight.push_str(&rest[..at]);
        rest = rest[at..].trim_start_matches([' ', '\t', '\r', '\n']);
        blank = next_blank(rest);
    }
    tight.push_str(rest);
    Cow::Owned(tight)
}

/// Where the first blank outside strings is.
fn next_blank(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 0;
    loop {
        match bytes.get(at)? {
            byte if is_blank(*byte) => return Some(at),
            b'"' => at = end_of_string(bytes, at),
            _ => at += 1,
        }
    }
}

const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// The place behind the string that starts at `at`.
fn end_of_string(bytes: &[u8], mut at: usize) -> usize {
    at += 1;
    while let Some(rest) = bytes.get(at..) {
        at += run_to_quote(rest);
        match bytes.get(at) {
            Some(b'"') => return at + 1,
            Some(_) => at += 2,
            None => break,
        }
    }
    bytes.len()
}

/// What a string token says; `None` if it has half of a surrogate pair, which is no text.
pub(super) fn decode(token: &str) -> Option<Cow<'_, str>> {
    let inner = token.strip_prefix('"')?.strip_suffix('"')?;
    if has_backslash(inner.as_bytes()) {
        serde_json::from_str(token).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inner))
    }
}

/// The name JSON Schema has for the type of a value.
pub(super) fn type_of(value: &str) -> &'static str {
    match value.as_bytes().first() {
        Some(b'{') => "object",
        Some(b'[') => "array",
        Some(b'"') => "string",
        Some(b't' | b'f') => "boolean",
        Some(b'n') => "null",
        // 1.0 and 1e2 are whole, too. Beyond the range of a double nobody can tell.
        _ if value.parse::<f64>().is_ok_and(|number| number.fract() == 0.0) => "integer",
        _ => "number",
    }
}

/// A place in the text; blanks between tokens are stepped over.
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    /// At the start of `text`.
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The first byte of what is next.
    pub(super) fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while bytes.get(self.at).copied().is_some_and(is_blank) {
            self.at += 1;
        }
        bytes.get(self.at).copied()
    }

    /// Steps into the object or array that is next.
    pub(super) fn enter(&mut self) {
        self.skip();
    }

    /// Inside an object: takes the name of its next property, as written. Its value is next then.
    /// `None` at the end of the object, which is left.
    pub(super) fn name(&mut self) -> Option<&'a str> {
        if !self.item() {
            return None;
        }
        let name = self.value();
        self.skip();
        Some(name)
    }

    /// Inside an array: whether there is a next item. If not, the array is left.
    pub(super) fn item(&mut self) -> bool {
        if self.peek() == Some(b',') {
            self.at += 1;
        }
        let ended = matches!(self.peek(), None | Some(b']' | b'}'));
        if ended {
            self.at += 1;
        }
        !ended
    }

    /// Takes the value that is next, whatever it is, and gives its text.
    pub(super) fn value(&mut self) -> &'a str {
        let first = self.peek();
        let (bytes, start) = (self.text.as_bytes(), self.at);
        self.at = match first {
            Some(b'"') => end_of_string(bytes, start),
            Some(b'{' | b'[') => end_of_container(bytes, start),
            Some(_) => end_of_word(bytes, start),
            None => start,
        };
        // Valid text is never cut inside a character; for the other kind, nothing is left.
        self.text.get(start..self.at).unwrap_or_default()
    }

    /// Steps over the one byte that is next.
    fn skip(&mut self) {
        self.peek();
        self.at += 1;
    }
}

/// The place behind the object or array that starts at `at`.
fn end_of_container(bytes: &[u8], mut at: usize) -> usize {
    let mut open = 0_usize;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at = end_of_string(bytes, at);
                continue;
            }
            b'{' | b'[' => open += 1,
            b'}' | b']' if open == 1 => return at + 1,
            b'}' | b']' => open -= 1,
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

/// The place behind the number or literal that starts at `at`.
fn end_of_word(bytes: &[u8], at: usize) -> usize {
    let is_end = |byte: &u8| matches!(byte, b',' | b':' | b']' | b'}') || is_blank(*byte);
    bytes[at..].iter().skip(1).position(is_end).map_or(bytes.len(), |length| at + 1 + length)
}
