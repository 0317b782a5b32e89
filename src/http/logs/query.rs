//! What `q` asks of events: terms that must all hold.
//!
//! | written | holds when |
//! |---|---|
//! | `type:sui` | the field is just that |
//! | `connection:"staff db"` | the same, with blanks |
//! | `user_name:ann*` | the field begins with it; `*` alone: there is one |
//! | `description:import` | one of the words is that; `description` and `user_agent` are prose |
//! | `date:[2018-03-05 TO *]` | the date lies between them, both included |
//! | `sui` | one of a few fields holds it |
//!
//! Terms stand side by side or with `AND` between them; case matters; `\` takes the character after it as
//! it is. Deliberately absent: `OR`, `NOT`, brackets. What is not understood is refused, never ignored.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::time::Duration;

use thiserror::Error;

use crate::domain::{Event, Logged, Timestamp};

/// What is asked of events.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Query(Vec<Term>);

/// One thing that must hold.
#[derive(Debug, PartialEq, Eq)]
enum Term {
    /// Of one field.
    Field(Field, Pattern),
    /// Of one of those in [`SEARCHED`].
    Any(Pattern),
    /// Of the date, both ends included.
    Between(Timestamp, Timestamp),
}

/// What a text must be like.
#[derive(Debug, PartialEq, Eq)]
struct Pattern {
    text: String,
    /// Whether more may follow.
    open: bool,
}

/// Why a text is no query.
#[derive(Debug, PartialEq, Eq, Error)]
pub(super) enum Fault {
    #[error("String is too long, maximum {MAX_BYTES} bytes")]
    TooLong,
    #[error("Unknown field {0}; these can be searched: {names}", names = FIELDS.map(|(name, _)| name).join(","))]
    UnknownField(String),
    #[error("{0} is not supported; write field:value terms joined by AND, and values with blanks in quotes")]
    Unsupported(String),
    #[error("A quote is not closed")]
    OpenQuote,
    #[error("There is no value after {0}:")]
    NoValue(String),
    #[error("AND is not between two terms")]
    LonelyAnd,
    #[error("Expected date:[from TO to] with dates like 2018-03-05 or 2018-03-05T09:31:12Z, or * for no end")]
    Range,
}

/// Longest query, in bytes.
const MAX_BYTES: usize = 2000;

/// Whether a field is one value, or words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Value,
    Prose,
}

/// A field that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Field {
    name: &'static str,
    kind: Kind,
}

const FIELDS: [(&str, Kind); 16] = [
    ("client_id", Kind::Value),
    ("client_name", Kind::Value),
    ("connection", Kind::Value),
    ("connection_id", Kind::Value),
    ("date", Kind::Value),
    ("description", Kind::Prose),
    ("hostname", Kind::Value),
    ("ip", Kind::Value),
    ("log_id", Kind::Value),
    ("organization_id", Kind::Value),
    ("strategy", Kind::Value),
    ("strategy_type", Kind::Value),
    ("type", Kind::Value),
    ("user_agent", Kind::Prose),
    ("user_id", Kind::Value),
    ("user_name", Kind::Value),
];

/// Fields that a term without a field is looked for in.
const SEARCHED: [&str; 7] = ["client_name", "connection", "description", "ip", "log_id", "type", "user_name"];

impl Query {
    /// Reads a query; an empty one holds for every event.
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        if MAX_BYTES < text.len() {
            return Err(Fault::TooLong);
        }
        let mut reader = Reader(text);
        let mut terms = Vec::new();
        let mut joined = true;
        loop {
            reader.0 = reader.0.trim_start();
            if reader.0.is_empty() {
                break;
            }
            if reader.takes_word("AND") {
                if joined {
                    return Err(Fault::LonelyAnd);
                }
                joined = true;
                continue;
            }
            terms.push(reader.term()?);
            joined = false;
        }
        if joined && !terms.is_empty() { Err(Fault::LonelyAnd) } else { Ok(Self(terms)) }
    }

    /// Whether nothing is asked, so that it holds for every event.
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether all of it holds.
    pub(super) fn matches(&self, logged: &Logged) -> bool {
        self.0.iter().all(|term| match term {
            Term::Field(field, pattern) => field.holds(pattern, logged),
            Term::Any(pattern) => {
                let searched = SEARCHED.iter().filter_map(|name| Field::named(name));
                searched.into_iter().any(|field| field.holds(pattern, logged))
            }
            Term::Between(from, to) => *from <= logged.event.date && logged.event.date <= *to,
        })
    }
}

impl Field {
    fn named(name: &str) -> Option<Self> {
        FIELDS.into_iter().find(|(known, _)| *known == name).map(|(name, kind)| Self { name, kind })
    }

    fn holds(self, pattern: &Pattern, logged: &Logged) -> bool {
        self.of(logged).is_some_and(|value| match self.kind {
            Kind::Value => pattern.is(&value),
            Kind::Prose => pattern.is_in(&value),
        })
    }

    fn of(self, logged: &Logged) -> Option<Cow<'_, str>> {
        let event: &Event = &logged.event;
        let text = match self.name {
            "client_id" => event.origin.client_id.as_deref(),
            "client_name" => event.origin.client_name.as_deref(),
            "connection" => event.connection.as_deref(),
            "connection_id" => event.connection_id.as_deref(),
            "date" => return Some(event.date.to_string().into()),
            "description" => Some(&*event.description),
            "hostname" => event.origin.hostname.as_deref(),
            "ip" => event.origin.ip.as_deref(),
            "log_id" => Some(&*logged.log_id),
            "strategy" => event.strategy.as_deref(),
            "type" => Some(event.r#type.code()),
            "user_agent" => event.origin.user_agent.as_deref(),
            "user_id" => event.user_id.as_deref(),
            "user_name" => event.user_name.as_deref(),
            _ => None, // events have none
        };
        text.map(Cow::Borrowed)
    }
}

impl Pattern {
    fn is(&self, value: &str) -> bool {
        if self.open { value.starts_with(&self.text) } else { value == self.text }
    }

    /// Whether it is the value, or whole words of it.
    fn is_in(&self, value: &str) -> bool {
        let is_edge = |c: Option<char>| !c.is_some_and(char::is_alphanumeric);
        self.is(value)
            || value.match_indices(&self.text).any(|(at, found)| {
                let after = &value[at + found.len()..];
                is_edge(value[..at].chars().next_back()) && (self.open || is_edge(after.chars().next()))
            })
    }
}

/// The rest of a query.
struct Reader<'a>(&'a str);

impl Reader<'_> {
    fn takes_word(&mut self, word: &str) -> bool {
        match self.0.strip_prefix(word) {
            Some(rest) if rest.is_empty() || rest.starts_with(char::is_whitespace) => {
                self.0 = rest;
                true
            }
            _ => false,
        }
    }

    fn takes(&mut self, start: char) -> bool {
        let rest = self.0.strip_prefix(start);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn term(&mut self) -> Result<Term, Fault> {
        if self.takes_word("OR") || self.takes_word("NOT") || self.0.starts_with(['-', '+', '!', '(', ')']) {
            let sign = self.0.chars().next().filter(|c| !c.is_whitespace());
            return Err(Fault::Unsupported(sign.map_or("OR or NOT".to_owned(), String::from)));
        }
        let end = self.0.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(self.0.len());
        let (name, rest) = self.0.split_at(end);
        let Some(rest) = rest.strip_prefix(':').filter(|_| !name.is_empty()) else {
            return Ok(Term::Any(self.pattern()?));
        };
        let field = Field::named(name).ok_or_else(|| Fault::UnknownField(name.to_owned()))?;
        self.0 = rest;
        match rest.chars().next() {
            None => Err(Fault::NoValue(name.to_owned())),
            Some(c) if c.is_whitespace() => Err(Fault::NoValue(name.to_owned())),
            Some('[') if field.name == "date" => self.range(),
            Some(c @ ('[' | '{' | '<' | '>' | '(')) => Err(Fault::Unsupported(format!("{name}:{c}"))),
            Some(_) => Ok(Term::Field(field, self.pattern()?)),
        }
    }

    /// A value: in quotes, or up to the next blank. An open end is a `*` outside of quotes.
    fn pattern(&mut self) -> Result<Pattern, Fault> {
        let is_quoted = self.takes('"');
        let mut text = String::new();
        let mut rest = self.0.chars();
        let mut open = false;
        loop {
            self.0 = rest.as_str();
            match rest.next() {
                None if is_quoted => return Err(Fault::OpenQuote),
                None => break,
                Some('"') if is_quoted => {
                    self.0 = rest.as_str();
                    open = self.takes('*');
                    break;
                }
                Some(c) if !is_quoted && c.is_whitespace() => break,
                Some('\\') => text.extend(rest.next()),
                Some('*') if !is_quoted => {
                    self.0 = rest.as_str();
                    open = true;
                    break;
                }
                Some(c @ ('"' | '(' | ')')) if !is_quoted => return Err(Fault::Unsupported(c.to_string())),
                Some(c) => text.push(c),
            }
        }
        match self.0.chars().next() {
            Some(c) if !c.is_whitespace() && open => {
                Err(Fault::Unsupported("* before the end of a value".to_owned()))
            }
            Some(c) if !c.is_whitespace() => Err(Fault::Unsupported(c.to_string())),
            _ if !is_quoted && ["||", "&&"].contains(&&*text) => Err(Fault::Unsupported(text)),
            _ => Ok(Pattern { text, open }),
        }
    }

    /// `[from TO to]`.
    fn range(&mut self) -> Result<Term, Fault> {
        let (inside, rest) = self.0[1..].split_once(']').ok_or(Fault::Range)?;
        let mut words = inside.split_whitespace();
        let (from, to, end) = (words.next(), words.next(), words.next());
        let (Some(from), Some("TO"), Some(to), None) = (from, to, end, words.next()) else {
            return Err(Fault::Range);
        };
        if !rest.is_empty() && !rest.starts_with(char::is_whitespace) {
            return Err(Fault::Range);
        }
        self.0 = rest;
        let from = if from == "*" { Timestamp::from_millis(0) } else { moment(from, Duration::ZERO)? };
        let last = Duration::from_hours(24) - Duration::from_millis(1);
        let to = if to == "*" { Timestamp::from_millis(u64::MAX) } else { moment(to, last)? };
        Ok(Term::Between(from, to))
    }
}

/// A moment, or a day, which is taken as the moment `into` it.
fn moment(text: &str, into: Duration) -> Result<Timestamp, Fault> {
    let text = text.trim_matches('"');
    let parse = |text: &str| Timestamp::parse(text).ok_or(Fault::Range);
    if text.len() == "2018-03-05".len() {
        return Ok(parse(&format!("{text}T00:00:00Z"))?.after(into));
    }
    parse(text)
}
