//! Log streams, and how far each is in the tenant log.

use super::Store;
use super::database::Change;
use super::error::{Result, StoreError};
use super::keys::{STREAM_PROGRESS, STREAMS};
use crate::domain::{LogStream, Owed, StreamId, StreamProgress, StreamStatus};

impl Store {
    /// All log streams, by id.
    pub fn streams(&self) -> Result<Vec<LogStream>> {
        STREAMS.values(self.core()?.database.tree()).collect()
    }

    /// The log stream with this id.
    pub fn stream(&self, id: &StreamId) -> Result<Option<LogStream>> {
        STREAMS.get(self.core()?.database.tree(), &[id.as_str().as_bytes()])
    }

    /// How far a log stream is.
    pub fn stream_progress(&self, id: &StreamId) -> Result<Option<StreamProgress>> {
        STREAM_PROGRESS.get(self.core()?.database.tree(), &[id.as_str().as_bytes()])
    }

    /// Adds a log stream unless there are `most` already. It begins at event `next`, or with the
    /// events that follow this call.
    pub fn create_stream(
        &self,
        stream: &LogStream,
        next: Option<u64>,
        most: usize,
        owed: Owed,
    ) -> Result<()> {
        let core = self.core()?;
        let mut writer = core.writer.lock();
        if most <= STREAMS.values(core.database.tree()).count() {
            return Err(StoreError::TooManyStreams(most));
        }
        let next = next.unwrap_or(writer.head.next_event);
        let mut change = Change::default();
        let key = [stream.id.as_str().as_bytes()];
        STREAMS.check_size(stream)?;
        STREAMS.put(&mut change, &key, stream)?;
        STREAM_PROGRESS.put(&mut change, &key, &StreamProgress { next, ..StreamProgress::default() })?;
        change.owe(owed);
        core.commit(&mut writer, change)?.done();
        core.bell.ring();
        Ok(())
    }

    /// Changes a log stream; gives it back as it is then, or `None` if there is none. The id stays. One
    /// that becomes active begins without failures.
    pub fn update_stream(
        &self,
        id: &StreamId,
        how: impl FnOnce(&mut LogStream),
        owed: Owed,
    ) -> Result<Option<LogStream>> {
        let core = self.core()?;
        let mut writer = core.writer.lock();
        let key = [id.as_str().as_bytes()];
        let tree = core.database.tree();
        let Some(mut stream) = STREAMS.get(tree, &key)? else {
            return Ok(None);
        };
        let before = stream.status;
        how(&mut stream);
        stream.id = id.clone();
        let mut change = Change::default();
        STREAMS.check_size(&stream)?;
        STREAMS.put(&mut change, &key, &stream)?;
        if stream.status == StreamStatus::Active && before != StreamStatus::Active {
            let progress = STREAM_PROGRESS.get(tree, &key)?.unwrap_or_default();
            let fresh = StreamProgress { attempts: 0, failing_since: None, ..progress };
            STREAM_PROGRESS.put(&mut change, &key, &fresh)?;
        }
        change.owe(owed);
        core.commit(&mut writer, change)?.done();
        core.bell.ring();
        Ok(Some(stream))
    }

    /// Suspends a log stream if it is active; tells whether it was.
    pub fn suspend_stream(&self, id: &StreamId, owed: Owed) -> Result<bool> {
        let core = self.core()?;
        let mut writer = core.writer.lock();
        let key = [id.as_str().as_bytes()];
        let stream = STREAMS.get(core.database.tree(), &key)?;
        let Some(stream) = stream.filter(|stream| stream.status == StreamStatus::Active) else {
            return Ok(false);
        };
        let mut change = Change::default();
        let suspended = LogStream { status: StreamStatus::Suspended, ..stream };
        STREAMS.put(&mut change, &key, &suspended)?;
        change.owe(owed);
        core.commit(&mut writer, change)?.done();
        Ok(true)
    }

    /// Notes how far a log stream is, unless it is gone.
    pub fn note_stream_progress(&self, id: &StreamId, how: impl FnOnce(&mut StreamProgress)) -> Result<()> {
        let core = self.core()?;
        let mut writer = core.writer.lock();
        let key = [id.as_str().as_bytes()];
        let tree = core.database.tree();
        if STREAMS.get(tree, &key)?.is_none() {
            return Ok(());
        }
        let mut progress = STREAM_PROGRESS.get(tree, &key)?.unwrap_or_default();
        how(&mut progress);
        let mut change = Change::default();
        STREAM_PROGRESS.put(&mut change, &key, &progress)?;
        core.commit(&mut writer, change)?.done();
        Ok(())
    }

    /// Deletes a log stream; tells whether there was one.
    pub fn delete_stream(&self, id: &StreamId, owed: Owed) -> Result<bool> {
        let core = self.core()?;
        let mut writer = core.writer.lock();
        let key = [id.as_str().as_bytes()];
        if STREAMS.get(core.database.tree(), &key)?.is_none() {
            return Ok(false);
        }
        let mut change = Change::default();
        STREAMS.remove(&mut change, &key);
        STREAM_PROGRESS.remove(&mut change, &key);
        change.owe(owed);
        core.commit(&mut writer, change)?.done();
        core.bell.ring();
        Ok(true)
    }
}
