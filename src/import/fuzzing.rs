//! What must hold of a file and of a row, whatever the bytes.
//!
//! The judge of the file is `serde_json`, which knows the same grammar; that of a row is the row itself: what
//! it offers, written down again, is offered again, and what is shown of it has its members and none of its
//! secrets.

#![expect(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a panic is how these say no")]

mod rows;

use std::io::Cursor;
use std::num::NonZeroUsize;

use serde_json::value::RawValue;

use super::read::Rows;
use super::scan::{Form, MAX_DEPTH, RowSpan, Scanner};
use super::unpack::{UnpackError, Unpacker, is_packed, unpack};
use super::{Limits, examine};
use crate::domain::testing::{Chance, pieces};
use crate::domain::{FileFault, Position, RowSchema};

pub use rows::row_rules;

/// Largest file that comes out of a packed one here, in bytes.
const MOST_UNPACKED: u64 = 1 << 20;
const MARK: &[u8] = b"\xef\xbb\xbf";

/// A file, packed or not, that arrives in one piece or in many.
pub fn file_reader(bytes: &[u8]) {
    let Some(file) = unpacked(bytes) else { return };
    let file = &file[..];
    let (verdict, rows) = scanned(&[file]);
    assert_eq!((verdict.clone(), rows.clone()), scanned(&pieces(file)), "in pieces");
    let expected = rows_by_serde_json(file);
    match verdict {
        Ok(count) => {
            let found: Vec<&str> = rows.iter().map(|row| text_of(file, row)).collect();
            assert_eq!((count, Some(&found)), (found.len() as u64, expected.as_ref()));
            rows_are_read(file, &rows, &found);
        }
        Err(fault) => {
            stands_where_it_says(&fault, file);
            let is_too_deep = fault.what.starts_with("arrays and objects are nested deeper");
            assert!(expected.is_none() || is_too_deep, "refused: {fault:?}");
            assert!(!is_too_deep || depth(file) >= MAX_DEPTH, "not that deep: {fault:?}");
        }
    }
}

/// What arrives in the end, unless it is too large or damaged.
fn unpacked(bytes: &[u8]) -> Option<Vec<u8>> {
    let whole = passed(&[bytes]);
    match (&whole, passed(&pieces(bytes))) {
        (Ok((file, false)), Ok((cut, false))) => assert_eq!(*file, cut, "in pieces"),
        // Damage may come with the bytes that are too many, or only after them.
        (Err(UnpackError::TooLarge) | Ok((_, true)), Err(UnpackError::TooLarge) | Ok((_, true))) => {}
        (whole, cut) => panic!("whole: {whole:?}, in pieces: {cut:?}"),
    }
    let (file, is_damaged) = whole.ok()?;
    if is_packed(bytes) {
        let mut again = Vec::new();
        let is_good = unpack(bytes, &mut again).is_ok();
        assert_eq!((is_good, is_good.then_some(&again)), (!is_damaged, (!is_damaged).then_some(&file)));
    } else {
        assert_eq!((&file[..], is_damaged), (bytes, false));
    }
    (!is_damaged).then_some(file)
}

fn passed(pieces: &[&[u8]]) -> Result<(Vec<u8>, bool), UnpackError> {
    let mut unpacker = Unpacker::new(Vec::new(), MOST_UNPACKED);
    pieces.iter().try_for_each(|piece| unpacker.push(piece))?;
    unpacker.finish().map(|(file, fault)| (file, fault.is_some()))
}

fn scanned(pieces: &[&[u8]]) -> (Result<u64, FileFault>, Vec<RowSpan>) {
    let (mut scanner, mut rows) = (Scanner::new(), Vec::new());
    for piece in pieces {
        scanner.push(piece, &mut |row| rows.push(row));
    }
    (scanner.finish(), rows)
}

fn text_of<'a>(file: &'a [u8], row: &RowSpan) -> &'a str {
    let place = |byte: u64| usize::try_from(byte).unwrap();
    str::from_utf8(&file[place(row.start)..place(row.end)]).unwrap()
}

/// The rows as another reader of JSON finds them; `None` if the file is none of users.
fn rows_by_serde_json(file: &[u8]) -> Option<Vec<&str>> {
    let file = file.strip_prefix(MARK).unwrap_or(file);
    let first = file.iter().position(|byte| !b" \t\r\n".contains(byte))?;
    let lines = &file[first..];
    if lines[0] == b'[' {
        let rows: Vec<&RawValue> = serde_json::from_slice(lines).ok()?;
        return Some(rows.into_iter().map(RawValue::get).collect());
    }
    let name = lines.strip_prefix(b"{")?.trim_ascii_start();
    if !name.starts_with(b"\"user_id\"") {
        return None;
    }
    let rows = serde_json::Deserializer::from_slice(lines).into_iter::<&RawValue>();
    let rows: Vec<&str> = rows.collect::<Result<Vec<_>, _>>().ok()?.into_iter().map(RawValue::get).collect();
    rows.iter().all(|row| row.starts_with('{')).then_some(rows)
}

/// How deep the array of rows is, brackets in texts left out.
fn depth(file: &[u8]) -> u32 {
    let (mut depth, mut deepest, mut in_text, mut is_escaped) = (0_u32, 0, false, false);
    for byte in file {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_text => is_escaped = true,
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => depth += 1,
            b']' | b'}' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

fn stands_where_it_says(fault: &FileFault, file: &[u8]) {
    let before = &file[..usize::try_from(fault.byte).unwrap()];
    let lines = before.split(|byte| *byte == b'\n').count() - 1;
    let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let place = (1 + lines as u64, (before.len() - line_start) as u64 + 1);
    assert_eq!((fault.line, fault.column), place, "{fault:?}");
    assert!(fault.line == 1 || file.contains(&b'\n'));
}

/// Rows come in chunks of any size, and from any row on.
fn rows_are_read(file: &[u8], rows: &[RowSpan], texts: &[&str]) {
    let mut chance = Chance::of(file);
    let start = chance.below(rows.len() + 1);
    for (skipped, most) in [(0, 1000), (0, 1 + chance.below(5)), (start, 1 + chance.below(5))] {
        let position = skipped.checked_sub(1).map_or(Position::default(), |last| rows[last].position_after());
        let most = NonZeroUsize::new(most).unwrap();
        let mut found = Vec::new();
        for chunk in Rows::open(Cursor::new(file), position, most).unwrap() {
            let chunk = chunk.unwrap();
            assert!((1..=most.get()).contains(&chunk.rows.len()));
            found.extend(
                chunk
                    .rows
                    .iter()
                    .map(|row| (row.index, row.line, row.end, chunk.text_of(row).unwrap().to_owned())),
            );
        }
        let wanted = rows.iter().zip(texts).skip(skipped);
        let wanted: Vec<_> = wanted
            .map(|(row, text)| (row.index, row.line, row.position_after(), (*text).to_owned()))
            .collect();
        assert_eq!(found, wanted);
    }
    let limits = Limits { max_metadata_bytes: 1000, schema: RowSchema::Basic };
    let mut judged = 0;
    let counted = examine(Cursor::new(file), &limits, |_| judged += 1).unwrap();
    assert_eq!((counted, judged), (Ok(rows.len() as u64), rows.len()));
    let scanner_form = if file.strip_prefix(MARK).unwrap_or(file).trim_ascii_start().starts_with(b"{") {
        Form::Lines
    } else {
        Form::Array
    };
    assert_eq!(super::form_of(&mut &file[..]).unwrap(), scanner_form);
}
