//! What became of a file, for people and for programs.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::Exit;
use super::client::{Job, Summary};
use super::report::{Group, Report, print_groups};

/// What became of one file; this is the JSON of `import --json`.
#[derive(Debug, Serialize)]
pub(super) struct Outcome {
    file: PathBuf,
    jobs: Vec<String>,
    summary: Summary,
    /// Why the file or one of its jobs failed as a whole.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failures: Vec<String>,
    failed_rows: BTreeMap<String, Group>,
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<PathBuf>,
}

impl Outcome {
    pub(super) fn new(file: &Path) -> Self {
        Self {
            file: file.to_owned(),
            jobs: Vec::new(),
            summary: Summary::default(),
            failures: Vec::new(),
            failed_rows: BTreeMap::new(),
            report: None,
        }
    }

    /// Notes why the file could not be imported, or not to its end.
    pub(super) fn fail(&mut self, reason: String) {
        self.failures.push(reason);
    }

    /// Counts rows that were never sent.
    pub(super) fn add_unsent(&mut self, rows: u64) {
        self.summary.add(Summary { failed: rows, total: rows, ..Summary::default() });
    }

    /// Adds a job that the server has taken.
    pub(super) fn accepted(&mut self, job: &Job) {
        self.jobs.push(job.id.clone());
    }

    /// Counts the rows of a job that has ended.
    pub(super) fn ended(&mut self, job: &Job) {
        self.summary.add(job.summary.unwrap_or_default());
        if job.status == "failed" {
            let details = job.status_details.as_deref().unwrap_or("the server gives no reason");
            self.failures.push(format!("job {} failed: {details}", job.id));
        }
    }

    /// Takes over what the report counted.
    pub(super) fn close(&mut self, report: Report) {
        let (failed_rows, file) = report.finish();
        self.failed_rows = failed_rows;
        match file {
            Ok(file) => self.report = file,
            Err(error) => self.fail(error.to_string()),
        }
    }

    pub(super) fn exit(&self) -> Exit {
        if !self.failures.is_empty() {
            Exit::Failed
        } else if self.summary.failed > 0 {
            Exit::FailedRows
        } else {
            Exit::Done
        }
    }

    pub(super) fn print(&self, to: &mut impl Write) -> io::Result<()> {
        let Summary { inserted, updated, failed, total } = self.summary;
        let file = self.file.display();
        writeln!(to, "{file}: {total} rows: {inserted} inserted, {updated} updated, {failed} failed")?;
        for failure in &self.failures {
            writeln!(to, "  {failure}")?;
        }
        print_groups(&self.failed_rows, to)?;
        if let Some(report) = &self.report {
            writeln!(to, "  every failed row: {}", report.display())?;
        }
        match self.jobs.as_slice() {
            [] => Ok(()),
            [job] => writeln!(to, "  job: {job}"),
            [first, .., last] => {
                writeln!(to, "  jobs: {}, from {first} to {last}", self.jobs.len())
            }
        }
    }
}
