//! Import jobs, their failed rows, the names they have claimed, and the files of those that are unfinished.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Fault, Line, is_false, read, user_id};
use crate::domain::{
    Code, FailedRow, Fault as RowFault, FaultCounts, FileFault, IdSeries, Job, Position, Progress, Stage,
    Summary, Ticket, Timestamp,
};

/// A job.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct JobLine {
    id: String,
    number: u64,
    connection: String,
    connection_name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    external_id: Option<String>,
    #[serde(default, skip_serializing_if = "is_false")]
    upsert: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    send_completion_email: bool,
    created_at: Timestamp,
    bytes: u64,
    /// Rows of the file; or `file_fault`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rows: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    file_fault: Option<FileFaultShape>,
    /// The id of a user that its first row makes.
    first_user_id: String,
    #[serde(default)]
    attempts: u32,
    status: Status,
    /// Where to go on, while it is unfinished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next: Option<PositionShape>,
    /// Claims so far, while it is unfinished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    claims: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ended_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    summary: SummaryShape,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Unfinished,
    Completed,
    Failed,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PositionShape {
    row: u64,
    byte: u64,
    line: u64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SummaryShape {
    failed: u64,
    updated: u64,
    inserted: u64,
    total: u64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    faults: BTreeMap<Code, u64>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileFaultShape {
    what: String,
    line: u64,
    column: u64,
    byte: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

impl Line for JobLine {
    const KIND: &'static str = "job";
}

impl SummaryShape {
    fn of(summary: &Summary) -> Self {
        let Summary { failed, updated, inserted, total, faults } = *summary;
        Self { failed, updated, inserted, total, faults: faults.commonest().into_iter().collect() }
    }

    fn to_summary(&self) -> Summary {
        let faults = FaultCounts::of(self.faults.iter().map(|(code, rows)| (*code, *rows)));
        let Self { failed, updated, inserted, total, .. } = *self;
        Summary { failed, updated, inserted, total, faults }
    }
}

impl From<Job> for JobLine {
    fn from(job: Job) -> Self {
        let (status, reason) = match &job.stage {
            Stage::Pending(_) => (Status::Unfinished, None),
            Stage::Completed { .. } => (Status::Completed, None),
            Stage::Failed { reason, .. } => (Status::Failed, Some(reason.clone())),
        };
        let (progress, ended_at, summary) = (job.progress(), job.ended_at(), SummaryShape::of(job.summary()));
        let (rows, file_fault) = match job.rows {
            Ok(rows) => (Some(rows), None),
            Err(fault) => {
                let FileFault { what, line, column, byte, hint } = fault;
                (None, Some(FileFaultShape { what, line, column, byte, hint }))
            }
        };
        Self {
            id: job.id.to_string(),
            number: job.ticket,
            connection: job.connection.to_string(),
            connection_name: job.connection_name,
            external_id: job.external_id,
            upsert: job.upsert,
            send_completion_email: job.send_completion_email,
            created_at: job.created_at,
            bytes: job.bytes,
            rows,
            file_fault,
            first_user_id: job.ids.id(0).to_string(),
            attempts: job.attempts,
            status,
            next: progress.map(|Progress { next: Position { row, byte, line }, .. }| PositionShape {
                row,
                byte,
                line,
            }),
            claims: progress.map(|progress| progress.claims),
            ended_at,
            reason,
            summary,
        }
    }
}

impl JobLine {
    fn stage(&mut self) -> Result<Stage, Fault> {
        let summary = self.summary.to_summary();
        let missing = |name: &str| format!("{name} is missing");
        Ok(match self.status {
            Status::Unfinished => {
                let PositionShape { row, byte, line } = self.next.take().ok_or_else(|| missing("next"))?;
                let claims = self.claims.ok_or_else(|| missing("claims"))?;
                Stage::Pending(Progress { next: Position { row, byte, line }, summary, claims })
            }
            Status::Completed => {
                Stage::Completed { summary, at: self.ended_at.ok_or_else(|| missing("ended_at"))? }
            }
            Status::Failed => Stage::Failed {
                reason: self.reason.take().ok_or_else(|| missing("reason"))?,
                summary,
                at: self.ended_at.ok_or_else(|| missing("ended_at"))?,
            },
        })
    }
}

impl TryFrom<JobLine> for Job {
    type Error = Fault;
    fn try_from(mut line: JobLine) -> Result<Self, Fault> {
        let stage = line.stage()?;
        let first = user_id(&line.first_user_id)?;
        let rows = match (line.rows, line.file_fault) {
            (Some(rows), None) => Ok(rows),
            (None, Some(FileFaultShape { what, line, column, byte, hint })) => {
                Err(FileFault { what, line, column, byte, hint })
            }
            _ => return Err("expected either rows or file_fault".to_owned()),
        };
        Ok(Self {
            id: read("id", &line.id)?,
            ticket: line.number,
            connection: read("connection", &line.connection)?,
            connection_name: line.connection_name,
            external_id: line.external_id,
            upsert: line.upsert,
            send_completion_email: line.send_completion_email,
            created_at: line.created_at,
            bytes: line.bytes,
            rows,
            ids: IdSeries::beginning_with(first.as_ref())
                .ok_or_else(|| format!("first_user_id \"{first}\" is none of 24 hex digits"))?,
            attempts: line.attempts,
            stage,
        })
    }
}

/// A row that could not be imported.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct FailedRowLine {
    pub(in super::super) job: Ticket,
    index: u64,
    line: u64,
    /// The row as given, as JSON text.
    user: String,
    faults: Vec<FaultShape>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultShape {
    code: Code,
    message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    duplicate_of: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

impl Line for FailedRowLine {
    const KIND: &'static str = "failed_row";
}

impl FailedRowLine {
    pub(in super::super) fn of(job: Ticket, row: FailedRow) -> Self {
        let FailedRow { index, line, user, faults } = row;
        let faults = faults.into_iter().map(|fault| {
            let RowFault { code, message, path, duplicate_of, hint } = fault;
            FaultShape { code, message, path, duplicate_of, hint }
        });
        Self { job, index, line, user, faults: faults.collect() }
    }

    pub(in super::super) fn into_row(self) -> FailedRow {
        let faults = self.faults.into_iter().map(|fault| {
            let FaultShape { code, message, path, duplicate_of, hint } = fault;
            RowFault { code, message, path, duplicate_of, hint }
        });
        FailedRow { index: self.index, line: self.line, user: self.user, faults: faults.collect() }
    }
}

/// A user name that a row gave to a user who keeps another one.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct ClaimLine {
    pub(in super::super) job: Ticket,
    pub(in super::super) username: String,
    pub(in super::super) row: u64,
}

impl Line for ClaimLine {
    const KIND: &'static str = "claim";
}

/// A piece of the file of an unfinished job.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct UploadLine {
    pub(in super::super) job: Ticket,
    pub(in super::super) offset: u64,
    /// In base64.
    pub(in super::super) data: String,
}

impl Line for UploadLine {
    const KIND: &'static str = "upload";
}
