//! `PATCH /api/v2/users/{id}`: a user changed, member by member.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};

use super::super::auth::{Granted, UpdateUser};
use super::super::error::{ApiError, ErrorObject, Place};
use super::super::openapi::sent::UserChange as Sent;
use super::super::openapi::told::User as Told;
use super::super::payload::{self, ANY, Object, Payload};
use super::super::views::UserView;
use super::super::{State, json, now};
use super::fault::{UserFault, broken};
use super::{credential, find, owed, verification};
use crate::domain::{Connection, Scope, User};
use crate::import::{UserChange, judge_change};
use crate::login::Password;
use crate::store::{Refused, Taken};

/// Members that cannot be changed in one request.
const APART: [(&str, &str); 5] = [
    ("password", "email"),
    ("password", "email_verified"),
    ("username", "email"),
    ("username", "email_verified"),
    ("username", "password"),
];

/// What a request asks for.
struct Asked {
    change: UserChange,
    password: Option<Password>,
    verify_email: Option<bool>,
    connection: Option<String>,
    client_id: Option<String>,
}

/// Changes what is given: `200` and the user as it is then. Metadata are merged on their first level, where
/// `null` removes a member; names and the picture are unset by `null`; all else is replaced. Members that users
/// do not have are let be. Who may change `app_metadata` only may do nothing else.
#[utoipa::path(
    patch, path = "/api/v2/users/{id}", tag = "users", summary = "Change a user",
    params(("id" = String, Path, example = "auth0|ann")),
    request_body = Sent,
    responses((status = 200, description = "The user as it is then", body = Told), (status = 409, description = "Somebody else has the address or the user name", body = ErrorObject)),
    security(("token" = ["update:users", "update:users_app_metadata"])),
)]
pub(in crate::http) async fn change(
    granted: Granted<UpdateUser>,
    state: Data<State>,
    id: Path<String>,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let text = payload::read_user(payload).await?;
    let asked = Asked::of(&text, &state)?;
    if asked.names() != ["app_metadata"] {
        granted.require(&[Scope::UpdateUsers])?;
    }
    asked.check_together()?;
    let (before, connection) = find(&state, &id).await?;
    asked.check_for(&connection)?;
    let password = match &asked.password {
        None => None,
        Some(password) => Some(credential(&state, &connection, &before, password.clone()).await?),
    };
    let has_new_password = password.is_some();
    let event = granted.caller.success(StatusCode::OK).about(&connection).with("changed", asked.names());
    let letter = verification(&state, &granted.caller, asked.client_id.clone(), asked.wants_letter(&before))?;
    let (at, around) = (connection.clone(), state.clone());
    let changed = state.change(move |store| {
        let how = |user: &mut User| {
            asked.change.apply(user, &around.limits).map_err(|fault| broken(&[fault]))?;
            user.updated_at = now();
            user.activity.last_password_reset =
                password.as_ref().map(|new| new.changed_at).or(user.activity.last_password_reset);
            Ok::<_, ApiError>(password)
        };
        store.change_user(&at.id, &before.id, how, |user| owed(user, &at, event, letter))
    });
    let user = changed.await??;
    if has_new_password {
        state.logins.forgive(&connection, &user);
    }
    json(StatusCode::OK, &UserView::of(&user, &connection)?)
}

impl Asked {
    fn of(text: &str, state: &State) -> Result<Self, ApiError> {
        let mut body = Object::with(&["password", "verify_email", "connection", "client_id"], text)?;
        let asked = Self {
            change: judge_change(text, &state.limits).map_err(|faults| broken(&faults))?,
            password: body.text("password", 1..=usize::MAX)?.map(Password::new),
            verify_email: body.flag("verify_email")?,
            connection: body.text("connection", ANY)?,
            client_id: body.text("client_id", 1..=128)?,
        };
        if asked.names().is_empty() {
            let rule = "Too few properties defined (0), minimum 1";
            return Err(ApiError::invalid(Place::Payload, rule, None));
        }
        Ok(asked)
    }

    /// What is asked for, by name.
    fn names(&self) -> Vec<&'static str> {
        let mut names = self.change.names();
        names.extend(self.password.as_ref().map(|_| "password"));
        names.extend(self.verify_email.map(|_| "verify_email"));
        names
    }

    fn check_together(&self) -> Result<(), ApiError> {
        let names = self.names();
        let both = APART.iter().find(|(one, other)| names.contains(one) && names.contains(other));
        both.map_or(Ok(()), |(one, other)| Err(UserFault::Together(one, other).into()))
    }

    fn check_for(&self, connection: &Connection) -> Result<(), ApiError> {
        if self.connection.as_ref().is_some_and(|name| *name != connection.name) {
            return Err(UserFault::OtherConnection.into());
        }
        if self.change.username.is_some() && !connection.requires_username() {
            return Err(UserFault::NoUsernames.into());
        }
        Ok(())
    }

    /// Whether the user is to prove the address: if that is said, or if there is another one now of which
    /// nothing is said.
    fn wants_letter(&self, before: &User) -> bool {
        let has_new_email = self.change.email.as_ref().is_some_and(|email| email.as_str() != before.email);
        self.verify_email.unwrap_or(has_new_email && self.change.email_verified.is_none())
    }
}

impl From<Refused> for ApiError {
    fn from(why: Refused) -> Self {
        match why {
            Refused::NoConnection | Refused::NoUser => Self::NoSuchUser,
            Refused::Taken(Taken::Email) => UserFault::EmailTaken.into(),
            Refused::Taken(Taken::Username) => UserFault::UsernameTaken.into(),
            Refused::Taken(Taken::Id) => UserFault::Exists.into(),
        }
    }
}
