//! `intake backup`: a copy of the data directory that is one itself, whether the server runs or not.

use std::path::Path;
use std::time::Instant;

use indicatif::{BinaryBytes, HumanCount};
use serde_json::json;

use super::owner::work_for_owner_of;
use super::place::check_outside;
use super::said::{self, notice};
use super::serve::start_quiet_log;
use super::still::Still;
use super::{Backup, Exit, Problem};
use crate::app::{self, Manifest};

impl Backup {
    pub(super) fn run(self) -> Result<Exit, Problem> {
        let settings = self.config.load()?;
        start_quiet_log(&settings.log);
        self.check_place(&settings.storage.path)?;
        let begun = Instant::now();
        work_for_owner_of(&settings.storage.path);
        let still = Still::of(&settings)?;
        let manifest = if still.is_copy() {
            let manifest = Manifest::read(still.path())?;
            app::move_backup(&settings, still.path(), &self.directory)?;
            manifest
        } else {
            app::back_up(&settings, &self.directory)?
        };
        let seconds = begun.elapsed().as_secs_f64();
        if self.json {
            let mut told = about(&manifest, &self.directory);
            told["seconds"] = json!((seconds * 1000.0).round() / 1000.0);
            said::result(format_args!("{told:#}"))?;
        } else {
            let place = self.directory.display();
            said::result(format_args!("{place}: {}, in {seconds:.1} s", summary(&manifest)))?;
            notice(format_args!(
                "next: intake restore {place}     (into a data directory that is empty or not there)"
            ));
        }
        Ok(Exit::Done)
    }

    /// Refuses a place that will not do, before anything is made.
    fn check_place(&self, data: &Path) -> Result<(), Problem> {
        app::check_empty(&self.directory).map_err(|error| error.at(&self.directory))?;
        check_outside(data, &self.directory, "backup")
    }
}

/// What a backup holds, for people.
pub(super) fn summary(manifest: &Manifest) -> String {
    let Manifest { users, unfinished_jobs, commit, made_at, .. } = manifest;
    let jobs = if *unfinished_jobs == 1 { "job" } else { "jobs" };
    format!(
        "{} users, {unfinished_jobs} unfinished {jobs}, {} files with {}, as of {made_at} (commit {commit})",
        HumanCount(*users),
        manifest.files.len(),
        BinaryBytes(manifest.bytes()),
    )
}

/// The same for programs.
pub(super) fn about(manifest: &Manifest, directory: &Path) -> serde_json::Value {
    json!({
        "directory": directory,
        "made_at": manifest.made_at,
        "commit": manifest.commit,
        "users": manifest.users,
        "unfinished_jobs": manifest.unfinished_jobs,
        "files": manifest.files.len(),
        "bytes": manifest.bytes(),
    })
}
