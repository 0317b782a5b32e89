//! What is told of failed rows: every one in a file, and a summary by code.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::parts::Part;
use crate::domain::{self, Code};
use crate::import::RowSpan;

/// A failed row as the API shows it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct FailedRow {
    user: Box<RawValue>,
    errors: Vec<RowError>,
    /// Absent from servers other than ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    index: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
}

/// One thing wrong with a row.
#[derive(Debug, Serialize, Deserialize)]
struct RowError {
    code: String,
    message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    duplicate_of: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

impl FailedRow {
    /// A row that no request to this server can hold.
    pub(super) fn too_long(row: &RowSpan, limit: u64) -> Self {
        let message =
            format!("The row has {} bytes, but the server takes {limit} at most", row.end - row.start);
        domain::FailedRow::new(
            row.index,
            row.line,
            "{}".to_owned(),
            vec![domain::Fault::of_row(Code::ProfileSizeExceeded, message)],
        )
        .into()
    }
}

impl FailedRow {
    /// Prints where it is and what is wrong with it.
    pub(super) fn print(&self, to: &mut impl Write) -> io::Result<()> {
        if let (Some(line), Some(index)) = (self.line, self.index) {
            writeln!(to, "line {line} (index {index})")?;
        }
        for error in &self.errors {
            writeln!(to, "  {}: {}", error.code, error.told())?;
        }
        Ok(())
    }
}

impl RowError {
    /// The message, with whatever helps to understand it.
    fn told(&self) -> String {
        let first = self.duplicate_of.map(|index| format!(" (index {index} is the first)"));
        let hint = self.hint.as_ref().map(|hint| format!(" ({hint})"));
        format!("{}{}{}", self.message, first.unwrap_or_default(), hint.unwrap_or_default())
    }
}

impl From<domain::FailedRow> for FailedRow {
    fn from(row: domain::FailedRow) -> Self {
        Self {
            // The text was made by us and is JSON; should it not be, the row still counts.
            user: RawValue::from_string(row.user).unwrap_or_else(|_| RawValue::NULL.to_owned()),
            errors: row.faults.into_iter().map(RowError::from).collect(),
            index: Some(row.index),
            line: Some(row.line),
        }
    }
}

impl From<domain::Fault> for RowError {
    fn from(fault: domain::Fault) -> Self {
        Self {
            code: fault.code.to_string(),
            message: fault.message,
            path: fault.path,
            duplicate_of: fault.duplicate_of,
            hint: fault.hint,
        }
    }
}

impl Part {
    /// A row of this part, numbered as in the file.
    pub(super) fn in_file(&self, mut row: FailedRow) -> FailedRow {
        row.index = row.index.map(|index| self.first_row + index);
        row.line = row.line.map(|line| self.first_line + line - 1);
        for error in &mut row.errors {
            error.duplicate_of = error.duplicate_of.map(|index| self.first_row + index);
        }
        row
    }
}

/// How many rows failed for a reason, and where the first of them are.
#[derive(Debug, Default, Serialize)]
pub(super) struct Group {
    rows: u64,
    first_lines: Vec<u64>,
    /// What was said of the first one.
    example: String,
}

/// Lines named for each code.
const LINES_NAMED: usize = 10;

impl Group {
    fn add(&mut self, line: Option<u64>, error: &RowError) {
        if self.rows == 0 {
            self.example = error.told();
        }
        if self.first_lines.len() < LINES_NAMED {
            self.first_lines.extend(line);
        }
        self.rows += 1;
    }
}

/// Failed rows, counted by code and written to a file that is made for the first of them.
#[derive(Debug)]
pub(super) struct Report {
    path: PathBuf,
    file: Option<BufWriter<File>>,
    /// Why the file did not take a row.
    fault: Option<io::Error>,
    groups: BTreeMap<String, Group>,
}

impl Report {
    /// A report that will be at `path` if there is anything to report.
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, file: None, fault: None, groups: BTreeMap::new() }
    }

    /// Adds a row. It counts even if the file does not take it.
    pub(super) fn add(&mut self, row: &FailedRow) {
        if self.fault.is_none() {
            self.fault = self.write(row).err();
            self.remove_unless_whole();
        }
        let mut seen = BTreeSet::new();
        for error in row.errors.iter().filter(|error| seen.insert(error.code.as_str())) {
            self.groups.entry(error.code.clone()).or_default().add(row.line, error);
        }
    }

    fn write(&mut self, row: &FailedRow) -> io::Result<()> {
        let (file, before) = match &mut self.file {
            Some(file) => (file, ",\n"),
            None => (self.file.insert(BufWriter::new(File::create(&self.path)?)), "[\n"),
        };
        file.write_all(before.as_bytes())?;
        Ok(serde_json::to_writer(file, row)?)
    }

    /// Ends the report: the rows by code, and where the file is if there is one.
    pub(super) fn finish(mut self) -> (BTreeMap<String, Group>, io::Result<Option<PathBuf>>) {
        if let (None, Some(file)) = (&self.fault, &mut self.file) {
            self.fault = file.write_all(b"\n]\n").and_then(|()| file.flush()).err();
            self.remove_unless_whole();
        }
        let Self { path, file, fault, groups } = self;
        let written = match fault {
            Some(error) => {
                Err(io::Error::other(format!("the report {} cannot be written: {error}", path.display())))
            }
            None => Ok(file.map(|_| path)),
        };
        (groups, written)
    }

    /// Removes the file if it did not take everything: nobody is to take what is in it for all there is. What is
    /// no file, but a pipe or a device, is left alone.
    fn remove_unless_whole(&mut self) {
        let is_cut = self.fault.is_some() && self.file.take().is_some();
        if is_cut && fs::symlink_metadata(&self.path).is_ok_and(|about| about.is_file()) {
            // The fault tells more than this one would.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Prints rows by code, the most frequent first.
pub(super) fn print_groups(groups: &BTreeMap<String, Group>, to: &mut impl Write) -> io::Result<()> {
    let mut groups: Vec<_> = groups.iter().collect();
    groups.sort_by_key(|(_, group)| std::cmp::Reverse(group.rows));
    for (code, group) in groups {
        let lines: Vec<String> = group.first_lines.iter().map(u64::to_string).collect();
        let more = if lines.len() as u64 == group.rows { "" } else { ", …" };
        let (rows, on) = if group.rows == 1 { ("row", "line") } else { ("rows", "lines") };
        writeln!(to, "  {code}: {} {rows}, on {on} {}{more}", group.rows, lines.join(", "))?;
        writeln!(to, "    e.g. {}", group.example)?;
    }
    Ok(())
}

/// Where the report of a file goes unless told: beside it, with the ending `.report.json`. Beside a
/// pipe there is no place.
pub(super) fn beside(input: &Path) -> PathBuf {
    let is_stream = input == Path::new("-") || input.starts_with("/dev");
    if is_stream { "stdin.report.json".into() } else { input.with_extension("report.json") }
}
