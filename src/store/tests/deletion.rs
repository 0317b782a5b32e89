//! Deleting a connection: gone at once, and from the disk bit by bit, whatever comes between.

use super::*;
use crate::domain::{Credential, UserId};
use database::faults::At;

const USERS: usize = 700;

/// Families of keys that a connection's users leave something in.
const FAMILIES: [u8; 5] = [b'u', b'p', b'n', b'r', b'g'];

const OLD: Ages = Ages {
    jobs: Timestamp::from_millis(0),
    events: Timestamp::from_millis(0),
    unsent_events: Timestamp::from_millis(0),
    letters: Timestamp::from_millis(0),
    tasks: Timestamp::from_millis(0),
    now: NOW,
};

/// Two connections full of users; in the first, every user has a password and one a ticket.
fn furnished() -> (TestStore, Connection) {
    let store = TestStore::new();
    let other = store.create_connection(connection(2), Owed::nothing()).unwrap();
    let rows = |host: &str| (0..USERS).map(|at| Row::from(&*format!("u{at}@{host}.test"))).collect();
    store.import_in_chunks(&Import::insert(1, rows("one")), 200);
    let two = Import::insert(2, rows("two"));
    two.enqueue(&store, &other).unwrap();
    two.finish(&store, 200);
    let core = store.core().unwrap();
    let mut change = database::Change::default();
    for (connection, import) in [(&store.connection, 1), (&other, 2)] {
        for row in 0..USERS as u64 {
            let key = keys::of_user(connection.number, user(import, row).as_ref());
            let password = Credential { hash: "x".to_owned(), changed_at: NOW };
            keys::CREDENTIALS.put(&mut change, &[&key], &password).unwrap();
        }
    }
    core.commit(&mut core.writer.lock(), change).unwrap().done();
    tickets::issue(&store, 1, tickets::ann(), true);
    (store, other)
}

fn user(import: u8, row: u64) -> UserId {
    Import::insert(import, Vec::new()).ids().id(row)
}

/// Nobody finds anything of the first connection, and all of the second is there.
#[track_caller]
fn assert_gone(store: &TestStore, other: &Connection) {
    assert_eq!(store.connections().unwrap(), std::slice::from_ref(other));
    assert_eq!(store.connection(&store.connection.id).unwrap(), None);
    assert!(store.users_by_email("u0@one.test").unwrap().is_empty());
    assert!(store.user(&tickets::ann()).unwrap().is_none());
    assert_eq!(store.user_in(&store.connection, "u0@one.test").unwrap(), None);
    assert_eq!(store.credential(&store.connection, &tickets::ann()).unwrap(), None);
    assert_eq!(store.ticket([1; 32], crate::domain::TicketKind::SetPassword, NOW).unwrap(), None);
    assert_eq!(scan(store, other).len(), USERS);
    assert!(store.user_in(other, "u699@two.test").unwrap().is_some());
    assert!(store.credential(other, &user(2, 699)).unwrap().is_some());
    assert_eq!(store.check().unwrap(), Vec::<String>::new());
}

/// What is on disk of users, by family.
fn left(store: &TestStore) -> [usize; 5] {
    FAMILIES.map(|family| keys_of(store, family))
}

/// What is on disk of the second connection alone.
fn of_the_other(store: &TestStore, other: &Connection) -> [usize; 5] {
    let blocks = keys::BLOCKS.below(&[&other.number.to_be_bytes()]);
    let blocks = store.core().unwrap().database.tree().range(blocks).count();
    [blocks, USERS, 0, 0, 0]
}

#[test]
fn a_deleted_connection_is_gone_at_once_and_from_the_disk_in_small_steps() {
    let (store, other) = furnished();
    let gone = Event::new(NOW, EventType::ApiSuccess, "Delete a Connection");
    assert!(store.delete_connection(&store.connection.id, gone.clone().into()).unwrap());
    assert_gone(&store, &other);
    assert!(!store.delete_connection(&store.connection.id, gone.into()).unwrap());
    let told = store.events(
        Some(&|one| one.event.description == "Delete a Connection"),
        Order::OldestFirst,
        0,
        9,
        true,
    );
    assert_eq!(told.unwrap().total, Some(1));
    let mut steps = 1;
    while store.sweep(&mut Sweep::of(OLD)).unwrap() {
        steps += 1;
        assert_gone(&store, &other);
    }
    assert!(steps > USERS / 200, "{steps} steps");
    assert_eq!(left(&store), of_the_other(&store, &other));
    assert!(!store.sweep(&mut Sweep::of(OLD)).unwrap());
}

#[test]
fn a_deletion_goes_on_after_a_restart_at_any_step() {
    let (mut store, other) = furnished();
    store.delete_connection(&store.connection.id, Owed::nothing()).unwrap();
    loop {
        store.restart();
        assert_gone(&store, &other);
        if !store.sweep(&mut Sweep::of(OLD)).unwrap() {
            break;
        }
    }
    store.restart();
    assert_gone(&store, &other);
    assert_eq!(left(&store), of_the_other(&store, &other));
}

#[test]
fn a_deletion_goes_on_after_a_fault_at_any_step() {
    for at in [At::Apply, At::Sync, At::Publish, At::Panic] {
        let (store, other) = furnished();
        faults::strike(&store, at, || store.delete_connection(&store.connection.id, Owed::nothing()));
        if at == At::Apply {
            assert_eq!(scan(&store, &store.connection).len(), USERS, "nothing has happened");
            assert!(store.delete_connection(&store.connection.id, Owed::nothing()).unwrap());
        }
        assert_gone(&store, &other);
        while keys_of(&store, b'g') > 0 {
            faults::strike(&store, at, || store.sweep_garbage());
            assert_gone(&store, &other);
            store.sweep(&mut Sweep::of(OLD)).unwrap();
        }
        assert_eq!(left(&store), of_the_other(&store, &other));
    }
}

#[test]
fn the_number_of_a_connection_is_never_used_again() {
    let (mut store, other) = furnished();
    let old = store.connection.number;
    store.delete_connection(&store.connection.id, Owed::nothing()).unwrap();
    store.restart();
    // Same id and name as before; what is still on disk is none of its business.
    let again = store.create_connection(connection(1), Owed::nothing()).unwrap();
    assert!(old < again.number && other.number < again.number);
    assert!(scan(&store, &again).is_empty());
    assert_eq!(
        store.credential(&store.connection, &tickets::ann()).unwrap(),
        None,
        "asked by who knew the old one"
    );
    let import = Import::insert(3, rows!["u0@one.test"]);
    import.enqueue(&store, &again).unwrap();
    import.finish(&store, 9);
    while store.sweep(&mut Sweep::of(OLD)).unwrap() {}
    assert_eq!(scan(&store, &again).len(), 1);
    assert_eq!(store.users_by_email("u0@one.test").unwrap()[0].1, again);
}

#[test]
fn a_job_whose_connection_vanishes_is_told_so_and_ends_as_failed() {
    let mut store = TestStore::new();
    let import = Import::insert(1, rows!["ann@acme.test", "ann@acme.test", "bob@acme.test"]);
    store.enqueue(&import);
    import.step(&store, 2).unwrap();
    store.delete_connection(&store.connection.id, Owed::nothing()).unwrap();
    while store.sweep(&mut Sweep::of(OLD)).unwrap() {}
    store.restart();
    let refused = import.step(&store, 2).unwrap_err();
    assert!(matches!(&refused, StoreError::ConnectionGone(name) if name == "connection-1"), "{refused}");
    assert!(store.is_available());
    let job = store.job(&import.id()).unwrap().unwrap();
    let job = store.fail(&job, "CONNECTION_NOT_FOUND".to_owned(), NOW, &ended).unwrap();
    assert_eq!((counts(&job), store.failures(&import).len()), ([1, 0, 1], 1));
    assert!(store.unfinished().unwrap().is_empty());
    assert_jobs_told(&store);
}

#[test]
fn users_can_be_imported_while_the_garbage_of_others_is_removed() {
    let (store, other) = furnished();
    store.delete_connection(&store.connection.id, Owed::nothing()).unwrap();
    std::thread::scope(|scope| {
        let sweeper = scope.spawn(|| while store.sweep(&mut Sweep::of(OLD)).unwrap() {});
        let rows = (0..USERS).map(|at| Row::from(&*format!("u{at}@three.test"))).collect();
        let import = Import::insert(3, rows);
        import.enqueue(&store, &other).unwrap();
        import.finish(&store, 50);
        sweeper.join().unwrap();
    });
    while store.sweep(&mut Sweep::of(OLD)).unwrap() {}
    assert_eq!(scan(&store, &other).len(), 2 * USERS);
    assert_eq!(left(&store), of_the_other(&store, &other));
}
