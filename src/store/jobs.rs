//! Jobs: accepted, moved on chunk by chunk, ended, looked up.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::commit::{Core, Unpublished, bytes_to_do};
use super::database::Change;
use super::error::{Result, StoreError};
use super::failures;
use super::keys::{CLAIMS, JOB_TICKETS, JOBS, QUEUE};
use super::{Disk, Store, Upload};
use crate::domain::{
    Connection, FailedRow, FileFault, IdSeries, Job, JobId, Owed, Progress, Stage, Ticket, Timestamp,
};

/// What an upload asks for.
#[derive(Debug)]
pub struct NewJob {
    /// Id for the API; random.
    pub id: JobId,
    /// Where the users go.
    pub connection: Connection,
    /// The client's own id for the import.
    pub external_id: Option<String>,
    /// Whether rows of existing users change them.
    pub upsert: bool,
    /// Whether the tenant's owners want a mail at the end.
    pub send_completion_email: bool,
    /// Now.
    pub created_at: Timestamp,
    /// Where the ids of its new users come from.
    pub ids: IdSeries,
    /// Rows in the file, or why it is no file of users.
    pub rows: std::result::Result<u64, FileFault>,
}

/// Some jobs out of many.
#[derive(Debug)]
pub struct Page {
    /// The jobs asked for.
    pub jobs: Vec<Arc<Job>>,
    /// How many there are in all, if that was asked.
    pub total: Option<usize>,
}

impl Store {
    /// Refuses an upload of this many bytes that cannot be taken now, before its body is read.
    pub fn admit(&self, bytes: u64) -> Result<()> {
        let core = self.core()?;
        core.make_room()?;
        let Disk { free, reserve } = self.disk()?;
        let needed = reserve.saturating_add(bytes);
        if free < needed {
            return Err(StoreError::DiskFull { free, needed });
        }
        let active = core.active.lock();
        self.check_active(active.jobs.len() + active.entering)
    }

    /// Tells whether there is room to write, and if not, why; nothing has to be undone then.
    pub fn check_room(&self) -> Result<()> {
        self.core()?.make_room()
    }

    fn check_active(&self, active: usize) -> Result<()> {
        match self.options.max_active_jobs {
            Some(most) if active >= most => Err(StoreError::TooManyActiveJobs(active)),
            _ => Ok(()),
        }
    }

    /// Opens the spool file of a job to be.
    pub fn begin_upload(&self, id: &JobId) -> Result<Upload> {
        self.spool.create(id, self.options.min_free_disk)
    }

    /// Accepts a job: its file and the job itself are on disk when this returns.
    pub fn enqueue(&self, new: NewJob, upload: Upload, owed: Owed) -> Result<Arc<Job>> {
        let core = self.core()?;
        // It goes before the core does, so that a reopening meets no file that is only about to be needed.
        let mut upload = upload;
        let entering = self.enter(&core)?;
        upload.sync()?;
        self.spool.sync()?;
        let job = Job {
            id: new.id,
            ticket: core.next_ticket.fetch_add(1, Ordering::SeqCst),
            connection: new.connection.id,
            connection_name: new.connection.name,
            external_id: new.external_id,
            upsert: new.upsert,
            send_completion_email: new.send_completion_email,
            created_at: new.created_at,
            bytes: upload.bytes(),
            rows: new.rows,
            ids: new.ids,
            attempts: 0,
            stage: Stage::Pending(Progress::default()),
        };
        let ticket = job.ticket.to_be_bytes();
        let mut change = Change::default();
        JOBS.put(&mut change, &[&ticket], &job)?;
        JOB_TICKETS.put(&mut change, &[job.id.as_str().as_bytes()], &job.ticket)?;
        QUEUE.put(&mut change, &[&ticket], &())?;
        change.owe(owed);
        // Should the commit fail half-way, the job may be there after all: its file must be, too, until that is known.
        upload.keep();
        let committed = core.commit_with_others(change);
        if let Err(StoreError::NoRoom(_)) = committed {
            self.spool.remove(&job.id);
        }
        committed?;
        let job = Arc::new(job);
        entering.done(job.clone());
        Ok(job)
    }

    /// Takes one of the places for unfinished jobs while a job is being accepted.
    fn enter<'a>(&self, core: &'a Core) -> Result<Entering<'a>> {
        let mut active = core.active.lock();
        self.check_active(active.jobs.len() + active.entering)?;
        active.entering += 1;
        Ok(Entering(core))
    }

    /// The job with this id if it is unfinished. Waits for no commit and no disk, so that many may ask often.
    pub fn unfinished_with_id(&self, id: &JobId) -> Result<Option<Arc<Job>>> {
        Ok(active_job(&*self.core()?, id))
    }

    /// The job with this id.
    pub fn job(&self, id: &JobId) -> Result<Option<Arc<Job>>> {
        let core = self.core()?;
        if let Some(job) = active_job(&core, id) {
            return Ok(Some(job));
        }
        let tree = core.database.tree();
        let Some(ticket) = JOB_TICKETS.get(tree, &[id.as_str().as_bytes()])? else {
            return Ok(None);
        };
        let found = JOBS.get(tree, &[&ticket.to_be_bytes()])?;
        Ok(found.map(|job| as_told(&core, job)).transpose()?.flatten())
    }

    /// The tickets of all unfinished jobs, in the order of arrival.
    pub fn unfinished(&self) -> Result<Vec<Ticket>> {
        Ok(self.core()?.active.lock().jobs.keys().copied().collect())
    }

    /// An unfinished job as it stands.
    pub fn unfinished_job(&self, ticket: Ticket) -> Result<Option<Arc<Job>>> {
        Ok(self.core()?.active.lock().jobs.get(&ticket).cloned())
    }

    /// Bytes of files still to be worked through until this job has ended, if it is unfinished: its
    /// own and those of the jobs that came before.
    pub fn bytes_to_do(&self, ticket: Ticket) -> Result<u64> {
        let core = self.core()?;
        let active = core.active.lock();
        Ok(active.jobs.range(..=ticket).map(|(_, job)| bytes_to_do(job)).sum())
    }

    /// Jobs that are `wanted`, newest first; `counted` also tells how many there are.
    pub fn jobs(
        &self,
        wanted: &dyn Fn(&Job) -> bool,
        skip: usize,
        take: usize,
        counted: bool,
    ) -> Result<Page> {
        let core = self.core()?;
        let mut jobs = Vec::new();
        let mut matches = 0;
        for job in JOBS.values(core.database.tree()).rev() {
            let Some(job) = as_told(&core, job?)? else { continue };
            if wanted(&job) {
                if skip <= matches && jobs.len() < take {
                    jobs.push(job);
                }
                matches += 1;
            }
            if !counted && jobs.len() == take {
                break;
            }
        }
        Ok(Page { jobs, total: counted.then_some(matches) })
    }

    /// A page of a job's failed rows in file order, without those before row `from`; and where the next page begins, if
    /// there is one. There may be no rows left in a page although others follow.
    pub fn failed_rows(&self, ticket: Ticket, from: u64) -> Result<(Vec<FailedRow>, Option<u64>)> {
        let core = self.core()?;
        let tree = core.database.tree();
        let page = failures::page(tree, ticket, from)?;
        // A job goes before its failed rows do: while it is there, they all are.
        match JOBS.get(tree, &[&ticket.to_be_bytes()])? {
            Some(_) => Ok(page),
            None => Err(StoreError::JobGone(ticket)),
        }
    }

    /// The file of an unfinished job.
    pub fn file(&self, job: &Job) -> io::Result<File> {
        self.spool.read(&job.id)
    }

    /// Notes that a job left by another process is tried again; chunks written set it back.
    pub fn try_again(&self, job: &Job) -> Result<Arc<Job>> {
        let core = self.core()?;
        let mut writer = core.writer.lock();
        let (job, _) = current(&core, job)?;
        let job = Job { attempts: job.attempts + 1, ..(*job).clone() };
        let mut change = Change::default();
        JOBS.put(&mut change, &[&job.ticket.to_be_bytes()], &job)?;
        let unpublished = core.commit(&mut writer, change)?;
        Ok(publish_job(&core, job, unpublished))
    }

    /// Ends a job that cannot go on, and writes down what is owed then; rows already written stay.
    pub fn fail(
        &self,
        job: &Job,
        reason: String,
        now: Timestamp,
        ended: &dyn Fn(&Job) -> Owed,
    ) -> Result<Arc<Job>> {
        let core = self.core()?;
        let mut writer = core.writer.lock();
        let (job, progress) = current(&core, job)?;
        let stage = Stage::Failed { reason, summary: progress.summary, at: now };
        let job = Job { stage, ..(*job).clone() };
        let mut change = Change::default();
        put_job(&mut change, &job)?;
        change.owe(ended(&job));
        let unpublished = core.commit(&mut writer, change)?;
        let job = publish_job(&core, job, unpublished);
        drop(writer);
        self.tidy(&core, &job);
        Ok(job)
    }

    /// Removes what only an unfinished job needs. What a crash leaves, the next start removes.
    pub(super) fn tidy(&self, core: &Core, job: &Job) {
        if job.progress().is_some() {
            return;
        }
        self.spool.remove(&job.id);
        if let Err(error) = drop_claims(core, job.ticket) {
            tracing::warn!("the notes of job {} were not removed: {error}", job.id);
        }
    }

    /// Removes the claims of jobs that have ended.
    pub(super) fn drop_stale_claims(&self) -> Result<()> {
        let core = self.core()?;
        let mut from = CLAIMS.key(&[]);
        while let Some(entry) = core.database.tree().range(from..CLAIMS.key(&[&[u8::MAX; 8]])).next() {
            let key = entry?.0;
            let ticket = *key.get(1..).and_then(<[u8]>::first_chunk).unwrap_or(&[u8::MAX; 8]);
            let ticket = Ticket::from_be_bytes(ticket);
            if !core.active.lock().jobs.contains_key(&ticket) {
                match drop_claims(&core, ticket) {
                    // They hurt nobody until another start.
                    Err(StoreError::NoRoom(_)) => return Ok(()),
                    dropped => dropped?,
                }
            }
            from = CLAIMS.key(&[&(ticket + 1).to_be_bytes()]);
        }
        Ok(())
    }
}

/// A place among the unfinished jobs, given back when dropped.
struct Entering<'a>(&'a Core);

impl Entering<'_> {
    /// The job takes the place; at no moment it counts twice or not at all.
    fn done(self, job: Arc<Job>) {
        let mut active = self.0.active.lock();
        active.put(job);
        active.entering -= 1;
        std::mem::forget(self);
    }
}

impl Drop for Entering<'_> {
    fn drop(&mut self) {
        self.0.active.lock().entering -= 1;
    }
}

/// A job that was found on disk as it may be told of; `None` if it is only about to be accepted.
fn as_told(core: &Core, found: Job) -> Result<Option<Arc<Job>>> {
    if let Some(live) = active_job(core, &found.id) {
        return Ok(Some(live));
    }
    if found.progress().is_none() {
        return Ok(Some(Arc::new(found)));
    }
    // Or it has ended since it was found, or was removed even.
    let again = JOBS.get(core.database.tree(), &[&found.ticket.to_be_bytes()])?;
    Ok(again.filter(|job| job.progress().is_none()).map(Arc::new))
}

fn active_job(core: &Core, id: &JobId) -> Option<Arc<Job>> {
    let active = core.active.lock();
    active.jobs.get(active.tickets.get(id)?).cloned()
}

/// The unfinished job as it is, and how far, unless the caller's view of that is out of date.
pub(super) fn current(core: &Core, job: &Job) -> Result<(Arc<Job>, Progress)> {
    let known = core.active.lock().jobs.get(&job.ticket).cloned();
    known
        .and_then(|known| Some((known.progress()?, known)))
        .filter(|(progress, _)| Some(*progress) == job.progress())
        .map(|(progress, known)| (known, progress))
        .ok_or_else(|| StoreError::Corrupt(format!("job {} is not where it is thought to be", job.id)))
}

/// Adds the job to `change`, and takes it out of the queue when it has ended.
pub(super) fn put_job(change: &mut Change, job: &Job) -> Result<()> {
    let ticket = job.ticket.to_be_bytes();
    if job.progress().is_none() {
        QUEUE.remove(change, &[&ticket]);
    }
    JOBS.put(change, &[&ticket], job)
}

/// Shows the job as it is now to those who ask.
pub(super) fn publish_job(core: &Core, job: Job, unpublished: Unpublished) -> Arc<Job> {
    core.meters.note_job(&job);
    let job = Arc::new(job);
    let mut active = core.active.lock();
    match job.progress() {
        Some(_) => active.put(job.clone()),
        None => active.remove(&job),
    }
    unpublished.done();
    job
}

/// Removes a job's claims, some at a time.
fn drop_claims(core: &Core, ticket: Ticket) -> Result<()> {
    const STEP: usize = 1000;
    loop {
        let range = CLAIMS.key(&[&ticket.to_be_bytes()])..CLAIMS.key(&[&(ticket + 1).to_be_bytes()]);
        let keys = core.database.tree().range(range).keys().take(STEP).collect::<sled::Result<Vec<_>>>()?;
        if keys.is_empty() {
            return Ok(());
        }
        let mut change = Change::default();
        for key in keys {
            change.remove(key.to_vec());
        }
        core.commit_with_others(change)?;
    }
}
