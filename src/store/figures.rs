//! What can be told of the store at a glance: nothing here reads the jobs, the letters or the log, however
//! many there are.

use super::Store;
use super::ahead::NoRoom;
use super::error::{Result, StoreError};
use super::meters::Meters;
use super::room::free_bytes;
use crate::domain::{ConnectionId, Timestamp};

/// Whether calls to the store can succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// They can.
    Ready,
    /// Those that only read can: there is no room to write.
    Full,
    /// The same, as the files were removed: that does not get better.
    Removed,
    /// There was a fault: the database is to be opened anew.
    Faulty,
    /// It is being opened anew, and the directory of users rebuilt.
    Reopening,
}

/// How much of everything there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figures {
    /// The users of each connection.
    pub users: Vec<(ConnectionId, u64)>,
    /// Keys in the directory: each user has two or three.
    pub directory_keys: usize,
    /// Memory of the directory, in bytes.
    pub directory_bytes: usize,
    /// Bytes of the files of unfinished jobs that are still to be worked through.
    pub bytes_to_do: u64,
    /// Letters that wait to be sent.
    pub letters_waiting: usize,
    /// Letters that were given up, and are kept to be seen.
    pub letters_given_up: usize,
    /// When the first was written of those that wait.
    pub oldest_letter: Option<Timestamp>,
    /// The database's files, in bytes.
    pub database_bytes: u64,
}

/// Room on the disk of the data directory, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disk {
    /// What is free for us.
    pub free: u64,
    /// What uploads have to leave free.
    pub reserve: u64,
}

impl Store {
    /// Counters since the start of the process.
    pub fn meters(&self) -> &Meters {
        &self.meters
    }

    /// Whether calls can succeed, and if not, why.
    pub fn condition(&self) -> Condition {
        match self.core.try_read().as_deref() {
            Some(Some(core)) if core.is_poisoned() => Condition::Faulty,
            Some(Some(core)) => match core.make_room() {
                Ok(()) => Condition::Ready,
                Err(StoreError::NoRoom(NoRoom::Removed)) => Condition::Removed,
                Err(_) => Condition::Full,
            },
            Some(None) | None => Condition::Reopening,
        }
    }

    /// How much of everything there is now.
    pub fn figures(&self) -> Result<Figures> {
        let core = self.core()?;
        let (mut users, mut directory_keys, mut directory_bytes) = (Vec::new(), 0, 0);
        for connection in core.connections.read().iter() {
            let shards = core.directory.connection(connection.number);
            users.push((connection.id.clone(), shards.users()));
            let (keys, bytes) = shards.size();
            directory_keys += keys;
            directory_bytes += bytes;
        }
        let bytes_to_do = core.active.lock().bytes_to_do();
        let database_bytes = core.database.size()?;
        let unsent = core.unsent.lock();
        Ok(Figures {
            users,
            directory_keys,
            directory_bytes,
            bytes_to_do,
            letters_waiting: unsent.waiting(),
            letters_given_up: unsent.given_up(),
            oldest_letter: unsent.oldest(),
            database_bytes,
        })
    }

    /// Room on the disk, whatever the state of the database.
    pub fn disk(&self) -> Result<Disk> {
        Ok(Disk { free: free_bytes(self.path())?, reserve: self.options.min_free_disk })
    }
}
