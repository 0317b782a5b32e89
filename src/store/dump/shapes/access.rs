//! Who may ask for tokens, where users live, and the key that signs.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Fault, Hex, Line, is_false, read};
use crate::domain::{Client, ClientGrant, Connection};

/// A file with a private key.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct SigningKeyLine {
    pub(in super::super) file: String,
    pub(in super::super) pem: String,
}

impl Line for SigningKeyLine {
    const KIND: &'static str = "signing_key";
}

/// A client.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct ClientLine {
    id: String,
    name: String,
    secret_sha256: Hex,
    settings: Map<String, Value>,
}

impl Line for ClientLine {
    const KIND: &'static str = "client";
}

impl From<Client> for ClientLine {
    fn from(client: Client) -> Self {
        let Client { id, name, secret_hash, settings } = client;
        Self { id, name, secret_sha256: Hex(secret_hash), settings }
    }
}

impl From<ClientLine> for Client {
    fn from(line: ClientLine) -> Self {
        let ClientLine { id, name, secret_sha256: Hex(secret_hash), settings } = line;
        Self { id, name, secret_hash, settings }
    }
}

/// What a client may ask for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct GrantLine {
    id: String,
    client_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    audience: Option<String>,
    scope: Vec<String>,
}

impl Line for GrantLine {
    const KIND: &'static str = "client_grant";
}

impl From<ClientGrant> for GrantLine {
    fn from(grant: ClientGrant) -> Self {
        let ClientGrant { id, client_id, audience, scope } = grant;
        Self { id: id.to_string(), client_id, audience, scope }
    }
}

impl TryFrom<GrantLine> for ClientGrant {
    type Error = Fault;
    fn try_from(line: GrantLine) -> Result<Self, Fault> {
        let GrantLine { id, client_id, audience, scope } = line;
        Ok(Self { id: read("id", &id)?, client_id, audience, scope })
    }
}

/// A connection.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct ConnectionLine {
    id: String,
    number: u32,
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    display_name: Option<String>,
    strategy: String,
    enabled_clients: Vec<String>,
    #[serde(default, skip_serializing_if = "is_false")]
    is_domain_connection: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    show_as_button: Option<bool>,
    #[serde(default)]
    options: Map<String, Value>,
    #[serde(default)]
    realms: Vec<String>,
    #[serde(default)]
    metadata: Map<String, Value>,
}

impl Line for ConnectionLine {
    const KIND: &'static str = "connection";
}

impl From<&Connection> for ConnectionLine {
    fn from(connection: &Connection) -> Self {
        let connection = connection.clone();
        Self {
            id: connection.id.to_string(),
            number: connection.number,
            name: connection.name,
            display_name: connection.display_name,
            strategy: connection.strategy,
            enabled_clients: connection.enabled_clients,
            is_domain_connection: connection.is_domain_connection,
            show_as_button: connection.show_as_button,
            options: connection.options,
            realms: connection.realms,
            metadata: connection.metadata,
        }
    }
}

impl TryFrom<ConnectionLine> for Connection {
    type Error = Fault;
    fn try_from(line: ConnectionLine) -> Result<Self, Fault> {
        Ok(Self {
            number: line.number,
            id: read("id", &line.id)?,
            name: line.name,
            display_name: line.display_name,
            strategy: line.strategy,
            enabled_clients: line.enabled_clients,
            is_domain_connection: line.is_domain_connection,
            show_as_button: line.show_as_button,
            options: line.options,
            realms: line.realms,
            metadata: line.metadata,
        })
    }
}
