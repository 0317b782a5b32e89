//! Connections and clients that settings ask for.

use std::path::PathBuf;

use serde::de::Error;
use serde::{Deserialize, Deserializer};

use super::values::{NonEmpty, Secret, text};
use crate::domain::{
    ConnectionId, ConnectionName, DATABASE_STRATEGY, GRANT_TYPES, PASSWORD_POLICIES, Scope, UnknownScope,
};

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
    /// How good its users' passwords have to be, unless the default will do.
    #[serde(default, deserialize_with = "password_policy")]
    pub password_policy: Option<String>,
}

fn database_strategy() -> NonEmpty {
    NonEmpty(DATABASE_STRATEGY.to_owned())
}

fn password_policy<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let given = String::deserialize(deserializer)?;
    if PASSWORD_POLICIES.contains(&given.as_str()) {
        return Ok(Some(given));
    }
    Err(D::Error::custom(format!("expected one of {}", PASSWORD_POLICIES.join(", "))))
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
    /// The ways it may ask for tokens, unless the default will do.
    pub grant_types: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClientEntry {
    client_id: String,
    name: Option<String>,
    client_secret: Option<Secret>,
    client_secret_file: Option<PathBuf>,
    scopes: Option<Vec<String>>,
    grant_types: Option<Vec<String>>,
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
            (None, Some(path)) => {
                Secret::from_file(&path).map_err(|why| format!("client_secret_file {why}"))?
            }
            _ => return Err("expected either client_secret or client_secret_file".to_owned()),
        };
        if secret.0.chars().count() < Secret::MIN_CHARS {
            return Err(format!("the secret has fewer than {} characters", Secret::MIN_CHARS));
        }
        let scopes = match entry.scopes {
            None => Ok(Scope::ALL.to_vec()),
            Some(names) => names.iter().map(|name| name.parse()).collect(),
        };
        let unknown = entry.grant_types.iter().flatten().find(|given| !GRANT_TYPES.contains(&given.as_str()));
        if let Some(unknown) = unknown {
            return Err(format!("there is no grant type \"{unknown}\""));
        }
        Ok(Self {
            name: entry.name.unwrap_or_else(|| entry.client_id.clone()),
            client_id: entry.client_id,
            secret,
            scopes: scopes.map_err(|fault: UnknownScope| fault.to_string())?,
            grant_types: entry.grant_types,
        })
    }
}
