//! `POST /api/v2/tickets/password-change`: a link to set a password, for the caller to deliver.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::Data;
use serde_json::json;
use url::Url;

use super::auth::{CreateTickets, Granted};
use super::error::ApiError;
use super::payload::{self, Object, Payload};
use super::{State, json};
use crate::domain::{Connection, ConnectionId, User, UserId};
use crate::login::TicketWish;

/// How long a link is good if nothing is said.
const LIFETIME: Duration = Duration::from_hours(5 * 24);
/// The longest that can be said, in seconds.
const MAX_LIFETIME: u64 = 30 * 24 * 60 * 60;
/// Longest `result_url`, in characters.
const MAX_URL: usize = 2000;

/// Whose password.
#[derive(Debug)]
enum Whose {
    User(String),
    Address(ConnectionId, String),
}

/// Makes a link; `201` and the link. No mail is sent.
pub(super) async fn create(
    granted: Granted<CreateTickets>,
    state: Data<State>,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let (whose, wish) = read(payload::read_object(payload).await?)?;
    if let Some(id) = wish.client_id.clone()
        && state.store(move |store| store.client(&id)).await?.is_none()
    {
        return Err(ApiError::invalid(
            super::error::Place::Payload,
            "There is no client with this id",
            "client_id",
        ));
    }
    let (user, connection) = find(&state, whose).await?;
    if !connection.is_database() {
        return Err(ApiError::NoPasswords);
    }
    let event = granted.caller.success(StatusCode::CREATED).about(&connection).about_user(&user);
    let made = state
        .logins(move |logins| logins.create_ticket(&user, &connection, &wish, event.into(), super::now()));
    let link = made.await?.ok_or(ApiError::NoSuchUser)?;
    json(StatusCode::CREATED, &json!({ "ticket": link }))
}

fn read(mut body: Object) -> Result<(Whose, TicketWish), ApiError> {
    let user = body.text("user_id", 1..=200)?;
    let connection: Option<ConnectionId> = body.parsed("connection_id")?;
    let email = body.text("email", 1..=254)?;
    let result_url = body.text("result_url", 1..=MAX_URL)?;
    let result_url = result_url.map(|text| web_url(&text).ok_or_else(|| not_web(&body))).transpose()?;
    let lifetime = body.whole("ttl_sec", 0..=MAX_LIFETIME)?.filter(|seconds| *seconds > 0);
    let wish = TicketWish {
        lifetime: lifetime.map_or(LIFETIME, Duration::from_secs),
        proves_email: body.flag("mark_email_as_verified")?.unwrap_or(false),
        result_url,
        include_email_in_redirect: body.flag("includeEmailInRedirect")?.unwrap_or(false),
        client_id: body.text("client_id", 1..=128)?,
    };
    let whose = match (user, connection, email) {
        (Some(user), None, None) => Whose::User(user),
        (None, Some(connection), Some(email)) => Whose::Address(connection, email),
        (None, Some(_), None) => return Err(missing(&body, "email")),
        (None, None, Some(_)) => return Err(missing(&body, "connection_id")),
        (None, None, None) => return Err(missing(&body, "user_id")),
        (Some(_), _, _) => {
            return Err(body.refuse("user_id", "Give either user_id or connection_id with email"));
        }
    };
    body.close()?;
    Ok((whose, wish))
}

fn missing(body: &Object, name: &'static str) -> ApiError {
    let rule = format!("Missing required property: {name} (user_id, or connection_id with email)");
    body.refuse("", rule)
}

fn not_web(body: &Object) -> ApiError {
    body.refuse("result_url", "Expected an http:// or https:// URL")
}

fn web_url(text: &str) -> Option<Url> {
    Url::parse(text).ok().filter(|url| ["http", "https"].contains(&url.scheme()) && url.has_host())
}

async fn find(state: &State, whose: Whose) -> Result<(User, Connection), ApiError> {
    match whose {
        Whose::User(id) => {
            let id: UserId = id.parse().map_err(|_| ApiError::NoSuchUser)?;
            state.store(move |store| store.user(&id)).await?.ok_or(ApiError::NoSuchUser)
        }
        Whose::Address(id, email) => {
            let wanted = id.clone();
            let connection = state.store(move |store| store.connection(&wanted)).await?;
            let connection = connection.ok_or(ApiError::NoConnectionWithId(id))?;
            let in_it = connection.clone();
            let user = state.store(move |store| store.user_in(&in_it, &email.to_lowercase())).await?;
            Ok((user.ok_or(ApiError::NoSuchUser)?, connection))
        }
    }
}
