//! `/api/v2/connections` and `…/{id}`: where users can go.
//!
//! | file | |
//! |---|---|
//! | `asked` | what a body may say of a connection |
//! | `members` | `…/{id}/clients`, `…/{id}/users` |

mod asked;
pub(super) mod members;

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use utoipa::ToSchema;

use super::auth::{CreateConnections, DeleteConnections, Granted, ReadConnections, UpdateConnections};
use super::error::{ApiError, ErrorObject, Place};
use super::lists::Shape;
use super::openapi::asked::{From, Narrowed, Paged};
use super::openapi::lists::ConnectionList;
use super::openapi::sent::{ConnectionChange, NewConnection};
use super::params::{Fields, Id, Params};
use super::payload::{ANY, Object, Payload, read_object};
use super::views::ConnectionView;
use super::{MAX_FILE_SIZE_HEADER, State, json, no_content, now};
use crate::domain::{Connection, ConnectionId, ConnectionName, DATABASE_STRATEGY, Timestamp};
use crate::store::{Store, StoreError};
use crate::tokens::random;
use asked::Asked;
pub(super) use members::{change_clients, clients, delete_user};

/// Connections by `strategy` (may be repeated) and `name`. A bare array, or with `page`,
/// `per_page` a page of it, with `include_totals` the page in an object, with `from`, `take` a
/// page from a checkpoint.
#[utoipa::path(
    get, path = "/api/v2/connections", tag = "connections", summary = "List connections",
    params(Paged, From, Narrowed, ("strategy" = Option<Vec<String>>, Query), ("name" = Option<String>, Query)),
    responses((status = 200, description = "The connections", body = ConnectionList)),
    security(("token" = ["read:connections"])),
)]
pub(super) async fn list(
    _: Granted<ReadConnections>,
    request: HttpRequest,
    state: Data<State>,
) -> Result<HttpResponse, ApiError> {
    let params = Params::of(&request)?;
    let shape = Shape::of(&params)?;
    let fields = Fields::of(&params)?;
    let mut connections = state.store(Store::connections).await?;
    let (strategies, name) = (params.all("strategy"), params.text("name"));
    connections.retain(|connection| {
        (strategies.is_empty() || strategies.contains(&connection.strategy.as_str()))
            && name.is_none_or(|name| connection.name == name)
    });
    connections.sort_by_key(|connection| connection.number);
    let chosen = shape.choose(&connections, |connection| connection.number);
    let views = chosen.entries.iter().map(|connection| fields.select(&view(connection)));
    let views = views.collect::<Result<Vec<_>, _>>()?;
    Ok(with_limit(shape.answer("connections", &chosen, &views)?, &state))
}

/// One connection.
#[utoipa::path(
    get, path = "/api/v2/connections/{id}", tag = "connections", summary = "Show a connection",
    params(("id" = String, Path), Narrowed),
    responses((status = 200, description = "The connection", body = ConnectionView)),
    security(("token" = ["read:connections"])),
)]
pub(super) async fn show(
    _: Granted<ReadConnections>,
    request: HttpRequest,
    state: Data<State>,
    id: Id<ConnectionId>,
) -> Result<HttpResponse, ApiError> {
    let id = id.get()?;
    let fields = Fields::of(&Params::of(&request)?)?;
    let connection = state.store(move |store| store.connection(&id)).await?;
    let connection = connection.ok_or(ApiError::NoSuchConnection)?;
    let answer = json(StatusCode::OK, &fields.select(&view(&connection))?)?;
    Ok(with_limit(answer, &state))
}

/// Makes a database: `201`. Options that are not given have the defaults of a new one. `409` if another
/// connection goes by its name, or by one of its realms.
#[utoipa::path(
    post, path = "/api/v2/connections", tag = "connections", summary = "Make a connection",
    request_body = NewConnection,
    responses((status = 201, description = "The connection", body = ConnectionView), (status = 409, description = "The name is taken", body = ErrorObject)),
    security(("token" = ["create:connections"])),
)]
pub(super) async fn create(
    granted: Granted<CreateConnections>,
    state: Data<State>,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let mut body = read_object(payload).await?;
    let name = name_of(&mut body)?;
    let strategy = body.text("strategy", ANY)?;
    let strategy = body.required(strategy, "strategy")?;
    let asked = Asked::of(body)?;
    if strategy != DATABASE_STRATEGY {
        return Err(ApiError::OnlyDatabases);
    }
    let id = ConnectionId::from_entropy(random().map_err(ApiError::internal)?);
    let mut connection = Connection::database(id, name.as_str().to_owned(), Vec::new());
    let event = granted.caller.success(StatusCode::CREATED).about(&connection);
    let event = event.with("changed", asked.names());
    asked.make(&mut connection);
    let created = state.change(move |store| store.create_connection(connection, event.into())).await;
    json(StatusCode::CREATED, &view(&created.map_err(refused)?))
}

fn name_of(body: &mut Object) -> Result<ConnectionName, ApiError> {
    let name = body.parsed("name")?;
    body.required(name, "name")
}

/// Changes a connection: `200` and how it is then. `options` are replaced as a whole; name and strategy
/// cannot be changed.
#[utoipa::path(
    patch, path = "/api/v2/connections/{id}", tag = "connections", summary = "Change a connection",
    params(("id" = String, Path)),
    request_body = ConnectionChange,
    responses((status = 200, description = "The connection as it is then", body = ConnectionView), (status = 409, description = "The name is taken", body = ErrorObject)),
    security(("token" = ["update:connections"])),
)]
pub(super) async fn update(
    granted: Granted<UpdateConnections>,
    state: Data<State>,
    id: Id<ConnectionId>,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let id = id.get()?;
    let asked = Asked::of(read_object(payload).await?)?;
    if asked.names().is_empty() {
        let rule = "Too few properties defined (0), minimum 1";
        return Err(ApiError::invalid(Place::Payload, rule, None));
    }
    let connection = find(&state, &id).await?;
    let event = granted.caller.success(StatusCode::OK).about(&connection).with("changed", asked.names());
    let change = move |connection: &mut Connection| asked.change(connection);
    let updated = state.change(move |store| store.update_connection(&id, change, event.into())).await;
    let updated = updated.map_err(refused)?.ok_or(ApiError::NoSuchConnection)?;
    json(StatusCode::OK, &view(&updated))
}

/// Deletes a connection with all its users: `202` and when. They are gone, and the name is free, from
/// now on. `204` if there is none (any more).
#[utoipa::path(
    delete, path = "/api/v2/connections/{id}", tag = "connections", summary = "Delete a connection with its users",
    params(("id" = String, Path)),
    responses((status = 202, description = "It is gone", body = Deleted), (status = 204, description = "There was none")),
    security(("token" = ["delete:connections"])),
)]
pub(super) async fn delete(
    granted: Granted<DeleteConnections>,
    state: Data<State>,
    id: Id<ConnectionId>,
) -> Result<HttpResponse, ApiError> {
    let id = id.get()?;
    let wanted = id.clone();
    let Some(connection) = state.store(move |store| store.connection(&wanted)).await? else {
        return Ok(no_content());
    };
    let event = granted.caller.success(StatusCode::ACCEPTED).about(&connection);
    if !state.change(move |store| store.delete_connection(&id, event.into())).await? {
        return Ok(no_content());
    }
    tracing::info!("connection {} deleted", connection.name);
    json(StatusCode::ACCEPTED, &Deleted { deleted_at: now() })
}

/// When something was deleted.
#[derive(Serialize, ToSchema)]
struct Deleted {
    #[schema(value_type = String, format = DateTime)]
    deleted_at: Timestamp,
}

/// The connection with this id, which has to be there.
async fn find(state: &State, id: &ConnectionId) -> Result<Connection, ApiError> {
    let id = id.clone();
    state.store(move |store| store.connection(&id)).await?.ok_or(ApiError::NoSuchConnection)
}

/// What the store refuses, in words of the API.
fn refused(fault: ApiError) -> ApiError {
    match fault {
        ApiError::Store(StoreError::Exists) => ApiError::ConnectionExists,
        ApiError::Store(StoreError::UnknownClient(id)) => {
            ApiError::invalid(Place::Payload, format!("The client {id} does not exist"), "enabled_clients")
        }
        other => other,
    }
}

fn view(connection: &Connection) -> ConnectionView<'_> {
    connection.into()
}

/// Adds how large an upload may be: those who choose a connection are about to make one.
fn with_limit(mut answer: HttpResponse, state: &State) -> HttpResponse {
    let name = HeaderName::from_static(MAX_FILE_SIZE_HEADER);
    answer.headers_mut().insert(name, HeaderValue::from(state.max_file_size));
    answer
}
