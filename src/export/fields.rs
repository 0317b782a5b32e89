//! Paths into a user: `email`, `app_metadata.plan`, `identities[0].connection`.
//!
//! Values are never converted: what stands in metadata comes out as it was written. However many paths there
//! are, an object on their way is read once.

use std::fmt;

use serde::Deserializer as _;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Deserializer;
use serde_json::value::RawValue;

/// One step on the way.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Name(String),
    Item(usize),
}

/// The steps of a path. Brackets that hold no number are part of a name.
fn steps(path: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    for part in path.split('.') {
        let (name, items) = split_items(part);
        steps.push(Step::Name(name.to_owned()));
        steps.extend(items.into_iter().map(Step::Item));
    }
    steps
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

/// What is wanted of a value: all of it, or some members, each as far as it is wanted.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// The numbers of the paths that end here.
    ends: Vec<usize>,
    some: Vec<(Step, Wanted)>,
}

impl Wanted {
    /// All that these paths lead to, in this order.
    pub(super) fn of<'a>(paths: impl IntoIterator<Item = &'a str>) -> Self {
        let mut wanted = Self::default();
        for (number, path) in paths.into_iter().enumerate() {
            wanted.add(number, steps(path));
        }
        wanted
    }

    fn add(&mut self, number: usize, steps: Vec<Step>) {
        let mut end = self;
        for step in steps {
            let known = end.some.iter().position(|(known, _)| *known == step);
            let at = known.unwrap_or_else(|| {
                end.some.push((step, Self::default()));
                end.some.len() - 1
            });
            end = &mut end.some[at].1;
        }
        end.ends.push(number);
    }

    /// Puts the value each path leads to into its place of `found`, if it leads somewhere.
    pub(super) fn find<'a>(&self, value: &'a str, found: &mut [Option<&'a str>]) {
        for number in &self.ends {
            found[*number] = Some(value);
        }
        for ((_, wanted), inner) in self.some.iter().zip(self.pick(value)) {
            if let Some(inner) = inner {
                wanted.find(inner, found);
            }
        }
    }

    /// Writes as much of the object or array as is wanted and there. Nothing else is, not even an empty object,
    /// but at the top.
    pub(super) fn write(&self, value: &str, to: &mut String) -> serde_json::Result<()> {
        if !self.write_some(value, to)? {
            to.push_str("{}");
        }
        Ok(())
    }

    fn write_some(&self, value: &str, to: &mut String) -> serde_json::Result<bool> {
        if !self.ends.is_empty() {
            to.push_str(value);
            return Ok(true);
        }
        let (opening, closing) = if value.starts_with('{') { ('{', '}') } else { ('[', ']') };
        let start = to.len();
        to.push(opening);
        for ((step, wanted), inner) in self.some.iter().zip(self.pick(value)) {
            let Some(inner) = inner else { continue };
            let before = to.len();
            if start + 1 < before {
                to.push(',');
            }
            if let Step::Name(name) = step {
                to.push_str(&serde_json::to_string(name)?);
                to.push(':');
            }
            if !wanted.write_some(inner, to)? {
                to.truncate(before);
            }
        }
        if to.len() == start + 1 {
            to.truncate(start);
            return Ok(false);
        }
        to.push(closing);
        Ok(true)
    }

    /// The members or items that are wanted, each in its place, as far as they are there.
    fn pick<'a>(&self, value: &'a str) -> Vec<Option<&'a str>> {
        if self.some.is_empty() {
            return Vec::new();
        }
        Deserializer::from_str(value).deserialize_any(Pick(&self.some)).unwrap_or_default()
    }
}

/// Picks the wanted members of an object or array, and is an error for everything else. Of a name given twice
/// it takes the last.
struct Pick<'w>(&'w [(Step, Wanted)]);

impl<'de> Visitor<'de> for Pick<'_> {
    type Value = Vec<Option<&'de str>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut picked = vec![None; self.0.len()];
        while let Some(place) = members.next_key_seed(Place(self.0))? {
            match place {
                Some(place) => picked[place] = Some(members.next_value::<&RawValue>()?.get()),
                None => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        Ok(picked)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut picked = vec![None; self.0.len()];
        let mut number = 0;
        while let Some(item) = items.next_element::<&RawValue>()? {
            if let Some(place) = self.0.iter().position(|(step, _)| *step == Step::Item(number)) {
                picked[place] = Some(item.get());
            }
            number += 1;
        }
        Ok(picked)
    }
}

/// The place that a name has among what is wanted.
struct Place<'w>(&'w [(Step, Wanted)]);

impl<'de> DeserializeSeed<'de> for Place<'_> {
    type Value = Option<usize>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Place<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().position(|(step, _)| matches!(step, Step::Name(wanted) if wanted == name)))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may")]
mod tests {
    use super::*;

    const USER: &str = r#"{"user_id":"auth0|1","n":1.50,"identities":[{"connection":"c","isSocial":false}],"app_metadata":{"plan":"x","a":{"b":1e400,"c":[1,2]},"k[x]":0}}"#;

    #[test]
    fn a_path_leads_to_a_value_as_it_is_written() {
        let find = |path: &str| {
            let mut found = [None];
            Wanted::of([path]).find(USER, &mut found);
            found[0]
        };
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
            let mut to = String::new();
            Wanted::of(paths.iter().copied()).write(USER, &mut to).unwrap();
            to
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

    #[test]
    fn paths_are_found_together_as_they_are_alone() {
        let paths = ["n", "app_metadata", "app_metadata.a.b", "n", "x", "app_metadata.a.c[0]"];
        let mut found = [None; 6];
        Wanted::of(paths).find(USER, &mut found);
        let metadata = r#"{"plan":"x","a":{"b":1e400,"c":[1,2]},"k[x]":0}"#;
        assert_eq!(found, [Some("1.50"), Some(metadata), Some("1e400"), Some("1.50"), None, Some("1")]);
    }

    #[test]
    fn of_a_name_given_twice_the_last_counts_however_it_is_spelt() {
        let mut found = [None];
        Wanted::of(["a.b"]).find(r#"{"a":{"b":1},"\u0061":{"b":2,"\u0062":3}}"#, &mut found);
        assert_eq!(found, [Some("3")]);
    }
}
