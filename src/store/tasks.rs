//! Tasks: jobs that take no file. Which exports are still to be made is kept in memory, as there may be many
//! tasks that have ended.

use std::collections::BTreeSet;

use super::Store;
use super::database::Change;
use super::error::{Result, StoreError};
use super::keys::TASKS;
use crate::domain::{JobId, Owed, Task, TaskStage, Timestamp};

/// Exports to be made, in the order they were asked for.
pub(super) type PendingExports = BTreeSet<(Timestamp, JobId)>;

/// The exports that are to be made, as the disk says.
pub(super) fn pending(tree: &sled::Tree) -> Result<PendingExports> {
    let mut pending = PendingExports::new();
    for task in TASKS.values(tree) {
        note(&mut pending, &task?);
    }
    Ok(pending)
}

fn note(pending: &mut PendingExports, task: &Task) {
    if task.export().is_some() && task.stage == TaskStage::Pending {
        pending.insert(key(task));
    } else {
        pending.remove(&key(task));
    }
}

fn key(task: &Task) -> (Timestamp, JobId) {
    (task.created_at, task.id.clone())
}

impl Store {
    /// Writes down a task, new or as it is now, and what is owed with it.
    pub fn put_task(&self, task: &Task, owed: Owed) -> Result<()> {
        let mut change = Change::default();
        TASKS.put(&mut change, &[task.id.as_str().as_bytes()], task)?;
        change.owe(owed);
        let core = self.core()?;
        core.commit_with_others(change)?;
        note(&mut core.pending_exports.lock(), task);
        core.meters.note_task(task);
        Ok(())
    }

    /// Writes down an export to be made, unless there are `most` already.
    pub fn accept_export(&self, task: &Task, owed: Owed, most: usize) -> Result<()> {
        let core = self.core()?;
        {
            let mut pending = core.pending_exports.lock();
            if most <= pending.len() {
                return Err(StoreError::TooManyExports(most));
            }
            // Its place is taken before it is on disk: others may be on their way at the same time.
            note(&mut pending, task);
        }
        let accepted = self.put_task(task, owed);
        if accepted.is_err() {
            core.pending_exports.lock().remove(&key(task));
        }
        accepted
    }

    /// The task with this id.
    pub fn task(&self, id: &JobId) -> Result<Option<Task>> {
        TASKS.get(self.core()?.database.tree(), &[id.as_str().as_bytes()])
    }

    /// The exports that are to be made, in the order they were asked for.
    pub fn pending_exports(&self) -> Result<Vec<JobId>> {
        Ok(self.core()?.pending_exports.lock().iter().map(|(_, id)| id.clone()).collect())
    }

    /// Some of the tasks that ended before a moment.
    pub(super) fn old_tasks(&self, before: Timestamp, most: usize) -> Result<Vec<Task>> {
        let core = self.core()?;
        let is_old = |task: &Result<Task>| {
            task.as_ref().map_or(true, |task| task.ended_at().is_some_and(|at| at < before))
        };
        TASKS.values(core.database.tree()).filter(is_old).take(most).collect()
    }

    /// Forgets tasks.
    pub fn drop_tasks(&self, tasks: &[JobId]) -> Result<()> {
        let mut change = Change::default();
        for id in tasks {
            TASKS.remove(&mut change, &[id.as_str().as_bytes()]);
        }
        self.core()?.commit_with_others(change)
    }
}
