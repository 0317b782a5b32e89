//! What clients get to see. Separate from what is stored, so that either may change alone.

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::error::ApiError;
use crate::domain::{
    Code, Connection, ConnectionId, FailedRow, Fault, Job, JobId, Stage, Summary, Timestamp, User,
};
use crate::jobs::Engine;

/// A job.
#[derive(Serialize)]
pub(super) struct JobView<'a> {
    r#type: &'static str,
    status: &'static str,
    connection_id: &'a ConnectionId,
    connection: &'a str,
    created_at: Timestamp,
    id: &'a JobId,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    percentage_done: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_left_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<SummaryView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_details: Option<&'a str>,
    #[serde(flatten)]
    more: Option<MoreView>,
}

/// How much of a job is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    /// What clients of this API know.
    Usual,
    /// That, and [`MoreView`].
    Progress,
}

/// What was asked for, and how far it is, in rows.
#[derive(Serialize)]
struct MoreView {
    upsert: bool,
    file_size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<Timestamp>,
    progress: ProgressView,
}

#[derive(Serialize)]
struct ProgressView {
    rows_done: u64,
    /// Unknown of a file that is none of users.
    #[serde(skip_serializing_if = "Option::is_none")]
    rows_total: Option<u64>,
    inserted: u64,
    updated: u64,
    failed: u64,
}

impl MoreView {
    fn of(job: &Job) -> Self {
        let Summary { failed, updated, inserted, .. } = *job.summary();
        let rows_total = job.rows.as_ref().ok().copied();
        let rows_done = failed + updated + inserted;
        let progress = ProgressView { rows_done, rows_total, inserted, updated, failed };
        Self { upsert: job.upsert, file_size: job.bytes, ended_at: job.ended_at(), progress }
    }
}

impl<'a> JobView<'a> {
    /// A job that was just taken in: what has been asked for, and no more.
    pub(super) fn accepted(job: &'a Job) -> Self {
        Self {
            r#type: "users_import",
            status: status(job),
            connection_id: &job.connection,
            connection: &job.connection_name,
            created_at: job.created_at,
            id: &job.id,
            external_id: job.external_id.as_deref(),
            percentage_done: None,
            time_left_seconds: None,
            summary: None,
            status_details: None,
            more: None,
        }
    }

    /// A job and how it stands. It is pending as long as it is not finished: clients stop asking
    /// at any other word.
    pub(super) fn of(job: &'a Job, engine: &Engine, detail: Detail) -> Self {
        let more = (detail == Detail::Progress).then(|| MoreView::of(job));
        let view = Self { more, ..Self::accepted(job) };
        match &job.stage {
            Stage::Pending(_) => Self {
                percentage_done: Some(engine.percentage_done(job)),
                time_left_seconds: Some(engine.time_left_seconds(job)),
                ..view
            },
            Stage::Completed { summary, .. } => Self { summary: Some(summary.into()), ..view },
            Stage::Failed { reason, summary, .. } => Self {
                summary: (*summary != Summary::default()).then(|| summary.into()),
                status_details: Some(reason),
                ..view
            },
        }
    }

    /// A failed job as the answer to what its errors are.
    pub(super) fn failure(job: &'a Job, reason: &'a str) -> Self {
        Self { status_details: Some(reason), ..Self::accepted(job) }
    }
}

/// The word for where a job stands.
pub(super) fn status(job: &Job) -> &'static str {
    match job.stage {
        Stage::Pending(_) => "pending",
        Stage::Completed { .. } => "completed",
        Stage::Failed { .. } => "failed",
    }
}

#[derive(Serialize)]
struct SummaryView {
    failed: u64,
    updated: u64,
    inserted: u64,
    total: u64,
}

impl From<&Summary> for SummaryView {
    fn from(summary: &Summary) -> Self {
        let Summary { failed, updated, inserted, total, .. } = *summary;
        Self { failed, updated, inserted, total }
    }
}

/// A row that could not be imported.
#[derive(Serialize)]
pub(super) struct FailedRowView<'a> {
    user: &'a RawValue,
    errors: Vec<FaultView<'a>>,
    index: u64,
    line: u64,
}

#[derive(Serialize)]
struct FaultView<'a> {
    code: Code,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duplicate_of: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
}

impl<'a> FailedRowView<'a> {
    /// The row as it was given, and everything wrong with it.
    pub(super) fn of(row: &'a FailedRow) -> serde_json::Result<Self> {
        Ok(Self {
            user: serde_json::from_str(&row.user)?,
            errors: row.faults.iter().map(FaultView::of).collect(),
            index: row.index,
            line: row.line,
        })
    }
}

impl<'a> FaultView<'a> {
    fn of(fault: &'a Fault) -> Self {
        Self {
            code: fault.code,
            message: &fault.message,
            path: fault.path.as_deref(),
            duplicate_of: fault.duplicate_of,
            hint: fault.hint.as_deref(),
        }
    }
}

/// A connection.
#[derive(Serialize, ToSchema)]
#[schema(as = Connection)]
pub(super) struct ConnectionView<'a> {
    #[schema(value_type = String)]
    id: &'a ConnectionId,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    display_name: Option<&'a str>,
    strategy: &'a str,
    #[schema(value_type = Object)]
    options: &'a Map<String, Value>,
    realms: &'a [String],
    enabled_clients: &'a [String],
    is_domain_connection: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    show_as_button: Option<bool>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    #[schema(value_type = Object)]
    metadata: &'a Map<String, Value>,
}

impl<'a> From<&'a Connection> for ConnectionView<'a> {
    fn from(connection: &'a Connection) -> Self {
        Self {
            id: &connection.id,
            name: &connection.name,
            display_name: connection.display_name.as_deref(),
            strategy: &connection.strategy,
            options: &connection.options,
            realms: connection.known_as(),
            enabled_clients: &connection.enabled_clients,
            is_domain_connection: connection.is_domain_connection,
            show_as_button: connection.show_as_button,
            metadata: &connection.metadata,
        }
    }
}

/// A user.
#[derive(Serialize)]
#[serde(transparent)]
pub(super) struct UserView(Box<RawValue>);

impl UserView {
    /// A user of `connection`, metadata exactly as they were sent; an error if what is stored is no JSON.
    pub(super) fn of(user: &User, connection: &Connection) -> Result<Self, ApiError> {
        let mut json = String::new();
        user.as_ref().show(connection, &mut json).map_err(ApiError::internal)?;
        RawValue::from_string(json).map(Self).map_err(ApiError::internal)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may")]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::{IdSeries, Progress};

    fn connection() -> Connection {
        let id = "con_8dQ2xYz0aBcD1eFg".parse().unwrap();
        Connection::database(id, "staff-db".to_owned(), vec!["importer".to_owned()])
    }

    fn job(stage: Stage) -> Job {
        let created_at = Timestamp::from_millis(1_520_242_272_481);
        Job {
            id: "job_Zk3vT9pQm2Lx7RcB".parse().unwrap(),
            ticket: 1,
            connection: connection().id,
            connection_name: connection().name,
            external_id: Some("batch-17".to_owned()),
            upsert: false,
            send_completion_email: true,
            created_at,
            bytes: 2,
            rows: Ok(0),
            ids: IdSeries::new(created_at, [0; 8]),
            attempts: 0,
            stage,
        }
    }

    #[test]
    fn the_answer_to_an_upload_has_the_fields_of_every_era() {
        let view = serde_json::to_string(&JobView::accepted(&job(Stage::Pending(Progress::default()))));
        let expected = concat!(
            r#"{"type":"users_import","status":"pending","connection_id":"con_8dQ2xYz0aBcD1eFg","#,
            r#""connection":"staff-db","created_at":"2018-03-05T09:31:12.481Z","#,
            r#""id":"job_Zk3vT9pQm2Lx7RcB","external_id":"batch-17"}"#,
        );
        assert_eq!(view.unwrap(), expected);
    }

    #[test]
    fn a_failed_job_says_why() {
        let stage = Stage::Failed {
            reason: "not JSON".to_owned(),
            summary: Summary::default(),
            at: Timestamp::from_millis(0),
        };
        let job = job(stage);
        let view = serde_json::to_value(JobView::failure(&job, "not JSON")).unwrap();
        let expected = json!({
            "type": "users_import", "status": "failed", "connection_id": "con_8dQ2xYz0aBcD1eFg",
            "connection": "staff-db", "created_at": "2018-03-05T09:31:12.481Z",
            "id": "job_Zk3vT9pQm2Lx7RcB", "external_id": "batch-17", "status_details": "not JSON",
        });
        assert_eq!(view, expected);
    }

    #[test]
    fn a_failed_row_carries_the_row_and_only_what_is_known() {
        let row = FailedRow {
            index: 1,
            line: 3,
            user: r#"{"email":"no","n":1.0}"#.to_owned(),
            faults: vec![Fault::of_property(Code::InvalidFormat, "email", "bad").with_hint("fix")],
        };
        let view = serde_json::to_string(&FailedRowView::of(&row).unwrap()).unwrap();
        let expected = concat!(
            r#"{"user":{"email":"no","n":1.0},"errors":[{"code":"INVALID_FORMAT","#,
            r#""message":"Error in email property - bad","path":"email","hint":"fix"}],"#,
            r#""index":1,"line":3}"#,
        );
        assert_eq!(view, expected);
    }
}
