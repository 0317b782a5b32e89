//! What a token may do, and how it is signed.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Defines [`Scope`] from the table of its names.
macro_rules! scopes {
    ($($name:ident => $text:literal,)+) => {
        /// One permission of the API.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Scope {
            $(#[doc = concat!("`", $text, "`")] $name,)+
        }

        impl Scope {
            /// Every scope there is. Some belong to endpoints still to come, so that a token of
            /// all scopes stays one.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The scope as it stands in tokens.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }
    };
}

scopes! {
    CreateUsers => "create:users",
    ReadUsers => "read:users",
    UpdateUsers => "update:users",
    UpdateUsersAppMetadata => "update:users_app_metadata",
    DeleteUsers => "delete:users",
    CreateConnections => "create:connections",
    ReadConnections => "read:connections",
    UpdateConnections => "update:connections",
    DeleteConnections => "delete:connections",
    CreateClients => "create:clients",
    ReadClients => "read:clients",
    UpdateClients => "update:clients",
    DeleteClients => "delete:clients",
    ReadClientKeys => "read:client_keys",
    UpdateClientKeys => "update:client_keys",
    CreateClientGrants => "create:client_grants",
    ReadClientGrants => "read:client_grants",
    UpdateClientGrants => "update:client_grants",
    DeleteClientGrants => "delete:client_grants",
    ReadLogs => "read:logs",
    ReadLogsUsers => "read:logs_users",
    CreateLogStreams => "create:log_streams",
    ReadLogStreams => "read:log_streams",
    UpdateLogStreams => "update:log_streams",
    DeleteLogStreams => "delete:log_streams",
    CreateUserTickets => "create:user_tickets",
    ReadResourceServers => "read:resource_servers",
    ReadActions => "read:actions",
    ReadDirectoryProvisionings => "read:directory_provisionings",
    ReadStats => "read:stats",
    ReadOutbox => "read:outbox",
    UpdateOutbox => "update:outbox",
    CreateBackups => "create:backups",
}

/// A text that is none of the [`Scope::ALL`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("there is no scope \"{0}\"")]
pub struct UnknownScope(
    /// What was given.
    pub String,
);

impl FromStr for Scope {
    type Err = UnknownScope;
    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        let found = Self::ALL.iter().find(|scope| scope.name() == text);
        found.copied().ok_or_else(|| UnknownScope(text.to_owned()))
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How tokens are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SigningAlgorithm {
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// RSA of 2048 bits (PKCS#1 v1.5) with SHA-256.
    Rs256,
}

/// A text that names no [`SigningAlgorithm`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("expected ES256 or RS256")]
pub struct UnknownAlgorithm;

impl FromStr for SigningAlgorithm {
    type Err = UnknownAlgorithm;
    fn from_str(text: &str) -> Result<Self, UnknownAlgorithm> {
        match text {
            "ES256" => Ok(Self::Es256),
            "RS256" => Ok(Self::Rs256),
            _ => Err(UnknownAlgorithm),
        }
    }
}

impl fmt::Display for SigningAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
        })
    }
}
