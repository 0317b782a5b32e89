//! The row as the error report shows it: what was given, without its secrets.
//!
//! A row that was refused may hold anything, passwords above all: files meant for other importers
//! are tried here. What is known to be harmless inside a hash is kept, everything else is masked.

#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use super::check::cut;
use super::tokens::{Cursor, Text, compact, decode};

/// Longest row reported as it is, in bytes; of a longer one, only who it is about.
pub const MAX_REPORTED_BYTES: usize = 64 * 1024;

const MASK: &str = r#""*****""#;
const NOTHING: &str = "{}";
const TRUNCATED: &str = r#""truncated":true"#;
/// Members of a password hash that are no secrets: they tell how it was made.
const HARMLESS: [&str; 9] =
    ["algorithm", "encoding", "digest", "position", "keylen", "cost", "blockSize", "parallelization", "id"];
/// Deepest nesting shown inside a secret.
const MAX_DEPTH: u32 = 16;

/// The row as JSON text of an object. `None` is a row that was too long to be read.
///
/// A row that is no object is reported as an empty one.
pub fn reported(text: Option<&str>) -> String {
    let Some(text) = text else {
        return format!("{{{TRUNCATED}}}");
    };
    let compact = compact(text);
    if !compact.starts_with('{') {
        return NOTHING.to_owned();
    }
    let masked = masked(&compact);
    if masked.len() > MAX_REPORTED_BYTES { shortened(&compact) } else { masked }
}

fn masked(compact: &str) -> String {
    let mut report = String::with_capacity(compact.len());
    object(&mut Cursor::new(compact), &mut report, |name, cursor, report| {
        match (name.decode().as_deref(), cursor.peek()) {
            (Some("custom_password_hash"), Some(b'{')) | (Some("mfa_factors"), Some(b'[')) => {
                secret(cursor, report, 1);
            }
            (Some(name), _) if is_secret(name) => mask(cursor, report),
            // Half of a surrogate pair is in it, so that nobody knows which name was meant.
            (None, _) => mask(cursor, report),
            _ => report.push_str(cursor.value()),
        }
    });
    report
}

/// Whether a property of the row is nobody's business, whatever its type.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.contains("password") || name.contains("secret") || name == "mfa_factors"
}

fn mask(cursor: &mut Cursor<'_>, report: &mut String) {
    cursor.value();
    report.push_str(MASK);
}

/// Shows the shape of a secret, but nothing that is not known to be harmless.
fn secret(cursor: &mut Cursor<'_>, report: &mut String, depth: u32) {
    match cursor.peek() {
        Some(b'{') if depth <= MAX_DEPTH => object(cursor, report, |name, cursor, report| {
            let container = matches!(cursor.peek(), Some(b'{' | b'['));
            match name.decode().as_deref() {
                Some("value" | "secret") => mask(cursor, report),
                Some(name) if !container && HARMLESS.contains(&name) => {
                    report.push_str(cursor.value());
                }
                _ => secret(cursor, report, depth + 1),
            }
        }),
        Some(b'[') if depth <= MAX_DEPTH => {
            report.push('[');
            let mut comma = "";
            cursor.enter();
            while cursor.item() {
                report.push_str(comma);
                comma = ",";
                secret(cursor, report, depth + 1);
            }
            report.push(']');
        }
        _ => mask(cursor, report),
    }
}

/// Copies an object; `value` takes each value from the cursor and writes what is to be shown.
fn object<'a>(
    cursor: &mut Cursor<'a>,
    report: &mut String,
    mut value: impl FnMut(Text<'a>, &mut Cursor<'a>, &mut String),
) {
    report.push('{');
    let mut comma = "";
    cursor.enter();
    while let Some(name) = cursor.name() {
        report.push_str(comma);
        comma = ",";
        report.push_str(name.token);
        report.push(':');
        value(name, cursor, report);
    }
    report.push('}');
}

/// Of a row that is too long to be shown: who it is about.
fn shortened(compact: &str) -> String {
    let mut report = String::from("{");
    let mut shown = Vec::new();
    let mut cursor = Cursor::new(compact);
    cursor.enter();
    while let Some(name) = cursor.name() {
        let value = cursor.value();
        let Some(name) = name.decode() else { continue };
        if !["email", "username", "email_verified"].contains(&&*name) || shown.contains(&name) {
            continue;
        }
        if let Some(value) = short(value) {
            write!(report, "\"{name}\":{value},").ok();
            shown.push(name);
        }
    }
    report.push_str(TRUNCATED);
    report.push('}');
    report
}

/// A value cut to a length worth showing; `None` if it is no text, boolean, number or null, or is
/// too long to be copied and too broken to be cut.
fn short(value: &str) -> Option<String> {
    const MAX_BYTES: usize = 300;
    match value.as_bytes().first() {
        Some(b'{' | b'[') => None,
        _ if value.len() <= MAX_BYTES => Some(value.to_owned()),
        Some(b'"') => serde_json::to_string(&cut(&decode(value)?)).ok(),
        _ => None,
    }
}
