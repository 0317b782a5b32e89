//! The grammar of numbers, one byte at a time. Their size does not matter.

/// What has been seen of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Number {
    /// The minus sign.
    Minus,
    /// A zero, which no digit may follow.
    Zero,
    /// Digits that do not start with zero.
    Whole,
    /// The decimal point.
    Point,
    /// Digits after the point.
    Fraction,
    /// The `e`.
    Exponent,
    /// The sign of the exponent.
    ExponentSign,
    /// Digits of the exponent.
    ExponentDigits,
}

impl Number {
    /// After the first byte, which is a digit or the minus sign.
    pub(super) fn start(byte: u8) -> Self {
        match byte {
            b'-' => Self::Minus,
            b'0' => Self::Zero,
            _ => Self::Whole,
        }
    }

    /// After one more byte; `Ok(None)` if the number ended before it.
    #[inline]
    pub(super) fn next(self, byte: u8) -> Result<Option<Self>, &'static str> {
        Ok(Some(match (self, byte) {
            (Self::Minus, b'0') => Self::Zero,
            (Self::Minus, b'1'..=b'9') | (Self::Whole, b'0'..=b'9') => Self::Whole,
            (Self::Point | Self::Fraction, b'0'..=b'9') => Self::Fraction,
            (Self::Exponent | Self::ExponentSign | Self::ExponentDigits, b'0'..=b'9') => Self::ExponentDigits,
            (Self::Zero | Self::Whole, b'.') => Self::Point,
            (Self::Zero | Self::Whole | Self::Fraction, b'e' | b'E') => Self::Exponent,
            (Self::Exponent, b'+' | b'-') => Self::ExponentSign,
            (Self::Zero, b'0'..=b'9') => return Err("a number must not start with a zero"),
            (Self::Zero | Self::Whole | Self::Fraction | Self::ExponentDigits, _) => {
                return Ok(None);
            }
            _ => return Err("expected a digit"),
        }))
    }
}
