//! The program from the outside: real processes, real ports, directories of their own.

#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod command_line;
mod corpora;
mod crash;
mod helpers;
mod lifecycle;
