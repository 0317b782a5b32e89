//! Files of users, written row by row and never held in memory.

use std::fs::File;
use std::io::{BufWriter, Seek, Write};
use std::path::Path;

use tempfile::NamedTempFile;

use crate::support::generator;

/// A file of users on disk; removed when dropped.
pub(crate) struct UsersFile {
    file: NamedTempFile,
    /// How many rows it has.
    pub(crate) rows: u64,
    /// How many bytes it has.
    pub(crate) bytes: u64,
}

impl UsersFile {
    /// A file of these rows.
    pub(crate) fn of(rows: impl IntoIterator<Item = String>) -> Self {
        let mut file = NamedTempFile::with_suffix(".json").unwrap();
        let mut writer = BufWriter::with_capacity(1 << 20, file.as_file());
        let mut number = 0;
        for row in rows {
            writer.write_all(if number == 0 { b"[\n" } else { b",\n" }).unwrap();
            writer.write_all(row.as_bytes()).unwrap();
            number += 1;
        }
        writer.write_all(b"\n]\n").unwrap();
        writer.flush().unwrap();
        drop(writer);
        // So that nothing of it is still to be written while something is measured.
        file.as_file().sync_data().unwrap();
        let bytes = file.stream_position().unwrap();
        Self { file, rows: number, bytes }
    }

    /// A file of the users with these numbers.
    pub(crate) fn new(users: std::ops::Range<u64>) -> Self {
        Self::of(users.map(generator::row))
    }

    pub(crate) fn path(&self) -> &Path {
        self.file.path()
    }

    /// The file, to be read from its start.
    pub(crate) fn open(&self) -> File {
        File::open(self.path()).unwrap()
    }
}
