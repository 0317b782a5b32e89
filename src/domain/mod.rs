//! Values and rules: what a user, a job, an e-mail address or a fault *is*.
//!
//! **Invariant:** nothing in here does I/O, reads a clock, draws randomness or knows a framework.
//! Time and entropy arrive as arguments, so every rule can be tested with fixed values.

mod access;
mod connection;
mod email;
mod fault;
mod ids;
mod job;
#[cfg(test)]
pub(crate) mod testing;
mod time;
mod user;

pub use access::{Scope, SigningAlgorithm, UnknownAlgorithm, UnknownScope};
pub use connection::{Client, Connection, DATABASE_STRATEGY};
pub use email::{Email, EmailFault};
pub use fault::{Code, FailedRow, Fault, FileFault};
pub use ids::{ConnectionId, IdSeries, InvalidId, JobId, UserId};
pub use job::{Job, Position, Progress, Stage, Summary, Ticket};
pub use time::Timestamp;
pub use user::{Candidate, User, Username, UsernameFault};
