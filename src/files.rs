//! Files and folders that a power cut leaves as they are promised: there as a whole, or not at all.
//!
//! A name is on disk once the folder that it is in was synced, so that comes last. Whatever is made here is for its
//! owner alone.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Bytes that are copied in one go.
const PIECE: usize = 1 << 20;

/// The folder that a path is in.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes the content of a file durable, or the names in a folder.
pub fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Opens a file, if it is there.
pub fn open_if_there(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        opened => opened.map(Some),
    }
}

/// Removes a file, unless it is gone already.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// The same durably.
pub fn remove_durably(path: &Path) -> io::Result<()> {
    if path.exists() {
        remove(path)?;
        sync(folder_of(path))?;
    }
    Ok(())
}

/// What a file is called until it is whole.
pub fn part_of(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".part");
    path.with_file_name(name)
}

/// Writes a file durably. It is there as a whole or as it was, whatever happens; two at once must not write the same.
pub fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let (folder, part) = (folder_of(path), part_of(path));
    // Of one that was cut short. Never written to: whoever may write to the folder may have put something there.
    remove(&part)?;
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(&part)?;
    let written = file
        .write_all(content)
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&part, path))
        .and_then(|()| sync(folder));
    if written.is_err() {
        // The error tells more than this one would.
        let _ = remove(&part);
    }
    written
}

/// Makes a folder where it is missing, and whatever leads to it, durably.
pub fn make_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = folder_of(path);
    make_folder(parent)?;
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
        made => made?,
    }
    sync(parent)
}

/// Every file in a folder and the folders in it.
pub fn below(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                files.push(entry.path());
            }
        }
    }
    Ok(files)
}

/// What files have together, in bytes. One that has gone has none.
pub fn bytes_of(files: &[PathBuf]) -> u64 {
    files.iter().map(|file| file.metadata().map_or(0, |file| file.len())).sum()
}

/// Makes the names of files durable, and of the folders that lead to them from `top`.
pub fn sync_folders(files: &[PathBuf], top: &Path) -> io::Result<()> {
    let mut folders = BTreeSet::from([top]);
    for file in files {
        folders.extend(file.ancestors().skip(1).take_while(|folder| *folder != top));
    }
    folders.into_iter().try_for_each(sync)
}

/// Copies a file, not durably, by reading and writing: blocks that the copy shared with the file would have to be
/// found anew by whoever writes to that.
pub fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let mut from = File::open(from)?;
    let mut to = File::options().write(true).create(true).truncate(true).mode(0o600).open(to)?;
    let mut piece = vec![0; PIECE];
    loop {
        match from.read(&mut piece)? {
            0 => return Ok(()),
            read => to.write_all(&piece[..read])?,
        }
    }
}

/// The same for a file below `from`, which is copied to its place below `to`.
pub fn copy_inside(file: &Path, from: &Path, to: &Path) -> io::Result<()> {
    let place = to.join(file.strip_prefix(from).map_err(io::Error::other)?);
    DirBuilder::new().recursive(true).mode(0o700).create(folder_of(&place))?;
    copy(file, &place)
}
