//! Backups and restores, without a server.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::domain::BackupId;
use crate::store::format::write_half_made;
use crate::store::manifest::FileSeal;
use crate::store::open::DirectoryLock;
use crate::store::site::Site;

fn place(store: &TestStore, name: &str) -> PathBuf {
    store.options.path.with_file_name(name)
}

/// A store with three rows of a job done and two to do, and its backup.
fn backed_up() -> (TestStore, Import, PathBuf) {
    let store = TestStore::new();
    let rows = rows!["a@acme.test", "b@acme.test", "a@acme.test", "d@acme.test", "e@acme.test"];
    let import = Import::insert(1, rows);
    store.enqueue(&import);
    import.step(&store, 3).unwrap();
    fs::write(store.path().join("signing-key.pem"), b"key").unwrap();
    fs::create_dir(store.path().join("mail")).unwrap();
    fs::write(store.path().join("mail/1.eml"), b"letter").unwrap();
    let to = place(&store, "backup");
    store.back_up_to(&to, NOW).unwrap();
    (store, import, to)
}

#[test]
fn a_backup_that_was_cut_short_is_no_data_directory() {
    let (store, _, _) = backed_up();
    let cut = place(&store, "cut");
    std::mem::forget(Site::take(&cut).unwrap()); // as a kill does
    assert!(matches!(check_format(&cut), Err(StoreError::HalfMade(_))));
    assert!(why_not(&cut, &place(&store, "elsewhere")).contains("there is no backup.json in it"));
}

fn restore(from: &Path, to: &Path, min_free_disk: u64) -> Result<Manifest> {
    super::restore(from, &Options { min_free_disk, ..options(to) })
}

fn why_not(backup: &Path, to: &Path) -> String {
    let error = restore(backup, to, 0).unwrap_err();
    assert!(!to.exists(), "what is refused leaves nothing");
    error.to_string()
}

#[test]
fn a_backup_is_the_store_as_it_was_and_goes_on_like_it() {
    let (store, import, backup) = backed_up();
    import.finish(&store, 100);
    store.import(&Import::insert(2, rows!["late@acme.test"]));
    let restored = place(&store, "restored");
    let manifest = restore(&backup, &restored, 0).unwrap();
    assert_eq!((manifest.users, manifest.unfinished_jobs, manifest.made_at), (2, 1, NOW));
    let copy = Store::open(options(&restored)).unwrap();
    assert_eq!(copy.check().unwrap(), Vec::<String>::new());
    assert_eq!(scan(&copy, &store.connection).len(), 2);
    assert_eq!(counts(&copy.job(&import.id()).unwrap().unwrap()), [2, 0, 1]);
    assert_eq!(fs::read(restored.join("spool").join(format!("{}.json", import.id()))).unwrap(), b"[]");
    let ended = import.finish(&copy, 100);
    assert_eq!(ended, store.job(&import.id()).unwrap().unwrap());
    assert_eq!(failed_rows(&copy, &import), failed_rows(&store, &import));
    assert_eq!(fs::read(restored.join("signing-key.pem")).unwrap(), b"key");
    assert_eq!(fs::read(restored.join("mail/1.eml")).unwrap(), b"letter");
    assert!(!restored.join("backup.json").exists());
}

#[test]
fn a_backup_is_a_data_directory_itself_and_for_its_owner_alone() {
    let (store, import, backup) = backed_up();
    assert_eq!(fs::metadata(&backup).unwrap().permissions().mode() & 0o777, 0o700);
    let copy = Store::open(options(&backup)).unwrap();
    import.finish(&copy, 100);
    assert_eq!(scan(&copy, &store.connection).len(), 4);
    assert!(!backup.join("backup.json").exists(), "its files are about to be others");
    drop(copy);
    assert_eq!(Store::examine(&options(&backup)).unwrap().findings, [], "it is what it is used as");
    let said = why_not(&backup, &place(&store, "restored"));
    assert!(said.contains("cannot be restored"), "one that was used is no backup any more: {said}");
    import.finish(&store, 100);
}

#[test]
fn backups_beside_writers_and_readers_are_whole() {
    let store = TestStore::new();
    let large = |at: u64| Row::from(&*format!("u{at}@acme.test")).app(&Dice(at).noise(800));
    let import = Import::insert(1, (0..8000).map(large).collect());
    store.enqueue(&import);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            import.finish(&store, 64);
            done.store(true, Ordering::SeqCst);
        });
        scope.spawn(|| {
            let mut dice = Dice(3);
            while !done.load(Ordering::SeqCst) {
                drop(store.by_email(&format!("u{}@acme.test", dice.below(8000))));
            }
        });
        let mut midway = 0;
        for number in 0..10 {
            let path = place(&store, &format!("backup-{number}"));
            let manifest = store.back_up_to(&path, NOW).unwrap();
            manifest.verify(&path).unwrap();
            let copy = Store::open(options(&path)).unwrap();
            assert_eq!(copy.check().unwrap(), Vec::<String>::new());
            let job = copy.job(&import.id()).unwrap().unwrap();
            let users = scan(&copy, &store.connection).len() as u64;
            assert_eq!([users, 0, 0], counts(&job));
            assert_eq!(manifest.users, users);
            midway += usize::from(0 < users && users < 8000);
            fs::remove_dir_all(path).unwrap();
        }
        assert!(midway > 2, "no backup met the job midway");
    });
}

#[test]
fn there_is_one_backup_at_a_time_and_a_failed_one_leaves_nothing() {
    let mut store = TestStore::new();
    let id = BackupId::from_entropy([1; 16]);
    let turn = store.backing_up.lock();
    assert!(matches!(store.back_up(&id, NOW), Err(StoreError::BackingUp)));
    drop(turn);
    assert!(matches!(store.back_up_to(Path::new("/proc/none"), NOW), Err(StoreError::Io(_))));
    let occupied = place(&store, "occupied");
    fs::create_dir(&occupied).unwrap();
    fs::write(occupied.join("mine"), b"").unwrap();
    assert!(
        matches!(store.back_up_to(&occupied, NOW), Err(StoreError::Occupied { name, .. }) if name == "mine")
    );
    assert!(occupied.join("mine").exists());
    // No manifest can name this one.
    let odd = store.path().join("mail").join(OsStr::from_bytes(b"\xff.eml"));
    fs::create_dir(store.path().join("mail")).unwrap();
    fs::write(&odd, b"").unwrap();
    assert!(store.back_up(&id, NOW).unwrap_err().to_string().contains("UTF-8"));
    assert_eq!(fs::read_dir(store.path().join("backups")).unwrap().count(), 0);
    fs::remove_file(odd).unwrap();
    let (whole, _) = store.back_up(&id, NOW).unwrap();
    assert!(whole.starts_with(store.path()) && whole.ends_with(id.as_str()));
    let part = whole.with_extension("part");
    fs::create_dir(&part).unwrap();
    store.restart();
    assert!(!part.exists() && whole.exists(), "what is not whole goes at the next start");
}

#[test]
fn a_full_disk_refuses_backup_and_restore() {
    let (mut store, import, backup) = backed_up();
    let restored = place(&store, "restored");
    assert!(matches!(restore(&backup, &restored, u64::MAX / 2), Err(StoreError::DiskFull { .. })));
    assert!(restore(&backup, &restored, 0).is_ok(), "what was refused is in nobody's way");
    import.finish(&store, 100);
    store.close();
    store.options.min_free_disk = u64::MAX / 2;
    store.open().unwrap();
    let to = place(&store, "second");
    assert!(matches!(store.back_up_to(&to, NOW), Err(StoreError::DiskFull { .. })));
    assert!(!to.exists());
}

#[test]
fn what_is_no_whole_backup_is_refused_by_name() {
    let (store, import, backup) = backed_up();
    let to = place(&store, "restored");
    let manifest = fs::read_to_string(backup.join("backup.json")).unwrap();
    let files = Manifest::read(&backup).unwrap().files;
    assert!(files.len() > 5, "{files:?}");
    for FileSeal { path, bytes, .. } in files {
        let whole = fs::read(backup.join(&path)).unwrap();
        let mut broken = whole.clone();
        broken[bytes as usize / 2] ^= 1;
        fs::write(backup.join(&path), broken).unwrap();
        let said = why_not(&backup, &to);
        assert!(said.contains(&path) && said.contains("is not what it was"), "{said}");
        fs::write(backup.join(&path), &whole[1..]).unwrap();
        assert!(why_not(&backup, &to).contains(&path));
        fs::remove_file(backup.join(&path)).unwrap();
        assert!(why_not(&backup, &to).contains(&path));
        fs::write(backup.join(&path), whole).unwrap();
    }
    fs::remove_file(backup.join("backup.json")).unwrap();
    assert!(why_not(&backup, &to).contains("there is no backup.json in it"));
    fs::write(backup.join("backup.json"), &manifest[..manifest.len() / 2]).unwrap();
    assert!(why_not(&backup, &to).contains("damaged"));
    fs::write(backup.join("backup.json"), manifest.replace("\"signing-key.pem\"", "\"../key\"")).unwrap();
    assert!(why_not(&backup, &to).contains("../key"));
    fs::write(backup.join("backup.json"), manifest.replacen("\"format\": 3", "\"format\": 4", 1)).unwrap();
    assert!(why_not(&backup, &to).contains("version 4"));
    fs::write(backup.join("backup.json"), manifest).unwrap();
    restore(&backup, &to, 0).unwrap();
    import.finish(&store, 100);
}

/// Or it could not be repeated.
#[test]
fn what_was_restored_and_cannot_be_opened_is_not_there() {
    let (store, import, backup) = backed_up();
    import.finish(&store, 100);
    let to = place(&store, "restored");
    let hopeless = Options { open_timeout: Duration::ZERO, ..options(&to) };
    assert!(matches!(super::restore(&backup, &hopeless), Err(StoreError::Slow { .. })));
    restore(&backup, &to, 0).unwrap();
    assert_eq!(scan(&Store::open(options(&to)).unwrap(), &store.connection).len(), 2);
}

#[test]
fn a_restore_overwrites_nothing() {
    let (store, import, backup) = backed_up();
    assert!(matches!(restore(&backup, store.path(), 0), Err(StoreError::Occupied { .. })));
    import.finish(&store, 100);
    let to = place(&store, "restored");
    fs::create_dir(&to).unwrap();
    fs::write(to.join("mine"), b"").unwrap();
    assert!(matches!(restore(&backup, &to, 0), Err(StoreError::Occupied { name, .. }) if name == "mine"));
    fs::remove_file(to.join("mine")).unwrap();
    fs::create_dir(to.join("lost+found")).unwrap();
    restore(&backup, &to, 0).unwrap();
    assert!(to.join("lost+found").exists());
}

#[test]
fn a_restore_that_was_cut_short_is_no_store_and_can_be_repeated() {
    let (store, import, backup) = backed_up();
    import.finish(&store, 100);
    let to = place(&store, "restored");
    restore(&backup, &to, 0).unwrap();
    write_half_made(&to).unwrap();
    fs::remove_file(to.join("database/conf")).unwrap();
    fs::write(to.join("witness"), b"half").unwrap();
    assert!(matches!(Store::open(options(&to)), Err(StoreError::HalfMade(_))));
    restore(&backup, &to, 0).unwrap();
    assert_eq!(scan(&Store::open(options(&to)).unwrap(), &store.connection).len(), 2);
}

/// The first backup has a key and a letter that the second one lacks, a revoked one perhaps.
#[test]
fn a_restore_in_place_of_one_that_was_cut_short_keeps_nothing_of_it() {
    let (store, import, first) = backed_up();
    import.finish(&store, 100);
    for file in ["signing-key.pem", "mail/1.eml"] {
        fs::remove_file(store.path().join(file)).unwrap();
    }
    let second = place(&store, "second");
    store.back_up_to(&second, NOW).unwrap();
    let to = place(&store, "restored");
    restore(&first, &to, 0).unwrap();
    write_half_made(&to).unwrap();
    fs::create_dir(to.join("lost+found")).unwrap();
    fs::write(to.join(".hidden"), b"mine").unwrap();

    let somebody = DirectoryLock::take(&to).unwrap();
    assert!(matches!(restore(&second, &to, 0), Err(StoreError::Locked(_))));
    assert!(to.join("mail/1.eml").exists(), "somebody else may be making it");
    drop(somebody);
    restore(&second, &to, 0).unwrap();
    assert!(!to.join("signing-key.pem").exists() && !to.join("mail").exists());
    assert!(to.join("lost+found").exists() && to.join(".hidden").exists());
    assert_eq!(scan(&Store::open(options(&to)).unwrap(), &store.connection).len(), 4);

    write_half_made(&to).unwrap();
    assert!(matches!(restore(&first, &to, u64::MAX / 2), Err(StoreError::DiskFull { .. })));
    let mut left: Vec<_> = fs::read_dir(&to).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, [".hidden", "lock", "lost+found"], "one that fails leaves nothing of either");
}

#[test]
fn a_copy_that_may_be_opened_goes_at_the_next_start_unless_it_is_open() {
    let mut store = TestStore::new();
    store.import(&Import::insert(1, rows!["a@acme.test"]));
    let copy = |store: &TestStore, number: u8| {
        let (whole, _) = store.back_up(&BackupId::from_entropy([number; 16]), NOW).unwrap();
        let part = unseal(&whole).unwrap();
        assert!(!whole.exists() && !part.join("backup.json").exists());
        part
    };
    let (left, used) = (copy(&store, 1), copy(&store, 2));
    assert_eq!(Store::examine(&options(&left)).unwrap().findings, []);
    let opened = Store::open(options(&used)).unwrap();
    store.restart();
    assert!(!left.exists() && used.exists());
    assert_eq!(scan(&opened, &store.connection).len(), 1);
}
