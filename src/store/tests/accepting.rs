//! Uploads: accepted together, refused, abandoned, left behind.

use super::*;

fn spooled(store: &TestStore) -> usize {
    std::fs::read_dir(store.options.path.join("spool")).unwrap().count()
}

/// All of them at once, each on its own thread.
fn enqueue_all(store: &TestStore, numbers: std::ops::Range<u8>) -> Vec<Result<Arc<Job>>> {
    let ready = std::sync::Barrier::new(numbers.len());
    std::thread::scope(|scope| {
        let threads: Vec<_> = numbers
            .map(|number| {
                let ready = &ready;
                scope.spawn(move || {
                    let import = Import::insert(number, Vec::new());
                    ready.wait();
                    import.enqueue(store, &store.connection)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn uploads_that_arrive_together_share_commits() {
    let mut store = TestStore::new();
    let before = commits(&store);
    let jobs = enqueue_all(&store, 1..33);
    assert!(jobs.iter().all(Result::is_ok));
    let needed = commits(&store) - before;
    assert!(needed < 32, "{needed} commits");
    println!("32 uploads in {needed} commits");
    let tickets: std::collections::BTreeSet<Ticket> = jobs.iter().flatten().map(|job| job.ticket).collect();
    assert_eq!(tickets.len(), 32);
    store.restart();
    assert_eq!(store.unfinished().unwrap(), tickets.into_iter().collect::<Vec<_>>());
    assert_eq!(spooled(&store), 32);
}

#[test]
fn exactly_as_many_unfinished_jobs_are_taken_as_allowed() {
    for _ in 0..10 {
        let store = TestStore::limited_to(5);
        let jobs = enqueue_all(&store, 1..25);
        assert_eq!(jobs.iter().flatten().count(), 5);
        assert!(
            jobs.iter()
                .all(|job| !matches!(job, Err(error) if !matches!(error, StoreError::TooManyActiveJobs(_))))
        );
        assert_eq!(spooled(&store), 5, "the refused leave nothing");
        assert!(matches!(store.admit(0), Err(StoreError::TooManyActiveJobs(5))));
        let number = (1..25).find(|number| {
            let id = Import::insert(*number, Vec::new()).id();
            store.job(&id).unwrap().is_some()
        });
        Import::insert(number.unwrap(), Vec::new()).finish(&store, 1);
        store.admit(0).unwrap();
        store.enqueue(&Import::insert(99, Vec::new()));
    }
}

#[test]
fn an_abandoned_upload_leaves_nothing() {
    let store = TestStore::new();
    let mut upload = store.begin_upload(&Import::insert(1, Vec::new()).id()).unwrap();
    upload.write(b"[{").unwrap();
    assert_eq!((spooled(&store), upload.bytes()), (1, 2));
    drop(upload);
    assert_eq!(spooled(&store), 0);
}

#[test]
fn a_start_removes_files_that_no_job_needs_and_no_other() {
    let mut store = TestStore::new();
    let (one, two) = (Import::insert(1, rows!["ann@acme.test"]), Import::insert(2, Vec::new()));
    store.enqueue(&one);
    store.enqueue(&two);
    let ended = two.finish(&store, 1);
    assert_eq!(spooled(&store), 1, "an ended job's file goes at once");
    let spool = store.options.path.join("spool");
    // As if the process had died between the last commit and the removal, or in an upload.
    std::fs::write(spool.join(format!("{}.json", ended.id)), b"[]").unwrap();
    std::fs::write(spool.join("job_0000000000000000.json"), b"[").unwrap();
    store.restart();
    assert_eq!(spooled(&store), 1);
    let job = store.job(&one.id()).unwrap().unwrap();
    assert_eq!(std::io::read_to_string(store.file(&job).unwrap()).unwrap(), "[]");
    one.finish(&store, 1);
}

#[test]
fn a_full_disk_refuses_uploads_before_they_begin() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options { min_free_disk: u64::MAX / 2, ..options(&directory.path().join("data")) };
    let store = TestStore::with(options, directory, u64::MAX);
    assert!(matches!(
        store.admit(5),
        Err(StoreError::DiskFull { needed, .. }) if needed == u64::MAX / 2 + 5
    ));
}

#[test]
fn a_file_without_rows_completes() {
    let store = TestStore::new();
    assert_eq!(counts(&store.import(&Import::insert(1, Vec::new()))), [0, 0, 0]);
}

#[test]
fn a_file_that_is_no_file_of_users_is_kept_as_a_job_that_fails() {
    let mut store = TestStore::new();
    let import = Import::insert(1, Vec::new());
    let fault = FileFault { what: "not an array".to_owned(), line: 1, column: 1, byte: 0, hint: None };
    let new = NewJob { rows: Err(fault.clone()), ..import.new_job(&store.connection) };
    let upload = store.begin_upload(&import.id()).unwrap();
    let job = Store::enqueue(&store, new, upload, Owed::nothing()).unwrap();
    assert_eq!(job.rows, Err(fault.clone()));
    store.restart();
    let job = store.unfinished_job(job.ticket).unwrap().unwrap();
    store.fail(&job, fault.to_string(), NOW, &ended).unwrap();
    assert!(matches!(store.job(&import.id()).unwrap().unwrap().stage, Stage::Failed { .. }));
    assert_eq!(spooled(&store), 0);
}

#[test]
fn jobs_are_listed_newest_first_page_by_page() {
    let store = TestStore::new();
    for number in 1..=7 {
        store.enqueue(&Import { upsert: number % 2 == 0, ..Import::insert(number, Vec::new()) });
    }
    Import::insert(3, Vec::new()).finish(&store, 1);
    let page = store.jobs(&|job| !job.upsert, 1, 2, true).unwrap();
    let tickets: Vec<Ticket> = page.jobs.iter().map(|job| job.ticket).collect();
    assert_eq!((tickets, page.total), (vec![4, 2], Some(4)));
    let page = store.jobs(&|job| job.progress().is_none(), 0, 9, false).unwrap();
    assert_eq!((page.jobs.len(), page.total), (1, None));
}
