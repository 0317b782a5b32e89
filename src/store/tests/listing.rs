//! Users by the many.

use std::ops::ControlFlow;
use std::time::Instant;

use super::*;
use crate::domain::{UserId, UserKey};

fn id(row: u64) -> UserId {
    Import::insert(1, Vec::new()).ids().id(row)
}

fn soon() -> Instant {
    Instant::now() + Duration::from_mins(1)
}

fn furnished(users: usize) -> TestStore {
    let store = TestStore::new();
    let rows = (0..users).map(|at| Row::from((&*format!("u{at}@acme.test"), &*format!("n{at}"))));
    store.import(&Import::insert(1, rows.collect()));
    store
}

#[test]
fn the_number_of_users_is_known_through_changes_deletions_and_restarts() {
    let mut store = furnished(100);
    let other = store.create_connection(connection(2), Owed::nothing()).unwrap();
    let count = |store: &TestStore| (store.count(&store.connection).unwrap(), store.count(&other).unwrap());
    assert_eq!(count(&store), (100, 0));
    let mut dice = Dice(1);
    // So large that they move.
    let large: Vec<Row> =
        (0..100).map(|at| Row::from(&*format!("u{at}@acme.test")).app(&dice.noise(30 << 10))).collect();
    store.import(&Import::upsert(2, large));
    assert_eq!(count(&store), (100, 0));
    let id_of_5 = store.by_email("u5@acme.test").unwrap().id;
    assert!(store.delete_user(&store.connection.id, &id_of_5, Owed::nothing()).unwrap());
    assert!(!store.delete_user(&store.connection.id, &id_of_5, Owed::nothing()).unwrap());
    store.import(&Import::insert(3, rows!["u5@acme.test", "u6@acme.test", "new@acme.test"]));
    assert_eq!(count(&store), (101, 0));
    assert_eq!(store.users().len(), 101);
    store.restart();
    assert_eq!(count(&store), (101, 0));
}

#[test]
fn a_walk_goes_through_connections_in_order_until_it_has_seen_enough() {
    let store = furnished(50);
    let other = store.create_connection(connection(2), Owed::nothing()).unwrap();
    let import = Import::insert(2, rows!["other@acme.test"]);
    import.enqueue(&store, &other).unwrap();
    import.finish(&store, 10);
    let seen = |connections: &[&Connection], most: usize| {
        let connections: Vec<_> = connections.iter().map(|connection| (*connection).clone()).collect();
        let mut seen = Vec::new();
        let walk = store.browse(&connections, soon(), |user, connection| {
            seen.push(format!("{} {}", connection.number, user.email));
            if seen.len() == most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        (walk.unwrap(), seen)
    };
    let (walk, all) = seen(&[&store.connection, &other], usize::MAX);
    assert_eq!((walk, all.len()), (Browsed::Whole, 51));
    assert!(all[17].ends_with("u17@acme.test") && all[50].ends_with("other@acme.test"), "{all:?}");
    assert_eq!(seen(&[&other], 2).1.len(), 1);
    let (walk, some) = seen(&[&store.connection, &other], 20);
    assert_eq!((walk, &some[..]), (Browsed::Enough, &all[..20]));
    assert_eq!(seen(&[], 9).0, Browsed::Whole);
}

#[test]
fn a_walk_ends_at_its_deadline() {
    let store = furnished(100);
    let connections = [store.connection.clone()];
    let mut seen = 0;
    let walk = store.browse(&connections, Instant::now(), |_, _| {
        seen += 1;
        ControlFlow::Continue(())
    });
    assert_eq!((walk.unwrap(), seen), (Browsed::Overdue, 0));
    let deadline = Instant::now() + Duration::from_millis(20);
    let walk = store.browse(&connections, deadline, |_, _| {
        seen += 1;
        std::thread::sleep(Duration::from_millis(20));
        ControlFlow::Continue(())
    });
    assert_eq!((walk.unwrap(), seen), (Browsed::Overdue, 16), "a block is seen to its end");
}

#[test]
fn users_are_picked_by_what_they_have_each_once() {
    let store = furnished(30);
    let picked = |keys: &[UserKey]| {
        let users = store.users_with_any(keys).unwrap();
        users.into_iter().map(|(user, _)| user.email).collect::<Vec<_>>().join(" ")
    };
    let keys = [
        UserKey::Username("n7".to_owned()),
        UserKey::Email("u3@acme.test".to_owned()),
        UserKey::Id(id(7)),
        UserKey::Email("nobody@acme.test".to_owned()),
        UserKey::Username("u3@acme.test".to_owned()),
        UserKey::Id(id(29)),
        UserKey::Id(id(30)),
    ];
    assert_eq!(picked(&keys), "u7@acme.test u3@acme.test u29@acme.test");
    assert_eq!(picked(&[]), "");
}
