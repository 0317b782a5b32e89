//! The program from the outside: real processes, real ports, directories of their own.

#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod auth;
mod browser;
mod clients;
mod command_line;
mod connections;
mod corpora;
mod cors;
mod crash;
mod deletions;
mod disk;
mod exports;
mod failures;
mod forms;
mod grants;
mod gzip;
mod helpers;
mod imports;
mod jobs;
mod lifecycle;
mod log_streams;
mod login;
mod logs;
mod mail;
mod metrics;
mod oauth;
mod openapi;
mod outage;
mod page;
mod page_in_browser;
mod passwords;
mod rate_limits;
mod receiver;
mod retention;
mod rows;
mod sdk;
mod search;
mod smtp;
mod story;
mod tls;
mod user_changes;
mod user_imports;
mod users;
mod verification;
mod wire;
