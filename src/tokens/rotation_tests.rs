//! What a rotation promises.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::TempDir;

use super::ring::{remove_expired, stamp};
use super::*;
use SigningAlgorithm::{Es256, Rs256};

const URL: &str = "https://users.test";
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

fn directory() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    Keys::open_or_create(directory.path(), Es256).unwrap();
    directory
}

/// A server that has just been started on the keys there are.
fn tokens(directory: &Path) -> Tokens {
    Tokens::new(Keys::open(directory).unwrap(), URL, HOUR)
}

fn mint(directory: &Path, lifetime: Duration, now: u64) -> String {
    tokens(directory).mint("abc", &[Scope::ReadUsers], lifetime, at(now)).unwrap()
}

fn rotate(directory: &Path, overlap: Duration, now: u64) -> String {
    Keys::rotate(directory, Es256, overlap, at(now)).unwrap().id
}

fn names(directory: &Path) -> Vec<String> {
    let names = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn tokens_of_the_key_before_stay_good_until_they_expire_and_new_ones_have_the_new_key() {
    let directory = directory();
    let before = mint(directory.path(), HOUR, 1000);
    let id = rotate(directory.path(), HOUR, 2000);
    let tokens = tokens(directory.path());
    let after = tokens.mint("abc", &[], HOUR, at(2000)).unwrap();
    assert_eq!(jsonwebtoken::decode_header(&after).unwrap().kid, Some(id.clone()));
    for token in [&before, &after] {
        assert!(tokens.verify(token, at(2000)).is_ok());
        assert!(tokens.verify(token, at(4599)).is_ok());
    }
    assert_eq!(tokens.verify(&before, at(4600)), Err(TokenFault::Expired));
    let keys = tokens.jwks(at(2000));
    assert_eq!(keys["keys"].as_array().unwrap().len(), 2);
    assert_eq!(keys["keys"][0]["kid"], id.as_str());
}

#[test]
fn a_retired_key_is_believed_for_its_time_and_no_longer_however_long_its_tokens_live() {
    let directory = directory();
    let before = mint(directory.path(), DAY, 1000);
    rotate(directory.path(), HOUR, 2000);
    let running = tokens(directory.path());
    // Five seconds more than the overlap: as long as a server may take to notice.
    assert!(running.verify(&before, at(2000 + 3600 + 4)).is_ok());
    assert_eq!(running.verify(&before, at(2000 + 3600 + 5)), Err(TokenFault::Expired));
    let fresh = tokens(directory.path());
    assert_eq!(fresh.verify(&before, at(2000 + 3600 + 5)), Err(TokenFault::Signature));
    assert_eq!(fresh.jwks(at(2000 + 3600 + 5))["keys"].as_array().unwrap().len(), 1);
    remove_expired(directory.path(), at(2000 + 3600 + 4)).unwrap();
    assert_eq!(names(directory.path()).len(), 3);
    remove_expired(directory.path(), at(2000 + 3600 + 5)).unwrap();
    assert_eq!(names(directory.path()), ["signing-key.lock", "signing-key.pem"]);
}

#[test]
fn without_an_overlap_nothing_signed_before_is_taken() {
    let directory = directory();
    let first = mint(directory.path(), DAY, 1000);
    rotate(directory.path(), HOUR, 1000);
    let second = mint(directory.path(), DAY, 1000);
    let running = tokens(directory.path());
    let link = running.sign_link("/exports/a", 9000);
    assert!(running.verify(&first, at(1000)).is_ok() && running.verify(&second, at(1000)).is_ok());
    rotate(directory.path(), Duration::ZERO, 1000);
    assert!(running.renew(Keys::open(directory.path()).unwrap()));
    for token in [&first, &second] {
        assert_eq!(running.verify(token, at(1000)), Err(TokenFault::Signature), "also if it is remembered");
    }
    assert!(!running.is_good_link("/exports/a", 9000, &link, at(1000)));
    assert_eq!(names(directory.path()), ["signing-key.lock", "signing-key.pem"]);
}

#[test]
fn links_outlive_a_rotation() {
    let directory = directory();
    let link = tokens(directory.path()).sign_link("/exports/a", 2060);
    rotate(directory.path(), HOUR, 2000);
    let tokens = tokens(directory.path());
    assert_ne!(tokens.sign_link("/exports/a", 2060), link);
    assert!(tokens.is_good_link("/exports/a", 2060, &link, at(2059)));
    assert!(!tokens.is_good_link("/exports/a", 2060, &link, at(2060)));
}

#[test]
fn the_algorithm_is_changed_by_a_rotation() {
    let directory = directory();
    let before = mint(directory.path(), HOUR, 1000);
    let refused = Keys::open_or_create(directory.path(), Rs256).unwrap_err().to_string();
    assert!(refused.contains("intake rotate-key"), "{refused}");
    let rotation = Keys::rotate(directory.path(), Rs256, HOUR, at(1000)).unwrap();
    let keys = Keys::open_or_create(directory.path(), Rs256).unwrap();
    assert_eq!((&keys.current.id, rotation.overlap_ends), (&rotation.id, Some(at(4600))));
    let tokens = Tokens::new(keys, URL, HOUR);
    assert!(tokens.verify(&before, at(1000)).is_ok());
    let after = tokens.mint("abc", &[], HOUR, at(1000)).unwrap();
    assert!(tokens.verify(&after, at(1000)).is_ok());
    assert_eq!(tokens.algorithms(at(1000)), [Es256, Rs256]);
    // A key is good for its own algorithm only, whoever names it.
    let named = |algorithm, token: &str| {
        let mut header = jsonwebtoken::Header::new(algorithm_of(algorithm));
        header.kid = jsonwebtoken::decode_header(token).unwrap().kid;
        let claims = serde_json::json!({
            "iss": tokens.issuer(), "aud": tokens.audience(), "sub": "abc@clients", "iat": 1000, "exp": 2000,
        });
        let ring = tokens.ring();
        let key = ring.keys.believed(at(1000)).find(|(key, _)| key.algorithm == algorithm).unwrap().0.clone();
        jsonwebtoken::encode(&header, &claims, &key.signing).unwrap()
    };
    assert!(tokens.verify(&named(Es256, &before), at(1000)).is_ok());
    assert_eq!(tokens.verify(&named(Es256, &after), at(1000)), Err(TokenFault::Invalid));
    assert_eq!(tokens.verify(&named(Rs256, &before), at(1000)), Err(TokenFault::Invalid));
}

/// What each step of a rotation leaves on disk, as if the process had died after it.
#[test]
fn a_crash_at_any_step_leaves_a_key_that_signs_and_all_tokens_good() {
    let directory = directory();
    let (path, copy) = (directory.path(), |name: &str| directory.path().join(name));
    let before = mint(path, HOUR, 1000);
    let old = fs::read(copy(KEY_FILE)).unwrap();
    // 1: a new key was written under a name that nobody asks for, whole or not.
    fs::write(copy(".signing-key-half"), "-----BEGIN PRIV").unwrap();
    assert!(tokens(path).verify(&before, at(2000)).is_ok());
    // 2: the old key was put among the retired ones.
    fs::write(copy("retired-key-5605-x.pem"), &old).unwrap();
    let keys = Keys::open(path).unwrap();
    assert_eq!(keys.believed(at(2000)).count(), 1, "one key, however often it is there");
    assert!(tokens(path).verify(&before, at(9000)).is_err_and(|fault| fault == TokenFault::Expired));
    assert!(tokens(path).verify(&mint(path, HOUR, 9000), at(9000)).is_ok(), "it signs, so it is believed");
    // The next rotation, later, gives it its full time and sweeps what is half.
    let late = mint(path, HOUR, 9000);
    rotate(path, HOUR, 9000);
    assert!(tokens(path).verify(&late, at(12_599)).is_ok());
    remove_expired(path, at(9000)).unwrap();
    assert_eq!(names(path).iter().filter(|name| name.starts_with("retired-key-")).count(), 1);
    assert!(!copy(".signing-key-half").exists());
}

#[test]
fn of_several_who_rotate_at_once_none_loses_a_key() {
    let directory = directory();
    let before = mint(directory.path(), HOUR, 1000);
    let made: Vec<(String, String)> = std::thread::scope(|scope| {
        let one = || (rotate(directory.path(), HOUR, 1000), mint(directory.path(), HOUR, 1000));
        let all: Vec<_> = (0..8).map(|_| scope.spawn(one)).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let tokens = tokens(directory.path());
    assert_eq!(tokens.jwks(at(1000))["keys"].as_array().unwrap().len(), 9);
    for token in made.iter().map(|(_, token)| token).chain([&before]) {
        assert!(tokens.verify(token, at(1000)).is_ok());
    }
}

#[test]
fn files_of_keys_are_for_nobody_else_and_change_with_their_keys() {
    let directory = directory();
    let first = stamp(directory.path()).unwrap();
    assert_eq!(stamp(directory.path()).unwrap(), first);
    rotate(directory.path(), HOUR, 1000);
    assert_ne!(stamp(directory.path()).unwrap(), first);
    for name in names(directory.path()) {
        let mode = fs::metadata(directory.path().join(&name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn a_key_that_cannot_be_read_is_not_retired_and_says_so() {
    let directory = directory();
    fs::write(directory.path().join(KEY_FILE), "no key").unwrap();
    let refused = Keys::rotate(directory.path(), Es256, HOUR, at(1000)).unwrap_err();
    assert!(matches!(refused, KeyError::Malformed(_)), "{refused}");
    rotate(directory.path(), Duration::ZERO, 1000);
    assert!(Keys::open_or_create(directory.path(), Es256).is_ok());
}
