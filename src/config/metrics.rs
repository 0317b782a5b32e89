//! `[metrics]`: who may read the figures at `/metrics`.

use std::path::PathBuf;

use serde::Deserialize;

use super::values::{Fault, Secret, first_broken, text};

/// `[metrics]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    /// What callers have to bring; empty: only those on this machine are answered.
    pub token: Secret,
    /// A file with that token.
    #[serde(deserialize_with = "text")]
    pub token_file: PathBuf,
}

impl Metrics {
    /// Takes the token from its file, if it has one.
    pub(super) fn read_token(&mut self) -> Result<(), String> {
        if self.token_file.as_os_str().is_empty() {
            return Ok(());
        }
        if !self.token.expose().is_empty() {
            return Err("expected either token or token_file".to_owned());
        }
        self.token = Secret::from_file(&self.token_file)?;
        if self.token.expose().is_empty() {
            return Err("the file has no token in its only line".to_owned());
        }
        Ok(())
    }

    /// The token, if there is one.
    pub fn token(&self) -> Option<&str> {
        Some(self.token.expose()).filter(|token| !token.is_empty())
    }

    /// The first of the settings that makes no sense, and why.
    pub(super) fn fault(&self) -> Option<Fault> {
        let is_token =
            |text: &str| text.len() >= Secret::MIN_CHARS && text.bytes().all(|b| b.is_ascii_graphic());
        first_broken([(
            "metrics.token",
            self.token().is_none_or(is_token),
            "must be at least 16 characters, visible ASCII without blanks",
        )])
    }
}
