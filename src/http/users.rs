//! `GET /api/v2/users-by-email` and `GET /api/v2/users/{id}`: users as they are stored.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};

use super::auth::{Granted, ReadUsers};
use super::error::{ApiError, Place};
use super::params::{Fields, Params};
use super::views::UserView;
use super::{State, json};
use crate::domain::UserId;

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
    let found = state.store(move |store| store.user(id)).await?;
    let (user, connection) = found.ok_or(ApiError::NoSuchUser)?;
    json(StatusCode::OK, &fields.select(&UserView::of(&user, &connection)?)?)
}
