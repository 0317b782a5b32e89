//! How large things get, and where they go.

use super::*;
use crate::domain::{Client, ClientGrant, Errand, ExportField, LogStream, TaskStage};

/// Metadata of a user as large as the largest setting allows, with some room for the keys and the profile.
const LARGEST: usize = 112 << 10;

fn blocks(store: &TestStore) -> usize {
    let core = store.core().unwrap();
    let below = keys::BLOCKS.below(&[&store.connection.number.to_be_bytes()]);
    core.database.tree().range(below).count()
}

#[test]
fn the_largest_users_stay_in_the_log() {
    let mut store = TestStore::new();
    let mut dice = Dice(3);
    let mut rows = |count, bytes| -> Vec<Row> {
        (0..count).map(|at| Row::from(&*format!("u{at}@acme.test")).app(&dice.noise(bytes))).collect()
    };
    let large = rows(100, LARGEST);
    assert_eq!(counts(&store.import_in_chunks(&Import::insert(1, large), 40)), [100, 0, 0]);
    let again = rows(100, LARGEST);
    let upsert = Import::upsert(2, again.clone());
    assert_eq!(counts(&store.import_in_chunks(&upsert, 40)), [0, 100, 0]);
    store.restart();
    for row in again.iter().step_by(9) {
        assert_eq!(store.by_email(&row.email).unwrap().app_metadata, row.app_metadata);
    }
}

#[test]
fn users_that_outgrow_their_block_move_and_keep_their_keys() {
    let mut store = TestStore::new();
    let rows: Vec<Row> =
        (0..160).map(|at| Row::from((&*format!("u{at}@acme.test"), &*format!("n{at}")))).collect();
    let import = Import::insert(1, rows.clone());
    store.import(&import);
    assert_eq!(blocks(&store), 10);
    let mut dice = Dice(5);
    for (number, bytes) in [(2, 5 << 10), (3, 20 << 10), (4, LARGEST)] {
        let large: Vec<Row> = rows.iter().map(|row| row.clone().app(&dice.noise(bytes))).collect();
        let upsert = Import::upsert(number, large.clone());
        assert_eq!(counts(&store.import_in_chunks(&upsert, 40)), [0, 160, 0]);
        assert_eq!(store.users().len(), 160);
        for (at, row) in (0..).zip(&large).step_by(7) {
            let user = store.by_email(&row.email).unwrap();
            assert_eq!(user.id, import.ids().id(at));
            assert_eq!(user.app_metadata, row.app_metadata);
            assert_eq!(store.by_username(&format!("n{at}")), Some(user));
        }
        assert_eq!(store.check().unwrap(), Vec::<String>::new());
    }
    assert!(blocks(&store) > 100, "most of them moved");
    store.restart();
    assert_eq!(store.users().len(), 160);
}

#[test]
fn the_largest_failed_rows_stay_in_the_log_and_come_back() {
    let mut store = TestStore::new();
    let mut dice = Dice(7);
    let reports: Vec<String> = (0..150).map(|_| dice.noise(LARGEST)).collect();
    let import = Import::insert(1, vec![Row::from("ann@acme.test"); reports.len()]);
    let mut job = store.enqueue(&import);
    while let Some(progress) = job.progress() {
        let mut chunk = import.chunk(&store, &job, 40);
        for row in &mut chunk {
            let fault = Fault::of_row(Code::InvalidFormat, "malformed");
            row.verdict = Err(FailedRow {
                user: reports[row.index as usize].clone(),
                ..import.rows[0].report(row.index, vec![fault])
            });
        }
        assert_eq!(progress.summary.failed, progress.next.row);
        job = import.apply(&store, &job, &chunk).unwrap();
    }
    store.restart();
    let rows = failed_rows(&store, &import);
    assert_eq!(rows.len(), reports.len());
    assert!(rows.iter().zip(&reports).all(|(row, report)| row.user == *report));
    let (page, _) = store.failed_rows(job.ticket, 100).unwrap();
    assert_eq!(page[0].index, 100);
}

/// Whatever clients may make as large as they like: sixteen of the largest share a leaf.
#[test]
fn the_largest_of_what_clients_make_stays_in_the_log_and_what_is_larger_is_refused() {
    type Make = fn(&Store, u8, String) -> Result<()>;
    let kinds: [Make; 5] = [
        |store, number, text| {
            let options = [("x".to_owned(), text.into())].into_iter().collect();
            store.create_connection(Connection { options, ..connection(number) }, Owed::nothing()).map(drop)
        },
        |store, number, text| {
            let settings = [("x".to_owned(), text.into())].into_iter().collect();
            store.create_client(&Client { settings, ..history::client(number) }, None, Owed::nothing())
        },
        |store, number, text| {
            let grant = ClientGrant { scope: vec![text], ..history::grant(number, Some("api")) };
            store.create_grant(&grant, Owed::nothing())
        },
        |store, number, text| {
            let stream = LogStream { name: text, ..history::stream(number) };
            store.create_stream(&stream, None, 200, Owed::nothing())
        },
        |store, number, text| {
            let mut task = history::export(number, TaskStage::Pending);
            if let Errand::Export(export) = &mut task.what {
                export.fields.push(ExportField { name: text, export_as: None });
            }
            store.accept_export(&task, Owed::nothing(), 200)
        },
    ];
    let store = TestStore::new();
    let mut dice = Dice(11);
    for make in kinds {
        for number in 20..60 {
            make(&store, number, dice.noise(95 << 10)).unwrap();
        }
        let refused = make(&store, 60, dice.noise(97 << 10)).unwrap_err();
        assert!(matches!(refused, StoreError::TooLarge { most: 98_304, .. }), "{refused}");
        make(&store, 60, dice.noise(10)).unwrap();
        assert_eq!(store.check().unwrap(), Vec::<String>::new());
    }
}

#[test]
fn small_failed_rows_share_pages() {
    let store = TestStore::new();
    let row = Row::from("ann@acme.test");
    let fault = Fault::of_row(Code::DuplicatedUser, "The user already exist and upsert parameter is false");
    let reports: Vec<_> = (0..5000).map(|index| row.report(index, vec![fault.clone()])).collect();
    let core = store.core().unwrap();
    let mut change = database::Change::default();
    failures::put(&mut change, 7, reports.iter()).unwrap();
    core.commit(&mut core.writer.lock(), change).unwrap().done();
    let pages = core.database.tree().scan_prefix(b"x").count();
    assert!(pages < 20, "{pages} pages");
}

/// A change has 16 rows in tests, and its failed rows are one page.
#[test]
fn the_failed_rows_of_a_change_share_a_page() {
    let store = TestStore::new();
    let import = Import::insert(1, vec![Row::from("ann@acme.test"); 5000]);
    store.import(&import);
    assert_eq!(failed_rows(&store, &import).len(), 4999);
    let pages = store.core().unwrap().database.tree().scan_prefix(b"x").count();
    assert_eq!(pages, 5000_usize.div_ceil(16));
}

#[test]
fn single_inserts_fill_the_open_block() {
    let mut store = TestStore::new();
    let rows = (0..1000).map(|at| Row::from(&*format!("u{at}@acme.test")).app(r#"{"plan":"free"}"#));
    let import = Import::insert(1, rows.collect());
    store.enqueue(&import);
    for row in 0..1000 {
        import.step(&store, 1).unwrap();
        if row % 250 == 249 {
            store.restart();
        }
    }
    assert!(blocks(&store) <= 70, "{} blocks", blocks(&store));
    assert_eq!(store.users().len(), 1000);
}

/// A commit must stay below a segment of the log, or a power cut in the middle may cost more than it.
#[test]
fn a_chunk_that_changes_much_is_committed_in_pieces() {
    let store = TestStore::new();
    let mut dice = Dice(9);
    let mut rows = |bytes| -> Vec<Row> {
        (0..100).map(|at| Row::from(&*format!("u{at}@acme.test")).app(&dice.noise(bytes))).collect()
    };
    store.import(&Import::insert(1, rows(30 << 10)));
    let before = syncs(&store);
    let upsert = Import::upsert(2, rows(30 << 10));
    let job = store.enqueue(&upsert);
    let job = upsert.apply(&store, &job, &upsert.chunk(&store, &job, 100)).unwrap();
    assert_eq!(counts(&job), [0, 100, 0]);
    let pieces = syncs(&store) - before - 1;
    assert!((2..=3).contains(&pieces), "6 MB were synced in {pieces} pieces");

    let before = syncs(&store);
    let mut failing = Import::insert(3, vec![Row::from("ann@acme.test"); 100]);
    failing.rows.iter_mut().for_each(|row| row.malformed = true);
    let job = store.enqueue(&failing);
    let mut chunk = failing.chunk(&store, &job, 100);
    for row in &mut chunk {
        let Err(report) = &mut row.verdict else { panic!() };
        report.user = dice.noise(60 << 10);
    }
    assert_eq!(counts(&failing.apply(&store, &job, &chunk).unwrap()), [0, 0, 100]);
    let pieces = syncs(&store) - before - 1;
    assert!((2..=3).contains(&pieces), "6 MB were synced in {pieces} pieces");
}

/// How often changes were synced.
fn syncs(store: &TestStore) -> u64 {
    store.core().unwrap().meters.commits.get()
}
