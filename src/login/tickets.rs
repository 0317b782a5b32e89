//! Tickets: a random text that stands for leave to do something for one user, once.
//!
//! **Invariant:** the text goes into a link and nowhere else; the store keeps its hash. But a link in a letter
//! stays in the outbox until that is sent or removed, and for ever in the `.eml` files of `transport = "file"`.
//!
//! Deliberately absent: what a ticket is used for, which `reset` and `verification` know.

use std::fmt;
use std::time::Duration;

use url::Url;

use super::policy::Policy;
use super::{LoginError, Logins};
use crate::domain::{
    Connection, Event, EventType, Leave, Origin, Owed, TicketHash, TicketKind, Timestamp, User, UserTicket,
};
use crate::tokens::{random_text, secret_hash};

/// What a link is to be like that somebody else delivers.
#[derive(Debug)]
pub struct TicketWish {
    /// How long it is good.
    pub lifetime: Duration,
    /// Where to go afterwards.
    pub result_url: Option<Url>,
    /// Whether that URL is told the user's address.
    pub include_email_in_redirect: bool,
    /// The client it is for.
    pub client_id: Option<String>,
}

/// A ticket that is good, and what it is for.
#[derive(Debug)]
pub struct Opened {
    /// The user it is for.
    pub user: User,
    /// Where it leads afterwards.
    pub result_url: Option<Url>,
    pub(super) connection: Connection,
    pub(super) ticket: UserTicket,
    pub(super) text: TicketText,
}

/// What became of a ticket that was good a moment ago.
#[derive(Debug, PartialEq, Eq)]
pub enum Redeemed {
    /// It was used meanwhile, or its user is gone.
    Gone,
    /// What it allowed is done; where to go now, if anywhere.
    Done(Option<Url>),
}

impl Logins {
    /// Makes a link for a user, for somebody else to deliver; `None` if the connection is gone.
    pub fn create_ticket(
        &self,
        user: &User,
        connection: &Connection,
        leave: Leave,
        wish: &TicketWish,
        owed: Owed,
        now: Timestamp,
    ) -> Result<Option<String>, LoginError> {
        let text = TicketText::draw()?;
        let ticket = UserTicket {
            result_url: wish.result_url.as_ref().map(ToString::to_string),
            include_email_in_redirect: wish.include_email_in_redirect,
            client_id: wish.client_id.clone(),
            ..ticket(user, connection, leave, wish.lifetime, now)
        };
        let link = text.link(ticket.leave.kind(), &self.desk.public_url);
        let is_issued = self.store.issue_ticket(text.hash(), ticket, owed)?;
        Ok(is_issued.then(|| format!("{link}#")))
    }

    /// What a ticket is for, if it is of this kind and good. Looking does not use it up.
    pub fn open(&self, text: &str, kind: TicketKind, now: Timestamp) -> Result<Option<Opened>, LoginError> {
        let Some(text) = TicketText::parse(text) else {
            return Ok(None);
        };
        let Some(ticket) = self.store.ticket(text.hash(), kind, now)? else {
            return Ok(None);
        };
        let found = self.store.user(&ticket.user)?;
        let found = found
            .filter(|(user, connection)| connection.id == ticket.connection && ticket.leave.holds_for(user));
        let result_url = ticket.result_url.as_deref().and_then(|url| Url::parse(url).ok());
        Ok(found.map(|(user, connection)| Opened { user, result_url, connection, ticket, text }))
    }
}

impl Opened {
    /// Which passwords the user may have.
    pub fn policy(&self) -> Policy {
        Policy::of(&self.connection)
    }

    /// An event about its user.
    pub(super) fn event(&self, kind: EventType, description: &str, origin: &Origin, now: Timestamp) -> Event {
        let origin = Origin { client_id: self.ticket.client_id.clone(), ..origin.clone() };
        Event::new(now, kind, description).about(&self.connection).about_user(&self.user).by(origin)
    }

    /// Where to go afterwards, told what became of it.
    pub(super) fn way_on(self) -> Option<Url> {
        let mut url = self.result_url?;
        let mut query = url.query_pairs_mut();
        let kind = self.ticket.leave.kind();
        if kind == TicketKind::VerifyEmail {
            query.append_pair("supportSignUp", "true");
            query.append_pair("supportForgotPassword", "true");
        }
        if self.ticket.include_email_in_redirect {
            query.append_pair("email", &self.user.email);
        }
        query.append_pair("success", "true");
        match kind {
            TicketKind::SetPassword => {
                query.append_pair("message", "You can now login to the application with the new password.");
            }
            TicketKind::VerifyEmail => {
                query.append_pair("code", "success");
                query.append_pair(
                    "message",
                    "Your email was verified. You can continue using the application.",
                );
            }
        }
        drop(query);
        Some(url)
    }
}

/// A ticket that leads nowhere afterwards.
pub(super) fn ticket(
    user: &User,
    connection: &Connection,
    leave: Leave,
    lifetime: Duration,
    now: Timestamp,
) -> UserTicket {
    UserTicket {
        user: user.id.clone(),
        connection: connection.id.clone(),
        leave,
        created_at: now,
        expires_at: now.after(lifetime),
        result_url: None,
        include_email_in_redirect: false,
        client_id: None,
    }
}

/// The path of the page for tickets of a kind, below the public URL, and how the ids of letters with them begin.
const fn page(kind: TicketKind) -> (&'static str, &'static str) {
    match kind {
        TicketKind::SetPassword => ("/u/reset-password", "reset"),
        TicketKind::VerifyEmail => ("/u/email-verification", "verify"),
    }
}

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
    pub(super) fn message_key(&self, kind: TicketKind) -> String {
        let hash = self.hash();
        let start = format!("{}-", page(kind).1);
        hash[..12].iter().fold(start, |key, byte| format!("{key}{byte:02x}"))
    }

    /// The link that leads to the page with it.
    pub(super) fn link(&self, kind: TicketKind, public_url: &str) -> String {
        format!("{public_url}{}?ticket={}", page(kind).0, self.0)
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
        let link = ticket.link(TicketKind::SetPassword, "https://users.test");
        let text = link.strip_prefix("https://users.test/u/reset-password?ticket=").unwrap();
        assert_eq!(TicketText::parse(text).unwrap().hash(), ticket.hash());
        assert_ne!(TicketText::draw().unwrap().hash(), ticket.hash());
        for wrong in ["", &text[1..], &format!("{text}a"), &format!("-{}", &text[1..]), &"é".repeat(16)] {
            assert!(TicketText::parse(wrong).is_none(), "{wrong}");
        }
        assert!(!format!("{ticket:?}").contains(text));
    }
}
