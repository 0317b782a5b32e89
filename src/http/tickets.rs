//! `POST /api/v2/tickets/password-change` and `…/email-verification`: links for the caller to deliver. No mail is
//! sent.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::Data;
use serde_json::json;
use url::Url;

use super::auth::{CreateTickets, CreateVerificationTickets, Granted};
use super::caller::Caller;
use super::error::{ApiError, ErrorObject, Place};
use super::openapi::sent::{PasswordTicket, VerificationTicket};
use super::openapi::told::Ticket;
use super::payload::{self, Object, Payload};
use super::verification::Addressee;
use super::{State, json};
use crate::domain::{Connection, ConnectionId, Leave, User, UserId};
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

/// Makes a link to set a password; `201` and the link.
#[utoipa::path(
    post, path = "/api/v2/tickets/password-change", tag = "users", summary = "Make a link to set a password",
    request_body = PasswordTicket,
    responses((status = 201, description = "The link", body = Ticket), (status = 404, description = "There is no such user", body = ErrorObject)),
    security(("token" = ["create:user_tickets"])),
)]
pub(super) async fn change_password(
    granted: Granted<CreateTickets>,
    state: Data<State>,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let (whose, proves_email, wish) = read_change(payload::read_object(payload).await?)?;
    client_is_known(&state, wish.client_id.as_ref()).await?;
    let (user, connection) = find(&state, whose).await?;
    let leave = Leave::SetPassword { proves_email, email: user.email.clone() };
    create(&granted.caller, &state, user, connection, leave, wish).await
}

/// Makes a link to verify the address that the user has now; `201` and the link.
#[utoipa::path(
    post, path = "/api/v2/tickets/email-verification", tag = "users", summary = "Make a link to verify an address",
    request_body = VerificationTicket,
    responses((status = 201, description = "The link", body = Ticket), (status = 404, description = "There is no such user", body = ErrorObject)),
    security(("token" = ["create:user_tickets"])),
)]
pub(super) async fn verify_email(
    granted: Granted<CreateVerificationTickets>,
    state: Data<State>,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let mut body = payload::read_object(payload).await?;
    let addressee = Addressee::read(&mut body)?;
    let wish = read_wish(&mut body)?;
    body.close()?;
    client_is_known(&state, wish.client_id.as_ref()).await?;
    let (user, connection) = addressee.find(&state).await?.ok_or(ApiError::NoSuchUser)?;
    let leave = Leave::VerifyEmail { email: user.email.clone() };
    create(&granted.caller, &state, user, connection, leave, wish).await
}

async fn create(
    caller: &Caller,
    state: &State,
    user: User,
    connection: Connection,
    leave: Leave,
    wish: TicketWish,
) -> Result<HttpResponse, ApiError> {
    if !connection.is_database() {
        return Err(ApiError::NoPasswords);
    }
    let event = caller.success(StatusCode::CREATED).about(&connection).about_user(&user);
    let made = state.logins(move |logins| {
        logins.create_ticket(&user, &connection, leave, &wish, event.into(), super::now())
    });
    let link = made.await?.ok_or(ApiError::NoSuchUser)?;
    json(StatusCode::CREATED, &json!({ "ticket": link }))
}

/// Refuses a client that is not there.
pub(super) async fn client_is_known(state: &State, id: Option<&String>) -> Result<(), ApiError> {
    let Some(id) = id.cloned() else {
        return Ok(());
    };
    let found = state.store(move |store| store.client(&id)).await?;
    let unknown = || ApiError::invalid(Place::Payload, "There is no client with this id", "client_id");
    found.map(drop).ok_or_else(unknown)
}

/// What links of all kinds have in common; the same members for each.
fn read_wish(body: &mut Object) -> Result<TicketWish, ApiError> {
    let result_url = body.text("result_url", 1..=MAX_URL)?;
    let result_url = result_url.map(|text| web_url(&text).ok_or_else(|| not_web(body))).transpose()?;
    let lifetime = body.whole("ttl_sec", 0..=MAX_LIFETIME)?.filter(|seconds| *seconds > 0);
    Ok(TicketWish {
        lifetime: lifetime.map_or(LIFETIME, Duration::from_secs),
        result_url,
        include_email_in_redirect: body.flag("includeEmailInRedirect")?.unwrap_or(false),
        client_id: body.text("client_id", 1..=128)?,
    })
}

fn read_change(mut body: Object) -> Result<(Whose, bool, TicketWish), ApiError> {
    let user = body.text("user_id", 1..=UserId::MAX_TEXT_CHARS)?;
    let connection: Option<ConnectionId> = body.parsed("connection_id")?;
    let email = body.text("email", 1..=254)?;
    let proves_email = body.flag("mark_email_as_verified")?.unwrap_or(false);
    let wish = read_wish(&mut body)?;
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
    Ok((whose, proves_email, wish))
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
