//! How a password is set: asked for, by a link, once.

use super::password::{Password, Turn, hash};
use super::sign_in::LONGEST_NAME;
use super::tickets::{Opened, Redeemed, TicketText, ticket};
use super::{LoginError, Logins};
use crate::domain::{
    Connection, Credential, Event, EventType, Leave, Letter, Origin, Owed, TicketKind, Timestamp, User,
    UserTicket,
};
use crate::notify::letters::reset_password;
use crate::store::StoreError;

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
        let owed = Owed { events: vec![event], letters: vec![letter], ..Owed::nothing() };
        let leave = self.mailed_ticket(&user, connection, origin.client_id.clone(), now);
        self.store.issue_ticket(ticket.hash(), leave, owed)?;
        Ok(())
    }

    /// What is wrong with a new password, for people; nothing if it can be set. Is noted in the tenant log.
    pub fn objections(
        &self,
        opened: &Opened,
        reset: &Reset,
        now: Timestamp,
    ) -> Result<Vec<String>, LoginError> {
        let mut objections = opened.policy().broken(&reset.password, &opened.user);
        if reset.password != reset.again {
            objections.push("Both fields the same".to_owned());
        }
        if !objections.is_empty() {
            let event = opened.event(
                EventType::PasswordChangeFailed,
                "The password breaks rules",
                &reset.origin,
                now,
            );
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
        let event = opened.event(EventType::PasswordChanged, "Password changed", &reset.origin, now);
        if !self.store.redeem_ticket(opened.text.hash(), &credential, event.into())? {
            let event = opened.event(
                EventType::PasswordChangeFailed,
                "The ticket was used meanwhile",
                &reset.origin,
                now,
            );
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
    ) -> UserTicket {
        let leave = Leave::SetPassword { proves_email: true, email: user.email.clone() };
        UserTicket { client_id, ..ticket(user, connection, leave, self.rules.reset_link_lifetime, now) }
    }

    /// The letter with a link to set a password, if letters are written at all.
    pub(super) fn reset_letter(&self, ticket: &TicketText, to: &str, now: Timestamp) -> Option<Letter> {
        let kind = TicketKind::SetPassword;
        let link = ticket.link(kind, &self.desk.public_url);
        let (lifetime, key) = (self.rules.reset_link_lifetime, ticket.message_key(kind));
        self.desk.writes.then(|| reset_password(&self.desk, to, &link, lifetime, &key, now))
    }

    /// The connection in which somebody asks for a link, by its name.
    pub fn connection_named(&self, name: &str) -> Result<Option<Connection>, StoreError> {
        Ok(self.store.connection_named(name)?.filter(Connection::is_database))
    }
}
