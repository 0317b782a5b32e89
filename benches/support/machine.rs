//! What a run costs the machine.

use std::path::Path;
use std::thread;
use std::time::Duration;

/// Waits until what was done before costs nothing any more: what is to be written is on disk, and who has just
/// started has found its rest.
pub(crate) fn settle() {
    rustix::fs::sync();
    thread::sleep(Duration::from_millis(100));
}

/// Bytes of the files in a directory.
pub(crate) fn disk(directory: &Path) -> u64 {
    let entries = std::fs::read_dir(directory).unwrap().map(Result::unwrap);
    entries
        .map(|entry| match entry.metadata().unwrap() {
            metadata if metadata.is_dir() => disk(&entry.path()),
            metadata => metadata.len(),
        })
        .sum()
}

/// Bytes of memory that a process has.
pub(crate) fn resident_of(process: u32) -> u64 {
    status(&process.to_string(), "VmRSS:")
}

/// Bytes of memory that a process had at most.
pub(crate) fn peak_of(process: u32) -> u64 {
    status(&process.to_string(), "VmHWM:")
}

fn status(process: &str, entry: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(entry));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kilobytes.unwrap_or_default() << 10
}
