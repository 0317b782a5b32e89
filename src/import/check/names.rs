//! Tells whether an object gives a name twice.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// The names of one object, told apart as they come.
#[derive(Debug, Default)]
pub(super) struct Names<'a>(BTreeMap<Cow<'a, str>, bool>);

/// How often a name has come.
pub(super) enum Seen {
    Once,
    Twice,
    Often,
}

impl<'a> Names<'a> {
    pub(super) fn see(&mut self, name: Cow<'a, str>) -> Seen {
        match self.0.entry(name) {
            Entry::Vacant(place) => {
                place.insert(false);
                Seen::Once
            }
            Entry::Occupied(place) if *place.get() => Seen::Often,
            Entry::Occupied(mut place) => {
                place.insert(true);
                Seen::Twice
            }
        }
    }
}
