//! What each line of a dump looks like, apart from its kind.
//!
//! These are shapes of their own: what the store keeps may change its form, a dump may not.
//! `docs/dump-format.md` describes them for people; a change of it is a new version of the format.

mod access;
mod jobs;
mod log;
mod people;
mod tasks;

pub(super) use access::{ClientLine, ConnectionLine, GrantLine, SigningKeyLine};
pub(super) use jobs::{ClaimLine, FailedRowLine, JobLine, UploadLine};
pub(super) use log::{EventLine, LetterLine, StreamLine};
pub(super) use people::{PasswordLine, TicketLine, UserLine};
pub(super) use tasks::{ExportFileLine, TaskLine};

use std::fmt::Display;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::super::database::Head;
use crate::domain::{Timestamp, UserId};

/// A line of a dump.
pub(super) trait Line {
    /// What it is.
    const KIND: &'static str;
}

/// The next numbers of everything.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CountersLine {
    pub(super) next_job: u64,
    pub(super) next_connection: u32,
    pub(super) next_event: u64,
    pub(super) last_event_at: Timestamp,
    pub(super) next_letter: u64,
}

impl Line for CountersLine {
    const KIND: &'static str = "counters";
}

impl From<&Head> for CountersLine {
    fn from(head: &Head) -> Self {
        Self {
            next_job: head.next_ticket,
            next_connection: head.next_connection,
            next_event: head.next_event,
            last_event_at: head.last_event,
            next_letter: head.next_number,
        }
    }
}

/// Why a line cannot be what it says it is.
pub(super) type Fault = String;

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_false(value: &bool) -> bool {
    !value
}

/// Reads a text with a rule of its own.
fn read<T: std::str::FromStr<Err: Display>>(name: &str, text: &str) -> Result<T, Fault> {
    text.parse().map_err(|error| format!("{name} \"{text}\": {error}"))
}

fn user_id(text: &str) -> Result<UserId, Fault> {
    UserId::parse_given(text).map_err(|error| format!("user_id \"{text}\": {error}"))
}

/// Thirty-two bytes as hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hex(pub(super) [u8; 32]);

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut digits = String::with_capacity(64);
        for byte in self.0 {
            for digit in [byte >> 4, byte & 15] {
                digits.extend(char::from_digit(digit.into(), 16));
            }
        }
        serializer.serialize_str(&digits)
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong = || D::Error::custom("expected 64 hex digits");
        if text.len() != 64 || !text.is_ascii() {
            return Err(wrong());
        }
        let mut bytes = [0; 32];
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).map_err(|_| wrong())?;
        }
        Ok(Self(bytes))
    }
}
