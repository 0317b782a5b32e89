//! Cutting a file between its rows, so that every part is small enough for the server.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use crate::domain::{FileFault, Position};
use crate::import::{Form, RowSpan, Scanner, find_rows, form_of};

/// Bytes that a request has around the file: boundaries, headers and the other parts.
const AROUND: u64 = 4 << 10;
/// Bytes of lines that are looked at in one go.
const BLOCK_BYTES: usize = 64 << 10;
/// Bytes that an array has around its rows.
const BRACKETS: u64 = 2;

/// Consecutive rows of a file that make one job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    /// Index of the first row.
    pub(super) first_row: u64,
    /// Line that row starts on.
    pub(super) first_line: u64,
    /// Number of rows.
    pub(super) rows: u64,
    /// Where the first row starts in the file, in bytes.
    start: u64,
    /// Where the last row ends.
    end: u64,
    shape: Shape,
}

/// What is sent of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// The file as it is.
    Whole,
    /// Rows between brackets of our own; commas too where they stood on lines.
    Rows(Form),
}

impl Shape {
    /// Bytes of so many rows that take so many in the file.
    fn bytes(self, span: u64, rows: u64) -> u64 {
        match self {
            Self::Whole => span,
            Self::Rows(Form::Array) => span + BRACKETS,
            Self::Rows(Form::Lines) => span + BRACKETS + rows.saturating_sub(1),
        }
    }
}

/// What is to be sent of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) parts: Vec<Part>,
    /// Rows that no request could hold.
    pub(super) too_long: Vec<RowSpan>,
}

/// Plans the requests for a file, none larger than `limit` bytes.
///
/// A file that fits is sent as it is, good or bad, because the server is the judge of it; one that
/// must be cut has to be good.
pub(super) fn plan(file: &mut File, limit: u64) -> io::Result<Result<Plan, FileFault>> {
    let bytes = file.seek(SeekFrom::End(0))?;
    let room = limit.saturating_sub(AROUND);
    file.rewind()?;
    let shape = Shape::Rows(form_of(file)?);
    let mut cut = Cut { room, shape, parts: Vec::new(), too_long: Vec::new() };
    file.rewind()?;
    let scanned = find_rows(file, &mut |row| cut.add(row))?;
    if bytes <= room {
        let rows = scanned.unwrap_or_default();
        let part = Part { first_row: 0, first_line: 1, rows, start: 0, end: bytes, shape: Shape::Whole };
        return Ok(Ok(Plan { parts: vec![part], too_long: Vec::new() }));
    }
    Ok(scanned.map(|_| Plan { parts: cut.parts, too_long: cut.too_long }))
}

struct Cut {
    room: u64,
    shape: Shape,
    parts: Vec<Part>,
    too_long: Vec<RowSpan>,
}

impl Cut {
    fn add(&mut self, row: RowSpan) {
        if self.shape.bytes(row.end - row.start, 1) > self.room {
            self.too_long.push(row);
            return;
        }
        match self.parts.last_mut() {
            // Rows that no request can hold lie between parts, never within one.
            Some(part)
                if part.first_row + part.rows == row.index
                    && self.shape.bytes(row.end - part.start, part.rows + 1) <= self.room =>
            {
                part.end = row.end;
                part.rows += 1;
            }
            _ => self.parts.push(Part {
                first_row: row.index,
                first_line: row.line,
                rows: 1,
                start: row.start,
                end: row.end,
                shape: self.shape,
            }),
        }
    }
}

impl Part {
    /// What to send, and how long that is.
    pub(super) fn body(&self, mut file: File) -> io::Result<(Box<dyn Read>, u64)> {
        file.seek(SeekFrom::Start(self.start))?;
        let bytes = self.end - self.start;
        let rows = file.take(bytes);
        let rows: Box<dyn Read> = match self.shape {
            Shape::Whole => return Ok((Box::new(rows), bytes)),
            Shape::Rows(Form::Array) => Box::new(rows),
            Shape::Rows(Form::Lines) => Box::new(Commas::new(rows, self)),
        };
        let body = b"[".as_slice().chain(rows).chain(b"]".as_slice());
        Ok((Box::new(body), self.shape.bytes(bytes, self.rows)))
    }
}

/// Rows that stood on lines, with commas between them.
struct Commas<R> {
    rows: R,
    scanner: Scanner,
    /// Where in the file the next byte is, and the part ends.
    place: u64,
    end: u64,
    /// What is ready, and how much of it was read.
    ready: Vec<u8>,
    read: usize,
}

impl<R: Read> Commas<R> {
    fn new(rows: R, part: &Part) -> Self {
        let position = Position { row: part.first_row, byte: part.start, line: part.first_line };
        let scanner = Scanner::resume(position, Form::Lines);
        Self { rows, scanner, place: part.start, end: part.end, ready: Vec::new(), read: 0 }
    }

    fn make_ready(&mut self) -> io::Result<()> {
        let mut block = Vec::with_capacity(BLOCK_BYTES);
        self.rows.by_ref().take(BLOCK_BYTES as u64).read_to_end(&mut block)?;
        let mut ends = Vec::new();
        self.scanner.push(&block, &mut |row| ends.push(row.end));
        self.ready.clear();
        self.read = 0;
        let mut rest = &block[..];
        for end in ends.into_iter().filter(|end| *end < self.end) {
            let length = usize::try_from(end.saturating_sub(self.place)).unwrap_or(usize::MAX);
            let (before, after) = rest.split_at(length.min(rest.len()));
            self.ready.extend_from_slice(before);
            self.ready.push(b',');
            self.place += before.len() as u64;
            rest = after;
        }
        self.ready.extend_from_slice(rest);
        self.place += rest.len() as u64;
        Ok(())
    }
}

impl<R: Read> Read for Commas<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.read == self.ready.len() {
            self.make_ready()?;
        }
        let length = (&self.ready[self.read..]).read(buffer)?;
        self.read += length;
        Ok(length)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may")]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn lines_are_cut_into_arrays_of_the_announced_length() {
        let row = |at: usize| format!("{{\"user_id\":\"auth0|{at}\",\"a\":\"{}\"}}", "x".repeat(at % 300));
        let rows: Vec<String> = (0..2000).map(row).collect();
        let mut file = tempfile::tempfile().unwrap();
        for separator in ["\n", "", "\r\n\n "] {
            file.set_len(0).unwrap();
            file.rewind().unwrap();
            writeln!(file, "\u{feff}{}", rows.join(separator)).unwrap();
            for limit in [AROUND + 340, AROUND + 9000, AROUND + 200_000] {
                let plan = plan(&mut file, limit).unwrap().unwrap();
                assert!(plan.parts.len() > 1 && plan.too_long.is_empty());
                let mut sent: Vec<String> = Vec::new();
                for part in &plan.parts {
                    let (mut body, bytes) = part.body(file.try_clone().unwrap()).unwrap();
                    let mut text = String::new();
                    body.read_to_string(&mut text).unwrap();
                    assert_eq!(text.len() as u64, bytes);
                    assert!(bytes + AROUND <= limit);
                    let values: Vec<&serde_json::value::RawValue> = serde_json::from_str(&text).unwrap();
                    assert_eq!((values.len() as u64, sent.len() as u64), (part.rows, part.first_row));
                    sent.extend(values.iter().map(|value| value.get().to_owned()));
                }
                assert!(sent == rows);
            }
        }
    }
}
