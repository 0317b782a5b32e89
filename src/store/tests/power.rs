//! Power cuts: what a process wrote is recorded, and directories are rebuilt as a disk may show them
//! after the power failed at some moment.
//!
//! The recording is made by strace; where that is missing the tests say so and pass.

#[path = "../../../tests/power/record.rs"]
#[allow(dead_code, unreachable_pub, reason = "the tests of the server share it")]
mod record;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;

use super::*;
use database::faults::At;
use record::{Luck, Record, Recorder, What};

/// The variable that names the data directory to the process that is recorded.
const DIRECTORY: &str = "INTAKE_TEST_RECORDED";
const ROWS: u64 = 1200;
/// How the process ends when it has not done all.
const DIED: i32 = 7;

/// Not a test of its own: the work of the process that is recorded. Does nothing in a usual run.
///
/// Faults lie on its way, and it dies now and then, between writing a commit and syncing it.
#[test]
fn a_process_that_imports_while_its_writes_are_recorded() {
    let Some(path) = std::env::var_os(DIRECTORY) else {
        return;
    };
    let rounds = workload::rounds(ROWS);
    let mut told = |line: &str| std::io::stdout().write_all(line.as_bytes()).unwrap();
    let store = Store::open(options(Path::new(&path))).unwrap();
    told_all(&store, &rounds, &mut told);
    for number in 1.. {
        if !workload::step(&store, &rounds, &mut |job| told(&workload::promise(job))) {
            break;
        }
        if number == 4 {
            fault_in_a_chunk(&store, &rounds);
            store.reopen().unwrap();
            told_all(&store, &rounds, &mut told);
        }
        if number == 9 {
            fault_in_a_chunk(&store, &rounds);
            std::process::exit(DIED);
        }
    }
}

/// Whoever asks after a start is told of everything that is there.
fn told_all(store: &Store, rounds: &[Vec<Import>], told: &mut impl FnMut(&str)) {
    for import in rounds.iter().flatten() {
        if let Some(job) = store.job(&import.id()).unwrap() {
            told(&workload::promise(&job));
        }
    }
}

/// The next commit is written, but not synced.
fn fault_in_a_chunk(store: &Store, rounds: &[Vec<Import>]) {
    store.core().unwrap().database.faults.arm(At::Sync);
    let step = std::panic::AssertUnwindSafe(|| workload::step(store, rounds, &mut |_| {}));
    assert!(std::panic::catch_unwind(step).is_err());
    assert!(!store.is_available());
}

/// Runs the process and reads what strace saw; `None` without strace.
fn record() -> Option<Record> {
    let directory = tempfile::tempdir().unwrap();
    let (data, trace) = (directory.path().join("data"), directory.path().join("trace"));
    fs::create_dir(&data).unwrap();
    let test = "store::tests::power::a_process_that_imports_while_its_writes_are_recorded";
    let mut recorder = Recorder::of(&data);
    loop {
        let out = record::recorded(&kills::rerun(test, DIRECTORY, &data), &trace)?.output().unwrap();
        let Some(text) = record::whole(&trace) else {
            println!("skipped: strace may not trace here");
            return None;
        };
        recorder.read(&text);
        match out.status.code() {
            Some(DIED) => {}
            Some(0) => return Some(recorder.done()),
            _ => panic!("{}", String::from_utf8_lossy(&out.stdout)),
        }
    }
}

#[test]
fn nothing_is_promised_or_witnessed_before_the_log_is_synced() {
    let Some(record) = record() else { return };
    let (log, witness) = (record.file("database/db"), record.file("witness"));
    let (mut promises, mut sealed) = (0, 0);
    for deed in &record.deeds {
        match &deed.what {
            What::Told(promise) => {
                promises += 1;
                let promise = String::from_utf8_lossy(promise);
                assert_eq!(record.unsynced(log, deed.begin), 0, "{promise}");
                assert_eq!(record.unsynced(witness, deed.begin), 0, "{promise}");
            }
            What::Write { file, .. } if *file == witness => {
                sealed += 1;
                assert_eq!(record.unsynced(log, deed.begin), 0, "seal {sealed}");
            }
            _ => {}
        }
    }
    assert!(promises > 50 && sealed > 40, "{promises} promises, {sealed} seals");
    let files: BTreeSet<&String> = record
        .deeds
        .iter()
        .filter(|deed| deed.safe_from == usize::MAX)
        .filter_map(|deed| match &deed.what {
            What::Create(path, _) => Some(path),
            _ => None,
        })
        .collect();
    let safe = |path: &&String| !path.contains("snap.") && *path != "lock";
    assert_eq!(files.into_iter().find(safe), None, "a file whose name is never synced");
}

#[test]
fn after_a_power_cut_at_any_moment_all_that_was_promised_is_there() {
    let Some(record) = record() else { return };
    let rounds = workload::rounds(ROWS);
    let wanted = workload::undisturbed(&rounds);
    let mut dice = Dice(setting("INTAKE_SEED", 1) as u64);
    for cut in 0..setting("INTAKE_CUTS", 48) {
        // Every fourth cut falls into the making of the database.
        let lines = if cut % 4 == 0 { record.lines.min(150) } else { record.lines };
        let line = dice.below(lines as u64 + 1) as usize;
        let directory = tempfile::tempdir().unwrap();
        let luck = Luck::draw(line, |limit| dice.below(limit));
        record.cut(line, luck, |limit| dice.below(limit), directory.path());
        let store = Store::open(options(directory.path()));
        let store = store.unwrap_or_else(|error| panic!("cut {cut} at line {line}, {luck:?}: {error}"));
        assert_eq!(store.check().unwrap(), Vec::<String>::new());
        assert_jobs_told(&store);
        let past = record.deeds.iter().filter(|deed| deed.end < line);
        for deed in past {
            if let What::Told(promise) = &deed.what {
                workload::assert_kept(&store, &rounds, str::from_utf8(promise).unwrap());
            }
        }
        for ticket in store.unfinished().unwrap() {
            let job = store.unfinished_job(ticket).unwrap().unwrap();
            let file = std::io::read_to_string(store.file(&job).unwrap()).unwrap();
            assert_eq!(file, "[]", "cut {cut} at line {line}: the file of job {ticket}");
        }
        workload::run(&store, &rounds, |_| {});
        let end = workload::holdings(&store, &rounds);
        assert!(end == wanted, "cut {cut} at line {line}");
    }
}
