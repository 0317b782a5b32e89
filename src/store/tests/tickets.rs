//! Leave to set a password or to verify an address: once, by the newest ticket of its kind, in time.

use super::*;
use crate::domain::{Credential, Leave, TicketHash, TicketKind, UserId, UserTicket};
use crate::store::Refused;

/// A minute after [`NOW`].
const EXPIRY: Timestamp = Timestamp::from_millis(NOW.millis() + 60_000);

/// The user of the first row of the first import.
pub(super) fn ann() -> UserId {
    Import::insert(1, Vec::new()).ids().id(0)
}

pub(super) fn credential(changed_at: Timestamp) -> Credential {
    Credential { hash: "$argon2id$…".to_owned(), changed_at }
}

/// Writes down a ticket that is good for a minute.
pub(super) fn issue(store: &TestStore, number: u8, user: UserId, proves_email: bool) -> TicketHash {
    let email = store.user(&user).unwrap().map_or_else(String::new, |(user, _)| user.email);
    let leave = Leave::SetPassword { proves_email, email };
    assert!(store.issue_ticket([number; 32], ticket(store, user, leave), Owed::nothing()).unwrap());
    [number; 32]
}

fn ticket(store: &TestStore, user: UserId, leave: Leave) -> UserTicket {
    UserTicket {
        user,
        connection: store.connection.id.clone(),
        leave,
        created_at: NOW,
        expires_at: EXPIRY,
        result_url: None,
        include_email_in_redirect: false,
        client_id: None,
    }
}

fn verification(store: &TestStore, user: UserId, email: &str) -> UserTicket {
    ticket(store, user, Leave::VerifyEmail { email: email.to_owned() })
}

/// Writes down a ticket to verify Ann's address.
fn issue_verification(store: &TestStore, number: u8) -> TicketHash {
    let ticket = verification(store, ann(), "ann@acme.test");
    assert!(store.issue_ticket([number; 32], ticket, Owed::nothing()).unwrap());
    [number; 32]
}

fn good(store: &TestStore, hash: TicketHash) -> Option<UserTicket> {
    store.ticket(hash, TicketKind::SetPassword, NOW).unwrap()
}

fn is_good_verification(store: &TestStore, hash: TicketHash) -> bool {
    store.ticket(hash, TicketKind::VerifyEmail, NOW).unwrap().is_some()
}

fn verify(store: &TestStore, hash: TicketHash) -> bool {
    store.redeem_verification(hash, NOW, Owed::nothing()).unwrap()
}

fn store_with_ann() -> TestStore {
    let store = TestStore::new();
    store.import(&Import::insert(1, rows!["ann@acme.test", "bob@acme.test"]));
    store
}

fn redeem(store: &TestStore, hash: TicketHash, at: Timestamp) -> bool {
    store.redeem_ticket(hash, &credential(at), Owed::nothing()).unwrap()
}

fn password(store: &TestStore) -> Option<Credential> {
    store.credential(&store.connection, &ann()).unwrap()
}

#[test]
fn only_the_newest_ticket_of_a_user_is_good_and_only_once() {
    let mut store = store_with_ann();
    let bob = issue(&store, 9, Import::insert(1, Vec::new()).ids().id(1), true);
    let (old, new) = (issue(&store, 1, ann(), true), issue(&store, 2, ann(), true));
    store.restart();
    assert_eq!(good(&store, old), None);
    assert!(!redeem(&store, old, NOW));
    assert_eq!(password(&store), None);
    assert_eq!(store.newest_ticket(&store.connection, &ann()).unwrap(), good(&store, new));
    assert!(redeem(&store, new, NOW));
    assert_eq!(password(&store), Some(credential(NOW)));
    assert!(!redeem(&store, new, NOW), "twice");
    assert_eq!(store.newest_ticket(&store.connection, &ann()).unwrap(), None);
    assert!(redeem(&store, bob, NOW), "another user's ticket stays good");
    assert_eq!((keys_of(&store, b'r'), keys_of(&store, b'n')), (0, 0));
}

#[test]
fn of_all_who_use_a_ticket_at_the_same_time_one_succeeds() {
    let store = store_with_ann();
    let core = store.core().unwrap();
    for round in 0..4 {
        let ticket = issue(&store, round, ann(), true);
        // All of them see a good ticket, and wait to use it.
        let writer = core.writer.lock();
        let redeem_one = |at: u64| {
            let store = &store;
            move || {
                let owed = Event::new(NOW, EventType::PasswordChanged, at.to_string()).into();
                let credential = credential(Timestamp::from_millis(NOW.millis() + at));
                store.redeem_ticket(ticket, &credential, owed).unwrap().then_some(at)
            }
        };
        let winners: Vec<u64> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..6).map(|at| scope.spawn(redeem_one(at))).collect();
            std::thread::sleep(Duration::from_millis(50));
            drop(writer);
            threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(winners.len(), 1, "{winners:?}");
        assert_eq!(password(&store).unwrap().changed_at.millis(), NOW.millis() + winners[0]);
        let told = store.events(
            Some(&|logged| logged.event.r#type == EventType::PasswordChanged),
            Order::NewestFirst,
            0,
            9,
            true,
        );
        assert_eq!(told.unwrap().total, Some(usize::from(round) + 1), "those who lose tell nothing");
    }
}

#[test]
fn of_tickets_issued_at_the_same_time_one_is_left() {
    let store = store_with_ann();
    std::thread::scope(|scope| {
        for number in 0..8 {
            let store = &store;
            scope.spawn(move || issue(store, number, ann(), true));
        }
    });
    assert_eq!((keys_of(&store, b'r'), keys_of(&store, b'n')), (1, 1));
    let left = (0..8).filter(|number| good(&store, [*number; 32]).is_some());
    assert_eq!(left.count(), 1);
}

#[test]
fn what_is_told_alone_shares_no_commit_with_others_who_wait() {
    let store = store_with_ann();
    let core = store.core().unwrap();
    let before = commits(&store);
    let writer = core.writer.lock();
    std::thread::scope(|scope| {
        for number in 0..4 {
            let event = Event::new(NOW, EventType::WrongPassword, number.to_string());
            let store = &store;
            scope.spawn(move || store.tell_alone(event.into()).unwrap());
        }
        std::thread::sleep(Duration::from_millis(50));
        drop(writer);
    });
    assert_eq!(commits(&store), before + 4);
}

#[test]
fn a_ticket_is_good_until_the_moment_it_expires() {
    let store = store_with_ann();
    let ticket = issue(&store, 1, ann(), true);
    let last = Timestamp::from_millis(EXPIRY.millis() - 1);
    assert!(store.ticket(ticket, TicketKind::SetPassword, last).unwrap().is_some());
    assert!(store.ticket(ticket, TicketKind::SetPassword, EXPIRY).unwrap().is_none());
    assert!(!redeem(&store, ticket, EXPIRY));
    assert!(store.newest_ticket(&store.connection, &ann()).unwrap().is_some(), "that there was one is known");
    assert!(redeem(&store, ticket, last));
}

#[test]
fn an_address_counts_as_verified_when_its_ticket_proves_it() {
    for proves_email in [true, false] {
        let store = store_with_ann();
        let ticket = issue(&store, 1, ann(), proves_email);
        assert!(redeem(&store, ticket, EXPIRY.before(Duration::from_secs(1))));
        let user = store.by_email("ann@acme.test").unwrap();
        assert_eq!(user.email_verified, proves_email);
        assert_eq!(user.updated_at, EXPIRY.before(Duration::from_secs(1)));
    }
}

#[test]
fn a_password_outlives_imports_and_goes_with_its_user() {
    let mut store = store_with_ann();
    assert!(redeem(&store, issue(&store, 1, ann(), true), NOW));
    let large = Row::from("ann@acme.test").app(&Dice(1).noise(60 << 10));
    assert_eq!(counts(&store.import(&Import::upsert(2, vec![large]))), [0, 1, 0]);
    store.restart();
    assert_eq!(password(&store), Some(credential(NOW)));
    let ticket = issue(&store, 2, ann(), true);
    assert!(store.delete_user(&store.connection.id, &ann(), Owed::nothing()).unwrap());
    assert_eq!(password(&store), None);
    assert!(!redeem(&store, ticket, NOW), "the ticket of a user who is gone");
    assert_eq!([b'p', b'r', b'n'].map(|family| keys_of(&store, family)), [0; 3]);
    store.import(&Import::insert(3, rows!["ann@acme.test"]));
    let again = store.by_email("ann@acme.test").unwrap();
    assert_eq!(store.credential(&store.connection, &again.id).unwrap(), None, "a new user has no password");
}

#[test]
fn nothing_is_issued_for_a_connection_that_is_gone() {
    let store = store_with_ann();
    let ticket = issue(&store, 1, ann(), true);
    let kept = good(&store, ticket).unwrap();
    store.delete_connection(&store.connection.id, Owed::nothing()).unwrap();
    assert_eq!(good(&store, ticket), None);
    assert!(!redeem(&store, ticket, NOW));
    assert!(!store.issue_ticket([2; 32], kept, Owed::nothing()).unwrap());
}

#[test]
fn tickets_of_both_kinds_stand_side_by_side_and_neither_does_the_others_work() {
    let mut store = store_with_ann();
    let reset = issue(&store, 1, ann(), false);
    let (old, verification) = (issue_verification(&store, 2), issue_verification(&store, 3));
    store.restart();
    assert!(!is_good_verification(&store, old), "the newest wins");
    assert!(good(&store, reset).is_some() && is_good_verification(&store, verification));
    assert!(good(&store, verification).is_none() && !is_good_verification(&store, reset));
    assert!(!redeem(&store, verification, NOW), "no password by a ticket to verify");
    assert!(!verify(&store, reset), "no address by a ticket to set a password");
    assert_eq!(password(&store), None);
    assert!(!store.by_email("ann@acme.test").unwrap().email_verified);

    assert!(verify(&store, verification));
    let user = store.by_email("ann@acme.test").unwrap();
    assert!(user.email_verified && user.updated_at == NOW);
    assert_eq!((user.activity.last_password_reset, password(&store)), (None, None));
    assert!(!verify(&store, verification), "twice");
    assert!(good(&store, reset).is_some(), "the other kind stays");
    assert!(redeem(&store, reset, NOW));
    assert_eq!((keys_of(&store, b'r'), keys_of(&store, b'n')), (0, 0));
}

#[test]
fn a_ticket_to_verify_is_good_until_it_expires_and_ends_with_its_user() {
    let store = store_with_ann();
    let late = issue_verification(&store, 1);
    assert!(!store.redeem_verification(late, EXPIRY, Owed::nothing()).unwrap());
    assert!(!store.by_email("ann@acme.test").unwrap().email_verified);
    let reset = issue(&store, 2, ann(), true);
    assert!(store.delete_user(&store.connection.id, &ann(), Owed::nothing()).unwrap());
    assert!(!verify(&store, late) && good(&store, reset).is_none());
    assert_eq!((keys_of(&store, b'r'), keys_of(&store, b'n')), (0, 0));
}

/// Gives Ann another address; what is owed for that is written in the same commit.
fn readdress(store: &TestStore, email: &str, owed: Owed) {
    let changed = store.change_user(
        &store.connection.id,
        &ann(),
        |user| {
            user.email = email.to_owned();
            Ok::<_, Refused>(None)
        },
        |_| owed,
    );
    changed.unwrap().unwrap();
}

#[test]
fn a_ticket_verifies_no_address_but_its_own() {
    let store = store_with_ann();
    let (reset, old) = (issue(&store, 1, ann(), true), issue_verification(&store, 2));
    let new = verification(&store, ann(), "anna@acme.test");
    readdress(&store, "anna@acme.test", Owed { tickets: vec![([3; 32], new)], ..Owed::nothing() });
    assert!(good(&store, reset).is_none() && !is_good_verification(&store, old), "both kinds end");
    assert!(!verify(&store, old));
    // One that was under way while the address changed.
    let late = issue_verification(&store, 4);
    assert!(!verify(&store, late));
    assert!(!store.by_email("anna@acme.test").unwrap().email_verified);
    let new = verification(&store, ann(), "anna@acme.test");
    readdress(&store, "annie@acme.test", Owed::nothing());
    readdress(&store, "anna@acme.test", Owed { tickets: vec![([5; 32], new)], ..Owed::nothing() });
    assert!(verify(&store, [5; 32]), "the ticket that came with the change");
    assert!(store.by_email("anna@acme.test").unwrap().email_verified);
    assert_eq!((keys_of(&store, b'r'), keys_of(&store, b'n')), (0, 0));
}

#[test]
fn a_user_can_be_made_together_with_a_ticket() {
    let mut store = TestStore::new();
    let row = Row::from("ann@acme.test");
    let made = store.create_user(&store.connection.id, &row.candidate(), &ann(), None, NOW, |user| {
        let ticket = verification(&store, user.id.clone(), &user.email);
        Owed { tickets: vec![([1; 32], ticket)], ..Owed::nothing() }
    });
    assert!(!made.unwrap().unwrap().email_verified);
    store.restart();
    assert!(verify(&store, [1; 32]));
    assert!(store.by_email("ann@acme.test").unwrap().email_verified);
}

#[test]
fn of_tickets_that_share_a_commit_the_last_is_left() {
    let store = store_with_ann();
    let core = store.core().unwrap();
    let before = commits(&store);
    let writer = core.writer.lock();
    std::thread::scope(|scope| {
        for number in 0..4 {
            let store = &store;
            scope.spawn(move || {
                let ticket = verification(store, ann(), "ann@acme.test");
                let owed = Owed { tickets: vec![([number; 32], ticket)], ..Owed::nothing() };
                store.tell(owed).unwrap();
            });
        }
        std::thread::sleep(Duration::from_millis(50));
        drop(writer);
    });
    assert!(commits(&store) < before + 4, "they did not share one");
    assert_eq!((keys_of(&store, b'r'), keys_of(&store, b'n')), (1, 1));
    assert_eq!((0..4).filter(|number| is_good_verification(&store, [*number; 32])).count(), 1);
}

#[test]
fn a_ticket_that_was_drawn_for_an_address_the_user_had_before_sets_no_password() {
    let store = TestStore::new();
    store.import(&Import::insert(1, rows!["ann@acme.test"]));
    let rename = |user: &mut User| {
        user.email = "new@acme.test".to_owned();
        Ok::<_, Refused>(None)
    };
    store.change_user(&store.connection.id, &ann(), rename, |_| Owed::nothing()).unwrap().unwrap();
    let late = Leave::SetPassword { proves_email: true, email: "ann@acme.test".to_owned() };
    assert!(store.issue_ticket([7; 32], ticket(&store, ann(), late), Owed::nothing()).unwrap());
    assert!(!redeem(&store, [7; 32], NOW));
    assert_eq!(store.credential(&store.connection, &ann()).unwrap(), None);
    assert!(!store.by_email("new@acme.test").unwrap().email_verified);
}

#[test]
fn a_ticket_made_while_the_clock_was_ahead_holds_nobody_up_once_it_is_set_back() {
    const YEAR: Duration = Duration::from_hours(365 * 24);
    const PAUSE: Duration = Duration::from_mins(15);
    let store = store_with_ann();
    let offered = |number: u8, made_at: Timestamp| {
        let leave = Leave::SetPassword { proves_email: true, email: "ann@acme.test".to_owned() };
        let ticket = UserTicket {
            created_at: made_at,
            expires_at: made_at.after(Duration::from_mins(1)),
            ..ticket(&store, ann(), leave)
        };
        store.offer_ticket([number; 32], ticket, PAUSE, Owed::nothing()).unwrap()
    };
    assert!(offered(1, NOW.after(YEAR)));
    assert!(!offered(2, NOW.after(YEAR).after(PAUSE / 2)));
    assert!(!offered(2, NOW.after(YEAR).before(PAUSE / 2)), "set back by less than the pause, it holds");
    let good = |number: u8, at| store.ticket([number; 32], TicketKind::SetPassword, at).unwrap().is_some();
    assert!(good(1, NOW.after(YEAR)) && good(1, NOW.after(YEAR).before(Duration::from_mins(1))));
    assert!(!good(1, NOW.after(YEAR).before(Duration::from_secs(61))), "it was to be good for a minute");
    assert!(!good(1, NOW));
    assert!(offered(3, NOW), "set back by a year, it does not");
    assert!(good(3, NOW) && !good(1, NOW.after(YEAR)));
}
