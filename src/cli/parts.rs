//! Cutting a file between its rows, so that every part is small enough for the server.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use crate::domain::FileFault;
use crate::import::{RowSpan, find_rows};

/// Bytes that a request has around the file: boundaries, headers and the other parts.
const AROUND: u64 = 4 << 10;

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
    /// The file as it is, rather than rows between brackets of our own.
    whole: bool,
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
    let mut cut = Cut { room, parts: Vec::new(), too_long: Vec::new() };
    file.rewind()?;
    let scanned = find_rows(file, &mut |row| cut.add(row))?;
    if bytes <= room {
        let rows = scanned.unwrap_or_default();
        let part = Part { first_row: 0, first_line: 1, rows, start: 0, end: bytes, whole: true };
        return Ok(Ok(Plan { parts: vec![part], too_long: Vec::new() }));
    }
    Ok(scanned.map(|_| Plan { parts: cut.parts, too_long: cut.too_long }))
}

struct Cut {
    room: u64,
    parts: Vec<Part>,
    too_long: Vec<RowSpan>,
}

impl Cut {
    fn add(&mut self, row: RowSpan) {
        const BRACKETS: u64 = 2;
        if row.end - row.start + BRACKETS > self.room {
            self.too_long.push(row);
            return;
        }
        match self.parts.last_mut() {
            // Rows that no request can hold lie between parts, never within one.
            Some(part)
                if part.first_row + part.rows == row.index
                    && row.end - part.start + BRACKETS <= self.room =>
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
                whole: false,
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
        Ok(if self.whole {
            (Box::new(rows), bytes)
        } else {
            (Box::new(b"[".as_slice().chain(rows).chain(b"]".as_slice())), bytes + 2)
        })
    }
}
