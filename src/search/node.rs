//! A query as a tree: judging users by it, planning with it, printing it.

use std::fmt::{self, Display, Formatter, Write};

use super::field::{Field, Root};
use super::value::{Bound, Pattern, Range, Test};
use crate::domain::{Connection, UserId, UserKey, UserRef};

/// A query, or a part of one.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    /// All of them; everybody is, if there are none.
    All(Vec<Node>),
    /// One of them.
    Any(Vec<Node>),
    /// Not this.
    Not(Box<Node>),
    /// A field and what is asked of it.
    Leaf(Box<Leaf>),
}

/// A field and what is asked of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Leaf {
    pub(super) field: Field,
    pub(super) test: Test,
}

impl Node {
    /// Those who are all of these.
    pub(super) fn all(nodes: Vec<Self>) -> Self {
        let flat = nodes.into_iter().flat_map(|node| match node {
            Self::All(inner) => inner,
            other => vec![other],
        });
        let mut flat: Vec<_> = flat.collect();
        match flat.pop() {
            Some(only) if flat.is_empty() => only,
            last => {
                flat.extend(last);
                Self::All(flat)
            }
        }
    }

    /// Those who are one of these; there has to be one at least.
    pub(super) fn any(nodes: Vec<Self>) -> Self {
        let flat = nodes.into_iter().flat_map(|node| match node {
            Self::Any(inner) => inner,
            other => vec![other],
        });
        let mut flat: Vec<_> = flat.collect();
        match flat.pop() {
            Some(only) if flat.is_empty() => only,
            last => {
                flat.extend(last);
                Self::Any(flat)
            }
        }
    }

    /// Those of whose field this can be said.
    pub(super) fn leaf(field: Field, test: Test) -> Self {
        Self::Leaf(Box::new(Leaf { field, test }))
    }

    /// Those who are not.
    pub(super) fn not(node: Self) -> Self {
        Self::Not(Box::new(node))
    }

    pub(super) fn holds(&self, user: &UserRef, connection: &Connection) -> bool {
        match self {
            Self::All(nodes) => nodes.iter().all(|node| node.holds(user, connection)),
            Self::Any(nodes) => nodes.iter().any(|node| node.holds(user, connection)),
            Self::Not(node) => !node.holds(user, connection),
            Self::Leaf(leaf) => leaf.field.any(user, connection, &mut |value| leaf.test.accepts(value)),
        }
    }

    /// What `of` says that only users with one of these can be meant, for the tree as a whole.
    pub(super) fn only<T>(&self, of: &impl Fn(&Leaf) -> Option<Vec<T>>) -> Option<Vec<T>> {
        match self {
            Self::All(nodes) => nodes.iter().filter_map(|node| node.only(of)).min_by_key(Vec::len),
            Self::Any(nodes) => {
                let each: Option<Vec<_>> = nodes.iter().map(|node| node.only(of)).collect();
                each.map(|each| each.into_iter().flatten().collect())
            }
            Self::Not(_) => None,
            Self::Leaf(leaf) => of(leaf),
        }
    }

    pub(super) fn is_about_connections_only(&self) -> bool {
        let is_connection = |node: &Self| matches!(node, Self::Leaf(leaf) if leaf.connections().is_some());
        match self {
            Self::All(nodes) => nodes.is_empty(),
            Self::Any(nodes) => nodes.iter().all(is_connection),
            Self::Not(_) => false,
            Self::Leaf(_) => is_connection(self),
        }
    }

    /// Writes the node where `inside` is around it.
    fn write(&self, f: &mut Formatter, inside: Around) -> fmt::Result {
        let (nodes, word, around, is_open) = match self {
            Self::Leaf(leaf) => return leaf.fmt(f),
            Self::Not(node) => {
                f.write_str("NOT ")?;
                return node.write(f, Around::Not);
            }
            Self::All(nodes) if nodes.is_empty() => return f.write_str("*"),
            Self::All(nodes) => {
                (nodes, " AND ", Around::All, matches!(inside, Around::Nothing | Around::Any))
            }
            Self::Any(nodes) => (nodes, " OR ", Around::Any, matches!(inside, Around::Nothing)),
        };
        f.write_str(if is_open { "" } else { "(" })?;
        for (at, node) in nodes.iter().enumerate() {
            f.write_str(if at == 0 { "" } else { word })?;
            node.write(f, around)?;
        }
        f.write_str(if is_open { "" } else { ")" })
    }
}

/// What is around a part of a query.
#[derive(Debug, Clone, Copy)]
enum Around {
    Nothing,
    All,
    Any,
    Not,
}

impl Leaf {
    /// What users are found by that this can hold for, if that can be told.
    pub(super) fn keys(&self) -> Option<Vec<UserKey>> {
        let (Field::Root(root), Test::Is(term)) = (&self.field, &self.test) else {
            return None;
        };
        let id = |text: &str| text.parse::<UserId>().ok().map(UserKey::Id).into_iter().collect();
        match root {
            Root::Email => Some(vec![UserKey::Email(term.text.to_lowercase())]),
            Root::Username => Some(vec![UserKey::Username(term.text.clone())]),
            Root::UserId => Some(id(&term.text)),
            Root::IdentityId => Some(id(&format!("{}{}", UserId::PREFIX, term.text))),
            _ => None,
        }
    }

    /// The names of the connections of users this can hold for, if that can be told.
    pub(super) fn connections(&self) -> Option<Vec<String>> {
        match (&self.field, &self.test) {
            (Field::Root(Root::Connection), Test::Is(term)) => Some(vec![term.text.clone()]),
            _ => None,
        }
    }
}

impl Display for Node {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.write(f, Around::Nothing)
    }
}

impl Display for Leaf {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let name = self.field.name();
        if let Test::Exists = self.test {
            f.write_str("_exists_:")?;
            return word(f, &name);
        }
        if !name.is_empty() {
            word(f, &name)?;
            f.write_char(':')?;
        }
        match &self.test {
            Test::Exists => Ok(()),
            Test::Is(term) => phrase(f, &term.text),
            Test::Like(pattern) => pattern.fmt(f),
            Test::Within(range) => range.fmt(f),
        }
    }
}

impl Display for Pattern {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (at, piece) in self.pieces.iter().enumerate() {
            f.write_str(if at == 0 { "" } else { "*" })?;
            word(f, piece)?;
        }
        Ok(())
    }
}

impl Display for Range {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let is_inside = |bound: &Option<Bound>| bound.as_ref().is_none_or(|bound| bound.is_inside);
        let end = |f: &mut Formatter, bound: &Option<Bound>| match bound {
            None => f.write_char('*'),
            Some(bound) => phrase(f, &bound.term.text),
        };
        f.write_char(if is_inside(&self.low) { '[' } else { '{' })?;
        end(f, &self.low)?;
        f.write_str(" TO ")?;
        end(f, &self.high)?;
        f.write_char(if is_inside(&self.high) { ']' } else { '}' })
    }
}

/// A text in which nothing means anything.
fn word(f: &mut Formatter, text: &str) -> fmt::Result {
    for c in text.chars() {
        if !c.is_alphanumeric() && !"._".contains(c) {
            f.write_char('\\')?;
        }
        f.write_char(c)?;
    }
    Ok(())
}

/// The same in quotes.
fn phrase(f: &mut Formatter, text: &str) -> fmt::Result {
    f.write_char('"')?;
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            f.write_char('\\')?;
        }
        f.write_char(c)?;
    }
    f.write_char('"')
}
