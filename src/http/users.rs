//! `GET /api/v2/users-by-email` and `GET`, `PATCH /api/v2/users/{id}`: users as they are stored.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};

use super::auth::{Granted, ReadUsers, UpdateUsers};
use super::error::{ApiError, Place};
use super::params::{Fields, Params};
use super::payload::{self, Object, Payload};
use super::views::UserView;
use super::{State, json, now};
use crate::domain::UserId;
use crate::store::Refused;

/// The users with an address, one per connection at most; an empty array if there are none.
/// Addresses are kept in lower case and compared as they are given.
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
    let found = state.store(move |store| {
        let mut users = store.users_by_email(&email)?;
        users.retain(|(user, _)| user.email == email);
        Ok(users)
    });
    let found = found.await?;
    let views = found.iter().map(|(user, connection)| UserView::of(user, connection));
    let views = views.map(|view| fields.select(&view?)).collect::<Result<Vec<_>, _>>()?;
    json(StatusCode::OK, &views)
}

/// One user. An id that cannot be one is that of nobody.
pub(super) async fn show(
    _: Granted<ReadUsers>,
    request: HttpRequest,
    state: Data<State>,
    id: Path<String>,
) -> Result<HttpResponse, ApiError> {
    let fields = Fields::of(&Params::of(&request)?)?;
    let id: UserId = id.parse().map_err(|_| ApiError::NoSuchUser)?;
    let found = state.store(move |store| store.user(&id)).await?;
    let (user, connection) = found.ok_or(ApiError::NoSuchUser)?;
    json(StatusCode::OK, &fields.select(&UserView::of(&user, &connection)?)?)
}

/// Changes `blocked` and `email_verified` of one user, and nothing else; `200` and the user.
pub(super) async fn change(
    granted: Granted<UpdateUsers>,
    state: Data<State>,
    id: Path<String>,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let user_change = read_change(payload::read_object(payload).await?)?;
    let id: UserId = id.parse().map_err(|_| ApiError::NoSuchUser)?;
    let changed = state.store(move |store| {
        let Some((_, connection)) = store.user(&id)? else {
            return Ok(Err(Refused::NoUser));
        };
        let event = granted.caller.success(StatusCode::OK).about(&connection);
        let changed = store.change_user(
            &connection.id,
            &id,
            |user| {
                user.blocked = user_change.blocked.unwrap_or(user.blocked);
                user.email_verified = user_change.email_verified.unwrap_or(user.email_verified);
                user.updated_at = now();
                Ok(None)
            },
            |user| event.about_user(user).into(),
        )?;
        Ok(changed.map(|user| (user, connection)))
    });
    let (user, connection) = changed.await?.map_err(|_: Refused| ApiError::NoSuchUser)?;
    json(StatusCode::OK, &UserView::of(&user, &connection)?)
}

/// What is to be different about a user; `None` stays as it is.
struct UserChange {
    email_verified: Option<bool>,
    blocked: Option<bool>,
}

fn read_change(mut body: Object) -> Result<UserChange, ApiError> {
    let change = UserChange { blocked: body.flag("blocked")?, email_verified: body.flag("email_verified")? };
    let others: Vec<String> =
        body.rest().into_iter().map(|(name, _)| name.chars().take(100).collect()).collect();
    let rule = if !others.is_empty() {
        format!("Only blocked and email_verified can be changed, not: {}", others.join(","))
    } else if change.blocked.or(change.email_verified).is_none() {
        "Too few properties defined (0), minimum 1".to_owned()
    } else {
        return Ok(change);
    };
    Err(ApiError::invalid(Place::Payload, rule, None))
}
