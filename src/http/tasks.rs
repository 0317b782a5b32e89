//! Jobs that take no file, as clients get to see them: by the same paths as those that do.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use serde::Serialize;

use super::error::ApiError;
use super::exports::file::link;
use super::jobs::PLAIN_JSON;
use super::{State, json};
use crate::domain::{ConnectionId, Errand, Export, ExportField, JobId, Task, TaskStage, Timestamp};

/// A task; what was asked for comes back with it.
#[derive(Serialize)]
pub(super) struct TaskView<'a> {
    r#type: &'static str,
    status: &'static str,
    #[serde(flatten)]
    export: Option<ExportView<'a>>,
    created_at: Timestamp,
    id: &'a JobId,
    #[serde(skip_serializing_if = "Option::is_none")]
    percentage_done: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_left_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_details: Option<&'a str>,
}

/// What is to be exported.
#[derive(Serialize)]
struct ExportView<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    connection_id: Option<&'a ConnectionId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection: Option<&'a str>,
    format: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fields: Vec<FieldView<'a>>,
}

#[derive(Serialize)]
struct FieldView<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    export_as: Option<&'a str>,
}

impl<'a> TaskView<'a> {
    /// A task that was just taken on; to whoever asked it is pending, however fast it was done.
    pub(super) fn accepted(task: &'a Task) -> Self {
        Self { status: "pending", status_details: None, ..Self::of(task) }
    }

    /// A task and how it stands.
    fn of(task: &'a Task) -> Self {
        let r#type = match task.what {
            Errand::Export(_) => "users_export",
            Errand::VerificationEmail { .. } => "verification_email",
        };
        let (status, status_details) = match &task.stage {
            TaskStage::Pending => ("pending", None),
            TaskStage::Completed { .. } => ("completed", None),
            TaskStage::Failed { reason, .. } => ("failed", Some(&**reason)),
        };
        Self {
            r#type,
            status,
            export: task.export().map(ExportView::of),
            created_at: task.created_at,
            id: &task.id,
            percentage_done: None,
            time_left_seconds: None,
            location: None,
            status_details,
        }
    }

    /// The same, with how far an export is, or a link to what came of it.
    fn in_full(task: &'a Task, state: &State, may_read_users: bool) -> Self {
        let progress = (task.export().is_some() && task.stage == TaskStage::Pending)
            .then(|| state.exports.progress(&task.id));
        Self {
            percentage_done: progress.map(|(percent, _)| percent),
            time_left_seconds: progress.map(|(_, seconds)| seconds),
            location: link(state, task).filter(|_| may_read_users),
            ..Self::of(task)
        }
    }
}

impl<'a> ExportView<'a> {
    fn of(export: &'a Export) -> Self {
        let connection = export.connection.as_ref();
        Self {
            connection_id: connection.map(|(id, _)| id),
            connection: connection.map(|(_, name)| name.as_str()),
            format: export.format.name(),
            limit: export.limit,
            fields: export.fields.iter().map(FieldView::of).collect(),
        }
    }
}

impl<'a> FieldView<'a> {
    fn of(field: &'a ExportField) -> Self {
        Self { name: &field.name, export_as: field.export_as.as_deref() }
    }
}

/// One task and how it stands. The link to an export is for those who may read users.
pub(super) async fn show(state: &State, id: JobId, may_read_users: bool) -> Result<HttpResponse, ApiError> {
    let task = state.store(move |store| store.task(&id)).await?.ok_or(ApiError::NoSuchJob)?;
    json(StatusCode::OK, &TaskView::in_full(&task, state, may_read_users))
}

/// What went wrong with one: the task if it failed, an empty `204` if it did not.
pub(super) async fn errors(state: &State, id: JobId) -> Result<HttpResponse, ApiError> {
    let task = state.store(move |store| store.task(&id)).await?.ok_or(ApiError::NoSuchJobErrors)?;
    if !matches!(task.stage, TaskStage::Failed { .. }) {
        return Ok(HttpResponse::NoContent().content_type(PLAIN_JSON).finish());
    }
    let body = serde_json::to_string(&TaskView::of(&task)).map_err(ApiError::internal)?;
    Ok(HttpResponse::Ok().content_type(PLAIN_JSON).body(body))
}
