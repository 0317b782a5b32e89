//! Jobs that take no file, as clients get to see them.

use serde::Serialize;

use super::State;
use super::exports::file::link;
use crate::domain::{ConnectionId, Errand, Export, JobId, Task, TaskStage, Timestamp};

/// A task; what was asked for comes back with it.
#[derive(Serialize)]
pub(super) struct TaskView<'a> {
    r#type: &'static str,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection_id: Option<&'a ConnectionId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection: Option<&'a str>,
    created_at: Timestamp,
    id: &'a JobId,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fields: Vec<FieldView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    percentage_done: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_left_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_details: Option<&'a str>,
}

#[derive(Serialize)]
struct FieldView<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    export_as: Option<&'a str>,
}

impl<'a> TaskView<'a> {
    /// A task that was just taken in.
    pub(super) fn accepted(task: &'a Task) -> Self {
        let (status, status_details) = match &task.stage {
            TaskStage::Pending => ("pending", None),
            TaskStage::Completed { .. } => ("completed", None),
            TaskStage::Failed { reason, .. } => ("failed", Some(reason.as_str())),
        };
        let r#type = match task.what {
            Errand::Export(_) => "users_export",
            Errand::VerificationEmail { .. } => "verification_email",
        };
        let export = task.export();
        let connection = export.and_then(|export| export.connection.as_ref());
        Self {
            r#type,
            status,
            connection_id: connection.map(|(id, _)| id),
            connection: connection.map(|(_, name)| name.as_str()),
            created_at: task.created_at,
            id: &task.id,
            format: export.map(|export| export.format.name()),
            limit: export.and_then(|export| export.limit),
            fields: export.map(fields).unwrap_or_default(),
            percentage_done: None,
            time_left_seconds: None,
            location: None,
            status_details,
        }
    }

    /// A task and how it stands, with a link to what came of it.
    pub(super) fn of(task: &'a Task, state: &State) -> Self {
        let view = Self { location: link(state, task), ..Self::accepted(task) };
        match (&task.what, &task.stage) {
            (Errand::Export(_), TaskStage::Pending) => {
                let (percent, seconds) = state.exports.progress(&task.id);
                Self { percentage_done: Some(percent), time_left_seconds: Some(seconds), ..view }
            }
            _ => view,
        }
    }
}

fn fields(export: &Export) -> Vec<FieldView<'_>> {
    export
        .fields
        .iter()
        .map(|field| FieldView { name: &field.name, export_as: field.export_as.as_deref() })
        .collect()
}
