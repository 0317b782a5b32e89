//! `intake check`: the rules for rows, offline.

use std::collections::HashMap;
use std::io::{self, BufWriter, Write};

use serde_json::json;

use super::report::FailedRow;
use super::said::Stdout;
use super::serve::start_quiet_log;
use super::source::Source;
use super::{Check, Exit, Problem};
use crate::app;
use crate::domain::{self, Candidate, Fault, UserId};
use crate::import::{Examined, examine, reported};

impl Check {
    pub(super) fn run(self) -> Result<Exit, Problem> {
        let settings = self.config.load()?;
        start_quiet_log(&settings.log);
        let limits = app::limits(&settings);
        let source = Source::open(&self.file)?;
        let mut keys = Keys::default();
        let mut findings = Findings::new(BufWriter::new(Stdout::lock()), self.json);
        let mut written = Ok(());
        let rows = examine(source.file()?, &limits, |row| {
            if let Some(row) = keys.judge(row) {
                written = std::mem::replace(&mut written, Ok(())).and_then(|()| findings.add(&row.into()));
            }
        });
        let rows = rows.map_err(|error| source.unreadable(&error))?;
        written?;
        match rows {
            Ok(rows) => findings.finish(rows),
            Err(fault) => findings.refuse(&fault),
        }
    }
}

/// The keys that good rows have given, and the index of each row.
#[derive(Default)]
struct Keys {
    emails: HashMap<String, u64>,
    usernames: HashMap<String, u64>,
    ids: HashMap<UserId, u64>,
}

impl Keys {
    /// What is wrong with a row, if anything is.
    fn judge(&mut self, row: Examined<'_>) -> Option<domain::FailedRow> {
        let faults = match row.verdict {
            Ok(candidate) => self.given_before(&candidate, row.index),
            Err(faults) => faults,
        };
        (!faults.is_empty()).then(|| domain::FailedRow::new(row.index, row.line, reported(row.text), faults))
    }

    /// Faults for keys that an earlier row gave; notes them for later ones if there are none.
    fn given_before(&mut self, candidate: &Candidate, index: u64) -> Vec<Fault> {
        let email = candidate.email.as_str();
        let username = candidate.username.as_ref().map(domain::Username::as_str);
        let mut faults = Vec::new();
        let user = self.emails.get(email);
        faults.extend(user.map(|first| Fault::given_before("email", *first)));
        let first = username.and_then(|name| self.usernames.get(name));
        faults.extend(first.map(|first| Fault::given_before("username", *first)));
        // A row for a user who is there already makes none, whatever its id.
        let id = candidate.id.as_ref().filter(|_| user.is_none());
        let first = id.and_then(|id| self.ids.get(id));
        faults.extend(first.map(|first| Fault::given_before("user_id", *first)));
        if faults.is_empty() {
            self.emails.insert(email.to_owned(), index);
            self.usernames.extend(username.map(|name| (name.to_owned(), index)));
            self.ids.extend(candidate.id.clone().map(|id| (id, index)));
        }
        faults
    }
}

/// Findings, written as they come: there may be more of them than memory.
struct Findings<W> {
    to: W,
    json: bool,
    failed: u64,
}

impl<W: Write> Findings<W> {
    fn new(to: W, json: bool) -> Self {
        Self { to, json, failed: 0 }
    }

    fn add(&mut self, row: &FailedRow) -> io::Result<()> {
        self.failed += 1;
        if !self.json {
            return row.print(&mut self.to);
        }
        let before = if self.failed == 1 { "{\"errors\":[\n" } else { ",\n" };
        self.to.write_all(before.as_bytes())?;
        Ok(serde_json::to_writer(&mut self.to, row)?)
    }

    fn finish(mut self, rows: u64) -> Result<Exit, Problem> {
        let failed = self.failed;
        if self.json {
            let before = if failed == 0 { "{\"errors\":[" } else { "" };
            writeln!(self.to, "{before}],\"summary\":{{\"total\":{rows},\"failed\":{failed}}}}}")?;
        } else {
            writeln!(self.to, "{rows} rows, {failed} of them cannot be imported")?;
        }
        self.to.flush()?;
        Ok(if failed == 0 { Exit::Done } else { Exit::Findings })
    }

    /// Tells why the file is no file of users.
    fn refuse(mut self, fault: &domain::FileFault) -> Result<Exit, Problem> {
        if self.json {
            writeln!(self.to, "{}", json!({ "errors": [], "failure": fault }))?;
        } else {
            writeln!(self.to, "the file cannot be imported: {fault}")?;
        }
        self.to.flush()?;
        Ok(Exit::Findings)
    }
}
