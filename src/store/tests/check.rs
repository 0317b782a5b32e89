//! `check()` sees what it is there for.

use super::*;
use crate::store::directory::{Key, Place};

#[test]
fn check_names_a_connection_whose_directory_has_an_entry_too_many() {
    let store = TestStore::new();
    store.import(&Import::insert(1, rows!["ann@acme.test"]));
    let core = store.core().unwrap();
    let shards = core.directory.connection(store.connection.number);
    let (hash, place) = (7 << 40, Place::new(0, 3).unwrap());
    shards.insert_all(&mut [(hash, place)], |_, _| {});
    let findings = store.check().unwrap();
    assert_eq!(findings.len(), 1);
    assert!(findings[0].contains("connection-1"), "{findings:?}");
    shards.remove(hash, place);
}

#[test]
fn check_names_a_connection_whose_directory_lacks_an_entry() {
    let store = TestStore::new();
    store.import(&Import::insert(1, rows!["ann@acme.test", "bob@acme.test"]));
    let core = store.core().unwrap();
    let shards = core.directory.connection(store.connection.number);
    let hash = core.hasher.hash(Key::Email("bob@acme.test"));
    let place = shards.candidates(hash)[0];
    shards.remove(hash, place);
    assert_eq!(store.check().unwrap().len(), 1);
    assert_eq!(store.by_email("bob@acme.test"), None);
    shards.insert_all(&mut [(hash, place)], |_, _| {});
}

#[test]
fn check_sees_values_outside_the_log() {
    let store = TestStore::new();
    let blob = database::blobs(store.path()).join("12");
    std::fs::write(&blob, b"large").unwrap();
    assert_eq!(store.check().unwrap().len(), 1);
    std::fs::remove_file(blob).unwrap();
}

#[test]
fn check_notices_a_wrong_open_block() {
    let store = TestStore::new();
    store.import(&Import::insert(1, rows!["ann@acme.test"]));
    let core = store.core().unwrap();
    let number = store.connection.number;
    core.writer.lock().tails.insert(number, 5);
    assert_eq!(store.check().unwrap().len(), 1);
    core.writer.lock().tails.insert(number, 0);
}

#[test]
fn two_stored_users_with_one_key_are_refused_at_start_by_name() {
    let mut store = TestStore::new();
    store.import(&Import::insert(1, rows!["ann@acme.test", "bob@acme.test"]));
    let core = store.core().unwrap();
    let mut block = core.block(store.connection.number, 0).unwrap().unwrap();
    let twin = store
        .draft(&rows!["ann@acme.test"][0].candidate(), &Import::insert(9, vec![]).ids().id(0), (9, 0), NOW)
        .unwrap();
    block.push(&twin.record);
    let mut change = database::Change::default();
    keys::BLOCKS.put_bytes(
        &mut change,
        &[&store.connection.number.to_be_bytes(), &0_u32.to_be_bytes()],
        block.encode().unwrap(),
    );
    core.commit(&mut core.writer.lock(), change).unwrap().done();
    drop(core);
    store.close();
    let message = store.open().unwrap_err().to_string();
    for number in [1, 9] {
        let id = Import::insert(number, vec![]).ids().id(0).to_string();
        assert!(message.contains(&id), "{message}");
    }
}
