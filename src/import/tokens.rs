//! Steps through JSON text that somebody else has found to be valid.
//!
//! Nothing is converted: a number of four hundred digits or half a surrogate pair passes as it
//! was written. Text that is *not* valid leads to nonsense, never to a panic or an endless loop.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use super::bytes::run_to_quote;

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
            b'"' => at = end_of_string(bytes, at).0,
            _ => at += 1,
        }
    }
}

const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// The place behind the string that starts at `at`, and whether it has no escapes.
fn end_of_string(bytes: &[u8], mut at: usize) -> (usize, bool) {
    let mut is_plain = true;
    at += 1;
    while let Some(rest) = bytes.get(at..) {
        at += run_to_quote(rest);
        match bytes.get(at) {
            Some(b'"') => return (at + 1, is_plain),
            Some(_) => at += 2,
            None => break,
        }
        is_plain = false;
    }
    (bytes.len(), is_plain)
}

/// What a string token says; `None` if it has half of a surrogate pair, which is no text.
pub(super) fn decode(token: &str) -> Option<Cow<'_, str>> {
    let inner = token.strip_prefix('"')?.strip_suffix('"')?;
    Text { token, is_plain: !inner.as_bytes().contains(&b'\\') }.decode()
}

/// A string token.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text<'a> {
    /// As it is written, with its quotes.
    pub(super) token: &'a str,
    is_plain: bool,
}

impl<'a> Text<'a> {
    /// What it says; `None` if it has half of a surrogate pair, which is no text.
    pub(super) fn decode(self) -> Option<Cow<'a, str>> {
        if self.is_plain {
            Some(Cow::Borrowed(self.inner()))
        } else {
            serde_json::from_str(self.token).ok().map(Cow::Owned)
        }
    }

    /// What is between the quotes, as it is written.
    pub(super) fn inner(self) -> &'a str {
        self.token.get(1..self.token.len().saturating_sub(1)).unwrap_or_default()
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
    blanks: usize,
}

impl<'a> Cursor<'a> {
    /// At the start of `text`.
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0, blanks: 0 }
    }

    /// The first byte of what is next.
    pub(super) fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while bytes.get(self.at).copied().is_some_and(is_blank) {
            self.at += 1;
            self.blanks += 1;
        }
        bytes.get(self.at).copied()
    }

    /// Blanks stepped over so far, but for those inside values that were taken whole.
    pub(super) fn blanks(&self) -> usize {
        self.blanks
    }

    /// Steps into the object or array that is next.
    pub(super) fn enter(&mut self) {
        self.skip();
    }

    /// Where it is.
    pub(super) fn place(&self) -> usize {
        self.at
    }

    /// Everything that was taken since it was at this place.
    pub(super) fn taken_since(&self, place: usize) -> &'a str {
        self.text.get(place..self.at).unwrap_or_default()
    }

    /// Inside an object: takes the name of its next property. Its value is next then. `None` at the end of
    /// the object, which is left.
    pub(super) fn name(&mut self) -> Option<Text<'a>> {
        if !self.item() {
            return None;
        }
        let name = self.string();
        self.skip();
        Some(name)
    }

    /// Takes the string that is next.
    pub(super) fn string(&mut self) -> Text<'a> {
        if self.peek() != Some(b'"') {
            return Text { token: self.value(), is_plain: true };
        }
        let start = self.at;
        let is_plain;
        (self.at, is_plain) = end_of_string(self.text.as_bytes(), start);
        Text { token: self.taken_since(start), is_plain }
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
            Some(b'"') => end_of_string(bytes, start).0,
            Some(b'{' | b'[') => end_of_container(bytes, start),
            Some(_) => end_of_word(bytes, start),
            None => start,
        };
        // Valid text is never cut inside a character; for the other kind, nothing is left.
        self.taken_since(start)
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
                at = end_of_string(bytes, at).0;
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
