//! `intake load`: a data directory made of a dump.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use serde_json::json;

use super::dump::in_words;
use super::owner::work_for_owner_of;
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
            let file = File::open(&self.file)
                .map_err(|error| Problem::new(format!("{} cannot be read: {error}", self.file.display())))?;
            app::load(&settings, file)?
        };
        let directory = &settings.storage.path;
        if self.json {
            writeln!(io::stdout(), "{}", json!({ "directory": directory, "counts": counts }))?;
        } else {
            writeln!(io::stdout(), "{}: {}", directory.display(), in_words(&counts))?;
        }
        Ok(Exit::Done)
    }
}
