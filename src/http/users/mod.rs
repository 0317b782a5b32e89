//! `/api/v2/users/{id}` and what goes with it: users one by one.
//!
//! | file | |
//! |---|---|
//! | `create` | `POST /api/v2/users` |
//! | `change` | `PATCH /api/v2/users/{id}` |
//! | `fault` | why a user is not made or changed |
//!
//! Here are `GET /api/v2/users-by-email`, `GET` and `DELETE /api/v2/users/{id}`. What a user may be is judged by
//! the rules for rows of an import. Deliberately absent: lists and the search.

pub(super) mod change;
pub(super) mod create;
mod fault;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};

use super::auth::{DeleteUser, Granted, ReadUsers};
use super::caller::Caller;
use super::error::{ApiError, Place};
use super::openapi::asked::Narrowed;
use super::openapi::told::User as UserTold;
use super::params::{Fields, Params};
use super::views::UserView;
use super::{State, json, no_content, now};
use crate::domain::{Connection, Credential, Event, EventType, Origin, Owed, User, UserId};
use crate::login::{Password, Policy, Verification};
pub(super) use change::change;
pub(super) use create::create;
pub(super) use fault::UserFault;

/// The users with an address, one per connection at most; an empty array if there are none.
/// Addresses are kept in lower case and compared as they are given.
#[utoipa::path(
    get, path = "/api/v2/users-by-email", tag = "users", summary = "List the users with an address",
    params(("email" = String, Query), Narrowed),
    responses((status = 200, description = "The users, one per connection at most", body = Vec<UserTold>)),
    security(("token" = ["read:users"])),
)]
pub(super) async fn by_email(
    _: Granted<ReadUsers>,
    request: HttpRequest,
    state: Data<State>,
) -> Result<HttpResponse, ApiError> {
    let params = Params::of(&request)?;
    let fields = Fields::of(&params)?;
    let Some(email) = params.text("email").map(str::to_owned) else {
        return Err(ApiError::invalid(Place::Query, "Missing required property: email", None));
    };
    let found = state.store(move |store| store.users_by_email(&email)).await?;
    let views = found.iter().map(|(user, connection)| UserView::of(user, connection));
    let views = views.map(|view| fields.select(&view?)).collect::<Result<Vec<_>, _>>()?;
    json(StatusCode::OK, &views)
}

/// One user. An id that cannot be one is that of nobody.
#[utoipa::path(
    get, path = "/api/v2/users/{id}", tag = "users", summary = "Show a user",
    params(("id" = String, Path, example = "auth0|ann"), Narrowed),
    responses((status = 200, description = "The user", body = UserTold)),
    security(("token" = ["read:users"])),
)]
pub(super) async fn show(
    _: Granted<ReadUsers>,
    request: HttpRequest,
    state: Data<State>,
    id: Path<String>,
) -> Result<HttpResponse, ApiError> {
    let fields = Fields::of(&Params::of(&request)?)?;
    let (user, connection) = find(&state, &id).await?;
    json(StatusCode::OK, &fields.select(&UserView::of(&user, &connection)?)?)
}

/// Deletes a user with all that belongs to it: `204`, also if there is none.
#[utoipa::path(
    delete, path = "/api/v2/users/{id}", tag = "users", summary = "Delete a user",
    params(("id" = String, Path, example = "auth0|ann")),
    responses((status = 204, description = "There is no such user any more")),
    security(("token" = ["delete:users"])),
)]
pub(super) async fn delete(
    granted: Granted<DeleteUser>,
    state: Data<State>,
    id: Path<String>,
) -> Result<HttpResponse, ApiError> {
    let Ok(id) = id.parse::<UserId>() else {
        return Ok(no_content());
    };
    let deleted = state.change(move |store| {
        let Some((user, connection)) = store.user(&id)? else {
            return Ok(false);
        };
        store.delete_user(&connection.id, &id, deletion(&granted.caller, &connection, &user))
    });
    deleted.await?;
    Ok(no_content())
}

/// What is to be told of a user who is deleted.
pub(super) fn deletion(caller: &Caller, connection: &Connection, user: &User) -> Owed {
    let told = |event: Event| event.about(connection).about_user(user);
    let deleted = Event::new(now(), EventType::UserDeleted, "User deleted").by(caller.origin.clone());
    let events = vec![told(caller.success(StatusCode::NO_CONTENT)), told(deleted)];
    Owed { events, ..Owed::nothing() }
}

/// The user with this id, who has to be there.
async fn find(state: &State, id: &str) -> Result<(User, Connection), ApiError> {
    let id: UserId = id.parse().map_err(|_| ApiError::NoSuchUser)?;
    state.store(move |store| store.user(&id)).await?.ok_or(ApiError::NoSuchUser)
}

/// What is to be kept of a new password, if it is good enough for this user.
async fn credential(
    state: &State,
    connection: &Connection,
    user: &User,
    password: Password,
) -> Result<Credential, ApiError> {
    if !Policy::of(connection).broken(&password, user).is_empty() {
        return Err(UserFault::WeakPassword.into());
    }
    let turn = state.logins.turn().await.ok_or(ApiError::Busy)?;
    state.logins(move |logins| logins.credential(&turn, &password, now())).await
}

/// The letter by which a user is asked to verify the address, if one is wanted; drawn before anything is written.
fn verification(
    state: &State,
    caller: &Caller,
    client_id: Option<String>,
    is_wanted: bool,
) -> Result<Option<Verification>, ApiError> {
    let origin = Origin { client_id, ..caller.origin.clone() };
    Ok(is_wanted.then(|| state.logins.verification(origin)).transpose()?)
}

/// What is to be told of a user who was made or changed.
fn owed(user: &User, connection: &Connection, event: Event, letter: Option<Verification>) -> Owed {
    let told = Owed::from(event.about_user(user));
    match letter {
        Some(letter) => told.and(letter.owed(user, connection, None, now())),
        None => told,
    }
}
