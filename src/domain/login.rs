//! What a user signs in with.

use serde::{Deserialize, Serialize};

use super::{ConnectionId, Timestamp, UserId};

/// A user's password, hashed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    /// In the PHC string format.
    pub hash: String,
    /// When it was set.
    pub changed_at: Timestamp,
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credential").field("changed_at", &self.changed_at).finish_non_exhaustive()
    }
}

/// Leave to set a user's password once. The text of the ticket itself is kept as a hash only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResetTicket {
    /// Whose password.
    pub user: UserId,
    /// Where that user lives.
    pub connection: ConnectionId,
    /// When it was made.
    pub created_at: Timestamp,
    /// Until when it is good.
    pub expires_at: Timestamp,
    /// Whether it went to the user's mailbox, or proves in another way that the address is theirs.
    pub proves_email: bool,
    /// Where to go afterwards.
    pub result_url: Option<String>,
    /// Whether that URL is told the user's address.
    pub include_email_in_redirect: bool,
    /// The client it was asked for.
    pub client_id: Option<String>,
}
