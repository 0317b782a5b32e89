//! A store in the making: every line of a dump finds its place in it.

use std::collections::{HashMap, HashSet};

use super::super::Options;
use super::super::block::Block;
use super::super::database::{Change, Database, Head};
use super::super::error::Result;
use super::super::failures;
use super::super::keys::{
    BLOCKS, CLAIMS, CLIENTS, CONNECTIONS, CREDENTIALS, EVENTS, GRANTS, JOB_TICKETS, JOBS, LETTERS,
    NEWEST_TICKETS, QUEUE, STREAM_PROGRESS, STREAMS, TASKS, TICKETS, newest_of, of_user,
};
use super::super::loss::OnLoss;
use super::super::record::Record;
use super::files::Files;
use super::lines::{Refusal, Taken, parse};
use super::shapes::{
    ClaimLine, ClientLine, ConnectionLine, CountersLine, EventLine, ExportFileLine, FailedRowLine, GrantLine,
    JobLine, LetterLine, Line, PasswordLine, SigningKeyLine, StreamLine, TaskLine, TicketLine, UploadLine,
    UserLine,
};
use crate::domain::{Client, ClientGrant, Connection, ConnectionId, FailedRow, Job, Posted, Task, Ticket};

/// A change takes no further line above about this many bytes of lines.
const CHANGE_BYTES: usize = 2 << 20;

/// A store in the making.
pub(super) struct Loader {
    database: Database,
    /// As it is while loading: its commits count the changes made here.
    head: Head,
    /// What the dump says of it, and what its lines ask for.
    counters: Head,
    change: Change,
    /// Bytes of the lines in it.
    bytes: usize,
    connections: HashMap<ConnectionId, Place>,
    jobs: HashSet<Ticket>,
    /// Failed rows of one job that are in no change yet.
    failed: (Ticket, Vec<FailedRow>),
    files: Files,
    /// Families that hold one value for each key: a key may come once.
    given: HashSet<Vec<u8>>,
}

/// Where the next user of a connection goes.
#[derive(Default)]
struct Place {
    connection: u32,
    block: u32,
    users: Block,
}

impl Loader {
    pub(super) fn new(options: &Options) -> Result<Self> {
        let (database, head) = Database::open(options, OnLoss::Refuse)?;
        Ok(Self {
            files: Files::open(&options.path)?,
            database,
            head,
            counters: Head::default(),
            change: Change::default(),
            bytes: 0,
            connections: HashMap::new(),
            jobs: HashSet::new(),
            failed: (0, Vec::new()),
            given: HashSet::new(),
        })
    }

    /// Takes a line over.
    pub(super) fn take(&mut self, kind: &str, body: &[u8]) -> Taken {
        match kind {
            UserLine::KIND => self.user(parse(body)?)?,
            CountersLine::KIND => self.counters(&parse(body)?),
            SigningKeyLine::KIND => self.files.signing_key(&parse(body)?)?,
            ClientLine::KIND => {
                let client = Client::from(parse::<ClientLine>(body)?);
                CLIENTS.put(&mut self.change, &[client.id.as_bytes()], &client)?;
            }
            GrantLine::KIND => {
                let grant = ClientGrant::try_from(parse::<GrantLine>(body)?)?;
                GRANTS.put(&mut self.change, &[grant.id.as_str().as_bytes()], &grant)?;
            }
            ConnectionLine::KIND => self.connection(parse(body)?)?,
            PasswordLine::KIND => self.password(parse(body)?)?,
            TicketLine::KIND => self.ticket(parse(body)?)?,
            JobLine::KIND => self.job(parse(body)?)?,
            FailedRowLine::KIND => self.failed_row(parse(body)?)?,
            ClaimLine::KIND => self.claim(&parse(body)?)?,
            UploadLine::KIND => self.files.upload(&parse(body)?)?,
            TaskLine::KIND => self.task(parse(body)?)?,
            ExportFileLine::KIND => self.files.export(&parse(body)?)?,
            EventLine::KIND => self.event(parse(body)?)?,
            LetterLine::KIND => self.letter(parse(body)?)?,
            StreamLine::KIND => self.stream(parse(body)?)?,
            other => {
                return Err(Refusal::Line(format!(
                    "there is no kind \"{other}\" in this version of the format"
                )));
            }
        }
        self.bytes += body.len();
        Ok(self.write_if_large()?)
    }

    fn counters(&mut self, line: &CountersLine) {
        let before = self.counters;
        self.counters = Head {
            next_ticket: before.next_ticket.max(line.next_job),
            next_connection: before.next_connection.max(line.next_connection),
            next_event: before.next_event.max(line.next_event),
            last_event: before.last_event.max(line.last_event_at),
            next_number: before.next_number.max(line.next_letter),
            ..before
        };
    }

    fn connection(&mut self, line: ConnectionLine) -> Taken {
        let connection = Connection::try_from(line)?;
        let number = connection.number;
        self.counters.next_connection = self.counters.next_connection.max(number + 1);
        CONNECTIONS.put(&mut self.change, &[&number.to_be_bytes()], &connection)?;
        self.once(&[b"connection ", &number.to_be_bytes()], || {
            format!("another connection has the number {number}")
        })?;
        let place = Place { connection: number, ..Place::default() };
        match self.connections.insert(connection.id, place) {
            Some(_) => Err(Refusal::Line("another connection has its id".to_owned())),
            None => Ok(()),
        }
    }

    fn place(&mut self, connection: &str) -> std::result::Result<&mut Place, Refusal> {
        let missing = || Refusal::Line(format!("there is no connection {connection} above"));
        let id: ConnectionId = connection.parse().map_err(|_| missing())?;
        self.connections.get_mut(&id).ok_or_else(missing)
    }

    fn user(&mut self, line: UserLine) -> Taken {
        let connection = line.connection.to_string();
        let (user, touches) = line.into_user()?;
        let record = Record::of(&user, touches).encode()?;
        let place = self.place(&connection)?;
        if place.users.has_room_for(record.len()) {
            place.users.push(&record);
            return Ok(());
        }
        let full = place.next();
        place.users.push(&record);
        full.write(&mut self.change)?;
        Ok(())
    }

    fn password(&mut self, line: PasswordLine) -> Taken {
        let number = self.place(&line.connection)?.connection;
        let (user, credential) = line.into_credential()?;
        Ok(CREDENTIALS.put(&mut self.change, &[&of_user(number, user.as_ref())], &credential)?)
    }

    fn ticket(&mut self, line: TicketLine) -> Taken {
        let (number, is_newest) = (self.place(&line.connection)?.connection, line.newest);
        let (hash, ticket) = line.into_ticket()?;
        TICKETS.put(&mut self.change, &[&hash], &ticket)?;
        if is_newest {
            let key = newest_of(number, ticket.user.as_ref(), ticket.leave.kind());
            NEWEST_TICKETS.put(&mut self.change, &[&key], &hash)?;
        }
        Ok(())
    }

    fn job(&mut self, line: JobLine) -> Taken {
        self.write_failed()?;
        let job = Job::try_from(line)?;
        let ticket = job.ticket.to_be_bytes();
        self.counters.next_ticket = self.counters.next_ticket.max(job.ticket + 1);
        self.once(&[b"job ", &ticket], || format!("another job has the number {}", job.ticket))?;
        self.once(&[job.id.as_str().as_bytes()], || format!("another job has the id {}", job.id))?;
        JOBS.put(&mut self.change, &[&ticket], &job)?;
        JOB_TICKETS.put(&mut self.change, &[job.id.as_str().as_bytes()], &job.ticket)?;
        if job.progress().is_some() {
            QUEUE.put(&mut self.change, &[&ticket], &())?;
            self.files.expect_upload(job.ticket, job.id);
        }
        self.jobs.insert(job.ticket);
        Ok(())
    }

    fn once(&mut self, key: &[&[u8]], taken: impl FnOnce() -> String) -> Taken {
        if self.given.insert(key.concat()) { Ok(()) } else { Err(Refusal::Line(taken())) }
    }

    fn check_job(&self, number: Ticket) -> Taken {
        if self.jobs.contains(&number) {
            return Ok(());
        }
        Err(Refusal::Line(format!("there is no job with the number {number} above")))
    }

    fn failed_row(&mut self, line: FailedRowLine) -> Taken {
        self.check_job(line.job)?;
        if line.job != self.failed.0 {
            self.write_failed()?;
            self.failed.0 = line.job;
        }
        let row = line.into_row();
        if self.failed.1.last().is_some_and(|last| row.index <= last.index) {
            return Err(Refusal::Line("failed rows of a job have to be in the order of the file".to_owned()));
        }
        self.failed.1.push(row);
        if self.failed.1.iter().map(FailedRow::bytes).sum::<usize>() > CHANGE_BYTES / 4
            || self.failed.1.len() == 512
        {
            self.write_failed()?;
        }
        Ok(())
    }

    fn write_failed(&mut self) -> Result<()> {
        let rows = std::mem::take(&mut self.failed.1);
        failures::put(&mut self.change, self.failed.0, rows.iter())
    }

    fn claim(&mut self, line: &ClaimLine) -> Taken {
        self.check_job(line.job)?;
        Ok(CLAIMS.put(&mut self.change, &[&line.job.to_be_bytes(), line.username.as_bytes()], &line.row)?)
    }

    fn task(&mut self, line: TaskLine) -> Taken {
        let task = Task::try_from(line)?;
        TASKS.put(&mut self.change, &[task.id.as_str().as_bytes()], &task)?;
        if let Some(format) = task.file_format() {
            self.files.expect_export(&task.id, format);
        }
        Ok(())
    }

    fn event(&mut self, line: EventLine) -> Taken {
        let (number, logged) = line.into_logged()?;
        self.counters.next_event = self.counters.next_event.max(number + 1);
        self.counters.last_event = self.counters.last_event.max(logged.event.date);
        Ok(EVENTS.put(&mut self.change, &[&number.to_be_bytes()], &logged)?)
    }

    fn letter(&mut self, line: LetterLine) -> Taken {
        let posted = Posted::try_from(line)?;
        self.counters.next_number = self.counters.next_number.max(posted.number + 1);
        Ok(LETTERS.put(&mut self.change, &[&posted.number.to_be_bytes()], &posted)?)
    }

    fn stream(&mut self, line: StreamLine) -> Taken {
        let (stream, progress) = line.into_stream()?;
        let key = [stream.id.as_str().as_bytes()];
        STREAMS.put(&mut self.change, &key, &stream)?;
        Ok(STREAM_PROGRESS.put(&mut self.change, &key, &progress)?)
    }

    fn write_if_large(&mut self) -> Result<()> {
        if self.bytes < CHANGE_BYTES {
            return Ok(());
        }
        self.bytes = 0;
        self.database.apply(&mut self.head, std::mem::take(&mut self.change))
    }

    /// Writes what is left, and makes all of it durable under the number of the last change that was dumped.
    pub(super) fn finish(mut self, commit: u64) -> Result<()> {
        self.write_failed()?;
        self.files.finish()?;
        for place in std::mem::take(&mut self.connections).into_values() {
            place.write(&mut self.change)?;
            self.bytes += CHANGE_BYTES / 32;
            self.write_if_large()?;
        }
        if self.head.commit == 0 {
            // The first change says which layout this is.
            self.database.apply(&mut self.head, std::mem::take(&mut self.change))?;
        }
        let mut head = Head { commit: commit.max(1) - 1, ..self.counters };
        self.database.apply(&mut head, std::mem::take(&mut self.change))?;
        self.database.sync(&head)
    }
}

impl Place {
    /// Goes on to the next block; gives back the one before.
    fn next(&mut self) -> Self {
        let next = Self { connection: self.connection, block: self.block + 1, users: Block::default() };
        std::mem::replace(self, next)
    }

    fn write(self, change: &mut Change) -> Result<()> {
        if self.users.len() > 0 {
            let key = [&self.connection.to_be_bytes()[..], &self.block.to_be_bytes()];
            BLOCKS.put_bytes(change, &key, self.users.encode()?);
        }
        Ok(())
    }
}
