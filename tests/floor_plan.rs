//! The floor plan of `src/`, as a test: which room may see which, and who may name which crate.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

const EVERY_ROOM: &[&str] = &[
    "app", "cli", "config", "domain", "export", "files", "fuzzing", "http", "import", "jobs", "login",
    "notify", "search", "store", "tls", "tokens", "upkeep",
];

/// Each room and what it may see.
const PLAN: &[(&str, &[&str])] = &[
    ("app", EVERY_ROOM),
    ("cli", &["app", "config", "files", "import", "domain"]),
    ("config", &["domain"]),
    ("domain", &[]),
    ("export", &["store", "domain"]),
    ("files", &[]),
    ("fuzzing", &["import", "http", "search", "store", "domain"]),
    ("http", &["jobs", "import", "export", "login", "notify", "search", "store", "tls", "tokens", "domain"]),
    ("import", &["store", "domain"]),
    ("jobs", &["import", "store", "domain"]),
    ("login", &["notify", "store", "tokens", "domain"]),
    ("notify", &["files", "store", "domain"]),
    ("search", &["domain"]),
    ("store", &["files", "domain"]),
    ("tls", &[]),
    ("tokens", &["files", "domain"]),
    ("upkeep", &["store", "tokens", "domain"]),
];

/// Crates that are hidden, each with a room that may name it; one that two rooms may name has two rows.
const OWNERS: &[(&str, &str)] = &[
    ("sled", "store"),
    ("lz4_flex", "store"),
    ("actix_web", "http"),
    ("actix_http", "http"),
    ("actix_multipart", "http"),
    ("actix_server", "http"),
    ("governor", "http"),
    ("socket2", "http"),
    ("tokio_rustls", "http"),
    ("tokio_rustls", "notify"),
    ("webpki_roots", "notify"),
    ("jsonwebtoken", "tokens"),
    ("pem", "tokens"),
    ("aws_lc_rs", "tokens"),
    ("rcgen", "tls"),
    ("clap", "cli"),
    ("lettre", "notify"),
    ("standardwebhooks", "notify"),
    ("argon2", "login"),
    ("indicatif", "cli"),
    ("config", "config"),
    ("csv", "export"),
];

/// Files of code with the room each is in.
fn files() -> Vec<(String, PathBuf)> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    let mut folders = vec![source.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let inside = path.strip_prefix(&source).unwrap().with_extension("");
                let room = inside.iter().next().unwrap().to_str().unwrap().to_owned();
                files.push((room, path));
            }
        }
    }
    files
}

/// The lines of a file that are code, with any `crate::{a, b}` written out.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// Whether `code` has `path` where a path begins.
fn names(code: &str, path: &str) -> bool {
    code.match_indices(path).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':')
    })
}

#[test]
fn every_room_sees_only_what_the_plan_allows() {
    for (room, path) in files() {
        let Some((_, allowed)) = PLAN.iter().find(|(name, _)| *name == room) else {
            assert!(["lib", "main"].contains(&room.as_str()), "{room} is not on the plan");
            continue;
        };
        let code = code(&path);
        assert!(
            !code.contains("use crate::{"),
            "{}: one `use crate::room` each, so that this test can read them",
            path.display()
        );
        for seen in EVERY_ROOM.iter().filter(|seen| **seen != room && !allowed.contains(seen)) {
            assert!(!names(&code, &format!("crate::{seen}")), "{} sees {seen}", path.display());
        }
    }
}

#[test]
fn crates_that_a_room_hides_are_named_in_that_room_only() {
    for (room, path) in files() {
        let code = code(&path);
        for (hidden, owner) in OWNERS.iter().filter(|(hidden, _)| !OWNERS.contains(&(hidden, &room))) {
            let named = names(&code, &format!("{hidden}::")) && !names(&code, &format!("crate::{hidden}::"));
            assert!(!named, "{} names {hidden}, which {owner} hides", path.display());
        }
    }
}

#[test]
fn every_module_opens_with_what_it_owns() {
    for (_, path) in files() {
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("//!"), "{} does not say what it is for", path.display());
    }
}
