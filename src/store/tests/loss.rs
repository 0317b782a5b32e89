//! A store older than its witness, by somebody's leave.

use std::fs;
use std::path::PathBuf;

use super::*;

/// A closed store whose database ends before its witness: Ann is in it, Bob was.
fn lossy() -> TestStore {
    let mut store = TestStore::new();
    store.import(&Import::insert(1, rows!["ann@acme.test"]));
    store.close();
    let (database, old) = (store.options.path.join("database"), store.options.path.join("old"));
    copy(&database, &old);
    store.open().unwrap();
    store.import(&Import::insert(2, rows!["bob@acme.test"]));
    store.close();
    fs::remove_dir_all(&database).unwrap();
    fs::rename(old, database).unwrap();
    store
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let place = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &place);
        } else {
            fs::copy(path, place).unwrap();
        }
    }
}

/// Puts a file where uploads wait.
fn spool(store: &TestStore, number: u8) -> PathBuf {
    let file = store.options.path.join("spool").join(format!("{}.json", JobId::from_entropy([number; 16])));
    fs::write(&file, b"[]").unwrap();
    file
}

#[test]
fn a_loss_that_is_accepted_is_told_and_then_over() {
    let mut store = lossy();
    let refused = store.open().unwrap_err().to_string();
    assert!(refused.contains("--accept-loss"), "{refused}");
    store.open_despite(OnLoss::Accept).unwrap();
    assert_eq!(store.loss(), Some(&Loss { found: 3, acknowledged: 5, kept: Vec::new() }));
    assert!(store.by_email("ann@acme.test").is_some() && store.by_email("bob@acme.test").is_none());
    store.import(&Import::insert(3, rows!["eve@acme.test"]));
    store.restart();
    assert_eq!(store.loss(), None);
    assert_eq!(store.users().len(), 2);
}

#[test]
fn a_loss_that_was_accepted_is_over_even_if_nothing_follows() {
    let mut store = lossy();
    store.open_despite(OnLoss::Accept).unwrap();
    store.restart();
    assert_eq!(store.loss(), None);
}

#[test]
fn uploads_whose_jobs_a_loss_took_are_kept() {
    let mut store = lossy();
    let file = spool(&store, 9);
    assert!(store.open().is_err());
    assert!(file.exists(), "a refusal removes nothing");
    store.open_despite(OnLoss::Accept).unwrap();
    let kept = store.options.path.join("lost").join(file.file_name().unwrap());
    assert_eq!(store.loss().unwrap().kept, std::slice::from_ref(&kept));
    assert!(!file.exists() && kept.exists());
    store.restart();
    assert!(kept.exists());
}

#[test]
fn uploads_are_kept_before_the_loss_is_accepted() {
    let mut store = lossy();
    let (file, lost) = (spool(&store, 9), store.options.path.join("lost"));
    // No such folder can be made.
    fs::write(&lost, b"").unwrap();
    assert!(store.open_despite(OnLoss::Accept).is_err());
    assert!(matches!(store.open(), Err(StoreError::Lost { .. })), "a start that failed accepts nothing");
    assert!(file.exists());
}

#[test]
fn where_nothing_is_lost_there_is_nothing_to_accept() {
    let mut store = TestStore::new();
    store.import(&Import::insert(1, rows!["ann@acme.test"]));
    store.close();
    let file = spool(&store, 9);
    store.open_despite(OnLoss::Accept).unwrap();
    assert_eq!(store.loss(), None);
    assert!(!file.exists() && !store.options.path.join("lost").exists());
    assert_eq!(store.users().len(), 1);
}

#[test]
fn a_database_that_is_gone_may_be_made_anew() {
    let mut store = lossy();
    fs::remove_dir_all(store.options.path.join("database")).unwrap();
    let file = spool(&store, 9);
    store.open_despite(OnLoss::Accept).unwrap();
    let loss = store.loss().unwrap();
    assert_eq!((loss.found, loss.acknowledged, loss.kept.len()), (0, 5, 1));
    assert!(!file.exists());
    store.connection = store.create_connection(connection(1), Owed::nothing()).unwrap();
    store.import(&Import::insert(1, rows!["ann@acme.test"]));
    store.restart();
    assert_eq!(store.users().len(), 1);
}
