//! Is this a JSON array, or an export of ours, and where are its rows? Answered in one pass and constant
//! memory.
//!
//! Exports are lines: an object each, with nothing between them but blanks. A file is taken for one if its
//! first object's first member is `user_id`; any other that begins with an object is refused, with a hint.
//! To the rest of the scanner lines are an array whose brackets and commas are not written.
//!
//! [`Scanner`] is told the bytes as they arrive and knows RFC 8259 to the letter: the grammar,
//! escapes, UTF-8, nothing behind the end. What a row *means* it does not know, and it keeps no
//! text: half a surrogate pair written as an escape, a property given twice or a number no
//! machine can hold are fine here and a fault of the row, if anything, in [`super::check`].
//!
//! **Invariant:** how the bytes are cut into pushes never shows, neither in the rows found nor
//! in the fault reported.

mod edge;
mod lines;
mod number;
mod opening;
#[cfg(test)]
mod tests;
mod token;
mod utf8;
mod whole;

use crate::domain::{FileFault, Position};

use number::Number;
use opening::Opening;
use utf8::Partial;
use whole::Whole;

/// Deepest nesting accepted; the array of rows is level 1.
pub const MAX_DEPTH: u32 = 100;

/// The level on which rows stand.
const ROWS: u32 = 1;
/// No level at all: in a file whose top level is an object there are no rows to find.
const NOWHERE: u32 = u32::MAX;

const CUT_SHORT: &str = "the file seems to be cut short: upload it again";
const LAST_COMMA: &str = "remove the comma before the closing bracket";
const SECOND_ARRAY: &str = "put all rows in one array, separated by commas";
const BETWEEN_ROWS: &str = "put a comma between two rows";

/// Where one row stands in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowSpan {
    /// Place in the array, from 0.
    pub index: u64,
    /// Line it starts on, from 1.
    pub line: u64,
    /// Its first byte, counted from the start of the file.
    pub start: u64,
    /// The byte after its last one.
    pub end: u64,
    /// Line it ends on, from 1.
    pub end_line: u64,
}

impl RowSpan {
    /// The place right behind the row: where to [`Scanner::resume`] to find the rows after it.
    pub fn position_after(&self) -> Position {
        Position { row: self.index + 1, byte: self.end, line: self.end_line }
    }
}

/// Checks a file of users while it arrives, and tells where its rows are.
#[derive(Debug)]
pub struct Scanner {
    state: State,
    /// Bytes seen before the ones in hand.
    offset: u64,
    /// Line, from 1, and where it starts.
    line: u64,
    line_start: u64,
    /// How many arrays and objects are open, and a bit for each, the innermost lowest: is it an
    /// object?
    depth: u32,
    objects: u128,
    /// Whether the text in hand is the name of a property.
    in_name: bool,
    /// The level rows stand on: [`ROWS`] or [`NOWHERE`].
    row_depth: u32,
    /// Rows found so far, and start and line of the one in hand.
    rows: u64,
    row: Option<(u64, u64)>,
    /// How the rows are kept apart.
    form: Form,
    /// How the file starts if with neither `[` nor an export's first row; it is refused, all that is open is
    /// with which hint.
    opening: Option<Opening>,
    fault: Option<Box<FileFault>>,
}

/// How the rows of a file are kept apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// They stand in an array.
    Array,
    /// They are objects with blanks between them.
    Lines,
}

/// What the next byte belongs to.
#[derive(Debug, Clone, Copy)]
enum State {
    /// Nothing has been seen but blanks.
    Start,
    /// The byte order mark; so many of its bytes have been seen.
    Mark(usize),
    /// A start so strange that only its first bytes matter.
    Strange,
    /// Before the first token in a file that begins with an object.
    FirstToken,
    /// Inside its first name, which may be that of an export; so many of its bytes have been seen.
    FirstName(usize),
    /// Between two tokens.
    Between(Expected),
    /// Between two lines.
    BetweenLines,
    /// Inside a string.
    Text,
    /// After a backslash.
    Escape,
    /// So many hexadecimal digits are to come.
    Hex(u8),
    /// Inside a character of several bytes.
    Character(Partial),
    /// Inside a number.
    Number(Number),
    /// The rest of `true`, `false` or `null`.
    Literal(&'static [u8]),
    /// A row has ended and was not reported yet.
    RowEnded,
    /// After the closing bracket.
    Done,
    /// Nothing matters any more.
    Refused,
}

/// Which token may follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    /// A value.
    Value,
    /// A value, or the end of an array that is empty.
    FirstItem,
    /// A name, or the end of an object that is empty.
    FirstName,
    /// A name.
    Name,
    /// The colon after a name.
    Colon,
    /// A comma, or the end of the array or object.
    Comma,
}

impl Default for Scanner {
    fn default() -> Self {
        Self::new()
    }
}

impl Scanner {
    /// A scanner at the start of a file.
    pub fn new() -> Self {
        Self {
            state: State::Start,
            offset: 0,
            line: 1,
            line_start: 0,
            depth: 0,
            objects: 0,
            in_name: false,
            row_depth: ROWS,
            rows: 0,
            row: None,
            form: Form::Array,
            opening: None,
            fault: None,
        }
    }

    /// A scanner that goes on behind a row of a file known to be good, and to have this form.
    ///
    /// `position` is one that [`RowSpan::position_after`] gave, or the default. Columns of faults
    /// on its line count from there.
    pub fn resume(position: Position, form: Form) -> Self {
        if position.byte == 0 {
            return Self::new();
        }
        let state = match form {
            Form::Lines => State::BetweenLines,
            Form::Array if position.row == 0 => State::Between(Expected::FirstItem),
            Form::Array => State::Between(Expected::Comma),
        };
        Self {
            state,
            form,
            offset: position.byte,
            line: position.line,
            line_start: position.byte,
            depth: ROWS,
            rows: position.row,
            ..Self::new()
        }
    }

    /// Takes the next bytes and tells of each row that ends in them. After a fault, further bytes
    /// are ignored.
    pub fn push(&mut self, bytes: &[u8], on_row: &mut impl FnMut(RowSpan)) {
        let mut at = 0;
        while at < bytes.len() {
            at = match self.state {
                State::Text => self.text(bytes, at),
                State::Between(expected) => self.between(expected, bytes, at),
                State::Literal(rest) => self.literal(rest, bytes, at),
                State::Number(number) => self.number(number, bytes, at),
                State::Character(partial) => self.character(partial, bytes, at),
                State::Escape => self.escape(bytes[at], at),
                State::Hex(missing) => self.hex(missing, bytes[at], at),
                State::RowEnded => self.report(on_row, at),
                State::BetweenLines => self.between_lines(bytes, at),
                State::Start => self.start(bytes, at),
                State::Mark(seen) => self.mark(seen, bytes[at], at),
                State::FirstToken => self.first_token(bytes, at),
                State::FirstName(seen) => self.first_name(seen, bytes[at], at),
                State::Strange => self.strange(bytes[at], at),
                State::Done => self.done(bytes, at),
                State::Refused => bytes.len(),
            };
        }
        if matches!(self.state, State::RowEnded) {
            self.report(on_row, at);
        }
        self.offset += bytes.len() as u64;
    }

    /// Takes the next bytes, for callers who only want to know whether the file is good.
    pub fn push_unreported(&mut self, bytes: &[u8]) {
        self.push(bytes, &mut |_| {});
    }

    /// What is wrong with the file, as far as the bytes so far tell.
    pub fn fault(&self) -> Option<&FileFault> {
        self.fault.as_deref()
    }

    /// Where the row in hand starts, if the bytes so far end inside one.
    pub fn open_row(&self) -> Option<u64> {
        self.row.map(|(start, _)| start)
    }

    /// How the rows are kept apart, as far as the bytes so far tell.
    pub fn form(&self) -> Form {
        self.form
    }

    /// The number of rows, or what is wrong with the file.
    pub fn finish(mut self) -> Result<u64, FileFault> {
        match self.state {
            State::Done if self.opening.is_none() => return Ok(self.rows),
            State::BetweenLines => return Ok(self.rows),
            State::Done => self.refuse_opening(opening::WRAP),
            State::Strange => self.refuse_strange(),
            State::Refused => 0,
            State::Start | State::Mark(_) => self.refuse(0, "the file is empty", None),
            _ => self.refuse_end(),
        };
        match self.fault {
            Some(fault) => Err(*fault),
            None => Ok(self.rows),
        }
    }

    fn refuse_end(&mut self) -> usize {
        let what = if self.row.is_some() {
            format!("the file ends in the middle of row index {}", self.rows)
        } else {
            "the file ends before the closing ']'".to_owned()
        };
        self.refuse(0, what, Some(CUT_SHORT))
    }

    /// Notes a fault at the byte `at` of those in hand; gives back a place behind them all.
    fn refuse(&mut self, at: usize, what: impl Into<String>, hint: Option<&str>) -> usize {
        if self.opening.is_some() {
            // Whatever the fault inside it: that the file is no array has to be mended first.
            return self.refuse_opening(opening::NO_ARRAY);
        }
        let byte = self.offset + at as u64;
        self.note(FileFault {
            what: what.into(),
            line: self.line,
            column: byte - self.line_start + 1,
            byte,
            hint: hint.map(str::to_owned),
        })
    }

    fn refuse_opening(&mut self, hint: &str) -> usize {
        let fault = self.opening.as_ref().map(|opening| opening.no_array(hint));
        fault.map_or(usize::MAX, |fault| self.note(fault))
    }

    fn refuse_strange(&mut self) -> usize {
        let fault = self.opening.as_ref().map(Opening::fault);
        fault.map_or(usize::MAX, |fault| self.note(fault))
    }

    fn note(&mut self, fault: FileFault) -> usize {
        self.fault = Some(Box::new(fault));
        self.state = State::Refused;
        self.row = None;
        usize::MAX
    }

    /// Steps over blanks, counting lines. Line ends exist nowhere else: in a text they are faults.
    #[inline]
    fn blanks(&mut self, bytes: &[u8], mut at: usize) -> usize {
        while let Some(byte) = bytes.get(at) {
            match byte {
                b' ' | b'\t' | b'\r' => {}
                b'\n' => {
                    self.line += 1;
                    self.line_start = self.offset + at as u64 + 1;
                }
                _ => break,
            }
            at += 1;
        }
        at
    }

    /// Takes punctuation for as long as it lasts, up to the first byte of a text, number or
    /// literal.
    fn between(&mut self, mut expected: Expected, bytes: &[u8], mut at: usize) -> usize {
        loop {
            at = self.blanks(bytes, at);
            let Some(&byte) = bytes.get(at) else {
                self.state = State::Between(expected);
                return at;
            };
            expected = match (expected, byte) {
                (Expected::Name | Expected::FirstName, b'"') => {
                    self.in_name = true;
                    self.state = State::Text;
                    return at + 1;
                }
                (Expected::Comma, b',') if self.in_object() => Expected::Name,
                (Expected::Comma, b',') | (Expected::Colon, b':') => Expected::Value,
                (Expected::Comma | Expected::FirstName, b'}') if self.in_object() => {
                    return self.close(at);
                }
                (Expected::Comma | Expected::FirstItem, b']') if !self.in_object() => {
                    return self.close(at);
                }
                (Expected::Value | Expected::FirstItem, _) => return self.value(bytes, at),
                _ => return self.refuse_token(expected, byte, at),
            };
            at += 1;
        }
    }

    /// The first byte of a value.
    fn value(&mut self, bytes: &[u8], at: usize) -> usize {
        let byte = bytes[at];
        if self.depth == self.row_depth {
            self.row = Some((self.offset + at as u64, self.line));
            if byte == b'{'
                && let Some(row) = whole::row(bytes, at)
            {
                return self.step_over(&row);
            }
        }
        self.state = match byte {
            b'"' => {
                self.in_name = false;
                State::Text
            }
            b'{' | b'[' if self.depth == MAX_DEPTH => {
                let what = format!("arrays and objects are nested deeper than {MAX_DEPTH} levels");
                return self.refuse(at, what, None);
            }
            b'{' | b'[' => {
                self.open(byte == b'{');
                return at + 1;
            }
            b't' => State::Literal(b"rue"),
            b'f' => State::Literal(b"alse"),
            b'n' => State::Literal(b"ull"),
            b'-' | b'0'..=b'9' => State::Number(Number::start(byte)),
            _ => return self.refuse_token(Expected::Value, byte, at),
        };
        at + 1
    }

    fn step_over(&mut self, row: &Whole) -> usize {
        if row.lines > 0 {
            self.line += row.lines;
            self.line_start = self.offset + row.line_start as u64;
        }
        self.state = State::RowEnded;
        row.end
    }

    fn open(&mut self, object: bool) {
        self.depth += 1;
        self.objects = self.objects << 1 | u128::from(object);
        let first = if object { Expected::FirstName } else { Expected::FirstItem };
        self.state = State::Between(first);
    }

    fn close(&mut self, at: usize) -> usize {
        self.depth -= 1;
        self.objects >>= 1;
        if self.depth == 0 {
            self.state = State::Done;
        } else {
            self.value_ended();
        }
        at + 1
    }

    #[inline]
    fn in_object(&self) -> bool {
        self.objects & 1 == 1
    }

    #[inline]
    fn value_ended(&mut self) {
        let row_ended = self.depth == self.row_depth;
        self.state = if row_ended { State::RowEnded } else { State::Between(Expected::Comma) };
    }

    /// Tells of the row that ended just before `at`.
    fn report(&mut self, on_row: &mut impl FnMut(RowSpan), at: usize) -> usize {
        self.state = match self.form {
            Form::Array => State::Between(Expected::Comma),
            Form::Lines => State::BetweenLines,
        };
        if let Some((start, line)) = self.row.take() {
            let end = self.offset + at as u64;
            on_row(RowSpan { index: self.rows, line, start, end, end_line: self.line });
            self.rows += 1;
        }
        at
    }

    /// The byte at `at` cannot start or continue what was expected.
    fn refuse_token(&mut self, expected: Expected, byte: u8, at: usize) -> usize {
        let in_rows = self.depth == ROWS && !self.in_object();
        let (what, hint) = match (expected, byte) {
            (Expected::Value, b']') if !self.in_object() => {
                ("expected a value after the comma", Some(LAST_COMMA))
            }
            (Expected::Name, b'}') => ("expected a property's name after the comma", Some(LAST_COMMA)),
            (Expected::Comma, b'{') if in_rows => ("expected ',' or ']' after a row", Some(BETWEEN_ROWS)),
            (Expected::Comma, _) if in_rows => ("expected ',' or ']' after a row", None),
            (Expected::Comma, _) if self.in_object() => {
                ("expected ',' or '}' after a property's value", None)
            }
            (Expected::Comma, _) => ("expected ',' or ']' after an item of an array", None),
            (Expected::Colon, _) => ("expected ':' after a property's name", None),
            (Expected::Name | Expected::FirstName, _) => {
                ("expected a property's name in double quotes", None)
            }
            (Expected::Value | Expected::FirstItem, _) => ("expected a value", None),
        };
        self.refuse(at, what, hint.or_else(|| opening::hint_for(byte)))
    }
}
