//! The layers settings are read in, and who gave which of them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use config::{Config, File, FileFormat, Map, Source, Value, ValueKind};

use super::{ConfigError, DEFAULT_FILE, DEFAULTS, PREFIX, Settings};

/// Reads all layers; with the settings come their origins, for messages.
pub(super) fn merge(
    config: Option<&Path>,
    environment: impl Iterator<Item = (OsString, OsString)>,
) -> Result<(Settings, Origins), ConfigError> {
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
    let settings = merged.and_then(Config::try_deserialize::<Settings>);
    let settings = settings.map_err(|error| origins.blame(error))?;
    Ok((settings, origins))
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
    let is_list = |key: &str| ["connections", "clients", "log_streams"].contains(&key);
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
    /// Variables of others may hold anything; ours are text.
    fn read(
        environment: impl Iterator<Item = (OsString, OsString)>,
        known: &BTreeMap<String, ValueKind>,
    ) -> Result<Self, ConfigError> {
        let mut found = BTreeMap::new();
        let named = environment.map(|(name, value)| (name.to_string_lossy().into_owned(), value));
        for (variable, value) in named.filter(|(name, _)| name.starts_with(PREFIX)) {
            let setting = known.iter().find(|(key, _)| variable_name(key) == variable);
            let Some((key, default)) = setting else {
                let origin = "the environment".to_owned();
                return Err(ConfigError::Unknown { key: variable, origin });
            };
            let text = value.to_str().ok_or("is not valid UTF-8");
            let value = text.and_then(|text| typed(default, text)).map_err(|why| ConfigError::Invalid {
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
pub(super) struct Origins {
    file: String,
    variables: BTreeMap<String, String>,
}

impl Default for Origins {
    fn default() -> Self {
        Self { file: "the defaults".to_owned(), variables: BTreeMap::new() }
    }
}

impl Origins {
    pub(super) fn invalid(&self, key: &str, why: String) -> ConfigError {
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
            E::At { error, key, .. } => {
                self.invalid(&key.unwrap_or_default(), in_our_words(error.to_string()))
            }
            E::Type { unexpected, expected, key, .. } => {
                let why = format!("expected {expected}, found {unexpected}");
                self.invalid(&key.unwrap_or_default(), why)
            }
            E::NotFound(key) => self.invalid(&key, "is missing".to_owned()),
            other => self.invalid("", other.to_string()),
        }
    }
}

/// What is wrong with a value, without a word that is serde's.
fn in_our_words(why: String) -> String {
    let start = why.strip_suffix("a sequence").map(str::to_owned);
    start.map_or(why, |start| start + "a list like [\"…\", \"…\"]")
}
