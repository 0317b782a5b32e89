//! `intake doctor`: what is wrong with a data directory.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use serde_json::json;

use super::owner::work_for_owner_of;
use super::said::Stdout;
use super::serve::start_quiet_log;
use super::still::Still;
use super::{Doctor, Exit, Problem};
use crate::app::{self, Diagnosis};

impl Doctor {
    pub(super) fn run(self) -> Result<Exit, Problem> {
        let settings = self.config.load()?;
        start_quiet_log(&settings.log);
        // What is named is what was meant, even if a copy of it is examined.
        let named = self.directory.as_deref().unwrap_or(&settings.storage.path);
        work_for_owner_of(named);
        let is_served = self.directory.is_none() && app::is_locked(named);
        let still = if is_served { Some(Still::to_open(&settings)?) } else { None };
        let diagnosis = app::examine(&settings, still.as_ref().map_or(named, Still::path))?;
        let mut to = BufWriter::new(Stdout::lock());
        if self.json {
            let Diagnosis { findings, examined: counts } = &diagnosis;
            writeln!(to, "{}", json!({ "directory": named, "findings": findings, "examined": counts }))?;
        } else {
            print(&diagnosis, named, &mut to)?;
        }
        to.flush()?;
        Ok(if diagnosis.findings.is_empty() { Exit::Done } else { Exit::Findings })
    }
}

/// A line for each finding, and one for all.
fn print(diagnosis: &Diagnosis, directory: &Path, to: &mut impl Write) -> io::Result<()> {
    for finding in &diagnosis.findings {
        writeln!(to, "{}: {} -> {}", finding.name, finding.what, finding.advice)?;
    }
    let of = |kind: &str| diagnosis.examined.get(kind).copied().unwrap_or_default();
    let (users, jobs, events) = (of("users"), of("jobs"), of("events"));
    let found = match diagnosis.findings.len() {
        0 => "nothing is wrong".to_owned(),
        1 => "1 finding".to_owned(),
        count => format!("{count} findings"),
    };
    writeln!(to, "{}: {users} users, {jobs} jobs, {events} events examined: {found}", directory.display())
}
