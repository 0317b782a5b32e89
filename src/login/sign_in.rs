//! A name and a password, and what becomes of them.

use super::attempts::Attempt;
use super::password::{Password, Turn, verify};
use super::tickets::TicketText;
use super::{LoginError, Logins};
use crate::domain::{Client, Connection, Credential, Event, EventType, Origin, Owed, Timestamp, User};
use crate::store::StoreError;

/// Longest name that is written down as it was typed, in characters.
pub(super) const LONGEST_NAME: usize = 254;

/// Somebody who wants to sign in.
#[derive(Debug)]
pub struct SignIn {
    /// Where the user lives.
    pub connection: Connection,
    /// Address or user name, as it was typed.
    pub name: String,
    /// The password, as it was typed.
    pub password: Password,
    /// Where the request came from, and for which client.
    pub origin: Origin,
    /// The API that the token is to be for.
    pub audience: String,
    /// What it is to allow.
    pub scope: String,
}

/// What becomes of it.
#[derive(Debug)]
pub enum Verdict {
    /// It is this user.
    Welcome(Box<User>),
    /// The password is right, but the user may not sign in.
    Blocked,
    /// No such user, or a wrong password, or there is none yet.
    Wrong,
    /// There is no password yet; told only where that is set.
    MustSetPassword {
        /// Whether a letter with a link to set one is on its way.
        is_mailed: bool,
    },
}

/// What is known of the one who wants to sign in.
enum Found {
    Right(User),
    Wrong(User),
    WithoutPassword(User),
    Nobody,
}

impl Logins {
    /// The connection that the users of a client are in: the one known as this realm, the default one, or the
    /// only one there is. `None` if there is none or it is not enabled for the client.
    pub fn connection_for(
        &self,
        client: &Client,
        realm: Option<&str>,
    ) -> Result<Option<Connection>, LoginError> {
        let mut open = self.store.connections()?;
        open.retain(|one| {
            one.is_database() && (one.is_domain_connection || one.enabled_clients.contains(&client.id))
        });
        let default = Some(&*self.rules.default_connection).filter(|name| !name.is_empty());
        Ok(match (realm, default) {
            (Some(realm), _) => open.into_iter().find(|one| one.known_as().iter().any(|name| name == realm)),
            (None, Some(name)) => open.into_iter().find(|one| one.name == name),
            (None, None) if open.len() == 1 => open.pop(),
            (None, None) => None,
        })
    }

    /// Looks at a name and a password. All that is to be told of it is one commit: the event, and for a user
    /// who has no password yet a letter with a link to set one, unless there was one lately or there is no mail.
    pub fn sign_in(
        &self,
        asked: &SignIn,
        attempt: Attempt,
        turn: &Turn,
        now: Timestamp,
    ) -> Result<Verdict, LoginError> {
        let found = self.look(asked, turn)?;
        // Drawn and written in any case, so that the clock does not tell who gets it.
        let ticket = TicketText::draw()?;
        let letter = self.reset_letter(&ticket, asked.addressee(&found), now);
        let mut owed = Owed::from(asked.event(&found, now));
        let is_right = matches!(found, Found::Right(_));
        if is_right {
            attempt.succeeded();
        } else if attempt.failed(now) {
            owed.events.push(asked.block(now));
        }
        match found {
            Found::WithoutPassword(user) => {
                owed.letters.extend(letter);
                let is_mailed = self.offer(&user, asked, &ticket, owed, now)?;
                let is_told = self.rules.explain_password_change;
                Ok(if is_told { Verdict::MustSetPassword { is_mailed } } else { Verdict::Wrong })
            }
            Found::Wrong(_) | Found::Nobody => {
                self.store.tell_alone(owed)?;
                Ok(Verdict::Wrong)
            }
            Found::Right(user) if user.blocked => {
                self.store.tell(owed)?;
                Ok(Verdict::Blocked)
            }
            Found::Right(user) => {
                let ip = asked.origin.ip.clone();
                if self.store.note_login(&asked.connection.id, &user.id, ip, now, owed)? {
                    return Ok(Verdict::Welcome(Box::new(user)));
                }
                // Deleted or blocked while the password was looked at.
                self.store.tell_alone(asked.event(&Found::Nobody, now).into())?;
                Ok(Verdict::Wrong)
            }
        }
    }

    fn look(&self, asked: &SignIn, turn: &Turn) -> Result<Found, LoginError> {
        let user = self.find(&asked.connection, &asked.name)?;
        let kept: Option<Credential> = match &user {
            Some(user) => self.store.credential(&asked.connection, &user.id)?,
            None => None,
        };
        let is_right = verify(turn, &asked.password, kept.as_ref().map(|kept| &*kept.hash))?;
        Ok(match (user, kept) {
            (Some(user), _) if is_right => Found::Right(user),
            (Some(user), Some(_)) => Found::Wrong(user),
            (Some(user), None) => Found::WithoutPassword(user),
            (None, _) => Found::Nobody,
        })
    }

    /// Offers a user a ticket, if a letter is owed that takes it there; one that nobody gets would only end the
    /// link that somebody handed over. Tells whether the letter was written.
    fn offer(
        &self,
        user: &User,
        asked: &SignIn,
        ticket: &TicketText,
        owed: Owed,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        if owed.letters.is_empty() {
            self.store.tell_alone(owed)?;
            return Ok(false);
        }
        let leave = self.mailed_ticket(user, &asked.connection, asked.origin.client_id.clone(), now);
        self.store.offer_ticket(ticket.hash(), leave, self.rules.reset_mail_pause, owed)
    }
}

impl SignIn {
    fn event(&self, found: &Found, now: Timestamp) -> Event {
        let (kind, description) = match found {
            Found::Right(user) if user.blocked => (EventType::LoginFailed, "user is blocked"),
            Found::Right(_) => (EventType::Login, "Successful login"),
            Found::Wrong(_) => (EventType::WrongPassword, "Wrong email or password."),
            Found::WithoutPassword(_) => (EventType::WrongPassword, "Password change required"),
            Found::Nobody => (EventType::UnknownUser, "Wrong email or password."),
        };
        let event = self.told(kind, description, now);
        match found {
            Found::Right(user) | Found::Wrong(user) | Found::WithoutPassword(user) => event.about_user(user),
            Found::Nobody => event,
        }
    }

    fn block(&self, now: Timestamp) -> Event {
        let description = "Too many failed sign-ins: no more are taken from this address for a while";
        self.told(EventType::LoginBlocked, description, now)
    }

    fn told(&self, kind: EventType, description: &str, now: Timestamp) -> Event {
        let event = Event::new(now, kind, description).about(&self.connection).by(self.origin.clone());
        Event {
            user_name: Some(self.name.chars().take(LONGEST_NAME).collect()),
            audience: Some(self.audience.clone()),
            scope: Some(self.scope.clone()).filter(|scope| !scope.is_empty()),
            ..event
        }
    }

    fn addressee<'a>(&'a self, found: &'a Found) -> &'a str {
        match found {
            Found::Right(user) | Found::Wrong(user) | Found::WithoutPassword(user) => &user.email,
            Found::Nobody => &self.name,
        }
    }
}
