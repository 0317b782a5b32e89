//! What commands say: results on stdout, everything else on stderr.
//!
//! **Invariant:** a notice that cannot be written ends nothing, and is lost: whoever closed stderr, or let its disk
//! run full, did not ask for a server that goes with it. A result that cannot be written is an error.

use std::error::Error;
use std::fmt::{self, Display};
use std::io::{self, ErrorKind, StdoutLock, Write};

/// Says something on the way.
pub(super) fn notice(words: fmt::Arguments<'_>) {
    // In one go, so that what others write comes before or after it.
    let _ = io::stderr().lock().write_all(format!("{words}\n").as_bytes());
}

/// Says what came out.
pub(super) fn result(words: impl Display) -> io::Result<()> {
    let mut to = Stdout::lock();
    writeln!(to, "{words}")?;
    to.flush()
}

/// Says how the program is used.
pub(super) fn help(text: &clap::Error) -> io::Result<()> {
    text.print().and_then(|()| io::stdout().flush()).map_err(unwritable)
}

/// Standard output, which is named when it cannot be written.
pub(super) struct Stdout(StdoutLock<'static>);

impl Stdout {
    pub(super) fn lock() -> Self {
        Self(io::stdout().lock())
    }
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map_err(unwritable)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(unwritable)
    }
}

fn unwritable(error: io::Error) -> io::Error {
    match error.kind() {
        // Who writes tries again by itself.
        ErrorKind::Interrupted => error,
        ErrorKind::BrokenPipe => io::Error::new(ErrorKind::BrokenPipe, ReaderGone),
        kind => io::Error::new(kind, format!("standard output cannot be written: {error}")),
    }
}

/// Whoever read standard output has heard enough.
#[derive(Debug, thiserror::Error)]
#[error("nobody reads standard output any more")]
struct ReaderGone;

/// Whether an error is that somebody stopped reading, of which nobody wants to be told.
pub(super) fn is_reader_gone(error: &(dyn Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| (*error).source()).any(|error| {
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        matches!(inner, Some(inner) if inner.is::<ReaderGone>())
    })
}
