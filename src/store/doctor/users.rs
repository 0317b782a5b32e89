//! Users: every block, every record in it, and what both say of the jobs that made them.

use std::collections::{BTreeSet, HashMap};

use super::super::block::Block;
use super::super::directory::Place;
use super::super::keys::BLOCKS;
use super::super::record::Record;
use super::keys::{Present, Seen};
use super::{Ailment, Doctor};
use crate::domain::{Email, Ticket, UserId, UserIdRef, Username};

/// What is known while the blocks go by, those of one connection after those of another.
#[derive(Default)]
struct Walk {
    connection: Option<u32>,
    /// The block that should be next.
    next: u32,
    /// Addresses and user names of this connection.
    names: Vec<Seen>,
    /// The ids of all.
    present: Present,
    /// The first id of each job, in order.
    firsts: Vec<(UserId, Ticket)>,
    /// Users that carry an id which a job made.
    made: HashMap<Ticket, u64>,
    /// Connections that are not there although their users are.
    strays: BTreeSet<u32>,
    users: u64,
}

/// Where a record is.
#[derive(Clone, Copy)]
struct Position<'a> {
    connection: u32,
    /// The name of the connection.
    name: &'a str,
    block: u32,
    slot: u32,
}

impl Doctor<'_> {
    pub(super) fn examine_users(&mut self) {
        let mut walk = Walk { firsts: self.first_ids(), ..Walk::default() };
        self.each(&BLOCKS, "blocks of users", |key, value| self.examine_block(&mut walk, key, value));
        self.examine_shared(&mut walk.names);
        self.examine_ids(&mut walk.present);
        for connection in walk.strays {
            let what = format!("there are users of connection number {connection}, which is not there");
            self.add(Ailment::OrphanedData, what);
        }
        self.shared.note_examined("users", walk.users);
        self.present = walk.present;
        for (ticket, made) in walk.made {
            if let Some(job) = self.jobs.get_mut(&ticket) {
                job.made = made;
            }
        }
    }

    fn examine_block(&self, walk: &mut Walk, key: &[u8], value: &[u8]) {
        let Some((connection, number)) = numbers_in(key) else {
            return self.add(Ailment::ValueDamaged, "a key of a block is no pair of numbers");
        };
        let Some(name) = self.connection(connection).map(|connection| connection.name.as_str()) else {
            if !self.is_garbage(key) {
                walk.strays.insert(connection);
            }
            return;
        };
        if walk.connection != Some(connection) {
            self.examine_shared(&mut walk.names);
            walk.names.clear();
            (walk.connection, walk.next) = (Some(connection), 0);
        }
        for missing in (walk.next..number).take(20) {
            self.add(Ailment::BlockMissing, format!("block {missing} of connection {name} is not there"));
        }
        walk.next = number.saturating_add(1);
        match Block::decode(value) {
            Ok(block) => {
                for (slot, record) in block.records() {
                    walk.users += 1;
                    self.examine_record(walk, Position { connection, name, block: number, slot }, record);
                }
            }
            Err(error) => {
                self.add(Ailment::BlockDamaged, format!("block {number} of connection {name}: {error}"));
            }
        }
    }

    fn examine_record(&self, walk: &mut Walk, at: Position, record: &[u8]) {
        let Position { connection, name, block, slot } = at;
        let what = || format!("the user in slot {slot} of block {block} of connection {name}");
        let record = match Record::decode(record) {
            Ok(record) => record,
            Err(error) => return self.add(Ailment::UserDamaged, format!("{}: {error}", what())),
        };
        let Some(place) = Place::new(block, slot) else {
            let what = format!("{} is beyond the last one there can be", what());
            return self.add(Ailment::BlockDamaged, what);
        };
        walk.present.see(&record.keys, connection, place, &mut walk.names);
        let id = record.keys.id;
        for fault in faults_of(&record) {
            self.add(Ailment::UserInvalid, format!("{id} of connection {name}: {fault}"));
        }
        for touch in &record.touches {
            let (row, ticket) = (touch.row, touch.ticket);
            if self.jobs.get(&ticket).is_some_and(|job| job.done <= row) {
                let what = format!("{id} is changed by row {row} of job number {ticket}, which is not done");
                self.add(Ailment::RowsBeyondCursor, what);
            }
            if self.store.head.next_ticket <= ticket {
                let what = format!("{id} is changed by job number {ticket}, which was not given yet");
                self.add(Ailment::CounterBehind, what);
            }
        }
        self.note_made(walk, id);
    }

    fn first_ids(&self) -> Vec<(UserId, Ticket)> {
        let mut firsts: Vec<_> = self.jobs.iter().map(|(ticket, job)| (job.ids.id(0), *ticket)).collect();
        firsts.sort();
        firsts
    }

    /// Counts a user for the job that made its id, and sees whether that job can have got so far.
    fn note_made(&self, walk: &mut Walk, id: UserIdRef) {
        let UserIdRef::Made(bytes) = id else { return };
        let after = walk.firsts.partition_point(|(first, _)| *first <= UserId::from_bytes(bytes));
        let before = after.checked_sub(1).and_then(|before| walk.firsts.get(before));
        let Some((ticket, job)) = before.and_then(|(_, ticket)| self.jobs.get_key_value(ticket)) else {
            return;
        };
        if let Some(row) = job.ids.row_of(id, job.rows) {
            *walk.made.entry(*ticket).or_default() += 1;
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
