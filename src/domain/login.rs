//! What a user signs in with, and leave to set it or to verify an address.

use serde::{Deserialize, Serialize};

use super::{ConnectionId, Timestamp, User, UserId};

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

/// SHA-256 of the text of a ticket, which itself is nowhere but in a link.
pub type TicketHash = [u8; 32];

/// Leave to do something for one user, once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserTicket {
    /// For which user.
    pub user: UserId,
    /// Where that user lives.
    pub connection: ConnectionId,
    /// To do what.
    pub leave: Leave,
    /// When it was made.
    pub created_at: Timestamp,
    /// Until when it is good.
    pub expires_at: Timestamp,
    /// Where to go afterwards.
    pub result_url: Option<String>,
    /// Whether that URL is told the user's address.
    pub include_email_in_redirect: bool,
    /// The client it was asked for.
    pub client_id: Option<String>,
}

impl UserTicket {
    /// Whether it has not expired, nor seems good for more than twice as long as it ever was to be: then
    /// the clock was far ahead when it was made.
    pub fn is_good_at(&self, now: Timestamp) -> bool {
        let lifetime = self.expires_at.since(self.created_at);
        now < self.expires_at && self.expires_at.since(now) <= 2 * lifetime
    }
}

/// What a ticket allows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Leave {
    /// To set the password.
    SetPassword {
        /// Whether it went to the user's mailbox, or proves in another way that the address is theirs.
        proves_email: bool,
        /// The user's address when it was made; it ends with that.
        email: String,
    },
    /// To say that an address is the user's own.
    VerifyEmail {
        /// This one, and none that the user gets later.
        email: String,
    },
}

/// Kinds of tickets. A user has one good ticket of each at most: the newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TicketKind {
    /// [`Leave::SetPassword`]
    SetPassword,
    /// [`Leave::VerifyEmail`]
    VerifyEmail,
}

impl TicketKind {
    /// Every kind there is.
    pub const ALL: [Self; 2] = [Self::SetPassword, Self::VerifyEmail];
}

impl Leave {
    /// What kind of ticket has it.
    pub const fn kind(&self) -> TicketKind {
        match self {
            Self::SetPassword { .. } => TicketKind::SetPassword,
            Self::VerifyEmail { .. } => TicketKind::VerifyEmail,
        }
    }

    /// Whether it holds for the user as it is now.
    pub fn holds_for(&self, user: &User) -> bool {
        let (Self::SetPassword { email, .. } | Self::VerifyEmail { email }) = self;
        *email == user.email
    }
}
