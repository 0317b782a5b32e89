//! A whole file judged in one call, for a look at it before it is uploaded.

use std::io::{self, Read, Seek};
use std::num::NonZeroUsize;

use crate::domain::{Candidate, Fault, FileFault, Position};

use super::check::{Limits, judge_read};
use super::read::Rows;
use super::scan::{RowSpan, Scanner};

const BLOCK_BYTES: usize = 256 * 1024;
const CHUNK_ROWS: NonZeroUsize = NonZeroUsize::new(1000).expect("1000 is not 0");

/// One row of a file and the verdict on it.
#[derive(Debug)]
pub struct Examined<'a> {
    /// Place in the file's array, from 0.
    pub index: u64,
    /// Line of the file it starts on, from 1.
    pub line: u64,
    /// Its text; `None` if it has more than [`super::MAX_ROW_BYTES`].
    pub text: Option<&'a str>,
    /// The user it offers, or everything wrong with it.
    pub verdict: Result<Candidate<'a>, Vec<Fault>>,
}

/// Judges all rows of a file that nobody has looked at yet, in the order of the file; tells their
/// number.
///
/// A file that is no file of rows gives a [`FileFault`], before any row was judged.
pub fn examine<R: Read + Seek>(
    mut file: R,
    limits: &Limits,
    mut on_row: impl FnMut(Examined<'_>),
) -> io::Result<Result<u64, FileFault>> {
    file.rewind()?;
    let rows = match find_rows(&mut file, &mut |_| {})? {
        Ok(rows) => rows,
        Err(fault) => return Ok(Err(fault)),
    };
    for chunk in Rows::open(file, Position::default(), CHUNK_ROWS)? {
        let chunk = chunk?;
        for row in &chunk.rows {
            let text = chunk.text_of(row);
            let verdict = judge_read(text, limits);
            on_row(Examined { index: row.index, line: row.line, text, verdict });
        }
    }
    Ok(Ok(rows))
}

/// Reads on to the end, telling of each row; tells their number, or what is wrong with the file.
pub fn find_rows(
    file: &mut impl Read,
    on_row: &mut impl FnMut(RowSpan),
) -> io::Result<Result<u64, FileFault>> {
    let mut scanner = Scanner::new();
    let mut block = vec![0; BLOCK_BYTES];
    loop {
        match file.read(&mut block) {
            Ok(0) => return Ok(scanner.finish()),
            Ok(length) => scanner.push(&block[..length], on_row),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if scanner.fault().is_some() {
            return Ok(scanner.finish());
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use std::io::Cursor;

    use super::*;
    use crate::domain::RowSchema;

    type Verdict = (u64, u64, bool);

    fn verdicts(text: &str) -> (Result<u64, FileFault>, Vec<Verdict>) {
        let limits = Limits { max_metadata_bytes: 100, schema: RowSchema::Basic };
        let mut verdicts = Vec::new();
        let on_row = |row: Examined<'_>| verdicts.push((row.index, row.line, row.verdict.is_ok()));
        let rows = examine(Cursor::new(text), &limits, on_row).unwrap();
        (rows, verdicts)
    }

    #[test]
    fn every_row_of_a_good_file_gets_a_verdict() {
        let text = "[{\"email\":\"a@b.c\",\"email_verified\":true},\n{}]";
        assert_eq!(verdicts(text), (Ok(2), vec![(0, 1, true), (1, 2, false)]));
    }

    #[test]
    fn no_row_of_a_bad_file_does() {
        let (rows, verdicts) = verdicts("[{\"email\":\"a@b.c\",\"email_verified\":true},");
        assert_eq!(rows.unwrap_err().what, "the file ends before the closing ']'");
        assert_eq!(verdicts, []);
    }
}
