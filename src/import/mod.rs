//! The pipeline: bytes in, judged rows out.
//!
//! | step | module | from | to |
//! |---|---|---|---|
//! | is it packed? | `unpack` | bytes as they arrive | the same, unpacked |
//! | is it a file of rows? | `scan` | bytes as they arrive | the number of rows, or a [`FileFault`] |
//! | cut it up | `read` | a good file and a position | chunks of rows, each with where to go on |
//! | judge each row | `check` | a row's text | a [`Candidate`], or all its faults |
//! | show what failed | `report` | a row's text | the same, without its secrets |
//! | work on a job | `run` | a job and its file | users in the store, row by row accounted for |
//!
//! `tokens` is what the last two share: steps through JSON text without converting it; `bytes` looks for
//! quotes and the like, for all who read.
//!
//! `run` alone knows the store, and has one thread read ahead of the one that writes; all else is plain
//! functions, so that [`examine()`] can judge a file on any machine. Deliberately absent: HTTP, the
//! queue of jobs, the clock, and whether an address is taken, which the store finds out.
//!
//! **Invariant:** no file makes this room use more memory than a few blocks and one chunk, and no
//! byte of a value's text changes between the file and the [`Candidate`], except blanks between
//! tokens and the case of addresses and names.

mod bytes;
mod check;
mod examine;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod read;
mod report;
mod run;
mod scan;
#[cfg(test)]
mod testing;
mod tokens;
mod unpack;

pub use check::{Limits, MAX_FAULTS, TextChange, UserChange, judge, judge_change, judge_new, judge_read};
pub use examine::{Examined, examine, find_rows};
pub use read::{MAX_CHUNK_BYTES, MAX_ROW_BYTES, RawChunk, RawRow, Rows, form_of};
pub use report::{MAX_REPORTED_BYTES, reported};
pub use run::{RunError, run};
pub use scan::{Form, MAX_DEPTH, RowSpan, Scanner};
pub use unpack::{UnpackError, Unpacker, is_packed, unpack};

#[cfg(doc)]
use crate::domain::{Candidate, FileFault};
