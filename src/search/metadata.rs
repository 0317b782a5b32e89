//! Values inside metadata, which are kept as JSON text. Only what a path leads to is read.
//!
//! Arrays on the way are looked through, and a name may have dots in it: both as in an index that was made
//! of the text.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::value::Value;

/// What sees values; `true` ends the search.
type See<'s> = &'s mut dyn FnMut(&Value) -> bool;

/// Shows the values at `path` (names with dots between; empty for the whole) to `see`, until that has seen
/// enough; tells whether it has.
pub(super) fn any(text: &str, path: &str, see: See) -> bool {
    let left = if path.is_empty() { Left::Nothing } else { Left::Path(path) };
    let mut walk = Walk { left, found: false, see };
    if may_have(text, path) {
        walk.value(text);
    }
    walk.found
}

/// Whether the text may have something at the path. Cheap, and right for most users who have not.
fn may_have(text: &str, path: &str) -> bool {
    let name = path.rsplit('.').next().unwrap_or_default();
    // A name may be spelt with escapes.
    text.contains(name) || text.contains('\\')
}

/// What is left of a path.
#[derive(Debug, Clone, Copy)]
enum Left<'p> {
    /// These names.
    Path(&'p str),
    /// Nothing: values here are what is wanted.
    Nothing,
    /// Less than nothing: values here are parts of what is wanted.
    Parts,
}

impl Left<'_> {
    /// What is left behind a member of this name, if the path leads there.
    fn behind(self, name: &str) -> Option<Self> {
        let Self::Path(path) = self else {
            return Some(Self::Parts);
        };
        match path.strip_prefix(name)? {
            "" => Some(Self::Nothing),
            rest => rest.strip_prefix('.').map(Self::Path),
        }
    }
}

/// A walk down a path.
struct Walk<'p, 's> {
    left: Left<'p>,
    found: bool,
    see: See<'s>,
}

/// A text or a name, borrowed where it has no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl Walk<'_, '_> {
    /// Looks at a value. Text that is no JSON has nothing in it; none such is stored.
    fn value(&mut self, text: &str) {
        let mut json = serde_json::Deserializer::from_str(text);
        let value = match (text.as_bytes().first(), self.left) {
            // Ended early, these give an error.
            (Some(b'{'), _) => return drop(json.deserialize_map(Members(self))),
            (Some(b'['), _) => return drop(json.deserialize_seq(Items(self))),
            (Some(b'n') | None, _) | (_, Left::Path(_)) => return,
            (_, Left::Parts) => Value::Whole,
            (Some(b't' | b'f'), _) => Value::Flag(text == "true"),
            (Some(b'"'), _) => {
                let decoded = serde_json::from_str::<Text>(text);
                return self.found = decoded.is_ok_and(|text| (self.see)(&Value::Text(&text.0)));
            }
            _ => Value::Number(text),
        };
        self.found = (self.see)(&value);
    }
}

/// The members of an object.
struct Members<'w, 'p, 's>(&'w mut Walk<'p, 's>);

impl<'de> Visitor<'de> for Members<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let left = self.0.left;
        while !self.0.found
            && let Some(Text(name)) = members.next_key()?
        {
            match left.behind(&name) {
                None => drop(members.next_value::<IgnoredAny>()?),
                Some(behind) => {
                    self.0.left = behind;
                    self.0.value(members.next_value::<&RawValue>()?.get());
                }
            }
        }
        self.0.left = left;
        Ok(())
    }
}

/// The items of an array.
struct Items<'w, 'p, 's>(&'w mut Walk<'p, 's>);

impl<'de> Visitor<'de> for Items<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while !self.0.found
            && let Some(item) = items.next_element::<&RawValue>()?
        {
            self.0.value(item.get());
        }
        Ok(())
    }
}
