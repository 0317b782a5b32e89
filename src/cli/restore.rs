//! `intake restore`: a backup becomes the data directory.

use std::io::{self, Write};

use super::backup::{about, summary};
use super::owner::work_for_owner_of;
use super::serve::start_quiet_log;
use super::{Exit, Problem, Restore};
use crate::app;

impl Restore {
    pub(super) fn run(self) -> Result<Exit, Problem> {
        let settings = self.config.load()?;
        start_quiet_log(&settings.log);
        work_for_owner_of(&settings.storage.path);
        let manifest = app::restore(&settings, &self.directory)?;
        let data = &settings.storage.path;
        if self.json {
            writeln!(io::stdout(), "{:#}", about(&manifest, data))?;
            return Ok(Exit::Done);
        }
        writeln!(io::stdout(), "{}: {}", data.display(), summary(&manifest))?;
        eprintln!("  what came after {} is not in it", manifest.made_at);
        eprintln!("  letters and events that were sent since then, and wait in it, are sent again");
        eprintln!("next: intake serve");
        Ok(Exit::Done)
    }
}
