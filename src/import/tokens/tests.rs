//! Stepping through JSON text.

use std::borrow::Cow;

use proptest::prelude::*;

use crate::import::testing;

use super::{Cursor, compact, decode};

#[test]
fn blanks_between_tokens_go_and_no_others() {
    let table = [
        ("{ }", "{}"),
        (" \t\r\n1 ", "1"),
        (r#"{"a b": " \" \\" , "c":[ 1 , 2 ]}"#, r#"{"a b":" \" \\","c":[1,2]}"#),
        ("[\"\u{a0} \u{2003}\" ]", "[\"\u{a0} \u{2003}\"]"),
    ];
    for (given, wanted) in table {
        assert_eq!(compact(given), wanted);
    }
    assert!(matches!(compact(r#"{"a b":" \" "}"#), Cow::Borrowed(_)));
}

#[test]
fn a_string_token_says_its_text() {
    let table = [
        (r#""""#, Some("")),
        (r#""a b""#, Some("a b")),
        (r#""\u0041\n\ud83d\ude00""#, Some("A\n😀")),
        (r#""\ud83d""#, None),
        (r#""\ude00\ud83d""#, None),
        ("12", None),
    ];
    for (given, wanted) in table {
        assert_eq!(decode(given).as_deref(), wanted, "{given}");
    }
}

/// Writes out again what the cursor finds.
fn copy(cursor: &mut Cursor<'_>, text: &mut String) {
    let open = cursor.peek();
    match open {
        Some(b'{') => {
            cursor.enter();
            text.push('{');
            while let Some(name) = cursor.name() {
                text.push_str(name.token);
                text.push(':');
                copy(cursor, text);
                text.push(',');
            }
        }
        Some(b'[') => {
            cursor.enter();
            text.push('[');
            while cursor.item() {
                copy(cursor, text);
                text.push(',');
            }
        }
        _ => return text.push_str(cursor.value()),
    }
    if text.ends_with(',') {
        text.pop();
    }
    text.push(if open == Some(b'{') { '}' } else { ']' });
}

proptest! {
    #[test]
    fn the_cursor_finds_every_token(text in testing::json()) {
        let compact = compact(&text);
        prop_assert_eq!(testing::tokens(&compact), testing::tokens(&text));
        let mut copied = String::new();
        let mut cursor = Cursor::new(&compact);
        copy(&mut cursor, &mut copied);
        prop_assert_eq!(&*copied, &*compact);
        prop_assert_eq!(cursor.peek(), None);
        prop_assert_eq!(Cursor::new(&compact).value(), &*compact);
    }

    #[test]
    fn the_cursor_comes_to_an_end_in_any_text(text in "[\\[\\]{}:,\" \\\\aé0]{0,24}") {
        let mut copied = String::new();
        copy(&mut Cursor::new(&text), &mut copied);
    }
}
