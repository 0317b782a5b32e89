//! Jobs that take no file: exports of users, and mails that ask somebody to verify an address.

use serde::{Deserialize, Serialize};

use super::{ConnectionId, JobId, Timestamp, UserId};

/// What was asked for, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Id used in the API; one of a job.
    pub id: JobId,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// What is to be done.
    pub what: Errand,
    /// How often a process has died over it.
    #[serde(default)]
    pub attempts: u32,
    /// How far it is.
    pub stage: TaskStage,
}

/// What a task is to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Errand {
    /// Writes users to a file.
    Export(Export),
    /// Asks a user to verify the address.
    VerificationEmail {
        /// Whose address.
        user: UserId,
        /// Where that user lives.
        connection: ConnectionId,
    },
}

/// How far a task is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskStage {
    /// Accepted and safely on disk.
    Pending,
    /// Done.
    Completed {
        /// When.
        at: Timestamp,
        /// How many users an export has.
        users: u64,
    },
    /// It could not be done.
    Failed {
        /// When.
        at: Timestamp,
        /// Why, for people.
        reason: String,
    },
}

/// Which users an export has, and what of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Export {
    /// Id and name of the connection whose users it has; all users if there is none.
    pub connection: Option<(ConnectionId, String)>,
    /// What kind of file it is.
    pub format: ExportFormat,
    /// Users at most.
    pub limit: Option<u64>,
    /// Which properties, in this order; the usual ones if there are none.
    pub fields: Vec<ExportField>,
}

/// Kinds of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExportFormat {
    /// A JSON object a line.
    Json,
    /// Comma-separated values, a user a line, under a line of names.
    Csv,
}

/// A property of an exported user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportField {
    /// Its name, a path with dots inside metadata.
    pub name: String,
    /// What it is called in the file instead.
    pub export_as: Option<String>,
}

impl ExportFormat {
    /// Its name in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Csv => "csv",
        }
    }

    /// What the file of an export is called.
    pub fn file_name(self, id: &JobId) -> String {
        format!("{id}.{}.gz", self.name())
    }
}

impl Task {
    /// What is to be exported, if it is an export.
    pub fn export(&self) -> Option<&Export> {
        match &self.what {
            Errand::Export(export) => Some(export),
            Errand::VerificationEmail { .. } => None,
        }
    }

    /// Of which kind its file is, if it has one: if it is an export that has ended well.
    pub fn file_format(&self) -> Option<ExportFormat> {
        match self.stage {
            TaskStage::Completed { .. } => self.export().map(|export| export.format),
            TaskStage::Pending | TaskStage::Failed { .. } => None,
        }
    }

    /// When it ended, if it has.
    pub fn ended_at(&self) -> Option<Timestamp> {
        match self.stage {
            TaskStage::Pending => None,
            TaskStage::Completed { at, .. } | TaskStage::Failed { at, .. } => Some(at),
        }
    }
}
