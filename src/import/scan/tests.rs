//! The scanner against `serde_json` and the suites of others, however its input is cut.

#![expect(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "a panic is how a test fails")]

use proptest::prelude::*;

use crate::domain::testing::corpus;
use crate::domain::{FileFault, Position};
use crate::import::testing;

use super::{Form, MAX_DEPTH, RowSpan, Scanner};

/// What a scanner says of a text that reaches it in pieces cut at these places.
fn scan_cut(text: &[u8], cuts: &[usize]) -> (Result<u64, FileFault>, Vec<RowSpan>) {
    scan_from(Scanner::new(), text, cuts)
}

fn scan_from(mut scanner: Scanner, text: &[u8], cuts: &[usize]) -> (Result<u64, FileFault>, Vec<RowSpan>) {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (text.len() + 1)).collect();
    cuts.sort_unstable();
    cuts.push(text.len());
    let mut rows = Vec::new();
    let mut start = 0;
    for end in cuts {
        scanner.push(&text[start..end], &mut |row| rows.push(row));
        start = end;
    }
    (scanner.finish(), rows)
}

fn scan(text: &[u8]) -> Result<u64, FileFault> {
    let (whole, rows) = scan_cut(text, &[]);
    let bytes: Vec<usize> = (0..text.len()).collect();
    assert_eq!((whole.clone(), rows), scan_cut(text, &bytes), "byte by byte");
    whole
}

#[track_caller]
fn good(text: &str, rows: u64) {
    assert_eq!(scan(text.as_bytes()), Ok(rows), "{text}");
}

/// Asserts the fault, as `what @ line:column byte | hint`.
#[track_caller]
fn bad(text: impl AsRef<[u8]>, wanted: &str) {
    let text = text.as_ref();
    let fault = scan(text).expect_err("it is accepted");
    let hint = fault.hint.map_or(String::new(), |hint| format!(" | {hint}"));
    let (line, column, byte) = (fault.line, fault.column, fault.byte);
    let found = format!("{} @ {line}:{column} {byte}{hint}", fault.what);
    assert_eq!(found, wanted, "{}", String::from_utf8_lossy(text));
}

#[test]
fn arrays_are_accepted_whatever_their_rows_are() {
    good("[]", 0);
    good(" \t\r\n[ ]\n", 0);
    good("\u{feff}[1]", 1);
    good("[{}, [], 1, \"x\", true, false, null]", 7);
    good(r#"[{"a":{"b":[1,2,{"c":[]}]}}, {"a":""}]"#, 2);
    good(r#"["\"\\\/\b\f\n\r\té\u00e9\ud800 é €  𝄞"]"#, 1);
    good("[0,-0,0.5,-1.25e+10,1E5,0e-0,123456789012345678901234567890,1e400]", 8);
    good("[\"\u{7f}\u{80}\u{7ff}\u{800}\u{d7ff}\u{e000}\u{ffff}\u{10000}\u{10ffff}\"]", 1);
}

#[test]
fn rows_are_where_they_are() {
    let text = b"[ {\"a\":\n1} ,\n12\n, \"x\"]";
    let (rows, spans) = scan_cut(text, &[5]);
    assert_eq!(rows, Ok(3));
    let texts: Vec<(&[u8], u64, u64)> = spans
        .iter()
        .map(|row| {
            let (start, end) = (row.start as usize, row.end as usize);
            (&text[start..end], row.line, row.end_line)
        })
        .collect();
    assert_eq!(texts, [(&b"{\"a\":\n1}"[..], 1, 2), (b"12", 3, 3), (b"\"x\"", 4, 4)]);
}

#[test]
fn nesting_has_a_limit() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    let deepest = MAX_DEPTH as usize;
    good(&nested(deepest), 1);
    bad(nested(deepest + 1), "arrays and objects are nested deeper than 100 levels @ 1:101 100");
    bad("[".repeat(100_000), "arrays and objects are nested deeper than 100 levels @ 1:101 100");
    let objects = "{\"a\":".repeat(deepest - 1) + "1" + &"}".repeat(deepest - 1);
    good(&format!("[{objects}]"), 1);
    bad(format!("[[{objects}]]"), "arrays and objects are nested deeper than 100 levels @ 1:493 492");
}

#[test]
fn a_fault_says_what_where_and_what_to_do() {
    bad("[1 2]", "expected ',' or ']' after a row @ 1:4 3");
    bad("[1}", "expected ',' or ']' after a row @ 1:3 2");
    bad("[[1 2]]", "expected ',' or ']' after an item of an array @ 1:5 4");
    bad("[{\"a\":1 \"b\"]", "expected ',' or '}' after a property's value @ 1:9 8");
    bad("[{\"a\" 1}]", "expected ':' after a property's name @ 1:7 6");
    bad("[{1:2}]", "expected a property's name in double quotes @ 1:3 2");
    bad("[{\"a\":}]", "expected a value @ 1:7 6");
    bad("[,1]", "expected a value @ 1:2 1");
    bad("[\n1,,2]", "expected a value @ 2:3 4");
    bad("[{\n} 1]", "expected ',' or ']' after a row @ 2:3 5");
    bad("[{\n\n\"a\":1},\n{} 1]", "expected ',' or ']' after a row @ 4:4 15");
    bad("[\"\\x\"]", "there is no such escape @ 1:4 3 | a backslash in a text is written as two");
    bad("[\"\\u12g4\"]", "expected four hexadecimal digits after \\u @ 1:7 6");
    bad("[\"a\nb\"]", "a control character in a text must be written as an escape @ 1:4 3");
    bad("[01]", "a number must not start with a zero @ 1:3 2");
    bad("[1.]", "expected a digit @ 1:4 3");
    bad("[-]", "expected a digit @ 1:3 2");
    bad("[1e+]", "expected a digit @ 1:5 4");
    bad(
        "[] x",
        "there is something after the closing ']' @ 1:4 3 | the only bare words of JSON are true, false and null",
    );
    bad("[1],", "there is something after the closing ']' @ 1:4 3");
}

#[test]
fn the_usual_mistakes_get_advice() {
    let comma = "remove the comma before the closing bracket";
    let array = "the file is not an array of rows: expected '['";
    bad("[1,]", &format!("expected a value after the comma @ 1:4 3 | {comma}"));
    bad("[{\"a\":1,}]", &format!("expected a property's name after the comma @ 1:9 8 | {comma}"));
    bad("[{}\n{}]", "expected ',' or ']' after a row @ 2:1 4 | put a comma between two rows");
    bad(
        "[{}]\n[{}]",
        "there is something after the closing ']' @ 2:1 5 | put all rows in one array, separated by commas",
    );
    bad(
        "[{'a':1}]",
        "expected a property's name in double quotes @ 1:3 2 | JSON knows straight double quotes only",
    );
    bad("[ // users\n]", "expected a value @ 1:3 2 | JSON has no comments: remove them");
    bad("[True]", "expected a value @ 1:2 1 | the only bare words of JSON are true, false and null");
    bad("[nil]", "expected a value @ 1:3 2 | the only bare words of JSON are true, false and null");
    let wrap = "wrap it in [ ], or upload only the array if the rows are in one of its properties";
    bad("{\"a\":[1,{}]}", &format!("{array} @ 1:1 0 | {wrap}"));
    bad("\n {\"a\":1}\n", &format!("{array} @ 2:2 2 | {wrap}"));
    let ndjson =
        "this looks like NDJSON (one object per line): put the rows in one array, separated by commas";
    bad("{\"a\":[1]}\n{\"a\":2}", &format!("{array} @ 1:1 0 | {ndjson}"));
    bad("{},{}", &format!("{array} @ 1:1 0 | {ndjson}"));
    let rows = "the rows must stand in one array: [{...}, {...}]";
    bad("{\"a\":1", &format!("{array} @ 1:1 0 | {rows}"));
    bad("{a:1}", &format!("{array} @ 1:1 0 | {rows}"));
    bad("42", &format!("{array} @ 1:1 0 | {rows}"));
    bad("true", &format!("{array} @ 1:1 0 | {rows}"));
    let csv = "this looks like CSV or plain text: the rows must be JSON objects in one array";
    bad("email,email_verified\n", &format!("{array} @ 1:1 0 | {csv}"));
    bad("\"email\",\"x\"\n", &format!("{array} @ 1:1 0 | {csv}"));
    bad(
        "<html>",
        &format!("{array} @ 1:1 0 | this looks like XML or HTML: the rows must be JSON objects in one array"),
    );
    bad("// users\n[]", &format!("{array} @ 1:1 0 | JSON has no comments: remove them"));
}

#[test]
fn an_export_is_lines_of_objects_whose_first_member_is_user_id() {
    good("{\"user_id\":\"auth0|1\"}", 1);
    good("\u{feff}\n {\"user_id\" :1,\"a\":[{}]}\n\n{}\r\n {\"b\":{\"c\":[]}}{\"d\":1}\n", 4);
    let text = b"\n{\"user_id\":\n1}\n{\"a\":2}{}";
    let (rows, spans) = scan_cut(text, &[3]);
    assert_eq!(rows, Ok(3));
    let places: Vec<_> = spans.iter().map(|row| (row.index, row.line, row.start, row.end)).collect();
    assert_eq!(places, [(0, 2, 1, 15), (1, 4, 16, 23), (2, 4, 23, 25)]);
}

#[test]
fn no_other_object_is_taken_for_an_export() {
    let array = "the file is not an array of rows: expected '['";
    let ndjson =
        "this looks like NDJSON (one object per line): put the rows in one array, separated by commas";
    for first in ["user_ids", "user_i", "user_id ", "User_id", "\\u0075ser_id", "email", ""] {
        let text = format!("{{\"{first}\":1}}\n{{\"user_id\":2}}");
        bad(&text, &format!("{array} @ 1:1 0 | {ndjson}"));
    }
    let rows = "the rows must stand in one array: [{...}, {...}]";
    bad("{\"user_id", &format!("{array} @ 1:1 0 | {rows}"));
    bad("{,\"user_id\":1}", &format!("{array} @ 1:1 0 | {rows}"));
}

#[test]
fn a_fault_in_an_export_says_what_and_where() {
    let first = "{\"user_id\":1}";
    let nothing = "the rows of an export have nothing but blanks between them";
    bad(format!("{first},\n{first}"), &format!("expected '{{' of the next row @ 1:14 13 | {nothing}"));
    bad(format!("{first}\n[]"), &format!("expected '{{' of the next row @ 2:1 14 | {nothing}"));
    bad(format!("{first}\n1"), "expected '{' of the next row @ 2:1 14");
    bad(format!("{first}\n{{\"a\" 1}}"), "expected ':' after a property's name @ 2:6 19");
    let again = "the file seems to be cut short: upload it again";
    bad(format!("{first}\n{{"), &format!("the file ends in the middle of row index 1 @ 2:2 15 | {again}"));
    bad("{\"user_id\"", &format!("the file ends in the middle of row index 0 @ 1:11 10 | {again}"));
    bad("{\"user_id\":1]", "expected ',' or '}' after a property's value @ 1:13 12");
    let nested = |depth: usize| format!("{first}{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
    good(&nested(MAX_DEPTH as usize - 1), 2);
    assert!(scan(nested(MAX_DEPTH as usize).as_bytes()).is_err());
}

#[test]
fn a_file_cut_short_is_told_from_a_wrong_one() {
    let again = "the file seems to be cut short: upload it again";
    for text in ["", " \n", "\u{feff}"] {
        assert_eq!(scan(text.as_bytes()).unwrap_err().what, "the file is empty", "{text:?}");
    }
    bad("[", &format!("the file ends before the closing ']' @ 1:2 1 | {again}"));
    bad("[1,", &format!("the file ends before the closing ']' @ 1:4 3 | {again}"));
    bad("[1,[2]", &format!("the file ends before the closing ']' @ 1:7 6 | {again}"));
    let inside = ["[1,{", "[1,{\"", "[1,{\"a\\", "[1,\"\\u0", "[1,tr", "[1,-", "[1,\"\u{e9}"];
    for text in inside {
        let fault = scan(text.as_bytes()).unwrap_err();
        assert_eq!(fault.what, "the file ends in the middle of row index 1", "{text}");
        assert_eq!(fault.hint.as_deref(), Some(again), "{text}");
    }
}

#[test]
fn other_encodings_and_packed_files_are_recognised() {
    let json = "the file is not JSON text @ 1:1 0 | ";
    let utf16 = "this looks like UTF-16: save the file as UTF-8";
    bad(b"\xff\xfe[\0]\0", &format!("{json}{utf16}"));
    bad(b"\xfe\xff\0[\0]", &format!("{json}{utf16}"));
    bad(b"\0[\0]", &format!("{json}{utf16}"));
    bad(b"[\0]\0", &format!("expected a value @ 1:2 1 | {utf16}"));
    bad(b"\x1f\x8b\x08\0", &format!("{json}this looks like a gzip file: unpack it first"));
    bad(b"PK\x03\x04", &format!("{json}this looks like a zip file: unpack it first"));
    bad(b"\xef\xbb[]", "the file is not JSON text @ 1:3 2 | save the file as UTF-8");
    bad(b"\xe4[]", &format!("{json}save the file as UTF-8"));
}

#[test]
fn texts_must_be_utf_8() {
    let wrong: [&[u8]; 12] = [
        b"\x80",
        b"\xe4",
        b"\xc0\xaf",
        b"\xc1\xbf",
        b"\xe0\x9f\xbf",
        b"\xed\xa0\x80",
        b"\xed\xbf\xbf",
        b"\xf0\x8f\xbf\xbf",
        b"\xf4\x90\x80\x80",
        b"\xf5\x80\x80\x80",
        b"\xfe",
        b"\xc3\xa9\xc3",
    ];
    for bytes in wrong {
        let text = [b"[\"abc", bytes, b" \"]"].concat();
        let fault = scan(&text).unwrap_err();
        assert_eq!(fault.what, "a text is not valid UTF-8", "{bytes:x?}");
        let valid_up_to = std::str::from_utf8(&text).unwrap_err().valid_up_to() as u64;
        assert!(valid_up_to <= fault.byte && fault.byte <= valid_up_to + 3, "{bytes:x?}");
    }
}

#[test]
fn bytes_after_a_fault_are_ignored() {
    let mut scanner = Scanner::new();
    scanner.push_unreported(b"[1 2");
    let first = scanner.fault().cloned();
    scanner.push_unreported(b"\xff\n}");
    assert_eq!(scanner.fault().cloned(), first);
    assert_eq!(scanner.finish().err(), first);
}

#[test]
fn the_json_test_suite_agrees() {
    let Some(folder) = corpus("JSONTestSuite/test_parsing") else {
        return;
    };
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read(&path).unwrap();
        let verdict = scan(&text);
        let is_array = text.trim_ascii_start().starts_with(b"[");
        match (name.split('_').next(), is_array) {
            (Some("y"), true) => assert!(verdict.is_ok(), "{name}: {verdict:?}"),
            (Some("y"), false) => {
                let what = verdict.unwrap_err().what;
                assert!(what.starts_with("the file is not an array"), "{name}: {what}");
            }
            (Some("n"), _) => assert!(verdict.is_err(), "{name}"),
            _ => {}
        }
        files += 1;
    }
    assert_eq!(files, 318);
}

proptest! {
    #[test]
    fn whatever_serde_json_accepts_is_accepted(
        rows in prop::collection::vec(testing::json(), 0..6),
        cuts in prop::collection::vec(any::<usize>(), 0..8),
    ) {
        let text = format!("[{}]", rows.join(","));
        let (counted, spans) = scan_cut(text.as_bytes(), &cuts);
        prop_assert_eq!(counted, Ok(rows.len() as u64));
        for (row, span) in rows.iter().zip(&spans) {
            let found = &text[span.start as usize..span.end as usize];
            prop_assert_eq!(found, row.trim_ascii());
        }
    }

    #[test]
    fn a_changed_text_is_judged_as_serde_json_judges_it(
        rows in prop::collection::vec(testing::json(), 0..4),
        changes in prop::collection::vec((any::<usize>(), any::<usize>(), 0_u8..3), 1..4),
        cuts in prop::collection::vec(any::<usize>(), 0..8),
    ) {
        let mut text = format!("[{}]", rows.join(",")).into_bytes();
        for (place, byte, kind) in changes {
            testing::mutate(&mut text, place, byte, kind);
        }
        let (verdict, rows) = scan_cut(&text, &[]);
        prop_assert_eq!((verdict.clone(), rows), scan_cut(&text, &cuts));
        // It reads the same grammar; numbers and surrogates are not converted when ignored.
        let valid = std::str::from_utf8(&text).is_ok_and(|text| {
            let ignored: Result<Vec<serde::de::IgnoredAny>, _> = serde_json::from_str(text);
            ignored.is_ok()
        });
        prop_assert_eq!(verdict.is_ok(), valid, "{}", String::from_utf8_lossy(&text));
    }

    #[test]
    fn any_row_is_a_place_to_go_on_from(
        rows in prop::collection::vec(testing::json(), 0..8),
        cuts in prop::collection::vec(any::<usize>(), 0..8),
    ) {
        let text = format!("\u{feff}\n[{}\n]", rows.join("\n,"));
        let (_, spans) = scan_cut(text.as_bytes(), &[]);
        let starts = spans.iter().map(RowSpan::position_after);
        for position in std::iter::once(Position::default()).chain(starts) {
            let rest = &text.as_bytes()[position.byte as usize..];
            let found = scan_from(Scanner::resume(position, Form::Array), rest, &cuts);
            let left = spans[position.row as usize..].to_vec();
            prop_assert_eq!(found, (Ok(rows.len() as u64), left));
        }
    }

    #[test]
    fn rows_are_the_same_in_an_array_and_on_lines(
        values in prop::collection::vec(testing::json(), 1..8),
        blank in "[ \t\r\n]{0,2}",
        cuts in prop::collection::vec(any::<usize>(), 0..8),
    ) {
        let rows: Vec<String> = values.iter().map(|value| format!("{{\"user_id\":{value}}}")).collect();
        let array = format!("[{}]", rows.join(&format!("{blank},")));
        let lines = format!("\u{feff}{blank}{}\n", rows.join(&blank));
        let texts = |text: &str, spans: &[RowSpan]| -> Vec<String> {
            spans.iter().map(|span| text[span.start as usize..span.end as usize].to_owned()).collect()
        };
        let (counted, spans) = scan_cut(lines.as_bytes(), &cuts);
        prop_assert_eq!(counted, Ok(rows.len() as u64));
        prop_assert_eq!(texts(&lines, &spans), texts(&array, &scan_cut(array.as_bytes(), &[]).1));
        for position in spans.iter().map(RowSpan::position_after) {
            let rest = &lines.as_bytes()[position.byte as usize..];
            let found = scan_from(Scanner::resume(position, Form::Lines), rest, &cuts);
            prop_assert_eq!(found, (Ok(rows.len() as u64), spans[position.row as usize..].to_vec()));
        }
    }

    #[test]
    fn any_bytes_get_an_answer(
        text in prop::collection::vec(any::<u8>(), 0..64),
        cuts in prop::collection::vec(any::<usize>(), 0..8),
    ) {
        prop_assert_eq!(scan_cut(&text, &[]), scan_cut(&text, &cuts));
    }
}
