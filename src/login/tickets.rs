//! Tickets: a random text that stands for leave to set one user's password, once.
//!
//! **Invariant:** the text goes into a link and nowhere else; the store keeps its hash. But a link in a letter
//! stays in the outbox until that is sent or removed, and for ever in the `.eml` files of `transport = "file"`.

use std::fmt;

use super::LoginError;
use crate::store::TicketHash;
use crate::tokens::{random_text, secret_hash};

/// The path of the page where passwords are set, below the public URL.
const PAGE: &str = "/u/reset-password";

/// The text of a ticket.
pub(super) struct TicketText(String);

impl TicketText {
    /// Characters of a ticket, each one of 62.
    const CHARS: usize = 32;

    /// A new one.
    pub(super) fn draw() -> Result<Self, LoginError> {
        random_text(Self::CHARS).map(Self).map_err(|error| LoginError::Crypto(error.to_string()))
    }

    /// One that was sent, if it could be one.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let is_one = text.len() == Self::CHARS && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        is_one.then(|| Self(text.to_owned()))
    }

    /// What the store knows it by.
    pub(super) fn hash(&self) -> TicketHash {
        secret_hash(&self.0)
    }

    /// What the letter with it is known by: it must be a letter's own, but lead nobody to the ticket.
    pub(super) fn message_key(&self) -> String {
        let hash = self.hash();
        hash[..12].iter().fold("reset-".to_owned(), |key, byte| format!("{key}{byte:02x}"))
    }

    /// The link that leads to the page with it.
    pub(super) fn link(&self, public_url: &str) -> String {
        format!("{public_url}{PAGE}?ticket={}", self.0)
    }
}

impl fmt::Debug for TicketText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketText(…)")
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may")]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_comes_back_from_its_link() {
        let ticket = TicketText::draw().unwrap();
        let link = ticket.link("https://users.test");
        let text = link.strip_prefix("https://users.test/u/reset-password?ticket=").unwrap();
        assert_eq!(TicketText::parse(text).unwrap().hash(), ticket.hash());
        assert_ne!(TicketText::draw().unwrap().hash(), ticket.hash());
        for wrong in ["", &text[1..], &format!("{text}a"), &format!("-{}", &text[1..]), &"é".repeat(16)] {
            assert!(TicketText::parse(wrong).is_none(), "{wrong}");
        }
        assert!(!format!("{ticket:?}").contains(text));
    }
}
