//! From text to tree. Every fault says where it is and what to do.

use std::iter;

use super::field::Field;
use super::node::Node;
use super::value::{Bound, Pattern, Range, Term, Test};
use super::{Query, QueryFault};

/// Fewest characters of a pattern that begins with a star.
pub(super) const LEAST_AFTER_STAR: usize = 3;

/// A reader of one query.
#[derive(Debug)]
pub(super) struct Parser {
    text: Vec<char>,
    at: usize,
    terms: usize,
    depth: usize,
}

type Parsed<T> = Result<T, QueryFault>;

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
        let text: Vec<char> = text.chars().collect();
        let parser = Self { text, at: 0, terms: 0, depth: 0 };
        if parser.text.len() > Query::MAX_CHARS {
            let why = format!("a query has at most {} characters, ask in several", Query::MAX_CHARS);
            return Err(QueryFault { at: Query::MAX_CHARS + 1, why });
        }
        Ok(parser)
    }

    /// The whole text.
    pub(super) fn query(mut self) -> Parsed<Node> {
        let node = self.group(&About::Anything)?;
        match self.peek() {
            None => Ok(node),
            Some(_) => Err(self.fault(r"this ) closes nothing; write \) to search for it")),
        }
    }

    /// Clauses, up to the end or a parenthesis.
    fn group(&mut self, about: &About) -> Parsed<Node> {
        let mut items: Vec<Item> = Vec::new();
        let mut joint = None;
        loop {
            self.skip_blanks();
            if let Some((found, length)) = self.joint() {
                if items.is_empty() || joint.is_some() {
                    return Err(self
                        .fault("there is no term before this AND or OR; put it in quotes to search for it"));
                }
                self.at += length;
                joint = Some(found);
                continue;
            }
            if matches!(self.peek(), None | Some(')')) {
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
            return Err(self.fault("there is no term after AND or OR"));
        }
        if items.is_empty() {
            return Err(self.fault("there is nothing to search for"));
        }
        Ok(join(items))
    }

    /// `AND` or `OR` if that is next, and how long it is.
    fn joint(&self) -> Option<(Joint, usize)> {
        let words = [("AND", Joint::And), ("&&", Joint::And), ("OR", Joint::Or), ("||", Joint::Or)];
        let found = words.into_iter().find(|(word, _)| self.is_next(word));
        found.map(|(word, joint)| (joint, word.len()))
    }

    /// Whether this word is next, and all of the next one.
    fn is_next(&self, word: &str) -> bool {
        let rest = &self.text[self.at..];
        let after = rest.get(word.len()).copied();
        let ends = after.is_none_or(|c| c.is_whitespace() || matches!(c, '(' | ')'));
        ends && rest.iter().copied().take(word.len()).eq(word.chars())
    }

    fn clause(&mut self, about: &About) -> Parsed<Clause> {
        let (sign, length) = match self.peek() {
            Some('+') => (Some(Sign::Must), 1),
            Some('-' | '!') => (Some(Sign::MustNot), 1),
            _ if self.is_next("NOT") => (Some(Sign::MustNot), 3),
            _ => (None, 0),
        };
        if sign.is_none() {
            return Ok(Clause { sign, node: self.primary(about)? });
        }
        self.at += length;
        self.skip_blanks();
        if matches!(self.peek(), None | Some(')')) {
            return Err(self.fault("there is no term after this sign or NOT"));
        }
        self.enter()?;
        let node = self.clause(about)?.into_node();
        self.depth -= 1;
        Ok(Clause { sign, node })
    }

    /// A term, a field with its terms, or a group.
    fn primary(&mut self, about: &About) -> Parsed<Node> {
        match self.peek() {
            Some('(' | '"' | '[' | '{') => return self.value(about),
            Some('<' | '>') if matches!(about, About::Field(_)) => return self.value(about),
            _ => {}
        }
        let start = self.at;
        let pieces = self.word(true)?;
        if self.peek() != Some(':') {
            let test = self.test_of(start, pieces)?;
            return self.leaf(start, about, test);
        }
        self.at += 1;
        self.skip_blanks();
        match <[String; 1]>::try_from(pieces) {
            Ok([name]) if name.is_empty() => {
                self.at = start;
                Err(self.fault(r"there is no field before this colon; write \: to search for it"))
            }
            Ok([name]) if name == "_exists_" => self.value(&About::Existence),
            Ok([name]) => self.value(&About::Field(Field::parse(&name))),
            Err(pieces) if is_star(&pieces) => match self.value(&About::Anything)? {
                Node::All(everybody) if everybody.is_empty() => Ok(Node::All(everybody)),
                _ => {
                    Err(self.fault("only * can be asked of *; leave the field away to search in all of them"))
                }
            },
            Err(_) => {
                self.at = start;
                Err(self.fault(r"the name of a field has no wildcard; write \* for a star in it"))
            }
        }
    }

    /// What follows a field's colon.
    fn value(&mut self, about: &About) -> Parsed<Node> {
        let start = self.at;
        let test = match self.peek() {
            Some('(') => return self.parentheses(about),
            Some('"') => Test::Is(Term::new(self.phrase()?)),
            Some('[' | '{') => self.range()?,
            Some('<' | '>') => self.comparison()?,
            None | Some(')') => return Err(self.fault("there is no value after the colon")),
            Some(_) => {
                let pieces = self.word(false)?;
                self.test_of(start, pieces)?
            }
        };
        self.leaf(start, about, test)
    }

    fn parentheses(&mut self, about: &About) -> Parsed<Node> {
        let start = self.at;
        self.enter()?;
        self.at += 1;
        let node = self.group(about)?;
        self.depth -= 1;
        if self.peek().is_none() {
            self.at = start;
            return Err(self.fault("this ( is never closed; add a )"));
        }
        self.at += 1;
        Ok(node)
    }

    fn leaf(&mut self, start: usize, about: &About, test: Test) -> Parsed<Node> {
        let at = std::mem::replace(&mut self.at, start);
        self.terms += 1;
        if self.terms > Query::MAX_TERMS {
            return Err(
                self.fault(&format!("a query has at most {} terms, ask in several", Query::MAX_TERMS))
            );
        }
        let (field, test) = match (about, test) {
            (About::Anything, Test::Exists) => return Ok(self.go_on(at, Node::All(Vec::new()))),
            (About::Anything, Test::Within(_)) => {
                return Err(self.fault("a range needs a field, as in logins_count:[1 TO 9]"));
            }
            (About::Anything, test) => (Field::Anywhere, test),
            (About::Existence, Test::Is(term)) => (Field::parse(&term.text), Test::Exists),
            (About::Existence, _) => return Err(self.fault("_exists_ takes the name of a field")),
            (About::Field(field), test) => (field.clone(), test),
        };
        match field.fault(&test) {
            Some(why) => Err(self.fault(why)),
            None => Ok(self.go_on(at, Node::leaf(field, test))),
        }
    }

    fn go_on(&mut self, at: usize, node: Node) -> Node {
        self.at = at;
        node
    }

    fn test_of(&mut self, start: usize, pieces: Vec<String>) -> Parsed<Test> {
        let pieces = match <[String; 1]>::try_from(pieces) {
            Ok([text]) => return Ok(Test::Is(Term::new(text))),
            Err(pieces) if is_star(&pieces) => return Ok(Test::Exists),
            Err(pieces) => pieces,
        };
        let letters: usize = pieces.iter().map(|piece| piece.chars().count()).sum();
        if pieces[0].is_empty() && letters < LEAST_AFTER_STAR {
            self.at = start;
            return Err(self.fault(&format!(
                "a pattern that begins with * needs {LEAST_AFTER_STAR} characters at least"
            )));
        }
        Ok(Test::Like(Pattern::new(pieces)))
    }

    /// A term: the texts between its stars. It ends where something else begins, but a colon may be in it
    /// unless `ends_at_colon`.
    fn word(&mut self, ends_at_colon: bool) -> Parsed<Vec<String>> {
        let start = self.at;
        let mut pieces = Vec::new();
        let mut piece = String::new();
        while let Some(c) = self.peek() {
            match c {
                '(' | ')' => break,
                ':' if ends_at_colon => break,
                _ if c.is_whitespace() => break,
                '/' if self.at == start => {
                    return Err(
                        self.fault(r"there are no regular expressions; write \/ to search for a slash")
                    );
                }
                '"' | '[' | ']' | '{' | '}' | '^' | '~' | '?' => {
                    return Err(self.fault(&format!(
                        r"{c} means nothing here; write \{c}, or put the term in quotes, to search for it"
                    )));
                }
                '*' => pieces.push(std::mem::take(&mut piece)),
                '\\' => piece.push(self.escaped()?),
                _ => piece.push(c),
            }
            self.at += 1;
        }
        pieces.push(piece);
        Ok(pieces)
    }

    /// The character behind a backslash, which is next.
    fn escaped(&mut self) -> Parsed<char> {
        let next = self.text.get(self.at + 1).copied();
        let next = next.ok_or_else(|| {
            self.fault(r"there is nothing after this backslash; write \\ to search for one")
        })?;
        self.at += 1;
        Ok(next)
    }

    fn phrase(&mut self) -> Parsed<String> {
        let start = self.at;
        let mut text = String::new();
        loop {
            self.at += 1;
            match self.peek() {
                None => {
                    self.at = start;
                    return Err(
                        self.fault(r#"this phrase never ends; add a ", or write \" to search for one"#)
                    );
                }
                Some('"') => break,
                Some('\\') => text.push(self.escaped()?),
                Some(c) => text.push(c),
            }
        }
        self.at += 1;
        if matches!(self.peek(), Some('~' | '^')) {
            return Err(self.fault("phrases are compared as they are; take this away"));
        }
        Ok(text)
    }

    /// `[low TO high]`, with braces where an end is not in it.
    fn range(&mut self) -> Parsed<Test> {
        let low_is_inside = self.peek() == Some('[');
        self.at += 1;
        let low = self.end_of_range()?;
        self.skip_blanks();
        if !self.is_next("TO") {
            return Err(self.fault("a range is written as [low TO high]; TO is missing here"));
        }
        self.at += 2;
        let high = self.end_of_range()?;
        self.skip_blanks();
        let high_is_inside = match self.peek() {
            Some(']') => true,
            Some('}') => false,
            _ => return Err(self.fault("a range is written as [low TO high]; its end is missing here")),
        };
        self.at += 1;
        let bound = |term: Option<Term>, is_inside| term.map(|term| Bound { term, is_inside });
        let range = Range { low: bound(low, low_is_inside), high: bound(high, high_is_inside) };
        let is_open = range.bounds().next().is_none();
        Ok(if is_open { Test::Exists } else { Test::Within(range) })
    }

    /// One end of a range; `None` is a star.
    fn end_of_range(&mut self) -> Parsed<Option<Term>> {
        self.skip_blanks();
        if self.peek() == Some('"') {
            return Ok(Some(Term::new(self.phrase()?)));
        }
        let (start, mut text, mut is_plain) = (self.at, String::new(), true);
        while let Some(c) = self.peek().filter(|c| !c.is_whitespace() && !matches!(c, ']' | '}')) {
            is_plain &= c != '\\';
            text.push(if c == '\\' { self.escaped()? } else { c });
            self.at += 1;
        }
        match &*text {
            "*" if is_plain => Ok(None),
            "" if self.at == start => {
                Err(self.fault("a range is written as [low TO high]; a value is missing here"))
            }
            _ => Ok(Some(Term::new(text))),
        }
    }

    /// `>1`, `>=1`, `<1` or `<=1`.
    fn comparison(&mut self) -> Parsed<Test> {
        let is_low = self.peek() == Some('>');
        self.at += 1;
        let is_inside = self.peek() == Some('=');
        self.at += usize::from(is_inside);
        let text = match self.peek() {
            Some('"') => self.phrase()?,
            _ => self.word(false)?.concat(),
        };
        if text.is_empty() {
            return Err(self.fault("there is no value after this < or >"));
        }
        let bound = Some(Bound { term: Term::new(text), is_inside });
        Ok(Test::Within(if is_low {
            Range { low: bound, high: None }
        } else {
            Range { low: None, high: bound }
        }))
    }

    fn enter(&mut self) -> Parsed<()> {
        self.depth += 1;
        if self.depth > Query::MAX_DEPTH {
            let most = Query::MAX_DEPTH;
            return Err(self.fault(&format!("parentheses and NOT may be {most} deep at most")));
        }
        Ok(())
    }

    fn peek(&self) -> Option<char> {
        self.text.get(self.at).copied()
    }

    fn skip_blanks(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.at += 1;
        }
    }

    fn fault(&self, why: &str) -> QueryFault {
        QueryFault { at: self.at + 1, why: why.to_owned() }
    }
}

/// Whether there are stars and nothing else.
fn is_star(pieces: &[String]) -> bool {
    pieces.len() > 1 && pieces.iter().all(String::is_empty)
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
