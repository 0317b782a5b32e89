//! `POST /dbconnections/change_password`: a user asks for a link to set a password.
//!
//! **Invariant:** the answer, and the time it takes, is the same whether there is such a user or not.
//! Refusals have the shape that this endpoint always had, `{"error": "…"}`.

use std::fmt;

use actix_web::http::{StatusCode, header};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, ResponseError};
use serde::Deserialize;
use serde_json::json;

use super::body::{Incoming, form_or_json, read_small};
use super::caller;
use super::error::ApiError;
use super::openapi::sent::PasswordRequest;
use super::openapi::told::LegacyRefusal;
use super::rate_limits::whole_seconds;
use super::{State, now};
use crate::domain::{Client, Connection, Origin};
use crate::login::Allowance;

/// Largest request, in bytes.
const LARGEST_REQUEST: u64 = 16 << 10;
/// What everybody is told.
const SENT: &str = "We've just sent you an email to reset your password.";

#[derive(Default, Deserialize)]
struct ResetRequest {
    email: Option<String>,
    connection: Option<String>,
    client_id: Option<String>,
}

/// Sends a link to the user with an address, if there is one; form or JSON.
#[utoipa::path(
    post, path = "/dbconnections/change_password", tag = "login", summary = "Ask for a link to set a password",
    request_body = PasswordRequest,
    responses(
        (status = 200, description = "A link is on its way, if there is such a user", body = String, content_type = "text/html"),
        (status = 400, description = "The request makes no sense", body = LegacyRefusal),
        (status = 429, description = "Too many requests", body = LegacyRefusal, headers(("Retry-After"))),
    ),
)]
pub(super) async fn request_change(
    request: HttpRequest,
    state: Data<State>,
    payload: Incoming,
) -> Result<HttpResponse, LegacyError> {
    let asked = read(&request, payload).await?;
    let given = |text: Option<String>, error| text.filter(|text| !text.is_empty()).ok_or(error);
    let email = given(asked.email, LegacyError::Invalid("email is required"))?;
    let connection = given(asked.connection, LegacyError::Invalid("connection is required"))?;
    let client = client(&state, asked.client_id).await?;
    let connection = find(&state, connection, client.as_ref()).await?;
    let pace = state.logins.pace(caller::address(&request, &state), &connection, &email, now());
    if pace.retry_after.is_some() {
        return Err(LegacyError::TooMany(pace));
    }
    let origin = Origin {
        client_id: client.as_ref().map(|client| client.id.clone()),
        client_name: client.map(|client| client.name),
        ..caller::origin(&request, &state)
    };
    state.logins(move |logins| logins.request_reset(&connection, &email, &origin, now())).await?;
    let mut answer = HttpResponse::Ok();
    rate_headers(&mut answer, &pace);
    Ok(answer.content_type("text/html; charset=utf-8").body(SENT))
}

async fn read(request: &HttpRequest, payload: Incoming) -> Result<ResetRequest, LegacyError> {
    let content = read_small(payload, LARGEST_REQUEST).await?;
    form_or_json(request, &content).ok_or(LegacyError::Invalid("the body must be JSON or a form"))
}

async fn client(state: &State, id: Option<String>) -> Result<Option<Client>, LegacyError> {
    let Some(id) = id.filter(|id| !id.is_empty()) else {
        return Ok(None);
    };
    let client = state.store(move |store| store.client(&id)).await?;
    client.map(Some).ok_or(LegacyError::Invalid("client_id is that of no client"))
}

async fn find(state: &State, name: String, client: Option<&Client>) -> Result<Connection, LegacyError> {
    let connection = state.logins(move |logins| Ok(logins.connection_named(&name)?)).await?;
    let connection =
        connection.ok_or(LegacyError::Invalid("connection is the name of no database connection"))?;
    let is_open =
        |client: &Client| connection.is_domain_connection || connection.enabled_clients.contains(&client.id);
    if client.is_none_or(is_open) {
        Ok(connection)
    } else {
        Err(LegacyError::Invalid("connection is not enabled for the client"))
    }
}

fn rate_headers(answer: &mut HttpResponseBuilder, pace: &Allowance) {
    answer
        .insert_header(("x-ratelimit-limit", pace.limit.to_string()))
        .insert_header(("x-ratelimit-remaining", pace.remaining.to_string()))
        .insert_header(("x-ratelimit-reset", pace.reset.millis().div_ceil(1000).to_string()));
}

/// Why nothing is sent.
#[derive(Debug)]
pub(super) enum LegacyError {
    /// The request makes no sense.
    Invalid(&'static str),
    /// Too many requests from one place, for one user or for all.
    TooMany(Allowance),
    /// Anything else.
    Other(ApiError),
}

impl From<ApiError> for LegacyError {
    fn from(error: ApiError) -> Self {
        Self::Other(error)
    }
}

impl fmt::Display for LegacyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(why) => f.write_str(why),
            Self::TooMany(_) => f.write_str("too many requests for this address, try again later"),
            Self::Other(error) => error.fmt(f),
        }
    }
}

impl ResponseError for LegacyError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Invalid(_) => StatusCode::BAD_REQUEST,
            Self::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Other(error) => error.status_code(),
        }
    }

    fn error_response(&self) -> HttpResponse {
        let mut answer = HttpResponse::build(self.status_code());
        match self {
            Self::Other(error) => return error.error_response(),
            Self::Invalid(_) => {}
            Self::TooMany(pace) => {
                rate_headers(&mut answer, pace);
                let retry_after = pace.retry_after.unwrap_or_default();
                answer.insert_header((header::RETRY_AFTER, whole_seconds(retry_after)));
            }
        }
        answer
            .content_type("application/json; charset=utf-8")
            .body(json!({ "error": self.to_string() }).to_string())
    }
}
