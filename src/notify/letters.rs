//! The words of letters, as pure functions: what is known goes in, letters come out.
//!
//! **Invariants:** no line break of somebody else's gets into a subject, and no markup of his into the
//! HTML. A letter's id is made of what it is about, so that writing it twice makes the same one.
//!
//! Letters with a link that only their reader may open are in `links`.
//!
//! Deliberately absent: sending, the outbox, and whether a letter is wanted ([`Desk::writes`] and
//! `send_completion_email` are for the caller to ask).

mod links;
#[cfg(test)]
mod tests;

use std::time::Duration;

use minijinja::Environment;
use minijinja::value::Serde;
use serde::Serialize;

use crate::domain::{CONNECTION_NOT_FOUND, Code, Job, Letter, Stage, Summary, Timestamp};
pub use links::{reset_password, verify_email};

/// What all letters have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Desk {
    /// Name of the installation.
    pub tenant: String,
    /// The URL clients use, without a slash at its end.
    pub public_url: String,
    /// Addresses of those who are told about finished imports.
    pub owners: Vec<String>,
    /// Whether letters are written at all; no caller may leave one in the outbox otherwise.
    pub writes: bool,
}

/// How many kinds of errors of rows a letter names.
const COMMONEST: usize = 3;
/// Longest text of somebody else's, in characters.
const LONGEST: usize = 200;
/// Longest reason of a failure, in characters.
const LONGEST_REASON: usize = 1000;

const JOB_ENDED: (&str, &str) = ("job_ended.html", include_str!("../../static/letters/job_ended.html"));

/// Tells every owner that a job has ended; nobody if it has not.
pub fn job_ended(desk: &Desk, job: &Job) -> Vec<Letter> {
    let Some(words) = JobWords::of(desk, job) else {
        return Vec::new();
    };
    let (text, html) = (words.text(), render(JOB_ENDED, &words));
    let to_owner = |(number, owner): (usize, &String)| Letter {
        to: owner.clone(),
        subject: words.subject.clone(),
        text: text.clone(),
        html: html.clone(),
        message_id: message_id(desk, &format!("{}.{number}", job.id)),
        written_at: words.written_at,
    };
    desk.owners.iter().enumerate().map(to_owner).collect()
}

/// Everything a letter about a job says.
#[derive(Serialize)]
struct JobWords {
    subject: String,
    headline: String,
    reason: Option<String>,
    advice: &'static str,
    counts: Vec<String>,
    note: &'static str,
    errors_title: String,
    errors: Vec<ErrorWords>,
    facts: Vec<Fact>,
    link: String,
    link_text: &'static str,
    footer: &'static str,
    #[serde(skip)]
    written_at: Timestamp,
}

#[derive(Serialize)]
struct ErrorWords {
    rows: String,
    code: String,
    meaning: &'static str,
}

#[derive(Serialize)]
struct Fact {
    name: &'static str,
    value: String,
}

impl JobWords {
    fn of(desk: &Desk, job: &Job) -> Option<Self> {
        let (summary, reason, at) = match &job.stage {
            Stage::Pending(_) => return None,
            Stage::Completed { summary, at } => (summary, None, *at),
            Stage::Failed { reason, summary, at } => (summary, Some(plain(reason, LONGEST_REASON)), *at),
        };
        let word = if reason.is_some() { "failed" } else { "completed" };
        let (tenant, connection) = (one_line(&desk.tenant), one_line(&job.connection_name));
        let subject =
            format!("[intake] Import user job for tenant {tenant} and connection {connection} {word}");
        let commonest = summary.faults.commonest();
        let shown = commonest.iter().take(COMMONEST);
        let errors: Vec<_> = shown.map(|(code, count)| ErrorWords::of(*code, *count)).collect();
        Some(Self {
            headline: format!("Import user job for tenant {tenant} and connection {connection} {word}"),
            subject,
            reason,
            advice: advice(job),
            counts: counts(job, summary),
            note: "Total users are the rows of the file; duplicate users are rows whose user the connection has \
                   already, or an earlier row of the file gave.",
            errors_title: errors_title(errors.len(), commonest.len()),
            errors,
            facts: facts(job, at),
            link: format!("{}/#/jobs/{}", desk.public_url, job.id),
            link_text: "The job, with every row that failed",
            footer: "You get this mail as an owner of this installation (tenant.owners). Imports with \
                     send_completion_email=false send none.",
            written_at: at,
        })
    }

    /// Begins with what matters most: the counts, or why there is nothing to count.
    fn text(&self) -> String {
        let mut text = String::new();
        if let Some(reason) = &self.reason {
            paragraph(&mut text, [reason.as_str(), self.advice]);
        }
        paragraph(&mut text, self.counts.iter().map(String::as_str));
        paragraph(&mut text, [self.note]);
        if !self.errors.is_empty() {
            let errors = self.errors.iter().map(ErrorWords::line);
            let errors: Vec<String> = std::iter::once(self.errors_title.clone()).chain(errors).collect();
            paragraph(&mut text, errors.iter().map(String::as_str));
        }
        let facts: Vec<String> =
            self.facts.iter().map(|fact| format!("{}: {}", fact.name, fact.value)).collect();
        paragraph(&mut text, facts.iter().map(String::as_str));
        paragraph(&mut text, [&*format!("{}:", self.link_text), &self.link]);
        paragraph(&mut text, [self.footer]);
        text
    }
}

/// Adds lines, and an empty one before them if there is something before.
fn paragraph<'a>(text: &mut String, lines: impl IntoIterator<Item = &'a str>) {
    if !text.is_empty() {
        text.push('\n');
    }
    for line in lines {
        text.push_str(line);
        text.push('\n');
    }
}

/// What somebody may do about a failure.
fn advice(job: &Job) -> &'static str {
    match &job.stage {
        _ if job.rows.is_err() => {
            "Nothing was imported. Please check that the file is valid JSON: an array of users."
        }
        Stage::Failed { reason, .. } if reason.starts_with(CONNECTION_NOT_FOUND) => {
            "The users of the connection are gone with it, those of this file included."
        }
        _ => "The rows counted here as new or updated are imported, the rest of the file is not.",
    }
}

/// The three lines that mails about imports have always had, and what they leave out.
fn counts(job: &Job, summary: &Summary) -> Vec<String> {
    let rows = job.rows.as_ref().map_or(0, |rows| *rows).max(summary.total);
    let duplicates = summary.faults.commonest().into_iter().find(|(code, _)| *code == Code::DuplicatedUser);
    let duplicates = duplicates.map_or(0, |(_, rows)| rows);
    vec![
        format!("New users: {}", summary.inserted),
        format!("Total users: {rows}"),
        format!("Duplicate Users: {duplicates}"),
        format!("Updated users: {}", summary.updated),
        format!("Failed rows: {}", summary.failed),
    ]
}

fn facts(job: &Job, ended: Timestamp) -> Vec<Fact> {
    let took = ended.since(job.created_at);
    // Nobody wants to know the milliseconds of an hour.
    let took = if took < Duration::from_mins(1) { took } else { Duration::from_secs(took.as_secs()) };
    let external_id = job.external_id.as_ref().map(|id| ("External id", one_line(id)));
    let facts = [
        ("Job", job.id.to_string()),
        ("Connection", format!("{} ({})", one_line(&job.connection_name), job.connection)),
        ("Existing users", if job.upsert { "changed (upsert)" } else { "left alone" }.to_owned()),
        ("Accepted", job.created_at.to_string()),
        ("Ended", ended.to_string()),
        ("Duration", humantime::format_duration(took).to_string()),
    ];
    let (job_id, rest) = facts.split_at(1);
    let all = job_id.iter().cloned().chain(external_id).chain(rest.iter().cloned());
    all.map(|(name, value)| Fact { name, value }).collect()
}

fn errors_title(shown: usize, all: usize) -> String {
    match all {
        0 | 1 => "What was wrong with the failed rows:".to_owned(),
        all if shown < all => format!("What was wrong most often ({shown} of {all} kinds):"),
        _ => "What was wrong with the failed rows, the commonest first:".to_owned(),
    }
}

impl ErrorWords {
    fn of(code: Code, count: u64) -> Self {
        let rows = if count == 1 { "1 row".to_owned() } else { format!("{count} rows") };
        Self { rows, code: code.to_string(), meaning: code.meaning() }
    }

    fn line(&self) -> String {
        format!("- {} {}: {}", self.rows, self.code, self.meaning)
    }
}

/// Fills a template. They are compiled in and tested, so none fails; if one did, the letter would go out as text.
fn render((name, template): (&str, &str), words: impl Serialize) -> String {
    let rendered = Environment::new().render_named_str(name, template, Serde(words));
    rendered.unwrap_or_else(|error| {
        tracing::error!("a letter was written without HTML: {error}");
        String::new()
    })
}

/// Made of what only this letter has, and the host that clients know us by.
fn message_id(desk: &Desk, key: &str) -> String {
    let host = url::Url::parse(&desk.public_url).ok().and_then(|url| url.host_str().map(str::to_owned));
    format!("{key}@{}", host.unwrap_or_else(|| "localhost".to_owned()))
}

/// A text of somebody else's, fit for a header and a line.
fn one_line(text: &str) -> String {
    plain(text, LONGEST)
}

/// A text without control characters, and not endless.
fn plain(text: &str, longest: usize) -> String {
    let is_break = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    let kept = text.chars().take(longest).map(|c| if is_break(c) { ' ' } else { c });
    let mut plain: String = kept.collect();
    if text.chars().nth(longest).is_some() {
        plain.push('…');
    }
    plain.trim().to_owned()
}
