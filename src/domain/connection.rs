//! Connections (where users live) and clients (who may ask for tokens).

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use thiserror::Error;

use super::{ConnectionId, GrantId};

/// The strategy of connections that hold users of their own; only these take imports.
pub const DATABASE_STRATEGY: &str = "auth0";

/// The option of a database that says how good passwords have to be.
pub const PASSWORD_POLICY: &str = "passwordPolicy";

/// Its values, from any password to excellent ones.
pub const PASSWORD_POLICIES: [&str; 5] = ["none", "low", "fair", "good", "excellent"];

/// The option of a database that says whether users have user names.
const REQUIRES_USERNAME: &str = "requires_username";

/// The ways to ask for tokens that a client may be allowed. Most belong to sign-in pages, which are not
/// here; they are kept with clients all the same.
pub const GRANT_TYPES: [&str; 12] = [
    "client_credentials",
    "password",
    "http://auth0.com/oauth/grant-type/password-realm",
    "authorization_code",
    "implicit",
    "refresh_token",
    "http://auth0.com/oauth/grant-type/mfa-oob",
    "http://auth0.com/oauth/grant-type/mfa-otp",
    "http://auth0.com/oauth/grant-type/mfa-recovery-code",
    "http://auth0.com/oauth/grant-type/passwordless/otp",
    "urn:ietf:params:oauth:grant-type:device_code",
    "urn:ietf:params:oauth:grant-type:token-exchange",
];

/// The name of a connection: letters and digits, with single hyphens inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionName(String);

/// Why a text is no name of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ConnectionNameFault {
    /// More characters than [`ConnectionName::MAX_CHARS`].
    #[error("String is too long ({0} chars), maximum {max}", max = ConnectionName::MAX_CHARS)]
    TooLong(usize),
    /// Anything but letters, digits and single hyphens inside.
    #[error("String does not match pattern {pattern}", pattern = ConnectionName::PATTERN)]
    Malformed,
}

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
    type Err = ConnectionNameFault;
    fn from_str(text: &str) -> Result<Self, ConnectionNameFault> {
        let is_word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric());
        match text.chars().count() {
            length if Self::MAX_CHARS < length => Err(ConnectionNameFault::TooLong(length)),
            _ if text.split('-').all(is_word) => Ok(Self(text.to_owned())),
            _ => Err(ConnectionNameFault::Malformed),
        }
    }
}

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
    /// Whether a sign-in page is to have a button for it; kept for those who ask.
    #[serde(default)]
    pub show_as_button: Option<bool>,
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
            show_as_button: None,
            options: default_options(),
            realms: Vec::new(),
            metadata: Map::new(),
        }
    }

    /// Whether it holds users of its own.
    pub fn is_database(&self) -> bool {
        self.strategy == DATABASE_STRATEGY
    }

    /// The names it is known by to `password-realm`.
    pub fn known_as(&self) -> &[String] {
        if self.realms.is_empty() { std::slice::from_ref(&self.name) } else { &self.realms }
    }

    /// Whether it goes by a name that is the other's.
    pub fn clashes_with(&self, other: &Self) -> bool {
        self.name == other.name || self.known_as().iter().any(|name| other.known_as().contains(name))
    }

    /// Whether its users have user names that are given one by one; imports bring theirs in any case.
    pub fn requires_username(&self) -> bool {
        self.options.get(REQUIRES_USERNAME).and_then(Value::as_bool).unwrap_or(false)
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
        (PASSWORD_POLICY, Value::from("good")),
        ("brute_force_protection", Value::from(true)),
    ];
    options.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// An application that may ask for tokens.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
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

impl std::fmt::Debug for Client {
    /// Without the hash: a short secret could be found from it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("id", &self.id).field("name", &self.name).finish_non_exhaustive()
    }
}

impl Client {
    /// Whether it may ask for tokens in this way. One of which nothing is said may do so in any.
    pub fn may_use(&self, grant_type: &str) -> bool {
        let Some(Value::Array(allowed)) = self.settings.get("grant_types") else {
            return true;
        };
        allowed.iter().any(|one| one == grant_type)
    }

    /// Whether it runs where no secret can be kept, and so need not prove itself by one.
    pub fn is_public(&self) -> bool {
        let text = |name| self.settings.get(name).and_then(Value::as_str);
        match text("token_endpoint_auth_method") {
            Some(method) => method == "none",
            None => matches!(text("app_type"), Some("native" | "spa")),
        }
    }
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

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may")]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_words_with_single_hyphens_between_them() {
        let long = "a".repeat(ConnectionName::MAX_CHARS);
        for good in ["a", "Staff-db", "a-1-b", &long] {
            assert_eq!(good.parse::<ConnectionName>().unwrap().as_str(), good);
        }
        for bad in ["", "-a", "a-", "a--b", "a b", "a_b", "\u{e4}"] {
            assert_eq!(bad.parse::<ConnectionName>(), Err(ConnectionNameFault::Malformed), "{bad}");
        }
        assert_eq!(format!("{long}a").parse::<ConnectionName>(), Err(ConnectionNameFault::TooLong(129)));
    }

    #[test]
    fn connections_clash_by_any_name_they_are_known_by() {
        let id: ConnectionId = "con_8dQ2xYz0aBcD1eFg".parse().unwrap();
        let one = |name: &str, realms: &[&str]| Connection {
            realms: realms.iter().map(|realm| (*realm).to_owned()).collect(),
            ..Connection::database(id.clone(), name.to_owned(), Vec::new())
        };
        assert!(one("a", &[]).clashes_with(&one("a", &["b"])));
        assert!(one("a", &["x", "y"]).clashes_with(&one("b", &["y"])));
        assert!(one("a", &[]).clashes_with(&one("b", &["a"])));
        assert!(!one("a", &["x"]).clashes_with(&one("b", &["a"])));
        assert!(!one("a", &[]).clashes_with(&one("b", &[])));
    }
}
