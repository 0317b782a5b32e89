//! Users: every block, every record in it, and that no two of them share a key.

use std::collections::BTreeSet;

use super::super::block::Block;
use super::super::directory::{Key, KeyHasher, Place};
use super::super::keys::BLOCKS;
use super::super::record::{Keys, Record};
use super::{Ailment, Doctor};
use crate::domain::{Email, UserId, UserIdRef, Username};

/// Where a key was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Seen {
    /// Its hash.
    hash: u64,
    /// The number of the connection.
    connection: u32,
    place: Place,
}

/// The ids of all users, by their hashes.
#[derive(Debug)]
pub(super) struct Present {
    hasher: KeyHasher,
    /// Sorted once all are there.
    ids: Vec<Seen>,
}

impl Default for Present {
    fn default() -> Self {
        Self { hasher: KeyHasher::new(u64::MAX), ids: Vec::new() }
    }
}

impl Present {
    /// Whether a connection has a user with this id. Hashes of 64 bits are taken at their word.
    pub(super) fn has(&self, connection: u32, id: UserIdRef) -> bool {
        let hash = self.hasher.hash(Key::Id(id));
        let first = self.ids.partition_point(|seen| seen.hash < hash);
        self.ids[first..]
            .iter()
            .take_while(|seen| seen.hash == hash)
            .any(|seen| seen.connection == connection)
    }
}

/// One connection while its blocks go by.
#[derive(Default)]
struct Walk {
    connection: Option<u32>,
    /// The block that should be next.
    next: u32,
    /// Its addresses and user names.
    keys: Vec<Seen>,
    /// Connections that are not there although their users are.
    strays: BTreeSet<u32>,
    users: u64,
}

impl Doctor<'_> {
    pub(super) fn examine_users(&mut self) {
        let mut walk = Walk::default();
        let mut present = std::mem::take(&mut self.present);
        let mut made = vec![0; self.jobs.len()];
        let series = self.series();
        self.each(&BLOCKS, "blocks of users", |key, value| {
            let Some((connection, number)) = numbers_in(key) else {
                return self.add(Ailment::ValueDamaged, "a key of a block is no pair of numbers");
            };
            if self.connection(connection).is_none() {
                if !self.is_garbage(key) {
                    walk.strays.insert(connection);
                }
                return;
            }
            if walk.connection != Some(connection) {
                self.examine_shared(&mut walk.keys, false);
                (walk.connection, walk.next) = (Some(connection), 0);
            }
            for missing in walk.next..number {
                let what = format!("block {missing} of connection {} is not there", self.name(connection));
                self.add(Ailment::BlockMissing, what);
                if missing - walk.next > 20 {
                    break;
                }
            }
            walk.next = number.saturating_add(1);
            match Block::decode(value) {
                Ok(block) => {
                    for (slot, record) in block.records() {
                        walk.users += 1;
                        self.examine_record(
                            record,
                            (connection, number, slot),
                            &mut walk.keys,
                            &mut present,
                            |id| {
                                self.note_made(id, &series, &mut made);
                            },
                        );
                    }
                }
                Err(error) => {
                    let what = format!("block {number} of connection {}: {error}", self.name(connection));
                    self.add(Ailment::BlockDamaged, what);
                }
            }
        });
        self.examine_shared(&mut walk.keys, false);
        self.examine_shared(&mut present.ids, true);
        for connection in walk.strays {
            let what = format!("there are users of connection number {connection}, which is not there");
            self.add(Ailment::OrphanedData, what);
        }
        self.shared.note_examined("users", walk.users);
        self.present = present;
        for (job, made) in self.jobs.values_mut().zip(made) {
            job.made = made;
        }
    }

    fn name(&self, connection: u32) -> &str {
        self.connection(connection).map_or("?", |connection| &connection.name)
    }

    fn examine_record(
        &self,
        record: &[u8],
        (connection, block, slot): (u32, u32, u32),
        keys: &mut Vec<Seen>,
        present: &mut Present,
        note_made: impl FnOnce(UserIdRef),
    ) {
        let what =
            || format!("the user in slot {slot} of block {block} of connection {}", self.name(connection));
        let record = match Record::decode(record) {
            Ok(record) => record,
            Err(error) => return self.add(Ailment::UserDamaged, format!("{}: {error}", what())),
        };
        let Some(place) = Place::new(block, slot) else {
            return self
                .add(Ailment::BlockDamaged, format!("{} is beyond the last one there can be", what()));
        };
        for key in record.keys.each() {
            let list = if matches!(key, Key::Id(_)) { &mut present.ids } else { &mut *keys };
            list.push(Seen { hash: present.hasher.hash(key), connection, place });
        }
        for fault in faults_of(&record) {
            let what = format!("{} of connection {}: {fault}", record.keys.id, self.name(connection));
            self.add(Ailment::UserInvalid, what);
        }
        for touch in &record.touches {
            if self.jobs.get(&touch.ticket).is_some_and(|job| job.done <= touch.row) {
                let what = format!(
                    "{} is changed by row {} of job number {}, which is not done",
                    record.keys.id, touch.row, touch.ticket
                );
                self.add(Ailment::RowsBeyondCursor, what);
            }
            if self.store.head.next_ticket <= touch.ticket {
                let what = format!(
                    "{} is changed by job number {}, which was not given yet",
                    record.keys.id, touch.ticket
                );
                self.add(Ailment::CounterBehind, what);
            }
        }
        note_made(record.keys.id);
    }

    /// The first ids of all jobs, in order, with the place of each job.
    fn series(&self) -> Vec<(UserId, usize, u64)> {
        let jobs = self.jobs.iter().enumerate();
        let mut series: Vec<_> = jobs.map(|(at, (ticket, job))| (job.ids.id(0), at, *ticket)).collect();
        series.sort();
        series
    }

    /// Counts a user for the job that made its id, and sees whether that job can have got so far.
    fn note_made(&self, id: UserIdRef, series: &[(UserId, usize, u64)], made: &mut [u64]) {
        let UserIdRef::Made(bytes) = id else { return };
        let after = series.partition_point(|(first, ..)| *first <= UserId::from_bytes(bytes));
        let Some((_, at, ticket)) = after.checked_sub(1).and_then(|before| series.get(before)) else {
            return;
        };
        let Some(job) = self.jobs.get(ticket) else { return };
        if let Some(row) = job.ids.row_of(id, job.rows) {
            made[*at] += 1;
            if job.done <= row {
                let what = format!("{id} is of row {row} of job {}, but only {} are done", job.id, job.done);
                self.add(Ailment::RowsBeyondCursor, what);
            }
        }
    }

    pub(super) fn examine_made(&mut self) {
        for job in self.jobs.values().filter(|job| job.summary.inserted < job.made) {
            let what = format!(
                "{} users carry ids of job {}, which counts {}",
                job.made, job.id, job.summary.inserted
            );
            self.add(Ailment::RowsUncounted, what);
        }
    }

    /// That none of these keys is there twice; the list is empty then, unless it is to be kept in order.
    fn examine_shared(&self, seen: &mut Vec<Seen>, is_kept: bool) {
        seen.sort_unstable();
        for pair in seen.chunk_by(|one, other| one.hash == other.hash).filter(|group| group.len() > 1) {
            for (at, one) in pair.iter().enumerate() {
                for other in &pair[..at] {
                    self.shared.tick();
                    self.examine_pair(*other, *one);
                }
            }
        }
        if !is_kept {
            seen.clear();
        }
    }

    fn examine_pair(&self, one: Seen, other: Seen) {
        if (one.connection, one.place) == (other.connection, other.place) {
            return; // two keys of one user
        }
        let (Some(first), Some(second)) = (self.block(one), self.block(other)) else {
            return;
        };
        let records = (first.record(one.place.slot()), second.record(other.place.slot()));
        let (Some(first), Some(second)) = records else { return };
        let (Ok(first), Ok(second)) = (Keys::decode(first), Keys::decode(second)) else {
            return;
        };
        let is_one_connection = one.connection == other.connection;
        let counts = |key: &Key| is_one_connection || matches!(key, Key::Id(_));
        if first.each().filter(counts).any(|key| second.each().any(|held| held == key)) {
            let (here, there) = (self.name(one.connection), self.name(other.connection));
            let what = format!(
                "{} of connection {here} and {} of {there} have a key in common",
                first.id, second.id
            );
            self.add(Ailment::KeyTaken, what);
        }
    }

    fn block(&self, Seen { connection, place, .. }: Seen) -> Option<Block> {
        let key = [&connection.to_be_bytes()[..], &place.block().to_be_bytes()];
        let value = BLOCKS.get_bytes(self.store.tree(), &key).ok()??;
        Block::decode(&value).ok()
    }
}

/// What is wrong with a record that can be read.
fn faults_of(record: &Record) -> Vec<String> {
    let mut faults = Vec::new();
    let keys = &record.keys;
    if Email::parse(keys.email).map_or(true, |email| email.as_str() != keys.email) {
        faults.push("its address is none, or not in lower case".to_owned());
    }
    if keys.username.is_some_and(|name| Username::parse(name).map_or(true, |parsed| parsed.as_str() != name))
    {
        faults.push("its user name is none, or not in lower case".to_owned());
    }
    if UserId::parse_given(&keys.id.to_string()).map_or(true, |id| id != keys.id.to_owned()) {
        faults.push("its id is none".to_owned());
    }
    for (name, text) in [("app_metadata", record.app_metadata), ("user_metadata", record.user_metadata)] {
        let is_object =
            |text: &str| text.starts_with('{') && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
        if text.is_some_and(|text| !is_object(text)) {
            faults.push(format!("its {name} is no JSON object"));
        }
    }
    faults
}

fn numbers_in(key: &[u8]) -> Option<(u32, u32)> {
    let (one, other) = key.get(1..)?.split_at_checked(4)?;
    Some((u32::from_be_bytes(one.try_into().ok()?), u32::from_be_bytes(other.try_into().ok()?)))
}
