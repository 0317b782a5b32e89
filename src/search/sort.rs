//! The order in which users are shown, and the first so many in it.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use thiserror::Error;

use super::field::{Field, ROOTS};
use super::value::{Number, Value, lower};
use crate::domain::{Connection, UserRef};

/// An order by one field. Who has no value there comes last, in either direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sort {
    field: Field,
    is_descending: bool,
}

/// Why a text is no order.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SortFault {
    /// Not a name and a direction.
    #[error("Expected <field>:1, or <field>:-1 for the other direction")]
    Malformed,
    /// Users have no such field.
    #[error("No enum match for: {0} (expected one of {known}, app_metadata.<path>, user_metadata.<path>)", known = known())]
    Unknown(String),
}

fn known() -> String {
    Sort::fields().collect::<Vec<_>>().join(", ")
}

/// Where a user stands in an order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum SortKey {
    /// Among those who have a value, from the least on.
    Up(Scalar),
    /// Among those who have a value, from the greatest on.
    Down(Reverse<Scalar>),
    /// After them.
    Last,
}

/// A value to sort by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scalar(Kind);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Flag(bool),
    Number(Number),
    Text(String),
}

/// Longest text that is looked at, in characters.
const LONGEST: usize = 256;

impl Sort {
    /// The fields there are, besides those below `app_metadata` and `user_metadata`.
    pub fn fields() -> impl Iterator<Item = &'static str> {
        ROOTS.into_iter().map(|(name, _)| name)
    }

    /// Reads `field:1` or `field:-1`.
    pub fn parse(text: &str) -> Result<Self, SortFault> {
        let (name, direction) = text.rsplit_once(':').ok_or(SortFault::Malformed)?;
        let is_descending = match direction {
            "1" => false,
            "-1" => true,
            _ => return Err(SortFault::Malformed),
        };
        match Field::parse(name) {
            Field::Unknown(name) => Err(SortFault::Unknown(name)),
            field => Ok(Self { field, is_descending }),
        }
    }

    /// Where the user, who is in this connection, stands.
    pub fn key(&self, user: &UserRef, connection: &Connection) -> SortKey {
        let mut key = SortKey::Last;
        self.field.any(user, connection, &mut |value| {
            let scalar = match value {
                Value::Text(text) => Kind::Text(text.chars().take(LONGEST).collect()),
                Value::Name(name) => Kind::Text(lower(name).chars().take(LONGEST).collect()),
                Value::Number(text) => match Number::parse(text) {
                    Some(number) => Kind::Number(number),
                    None => return false,
                },
                Value::Count(count) => Kind::Number(Number::from(*count)),
                Value::Time(time) => Kind::Number(Number::from(time.millis())),
                Value::Flag(flag) | Value::Unsaid(flag) => Kind::Flag(*flag),
                Value::Whole => return false,
            };
            let scalar = Scalar(scalar);
            key = if self.is_descending { SortKey::Down(Reverse(scalar)) } else { SortKey::Up(scalar) };
            true
        });
        key
    }
}

/// The first so many of all that are offered, by their keys; those with one key in the order they came.
#[derive(Debug)]
pub struct Best<T> {
    most: usize,
    offered: u64,
    heap: BinaryHeap<Entry<T>>,
}

#[derive(Debug)]
struct Entry<T> {
    place: (SortKey, u64),
    item: T,
}

impl<T> Best<T> {
    /// Keeps this many at most.
    pub fn of(most: usize) -> Self {
        Self { most, offered: 0, heap: BinaryHeap::new() }
    }

    /// Offers one, which is made only if it is wanted.
    pub fn offer(&mut self, key: SortKey, make: impl FnOnce() -> T) {
        let place = (key, self.offered);
        self.offered += 1;
        if self.heap.len() == self.most {
            match self.heap.peek() {
                Some(worst) if place < worst.place => drop(self.heap.pop()),
                _ => return,
            }
        }
        self.heap.push(Entry { place, item: make() });
    }

    /// Those kept, the first one first.
    pub fn into_sorted(self) -> impl Iterator<Item = T> {
        self.heap.into_sorted_vec().into_iter().map(|entry| entry.item)
    }
}

impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place.cmp(&other.place)
    }
}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Eq for Entry<T> {}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.place == other.place
    }
}
