//! Settings: read in layers, checked, typed. Whoever holds a [`Settings`] need not check again.
//!
//! Layers, the later ones win: `import.toml` as compiled in, the file named on the command line or
//! else `./import.toml`, and `INTAKE_…` variables.
//!
//! **Invariants:** nothing here touches the process environment (it comes as an argument). An
//! unknown or ill-typed setting is an error that names the setting and where it was given, never
//! a default. Secrets appear in no message and in no `Debug` output.

mod declared;
mod layers;
mod stream;
#[cfg(test)]
mod tests;
mod values;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;
use thiserror::Error;
use tracing::level_filters::LevelFilter;

use crate::domain::{ConnectionId, ConnectionName, SigningAlgorithm};
use layers::Origins;

pub use declared::{DeclaredClient, DeclaredConnection};
pub use stream::DeclaredStream;
pub use values::{Address, ByteSize, NonEmpty, PublicUrl, Secret};
use values::{duration, text, whole};

/// The first layer, and the manual of the settings.
pub const DEFAULTS: &str = include_str!("../../import.toml");
/// The file read when none is named.
pub const DEFAULT_FILE: &str = "import.toml";
/// What the names of our environment variables start with.
pub const PREFIX: &str = "INTAKE_";

/// Everything that can be set.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where the server listens and how it is known.
    pub server: Server,
    /// Whose server it is.
    pub tenant: Tenant,
    /// What is kept, and where.
    pub storage: Storage,
    /// Limits of imports.
    pub import: Import,
    /// Access tokens.
    pub tokens: Tokens,
    /// Letters.
    pub mail: Mail,
    /// Delivery of log streams.
    pub webhooks: Webhooks,
    /// Sign-in and passwords.
    pub login: Login,
    /// How long things are kept.
    pub retention: Retention,
    /// The log.
    pub log: Log,
    /// Connections to create when they are missing.
    #[serde(default)]
    pub connections: Vec<DeclaredConnection>,
    /// Clients to create when they are missing.
    #[serde(default)]
    pub clients: Vec<DeclaredClient>,
    /// Log streams to create when they are missing.
    #[serde(default)]
    pub log_streams: Vec<DeclaredStream>,
}

/// `[server]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Address and port to listen on.
    #[serde(deserialize_with = "text")]
    pub bind: SocketAddr,
    /// The URL clients use.
    #[serde(deserialize_with = "text")]
    pub public_url: PublicUrl,
    /// Addresses of proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpAddr>,
}

/// `[tenant]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tenant {
    /// Name for people.
    #[serde(deserialize_with = "text")]
    pub name: NonEmpty,
    /// Who is told about finished imports.
    pub owners: Vec<Address>,
}

/// `[storage]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Storage {
    /// The data directory.
    #[serde(deserialize_with = "text")]
    pub path: PathBuf,
    /// Memory for the database's cache.
    pub cache: ByteSize,
    /// Disk space uploads may not use up.
    pub min_free_disk: ByteSize,
    /// How long opening may take.
    #[serde(deserialize_with = "duration")]
    pub open_timeout: Duration,
}

/// `[import]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Import {
    /// Jobs worked on at once.
    #[serde(deserialize_with = "whole")]
    pub workers: NonZeroUsize,
    /// Largest request body of an upload.
    pub max_file_size: ByteSize,
    /// Jobs that may wait or run at once; 0 is no limit.
    #[serde(deserialize_with = "whole")]
    pub max_active_jobs: usize,
    /// Largest metadata of one user.
    pub max_metadata_size: ByteSize,
}

impl Import {
    /// Most jobs that can be worked on at once; each has two threads.
    pub const MAX_WORKERS: usize = 64;
    /// Smallest cap on metadata that can be set.
    pub const MIN_METADATA_SIZE: ByteSize = ByteSize(1 << 10);
    /// Largest cap on metadata that can be set: a user with more would leave the database's log.
    pub const MAX_METADATA_SIZE: ByteSize = ByteSize(96 << 10);

    /// Jobs that may wait or run at once, if that is limited.
    pub fn active_jobs_limit(&self) -> Option<usize> {
        (self.max_active_jobs > 0).then_some(self.max_active_jobs)
    }
}

/// `[tokens]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tokens {
    /// How they are signed.
    #[serde(deserialize_with = "text")]
    pub algorithm: SigningAlgorithm,
    /// How long they are valid.
    #[serde(deserialize_with = "duration")]
    pub lifetime: Duration,
}

impl Tokens {
    /// Longest lifetime that can be set.
    pub const MAX_LIFETIME: Duration = Duration::from_hours(365 * 24);
}

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
    /// How long the server may take for each answer.
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
    fn read_password(&mut self) -> Result<(), String> {
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
    fn fault(&self) -> Option<(&'static str, &'static str)> {
        let user_alone = !self.smtp_user.is_empty() && self.smtp_password.expose().is_empty();
        let password_alone = self.smtp_user.is_empty() && !self.smtp_password.expose().is_empty();
        let faults = [
            (self.smtp_host.trim().is_empty(), "mail.smtp_host", "may not be empty"),
            (u16::try_from(self.smtp_port).is_err(), "mail.smtp_port", "must be 0 to 65535"),
            (user_alone, "mail.smtp_user", "needs smtp_password or smtp_password_file"),
            (password_alone, "mail.smtp_user", "may not be empty when there is a password"),
            (!Self::TIMEOUT.contains(&self.timeout), "mail.timeout", "must be 1s to 10m"),
            (!Self::RETRY_FIRST.contains(&self.retry_first), "mail.retry_first", "must be 100ms to 1d"),
            (
                !(self.retry_first..=Self::RETRY_LONGEST).contains(&self.retry_longest),
                "mail.retry_longest",
                "must be retry_first to 7d",
            ),
            (!Self::GIVE_UP_AFTER.contains(&self.give_up_after), "mail.give_up_after", "must be 1s to 60d"),
        ];
        faults.into_iter().find(|(is_fault, ..)| *is_fault).map(|(_, key, why)| (key, why))
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

/// `[webhooks]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhooks {
    /// Whether events may go to private, loopback and link-local addresses, and by plain `http`.
    pub allow_private_targets: bool,
    /// How long a receiver may take.
    #[serde(deserialize_with = "duration")]
    pub timeout: Duration,
    /// Pause after the first try that failed.
    #[serde(deserialize_with = "duration")]
    pub retry_first: Duration,
    /// Longest pause between two tries.
    #[serde(deserialize_with = "duration")]
    pub retry_longest: Duration,
    /// How long a stream may fail until it is suspended.
    #[serde(deserialize_with = "duration")]
    pub suspend_after: Duration,
    /// How many streams there may be.
    #[serde(deserialize_with = "whole")]
    pub max_streams: usize,
}

impl Webhooks {
    /// How long a receiver may take.
    const TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_mins(5);
    /// First pause.
    const RETRY_FIRST: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_hours(1);
    /// Longest pause that can be set; the shortest is the first.
    const RETRY_LONGEST: Duration = Duration::from_hours(24);
    /// How long a stream may fail.
    const SUSPEND_AFTER: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(365 * 24);
    /// Most streams that can be allowed; each has a thread.
    pub const MAX_STREAMS: usize = 100;

    /// The first of the settings that makes no sense, and why.
    fn fault(&self) -> Option<(&'static str, &'static str)> {
        let faults = [
            (!Self::TIMEOUT.contains(&self.timeout), "webhooks.timeout", "must be 100ms to 5m"),
            (!Self::RETRY_FIRST.contains(&self.retry_first), "webhooks.retry_first", "must be 10ms to 1h"),
            (
                !(self.retry_first..=Self::RETRY_LONGEST).contains(&self.retry_longest),
                "webhooks.retry_longest",
                "must be retry_first to 1d",
            ),
            (
                !Self::SUSPEND_AFTER.contains(&self.suspend_after),
                "webhooks.suspend_after",
                "must be 1s to 365d",
            ),
            (Self::MAX_STREAMS < self.max_streams, "webhooks.max_streams", "must be 0 to 100"),
        ];
        faults.into_iter().find(|(is_fault, ..)| *is_fault).map(|(_, key, why)| (key, why))
    }
}

/// `[login]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// Connection of users who sign in without naming one; empty: the only one there is.
    pub default_connection: String,
    /// Whether an imported user is told that a password has to be set first.
    pub explain_password_change: bool,
    /// Failures of one user from one address until that is blocked.
    #[serde(deserialize_with = "whole")]
    pub max_failures: NonZeroUsize,
    /// Failures from one address until that is blocked.
    #[serde(deserialize_with = "whole")]
    pub max_address_failures: NonZeroUsize,
    /// How long a block lasts.
    #[serde(deserialize_with = "duration")]
    pub block_for: Duration,
    /// Pause between two reset mails that nobody asked for.
    #[serde(deserialize_with = "duration")]
    pub reset_mail_pause: Duration,
    /// How long the link in a reset mail is good.
    #[serde(deserialize_with = "duration")]
    pub reset_link_lifetime: Duration,
}

impl Login {
    /// Most failures that can be set to lead to a block.
    pub const MAX_FAILURES: usize = 10_000;
    /// Longest block, and longest pause between two letters.
    pub const MAX_PAUSE: Duration = Duration::from_hours(30 * 24);
    /// How long links may be good.
    pub const LINK_LIFETIMES: RangeInclusive<Duration> =
        Duration::from_mins(1)..=Duration::from_hours(30 * 24);

    /// A value that makes no sense, by its name.
    fn fault(&self) -> Option<(&'static str, String)> {
        let name = &self.default_connection;
        let name_fault = name.parse::<ConnectionName>().err().filter(|_| !name.is_empty());
        let name_fault = name_fault.map(|fault| ("login.default_connection", fault.to_string()));
        let failures = 1..=Self::MAX_FAILURES;
        let blocks = Duration::from_secs(1)..=Self::MAX_PAUSE;
        let rules = [
            ("login.max_failures", failures.contains(&self.max_failures.get()), "1 to 10000"),
            ("login.max_address_failures", failures.contains(&self.max_address_failures.get()), "1 to 10000"),
            ("login.block_for", blocks.contains(&self.block_for), "1s to 30d"),
            ("login.reset_mail_pause", self.reset_mail_pause <= Self::MAX_PAUSE, "0s to 30d"),
            (
                "login.reset_link_lifetime",
                Self::LINK_LIFETIMES.contains(&self.reset_link_lifetime),
                "1m to 30d",
            ),
        ];
        let broken = rules.into_iter().find(|(_, is_kept, _)| !is_kept);
        let broken = broken.map(|(key, _, range)| (key, format!("must be {range}")));
        name_fault.or(broken)
    }
}

/// `[retention]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// Jobs and their failed rows, after their end.
    #[serde(deserialize_with = "duration")]
    pub jobs: Duration,
    /// Events of the tenant log.
    #[serde(deserialize_with = "duration")]
    pub logs: Duration,
    /// Events that a log stream still has to send.
    #[serde(deserialize_with = "duration")]
    pub unsent_logs: Duration,
    /// Letters that were given up.
    #[serde(deserialize_with = "duration")]
    pub letters: Duration,
    /// How often it is looked what is old.
    #[serde(deserialize_with = "duration")]
    pub check_every: Duration,
}

impl Retention {
    /// Shortest and longest time that something can be kept: a century outlives the server.
    pub const AGES: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(36_500 * 24);
    /// How often, and how rarely, it can be looked what is old.
    pub const CHECKS: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_hours(24);

    /// The setting that makes no sense, and why.
    fn check(&self) -> Result<(), (&'static str, String)> {
        let ages = [
            ("retention.jobs", self.jobs),
            ("retention.logs", self.logs),
            ("retention.unsent_logs", self.unsent_logs),
            ("retention.letters", self.letters),
        ];
        if let Some((key, _)) = ages.into_iter().find(|(_, age)| !Self::AGES.contains(age)) {
            return Err((key, "must be 1s to 36500d".to_owned()));
        }
        if !Self::CHECKS.contains(&self.check_every) {
            return Err(("retention.check_every", "must be 100ms to 1d".to_owned()));
        }
        if self.unsent_logs < self.logs {
            return Err(("retention.unsent_logs", "may not be shorter than retention.logs".to_owned()));
        }
        Ok(())
    }
}

/// `[log]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// How lines are written.
    #[serde(deserialize_with = "text")]
    pub format: LogFormat,
    /// Which lines are written.
    #[serde(deserialize_with = "text")]
    pub level: LevelFilter,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

impl FromStr for LogFormat {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("expected text or json"),
        }
    }
}

/// Why there are no settings.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// A file named on the command line is not there or cannot be read.
    #[error("cannot read the settings in {path}: {source}")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file that is no TOML.
    #[error("{origin} is not well formed: {why}")]
    Malformed {
        /// Which.
        origin: String,
        /// Where and why.
        why: String,
    },
    /// A setting that does not exist.
    #[error("there is no setting \"{key}\" (given by {origin})")]
    Unknown {
        /// Its name.
        key: String,
        /// File or variable.
        origin: String,
    },
    /// A value that makes no sense.
    #[error("setting \"{key}\" (given by {origin}): {why}")]
    Invalid {
        /// Its name.
        key: String,
        /// File or variable.
        origin: String,
        /// What is wrong with it.
        why: String,
    },
}

impl Settings {
    /// Reads the layers: the defaults, the file `config` or else `./import.toml` if there is one,
    /// and those of `environment` that start with [`PREFIX`].
    pub fn load(
        config: Option<&Path>,
        environment: impl Iterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigError> {
        let (mut settings, origins) = layers::merge(config, environment)?;
        settings.mail.read_password().map_err(|why| origins.invalid("mail.smtp_password_file", why))?;
        settings.check(&origins)?;
        Ok(settings)
    }

    /// The rules about more than one value, and about ranges.
    fn check(&self, origins: &Origins) -> Result<(), ConfigError> {
        let refuse = |key: &str, why: String| Err(origins.invalid(key, why));
        let metadata = self.import.max_metadata_size;
        if !(Import::MIN_METADATA_SIZE..=Import::MAX_METADATA_SIZE).contains(&metadata) {
            let (low, high) = (Import::MIN_METADATA_SIZE, Import::MAX_METADATA_SIZE);
            return refuse("import.max_metadata_size", format!("must be {low} to {high}"));
        }
        if self.import.workers.get() > Import::MAX_WORKERS {
            return refuse("import.workers", format!("must be 1 to {}", Import::MAX_WORKERS));
        }
        if self.import.max_file_size.bytes() == 0 {
            return refuse("import.max_file_size", "must be at least 1 byte".to_owned());
        }
        if self.storage.path.as_os_str().is_empty() {
            return refuse("storage.path", "may not be empty".to_owned());
        }
        let lifetime = self.tokens.lifetime;
        if lifetime < Duration::from_secs(1) || lifetime > Tokens::MAX_LIFETIME {
            return refuse("tokens.lifetime", "must be 1s to 365d".to_owned());
        }
        let mail = self.mail.fault().map(|(key, why)| (key, why.to_owned()));
        let webhooks = self.webhooks.fault().map(|(key, why)| (key, why.to_owned()));
        let faults = [mail, webhooks, self.login.fault(), self.retention.check().err()];
        if let Some((key, why)) = faults.into_iter().flatten().next() {
            return refuse(key, why);
        }
        let (streams, most) = (self.log_streams.len(), self.webhooks.max_streams);
        if most < streams {
            let why = format!("there are {streams}, webhooks.max_streams allows {most}");
            return refuse("log_streams", why);
        }
        let names = self.connections.iter().map(|connection| connection.name.as_str());
        let ids = self.connections.iter().filter_map(|connection| connection.id.as_ref());
        let clients = self.clients.iter().map(|client| client.client_id.as_str());
        let twice = [
            ("connections", repeated(names)),
            ("connections", repeated(ids.map(ConnectionId::as_str))),
            ("clients", repeated(clients)),
            ("log_streams", repeated(self.log_streams.iter().map(|stream| stream.name.as_str()))),
        ];
        match twice.into_iter().find_map(|(key, found)| Some((key, found?))) {
            Some((key, found)) => refuse(key, format!("\"{found}\" is declared twice")),
            None => Ok(()),
        }
    }
}

fn repeated<'a>(mut texts: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let mut seen = BTreeSet::new();
    texts.find(|text| !seen.insert(*text))
}
