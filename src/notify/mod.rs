//! Telling others: letters to people, events to their servers.

pub mod letters;
pub mod mailer;
pub mod streams;
