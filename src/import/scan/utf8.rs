//! UTF-8, one byte at a time.

/// The byte order mark some editors put before the text.
pub(super) const MARK: [u8; 3] = [MARK_START, 0xbb, 0xbf];
pub(super) const MARK_START: u8 = 0xef;

/// A character beyond ASCII of which some bytes are still to come.
///
/// Only the byte after the first has a range of its own; it keeps out detours (overlong forms),
/// surrogates and what lies beyond U+10FFFF.
#[derive(Debug, Clone, Copy)]
pub(super) struct Partial {
    missing: u8,
    low: u8,
    high: u8,
}

impl Partial {
    /// After the first byte; `None` if no character starts with it.
    #[inline]
    pub(super) fn start(byte: u8) -> Option<Self> {
        let (missing, low, high) = match byte {
            0xc2..=0xdf => (1, 0x80, 0xbf),
            0xe0 => (2, 0xa0, 0xbf),
            0xed => (2, 0x80, 0x9f),
            0xe1..=0xef => (2, 0x80, 0xbf),
            0xf0 => (3, 0x90, 0xbf),
            0xf1..=0xf3 => (3, 0x80, 0xbf),
            0xf4 => (3, 0x80, 0x8f),
            _ => return None,
        };
        Some(Self { missing, low, high })
    }

    /// After one more byte; `None` if it does not belong there.
    #[inline]
    pub(super) fn next(self, byte: u8) -> Option<Self> {
        let fits = self.low <= byte && byte <= self.high;
        fits.then_some(Self { missing: self.missing - 1, low: 0x80, high: 0xbf })
    }

    /// Whether no byte is missing.
    #[inline]
    pub(super) fn is_whole(self) -> bool {
        self.missing == 0
    }
}
