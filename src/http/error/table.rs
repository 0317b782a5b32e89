//! The table: status, code and words of every refusal. An empty code is left out.

use actix_web::http::StatusCode;

use super::{ApiError, TOO_MANY_REQUESTS};
use crate::domain::{ConnectionId, Scope};
use crate::store::{Condition, NoRoom, StoreError};

/// What the client gets to read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) status: StatusCode,
    pub(super) message: String,
    pub(super) code: Option<&'static str>,
}

impl ApiError {
    /// Its row.
    pub(super) fn row(&self) -> Row {
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
            Self::Stalled
            | Self::Slow
            | Self::HeadOverdue
            | Self::Malformed
            | Self::UriTooLong(_)
            | Self::TooManyHeaders(_)
            | Self::HeadTooLarge(_)
            | Self::UnreadableHead
            | Self::TooManyConnections
            | Self::TooManyUploads
            | Self::UnpacksTooLarge(_) => self.wire_row(),
            Self::Invalid { place, rule, property } => {
                let (name, code) = place.row();
                let which = property.as_ref().map(|property| format!(" on property {property}"));
                let which = which.unwrap_or_default();
                (S::BAD_REQUEST, code, format!("{name} validation error: '{rule}'{which}."))
            }
            Self::ConnectionExists => {
                (S::CONFLICT, "conflict", "A connection with the same name already exists".into())
            }
            Self::OnlyDatabases => (
                S::BAD_REQUEST,
                "operation_not_supported",
                "Only database connections (strategy auth0) can be created.".into(),
            ),
            Self::GrantExists => (
                S::CONFLICT,
                "conflict",
                "The client has a grant for this audience already; change that one".into(),
            ),
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
            Self::NoGoodLink => (
                S::FORBIDDEN,
                "invalid_link",
                "The link is not good any more: ask for the job again, its location is a fresh one.".into(),
            ),
            Self::NoSuchRoute => (S::NOT_FOUND, "", "Not Found".into()),
            Self::NotReady(condition) => (S::SERVICE_UNAVAILABLE, "", not_ready(*condition).into()),
            Self::NotLocal => (S::FORBIDDEN, "", "Figures are told to callers on this machine only, unless the setting metrics.token names a token.".into()),
            Self::MethodNotAllowed(allowed) => {
                (S::METHOD_NOT_ALLOWED, "", format!("Method Not Allowed, expected {allowed}"))
            }
            Self::Store(fault) => store_row(fault),
            Self::Internal(_) => (S::INTERNAL_SERVER_ERROR, "", "Internal error.".into()),
            Self::NoSuchConnection
            | Self::NoSuchClient
            | Self::NoSuchGrant
            | Self::NoSuchUser
            | Self::NoSuchExport
            | Self::NoSuchJob
            | Self::NoSuchJobErrors
            | Self::NoSuchLetter
            | Self::NoSuchStream
            | Self::NoSuchLog => self.absent_row(),
            Self::NoUsers
            | Self::EmptyUsers
            | Self::NoConnectionId
            | Self::MalformedConnectionId
            | Self::UnknownConnection
            | Self::NoDatabase
            | Self::NotEnabled
            | Self::NoAddressee
            | Self::NoIdentityConnection
            | Self::NoIdentity => self.job_row(),
        };
        Row { status, message, code: Some(code).filter(|code| !code.is_empty()) }
    }

    /// The rows of requests that take too much.
    fn wire_row(&self) -> (StatusCode, &'static str, String) {
        use StatusCode as S;
        let (status, message) = match self {
            Self::Stalled => (S::REQUEST_TIMEOUT, "The request's body stopped coming.".to_owned()),
            Self::Slow => (S::REQUEST_TIMEOUT, "The request's body comes too slowly.".to_owned()),
            Self::HeadOverdue => {
                (S::REQUEST_TIMEOUT, "The request's headers did not come in time.".to_owned())
            }
            Self::UriTooLong(most) => (
                S::URI_TOO_LONG,
                format!("Path and query are longer than {most} bytes, the most that is taken."),
            ),
            Self::TooManyHeaders(most) => (
                S::REQUEST_HEADER_FIELDS_TOO_LARGE,
                format!("There are more than {most} headers, the most that are taken."),
            ),
            Self::HeadTooLarge(most) => (
                S::REQUEST_HEADER_FIELDS_TOO_LARGE,
                format!("The headers are larger than {most} bytes, the most that is taken."),
            ),
            Self::UnreadableHead => (
                S::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "There are too many headers, or too large ones.".to_owned(),
            ),
            Self::TooManyConnections => (
                S::SERVICE_UNAVAILABLE,
                "There are too many connections, please try again in a few seconds.".to_owned(),
            ),
            Self::TooManyUploads => (
                S::SERVICE_UNAVAILABLE,
                "There are too many uploads, please try again in a few seconds.".to_owned(),
            ),
            Self::UnpacksTooLarge(most) => (
                S::PAYLOAD_TOO_LARGE,
                format!(
                    "The unpacked file is larger than {most} bytes, the most that is taken (import.max_unpacked_size)"
                ),
            ),
            _ => (S::BAD_REQUEST, "The request is not well-formed HTTP.".to_owned()),
        };
        (status, "", message)
    }

    /// The rows of things that are not there.
    fn absent_row(&self) -> (StatusCode, &'static str, String) {
        let (code, message) = match self {
            Self::NoSuchConnection => ("inexistent_connection", "The connection does not exist"),
            Self::NoSuchClient => ("inexistent_client", "The client does not exist"),
            Self::NoSuchGrant => ("inexistent_client_grant", "The client grant does not exist"),
            Self::NoSuchUser => ("inexistent_user", "The user does not exist."),
            Self::NoSuchExport => {
                ("inexistent_export", "The file of this export is gone: start another export.")
            }
            Self::NoSuchJob => ("inexistent_job", "Job not found."),
            Self::NoSuchJobErrors => ("inexistent_job", "The job does not exist"),
            Self::NoSuchLetter => ("inexistent_letter", "Letter not found."),
            Self::NoSuchStream => ("", "The log stream does not exist."),
            _ => ("", "Log not found."),
        };
        (StatusCode::NOT_FOUND, code, message.to_owned())
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
}

fn used_code() -> String {
    "This sign-in link does not work any more: each works once, for a while, until the server is started \
     again. Open the link of the latest start, or paste a token made with: intake token"
        .to_owned()
}

fn not_ready(condition: Condition) -> &'static str {
    match condition {
        Condition::Ready | Condition::Full => "The server is ready.",
        Condition::Removed => "The data directory was removed or moved: nothing can be kept any more.",
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
        StoreError::TooManyExports(most) => (
            StatusCode::TOO_MANY_REQUESTS,
            TOO_MANY_REQUESTS,
            format!(
                "There are {most} users exports that are not done, as many as exports.max_pending allows, \
                 please wait until some of them are finished and try again"
            ),
        ),
        StoreError::TooManyStreams(most) => (
            StatusCode::CONFLICT,
            "",
            format!("There are {most} log streams already, as many as webhooks.max_streams allows."),
        ),
        StoreError::TooLarge { bytes, most } => (
            StatusCode::BAD_REQUEST,
            "invalid_body",
            format!("Payload validation error: 'Too large to be kept ({bytes} bytes), maximum {most}'."),
        ),
        StoreError::BackingUp => (
            StatusCode::CONFLICT,
            "conflict",
            "A backup is being made already, please try again when it is done".to_owned(),
        ),
        StoreError::NoRoom(removed @ NoRoom::Removed) => {
            (StatusCode::SERVICE_UNAVAILABLE, "", format!("Refused: {removed}."))
        }
        fault if fault.is_full() => (
            StatusCode::INSUFFICIENT_STORAGE,
            "insufficient_storage",
            format!("The server has no room for this: {fault}. Try again when there is room."),
        ),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, "", "Internal error.".to_owned()),
    }
}
