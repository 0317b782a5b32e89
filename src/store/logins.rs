//! What users sign in with: passwords, and tickets: leave to set them, or to verify an address.
//!
//! **Invariants:** a ticket is good once, for its own purpose, only while it is the newest of its kind that its
//! user has, and goes in the same commit as what it was used for. All go when the user does, or gets another
//! address. A password stays when imports change its user, and goes with it.

use std::collections::HashMap;
use std::time::Duration;

use super::Store;
use super::commit::Core;
use super::connections::number_of;
use super::database::Change;
use super::error::Result;
use super::keys::{CREDENTIALS, NEWEST_TICKETS, TICKETS, newest_of, of_user};
use super::users::alter;
use crate::domain::{
    Connection, ConnectionId, Credential, Leave, Owed, TicketHash, TicketKind, Timestamp, User, UserId,
    UserTicket,
};

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
            let mut is_blocked = false;
            alter(edit, place, |user| {
                is_blocked = user.blocked;
                user.activity.last_login = Some(now);
                user.activity.last_ip = ip;
                user.activity.logins_count += 1;
                user.updated_at = now;
            })?;
            Ok(!is_blocked)
        })
    }

    /// Writes down a ticket; from then on it is the user's newest of its kind, and the only one that is good.
    /// Tells whether there was a connection to write it for.
    pub fn issue_ticket(&self, hash: TicketHash, ticket: UserTicket, mut owed: Owed) -> Result<bool> {
        let core = self.core()?;
        let mut writer = core.writer.lock();
        if number_of(&core, &ticket.connection).is_none() {
            return Ok(false);
        }
        owed.tickets.push((hash, ticket));
        let mut change = Change::default();
        change.owe(owed);
        core.commit(&mut writer, change)?.done();
        Ok(true)
    }

    /// Writes down a ticket to set a password that nobody asked for, and what is owed with it. If its user has
    /// one that was made within `pause`, or a password by now, there is no ticket and no letter; events are told
    /// in any case. Tells whether the ticket was written.
    pub fn offer_ticket(
        &self,
        hash: TicketHash,
        ticket: UserTicket,
        pause: Duration,
        mut owed: Owed,
    ) -> Result<bool> {
        let core = self.core()?;
        let mut writer = core.writer.lock();
        let is_wanted = match number_of(&core, &ticket.connection) {
            Some(number) => !is_served(&core, number, &ticket, pause)?,
            None => false,
        };
        if is_wanted {
            owed.tickets.push((hash, ticket));
        } else {
            owed.letters.clear();
        }
        let mut change = Change::default();
        change.owe(owed);
        core.commit(&mut writer, change)?.done();
        Ok(is_wanted)
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

    /// The ticket with this hash, if it is of this kind and still good.
    pub fn ticket(&self, hash: TicketHash, kind: TicketKind, now: Timestamp) -> Result<Option<UserTicket>> {
        let core = self.core()?;
        let ticket =
            TICKETS.get(core.database.tree(), &[&hash])?.filter(|ticket| ticket.leave.kind() == kind);
        Ok(ticket.filter(|ticket| ticket.is_good_at(now) && number_of(&core, &ticket.connection).is_some()))
    }

    /// A user's newest ticket to set a password, good or expired.
    #[cfg(test)]
    pub(super) fn newest_ticket(&self, connection: &Connection, user: &UserId) -> Result<Option<UserTicket>> {
        newest(&*self.core()?, connection.number, user, TicketKind::SetPassword)
    }

    /// Sets a user's password by a ticket, which is gone then. `false` if the ticket is not good (any
    /// more), or its user is gone.
    pub fn redeem_ticket(&self, hash: TicketHash, credential: &Credential, owed: Owed) -> Result<bool> {
        let now = credential.changed_at;
        let set = |user: &mut User, leave: &Leave| {
            user.email_verified |= matches!(leave, Leave::SetPassword { proves_email: true, .. });
            user.activity.last_password_reset = Some(now);
        };
        self.use_up(hash, TicketKind::SetPassword, Some(credential), now, owed, set)
    }

    /// Notes by a ticket that an address is its user's, and the ticket is gone then. `false` if the ticket is
    /// not good (any more), or its user is gone or has another address.
    pub fn redeem_verification(&self, hash: TicketHash, now: Timestamp, owed: Owed) -> Result<bool> {
        let verify = |user: &mut User, _: &Leave| user.email_verified = true;
        self.use_up(hash, TicketKind::VerifyEmail, None, now, owed, verify)
    }

    /// Does for a user what a ticket allows, and ends it in the same commit.
    fn use_up(
        &self,
        hash: TicketHash,
        kind: TicketKind,
        credential: Option<&Credential>,
        now: Timestamp,
        owed: Owed,
        how: impl FnOnce(&mut User, &Leave),
    ) -> Result<bool> {
        let Some(ticket) = self.ticket(hash, kind, now)? else {
            return Ok(false);
        };
        let UserTicket { connection, user: id, leave, .. } = &ticket;
        self.edit_user(connection, id, owed, |edit, place, change| {
            if TICKETS.get(edit.core.database.tree(), &[&hash])?.is_none() {
                return Ok(false); // somebody was faster
            }
            let mut holds = false;
            alter(edit, place, |user| {
                holds = leave.holds_for(user);
                how(user, leave);
                user.updated_at = now;
            })?;
            drop_newest(edit.core, change, edit.connection, id, kind)?;
            if let Some(credential) = credential {
                CREDENTIALS.put(change, &[&of_user(edit.connection, id.as_ref())], credential)?;
            }
            Ok(holds)
        })
    }
}

/// Writes down the tickets that a change owes, each instead of the one of its kind that the user had before.
/// There is nothing to write for a connection that is gone.
pub(super) fn issue_tickets(core: &Core, change: &mut Change) -> Result<()> {
    // Those who share a commit may have tickets for the same user.
    let mut issued: HashMap<Vec<u8>, TicketHash> = HashMap::new();
    for (hash, ticket) in std::mem::take(&mut change.numbered.owed.tickets) {
        let Some(number) = number_of(core, &ticket.connection) else {
            continue;
        };
        let key = newest_of(number, ticket.user.as_ref(), ticket.leave.kind());
        let before = match issued.insert(key.clone(), hash) {
            Some(before) => Some(before),
            None => NEWEST_TICKETS.get(core.database.tree(), &[&key])?,
        };
        if let Some(before) = before {
            TICKETS.remove(change, &[&before]);
        }
        TICKETS.put(change, &[&hash], &ticket)?;
        NEWEST_TICKETS.put(change, &[&key], &hash)?;
    }
    Ok(())
}

/// Adds the end of a user's newest ticket of a kind to `change`.
pub(super) fn drop_newest(
    core: &Core,
    change: &mut Change,
    number: u32,
    user: &UserId,
    kind: TicketKind,
) -> Result<()> {
    let key = newest_of(number, user.as_ref(), kind);
    if let Some(hash) = NEWEST_TICKETS.get(core.database.tree(), &[&key])? {
        TICKETS.remove(change, &[&hash]);
        NEWEST_TICKETS.remove(change, &[&key]);
    }
    Ok(())
}

/// Adds the end of all tickets of a user to `change`.
pub(super) fn drop_all_tickets(core: &Core, change: &mut Change, number: u32, user: &UserId) -> Result<()> {
    TicketKind::ALL.into_iter().try_for_each(|kind| drop_newest(core, change, number, user, kind))
}

fn newest(core: &Core, number: u32, user: &UserId, kind: TicketKind) -> Result<Option<UserTicket>> {
    let tree = core.database.tree();
    match NEWEST_TICKETS.get(tree, &[&newest_of(number, user.as_ref(), kind)])? {
        Some(hash) => TICKETS.get(tree, &[&hash]),
        None => Ok(None),
    }
}

/// Whether the user of a ticket needs none to set a password: there is one made within `pause`, or a password.
/// One from further ahead was made before the clock was set back.
fn is_served(core: &Core, number: u32, wanted: &UserTicket, pause: Duration) -> Result<bool> {
    let last = newest(core, number, &wanted.user, TicketKind::SetPassword)?;
    if last.is_some_and(|last| last.created_at.distance(wanted.created_at) < pause) {
        return Ok(true);
    }
    Ok(CREDENTIALS.get(core.database.tree(), &[&of_user(number, wanted.user.as_ref())])?.is_some())
}
