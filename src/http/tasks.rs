//! Jobs that take no file, as clients get to see them: by the same paths as those that do.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use serde::Serialize;

use super::error::ApiError;
use super::jobs::PLAIN_JSON;
use super::{State, json};
use crate::domain::{Errand, JobId, Task, TaskStage, Timestamp};

/// A task.
#[derive(Serialize)]
pub(super) struct TaskView<'a> {
    r#type: &'static str,
    status: &'static str,
    created_at: Timestamp,
    id: &'a JobId,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_details: Option<&'a str>,
}

impl<'a> TaskView<'a> {
    /// A task that was just taken on; to whoever asked it is pending, however fast it was done.
    pub(super) fn accepted(task: &'a Task) -> Self {
        Self { status: "pending", status_details: None, ..Self::of(task) }
    }

    /// A task and how it stands.
    pub(super) fn of(task: &'a Task) -> Self {
        let r#type = match task.what {
            Errand::Export(_) => "users_export",
            Errand::VerificationEmail { .. } => "verification_email",
        };
        let (status, status_details) = match &task.stage {
            TaskStage::Pending => ("pending", None),
            TaskStage::Completed { .. } => ("completed", None),
            TaskStage::Failed { reason, .. } => ("failed", Some(&**reason)),
        };
        Self { r#type, status, created_at: task.created_at, id: &task.id, status_details }
    }
}

/// One task and how it stands.
pub(super) async fn show(state: &State, id: JobId) -> Result<HttpResponse, ApiError> {
    let task = state.store(move |store| store.task(&id)).await?.ok_or(ApiError::NoSuchJob)?;
    json(StatusCode::OK, &TaskView::of(&task))
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
