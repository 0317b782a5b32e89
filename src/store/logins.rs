//! What users sign in with: passwords, and leave to set them.
//!
//! **Invariants:** a ticket is good once, only while it is the newest of its user, and goes in the same
//! commit as the password it set. A password stays when imports change its user, and goes with it.

use super::Store;
use super::commit::Core;
use super::connections::number_of;
use super::database::Change;
use super::error::Result;
use super::keys::{CREDENTIALS, NEWEST_RESETS, RESETS, of_user};
use super::users::alter;
use crate::domain::{Connection, ConnectionId, Credential, Owed, ResetTicket, Timestamp, UserId};

/// SHA-256 of a ticket's text.
pub type TicketHash = [u8; 32];

impl Store {
    /// The password of a user, if one was ever set.
    pub fn credential(&self, connection: &Connection, user: &UserId) -> Result<Option<Credential>> {
        let core = self.core()?;
        if number_of(&core, &connection.id) != Some(connection.number) {
            return Ok(None); // what is left of a deleted one is on its way out
        }
        CREDENTIALS.get(core.database.tree(), &[&of_user(connection.number, user.as_ref())])
    }

    /// Writes down that a user has signed in, and what is to be told of it; tells whether the user is still there.
    pub fn note_login(
        &self,
        connection: &ConnectionId,
        user: &UserId,
        ip: Option<String>,
        now: Timestamp,
        owed: Owed,
    ) -> Result<bool> {
        self.edit_user(connection, user, owed, |edit, place, _| {
            alter(edit, place, |user| {
                user.activity.last_login = Some(now);
                user.activity.last_ip = ip;
                user.activity.logins_count += 1;
                user.updated_at = now;
            })?;
            Ok(true)
        })
    }

    /// Writes down a ticket; from then on it is the user's newest, and the only one that is good.
    /// Tells whether there was a connection to write it for.
    pub fn issue_ticket(&self, hash: TicketHash, ticket: &ResetTicket, owed: Owed) -> Result<bool> {
        let core = self.core()?;
        let mut writer = core.writer.lock();
        let Some(number) = number_of(&core, &ticket.connection) else {
            return Ok(false);
        };
        let mut change = Change::default();
        put_ticket(&core, &mut change, number, hash, ticket)?;
        change.owe(owed);
        core.commit(&mut writer, change)?.done();
        Ok(true)
    }

    /// Writes down a ticket that nobody asked for, and what is owed with it. If its user has one that was
    /// made after `pause`, or a password by now, there is no ticket and no letter; events are told in any
    /// case. Tells whether the ticket was written.
    pub fn offer_ticket(
        &self,
        hash: TicketHash,
        ticket: &ResetTicket,
        pause: Timestamp,
        owed: Owed,
    ) -> Result<bool> {
        let core = self.core()?;
        let mut writer = core.writer.lock();
        let mut change = Change::default();
        let wanted = match number_of(&core, &ticket.connection) {
            Some(number) if !is_served(&core, number, &ticket.user, pause)? => Some(number),
            _ => None,
        };
        if let Some(number) = wanted {
            put_ticket(&core, &mut change, number, hash, ticket)?;
            change.owe(owed);
        } else {
            change.owe(Owed { letters: Vec::new(), ..owed });
        }
        core.commit(&mut writer, change)?.done();
        Ok(wanted.is_some())
    }

    /// Writes down what is to be told in a commit of its own. It takes as long as one with a ticket, where
    /// [`Self::tell`] would share the commit of others and show by its time that there was no ticket.
    pub fn tell_alone(&self, owed: Owed) -> Result<()> {
        let core = self.core()?;
        let mut writer = core.writer.lock();
        let mut change = Change::default();
        change.owe(owed);
        core.commit(&mut writer, change)?.done();
        Ok(())
    }

    /// The ticket with this hash, if it is still good.
    pub fn ticket(&self, hash: TicketHash, now: Timestamp) -> Result<Option<ResetTicket>> {
        let core = self.core()?;
        let ticket = RESETS.get(core.database.tree(), &[&hash])?;
        Ok(ticket.filter(|ticket| now < ticket.expires_at && number_of(&core, &ticket.connection).is_some()))
    }

    /// A user's newest ticket, good or expired.
    #[cfg(test)]
    pub(super) fn newest_ticket(
        &self,
        connection: &Connection,
        user: &UserId,
    ) -> Result<Option<ResetTicket>> {
        newest(&*self.core()?, connection.number, user)
    }

    /// Sets a user's password by a ticket, which is gone then. `false` if the ticket is not good (any
    /// more), or its user is gone.
    pub fn redeem_ticket(&self, hash: TicketHash, credential: &Credential, owed: Owed) -> Result<bool> {
        let now = credential.changed_at;
        let Some(ticket) = self.ticket(hash, now)? else {
            return Ok(false);
        };
        self.edit_user(&ticket.connection, &ticket.user, owed, |edit, place, change| {
            if RESETS.get(edit.core.database.tree(), &[&hash])?.is_none() {
                return Ok(false); // somebody was faster
            }
            let proven = ticket.proves_email.then_some(true);
            alter(edit, place, |user| {
                user.email_verified = proven.unwrap_or(user.email_verified);
                user.activity.last_password_reset = Some(now);
                user.updated_at = now;
            })?;
            drop_newest(edit.core, change, edit.connection, &ticket.user)?;
            CREDENTIALS.put(change, &[&of_user(edit.connection, ticket.user.as_ref())], credential)?;
            Ok(true)
        })
    }
}

/// Adds a ticket to `change`, and the end of the one before.
fn put_ticket(
    core: &Core,
    change: &mut Change,
    number: u32,
    hash: TicketHash,
    ticket: &ResetTicket,
) -> Result<()> {
    drop_newest(core, change, number, &ticket.user)?;
    RESETS.put(change, &[&hash], ticket)?;
    NEWEST_RESETS.put(change, &[&of_user(number, ticket.user.as_ref())], &hash)
}

fn newest(core: &Core, number: u32, user: &UserId) -> Result<Option<ResetTicket>> {
    let tree = core.database.tree();
    match NEWEST_RESETS.get(tree, &[&of_user(number, user.as_ref())])? {
        Some(hash) => RESETS.get(tree, &[&hash]),
        None => Ok(None),
    }
}

/// Whether a user needs no ticket: there is one made after `pause`, or a password.
fn is_served(core: &Core, number: u32, user: &UserId, pause: Timestamp) -> Result<bool> {
    if newest(core, number, user)?.is_some_and(|ticket| pause < ticket.created_at) {
        return Ok(true);
    }
    Ok(CREDENTIALS.get(core.database.tree(), &[&of_user(number, user.as_ref())])?.is_some())
}

/// Adds the end of a user's newest ticket to `change`.
pub(super) fn drop_newest(core: &Core, change: &mut Change, number: u32, user: &UserId) -> Result<()> {
    let key = of_user(number, user.as_ref());
    if let Some(hash) = NEWEST_RESETS.get(core.database.tree(), &[&key])? {
        RESETS.remove(change, &[&hash]);
        NEWEST_RESETS.remove(change, &[&key]);
    }
    Ok(())
}
