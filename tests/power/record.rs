//! What a process asked of the disk, recorded by strace, and directories as a disk may show them after the
//! power failed at some moment. Used by the tests of the store and by those of the whole server.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// What the process asked of the system, with the lines of the record between which it happened.
#[derive(Debug)]
pub struct Deed {
    pub begin: usize,
    pub end: usize,
    pub what: What,
    /// The line from which on it is synced; none if it never was.
    pub safe_from: usize,
}

/// Paths are relative to the directory that is watched; files are numbers, as they outlive their names.
#[derive(Debug)]
pub enum What {
    Directory(String),
    Create(String, usize),
    Rename(String, String),
    Unlink(String),
    Write {
        file: usize,
        at: usize,
        bytes: Vec<u8>,
    },
    Truncate(usize, usize),
    Sync(usize),
    SyncDirectory(String),
    /// Something that was said to others.
    Told(Vec<u8>),
}

#[derive(Debug, Default)]
pub struct Record {
    pub deeds: Vec<Deed>,
    pub lines: usize,
    names: BTreeMap<String, usize>,
}

/// Which of the writes that were not synced are there after a cut.
#[derive(Debug, Clone, Copy)]
pub struct Luck {
    /// The least that a disk writes at once: a page, or a sector of one.
    pub grain: usize,
    pub kept: Kept,
}

#[derive(Debug, Clone, Copy)]
pub enum Kept {
    /// Each grain with this chance, in percent.
    Some(u64),
    /// Those that began before a line, as if the disk kept their order.
    Before(usize),
    /// Those that began after it, as if the disk turned it around.
    After(usize),
}

impl Luck {
    /// All that is not synced is lost.
    pub const NONE: Self = Self { grain: PAGE, kept: Kept::Some(0) };

    /// As it comes, for a cut at a line.
    pub fn draw(line: usize, mut below: impl FnMut(u64) -> u64) -> Self {
        let grain = if below(2) == 0 { PAGE } else { SECTOR };
        let near = line - usize::try_from(below(40)).unwrap().min(line);
        let kept = match below(6) {
            0 => Kept::Before(near),
            1 => Kept::After(near),
            luck => Kept::Some([100, 50, 10, 0][usize::try_from(luck).unwrap() - 2]),
        };
        Self { grain, kept }
    }

    fn keeps(self, begin: usize, below: &mut impl FnMut(u64) -> u64) -> bool {
        match self.kept {
            Kept::Some(percent) => below(100) < percent,
            Kept::Before(line) => begin < line,
            Kept::After(line) => line <= begin,
        }
    }
}

const PAGE: usize = 4096;
const SECTOR: usize = 512;

/// Has strace write down what a command asks of the disk, and what it tells others; `None` without strace. The
/// process that is started is the command's own.
pub fn recorded(command: &Command, trace: &Path) -> Option<Command> {
    let calls = "trace=openat,write,writev,sendto,pwrite64,fsync,fdatasync,ftruncate,rename,renameat,renameat2,unlink,mkdir";
    let options = ["-y", "-xx", "-s", "100000000", "-e", "signal=none", "-e", calls, "-o", trace.to_str()?];
    under_strace(&options, command)
}

/// The same command under strace with these options; `None` without strace.
pub fn under_strace(options: &[&str], command: &Command) -> Option<Command> {
    if Command::new("strace").arg("-V").stdout(Stdio::null()).status().is_err() {
        eprintln!("skipped: strace is not installed");
        return None;
    }
    let mut strace = Command::new("strace");
    strace
        .args(["-D", "-f"])
        .args(options)
        .arg(command.get_program())
        .args(command.get_args())
        .stdin(Stdio::null());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => strace.env(name, value),
            None => strace.env_remove(name),
        };
    }
    Some(strace)
}

/// The record of a process that has ended, as soon as strace has written all of it; `None` if there is none.
pub fn whole(trace: &Path) -> Option<String> {
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let text = fs::read_to_string(trace).ok()?;
        let main = text.split(' ').next().unwrap_or_default();
        let is_end = |line: &&str| line.starts_with(main) && line.contains("+++ ");
        if !main.is_empty() && text.lines().rev().take(200).any(|line| is_end(&line)) {
            return Some(text);
        }
        assert!(Instant::now() < deadline, "strace does not end");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Reads what strace has written, process by process.
#[derive(Debug)]
pub struct Recorder {
    prefix: String,
    names: BTreeMap<String, usize>,
    positions: BTreeMap<String, usize>,
    files: usize,
    record: Record,
}

impl Recorder {
    /// Of what happens below a directory.
    pub fn of(directory: &Path) -> Self {
        Self {
            prefix: format!("{}/", directory.to_str().unwrap()),
            names: BTreeMap::new(),
            positions: BTreeMap::new(),
            files: 0,
            record: Record::default(),
        }
    }

    pub fn done(self) -> Record {
        let mut record = Record { names: self.names, ..self.record };
        record.find_syncs();
        record
    }

    /// Adds what one process did.
    pub fn read(&mut self, trace: &str) {
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
                self.record.deeds.push(Deed { begin, end: number, what, safe_from: usize::MAX });
            }
        }
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
            // The working directory comes first, and before each of two names.
            "renameat" | "renameat2" => {
                let file = self.names.remove(&path(1)?)?;
                self.names.insert(path(3)?, file);
                Some(What::Rename(path(1)?, path(3)?))
            }
            "openat" if arguments.contains("O_CREAT") => {
                let path = path(texts.len().checked_sub(if call.contains(" = ") { 2 } else { 1 })?)?;
                self.positions.insert(path.clone(), 0);
                if let Some(file) = self.names.get(&path) {
                    return arguments.contains("O_TRUNC").then_some(What::Truncate(*file, 0));
                }
                self.files += 1;
                self.names.insert(path.clone(), self.files);
                Some(What::Create(path, self.files))
            }
            "write" | "writev" | "sendto" if let Some(told) = told(&texts) => Some(What::Told(told)),
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

/// What a call says to others, if it does: a line of a test, or the answer to a request.
fn told(texts: &[Vec<u8>]) -> Option<Vec<u8>> {
    let begins = |text: &Vec<u8>| text.starts_with(b"ack ") || text.starts_with(b"HTTP/1.1 ");
    let first = texts.iter().position(begins)?;
    Some(texts[first..].concat())
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.split("\\x").skip(1);
    digits.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

impl Record {
    /// The file that had this name at the end.
    pub fn file(&self, name: &str) -> usize {
        self.names[name]
    }

    /// Finds the first sync of each file or folder that lies behind what was done to it.
    fn find_syncs(&mut self) {
        let mut syncs: BTreeMap<Target, Vec<(usize, usize)>> = BTreeMap::new();
        for deed in &self.deeds {
            match &deed.what {
                What::Sync(file) => syncs.entry(Target::File(*file)).or_default(),
                What::SyncDirectory(path) => syncs.entry(Target::Folder(path.clone())).or_default(),
                _ => continue,
            }
            .push((deed.begin, deed.end));
        }
        for deed in &mut self.deeds {
            let syncs = deed.what.target().and_then(|target| syncs.get(&target));
            let behind = syncs.into_iter().flatten().filter(|(begin, _)| deed.end < *begin);
            deed.safe_from = behind.map(|(_, end)| end + 1).min().unwrap_or(usize::MAX);
        }
    }

    fn writes_to(&self, wanted: usize) -> impl Iterator<Item = &Deed> {
        self.deeds.iter().filter(move |deed| match &deed.what {
            What::Write { file, .. } | What::Truncate(file, _) => *file == wanted,
            _ => false,
        })
    }

    /// Writes to one file that began before a line and are not synced by then.
    pub fn unsynced(&self, file: usize, line: usize) -> usize {
        self.writes_to(file)
            .take_while(|write| write.begin < line)
            .filter(|write| line < write.safe_from)
            .count()
    }

    /// The directory as a disk may show it when the power fails before `line`: everything synced is
    /// there; of the rest, names survive up to some moment, and pages as it happens.
    pub fn cut(&self, line: usize, luck: Luck, mut below: impl FnMut(u64) -> u64, to: &Path) {
        let past: Vec<&Deed> = self.deeds.iter().filter(|deed| deed.begin < line).collect();
        let is_name = |deed: &Deed| {
            use What::{Create, Directory, Rename, Unlink};
            matches!(deed.what, Create(..) | Directory(_) | Rename(..) | Unlink(_))
        };
        let renamings: Vec<&Deed> = past.iter().copied().filter(|deed| is_name(deed)).collect();
        let safe = renamings.iter().rposition(|deed| deed.safe_from <= line);
        let safe = safe.map_or(0, |last| last + 1);
        let more = if let Kept::Some(0) = luck.kept { 0 } else { below((renamings.len() - safe) as u64 + 1) };
        let kept = safe + usize::try_from(more).unwrap();
        let mut names: BTreeMap<&str, usize> = BTreeMap::new();
        for deed in &renamings[..kept] {
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
        for (path, file) in names {
            let mut content = Vec::new();
            for deed in self.writes_to(file).take_while(|deed| deed.begin < line) {
                let safe = deed.safe_from <= line;
                let mut keeps = || safe || luck.keeps(deed.begin, &mut below);
                match &deed.what {
                    What::Truncate(_, length) if keeps() => content.resize(*length, 0),
                    What::Write { at, bytes, .. } => keep_grains(&mut content, *at, bytes, luck.grain, keeps),
                    _ => {}
                }
            }
            fs::write(to.join(path), content).unwrap();
        }
    }
}

/// What has to be synced for a deed to be safe.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Target {
    File(usize),
    Folder(String),
}

impl What {
    fn target(&self) -> Option<Target> {
        match self {
            Self::Write { file, .. } | Self::Truncate(file, _) => Some(Target::File(*file)),
            Self::Create(path, _) | Self::Directory(path) | Self::Rename(_, path) | Self::Unlink(path) => {
                let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
                Some(Target::Folder(parent.to_owned()))
            }
            _ => None,
        }
    }
}

/// Writes those grains that are kept.
fn keep_grains(
    content: &mut Vec<u8>,
    at: usize,
    bytes: &[u8],
    grain: usize,
    mut keeps: impl FnMut() -> bool,
) {
    let mut from = at;
    while from < at + bytes.len() {
        let to = ((from / grain + 1) * grain).min(at + bytes.len());
        if keeps() {
            content.resize(content.len().max(to), 0);
            content[from..to].copy_from_slice(&bytes[from - at..to - at]);
        }
        from = to;
    }
}
