//! Tasks: jobs that take no file. There are few of them, and they go soon.

use super::Store;
use super::database::Change;
use super::error::Result;
use super::keys::TASKS;
use crate::domain::{JobId, Owed, Task};

impl Store {
    /// Writes down a task, new or as it is now, and what is owed with it.
    pub fn put_task(&self, task: &Task, owed: Owed) -> Result<()> {
        let mut change = Change::default();
        TASKS.put(&mut change, &[task.id.as_str().as_bytes()], task)?;
        change.owe(owed);
        let core = self.core()?;
        core.commit_with_others(change)?;
        core.meters.note_task(task);
        Ok(())
    }

    /// The task with this id.
    pub fn task(&self, id: &JobId) -> Result<Option<Task>> {
        TASKS.get(self.core()?.database.tree(), &[id.as_str().as_bytes()])
    }

    /// All tasks there are, in the order of their making.
    pub fn tasks(&self) -> Result<Vec<Task>> {
        let core = self.core()?;
        let mut tasks = TASKS.values(core.database.tree()).collect::<Result<Vec<_>>>()?;
        tasks.sort_by_key(|task| task.created_at);
        Ok(tasks)
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
