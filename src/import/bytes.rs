//! Looking for bytes in short texts, eight in one go. Most texts of a row have less than a vector of a
//! processor, for which a library's search would be the slower one.

const ONES: u64 = u64::MAX / 255;
const TOPS: u64 = ONES << 7;

/// How many of the leading bytes stand for themselves in a text: printable ASCII, neither a quote
/// nor a backslash.
#[inline]
pub(super) fn plain_run(bytes: &[u8]) -> usize {
    let control = |word: u64| word.wrapping_sub(ONES * u64::from(b' ')) & !word;
    run(
        bytes,
        |word| zeros(word, b'"') | zeros(word, b'\\') | control(word) | word,
        |byte| matches!(byte, b' '..=0x7f) && !matches!(byte, b'"' | b'\\'),
    )
}

/// How many bytes there are before the first quote or backslash.
#[inline]
pub(super) fn run_to_quote(bytes: &[u8]) -> usize {
    run(bytes, |word| zeros(word, b'"') | zeros(word, b'\\'), |byte| !matches!(byte, b'"' | b'\\'))
}

/// How many of the leading bytes are `wanted`; `unwanted` sets the top bit of the first byte of a word (the
/// lowest) that is not. Bytes above it may have theirs set without reason, because subtractions borrow.
#[inline]
fn run(bytes: &[u8], unwanted: impl Fn(u64) -> u64, wanted: impl Fn(u8) -> bool) -> usize {
    let mut run = 0;
    while let Some(word) = bytes.get(run..).and_then(<[u8]>::first_chunk::<8>) {
        let found = unwanted(u64::from_le_bytes(*word)) & TOPS;
        if found != 0 {
            return run + found.trailing_zeros() as usize / 8;
        }
        run += 8;
    }
    run + bytes[run..].iter().take_while(|byte| wanted(**byte)).count()
}

/// Sets the top bit of the first byte of the word that is this one.
#[inline]
fn zeros(word: u64, byte: u8) -> u64 {
    let word = word ^ (ONES * u64::from(byte));
    word.wrapping_sub(ONES) & !word
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_run_ends_where_a_look_at_each_byte_ends_it(
            bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'"'), Just(b'\\'), Just(b'a')], 0..40),
        ) {
            let count = |wanted: &dyn Fn(u8) -> bool| bytes.iter().take_while(|byte| wanted(**byte)).count();
            let special = |byte| matches!(byte, b'"' | b'\\');
            prop_assert_eq!(plain_run(&bytes), count(&|byte| (b' '..0x80).contains(&byte) && !special(byte)));
            prop_assert_eq!(run_to_quote(&bytes), count(&|byte| !special(byte)));
        }
    }
}
