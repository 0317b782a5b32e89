//! Every refusal of the API, and the answer it is; `table` has the words.
//!
//! **Invariant:** the cause of a 500 is logged here, once, and never sent.

mod table;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpResponse, HttpResponseBuilder, ResponseError};
use serde::Serialize;
use tracing::error;
use utoipa::ToSchema;

use super::rate_limits::whole_seconds;
use super::users::UserFault;
use crate::domain::{ConnectionId, Scope};
use crate::login::LoginError;
use crate::store::{Condition, StoreError};
use crate::tokens::TokenFault;

/// Headers of all answers that have no other value for them.
pub(super) const ALWAYS: [(&str, &str); 2] =
    [("cache-control", "no-cache"), ("x-content-type-options", "nosniff")];
/// The code of every 429 of the API.
const TOO_MANY_REQUESTS: &str = "too_many_requests";
/// When to come back for a place among the jobs, in seconds.
const JOB_RETRY: u64 = 5;
/// When to come back to a server that is busy, in seconds.
const BUSY_RETRY: u64 = 5;

/// Which part of a request breaks a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Its body.
    Payload,
    /// Its query parameters.
    Query,
    /// Its path.
    Path,
}

impl Place {
    /// How messages begin, and the code they go with.
    const fn row(self) -> (&'static str, &'static str) {
        match self {
            Self::Payload => ("Payload", "invalid_body"),
            Self::Query => ("Query", "invalid_query_string"),
            Self::Path => ("Path", "invalid_uri"),
        }
    }
}

/// Why a request is refused.
#[derive(Debug)]
pub(super) enum ApiError {
    /// No token was sent.
    MissingAuthentication,
    /// The token sent is no good.
    Token(TokenFault),
    /// The one-time code sent is none, or was one.
    UsedCode,
    /// The token has none of these scopes.
    InsufficientScope(&'static [Scope]),
    /// The body is larger than this, in bytes.
    TooLarge(u64),
    /// The body stopped coming.
    Stalled,
    /// The body comes too slowly.
    Slow,
    /// The head did not come in time.
    HeadOverdue,
    /// The request is no HTTP.
    Malformed,
    /// Path and query are longer than this, in bytes.
    UriTooLong(usize),
    /// There are more headers than this.
    TooManyHeaders(usize),
    /// First line and headers are larger than this, in bytes.
    HeadTooLarge(usize),
    /// The head is more than can be read at all.
    UnreadableHead,
    /// There is no place for another connection.
    TooManyConnections,
    /// There is no place for another upload.
    TooManyUploads,
    /// Something sent breaks a rule.
    Invalid {
        /// Where.
        place: Place,
        /// The rule, worded as in `Expected type boolean but found type string`.
        rule: String,
        /// Of which property or parameter; `None` for the whole.
        property: Option<Cow<'static, str>>,
    },
    /// The `users` part is missing.
    NoUsers,
    /// The `users` part has no bytes.
    EmptyUsers,
    /// The `connection_id` part is missing.
    NoConnectionId,
    /// The `connection_id` part is no id.
    MalformedConnectionId,
    /// The `connection_id` part names no connection.
    UnknownConnection,
    /// The connection holds no users of its own.
    NoDatabase,
    /// The connection is enabled for no client.
    NotEnabled,
    /// The connection asked for is not there.
    NoSuchConnection,
    /// Another connection has the name, or goes by it.
    ConnectionExists,
    /// The connection to be made is no database.
    OnlyDatabases,
    /// The client asked for is not there.
    NoSuchClient,
    /// The grant asked for is not there.
    NoSuchGrant,
    /// The client has a grant for this API already.
    GrantExists,
    /// The user asked for is not there.
    NoSuchUser,
    /// A user cannot be made or changed like that.
    User(UserFault),
    /// The connection that a body names is not there.
    NoConnectionWithId(ConnectionId),
    /// The user a body names lives where there are no passwords.
    NoPasswords,
    /// Too many requests; when to come back.
    GlobalLimit(Duration),
    /// The user of a job that asks to verify an address is not there.
    NoAddressee,
    /// The connection of the identity that a body names is not there.
    NoIdentityConnection,
    /// The user has another identity than the one that a body names.
    NoIdentity,
    /// Too many passwords are being looked at.
    Busy,
    /// A search takes too long.
    SearchOverdue,
    /// A page is beyond the first so many users.
    BeyondFirst(usize),
    /// The language of queries asked for is none that there is; carries its name.
    SearchEngine(String),
    /// The connection to search in is not named in the query.
    SearchByConnection,
    /// The job asked for is not there.
    NoSuchJob,
    /// The job whose errors are asked for is not there.
    NoSuchJobErrors,
    /// The letter asked for is not in the outbox.
    NoSuchLetter,
    /// The log stream asked for is not there.
    NoSuchStream,
    /// The event asked for is not there.
    NoSuchLog,
    /// The link to a file is none of ours, or too old.
    NoGoodLink,
    /// The file of an export is not there any more.
    NoSuchExport,
    /// An upload that unpacks to more than this, in bytes.
    UnpacksTooLarge(u64),
    /// No endpoint has this path.
    NoSuchRoute,
    /// Neither uploads nor reads can be served now.
    NotReady(Condition),
    /// The figures are for callers on this machine only.
    NotLocal,
    /// The endpoint has other methods.
    MethodNotAllowed(String),
    /// The store refuses or fails.
    Store(StoreError),
    /// Something else broke.
    Internal(String),
}

/// The error object.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Error)]
pub(super) struct ErrorObject<'a> {
    /// That of the answer.
    status_code: u16,
    /// What the status is called.
    error: &'a str,
    /// What is wrong.
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attributes: Option<Attributes<'a>>,
}

#[derive(Serialize, ToSchema)]
struct Attributes<'a> {
    error: &'a str,
}

impl ApiError {
    /// A broken machine.
    pub(super) fn internal(cause: impl fmt::Display) -> Self {
        Self::Internal(cause.to_string())
    }

    /// A broken rule.
    pub(super) fn invalid(
        place: Place,
        rule: impl Into<String>,
        property: impl Into<Option<&'static str>>,
    ) -> Self {
        Self::Invalid { place, rule: rule.into(), property: property.into().map(Cow::Borrowed) }
    }

    /// A broken rule, somewhere inside; the whole is where `path` is empty.
    pub(super) fn invalid_at(place: Place, rule: String, path: &str) -> Self {
        let property = (!path.is_empty()).then(|| Cow::Owned(path.to_owned()));
        Self::Invalid { place, rule, property }
    }

    /// The header that goes with it.
    pub(super) fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        let bearer = |text| Some((header::WWW_AUTHENTICATE, HeaderValue::from_static(text)));
        let retry_after = |seconds: u64| Some((header::RETRY_AFTER, seconds.into()));
        match self {
            Self::MissingAuthentication => bearer("Bearer"),
            Self::Token(_) => bearer("Bearer error=\"invalid_token\""),
            Self::MethodNotAllowed(allowed) => Some((header::ALLOW, allowed.parse().ok()?)),
            Self::GlobalLimit(time) => retry_after(whole_seconds(*time)),
            Self::Store(StoreError::TooManyActiveJobs(_) | StoreError::TooManyExports(_)) => {
                retry_after(JOB_RETRY)
            }
            _ => match self.row().status {
                StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => retry_after(BUSY_RETRY),
                _ => None,
            },
        }
    }

    /// Whether what follows on the connection is not waited for.
    fn ends_connection(&self) -> bool {
        use StatusCode as S;
        [S::REQUEST_TIMEOUT, S::URI_TOO_LONG, S::REQUEST_HEADER_FIELDS_TOO_LARGE].contains(&self.row().status)
    }

    /// Writes what someone must act on to the log.
    pub(super) fn log(&self) {
        match self {
            Self::Internal(cause) => error!("answered 500: {cause}"),
            Self::Store(fault) => log_store_fault(fault),
            _ => {}
        }
    }
}

/// What the store cannot do for want of space or at all is someone's business; that it is busy is
/// not.
pub(super) fn log_store_fault(fault: &StoreError) {
    match fault {
        // The last is said once, by the store.
        StoreError::TooManyActiveJobs(_)
        | StoreError::TooManyExports(_)
        | StoreError::TooManyStreams(_)
        | StoreError::JobGone(_)
        | StoreError::BackingUp
        | StoreError::Unavailable
        // Said once, by the store.
        | StoreError::NoRoom(_) => {}
        fault if fault.is_full() => error!("refused what there is no room for: {fault}"),
        fault => error!("answered 500: {fault}"),
    }
}

impl From<StoreError> for ApiError {
    fn from(fault: StoreError) -> Self {
        Self::Store(fault)
    }
}

impl From<LoginError> for ApiError {
    fn from(fault: LoginError) -> Self {
        match fault {
            LoginError::Store(fault) => Self::Store(fault),
            LoginError::Crypto(cause) => Self::Internal(cause),
        }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.row().message)
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.row().status
    }

    fn error_response(&self) -> HttpResponse {
        self.log();
        let row = self.row();
        let reason = match row.status {
            // The name this status had when the API was made.
            StatusCode::PAYLOAD_TOO_LARGE => "Request Entity Too Large",
            status => status.canonical_reason().unwrap_or_default(),
        };
        let attributes = match self {
            Self::Token(_) => Some(Attributes { error: &row.message }),
            _ => None,
        };
        let body = ErrorObject {
            status_code: row.status.as_u16(),
            error: reason,
            message: &row.message,
            error_code: row.code,
            attributes,
        };
        let mut response = HttpResponseBuilder::new(row.status);
        if self.ends_connection() {
            response.force_close();
        }
        response.content_type("application/json; charset=utf-8");
        if let Some(header) = self.header() {
            response.insert_header(header);
        }
        response.body(serde_json::to_string(&body).unwrap_or_default())
    }
}
