//! Telling others: letters to people, events to their servers.
//!
//! | file | does |
//! |---|---|
//! | `letters` | the words of letters |
//! | `mailer` | when a letter is sent, again, or given up |
//! | `post` | the ways a letter can go; names lettre |
//! | `streams` | events to the servers of log streams; names standardwebhooks |
//!
//! What is owed is written to the store with the change it tells of ([`ended`] says what that is for a
//! job); what is here only sends it. So nobody waits for a mail server, and nothing is lost without one.

pub mod letters;
pub mod mailer;
pub mod post;
pub mod streams;

use serde_json::{Map, Value, json};

use crate::domain::{DATABASE_STRATEGY, Event, EventType, Job, Owed, Stage};
use letters::Desk;

/// What a job's end leaves to be told: an event, and letters to the owners unless they are not wanted.
pub fn ended(desk: &Desk, job: &Job) -> Owed {
    let is_wanted = desk.writes && job.send_completion_email;
    let letters = if is_wanted { letters::job_ended(desk, job) } else { Vec::new() };
    Owed { events: end_of(desk, job).into_iter().collect(), letters, ..Owed::nothing() }
}

/// The event of a job's end; none if it has not ended.
fn end_of(desk: &Desk, job: &Job) -> Option<Event> {
    let (kind, summary, at) = match &job.stage {
        Stage::Pending(_) => return None,
        Stage::Completed { summary, at } => (EventType::ImportCompleted, summary, *at),
        Stage::Failed { summary, at, .. } => (EventType::ImportFailed, summary, *at),
    };
    let commonest = summary.faults.commonest().into_iter();
    let errors: Map<String, Value> = commonest.map(|(code, rows)| (code.to_string(), rows.into())).collect();
    let counts = json!({
        "inserted": summary.inserted, "updated": summary.updated, "failed": summary.failed, "total": summary.total,
    });
    let mut event = Event::new(at, kind, kind.meaning()).with("job_id", job.id.as_str());
    event.connection = Some(job.connection_name.clone());
    event.connection_id = Some(job.connection.to_string());
    event.strategy = Some(DATABASE_STRATEGY.to_owned());
    if let Some(external_id) = &job.external_id {
        event = event.with("external_id", external_id.as_str());
    }
    event = event
        .with("tenant", desk.tenant.as_str())
        .with("connection", job.connection_name.as_str())
        .with("connection_id", job.connection.as_str())
        .with("summary", counts)
        .with("errors", errors);
    match &job.stage {
        Stage::Failed { reason, .. } => Some(event.with("reason", reason.as_str())),
        _ => Some(event),
    }
}
