//! Cuts a file known to be good into chunks of rows.
//!
//! **Invariant:** a row's [`end`](RawRow::end) is a place to go on from: rows read from there are
//! the rows that would have come next. Memory is bounded whatever the file holds; a row too
//! long to be anybody's profile is stepped over without being kept.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::mem;
use std::num::NonZeroUsize;
use std::ops::Range;

use crate::domain::{FileFault, Position};

use super::scan::{Form, RowSpan, Scanner};

/// Longest row that is looked at, in bytes.
pub const MAX_ROW_BYTES: usize = 1024 * 1024;
/// Most text in one chunk, in bytes.
pub const MAX_CHUNK_BYTES: usize = 4 * 1024 * 1024;

const BLOCK_BYTES: u64 = 1024 * 1024;

/// Some rows of the file, one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawChunk {
    /// The rows' text.
    pub text: String,
    /// The rows; never none.
    pub rows: Vec<RawRow>,
}

/// One row, not yet judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawRow {
    /// Place in the file's array, from 0.
    pub index: u64,
    /// Line of the file it starts on, from 1.
    pub line: u64,
    /// Where to go on after it.
    pub end: Position,
    /// Where its text is in the chunk's; `None` if it has more than [`MAX_ROW_BYTES`].
    pub span: Option<Range<usize>>,
}

impl RawChunk {
    /// The text of one of its rows; `None` if the row has more than [`MAX_ROW_BYTES`].
    pub fn text_of(&self, row: &RawRow) -> Option<&str> {
        row.span.clone().and_then(|span| self.text.get(span))
    }
}

/// The chunks of a file, from some position on.
#[derive(Debug)]
pub struct Rows<R> {
    file: R,
    scanner: Scanner,
    limit: usize,
    /// The bytes read last, and where in the file they start.
    block: Vec<u8>,
    block_start: u64,
    /// The rows that end in the block and were not handed out yet.
    found: VecDeque<RowSpan>,
    /// What earlier blocks held of the row that goes on in this one, unless that is too long.
    carried: Vec<u8>,
    /// Whether there is nothing more to read.
    ended: bool,
}

impl<R: Read + Seek> Rows<R> {
    /// Goes to `start` in a file known to be good. Each chunk will have up to `most_rows` rows.
    ///
    /// Should the file not be good after all, reading it fails with
    /// [`io::ErrorKind::InvalidData`].
    pub fn open(mut file: R, start: Position, most_rows: NonZeroUsize) -> io::Result<Self> {
        file.rewind()?;
        let form = form_of(&mut file)?;
        file.seek(SeekFrom::Start(start.byte))?;
        Ok(Self {
            file,
            scanner: Scanner::resume(start, form),
            limit: most_rows.get(),
            block: Vec::new(),
            block_start: start.byte,
            found: VecDeque::new(),
            carried: Vec::new(),
            ended: false,
        })
    }

    /// From now on, each chunk will have up to `most_rows` rows.
    pub fn limit(&mut self, most_rows: NonZeroUsize) {
        self.limit = most_rows.get();
    }

    fn next_chunk(&mut self) -> io::Result<Option<RawChunk>> {
        let mut chunk = Draft::default();
        loop {
            while let Some(span) = self.found.front() {
                if chunk.is_full(span, self.limit) {
                    return chunk.finish();
                }
                self.hand_out(&mut chunk);
            }
            self.carry();
            if !self.read_block()? {
                return chunk.finish();
            }
        }
    }

    /// Moves the first row found into the chunk.
    fn hand_out(&mut self, chunk: &mut Draft) {
        let Some(span) = self.found.pop_front() else {
            return;
        };
        if is_too_long(&span) {
            chunk.add(span, None);
        } else {
            let start = self.place_in_block(span.start);
            let end = self.place_in_block(span.end);
            chunk.add(span, Some([&self.carried, &self.block[start..end]]));
        }
        self.carried.clear();
    }

    /// Keeps what the block has of a row that goes on behind it.
    fn carry(&mut self) {
        let Some(start) = self.scanner.open_row() else {
            return;
        };
        let length = self.block_start + self.block.len() as u64 - start;
        if length <= MAX_ROW_BYTES as u64 {
            let tail = self.place_in_block(start);
            self.carried.extend_from_slice(&self.block[tail..]);
        } else {
            // Too long whatever follows: these bytes will not be asked for.
            self.carried.clear();
        }
    }

    fn place_in_block(&self, byte: u64) -> usize {
        let place = usize::try_from(byte.saturating_sub(self.block_start)).unwrap_or(usize::MAX);
        place.min(self.block.len())
    }

    /// Reads on; `false` at the end of the file.
    fn read_block(&mut self) -> io::Result<bool> {
        if self.ended {
            return Ok(false);
        }
        self.block_start += self.block.len() as u64;
        self.block.clear();
        self.file.by_ref().take(BLOCK_BYTES).read_to_end(&mut self.block)?;
        if self.block.is_empty() {
            self.ended = true;
            return mem::take(&mut self.scanner).finish().map(|_| false).map_err(invalid);
        }
        let found = &mut self.found;
        self.scanner.push(&self.block, &mut |span| found.push_back(span));
        let Some(fault) = self.scanner.fault().cloned() else {
            return Ok(true);
        };
        self.ended = true;
        self.found.clear();
        Err(invalid(fault))
    }
}

impl<R: Read + Seek> Iterator for Rows<R> {
    type Item = io::Result<RawChunk>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_chunk().transpose()
    }
}

/// How the rows of a good file are kept apart: its first byte tells, after the mark and blanks.
pub fn form_of(file: &mut impl Read) -> io::Result<Form> {
    for byte in BufReader::new(file).bytes() {
        match byte? {
            b' ' | b'\t' | b'\r' | b'\n' | 0xef | 0xbb | 0xbf => {}
            b'{' => return Ok(Form::Lines),
            _ => break,
        }
    }
    Ok(Form::Array)
}

fn is_too_long(span: &RowSpan) -> bool {
    span.end - span.start > MAX_ROW_BYTES as u64
}

fn invalid(fault: FileFault) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, fault)
}

/// A chunk in the making.
#[derive(Debug, Default)]
struct Draft {
    text: Vec<u8>,
    rows: Vec<RawRow>,
}

impl Draft {
    fn is_full(&self, next: &RowSpan, most_rows: usize) -> bool {
        let length = if is_too_long(next) { 0 } else { next.end - next.start };
        let room = MAX_CHUNK_BYTES.saturating_sub(self.text.len()) as u64;
        self.rows.len() >= most_rows || (!self.rows.is_empty() && room < length)
    }

    fn add(&mut self, span: RowSpan, parts: Option<[&[u8]; 2]>) {
        let span_in_text = parts.map(|parts| {
            let start = self.text.len();
            for part in parts {
                self.text.extend_from_slice(part);
            }
            start..self.text.len()
        });
        let end = span.position_after();
        self.rows.push(RawRow { index: span.index, line: span.line, end, span: span_in_text });
    }

    fn finish(self) -> io::Result<Option<RawChunk>> {
        if self.rows.is_empty() {
            return Ok(None);
        }
        let text = String::from_utf8(self.text)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        Ok(Some(RawChunk { text, rows: self.rows }))
    }
}
