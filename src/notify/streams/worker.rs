//! The thread of one stream: reads on from its checkpoint, posts, and notes how far it is.
//!
//! All that matters is in the store; what is kept here only saves reading it again.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use super::post::{Outcome, body, content_id};
use super::{PAUSE, SILENCE, Shared, log_fault};
use crate::domain::{
    ContentFormat, Event, EventType, LogStream, Logged, StreamId, StreamProgress, StreamStatus, Timestamp,
};
use crate::store::{Result, StoreError};

/// Events read at once.
const PAGE: usize = 200;
/// Events that may be passed over before that is written down.
const LAZINESS: u64 = 500;

pub(super) struct Worker<'a> {
    shared: &'a Shared,
    id: &'a StreamId,
    /// Tells others what was seen.
    at: &'a AtomicU64,
    /// Earlier events are taken, passed over, or gone.
    seen: u64,
    /// Events gone by age, not written down yet.
    lost: u64,
    batch: Option<Batch>,
    rest: Option<Rest>,
}

/// Events to send, in one request or one by one.
struct Batch {
    /// For whom they were chosen.
    stream: LogStream,
    events: VecDeque<(u64, Logged)>,
    /// Where the log goes on after them.
    end: u64,
}

/// A pause after a failure; it ends early when the stream is changed.
struct Rest {
    stream: LogStream,
    until: Instant,
}

/// What comes next.
enum Next {
    /// Another step, at once.
    Step,
    /// Nothing, until a bell rings or this time is over.
    Wait(Duration),
    /// The stream needs no thread any more.
    Leave,
}

impl<'a> Worker<'a> {
    pub(super) fn new(shared: &'a Shared, id: &'a StreamId, at: &'a AtomicU64) -> Self {
        Self { shared, id, at, seen: 0, lost: 0, batch: None, rest: None }
    }

    /// Sends until the stream is not active any more, or all is to stop.
    pub(super) fn run(&mut self) {
        let bell = self.shared.store.bell();
        loop {
            let heard = bell.rings();
            if self.shared.is_stopping() {
                break;
            }
            let next = self.step();
            self.at.store(self.seen, Ordering::Relaxed);
            match next {
                Ok(Next::Step) => {}
                Ok(Next::Wait(patience)) => bell.wait(heard, patience),
                Ok(Next::Leave) => break,
                Err(error) => {
                    log_fault(&format!("log stream {} is held up", self.id), &error);
                    bell.wait(heard, PAUSE);
                }
            }
        }
        // What is not written down now is looked at again later.
        drop(self.note_seen(0));
    }

    fn step(&mut self) -> Result<Next> {
        let store = &self.shared.store;
        let stream = store.stream(self.id)?;
        let Some(stream) = stream.filter(|stream| stream.status == StreamStatus::Active) else {
            return Ok(Next::Leave);
        };
        let progress = store.stream_progress(self.id)?.unwrap_or_default();
        if let Some(rest) = self.rest.take().filter(|rest| rest.stream == stream) {
            let left = rest.until.saturating_duration_since(Instant::now());
            if !left.is_zero() {
                self.rest = Some(rest);
                return Ok(Next::Wait(left));
            }
        }
        self.seen = self.seen.max(progress.next);
        // One for the stream as it was is dropped: it may be that again when others have been sent.
        let batch = match self.batch.take().filter(|batch| batch.stream == stream) {
            Some(batch) => batch,
            None => self.read(&stream)?,
        };
        if batch.events.is_empty() {
            self.seen = batch.end;
            self.note_seen(LAZINESS)?;
            let more = self.seen < store.next_event()?;
            return Ok(if more { Next::Step } else { Next::Wait(SILENCE) });
        }
        self.send(batch)
    }

    /// The next events that the stream wants; none if there are none within a page.
    fn read(&mut self, stream: &LogStream) -> Result<Batch> {
        let most = stream.sink.batch_size as usize;
        let mut batch = Batch { stream: stream.clone(), events: VecDeque::new(), end: self.seen };
        while batch.events.len() < most {
            let page = self.shared.store.events_from(batch.end, PAGE)?;
            if page.is_empty() || self.shared.is_stopping() {
                break;
            }
            for (number, logged) in page {
                self.lost += number - batch.end;
                batch.end = number + 1;
                if batch.events.is_empty() {
                    self.seen = number;
                }
                if stream.wants(&logged.event) {
                    batch.events.push_back((number, logged));
                }
                if batch.events.len() == most {
                    break;
                }
            }
            if batch.events.is_empty() {
                break; // write down that they were passed over, before more are read
            }
        }
        Ok(batch)
    }

    fn send(&mut self, mut batch: Batch) -> Result<Next> {
        // What is sent must be written down, or it would be sent again.
        self.shared.store.check_room()?;
        let format = batch.stream.sink.format;
        let count = if format == ContentFormat::JsonObject { 1 } else { batch.events.len() };
        let chosen = batch.events.range(..count);
        let (numbers, events): (Vec<u64>, Vec<&Logged>) =
            chosen.map(|(number, event)| (*number, event)).unzip();
        let body = body(format, &events).map_err(|error| StoreError::Corrupt(error.to_string()))?;
        let (first, last) = (numbers.first().copied(), numbers.last().copied());
        let id = content_id(&batch.stream, first.unwrap_or_default(), last.unwrap_or_default(), &body);
        let shared = self.shared;
        match shared.poster.post(&batch.stream, &id, body, now(), || shared.is_stopping()) {
            Outcome::Taken => {
                batch.events.drain(..count);
                let next = batch.events.front().map_or(batch.end, |(number, _)| *number);
                self.seen = next;
                if !batch.events.is_empty() {
                    self.batch = Some(batch);
                }
                self.note_taken(next, count as u64)
            }
            Outcome::Failed(why) => self.note_failure(batch, why),
            Outcome::Abandoned => Ok(Next::Step),
        }
    }

    fn note_taken(&mut self, next: u64, count: u64) -> Result<Next> {
        let lost = self.lost;
        let mut failed = 0;
        self.shared.store.note_stream_progress(self.id, |progress| {
            failed = progress.attempts;
            *progress = StreamProgress {
                next,
                delivered: progress.delivered + count,
                lost: progress.lost + lost,
                attempts: 0,
                failing_since: None,
                last_error: progress.last_error.take(),
                last_delivery_at: Some(now()),
            };
        })?;
        self.lost = 0;
        if failed > 0 {
            tracing::info!("log stream {} works again after {failed} failures", self.id);
        }
        Ok(Next::Step)
    }

    /// The same events are sent again after a pause, or when the stream is resumed.
    fn note_failure(&mut self, batch: Batch, why: String) -> Result<Next> {
        let (mut attempts, mut since) = (0, now());
        let stream = batch.stream.clone();
        self.batch = Some(batch);
        let error = why.clone();
        self.shared.store.note_stream_progress(self.id, |progress| {
            progress.attempts = progress.attempts.saturating_add(1);
            since = *progress.failing_since.get_or_insert(since);
            progress.last_error = Some(why);
            attempts = progress.attempts;
        })?;
        if attempts == 1 {
            tracing::warn!("log stream {} fails: {error}", self.id);
        }
        let options = &self.shared.options;
        if options.suspend_after <= now().since(since) {
            self.suspend(&stream, since, &error)?;
            return Ok(Next::Leave);
        }
        let pause = pause(attempts, options.retry_first, options.retry_longest);
        self.rest = Some(Rest { stream, until: Instant::now() + pause });
        Ok(Next::Step)
    }

    fn suspend(&self, stream: &LogStream, since: Timestamp, error: &str) -> Result<()> {
        let words = format!("Log stream {} was suspended: {error}", stream.name);
        let event = Event::new(now(), EventType::StreamSuspended, words)
            .with("log_stream_id", stream.id.as_str())
            .with("log_stream_name", stream.name.as_str())
            .with("failing_since", since.to_string())
            .with("last_error", error);
        if self.shared.store.suspend_stream(self.id, event.into())? {
            tracing::error!("log stream {} is suspended after failing since {since}: {error}", self.id);
        }
        Ok(())
    }

    /// Writes down which events were passed over, if there are more of them than `few`.
    fn note_seen(&mut self, few: u64) -> Result<()> {
        let (seen, lost) = (self.seen, self.lost);
        let Some(progress) = self.shared.store.stream_progress(self.id)? else {
            return Ok(());
        };
        if seen.saturating_sub(progress.next) <= few && lost == 0 {
            return Ok(());
        }
        self.shared.store.note_stream_progress(self.id, |progress| {
            progress.next = progress.next.max(seen);
            progress.lost += lost;
        })?;
        self.lost = 0;
        Ok(())
    }
}

/// The pause after so many failures in a row.
fn pause(failures: u32, first: Duration, longest: Duration) -> Duration {
    let doublings = failures.saturating_sub(1).min(31);
    first.saturating_mul(1 << doublings).min(longest)
}

fn now() -> Timestamp {
    SystemTime::now().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let seconds = |failures| pause(failures, Duration::from_secs(1), Duration::from_mins(5)).as_secs();
        assert_eq!([1, 2, 3, 4, 8, 9, 10].map(seconds), [1, 2, 4, 8, 128, 256, 300]);
        assert_eq!([33, 1000, u32::MAX].map(seconds), [300; 3]);
        assert_eq!(pause(9, Duration::from_secs(9), Duration::from_secs(1)), Duration::from_secs(1));
    }
}
