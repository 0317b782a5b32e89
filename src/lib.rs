//! intake: the self-hosted server that takes a user base in.
//!
//! Data walks one way: a request comes in by [`http`], work waits in [`jobs`], [`import`] turns a
//! file into users, [`store`] keeps them. Letters and events that are owed lie in the store, where
//! [`notify`] finds them.
//!
//! | room | owns | may see |
//! |---|---|---|
//! | [`app`] | composition: opens, binds, spawns, shuts down | every room |
//! | [`cli`] | the command line; names clap | app, config, files, import (rules only), domain |
//! | [`http`] | the API and the pages; names actix | jobs, import (its scanner), export, login, notify, search, store, tls, tokens, domain |
//! | [`login`] | passwords, reset tickets, attempts; names argon2 | notify (its letters), store, tokens, domain |
//! | [`notify`] | letters, mailer, log streams; names lettre | files, store, domain |
//! | [`jobs`] | the engine: claim, run, finish, recover | import, store, domain |
//! | [`import`] | read, check, apply, as plain functions | store, domain |
//! | [`export`] | users written to files | store, domain |
//! | `fuzzing` | what must hold whatever the bytes; not in the program | import, http, search, store, domain |
//! | [`upkeep`] | retention: removes what is old | store, tokens, domain |
//! | [`search`] | the query language over users, and their order | domain |
//! | [`store`] | everything on disk; names sled | files, domain |
//! | [`tls`] | the certificate of https; names rcgen | nothing |
//! | [`tokens`] | keys and claims; names the JWT crate | files, domain |
//! | [`config`] | settings: read, checked, typed | domain |
//! | [`files`] | files that a power cut leaves whole | nothing |
//! | [`domain`] | values and rules | nothing |
//!
//! `tests/floor_plan.rs` holds the code to these arrows.

// What is said on stderr may not end anything: see `cli::said`.
#![cfg_attr(not(test), warn(clippy::print_stderr))]

pub mod app;
pub mod cli;
pub mod config;
pub mod domain;
pub mod export;
pub mod files;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod http;
pub mod import;
pub mod jobs;
pub mod login;
pub mod notify;
pub mod search;
pub mod store;
pub mod tls;
pub mod tokens;
pub mod upkeep;
