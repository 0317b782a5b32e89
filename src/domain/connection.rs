//! Connections (where users live) and clients (who may ask for tokens).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{ConnectionId, GrantId};

/// The strategy of connections that hold users of their own; only these take imports.
pub const DATABASE_STRATEGY: &str = "auth0";

/// A user store as clients of the API see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Connection {
    /// Number used in the store's keys; never used again.
    pub number: u32,
    /// Id used in the API.
    pub id: ConnectionId,
    /// Unique name.
    pub name: String,
    /// Another name, for people.
    #[serde(default)]
    pub display_name: Option<String>,
    /// `auth0` for a database.
    pub strategy: String,
    /// Ids of the clients it is enabled for.
    pub enabled_clients: Vec<String>,
    /// Whether it counts as enabled without any client.
    #[serde(default)]
    pub is_domain_connection: bool,
    /// What can be set of it, as it was given; the settings that matter here have methods.
    #[serde(default)]
    pub options: Map<String, Value>,
    /// Names it is known by to `password-realm`; none is its own name.
    #[serde(default)]
    pub realms: Vec<String>,
    /// Texts that clients keep with it.
    #[serde(default)]
    pub metadata: Map<String, Value>,
}

impl Connection {
    /// A database with the default options; its number is given by the store.
    pub fn database(id: ConnectionId, name: String, enabled_clients: Vec<String>) -> Self {
        Self {
            number: 0,
            id,
            name,
            display_name: None,
            strategy: DATABASE_STRATEGY.to_owned(),
            enabled_clients,
            is_domain_connection: false,
            options: default_options(),
            realms: Vec::new(),
            metadata: Map::new(),
        }
    }

    /// Whether it holds users of its own.
    pub fn is_database(&self) -> bool {
        self.strategy == DATABASE_STRATEGY
    }

    /// Whether it takes imports and sign-ins at all.
    pub fn is_enabled(&self) -> bool {
        self.is_domain_connection || !self.enabled_clients.is_empty()
    }
}

/// What a database has where nothing is said.
pub fn default_options() -> Map<String, Value> {
    let options = [
        ("strategy_version", Value::from(2)),
        ("passwordPolicy", Value::from("good")),
        ("brute_force_protection", Value::from(true)),
    ];
    options.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// An application that may ask for tokens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Client {
    /// Public id.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// SHA-256 of the secret; the secret itself is random and not kept.
    pub secret_hash: [u8; 32],
    /// What else can be set of it, as it was given, e.g. `description` and `grant_types`.
    #[serde(default)]
    pub settings: Map<String, Value>,
}

/// What a client's own tokens for an API may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientGrant {
    /// Id used in the API.
    pub id: GrantId,
    /// Whose.
    pub client_id: String,
    /// For which API; `None` for this server's own, whatever its URL.
    pub audience: Option<String>,
    /// What tokens may do, in the order given.
    pub scope: Vec<String>,
}
