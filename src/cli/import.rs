//! `intake import`: sends files, waits, and accounts for every row.

use std::io::{self, Write};
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
use super::serve::start_log;
use super::source::Source;
use super::{Exit, Import, Problem};

/// Pauses between two looks at a job: short at first, for small files.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

impl Import {
    pub(super) fn run(self) -> Result<Exit, Problem> {
        if self.report.is_some() && self.files.len() > 1 {
            return Err(Problem::new("--report takes the rows of one file: import the files one by one"));
        }
        // Held until the end: it may be a server of our own.
        let (_host, client) = self.connect()?;
        let (connections, limit) = client.connections()?;
        let connection = self.choose(&connections)?;
        let mut outcomes = Vec::new();
        for input in &self.files {
            let outcome = self.import(&client, connection, limit, input)?;
            if !self.json {
                outcome.print(&mut io::stdout().lock())?;
            }
            outcomes.push(outcome);
        }
        if self.json {
            serde_json::to_writer_pretty(io::stdout().lock(), &outcomes)?;
            writeln!(io::stdout())?;
        }
        Ok(outcomes.iter().map(Outcome::exit).min_by_key(|exit| exit.severity()).unwrap_or(Exit::Done))
    }

    fn connect(&self) -> Result<(Option<Host>, Client), Problem> {
        if let (Some(url), Some(token)) = (&self.url, &self.token) {
            return Ok((None, Client::new(url, token)));
        }
        let mut settings = self.config.load()?;
        // The outcome tells what a log would; what it can't tell is a warning.
        settings.log.level = settings.log.level.min(LevelFilter::WARN);
        start_log(&settings.log);
        let host = Host::find_or_start(&settings)?;
        let client = Client::new(host.url(), host.token());
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

    /// Imports one file; what is wrong with it is in the outcome.
    fn import(
        &self,
        client: &Client,
        connection: &Connection,
        limit: u64,
        input: &Path,
    ) -> Result<Outcome, Problem> {
        let source = Source::open(input)?;
        let mut outcome = Outcome::new(input);
        let mut report = Report::new(self.report.clone().unwrap_or_else(|| beside(input)));
        let plan = match parts::plan(&mut source.file()?, limit).map_err(|error| source.unreadable(&error))? {
            Ok(plan) => plan,
            Err(fault) => {
                outcome.fail(format!("the file has to be cut, but it is no array of users: {fault}"));
                return Ok(outcome);
            }
        };
        for row in &plan.too_long {
            report.add(&FailedRow::too_long(row, limit))?;
        }
        outcome.add_unsent(plan.too_long.len() as u64);
        let form = Form {
            connection_id: &connection.id,
            upsert: self.upsert,
            external_id: self.external_id.as_deref(),
            send_completion_email: !self.no_email,
        };
        let bar = progress_bar(plan.parts.iter().map(|part| part.rows).sum());
        let jobs = send_all(client, &form, &source, &plan.parts, &bar)?;
        for (part, job) in plan.parts.iter().zip(jobs) {
            let job =
                wait(client, job, |percent| bar.set_position(part.first_row + part.rows * percent / 100))?;
            client.failed_rows(&job, |row| report.add(&part.in_file(row)))?;
            outcome.add(&job);
        }
        bar.finish_and_clear();
        outcome.close(report)?;
        Ok(outcome)
    }
}

/// Rows per second and the time left, on stderr, and only if that is a terminal.
fn progress_bar(rows: u64) -> ProgressBar {
    let template = "{bar:40} {pos}/{len} rows, {per_sec}, {eta} left {msg}";
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(rows).with_style(style)
}

/// Sends every part, waiting where the server wants us to.
fn send_all(
    client: &Client,
    form: &Form,
    source: &Source,
    parts: &[Part],
    bar: &ProgressBar,
) -> Result<Vec<Job>, Problem> {
    let mut jobs = Vec::with_capacity(parts.len());
    for part in parts {
        let job = loop {
            let (body, bytes) = part.body(source.path())?;
            match client.upload(form, body, bytes)? {
                Answer::Accepted(job) => break job,
                Answer::Later(pause) => {
                    bar.set_message("(waiting for the server to take more)");
                    thread::sleep(pause.min(LONGEST_PAUSE));
                }
            }
        };
        tracing::debug!("job {} takes {} rows", job.id, part.rows);
        jobs.push(job);
    }
    bar.set_message("");
    Ok(jobs)
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
