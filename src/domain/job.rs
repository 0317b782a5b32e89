//! An import job: what was asked for, how far it is, and how it ended.

use serde::{Deserialize, Serialize};

use super::{Code, ConnectionId, FailedRow, FileFault, IdSeries, JobId, Timestamp};

/// A job's place in the order of arrival; never used again.
pub type Ticket = u64;

/// How the reason of a failed job begins whose connection was deleted.
pub const CONNECTION_NOT_FOUND: &str = "CONNECTION_NOT_FOUND";

/// One upload and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Id used in the API.
    pub id: JobId,
    /// Place in the order of arrival.
    pub ticket: Ticket,
    /// Where the users go.
    pub connection: ConnectionId,
    /// Name of that connection.
    pub connection_name: String,
    /// The client's own id for the import.
    pub external_id: Option<String>,
    /// Whether rows of existing users change them.
    pub upsert: bool,
    /// Whether the tenant's owners want a mail at the end.
    pub send_completion_email: bool,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// Size of the file, in bytes.
    pub bytes: u64,
    /// Rows in the file, or why it is no file of users.
    pub rows: Result<u64, FileFault>,
    /// Where the ids of its new users come from.
    pub ids: IdSeries,
    /// How often a process has died over it since it last got anywhere.
    pub attempts: u32,
    /// How far it is.
    pub stage: Stage,
}

/// How far a job is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// Accepted and safely on disk. `Progress` is where to go on: at the first row at first.
    Pending(Progress),
    /// Every row was looked at.
    Completed {
        /// What became of the rows.
        summary: Summary,
        /// When.
        at: Timestamp,
    },
    /// It could not be imported, or only in part.
    Failed {
        /// Why, for people.
        reason: String,
        /// What became of the rows it got to.
        summary: Summary,
        /// When.
        at: Timestamp,
    },
}

impl Job {
    /// How far it is while it is unfinished.
    pub fn progress(&self) -> Option<Progress> {
        match self.stage {
            Stage::Pending(progress) => Some(progress),
            Stage::Completed { .. } | Stage::Failed { .. } => None,
        }
    }

    /// What became of the rows it got to.
    pub fn summary(&self) -> &Summary {
        match &self.stage {
            Stage::Pending(Progress { summary, .. })
            | Stage::Completed { summary, .. }
            | Stage::Failed { summary, .. } => summary,
        }
    }

    /// When it ended, if it has.
    pub fn ended_at(&self) -> Option<Timestamp> {
        match self.stage {
            Stage::Pending(_) => None,
            Stage::Completed { at, .. } | Stage::Failed { at, .. } => Some(at),
        }
    }
}

/// Everything a job needs to go on after its last committed chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Progress {
    /// The next row.
    pub next: Position,
    /// What became of the rows before it.
    pub summary: Summary,
    /// User names that rows gave to users who keep their own; see `store::apply`.
    pub claims: u64,
}

/// A place between two rows of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Rows before it.
    pub row: u64,
    /// Bytes before it; 0 is before the opening bracket.
    pub byte: u64,
    /// Line it is on, from 1.
    pub line: u64,
}

impl Default for Position {
    fn default() -> Self {
        Self { row: 0, byte: 0, line: 1 }
    }
}

/// What became of a job's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Summary {
    /// Rows with faults.
    pub failed: u64,
    /// Rows that changed an existing user.
    pub updated: u64,
    /// Rows that made a new user.
    pub inserted: u64,
    /// All of them.
    pub total: u64,
    /// What was wrong with the failed ones.
    pub faults: FaultCounts,
}

/// In how many rows each kind of fault was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FaultCounts([u64; Code::ALL.len()]);

impl FaultCounts {
    /// Counts a row; faults of one kind count once.
    pub fn add(&mut self, row: &FailedRow) {
        for (code, count) in Code::ALL.iter().zip(&mut self.0) {
            *count += u64::from(row.faults.iter().any(|fault| fault.code == *code));
        }
    }

    /// The counts that were taken down elsewhere.
    pub fn of(counts: impl IntoIterator<Item = (Code, u64)>) -> Self {
        let mut all = Self::default();
        for (code, rows) in counts {
            for (one, count) in Code::ALL.iter().zip(&mut all.0) {
                *count += if *one == code { rows } else { 0 };
            }
        }
        all
    }

    /// The kinds that were found, the commonest first.
    pub fn commonest(&self) -> Vec<(Code, u64)> {
        let counts = Code::ALL.iter().copied().zip(self.0);
        let mut found: Vec<_> = counts.filter(|(_, rows)| *rows > 0).collect();
        found.sort_by_key(|(_, rows)| std::cmp::Reverse(*rows));
        found
    }
}
