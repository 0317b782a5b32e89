//! From text to terms: words, phrases, ranges. Every fault says where it is and what to do.

use super::value::{Bound, Pattern, Range, Term, Test};
use super::{Query, QueryFault};

/// Fewest characters of a pattern that begins with a star.
pub(super) const LEAST_AFTER_STAR: usize = 3;

/// What was read, or why it cannot be.
pub(super) type Parsed<T> = Result<T, QueryFault>;

/// A text, and how much of it was read.
#[derive(Debug)]
pub(super) struct Reader {
    text: Vec<char>,
    pub(super) at: usize,
}

impl Reader {
    pub(super) fn new(text: &str) -> Parsed<Self> {
        let text: Vec<char> = text.chars().collect();
        if text.len() > Query::MAX_CHARS {
            let why = format!("a query has at most {} characters, ask in several", Query::MAX_CHARS);
            return Err(QueryFault { at: Query::MAX_CHARS + 1, why });
        }
        Ok(Self { text, at: 0 })
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.text.get(self.at).copied()
    }

    pub(super) fn skip_blanks(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.at += 1;
        }
    }

    pub(super) fn fault(&self, why: &str) -> QueryFault {
        QueryFault { at: self.at + 1, why: why.to_owned() }
    }

    /// Whether this word is next, and all of the next one.
    pub(super) fn is_next(&self, word: &str) -> bool {
        let rest = &self.text[self.at..];
        let after = rest.get(word.len()).copied();
        let ends = after.is_none_or(|c| c.is_whitespace() || matches!(c, '(' | ')'));
        ends && rest.iter().copied().take(word.len()).eq(word.chars())
    }

    pub(super) fn test_of(&mut self, start: usize, pieces: Vec<String>) -> Parsed<Test> {
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
    pub(super) fn word(&mut self, ends_at_colon: bool) -> Parsed<Vec<String>> {
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

    pub(super) fn phrase(&mut self) -> Parsed<String> {
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
    pub(super) fn range(&mut self) -> Parsed<Test> {
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
    pub(super) fn comparison(&mut self) -> Parsed<Test> {
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
}

/// Whether there are stars and nothing else.
pub(super) fn is_star(pieces: &[String]) -> bool {
    pieces.len() > 1 && pieces.iter().all(String::is_empty)
}
