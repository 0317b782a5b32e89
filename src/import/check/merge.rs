//! Metadata changed member by member, on the first level only.
//!
//! Nothing is converted: members that are not named stay as they were written, in their order.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::import::tokens::{Cursor, decode};

/// An object of metadata after a change, both without blanks: members that are `null` in the change go, others
/// take the place of those with their names, and new ones stand at the end. `{}` leaves nothing.
pub(super) fn merged(stored: &str, change: &str) -> String {
    if change == "{}" {
        return change.to_owned();
    }
    let mut kept: Vec<Option<(&str, &str)>> = members(stored).map(Some).collect();
    let places = kept.iter().flatten().enumerate().map(|(at, (name, _))| (said(name), at));
    let mut places: HashMap<Cow<str>, usize> = places.collect();
    for (name, value) in members(change) {
        let member = (value != "null").then_some((name, value));
        match places.get(&said(name)) {
            Some(at) => kept[*at] = member,
            None if member.is_some() => {
                places.insert(said(name), kept.len());
                kept.push(member);
            }
            None => {}
        }
    }
    let written: Vec<String> = kept.iter().flatten().map(|(name, value)| format!("{name}:{value}")).collect();
    format!("{{{}}}", written.join(","))
}

/// The members of an object, as they are written.
fn members(compact: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut cursor = Cursor::new(compact);
    cursor.enter();
    std::iter::from_fn(move || Some((cursor.name()?.token, cursor.value())))
}

/// What a name says, however it is written.
fn said(token: &str) -> Cow<'_, str> {
    decode(token).unwrap_or(Cow::Borrowed(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(stored: &str, change: &str, after: &str) {
        assert_eq!(merged(stored, change), after, "{stored} + {change}");
    }

    #[test]
    fn members_are_replaced_removed_and_added_on_the_first_level_only() {
        check("{}", r#"{"a":1}"#, r#"{"a":1}"#);
        check(r#"{"a":1,"b":2,"c":3}"#, r#"{"b":{"x":null}}"#, r#"{"a":1,"b":{"x":null},"c":3}"#);
        check(r#"{"a":1,"b":2,"c":3}"#, r#"{"d":4,"a":null,"e":null}"#, r#"{"b":2,"c":3,"d":4}"#);
        check(r#"{"a":{"x":1,"y":2}}"#, r#"{"a":{"z":3}}"#, r#"{"a":{"z":3}}"#);
        check(r#"{"a":1}"#, r#"{"a":null}"#, "{}");
    }

    #[test]
    fn an_empty_object_empties() {
        check(r#"{"a":1}"#, "{}", "{}");
        check("{}", "{}", "{}");
    }

    #[test]
    fn what_is_not_named_stays_as_it_was_written() {
        check(
            r#"{"z":1.000,"\u0061":12345678901234567890123,"q":"\ud83d\ude00 , } \" :","n":null}"#,
            r#"{"z2":1e400}"#,
            r#"{"z":1.000,"\u0061":12345678901234567890123,"q":"\ud83d\ude00 , } \" :","n":null,"z2":1e400}"#,
        );
    }

    #[test]
    fn names_are_compared_by_what_they_say() {
        check(r#"{"\u0061b":1,"c":2}"#, r#"{"ab":3,"\u0063":null}"#, r#"{"ab":3}"#);
    }
}
