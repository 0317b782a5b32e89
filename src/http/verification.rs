//! `POST /api/v2/jobs/verification-email`: a letter that asks a user to verify the address.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::Data;
use serde_json::json;

use super::auth::{Granted, SendVerification};
use super::caller::Caller;
use super::error::ApiError;
use super::openapi::sent::Addressee as AddresseeSent;
use super::openapi::told::Job;
use super::payload::{self, ANY, Object, Payload};
use super::tasks::TaskView;
use super::tickets::client_is_known;
use super::{State, json, now};
use crate::domain::{Connection, ConnectionId, JobId, Origin, Owed, User, UserId};
use crate::tokens;

/// Who is to verify an address, as a body names them.
#[derive(Debug)]
pub(super) struct Addressee {
    user: String,
    identity: Option<Identity>,
}

/// One of a user's identities; users here have one each.
#[derive(Debug)]
struct Identity {
    user: String,
    provider: String,
    connection: Option<ConnectionId>,
}

/// Writes the letter; `201` and the job, which has ended by then.
#[utoipa::path(
    post, path = "/api/v2/jobs/verification-email", tag = "jobs", summary = "Ask a user by a letter to verify the address",
    request_body = AddresseeSent,
    responses((status = 201, description = "The job", body = Job)),
    security(("token" = ["update:users"])),
)]
pub(super) async fn send(
    granted: Granted<SendVerification>,
    state: Data<State>,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let mut body = payload::read_object(payload).await?;
    let addressee = Addressee::read(&mut body)?;
    let client_id = body.text("client_id", 1..=128)?;
    body.close()?;
    client_is_known(&state, client_id.as_ref()).await?;
    let (user, connection) = addressee.find(&state).await?.ok_or(ApiError::NoAddressee)?;
    if !connection.is_database() {
        return Err(ApiError::NoDatabase);
    }
    if !connection.is_enabled() {
        return Err(ApiError::NotEnabled);
    }
    let id = JobId::from_entropy(tokens::random().map_err(ApiError::internal)?);
    let owed = told(&granted.caller, &user, &connection, &id);
    let origin = Origin { client_id, ..granted.caller.origin };
    let done = state.logins(move |logins| logins.ask_to_verify(&user, &connection, id, origin, owed, now()));
    json(StatusCode::CREATED, &TaskView::accepted(&done.await?))
}

fn told(caller: &Caller, user: &User, connection: &Connection, id: &JobId) -> Owed {
    let (request, answer) = (json!({ "user_id": user.id.to_string() }), json!({ "id": id }));
    let event = caller.success_with(StatusCode::CREATED, request, answer);
    event.about(connection).about_user(user).into()
}

impl Addressee {
    /// The members `user_id` and `identity`; `organization_id` is refused, as there are no organizations.
    pub(super) fn read(body: &mut Object) -> Result<Self, ApiError> {
        let user = body.text("user_id", 1..=UserId::MAX_TEXT_CHARS)?;
        let user = body.required(user, "user_id")?;
        let identity = body.object("identity")?.map(Identity::read).transpose()?;
        if !body.null("organization_id") && body.has("organization_id") {
            let rule = "There are no organizations here; leave it out";
            return Err(body.refuse("organization_id", rule));
        }
        Ok(Self { user, identity })
    }

    /// The user and its connection; `None` if there is no such user.
    pub(super) async fn find(self, state: &State) -> Result<Option<(User, Connection)>, ApiError> {
        let Ok(id) = self.user.parse::<UserId>() else {
            return Ok(None);
        };
        let Some((user, connection)) = state.store(move |store| store.user(&id)).await? else {
            return Ok(None);
        };
        if let Some(identity) = self.identity {
            identity.check(state, &user, &connection).await?;
        }
        Ok(Some((user, connection)))
    }
}

impl Identity {
    fn read(mut body: Object) -> Result<Self, ApiError> {
        let user = body.text("user_id", 1..=UserId::MAX_TEXT_CHARS)?;
        let provider = body.text("provider", ANY)?;
        let identity = Self {
            user: body.required(user, "user_id")?,
            provider: body.required(provider, "provider")?,
            connection: body.parsed("connection_id")?,
        };
        body.close()?;
        Ok(identity)
    }

    /// Refuses an identity that is not the user's.
    async fn check(self, state: &State, user: &User, connection: &Connection) -> Result<(), ApiError> {
        let is_its_connection = self.connection.as_ref().is_none_or(|id| *id == connection.id);
        if let Some(id) = self.connection
            && state.store(move |store| store.connection(&id)).await?.is_none()
        {
            return Err(ApiError::NoIdentityConnection);
        }
        let is_its = self.user == user.id.bare() && self.provider == connection.strategy && is_its_connection;
        if is_its { Ok(()) } else { Err(ApiError::NoIdentity) }
    }
}
