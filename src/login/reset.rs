//! How a password is set: asked for, by a link, once.

use std::time::Duration;

use url::Url;

use super::password::{Password, Turn, hash};
use super::policy::Policy;
use super::sign_in::LONGEST_NAME;
use super::tickets::TicketText;
use super::{LoginError, Logins};
use crate::domain::{Connection, Credential, Event, EventType, Origin, Owed, ResetTicket, Timestamp, User};
use crate::store::StoreError;

/// What a link is to be like that somebody else delivers.
#[derive(Debug)]
pub struct TicketWish {
    /// How long it is good.
    pub lifetime: Duration,
    /// Whether whoever uses it has shown that the user's address is theirs.
    pub proves_email: bool,
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
    /// The user whose password can be set.
    pub user: User,
    /// Which passwords are taken.
    pub policy: Policy,
    /// Where it leads afterwards.
    pub result_url: Option<Url>,
    connection: Connection,
    ticket: ResetTicket,
    text: TicketText,
}

/// A new password, typed twice.
#[derive(Debug)]
pub struct Reset {
    /// The password.
    pub password: Password,
    /// The same again.
    pub again: Password,
    /// Where the request came from.
    pub origin: Origin,
}

/// What became of it.
#[derive(Debug, PartialEq, Eq)]
pub enum Redeemed {
    /// The ticket was used meanwhile, or its user is gone.
    Gone,
    /// The password is set; where to go now, if anywhere.
    Done(Option<Url>),
}

impl Logins {
    /// Sends the user with this address a link to set a password, if there is one. Whoever asks is not told.
    /// Without mail there is no ticket, either: it would only end a link that somebody handed over.
    pub fn request_reset(
        &self,
        connection: &Connection,
        email: &str,
        origin: &Origin,
        now: Timestamp,
    ) -> Result<(), LoginError> {
        let user = self.store.user_in(connection, &email.to_lowercase())?;
        // Drawn and written in any case, so that the clock does not tell who gets it.
        let ticket = TicketText::draw()?;
        let letter = self.reset_letter(&ticket, user.as_ref().map_or(email, |user| &user.email), now);
        let told =
            |kind, description| Event::new(now, kind, description).about(connection).by(origin.clone());
        let Some(user) = user else {
            let event = told(EventType::PasswordChangeRequestFailed, "The user does not exist.");
            let event = Event { user_name: Some(email.chars().take(LONGEST_NAME).collect()), ..event };
            return Ok(self.store.tell_alone(event.into())?);
        };
        let Some(letter) = letter else {
            let event = told(EventType::PasswordChangeRequestFailed, "No letters are sent from here");
            return Ok(self.store.tell_alone(event.about_user(&user).into())?);
        };
        let event =
            told(EventType::PasswordChangeRequested, "A letter with a link was written").about_user(&user);
        let owed = Owed { events: vec![event], letters: vec![letter] };
        let ticket_of = self.mailed_ticket(&user, connection, origin.client_id.clone(), now);
        self.store.issue_ticket(ticket.hash(), &ticket_of, owed)?;
        Ok(())
    }

    /// Makes a link to set a user's password, for somebody else to deliver; `None` if the connection is gone.
    pub fn create_ticket(
        &self,
        user: &User,
        connection: &Connection,
        wish: &TicketWish,
        owed: Owed,
        now: Timestamp,
    ) -> Result<Option<String>, LoginError> {
        let text = TicketText::draw()?;
        let ticket = ResetTicket {
            user: user.id.clone(),
            connection: connection.id.clone(),
            created_at: now,
            expires_at: now.after(wish.lifetime),
            proves_email: wish.proves_email,
            result_url: wish.result_url.as_ref().map(ToString::to_string),
            include_email_in_redirect: wish.include_email_in_redirect,
            client_id: wish.client_id.clone(),
        };
        let is_issued = self.store.issue_ticket(text.hash(), &ticket, owed)?;
        Ok(is_issued.then(|| format!("{}#", text.link(&self.desk.public_url))))
    }

    /// What a ticket is for, if it is good. Looking does not use it up.
    pub fn open(&self, text: &str, now: Timestamp) -> Result<Option<Opened>, LoginError> {
        let Some(text) = TicketText::parse(text) else {
            return Ok(None);
        };
        let Some(ticket) = self.store.ticket(text.hash(), now)? else {
            return Ok(None);
        };
        let found =
            self.store.user(&ticket.user)?.filter(|(_, connection)| connection.id == ticket.connection);
        let result_url = ticket.result_url.as_deref().and_then(|url| Url::parse(url).ok());
        Ok(found.map(|(user, connection)| {
            let policy = Policy::of(&connection);
            Opened { user, policy, result_url, connection, ticket, text }
        }))
    }

    /// What is wrong with a new password, for people; nothing if it can be set. Is noted in the tenant log.
    pub fn objections(
        &self,
        opened: &Opened,
        reset: &Reset,
        now: Timestamp,
    ) -> Result<Vec<String>, LoginError> {
        let mut objections = opened.policy.broken(&reset.password, &opened.user);
        if reset.password != reset.again {
            objections.push("Both fields the same".to_owned());
        }
        if !objections.is_empty() {
            let event =
                opened.event(EventType::PasswordChangeFailed, "The password breaks rules", reset, now);
            self.store.tell(event.with("rules", objections.clone()).into())?;
        }
        Ok(objections)
    }

    /// Sets a password to which there are no objections.
    pub fn redeem(
        &self,
        opened: Opened,
        reset: &Reset,
        turn: &Turn,
        now: Timestamp,
    ) -> Result<Redeemed, LoginError> {
        let credential = Credential { hash: hash(turn, &reset.password)?, changed_at: now };
        let event = opened.event(EventType::PasswordChanged, "Password changed", reset, now);
        if !self.store.redeem_ticket(opened.text.hash(), &credential, event.into())? {
            let event =
                opened.event(EventType::PasswordChangeFailed, "The ticket was used meanwhile", reset, now);
            self.store.tell(event.into())?;
            return Ok(Redeemed::Gone);
        }
        self.attempts.forget(&opened.connection, &opened.user);
        Ok(Redeemed::Done(opened.way_on()))
    }

    /// Leave for a user who gets the link by letter, which proves the address.
    pub(super) fn mailed_ticket(
        &self,
        user: &User,
        connection: &Connection,
        client_id: Option<String>,
        now: Timestamp,
    ) -> ResetTicket {
        ResetTicket {
            user: user.id.clone(),
            connection: connection.id.clone(),
            created_at: now,
            expires_at: now.after(self.rules.reset_link_lifetime),
            proves_email: true,
            result_url: None,
            include_email_in_redirect: false,
            client_id,
        }
    }

    /// The connection in which somebody asks for a link, by its name.
    pub fn connection_named(&self, name: &str) -> Result<Option<Connection>, StoreError> {
        Ok(self.store.connection_named(name)?.filter(Connection::is_database))
    }
}

impl Opened {
    fn event(&self, kind: EventType, description: &str, reset: &Reset, now: Timestamp) -> Event {
        let origin = Origin { client_id: self.ticket.client_id.clone(), ..reset.origin.clone() };
        Event::new(now, kind, description).about(&self.connection).about_user(&self.user).by(origin)
    }

    /// Where to go afterwards, told that it went well.
    fn way_on(self) -> Option<Url> {
        let mut url = self.result_url?;
        let mut query = url.query_pairs_mut();
        if self.ticket.include_email_in_redirect {
            query.append_pair("email", &self.user.email);
        }
        query.append_pair("success", "true");
        query.append_pair("message", "You can now login to the application with the new password.");
        drop(query);
        Some(url)
    }
}
