//! Why a user is not made or changed: rows of the table of refusals.

use actix_web::http::StatusCode;

use super::super::error::{ApiError, Place};
use crate::domain::{Code, Fault};

/// Why a user is not made or changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum UserFault {
    /// Somebody has the address, the user name or the id.
    Exists,
    /// Somebody else has what is to be the user's address.
    EmailTaken,
    /// Somebody else has what is to be the user's name.
    UsernameTaken,
    /// The password breaks a rule of the connection.
    WeakPassword,
    /// No connection has the name that is given.
    NoConnection,
    /// The connection is that of other users.
    OtherConnection,
    /// The connection is enabled for no client.
    Disabled,
    /// The connection holds no users of its own.
    NoDatabase,
    /// Users of the connection have no user names.
    NoUsernames,
    /// Users of the connection must have user names.
    UsernameMissing,
    /// These two cannot be changed in one request.
    Together(&'static str, &'static str),
}

impl UserFault {
    /// What the client gets to read.
    pub(in crate::http) fn row(self) -> (StatusCode, &'static str, String) {
        use StatusCode as S;
        let (status, code, message) = match self {
            Self::Exists => (S::CONFLICT, "auth0_idp_error", "The user already exists."),
            Self::EmailTaken => (S::CONFLICT, "auth0_idp_error", "The specified new email already exists"),
            Self::UsernameTaken => {
                (S::CONFLICT, "auth0_idp_error", "The specified new username already exists")
            }
            Self::WeakPassword => {
                (S::BAD_REQUEST, "invalid_password", "PasswordStrengthError: Password is too weak")
            }
            Self::NoConnection => (S::BAD_REQUEST, "inexistent_connection", "Connection does not exist."),
            Self::OtherConnection => {
                (S::BAD_REQUEST, "inexistent_connection", "The user is not in the given connection.")
            }
            Self::Disabled => (S::BAD_REQUEST, UNSUPPORTED, "Connection is disabled."),
            Self::NoDatabase => (
                S::BAD_REQUEST,
                UNSUPPORTED,
                "Connection does not support user creation through the API. It must either be a database or \
                 passwordless connection.",
            ),
            Self::NoUsernames => {
                (S::BAD_REQUEST, UNSUPPORTED, "Cannot set username for connection without requires_username.")
            }
            Self::UsernameMissing => {
                (S::BAD_REQUEST, UNSUPPORTED, "Missing username for connection with requires_username.")
            }
            Self::Together(one, other) => {
                let message = format!("Cannot update {one} and {other} simultaneously.");
                return (S::BAD_REQUEST, UNSUPPORTED, message);
            }
        };
        (status, code, message.to_owned())
    }
}

const UNSUPPORTED: &str = "operation_not_supported";

impl From<UserFault> for ApiError {
    fn from(fault: UserFault) -> Self {
        Self::User(fault)
    }
}

/// The refusal of a body with these faults: the first counts, but all members that nobody knows are named.
pub(super) fn broken(faults: &[Fault]) -> ApiError {
    let Some(first) = faults.first() else {
        return ApiError::internal("a body was refused without a fault");
    };
    let path = first.path.as_deref().unwrap_or_default();
    let (rule, path) = match first.code {
        Code::ObjectAdditionalProperties => {
            (format!("Additional properties not allowed: {}", strangers(faults)), "")
        }
        Code::ObjectRequired => (first.rule().to_owned(), ""),
        _ => (first.rule().to_owned(), path),
    };
    ApiError::invalid_at(Place::Payload, rule, path)
}

fn strangers(faults: &[Fault]) -> String {
    let strangers = faults.iter().filter(|fault| fault.code == Code::ObjectAdditionalProperties);
    strangers.filter_map(|fault| fault.path.as_deref()).collect::<Vec<_>>().join(",")
}
