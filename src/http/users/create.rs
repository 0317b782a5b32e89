//! `POST /api/v2/users`: one user, with a password or without.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::Data;

use super::super::auth::{CreateUser, Granted};
use super::super::error::{ApiError, ErrorObject};
use super::super::openapi::sent::NewUser;
use super::super::openapi::told::User;
use super::super::payload::{self, Object, Payload};
use super::super::views::UserView;
use super::super::{State, json, now};
use super::fault::{UserFault, broken};
use super::{credential, owed, verification};
use crate::domain::{Candidate, Connection, UserId};
use crate::import::judge_new;
use crate::login::Password;
use crate::store::Refused;
use crate::tokens::random;

/// Members that are about the request, not about the user.
const BESIDE: [&str; 3] = ["connection", "password", "verify_email"];

/// What a request asks for besides the user itself.
struct Asked {
    connection: String,
    password: Option<Password>,
    verify_email: Option<bool>,
}

impl Asked {
    fn of(text: &str) -> Result<Self, ApiError> {
        let mut body = Object::with(&BESIDE, text)?;
        let connection = body.text("connection", 1..=usize::MAX)?;
        Ok(Self {
            connection: body.required(connection, "connection")?,
            password: body.text("password", 1..=usize::MAX)?.map(Password::new),
            verify_email: body.flag("verify_email")?,
        })
    }
}

/// Makes a user in the connection that is named: `201` and the user. `409` if somebody there has the address or
/// user name, or anybody the id.
#[utoipa::path(
    post, path = "/api/v2/users", tag = "users", summary = "Make a user",
    request_body = NewUser,
    responses((status = 201, description = "The user", body = User), (status = 409, description = "Somebody has the address, the user name or the id", body = ErrorObject)),
    security(("token" = ["create:users"])),
)]
pub(in crate::http) async fn create(
    granted: Granted<CreateUser>,
    state: Data<State>,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let text = payload::read_user(payload).await?;
    let asked = Asked::of(&text)?;
    let candidate = judge_new(&text, &state.limits, &BESIDE).map_err(|faults| broken(&faults))?.into_owned();
    let connection = connection(&state, asked.connection, &candidate).await?;
    let id = made_id()?;
    let password = match asked.password {
        None => None,
        Some(password) => {
            Some(credential(&state, &connection, &candidate.to_user(&id, now()), password).await?)
        }
    };
    let wants_letter = asked.verify_email.unwrap_or(!candidate.email_verified);
    let letter = verification(&state, &granted.caller, None, wants_letter)?;
    let event = granted.caller.success(StatusCode::CREATED).about(&connection);
    let at = connection.clone();
    let created = state.change(move |store| {
        store.create_user(&at.id, &candidate, &id, password.as_ref(), now(), |user| {
            owed(user, &at, event, letter)
        })
    });
    let user = created.await?.map_err(refused)?;
    json(StatusCode::CREATED, &UserView::of(&user, &connection)?)
}

/// The connection with this name, if such a user can be made there.
async fn connection(state: &State, name: String, candidate: &Candidate<'_>) -> Result<Connection, ApiError> {
    let found = state.store(move |store| store.connection_named(&name)).await?;
    let connection = found.ok_or(UserFault::NoConnection)?;
    let fault = match &candidate.username {
        _ if !connection.is_database() => UserFault::NoDatabase,
        _ if !connection.is_enabled() => UserFault::Disabled,
        Some(_) if !connection.requires_username() => UserFault::NoUsernames,
        None if connection.requires_username() => UserFault::UsernameMissing,
        _ => return Ok(connection),
    };
    Err(fault.into())
}

/// An id for a user who brings none: four bytes of time, then random ones.
fn made_id() -> Result<UserId, ApiError> {
    let mut bytes: [u8; 12] = random().map_err(ApiError::internal)?;
    bytes[..4].copy_from_slice(&now().seconds().to_be_bytes()[4..]);
    Ok(UserId::from_bytes(bytes))
}

fn refused(why: Refused) -> ApiError {
    match why {
        Refused::NoConnection => UserFault::NoConnection.into(),
        Refused::NoUser | Refused::Taken(_) => UserFault::Exists.into(),
    }
}
