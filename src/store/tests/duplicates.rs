//! Who is a duplicate of whom, and which row came first.

use Code::{ConflictUsername, DuplicatedUser};

use super::*;

/// What a file does, whatever the chunks it is written in and wherever the process restarts.
#[track_caller]
fn check(before: &[Row], upsert: bool, rows: &[Row], failures: &[(u64, Code, Option<u64>)]) {
    for (chunk, restarting, mask) in
        [(usize::MAX, false, u64::MAX), (1, false, u64::MAX), (2, false, 0xff), (1, true, u64::MAX)]
    {
        let mut store = TestStore::hashing(mask);
        store.import(&Import::insert(1, before.to_vec()));
        let import = Import { number: 2, upsert, rows: rows.to_vec() };
        store.enqueue(&import);
        while import.step(&store, chunk).unwrap().progress().is_some() {
            if restarting {
                store.restart();
            }
        }
        let wanted: Vec<_> =
            failures.iter().map(|(row, code, first)| (*row, vec![(*code, *first)])).collect();
        assert_eq!(store.failures(&import), wanted, "in chunks of {chunk}");
        let job = store.job(&import.id()).unwrap().unwrap();
        assert_eq!(counts(&job)[2], failures.len() as u64);
    }
}

#[test]
fn the_second_row_with_an_address_names_the_first() {
    for upsert in [false, true] {
        check(
            &[],
            upsert,
            &rows!["ann@acme.test", "bob@acme.test", "ann@acme.test", "ann@acme.test"],
            &[(2, DuplicatedUser, Some(0)), (3, DuplicatedUser, Some(0))],
        );
    }
}

#[test]
fn letter_case_makes_no_difference() {
    check(
        &rows![("old@acme.test", "Old")],
        false,
        &rows![
            ("Ann@Acme.test", "ANN"),
            "aNN@acme.TEST",
            ("bob@acme.test", "ann"),
            "OLD@ACME.TEST",
            ("cy@acme.test", "oLD"),
            ("ÄRA@acme.test", "STRASSE"),
            "ära@acme.test",
            ("dan@acme.test", "strasse"),
        ],
        &[
            (1, DuplicatedUser, Some(0)),
            (2, DuplicatedUser, Some(0)),
            (3, DuplicatedUser, None),
            (4, DuplicatedUser, None),
            (6, DuplicatedUser, Some(5)),
            (7, DuplicatedUser, Some(5)),
        ],
    );
}

#[test]
fn an_existing_user_fails_an_insert_once_for_both_keys() {
    check(
        &rows![("ann@acme.test", "ann")],
        false,
        &rows![("ann@acme.test", "ann"), ("other@acme.test", "ann"), ("ann@acme.test", "new")],
        &[(0, DuplicatedUser, None), (1, DuplicatedUser, None), (2, DuplicatedUser, None)],
    );
}

#[test]
fn a_row_that_fails_provides_nothing() {
    check(
        &rows![("ann@acme.test", "ann")],
        false,
        // Row 0 fails over its name; its address is free for row 1, and so is row 2's name for row 3.
        &rows![
            ("bob@acme.test", "ann"),
            ("bob@acme.test", "bob"),
            ("ann@acme.test", "cy"),
            ("cy@acme.test", "cy"),
        ],
        &[(0, DuplicatedUser, None), (2, DuplicatedUser, None)],
    );
    let malformed = Row { malformed: true, ..Row::from("dan@acme.test") };
    check(&[], true, &[malformed, Row::from("dan@acme.test")], &[(0, Code::InvalidFormat, None)]);
}

#[test]
fn an_upsert_may_not_take_a_name_from_somebody_else() {
    check(
        &rows![("ann@acme.test", "ann")],
        true,
        &rows![("bob@acme.test", "ann"), "bob@acme.test"],
        &[(0, ConflictUsername, None)],
    );
}

#[test]
fn names_swapped_between_existing_users_stay_where_they_are() {
    let swapped = rows![("ann@acme.test", "bob"), ("bob@acme.test", "ann")];
    let before = rows![("ann@acme.test", "ann"), ("bob@acme.test", "bob")];
    check(&before, true, &swapped, &[]);
    check(&before, false, &swapped, &[(0, DuplicatedUser, None), (1, DuplicatedUser, None)]);
    let store = TestStore::new();
    store.import(&Import::insert(1, before));
    store.import(&Import::upsert(2, swapped));
    assert_eq!(store.by_username("ann").unwrap().email, "ann@acme.test");
    assert_eq!(store.by_username("bob").unwrap().email, "bob@acme.test");
}

#[test]
fn a_name_given_to_a_user_who_keeps_another_is_taken_for_the_rest_of_the_file() {
    check(
        &rows![("ann@acme.test", "ann"), "bob@acme.test", "cy@acme.test"],
        true,
        &rows![
            ("ann@acme.test", "new"),
            ("bob@acme.test", "NEW"),
            ("zoe@acme.test", "new"),
            ("cy@acme.test", "other"),
            ("zoe@acme.test", "zoe"),
        ],
        &[(1, DuplicatedUser, Some(0)), (2, DuplicatedUser, Some(0))],
    );
}

#[test]
fn a_user_named_by_its_own_name_takes_that_name_in_the_file() {
    check(
        &rows![("ann@acme.test", "ann"), "bob@acme.test"],
        true,
        &rows![("ann@acme.test", "ann"), ("bob@acme.test", "ann")],
        &[(1, DuplicatedUser, Some(0))],
    );
    // Not named by it: the name belongs to a user, but no row gave it.
    check(
        &rows![("ann@acme.test", "ann")],
        true,
        &rows!["ann@acme.test", ("bob@acme.test", "ann")],
        &[(1, ConflictUsername, None)],
    );
}

#[test]
fn both_keys_can_be_duplicates_of_different_rows() {
    let store = TestStore::new();
    let import = Import::insert(
        1,
        rows![("ann@acme.test", "ann"), ("bob@acme.test", "bob"), ("ann@acme.test", "bob")],
    );
    store.import_in_chunks(&import, 1);
    assert_eq!(store.failures(&import), [(2, vec![(DuplicatedUser, Some(0)), (DuplicatedUser, Some(1))])]);
}

#[test]
fn claims_end_with_their_job() {
    let mut store = TestStore::new();
    store.import(&Import::insert(1, rows!["ann@acme.test", "bob@acme.test"]));
    let claims = |store: &TestStore| {
        let core = store.core().unwrap();
        core.database.tree().range(keys::CLAIMS.below(&[])).count()
            + core.database.tree().scan_prefix(b"t").count()
    };
    let one = Import::upsert(2, rows![("ann@acme.test", "x"), "bob@acme.test"]);
    store.enqueue(&one);
    one.step(&store, 1).unwrap();
    assert_ne!(claims(&store), 0);
    // Another file may give that name.
    let two = Import::upsert(3, rows![("bob@acme.test", "x")]);
    assert_eq!(counts(&store.import(&two)), [0, 1, 0]);
    one.finish(&store, 1);
    assert_eq!(claims(&store), 0);
    // A job that ended in the middle of its end: the next start removes them.
    let three = Import::upsert(4, rows![("ann@acme.test", "y"), "bob@acme.test"]);
    store.enqueue(&three);
    three.step(&store, 1).unwrap();
    let core = store.core().unwrap();
    core.database.faults.arm(database::faults::At::Publish);
    drop(core);
    assert!(three.step(&store, 1).is_err());
    store.restart();
    assert_eq!(claims(&store), 0);
    assert_eq!(counts(&store.job(&three.id()).unwrap().unwrap()), [0, 2, 0]);
}

#[test]
fn a_touch_is_kept_while_its_job_runs_and_not_longer() {
    let mut store = TestStore::new();
    store.import(&Import::insert(1, rows!["ann@acme.test", "bob@acme.test"]));
    let slow = Import::upsert(2, rows!["ann@acme.test", "bob@acme.test", "ann@acme.test"]);
    store.enqueue(&slow);
    slow.step(&store, 1).unwrap();
    for number in 3..6 {
        store.import(&Import::upsert(number, rows!["ann@acme.test"]));
    }
    store.restart();
    slow.finish(&store, 1);
    assert_eq!(store.failures(&slow), [(2, vec![(DuplicatedUser, Some(0))])]);
    store.import(&Import::upsert(6, rows!["ann@acme.test"]));
    let core = store.core().unwrap();
    let block = core.block(store.connection.number, 0).unwrap().unwrap();
    let touches = record::Record::decode(block.record(0).unwrap()).unwrap().touches;
    assert_eq!(touches.len(), 1, "{touches:?}");
}

#[test]
fn an_upsert_replaces_the_metadata_it_has_and_keeps_what_it_has_not() {
    let store = TestStore::new();
    store.import(&Import::insert(
        1,
        vec![Row::from(("ann@acme.test", "ann")).app(r#"{"a":1.50}"#).user("{}")],
    ));
    let made = store.by_email("ann@acme.test").unwrap();
    let verified = Row { verified: true, ..Row::from("ann@acme.test") };
    store.import(&Import::upsert(2, vec![verified.user(r#"{"b":12345678901234567890}"#)]));
    let user = store.by_email("ann@acme.test").unwrap();
    assert_eq!(
        user,
        User {
            email_verified: true,
            user_metadata: Some(r#"{"b":12345678901234567890}"#.to_owned()),
            ..made
        }
    );
}

#[test]
fn two_jobs_racing_give_each_address_to_one_of_them() {
    for upsert in [false, true] {
        let store = TestStore::new();
        let file = |number| Import {
            number,
            upsert,
            rows: (0..600).map(|at| Row::from((&*format!("u{at}@acme.test"), &*format!("n{at}")))).collect(),
        };
        let imports = [file(1), file(2)];
        imports.iter().for_each(|import| {
            store.enqueue(import);
        });
        std::thread::scope(|scope| {
            for import in &imports {
                scope.spawn(|| import.finish(&store, 7));
            }
        });
        let jobs = imports.each_ref().map(|import| counts(&store.job(&import.id()).unwrap().unwrap()));
        assert_eq!(jobs[0][0] + jobs[1][0], 600, "{jobs:?}");
        let others = jobs[0][1] + jobs[1][1] + jobs[0][2] + jobs[1][2];
        assert_eq!(others, 600, "{jobs:?}");
        assert_eq!(if upsert { jobs[0][2] } else { jobs[0][1] }, 0);
        assert_eq!(store.users().len(), 600);
        for import in &imports {
            let failures = store.failures(import);
            assert!(failures.iter().all(|(_, faults)| faults == &[(DuplicatedUser, None)]));
        }
    }
}

#[test]
fn users_whose_keys_collide_are_told_apart() {
    let mut store = TestStore::hashing(0xff);
    let rows: Vec<Row> =
        (0..1000).map(|at| Row::from((&*format!("u{at}@acme.test"), &*format!("n{at}")))).collect();
    let import = Import::insert(1, rows.clone());
    assert_eq!(counts(&store.import_in_chunks(&import, 300)), [1000, 0, 0]);
    assert_eq!(counts(&store.import_in_chunks(&Import::insert(2, rows[..20].to_vec()), 7)), [0, 0, 20]);
    let large: Vec<Row> = rows[..20].iter().map(|row| row.clone().app(&Dice(1).noise(30 << 10))).collect();
    assert_eq!(counts(&store.import_in_chunks(&Import::upsert(3, large), 7)), [0, 20, 0]);
    for restarted in [false, true] {
        for at in (0..1000).step_by(37).chain(0..20) {
            let by_email = store.by_email(&format!("u{at}@acme.test")).unwrap();
            assert_eq!(by_email.id, import.ids().id(at), "restarted: {restarted}");
            assert_eq!(store.by_username(&format!("n{at}")).as_ref(), Some(&by_email));
            assert_eq!(store.user(&by_email.id).unwrap().unwrap().0, by_email);
        }
        assert_eq!(store.by_email("u1000@acme.test"), None);
        store.restart();
    }
}

#[test]
fn a_connection_does_not_see_the_users_of_another() {
    let store = TestStore::new();
    let other = store.create_connection(connection(2), Owed::nothing()).unwrap();
    store.import(&Import::insert(1, rows![("ann@acme.test", "ann")]));
    let import = Import::insert(2, rows![("ann@acme.test", "ann")]);
    import.enqueue(&store, &other).unwrap();
    assert_eq!(counts(&import.finish(&store, 1)), [1, 0, 0]);
    assert_eq!(store.users_by_email("ann@acme.test").unwrap().len(), 2);
    assert_eq!(scan(&store, &other).len(), 1);
}

/// Whoever knows one id of a running job can tell the next ones.
#[test]
fn an_id_that_a_job_was_about_to_make_is_not_given_twice() {
    let mut store = TestStore::new();
    let job = Import::insert(1, rows!["ann@acme.test", "bob@acme.test", "cy@acme.test"]);
    store.enqueue(&job);
    job.step(&store, 1).unwrap();
    let thief = Row { id: Some(job.ids().id(1)), ..Row::from("thief@acme.test") };
    assert_eq!(counts(&store.import(&Import::insert(2, vec![thief]))), [1, 0, 0]);
    assert_eq!(counts(&job.finish(&store, 9)), [2, 0, 1]);
    let failed = failed_rows(&store, &job);
    assert_eq!((failed[0].index, failed[0].faults[0].code), (1, Code::Conflict));
    store.restart();
    assert_eq!(store.users().len(), 3);
}
