//! `intake restore`: a backup becomes the data directory.

use super::backup::{about, summary};
use super::owner::work_for_owner_of;
use super::said::{self, notice};
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
            said::result(format_args!("{:#}", about(&manifest, data)))?;
            return Ok(Exit::Done);
        }
        said::result(format_args!("{}: {}", data.display(), summary(&manifest)))?;
        notice(format_args!("  what came after {} is not in it", manifest.made_at));
        notice(format_args!(
            "  letters and events that were sent since then, and wait in it, are sent again"
        ));
        notice(format_args!("next: intake serve"));
        Ok(Exit::Done)
    }
}
