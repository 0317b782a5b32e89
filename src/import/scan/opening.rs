//! What a file that does not start with `[` seems to be, and what a stray byte tells.

use crate::domain::FileFault;

/// A file that is no text at all, or not in our encoding.
pub(super) const NO_JSON: &str = "the file is not JSON text";
pub(super) const SAVE_AS_UTF8: &str = "save the file as UTF-8";
/// Hints for files that are JSON, or near it.
pub(super) const NO_ARRAY: &str = "the rows must stand in one array: [{...}, {...}]";
pub(super) const WRAP: &str =
    "wrap it in [ ], or upload only the array if the rows are in one of its properties";
pub(super) const NDJSON: &str = "this looks like NDJSON (one object per line): \
     put the rows in one array, separated by commas";
const UTF16: &str = "this looks like UTF-16: save the file as UTF-8";
const GZIP: &str = "this looks like a gzip file: unpack it first";
const ZIP: &str = "this looks like a zip file: unpack it first";
const CSV: &str = "this looks like CSV or plain text: the rows must be JSON objects in one array";
const MARKUP: &str = "this looks like XML or HTML: the rows must be JSON objects in one array";
const QUOTES: &str = "JSON knows straight double quotes only";
const COMMENTS: &str = "JSON has no comments: remove them";
const WORDS: &str = "the only bare words of JSON are true, false and null";

/// Where a file that is no array starts, and the first bytes of it.
#[derive(Debug)]
pub(super) struct Opening {
    line: u64,
    column: u64,
    byte: u64,
    head: [u8; 4],
    length: usize,
}

impl Opening {
    pub(super) fn new(line: u64, column: u64, byte: u64) -> Self {
        Self { line, column, byte, head: [0; 4], length: 0 }
    }

    /// Line and byte where the file starts.
    pub(super) fn place(&self) -> (u64, u64) {
        (self.line, self.byte)
    }

    /// Takes one more byte; `false` once there are enough.
    pub(super) fn take(&mut self, byte: u8) -> bool {
        if let Some(free) = self.head.get_mut(self.length) {
            *free = byte;
            self.length += 1;
        }
        self.length < self.head.len()
    }

    /// The fault of a file that starts with neither `[` nor `{`.
    pub(super) fn fault(&self) -> FileFault {
        match &self.head[..self.length] {
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [_, 0, ..] | [0, ..] => self.no_json(UTF16),
            [0x1f, 0x8b, ..] => self.no_json(GZIP),
            [b'P', b'K', 3..=8, ..] => self.no_json(ZIP),
            [..=0x1f | 0x7f.., ..] => self.no_json(SAVE_AS_UTF8),
            [b'\'', ..] => self.no_array(QUOTES),
            [b'/' | b'#', ..] => self.no_array(COMMENTS),
            [b'<', ..] => self.no_array(MARKUP),
            b"true" | b"fals" | b"null" => self.no_array(NO_ARRAY),
            [b'"' | b'a'..=b'z' | b'A'..=b'Z', ..] => self.no_array(CSV),
            _ => self.no_array(NO_ARRAY),
        }
    }

    /// "It is not an array", with a hint.
    pub(super) fn no_array(&self, hint: &str) -> FileFault {
        self.fault_of("the file is not an array of rows: expected '['", hint)
    }

    fn no_json(&self, hint: &str) -> FileFault {
        self.fault_of(NO_JSON, hint)
    }

    fn fault_of(&self, what: &str, hint: &str) -> FileFault {
        FileFault {
            what: what.to_owned(),
            line: self.line,
            column: self.column,
            byte: self.byte,
            hint: Some(hint.to_owned()),
        }
    }
}

/// What to do about a byte that should not be where it is.
pub(super) fn hint_for(byte: u8) -> Option<&'static str> {
    match byte {
        0 => Some(UTF16),
        // The typographic quotes of word processors start with 0xE2.
        b'\'' | b'`' | 0xe2 => Some(QUOTES),
        b'/' | b'#' => Some(COMMENTS),
        b'a'..=b'z' | b'A'..=b'Z' => Some(WORDS),
        _ => None,
    }
}
