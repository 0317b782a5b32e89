//! The one writer: every change of the store passes here, and readers see it only afterwards.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::{Mutex, MutexGuard, RwLock};

use super::ahead::NoRoom;
use super::bell::Bell;
use super::block::Block;
use super::database::{Change, Database, Head, Numbered};
use super::directory::{Directory, KeyHasher};
use super::error::{Result, StoreError};
use super::keys::{BLOCKS, EVENTS, GARBAGE, LETTERS};
use super::logins::issue_tickets;
use super::meters::Meters;
use super::roll_call::RollCalls;
use super::tasks::PendingExports;
use super::unsent::Unsent;
use crate::domain::{Connection, Fate, Job, JobId, LogId, Logged, Posted, Ticket, Timestamp};

/// Changes that share a commit at most.
const LARGEST_GROUP: usize = 128;
/// No further change joins a commit of this many bytes: it stays well below a segment of the log.
const LARGEST_GROUP_BYTES: usize = 1 << 20;

/// An open database and what is kept in memory of it.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) database: Database,
    pub(super) directory: Directory,
    pub(super) hasher: KeyHasher,
    pub(super) connections: RwLock<Vec<Connection>>,
    pub(super) active: Mutex<Active>,
    /// Those who call the roll of a connection.
    pub(super) roll_calls: RollCalls,
    pub(super) unsent: Mutex<Unsent>,
    pub(super) pending_exports: Mutex<PendingExports>,
    pub(super) next_ticket: AtomicU64,
    /// Events and letters with lower numbers are on disk; others may only seem to be.
    told: Mutex<Told>,
    /// Rings when there is something to tell, or to remove.
    pub(super) bell: Arc<Bell>,
    pub(super) meters: Meters,
    pub(super) writer: Mutex<Writer>,
    waiting: Mutex<Vec<Waiting>>,
    poisoned: AtomicBool,
}

/// What only the holder of the writer's lock may see or change.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) head: Head,
    /// The open block of each connection.
    pub(super) tails: HashMap<u32, u32>,
}

/// The unfinished jobs, for whoever asks often.
#[derive(Debug, Default)]
pub(super) struct Active {
    pub(super) jobs: BTreeMap<Ticket, Arc<Job>>,
    pub(super) tickets: HashMap<JobId, Ticket>,
    /// Jobs being accepted right now.
    pub(super) entering: usize,
    bytes_to_do: u64,
}

impl Active {
    /// The job as it is from now on.
    pub(super) fn put(&mut self, job: Arc<Job>) {
        self.tickets.insert(job.id.clone(), job.ticket);
        self.bytes_to_do += bytes_to_do(&job);
        if let Some(before) = self.jobs.insert(job.ticket, job) {
            self.bytes_to_do -= bytes_to_do(&before);
        }
    }

    pub(super) fn remove(&mut self, job: &Job) {
        self.tickets.remove(&job.id);
        if let Some(before) = self.jobs.remove(&job.ticket) {
            self.bytes_to_do -= bytes_to_do(&before);
        }
    }

    /// Bytes of all files that are still to be worked through.
    pub(super) fn bytes_to_do(&self) -> u64 {
        self.bytes_to_do
    }
}

/// Bytes of a job's file that are still to be worked through.
pub(super) fn bytes_to_do(job: &Job) -> u64 {
    job.bytes - job.progress().map_or(job.bytes, |at| at.next.byte.min(job.bytes))
}

/// What a database that was just opened holds of what is kept in memory as well.
pub(super) struct Kept {
    pub(super) connections: Vec<Connection>,
    pub(super) jobs: Vec<Job>,
    pub(super) letters: Unsent,
    pub(super) exports: PendingExports,
}

/// Where events and letters end that are on disk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told {
    pub(super) next_event: u64,
    pub(super) next_number: u64,
}

impl Told {
    const fn up_to(head: &Head) -> Self {
        Self { next_event: head.next_event, next_number: head.next_number }
    }
}

/// A change that waits to share a commit with others.
#[derive(Debug)]
struct Waiting {
    change: Change,
    outcome: Arc<Mutex<Option<Outcome>>>,
}

/// What became of a change that shared a commit with others.
#[derive(Debug, Clone, Copy)]
enum Outcome {
    Done,
    /// Nothing has happened.
    NoRoom(NoRoom),
    Failed,
}

impl Outcome {
    fn of(commit: &Result<Unpublished>) -> Self {
        match commit {
            Ok(_) => Self::Done,
            Err(StoreError::NoRoom(why)) => Self::NoRoom(*why),
            Err(_) => Self::Failed,
        }
    }
}

/// Between a commit and its publication; dropped before it is done, it makes the store unavailable.
#[must_use]
pub(super) struct Unpublished<'a>(&'a AtomicBool);

impl Unpublished<'_> {
    /// Memory says what the disk says.
    pub(super) fn done(self) {
        std::mem::forget(self);
    }
}

impl Drop for Unpublished<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Core {
    pub(super) fn new(
        database: Database,
        directory: Directory,
        hasher: KeyHasher,
        kept: Kept,
        writer: Writer,
        bell: Arc<Bell>,
        meters: Meters,
    ) -> Self {
        let mut active = Active::default();
        for job in kept.jobs {
            active.put(Arc::new(job));
        }
        Self {
            database,
            directory,
            hasher,
            connections: RwLock::new(kept.connections),
            active: Mutex::new(active),
            roll_calls: RollCalls::default(),
            pending_exports: Mutex::new(kept.exports),
            unsent: Mutex::new(kept.letters),
            next_ticket: AtomicU64::new(writer.head.next_ticket),
            told: Mutex::new(Told::up_to(&writer.head)),
            bell,
            meters,
            writer: Mutex::new(writer),
            waiting: Mutex::default(),
            poisoned: AtomicBool::new(false),
        }
    }

    pub(super) fn is_poisoned(&self) -> bool {
        self.poisoned.load(Ordering::SeqCst)
    }

    /// What may be told to others.
    pub(super) fn told(&self) -> Told {
        *self.told.lock()
    }

    /// A block of users as it is on disk.
    pub(super) fn block(&self, connection: u32, number: u32) -> Result<Option<Block>> {
        let key = [&connection.to_be_bytes()[..], &number.to_be_bytes()];
        BLOCKS.get_bytes(self.database.tree(), &key)?.map(|value| Block::decode(&value)).transpose()
    }

    /// Sees to it that there is room for a commit.
    pub(super) fn make_room(&self) -> Result<()> {
        self.database.make_room()
    }

    /// Makes a change durable. The caller brings memory up to date and then says so. Without room for it nothing
    /// has happened, and the store goes on.
    pub(super) fn commit(&self, writer: &mut MutexGuard<Writer>, change: Change) -> Result<Unpublished<'_>> {
        self.commit_all(writer, vec![change])
    }

    /// The same for changes that need not happen together, but one after the other: they are synced once.
    pub(super) fn commit_all(
        &self,
        writer: &mut MutexGuard<Writer>,
        changes: Vec<Change>,
    ) -> Result<Unpublished<'_>> {
        if self.is_poisoned() {
            return Err(StoreError::Unavailable);
        }
        self.make_room()?;
        let unpublished = Unpublished(&self.poisoned);
        let begun = Instant::now();
        let written = self.write(&mut writer.head, changes);
        self.meters.note_commit(begun.elapsed(), written.is_ok());
        let news = written.inspect_err(|_| self.database.doubt_cached())?;
        if news.is_some {
            let mut unsent = self.unsent.lock();
            for (number, written_at) in news.letters {
                unsent.wait(number, written_at);
            }
            drop(unsent);
            *self.told.lock() = Told::up_to(&writer.head);
            self.bell.ring();
        }
        Ok(unpublished)
    }

    /// A change gets its numbers right before it is applied, so that none is left out should the next one fail.
    fn write(&self, head: &mut Head, changes: Vec<Change>) -> Result<News> {
        let mut news = News::default();
        for mut change in changes {
            head.next_ticket = self.next_ticket.load(Ordering::SeqCst);
            issue_tickets(self, &mut change)?;
            news.add(number(head, &mut change)?);
            self.roll_calls.note(&change.moves);
            self.database.apply(head, change)?;
        }
        self.database.sync(head)?;
        Ok(news)
    }

    /// Makes a change durable together with those of everybody else who waits for the writer.
    pub(super) fn commit_with_others(&self, change: Change) -> Result<()> {
        let outcome = Arc::new(Mutex::new(None));
        self.waiting.lock().push(Waiting { change, outcome: outcome.clone() });
        let mut writer = self.writer.lock();
        loop {
            let done = *outcome.lock();
            match done {
                Some(Outcome::Done) => break,
                Some(Outcome::NoRoom(why)) => return Err(why.into()),
                Some(Outcome::Failed) => return Err(StoreError::Unavailable),
                None => self.commit_group(&mut writer)?,
            }
        }
        MutexGuard::unlock_fair(writer);
        Ok(())
    }

    /// Makes the changes of those who wait longest durable, and tells them.
    fn commit_group(&self, writer: &mut MutexGuard<Writer>) -> Result<()> {
        let mut all = Change::default();
        let mut outcomes = Vec::new();
        let mut waiting = self.waiting.lock();
        let bytes = waiting.iter().scan(0, |before, waiting| {
            let joins = *before < LARGEST_GROUP_BYTES;
            *before += waiting.change.bytes();
            joins.then_some(())
        });
        let most = bytes.take(LARGEST_GROUP).count();
        for Waiting { change, outcome } in waiting.drain(..most) {
            all.append(change);
            outcomes.push(outcome);
        }
        drop(waiting);
        let result = self.commit(writer, all);
        for outcome in outcomes {
            *outcome.lock() = Some(Outcome::of(&result));
        }
        result?.done();
        Ok(())
    }
}

/// What others wait for in a commit.
#[derive(Default)]
struct News {
    is_some: bool,
    /// The letters among it, with the time each was written.
    letters: Vec<(u64, Timestamp)>,
}

impl News {
    fn add(&mut self, other: Self) {
        self.is_some |= other.is_some;
        self.letters.extend(other.letters);
    }
}

/// Gives events, letters and garbage their numbers, in the order of commits.
fn number(head: &mut Head, change: &mut Change) -> Result<News> {
    let Numbered { owed, garbage } = std::mem::take(&mut change.numbered);
    let is_some = !(owed.events.is_empty() && owed.letters.is_empty() && garbage.is_empty());
    let mut letters = Vec::new();
    for event in owed.events {
        // The clock may be set back; ids go on.
        head.last_event = head.last_event.max(event.date);
        let id = LogId { at: head.last_event, number: head.next_event };
        EVENTS.put(change, &[&id.number.to_be_bytes()], &Logged::new(id, event))?;
        head.next_event += 1;
    }
    for letter in owed.letters {
        let number = take_number(head);
        letters.push((number, letter.written_at));
        let fate = Fate::Due(letter.written_at);
        let posted = Posted { number, letter, attempts: 0, last_answer: None, fate };
        LETTERS.put(change, &[&number.to_be_bytes()], &posted)?;
    }
    for range in garbage {
        let number = take_number(head);
        GARBAGE.put(change, &[&number.to_be_bytes()], &range)?;
    }
    Ok(News { is_some, letters })
}

fn take_number(head: &mut Head) -> u64 {
    let number = head.next_number;
    head.next_number += 1;
    number
}
