//! Jobs against their queue, their files and their rows.

use std::collections::HashMap;

use super::super::block::decompress;
use super::super::failures;
use super::super::keys::{CLAIMS, FAILURES, JOB_TICKETS, JOBS, QUEUE};
use super::super::spool::Spool;
use super::{Ailment, Doctor, number_in};
use crate::domain::{FailedRow, FaultCounts, IdSeries, Job, JobId, Summary};

/// What is kept of a job while the rest is held against it.
#[derive(Debug)]
pub(super) struct JobFacts {
    pub(super) id: JobId,
    pub(super) is_unfinished: bool,
    pub(super) ids: IdSeries,
    /// Rows of the file.
    pub(super) rows: u64,
    /// Rows that were looked at.
    pub(super) done: u64,
    pub(super) summary: Summary,
    claims: u64,
    /// Users that carry an id it made.
    pub(super) made: u64,
}

impl JobFacts {
    fn of(job: &Job) -> Self {
        let progress = job.progress();
        let summary = *job.summary();
        Self {
            id: job.id.clone(),
            is_unfinished: progress.is_some(),
            ids: job.ids,
            rows: job.rows.as_ref().copied().unwrap_or_default(),
            done: progress.map_or(summary.total, |progress| progress.next.row),
            summary,
            claims: progress.map_or(0, |progress| progress.claims),
            made: 0,
        }
    }
}

impl Doctor<'_> {
    pub(super) fn examine_jobs(&mut self) {
        let mut jobs = std::collections::BTreeMap::new();
        self.each_numbered(&JOBS, "jobs", "a job", self.store.head.next_ticket, |number, job| {
            if number != Some(job.ticket) {
                self.add(Ailment::ValueDamaged, format!("job {} has a number that is not its key's", job.id));
            }
            self.examine_job(&job);
            jobs.insert(job.ticket, JobFacts::of(&job));
        });
        self.jobs = jobs;
    }

    fn examine_job(&self, job: &Job) {
        let (id, summary) = (&job.id, job.summary());
        let sum = summary.inserted + summary.updated + summary.failed;
        if sum != summary.total {
            let what =
                format!("job {id} counts {sum} rows by what became of them, but {} in all", summary.total);
            self.add(Ailment::SummaryWrong, what);
        }
        if let Ok(rows) = job.rows
            && (rows < summary.total
                || (matches!(job.stage, crate::domain::Stage::Completed { .. }) && rows != summary.total))
        {
            let what = format!("job {id} is done with {} rows, its file has {rows}", summary.total);
            self.add(Ailment::SummaryWrong, what);
        }
        if let Some(progress) = job.progress() {
            let next = progress.next;
            if next.row != summary.total {
                let what =
                    format!("job {id} goes on at row {}, but {} rows are done", next.row, summary.total);
                self.add(Ailment::CursorWrong, what);
            }
            if job.bytes < next.byte {
                let what = format!("job {id} goes on at byte {}, its file has {}", next.byte, job.bytes);
                self.add(Ailment::CursorWrong, what);
            }
            self.examine_spool_file(job);
        }
    }

    fn examine_spool_file(&self, job: &Job) {
        let file = Spool::of(&self.store.path).read(&job.id).and_then(|file| file.metadata());
        let what = match file {
            Ok(about) if about.len() == job.bytes => return,
            Ok(about) => {
                format!("the file of job {} has {} bytes, {} were accepted", job.id, about.len(), job.bytes)
            }
            Err(error) => format!("the file of job {}, which is unfinished, cannot be read: {error}", job.id),
        };
        self.add(Ailment::SpoolFile, what);
    }

    /// The queue and the ids lead to jobs, and every job is found by them.
    pub(super) fn examine_queue(&mut self) {
        let mut by_id = HashMap::new();
        self.each(&JOB_TICKETS, "job ids", |key, value| {
            let id = String::from_utf8_lossy(&key[1..]).into_owned();
            if let Some(ticket) = self.sound(|| format!("the number of job {id}"), JOB_TICKETS.decode(value))
            {
                if self.jobs.get(&ticket).is_none_or(|job| job.id.as_str() != id) {
                    self.add(Ailment::JobIndex, format!("the id {id} leads to no job of that id"));
                }
                by_id.insert(id, ticket);
            }
        });
        let mut queued = std::collections::HashSet::new();
        self.each(&QUEUE, "queued jobs", |key, value| {
            self.sound(|| "an entry of the queue".to_owned(), QUEUE.decode(value));
            let Some(ticket) = number_in(key) else {
                return self.add(Ailment::QueueWrong, "a key of the queue is no number");
            };
            queued.insert(ticket);
            match self.jobs.get(&ticket) {
                None => self.add(Ailment::QueueWrong, format!("job number {ticket} is queued but not there")),
                Some(job) if !job.is_unfinished => {
                    self.add(Ailment::QueueWrong, format!("job {} has ended but is queued", job.id));
                }
                Some(_) => {}
            }
        });
        for (ticket, job) in &self.jobs {
            if job.is_unfinished && !queued.contains(ticket) {
                let what = format!("job {} is unfinished but not queued: nobody works on it", job.id);
                self.add(Ailment::QueueWrong, what);
            }
            if by_id.get(job.id.as_str()) != Some(ticket) {
                self.add(Ailment::JobIndex, format!("job {} is not found by its id", job.id));
            }
        }
    }

    pub(super) fn examine_failures(&mut self) {
        let mut counted: HashMap<u64, (u64, FaultCounts)> = HashMap::new();
        let mut last: Option<(u64, u64)> = None;
        let mut strays = std::collections::BTreeSet::new();
        self.each(&FAILURES, "pages of failed rows", |key, value| {
            let Some((ticket, first)) = pair_in(key) else {
                return self.add(Ailment::ValueDamaged, "a key of failed rows is no pair of numbers");
            };
            let Some(job) = self.jobs.get(&ticket) else {
                if !self.is_garbage(key) {
                    strays.insert(ticket);
                }
                return;
            };
            let page = decompress(value).and_then(|page| failures::decode(&page));
            let Some(rows) = self.sound(|| format!("failed rows of job {} from row {first}", job.id), page)
            else {
                return;
            };
            let (count, faults) = counted.entry(ticket).or_default();
            for row in &rows {
                *count += 1;
                faults.add(row);
                self.examine_failed_row(job, row, &mut last, ticket);
            }
            if rows.first().is_none_or(|row| row.index != first) {
                let what = format!("a page of job {} does not begin with row {first}", job.id);
                self.add(Ailment::FailedRowsWrong, what);
            }
        });
        for ticket in strays {
            let what = format!("there are failed rows of job number {ticket}, which is not there");
            self.add(Ailment::OrphanedData, what);
        }
        for (ticket, job) in &self.jobs {
            let (count, faults) = counted.get(ticket).copied().unwrap_or_default();
            if count != job.summary.failed {
                let (id, said) = (&job.id, job.summary.failed);
                let what = format!("job {id} has {count} failed rows on disk, it counts {said}");
                self.add(Ailment::FailedRowsWrong, what);
            } else if faults != job.summary.faults {
                let what = format!("the faults in the failed rows of job {} are not those it counts", job.id);
                self.add(Ailment::FailedRowsWrong, what);
            }
        }
    }

    fn examine_failed_row(
        &self,
        job: &JobFacts,
        row: &FailedRow,
        last: &mut Option<(u64, u64)>,
        ticket: u64,
    ) {
        if job.done <= row.index {
            let what =
                format!("row {} of job {} has failed, but only {} are done", row.index, job.id, job.done);
            self.add(Ailment::RowsBeyondCursor, what);
        }
        if last.is_some_and(|last| (ticket, row.index) <= last) {
            let what = format!("row {} of job {} has failed twice, or out of order", row.index, job.id);
            self.add(Ailment::FailedRowsWrong, what);
        }
        *last = Some((ticket, row.index));
    }

    /// Claims of jobs that have ended are what a crash may leave.
    pub(super) fn examine_claims(&mut self) {
        let mut counted: HashMap<u64, u64> = HashMap::new();
        self.each(&CLAIMS, "claims", |key, value| {
            let ticket = key.get(1..9).and_then(|bytes| Some(u64::from_be_bytes(bytes.try_into().ok()?)));
            let Some((ticket, job)) = ticket.and_then(|ticket| Some((ticket, self.jobs.get(&ticket)?)))
            else {
                return;
            };
            let Some(row) = self.sound(|| format!("a claim of job {}", job.id), CLAIMS.decode(value)) else {
                return;
            };
            *counted.entry(ticket).or_default() += 1;
            if job.is_unfinished && job.done <= row {
                let what =
                    format!("row {row} of job {} has claimed a name, but only {} are done", job.id, job.done);
                self.add(Ailment::RowsBeyondCursor, what);
            }
        });
        for (ticket, job) in self.jobs.iter().filter(|(_, job)| job.is_unfinished) {
            let count = counted.get(ticket).copied().unwrap_or_default();
            if count != job.claims {
                let what = format!("job {} has {count} claims on disk, it counts {}", job.id, job.claims);
                self.add(Ailment::ClaimsWrong, what);
            }
        }
    }
}

fn pair_in(key: &[u8]) -> Option<(u64, u64)> {
    let (one, other) = key.get(1..)?.split_at_checked(8)?;
    Some((u64::from_be_bytes(one.try_into().ok()?), u64::from_be_bytes(other.try_into().ok()?)))
}
