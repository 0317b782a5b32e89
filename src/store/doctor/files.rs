//! The files of a data directory: whose they are, who may read them, and that there is room for more.

use std::fs::{self, Metadata};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::super::Options;
use super::super::database::blobs;
use super::super::manifest::{Manifest, is_backup};
use super::super::room::free_bytes;
use super::super::witness::Witness;
use super::{Ailment, Shared};

/// Folders of the data directory whose files hold users or secrets.
const PRIVATE_FOLDERS: [&str; 2] = ["spool", "exports"];

/// What can be seen before the database is opened.
pub(super) fn examine_directory(options: &Options, shared: &Shared) {
    let directory = &options.path;
    examine_modes(directory, shared);
    if directory.join("database").is_dir() {
        examine_witness(directory, shared);
    }
    if is_backup(directory)
        && let Err(error) = Manifest::read(directory).and_then(|manifest| manifest.verify(directory))
    {
        shared.add(Ailment::BackupDamaged, error.to_string());
    }
    if fs::read_dir(blobs(directory)).is_ok_and(|mut files| files.next().is_some()) {
        let what = "the database keeps values outside its log, where they are not synced";
        shared.add(Ailment::ValuesOutsideLog, what);
    }
    if let Ok(free) = free_bytes(directory)
        && free < options.min_free_disk
    {
        let what = format!("{free} bytes of disk are free, {} are to stay free", options.min_free_disk);
        shared.add(Ailment::DiskNearlyFull, what);
    }
}

fn examine_witness(directory: &Path, shared: &Shared) {
    match Witness::seals(directory) {
        Err(error) => {
            shared.add(Ailment::WitnessMissing, format!("the file \"witness\" cannot be read: {error}"));
        }
        Ok(None) => shared.add(Ailment::WitnessMissing, "there is no file \"witness\" beside the database"),
        Ok(Some(0)) => {
            shared.add(Ailment::WitnessMissing, "the file \"witness\" remembers no commit: it is damaged");
        }
        Ok(Some(_)) => {}
    }
}

fn examine_modes(directory: &Path, shared: &Shared) {
    let Ok(about) = fs::metadata(directory) else {
        return;
    };
    let others = |about: &Metadata| about.permissions().mode() & 0o077;
    if others(&about) != 0 {
        let what = format!("others may look into {} (mode {:o})", directory.display(), mode(&about));
        shared.add(Ailment::FileMode, what);
    }
    for path in files_of(directory) {
        shared.tick();
        let Ok(file) = fs::symlink_metadata(&path) else {
            continue;
        };
        let name = path.strip_prefix(directory).unwrap_or(&path);
        // The file system's.
        if name == Path::new("lost+found") {
            continue;
        }
        let is_private =
            name.parent().is_some_and(|folder| PRIVATE_FOLDERS.iter().any(|one| folder == Path::new(one)))
                || name.extension().is_some_and(|extension| extension == "pem");
        if is_private && file.is_file() && others(&file) != 0 {
            let what = format!("others may read {} (mode {:o})", name.display(), mode(&file));
            shared.add(Ailment::FileMode, what);
        }
        if file.uid() != about.uid() {
            let (whose, ours) = (file.uid(), about.uid());
            let what = format!("{} belongs to user {whose}, the directory to user {ours}", name.display());
            shared.add(Ailment::FileOwner, what);
        }
    }
}

fn mode(about: &Metadata) -> u32 {
    about.permissions().mode() & 0o7777
}

/// Everything in the directory and in its folders.
fn files_of(directory: &Path) -> Vec<PathBuf> {
    let entries = |folder: &Path| {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let mut files = entries(directory);
    let folders: Vec<PathBuf> = files.iter().filter(|path| path.is_dir()).cloned().collect();
    files.extend(folders.iter().flat_map(|folder| entries(folder)));
    files
}
