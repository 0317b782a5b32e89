//! The command line: what can be asked, and how it is answered.
//!
//! `import` is an HTTP client like any other: even for the data directory at hand it talks to a
//! server, its own if none is running. Results go to stdout, everything said along the way to stderr.

mod backup;
mod check;
mod client;
mod doctor;
mod dump;
mod host;
mod import;
mod load;
mod outcome;
mod owner;
mod panics;
mod parts;
mod place;
mod queue;
mod report;
mod restore;
mod rotate_key;
mod said;
mod serve;
mod signals;
mod source;
mod still;
mod token;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use rustix::fs::Mode;

use crate::config::{Settings, parse_bind};
use crate::domain::{Scope, UnknownScope};
use said::notice;

/// How a command ended, as the shell sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All went well; of an import: every row is in.
    Done = 0,
    /// The command could not run, or a job failed.
    Failed = 1,
    /// Not what can be asked for.
    WrongUsage = 2,
    /// An import finished with failed rows.
    FailedRows = 3,
    /// A check found something.
    Findings = 4,
}

impl Exit {
    /// The worst first.
    fn severity(self) -> u8 {
        match self {
            Self::WrongUsage => 0,
            Self::Failed => 1,
            Self::Findings => 2,
            Self::FailedRows => 3,
            Self::Done => 4,
        }
    }
}

/// What stopped a command, worded for the person who typed it.
#[derive(Debug)]
pub(crate) enum Problem {
    /// It could not run, or not to its end.
    Failed(String),
    /// It makes no sense.
    WrongUsage(String),
    /// Whoever read what came out has heard enough.
    ReaderGone,
}

impl<E: std::error::Error + 'static> From<E> for Problem {
    fn from(error: E) -> Self {
        if said::is_reader_gone(&error) { Self::ReaderGone } else { Self::Failed(error.to_string()) }
    }
}

impl Problem {
    fn new(text: impl Into<String>) -> Self {
        Self::Failed(text.into())
    }

    /// Of what was typed.
    fn of_usage(text: impl Into<String>) -> Self {
        Self::WrongUsage(text.into())
    }

    /// How the command ended by it, which is told unless nobody wants to know.
    fn end(&self) -> Exit {
        match self {
            Self::ReaderGone => Exit::Failed,
            Self::Failed(_) => {
                notice(format_args!("intake: {self}"));
                Exit::Failed
            }
            Self::WrongUsage(_) => {
                notice(format_args!("intake: {self}"));
                Exit::WrongUsage
            }
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(words) | Self::WrongUsage(words) => f.write_str(words),
            Self::ReaderGone => f.write_str("nobody reads standard output any more"),
        }
    }
}

/// Takes a user base in: a self-hosted server for Auth0-compatible bulk user imports.
#[derive(Debug, Parser)]
#[command(name = "intake", version, subcommand_required = true, arg_required_else_help = true)]
#[command(after_help = "Examples:
  intake import users.json          import a file into the data directory ./intake-data
  intake serve                      run the server on 127.0.0.1:3000
  intake serve --ephemeral          run a throwaway server for tests

Settings are read from ./import.toml and from INTAKE_… environment variables.")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(Serve),
    Import(Import),
    Check(Check),
    Token(Token),
    Backup(Backup),
    Restore(Restore),
    RotateKey(RotateKey),
    Dump(Dump),
    Load(Load),
    Doctor(Doctor),
}

/// Where the settings are.
#[derive(Debug, Args)]
struct ConfigFile {
    /// Settings file (default: ./import.toml, if there is one)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl ConfigFile {
    fn load(&self) -> Result<Settings, Problem> {
        Ok(Settings::load(self.config.as_deref(), std::env::vars_os())?)
    }
}

/// Run the server
///
/// Listens for uploads and works on them. What is accepted is on disk: stop the server in any way
/// you like, the next start goes on where it was. Ctrl-C and SIGTERM end it within seconds.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  intake serve
  intake serve --bind 0.0.0.0:8080 --config /etc/intake.toml
  intake serve --ephemeral          a throwaway server: temporary data, free port, and as first
                                    line on stdout a JSON object with url, domain, token,
                                    client_id, client_secret, connection_id, connection, page
                                    and http_url
  intake serve --ephemeral --tls    the same with https and a throwaway certificate; clients
                                    have to trust the file named as ca_file

Exit status: 0 stopped when asked, 1 could not run, 2 wrong usage.")]
#[expect(clippy::struct_excessive_bools, reason = "switches of a command line")]
struct Serve {
    #[command(flatten)]
    config: ConfigFile,
    /// Keep everything in a temporary directory that is removed at exit, and take a free port
    #[arg(long)]
    ephemeral: bool,
    /// Address and port for plain http (default: server.bind, 127.0.0.1:3000)
    #[arg(long, value_name = "ADDR", value_parser = parse_bind)]
    bind: Option<SocketAddr>,
    /// Insist on https: with --ephemeral by a throwaway certificate, else by that of the settings
    #[arg(long)]
    tls: bool,
    /// Address and port for https (default: server.tls.bind, 127.0.0.1:3443)
    #[arg(long, value_name = "ADDR", value_parser = parse_bind)]
    tls_bind: Option<SocketAddr>,
    /// Go on without commits that were acknowledged and are missing, where a start without this is refused
    #[arg(long, conflicts_with = "ephemeral")]
    accept_loss: bool,
    /// Show no secret of a new client and make no link to sign in to the status page: for services, whose
    /// output is kept
    #[arg(long, conflicts_with = "ephemeral")]
    no_secrets: bool,
}

/// Import files of users and wait for the outcome of every row
///
/// Each file is a JSON array of users; `-` is standard input. Without --url the data directory of the
/// settings is used, by its running server if there is one. A file above the server's size limit is
/// cut between rows into several jobs; row numbers stay those of the file.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  intake import users.json
  intake import users.json --upsert --external-id nightly-7
  zcat users.json.gz | intake import - --connection staff-db
  intake import users.json --url https://users.example.com --token \"$TOKEN\"

Exit status: 0 all rows are in, 1 could not run or a job failed, 2 wrong usage,
3 finished with failed rows.")]
struct Import {
    /// Files to import, `-` for standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Name or id of the connection (default: the only one there is)
    #[arg(long, value_name = "NAME-or-ID")]
    connection: Option<String>,
    /// Let rows of existing users change them, instead of failing
    #[arg(long)]
    upsert: bool,
    /// Your own id for this import, shown with its jobs
    #[arg(long, value_name = "ID")]
    external_id: Option<String>,
    /// Send no mail when a job ends
    #[arg(long)]
    no_email: bool,
    /// Print the result as JSON on stdout
    #[arg(long)]
    json: bool,
    /// Where to write the failed rows (default: FILE with the ending .report.json)
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// URL of a running server
    #[arg(long, requires = "token")]
    url: Option<String>,
    /// File with the certificates (PEM) to trust for --url, in place of the public ones
    #[arg(long, value_name = "FILE", requires = "url")]
    ca_file: Option<PathBuf>,
    /// Access token for --url with the scopes create:users and read:connections
    #[arg(long, requires = "url")]
    token: Option<String>,
    #[command(flatten)]
    config: ConfigFile,
}

/// Check a file of users offline: the same rules for rows, nothing is stored
///
/// What can't be known offline is whether a user is there already.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  intake check users.json
  zcat users.json.gz | intake check - --json

Exit status: 0 nothing found, 1 could not run, 2 wrong usage, 4 something is wrong with the file
or with rows of it.")]
struct Check {
    /// File to check, `-` for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print the result as JSON on stdout
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigFile,
}

/// Make an access token for the API
///
/// Signed with the key in the data directory; the server may be running or not.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  TOKEN=$(intake token)
  intake token --scope \"read:users read:connections\" --ttl 15m

Exit status: 0 the token is on stdout, 1 could not run, 2 wrong usage.")]
struct Token {
    /// What the token may do, separated by blanks (default: everything)
    #[arg(long, value_name = "SCOPES")]
    scope: Option<Scopes>,
    /// How long it is valid, e.g. 15m or 24h (default: tokens.lifetime)
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    ttl: Option<Duration>,
    #[command(flatten)]
    config: ConfigFile,
}

/// What a token may do, as it is typed.
#[derive(Debug, Clone)]
struct Scopes(Vec<Scope>);

impl FromStr for Scopes {
    type Err = UnknownScope;
    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        text.split_whitespace().map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

/// Copy the data directory to DIR, which is then one itself
///
/// The server may go on meanwhile: it makes the copy, and nobody waits but writers for as long as the database's
/// files take to be copied. Without a running server the directory is opened for as long as it takes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  intake backup /backups/monday
  intake backup /backups/$(date +%F) --json

The backup holds secrets, as the data directory does: the signing key, hashes of passwords, mail.
It is whole when backup.json is in it; every file has its checksum there.

Exit status: 0 the backup is made and on disk, 1 could not run, 2 wrong usage.")]
struct Backup {
    /// Where to make it: a directory that is empty or not there
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Print what was made as JSON on stdout
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigFile,
}

/// Make the backup in DIR the data directory of the settings
///
/// That has to be empty or not there, and the backup has to be what it was, to the last byte. What came after the
/// backup is not in it; letters and events that were sent since are sent again.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  intake restore /backups/monday
  INTAKE_STORAGE_PATH=/tmp/look intake restore /backups/monday     somewhere else, to look at it

Exit status: 0 the data directory is there and opens, 1 could not run, 2 wrong usage.")]
struct Restore {
    /// The backup
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Print what was restored as JSON on stdout
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigFile,
}

/// Make a new signing key
///
/// New tokens are signed with it, and a server that runs uses it at once, without a restart. Tokens and links
/// made with the old key stay good until they expire, and both keys are shown to those who check tokens. This
/// is also how tokens.algorithm is changed: set it, then rotate.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  intake rotate-key
  intake rotate-key --overlap 30d   where tokens were made that live longer than tokens.lifetime
  intake rotate-key --now           the old key has leaked: what it has signed is refused from now on

Exit status: 0 the new key is in use, 1 could not run, 2 wrong usage.")]
struct RotateKey {
    /// How long tokens of the old key stay good, e.g. 36h (default: tokens.lifetime)
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    overlap: Option<Duration>,
    /// Refuse all that was signed before, by the old key or any other that is still believed
    #[arg(long, conflicts_with = "overlap")]
    now: bool,
    #[command(flatten)]
    config: ConfigFile,
}

/// Write all data as text that outlives this program
///
/// Lines of JSON in the format of docs/dump-format.md: users with their metadata byte for byte,
/// passwords (hashed), connections, clients, jobs with their failed rows, the tenant log, log streams,
/// letters, signing keys. It holds secrets: the file is readable for you alone. A server may be running:
/// it makes a copy, which is dumped.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  intake dump users-2026-11.dump.gz
  intake dump | gpg --encrypt --recipient ops > intake.dump.gpg

A FILE that ends in .gz is packed. One that is there already is never overwritten.

Exit status: 0 all of it was written, 1 could not run, 2 wrong usage.")]
struct Dump {
    /// File to write, `-` for standard output unless that is a terminal
    #[arg(value_name = "FILE", default_value = "-")]
    file: PathBuf,
    /// Print how many lines there are of each kind as JSON on stdout
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigFile,
}

/// Make a data directory of a dump
///
/// The data directory of the settings must be missing or empty; a server on it goes on as the dumped
/// one would have. If anything is wrong with the dump nothing is made, and the line is named.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  intake load users-2026-11.dump.gz
  INTAKE_STORAGE_PATH=/srv/intake intake load intake.dump
  gpg --decrypt intake.dump.gpg | intake load -

Exit status: 0 all of it was loaded, 1 could not run, or the dump is no good, 2 wrong usage.")]
struct Load {
    /// Dump to load, packed or not, `-` for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print how many lines there were of each kind as JSON on stdout
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigFile,
}

/// Examine a data directory and say what is wrong with it
///
/// Reads every value and holds it against the others: users, keys, jobs against their rows and files,
/// passwords, the log. If a server is running on the data directory of the settings, it makes a copy, and
/// that is examined. Nothing is changed but by opening the database, which recovers its log as every start
/// does; a backup is left as it is to the last byte.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  intake doctor
  intake doctor /backups/intake-2026-11-30

Each finding is one line: its name, what is wrong, and after -> what to do.

Exit status: 0 nothing found, 1 could not run, 2 wrong usage, 4 something is wrong.")]
struct Doctor {
    /// Data directory or backup (default: that of the settings, storage.path)
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
    /// Print the findings as JSON on stdout
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigFile,
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    // Whatever is written, by us or by libraries, holds people's data: nobody else may read it.
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    let command = match Arguments::try_parse() {
        Ok(arguments) => arguments.command,
        // What was asked for is the help, and has to be written as every result.
        Err(help) if !help.use_stderr() => {
            let told = said::help(&help);
            return ExitCode::from(
                told.map_or_else(|error| Problem::from(error).end(), |()| Exit::Done) as u8
            );
        }
        Err(wrong) => wrong.exit(),
    };
    let outcome = signals::outlive_file_limit().map_err(Problem::from).and_then(|()| match command {
        Command::Serve(serve) => serve.run(),
        Command::Import(import) => import.run(),
        Command::Check(check) => check.run(),
        Command::Token(token) => token.run(),
        Command::Backup(backup) => backup.run(),
        Command::Restore(restore) => restore.run(),
        Command::RotateKey(rotate_key) => rotate_key.run(),
        Command::Dump(dump) => dump.run(),
        Command::Load(load) => load.run(),
        Command::Doctor(doctor) => doctor.run(),
    });
    ExitCode::from(outcome.unwrap_or_else(|problem| problem.end()) as u8)
}
