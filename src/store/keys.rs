//! Every key the database holds; no other file makes one.
//!
//! One tree, one-byte families, integers big-endian so that they sort.
//!
//! | family | rest of the key | value |
//! |---|---|---|
//! | `v` | | layout version |
//! | `w` | | [`Head`]: number and CRC of the last change, and the next number of everything |
//! | `c` | connection (u32) | [`Connection`], JSON |
//! | `a` | client id | [`Client`], JSON |
//! | `b` | grant id | [`ClientGrant`], JSON |
//! | `u` | connection (u32), block (u32) | a block of users, see `block` |
//! | `j` | ticket (u64) | [`Job`], with its counters and its place in the file |
//! | `k` | job id | ticket |
//! | `q` | ticket (u64) | nothing: the job is unfinished |
//! | `x` | ticket (u64), first row (u64) | a page of failed rows, see `failures` |
//! | `o` | job id | [`Task`], a job that takes no file, JSON |
//! | `t` | ticket (u64), user name | row that gave a name to a user who keeps another, see `apply` |
//! | `p` | connection (u32), user id, see [`of_user`] | [`Credential`] |
//! | `r` | hash of a ticket | [`UserTicket`], JSON |
//! | `n` | connection (u32), user id, kind, see [`newest_of`] | hash of the user's newest ticket of this kind |
//! | `e` | number (u64) | [`Logged`], an event of the tenant log, JSON |
//! | `l` | number (u64) | [`Posted`], a letter, JSON |
//! | `s` | stream id | [`LogStream`], JSON |
//! | `d` | stream id | [`StreamProgress`], JSON |
//! | `g` | number (u64) | [`Garbage`]: a range of keys that are to be removed, see `sweep` |
//! | `h` | | the time that was known last, see `time` |
//!
//! Values are postcard where there are millions of them, or none has ever to change its shape, and
//! JSON, which lets them gain members, where it says so. Blocks and failed rows have a codec of their
//! own.

use std::marker::PhantomData;
use std::ops::RangeInclusive;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::database::{Change, Garbage, Head};
use super::error::{Result, StoreError};
use crate::domain::{
    Client, ClientGrant, Connection, Credential, Job, LogStream, Logged, Posted, StreamProgress, Task,
    Ticket, TicketHash, TicketKind, Timestamp, UserId, UserIdRef, UserTicket,
};

/// One family of keys; all its values are `V`.
#[derive(Debug)]
pub(super) struct Keyspace<V> {
    prefix: u8,
    codec: Codec,
    value: PhantomData<fn() -> V>,
}

#[derive(Debug, Clone, Copy)]
enum Codec {
    Postcard,
    Json,
}

/// Marks families whose values have a codec of their own.
#[derive(Debug)]
pub(super) struct Bytes;

pub(super) const VERSION: Keyspace<u32> = Keyspace::new(b'v');
pub(super) const HEAD: Keyspace<Head> = Keyspace::new(b'w');
pub(super) const CONNECTIONS: Keyspace<Connection> = Keyspace::json(b'c');
pub(super) const CLIENTS: Keyspace<Client> = Keyspace::json(b'a');
pub(super) const GRANTS: Keyspace<ClientGrant> = Keyspace::json(b'b');
pub(super) const BLOCKS: Keyspace<Bytes> = Keyspace::new(b'u');
pub(super) const JOBS: Keyspace<Job> = Keyspace::new(b'j');
pub(super) const JOB_TICKETS: Keyspace<Ticket> = Keyspace::new(b'k');
pub(super) const QUEUE: Keyspace<()> = Keyspace::new(b'q');
pub(super) const FAILURES: Keyspace<Bytes> = Keyspace::new(b'x');
pub(super) const TASKS: Keyspace<Task> = Keyspace::json(b'o');
pub(super) const CLAIMS: Keyspace<u64> = Keyspace::new(b't');
pub(super) const CREDENTIALS: Keyspace<Credential> = Keyspace::new(b'p');
pub(super) const TICKETS: Keyspace<UserTicket> = Keyspace::json(b'r');
pub(super) const NEWEST_TICKETS: Keyspace<TicketHash> = Keyspace::new(b'n');
pub(super) const EVENTS: Keyspace<Logged> = Keyspace::json(b'e');
pub(super) const LETTERS: Keyspace<Posted> = Keyspace::json(b'l');
pub(super) const STREAMS: Keyspace<LogStream> = Keyspace::json(b's');
pub(super) const STREAM_PROGRESS: Keyspace<StreamProgress> = Keyspace::json(b'd');
pub(super) const GARBAGE: Keyspace<Garbage> = Keyspace::new(b'g');
pub(super) const KNOWN_TIME: Keyspace<Timestamp> = Keyspace::new(b'h');

/// All there are.
pub(super) const FAMILIES: [u8; 21] = [
    VERSION.prefix,
    HEAD.prefix,
    CONNECTIONS.prefix,
    CLIENTS.prefix,
    GRANTS.prefix,
    BLOCKS.prefix,
    JOBS.prefix,
    JOB_TICKETS.prefix,
    QUEUE.prefix,
    FAILURES.prefix,
    TASKS.prefix,
    CLAIMS.prefix,
    CREDENTIALS.prefix,
    TICKETS.prefix,
    NEWEST_TICKETS.prefix,
    EVENTS.prefix,
    LETTERS.prefix,
    STREAMS.prefix,
    STREAM_PROGRESS.prefix,
    GARBAGE.prefix,
    KNOWN_TIME.prefix,
];

impl<V> Keyspace<V> {
    const fn new(prefix: u8) -> Self {
        Self { prefix, codec: Codec::Postcard, value: PhantomData }
    }

    const fn json(prefix: u8) -> Self {
        Self { prefix, codec: Codec::Json, value: PhantomData }
    }

    /// The key whose parts are these.
    pub(super) fn key(&self, parts: &[&[u8]]) -> Vec<u8> {
        let mut key = vec![self.prefix];
        for part in parts {
            key.extend_from_slice(part);
        }
        key
    }

    /// All keys that begin with these parts and go on with up to twelve more bytes.
    pub(super) fn below(&self, parts: &[&[u8]]) -> RangeInclusive<Vec<u8>> {
        let from = self.key(parts);
        let mut to = from.clone();
        to.extend([u8::MAX; 12]);
        from..=to
    }

    pub(super) fn remove(&self, change: &mut Change, parts: &[&[u8]]) {
        change.remove(self.key(parts));
    }
}

/// Most bytes of a value of which a client says how large it is. Sixteen values share a leaf of the tree, and what is
/// larger than a quarter of a segment would be kept in a file outside of the log, which nobody syncs.
const LARGEST: usize = 96 << 10;

impl<V: Serialize + DeserializeOwned> Keyspace<V> {
    pub(super) fn get(&self, tree: &sled::Tree, parts: &[&[u8]]) -> Result<Option<V>> {
        tree.get(self.key(parts))?.map(|value| self.decode(&value)).transpose()
    }

    pub(super) fn put(&self, change: &mut Change, parts: &[&[u8]], value: &V) -> Result<()> {
        change.put(self.key(parts), self.encode(value)?);
        Ok(())
    }

    /// Refuses a value that its owner has made larger than may be kept.
    pub(super) fn check_size(&self, value: &V) -> Result<()> {
        match self.encode(value)?.len() {
            bytes if LARGEST < bytes => Err(StoreError::TooLarge { bytes, most: LARGEST }),
            _ => Ok(()),
        }
    }

    pub(super) fn encode(&self, value: &V) -> Result<Vec<u8>> {
        let bytes = match self.codec {
            Codec::Postcard => postcard::to_allocvec(value).map_err(|error| error.to_string()),
            Codec::Json => serde_json::to_vec(value).map_err(|error| error.to_string()),
        };
        bytes.map_err(|error| {
            StoreError::Corrupt(format!("a value of family {} does not encode: {error}", self.name()))
        })
    }

    /// Every value of the family, in the order of the keys.
    pub(super) fn values(&self, tree: &sled::Tree) -> impl DoubleEndedIterator<Item = Result<V>> {
        tree.scan_prefix([self.prefix]).values().map(|value| self.decode(&value?))
    }

    /// All keys of the family with their values, in order.
    pub(super) fn entries(
        &self,
        tree: &sled::Tree,
    ) -> impl DoubleEndedIterator<Item = Result<(sled::IVec, V)>> {
        tree.scan_prefix([self.prefix]).map(|entry| self.decode_entry(entry))
    }

    /// Some of the family's keys with their values, in order.
    pub(super) fn entries_in(
        &self,
        tree: &sled::Tree,
        keys: RangeInclusive<Vec<u8>>,
    ) -> impl DoubleEndedIterator<Item = Result<(sled::IVec, V)>> {
        tree.range(keys).map(|entry| self.decode_entry(entry))
    }

    /// The numbers below `end` that the family has as keys, in order; no value is decoded for that.
    pub(super) fn numbers_below(
        &self,
        tree: &sled::Tree,
        end: u64,
    ) -> impl DoubleEndedIterator<Item = Result<u64>> {
        let keys = self.key(&[])..self.key(&[&end.to_be_bytes()]);
        tree.range(keys).keys().map(|key| trailing_u64(&key?))
    }

    fn decode_entry(&self, entry: sled::Result<(sled::IVec, sled::IVec)>) -> Result<(sled::IVec, V)> {
        let (key, value) = entry?;
        Ok((key, self.decode(&value)?))
    }

    pub(super) fn decode(&self, value: &[u8]) -> Result<V> {
        let decoded = match self.codec {
            Codec::Postcard => postcard::from_bytes(value).map_err(|error| error.to_string()),
            Codec::Json => serde_json::from_slice(value).map_err(|error| error.to_string()),
        };
        decoded.map_err(|error| {
            StoreError::Corrupt(format!("a value of family {} does not decode: {error}", self.name()))
        })
    }

    fn name(&self) -> char {
        char::from(self.prefix)
    }
}

impl Keyspace<Bytes> {
    pub(super) fn get_bytes(&self, tree: &sled::Tree, parts: &[&[u8]]) -> Result<Option<sled::IVec>> {
        Ok(tree.get(self.key(parts))?)
    }

    pub(super) fn put_bytes(&self, change: &mut Change, parts: &[&[u8]], value: Vec<u8>) {
        change.put(self.key(parts), value);
    }
}

/// The parts of a key that name a user of a connection.
pub(super) fn of_user(connection: u32, id: UserIdRef) -> Vec<u8> {
    let (kind, text): (u8, &[u8]) = match &id {
        UserIdRef::Made(bytes) => (0, bytes),
        UserIdRef::Given(text) => (1, text.as_bytes()),
    };
    [&connection.to_be_bytes()[..], &[kind], text].concat()
}

/// What [`of_user`] was made of: the connection and the user.
pub(super) fn user_of(parts: &[u8]) -> Result<(u32, UserId)> {
    let unreadable = || StoreError::Corrupt("a key names no user".to_owned());
    let (connection, id) = parts.split_first_chunk().ok_or_else(unreadable)?;
    let id = match id.split_first().ok_or_else(unreadable)? {
        (0, bytes) => UserIdRef::Made(bytes.try_into().map_err(|_| unreadable())?),
        (1, text) => UserIdRef::Given(std::str::from_utf8(text).map_err(|_| unreadable())?),
        _ => return Err(unreadable()),
    };
    Ok((u32::from_be_bytes(*connection), id.to_owned()))
}

/// The parts of a key that name a user's tickets of a kind. The kind is one byte at the end, so no two ids meet.
pub(super) fn newest_of(connection: u32, id: UserIdRef, kind: TicketKind) -> Vec<u8> {
    let kind = match kind {
        TicketKind::SetPassword => b'p',
        TicketKind::VerifyEmail => b'v',
    };
    let mut key = of_user(connection, id);
    key.push(kind);
    key
}

/// The last eight bytes of a key, as the number they are.
pub(super) fn trailing_u64(key: &[u8]) -> Result<u64> {
    let bytes = key.last_chunk().ok_or_else(|| StoreError::Corrupt("a key is too short".to_owned()))?;
    Ok(u64::from_be_bytes(*bytes))
}

/// The last four bytes of a key, as the number they are.
pub(super) fn trailing_u32(key: &[u8]) -> Result<u32> {
    let bytes = key.last_chunk().ok_or_else(|| StoreError::Corrupt("a key is too short".to_owned()))?;
    Ok(u32::from_be_bytes(*bytes))
}
