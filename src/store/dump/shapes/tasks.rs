//! Jobs that take no file, and the files of exports.

use serde::{Deserialize, Serialize};

use super::{Fault, Line, read, user_id};
use crate::domain::{Errand, Export, ExportField, ExportFormat, Task, TaskStage, Timestamp};

/// A task.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct TaskLine {
    id: String,
    created_at: Timestamp,
    attempts: u32,
    errand: ErrandShape,
    status: Status,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ended_at: Option<Timestamp>,
    /// Users in the file of a completed export.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    users: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum ErrandShape {
    Export {
        /// Id and name of the connection; all of them if there is none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        connection: Option<(String, String)>,
        format: FormatShape,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<u64>,
        fields: Vec<FieldShape>,
    },
    VerificationEmail {
        user_id: String,
        connection: String,
    },
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum FormatShape {
    Json,
    Csv,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FieldShape {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    export_as: Option<String>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Unfinished,
    Completed,
    Failed,
}

impl Line for TaskLine {
    const KIND: &'static str = "task";
}

impl From<Errand> for ErrandShape {
    fn from(errand: Errand) -> Self {
        match errand {
            Errand::Export(export) => Self::Export {
                connection: export.connection.map(|(id, name)| (id.to_string(), name)),
                format: match export.format {
                    ExportFormat::Json => FormatShape::Json,
                    ExportFormat::Csv => FormatShape::Csv,
                },
                limit: export.limit,
                fields: export
                    .fields
                    .into_iter()
                    .map(|ExportField { name, export_as }| FieldShape { name, export_as })
                    .collect(),
            },
            Errand::VerificationEmail { user, connection } => {
                Self::VerificationEmail { user_id: user.to_string(), connection: connection.to_string() }
            }
        }
    }
}

impl TryFrom<ErrandShape> for Errand {
    type Error = Fault;
    fn try_from(shape: ErrandShape) -> Result<Self, Fault> {
        Ok(match shape {
            ErrandShape::Export { connection, format, limit, fields } => Self::Export(Export {
                connection: match connection {
                    Some((id, name)) => Some((read("connection", &id)?, name)),
                    None => None,
                },
                format: match format {
                    FormatShape::Json => ExportFormat::Json,
                    FormatShape::Csv => ExportFormat::Csv,
                },
                limit,
                fields: fields
                    .into_iter()
                    .map(|FieldShape { name, export_as }| ExportField { name, export_as })
                    .collect(),
            }),
            ErrandShape::VerificationEmail { user_id: user, connection } => Self::VerificationEmail {
                user: user_id(&user)?,
                connection: read("connection", &connection)?,
            },
        })
    }
}

impl From<Task> for TaskLine {
    fn from(task: Task) -> Self {
        let (status, ended_at, users, reason) = match task.stage {
            TaskStage::Pending => (Status::Unfinished, None, None, None),
            TaskStage::Completed { at, users } => (Status::Completed, Some(at), Some(users), None),
            TaskStage::Failed { at, reason } => (Status::Failed, Some(at), None, Some(reason)),
        };
        Self {
            id: task.id.to_string(),
            created_at: task.created_at,
            attempts: task.attempts,
            errand: task.what.into(),
            status,
            ended_at,
            users,
            reason,
        }
    }
}

impl TryFrom<TaskLine> for Task {
    type Error = Fault;
    fn try_from(line: TaskLine) -> Result<Self, Fault> {
        let at = || line.ended_at.ok_or_else(|| "ended_at is missing".to_owned());
        let stage = match line.status {
            Status::Unfinished => TaskStage::Pending,
            Status::Completed => TaskStage::Completed { at: at()?, users: line.users.unwrap_or_default() },
            Status::Failed => TaskStage::Failed { at: at()?, reason: line.reason.unwrap_or_default() },
        };
        let (id, what) = (read("id", &line.id)?, line.errand.try_into()?);
        Ok(Self { id, created_at: line.created_at, what, attempts: line.attempts, stage })
    }
}

/// A piece of the file of an export that has ended well.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct ExportFileLine {
    pub(in super::super) export: String,
    pub(in super::super) offset: u64,
    /// In base64.
    pub(in super::super) data: String,
}

impl Line for ExportFileLine {
    const KIND: &'static str = "export_file";
}
