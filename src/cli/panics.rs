//! What is told of a bug that ends a thread: where it is, and what it says unless data may be in that.
//!
//! **Invariant:** words that were made while the program ran are not told: a text cut in the middle of a letter,
//! for one, is quoted by the message about it, and it may be somebody's.

use std::any::Any;
use std::panic;

/// Panics are log lines from now on.
pub(super) fn log() {
    panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!("a thread panicked at {place}: {}", words(panic.payload()));
    }));
}

/// The words of a panic, if the program was built with them.
fn words(payload: &dyn Any) -> &'static str {
    payload.downcast_ref::<&'static str>().copied().unwrap_or("(what it says may hold data)")
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may")]
mod tests {
    use super::*;

    #[test]
    fn what_a_panic_quotes_is_not_told() {
        let payload = |work: fn(usize)| panic::catch_unwind(|| work("ann@example.test".len())).unwrap_err();
        let quoting = payload(|length| panic!("no room for {length} bytes of ann@example.test"));
        assert_eq!(words(&*quoting), "(what it says may hold data)");
        assert_eq!(words(&*payload(|_| panic!("impossible"))), "impossible");
    }
}
