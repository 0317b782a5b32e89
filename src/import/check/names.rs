//! Tells whether an object gives a name twice.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use smallvec::SmallVec;

/// So many names are looked through one after the other; most objects have no more.
const FEW: usize = 8;

/// The names of one object, told apart as they come; of each, whether it has come twice.
#[derive(Debug, Default)]
pub(super) struct Names<'a> {
    few: SmallVec<[(Cow<'a, str>, bool); FEW]>,
    others: BTreeMap<Cow<'a, str>, bool>,
}

/// How often a name has come.
pub(super) enum Seen {
    Once,
    Twice,
    Often,
}

impl<'a> Names<'a> {
    pub(super) fn see(&mut self, name: Cow<'a, str>) -> Seen {
        if let Some((_, is_twice)) = self.few.iter_mut().find(|(known, _)| *known == name) {
            return again(is_twice);
        }
        if self.few.len() < FEW {
            self.few.push((name, false));
            return Seen::Once;
        }
        match self.others.entry(name) {
            Entry::Occupied(mut known) => again(known.get_mut()),
            Entry::Vacant(place) => {
                place.insert(false);
                Seen::Once
            }
        }
    }
}

fn again(is_twice: &mut bool) -> Seen {
    if std::mem::replace(is_twice, true) { Seen::Often } else { Seen::Twice }
}
