//! What the tests of this room share: JSON drawn at random, and a simple way to look at it.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use proptest::prelude::*;

/// JSON text of any value, blanks, escapes and huge numbers included.
pub(crate) fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("false".to_owned()),
        "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,4})?([eE][+-]?[0-9]{1,4})?",
        text(),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        let member = (text(), inner.clone()).prop_map(|(name, value)| format!("{name}:{value}"));
        prop_oneof![list('[', inner, ']'), list('{', member, '}'),]
    })
}

fn list(open: char, item: impl Strategy<Value = String>, close: char) -> impl Strategy<Value = String> {
    (prop::collection::vec(item, 0..6), "[ \t\r\n]{0,3}").prop_map(move |(items, blank)| {
        let items = items.join(&format!("{blank},{blank}"));
        format!("{open}{blank}{items}{blank}{close}")
    })
}

fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[a-z @.]{0,12}",
        1 => any::<String>().prop_map(|text| {
            let quoted = serde_json::to_string(&text).unwrap();
            quoted[1..quoted.len() - 1].to_owned()
        }),
        1 => "\\\\u[0-9a-fA-F]{4}",
        1 => prop_oneof![Just(r"\n"), Just(r"\/"), Just(r#"\""#), Just(r"\\")].prop_map(str::to_owned),
    ];
    prop::collection::vec(piece, 0..4).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

/// Changes, removes or adds one byte, of those that matter to JSON.
pub(crate) fn mutate(text: &mut Vec<u8>, place: usize, byte: usize, kind: u8) {
    const BYTES: &[u8] = b"[]{},:\"\\ \n0123456789-+.eEtrufalsn/'\x00\x1f\x7f\x80\xbf\xc3\xe2\xed\xf4";
    let byte = BYTES[byte % BYTES.len()];
    let place = place % (text.len() + 1);
    match kind {
        0 => text.insert(place, byte),
        1 if place < text.len() => drop(text.remove(place)),
        _ if place < text.len() => text[place] = byte,
        _ => text.push(byte),
    }
}

/// The text's tokens, found the slow and simple way.
pub(crate) fn tokens(text: &str) -> Vec<String> {
    let mut tokens = vec![String::new()];
    let (mut in_string, mut escaped) = (false, false);
    for c in text.chars() {
        let ends = !in_string && (c.is_ascii_whitespace() || "[]{},:".contains(c));
        if ends {
            tokens.push(String::new());
        }
        if in_string || !c.is_ascii_whitespace() {
            tokens.last_mut().unwrap().push(c);
        }
        if !in_string && "[]{},:".contains(c) {
            tokens.push(String::new());
        }
        match c {
            '"' if !escaped => in_string = !in_string,
            '\\' if in_string && !escaped => {
                escaped = true;
                continue;
            }
            _ => {}
        }
        escaped = false;
    }
    tokens.retain(|token| !token.is_empty());
    tokens
}
