//! What is to be measured, how often, and with how many users.

use clap::Parser;

/// The whole path through the real program over HTTP. Prints a table in Markdown, line by line as measured.
///
/// Without arguments: a small selection with fewer users, in about two minutes. With `--only` or `--all`
/// the numbers of users and runs are those that the targets speak of.
#[derive(Debug, Parser)]
pub(crate) struct Options {
    /// Measures to take, separated by commas; see --list
    #[arg(long, value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// Take every measure, also with five million users: needs patience, and some GB of memory and disk
    #[arg(long)]
    pub(crate) all: bool,
    /// Runs of each measure [default: 5; 3 without --only and --all]
    #[arg(long)]
    runs: Option<usize>,
    /// Users of each measure, instead of the usual number: 2000, 100k, 1M
    #[arg(long, value_delimiter = ',', value_parser = number)]
    rows: Vec<u64>,
    /// Name the measures
    #[arg(long)]
    pub(crate) list: bool,
    /// What cargo adds
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    /// Whether it is to be over soon.
    pub(crate) fn is_quick(&self) -> bool {
        !self.all && self.only.is_empty()
    }

    /// How often each thing is done.
    pub(crate) fn runs(&self) -> usize {
        self.runs.unwrap_or(if self.is_quick() { 3 } else { 5 }).max(1)
    }

    /// The numbers of users for a measure: those asked for, or else the usual ones.
    pub(crate) fn sizes(&self, quick: &[u64], usual: &[u64], all: &[u64]) -> Vec<u64> {
        match () {
            () if !self.rows.is_empty() => self.rows.clone(),
            () if self.all => all.to_vec(),
            () if self.is_quick() => quick.to_vec(),
            () => usual.to_vec(),
        }
    }

    /// The number of users for a measure that has but one.
    pub(crate) fn size(&self, quick: u64, usual: u64) -> u64 {
        self.sizes(&[quick], &[usual], &[usual]).into_iter().max().unwrap()
    }
}

fn number(text: &str) -> Result<u64, String> {
    let (digits, times) = match text.as_bytes().last() {
        Some(b'k') => (&text[..text.len() - 1], 1_000),
        Some(b'M') => (&text[..text.len() - 1], 1_000_000),
        _ => (text, 1),
    };
    let number: u64 = digits.parse().map_err(|_| format!("{text} is no number such as 2000, 100k or 1M"))?;
    Ok(number * times)
}
