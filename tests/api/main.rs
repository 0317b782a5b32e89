//! The program from the outside: real processes, real ports, directories of their own.

#![allow(clippy::unwrap_used, clippy::missing_panics_doc, missing_docs)]

mod crash;
mod helpers;
