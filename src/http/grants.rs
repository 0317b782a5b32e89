//! `/api/v2/client-grants` and `…/{id}`: what a client's own tokens may do, API by API.

use std::ops::RangeInclusive;

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::auth::{CreateGrants, DeleteGrants, Granted, ReadGrants, UpdateGrants};
use super::error::{ApiError, ErrorObject};
use super::lists::Shape;
use super::openapi::asked::{From, Narrowed, Paged};
use super::openapi::lists::GrantList;
use super::openapi::sent::{GrantChange, NewGrant};
use super::params::{Fields, Id, Params};
use super::payload::{ANY, Object, Payload, read_object};
use super::{State, json, no_content};
use crate::domain::{ClientGrant, Event, GrantId};
use crate::store::{Store, StoreError};
use crate::tokens::random;

/// Characters of an audience.
const AUDIENCE_CHARS: RangeInclusive<usize> = 1..=600;
/// How many scopes a grant may have.
const SCOPES: RangeInclusive<usize> = 0..=1000;
/// Characters of a scope.
const SCOPE_CHARS: RangeInclusive<usize> = 1..=280;
/// What every scope looks like (RFC 6749): no blank in it, or it would be two.
const SCOPE_PATTERN: &str = r"^[\x21\x23-\x5B\x5D-\x7E]+$";

/// A grant.
#[derive(Serialize, ToSchema)]
#[schema(as = Grant)]
pub(super) struct GrantView<'a> {
    id: &'a str,
    client_id: &'a str,
    audience: &'a str,
    scope: &'a [String],
}

fn view<'a>(grant: &'a ClientGrant, state: &'a State) -> GrantView<'a> {
    GrantView {
        id: grant.id.as_str(),
        client_id: &grant.client_id,
        audience: grant.audience.as_deref().unwrap_or_else(|| state.tokens.audience()),
        scope: &grant.scope,
    }
}

/// A page of grants, by id, chosen by `client_id` and `audience`.
#[utoipa::path(
    get, path = "/api/v2/client-grants", tag = "clients", summary = "List what clients may have tokens for",
    params(Paged, From, Narrowed, ("client_id" = Option<String>, Query), ("audience" = Option<String>, Query)),
    responses((status = 200, description = "The grants", body = GrantList)),
    security(("token" = ["read:client_grants"])),
)]
pub(super) async fn list(
    _: Granted<ReadGrants>,
    request: HttpRequest,
    state: Data<State>,
) -> Result<HttpResponse, ApiError> {
    let params = Params::of(&request)?;
    let shape = Shape::in_pages(&params)?;
    let fields = Fields::of(&params)?;
    let mut grants = state.store(Store::grants).await?;
    let (client_id, audience) = (params.text("client_id"), params.text("audience"));
    let audience = audience.map(|audience| state.tokens.meant_by(audience));
    grants.retain(|grant| {
        client_id.is_none_or(|wanted| wanted == grant.client_id)
            && audience.as_deref().is_none_or(|wanted| wanted == view(grant, &state).audience)
    });
    let chosen = shape.choose(&grants, |grant| grant.id.clone());
    let views = chosen.entries.iter().map(|grant| fields.select(&view(grant, &state)));
    let views = views.collect::<Result<Vec<_>, _>>()?;
    shape.answer("client_grants", &chosen, &views)
}

/// One grant.
#[utoipa::path(
    get, path = "/api/v2/client-grants/{id}", tag = "clients", summary = "Show what a client may have tokens for",
    params(("id" = String, Path)),
    responses((status = 200, description = "The grant", body = GrantView)),
    security(("token" = ["read:client_grants"])),
)]
pub(super) async fn show(
    _: Granted<ReadGrants>,
    state: Data<State>,
    id: Id<GrantId>,
) -> Result<HttpResponse, ApiError> {
    let id = id.get()?;
    let grant = state.store(move |store| store.grant(&id)).await?.ok_or(ApiError::NoSuchGrant)?;
    json(StatusCode::OK, &view(&grant, &state))
}

/// Lets a client have tokens for an API: `201`. `404` if there is no such client, `409` if it may have
/// them already.
#[utoipa::path(
    post, path = "/api/v2/client-grants", tag = "clients", summary = "Let a client have tokens for an API",
    request_body = NewGrant,
    responses((status = 201, description = "The grant", body = GrantView), (status = 404, description = "There is no such client", body = ErrorObject), (status = 409, description = "The client has a grant for it", body = ErrorObject)),
    security(("token" = ["create:client_grants"])),
)]
pub(super) async fn create(
    granted: Granted<CreateGrants>,
    state: Data<State>,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let mut body = read_object(payload).await?;
    let client_id = body.text("client_id", ANY)?;
    let client_id = body.required(client_id, "client_id")?;
    let audience = body.text("audience", AUDIENCE_CHARS)?;
    let audience = body.required(audience, "audience")?;
    let scope = scope(&mut body)?.unwrap_or_default();
    body.close()?;
    let grant = ClientGrant {
        id: GrantId::from_entropy(random().map_err(ApiError::internal)?),
        client_id,
        audience: (state.tokens.meant_by(&audience) != state.tokens.audience()).then_some(audience),
        scope,
    };
    let event = about(granted.caller.success(StatusCode::CREATED), &grant, &state);
    let made = grant.clone();
    let created = state.change(move |store| store.create_grant(&made, event.into())).await;
    created.map_err(|fault| match fault {
        ApiError::Store(StoreError::Exists) => ApiError::GrantExists,
        ApiError::Store(StoreError::UnknownClient(_)) => ApiError::NoSuchClient,
        other => other,
    })?;
    json(StatusCode::CREATED, &view(&grant, &state))
}

/// Changes what a grant allows: `200`. Tokens that are out already stay as they are.
#[utoipa::path(
    patch, path = "/api/v2/client-grants/{id}", tag = "clients", summary = "Change what a grant allows",
    params(("id" = String, Path)),
    request_body = GrantChange,
    responses((status = 200, description = "The grant as it is then", body = GrantView)),
    security(("token" = ["update:client_grants"])),
)]
pub(super) async fn update(
    granted: Granted<UpdateGrants>,
    state: Data<State>,
    id: Id<GrantId>,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let id = id.get()?;
    let mut body = read_object(payload).await?;
    let scope = scope(&mut body)?;
    let scope = body.required(scope, "scope")?;
    body.close()?;
    let wanted = id.clone();
    let grant = state.store(move |store| store.grant(&wanted)).await?.ok_or(ApiError::NoSuchGrant)?;
    let after = ClientGrant { scope: scope.clone(), ..grant };
    let event = about(granted.caller.success(StatusCode::OK), &after, &state);
    let updated = state.change(move |store| store.update_grant(&id, scope, event.into())).await?;
    json(StatusCode::OK, &view(&updated.ok_or(ApiError::NoSuchGrant)?, &state))
}

/// Takes a grant back: `204`, also if there is none.
#[utoipa::path(
    delete, path = "/api/v2/client-grants/{id}", tag = "clients", summary = "Take a grant back",
    params(("id" = String, Path)),
    responses((status = 204, description = "There is no such grant any more")),
    security(("token" = ["delete:client_grants"])),
)]
pub(super) async fn delete(
    granted: Granted<DeleteGrants>,
    state: Data<State>,
    id: Id<GrantId>,
) -> Result<HttpResponse, ApiError> {
    let id = id.get()?;
    let wanted = id.clone();
    if let Some(grant) = state.store(move |store| store.grant(&wanted)).await? {
        let event = about(granted.caller.success(StatusCode::NO_CONTENT), &grant, &state);
        state.change(move |store| store.delete_grant(&id, event.into())).await?;
    }
    Ok(no_content())
}

fn scope(body: &mut Object) -> Result<Option<Vec<String>>, ApiError> {
    let scope = body.texts("scope", SCOPES, SCOPE_CHARS)?;
    let is_allowed = |c: char| matches!(c, '\x21' | '\x23'..='\x5B' | '\x5D'..='\x7E');
    for (at, one) in scope.iter().flatten().enumerate() {
        if !one.chars().all(is_allowed) {
            let rule = format!("String does not match pattern {SCOPE_PATTERN}");
            return Err(body.refuse(&format!("scope[{at}]"), rule));
        }
    }
    Ok(scope)
}

fn about(event: Event, grant: &ClientGrant, state: &State) -> Event {
    let GrantView { id, client_id, audience, scope } = view(grant, state);
    event.with("grant", json!({ "id": id, "client_id": client_id, "audience": audience, "scope": scope }))
}
