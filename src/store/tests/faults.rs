//! Faults at every step of a commit: the store says so, mends itself, and the job goes on.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::*;
use database::faults::At;

const ALL: [At; 4] = [At::Apply, At::Sync, At::Publish, At::Panic];

fn arm(store: &Store, at: At) {
    store.core().unwrap().database.faults.arm(at);
}

/// Calls the store with a fault waiting for it. A panic counts as an error, too.
#[track_caller]
pub(super) fn strike<T>(store: &Store, at: At, call: impl FnOnce() -> Result<T>) {
    arm(store, at);
    let outcome = catch_unwind(AssertUnwindSafe(call));
    assert!(!matches!(outcome, Ok(Ok(_))), "no fault at {at:?}");
    assert!(!store.is_available());
    assert!(matches!(store.users_by_email("ann@acme.test"), Err(StoreError::Unavailable)));
    assert!(matches!(store.create_connection(connection(9), Owed::nothing()), Err(StoreError::Unavailable)));
    store.reopen().unwrap();
    assert!(store.is_available());
}

fn file(number: u8, upsert: bool) -> Import {
    let rows =
        (0..40).map(|at| Row::from((&*format!("u{}@acme.test", at % 37), &*format!("n{at}")))).collect();
    Import { number, upsert, rows }
}

#[test]
fn after_a_fault_at_any_step_of_any_chunk_the_job_ends_exactly_right() {
    let undisturbed = TestStore::new();
    let files = [file(1, false), file(2, true)];
    let wanted = files.each_ref().map(|file| {
        let job = undisturbed.import_in_chunks(file, 10);
        (job.stage.clone(), failed_rows(&undisturbed, file))
    });
    for at in ALL {
        let store = TestStore::new();
        for (file, wanted) in files.iter().zip(&wanted) {
            store.enqueue(file);
            loop {
                let job = store.job(&file.id()).unwrap().unwrap();
                let Some(before) = job.progress() else {
                    break;
                };
                let users = store.users();
                strike(&store, at, || file.step(&store, 10));
                let job = store.job(&file.id()).unwrap().unwrap();
                if at == At::Apply {
                    assert_eq!(job.progress(), Some(before), "nothing was written");
                    assert_eq!(store.users(), users);
                    file.step(&store, 10).unwrap();
                } else {
                    assert_ne!(job.progress(), Some(before), "all of it was written");
                }
                assert_eq!(store.check().unwrap(), Vec::<String>::new());
                assert_jobs_told(&store);
            }
            let job = store.job(&file.id()).unwrap().unwrap();
            assert_eq!((&job.stage, &failed_rows(&store, file)), (&wanted.0, &wanted.1));
        }
        assert_eq!(store.users(), undisturbed.users(), "{at:?}");
        assert!(store.unfinished().unwrap().is_empty());
    }
}

/// A chunk of forty rows is three changes here.
#[test]
fn a_fault_between_two_changes_of_a_commit_keeps_the_first_and_the_job_goes_on_behind_it() {
    for upsert in [false, true] {
        let (undisturbed, store) = (TestStore::new(), TestStore::new());
        for store in [&undisturbed, &store] {
            store.import(&Import::insert(9, rows!["u20@acme.test", ("other@acme.test", "n21")]));
        }
        let file = file(1, upsert);
        let wanted = undisturbed.import_in_chunks(&file, 40);
        store.enqueue(&file);
        strike(&store, At::SecondApply, || file.step(&store, 40));
        let job = store.job(&file.id()).unwrap().unwrap();
        assert_eq!(job.progress().unwrap().next.row, 16);
        assert_eq!(job.summary().total, 16);
        assert_eq!(store.users().len(), 2 + 16);
        assert_eq!(store.check().unwrap(), Vec::<String>::new());
        assert_eq!(file.finish(&store, 40).stage, wanted.stage);
        assert_eq!(failed_rows(&store, &file), failed_rows(&undisturbed, &file));
        assert_eq!(store.users(), undisturbed.users());
        assert_jobs_told(&store);
    }
}

#[test]
fn a_fault_while_a_job_is_accepted_leaves_it_whole_or_not_at_all() {
    for at in ALL {
        let mut store = TestStore::limited_to(1);
        let file = file(1, false);
        strike(&store, at, || file.enqueue(&store, &store.connection));
        let known = store.job(&file.id()).unwrap();
        assert_eq!(known.is_some(), at != At::Apply);
        let spool = store.options.path.join("spool").join(format!("{}.json", file.id()));
        assert_eq!(spool.exists(), known.is_some(), "its file stays if the job does");
        assert_eq!(store.unfinished().unwrap().len(), usize::from(known.is_some()));
        store.restart();
        if known.is_none() {
            store.enqueue(&file);
        }
        assert_eq!(counts(&file.finish(&store, 10))[0], 37);
        assert_jobs_told(&store);
    }
}

#[test]
fn a_reopening_leaves_what_is_on_its_way_in_and_removes_what_a_job_left_that_ended_in_the_fault() {
    let store = TestStore::new();
    let (ending, coming) = (file(1, false), file(2, false));
    store.enqueue(&ending);
    let mut upload = store.begin_upload(&coming.id()).unwrap();
    upload.write(b"[").unwrap();
    strike(&store, At::Publish, || ending.step(&store, usize::MAX));
    assert!(store.job(&ending.id()).unwrap().unwrap().progress().is_none());
    let files = || std::fs::read_dir(store.options.path.join("spool")).unwrap().count();
    assert_eq!(files(), 1);
    upload.write(b"]").unwrap();
    Store::enqueue(&store, coming.new_job(&store.connection), upload, accepted(&coming.id())).unwrap();
    coming.finish(&store, 10);
    assert_eq!(files(), 0);
}

/// Half of being accepted: the job is written, and neither synced nor answered.
#[test]
fn a_job_is_told_of_only_once_it_is_accepted() {
    let store = TestStore::new();
    let first = store.enqueue(&file(1, false));
    let core = store.core().unwrap();
    let job = Job { id: file(2, false).id(), ticket: first.ticket + 1, ..(*first).clone() };
    let mut change = database::Change::default();
    keys::JOBS.put(&mut change, &[&job.ticket.to_be_bytes()], &job).unwrap();
    keys::JOB_TICKETS.put(&mut change, &[job.id.as_str().as_bytes()], &job.ticket).unwrap();
    core.commit(&mut core.writer.lock(), change).unwrap().done();
    assert!(store.job(&job.id).unwrap().is_none());
    let listed = store.jobs(&|_| true, 0, 9, true).unwrap();
    assert_eq!(listed.jobs.iter().map(|job| &job.id).collect::<Vec<_>>(), [&first.id]);
    assert_eq!(listed.total, Some(1));
}

#[test]
fn a_fault_while_a_job_is_given_up_tells_of_its_end_once() {
    for at in ALL {
        let store = TestStore::new();
        let job = store.enqueue(&file(1, false));
        strike(&store, at, || store.fail(&job, "why".to_owned(), NOW, &ended));
        assert_jobs_told(&store);
        if at == At::Apply {
            store.fail(&job, "why".to_owned(), NOW, &ended).unwrap();
        }
        assert_jobs_told(&store);
        assert!(store.unfinished().unwrap().is_empty());
    }
}

#[test]
fn a_commit_that_failed_leaves_no_event_and_no_number_is_given_twice() {
    for at in ALL {
        let store = TestStore::new();
        let event = |name: &str| Owed::from(Event::new(NOW, EventType::Login, name));
        store.tell(event("one")).unwrap();
        strike(&store, at, || store.tell(event("two")));
        store.tell(event("three")).unwrap();
        let told: Vec<_> = store
            .events_from(0, 9)
            .unwrap()
            .into_iter()
            .map(|(at, one)| (at, one.event.description))
            .collect();
        let told: Vec<_> = told.iter().map(|(at, name)| (*at, &**name)).collect();
        if at == At::Apply {
            assert_eq!(told, [(0, "one"), (1, "three")]);
        } else {
            assert_eq!(told, [(0, "one"), (1, "two"), (2, "three")]);
        }
    }
}

#[test]
fn a_fault_while_a_password_is_set_leaves_the_ticket_or_the_password() {
    for at in ALL {
        let store = TestStore::new();
        store.import(&Import::insert(1, rows!["ann@acme.test"]));
        let ticket = tickets::issue(&store, 1, tickets::ann(), true);
        strike(&store, at, || store.redeem_ticket(ticket, &tickets::credential(NOW), Owed::nothing()));
        let password = store.credential(&store.connection, &tickets::ann()).unwrap();
        let is_done = at != At::Apply;
        assert_eq!(password.is_some(), is_done);
        assert_eq!(
            store.ticket(ticket, crate::domain::TicketKind::SetPassword, NOW).unwrap().is_none(),
            is_done
        );
        assert_eq!(store.by_email("ann@acme.test").unwrap().email_verified, is_done);
    }
}

#[test]
fn a_fault_while_a_connection_is_made_gives_no_number_twice() {
    for at in ALL {
        let store = TestStore::new();
        strike(&store, at, || store.create_connection(connection(2), Owed::nothing()));
        let third = store.create_connection(connection(3), Owed::nothing()).unwrap();
        let mut numbers: Vec<u32> = store.connections().unwrap().iter().map(|c| c.number).collect();
        assert_eq!(numbers.last(), Some(&third.number));
        numbers.dedup();
        assert_eq!(numbers.len(), if at == At::Apply { 2 } else { 3 });
    }
}

#[test]
fn everybody_who_shared_a_failed_commit_is_told() {
    let store = TestStore::new();
    let core = store.core().unwrap();
    let writer = core.writer.lock();
    core.database.faults.arm(At::Sync);
    std::thread::scope(|scope| {
        let waiting: Vec<_> = (1..9)
            .map(|number| {
                let store = &store;
                scope.spawn(move || {
                    let import = Import::insert(number, rows!["ann@acme.test"]);
                    import.enqueue(store, &store.connection).is_err()
                })
            })
            .collect();
        std::thread::sleep(Duration::from_millis(100));
        drop(writer);
        assert!(waiting.into_iter().all(|thread| thread.join().unwrap()));
    });
    drop(core);
    store.reopen().unwrap();
}

#[test]
fn a_panic_before_the_commit_changes_nothing_and_the_store_goes_on() {
    let store = TestStore::new();
    let import = Import::insert(1, rows!["ann@acme.test", "ann@acme.test"]);
    let job = store.enqueue(&import);
    let chunk = import.chunk(&store, &job, 2);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        store.apply(
            &job,
            &chunk,
            NOW,
            Words { failed_row: &|_, _| panic!("while reporting a row"), ended: &ended },
        )
    }));
    assert!(panicked.is_err());
    assert!(store.is_available());
    assert!(store.users().is_empty());
    assert_eq!(counts(&import.finish(&store, 2)), [1, 0, 1]);
}

#[test]
fn the_same_chunk_twice_is_refused() {
    let mut store = TestStore::new();
    let import = Import::insert(1, rows!["ann@acme.test", "bob@acme.test", "cy@acme.test"]);
    let stale = store.enqueue(&import);
    let chunk = import.chunk(&store, &stale, 2);
    let fresh = import.apply(&store, &stale, &chunk).unwrap();
    assert!(import.apply(&store, &stale, &chunk).is_err(), "a stale job");
    assert!(import.apply(&store, &fresh, &chunk).is_err(), "a stale chunk");
    store.restart();
    assert!(import.apply(&store, &stale, &chunk).is_err(), "after a restart");
    let done = import.finish(&store, 1);
    assert!(import.apply(&store, &fresh, &chunk).is_err(), "an ended job");
    assert_eq!(counts(&done), [3, 0, 0]);
    assert!(store.is_available());
}

#[test]
fn a_chunk_with_a_hole_or_a_wrong_end_is_refused() {
    let store = TestStore::new();
    let import = Import::insert(1, rows!["ann@acme.test", "bob@acme.test", "cy@acme.test"]);
    let job = store.enqueue(&import);
    let mut hole = import.chunk(&store, &job, 3);
    hole.remove(0);
    assert!(import.apply(&store, &job, &hole).is_err());
    let mut inner = import.chunk(&store, &job, 3);
    inner.remove(1);
    assert!(import.apply(&store, &job, &inner).is_err(), "a hole inside");
    let mut early = import.chunk(&store, &job, 3);
    early[2].end.row = 2;
    assert!(import.apply(&store, &job, &early).is_err());
    let mut late = import.chunk(&store, &job, 3);
    late[2].end.row = 4;
    assert!(import.apply(&store, &job, &late).is_err());
    assert!(store.users().is_empty());
    import.finish(&store, 3);
}

#[test]
fn a_stale_view_of_a_job_can_neither_fail_it_nor_set_it_back() {
    let store = TestStore::new();
    let import = Import::insert(1, rows!["ann@acme.test", "bob@acme.test"]);
    let stale = store.enqueue(&import);
    let fresh = import.step(&store, 1).unwrap();
    assert!(store.try_again(&stale).is_err());
    assert!(store.fail(&stale, "stale".to_owned(), NOW, &ended).is_err());
    assert_eq!(store.job(&import.id()).unwrap(), Some(fresh.clone()));
    let again = store.try_again(&fresh).unwrap();
    assert_eq!((again.attempts, &again.stage), (1, &fresh.stage));
    assert_eq!(store.try_again(&fresh).unwrap().attempts, 2);
    let done = import.step(&store, 1).unwrap();
    assert_eq!((done.attempts, counts(&done)), (0, [2, 0, 0]));
    for job in [&stale, &fresh, &again, &done] {
        assert!(store.try_again(job).is_err());
        assert!(store.fail(job, "late".to_owned(), NOW, &ended).is_err());
    }
    assert_eq!(store.job(&import.id()).unwrap(), Some(done));
    assert!(store.unfinished().unwrap().is_empty());
}

#[test]
fn a_failed_job_keeps_its_rows_and_loses_its_file() {
    let mut store = TestStore::new();
    let import = Import::insert(1, rows!["ann@acme.test", "bob@acme.test"]);
    store.enqueue(&import);
    let job = import.step(&store, 1).unwrap();
    let failed = store.fail(&job, "it cannot go on".to_owned(), NOW, &ended).unwrap();
    assert_eq!(counts(&failed), [1, 0, 0]);
    assert!(store.file(&failed).is_err());
    assert!(import.apply(&store, &job, &import.chunk(&store, &job, 1)).is_err());
    store.restart();
    assert_eq!(store.job(&import.id()).unwrap(), Some(failed));
    assert_eq!(store.users().len(), 1);
}
