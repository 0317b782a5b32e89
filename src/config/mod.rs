//! Settings: read in layers, checked, typed. Whoever holds a [`Settings`] need not check again.
//!
//! Layers, the later ones win: `import.toml` as compiled in, the file named on the command line or
//! else `./import.toml`, and `INTAKE_…` variables.
//!
//! **Invariants:** nothing here touches the process environment (it comes as an argument). An
//! unknown or ill-typed setting is an error that names the setting and where it was given, never
//! a default. Secrets appear in no message and in no `Debug` output.

mod declared;
mod exports;
mod layers;
mod limits;
mod login;
mod mail;
mod metrics;
mod rate_limit;
mod retention;
mod search;
mod server;
mod storage;
mod stream;
#[cfg(test)]
mod tests;
mod values;
mod webhooks;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;
use thiserror::Error;
use tracing::level_filters::LevelFilter;

use crate::domain::{ConnectionId, RowSchema, SigningAlgorithm};
use layers::Origins;

pub use declared::{DeclaredClient, DeclaredConnection};
pub use exports::Exports;
pub use limits::Limits;
pub use login::Login;
pub use mail::{Mail, MailTransport, SmtpSecurity};
pub use metrics::Metrics;
pub use rate_limit::RateLimit;
pub use retention::Retention;
pub use search::Search;
pub use server::{Server, Tls, parse_bind};
pub use storage::Storage;
pub use stream::DeclaredStream;
pub use values::{Address, ByteSize, NonEmpty, PublicUrl, Secret, WebOrigin};
use values::{duration, text, whole};
pub use webhooks::Webhooks;

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
    /// Files of users to take away.
    pub exports: Exports,
    /// What one client may take of connections, time and memory.
    pub limits: Limits,
    /// How many requests one client may make.
    pub rate_limit: RateLimit,
    /// Access tokens.
    pub tokens: Tokens,
    /// Letters.
    pub mail: Mail,
    /// Delivery of log streams.
    pub webhooks: Webhooks,
    /// Sign-in and passwords.
    pub login: Login,
    /// What searches for users may take.
    pub search: Search,
    /// How long things are kept.
    pub retention: Retention,
    /// Figures for Prometheus.
    pub metrics: Metrics,
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
    /// Largest file that is unpacked from an upload.
    pub max_unpacked_size: ByteSize,
    /// Which properties rows may have.
    #[serde(deserialize_with = "text")]
    pub schema: RowSchema,
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
        settings.metrics.read_token().map_err(|why| origins.invalid("metrics.token_file", why))?;
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
        let lifetime = self.tokens.lifetime;
        if lifetime < Duration::from_secs(1) || lifetime > Tokens::MAX_LIFETIME {
            return refuse("tokens.lifetime", "must be 1s to 365d".to_owned());
        }
        if self.import.max_unpacked_size.bytes() == 0 {
            return refuse("import.max_unpacked_size", "must be at least 1 byte".to_owned());
        }
        let faults = [
            self.server.fault(),
            self.storage.fault(),
            self.limits.fault(),
            self.rate_limit.fault(),
            self.exports.fault(),
            self.mail.fault(),
            self.webhooks.fault(),
            self.login.fault(),
            self.search.fault(),
            self.retention.fault(),
            self.metrics.fault(),
        ];
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
