//! Writing a chunk of rows: who is new, who is changed, who cannot be.
//!
//! What a chunk does is one change of the database, or a few if it is large, and each of them is whole:
//! blocks, failed rows, the job's counters and place, and at the end of the job its outcome. A few together
//! are synced once. The directory and the job's public status follow, never the other way round.
//!
//! **Who came first.** The second row of a file for one user must fail, even across chunks, crashes
//! and in upserts. The id of a user that the job made tells the row (see [`IdSeries`](crate::domain::IdSeries));
//! a user that the job changed carries a [`Touch`]; and a user name that a row gave to a user who
//! keeps another one is remembered as a *claim* until the job ends.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use parking_lot::MutexGuard;

use super::commit::Core;
use super::connections::number_of;
use super::database::Change;
use super::directory::{Key, Place};
use super::edit::Edit;
use super::error::{Result, StoreError};
use super::jobs::{current, publish_job, put_job};
use super::keys::CLAIMS;
use super::record::{Draft, Keys, Record, Touch};
use super::users::is_elsewhere;
use super::{Store, failures};
use crate::domain::{
    Code, FailedRow, Fault, Job, Owed, Position, Profile, Progress, Stage, Ticket, Timestamp, UserIdRef,
};

/// A change takes no further row above about this many bytes of users and failed rows.
const CHANGE_BYTES: usize = 1 << 20;
/// Rows of a change at most: readers wait while it is applied. Tests are to see commits of several changes.
const CHANGE_ROWS: usize = if cfg!(test) { 16 } else { 4096 };
/// Bytes of a commit's changes, about: well below a segment of the log, with room for what the database adds.
const COMMIT_BYTES: usize = 3 << 20;
/// Rows of a commit at most: all other writers wait for it.
const COMMIT_ROWS: usize = 3 * 4096;

/// What a claim takes besides the name.
const CLAIM_BYTES: usize = 24;

/// A row, judged.
#[derive(Debug)]
pub struct ChunkRow {
    /// Place in the file's array, from 0.
    pub index: u64,
    /// Where to go on after it.
    pub end: Position,
    /// What is to be written, or what is wrong with it.
    pub verdict: std::result::Result<Draft, FailedRow>,
}

/// The words for what happens while a chunk is written; who calls the store has them.
#[derive(Clone, Copy)]
pub struct Words<'a> {
    /// Makes the report of a row (by its place in the chunk) that meets users it cannot be
    /// reconciled with.
    pub failed_row: &'a dyn Fn(usize, Vec<Fault>) -> FailedRow,
    /// Tells of a job that has ended.
    pub ended: &'a dyn Fn(&Job) -> Owed,
}

impl Store {
    /// Writes a chunk of a job's rows, moves the job on, and ends it after the last row.
    ///
    /// That is one commit, unless the chunk is large. What is owed for the end of a job is part of its
    /// last change. A file without rows is ended by an empty chunk.
    pub fn apply(&self, job: &Job, chunk: &[ChunkRow], now: Timestamp, words: Words) -> Result<Arc<Job>> {
        let (mut job, mut written) = self.commit_rows(job, chunk, now, words)?;
        while written < chunk.len() {
            let skipped = written;
            let failed_row = |at: usize, faults| (words.failed_row)(skipped + at, faults);
            let words = Words { failed_row: &failed_row, ..words };
            let (next, more) = self.commit_rows(&job, &chunk[skipped..], now, words)?;
            (job, written) = (next, skipped + more);
        }
        Ok(job)
    }

    /// Commits as many of the rows as one commit takes; tells how many that were.
    fn commit_rows(
        &self,
        job: &Job,
        chunk: &[ChunkRow],
        now: Timestamp,
        words: Words,
    ) -> Result<(Arc<Job>, usize)> {
        let core = self.core()?;
        let mut writer = core.writer.lock();
        let (job, progress) = current(&core, job)?;
        check_follows(chunk, &job, progress)?;
        let connection = connection_number(&core, &job)?;
        let tail = writer.tails.get(&connection).copied().unwrap_or_default();
        let edit = Edit::new(&core, connection, tail, chunk.len().min(COMMIT_ROWS));
        let unfinished = core.active.lock().jobs.keys().copied().collect();
        let mut rows = Rows::new(edit, &job, progress, now, unfinished);
        let (changes, after, written) = rows.changes(chunk, words)?;
        let unpublished = core.commit_all(&mut writer, changes)?;
        writer.tails.insert(connection, rows.edit.publish());
        core.meters.note_rows(&progress.summary, after.summary());
        let job = publish_job(&core, after, unpublished);
        MutexGuard::unlock_fair(writer);
        self.tidy(&core, &job);
        Ok((job, written))
    }
}

/// A chunk that does not begin where the job is, or has a hole, would lose rows or take them twice.
fn check_follows(chunk: &[ChunkRow], job: &Job, progress: Progress) -> Result<()> {
    let next = progress.next.row;
    if (next..).zip(chunk).all(|(index, row)| row.index == index && row.end.row == index + 1) {
        Ok(())
    } else {
        Err(StoreError::Corrupt(format!("a chunk of job {} is not the next one", job.id)))
    }
}

fn connection_number(core: &Core, job: &Job) -> Result<u32> {
    number_of(core, &job.connection).ok_or_else(|| StoreError::ConnectionGone(job.connection_name.clone()))
}

/// One job's rows meeting the users that are there.
struct Rows<'a> {
    edit: Edit<'a>,
    job: &'a Job,
    now: Timestamp,
    /// Unfinished jobs, whose touches must stay.
    unfinished: BTreeSet<Ticket>,
    /// Where the job will be.
    progress: Progress,
    /// Rows that failed since the last change.
    failed: Vec<Cow<'a, FailedRow>>,
    /// Bytes of these, and of claims.
    other_bytes: usize,
    claims: HashMap<String, u64>,
    /// Those of the claims that are in no change yet.
    new_claims: Vec<String>,
}

/// The user a key leads to, and the earlier row of this job that gave that key, if one did.
struct Holder {
    place: Place,
    record: Vec<u8>,
    given_by: Option<u64>,
}

impl<'a> Rows<'a> {
    fn new(
        edit: Edit<'a>,
        job: &'a Job,
        progress: Progress,
        now: Timestamp,
        unfinished: BTreeSet<Ticket>,
    ) -> Self {
        let (failed, claims, new_claims) = (Vec::new(), HashMap::new(), Vec::new());
        Self { edit, job, now, unfinished, progress, failed, other_bytes: 0, claims, new_claims }
    }

    /// The changes of one commit, the job as it is after them, and how many of the rows are in them.
    fn changes(&mut self, chunk: &'a [ChunkRow], words: Words) -> Result<(Vec<Change>, Job, usize)> {
        let (mut changes, mut written, mut bytes) = (Vec::new(), 0, 0);
        loop {
            let rest = &chunk[written..chunk.len().min(written + CHANGE_ROWS)];
            self.edit.look_up(rest);
            for row in rest {
                self.place(row, |faults| (words.failed_row)(written, faults))?;
                written += 1;
                if self.bytes() >= CHANGE_BYTES {
                    break;
                }
            }
            bytes += self.bytes();
            let (mut change, stage) = self.take_change()?;
            let job = Job { stage, attempts: 0, ..self.job.clone() };
            put_job(&mut change, &job)?;
            if job.progress().is_none() {
                change.owe((words.ended)(&job));
            }
            changes.push(change);
            if written == chunk.len() || bytes + CHANGE_BYTES > COMMIT_BYTES || written >= COMMIT_ROWS {
                return Ok((changes, job, written));
            }
        }
    }

    /// Takes the next row; `fail` makes its report if it cannot be reconciled with others.
    fn place(&mut self, row: &'a ChunkRow, fail: impl FnOnce(Vec<Fault>) -> FailedRow) -> Result<()> {
        match &row.verdict {
            Ok(draft) => {
                let faults = self.place_draft(row.index, draft)?;
                if !faults.is_empty() {
                    self.fail(Cow::Owned(fail(faults)));
                }
            }
            Err(failed) => self.fail(Cow::Borrowed(failed)),
        }
        self.progress.summary.total += 1;
        self.progress.next = row.end;
        Ok(())
    }

    fn fail(&mut self, row: Cow<'a, FailedRow>) {
        self.other_bytes += row.bytes();
        self.progress.summary.failed += 1;
        self.progress.summary.faults.add(&row);
        self.failed.push(row);
    }

    /// How much there is to write in the next change, about.
    fn bytes(&self) -> usize {
        self.edit.bytes() + self.other_bytes
    }

    /// Inserts or updates a user; tells what speaks against it, and then does nothing.
    fn place_draft(&mut self, row: u64, draft: &Draft) -> Result<Vec<Fault>> {
        if self.is_unheard_of(draft) {
            self.insert(draft)?;
            return Ok(Vec::new());
        }
        let keys = Keys::decode(&draft.record)?;
        let by_email = self.holder_of_email(row, keys.email, draft.email)?;
        let mut faults = Vec::new();
        if let Some(holder) = &by_email {
            match holder.given_by {
                Some(first) => faults.push(Fault::given_before("email", first)),
                None if !self.job.upsert => faults.push(exists()),
                None => {}
            }
        }
        if let (Some(name), Some(hash)) = (keys.username, draft.username) {
            let fault = self.judge_username(row, name, hash, by_email.as_ref())?;
            faults.extend(fault.filter(|fault| !faults.contains(fault)));
        }
        if by_email.is_none() {
            let fault = self.judge_new_id(row, keys.id, draft)?;
            faults.extend(fault.filter(|fault| !faults.contains(fault)));
        }
        match by_email {
            _ if !faults.is_empty() => {}
            Some(holder) => self.update(row, &holder, &draft.record)?,
            None => self.insert(draft)?,
        }
        Ok(faults)
    }

    /// Whether nobody has, or had in this job, any key of the row: so it is with most.
    fn is_unheard_of(&self, draft: &Draft) -> bool {
        let is_claimed = draft.username.is_some() && (self.progress.claims > 0 || !self.claims.is_empty());
        !(draft.has_given_id || is_claimed || draft.hashes().any(|hash| self.edit.may_know(hash)))
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
            return Ok(Some(Fault::given_before("username", first)));
        }
        let Some(place) = self.edit.find(Key::Username(name), hash)? else {
            return Ok(None);
        };
        let record = self.edit.record(place)?;
        if let Some(first) = self.row_behind(&record, row, |touch| touch.named)? {
            return Ok(Some(Fault::given_before("username", first)));
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
            None if self.progress.claims > 0 => {
                CLAIMS.get(self.edit.core.database.tree(), &[&self.job.ticket.to_be_bytes(), name.as_bytes()])
            }
            None => Ok(None),
        }
    }

    /// Judges the id of a user to be, which the row may have brought along. Existing users keep theirs.
    fn judge_new_id(&mut self, row: u64, id: UserIdRef, draft: &Draft) -> Result<Option<Fault>> {
        let conflict = |whose| Fault::of_row(Code::Conflict, format!("The user_id belongs to {whose}"));
        let Some(place) = self.edit.find(Key::Id(id), draft.id)? else {
            // Ids of a job's own are nobody's.
            let is_taken = draft.has_given_id && is_elsewhere(self.edit.core, self.edit.connection, id)?;
            return Ok(is_taken.then(|| conflict("a user of another connection")));
        };
        let record = self.edit.record(place)?;
        Ok(Some(match self.row_behind(&record, row, |_| true)? {
            Some(first) => Fault::given_before("user_id", first),
            None if !self.job.upsert && draft.has_given_id => exists(),
            None => conflict("another user, whose email is not the one given"),
        }))
    }

    fn insert(&mut self, draft: &Draft) -> Result<()> {
        self.progress.summary.inserted += 1;
        self.edit.insert(draft)
    }

    /// Gives an existing user what may be changed by an import: whether its e-mail is verified, names and
    /// picture, and each metadata object the row has.
    fn update(&mut self, row: u64, holder: &Holder, given: &[u8]) -> Result<()> {
        let mut record = Record::decode(&holder.record)?;
        let given = Record::decode(given)?;
        let named = given.keys.username.is_some() && given.keys.username == record.keys.username;
        if let Some(name) = given.keys.username.filter(|_| !named) {
            self.claims.insert(name.to_owned(), row);
            self.new_claims.push(name.to_owned());
            self.other_bytes += CLAIM_BYTES + name.len();
        }
        record.keys.email_verified = given.keys.email_verified;
        record.profile = updated(record.profile, given.profile);
        record.app_metadata = given.app_metadata.or(record.app_metadata);
        record.user_metadata = given.user_metadata.or(record.user_metadata);
        record.updated_at = self.now;
        record.touches.retain(|touch| self.unfinished.contains(&touch.ticket));
        record.touches.push(Touch { ticket: self.job.ticket, row, named });
        self.progress.summary.updated += 1;
        self.edit.replace(holder.place, &record.encode()?)
    }

    /// What there is to write since the last time, but for the job, and where the job is then.
    fn take_change(&mut self) -> Result<(Change, Stage)> {
        let mut change = Change::default();
        self.edit.write(&mut change)?;
        let ticket = self.job.ticket;
        let failed = std::mem::take(&mut self.failed);
        failures::put(&mut change, ticket, failed.iter().map(AsRef::as_ref))?;
        self.other_bytes = 0;
        for name in self.new_claims.drain(..) {
            CLAIMS.put(&mut change, &[&ticket.to_be_bytes(), name.as_bytes()], &self.claims[&name])?;
            self.progress.claims += 1;
        }
        let Progress { next, summary, .. } = self.progress;
        let has_ended = self.job.rows == Ok(next.row);
        let stage = if has_ended {
            Stage::Completed { summary, at: self.now }
        } else {
            Stage::Pending(self.progress)
        };
        Ok((change, stage))
    }
}

/// The profile of an existing user after a row: it gets the names and the picture, and keeps its phone number.
fn updated<'a>(
    stored: Option<Profile<&'a str>>,
    given: Option<Profile<&'a str>>,
) -> Option<Profile<&'a str>> {
    let Some(given) = given else { return stored };
    let stored = stored.unwrap_or_default();
    let (phone_number, phone_verified) = (stored.phone_number, stored.phone_verified);
    Some(Profile { phone_number, phone_verified, ..given.or(stored) })
}

fn exists() -> Fault {
    Fault::of_row(Code::DuplicatedUser, "The user already exist and upsert parameter is false")
}
