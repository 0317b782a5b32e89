//! From terms to tree: operators, signs, parentheses and fields.

use std::iter;

use super::Query;
use super::field::Field;
use super::node::Node;
use super::reader::{Parsed, Reader, is_star};
use super::value::{Term, Test};

/// A parser of one query.
#[derive(Debug)]
pub(super) struct Parser {
    reader: Reader,
    terms: usize,
    depth: usize,
}

/// What the terms being read are about.
#[derive(Debug, Clone)]
enum About {
    /// No field.
    Anything,
    /// This field.
    Field(Field),
    /// Whether there are fields of these names.
    Existence,
}

/// A term, or something in its place, with the sign before it.
#[derive(Debug)]
struct Clause {
    sign: Option<Sign>,
    node: Node,
}

/// What is before a clause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    /// `+`
    Must,
    /// `-`, `!` or `NOT`
    MustNot,
}

/// What is between two clauses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Joint {
    And,
    Or,
}

/// Clauses joined by `AND`, and whether `OR` is beside them.
#[derive(Debug)]
struct Item {
    clauses: Vec<Clause>,
    is_beside_or: bool,
}

impl Parser {
    pub(super) fn new(text: &str) -> Parsed<Self> {
        Ok(Self { reader: Reader::new(text)?, terms: 0, depth: 0 })
    }

    /// The whole text.
    pub(super) fn query(mut self) -> Parsed<Node> {
        let node = self.group(&About::Anything)?;
        match self.reader.peek() {
            None => Ok(node),
            Some(_) => Err(self.reader.fault(r"this ) closes nothing; write \) to search for it")),
        }
    }

    /// Clauses, up to the end or a parenthesis.
    fn group(&mut self, about: &About) -> Parsed<Node> {
        let mut items: Vec<Item> = Vec::new();
        let mut joint = None;
        loop {
            self.reader.skip_blanks();
            if let Some((found, length)) = self.joint() {
                if items.is_empty() || joint.is_some() {
                    return Err(self
                        .reader
                        .fault("there is no term before this AND or OR; put it in quotes to search for it"));
                }
                self.reader.at += length;
                joint = Some(found);
                continue;
            }
            if matches!(self.reader.peek(), None | Some(')')) {
                break;
            }
            let clause = self.clause(about)?;
            match (joint.take(), items.last_mut()) {
                (Some(Joint::And), Some(item)) => item.clauses.push(clause),
                (joint, last) => {
                    let is_beside_or = joint.is_some();
                    if let Some(last) = last {
                        last.is_beside_or |= is_beside_or;
                    }
                    items.push(Item { clauses: vec![clause], is_beside_or });
                }
            }
        }
        if joint.is_some() {
            return Err(self.reader.fault("there is no term after AND or OR"));
        }
        if items.is_empty() {
            return Err(self.reader.fault("there is nothing to search for"));
        }
        Ok(join(items))
    }

    /// `AND` or `OR` if that is next, and how long it is.
    fn joint(&self) -> Option<(Joint, usize)> {
        let words = [("AND", Joint::And), ("&&", Joint::And), ("OR", Joint::Or), ("||", Joint::Or)];
        let found = words.into_iter().find(|(word, _)| self.reader.is_next(word));
        found.map(|(word, joint)| (joint, word.len()))
    }

    fn clause(&mut self, about: &About) -> Parsed<Clause> {
        let (sign, length) = match self.reader.peek() {
            Some('+') => (Some(Sign::Must), 1),
            Some('-' | '!') => (Some(Sign::MustNot), 1),
            _ if self.reader.is_next("NOT") => (Some(Sign::MustNot), 3),
            _ => (None, 0),
        };
        if sign.is_none() {
            return Ok(Clause { sign, node: self.primary(about)? });
        }
        self.reader.at += length;
        self.reader.skip_blanks();
        if matches!(self.reader.peek(), None | Some(')')) {
            return Err(self.reader.fault("there is no term after this sign or NOT"));
        }
        self.enter()?;
        let node = self.clause(about)?.into_node();
        self.depth -= 1;
        Ok(Clause { sign, node })
    }

    /// A term, a field with its terms, or a group.
    fn primary(&mut self, about: &About) -> Parsed<Node> {
        match self.reader.peek() {
            Some('(' | '"' | '[' | '{') => return self.value(about),
            Some('<' | '>') if matches!(about, About::Field(_)) => return self.value(about),
            _ => {}
        }
        let start = self.reader.at;
        let pieces = self.reader.word(true)?;
        if self.reader.peek() != Some(':') {
            let test = self.reader.test_of(start, pieces)?;
            return self.leaf(start, about, test);
        }
        self.reader.at += 1;
        self.reader.skip_blanks();
        match <[String; 1]>::try_from(pieces) {
            Ok([name]) if name.is_empty() => {
                self.reader.at = start;
                Err(self.reader.fault(r"there is no field before this colon; write \: to search for it"))
            }
            Ok([name]) if name == "_exists_" => self.value(&About::Existence),
            Ok([name]) => self.value(&About::Field(Field::parse(&name))),
            Err(pieces) if is_star(&pieces) => match self.value(&About::Anything)? {
                Node::All(everybody) if everybody.is_empty() => Ok(Node::All(everybody)),
                _ => Err(self
                    .reader
                    .fault("only * can be asked of *; leave the field away to search in all of them")),
            },
            Err(_) => {
                self.reader.at = start;
                Err(self.reader.fault(r"the name of a field has no wildcard; write \* for a star in it"))
            }
        }
    }

    /// What follows a field's colon.
    fn value(&mut self, about: &About) -> Parsed<Node> {
        let start = self.reader.at;
        let test = match self.reader.peek() {
            Some('(') => return self.parentheses(about),
            Some('"') => Test::Is(Term::new(self.reader.phrase()?)),
            Some('[' | '{') => self.reader.range()?,
            Some('<' | '>') => self.reader.comparison()?,
            None | Some(')') => return Err(self.reader.fault("there is no value after the colon")),
            Some(_) => {
                let pieces = self.reader.word(false)?;
                self.reader.test_of(start, pieces)?
            }
        };
        self.leaf(start, about, test)
    }

    fn parentheses(&mut self, about: &About) -> Parsed<Node> {
        let start = self.reader.at;
        self.enter()?;
        self.reader.at += 1;
        let node = self.group(about)?;
        self.depth -= 1;
        if self.reader.peek().is_none() {
            self.reader.at = start;
            return Err(self.reader.fault("this ( is never closed; add a )"));
        }
        self.reader.at += 1;
        Ok(node)
    }

    fn leaf(&mut self, start: usize, about: &About, test: Test) -> Parsed<Node> {
        let at = std::mem::replace(&mut self.reader.at, start);
        self.terms += 1;
        if self.terms > Query::MAX_TERMS {
            return Err(self
                .reader
                .fault(&format!("a query has at most {} terms, ask in several", Query::MAX_TERMS)));
        }
        let (field, test) = match (about, test) {
            (About::Anything, Test::Exists) => return Ok(self.go_on(at, Node::All(Vec::new()))),
            (About::Anything, Test::Within(_)) => {
                return Err(self.reader.fault("a range needs a field, as in logins_count:[1 TO 9]"));
            }
            (About::Anything, test) => (Field::Anywhere, test),
            (About::Existence, Test::Is(term)) => (Field::parse(&term.text), Test::Exists),
            (About::Existence, _) => return Err(self.reader.fault("_exists_ takes the name of a field")),
            (About::Field(field), test) => (field.clone(), test),
        };
        match field.fault(&test) {
            Some(why) => Err(self.reader.fault(why)),
            None => Ok(self.go_on(at, Node::leaf(field, test))),
        }
    }

    fn go_on(&mut self, at: usize, node: Node) -> Node {
        self.reader.at = at;
        node
    }

    fn enter(&mut self) -> Parsed<()> {
        self.depth += 1;
        if self.depth > Query::MAX_DEPTH {
            let most = Query::MAX_DEPTH;
            return Err(self.reader.fault(&format!("parentheses and NOT may be {most} deep at most")));
        }
        Ok(())
    }
}

impl Clause {
    fn into_node(self) -> Node {
        match self.sign {
            Some(Sign::MustNot) => Node::not(self.node),
            Some(Sign::Must) | None => self.node,
        }
    }
}

/// What a sequence means: all that must be, none that must not, and where nothing must be, one of the
/// others. Beside an `OR`, `NOT` is one of the others.
fn join(items: Vec<Item>) -> Node {
    let (mut musts, mut must_nots, mut others) = (Vec::new(), Vec::new(), Vec::new());
    for Item { mut clauses, is_beside_or } in items {
        let sign = clauses.first().filter(|_| clauses.len() == 1).and_then(|clause| clause.sign);
        match sign {
            Some(Sign::Must) => musts.extend(clauses.pop().map(Clause::into_node)),
            Some(Sign::MustNot) if !is_beside_or => must_nots.extend(clauses.pop().map(Clause::into_node)),
            _ => others.push(Node::all(clauses.into_iter().map(Clause::into_node).collect())),
        }
    }
    let chosen = (musts.is_empty() && !others.is_empty()).then(|| Node::any(others));
    Node::all(iter::empty().chain(chosen).chain(musts).chain(must_nots).collect())
}
