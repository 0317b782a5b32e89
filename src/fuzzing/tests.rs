//! The targets over their seeds, over what was hard once, and over changes of both.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::*;
use crate::domain::testing::Chance;

/// Changed inputs for each target, if `INTAKE_INPUTS` says nothing else.
const CHANGED: usize = 3000;
/// Bytes that mean something to one of the readers.
const BYTES: &[u8] =
    b"[]{},:\"\\ \r\n0123456789-+.eEtrufalsn/'()*!&|^~<>@_=;\x00\x1f\x7f\x80\xbf\xc3\xe2\xed\xf4\xff";

/// Runs one input, and says which one it was if something is wrong.
fn run(target: &Target, input: &[u8]) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| target.run(input))) {
        eprintln!("{} does not hold for b\"{}\"", target.name, input.escape_ascii());
        std::panic::resume_unwind(panic);
    }
}

/// Inputs that were found to be hard, with the names of their files.
fn regressions(target: &Target) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/regressions").join(target.name);
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect()
}

/// Changes a few bytes, takes some away, repeats some, or puts in a part of another input.
fn change(input: &mut Vec<u8>, others: &[Vec<u8>], chance: &mut Chance) {
    let at = chance.below(input.len() + 1);
    let end = at + chance.below((input.len() - at).min(40) + 1);
    match chance.below(6) {
        0 => input.insert(at, BYTES[chance.below(BYTES.len())]),
        1 if at < input.len() => input[at] = BYTES[chance.below(BYTES.len())],
        2 if at < input.len() => input[at] ^= 1 << chance.below(8),
        3 => drop(input.drain(at..end)),
        4 => {
            let part = input[at..end].to_vec();
            drop(input.splice(at..at, part));
        }
        _ => {
            let other = &others[chance.below(others.len())];
            let from = chance.below(other.len() + 1);
            let to = from + chance.below((other.len() - from).min(60) + 1);
            drop(input.splice(at..end, other[from..to].iter().copied()));
        }
    }
}

/// All that a target is asked here.
fn hold(name: &str) {
    let target = Target::named(name);
    let mut inputs = target.seeds();
    inputs.extend(regressions(target));
    assert!(inputs.len() > 4, "there is hardly anything to begin with");
    for input in &inputs {
        run(target, input);
    }
    let changed = std::env::var("INTAKE_INPUTS").map_or(CHANGED, |value| value.parse().unwrap());
    let mut chance = Chance::of(name.as_bytes());
    for _ in 0..changed {
        let mut input = inputs[chance.below(inputs.len())].clone();
        for _ in 0..=chance.below(4) {
            change(&mut input, &inputs, &mut chance);
        }
        run(target, &input);
    }
}

#[test]
fn a_file_is_read_as_others_read_it_however_it_arrives() {
    hold("file_reader");
}

#[test]
fn a_row_is_judged_and_shown_without_its_secrets() {
    hold("row_rules");
}

#[test]
fn a_form_is_the_same_however_it_arrives() {
    hold("multipart_form");
}

#[test]
fn a_search_for_users_is_read_or_refused() {
    hold("search_query");
}

#[test]
fn a_question_to_the_log_is_read_or_refused() {
    hold("log_query");
}

#[test]
fn addresses_names_and_ids_are_read_as_themselves() {
    hold("domain_names");
}

#[test]
fn a_value_of_the_database_is_read_or_an_error() {
    hold("store_codec");
}

/// Each has a program, and each program is one of them.
#[test]
fn every_target_can_be_fuzzed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/targets");
    let mut programs: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    programs.sort();
    let mut names = TARGETS.map(|target| target.name);
    names.sort_unstable();
    assert_eq!(programs, names);
    let manifest =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/Cargo.toml")).unwrap();
    assert!(names.iter().all(|name| manifest.contains(&format!("path = \"targets/{name}.rs\""))));
}
