//! `kill -9`, at any moment.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use super::*;

/// The variable that names the data directory to the process that is going to be killed.
const DIRECTORY: &str = "INTAKE_TEST_KILLED";
const ROWS: u64 = 3000;

/// Not a test of its own: the work of the process that is killed. Does nothing in a usual run.
#[test]
fn a_process_that_imports_until_it_is_killed() {
    let Some(path) = std::env::var_os(DIRECTORY) else {
        return;
    };
    let store = Store::open(options(Path::new(&path))).unwrap();
    let mut out = std::io::stdout().lock();
    workload::run(&store, &workload::rounds(ROWS), |job| {
        out.write_all(workload::promise(job).as_bytes()).unwrap();
        out.flush().unwrap();
    });
}

/// A process that runs one test of this very binary, alone.
pub(super) fn rerun(test: &str, variable: &str, directory: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(variable, directory)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command
}

fn spawn(directory: &Path) -> Child {
    let test = "store::tests::kills::a_process_that_imports_until_it_is_killed";
    rerun(test, DIRECTORY, directory).spawn().unwrap()
}

/// Reads what the process tells: its first promise, or all that is left. Only whole lines count.
fn promises(out: &mut impl BufRead, first: bool) -> Vec<String> {
    let (mut promises, mut line) = (Vec::new(), String::new());
    while out.read_line(&mut line).unwrap() > 0 {
        if let Some(at) = line.find("ack ").filter(|_| line.ends_with('\n')) {
            promises.push(line[at..].to_owned());
            if first {
                break;
            }
        }
        line.clear();
    }
    promises
}

#[test]
fn killed_at_random_moments_the_store_ends_as_if_undisturbed() {
    let rounds = workload::rounds(ROWS);
    let begun = Instant::now();
    let wanted = workload::undisturbed(&rounds);
    let usual = begun.elapsed();
    let seed = setting("INTAKE_SEED", 1) as u64;
    let mut dice = Dice(seed);
    let mut directory = tempfile::tempdir().unwrap();
    let (mut kills, mut unheard, mut runs) = (0, 0, 0);
    while kills < setting("INTAKE_KILLS", 24) {
        let mut child = spawn(directory.path());
        let mut out = BufReader::new(child.stdout.take().unwrap());
        // Every third process dies while it opens, or about then; the others while they import.
        let early = dice.below(3) == 0;
        let mut promises = if early { Vec::new() } else { self::promises(&mut out, true) };
        let most = usual.as_micros() as u64 / if early { 3 } else { 4 };
        std::thread::sleep(Duration::from_micros(dice.below(most + 1)));
        child.kill().unwrap();
        let finished = child.wait().unwrap().success();
        kills += usize::from(!finished);
        promises.extend(self::promises(&mut out, false));
        unheard += usize::from(promises.is_empty());
        let store = Store::open(options(directory.path())).unwrap();
        assert_eq!(store.check().unwrap(), Vec::<String>::new(), "seed {seed}");
        assert_jobs_told(&store);
        for promise in &promises {
            workload::assert_kept(&store, &rounds, promise);
        }
        if finished || dice.below(12) == 0 {
            workload::run(&store, &rounds, |_| {});
            assert!(workload::holdings(&store, &rounds) == wanted, "seed {seed}, kill {kills}");
            drop(store);
            runs += 1;
            directory = tempfile::tempdir().unwrap();
        }
    }
    let store = Store::open(options(directory.path())).unwrap();
    workload::run(&store, &rounds, |_| {});
    assert!(workload::holdings(&store, &rounds) == wanted, "seed {seed}");
    println!("{kills} kills, {unheard} before the first promise, {} runs", runs + 1);
}
