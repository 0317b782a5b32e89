//! Removing what is old, and what deletions have left: in small steps, so that nobody has to wait.
//!
//! What is to go is looked for without the writer's lock. Ended jobs and garbage never come back to life,
//! so they go as they were found; events, letters and tickets are looked at again under the lock.
//!
//! **Invariants**
//! - What is live stays, whatever the clock says: unfinished jobs, letters that are not given up, tickets
//!   that are good.
//! - A job goes before its failed rows do, so whoever reads those can tell that they are whole.
//! - A step that is cut short at any place is done again by the next one.

use super::Store;
use super::commit::Core;
use super::connections::number_of;
use super::database::Change;
use super::error::Result;
use super::keys::{
    CLAIMS, EVENTS, FAILURES, GARBAGE, JOB_TICKETS, JOBS, LETTERS, NEWEST_TICKETS, STREAM_PROGRESS, STREAMS,
    TICKETS, newest_of, trailing_u64,
};
use crate::domain::{Fate, Job, Posted, Timestamp, UserTicket};

/// Keys removed in one commit.
pub(super) const STEP: usize = 200;

/// What was there before these moments is old.
#[derive(Debug, Clone, Copy)]
pub struct Ages {
    /// For jobs, by their end.
    pub jobs: Timestamp,
    /// For events.
    pub events: Timestamp,
    /// For events that a log stream still has to send; not after `events`.
    pub unsent_events: Timestamp,
    /// For letters that were given up, by that moment.
    pub letters: Timestamp,
    /// For jobs that took no file, exports with theirs, by their end.
    pub tasks: Timestamp,
    /// Now: tickets are old when they have expired.
    pub now: Timestamp,
}

/// A sweep in many steps: what is old, and the kinds of things of which there may be more.
#[derive(Debug)]
pub struct Sweep {
    old: Ages,
    left: Vec<Kind>,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Jobs,
    Events,
    Letters,
    Tasks,
    Tickets,
}

impl Sweep {
    /// A sweep that has not begun.
    pub fn of(old: Ages) -> Self {
        Self { old, left: vec![Kind::Jobs, Kind::Events, Kind::Letters, Kind::Tasks, Kind::Tickets] }
    }
}

impl Store {
    /// Removes a little of what is old, or left by deletions; tells whether there may be more. A call
    /// makes one small commit at most for each kind of thing, and looks no more for kinds that are done.
    pub fn sweep(&self, sweep: &mut Sweep) -> Result<bool> {
        let core = self.core()?;
        let mut left = Vec::new();
        for kind in &sweep.left {
            if self.sweep_kind(&core, *kind, &sweep.old)? {
                left.push(*kind);
            }
        }
        sweep.left = left;
        // Jobs that go leave some each time.
        let more = sweep_garbage(&core)?;
        Ok(more || !sweep.left.is_empty())
    }

    fn sweep_kind(&self, core: &Core, kind: Kind, old: &Ages) -> Result<bool> {
        match kind {
            Kind::Jobs => self.sweep_jobs(core, old),
            Kind::Events => sweep_events(core, old),
            Kind::Letters => sweep_letters(core, old),
            Kind::Tasks => self.sweep_tasks(old),
            Kind::Tickets => sweep_tickets(core, old),
        }
    }

    /// Whether a deletion has left something that is still there.
    pub fn has_garbage(&self) -> Result<bool> {
        Ok(GARBAGE.entries(self.core()?.database.tree()).next().transpose()?.is_some())
    }

    /// Removes a little of what deletions have left; tells whether there may be more.
    pub fn sweep_garbage(&self) -> Result<bool> {
        sweep_garbage(&*self.core()?)
    }

    /// Jobs go at once, their failed rows become garbage.
    fn sweep_jobs(&self, core: &Core, old: &Ages) -> Result<bool> {
        let jobs = old_jobs(core, old)?;
        if jobs.is_empty() {
            return Ok(false);
        }
        let mut change = Change::default();
        for job in &jobs {
            let ticket = job.ticket.to_be_bytes();
            JOBS.remove(&mut change, &[&ticket]);
            JOB_TICKETS.remove(&mut change, &[job.id.as_str().as_bytes()]);
            change.discard(FAILURES.below(&[&ticket]));
            change.discard(CLAIMS.below(&[&ticket]));
        }
        core.commit_with_others(change)?;
        // Its end has removed the file, unless a fault came between.
        for job in &jobs {
            self.spool.remove(&job.id);
        }
        Ok(jobs.len() == STEP)
    }

    /// Tasks go before their files, so that no link leads to half of one.
    fn sweep_tasks(&self, old: &Ages) -> Result<bool> {
        let tasks = self.old_tasks(old.tasks, STEP)?;
        if tasks.is_empty() {
            return Ok(false);
        }
        self.drop_tasks(&tasks.iter().map(|task| task.id.clone()).collect::<Vec<_>>())?;
        for task in &tasks {
            if let Some(export) = task.export() {
                self.exports.remove(&task.id, export.format);
            }
        }
        Ok(tasks.len() == STEP)
    }
}

/// Things come in the order of their making, so the first that is too young ends the search. One dated in
/// the future, by a clock that was set right since, tells nothing of those behind it.
fn ends_search(made: Timestamp, limit: Timestamp, now: Timestamp) -> bool {
    limit <= made && made <= now
}

fn old_jobs(core: &Core, old: &Ages) -> Result<Vec<Job>> {
    let mut jobs = Vec::new();
    for job in JOBS.values(core.database.tree()) {
        let job = job?;
        if ends_search(job.created_at, old.jobs, old.now) {
            break;
        }
        if job.ended_at().is_some_and(|at| at < old.jobs) {
            jobs.push(job);
            if jobs.len() == STEP {
                break;
            }
        }
    }
    Ok(jobs)
}

/// Events stay while a stream has to send them, but not for ever.
fn sweep_events(core: &Core, old: &Ages) -> Result<bool> {
    let aged = old_events(core, old)?;
    if aged.is_empty() {
        return Ok(false);
    }
    let mut writer = core.writer.lock();
    let unsent = first_unsent(core)?;
    let mut change = Change::default();
    let mut removed = 0;
    for (number, date) in aged {
        if number < unsent || date < old.unsent_events {
            EVENTS.remove(&mut change, &[&number.to_be_bytes()]);
            removed += 1;
        }
    }
    if removed > 0 {
        core.commit(&mut writer, change)?.done();
    }
    Ok(removed == STEP)
}

/// Numbers and dates of the oldest events that may go if no stream needs them.
fn old_events(core: &Core, old: &Ages) -> Result<Vec<(u64, Timestamp)>> {
    let mut events = Vec::new();
    for entry in EVENTS.entries(core.database.tree()) {
        let (key, logged) = entry?;
        let date = logged.event.date;
        if ends_search(date, old.events, old.now) {
            break;
        }
        if date < old.events {
            events.push((trailing_u64(&key)?, date));
            if events.len() == STEP {
                break;
            }
        }
    }
    Ok(events)
}

/// The first event that some stream has not sent; streams that are stopped count as well.
fn first_unsent(core: &Core) -> Result<u64> {
    let tree = core.database.tree();
    let mut unsent = u64::MAX;
    for stream in STREAMS.values(tree) {
        let progress = STREAM_PROGRESS.get(tree, &[stream?.id.as_str().as_bytes()])?;
        unsent = unsent.min(progress.map_or(0, |progress| progress.next));
    }
    Ok(unsent)
}

fn sweep_letters(core: &Core, old: &Ages) -> Result<bool> {
    let is_old = |letter: &Posted| matches!(letter.fate, Fate::GivenUp(at) if at < old.letters);
    let tree = core.database.tree();
    let mut numbers = Vec::new();
    for letter in LETTERS.values(tree) {
        let letter = letter?;
        if is_old(&letter) {
            numbers.push(letter.number);
            if numbers.len() == STEP {
                break;
            }
        }
    }
    if numbers.is_empty() {
        return Ok(false);
    }
    let mut writer = core.writer.lock();
    let mut change = Change::default();
    let mut gone = Vec::new();
    for number in &numbers {
        // Somebody may have put it forward meanwhile.
        if LETTERS.get(tree, &[&number.to_be_bytes()])?.as_ref().is_some_and(is_old) {
            LETTERS.remove(&mut change, &[&number.to_be_bytes()]);
            gone.push(*number);
        }
    }
    if !gone.is_empty() {
        let unpublished = core.commit(&mut writer, change)?;
        let mut unsent = core.unsent.lock();
        for number in gone {
            unsent.remove(number);
        }
        unpublished.done();
    }
    Ok(numbers.len() == STEP)
}

fn sweep_tickets(core: &Core, old: &Ages) -> Result<bool> {
    let is_old =
        |ticket: &UserTicket| ticket.expires_at <= old.now || number_of(core, &ticket.connection).is_none();
    let tree = core.database.tree();
    let mut keys = Vec::new();
    for entry in TICKETS.entries(tree) {
        let (key, ticket) = entry?;
        if is_old(&ticket) {
            keys.push(key);
            if keys.len() == STEP {
                break;
            }
        }
    }
    if keys.is_empty() {
        return Ok(false);
    }
    let mut writer = core.writer.lock();
    let mut change = Change::default();
    for key in &keys {
        let hash = &key[1..];
        let Some(ticket) = TICKETS.get(tree, &[hash])?.filter(is_old) else {
            continue;
        };
        TICKETS.remove(&mut change, &[hash]);
        if let Some(number) = number_of(core, &ticket.connection) {
            let newest = newest_of(number, ticket.user.as_ref(), ticket.leave.kind());
            if NEWEST_TICKETS.get(tree, &[&newest])?.is_some_and(|newest| newest == *hash) {
                NEWEST_TICKETS.remove(&mut change, &[&newest]);
            }
        }
    }
    if !change.is_empty() {
        core.commit(&mut writer, change)?.done();
    }
    Ok(keys.len() == STEP)
}

/// Removes keys of the oldest ranges of garbage, and each range itself when it is empty.
fn sweep_garbage(core: &Core) -> Result<bool> {
    let tree = core.database.tree();
    let mut change = Change::default();
    let mut left = STEP;
    for entry in GARBAGE.entries(tree) {
        let (marker, (first, last)) = entry?;
        let keys = tree.range(first..=last).keys().take(left).collect::<sled::Result<Vec<_>>>()?;
        let is_all = keys.len() < left;
        left -= keys.len();
        for key in keys {
            change.remove(key.to_vec());
        }
        if is_all {
            change.remove(marker.to_vec());
            left -= 1;
        }
        if left == 0 {
            break;
        }
    }
    if !change.is_empty() {
        core.commit_with_others(change)?;
    }
    Ok(left == 0)
}

/// What tests of other rooms ask for.
#[cfg(test)]
impl Store {
    /// Lets the next commit fail.
    pub(crate) fn break_next_commit(&self) {
        if let Ok(core) = self.core() {
            core.database.faults.arm(super::database::faults::At::Apply);
        }
    }
}
