//! Removing what is old, and what deletions have left: in small steps, so that nobody has to wait.

use std::ops::RangeInclusive;

use parking_lot::MutexGuard;

use super::Store;
use super::commit::Core;
use super::connections::number_of;
use super::database::Change;
use super::error::Result;
use super::keys::{
    EVENTS, FAILURES, GARBAGE, JOB_TICKETS, JOBS, LETTERS, NEWEST_RESETS, RESETS, STREAM_PROGRESS, STREAMS,
    trailing_u64,
};
use crate::domain::{Fate, Timestamp};

/// Keys removed in one commit.
const STEP: usize = 200;

/// What was there before these moments is old.
#[derive(Debug, Clone, Copy)]
pub struct Ages {
    /// For jobs, by their end.
    pub jobs: Timestamp,
    /// For events.
    pub events: Timestamp,
    /// For events that a log stream still has to send.
    pub unsent_events: Timestamp,
    /// For letters that were given up, by that moment.
    pub letters: Timestamp,
    /// Now: tickets are old when they expire.
    pub tickets: Timestamp,
}

impl Store {
    /// Removes a little of what is old; tells whether there may be more. A call makes one small commit
    /// at most for each kind of thing.
    pub fn sweep(&self, old: &Ages) -> Result<bool> {
        let core = self.core()?;
        let mut more = false;
        for step in [sweep_jobs, sweep_events, sweep_letters, sweep_tickets, sweep_garbage] {
            let mut writer = core.writer.lock();
            let mut change = Change::default();
            more |= step(&core, old, &mut change)?;
            if !change.is_empty() {
                core.commit(&mut writer, change)?.done();
            }
            MutexGuard::unlock_fair(writer);
        }
        Ok(more)
    }
}

/// Jobs go at once, their failed rows become garbage.
fn sweep_jobs(core: &Core, old: &Ages, change: &mut Change) -> Result<bool> {
    let mut removed = 0;
    for job in JOBS.values(core.database.tree()) {
        let job = job?;
        if old.jobs <= job.created_at {
            break; // and so are all that came later
        }
        if job.ended_at().is_some_and(|at| at < old.jobs) {
            let ticket = job.ticket.to_be_bytes();
            JOBS.remove(change, &[&ticket]);
            JOB_TICKETS.remove(change, &[job.id.as_str().as_bytes()]);
            change.discard(FAILURES.below(&[&ticket]));
            removed += 1;
            if removed == STEP {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Events stay while a stream has to send them, but not for ever.
fn sweep_events(core: &Core, old: &Ages, change: &mut Change) -> Result<bool> {
    let tree = core.database.tree();
    let mut unsent = core.told().next_event;
    for stream in STREAMS.values(tree) {
        let progress = STREAM_PROGRESS.get(tree, &[stream?.id.as_str().as_bytes()])?;
        unsent = unsent.min(progress.map_or(0, |progress| progress.next));
    }
    for (removed, entry) in EVENTS.entries(tree).enumerate() {
        let (key, logged) = entry?;
        let limit = if trailing_u64(&key)? < unsent { old.events } else { old.unsent_events };
        if limit <= logged.event.date {
            break;
        }
        change.remove(key.to_vec());
        if removed + 1 == STEP {
            return Ok(true);
        }
    }
    Ok(false)
}

fn sweep_letters(core: &Core, old: &Ages, change: &mut Change) -> Result<bool> {
    for letter in LETTERS.values(core.database.tree()) {
        let letter = letter?;
        if matches!(letter.fate, Fate::GivenUp(at) if at < old.letters) {
            LETTERS.remove(change, &[&letter.number.to_be_bytes()]);
        }
    }
    Ok(false)
}

fn sweep_tickets(core: &Core, old: &Ages, change: &mut Change) -> Result<bool> {
    let tree = core.database.tree();
    let mut removed = 0;
    for entry in RESETS.entries(tree) {
        let (key, ticket) = entry?;
        if old.tickets < ticket.expires_at {
            continue;
        }
        change.remove(key.to_vec());
        if let Some(number) = number_of(core, &ticket.connection) {
            let newest = [&number.to_be_bytes()[..], ticket.user.as_bytes()];
            if NEWEST_RESETS.get(tree, &newest)?.is_some_and(|hash| key.ends_with(&hash)) {
                NEWEST_RESETS.remove(change, &newest);
            }
        }
        removed += 1;
        if removed == STEP {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Removes keys of the oldest range of garbage, and the range itself when it is empty.
fn sweep_garbage(core: &Core, _: &Ages, change: &mut Change) -> Result<bool> {
    let tree = core.database.tree();
    let Some(oldest) = GARBAGE.entries(tree).next() else {
        return Ok(false);
    };
    let (marker, (first, last)) = oldest?;
    let range: RangeInclusive<Vec<u8>> = first..=last;
    let keys = tree.range(range).keys().take(STEP).collect::<sled::Result<Vec<_>>>()?;
    if keys.len() < STEP {
        change.remove(marker.to_vec());
    }
    keys.into_iter().for_each(|key| change.remove(key.to_vec()));
    Ok(true)
}
