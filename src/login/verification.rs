//! How an address is verified: a letter with a link goes there, and whoever opens that says so, once.
//!
//! **Invariant:** a link verifies the address its letter went to, and no other that its user gets later.

use std::time::Duration;

use super::tickets::{Opened, Redeemed, TicketText, ticket};
use super::{Desk, LoginError, Logins};
use crate::domain::{
    Connection, Errand, Event, EventType, JobId, Leave, Origin, Owed, Task, TaskStage, TicketKind, Timestamp,
    User, UserTicket,
};
use crate::notify::letters::verify_email;

/// Why there is no letter.
const NO_MAIL: &str = "No letters are sent from here: mail.transport is off";

/// A letter that asks somebody to verify an address, for which only the user is still to be known: it can be
/// had before a user is made or changed, and owed in the same commit.
#[derive(Debug)]
pub struct Verification {
    desk: Desk,
    lifetime: Duration,
    origin: Origin,
    text: TicketText,
}

impl Logins {
    /// Draws a letter; `origin` tells who asks for it, and for which client.
    pub fn verification(&self, origin: Origin) -> Result<Verification, LoginError> {
        let (desk, lifetime) = (self.desk.clone(), self.rules.verification_link_lifetime);
        Ok(Verification { desk, lifetime, origin, text: TicketText::draw()? })
    }

    /// Does the job of asking a user to verify the address. Letter, link, events and the job's end are one
    /// commit, with `owed`; the letter lies in the outbox then. Where no letters are sent, the job fails.
    pub fn ask_to_verify(
        &self,
        user: &User,
        connection: &Connection,
        id: JobId,
        origin: Origin,
        owed: Owed,
        now: Timestamp,
    ) -> Result<Task, LoginError> {
        let stage = if self.desk.writes {
            TaskStage::Completed { at: now, users: 0 }
        } else {
            TaskStage::Failed { at: now, reason: NO_MAIL.to_owned() }
        };
        let what = Errand::VerificationEmail { user: user.id.clone(), connection: connection.id.clone() };
        let asked = self.verification(origin)?.owed(user, connection, Some(&id), now);
        let task = Task { id, created_at: now, what, attempts: 0, stage };
        self.store.put_task(&task, owed.and(asked))?;
        Ok(task)
    }

    /// Notes that the user's address is theirs.
    pub fn verify(&self, opened: Opened, origin: &Origin, now: Timestamp) -> Result<Redeemed, LoginError> {
        let event = opened.event(EventType::EmailVerified, "Email verified", origin, now);
        if self.store.redeem_verification(opened.text.hash(), now, event.into())? {
            return Ok(Redeemed::Done(opened.way_on()));
        }
        let event =
            opened.event(EventType::EmailVerificationFailed, "The ticket was used meanwhile", origin, now);
        self.store.tell(event.into())?;
        Ok(Redeemed::Gone)
    }
}

impl Verification {
    /// What is owed to this user: the letter, the ticket that its link stands for, and the event of it. Where no
    /// letters are sent it is the event of that alone. `job` is the one that asks, if one does.
    pub fn owed(self, user: &User, connection: &Connection, job: Option<&JobId>, now: Timestamp) -> Owed {
        let Self { desk, lifetime, origin, text } = self;
        let client_id = origin.client_id.clone();
        let told = |kind, description| {
            let event = Event::new(now, kind, description).about(connection).about_user(user).by(origin);
            match job {
                Some(id) => event.with("body", serde_json::json!({ "job_id": id })),
                None => event,
            }
        };
        if !desk.writes {
            return told(EventType::EmailVerificationRequestFailed, NO_MAIL).into();
        }
        let kind = TicketKind::VerifyEmail;
        let (link, key) = (text.link(kind, &desk.public_url), text.message_key(kind));
        let letter = verify_email(&desk, &user.email, &link, lifetime, &key, now);
        let leave = Leave::VerifyEmail { email: user.email.clone() };
        let ticket = UserTicket { client_id, ..ticket(user, connection, leave, lifetime, now) };
        Owed {
            events: vec![told(EventType::EmailVerificationRequested, "A letter with a link was written")],
            letters: vec![letter],
            tickets: vec![(text.hash(), ticket)],
        }
    }
}
