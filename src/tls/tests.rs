//! What a certificate in use promises.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::os::unix::fs::PermissionsExt;

use super::*;

fn throwaway() -> (tempfile::TempDir, Throwaway) {
    let directory = tempfile::tempdir().unwrap();
    let files = Throwaway::make(directory.path(), None).unwrap();
    (directory, files)
}

fn message(certificate: &Path, key: &Path) -> String {
    Certificates::open(certificate, key).unwrap_err().to_string()
}

#[test]
fn a_throwaway_pair_can_be_used_and_its_key_is_private() {
    let (_directory, files) = throwaway();
    let certificates = Certificates::open(&files.certificate, &files.key).unwrap();
    certificates.server_config().unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o077;
    assert_eq!(mode(&files.key), 0);
    let shown = format!("{certificates:?}");
    assert!(shown.ends_with("tls-key.pem\", .. })"), "{shown}");
}

#[test]
fn a_throwaway_certificate_takes_further_hosts_and_refuses_what_is_none() {
    let directory = tempfile::tempdir().unwrap();
    let files = Throwaway::make(directory.path(), Some("intake.test")).unwrap();
    let chain = read_chain(&files.certificate).unwrap();
    let has = |name: &str| chain[0].windows(name.len()).any(|bytes| bytes == name.as_bytes());
    assert!(has("intake.test") && has("localhost") && !has("intake.example"));
    let other = tempfile::tempdir().unwrap();
    let refused = Throwaway::make(other.path(), Some("größe.test")).unwrap_err().to_string();
    assert!(refused.starts_with("no throwaway certificate could be made: "), "{refused}");
}

#[test]
fn each_way_a_pair_can_be_wrong_is_told_with_what_to_do() {
    let (directory, files) = throwaway();
    let (_other_directory, other) = throwaway();
    let Throwaway { certificate, key, .. } = &files;
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let missing = directory.path().join("missing.pem");
    let empty = file("empty.pem", "");
    let block = |label: &str| format!("-----BEGIN {label}-----\naHVzaC1odXNo\n-----END {label}-----\n");
    let no_certificate = file("no-certificate.pem", &block("CERTIFICATE"));
    let no_key = file("no-key.pem", &block("PRIVATE KEY"));
    let encrypted = file("encrypted.pem", &block("ENCRYPTED PRIVATE KEY"));
    let broken = file("broken.pem", "-----BEGIN PRIVATE KEY hush\n");
    let cases = [
        (&missing, key, "server.tls.certificate: "),
        (&missing, key, "missing.pem cannot be read: No such file"),
        (certificate, &missing, "server.tls.key: "),
        (&empty, key, "there is no certificate in "),
        (key, key, "there is no certificate in "),
        (&no_certificate, key, "there is no certificate in "),
        (certificate, &empty, "there is no private key in "),
        (certificate, certificate, "there is no private key in "),
        (certificate, &encrypted, "a key that is not encrypted"),
        (certificate, &broken, "there is no private key in "),
        (certificate, &no_key, "it must be RSA (2048 bits or more), ECDSA or Ed25519"),
        (certificate, &other.key, "does not belong to the first certificate in "),
    ];
    for (certificate, key, expected) in cases {
        let told = message(certificate, key);
        assert!(told.contains(expected), "{told}\n  does not say: {expected}");
        assert!(!told.contains("hush"), "{told}");
    }
}

#[test]
fn a_pair_that_cannot_be_read_again_stays_in_use() {
    let (_directory, files) = throwaway();
    let (_other_directory, other) = throwaway();
    let certificates = Certificates::open(&files.certificate, &files.key).unwrap();
    let in_use = || certificates.0.current.read().cert[0].clone();
    let first = in_use();
    fs::copy(&other.certificate, &files.certificate).unwrap();
    assert!(matches!(certificates.reload(), Err(TlsFault::Mismatch { .. })));
    assert_eq!(in_use(), first);
    fs::copy(&other.key, &files.key).unwrap();
    certificates.reload().unwrap();
    assert_ne!(in_use(), first);
}
