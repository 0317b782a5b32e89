//! Writing a chunk of rows: who is new, who is changed, who cannot be.
//!
//! Everything one chunk does is a single commit: blocks, failed rows, the job's counters and place,
//! and at the end of the job its outcome. The directory and the job's public status follow the
//! commit, never the other way round.
//!
//! **Who came first.** The second row of a file for one user must fail, even across chunks, crashes
//! and in upserts. The id of a user that the job made tells the row (see [`IdSeries`](crate::domain::IdSeries));
//! a user that the job changed carries a [`Touch`]; and a user name that a row gave to a user who
//! keeps another one is remembered as a *claim* until the job ends.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Core;
use super::block::Block;
use super::database::Change;
use super::directory::{Key, Place, Places, Shards};
use super::error::{Result, StoreError};
use super::keys::{BLOCKS, CLAIMS};
use super::record::{Draft, Keys, Record, Touch};
use crate::domain::{Code, Fault, Job, Ticket, Timestamp, UserId};

/// What became of a row.
pub(super) enum Outcome {
    Inserted,
    Updated,
    Failed(Vec<Fault>),
}

/// The blocks of one connection as they will be after the commit in hand.
pub(super) struct Edit<'a> {
    core: &'a Core,
    connection: u32,
    shards: std::sync::Arc<Shards>,
    /// Blocks read or made so far.
    blocks: BTreeMap<u32, Block>,
    changed: BTreeSet<u32>,
    /// The open block, which takes the next new user.
    tail: u32,
    added: Places,
    removed: Vec<(u64, Place)>,
}

impl<'a> Edit<'a> {
    /// Begins an edit of about this many users; `tail` is the connection's open block.
    pub(super) fn new(core: &'a Core, connection: u32, tail: u32, users: usize) -> Self {
        let mut added = Places::default();
        added.reserve(3 * users);
        Self {
            core,
            connection,
            shards: core.directory.connection(connection),
            blocks: BTreeMap::new(),
            changed: BTreeSet::new(),
            tail,
            added,
            removed: Vec::new(),
        }
    }

    /// The block with this number, read on first use.
    fn block(&mut self, number: u32) -> Result<&mut Block> {
        match self.blocks.entry(number) {
            std::collections::btree_map::Entry::Occupied(entry) => Ok(entry.into_mut()),
            std::collections::btree_map::Entry::Vacant(entry) => {
                Ok(entry.insert(self.core.block(self.connection, number)?.unwrap_or_default()))
            }
        }
    }

    /// The place of the user with this key, as the edit stands.
    fn find(&mut self, key: Key, hash: u64) -> Result<Option<Place>> {
        let mut candidates = self.shards.candidates(hash);
        candidates.extend(self.added.candidates(hash));
        for place in candidates {
            let record = self.block(place.block())?.record(place.slot());
            if let Some(record) = record
                && Keys::decode(record)?.each().any(|held| held == key)
            {
                return Ok(Some(place));
            }
        }
        Ok(None)
    }

    fn record(&mut self, place: Place) -> Result<Vec<u8>> {
        let record = self.block(place.block())?.record(place.slot()).map(<[u8]>::to_vec);
        record.ok_or_else(|| StoreError::Corrupt("a key leads to a deleted user".to_owned()))
    }

    /// Adds a user whose keys nobody else has.
    fn insert(&mut self, draft: &Draft) -> Result<()> {
        let hashes = [Some(draft.email), draft.username, Some(draft.id)];
        self.append(&draft.record, hashes.into_iter().flatten())
    }

    fn append(&mut self, record: &[u8], hashes: impl Iterator<Item = u64>) -> Result<()> {
        let mut tail = self.tail;
        if !self.block(tail)?.has_room_for(record.len()) {
            tail += 1;
        }
        let slot = self.block(tail)?.push(record);
        let place = Place::new(tail, slot)
            .ok_or_else(|| StoreError::Corrupt("the connection has no room for further users".to_owned()))?;
        self.tail = tail;
        self.changed.insert(tail);
        hashes.for_each(|hash| self.added.insert(hash, place));
        Ok(())
    }

    /// Changes a user in its place, or moves it where its block would grow too large.
    fn replace(&mut self, place: Place, record: &[u8]) -> Result<()> {
        self.changed.insert(place.block());
        if self.block(place.block())?.replace(place.slot(), record) {
            return Ok(());
        }
        self.block(place.block())?.delete(place.slot());
        let keys = Keys::decode(record)?;
        let hashes: Vec<u64> = keys.each().map(|key| self.core.hasher.hash(key)).collect();
        self.removed.extend(hashes.iter().map(|hash| (*hash, place)));
        self.append(record, hashes.into_iter())
    }

    /// Adds the changed blocks to `change`.
    pub(super) fn write(&self, change: &mut Change) {
        for number in &self.changed {
            if let Some(block) = self.blocks.get(number) {
                let key = [&self.connection.to_be_bytes()[..], &number.to_be_bytes()];
                BLOCKS.put_bytes(change, &key, block.encode());
            }
        }
    }

    /// Makes the directory follow, after the commit. Returns the new open block.
    pub(super) fn publish(self) -> u32 {
        self.added.iter().for_each(|(hash, place)| self.shards.insert(hash, place));
        self.removed.iter().for_each(|(hash, place)| self.shards.remove(*hash, *place));
        self.tail
    }
}

/// One job's rows meeting the users that are there.
pub(super) struct Rows<'a> {
    edit: Edit<'a>,
    job: &'a Job,
    now: Timestamp,
    /// Unfinished jobs, whose touches must stay.
    unfinished: BTreeSet<Ticket>,
    claims_before: u64,
    claims: HashMap<String, u64>,
}

/// The user a key leads to, and the earlier row of this job that gave that key, if one did.
struct Holder {
    place: Place,
    record: Vec<u8>,
    given_by: Option<u64>,
}

impl<'a> Rows<'a> {
    pub(super) fn new(
        edit: Edit<'a>,
        job: &'a Job,
        claims_before: u64,
        unfinished: BTreeSet<Ticket>,
        now: Timestamp,
    ) -> Self {
        Self { edit, job, now, unfinished, claims_before, claims: HashMap::new() }
    }

    /// Places one row.
    pub(super) fn place(&mut self, row: u64, draft: &Draft) -> Result<Outcome> {
        let keys = Keys::decode(&draft.record)?;
        let by_email = self.holder_of_email(row, keys.email, draft.email)?;
        let mut faults = Vec::new();
        if let Some(holder) = &by_email {
            match holder.given_by {
                Some(first) => faults.push(given_before("email", first)),
                None if !self.job.upsert => faults.push(exists()),
                None => {}
            }
        }
        if let (Some(name), Some(hash)) = (keys.username, draft.username) {
            let fault = self.judge_username(row, name, hash, by_email.as_ref())?;
            faults.extend(fault.filter(|fault| !faults.contains(fault)));
        }
        match by_email {
            _ if !faults.is_empty() => Ok(Outcome::Failed(faults)),
            Some(holder) => self.update(row, &holder, &draft.record),
            None => self.insert(keys.id, draft),
        }
    }

    fn holder_of_email(&mut self, row: u64, email: &str, hash: u64) -> Result<Option<Holder>> {
        let Some(place) = self.edit.find(Key::Email(email), hash)? else {
            return Ok(None);
        };
        let record = self.edit.record(place)?;
        let given_by = self.row_behind(&record, row, |_| true)?;
        Ok(Some(Holder { place, record, given_by }))
    }

    /// The row of this job, before `row`, that made the user or that changed it in a way that counts.
    fn row_behind(&self, record: &[u8], row: u64, counts: impl Fn(&Touch) -> bool) -> Result<Option<u64>> {
        let record = Record::decode(record)?;
        let made = self.job.ids.row_of(record.keys.id, row);
        let touch = record.touches.iter().find(|touch| touch.ticket == self.job.ticket && counts(touch));
        Ok(made.or(touch.map(|touch| touch.row)))
    }

    fn judge_username(
        &mut self,
        row: u64,
        name: &str,
        hash: u64,
        by_email: Option<&Holder>,
    ) -> Result<Option<Fault>> {
        if let Some(first) = self.claimed(name)? {
            return Ok(Some(given_before("username", first)));
        }
        let Some(place) = self.edit.find(Key::Username(name), hash)? else {
            return Ok(None);
        };
        let record = self.edit.record(place)?;
        if let Some(first) = self.row_behind(&record, row, |touch| touch.named)? {
            return Ok(Some(given_before("username", first)));
        }
        Ok(match by_email {
            // An existing user keeps its own name, so the row takes nobody's.
            Some(_) if self.job.upsert => None,
            _ if !self.job.upsert => Some(exists()),
            _ => Some(Fault::of_row(
                Code::ConflictUsername,
                "The username belongs to another user, whose email is not the one given",
            )),
        })
    }

    fn claimed(&self, name: &str) -> Result<Option<u64>> {
        match self.claims.get(name) {
            Some(row) => Ok(Some(*row)),
            None if self.claims_before > 0 => {
                CLAIMS.get(self.edit.core.database.tree(), &[&self.job.ticket.to_be_bytes(), name.as_bytes()])
            }
            None => Ok(None),
        }
    }

    fn insert(&mut self, id: UserId, draft: &Draft) -> Result<Outcome> {
        if self.edit.find(Key::Id(id), draft.id)?.is_some() {
            return Err(StoreError::Corrupt(format!("the new id {id} is in use")));
        }
        self.edit.insert(draft)?;
        Ok(Outcome::Inserted)
    }

    /// Gives an existing user what may be changed by an import: whether its e-mail is verified, and
    /// each metadata object the row has.
    fn update(&mut self, row: u64, holder: &Holder, given: &[u8]) -> Result<Outcome> {
        let mut record = Record::decode(&holder.record)?;
        let given = Record::decode(given)?;
        let named = given.keys.username.is_some() && given.keys.username == record.keys.username;
        if let Some(name) = given.keys.username.filter(|_| !named) {
            self.claims.insert(name.to_owned(), row);
        }
        record.keys.email_verified = given.keys.email_verified;
        record.app_metadata = given.app_metadata.or(record.app_metadata);
        record.user_metadata = given.user_metadata.or(record.user_metadata);
        record.updated_at = self.now.millis();
        record.touches.retain(|touch| self.unfinished.contains(&touch.ticket));
        record.touches.push(Touch { ticket: self.job.ticket, row, named });
        self.edit.replace(holder.place, &record.encode()?)?;
        Ok(Outcome::Updated)
    }

    /// Adds blocks and claims to `change`; returns the edit to publish and the number of claims so far.
    pub(super) fn write(self, change: &mut Change) -> Result<(Edit<'a>, u64)> {
        self.edit.write(change);
        for (name, row) in &self.claims {
            CLAIMS.put(change, &[&self.job.ticket.to_be_bytes(), name.as_bytes()], row)?;
        }
        Ok((self.edit, self.claims_before + self.claims.len() as u64))
    }
}

fn exists() -> Fault {
    Fault::of_row(Code::DuplicatedUser, "The user already exist and upsert parameter is false")
}

fn given_before(key: &str, first: u64) -> Fault {
    let message = format!("A user with this {key} was already provided.");
    Fault { duplicate_of: Some(first), ..Fault::of_row(Code::DuplicatedUser, message) }
}
