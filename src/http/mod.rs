//! The API; actix is named here and nowhere else.
//!
//! | file | endpoints |
//! |---|---|
//! | `imports` | `POST /api/v2/jobs/users-imports` |
//! | `exports` | `POST /api/v2/jobs/users-exports`, `GET /exports/{file}` |
//! | `verification` | `POST /api/v2/jobs/verification-email` |
//! | `jobs` | `GET /api/v2/jobs`, `…/{id}`, `…/{id}/errors` |
//! | `tasks` | the same for jobs that take no file |
//! | `connections` | `/api/v2/connections`, `…/{id}`, `…/{id}/clients`, `…/{id}/users` |
//! | `clients` | `/api/v2/clients`, `…/{id}`, `…/{id}/rotate-secret` |
//! | `grants` | `/api/v2/client-grants`, `…/{id}` |
//! | `logs` | `GET /api/v2/logs`, `…/{id}`, `GET /api/v2/users/{id}/logs` |
//! | `failures` | `…/{id}/errors` by kind of fault and in pages |
//! | `users` | `GET /api/v2/users-by-email`, `POST /api/v2/users`, `GET`, `PATCH`, `DELETE …/{id}` |
//! | `user_search` | `GET /api/v2/users` |
//! | `tickets` | `POST /api/v2/tickets/password-change`, `…/email-verification` |
//! | `outbox` | `GET /api/v2/outbox`, `DELETE …/{id}`, `POST …/{id}/retry` |
//! | `log_streams` | `GET`, `POST /api/v2/log-streams`, `GET`, `PATCH`, `DELETE …/{id}` |
//! | `backups` | `POST /api/v2/backups` |
//! | `absent` | lists of what intake does not have, for tools that ask: always empty |
//! | `oauth` | `POST /oauth/token`, `/.well-known/…` |
//! | `sign_in` | the part of `/oauth/token` that is about users |
//! | `passwords` | `POST /dbconnections/change_password` |
//! | `reset_page` | `/u/reset-password`, the page where passwords are set |
//! | `verification_page` | `/u/email-verification`, the page where addresses are verified |
//! | `page` | `/` and `/static/…`: the status page |
//! | `health` | `/healthz`, `/readyz` |
//! | `metrics` | `/metrics` |
//! | `page_sign_in` | `POST /u/sign-in`: its one-time link |
//!
//! `routes` lists them all. Connections come in by `wire`, and `reload` renews the certificate of https. `bounds` and
//! `pace` say what a request may take, `auth` guards them, `body`, `payload`
//! (JSON and forms) and `upload` read what is sent, `params` what is asked for, `views` and `lists` are what is
//! answered, `hosted` what the pages below `/u` have in common, and `error` every refusal. What holds for all
//! answers is in `cors`, `gzip`, `head` and `rate_limits`.
//!
//! **Invariants:** a handler translates and decides nothing. The store is reached through
//! [`State::store`] only, so that no handler stalls the others. Nobody's body is read before his
//! token was. Every answer that is no success is the API's error object, but for OAuth's, the legacy
//! ones of `passwords` and pages; none ever tells the cause of a 500. No uploaded file is ever in memory as a whole.
//!
//! Deliberately absent: any use of the `Host` header.

mod absent;
mod auth;
mod backups;
mod body;
mod bounds;
mod caller;
mod clients;
mod connections;
mod cors;
mod error;
mod exports;
mod failures;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod grants;
mod gzip;
mod head;
mod health;
mod hosted;
mod imports;
mod jobs;
mod lists;
mod log_streams;
mod logs;
mod metrics;
mod oauth;
mod openapi;
mod outbox;
mod pace;
mod page;
mod page_sign_in;
mod params;
mod passwords;
mod payload;
mod rate_limits;
mod reload;
mod reset_page;
mod routes;
mod sign_in;
mod tasks;
mod tickets;
mod upload;
mod user_search;
mod users;
mod verification;
mod verification_page;
mod views;
mod wire;

use std::fmt;
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use actix_web::http::StatusCode;
use actix_web::rt::spawn;
use actix_web::web::{self, Bytes};
use actix_web::{HttpRequest, HttpResponse};
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::Semaphore;

use crate::domain::Timestamp;
use crate::export::Exports;
use crate::import::Limits;
use crate::jobs::Engine;
use crate::login::{LoginError, Logins};
use crate::notify::streams::Streams;
use crate::store::{Store, StoreError};
use crate::tokens::Tokens;
pub use bounds::Bounds;
use error::ApiError;
pub use metrics::MetricsToken;
pub use pace::Pace;
pub use page_sign_in::OneTimeCode;
pub use rate_limits::RateLimit;
use rate_limits::RateLimits;
pub use wire::{Doors, TlsDoor, listen, serve};

/// The header of answers about connections that tells the largest upload taken, in bytes.
pub const MAX_FILE_SIZE_HEADER: &str = "x-intake-max-file-size";

/// Changes that wait for the store at the same time, each on a thread of its own. More of them wait for their turn
/// without one, as there would be none left for those who only read.
const WRITERS: usize = 64;

/// What handlers share.
pub struct State {
    parts: Parts,
    hostname: String,
    wrong_secrets: oauth::WrongSecrets,
    page_code: Mutex<Option<OneTimeCode>>,
    requests: metrics::Requests,
    rate_limits: Option<RateLimits>,
    uploads: Semaphore,
    writers: Arc<Semaphore>,
    document: OnceLock<Bytes>,
    searches: user_search::Searches,
}

impl Deref for State {
    type Target = Parts;
    fn deref(&self) -> &Parts {
        &self.parts
    }
}

/// What the API needs.
pub struct Parts {
    /// Everything on disk.
    pub store: Arc<Store>,
    /// Who works on jobs.
    pub engine: Arc<Engine>,
    /// Who makes tokens.
    pub tokens: Tokens,
    /// Who signs users in.
    pub logins: Arc<Logins>,
    /// Largest request body of an upload, in bytes.
    pub max_file_size: u64,
    /// Largest file that is unpacked from an upload, in bytes.
    pub max_unpacked_size: u64,
    /// Who works on exports.
    pub exports: Arc<Exports>,
    /// How many exports may wait to be made.
    pub max_pending_exports: usize,
    /// How long a link to the file of an export is good.
    pub link_lifetime: Duration,
    /// The rules for users that can be set.
    pub limits: Limits,
    /// The URL clients reach us by, without a slash at its end.
    pub public_url: String,
    /// What clients may take.
    pub bounds: Bounds,
    /// How long a connection may be idle.
    pub idle_timeout: Duration,
    /// Proxies whose word on addresses is taken.
    pub trusted_proxies: Vec<IpAddr>,
    /// Origins whose pages may use the API from a browser.
    pub cors_origins: Vec<String>,
    /// How many requests one client may make, if that is limited.
    pub rate_limit: Option<RateLimit>,
    /// Name of this installation.
    pub tenant: String,
    /// Who sends events.
    pub streams: Arc<Streams>,
    /// How long a search for users may take.
    pub search_timeout: Duration,
    /// How many searches may look at everybody at the same time.
    pub max_searches: usize,
    /// Who may read the figures.
    pub metrics_token: MetricsToken,
    /// When the process was started.
    pub started_at: Timestamp,
}

impl State {
    /// Everything handlers need; with `page_code` somebody may sign in to the status page once.
    pub fn new(parts: Parts, page_code: Option<OneTimeCode>) -> Self {
        let host = parts.public_url.split("://").nth(1).and_then(|rest| rest.split(['/', ':']).next());
        let hostname = host.unwrap_or_default().to_owned();
        let page_code = Mutex::new(page_code);
        let rate_limits = parts.rate_limit.map(RateLimits::new);
        let uploads = Semaphore::new(parts.bounds.max_uploads.min(Semaphore::MAX_PERMITS));
        let writers = Arc::new(Semaphore::new(WRITERS));
        let searches = user_search::Searches::new(parts.max_searches, parts.search_timeout);
        let (wrong_secrets, requests, document) = Default::default();
        Self {
            parts,
            hostname,
            wrong_secrets,
            page_code,
            requests,
            rate_limits,
            uploads,
            writers,
            document,
            searches,
        }
    }

    /// That of the server which a request came to.
    fn of(request: &HttpRequest) -> Result<&web::Data<Self>, ApiError> {
        request.app_data().ok_or_else(|| ApiError::internal("the routes have no state"))
    }

    /// Runs `work` on a thread that may wait. It starts at once, and is not stopped when the
    /// answer is no longer wanted.
    fn store<T, F>(&self, work: F) -> impl Future<Output = Result<T, ApiError>> + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    {
        let store = self.store.clone();
        let done = web::block(move || work(&store));
        async move {
            let done = done.await.map_err(|_| ApiError::internal("a store call panicked"))?;
            Ok(done?)
        }
    }

    /// The same for what changes something, which begins in its turn.
    fn change<T, F>(&self, work: F) -> impl Future<Output = Result<T, ApiError>> + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    {
        let store = self.store.clone();
        let done = self.in_turn(move || work(&store));
        async move {
            let done = done.await.ok_or_else(|| ApiError::internal("a store call panicked"))?;
            Ok(done?)
        }
    }

    /// Runs `work` on a thread that may wait, once there are few enough of those that do; nobody has to wait for it.
    /// `None` if it panicked.
    fn in_turn<T, F>(&self, work: F) -> impl Future<Output = Option<T>> + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let writers = self.writers.clone();
        let done = spawn(async move {
            let _turn = writers.acquire_owned().await; // an error only where it was closed, which it never is
            web::block(work).await
        });
        async move { done.await.ok()?.ok() }
    }

    /// The same as [`State::change`] for what is about signing in.
    fn logins<T, F>(&self, work: F) -> impl Future<Output = Result<T, ApiError>> + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce(&Logins) -> Result<T, LoginError> + Send + 'static,
    {
        let logins = self.logins.clone();
        let done = self.in_turn(move || work(&logins));
        async move {
            let done = done.await.ok_or_else(|| ApiError::internal("a sign-in panicked"))?;
            Ok(done?)
        }
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").finish_non_exhaustive()
    }
}

/// An answer with a JSON body.
fn json(status: StatusCode, body: &impl Serialize) -> Result<HttpResponse, ApiError> {
    let body = serde_json::to_string(body).map_err(ApiError::internal)?;
    Ok(HttpResponse::build(status).content_type("application/json; charset=utf-8").body(body))
}

/// An answer without a body; like all others it says what that would be.
fn no_content() -> HttpResponse {
    HttpResponse::NoContent().content_type("application/json; charset=utf-8").finish()
}

/// Where the time of day enters.
fn now() -> Timestamp {
    SystemTime::now().into()
}
