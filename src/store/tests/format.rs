//! Directories that are not ours, or not of this version.

use std::fs;

use super::*;

fn refused(path: &Path) -> StoreError {
    assert!(check_format(path).is_err());
    Store::open(options(path)).unwrap_err()
}

#[test]
fn a_directory_says_its_format_from_its_first_start_on() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("format");
    let told = format!("intake data directory, format {}\n", database::LAYOUT);
    drop(Store::open(options(directory.path())).unwrap());
    assert_eq!(fs::read_to_string(&file).unwrap(), told);
    fs::remove_file(&file).unwrap();
    drop(Store::open(options(directory.path())).unwrap());
    assert_eq!(fs::read_to_string(&file).unwrap(), told, "an older one says so, too");
}

#[test]
fn a_format_that_is_not_known_is_refused_in_words() {
    let directory = tempfile::tempdir().unwrap();
    drop(Store::open(options(directory.path())).unwrap());
    let file = directory.path().join("format");
    let newer = database::LAYOUT + 1;
    for (text, said) in [
        (format!("intake data directory, format {newer}\n"), format!("layout version {newer}")),
        ("intake data directory, format 3b\n".to_owned(), "nothing this program knows".to_owned()),
        ("intake data directory".to_owned(), "nothing this program knows".to_owned()),
        (String::new(), "nothing this program knows".to_owned()),
        ("x".repeat(5000), "nothing this program knows".to_owned()),
        ("intake data directory, being restored\n".to_owned(), "repeat that".to_owned()),
    ] {
        fs::write(&file, &text).unwrap();
        let error = refused(directory.path()).to_string();
        assert!(error.contains(&said), "{text:.60}: {error}");
        assert_eq!(fs::read_to_string(&file).unwrap(), text);
    }
}

#[test]
fn somebody_elses_directory_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("photos")).unwrap();
    let error = refused(directory.path());
    assert!(matches!(&error, StoreError::Foreign { name, .. } if name == "photos"), "{error}");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn what_may_lie_in_a_directory_before_its_first_start_stops_none() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("lost+found")).unwrap();
    for name in [".hidden", "signing-key.pem", "import.toml", "lock", "signing-key.lock"] {
        fs::write(directory.path().join(name), b"").unwrap();
    }
    drop(Store::open(options(directory.path())).unwrap());
    fs::remove_file(directory.path().join("format")).unwrap();
    fs::write(directory.path().join("notes"), b"").unwrap();
    drop(Store::open(options(directory.path())).unwrap());
}
