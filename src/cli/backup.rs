//! `intake backup`: a copy of the data directory that is one itself, whether the server runs or not.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use indicatif::{BinaryBytes, HumanCount};
use serde_json::json;

use super::owner::work_for_owner_of;
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
            writeln!(io::stdout(), "{told:#}")?;
        } else {
            let place = self.directory.display();
            writeln!(io::stdout(), "{place}: {}, in {seconds:.1} s", summary(&manifest))?;
            eprintln!("next: intake restore {place}     (into a data directory that is empty or not there)");
        }
        Ok(Exit::Done)
    }

    /// Refuses a place that will not do, before anything is made.
    fn check_place(&self, data: &Path) -> Result<(), Problem> {
        let place = self.directory.display();
        app::check_empty(&self.directory).map_err(|error| error.at(&self.directory))?;
        if real(&self.directory)?.starts_with(real(data)?) {
            return Err(Problem::new(format!(
                "{place} is in the data directory, which a backup is to outlive: name a directory elsewhere"
            )));
        }
        Ok(())
    }
}

/// Where a path leads, whether all of it is there or not.
fn real(path: &Path) -> io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    let there = path.ancestors().find_map(|part| Some((part, part.canonicalize().ok()?)));
    Ok(there.map_or_else(|| path.clone(), |(part, real)| real.join(path.strip_prefix(part).unwrap_or(&path))))
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
