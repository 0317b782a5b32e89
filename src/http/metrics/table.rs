//! Every figure there is, with its name and its meaning: the names are an interface, dashboards know them.

use super::super::error::ApiError;
use super::super::{State, now};
use super::book::Book;
use super::process::resident_memory;
use crate::domain::{StreamStatus, Timestamp};
use crate::jobs::Load;
use crate::notify::streams::Lag;
use crate::store::{Condition, Disk, Figures, Store, StoreError};

/// What a scrape asks the rooms for.
pub(super) struct Scraped {
    condition: Condition,
    load: Load,
    /// Missing while the store is not available, as are the streams.
    figures: Option<Figures>,
    streams: Vec<Lag>,
    disk: Option<Disk>,
    memory: Option<u64>,
    at: Timestamp,
}

impl Scraped {
    pub(super) async fn now(state: &State) -> Result<Self, ApiError> {
        let (engine, streams) = (state.engine.clone(), state.streams.clone());
        let scrape = move |store: &Store| {
            Ok(Self {
                condition: store.condition(),
                load: engine.load(),
                figures: available(store.figures())?,
                streams: available(streams.lags())?.unwrap_or_default(),
                disk: store.disk().ok(),
                memory: resident_memory(),
                at: now(),
            })
        };
        state.store(scrape).await
    }
}

/// That the store is being mended is a figure, not a fault of the scrape.
fn available<T>(found: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match found {
        Err(StoreError::Unavailable) => Ok(None),
        found => found.map(Some),
    }
}

/// The figures that were scraped, and the counters.
pub(super) fn table(state: &State, scraped: &Scraped) -> Book {
    let mut book = Book::default();
    let version = [([("version", env!("CARGO_PKG_VERSION"))], 1_u64)];
    book.gauges("intake_build_info", "The version of the program; always 1", version);
    let is_ready = u64::from(matches!(scraped.condition, Condition::Ready | Condition::Full));
    book.gauge("intake_ready", "Whether requests can be served, as /readyz tells", is_ready);
    let is_full = u64::from(scraped.condition == Condition::Full);
    book.gauge(
        "intake_store_full",
        "Whether nothing can be written for want of room (storage.reserve)",
        is_full,
    );
    jobs(&mut book, state, scraped);
    commits(&mut book, state);
    if let Some(figures) = &scraped.figures {
        held(&mut book, figures, scraped.at);
    }
    streams(&mut book, &scraped.streams);
    if let Some(disk) = scraped.disk {
        book.gauge("intake_disk_free_bytes", "Free on the disk of the data directory", disk.free);
        let help = "What uploads must leave free there (storage.min_free_disk)";
        book.gauge("intake_disk_reserve_bytes", help, disk.reserve);
    }
    let requests = state.requests.counts().map(|(class, count)| ([("class", class)], count));
    book.counters("intake_http_requests", "Requests answered, by the class of the status", requests);
    let start = seconds(state.started_at);
    book.gauge("process_start_time_seconds", "When the process was started, in Unix time", start);
    if let Some(bytes) = scraped.memory {
        book.gauge("process_resident_memory_bytes", "Memory the process has in use", bytes);
    }
    book
}

fn jobs(book: &mut Book, state: &State, scraped: &Scraped) {
    let meters = state.store.meters();
    let Load { waiting, running } = scraped.load;
    let unfinished = [("pending", waiting), ("running", running)];
    let help = "Unfinished imports: those that wait for a turn, and those worked on at this moment";
    book.gauges("intake_jobs", help, unfinished.map(|(state, jobs)| ([("state", state)], jobs)));
    book.add("intake_jobs_ended", "Jobs that have ended since the start", meters.ended_jobs.clone());
    let rows = [("inserted", &meters.inserted), ("updated", &meters.updated), ("failed", &meters.failed)];
    let rows = rows.map(|(outcome, rows)| ([("outcome", outcome)], rows.get()));
    book.counters("intake_rows", "Rows that were imported or refused since the start", rows);
    let help = "Rows per second, of all outcomes, over the last ten seconds that are over";
    book.gauge("intake_rows_per_second", help, meters.rows_per_second());
}

fn commits(book: &mut Book, state: &State) {
    let meters = state.store.meters();
    let commits = [("written", &meters.commits), ("failed", &meters.failed_commits)];
    let commits = commits.map(|(outcome, commits)| ([("outcome", outcome)], commits.get()));
    book.counters("intake_store_commits", "Commits of the database since the start", commits);
    let help = "How long commits took that were written, until they were safely on disk";
    book.add("intake_store_commit_duration_seconds", help, meters.commit_seconds.clone());
}

/// What the store holds at this moment.
fn held(book: &mut Book, figures: &Figures, at: Timestamp) {
    let help = "Bytes of the files of unfinished jobs that are still to be worked through";
    book.gauge("intake_jobs_unprocessed_bytes", help, figures.bytes_to_do);
    let users = figures.users.iter().map(|(id, users)| ([("connection", id.as_str().to_owned())], *users));
    book.gauges("intake_users", "Users, by the id of their connection", users.collect::<Vec<_>>());
    let help = "Keys of users in the directory in memory: two or three for each user";
    book.gauge("intake_directory_keys", help, figures.directory_keys);
    book.gauge("intake_directory_bytes", "Memory of that directory", figures.directory_bytes);
    book.gauge("intake_database_bytes", "Files of the database", figures.database_bytes);
    let letters = [("waiting", figures.letters_waiting), ("given_up", figures.letters_given_up)];
    let letters = letters.map(|(state, letters)| ([("state", state)], letters));
    book.gauges("intake_outbox_letters", "Letters that are not sent", letters);
    let age = figures.oldest_letter.map_or(0.0, |written| at.since(written).as_secs_f64());
    book.gauge(
        "intake_outbox_oldest_age_seconds",
        "Age of the oldest letter that waits; 0 if none does",
        age,
    );
}

fn streams(book: &mut Book, streams: &[Lag]) {
    let id = |lag: &Lag| ("stream", lag.id.as_str().to_owned());
    let help = "Events of the tenant log from the first on that the stream has still to send or to pass over";
    let waiting = streams.iter().map(|lag| ([id(lag)], lag.events));
    book.gauges("intake_log_stream_lag_events", help, waiting.collect::<Vec<_>>());
    let delivered = streams.iter().map(|lag| ([id(lag)], lag.delivered));
    let help = "Events that the stream's receiver has taken, since the stream was made";
    book.counters("intake_log_stream_delivered_events", help, delivered.collect::<Vec<_>>());
    let lost = streams.iter().map(|lag| ([id(lag)], lag.lost));
    let help = "Events that were removed by age before the stream could send them, since it was made";
    book.counters("intake_log_stream_lost_events", help, lost.collect::<Vec<_>>());
    let suspended = |lag: &Lag| u64::from(lag.status == StreamStatus::Suspended);
    let suspended = streams.iter().map(|lag| ([id(lag)], suspended(lag)));
    let help = "Whether the stream is suspended, as it failed for too long";
    book.gauges("intake_log_stream_suspended", help, suspended.collect::<Vec<_>>());
}

/// A moment in Unix time.
fn seconds(at: Timestamp) -> f64 {
    at.since(Timestamp::default()).as_secs_f64()
}
