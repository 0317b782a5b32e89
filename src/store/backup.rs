//! Backups: a copy of the data directory that is one itself, made while everybody goes on.
//!
//! The copy is physical. While nobody can write, which is for as long as the database's files take to be copied
//! by the system, what belongs to one moment is taken: the database, the witness, the files of unfinished jobs
//! and of exports (these by a link: nobody changes them). The rest, the syncing and the checksums need no lock.
//!
//! sled writes for readers, too: whoever comes upon a node that has grown too large splits it. Most of that stays
//! in memory until the next flush, but it need not. So the log is looked at before and after it was copied, and
//! copied again if anything was written: a copy is the file as it was when nobody wrote, which is what a process
//! that is killed leaves. Its snapshots are written at start only, and freed ends of the log are cut off before
//! their room is used again.
//!
//! **Invariants:** a backup without its manifest is not whole, and no restore takes it. A failed one leaves
//! nothing.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::MutexGuard;

use super::commit::Core;
use super::database::{self, Change, LAYOUT};
use super::error::{Result, StoreError};
use super::exports::Exports;
use super::keys::TASKS;
use super::manifest::{FileSeal, Manifest, is_backup};
use super::open::{is_locked, unfinished_jobs};
use super::room::check_room;
use super::site::{Site, made_in};
use super::spool::Spool;
use super::{Store, loss, witness};
use crate::domain::{BackupId, Timestamp};
use crate::files::{below, bytes_of, copy_inside, make_folder, sync, sync_folders};

/// The folder for backups that the API was asked for.
const FOLDER: &str = "backups";
/// The end of the name of one that is not whole yet.
const PART: &str = "part";
/// Folders of the data directory that others fill.
const FOLDERS_OF_OTHERS: [&str; 2] = ["mail", loss::FOLDER];
/// The end of the names of keys, which others keep.
const KEY: &str = "pem";
/// How often the log is copied until nobody has written meanwhile.
const ATTEMPTS: usize = 5;
/// Two writes so far apart have different times in every file system.
const TICK: Duration = Duration::from_millis(10);

/// What a backup is of.
struct Moment {
    commit: u64,
    users: u64,
    unfinished_jobs: u64,
}

impl Store {
    /// Makes a backup inside the data directory, for whoever asked to take away; tells where.
    pub fn back_up(&self, id: &BackupId, now: Timestamp) -> Result<(PathBuf, Manifest)> {
        let folder = self.path().join(FOLDER);
        make_folder(&folder)?;
        let (part, whole) = (folder.join(format!("{id}.{PART}")), folder.join(id.as_str()));
        let manifest = self.back_up_to(&part, now)?;
        fs::rename(&part, &whole)?;
        sync(&folder)?;
        Ok((whole, manifest))
    }

    /// Makes a backup in a directory that is empty or not there.
    pub fn back_up_to(&self, to: &Path, now: Timestamp) -> Result<Manifest> {
        let _turn = self.backing_up.try_lock().ok_or(StoreError::BackingUp)?;
        let site = Site::take(to)?;
        let manifest = self.fill(to, now)?;
        site.keep()?;
        Ok(manifest)
    }

    fn fill(&self, to: &Path, now: Timestamp) -> Result<Manifest> {
        self.check_place(to)?;
        let Moment { commit, users, unfinished_jobs } = self.copy_moment(to)?;
        self.copy_rest(to)?;
        let files = seal(to)?;
        let program = env!("CARGO_PKG_VERSION").to_owned();
        let manifest =
            Manifest { format: LAYOUT, program, made_at: now, commit, users, unfinished_jobs, files };
        manifest.write(to)?;
        Ok(manifest)
    }

    /// Refuses a backup that would leave the disk with less than uploads have to leave it.
    fn check_place(&self, to: &Path) -> Result<()> {
        let mut files = below(&database::folder(self.path()))?;
        files.extend(self.rest()?);
        if fs::metadata(to)?.dev() != fs::metadata(self.path())?.dev() {
            for folder in [self.spool.folder(), self.exports.folder()] {
                files.extend(below(folder)?);
            }
        }
        check_room(to, bytes_of(&files), self.options.min_free_disk)
    }

    /// Copies what has to be of one moment. Nobody writes meanwhile.
    fn copy_moment(&self, to: &Path) -> Result<Moment> {
        let core = self.core()?;
        let mut writer = core.writer.lock();
        let begun = Instant::now();
        // A commit of nothing: what readers have left in memory goes to disk, a fault comes up now.
        core.commit(&mut writer, Change::default())?.done();
        copy_database(&database::folder(self.path()), &database::folder(to))?;
        fs::copy(self.path().join(witness::FILE), to.join(witness::FILE))?;
        let unfinished_jobs = self.take_files(&core, to)?;
        let connections = core.connections.read();
        let users = connections.iter().map(|one| core.directory.connection(one.number).users());
        let moment = Moment { commit: writer.head.commit, users: users.sum(), unfinished_jobs };
        drop(connections);
        MutexGuard::unlock_fair(writer);
        tracing::info!("a backup is being made; writers waited for {} ms", begun.elapsed().as_millis());
        Ok(moment)
    }

    /// Takes the files of unfinished jobs, and tells their number; and those of exports that have ended well.
    fn take_files(&self, core: &Core, to: &Path) -> Result<u64> {
        let jobs = unfinished_jobs(&core.database)?;
        let spool = Spool::open(to)?;
        for job in &jobs {
            if !take(&self.spool.path(&job.id), &spool.path(&job.id))? {
                tracing::warn!("the file of job {} is missing, in its backup as well", job.id);
            }
        }
        let exports = Exports::open(to)?;
        for task in TASKS.values(core.database.tree()) {
            let task = task?;
            if let Some(format) = task.file_format() {
                let [from, to] = [&self.exports, &exports].map(|one| one.path(&task.id, format));
                // It may be gone by age, as its task is about to be.
                take(&from, &to)?;
            }
        }
        Ok(jobs.len() as u64)
    }

    /// Copies what others keep in the data directory.
    fn copy_rest(&self, to: &Path) -> Result<()> {
        for file in self.rest()? {
            match copy_inside(&file, self.path(), to) {
                // Whoever keeps it may have removed it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                copied => copied?,
            }
        }
        Ok(())
    }

    fn rest(&self) -> Result<Vec<PathBuf>> {
        let mut rest = Vec::new();
        for folder in FOLDERS_OF_OTHERS.map(|name| self.path().join(name)) {
            if folder.is_dir() {
                rest.extend(below(&folder)?);
            }
        }
        for entry in fs::read_dir(self.path())? {
            let path = entry?.path();
            if path.extension().is_some_and(|ending| ending == KEY) && path.is_file() {
                rest.push(path);
            }
        }
        Ok(rest)
    }
}

/// Copies the database's files, which is certain to be right if nobody has written to the log meanwhile.
fn copy_database(from: &Path, to: &Path) -> Result<()> {
    for _ in 0..ATTEMPTS {
        thread::sleep(TICK);
        let before = stamp(&from.join("db"))?;
        for file in below(from)? {
            copy_inside(&file, from, to)?;
        }
        if stamp(&from.join("db"))? == before {
            return Ok(());
        }
    }
    Err(io::Error::other("readers kept changing the database while it was copied: try again").into())
}

/// Changes with every write.
fn stamp(file: &Path) -> io::Result<(u64, i64, i64)> {
    let file = fs::metadata(file)?;
    Ok((file.len(), file.mtime(), file.mtime_nsec()))
}

/// Takes a file that nobody changes any more; tells whether it was there.
fn take(from: &Path, to: &Path) -> io::Result<bool> {
    match fs::hard_link(from, to).or_else(|_| fs::copy(from, to).map(drop)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        taken => taken.map(|()| true),
    }
}

/// Makes all files below durable; tells what they are.
fn seal(directory: &Path) -> Result<Vec<FileSeal>> {
    let mut seals = Vec::new();
    let files = made_in(directory)?;
    for file in &files {
        sync(file)?;
        let inside = file.strip_prefix(directory).map_err(io::Error::other)?;
        let odd = || io::Error::other(format!("the name of {} is not UTF-8", inside.display()));
        seals.push(FileSeal::of(directory, inside.to_str().ok_or_else(odd)?)?);
    }
    sync_folders(&files, directory)?;
    seals.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(seals)
}

/// Makes a backup in a data directory a copy that may be opened, and that the next start removes unless it is open.
pub fn unseal(backup: &Path) -> Result<PathBuf> {
    let part = backup.with_extension(PART);
    fs::rename(backup, &part)?;
    Manifest::remove(&part)?;
    Ok(part)
}

/// Removes backups that are not whole, or not any more; tells the log of those that nobody has taken away.
pub(super) fn sweep(directory: &Path) -> Result<()> {
    let Ok(entries) = fs::read_dir(directory.join(FOLDER)) else {
        return Ok(());
    };
    let mut whole = 0;
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == PART) {
            if !is_locked(&path) {
                fs::remove_dir_all(&path)?;
            }
        } else if is_backup(&path) {
            whole += 1;
        }
    }
    if whole > 0 {
        tracing::warn!("backups that nobody has taken away lie in {FOLDER} of the data directory: {whole}");
    }
    Ok(())
}
