//! Writing a dump: every kind after the other, in the order in which a reader needs them.

use std::fs;
use std::io::Write;
use std::path::Path;

use super::super::block::Block;
use super::super::error::{Result, StoreError};
use super::super::exports::Exports;
use super::super::failures;
use super::super::keys::{
    BLOCKS, CLAIMS, CLIENTS, CREDENTIALS, EVENTS, GRANTS, JOBS, LETTERS, NEWEST_TICKETS, QUEUE,
    STREAM_PROGRESS, STREAMS, TASKS, TICKETS, newest_of, user_of,
};
use super::super::record::Record;
use super::super::shut::Shut;
use super::super::spool::Spool;
use super::super::{Options, Store};
use super::frame::Header;
use super::lines::Writer;
use super::pieces::each_piece;
use super::shapes::{
    ClaimLine, ClientLine, ConnectionLine, CountersLine, EventLine, ExportFileLine, FailedRowLine, GrantLine,
    JobLine, LetterLine, PasswordLine, SigningKeyLine, StreamLine, TaskLine, TicketLine, UploadLine,
    UserLine,
};
use super::{Counts, Written};
use crate::domain::{Connection, Job, Task};
use crate::files::open_if_there;

impl Store {
    /// Writes all that is in a data directory that nobody has open; tells how many lines there are of each kind.
    pub fn dump(options: &Options, written: Written, to: &mut dyn Write) -> Result<Counts> {
        let store = Shut::open(options)?;
        let mut dump = Dump {
            connections: store.connections()?,
            lines: Writer::begin(to, &Header::new(written, store.head.commit))?,
            store: &store,
        };
        dump.lines.put(&CountersLine::from(&store.head))?;
        dump.access()?;
        dump.users()?;
        dump.passwords()?;
        dump.tickets()?;
        dump.jobs()?;
        dump.tasks()?;
        dump.told()?;
        dump.lines.end()
    }
}

struct Dump<'a> {
    store: &'a Shut,
    connections: Vec<Connection>,
    lines: Writer<'a>,
}

impl Dump<'_> {
    fn access(&mut self) -> Result<()> {
        for (file, pem) in signing_keys(&self.store.path)? {
            self.lines.put(&SigningKeyLine { file, pem })?;
        }
        for client in CLIENTS.values(self.store.tree()) {
            self.lines.put(&ClientLine::from(client?))?;
        }
        for grant in GRANTS.values(self.store.tree()) {
            self.lines.put(&GrantLine::from(grant?))?;
        }
        for connection in &self.connections {
            self.lines.put(&ConnectionLine::from(connection))?;
        }
        Ok(())
    }

    fn users(&mut self) -> Result<()> {
        for connection in &self.connections {
            let id = connection.id.to_string();
            for entry in self.store.tree().range(BLOCKS.below(&[&connection.number.to_be_bytes()])) {
                for (_, record) in Block::decode(&entry?.1)?.records() {
                    self.lines.put(&UserLine::of(&id, &Record::decode(record)?))?;
                }
            }
        }
        Ok(())
    }

    fn passwords(&mut self) -> Result<()> {
        for connection in &self.connections {
            let prefix = CREDENTIALS.key(&[&connection.number.to_be_bytes()]);
            for entry in self.store.tree().scan_prefix(prefix) {
                let (key, value) = entry?;
                let (_, user) = user_of(&key[1..])?;
                self.lines.put(&PasswordLine::of(connection, &user, CREDENTIALS.decode(&value)?))?;
            }
        }
        Ok(())
    }

    fn tickets(&mut self) -> Result<()> {
        for entry in TICKETS.entries(self.store.tree()) {
            let (key, ticket) = entry?;
            let is_its = |connection: &&Connection| connection.id == ticket.connection;
            let Some(connection) = self.connections.iter().find(is_its) else {
                continue;
            };
            let newest = newest_of(connection.number, ticket.user.as_ref(), ticket.leave.kind());
            let hash =
                key[1..].try_into().map_err(|_| StoreError::Corrupt("a ticket has no hash".to_owned()))?;
            let is_newest = NEWEST_TICKETS.get(self.store.tree(), &[&newest])? == Some(hash);
            self.lines.put(&TicketLine::of(hash, ticket, is_newest))?;
        }
        Ok(())
    }

    fn jobs(&mut self) -> Result<()> {
        for job in JOBS.values(self.store.tree()) {
            let job = job?;
            self.lines.put(&JobLine::from(job.clone()))?;
            self.failed_rows(&job)?;
            if QUEUE.get(self.store.tree(), &[&job.ticket.to_be_bytes()])?.is_some() {
                self.unfinished(&job)?;
            }
        }
        Ok(())
    }

    fn failed_rows(&mut self, job: &Job) -> Result<()> {
        let mut from = Some(0);
        while let Some(first) = from {
            let (rows, next) = failures::page(self.store.tree(), job.ticket, first)?;
            for row in rows {
                self.lines.put(&FailedRowLine::of(job.ticket, row))?;
            }
            from = next;
        }
        Ok(())
    }

    /// What only an unfinished job has.
    fn unfinished(&mut self, job: &Job) -> Result<()> {
        let ticket = job.ticket.to_be_bytes();
        for entry in self.store.tree().scan_prefix(CLAIMS.key(&[&ticket])) {
            let (key, value) = entry?;
            let username = String::from_utf8_lossy(&key[1 + ticket.len()..]).into_owned();
            self.lines.put(&ClaimLine { job: job.ticket, username, row: CLAIMS.decode(&value)? })?;
        }
        let file = Spool::of(&self.store.path).read(&job.id).map_err(|error| {
            StoreError::Corrupt(format!(
                "the file of job {} cannot be read: {error}; see intake doctor",
                job.id
            ))
        })?;
        each_piece(file, |offset, data| self.lines.put(&UploadLine { job: job.ticket, offset, data }))
    }

    fn tasks(&mut self) -> Result<()> {
        for task in TASKS.values(self.store.tree()) {
            let task = task?;
            self.lines.put(&TaskLine::from(task.clone()))?;
            self.export_file(&task)?;
        }
        Ok(())
    }

    /// The file of an export that has ended well, unless it is gone.
    fn export_file(&mut self, task: &Task) -> Result<()> {
        let Some(format) = task.file_format() else {
            return Ok(());
        };
        let path = Exports::of(&self.store.path).path(&task.id, format);
        let Some(file) = open_if_there(&path)? else {
            return Ok(());
        };
        let export = task.id.to_string();
        each_piece(file, |offset, data| {
            self.lines.put(&ExportFileLine { export: export.clone(), offset, data })
        })
    }

    fn told(&mut self) -> Result<()> {
        for event in EVENTS.values(self.store.tree()) {
            self.lines.put(&EventLine::from(event?))?;
        }
        for letter in LETTERS.values(self.store.tree()) {
            self.lines.put(&LetterLine::from(letter?))?;
        }
        for stream in STREAMS.values(self.store.tree()) {
            let stream = stream?;
            let progress = STREAM_PROGRESS.get(self.store.tree(), &[stream.id.as_str().as_bytes()])?;
            self.lines.put(&StreamLine::of(stream, progress.unwrap_or_default()))?;
        }
        Ok(())
    }
}

/// How the names of files begin that have private keys: of the one that signs, and of those that did.
const KEYS: [&str; 2] = ["signing-key", "retired-key-"];

/// Whether a file of a data directory has a private key.
pub(super) fn is_signing_key(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    KEYS.iter().any(|key| name.starts_with(key))
        && name.strip_suffix(".pem").is_some_and(|stem| stem.bytes().all(is_plain))
}

/// The signing keys by the names of their files.
fn signing_keys(directory: &Path) -> Result<Vec<(String, String)>> {
    let mut keys = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if is_signing_key(&name) {
            keys.push((name, fs::read_to_string(entry.path())?));
        }
    }
    keys.sort();
    Ok(keys)
}
