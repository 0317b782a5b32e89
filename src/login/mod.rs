//! Signing in with a password, and setting one.
//!
//! | file | owns |
//! |---|---|
//! | `password` | hashing, and how much of it happens at once; argon2 is named there alone |
//! | `policy` | which passwords a connection takes |
//! | `attempts` | who has guessed too often, and who asks for too many letters; in memory |
//! | `tickets` | links that somebody may do something with, once: the secret in them, and where they lead |
//! | `sign_in` | what becomes of a name and a password |
//! | `reset` | how a password is set |
//! | `verification` | how an address is verified |
//!
//! **Invariants:** a wrong password, a user nobody knows and a user who never set a password cost the same:
//! one hash, one commit of its own. No password is kept, and no ticket but in a letter that waits; hashes of
//! them are. A change of a password, the
//! end of its ticket and the event of it are one commit. Time comes as an argument.
//!
//! Deliberately absent: HTTP, sessions, and failed attempts that outlive the process.

mod attempts;
mod password;
mod policy;
mod reset;
mod sign_in;
mod tickets;
mod verification;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use crate::domain::{Connection, Credential, Timestamp, User, Username};
pub use crate::notify::letters::Desk;
use crate::store::{Store, StoreError};
pub use attempts::{Allowance, Attempt, TooMany};
use attempts::{Attempts, Limits, Paces, Who};
use password::Passwords;
pub use password::{Password, Turn};
pub use policy::Policy;
pub use reset::Reset;
pub use sign_in::{SignIn, Verdict};
pub use tickets::{Opened, Redeemed, TicketWish};
pub use verification::Verification;

/// What can be set about signing in.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Name of the connection of users who name none; empty: the only one there is.
    pub default_connection: String,
    /// Whether a user without a password is told so.
    pub explain_password_change: bool,
    /// Failures of one user from one address until that is blocked.
    pub max_failures: usize,
    /// Failures from one address until that is blocked.
    pub max_address_failures: usize,
    /// How long a block lasts.
    pub block_for: Duration,
    /// Pause between two reset letters that nobody asked for.
    pub reset_mail_pause: Duration,
    /// How long the link in a reset letter is good.
    pub reset_link_lifetime: Duration,
    /// How long the link in a letter is good that asks to verify an address.
    pub verification_link_lifetime: Duration,
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum LoginError {
    /// The store refuses or fails.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The crypto library or the system's randomness fails.
    #[error("{0}")]
    Crypto(String),
}

/// Signs users in and sets their passwords; shared by reference, safe to call from any thread.
#[derive(Debug)]
pub struct Logins {
    store: Arc<Store>,
    rules: Rules,
    desk: Desk,
    passwords: Passwords,
    attempts: Attempts,
    paces: Paces,
}

impl Logins {
    /// Users of `store`, who get their letters from `desk`.
    pub fn new(store: Arc<Store>, rules: Rules, desk: Desk) -> Self {
        let limits = Limits {
            failures: rules.max_failures,
            address_failures: rules.max_address_failures,
            block_for: rules.block_for,
        };
        let (passwords, attempts, paces) = (Passwords::default(), Attempts::new(limits), Paces::default());
        Self { store, rules, desk, passwords, attempts, paces }
    }

    /// The rules.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Leave to try a password, after the pause that it tells.
    pub fn attempt(
        &self,
        address: Option<IpAddr>,
        connection: &Connection,
        name: &str,
        now: Timestamp,
    ) -> Result<Attempt, TooMany> {
        self.attempts.begin(Who::new(address, connection, name), now)
    }

    /// Leave to ask for a reset letter.
    pub fn pace(
        &self,
        address: Option<IpAddr>,
        connection: &Connection,
        email: &str,
        now: Timestamp,
    ) -> Allowance {
        self.paces.step(Who::new(address, connection, email), now)
    }

    /// Leave to hash a password; `None` if too many others wait for theirs.
    pub async fn turn(&self) -> Option<Turn> {
        self.passwords.turn().await
    }

    /// What is kept of a password that somebody else has set for a user.
    pub fn credential(
        &self,
        turn: &Turn,
        password: &Password,
        now: Timestamp,
    ) -> Result<Credential, LoginError> {
        Ok(Credential { hash: password::hash(turn, password)?, changed_at: now })
    }

    /// Forgets that a user who has a new password gave wrong ones before.
    pub fn forgive(&self, connection: &Connection, user: &User) {
        self.attempts.forget(connection, user);
    }

    /// The user of a connection with this address or user name.
    fn find(&self, connection: &Connection, name: &str) -> Result<Option<User>, StoreError> {
        if let Some(user) = self.store.user_in(connection, &name.to_lowercase())? {
            return Ok(Some(user));
        }
        match Username::parse(name) {
            Ok(name) => self.store.user_named_in(connection, name.as_str()),
            Err(_) => Ok(None),
        }
    }
}
