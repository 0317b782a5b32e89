//! Connections, clients and what these may ask for.

use std::collections::HashSet;

use super::super::keys::{CLIENTS, CONNECTIONS, GRANTS};
use super::{Ailment, Doctor};

impl Doctor<'_> {
    pub(super) fn examine_connections(&mut self) {
        let mut connections = Vec::new();
        self.each_value(&CONNECTIONS, "connections", "a connection", |key, connection| {
            if key.get(1..) != Some(&connection.number.to_be_bytes()[..]) {
                let what = format!("connection {} has a number that is not its key's", connection.name);
                self.add(Ailment::ValueDamaged, what);
            }
            if self.store.head.next_connection <= connection.number {
                let (name, next) = (&connection.name, self.store.head.next_connection);
                let what = format!(
                    "connection {name} has the number {}, the next one to be given is {next}",
                    connection.number
                );
                self.add(Ailment::CounterBehind, what);
            }
            connections.push(connection);
        });
        for (at, one) in connections.iter().enumerate() {
            for other in &connections[..at] {
                if one.id == other.id || one.clashes_with(other) {
                    let what = format!("connections {} and {} go by one name or id", other.name, one.name);
                    self.add(Ailment::ConnectionClash, what);
                }
            }
        }
        self.connections = connections;
    }

    pub(super) fn examine_clients(&mut self) {
        let mut clients = HashSet::new();
        self.each_value(&CLIENTS, "clients", "a client", |key, client| {
            if key.get(1..) != Some(client.id.as_bytes()) {
                self.add(
                    Ailment::ValueDamaged,
                    format!("client {} has an id that is not its key's", client.id),
                );
            }
            clients.insert(client.id);
        });
        self.each_value(&GRANTS, "client grants", "a client's grant", |_, grant| {
            if !clients.contains(&grant.client_id) {
                let what =
                    format!("grant {} is for client {}, which is not there", grant.id, grant.client_id);
                self.add(Ailment::GrantStale, what);
            }
        });
    }
}
