//! stub
#![allow(missing_docs, unused_variables)]
use crate::domain::*;
use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store is being reopened after a fault; try again. (503)
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// Active-jobs limit reached; carries the number of active jobs. (429)
    #[error("there are {0} active jobs")]
    TooManyActiveJobs(usize),
    /// Free disk below the minimum. (507)
    #[error("the disk is nearly full: {free} bytes are free, {needed} are needed")]
    DiskFull { free: u64, needed: u64 },
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    Corrupt(String),
}
pub type Result<T> = std::result::Result<T, StoreError>;

#[derive(Debug)]
pub struct Options {
    pub path: PathBuf,
    pub cache_bytes: u64,
    pub min_free_disk: u64,
    pub max_active_jobs: Option<usize>,
}

/// What an upload asks for; the store adds ticket and stage.
#[derive(Debug)]
pub struct NewJob {
    pub id: JobId,
    pub connection: Connection,
    pub external_id: Option<String>,
    pub upsert: bool,
    pub send_completion_email: bool,
    pub created_at: Timestamp,
    pub ids: IdSeries,
    pub rows: std::result::Result<u64, FileFault>,
}

/// A file on its way into the spool; removed when dropped before `Store::enqueue` took it. All calls block.
#[derive(Debug)]
pub struct Upload;
impl Upload {
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        unimplemented!()
    }
    pub fn len(&self) -> u64 {
        unimplemented!()
    }
}

#[derive(Debug)]
pub struct Store;
impl Store {
    /// Is there room for an upload of `bytes`? `DiskFull` / `TooManyActiveJobs` otherwise. Cheap: called before the body is read.
    pub fn admit(&self, bytes: u64) -> Result<()> {
        unimplemented!()
    }
    pub fn begin_upload(&self, id: &JobId) -> Result<Upload> {
        unimplemented!()
    }
    /// Syncs the file, commits the job: durable when this returns.
    pub fn enqueue(&self, job: NewJob, file: Upload) -> Result<Job> {
        unimplemented!()
    }
    /// Active ones come from memory.
    pub fn job(&self, id: &JobId) -> Result<Option<Job>> {
        unimplemented!()
    }
    /// Newest first.
    pub fn jobs(
        &self,
        wanted: &dyn Fn(&Job) -> bool,
        skip: usize,
        take: usize,
        count_all: bool,
    ) -> Result<(Vec<Job>, usize)> {
        unimplemented!()
    }
    /// One page of a job's failed rows, starting at row `from`; and where the next page starts.
    pub fn failed_rows(&self, ticket: Ticket, from: u64) -> Result<(Vec<FailedRow>, Option<u64>)> {
        unimplemented!()
    }
    pub fn connections(&self) -> Result<Vec<Connection>> {
        unimplemented!()
    }
    pub fn connection(&self, id: &ConnectionId) -> Result<Option<Connection>> {
        unimplemented!()
    }
    pub fn create_connection(&self, connection: Connection) -> Result<Connection> {
        unimplemented!()
    }
    pub fn client(&self, id: &str) -> Result<Option<Client>> {
        unimplemented!()
    }
    pub fn create_client(&self, client: Client) -> Result<()> {
        unimplemented!()
    }
    pub fn user(&self, id: &UserId) -> Result<Option<(User, Connection)>> {
        unimplemented!()
    }
    pub fn users_by_email(&self, email: &str) -> Result<Vec<(User, Connection)>> {
        unimplemented!()
    }
}
