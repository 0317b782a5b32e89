//! The table: values of many runs become a line of Markdown.

use std::fmt::Display;
use std::time::Duration;

/// What is to be reached: at least this, and better that.
#[derive(Debug, Clone, Default)]
pub(crate) struct Target {
    least: String,
    aim: String,
}

impl Target {
    /// Nobody asked for anything.
    pub(crate) fn none() -> Self {
        Self::default()
    }

    pub(crate) fn new(least: impl Display, aim: impl Display) -> Self {
        Self { least: least.to_string(), aim: aim.to_string() }
    }
}

/// The values that runs gave.
#[derive(Debug, Clone, Default)]
pub(crate) struct Values(Vec<f64>);

impl Values {
    pub(crate) const fn empty() -> Self {
        Self(Vec::new())
    }

    /// So many things in each of these seconds.
    pub(crate) fn rates(&self, number: u64) -> Self {
        self.0.iter().map(|seconds| number as f64 / seconds).collect()
    }

    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    /// The value that so large a share of all are not above.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let mut values = self.0.clone();
        values.sort_by(f64::total_cmp);
        let last = values.len().checked_sub(1).expect("nothing was measured");
        values[(share * last as f64).round() as usize]
    }

    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Each value over that of the other in the same run.
    pub(crate) fn over(&self, other: &Self) -> Self {
        assert_eq!(self.0.len(), other.0.len());
        self.0.iter().zip(&other.0).map(|(one, other)| one / other).collect()
    }

    /// The median and the extremes, in this unit.
    fn spread(&self, unit: f64, digits: usize, name: &str) -> String {
        let [median, least, most] = [0.5, 0.0, 1.0].map(|share| self.quantile(share) / unit);
        match self.0.len() {
            1 => format!("{median:.digits$}{name}"),
            _ => format!("{median:.digits$}{name} ({least:.digits$}..{most:.digits$})"),
        }
    }

    /// As times, if they are seconds.
    pub(crate) fn seconds(&self) -> String {
        match self.median() {
            median if median < 0.001 => self.spread(1e-6, 0, " µs"),
            median if median < 0.02 => self.spread(1e-3, 1, " ms"),
            median if median < 1.0 => self.spread(1e-3, 0, " ms"),
            _ => self.spread(1.0, 2, " s"),
        }
    }

    /// As rates, if they are so many per second.
    pub(crate) fn per_second(&self, what: &str) -> String {
        match self.median() {
            median if median < 10_000.0 => self.spread(1.0, 0, &format!(" {what}/s")),
            median if median >= 1e7 => self.spread(1e6, 0, &format!("M {what}/s")),
            _ => self.spread(1e3, 0, &format!("k {what}/s")),
        }
    }

    pub(crate) fn megabytes(&self) -> String {
        self.spread(f64::from(1 << 20), 1, " MB")
    }

    pub(crate) fn bytes(&self) -> String {
        self.spread(1.0, 0, " B")
    }

    pub(crate) fn plain(&self) -> String {
        self.spread(1.0, 2, "")
    }

    /// The usual three of a latency.
    pub(crate) fn latency(&self) -> String {
        let [middle, slow, slowest] = [0.5, 0.99, 1.0].map(|share| self.quantile(share) * 1e3);
        format!("p99 {slow:.2} ms (p50 {middle:.2}, max {slowest:.1})")
    }
}

impl FromIterator<f64> for Values {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

impl Extend<f64> for Values {
    fn extend<I: IntoIterator<Item = f64>>(&mut self, values: I) {
        self.0.extend(values);
    }
}

impl Extend<Duration> for Values {
    fn extend<I: IntoIterator<Item = Duration>>(&mut self, values: I) {
        self.0.extend(values.into_iter().map(|duration| duration.as_secs_f64()));
    }
}

/// Prints the head of the table.
pub(crate) fn head() {
    line("measure", "median (min..max)", "ratio", &Target::new("at least", "aim"));
    println!("|{0}|{1}|{2}|{3}|{3}|", "-".repeat(58), "-".repeat(36), "-".repeat(20), "-".repeat(14));
}

/// Prints a line of the table.
pub(crate) fn line(measure: impl Display, value: impl Display, ratio: impl Display, target: &Target) {
    let Target { least, aim } = target;
    let [measure, value, ratio] = [measure.to_string(), value.to_string(), ratio.to_string()];
    println!("| {measure:<56} | {value:<34} | {ratio:<18} | {least:<12} | {aim:<12} |");
}

/// A number of users, short.
pub(crate) fn short(number: u64) -> String {
    match number {
        number if number > 0 && number.is_multiple_of(1_000_000) => format!("{}M", number / 1_000_000),
        number if number > 0 && number.is_multiple_of(1_000) => format!("{}k", number / 1_000),
        number => number.to_string(),
    }
}

/// Tells whoever waits what is being done.
pub(crate) fn note(what: impl Display) {
    eprintln!("  … {what}");
}
