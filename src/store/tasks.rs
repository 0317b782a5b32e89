//! Tasks: jobs that take no file. Which exports are still to be made is kept in memory, as there may be many
//! tasks that have ended.

use std::collections::BTreeSet;

use super::Store;
use super::commit::Core;
use super::database::Change;
use super::error::{Result, StoreError};
use super::keys::TASKS;
use crate::domain::{JobId, Owed, Task, TaskStage, Timestamp};

/// Exports that are not made yet.
#[derive(Debug, Default)]
pub(super) struct PendingExports {
    /// In the order they were asked for.
    waiting: BTreeSet<(Timestamp, JobId)>,
    /// Exports being accepted right now.
    entering: usize,
}

impl PendingExports {
    /// Those that are to be made, as the disk says.
    pub(super) fn read(tree: &sled::Tree) -> Result<Self> {
        let mut pending = Self::default();
        for task in TASKS.values(tree) {
            pending.note(&task?);
        }
        Ok(pending)
    }

    fn has(&self, id: &JobId) -> bool {
        self.waiting.iter().any(|(_, waiting)| waiting == id)
    }

    fn note(&mut self, task: &Task) {
        let key = (task.created_at, task.id.clone());
        if task.export().is_some() && task.stage == TaskStage::Pending {
            self.waiting.insert(key);
        } else {
            self.waiting.remove(&key);
        }
    }
}

impl Store {
    /// Writes down a task, new or as it is now, and what is owed with it.
    pub fn put_task(&self, task: &Task, owed: Owed) -> Result<()> {
        let core = self.core()?;
        write(&core, task, owed)?;
        core.pending_exports.lock().note(task);
        Ok(())
    }

    /// Writes down an export to be made, unless there are `most` already.
    pub fn accept_export(&self, task: &Task, owed: Owed, most: usize) -> Result<()> {
        TASKS.check_size(task)?;
        let core = self.core()?;
        {
            let mut pending = core.pending_exports.lock();
            if most <= pending.waiting.len() + pending.entering {
                return Err(StoreError::TooManyExports(most));
            }
            pending.entering += 1;
        }
        let written = write(&core, task, owed);
        let mut pending = core.pending_exports.lock();
        pending.entering -= 1;
        if written.is_ok() {
            pending.note(task);
        }
        written
    }

    /// The task with this id. The end of an export shows once it is on disk for good, which memory knows.
    pub fn task(&self, id: &JobId) -> Result<Option<Task>> {
        let core = self.core()?;
        let is_pending = core.pending_exports.lock().has(id);
        let task = TASKS.get(core.database.tree(), &[id.as_str().as_bytes()])?;
        Ok(task.map(|task| if is_pending { Task { stage: TaskStage::Pending, ..task } } else { task }))
    }

    /// The exports that are to be made, in the order they were asked for.
    pub fn pending_exports(&self) -> Result<Vec<JobId>> {
        Ok(self.core()?.pending_exports.lock().waiting.iter().map(|(_, id)| id.clone()).collect())
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

fn write(core: &Core, task: &Task, owed: Owed) -> Result<()> {
    let mut change = Change::default();
    TASKS.put(&mut change, &[task.id.as_str().as_bytes()], task)?;
    change.owe(owed);
    core.commit_with_others(change)?;
    core.meters.note_task(task);
    Ok(())
}
