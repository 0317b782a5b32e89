//! Every refusal of the API is a row of one table: status, words, code.
//!
//! **Invariant:** the cause of a 500 is logged here, once, and never sent.

use std::borrow::Cow;
use std::fmt;
use std::io::ErrorKind;
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

/// What the client gets to read.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    status: StatusCode,
    message: String,
    code: Option<&'static str>,
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

    fn row(&self) -> Row {
        use StatusCode as S;
        let (status, code, message) = match self {
            Self::MissingAuthentication => (S::UNAUTHORIZED, "", "Missing authentication".into()),
            Self::Token(fault) => (S::UNAUTHORIZED, "", fault.to_string()),
            Self::UsedCode => (S::UNAUTHORIZED, "invalid_code", used_code()),
            Self::InsufficientScope(any_of) => (S::FORBIDDEN, "insufficient_scope", needs(any_of)),
            Self::TooLarge(most) => (
                S::PAYLOAD_TOO_LARGE,
                "",
                format!("Payload content length greater than maximum allowed: {most}"),
            ),
            Self::Stalled => (S::REQUEST_TIMEOUT, "", "The request's body stopped coming.".to_owned()),
            Self::Invalid { place, rule, property } => {
                let (name, code) = place.row();
                let which = property.as_ref().map(|property| format!(" on property {property}"));
                let which = which.unwrap_or_default();
                (S::BAD_REQUEST, code, format!("{name} validation error: '{rule}'{which}."))
            }
            Self::NoSuchConnection => {
                (S::NOT_FOUND, "inexistent_connection", "The connection does not exist".into())
            }
            Self::ConnectionExists => {
                (S::CONFLICT, "conflict", "A connection with the same name already exists".into())
            }
            Self::OnlyDatabases => (
                S::BAD_REQUEST,
                "operation_not_supported",
                "Only database connections (strategy auth0) can be created.".into(),
            ),
            Self::NoSuchClient => (S::NOT_FOUND, "inexistent_client", "The client does not exist".into()),
            Self::NoSuchGrant => {
                (S::NOT_FOUND, "inexistent_client_grant", "The client grant does not exist".into())
            }
            Self::GrantExists => (
                S::CONFLICT,
                "conflict",
                "The client has a grant for this audience already; change that one".into(),
            ),
            Self::NoSuchUser => (S::NOT_FOUND, "inexistent_user", "The user does not exist.".into()),
            Self::User(fault) => fault.row(),
            Self::NoConnectionWithId(id) => (
                S::BAD_REQUEST,
                "inexistent_connection",
                format!("The connection with id {id} does not exist."),
            ),
            Self::NoPasswords => (
                S::BAD_REQUEST,
                "operation_not_supported",
                "The user's main connection does not support this operation.".into(),
            ),
            Self::GlobalLimit(_) => {
                (S::TOO_MANY_REQUESTS, TOO_MANY_REQUESTS, "Global limit has been reached".into())
            }
            Self::Busy => (
                S::SERVICE_UNAVAILABLE,
                "",
                "Too many people are signing in at this moment, please try again in a few seconds.".into(),
            ),
            Self::SearchOverdue | Self::BeyondFirst(_) | Self::SearchEngine(_) | Self::SearchByConnection => {
                self.search_row()
            }
            Self::NoSuchJob => (S::NOT_FOUND, "inexistent_job", "Job not found.".into()),
            Self::NoSuchJobErrors => (S::NOT_FOUND, "inexistent_job", "The job does not exist".into()),
            Self::NoSuchLetter => (S::NOT_FOUND, "inexistent_letter", "Letter not found.".into()),
            Self::NoSuchStream => (S::NOT_FOUND, "", "The log stream does not exist.".into()),
            Self::NoSuchLog => (S::NOT_FOUND, "", "Log not found.".into()),
            Self::NoGoodLink => (
                S::FORBIDDEN,
                "invalid_link",
                "The link is not good any more: ask for the job again, its location is a fresh one.".into(),
            ),
            Self::NoSuchExport => (
                S::NOT_FOUND,
                "inexistent_export",
                "The file of this export is gone: start another export.".into(),
            ),
            Self::UnpacksTooLarge(most) => (
                S::PAYLOAD_TOO_LARGE,
                "",
                format!(
                    "The unpacked file is larger than {most} bytes, the most that is taken (import.max_unpacked_size)"
                ),
            ),
            Self::NoSuchRoute => (S::NOT_FOUND, "", "Not Found".into()),
            Self::NotReady(condition) => (S::SERVICE_UNAVAILABLE, "", not_ready(*condition).into()),
            Self::NotLocal => (S::FORBIDDEN, "", "Figures are told to callers on this machine only, unless the setting metrics.token names a token.".into()),
            Self::MethodNotAllowed(allowed) => {
                (S::METHOD_NOT_ALLOWED, "", format!("Method Not Allowed, expected {allowed}"))
            }
            Self::Store(fault) => store_row(fault),
            Self::Internal(_) => (S::INTERNAL_SERVER_ERROR, "", "Internal error.".into()),
            refused => refused.job_row(),
        };
        Row { status, message, code: Some(code).filter(|code| !code.is_empty()) }
    }

    /// The rows of searches for users.
    fn search_row(&self) -> (StatusCode, &'static str, String) {
        use StatusCode as S;
        match self {
            Self::BeyondFirst(first) => (
                S::BAD_REQUEST,
                "invalid_paging",
                format!(
                    "You can only page through the first {first} records. See POST /api/v2/jobs/users-exports \
                     for all of them."
                ),
            ),
            Self::SearchEngine(engine) => (
                S::BAD_REQUEST,
                "operation_not_supported",
                format!("You are not allowed to use search_engine={engine}. Use search_engine=v3."),
            ),
            Self::SearchByConnection => (
                S::BAD_REQUEST,
                "invalid_query_string",
                "The connection parameter is not supported by search_engine=v3. Use \
                 q=identities.connection:\"<name>\"."
                    .into(),
            ),
            _ => (
                S::SERVICE_UNAVAILABLE,
                "",
                "The query exceeded the timeout. Please try refining your search criteria. See the setting \
                 search.timeout; POST /api/v2/jobs/users-exports gives all users however many they are."
                    .into(),
            ),
        }
    }

    /// The rows of an upload, or an order of another job, that is well formed but cannot be taken.
    fn job_row(&self) -> (StatusCode, &'static str, String) {
        let (code, message) = match self {
            Self::NoUsers => ("invalid_body", "Must provide 'users' file as multipart part."),
            Self::EmptyUsers => ("invalid_body", "Users file must not be empty."),
            Self::NoConnectionId => ("invalid_body", "Must provide 'connection_id' as multipart part."),
            Self::MalformedConnectionId => {
                let pattern = ConnectionId::PATTERN;
                let message = format!(
                    "Payload validation error: 'String does not match pattern {pattern}' on \
                     property connection_id (the id of the connection, not its name)."
                );
                return (StatusCode::BAD_REQUEST, "invalid_body", message);
            }
            Self::UnknownConnection => ("inexistent_connection", "The connection does not exist."),
            Self::NoDatabase => ("operation_not_supported", "Connection must be a database connection."),
            Self::NoAddressee => ("inexistent_user", "The user does not exist."),
            Self::NoIdentityConnection => ("inexistent_connection", "Identity connection does not exist."),
            Self::NoIdentity => ("invalid_body", "The user exists, but does not contain the given identity."),
            _ => ("operation_not_supported", "Connection must be enabled."),
        };
        (StatusCode::BAD_REQUEST, code, message.to_owned())
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
            Self::Store(StoreError::TooManyActiveJobs(_)) => retry_after(JOB_RETRY),
            _ => match self.row().status {
                StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => retry_after(BUSY_RETRY),
                _ => None,
            },
        }
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

fn used_code() -> String {
    "This sign-in link does not work any more: each works once, for a while, until the server is started \
     again. Open the link of the latest start, or paste a token made with: intake token"
        .to_owned()
}

fn not_ready(condition: Condition) -> &'static str {
    match condition {
        Condition::Ready => "The server is ready.",
        Condition::Faulty => "The database had a fault and is about to be reopened.",
        Condition::Reopening => {
            "The database is being reopened after a fault, and the directory of users rebuilt."
        }
    }
}

fn needs(any_of: &[Scope]) -> String {
    let names: Vec<&str> = any_of.iter().map(|scope| scope.name()).collect();
    format!("Insufficient scope, expected any of: {}", names.join(","))
}

fn store_row(fault: &StoreError) -> (StatusCode, &'static str, String) {
    match fault {
        StoreError::Unavailable => (
            StatusCode::SERVICE_UNAVAILABLE,
            "",
            "The database is being reopened, please try again in a few seconds.".to_owned(),
        ),
        StoreError::JobGone(_) => {
            (StatusCode::NOT_FOUND, "inexistent_job", "The job does not exist".to_owned())
        }
        StoreError::TooManyActiveJobs(active) => (
            StatusCode::TOO_MANY_REQUESTS,
            TOO_MANY_REQUESTS,
            format!(
                "There are {active} active import users jobs, please wait until some of them are \
                 finished and try again"
            ),
        ),
        StoreError::TooManyStreams(most) => (
            StatusCode::CONFLICT,
            "",
            format!("There are {most} log streams already, as many as webhooks.max_streams allows."),
        ),
        fault if is_disk_full(fault) => (
            StatusCode::INSUFFICIENT_STORAGE,
            "insufficient_storage",
            "The server's disk is nearly full; try again when there is room.".to_owned(),
        ),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, "", "Internal error.".to_owned()),
    }
}

fn is_disk_full(fault: &StoreError) -> bool {
    match fault {
        StoreError::DiskFull { .. } => true,
        StoreError::Io(error) => matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded),
        _ => false,
    }
}

/// What the store cannot do for want of space or at all is someone's business; that it is busy is
/// not.
pub(super) fn log_store_fault(fault: &StoreError) {
    match fault {
        StoreError::TooManyActiveJobs(_)
        | StoreError::TooManyStreams(_)
        | StoreError::JobGone(_)
        | StoreError::Unavailable => {}
        fault if is_disk_full(fault) => error!("refused an upload: {fault}"),
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
        response.content_type("application/json; charset=utf-8");
        if let Some(header) = self.header() {
            response.insert_header(header);
        }
        response.body(serde_json::to_string(&body).unwrap_or_default())
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may")]
mod tests {
    use actix_web::body::to_bytes;
    use serde_json::{Value, json};

    use super::*;

    async fn answer(error: ApiError) -> (Value, Option<String>) {
        let response = error.error_response();
        let content_type = response.headers().get(header::CONTENT_TYPE).unwrap();
        assert_eq!(content_type, "application/json; charset=utf-8");
        let header = error
            .header()
            .map(|(name, _)| format!("{name}: {}", response.headers().get(&name).unwrap().to_str().unwrap()));
        let status = response.status().as_u16();
        let body: Value = serde_json::from_slice(&to_bytes(response.into_body()).await.unwrap()).unwrap();
        assert_eq!(body["statusCode"], status);
        (body, header)
    }

    #[actix_web::test]
    async fn refusals_read_as_in_the_contract() {
        let (body, header) = answer(ApiError::MissingAuthentication).await;
        let expected = json!({
            "statusCode": 401, "error": "Unauthorized", "message": "Missing authentication",
        });
        assert_eq!((body, header), (expected, Some("www-authenticate: Bearer".to_owned())));
        let (body, _) = answer(ApiError::TooLarge(512_000)).await;
        let expected = json!({
            "statusCode": 413, "error": "Request Entity Too Large",
            "message": "Payload content length greater than maximum allowed: 512000",
        });
        assert_eq!(body, expected);
        let rule = "Expected type boolean but found type string";
        let (body, _) = answer(ApiError::invalid(Place::Payload, rule, "upsert")).await;
        let expected = json!({
            "statusCode": 400, "error": "Bad Request", "errorCode": "invalid_body",
            "message": "Payload validation error: 'Expected type boolean but found type string' \
                        on property upsert.",
        });
        assert_eq!(body, expected);
        let scopes = &[Scope::CreateUsers, Scope::ReadUsers];
        let (body, _) = answer(ApiError::InsufficientScope(scopes)).await;
        let expected = "Insufficient scope, expected any of: create:users,read:users";
        assert_eq!((&body["message"], &body["error"]), (&json!(expected), &json!("Forbidden")));
        let (body, header) = answer(StoreError::TooManyActiveJobs(2).into()).await;
        assert_eq!(body["errorCode"], "too_many_requests");
        assert_eq!(header.as_deref(), Some("retry-after: 5"));
        let full = StoreError::DiskFull { free: 1, needed: 2 };
        assert_eq!(answer(full.into()).await.0["error"], "Insufficient Storage");
    }

    #[actix_web::test]
    async fn the_cause_of_a_500_is_not_told() {
        let (body, _) = answer(StoreError::Corrupt("/secret/path".to_owned()).into()).await;
        assert!(!body.to_string().contains("secret"));
        let (body, _) = answer(ApiError::internal("/secret/path")).await;
        assert_eq!(body["message"], "Internal error.");
    }
}
