//! Connections (where users live) and clients (who may ask for tokens).

use serde::{Deserialize, Serialize};

use super::ConnectionId;

/// The strategy of connections that hold users of their own; only these take imports.
pub const DATABASE_STRATEGY: &str = "auth0";

/// A user store as clients of the API see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// Number used in the store's keys; never used again.
    pub number: u32,
    /// Id used in the API.
    pub id: ConnectionId,
    /// Unique name.
    pub name: String,
    /// `auth0` for a database.
    pub strategy: String,
    /// Ids of the clients it is enabled for.
    pub enabled_clients: Vec<String>,
}

impl Connection {
    /// Whether it holds users of its own.
    pub fn is_database(&self) -> bool {
        self.strategy == DATABASE_STRATEGY
    }
}

/// An application that may ask for tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// Public id.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// SHA-256 of the secret; the secret itself is random and not kept.
    pub secret_hash: [u8; 32],
    /// What its tokens may do.
    pub scopes: Vec<String>,
}
