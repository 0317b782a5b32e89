//! Lines written one after the other, and read so: counted, and summed up.

use std::io::{BufRead, Read, Write};

use serde::Serialize;
use serde::de::Deserialize;

use super::super::error::{Result, StoreError};
use super::frame::{END, End, Header};
use super::shapes::Line;
use super::{Counts, LoadError};

/// No line of ours is longer; one that is, is none of ours.
const LONGEST: u64 = 256 << 20;
/// A line starts like this.
const BEFORE_KIND: &[u8] = b"{\"kind\":\"";

/// A dump on its way out.
pub(super) struct Writer<'a> {
    to: &'a mut dyn Write,
    line: Vec<u8>,
    body: Vec<u8>,
    sum: crc32fast::Hasher,
    counts: Counts,
}

impl<'a> Writer<'a> {
    /// Begins a dump.
    pub(super) fn begin(to: &'a mut dyn Write, header: &Header) -> Result<Self> {
        let (sum, counts) = (crc32fast::Hasher::new(), Counts::new());
        let mut writer = Self { to, line: Vec::new(), body: Vec::new(), sum, counts };
        serde_json::to_writer(&mut writer.line, header).map_err(|error| unwritable(&error))?;
        writer.end_line()?;
        Ok(writer)
    }

    /// Adds a line.
    pub(super) fn put<L: Line + Serialize>(&mut self, line: &L) -> Result<()> {
        self.put_as(L::KIND, line)?;
        match self.counts.get_mut(L::KIND) {
            Some(count) => *count += 1,
            None => drop(self.counts.insert(L::KIND.to_owned(), 1)),
        }
        Ok(())
    }

    /// Adds the last line; tells how many there are of each kind.
    pub(super) fn end(mut self) -> Result<Counts> {
        let end = End::new(&self.counts, self.sum.clone());
        self.put_as(END, &end)?;
        self.to.flush()?;
        Ok(self.counts)
    }

    fn put_as(&mut self, kind: &str, body: &impl Serialize) -> Result<()> {
        self.body.clear();
        serde_json::to_writer(&mut self.body, body).map_err(|error| unwritable(&error))?;
        self.line.extend_from_slice(BEFORE_KIND);
        self.line.extend_from_slice(kind.as_bytes());
        self.line.extend_from_slice(b"\",");
        self.line.extend_from_slice(self.body.strip_prefix(b"{").unwrap_or(&self.body));
        self.end_line()
    }

    fn end_line(&mut self) -> Result<()> {
        self.line.push(b'\n');
        self.sum.update(&self.line);
        self.to.write_all(&self.line)?;
        self.line.clear();
        Ok(())
    }
}

fn unwritable(error: &serde_json::Error) -> StoreError {
    StoreError::Corrupt(format!("something cannot be written as JSON: {error}"))
}

/// A dump on its way in.
pub(super) struct Reader<'a> {
    from: &'a mut dyn BufRead,
    line: Vec<u8>,
    /// Where the line in hand has a brace in place of its comma; 0 if it is as it was read.
    cut: usize,
    /// Of the line in hand, from 1.
    number: u64,
    /// Of all lines before it.
    sum: crc32fast::Hasher,
    counts: Counts,
}

impl<'a> Reader<'a> {
    /// Begins to read, and tells what the first line says.
    pub(super) fn begin(from: &'a mut dyn BufRead) -> std::result::Result<(Self, Header), LoadError> {
        let (sum, counts) = (crc32fast::Hasher::new(), Counts::new());
        let mut reader = Self { from, line: Vec::new(), cut: 0, number: 0, sum, counts };
        if !reader.advance()? {
            return Err(LoadError::Foreign("it is empty".to_owned()));
        }
        let header = serde_json::from_slice::<Header>(&reader.line);
        let header =
            header.map_err(|error| LoadError::Foreign(format!("its first line is no header: {error}")))?;
        match header.refusal() {
            Some(why) => Err(LoadError::Foreign(why)),
            None => Ok((reader, header)),
        }
    }

    /// Hands the kind and the rest of every line to `take`, checks the last one, and tells how many there were.
    pub(super) fn each(
        mut self,
        mut take: impl FnMut(&str, &[u8]) -> std::result::Result<(), Refusal>,
    ) -> std::result::Result<Counts, LoadError> {
        while self.advance()? {
            let line = self.number;
            let wrong = |why: String| LoadError::Line { line, why };
            let (kind, body) = split(&mut self.line, &mut self.cut).map_err(wrong)?;
            if kind == END {
                let end: End = parse(body).map_err(wrong)?;
                return self.end(&end);
            }
            match take(kind, body) {
                Ok(()) => {}
                Err(Refusal::Line(why)) => return Err(wrong(why)),
                Err(Refusal::Store(error)) => return Err(error.into()),
            }
            match self.counts.get_mut(kind) {
                Some(count) => *count += 1,
                None => drop(self.counts.insert(kind.to_owned(), 1)),
            }
        }
        let why = "it is missing: the dump was cut off before its last line".to_owned();
        Err(LoadError::Line { line: self.number + 1, why })
    }

    fn end(mut self, end: &End) -> std::result::Result<Counts, LoadError> {
        if let Some(why) = end.difference(&self.counts, self.sum.clone()) {
            return Err(LoadError::Line { line: self.number, why });
        }
        if self.advance()? {
            let why = "it comes after the last one".to_owned();
            return Err(LoadError::Line { line: self.number, why });
        }
        Ok(self.counts)
    }

    /// Reads the next line, if there is one.
    fn advance(&mut self) -> std::result::Result<bool, LoadError> {
        if self.number > 0 {
            if let Some(comma) = self.line.get_mut(self.cut).filter(|_| self.cut > 0) {
                *comma = b',';
            }
            self.cut = 0;
            self.sum.update(&self.line);
            self.sum.update(b"\n");
        }
        self.line.clear();
        self.number += 1;
        let line = self.number;
        let read = Read::take(&mut *self.from, LONGEST).read_until(b'\n', &mut self.line);
        match read {
            Ok(0) => {
                self.number -= 1;
                Ok(false)
            }
            Ok(_) if self.line.pop_if(|last| *last == b'\n').is_none() => {
                let why = "it does not end: the dump was cut off".to_owned();
                Err(LoadError::Line { line, why })
            }
            Ok(_) => Ok(true),
            Err(error) => Err(LoadError::Unreadable { line, error }),
        }
    }
}

/// Whether a line was taken.
pub(super) type Taken = std::result::Result<(), Refusal>;

/// Why a line is not taken.
pub(super) enum Refusal {
    Line(String),
    Store(StoreError),
}

impl From<String> for Refusal {
    fn from(why: String) -> Self {
        Self::Line(why)
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// The kind of a line, and the object without it, which is made in place.
fn split<'a>(line: &'a mut [u8], cut: &mut usize) -> std::result::Result<(&'a str, &'a [u8]), String> {
    let expected = || "it does not begin with {\"kind\":\"…\"".to_owned();
    let from = BEFORE_KIND.len();
    if !line.starts_with(BEFORE_KIND) {
        return Err(expected());
    }
    let length = line[from..].iter().position(|byte| *byte == b'"').ok_or_else(expected)?;
    let (head, body) = line.split_at_mut(from + length + 1);
    let kind = std::str::from_utf8(&head[from..from + length]).map_err(|_| expected())?;
    match body.first_mut() {
        Some(byte) if *byte == b',' => {
            *byte = b'{';
            *cut = head.len();
        }
        _ => return Err(format!("there is nothing in it but its kind, {kind}")),
    }
    Ok((kind, body))
}

/// Reads the rest of a line.
pub(super) fn parse<'de, L: Deserialize<'de>>(body: &'de [u8]) -> std::result::Result<L, String> {
    serde_json::from_slice(body).map_err(|error| format!("it is not as its kind should be: {error}"))
}
