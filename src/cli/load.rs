//! `intake load`: a data directory made of a dump.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde_json::json;

use super::dump::in_words;
use super::owner::work_for_owner_of;
use super::said;
use super::serve::start_quiet_log;
use super::{Exit, Load, Problem};
use crate::app;

impl Load {
    pub(super) fn run(self) -> Result<Exit, Problem> {
        let settings = self.config.load()?;
        start_quiet_log(&settings.log);
        work_for_owner_of(&settings.storage.path);
        let counts = if self.file == Path::new("-") {
            app::load(&settings, io::stdin().lock())?
        } else {
            let file = File::open(&self.file).map_err(unreadable(&self.file))?;
            app::load(&settings, Named { file, path: &self.file })?
        };
        let directory = &settings.storage.path;
        if self.json {
            said::result(json!({ "directory": directory, "counts": counts }))?;
        } else {
            said::result(format_args!("{}: {}", directory.display(), in_words(&counts)))?;
        }
        Ok(Exit::Done)
    }
}

/// A file that is named when it cannot be read: a folder can be opened, for one.
struct Named<'a> {
    file: File,
    path: &'a Path,
}

impl Read for Named<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.file.read(bytes).map_err(unreadable(self.path))
    }
}

fn unreadable(path: &Path) -> impl Fn(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{} cannot be read: {error}", path.display()))
}
