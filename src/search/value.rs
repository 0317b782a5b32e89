//! What a user's fields hold, and what may be asked of it.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::date::Span;
use crate::domain::Timestamp;

/// One value of a field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value<'a> {
    /// A text.
    Text(&'a str),
    /// A text whose case does not count.
    Name(&'a str),
    /// A number, as it is written.
    Number(&'a str),
    /// How often.
    Count(u64),
    /// Yes or no.
    Flag(bool),
    /// What holds where nothing is said.
    Unsaid(bool),
    /// A point in time.
    Time(Timestamp),
    /// Something with values in it.
    Whole,
}

/// What is asked of a value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Test {
    /// There is one.
    Exists,
    /// It is this.
    Is(Term),
    /// It looks like this.
    Like(Pattern),
    /// It lies in here.
    Within(Range),
}

impl Test {
    pub(super) fn accepts(&self, value: &Value) -> bool {
        match self {
            Self::Exists => !matches!(value, Value::Unsaid(_)),
            Self::Is(term) => term.is(value),
            Self::Like(pattern) => pattern.fits(value),
            Self::Within(range) => range.holds(value),
        }
    }
}

/// A text to compare with, read in all ways it can be.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Term {
    /// As it is written.
    pub(super) text: String,
    lower: String,
    pub(super) number: Option<Number>,
    pub(super) time: Option<Span>,
}

impl Term {
    pub(super) fn new(text: String) -> Self {
        let lower = text.to_lowercase();
        Self { number: Number::parse(&text), time: Span::parse(&text), lower, text }
    }

    /// The yes or no that it says.
    pub(super) fn flag(&self) -> Option<bool> {
        self.text.parse().ok()
    }

    fn is(&self, value: &Value) -> bool {
        match value {
            Value::Text(text) => *text == self.text,
            Value::Name(name) => lower(name) == self.lower,
            Value::Number(text) => self.number.is_some() && self.number == Number::parse(text),
            Value::Count(count) => self.number == Some(Number::from(*count)),
            Value::Flag(flag) | Value::Unsaid(flag) => self.flag() == Some(*flag),
            Value::Time(time) => self.time.is_some_and(|span| span.contains(*time)),
            Value::Whole => false,
        }
    }

    /// How the value stands to this; nothing where they cannot be compared.
    fn order(&self, value: &Value) -> Option<Ordering> {
        match value {
            Value::Text(text) => Some((*text).cmp(&self.text)),
            Value::Name(name) => Some((*lower(name)).cmp(&self.lower)),
            Value::Number(text) => Some(Number::parse(text)?.cmp(&self.number?)),
            Value::Count(count) => Some(Number::from(*count).cmp(&self.number?)),
            Value::Time(time) => Some(match self.time? {
                span if time.millis() < span.from => Ordering::Less,
                span if span.until <= time.millis() => Ordering::Greater,
                _ => Ordering::Equal,
            }),
            Value::Flag(_) | Value::Unsaid(_) | Value::Whole => None,
        }
    }
}

/// The text in lower case; most are.
pub(super) fn lower(text: &str) -> Cow<'_, str> {
    let is_lower = text.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase());
    if is_lower { Cow::Borrowed(text) } else { Cow::Owned(text.to_lowercase()) }
}

/// Pieces of a text with anything between them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pattern {
    /// The first begins the text, the last ends it; either may be empty.
    pub(super) pieces: Vec<String>,
    lower: Vec<String>,
}

impl Pattern {
    /// From the pieces between the stars. Two stars side by side are one.
    pub(super) fn new(mut pieces: Vec<String>) -> Self {
        let last = pieces.len() - 1;
        let mut at = 0..;
        pieces.retain(|piece| {
            let at = at.next().unwrap_or_default();
            at == 0 || at == last || !piece.is_empty()
        });
        let lower = pieces.iter().map(|piece| piece.to_lowercase()).collect();
        Self { pieces, lower }
    }

    fn fits(&self, value: &Value) -> bool {
        match value {
            Value::Text(text) | Value::Number(text) => fits(&self.pieces, text),
            Value::Name(name) => fits(&self.lower, &lower(name)),
            Value::Count(count) => fits(&self.pieces, &count.to_string()),
            Value::Flag(flag) | Value::Unsaid(flag) => {
                fits(&self.pieces, if *flag { "true" } else { "false" })
            }
            Value::Time(time) => fits(&self.pieces, &time.to_string()),
            Value::Whole => false,
        }
    }
}

fn fits(pieces: &[String], text: &str) -> bool {
    let [first, middle @ .., last] = pieces else {
        return false;
    };
    let Some(mut rest) = text.strip_prefix(first.as_str()) else {
        return false;
    };
    for piece in middle {
        let Some((_, after)) = rest.split_once(piece.as_str()) else {
            return false;
        };
        rest = after;
    }
    rest.ends_with(last.as_str())
}

/// A range, open where it has no end.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Range {
    pub(super) low: Option<Bound>,
    pub(super) high: Option<Bound>,
}

/// An end of a range.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bound {
    pub(super) term: Term,
    pub(super) is_inside: bool,
}

impl Range {
    /// The ends it has.
    pub(super) fn bounds(&self) -> impl Iterator<Item = &Bound> {
        self.low.iter().chain(&self.high)
    }

    fn holds(&self, value: &Value) -> bool {
        let reaches = |bound: &Option<Bound>, beyond: Ordering| {
            bound.as_ref().is_none_or(|Bound { term, is_inside }| {
                term.order(value).is_some_and(|order| order == beyond || (*is_inside && order.is_eq()))
            })
        };
        let is_there = self.bounds().next().is_some();
        is_there && reaches(&self.low, Ordering::Greater) && reaches(&self.high, Ordering::Less)
    }
}

/// A number of any size; whole ones are exact to 38 digits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Number {
    whole: Option<i128>,
    near: f64,
}

impl Number {
    /// Reads a number as JSON writes them.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        if !digits.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        Some(Self { whole: text.parse().ok(), near: text.parse().ok()? })
    }
}

impl From<u64> for Number {
    #[expect(clippy::cast_precision_loss, reason = "compared only with numbers that are not whole")]
    fn from(number: u64) -> Self {
        Self { whole: Some(number.into()), near: number as f64 }
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.whole, other.whole) {
            (Some(whole), Some(other)) => whole.cmp(&other),
            // Both zeros are one.
            _ => (self.near + 0.0).total_cmp(&(other.near + 0.0)),
        }
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Eq for Number {}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
