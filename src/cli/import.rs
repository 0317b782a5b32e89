//! `intake import`: sends files, waits, and accounts for every row.

use std::path::Path;
use std::thread;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tracing::level_filters::LevelFilter;

use super::client::{Answer, Client, Connection, Form, Job};
use super::host::Host;
use super::outcome::Outcome;
use super::parts::{self, Part};
use super::report::{FailedRow, Report, beside};
use super::said::{self, Stdout};
use super::serve::{start_log, start_quiet_log};
use super::source::Source;
use super::{Exit, Import, Problem};
use crate::config::{Log, LogFormat};

/// Pauses between two looks at a job: short at first, for small files.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

impl Import {
    pub(super) fn run(self) -> Result<Exit, Problem> {
        self.check_report()?;
        // Held until the end: it may be a server of our own.
        let (_host, client) = self.connect()?;
        let (connections, limit) = client.connections()?;
        let connection = self.choose(&connections)?;
        let mut outcomes = Vec::new();
        for input in &self.files {
            let outcome = self.import(&client, connection, limit, input);
            if !self.json {
                outcome.print(&mut Stdout::lock())?;
            }
            outcomes.push(outcome);
        }
        if self.json {
            said::result(serde_json::to_string_pretty(&outcomes)?)?;
        }
        Ok(outcomes.iter().map(Outcome::exit).min_by_key(|exit| exit.severity()).unwrap_or(Exit::Done))
    }

    fn check_report(&self) -> Result<(), Problem> {
        let Some(report) = &self.report else {
            return Ok(());
        };
        if self.files.len() > 1 {
            return Err(Problem::of_usage(
                "--report takes the rows of one file: import the files one by one",
            ));
        }
        let place = |path: &Path| path.canonicalize().ok();
        match place(report) {
            Some(existing) if self.files.iter().any(|file| place(file).as_ref() == Some(&existing)) => {
                Err(Problem::of_usage("--report names the file to import: choose another name"))
            }
            _ => Ok(()),
        }
    }

    fn connect(&self) -> Result<(Option<Host>, Client), Problem> {
        if let (Some(url), Some(token)) = (&self.url, &self.token) {
            // No settings are read.
            start_log(&Log { format: LogFormat::Text, level: LevelFilter::WARN });
            return Ok((None, Client::anywhere(url, token, self.ca_file.as_deref())?));
        }
        let settings = self.config.load()?;
        start_quiet_log(&settings.log);
        let host = Host::find_or_start(&settings)?;
        let client = host.client();
        Ok((Some(host), client))
    }

    fn choose<'a>(&self, connections: &'a [Connection]) -> Result<&'a Connection, Problem> {
        let names: Vec<&str> = connections.iter().map(|connection| connection.name.as_str()).collect();
        let names = names.join(", ");
        match (&self.connection, connections) {
            (Some(wanted), _) => connections
                .iter()
                .find(|connection| connection.name == *wanted || connection.id == *wanted)
                .ok_or_else(|| {
                    Problem::new(format!("there is no database connection {wanted}; there is: {names}"))
                }),
            (None, [only]) => Ok(only),
            (None, []) => Err(Problem::new("the server has no database connection")),
            (None, _) => Err(Problem::new(format!("choose a connection with --connection: {names}"))),
        }
    }

    /// Imports one file. Whatever goes wrong is in the outcome, beside what was accepted until then.
    fn import(&self, client: &Client, connection: &Connection, limit: u64, input: &Path) -> Outcome {
        let mut outcome = Outcome::new(input);
        let mut report = Report::new(self.report.clone().unwrap_or_else(|| beside(input)));
        let done = self.account_for(client, connection, limit, input, &mut outcome, &mut report);
        if let Err(problem) = done {
            outcome.fail(problem.to_string());
        }
        outcome.close(report);
        outcome
    }

    fn account_for(
        &self,
        client: &Client,
        connection: &Connection,
        limit: u64,
        input: &Path,
        outcome: &mut Outcome,
        report: &mut Report,
    ) -> Result<(), Problem> {
        let source = Source::open(input)?;
        let plan = parts::plan(&mut source.file()?, limit).map_err(|error| source.unreadable(&error))?;
        let plan = plan.map_err(|fault| {
            Problem::new(format!("the file has to be cut, but it is no array of users: {fault}"))
        })?;
        outcome.add_unsent(plan.too_long.len() as u64);
        for row in &plan.too_long {
            report.add(&FailedRow::too_long(row, limit));
        }
        let form = Form {
            connection_id: &connection.id,
            upsert: self.upsert,
            external_id: self.external_id.as_deref(),
            send_completion_email: !self.no_email,
        };
        let bar = progress_bar(plan.parts.iter().map(|part| part.rows).sum());
        let mut jobs = Vec::with_capacity(plan.parts.len());
        for part in &plan.parts {
            let job = send(client, &form, &source, part, &bar)?;
            outcome.accepted(&job);
            jobs.push(job);
        }
        for (part, job) in plan.parts.iter().zip(jobs) {
            let job =
                wait(client, job, |percent| bar.set_position(part.first_row + part.rows * percent / 100))?;
            outcome.ended(&job);
            client.failed_rows(&job, |row| report.add(&part.in_file(row)))?;
        }
        bar.finish_and_clear();
        Ok(())
    }
}

/// Rows per second and the time left, on stderr, and only if that is a terminal.
fn progress_bar(rows: u64) -> ProgressBar {
    let template = "{bar:40} {pos}/{len} rows, {per_sec}, {eta} left {msg}";
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(rows).with_style(style)
}

/// Sends a part, waiting where the server wants us to.
fn send(
    client: &Client,
    form: &Form,
    source: &Source,
    part: &Part,
    bar: &ProgressBar,
) -> Result<Job, Problem> {
    let mut pause = FIRST_PAUSE;
    loop {
        let (body, bytes) = part.body(source.file()?)?;
        match client.upload(form, body, bytes)? {
            Answer::Accepted(job) => {
                bar.set_message("");
                return Ok(job);
            }
            Answer::Later(wanted) => {
                // The places are taken by jobs of our own as a rule, and are soon free.
                bar.set_message("(waiting for the server to take more)");
                thread::sleep(pause.min(wanted));
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

/// Polls a job until it has ended.
fn wait(client: &Client, mut job: Job, show_percent: impl Fn(u64)) -> Result<Job, Problem> {
    let mut pause = FIRST_PAUSE;
    while job.status == "pending" || job.status == "processing" {
        thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
        job = client.job(&job.id)?;
        show_percent(job.percentage_done);
    }
    show_percent(100);
    Ok(job)
}
