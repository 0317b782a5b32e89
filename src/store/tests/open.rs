//! Opening: again, twice, after damage, with the wrong files.

use std::fs;

use super::*;

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, target) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(path, target).unwrap();
        }
    }
}

fn put_back(from: &Path, to: &Path) {
    fs::remove_dir_all(to).unwrap();
    copy(from, to);
}

#[test]
fn a_store_opens_right_after_it_was_dropped() {
    let mut store = TestStore::new();
    for number in 1..=30 {
        let email = format!("u{number}@acme.test");
        store.import(&Import::insert(number, rows![&*email]));
        store.restart();
        assert_eq!(store.users().len(), usize::from(number));
    }
}

#[test]
fn two_stores_in_one_process_do_not_meet() {
    let stores = [TestStore::new(), TestStore::new()];
    std::thread::scope(|scope| {
        for (number, store) in (1..).zip(&stores) {
            scope.spawn(move || {
                let rows = (0..500).map(|at| Row::from(&*format!("u{at}-{number}@acme.test")));
                store.import_in_chunks(&Import::insert(number, rows.collect()), 20)
            });
        }
    });
    for (number, store) in (1..).zip(&stores) {
        assert_eq!(store.users().len(), 500);
        assert!(store.by_email(&format!("u7-{number}@acme.test")).is_some());
        assert!(store.by_email(&format!("u7-{}@acme.test", 3 - number)).is_none());
    }
}

#[test]
fn a_directory_is_open_once() {
    let store = TestStore::new();
    assert!(matches!(
        Store::open(store.options.clone()),
        Err(StoreError::Locked(path)) if path == store.options.path
    ));
    store.import(&Import::insert(1, rows!["ann@acme.test"]));
}

#[test]
fn an_older_database_under_a_newer_witness_is_refused() {
    let mut store = TestStore::new();
    store.import(&Import::insert(1, rows!["ann@acme.test"]));
    store.close();
    let (database, old) = (store.options.path.join("database"), store.options.path.join("old"));
    copy(&database, &old);
    store.open().unwrap();
    store.import(&Import::insert(2, rows!["bob@acme.test"]));
    store.close();
    let new = store.options.path.join("new");
    copy(&database, &new);
    put_back(&old, &database);
    assert!(matches!(store.open(), Err(StoreError::Lost { found: 3, acknowledged: 5 })));
    fs::remove_dir_all(&database).unwrap();
    assert!(matches!(store.open(), Err(StoreError::Lost { found: 0, acknowledged: 5 })));
    assert!(!database.exists(), "a refusal makes nothing");
    copy(&new, &database);
    store.open().unwrap();
    assert_eq!(store.users().len(), 2);
}

#[test]
fn a_database_from_elsewhere_is_refused() {
    let stores = ["ann@acme.test", "bob@acme.test"].map(|email| {
        let mut store = TestStore::new();
        store.import(&Import::insert(1, rows![email]));
        store.close();
        store
    });
    let [mut one, other] = stores;
    put_back(&other.options.path.join("database"), &one.options.path.join("database"));
    let error = one.open().unwrap_err();
    assert!(matches!(error, StoreError::WitnessDisagrees(_)), "{error}");
    assert!(error.to_string().contains("witness"), "{error}");
}

#[test]
fn a_torn_or_missing_witness_does_not_stop_the_store() {
    let mut store = TestStore::new();
    store.import(&Import::insert(1, rows!["ann@acme.test"]));
    store.close();
    let witness = store.options.path.join("witness");
    // Three commits so far: the third is in the second slot.
    let mut bytes = fs::read(&witness).unwrap();
    bytes[512 + 9] ^= 1;
    fs::write(&witness, &bytes).unwrap();
    store.restart();
    store.close();
    fs::remove_file(&witness).unwrap();
    store.restart();
    assert_eq!(fs::read(&witness).unwrap().len(), 16, "what was found is witnessed");
}

#[test]
fn an_unknown_layout_is_refused_and_left_alone() {
    let mut store = TestStore::new();
    store.import(&Import::insert(1, rows!["ann@acme.test"]));
    let stray = store.options.path.join("spool").join("stray.json");
    fs::write(&stray, b"[]").unwrap();
    let write_version = |store: &TestStore, version: u32| {
        let core = store.core().unwrap();
        let mut change = database::Change::default();
        keys::VERSION.put(&mut change, &[], &version).unwrap();
        core.commit(&mut core.writer.lock(), change).unwrap().done();
    };
    let newer = database::LAYOUT + 1;
    write_version(&store, newer);
    store.close();
    let witness = fs::read(store.options.path.join("witness")).unwrap();
    let error = store.open().unwrap_err();
    assert!(matches!(error, StoreError::Version { found, .. } if found == newer), "{error}");
    assert!(stray.exists());
    assert_eq!(fs::read(store.options.path.join("witness")).unwrap(), witness);
}

#[test]
fn a_snapshot_that_was_cut_short_heals() {
    let mut store = TestStore::new();
    store.import(&Import::insert(1, rows!["ann@acme.test"]));
    store.close();
    let cut = store.options.path.join("database/snap.00000000FFFFFFFF.generating");
    fs::write(&cut, b"half").unwrap();
    store.restart();
    assert!(!cut.exists());
    assert_eq!(store.users().len(), 1);
}

#[test]
fn a_database_that_a_power_cut_left_unmade_is_made_anew_and_no_other_is() {
    let directory = tempfile::tempdir().unwrap();
    let mark = directory.path().join("database.new");
    fs::create_dir(directory.path().join("database")).unwrap();
    fs::write(directory.path().join("database/conf"), [0; 100]).unwrap();
    assert!(Store::open(options(directory.path())).is_err(), "without the mark nothing is thrown away");
    fs::write(&mark, b"").unwrap();
    drop(Store::open(options(directory.path())).unwrap());
    assert!(!mark.exists());

    let mut store = TestStore::new();
    store.import(&Import::insert(1, rows!["ann@acme.test"]));
    store.close();
    fs::write(store.options.path.join("database.new"), b"").unwrap();
    store.restart();
    assert_eq!(store.users().len(), 1, "the witness knows that this one is in use");
}

#[test]
fn a_database_half_made_in_place_of_a_lost_one_says_what_to_do() {
    let mut store = TestStore::new();
    store.import(&Import::insert(1, rows!["ann@acme.test"]));
    store.close();
    let database = store.options.path.join("database");
    fs::remove_dir_all(&database).unwrap();
    // What a power cut leaves of a start that accepts the loss.
    fs::create_dir(&database).unwrap();
    fs::write(database.join("conf"), [0; 100]).unwrap();
    fs::write(store.options.path.join("database.new"), b"").unwrap();
    for on_loss in [OnLoss::Refuse, OnLoss::Accept] {
        let refused = store.open_despite(on_loss).unwrap_err();
        assert!(matches!(refused, StoreError::HalfReplaced(_)), "{refused}");
        assert!(refused.to_string().contains("remove this folder"), "{refused}");
    }
    fs::remove_dir_all(&database).unwrap();
    store.open_despite(OnLoss::Accept).unwrap();
    assert_eq!(store.connections().unwrap(), []);
}

#[test]
fn a_database_that_cannot_be_made_is_none_in_place_of_a_lost_one() {
    let directory = tempfile::tempdir().unwrap();
    let options = options(&directory.path().join("data"));
    let hopeless = Options { open_timeout: Duration::ZERO, ..options.clone() };
    let refused = Store::open(hopeless).unwrap_err();
    assert!(matches!(refused, StoreError::Slow { .. }), "{refused}");
    let words = refused.to_string();
    let advice = ["raise storage.open_timeout", "restore"].map(|part| words.find(part).unwrap());
    assert!(advice.is_sorted(), "restoring a backup is not the first thing to do: {words}");
    // The database panics without a cache.
    let refused = Store::open(Options { cache_bytes: 1, ..options.clone() }).unwrap_err();
    assert!(matches!(refused, StoreError::Unopenable { .. }), "{refused}");
    Store::open(options).unwrap();
}

#[test]
fn a_database_that_is_gone_is_missed_and_none_is_made_in_its_place() {
    let mut store = TestStore::new();
    store.import(&Import::insert(1, rows!["ann@acme.test"]));
    store.close();
    let (database, aside) = (store.options.path.join("database"), store.options.path.join("aside"));
    fs::rename(&database, &aside).unwrap();
    let refused = Store::open(store.options.clone()).unwrap_err();
    assert!(matches!(refused, StoreError::Lost { found: 0, .. }), "{refused}");
    assert!(!database.exists() && !store.options.path.join("database.new").exists());
    fs::rename(&aside, &database).unwrap();
    fs::remove_file(store.options.path.join("witness")).unwrap();
    store.restart();
    assert_eq!(store.users().len(), 1, "what is put back is never thrown away");
}

#[test]
fn a_log_that_was_cut_off_is_never_taken_for_whole() {
    let mut store = TestStore::new();
    let rows = (0..2000).map(|at| Row::from(&*format!("u{at}@acme.test")).app(&Dice(at).noise(200)));
    store.import_in_chunks(&Import::insert(1, rows.collect()), 100);
    store.close();
    let log = store.options.path.join("database/db");
    let whole = fs::read(&log).unwrap();
    let end = whole.iter().rposition(|byte| *byte != 0).unwrap();
    let snapshots: Vec<_> = fs::read_dir(store.options.path.join("database"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().contains("snap."))
        .collect();
    snapshots.iter().for_each(|path| fs::remove_file(path).unwrap());
    for at in [end / 3, end / 2, end - 5000, end - 100] {
        let mut damaged = whole.clone();
        damaged[at..].fill(0);
        fs::write(&log, &damaged).unwrap();
        let error = store.open().unwrap_err();
        println!("cut at {at} of {end}: {error}");
    }
}

#[test]
fn the_directory_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let store = TestStore::new();
    let mode = fs::metadata(store.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}
