//! Paths into a user: `email`, `app_metadata.plan`, `identities[0].connection`.
//!
//! Values are never converted: what stands in metadata comes out as it was written.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde_json::value::RawValue;

/// The names of an object, decoded, and their values, as written; of a name given twice the last.
type Members<'a> = BTreeMap<String, &'a RawValue>;

/// One step on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Name(String),
    Item(usize),
}

/// The way to a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Path(Vec<Step>);

impl Path {
    /// Reads a path. Brackets that hold no number are part of a name.
    pub(super) fn parse(text: &str) -> Self {
        let mut steps = Vec::new();
        for part in text.split('.') {
            let (name, items) = split_items(part);
            steps.push(Step::Name(name.to_owned()));
            steps.extend(items.into_iter().map(Step::Item));
        }
        Self(steps)
    }

    /// The value it leads to, if there is one.
    pub(super) fn find<'a>(&self, mut value: &'a RawValue) -> Option<&'a RawValue> {
        for step in &self.0 {
            value = step.take(value)?;
        }
        Some(value)
    }
}

/// `a[0][1]` as `a`, 0 and 1.
fn split_items(part: &str) -> (&str, Vec<usize>) {
    let mut items = Vec::new();
    let mut name = part;
    while let Some((before, number)) = name.strip_suffix(']').and_then(|rest| rest.rsplit_once('[')) {
        let Ok(number) = number.parse() else { break };
        items.insert(0, number);
        name = before;
    }
    (name, items)
}

impl Step {
    fn take<'a>(&self, value: &'a RawValue) -> Option<&'a RawValue> {
        match self {
            Self::Name(name) => members(value)?.get(name).copied(),
            Self::Item(number) => {
                let items: Vec<&RawValue> = serde_json::from_str(value.get()).ok()?;
                items.get(*number).copied()
            }
        }
    }
}

fn members(value: &RawValue) -> Option<Members<'_>> {
    serde_json::from_str(value.get()).ok()
}

/// What is wanted of a value: all of it, or some members, each as far as it is wanted.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    whole: bool,
    some: Vec<(Step, Wanted)>,
}

impl Wanted {
    /// All that these paths lead to, in this order.
    pub(super) fn of(paths: impl Iterator<Item = Path>) -> Self {
        let mut wanted = Self::default();
        paths.for_each(|Path(steps)| wanted.add(&steps));
        wanted
    }

    fn add(&mut self, steps: &[Step]) {
        let Some((first, rest)) = steps.split_first() else {
            self.whole = true;
            return;
        };
        let known = self.some.iter().position(|(step, _)| step == first);
        let at = known.unwrap_or_else(|| {
            self.some.push((first.clone(), Self::default()));
            self.some.len() - 1
        });
        self.some[at].1.add(rest);
    }

    /// Writes as much of the object or array as is wanted and there. Nothing else is, not even an empty object,
    /// but at the top.
    pub(super) fn write(&self, value: &RawValue, to: &mut Vec<u8>) -> io::Result<()> {
        if !self.write_some(value, to)? {
            to.extend_from_slice(b"{}");
        }
        Ok(())
    }

    fn write_some(&self, value: &RawValue, to: &mut Vec<u8>) -> io::Result<bool> {
        if self.whole {
            to.extend_from_slice(value.get().as_bytes());
            return Ok(true);
        }
        let is_object = value.get().starts_with('{');
        let start = to.len();
        to.push(if is_object { b'{' } else { b'[' });
        for (step, wanted) in &self.some {
            let Some(inner) = step.take(value) else { continue };
            let before = to.len();
            if start + 1 < before {
                to.push(b',');
            }
            if let Step::Name(name) = step {
                serde_json::to_writer(&mut *to, name)?;
                to.push(b':');
            }
            if !wanted.write_some(inner, to)? {
                to.truncate(before);
            }
        }
        if to.len() == start + 1 {
            to.truncate(start);
            return Ok(false);
        }
        to.write_all(if is_object { b"}" } else { b"]" })?;
        Ok(true)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may")]
mod tests {
    use super::*;

    const USER: &str = r#"{"user_id":"auth0|1","n":1.50,"identities":[{"connection":"c","isSocial":false}],"app_metadata":{"plan":"x","a":{"b":1e400,"c":[1,2]},"k[x]":0}}"#;

    fn user() -> Box<RawValue> {
        RawValue::from_string(USER.to_owned()).unwrap()
    }

    #[test]
    fn a_path_leads_to_a_value_as_it_is_written() {
        let find = |path: &str| Path::parse(path).find(&user()).map(|value| value.get().to_owned());
        assert_eq!(find("n").unwrap(), "1.50");
        assert_eq!(find("app_metadata.a.b").unwrap(), "1e400");
        assert_eq!(find("app_metadata.a.c[1]").unwrap(), "2");
        assert_eq!(find("identities[0].connection").unwrap(), "\"c\"");
        assert_eq!(find("app_metadata.k[x]").unwrap(), "0");
        for nowhere in
            ["", "x", "n.a", "n[0]", "app_metadata.x", "identities[1]", "identities.connection", "..", "[0]"]
        {
            assert_eq!(find(nowhere), None, "{nowhere}");
        }
    }

    #[test]
    fn what_is_wanted_keeps_its_place_in_the_user() {
        let write = |paths: &[&str]| {
            let mut to = Vec::new();
            Wanted::of(paths.iter().map(|path| Path::parse(path))).write(&user(), &mut to).unwrap();
            String::from_utf8(to).unwrap()
        };
        assert_eq!(write(&["n", "user_id"]), r#"{"n":1.50,"user_id":"auth0|1"}"#);
        assert_eq!(
            write(&["app_metadata.plan", "n", "app_metadata.a.c[1]", "app_metadata.x", "x.y"]),
            r#"{"app_metadata":{"plan":"x","a":{"c":[2]}},"n":1.50}"#
        );
        assert_eq!(write(&["identities[0].connection"]), r#"{"identities":[{"connection":"c"}]}"#);
        assert_eq!(
            write(&["app_metadata.a.c", "app_metadata.a"]),
            r#"{"app_metadata":{"a":{"b":1e400,"c":[1,2]}}}"#
        );
        assert_eq!(write(&["n.a", "app_metadata.x.y"]), "{}");
    }
}
