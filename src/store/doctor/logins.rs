//! Passwords and tickets: each belongs to a user who is there.

use std::collections::HashMap;

use super::super::keys::{CREDENTIALS, NEWEST_TICKETS, TICKETS, newest_of, user_of};
use super::{Ailment, Doctor};
use crate::domain::{ConnectionId, TicketHash};

impl Doctor<'_> {
    pub(super) fn examine_logins(&mut self) {
        self.examine_passwords();
        let newest = self.newest_tickets();
        self.examine_tickets(newest);
    }

    fn examine_passwords(&self) {
        self.each(&CREDENTIALS, "passwords", |key, value| {
            let Some((connection, user)) =
                self.sound(|| "a key of a password".to_owned(), user_of(&key[1..]))
            else {
                return;
            };
            self.sound(|| format!("the password of {user}"), CREDENTIALS.decode(value));
            let what = if self.connection(connection).is_none() {
                if self.is_garbage(key) {
                    return;
                }
                format!("there is a password of connection number {connection}, which is not there")
            } else if self.present.has(connection, user.as_ref()) {
                return;
            } else {
                format!("there is a password of {user}, who is not there")
            };
            self.add(Ailment::CredentialStale, what);
        });
    }

    /// The newest tickets of users that are there, by their keys.
    fn newest_tickets(&self) -> HashMap<Vec<u8>, TicketHash> {
        let mut newest = HashMap::new();
        self.each(&NEWEST_TICKETS, "newest tickets", |key, value| {
            let number = key.get(1..5).and_then(|bytes| Some(u32::from_be_bytes(bytes.try_into().ok()?)));
            let Some(number) = number else {
                return self.add(Ailment::ValueDamaged, "a key of a newest ticket names no connection");
            };
            if self.connection(number).is_none() {
                if !self.is_garbage(key) {
                    let what =
                        format!("there is a newest ticket of connection number {number}, which is not there");
                    self.add(Ailment::OrphanedData, what);
                }
                return;
            }
            if let Some(hash) = self.sound(|| "a newest ticket".to_owned(), NEWEST_TICKETS.decode(value)) {
                newest.insert(key[1..].to_vec(), hash);
            }
        });
        newest
    }

    /// Tickets of deleted connections are on their way out.
    fn examine_tickets(&self, mut newest: HashMap<Vec<u8>, TicketHash>) {
        let number_of = |id: &ConnectionId| {
            let connection = self.connections.iter().find(|connection| connection.id == *id);
            connection.map(|connection| connection.number)
        };
        self.each_value(&TICKETS, "tickets", "a ticket", |key, ticket| {
            let Some(number) = number_of(&ticket.connection) else {
                return;
            };
            if !self.present.has(number, ticket.user.as_ref()) {
                let what = format!("there is a ticket for {}, who is not there", ticket.user);
                self.add(Ailment::TicketStale, what);
            }
            let pointer = newest_of(number, ticket.user.as_ref(), ticket.leave.kind());
            match newest.remove(&pointer) {
                Some(hash) if key.get(1..) == Some(&hash[..]) => {}
                _ => {
                    let what = format!("a ticket for {} is not the newest of its kind", ticket.user);
                    self.add(Ailment::TicketPointer, what);
                }
            }
        });
        if !newest.is_empty() {
            let what = format!("{} newest tickets of users are not there", newest.len());
            self.add(Ailment::TicketPointer, what);
        }
    }
}
