//! Power cuts: what a process wrote is recorded, and directories are rebuilt as a disk may show them
//! after the power failed at some moment.
//!
//! The recording is made by strace; where that is missing the tests say so and pass.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use super::*;
use database::faults::At;

/// The variable that names the data directory to the process that is recorded.
const DIRECTORY: &str = "INTAKE_TEST_RECORDED";
const ROWS: u64 = 1200;
const PAGE: usize = 4096;
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

/// What the process asked of the system, with the lines of the record between which it happened.
#[derive(Debug)]
struct Deed {
    begin: usize,
    end: usize,
    what: What,
}

/// Paths are relative to the data directory; files are numbers, as they outlive their names.
#[derive(Debug)]
enum What {
    Directory(String),
    Create(String, usize),
    Rename(String, String),
    Unlink(String),
    Write { file: usize, at: usize, bytes: Vec<u8> },
    Truncate(usize, usize),
    Sync(usize),
    SyncDirectory(String),
    Promise(String),
}

#[derive(Debug, Default)]
struct Record {
    deeds: Vec<Deed>,
    lines: usize,
    log: usize,
    witness: usize,
}

/// Runs the process and reads what strace saw; `None` without strace.
fn record() -> Option<Record> {
    let directory = tempfile::tempdir().unwrap();
    let (data, trace) = (directory.path().join("data"), directory.path().join("trace"));
    fs::create_dir(&data).unwrap();
    if Command::new("strace").arg("-V").stdout(Stdio::null()).status().is_err() {
        println!("skipped: strace is not installed");
        return None;
    }
    let mut recorder = Recorder::new(data.to_str().unwrap().to_owned() + "/");
    loop {
        let out = recorded(&data, &trace).output().unwrap();
        let Ok(text) = fs::read_to_string(&trace) else {
            println!("skipped: strace may not trace here");
            return None;
        };
        recorder.read(&text);
        match out.status.code() {
            Some(DIED) => {}
            Some(0) => return Some(recorder.record),
            _ => panic!("{}", String::from_utf8_lossy(&out.stdout)),
        }
    }
}

fn recorded(data: &Path, trace: &Path) -> Command {
    let test = "store::tests::power::a_process_that_imports_while_its_writes_are_recorded";
    let process = kills::rerun(test, DIRECTORY, data);
    let mut command = Command::new("strace");
    command
        .args(["-f", "-y", "-xx", "-s", "100000000", "-e", "signal=none", "-e"])
        .arg("trace=openat,write,pwrite64,fsync,fdatasync,ftruncate,rename,unlink,mkdir")
        .arg("-o")
        .arg(trace)
        .arg(process.get_program())
        .args(process.get_args())
        .envs(process.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .stdin(Stdio::null());
    command
}

struct Recorder {
    prefix: String,
    names: BTreeMap<String, usize>,
    positions: BTreeMap<String, usize>,
    files: usize,
    record: Record,
}

impl Recorder {
    fn new(prefix: String) -> Self {
        Self {
            prefix,
            names: BTreeMap::new(),
            positions: BTreeMap::new(),
            files: 0,
            record: Record::default(),
        }
    }

    /// Adds what one process did.
    fn read(&mut self, trace: &str) {
        let mut unfinished: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
        let first = self.record.lines;
        for (number, line) in (first..).zip(trace.lines()) {
            self.record.lines = number + 1;
            let (process, call) = line.split_once(' ').unwrap();
            let call = call.trim_start();
            if let Some(begun) = call.strip_suffix(" <unfinished ...>") {
                unfinished.insert(process, (number, begun));
                continue;
            }
            let (begin, text) = match call.strip_prefix("<... ") {
                Some(_) => unfinished.remove(process).unwrap(),
                None => (number, call),
            };
            let result = call.rsplit_once(" = ").map_or("-1", |(_, result)| result);
            if result.starts_with('-') {
                continue;
            }
            if let Some(what) = self.what(text) {
                self.record.deeds.push(Deed { begin, end: number, what });
            }
        }
        self.record.log = self.names["database/db"];
        self.record.witness = self.names["witness"];
        self.record.deeds.sort_by_key(|deed| deed.begin);
    }

    /// The call as a deed, if it is about the data directory or a promise.
    fn what(&mut self, call: &str) -> Option<What> {
        let (name, arguments) = call.split_once('(')?;
        let texts: Vec<Vec<u8>> =
            arguments.split(['"', '<', '>']).filter(|text| text.starts_with("\\x")).map(unhex).collect();
        let path = |at: usize| -> Option<String> {
            let text = String::from_utf8(texts.get(at)?.clone()).ok()?;
            if format!("{text}/") == self.prefix {
                return Some(String::new());
            }
            Some(text.strip_prefix(&self.prefix)?.to_owned())
        };
        let last_number =
            || arguments.trim_end_matches(')').split(')').next()?.rsplit(", ").next()?.parse().ok();
        match name {
            "mkdir" => Some(What::Directory(path(0)?)),
            "unlink" => {
                self.names.remove(&path(0)?);
                Some(What::Unlink(path(0)?))
            }
            "rename" => {
                let file = self.names.remove(&path(0)?)?;
                let (from, to) = (path(0)?, path(1)?);
                self.names.insert(to.clone(), file);
                Some(What::Rename(from, to))
            }
            // The working directory comes first.
            "openat" if arguments.contains("O_CREAT") => {
                let path = path(texts.len().checked_sub(if call.contains(" = ") { 2 } else { 1 })?)?;
                self.positions.insert(path.clone(), 0);
                if self.names.contains_key(&path) {
                    return None;
                }
                self.files += 1;
                self.names.insert(path.clone(), self.files);
                Some(What::Create(path, self.files))
            }
            "write" if texts.last()?.starts_with(b"ack ") => {
                Some(What::Promise(String::from_utf8(texts.last()?.clone()).ok()?))
            }
            "write" => {
                let path = path(0)?;
                let file = *self.names.get(&path)?;
                let at = self.positions.entry(path).or_default();
                let bytes = texts.get(1)?.clone();
                let deed = What::Write { file, at: *at, bytes: bytes.clone() };
                *at += bytes.len();
                Some(deed)
            }
            "pwrite64" => Some(What::Write {
                file: *self.names.get(&path(0)?)?,
                at: last_number()?,
                bytes: texts.get(1)?.clone(),
            }),
            "ftruncate" => Some(What::Truncate(*self.names.get(&path(0)?)?, last_number()?)),
            "fsync" | "fdatasync" => {
                let path = path(0)?;
                let file = self.names.get(&path).copied();
                Some(file.map_or(What::SyncDirectory(path), What::Sync))
            }
            _ => None,
        }
    }
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.split("\\x").skip(1);
    digits.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

impl Record {
    /// Whether a sync of the file lies between the deed and the line `until`.
    fn is_synced(&self, file: usize, deed: &Deed, until: usize) -> bool {
        self.deeds.iter().any(|sync| {
            matches!(sync.what, What::Sync(synced) if synced == file)
                && deed.end < sync.begin
                && sync.end < until
        })
    }

    fn writes_to(&self, wanted: usize) -> impl Iterator<Item = &Deed> {
        self.deeds.iter().filter(move |deed| match &deed.what {
            What::Write { file, .. } | What::Truncate(file, _) => *file == wanted,
            _ => false,
        })
    }

    /// Writes to one file that began before a line and are not synced by then.
    fn unsynced(&self, file: usize, line: usize) -> usize {
        self.writes_to(file)
            .take_while(|write| write.begin < line)
            .filter(|write| !self.is_synced(file, write, line))
            .count()
    }

    /// The directory as a disk may show it when the power fails before `line`: everything synced is
    /// there; of the rest, names survive up to some moment, and pages as it happens.
    fn cut(&self, line: usize, dice: &mut Dice, to: &Path) {
        let past: Vec<&Deed> = self.deeds.iter().filter(|deed| deed.begin < line).collect();
        let is_name = |deed: &Deed| {
            use What::{Create, Directory, Rename, Unlink};
            matches!(deed.what, Create(..) | Directory(_) | Rename(..) | Unlink(_))
        };
        let named: Vec<&Deed> = past.iter().copied().filter(|deed| is_name(deed)).collect();
        let safe = named.iter().rposition(|deed| self.name_is_synced(deed, line));
        let safe = safe.map_or(0, |last| last + 1);
        let kept = safe + dice.below((named.len() - safe) as u64 + 1) as usize;
        let mut names: BTreeMap<&str, usize> = BTreeMap::new();
        for deed in &named[..kept] {
            match &deed.what {
                What::Directory(path) => fs::create_dir(to.join(path)).unwrap(),
                What::Create(path, file) => drop(names.insert(path, *file)),
                What::Rename(from, target) => {
                    let file = names.remove(&**from).unwrap();
                    names.insert(target, file);
                }
                What::Unlink(path) => drop(names.remove(&**path)),
                _ => {}
            }
        }
        // All, half or few of the pages make it.
        let luck = [100, 50, 10, 0][dice.below(4) as usize];
        for (path, file) in names {
            let mut content = Vec::new();
            for deed in self.writes_to(file).take_while(|deed| deed.begin < line) {
                let safe = self.is_synced(file, deed, line);
                let mut keeps = || safe || dice.below(100) < luck;
                match &deed.what {
                    What::Truncate(_, length) if keeps() => content.resize(*length, 0),
                    What::Write { at, bytes, .. } => keep_pages(&mut content, *at, bytes, keeps),
                    _ => {}
                }
            }
            fs::write(to.join(path), content).unwrap();
        }
    }

    fn name_is_synced(&self, deed: &Deed, until: usize) -> bool {
        let (What::Create(path, _) | What::Directory(path) | What::Rename(_, path) | What::Unlink(path)) =
            &deed.what
        else {
            return false;
        };
        let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
        self.deeds.iter().any(|sync| {
            matches!(&sync.what, What::SyncDirectory(synced) if synced == parent)
                && deed.end < sync.begin
                && sync.end < until
        })
    }
}

/// Writes those pages that are kept; a page is the least that a disk writes at once.
fn keep_pages(content: &mut Vec<u8>, at: usize, bytes: &[u8], mut keeps: impl FnMut() -> bool) {
    let mut from = at;
    while from < at + bytes.len() {
        let to = ((from / PAGE + 1) * PAGE).min(at + bytes.len());
        if keeps() {
            content.resize(content.len().max(to), 0);
            content[from..to].copy_from_slice(&bytes[from - at..to - at]);
        }
        from = to;
    }
}

#[test]
fn nothing_is_promised_or_witnessed_before_the_log_is_synced() {
    let Some(record) = record() else { return };
    let (mut promises, mut sealed) = (0, 0);
    for deed in &record.deeds {
        match &deed.what {
            What::Promise(promise) => {
                promises += 1;
                assert_eq!(record.unsynced(record.log, deed.begin), 0, "{promise}");
                assert_eq!(record.unsynced(record.witness, deed.begin), 0, "{promise}");
            }
            What::Write { file, .. } if *file == record.witness => {
                sealed += 1;
                assert_eq!(record.unsynced(record.log, deed.begin), 0, "seal {sealed}");
            }
            _ => {}
        }
    }
    assert!(promises > 50 && sealed > 40, "{promises} promises, {sealed} seals");
    let files: BTreeSet<&String> = record
        .deeds
        .iter()
        .filter(|deed| !record.name_is_synced(deed, usize::MAX))
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
        record.cut(line, &mut dice, directory.path());
        let store = Store::open(options(directory.path()));
        let store = store.unwrap_or_else(|error| panic!("cut {cut} at line {line}: {error}"));
        assert_eq!(store.check().unwrap(), Vec::<String>::new());
        assert_jobs_told(&store);
        let past = record.deeds.iter().filter(|deed| deed.end < line);
        for deed in past {
            if let What::Promise(promise) = &deed.what {
                workload::assert_kept(&store, &rounds, promise);
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
