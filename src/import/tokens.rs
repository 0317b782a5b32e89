//! Steps through JSON text that somebody else has found to be valid.
//!
//! Nothing is converted: a number of four hundred digits or half a surrogate pair passes as it
//! was written. Text that is *not* valid leads to nonsense, never to a panic or an endless loop.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

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
            b' ' | b'\t' | b'\r' | b'\n' => return Some(at),
            b'"' => at = end_of_string(bytes, at),
            _ => at += 1,
        }
    }
}

/// The place behind the string that starts at `at`.
fn end_of_string(bytes: &[u8], mut at: usize) -> usize {
    at += 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// What a string token says; `None` if it has half of a surrogate pair, which is no text.
pub(super) fn decode(token: &str) -> Option<Cow<'_, str>> {
    let inner = token.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
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

/// A place in text without blanks.
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    /// At the start of `compact`.
    pub(super) fn new(compact: &'a str) -> Self {
        Self { rest: compact }
    }

    /// The first byte of what is next.
    pub(super) fn peek(&self) -> Option<u8> {
        self.rest.as_bytes().first().copied()
    }

    /// Steps into the object or array that is next.
    pub(super) fn enter(&mut self) {
        self.skip(1);
    }

    /// Inside an object: takes the name of its next property, as written. Its value is next then.
    /// `None` at the end of the object, which is left.
    pub(super) fn name(&mut self) -> Option<&'a str> {
        if !self.item() {
            return None;
        }
        let name = self.value();
        self.skip(1);
        Some(name)
    }

    /// Inside an array: whether there is a next item. If not, the array is left.
    pub(super) fn item(&mut self) -> bool {
        if self.peek() == Some(b',') {
            self.skip(1);
        }
        let ended = matches!(self.peek(), None | Some(b']' | b'}'));
        if ended {
            self.skip(1);
        }
        !ended
    }

    /// Takes the value that is next, whatever it is, and gives its text.
    pub(super) fn value(&mut self) -> &'a str {
        match self.peek() {
            Some(b'"') => self.skip(end_of_string(self.rest.as_bytes(), 0)),
            Some(b'{' | b'[') => self.skip(self.end_of_container()),
            _ => {
                let delimiter = |(_, c): &(usize, char)| matches!(c, ',' | ':' | ']' | '}');
                let end = self.rest.char_indices().skip(1).find(delimiter);
                self.skip(end.map_or(self.rest.len(), |(at, _)| at))
            }
        }
    }

    fn end_of_container(&self) -> usize {
        let bytes = self.rest.as_bytes();
        let (mut at, mut open) = (0, 0_usize);
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

    fn skip(&mut self, bytes: usize) -> &'a str {
        // Valid text is never cut inside a character; for the other kind, nothing is left.
        let (skipped, rest) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, ""));
        self.rest = rest;
        skipped
    }
}
