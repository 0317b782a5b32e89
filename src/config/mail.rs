//! `[mail]`: where letters go.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;

use super::values::{Fault, NonEmpty, Secret, duration, first_broken, text, whole};

/// `[mail]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mail {
    /// Where letters go.
    #[serde(deserialize_with = "text")]
    pub transport: MailTransport,
    /// Who they are from: an address, or `Name <address>`.
    #[serde(deserialize_with = "text")]
    pub from: NonEmpty,
    /// The mail server.
    pub smtp_host: String,
    /// Its port; 0 is the usual one.
    #[serde(deserialize_with = "whole")]
    pub smtp_port: usize,
    /// How the connection to it is kept private.
    #[serde(deserialize_with = "text")]
    pub smtp_security: SmtpSecurity,
    /// Who we are to it; empty if it asks nobody.
    pub smtp_user: String,
    /// The password for that.
    pub smtp_password: Secret,
    /// A file with that password.
    #[serde(deserialize_with = "text")]
    pub smtp_password_file: PathBuf,
    /// Certificates (PEM) to trust besides the public ones.
    #[serde(deserialize_with = "text")]
    pub smtp_ca_file: PathBuf,
    /// How long the server may take for each answer as a whole.
    #[serde(deserialize_with = "duration")]
    pub timeout: Duration,
    /// Pause after the first try that failed.
    #[serde(deserialize_with = "duration")]
    pub retry_first: Duration,
    /// Longest pause between two tries.
    #[serde(deserialize_with = "duration")]
    pub retry_longest: Duration,
    /// Age at which a letter is given up.
    #[serde(deserialize_with = "duration")]
    pub give_up_after: Duration,
}

impl Mail {
    /// How long a mail server may take.
    const TIMEOUT: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_mins(10);
    /// First pause.
    const RETRY_FIRST: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_hours(24);
    /// Longest pause that can be set; the shortest is the first.
    const RETRY_LONGEST: Duration = Duration::from_hours(7 * 24);
    /// Age at which a letter is given up.
    const GIVE_UP_AFTER: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(60 * 24);

    /// Takes the password from its file, if it has one.
    pub(super) fn read_password(&mut self) -> Result<(), String> {
        if self.smtp_password_file.as_os_str().is_empty() {
            return Ok(());
        }
        if !self.smtp_password.expose().is_empty() {
            return Err("expected either smtp_password or smtp_password_file".to_owned());
        }
        self.smtp_password = Secret::from_file(&self.smtp_password_file)?;
        Ok(())
    }

    /// The first of the settings that makes no sense, and why.
    pub(super) fn fault(&self) -> Option<Fault> {
        let user_alone = !self.smtp_user.is_empty() && self.smtp_password.expose().is_empty();
        let password_alone = self.smtp_user.is_empty() && !self.smtp_password.expose().is_empty();
        first_broken([
            ("mail.smtp_host", !self.smtp_host.trim().is_empty(), "may not be empty"),
            ("mail.smtp_port", u16::try_from(self.smtp_port).is_ok(), "must be 0 to 65535"),
            ("mail.smtp_user", !user_alone, "needs smtp_password or smtp_password_file"),
            ("mail.smtp_user", !password_alone, "may not be empty when there is a password"),
            ("mail.timeout", Self::TIMEOUT.contains(&self.timeout), "must be 1s to 10m"),
            ("mail.retry_first", Self::RETRY_FIRST.contains(&self.retry_first), "must be 100ms to 1d"),
            (
                "mail.retry_longest",
                (self.retry_first..=Self::RETRY_LONGEST).contains(&self.retry_longest),
                "must be retry_first to 7d",
            ),
            ("mail.give_up_after", Self::GIVE_UP_AFTER.contains(&self.give_up_after), "must be 1s to 60d"),
        ])
    }

    /// The port, unless it is the usual one.
    pub fn port(&self) -> Option<u16> {
        u16::try_from(self.smtp_port).ok().filter(|port| *port != 0)
    }
}

/// Where letters go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailTransport {
    /// Into files in the data directory.
    File,
    /// To a mail server.
    Smtp,
    /// Nowhere: none are written.
    Off,
}

impl FromStr for MailTransport {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "file" => Ok(Self::File),
            "smtp" => Ok(Self::Smtp),
            "off" => Ok(Self::Off),
            _ => Err("expected file, smtp or off"),
        }
    }
}

/// How the connection to a mail server is kept private.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmtpSecurity {
    /// TLS from the first byte.
    Tls,
    /// TLS after a greeting; without it nothing is sent.
    StartTls,
    /// Not at all.
    None,
}

impl FromStr for SmtpSecurity {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "tls" => Ok(Self::Tls),
            "starttls" => Ok(Self::StartTls),
            "none" => Ok(Self::None),
            _ => Err("expected tls, starttls or none"),
        }
    }
}
