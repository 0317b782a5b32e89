//! Users made and changed one by one: their keys are theirs alone, and follow every change.

use super::tickets::{ann, credential, issue};
use super::*;
use crate::domain::TicketKind;

fn create(store: &TestStore, row: &Row) -> std::result::Result<User, Refused> {
    let made = UserId::from_bytes([9; 12]);
    let candidate = row.candidate();
    store.create_user(&store.connection.id, &candidate, &made, None, NOW, |_| Owed::nothing()).unwrap()
}

fn change(store: &TestStore, id: &UserId, how: impl FnOnce(&mut User)) -> std::result::Result<User, Refused> {
    let how = |user: &mut User| {
        how(user);
        Ok(None)
    };
    store.change_user(&store.connection.id, id, how, |_| Owed::nothing()).unwrap()
}

fn given(text: &str) -> UserId {
    UserId::parse_given(text).unwrap()
}

#[test]
fn a_user_who_is_made_is_found_by_all_keys_also_after_a_restart() {
    let mut store = TestStore::new();
    let row =
        Row { id: Some(given("legacy-17")), ..Row::from(("ann@acme.test", "annie")).app("{\"a\":1.0}") };
    let user = create(&store, &row).unwrap();
    assert_eq!(user.id, given("legacy-17"));
    for _ in 0..2 {
        assert_eq!(store.by_email("ann@acme.test").as_ref(), Some(&user));
        assert_eq!(store.by_username("annie").as_ref(), Some(&user));
        assert_eq!(store.user(&user.id).unwrap().unwrap().0, user);
        assert_eq!(store.users(), std::slice::from_ref(&user));
        store.restart();
    }
}

#[test]
fn nobody_is_made_with_a_key_of_somebody_else() {
    let store = TestStore::hashing(0xff);
    let two = store.create_connection(connection(2), Owed::nothing()).unwrap();
    let row = Row { id: Some(given("a")), ..Row::from(("ann@acme.test", "annie")) };
    create(&store, &row).unwrap();
    let taken = |row: Row, kind| assert_eq!(create(&store, &row), Err(Refused::Taken(kind)));
    taken(Row::from("Ann@acme.test"), Taken::Email);
    taken(Row::from(("bob@acme.test", "Annie")), Taken::Username);
    taken(Row { id: Some(given("a")), ..Row::from("bob@acme.test") }, Taken::Id);
    let made = UserId::from_bytes([1; 12]);
    let create_in = |connection: &ConnectionId, row: &Row| {
        store.create_user(connection, &row.candidate(), &made, None, NOW, |_| Owed::nothing()).unwrap()
    };
    // Addresses and names are a connection's, ids everybody's.
    assert_eq!(create_in(&two.id, &row), Err(Refused::Taken(Taken::Id)));
    create_in(&two.id, &Row { id: None, ..row.clone() }).unwrap();
    let nowhere = ConnectionId::from_entropy([7; 16]);
    assert_eq!(create_in(&nowhere, &row), Err(Refused::NoConnection));
    assert_eq!(store.users().len(), 1);
}

#[test]
fn keys_follow_their_user_and_leave_the_old_ones_to_others() {
    for mask in [u64::MAX, 0xff, 0] {
        let mut store = TestStore::hashing(mask);
        store.import(&Import::insert(1, rows![("ann@acme.test", "annie"), ("bob@acme.test", "bob")]));
        let bob = store.by_email("bob@acme.test").unwrap();
        let taken = change(&store, &ann(), |user| "bob@acme.test".clone_into(&mut user.email));
        assert_eq!(taken, Err(Refused::Taken(Taken::Email)));
        let taken = change(&store, &ann(), |user| user.username = Some("bob".to_owned()));
        assert_eq!(taken, Err(Refused::Taken(Taken::Username)));
        let after = change(&store, &ann(), |user| {
            "anna@acme.test".clone_into(&mut user.email);
            user.username = Some("anna".to_owned());
        });
        let after = after.unwrap();
        for _ in 0..2 {
            assert_eq!((store.by_email("ann@acme.test"), store.by_username("annie")), (None, None));
            assert_eq!(store.by_email("anna@acme.test").as_ref(), Some(&after));
            assert_eq!(store.by_username("anna").as_ref(), Some(&after));
            assert_eq!(store.user(&ann()).unwrap().unwrap().0, after);
            assert_eq!(store.by_email("bob@acme.test").as_ref(), Some(&bob));
            store.restart();
        }
        create(&store, &Row::from(("ann@acme.test", "annie"))).unwrap();
    }
}

#[test]
fn a_user_who_outgrows_its_block_with_new_keys_is_found_by_these() {
    let mut store = TestStore::new();
    let rows: Vec<Row> =
        (0..16).map(|at| Row::from(&*format!("u{at}@acme.test")).app(&Dice(at).noise(2000))).collect();
    let import = Import::insert(1, rows);
    store.import(&import);
    let large = Dice(9).noise(60_000);
    let id = import.ids().id(3);
    change(&store, &id, |user| {
        "moved@acme.test".clone_into(&mut user.email);
        user.user_metadata = Some(large.clone());
    })
    .unwrap();
    store.restart();
    assert_eq!(store.by_email("u3@acme.test"), None);
    assert_eq!(store.by_email("moved@acme.test").unwrap().user_metadata, Some(large));
    assert_eq!(store.user(&id).unwrap().unwrap().0.email, "moved@acme.test");
    assert_eq!(store.users().len(), 16);
}

#[test]
fn a_new_password_or_address_ends_the_tickets_before_it() {
    let mut store = TestStore::new();
    store.import(&Import::insert(1, rows!["ann@acme.test"]));
    let set = |store: &TestStore| {
        let how = |_: &mut User| Ok::<_, Refused>(Some(credential(NOW)));
        store.change_user(&store.connection.id, &ann(), how, |_| Owed::nothing()).unwrap().unwrap();
    };
    let ticket = issue(&store, 1, ann(), true);
    change(&store, &ann(), |user| user.blocked = true).unwrap();
    assert!(store.ticket(ticket, TicketKind::SetPassword, NOW).unwrap().is_some());
    set(&store);
    assert_eq!(store.ticket(ticket, TicketKind::SetPassword, NOW).unwrap(), None);
    let ticket = issue(&store, 2, ann(), true);
    change(&store, &ann(), |user| "anna@acme.test".clone_into(&mut user.email)).unwrap();
    assert_eq!(store.ticket(ticket, TicketKind::SetPassword, NOW).unwrap(), None);
    store.restart();
    assert_eq!(store.credential(&store.connection, &ann()).unwrap(), Some(credential(NOW)));
}

#[test]
fn what_is_refused_changes_and_tells_nothing() {
    let store = TestStore::new();
    store.import(&Import::insert(1, rows!["ann@acme.test"]));
    let (before, commits_before) = (store.users(), commits(&store));
    let event = || Owed::from(Event::new(NOW, EventType::ApiSuccess, "Changed"));
    let how = |user: &mut User| {
        user.blocked = true;
        Err::<Option<crate::domain::Credential>, _>(Refused::NoUser)
    };
    let refused = store.change_user(&store.connection.id, &ann(), how, |_| event()).unwrap();
    assert_eq!(refused, Err(Refused::NoUser));
    assert_eq!(change(&store, &given("nobody"), |_| {}), Err(Refused::NoUser));
    assert!(create(&store, &Row::from("ann@acme.test")).is_err());
    assert_eq!((store.users(), commits(&store)), (before, commits_before));
}

#[test]
fn a_sign_in_is_counted() {
    let mut store = TestStore::new();
    store.import(&Import::insert(1, rows!["ann@acme.test"]));
    for _ in 0..2 {
        let ip = Some("10.0.0.1".to_owned());
        assert!(store.note_login(&store.connection.id, &ann(), ip, NOW, Owed::nothing()).unwrap());
    }
    store.restart();
    let activity = store.by_email("ann@acme.test").unwrap().activity;
    assert_eq!((activity.logins_count, activity.last_login), (2, Some(NOW)));
    assert_eq!(activity.last_ip.as_deref(), Some("10.0.0.1"));
    assert!(!store.note_login(&store.connection.id, &given("x"), None, NOW, Owed::nothing()).unwrap());
}
