//! What is told: events, letters, log streams; and the files of exports.

use std::collections::HashSet;
use std::fs;

use super::super::exports::Exports;
use super::super::keys::{EVENTS, LETTERS, STREAM_PROGRESS, STREAMS, TASKS};
use super::{Ailment, Doctor};
use crate::domain::LogId;

impl Doctor<'_> {
    pub(super) fn examine_events(&mut self) {
        let head = self.store.head;
        let mut last: Option<(u64, String)> = None;
        self.each_numbered(&EVENTS, "events", "an event", head.next_event, |number, logged| {
            let Some(number) = number else { return };
            if logged.id != logged.log_id
                || logged.log_id.parse::<LogId>().map_or(true, |id| id.number != number)
            {
                let what = format!("event number {number} has the id {}", logged.log_id);
                self.add(Ailment::EventId, what);
            }
            if (LogId { at: head.last_event, number }).to_string() < logged.log_id {
                let what = format!("event number {number} is dated after the last one there was");
                self.add(Ailment::CounterBehind, what);
            }
            if let Some((before, id)) = &last {
                if before + 1 != number {
                    let what = format!("events {} to {} are not there", before + 1, number - 1);
                    self.add(Ailment::EventsHole, what);
                }
                if logged.log_id <= *id {
                    let what = format!("event number {number} has an id below that of event {before}");
                    self.add(Ailment::EventId, what);
                }
            }
            last = Some((number, logged.log_id));
        });
    }

    pub(super) fn examine_told(&mut self) {
        let next = self.store.head.next_number;
        self.each_numbered(&LETTERS, "letters", "a letter", next, |number, letter| {
            if number != Some(letter.number) {
                let what = format!("letter {} has a number that is not its key's", letter.number);
                self.add(Ailment::LetterNumber, what);
            }
        });
        let mut streams = HashSet::new();
        self.each_value(&STREAMS, "log streams", "a log stream", |_, stream| {
            streams.insert(stream.id.to_string());
        });
        self.each(&STREAM_PROGRESS, "states of log streams", |key, value| {
            let id = String::from_utf8_lossy(&key[1..]).into_owned();
            let Some(progress) =
                self.sound(|| format!("the state of log stream {id}"), STREAM_PROGRESS.decode(value))
            else {
                return;
            };
            let next_event = self.store.head.next_event;
            let what = if !streams.remove(&id) {
                format!("log stream {id} is not there, but how far it is")
            } else if next_event < progress.next {
                format!(
                    "log stream {id} goes on at event {}, but the next one is {next_event}",
                    progress.next
                )
            } else {
                return;
            };
            self.add(Ailment::StreamProgress, what);
        });
        for id in streams {
            self.add(Ailment::StreamProgress, format!("nobody knows how far log stream {id} is"));
        }
    }

    pub(super) fn examine_tasks(&mut self) {
        let exports = Exports::of(&self.options.path);
        self.each_value(&TASKS, "tasks", "a task", |key, task| {
            if key.get(1..) != Some(task.id.as_str().as_bytes()) {
                self.add(Ailment::ValueDamaged, format!("task {} has an id that is not its key's", task.id));
            }
            let Some(format) = task.file_format() else { return };
            if let Err(error) = fs::metadata(exports.path(&task.id, format)) {
                let what = format!("the file of export {}, which is made, cannot be read: {error}", task.id);
                self.add(Ailment::ExportFile, what);
            }
        });
    }
}
