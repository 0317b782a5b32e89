//! The short way past a row: an object that is good, and all there, is stepped over without a state.
//!
//! Nothing is refused here. Whatever is odd, or goes on behind the bytes at hand, is left to the scanner, which
//! takes it byte by byte and finds the words. **Invariant:** what is stepped over here, it would have taken.

use crate::import::bytes::plain_run;

use super::number::Number;
use super::{MAX_DEPTH, ROWS};

/// An object that was stepped over.
pub(super) struct Whole {
    /// The place behind it.
    pub(super) end: usize,
    /// Line ends inside it, and the place behind the last of them.
    pub(super) lines: u64,
    pub(super) line_start: usize,
}

/// Steps over the row that begins with the `{` at `start`.
pub(super) fn row(bytes: &[u8], start: usize) -> Option<Whole> {
    let mut steps = Steps { bytes, at: start, lines: 0, line_start: start };
    let mut open = Open { depth: ROWS, objects: 0 };
    loop {
        match steps.token()? {
            b'"' => steps.text()?,
            b'{' => {
                open.push(true)?;
                if steps.peek()? != b'}' {
                    steps.name()?;
                    continue;
                }
            }
            b'[' => {
                open.push(false)?;
                if steps.peek()? != b']' {
                    continue;
                }
            }
            b't' => steps.literal(b"rue")?,
            b'f' => steps.literal(b"alse")?,
            b'n' => steps.literal(b"ull")?,
            digit @ (b'-' | b'0'..=b'9') => steps.number(digit)?,
            _ => return None,
        }
        // A value has ended, or a container without any is open.
        while open.depth > ROWS {
            match steps.token()? {
                b',' if open.is_object() => {
                    steps.name()?;
                    break;
                }
                b',' => break,
                b'}' if open.is_object() => open.pop(),
                b']' if !open.is_object() => open.pop(),
                _ => return None,
            }
        }
        if open.depth == ROWS {
            let Steps { at: end, lines, line_start, .. } = steps;
            return Some(Whole { end, lines, line_start });
        }
    }
}

/// The arrays and objects around a value: a bit for each, the innermost lowest, tells which it is.
struct Open {
    depth: u32,
    objects: u128,
}

impl Open {
    fn push(&mut self, object: bool) -> Option<()> {
        self.objects = self.objects << 1 | u128::from(object);
        self.depth += 1;
        (self.depth <= MAX_DEPTH).then_some(())
    }

    fn pop(&mut self) {
        self.objects >>= 1;
        self.depth -= 1;
    }

    fn is_object(&self) -> bool {
        self.objects & 1 == 1
    }
}

/// A place in the bytes. Every step is `None` where it would lead behind them, or into a fault.
struct Steps<'a> {
    bytes: &'a [u8],
    at: usize,
    lines: u64,
    line_start: usize,
}

impl Steps<'_> {
    /// The first byte of the next token, which stays where it is.
    #[inline]
    fn peek(&mut self) -> Option<u8> {
        loop {
            match *self.bytes.get(self.at)? {
                b' ' | b'\t' | b'\r' => {}
                b'\n' => {
                    self.lines += 1;
                    self.line_start = self.at + 1;
                }
                byte => return Some(byte),
            }
            self.at += 1;
        }
    }

    /// Steps over the first byte of the next token.
    #[inline]
    fn token(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    /// A name and the colon behind it.
    #[inline]
    fn name(&mut self) -> Option<()> {
        if self.token()? != b'"' {
            return None;
        }
        self.text()?;
        (self.token()? == b':').then_some(())
    }

    /// The rest of a text.
    #[inline]
    fn text(&mut self) -> Option<()> {
        loop {
            self.at += plain_run(self.bytes.get(self.at..)?);
            match *self.bytes.get(self.at)? {
                b'"' => {
                    self.at += 1;
                    return Some(());
                }
                b'\\' => self.escape()?,
                0x80.. => self.characters()?,
                _ => return None,
            }
        }
    }

    fn escape(&mut self) -> Option<()> {
        self.at += match *self.bytes.get(self.at + 1)? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => 2,
            b'u' if self.bytes.get(self.at + 2..self.at + 6)?.iter().all(u8::is_ascii_hexdigit) => 6,
            _ => return None,
        };
        Some(())
    }

    /// Characters beyond ASCII, one after the other.
    fn characters(&mut self) -> Option<()> {
        let rest = &self.bytes[self.at..];
        let length = rest.iter().position(u8::is_ascii)?;
        self.at += length;
        std::str::from_utf8(&rest[..length]).ok().map(drop)
    }

    fn number(&mut self, first: u8) -> Option<()> {
        let mut number = Number::start(first);
        while let Some(next) = number.next(*self.bytes.get(self.at)?).ok()? {
            number = next;
            self.at += 1;
        }
        Some(())
    }

    fn literal(&mut self, rest: &[u8]) -> Option<()> {
        let is_it = self.bytes.get(self.at..)?.starts_with(rest);
        self.at += rest.len();
        is_it.then_some(())
    }
}
