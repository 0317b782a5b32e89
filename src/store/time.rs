//! The time that was known last, kept for the next start: the clock may be wrong just then.
//!
//! Deliberately absent: whether a clock is to be believed, which is for `upkeep` to say.

use std::time::Duration;

use super::Store;
use super::database::Change;
use super::error::Result;
use super::keys::KNOWN_TIME;
use crate::domain::Timestamp;

impl Store {
    /// The time that was kept last. In a database in which none was, that of the last event, even of one that is
    /// gone by age; `None` where nothing has ever happened.
    pub fn known_time(&self) -> Result<Option<Timestamp>> {
        let core = self.core()?;
        let kept = KNOWN_TIME.get(core.database.tree(), &[])?;
        let last_event = core.writer.lock().head.last_event;
        Ok(kept.or_else(|| (last_event != Timestamp::default()).then_some(last_event)))
    }

    /// Keeps this time, unless one is kept that is less than a `step` away.
    pub fn keep_time(&self, now: Timestamp, step: Duration) -> Result<()> {
        let core = self.core()?;
        let kept = KNOWN_TIME.get(core.database.tree(), &[])?;
        if kept.is_some_and(|kept| kept.distance(now) < step) {
            return Ok(());
        }
        let mut change = Change::default();
        KNOWN_TIME.put(&mut change, &[], &now)?;
        core.commit_with_others(change)
    }
}
