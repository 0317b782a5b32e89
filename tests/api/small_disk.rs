//! Small disks in memory, to be filled, or to fail; only root can mount them.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use tempfile::TempDir;

use crate::helpers::{Server, open_store};

/// A disk of its own, unmounted when dropped.
pub struct Disk {
    folder: TempDir,
    log: tempfile::NamedTempFile,
}

impl Disk {
    /// `None` where nothing can be mounted.
    pub fn of_megabytes(size: u32) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let size = format!("size={size}m,mode=755");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "intake-test"]).arg(folder.path()).stderr(Stdio::null());
        if !mount.status().is_ok_and(|status| status.success()) {
            eprintln!("skipped: nobody but root can mount a disk");
            return None;
        }
        Some(Self { folder, log: tempfile::NamedTempFile::new().unwrap() })
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn ballast(&self) -> PathBuf {
        self.folder.path().join("ballast")
    }

    /// Writes until so many bytes are left, about; 0 is to the last byte.
    pub fn fill(&self, left: u64) {
        let mut ballast = File::options().create(true).append(true).open(self.ballast()).unwrap();
        for block in [1 << 20, 4096] {
            let block = vec![1; block];
            while left + block.len() as u64 <= self.free() {
                ballast.write_all(&block).unwrap();
            }
        }
    }

    fn free(&self) -> u64 {
        let disk = rustix::fs::statvfs(self.folder.path()).unwrap();
        disk.f_bavail * disk.f_frsize
    }

    pub fn clear(&self) {
        fs::remove_file(self.ballast()).unwrap();
    }

    pub fn remount(&self, how: &str) {
        let mount =
            Command::new("mount").args(["-o", &format!("remount,{how}")]).arg(self.folder.path()).status();
        assert!(mount.unwrap().success());
    }

    pub fn serve(&self, settings: &[(&str, &str)]) -> Server {
        Server::logging_to(self.log.path(), &self.data(), settings)
    }

    /// What the last server wrote to its log.
    pub fn told(&self) -> String {
        fs::read_to_string(self.log.path()).unwrap()
    }

    pub fn told_times(&self, words: &str) -> usize {
        self.told().matches(words).count()
    }

    pub fn spooled(&self) -> usize {
        fs::read_dir(self.data().join("spool")).unwrap().count()
    }

    /// Checks the database as it is without a server: whole, and with exactly these users.
    #[track_caller]
    pub fn assert_users(&self, wanted: &BTreeSet<String>) {
        let store = open_store(&self.data());
        assert_eq!(store.check().unwrap(), Vec::<String>::new());
        let mut users = Vec::new();
        for connection in store.connections().unwrap() {
            store.scan(&connection, |user| users.push(user.email)).unwrap();
        }
        assert_eq!(users.len(), wanted.len());
        assert!(users.into_iter().collect::<BTreeSet<_>>() == *wanted);
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}", self.told());
        }
        // Lazily: after a panic somebody may still be there.
        drop(Command::new("umount").arg("-l").arg(self.folder.path()).status());
    }
}

/// A disk in a file.
pub struct FileDisk {
    disk: Disk,
    image: tempfile::NamedTempFile,
}

impl FileDisk {
    /// One that can fail: the system takes what is written, and only later learns that the disk does not. `None` where
    /// nothing can be mounted, or made to fail.
    pub fn that_can_fail(megabytes: u32) -> Option<Self> {
        // The file system's own journal would not survive a failure.
        Self::formatted("mkfs.ext4", &["-O", "^has_journal"], megabytes)
    }

    /// One whose file system gives no room beforehand.
    pub fn without_fallocate(megabytes: u32) -> Option<Self> {
        Self::formatted("mkfs.ext2", &["-m", "0"], megabytes)
    }

    fn formatted(program: &str, options: &[&str], megabytes: u32) -> Option<Self> {
        let image = tempfile::NamedTempFile::new().unwrap();
        if rustix::fs::fstatfs(&image).unwrap().f_type != EXT4 {
            eprintln!("skipped: only where temporary files are on ext4 a disk can be made to fail");
            return None;
        }
        image.as_file().set_len(u64::from(megabytes) << 20).unwrap();
        let disk =
            Disk { folder: tempfile::tempdir().unwrap(), log: tempfile::NamedTempFile::new().unwrap() };
        let made = Self { disk, image };
        if !(run(program, options, made.image.path()) && made.mount()) {
            eprintln!("skipped: nobody but root can mount a disk");
            return None;
        }
        Some(made)
    }

    fn mount(&self) -> bool {
        let folder = self.disk.folder.path().to_str().unwrap();
        run("mount", &["-o", "loop,errors=continue", self.image.path().to_str().unwrap()], folder.as_ref())
    }

    /// From now on no write gets to the disk.
    pub fn fail(&self) {
        assert!(run("chattr", &["+i"], self.image.path()));
    }

    pub fn mend(&self) {
        assert!(run("chattr", &["-i"], self.image.path()));
    }

    /// What is not on the disk is gone. Nobody may use it meanwhile.
    pub fn forget_cached(&self) {
        assert!(run("umount", &[], self.disk.folder.path()) && self.mount());
    }
}

/// The kind of file system whose files can be made immutable while they are written to.
const EXT4: rustix::fs::FsWord = 0xef53;

fn run(program: &str, options: &[&str], path: &Path) -> bool {
    let mut command = Command::new(program);
    command.args(options).arg(path).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

impl Deref for FileDisk {
    type Target = Disk;

    fn deref(&self) -> &Disk {
        &self.disk
    }
}

impl Drop for FileDisk {
    fn drop(&mut self) {
        run("chattr", &["-i"], self.image.path());
    }
}
