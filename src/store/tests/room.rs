//! No room: commits are refused before anything happens; and what comes of it when the disk is full all the same.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::*;
use crate::store::ahead::LEAST;
use crate::store::room::free_bytes;

/// More than any disk has.
const TOO_MUCH: u64 = 1 << 60;

/// A store that has no room from now on, or has some again.
fn set_reserve(store: &mut TestStore, reserve: u64) {
    store.options.reserve = reserve;
    store.restart();
}

fn no_room<T>(outcome: &Result<T>) -> bool {
    matches!(outcome, Err(StoreError::NoRoom(NoRoom::Disk { needed, .. })) if *needed > TOO_MUCH / 2)
}

const BIG: u64 = 50_000;

/// Rows that do not pack well, for several segments of the log.
fn big_file(number: u8) -> Import {
    let row =
        |at: u64| Row::from(&*format!("u{at}@acme.test")).user(&format!("{{\"noise\":\"{}\"}}", hex(at, 8)));
    Import::insert(number, (0..BIG).map(row).collect())
}

/// An event that takes some 16 KB of the log.
fn noise(number: usize) -> Owed {
    Event::new(NOW, EventType::Login, &*hex(number as u64, 1024)).into()
}

/// Text without a pattern, of 16 characters for each word.
fn hex(seed: u64, words: u64) -> String {
    let word = |at: u64| (seed * words + at + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31);
    let word = |at| format!("{:016x}", word(at).wrapping_mul(0xbf58_476d_1ce4_e5b9));
    (0..words).map(word).collect::<Vec<_>>().concat()
}

/// A disk of its own, unmounted when dropped.
struct Disk(tempfile::TempDir);

impl Disk {
    /// `None` where nothing can be mounted.
    fn of_megabytes(size: u32) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}m"), "intake-test"]).arg(folder.path());
        if !mount.stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
            println!("skipped: nobody but root can mount a disk");
            return None;
        }
        Some(Self(folder))
    }

    fn data(&self) -> PathBuf {
        self.0.path().join("data")
    }

    fn open(&self, reserve: u64) -> Result<Store> {
        Store::open(Options { reserve, ..options(&self.data()) })
    }

    /// Takes all but about so many bytes.
    fn fill_up_to(&self, left: u64) {
        let mut ballast =
            File::options().create(true).append(true).open(self.0.path().join("ballast")).unwrap();
        for block in [1 << 20, 4096] {
            while left + block <= free_bytes(self.0.path()).unwrap() {
                ballast.write_all(&vec![1; usize::try_from(block).unwrap()]).unwrap();
            }
        }
    }

    fn fill(&self) {
        self.fill_up_to(0);
    }

    fn clear(&self) {
        fs::remove_file(self.0.path().join("ballast")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: after a panic somebody may still be there.
        drop(Command::new("umount").arg("-l").arg(self.0.path()).status());
    }
}

fn file(number: u8) -> Import {
    Import::insert(number, (0..40).map(|at| Row::from(&*format!("u{at}@acme.test"))).collect())
}

#[test]
fn without_room_nothing_is_written_nothing_is_changed_and_everything_can_be_read() {
    let mut store = TestStore::new();
    store.import(&Import::insert(1, rows!["ann@acme.test"]));
    let file = file(2);
    store.enqueue(&file);
    let job = file.step(&store, 10).unwrap();
    set_reserve(&mut store, TOO_MUCH);
    let (users, events) = (store.users(), store.events_from(0, 99).unwrap().len());
    for _ in 0..2 {
        assert!(no_room(&store.admit(1)));
        assert!(no_room(&file.step(&store, 10)));
        assert!(no_room(&store.fail(&job, "why".to_owned(), NOW, &ended)));
        assert!(no_room(&store.try_again(&job)));
        assert!(no_room(&store.create_connection(connection(2), Owed::nothing())));
        assert!(no_room(&store.tell(accepted(&job.id))));
        assert!(no_room(&Import::insert(3, rows!["bob@acme.test"]).enqueue(&store, &store.connection)));
    }
    assert_eq!(store.condition(), Condition::Full);
    assert!(store.is_available());
    assert_eq!(store.job(&file.id()).unwrap(), Some(job.clone()));
    assert_eq!(store.unfinished().unwrap(), [job.ticket]);
    assert_eq!(
        fs::read_dir(store.path().join("spool")).unwrap().count(),
        1,
        "the file of the job that is there"
    );
    assert_eq!((store.users(), store.events_from(0, 99).unwrap().len()), (users, events));
    assert_eq!(store.meters().failed_commits.get(), 0);
    assert_eq!(store.check().unwrap(), Vec::<String>::new());

    set_reserve(&mut store, 0);
    assert_eq!(store.condition(), Condition::Ready);
    assert_eq!(counts(&file.finish(&store, 10)), [40, 0, 0]);
    assert_jobs_told(&store);
}

#[test]
fn everybody_who_would_have_shared_a_commit_is_told_that_there_is_no_room() {
    let mut store = TestStore::new();
    set_reserve(&mut store, TOO_MUCH);
    let core = store.core().unwrap();
    let writer = core.writer.lock();
    std::thread::scope(|scope| {
        let tell = |_| scope.spawn(|| no_room(&store.tell(Event::new(NOW, EventType::Login, "").into())));
        let waiting: Vec<_> = (0..8).map(tell).collect();
        std::thread::sleep(Duration::from_millis(100));
        drop(writer);
        assert!(waiting.into_iter().all(|thread| thread.join().unwrap()));
    });
}

/// Both sides of the limit, on a disk of this test alone.
#[test]
fn what_was_taken_ahead_is_used_up_to_what_one_commit_may_need() {
    let Some(disk) = Disk::of_megabytes(64) else { return };
    let reserve = LEAST + (4 << 20);
    let store = disk.open(reserve).unwrap();
    let log = store.path().join("database").join("db");
    let connection = store.create_connection(connection(1), Owed::nothing()).unwrap();
    disk.fill();
    let length = || fs::metadata(&log).unwrap().len();
    let before = length();
    let mut written = 0;
    let refused = loop {
        match store.tell(noise(written)) {
            Ok(()) => written += 1,
            Err(error) => break error,
        }
        assert!(written < 1000, "it never ends");
    };
    assert!(matches!(refused, StoreError::NoRoom(NoRoom::Disk { free: 0, .. })), "{refused}");
    let grown = length() - before;
    assert!((3 << 20) < grown && grown < (7 << 20), "{grown} bytes were written on a full disk");
    disk.clear();
    store.tell(noise(written)).unwrap();
    assert_eq!(store.events_from(0, 1000).unwrap().len(), written + 1);
    assert_eq!(store.connections().unwrap(), [connection]);
}

/// How far the log's first segment is when the disk is full, and what is left of the disk then: the fault comes early
/// or late in a commit, or where one goes on in the next segment.
const MOMENTS: [(u64, u64); 3] = [(0, 0), (0, 300 << 10), (8200 << 10, 0)];

#[test]
fn a_disk_that_is_full_all_the_same_ends_a_commit_at_any_step_and_the_job_goes_on_when_there_is_room() {
    let Some(disk) = Disk::of_megabytes(64) else { return };
    for (filled, left) in MOMENTS {
        let store = disk.open(0).unwrap();
        let connection = store.create_connection(connection(1), Owed::nothing()).unwrap();
        let file = big_file(2);
        file.enqueue(&store, &connection).unwrap();
        let log = store.path().join("database").join("db");
        while fs::metadata(&log).unwrap().len() < filled.saturating_sub(200 << 10) {
            file.step(&store, 500).unwrap();
        }
        store.core().unwrap().database.trust_the_disk();
        disk.fill_up_to(left);
        let fault = loop {
            match file.step(&store, 1000) {
                Ok(job) => assert!(job.progress().is_some(), "the disk was not full"),
                Err(error) => break error,
            }
        };
        assert!(fault.is_full(), "{fault}");
        assert!(!store.is_available());
        // As the engine does at once: on the full disk, too, if that is possible at all.
        let reopened = store.reopen();
        assert!(reopened.as_ref().map_or_else(StoreError::is_full, |()| true), "{reopened:?}");
        disk.clear();
        store.reopen().unwrap();
        let job = store.job(&file.id()).unwrap().unwrap();
        let done = job.progress().unwrap().next.row;
        assert_eq!(scan(&store, &connection).len() as u64, done, "a change is there as a whole");
        assert_eq!(store.check().unwrap(), Vec::<String>::new());
        assert_eq!(counts(&file.finish(&store, 1000)), [BIG, 0, 0]);
        drop(store);
        let store = disk.open(0).unwrap();
        assert_eq!(store.check().unwrap(), Vec::<String>::new());
        assert_eq!(scan(&store, &connection).len() as u64, BIG);
        drop(store);
        fs::remove_dir_all(disk.data()).unwrap();
    }
}

/// A process that dies on a full disk leaves what the database needs to be opened on it.
#[test]
fn a_full_disk_opens_with_what_was_taken_ahead() {
    let Some(disk) = Disk::of_megabytes(64) else { return };
    let store = disk.open(LEAST).unwrap();
    let connection = store.create_connection(connection(1), Owed::nothing()).unwrap();
    let file = big_file(1);
    file.enqueue(&store, &connection).unwrap();
    disk.fill();
    let fault = loop {
        if let Err(error) = file.step(&store, 500) {
            break error;
        }
    };
    assert!(matches!(fault, StoreError::NoRoom(_)), "{fault}");
    let users = scan(&store, &connection).len();
    drop(store);
    for _ in 0..3 {
        disk.fill();
        let store = disk.open(LEAST).unwrap();
        assert_eq!(scan(&store, &connection).len(), users);
    }
    disk.fill();
    let store = disk.open(LEAST).unwrap();
    assert_eq!(scan(&store, &connection).len(), users);
    assert_eq!(store.check().unwrap(), Vec::<String>::new());
    disk.clear();
    assert_eq!(counts(&file.finish(&store, 500)), [BIG, 0, 0]);
}
