//! Values and rules: what a user, a job, an e-mail address or a fault *is*.
//!
//! **Invariant:** nothing in here does I/O, reads a clock, draws randomness or knows a framework.
//! Time and entropy arrive as arguments, so every rule can be tested with fixed values.

mod access;
mod connection;
mod email;
mod event;
mod fault;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod ids;
mod job;
mod letter;
mod login;
mod network;
mod schema;
mod shown_user;
mod stream;
mod task;
#[cfg(any(test, fuzzing))]
pub(crate) mod testing;
mod time;
mod user;
mod user_id;
mod user_ref;

pub use access::{Scope, SigningAlgorithm, UnknownAlgorithm, UnknownScope};
pub use connection::{
    Client, ClientGrant, Connection, ConnectionName, ConnectionNameFault, DATABASE_STRATEGY, GRANT_TYPES,
    PASSWORD_POLICIES, PASSWORD_POLICY, default_options,
};
pub use email::{Email, EmailFault};
pub use event::{Event, EventType, LogId, Logged, Origin, UnknownEventType};
pub use fault::{Code, FailedRow, Fault, FileFault};
pub use ids::{BackupId, ConnectionId, GrantId, IdSeries, InvalidId, JobId, StreamId};
pub use job::{CONNECTION_NOT_FOUND, FaultCounts, Job, Position, Progress, Stage, Summary, Ticket};
pub use letter::{Fate, Letter, Owed, Posted};
pub use login::{Credential, Leave, TicketHash, TicketKind, UserTicket};
pub use network::network;
pub use schema::{RowSchema, UnknownSchema};
pub use stream::{ContentFormat, EventFilter, HttpSink, LogStream, StreamProgress, StreamStatus};
pub use task::{Errand, Export, ExportField, ExportFormat, Task, TaskStage};
pub use time::Timestamp;
pub use user::{Activity, Candidate, Profile, User, Username, UsernameFault};
pub use user_id::{UserId, UserIdFault, UserIdRef};
pub use user_ref::{UserKey, UserRef};
