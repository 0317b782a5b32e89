//! Whatever is broken in a store, the doctor sees it, by name; and nothing in one that is whole.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::PathBuf;

use super::dump::{dump_of, furnished};
use super::history::{client, enqueue, export, live, stream};
use super::*;
use crate::domain::{Credential, JobId, Leave, LogId, Progress, UserTicket};
use crate::store::block::Block;
use crate::store::database::{Change, Database, Head};
use crate::store::doctor::Ailment;
use crate::store::format;
use crate::store::keys::{
    BLOCKS, CLAIMS, CLIENTS, CONNECTIONS, CREDENTIALS, EVENTS, GARBAGE, HEAD, JOB_TICKETS, JOBS, LETTERS,
    NEWEST_TICKETS, QUEUE, STREAM_PROGRESS, TICKETS, VERSION, newest_of, of_user,
};
use crate::store::record::{Keys, Record, Touch};
use crate::store::witness::{Seal, Witness};

/// A closed store with something of every kind, to be broken.
struct Patient {
    store: TestStore,
}

/// What the tickets of the furnished store are.
const DONE: Ticket = 0;
const UNFINISHED: Ticket = 1;

impl Patient {
    fn new() -> Self {
        let mut store = furnished();
        store.keep_time(NOW, Duration::ZERO).unwrap();
        store.close();
        Self { store }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.store.options.path.join(name)
    }

    fn connection(&self) -> u32 {
        self.store.connection.number
    }

    /// Changes the database behind the store's back, without a commit.
    fn operate(&self, how: impl FnOnce(&sled::Tree, &mut Change)) {
        let (database, _) = Database::open(&self.store.options, OnLoss::Refuse).unwrap();
        let mut change = Change::default();
        how(database.tree(), &mut change);
        for (key, value) in change.into_writes() {
            match value {
                Some(value) => database.tree().insert(key, value).unwrap(),
                None => database.tree().remove(key).unwrap(),
            };
        }
        database.tree().flush().unwrap();
    }

    fn change_block(&self, how: impl FnOnce(&mut Block)) {
        let key = [&self.connection().to_be_bytes()[..], &0_u32.to_be_bytes()];
        self.operate(|tree, change| {
            let mut block = Block::decode(&BLOCKS.get_bytes(tree, &key).unwrap().unwrap()).unwrap();
            how(&mut block);
            BLOCKS.put_bytes(change, &key, block.encode().unwrap());
        });
    }

    /// Adds a copy of the first user with other keys.
    fn add_user(&self, how: impl FnOnce(&mut Record)) {
        self.change_block(|block| {
            let first = block.record(0).unwrap().to_vec();
            let mut record = Record::decode(&first).unwrap();
            record.keys = Keys { email: "new@acme.test", username: None, ..record.keys };
            record.keys.id = crate::domain::UserIdRef::Given("new");
            how(&mut record);
            block.push(&record.encode().unwrap());
        });
    }

    fn change_job(&self, ticket: Ticket, how: impl FnOnce(&mut Job)) {
        self.operate(|tree, change| {
            let mut job = JOBS.get(tree, &[&ticket.to_be_bytes()]).unwrap().unwrap();
            how(&mut job);
            JOBS.put(change, &[&ticket.to_be_bytes()], &job).unwrap();
        });
    }

    fn change_progress(&self, how: impl FnOnce(&mut Progress)) {
        self.change_job(UNFINISHED, |job| match &mut job.stage {
            Stage::Pending(progress) => how(progress),
            _ => panic!("it has ended"),
        });
    }

    fn change_head(&self, how: impl FnOnce(&mut Head)) {
        self.operate(|tree, change| {
            let mut head = HEAD.get(tree, &[]).unwrap().unwrap();
            how(&mut head);
            HEAD.put(change, &[], &head).unwrap();
        });
    }

    fn put_failed(&self, ticket: Ticket, index: u64) {
        self.operate(|_, change| {
            let fault = Fault::of_row(Code::InvalidFormat, "malformed");
            let row = FailedRow { index, line: 1, user: "{}".to_owned(), faults: vec![fault] };
            failures::put(change, ticket, [&row].into_iter()).unwrap();
        });
    }

    fn spool_file(&self) -> PathBuf {
        self.path(&format!("spool/{}.json", JobId::from_entropy([2; 16])))
    }

    fn findings(&self) -> Vec<Finding> {
        Store::examine(&self.store.options).unwrap().findings
    }
}

type Case = (&'static str, fn(&mut Patient));

const USERS: &[Case] = &[
    ("block-damaged", |patient| {
        let key = BLOCKS.key(&[&patient.connection().to_be_bytes(), &0_u32.to_be_bytes()]);
        patient.operate(|_, change| change.put(key, b"\x01no block".to_vec()));
    }),
    ("block-missing", |patient| {
        let connection = patient.connection().to_be_bytes();
        patient.operate(|tree, change| {
            let block = BLOCKS.get_bytes(tree, &[&connection, &0_u32.to_be_bytes()]).unwrap().unwrap();
            BLOCKS.put_bytes(change, &[&connection, &1_u32.to_be_bytes()], block.to_vec());
            BLOCKS.remove(change, &[&connection, &0_u32.to_be_bytes()]);
        });
    }),
    ("user-damaged", |patient| patient.change_block(|block| assert!(block.replace(0, b"\xff\xff")))),
    ("user-invalid", |patient| patient.add_user(|user| user.keys.email = "New@acme.test")),
    ("user-invalid", |patient| patient.add_user(|user| user.keys.username = Some("NEW"))),
    ("user-invalid", |patient| patient.add_user(|user| user.app_metadata = Some("{"))),
    ("user-invalid", |patient| patient.add_user(|user| user.user_metadata = Some("[]"))),
    ("key-taken", |patient| patient.add_user(|user| user.keys.email = "ann@acme.test")),
    ("key-taken", |patient| patient.add_user(|user| user.keys.username = Some("ann"))),
    ("key-taken", |patient| {
        // The id of a user in another connection.
        let number = patient.connection() + 5;
        patient.operate(|tree, change| {
            let other = Connection { number, ..connection(7) };
            CONNECTIONS.put(change, &[&number.to_be_bytes()], &other).unwrap();
            let found = tree.scan_prefix(b"u").next().unwrap().unwrap().1;
            BLOCKS.put_bytes(change, &[&number.to_be_bytes(), &0_u32.to_be_bytes()], found.to_vec());
            let head = HEAD.get(tree, &[]).unwrap().unwrap();
            HEAD.put(change, &[], &Head { next_connection: number + 1, ..head }).unwrap();
        });
    }),
    ("rows-beyond-cursor", |patient| {
        patient.add_user(|user| user.keys.id = crate::domain::UserIdRef::Made(made(2, 3)));
    }),
    ("rows-beyond-cursor", |patient| {
        patient.add_user(|user| user.touches = vec![Touch { ticket: UNFINISHED, row: 3, named: false }]);
    }),
    ("rows-uncounted", |patient| {
        patient.add_user(|user| user.keys.id = crate::domain::UserIdRef::Made(made(1, 1)));
    }),
    ("counter-behind", |patient| {
        patient.add_user(|user| user.touches = vec![Touch { ticket: 99, row: 3, named: false }]);
    }),
    ("orphaned-data", |patient| {
        patient.operate(|_, change| {
            let block = Block::default().encode().unwrap();
            BLOCKS.put_bytes(change, &[&99_u32.to_be_bytes(), &0_u32.to_be_bytes()], block);
        });
    }),
    ("orphaned-data", |patient| {
        // What a deletion has left is nobody's garbage any more.
        patient.operate(|tree, change| {
            for entry in GARBAGE.entries(tree) {
                change.remove(entry.unwrap().0.to_vec());
            }
        });
    }),
    ("credential-stale", |patient| {
        let key = of_user(patient.connection(), UserId::from_bytes([9; 12]).as_ref());
        let password = Credential { hash: "$x".to_owned(), changed_at: NOW };
        patient.operate(|_, change| CREDENTIALS.put(change, &[&key], &password).unwrap());
    }),
    ("ticket-stale", |patient| {
        let ticket = UserTicket {
            user: UserId::from_bytes([9; 12]),
            connection: patient.store.connection.id.clone(),
            leave: Leave::VerifyEmail { email: "x@acme.test".to_owned() },
            created_at: NOW,
            expires_at: NOW,
            result_url: None,
            include_email_in_redirect: false,
            client_id: None,
        };
        let pointer = newest_of(patient.connection(), ticket.user.as_ref(), ticket.leave.kind());
        patient.operate(|_, change| {
            TICKETS.put(change, &[&[9; 32]], &ticket).unwrap();
            NEWEST_TICKETS.put(change, &[&pointer], &[9; 32]).unwrap();
        });
    }),
    ("ticket-pointer", |patient| patient.operate(|_, change| TICKETS.remove(change, &[&[1; 32]]))),
    ("ticket-pointer", |patient| {
        patient.operate(|tree, change| {
            change.remove(tree.scan_prefix(b"n").next().unwrap().unwrap().0.to_vec());
        });
    }),
];

const JOBS_AND_ROWS: &[Case] = &[
    ("job-index", |patient| {
        let id = JobId::from_entropy([1; 16]);
        patient.operate(|_, change| JOB_TICKETS.remove(change, &[id.as_str().as_bytes()]));
    }),
    ("job-index", |patient| {
        let id = JobId::from_entropy([1; 16]);
        patient.operate(|_, change| JOB_TICKETS.put(change, &[id.as_str().as_bytes()], &UNFINISHED).unwrap());
    }),
    ("queue-wrong", |patient| {
        patient.operate(|_, change| QUEUE.remove(change, &[&UNFINISHED.to_be_bytes()]));
    }),
    ("queue-wrong", |patient| {
        patient.operate(|_, change| QUEUE.put(change, &[&DONE.to_be_bytes()], &()).unwrap());
    }),
    ("queue-wrong", |patient| {
        patient.operate(|_, change| QUEUE.put(change, &[&77_u64.to_be_bytes()], &()).unwrap());
    }),
    ("spool-file", |patient| fs::remove_file(patient.spool_file()).unwrap()),
    ("spool-file", |patient| fs::write(patient.spool_file(), b"short").unwrap()),
    ("cursor-wrong", |patient| patient.change_progress(|progress| progress.next.byte = 1 << 40)),
    ("cursor-wrong", |patient| patient.change_progress(|progress| progress.next.row = 2)),
    ("summary-wrong", |patient| {
        patient.change_job(DONE, |job| match &mut job.stage {
            Stage::Completed { summary, .. } => summary.inserted += 1,
            _ => panic!("it has not ended"),
        });
    }),
    ("summary-wrong", |patient| patient.change_job(DONE, |job| job.rows = Ok(3))),
    ("failed-rows-wrong", |patient| {
        patient.operate(|tree, change| {
            change.remove(tree.scan_prefix(b"x").next().unwrap().unwrap().0.to_vec());
        });
    }),
    ("failed-rows-wrong", |patient| patient.put_failed(DONE, 0)),
    ("rows-beyond-cursor", |patient| patient.put_failed(UNFINISHED, 3)),
    ("failed-rows-wrong", |patient| {
        // As many rows as are counted, but with other faults.
        patient.operate(|tree, change| {
            change.remove(tree.scan_prefix(b"x").next().unwrap().unwrap().0.to_vec());
        });
        patient.put_failed(DONE, 1);
    }),
    ("orphaned-data", |patient| patient.put_failed(99, 0)),
    ("rows-beyond-cursor", |patient| {
        let key = [&UNFINISHED.to_be_bytes()[..], b"name"];
        patient.operate(|_, change| CLAIMS.put(change, &key, &3).unwrap());
    }),
    ("claims-wrong", |patient| {
        let key = [&UNFINISHED.to_be_bytes()[..], b"robert"];
        patient.operate(|_, change| CLAIMS.remove(change, &key));
    }),
    ("export-file", |patient| {
        let task = export(1, crate::domain::TaskStage::Pending);
        let name = task.export().unwrap().format.file_name(&task.id);
        fs::remove_file(patient.path("exports").join(name)).unwrap();
    }),
];

const REST: &[Case] = &[
    ("connection-clash", |patient| {
        let number = patient.connection() + 1;
        let other = Connection { number, name: patient.store.connection.name.clone(), ..connection(7) };
        patient.operate(|_, change| CONNECTIONS.put(change, &[&number.to_be_bytes()], &other).unwrap());
    }),
    ("grant-stale", |patient| {
        patient.operate(|_, change| CLIENTS.remove(change, &[client(1).id.as_bytes()]));
    }),
    ("events-hole", |patient| patient.operate(|_, change| EVENTS.remove(change, &[&1_u64.to_be_bytes()]))),
    ("event-id", |patient| {
        patient.operate(|tree, change| {
            let logged = EVENTS.get(tree, &[&1_u64.to_be_bytes()]).unwrap().unwrap();
            let id = LogId { at: logged.event.date, number: 7 };
            EVENTS.put(change, &[&1_u64.to_be_bytes()], &Logged::new(id, logged.event)).unwrap();
        });
    }),
    ("letter-number", |patient| {
        patient.operate(|tree, change| {
            let letter = LETTERS.values(tree).next().unwrap().unwrap();
            let other = crate::domain::Posted { number: 77, ..letter.clone() };
            LETTERS.put(change, &[&letter.number.to_be_bytes()], &other).unwrap();
        });
    }),
    ("stream-progress", |patient| {
        patient.operate(|_, change| STREAM_PROGRESS.remove(change, &[stream(1).id.as_str().as_bytes()]));
    }),
    ("stream-progress", |patient| {
        let far = crate::domain::StreamProgress { next: 999, ..crate::domain::StreamProgress::default() };
        patient.operate(|_, change| {
            STREAM_PROGRESS.put(change, &[stream(1).id.as_str().as_bytes()], &far).unwrap();
        });
    }),
    ("stream-progress", |patient| {
        patient.operate(|_, change| {
            let progress = crate::domain::StreamProgress::default();
            STREAM_PROGRESS.put(change, &[stream(9).id.as_str().as_bytes()], &progress).unwrap();
        });
    }),
    ("counter-behind", |patient| patient.change_head(|head| head.next_ticket = 1)),
    ("counter-behind", |patient| patient.change_head(|head| head.next_connection = 0)),
    ("counter-behind", |patient| patient.change_head(|head| head.next_event = 1)),
    ("counter-behind", |patient| patient.change_head(|head| head.last_event = Timestamp::from_millis(5))),
    ("counter-behind", |patient| patient.change_head(|head| head.next_number = 0)),
    ("foreign-keys", |patient| patient.operate(|_, change| change.put(b"zoo".to_vec(), Vec::new()))),
    ("other-version", |patient| {
        patient.operate(|_, change| VERSION.put(change, &[], &99).unwrap());
    }),
    ("half-restored", |patient| format::write_half_made(&patient.path("")).unwrap()),
    ("half-restored", |patient| {
        fs::remove_dir_all(patient.path("database")).unwrap();
        format::write_half_made(&patient.path("")).unwrap();
    }),
    ("values-outside-log", |patient| fs::write(patient.path("database/blobs/1"), b"x").unwrap()),
    ("witness-missing", |patient| fs::remove_file(patient.path("witness")).unwrap()),
    ("witness-missing", |patient| fs::write(patient.path("witness"), [0xff; 528]).unwrap()),
    ("commits-lost", |patient| seal(patient, 1, 1)),
    ("witness-disagrees", |patient| seal(patient, 0, 1)),
    ("database-missing", |patient| fs::remove_dir_all(patient.path("database")).unwrap()),
    ("database-unopenable", |patient| fs::write(patient.path("database/conf"), [b'x'; 99]).unwrap()),
    ("file-mode", |patient| mode(&patient.path(""), 0o755)),
    ("file-mode", |patient| mode(&patient.path("signing-key.pem"), 0o644)),
    ("file-mode", |patient| mode(&patient.spool_file(), 0o640)),
    ("disk-nearly-full", |patient| patient.store.options.min_free_disk = u64::MAX),
    ("backup-damaged", |patient| {
        patient.store.open().unwrap();
        let to = patient.path("").with_file_name("backup");
        patient.store.back_up_to(&to, NOW).unwrap();
        patient.store.close();
        patient.store.options.path = to;
        fs::write(patient.spool_file(), vec![b'x'; 402]).unwrap();
    }),
];

/// The bytes of the id for a row of a job.
fn made(import: u8, row: u64) -> [u8; 12] {
    match Import::insert(import, Vec::new()).ids().id(row).as_ref() {
        crate::domain::UserIdRef::Made(bytes) => bytes,
        crate::domain::UserIdRef::Given(_) => panic!("jobs make ids"),
    }
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Lets the witness remember a commit after the last one, or one that is another.
fn seal(patient: &mut Patient, further: u64, crc: u32) {
    let mut head = Head::default();
    patient.operate(|tree, _| head = HEAD.get(tree, &[]).unwrap().unwrap());
    fs::remove_file(patient.path("witness")).unwrap();
    let seal = Seal { commit: head.commit + further, crc: head.crc.wrapping_add(crc) };
    drop(Witness::open(&patient.path(""), seal, OnLoss::Refuse).unwrap());
}

fn assert_seen(cases: &[Case]) {
    for (at, (name, break_it)) in cases.iter().enumerate() {
        let mut patient = Patient::new();
        break_it(&mut patient);
        let found = patient.findings();
        assert!(found.iter().any(|finding| finding.name == *name), "case {at}, {name}: {found:?}");
        assert!(found.iter().all(|finding| !finding.advice.is_empty() && !finding.what.is_empty()));
    }
}

#[test]
fn what_is_wrong_with_users_is_seen() {
    assert_seen(USERS);
}

#[test]
fn what_is_wrong_with_jobs_and_their_rows_is_seen() {
    assert_seen(JOBS_AND_ROWS);
}

#[test]
fn what_is_wrong_with_anything_else_is_seen() {
    assert_seen(REST);
}

/// Two need a machine that is broken, one another user of the system, one is in the test below.
#[test]
fn every_finding_there_is_was_seen() {
    let seen: BTreeSet<&str> = [USERS, JOBS_AND_ROWS, REST].concat().iter().map(|(name, _)| *name).collect();
    let unseen: Vec<&str> =
        Ailment::ALL.iter().map(|ailment| ailment.name()).filter(|name| !seen.contains(name)).collect();
    assert_eq!(unseen, ["database-unreadable", "examination-stuck", "value-damaged", "file-owner"]);
}

#[test]
fn a_value_that_does_not_decode_is_a_finding_in_every_family() {
    let families = [
        b'c', b'a', b'b', b'j', b'k', b'x', b'o', b't', b'p', b'r', b'n', b'e', b'l', b's', b'd', b'g', b'h',
    ];
    for family in families {
        let patient = Patient::new();
        patient.operate(|tree, change| {
            let (key, _) = tree.scan_prefix([family]).next_back().unwrap().unwrap();
            change.put(key.to_vec(), vec![0xff; 3]);
        });
        let found = patient.findings();
        let is_it = |finding: &Finding| finding.name == "value-damaged";
        assert!(found.iter().any(is_it), "{}: {found:?}", char::from(family));
    }
}

#[test]
fn one_broken_block_hides_nothing_else() {
    let patient = Patient::new();
    let key = BLOCKS.key(&[&patient.connection().to_be_bytes(), &0_u32.to_be_bytes()]);
    patient.operate(|_, change| {
        change.put(key, b"\x01no block".to_vec());
        EVENTS.remove(change, &[&1_u64.to_be_bytes()]);
    });
    fs::remove_file(patient.spool_file()).unwrap();
    let names: BTreeSet<&str> = patient.findings().iter().map(|finding| finding.name).collect();
    assert!(
        ["block-damaged", "events-hole", "spool-file"].iter().all(|name| names.contains(name)),
        "{names:?}"
    );
}

#[test]
fn of_one_kind_of_finding_the_first_are_told_and_the_others_counted() {
    let mut patient = Patient::new();
    patient.store.open().unwrap();
    for _ in 0..60 {
        patient.store.tell(Event::new(NOW, EventType::Login, "").into()).unwrap();
    }
    patient.store.close();
    patient.operate(|tree, change| {
        let keys: Vec<_> = tree.scan_prefix(b"e").keys().map(std::result::Result::unwrap).collect();
        keys.iter().skip(1).step_by(2).take(25).for_each(|key| change.remove(key.to_vec()));
    });
    let found = patient.findings();
    assert_eq!(found.len(), 21, "{found:?}");
    assert_eq!(found[20].what, "and 5 more of this kind");
}

#[test]
fn a_backup_is_examined_and_stays_what_it_was() {
    let store = furnished();
    let to = store.options.path.with_file_name("backup");
    store.back_up_to(&to, NOW).unwrap();
    let before: Vec<_> = backup_files(&to);
    assert_eq!(Store::examine(&options(&to)).unwrap().findings, []);
    dump_of(&options(&to));
    assert_eq!(backup_files(&to), before);
    let beside = fs::read_dir(to.parent().unwrap()).unwrap().count();
    assert_eq!(beside, 2, "the copy that was opened is gone");
}

/// A full disk says nothing about a store.
#[test]
fn without_room_for_a_copy_a_backup_is_neither_examined_nor_dumped() {
    let store = furnished();
    let to = store.options.path.with_file_name("backup");
    store.back_up_to(&to, NOW).unwrap();
    let before = backup_files(&to);
    let cramped = Options { min_free_disk: u64::MAX / 2, ..options(&to) };
    for refused in [
        Store::examine(&cramped).map(drop),
        Store::dump(&cramped, Written { program: "0.0.0", at: NOW }, &mut Vec::new()).map(drop),
    ] {
        let error = refused.unwrap_err();
        assert!(error.is_full() && error.to_string().contains("(storage.min_free_disk)"), "{error}");
    }
    assert_eq!(backup_files(&to), before);
    assert_eq!(fs::read_dir(to.parent().unwrap()).unwrap().count(), 2, "nothing is left");
}

#[test]
fn what_belongs_to_the_file_system_is_nobodys_finding() {
    let mut store = furnished();
    let path = store.options.path.join("lost+found");
    fs::create_dir(&path).unwrap();
    if std::os::unix::fs::chown(&path, Some(65_534), None).is_err() {
        println!("skipped: only root can give a folder away");
    }
    store.close();
    assert_eq!(Store::examine(&store.options).unwrap().findings, []);
}

fn backup_files(of: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(of)
        .unwrap()
        .chain(fs::read_dir(of.join("database")).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect();
    files.sort();
    files
}

#[test]
fn an_open_store_is_not_examined_and_nothing_is_made_where_none_is() {
    let store = furnished();
    assert!(matches!(Store::examine(&store.options), Err(StoreError::Locked(_))));
    let nowhere = options(&store.options.path.with_file_name("nowhere"));
    assert!(matches!(Store::examine(&nowhere), Err(StoreError::Absent(_))));
    assert!(!nowhere.path.exists());
    fs::create_dir(&nowhere.path).unwrap();
    let found = Store::examine(&nowhere).unwrap().findings;
    assert_eq!(found.iter().map(|finding| finding.name).collect::<Vec<_>>()[..1], ["file-mode"]);
    assert!(found.iter().any(|finding| finding.name == "database-missing"));
    assert!(!nowhere.path.join("database").exists());
}

/// Dropped anywhere in an import, as by a kill, and opened by nobody since.
#[test]
fn what_a_crash_leaves_is_no_finding() {
    let rounds = workload::rounds(300);
    for cut in [0, 2, 4, 7, 12] {
        let mut store = TestStore::new();
        let whole: Vec<&Import> = rounds[0].iter().collect();
        whole.iter().for_each(|import| drop(enqueue(&store, import, &store.connection)));
        for at in 0..cut {
            let import = whole[at % 2];
            if store.job(&import.id()).unwrap().unwrap().progress().is_some() {
                import.step(&store, 60).unwrap();
            }
        }
        // An upload and an export that were cut short.
        let mut upload = store.begin_upload(&JobId::from_entropy([99; 16])).unwrap();
        upload.write(b"[{").unwrap();
        std::mem::forget(upload);
        std::mem::forget(
            store.begin_export(&JobId::from_entropy([98; 16]), crate::domain::ExportFormat::Csv).unwrap(),
        );
        store.close();
        assert_eq!(Store::examine(&store.options).unwrap().findings, [], "after {cut} steps");
    }
}

/// Bytes that the disk has changed are told, or it does not matter: all is there that was. Never a panic that
/// leaves the examination, never a hang.
#[test]
fn flipped_bytes_in_the_database_are_told_or_do_no_harm() {
    let mut store = live(11, 160);
    store.close();
    let whole = dump_of(&store.options);
    let (mut told, mut harmless) = (BTreeMap::new(), 0);
    let mut dice = Dice(5);
    // The first time nothing is flipped.
    for flip in 0..=setting("INTAKE_FLIPS", 40) {
        let directory = tempfile::tempdir().unwrap();
        let to = directory.path().join("data");
        copy(&store.options.path, &to);
        let file = File::options().read(true).write(true).open(to.join("database/db")).unwrap();
        let used = used_bytes(&file);
        let at = dice.below(used);
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        let mask = if flip == 0 { 0 } else { 1 + dice.below(255) as u8 };
        file.write_all_at(&[byte[0] ^ mask], at).unwrap();
        drop(file);
        let options = Options { open_timeout: Duration::from_secs(20), ..options(&to) };
        let found = Store::examine(&options).unwrap().findings;
        if found.is_empty() {
            assert_eq!(dump_of(&options), whole, "flip {flip} of byte {at} of {used}");
            harmless += 1;
        } else {
            assert_ne!(flip, 0, "{found:?}");
            *told.entry(found[0].name).or_insert(0) += 1;
        }
    }
    println!("{told:?}, {harmless} without harm");
    assert!(!told.is_empty(), "some must hit something");
}

/// Where the last byte is that is not zero.
fn used_bytes(file: &File) -> u64 {
    let mut bytes = vec![0; file.metadata().unwrap().len() as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    1 + bytes.iter().rposition(|byte| *byte != 0).unwrap() as u64
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    mode(to, 0o700);
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let place = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &place);
        } else {
            fs::copy(entry.path(), place).unwrap();
        }
    }
}
