//! Files cut into chunks, and gone on with.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::io::{Cursor, ErrorKind};

use proptest::prelude::*;

use crate::domain::Position;
use crate::import::testing;

use super::{MAX_CHUNK_BYTES, MAX_ROW_BYTES, NonZeroUsize, RawChunk, Rows, io};

fn chunks(text: &str, start: Position, most_rows: usize) -> Vec<RawChunk> {
    let most_rows = NonZeroUsize::new(most_rows).unwrap();
    Rows::open(Cursor::new(text), start, most_rows).unwrap().map(Result::unwrap).collect()
}

/// Index, line and text of each row.
/// Where to go on after a chunk.
fn end(chunk: &RawChunk) -> Position {
    chunk.rows.last().unwrap().end
}

fn rows(chunks: &[RawChunk]) -> Vec<(u64, u64, Option<String>)> {
    let rows_of = |chunk: &RawChunk| -> Vec<_> {
        let text = |row| chunk.text_of(row).map(str::to_owned);
        chunk.rows.iter().map(|row| (row.index, row.line, text(row))).collect()
    };
    chunks.iter().flat_map(rows_of).collect()
}

#[test]
fn a_file_is_cut_into_chunks_of_rows() {
    let chunks = chunks("[ {\"a\": 1},\n\n 2 , \"x\"\n]", Position::default(), 2);
    let texts: Vec<&str> = chunks.iter().map(|chunk| chunk.text.as_str()).collect();
    assert_eq!(texts, ["{\"a\": 1}2", "\"x\""]);
    let row = |index, line, text: &str| (index, line, Some(text.to_owned()));
    assert_eq!(rows(&chunks), [row(0, 1, "{\"a\": 1}"), row(1, 3, "2"), row(2, 3, "\"x\"")]);
    assert_eq!(end(&chunks[0]), Position { row: 2, byte: 15, line: 3 });
}

#[test]
fn a_file_without_rows_has_no_chunks() {
    assert_eq!(chunks("[]", Position::default(), 10), []);
    let text = "[1]";
    let end = end(&chunks(text, Position::default(), 10)[0]);
    assert_eq!(chunks(text, end, 10), []);
}

#[test]
fn a_row_may_have_the_largest_size_and_no_more() {
    let row = |bytes: usize| format!("\"{}\"", "x".repeat(bytes - 2));
    let (largest, larger) = (row(MAX_ROW_BYTES), row(MAX_ROW_BYTES + 1));
    let huge = row(5 * MAX_ROW_BYTES);
    let text = format!("[0,{largest},{larger},\n{huge},{huge},1,{largest}]");
    let wanted = [
        (0, 1, Some("0".to_owned())),
        (1, 1, Some(largest.clone())),
        (2, 1, None),
        (3, 2, None),
        (4, 2, None),
        (5, 2, Some("1".to_owned())),
        (6, 2, Some(largest)),
    ];
    let whole = chunks(&text, Position::default(), 100);
    assert!(rows(&whole) == wanted);
    assert_eq!(whole.len(), 1);
    for start in chunks(&text, Position::default(), 1).iter().map(end) {
        let row = usize::try_from(start.row).unwrap();
        assert!(rows(&chunks(&text, start, 2)) == wanted[row..]);
    }
}

#[test]
fn a_chunk_has_a_largest_size() {
    let row = format!("\"{}\"", "x".repeat(MAX_CHUNK_BYTES / 5));
    let text = format!("[{}]", vec![row; 12].join(","));
    let lengths: Vec<usize> =
        chunks(&text, Position::default(), 100).iter().map(|chunk| chunk.rows.len()).collect();
    assert_eq!(lengths, [4, 4, 4]);
}

#[test]
fn a_file_that_is_not_good_after_all_is_an_error() {
    for text in ["[1 2]", "[1,", "", "{}"] {
        let mut rows = Rows::open(Cursor::new(text), Position::default(), NonZeroUsize::MIN).unwrap();
        let error: io::Error = rows.next().unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData, "{text}");
        assert!(rows.next().is_none(), "{text}");
    }
}

#[test]
fn an_export_is_gone_on_with_at_any_of_its_lines() {
    let row = |number: usize| format!("{{\"user_id\":{number},\n\"a\":[]}}");
    let text = format!("\u{feff} {}\n", (0..7).map(row).collect::<Vec<_>>().join("\n"));
    let all = rows(&chunks(&text, Position::default(), 2));
    let wanted: Vec<_> =
        (0..7).map(|number| (number as u64, 2 * number as u64 + 1, Some(row(number)))).collect();
    assert_eq!(all, wanted);
    for start in chunks(&text, Position::default(), 1).iter().map(end) {
        let row = usize::try_from(start.row).unwrap();
        assert_eq!(rows(&chunks(&text, start, 3)), all[row..]);
    }
}

proptest! {
    #[test]
    fn the_end_of_a_chunk_is_where_the_next_one_begins(
        given in prop::collection::vec(testing::json(), 0..12),
        most_rows in 1_usize..5,
        others in 1_usize..5,
    ) {
        let text = format!("[{}]", given.join("\n,"));
        let all = chunks(&text, Position::default(), most_rows);
        let texts: Vec<Option<String>> = rows(&all).into_iter().map(|row| row.2).collect();
        let wanted: Vec<Option<String>> =
            given.iter().map(|row| Some(row.trim_ascii().to_owned())).collect();
        prop_assert_eq!(texts, wanted);
        for (done, chunk) in all.iter().enumerate() {
            let rest = rows(&chunks(&text, end(chunk), others));
            prop_assert_eq!(rest, rows(&all[done + 1..]));
        }
    }
}
