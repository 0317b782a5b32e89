//! Data directories that are full already: made once, by an import, and copied.

use std::cell::RefCell;
use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::files::UsersFile;
use crate::server::Server;
use crate::table::{note, short};

/// The directory made last, and how many users it has.
#[derive(Default)]
pub(crate) struct Stock(RefCell<Option<(u64, TempDir)>>);

impl Stock {
    /// A directory with so many users, cleanly stopped; what is done to it touches no other.
    pub(crate) fn with(&self, users: u64) -> TempDir {
        let mut made = self.0.borrow_mut();
        if made.as_ref().is_none_or(|(has, _)| *has != users) {
            *made = None;
            *made = Some((users, make(users)));
        }
        let copy = tempfile::tempdir().unwrap();
        copy_all(made.as_ref().unwrap().1.path(), copy.path());
        copy
    }
}

fn make(users: u64) -> TempDir {
    note(format!("making a data directory with {} users", short(users)));
    let directory = tempfile::tempdir().unwrap();
    let server = Server::on(directory.path());
    if users > 0 {
        server.client().insert(&server.connection, &UsersFile::new(0..users));
    }
    server.stop();
    directory
}

fn copy_all(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&to).unwrap();
            fs::set_permissions(&to, entry.metadata().unwrap().permissions()).unwrap();
            copy_all(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), &to).unwrap();
            fs::File::open(&to).unwrap().sync_all().unwrap();
        }
    }
}
