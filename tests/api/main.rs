//! The program from the outside: real processes, real ports, directories of their own.

#![allow(clippy::unwrap_used, clippy::missing_panics_doc, missing_docs)]

mod command_line;
mod corpora;
mod crash;
mod helpers;
mod lifecycle;
