//! Dates as people write them: a year, a day, a minute or a moment, each as the time it lasts.

use crate::domain::Timestamp;

/// A stretch of time, in milliseconds since 1970-01-01 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    /// The first.
    pub(super) from: u64,
    /// The first that is later.
    pub(super) until: u64,
}

/// What a shorter text leaves out.
const REST: &str = "0000-01-01T00:00:00Z";
const DAY: u64 = 24 * 60 * 60 * 1000;

impl Span {
    /// Reads `2018`, `2018-03`, `2018-03-05` and so on to `2018-03-05T09:31:12.481Z`, in UTC.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.strip_suffix('Z').unwrap_or(text);
        if !text.is_ascii() {
            return None;
        }
        let lasting = |millis| begin(text).map(|from| Self { from, until: from + millis });
        let span = match text.len() {
            4 => Self { from: begin(text)?, until: begin_of(year(text)? + 1, 1) },
            7 => {
                Self { from: begin(text)?, until: begin_of(year(text)?, text[5..].parse::<u64>().ok()? + 1) }
            }
            10 => lasting(DAY)?,
            13 => lasting(DAY / 24)?,
            16 => lasting(60 * 1000)?,
            19 => lasting(1000)?,
            21 => lasting(100)?,
            22 => lasting(10)?,
            23..=29 => lasting(1)?,
            _ => return None,
        };
        Some(if year(text)? < 1970 { Self { from: 0, until: 0 } } else { span })
    }

    /// Whether the moment lies in it.
    pub(super) fn contains(self, moment: Timestamp) -> bool {
        self.from <= moment.millis() && moment.millis() < self.until
    }
}

/// When it begins. Years before 1970 are 1970 here: nobody was born before that.
fn begin(text: &str) -> Option<u64> {
    let year = year(text)?.max(1970);
    let rest = REST.get(text.len()..).filter(|rest| !rest.is_empty()).unwrap_or("Z");
    Timestamp::parse(&format!("{year:04}{}{rest}", &text[4..])).map(Timestamp::millis)
}

/// When a month begins; the thirteenth is the next year's first.
fn begin_of(year: u64, month: u64) -> u64 {
    let (year, month) = if month > 12 { (year + 1, 1) } else { (year, month) };
    begin(&format!("{year:04}-{month:02}")).unwrap_or(u64::MAX)
}

fn year(text: &str) -> Option<u64> {
    let digits = text.get(..4)?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may")]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, from: &str, until: &str) {
        let millis = |text: &str| Timestamp::parse(text).unwrap().millis();
        assert_eq!(Span::parse(text), Some(Span { from: millis(from), until: millis(until) }), "{text}");
    }

    #[test]
    fn a_date_lasts_as_long_as_what_it_names() {
        check("2018", "2018-01-01T00:00:00Z", "2019-01-01T00:00:00Z");
        check("2018-12", "2018-12-01T00:00:00Z", "2019-01-01T00:00:00Z");
        check("2020-02", "2020-02-01T00:00:00Z", "2020-03-01T00:00:00Z");
        check("2018-03-05", "2018-03-05T00:00:00Z", "2018-03-06T00:00:00Z");
        check("2018-03-05T09", "2018-03-05T09:00:00Z", "2018-03-05T10:00:00Z");
        check("2018-03-05T09:31", "2018-03-05T09:31:00Z", "2018-03-05T09:32:00Z");
        check("2018-03-05T09:31:12Z", "2018-03-05T09:31:12Z", "2018-03-05T09:31:13Z");
        check("2018-03-05T09:31:12.48Z", "2018-03-05T09:31:12.480Z", "2018-03-05T09:31:12.490Z");
        check("2018-03-05T09:31:12.481Z", "2018-03-05T09:31:12.481Z", "2018-03-05T09:31:12.482Z");
        assert_eq!(Span::parse("1900-01-01"), Some(Span { from: 0, until: 0 }));
        assert_eq!(Span::parse("9999").unwrap().until, u64::MAX);
    }

    #[test]
    fn other_texts_are_no_dates() {
        for text in
            ["", "Z", "20", "2018-13", "2018-02-30", "2018-3-5", "now", "+018", "2018-03-05 09:31", "é18"]
        {
            assert_eq!(Span::parse(text), None, "{text}");
        }
    }
}
