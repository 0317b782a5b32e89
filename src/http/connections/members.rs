//! Who belongs to a connection: the clients it is enabled for, and its users.

use std::ops::RangeInclusive;

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::super::auth::{DeleteConnectionUser, Granted, ReadConnections, UpdateConnections};
use super::super::error::{ApiError, Place};
use super::super::openapi::sent::Switches;
use super::super::params::{Checkpoint, Id, Params};
use super::super::payload::{ANY, Object, Payload, read_objects};
use super::super::users::deletion;
use super::super::{State, json, no_content};
use super::find;
use crate::domain::{Connection, ConnectionId, Email};
use crate::store::{Store, StoreError};

/// Most clients shown at once.
const LARGEST_PAGE: usize = 1000;
/// How many clients may be changed at once.
const CHANGES: RangeInclusive<usize> = 1..=50;

/// The clients a connection is enabled for, by id; `from` and `take` (50, at most 1000) give a page.
#[utoipa::path(
    get, path = "/api/v2/connections/{id}/clients", tag = "connections", summary = "List the clients a connection is enabled for",
    params(("id" = String, Path), ("from" = Option<String>, Query), ("take" = Option<u32>, Query, minimum = 1, maximum = 1000)),
    responses((status = 200, description = "Their ids", body = EnabledClients)),
    security(("token" = ["read:connections"])),
)]
pub(in crate::http) async fn clients(
    _: Granted<ReadConnections>,
    request: HttpRequest,
    state: Data<State>,
    id: Id<ConnectionId>,
) -> Result<HttpResponse, ApiError> {
    let id = id.get()?;
    let page = Checkpoint::<String>::of(&Params::of(&request)?, LARGEST_PAGE)?;
    let (after, take) = page.map_or((None, 50), |page| (page.after, page.take));
    let mut enabled = find(&state, &id).await?.enabled_clients;
    enabled.sort();
    let mut rest = enabled.iter().filter(|one| after.as_ref().is_none_or(|after| after < *one));
    let shown: Vec<&String> = rest.by_ref().take(take).collect();
    let next = rest.next().and(shown.last()).map(|last| last.as_str());
    let clients = shown.iter().map(|id| EnabledClient { client_id: id }).collect();
    json(StatusCode::OK, &EnabledClients { clients, next })
}

/// Clients a connection is enabled for.
#[derive(Serialize, ToSchema)]
struct EnabledClients<'a> {
    clients: Vec<EnabledClient<'a>>,
    /// Where to go on, if there are more.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<&'a str>,
}

#[derive(Serialize, ToSchema)]
struct EnabledClient<'a> {
    client_id: &'a str,
}

/// Enables or disables a connection for some clients: `204`, all of them or none.
#[utoipa::path(
    patch, path = "/api/v2/connections/{id}/clients", tag = "connections", summary = "Enable or disable a connection for clients",
    params(("id" = String, Path)),
    request_body = Switches,
    responses((status = 204, description = "All is as it was asked for")),
    security(("token" = ["update:connections"])),
)]
pub(in crate::http) async fn change_clients(
    granted: Granted<UpdateConnections>,
    state: Data<State>,
    id: Id<ConnectionId>,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let id = id.get()?;
    let asked = read_objects(payload, CHANGES).await?.into_iter().map(switch);
    let asked = asked.collect::<Result<Vec<_>, _>>()?;
    let connection = find(&state, &id).await?;
    let switched: Vec<Value> =
        asked.iter().map(|(client, status)| json!({ "client_id": client, "status": status })).collect();
    let event = granted.caller.success(StatusCode::NO_CONTENT).about(&connection).with("clients", switched);
    let changed = state.change(move |store| {
        check_clients(store, &asked)?;
        store.update_connection(&id, |connection| switch_all(connection, &asked), event.into())
    });
    match changed.await {
        Err(ApiError::Store(StoreError::UnknownClient(_))) => Err(ApiError::NoSuchClient),
        Err(other) => Err(other),
        Ok(None) => Err(ApiError::NoSuchConnection),
        Ok(Some(_)) => Ok(no_content()),
    }
}

/// A client and whether the connection is to be enabled for it.
type Switch = (String, bool);

fn switch(mut item: Object) -> Result<Switch, ApiError> {
    let (client, status) = (item.text("client_id", ANY)?, item.flag("status")?);
    let client = item.required(client, "client_id")?;
    let status = item.required(status, "status")?;
    item.close()?;
    Ok((client, status))
}

fn check_clients(store: &Store, asked: &[Switch]) -> Result<(), StoreError> {
    for (client, _) in asked {
        if store.client(client)?.is_none() {
            return Err(StoreError::UnknownClient(client.clone()));
        }
    }
    Ok(())
}

fn switch_all(connection: &mut Connection, asked: &[Switch]) {
    for (client, status) in asked {
        connection.enabled_clients.retain(|enabled| enabled != client);
        if *status {
            connection.enabled_clients.push(client.clone());
        }
    }
}

/// Deletes the user with this `email` from a database: `204`, also if there is none.
#[utoipa::path(
    delete, path = "/api/v2/connections/{id}/users", tag = "connections", summary = "Delete a user by the e-mail address",
    params(("id" = String, Path), ("email" = String, Query, format = "email")),
    responses((status = 204, description = "There is no such user any more")),
    security(("token" = ["delete:users"])),
)]
pub(in crate::http) async fn delete_user(
    granted: Granted<DeleteConnectionUser>,
    request: HttpRequest,
    state: Data<State>,
    id: Id<ConnectionId>,
) -> Result<HttpResponse, ApiError> {
    let id = id.get()?;
    let email = email(&Params::of(&request)?)?;
    let connection = find(&state, &id).await?;
    if !connection.is_database() {
        return Err(ApiError::NoDatabase);
    }
    let deleted = state.change(move |store| {
        let Some(user) = store.user_in(&connection, email.as_str())? else {
            return Ok(false);
        };
        store.delete_user(&connection.id, &user.id, deletion(&granted.caller, &connection, &user))
    });
    deleted.await?;
    Ok(no_content())
}

fn email(params: &Params) -> Result<Email, ApiError> {
    let refuse = |rule: String, property| ApiError::invalid(Place::Query, rule, property);
    let given =
        params.text("email").ok_or_else(|| refuse("Missing required property: email".into(), None))?;
    let rule = |_| refuse("Object didn't pass validation for format email".into(), Some("email"));
    Email::parse(given).map_err(rule)
}
