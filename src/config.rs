//! Settings: read in layers, checked, typed. Whoever holds a [`Settings`] need not check again.
//!
//! Layers, the later ones win: `import.toml` as compiled in, the file named on the command line or
//! else `./import.toml`, and `INTAKE_…` variables.
//!
//! **Invariants:** nothing here touches the process environment (it comes as an argument). An
//! unknown or ill-typed setting is an error that names the setting and where it was given, never
//! a default. Secrets appear in no message and in no `Debug` output.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use config::{Config, File, FileFormat, Map, Source, Value, ValueKind};
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};
use thiserror::Error;
use tracing::level_filters::LevelFilter;

use crate::domain::{ConnectionId, DATABASE_STRATEGY, Email, Scope, SigningAlgorithm};

/// The first layer, and the manual of the settings.
pub const DEFAULTS: &str = include_str!("../import.toml");
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
    /// The log.
    pub log: Log,
    /// Connections to create when they are missing.
    #[serde(default)]
    pub connections: Vec<DeclaredConnection>,
    /// Clients to create when they are missing.
    #[serde(default)]
    pub clients: Vec<DeclaredClient>,
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

/// One of `[[connections]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeclaredConnection {
    /// Unique name.
    #[serde(deserialize_with = "text")]
    pub name: ConnectionName,
    /// `auth0` for a database.
    #[serde(default = "database_strategy", deserialize_with = "text")]
    pub strategy: NonEmpty,
    /// Id, if it shall be this one.
    #[serde(default)]
    pub id: Option<ConnectionId>,
    /// Ids of the clients it is enabled for.
    #[serde(default)]
    pub clients: Vec<String>,
}

fn database_strategy() -> NonEmpty {
    NonEmpty(DATABASE_STRATEGY.to_owned())
}

/// One of `[[clients]]`, its secret file read.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "ClientEntry")]
pub struct DeclaredClient {
    /// Public id.
    pub client_id: String,
    /// Name for people.
    pub name: String,
    /// What it proves itself with.
    pub secret: Secret,
    /// What its tokens may do.
    pub scopes: Vec<Scope>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClientEntry {
    client_id: String,
    name: Option<String>,
    client_secret: Option<Secret>,
    client_secret_file: Option<PathBuf>,
    scopes: Option<Vec<String>>,
}

impl TryFrom<ClientEntry> for DeclaredClient {
    type Error = String;
    fn try_from(entry: ClientEntry) -> Result<Self, String> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._~-".contains(c);
        if !(1..=128).contains(&entry.client_id.len()) || !entry.client_id.chars().all(allowed) {
            return Err("client_id: expected 1 to 128 letters, digits and . _ ~ -".to_owned());
        }
        let secret = match (entry.client_secret, entry.client_secret_file) {
            (Some(secret), None) => secret,
            (None, Some(path)) => Secret::from_file(&path)?,
            _ => return Err("expected either client_secret or client_secret_file".to_owned()),
        };
        if secret.0.chars().count() < Secret::MIN_CHARS {
            return Err(format!("the secret has fewer than {} characters", Secret::MIN_CHARS));
        }
        let scopes = match entry.scopes {
            None => Ok(Scope::ALL.to_vec()),
            Some(names) => names.iter().map(|name| name.parse()).collect(),
        };
        Ok(Self {
            name: entry.name.unwrap_or_else(|| entry.client_id.clone()),
            client_id: entry.client_id,
            secret,
            scopes: scopes.map_err(|fault: crate::domain::UnknownScope| fault.to_string())?,
        })
    }
}

/// A text that is shown to nobody.
#[derive(Clone, PartialEq, Eq, Deserialize)]
pub struct Secret(String);

impl Secret {
    /// Shortest secret taken. Only a plain hash of it is kept, which guards long ones only.
    pub const MIN_CHARS: usize = 16;

    /// The secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }

    fn from_file(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("client_secret_file {}: {error}", path.display()))?;
        Ok(Self(text.trim_end_matches(['\r', '\n']).to_owned()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A text with something in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NonEmpty(String);

impl NonEmpty {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NonEmpty {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.trim().is_empty() { Err("may not be empty") } else { Ok(Self(text.to_owned())) }
    }
}

/// An e-mail address of an owner.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Address(pub Email);

impl TryFrom<String> for Address {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        Email::parse(&text).map(Self).map_err(|fault| format!("\"{text}\" is no e-mail address: {fault}"))
    }
}

/// The name of a connection: letters, digits and single hyphens inside.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConnectionName(String);

impl ConnectionName {
    /// What every name looks like, as a regular expression.
    pub const PATTERN: &'static str = "^[a-zA-Z0-9](-[a-zA-Z0-9]|[a-zA-Z0-9])*$";
    /// Longest name, in characters.
    pub const MAX_CHARS: usize = 128;

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ConnectionName {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let words_are_fine = text
            .split('-')
            .all(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        if text.len() <= Self::MAX_CHARS && words_are_fine {
            Ok(Self(text.to_owned()))
        } else {
            let (max, pattern) = (Self::MAX_CHARS, Self::PATTERN);
            Err(format!("expected at most {max} characters that match {pattern}"))
        }
    }
}

/// The URL clients use, or nothing if it follows from the bound address. No slash at its end.
#[derive(Default, Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl(Option<String>);

impl PublicUrl {
    /// The URL of a server bound to `address`.
    pub fn or_bound(&self, address: SocketAddr) -> String {
        self.0.clone().unwrap_or_else(|| format!("http://{address}"))
    }
}

impl FromStr for PublicUrl {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FAULT: &str = "expected an http:// or https:// URL without query or fragment";
        if text.is_empty() {
            return Ok(Self(None));
        }
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let authority = rest.and_then(|rest| rest.split('/').next()).ok_or(FAULT)?;
        let well_formed = text.bytes().all(|byte| byte.is_ascii_graphic())
            && !text.contains(['?', '#', '"', '<', '>', '\\', '{', '}', '|', '^', '`'])
            && is_authority(authority);
        if well_formed { Ok(Self(Some(text.trim_end_matches('/').to_owned()))) } else { Err(FAULT) }
    }
}

fn is_authority(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    !host.is_empty() && !host.contains('@') && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

/// A number of bytes; written `500KB` or plainly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

impl ByteSize {
    const UNITS: [(&'static str, u64); 7] = [
        ("KB", 1 << 10),
        ("MB", 1 << 20),
        ("GB", 1 << 30),
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("B", 1),
    ];

    /// The number.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for ByteSize {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unit = Self::UNITS
            .iter()
            .find_map(|(name, factor)| text.strip_suffix(name).map(|number| (number.trim_end(), *factor)));
        let (number, factor) = unit.unwrap_or((text, 1));
        let digits_only = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        let number = number.parse::<u64>().ok().filter(|_| digits_only);
        number
            .and_then(|number| number.checked_mul(factor))
            .map(Self)
            .ok_or("expected a size like 500KB, 64MB or a number of bytes")
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole_units = Self::UNITS[..3].iter().rev();
        let mut fitting = whole_units.filter(|(_, unit)| self.0 > 0 && self.0.is_multiple_of(*unit));
        match fitting.next() {
            Some((name, unit)) => write!(f, "{}{name}", self.0 / unit),
            None => write!(f, "{}B", self.0),
        }
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Size;
        impl Visitor<'_> for Size {
            type Value = ByteSize;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size like 500KB, or a number of bytes")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<ByteSize, E> {
                text.parse().map_err(E::custom)
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<ByteSize, E> {
                Ok(ByteSize(number))
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<ByteSize, E> {
                u64::try_from(number).map(ByteSize).map_err(|_| E::custom("may not be negative"))
            }
        }
        deserializer.deserialize_any(Size)
    }
}

/// Takes a text, not a number that could be made one, and parses it.
fn text<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: FromStr<Err: fmt::Display>,
    D: Deserializer<'de>,
{
    struct Text<T>(PhantomData<T>);
    impl<T: FromStr<Err: fmt::Display>> Visitor<'_> for Text<T> {
        type Value = T;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a text")
        }
        fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
            text.parse().map_err(E::custom)
        }
    }
    deserializer.deserialize_any(Text(PhantomData))
}

/// Takes a whole number, not a text that could be read as one.
fn whole<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: TryFrom<usize, Error: fmt::Display>,
    D: Deserializer<'de>,
{
    struct Whole<T>(PhantomData<T>);
    impl<T: TryFrom<usize, Error: fmt::Display>> Visitor<'_> for Whole<T> {
        type Value = T;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a whole number")
        }
        fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
            let number = usize::try_from(number).map_err(|_| E::custom("may not be negative"))?;
            T::try_from(number).map_err(|_| E::custom("must be at least 1"))
        }
    }
    deserializer.deserialize_any(Whole(PhantomData))
}

/// Takes a text like `24h`.
fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    struct Wait(Duration);
    impl FromStr for Wait {
        type Err = String;
        fn from_str(text: &str) -> Result<Self, String> {
            let parsed = humantime::parse_duration(text);
            parsed.map(Self).map_err(|_| "expected a duration like 30s, 10m or 24h".to_owned())
        }
    }
    text::<Wait, D>(deserializer).map(|wait| wait.0)
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
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let defaults = layer(DEFAULTS, "the defaults")?;
        let known = leaves(&defaults);
        let mut origins = Origins::default();
        let mut builder = Config::builder().add_source(toml(DEFAULTS));
        if let Some((path, content)) = read(config)? {
            origins.file = path.display().to_string();
            check_names(&layer(&content, &origins.file)?, &known, &origins.file)?;
            builder = builder.add_source(toml(&content));
        }
        let variables = Variables::read(environment, &known)?;
        origins.variables = variables.names();
        let merged = builder.add_source(variables).build();
        let settings = merged.and_then(Config::try_deserialize::<Self>);
        let settings = settings.map_err(|error| origins.blame(error))?;
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
        let names = self.connections.iter().map(|connection| connection.name.as_str());
        let ids = self.connections.iter().filter_map(|connection| connection.id.as_ref());
        let clients = self.clients.iter().map(|client| client.client_id.as_str());
        let twice = [
            ("connections", repeated(names)),
            ("connections", repeated(ids.map(ConnectionId::as_str))),
            ("clients", repeated(clients)),
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

fn toml(content: &str) -> File<config::FileSourceString, FileFormat> {
    File::from_str(content, FileFormat::Toml)
}

fn layer(content: &str, origin: &str) -> Result<Map<String, Value>, ConfigError> {
    toml(content).collect().map_err(|error| ConfigError::Malformed {
        origin: origin.to_owned(),
        why: without_excerpt(&error.to_string()),
    })
}

/// The message of a TOML fault less the lines it quotes, as they may hold a secret.
fn without_excerpt(message: &str) -> String {
    let is_quote =
        |line: &str| line.trim_start_matches(|c: char| c == ' ' || c.is_ascii_digit()).starts_with('|');
    let kept: Vec<&str> = message.lines().filter(|line| !is_quote(line)).map(str::trim).collect();
    kept.join(": ")
}

fn read(config: Option<&Path>) -> Result<Option<(PathBuf, String)>, ConfigError> {
    let path = config.unwrap_or(Path::new(DEFAULT_FILE));
    match std::fs::read_to_string(path) {
        Ok(content) => Ok(Some((path.to_owned(), content))),
        Err(error) if config.is_none() && error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ConfigError::Unreadable { path: path.to_owned(), source }),
    }
}

/// Every setting of a layer that is no section, by its dotted name.
fn leaves(layer: &Map<String, Value>) -> BTreeMap<String, ValueKind> {
    let mut found = BTreeMap::new();
    for (name, value) in layer {
        match &value.kind {
            ValueKind::Table(section) => {
                let inner = leaves(section).into_iter();
                found.extend(inner.map(|(key, kind)| (format!("{name}.{key}"), kind)));
            }
            kind => drop(found.insert(name.clone(), kind.clone())),
        }
    }
    found
}

fn check_names(
    layer: &Map<String, Value>,
    known: &BTreeMap<String, ValueKind>,
    origin: &str,
) -> Result<(), ConfigError> {
    let is_list = |key: &str| key == "connections" || key == "clients";
    let unknown = leaves(layer).into_keys().find(|key| !known.contains_key(key) && !is_list(key));
    let Some(key) = unknown else { return Ok(()) };
    let origin = origin.to_owned();
    if known.keys().any(|name| name.starts_with(&format!("{key}."))) {
        return Err(ConfigError::Invalid { key, origin, why: "expected a section".to_owned() });
    }
    Err(ConfigError::Unknown { key, origin })
}

/// The last layer: our variables among those of the environment, each with its setting's name.
#[derive(Debug, Clone, Default)]
struct Variables(BTreeMap<String, (String, Value)>);

impl Variables {
    fn read(
        environment: impl Iterator<Item = (String, String)>,
        known: &BTreeMap<String, ValueKind>,
    ) -> Result<Self, ConfigError> {
        let mut found = BTreeMap::new();
        for (variable, text) in environment.filter(|(name, _)| name.starts_with(PREFIX)) {
            let setting = known.iter().find(|(key, _)| variable_name(key) == variable);
            let Some((key, default)) = setting else {
                let origin = "the environment".to_owned();
                return Err(ConfigError::Unknown { key: variable, origin });
            };
            let value = typed(default, &text).map_err(|why| ConfigError::Invalid {
                key: key.clone(),
                origin: variable.clone(),
                why: why.to_owned(),
            })?;
            found.insert(key.clone(), (variable, value));
        }
        Ok(Self(found))
    }

    fn names(&self) -> BTreeMap<String, String> {
        let names = self.0.iter().map(|(key, (variable, _))| (key.clone(), variable.clone()));
        names.collect()
    }
}

impl Source for Variables {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, config::ConfigError> {
        Ok(self.0.iter().map(|(key, (_, value))| (key.clone(), value.clone())).collect())
    }
}

fn variable_name(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "_").to_uppercase())
}

/// Reads `text` as the kind of value the default has.
fn typed(default: &ValueKind, text: &str) -> Result<Value, &'static str> {
    let kind = match default {
        ValueKind::I64(_) => ValueKind::I64(text.parse().map_err(|_| "expected a whole number")?),
        ValueKind::Array(_) => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            ValueKind::Array(items.map(Value::from).collect())
        }
        _ => ValueKind::String(text.to_owned()),
    };
    Ok(Value::new(None, kind))
}

/// Who gave which setting, for messages.
#[derive(Debug)]
struct Origins {
    file: String,
    variables: BTreeMap<String, String>,
}

impl Default for Origins {
    fn default() -> Self {
        Self { file: "the defaults".to_owned(), variables: BTreeMap::new() }
    }
}

impl Origins {
    fn invalid(&self, key: &str, why: String) -> ConfigError {
        // The config crate leaves out the dot after an index.
        let key = key.replace(']', "].").replace("..", ".");
        let key = key.trim_end_matches('.');
        let variable = self.variables.get(key.split('[').next().unwrap_or(key));
        let origin = variable.unwrap_or(&self.file).clone();
        ConfigError::Invalid { key: key.to_owned(), origin, why }
    }

    fn blame(&self, error: config::ConfigError) -> ConfigError {
        use config::ConfigError as E;
        match error {
            E::At { error, key, .. } => self.invalid(&key.unwrap_or_default(), error.to_string()),
            E::Type { unexpected, expected, key, .. } => {
                let why = format!("expected {expected}, found {unexpected}");
                self.invalid(&key.unwrap_or_default(), why)
            }
            E::NotFound(key) => self.invalid(&key, "is missing".to_owned()),
            other => self.invalid("", other.to_string()),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may")]
mod tests {
    use super::*;

    fn load(file: &str, environment: &[(&str, &str)]) -> Result<Settings, ConfigError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("settings.toml");
        std::fs::write(&path, file).unwrap();
        let pairs = environment.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        Settings::load(Some(&path), pairs)
    }

    /// The message, with the name of the file made the same each time.
    fn refusal(file: &str, environment: &[(&str, &str)]) -> String {
        let message = load(file, environment).unwrap_err().to_string();
        match (message.find("by /"), message.find("settings.toml")) {
            (Some(from), Some(to)) => format!("{}by {}", &message[..from], &message[to..]),
            _ => message,
        }
    }

    #[test]
    fn defaults_are_what_the_manual_says() {
        let settings = load("", &[]).unwrap();
        assert_eq!(settings.server.bind.to_string(), "127.0.0.1:3000");
        let address = settings.server.bind;
        assert_eq!(settings.server.public_url.or_bound(address), "http://127.0.0.1:3000");
        assert_eq!(settings.tenant.name.as_str(), "intake");
        assert!(settings.tenant.owners.is_empty());
        assert_eq!(settings.storage.path, Path::new("intake-data"));
        assert_eq!(settings.storage.cache.bytes(), 64 << 20);
        assert_eq!(settings.storage.min_free_disk.bytes(), 256 << 20);
        assert_eq!(settings.storage.open_timeout, Duration::from_mins(10));
        assert_eq!(settings.import.workers.get(), 2);
        assert_eq!(settings.import.max_file_size.bytes(), 512_000);
        assert_eq!(settings.import.active_jobs_limit(), None);
        assert_eq!(settings.import.max_metadata_size.bytes(), 65_536);
        assert_eq!(settings.tokens.algorithm, SigningAlgorithm::Es256);
        assert_eq!(settings.tokens.lifetime, Duration::from_hours(24));
        assert_eq!(settings.log.format, LogFormat::Text);
        assert_eq!(settings.log.level, LevelFilter::INFO);
        assert!(settings.connections.is_empty() && settings.clients.is_empty());
    }

    #[test]
    fn the_commented_lists_of_the_manual_work_when_uncommented() {
        let (_, lists) = DEFAULTS.split_once("# [[connections]]").unwrap();
        let lists = format!("[[connections]]{}", lists.replace("\n# ", "\n"));
        let lists = lists.replace("\n#", "\n");
        let secret = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(secret.path(), "0123456789abcdef\n").unwrap();
        let lists = lists.replace("/run/secrets/importer", &secret.path().display().to_string());
        let settings = load(&lists, &[]).unwrap();
        assert_eq!(settings.connections[0].name.as_str(), "staff-db");
        assert_eq!(settings.clients[0].secret.expose(), "0123456789abcdef");
        assert_eq!(settings.clients[0].scopes.len(), 3);
    }

    #[test]
    fn a_file_wins_over_the_defaults_and_the_environment_over_the_file() {
        let file = "[import]\nworkers = 3\nmax_file_size = \"1MB\"\n[tenant]\nname = \"acme\"";
        let environment = [
            ("INTAKE_IMPORT_MAX_FILE_SIZE", "2MB"),
            ("INTAKE_IMPORT_MAX_ACTIVE_JOBS", "2"),
            ("INTAKE_TENANT_OWNERS", "Ann@acme.test, bob@acme.test"),
            ("INTAKE_SERVER_PUBLIC_URL", "https://users.acme.test/"),
            ("INTAKE", "not ours"),
            ("HOME", "/root"),
        ];
        let settings = load(file, &environment).unwrap();
        assert_eq!(settings.import.workers.get(), 3);
        assert_eq!(settings.import.max_file_size.bytes(), 2 << 20);
        assert_eq!(settings.import.active_jobs_limit(), Some(2));
        assert_eq!(settings.tenant.name.as_str(), "acme");
        let owners: Vec<&str> = settings.tenant.owners.iter().map(|owner| owner.0.as_str()).collect();
        assert_eq!(owners, ["ann@acme.test", "bob@acme.test"]);
        let url = settings.server.public_url.or_bound(settings.server.bind);
        assert_eq!(url, "https://users.acme.test");
    }

    #[test]
    fn a_setting_that_makes_no_sense_is_refused_by_name() {
        let file = [
            ("[server]\nbindd = \"x\"", "there is no setting \"server.bindd\" (given by settings.toml)"),
            ("[serverr]\nbind = \"x\"", "there is no setting \"serverr.bind\""),
            ("bind = \"x\"", "there is no setting \"bind\""),
            ("server = 5", "setting \"server\" (given by settings.toml): expected a section"),
            ("[import.workers]\na = 1", "there is no setting \"import.workers.a\""),
            ("[server]\nbind = 3000", "setting \"server.bind\" (given by settings.toml): invalid type"),
            ("[server]\nbind = \"localhost\"", "setting \"server.bind\""),
            ("[server]\npublic_url = \"users.acme.test\"", "setting \"server.public_url\""),
            ("[server]\npublic_url = \"ftp://acme.test\"", "setting \"server.public_url\""),
            ("[server]\npublic_url = \"https://\"", "setting \"server.public_url\""),
            ("[server]\npublic_url = \"https://a b\"", "setting \"server.public_url\""),
            ("[server]\npublic_url = \"https://a?x\"", "setting \"server.public_url\""),
            ("[tenant]\nname = 5", "setting \"tenant.name\""),
            ("[tenant]\nname = \" \"", "setting \"tenant.name\" (given by settings.toml): may not"),
            ("[tenant]\nowners = [\"ann\"]", "setting \"tenant.owners[0]\""),
            ("[storage]\npath = \"\"", "setting \"storage.path\""),
            ("[storage]\ncache = \"64 megs\"", "setting \"storage.cache\""),
            ("[storage]\ncache = true", "setting \"storage.cache\""),
            ("[storage]\nmin_free_disk = -1", "setting \"storage.min_free_disk\""),
            ("[storage]\nopen_timeout = 10", "setting \"storage.open_timeout\""),
            ("[storage]\nopen_timeout = \"soon\"", "setting \"storage.open_timeout\""),
            ("[import]\nworkers = 0", "setting \"import.workers\" (given by settings.toml): must be at"),
            ("[import]\nworkers = \"2\"", "setting \"import.workers\""),
            ("[import]\nmax_file_size = 0", "setting \"import.max_file_size\""),
            ("[import]\nmax_active_jobs = -2", "setting \"import.max_active_jobs\""),
            ("[import]\nmax_metadata_size = \"97KB\"", "setting \"import.max_metadata_size\""),
            ("[import]\nmax_metadata_size = 1023", "must be 1KB to 96KB"),
            ("[tokens]\nalgorithm = \"HS256\"", "setting \"tokens.algorithm\""),
            ("[tokens]\nlifetime = \"0s\"", "setting \"tokens.lifetime\""),
            ("[tokens]\nlifetime = \"366d\"", "setting \"tokens.lifetime\""),
            ("[log]\nformat = \"xml\"", "setting \"log.format\""),
            ("[log]\nlevel = \"loud\"", "setting \"log.level\""),
            ("[[connections]]\nname = \"a--b\"", "setting \"connections[0].name\""),
            ("[[connections]]\nname = \"-a\"", "setting \"connections[0].name\""),
            ("[[connections]]\nstrategy = \"auth0\"", "setting \"connections[0].name\""),
            ("[[connections]]\nname = \"a\"\nid = \"x\"", "setting \"connections[0].id\""),
            ("[[connections]]\nname = \"a\"\nnam = \"b\"", "unknown field `nam`"),
            ("[[connections]]\nname = \"a\"\n[[connections]]\nname = \"a\"", "\"a\" is declared twice"),
            ("[[clients]]\nclient_id = \"a\"", "setting \"clients[0]\""),
            ("[[clients]]\nclient_id = \"a\"\nclient_secret = \"short\"", "fewer than 16"),
            ("[[clients]]\nclient_id = \"a\"\nclient_secret_file = \"/no/such\"", "/no/such"),
            ("[[clients]]\nclient_id = \"a:b\"\nclient_secret = \"0123456789abcdef\"", "client_id"),
            (
                "[[clients]]\nclient_id = \"a\"\nclient_secret = \"0123456789abcdef\"\nscopes = [\"x\"]",
                "there is no scope \"x\"",
            ),
        ];
        for (file, expected) in file {
            let message = refusal(file, &[]);
            assert!(message.contains(expected), "{file}\n  said: {message}\n  not:  {expected}");
        }
    }

    #[test]
    fn a_variable_that_makes_no_sense_is_refused_by_name() {
        let variables = [
            ("INTAKE_SERVER_BINDD", "x", "there is no setting \"INTAKE_SERVER_BINDD\""),
            ("INTAKE_CONNECTIONS", "x", "there is no setting \"INTAKE_CONNECTIONS\""),
            ("INTAKE_IMPORT_WORKERS", "two", "(given by INTAKE_IMPORT_WORKERS): expected a whole"),
            ("INTAKE_IMPORT_WORKERS", "0", "(given by INTAKE_IMPORT_WORKERS): must be at least 1"),
            ("INTAKE_SERVER_BIND", "x", "\"server.bind\" (given by INTAKE_SERVER_BIND)"),
            ("INTAKE_TENANT_OWNERS", "x", "\"tenant.owners[0]\" (given by INTAKE_TENANT_OWNERS)"),
            ("INTAKE_IMPORT_MAX_METADATA_SIZE", "1GB", "(given by INTAKE_IMPORT_MAX_METADATA_SIZE)"),
        ];
        for (name, text, expected) in variables {
            let message = refusal("", &[(name, text)]);
            assert!(message.contains(expected), "{name}={text}\n  said: {message}");
        }
    }

    #[test]
    fn a_missing_or_broken_file_is_named() {
        let error = Settings::load(Some(Path::new("/no/such.toml")), std::iter::empty()).unwrap_err();
        assert!(error.to_string().contains("/no/such.toml"));
        let message = refusal("[[clients]]\nclient_secret = \"hush-hush-hush", &[]);
        assert!(message.contains("line 2") && !message.contains("hush"), "{message}");
    }

    #[test]
    fn sizes_read_and_write() {
        let check = |text: &str, bytes: Option<u64>| {
            assert_eq!(text.parse().ok().map(ByteSize::bytes), bytes, "{text}");
        };
        check("500KB", Some(512_000));
        check("500 KiB", Some(512_000));
        check("512000", Some(512_000));
        check("512000B", Some(512_000));
        check("64MB", Some(64 << 20));
        check("1GiB", Some(1 << 30));
        for wrong in ["", "KB", "-1KB", "+1", "1.5MB", "1kb", "1TB", "99999999999999999999", "17179869184GB"]
        {
            check(wrong, None);
        }
        for text in ["500KB", "64MB", "2GB", "1B", "0B", "1025B"] {
            assert_eq!(text.parse::<ByteSize>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn secrets_stay_out_of_debug_output() {
        let client = "[[clients]]\nclient_id = \"a\"\nclient_secret = \"hush-hush-hush-hush\"";
        let settings = load(client, &[]).unwrap();
        assert_eq!(settings.clients[0].scopes.len(), Scope::ALL.len());
        assert!(!format!("{settings:?}").contains("hush"));
    }
}
