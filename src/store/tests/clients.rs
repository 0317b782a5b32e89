//! Clients, grants and connections refer to each other, and to nothing that is not there.

use serde_json::Map;

use super::*;
use crate::domain::{Client, ClientGrant, GrantId};

fn client(store: &TestStore, id: &str) -> Client {
    let client =
        Client { id: id.to_owned(), name: id.to_owned(), secret_hash: [7; 32], settings: Map::new() };
    store.create_client(&client, None, Owed::nothing()).unwrap();
    client
}

fn grant(number: u8, client: &str, audience: Option<&str>) -> ClientGrant {
    ClientGrant {
        id: GrantId::from_entropy([number; 16]),
        client_id: client.to_owned(),
        audience: audience.map(str::to_owned),
        scope: Vec::new(),
    }
}

/// A connection with this number, known by these names besides its own.
fn known_as(number: u8, realms: &[&str]) -> Connection {
    let one = connection(number);
    let realms = [&*one.name].into_iter().chain(realms.iter().copied()).map(str::to_owned).collect();
    Connection { realms, ..one }
}

#[test]
fn a_connection_is_enabled_for_clients_that_exist() {
    let store = TestStore::new();
    client(&store, "here");
    let enabled = |clients: &[&str]| Connection {
        enabled_clients: clients.iter().map(|id| (*id).to_owned()).collect(),
        ..connection(2)
    };
    let refused = store.create_connection(enabled(&["here", "nobody"]), Owed::nothing());
    assert!(matches!(refused, Err(StoreError::UnknownClient(id)) if id == "nobody"));
    let made = store.create_connection(enabled(&["here"]), Owed::nothing()).unwrap();
    let add = |id: &str| {
        store.update_connection(&made.id, |one| one.enabled_clients.push(id.to_owned()), Owed::nothing())
    };
    assert!(matches!(add("nobody"), Err(StoreError::UnknownClient(_))));
    assert_eq!(store.connection(&made.id).unwrap().unwrap(), made);
    client(&store, "new");
    assert_eq!(add("new").unwrap().unwrap().enabled_clients, ["here", "new"]);
}

#[test]
fn no_connection_takes_a_name_that_another_goes_by() {
    let store = TestStore::new();
    let one = store.create_connection(known_as(2, &["two"]), Owed::nothing()).unwrap();
    let clash = store.create_connection(known_as(3, &["two"]), Owed::nothing());
    assert!(matches!(clash, Err(StoreError::Exists)));
    let other = store.create_connection(known_as(3, &["three"]), Owed::nothing()).unwrap();
    let rename = |realm: &str| {
        store.update_connection(&other.id, |other| other.realms = vec![realm.to_owned()], Owed::nothing())
    };
    assert!(matches!(rename("two"), Err(StoreError::Exists)));
    assert!(rename("three").unwrap().is_some());
    assert!(store.delete_connection(&one.id, Owed::nothing()).unwrap());
    assert!(rename("two").unwrap().is_some());
}

#[test]
fn grants_are_for_clients_that_exist_and_go_with_them() {
    let mut store = TestStore::new();
    client(&store, "a");
    client(&store, "b");
    let create = |store: &TestStore, grant: &ClientGrant| store.create_grant(grant, Owed::nothing());
    assert!(matches!(create(&store, &grant(1, "nobody", None)), Err(StoreError::UnknownClient(_))));
    for one in [grant(1, "a", None), grant(2, "a", Some("x")), grant(3, "b", Some("x"))] {
        create(&store, &one).unwrap();
        assert_eq!(store.grant(&one.id).unwrap(), Some(one));
    }
    assert!(matches!(create(&store, &grant(4, "a", Some("x"))), Err(StoreError::Exists)));
    assert!(store.delete_client("a", Owed::nothing()).unwrap());
    assert!(!store.delete_client("a", Owed::nothing()).unwrap());
    store.restart();
    assert_eq!(store.grants().unwrap(), [grant(3, "b", Some("x"))]);
}
