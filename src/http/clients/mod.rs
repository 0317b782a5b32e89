//! `/api/v2/clients`, `…/{id}` and `…/{id}/rotate-secret`: who may ask for tokens.
//!
//! **Invariant:** a secret is in one answer only, the one to the request that made it. What is kept of it
//! is a hash.

mod asked;
mod described;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Map, Value, json};

use super::auth::{CreateClients, DeleteClients, Granted, ReadClients, RotateSecret, UpdateClients};
use super::error::ApiError;
use super::lists::Shape;
use super::openapi::asked::{From, Narrowed, Paged};
use super::openapi::lists::ClientList;
use super::params::{Fields, Id, Params};
use super::payload::{Payload, read_object};
use super::{State, json, no_content};
use crate::domain::{Client, Event};
use crate::store::Store;
use crate::tokens::{random_text, secret_hash};
use asked::{Asked, check_size};
pub(super) use described::{ClientChange, ClientView, NewClient};

/// Characters of the ids that are given.
const ID_CHARS: usize = 32;
/// Characters of the secrets that are given.
const SECRET_CHARS: usize = 64;
/// What a client may ask for if nothing is said.
const DEFAULT_GRANT_TYPES: [&str; 4] =
    ["authorization_code", "implicit", "refresh_token", "client_credentials"];

/// A page of clients, by id, chosen by `is_global`, `is_first_party` and `app_type` (several with commas).
#[utoipa::path(
    get, path = "/api/v2/clients", tag = "clients", summary = "List clients",
    params(Paged, From, Narrowed, ("is_global" = Option<bool>, Query), ("is_first_party" = Option<bool>, Query), ("app_type" = Option<String>, Query)),
    responses((status = 200, description = "The clients", body = ClientList)),
    security(("token" = ["read:clients", "read:client_keys"])),
)]
pub(super) async fn list(
    _: Granted<ReadClients>,
    request: HttpRequest,
    state: Data<State>,
) -> Result<HttpResponse, ApiError> {
    let params = Params::of(&request)?;
    let shape = Shape::in_pages(&params)?;
    let fields = Fields::of(&params)?;
    let filter = Filter::of(&params)?;
    let mut clients = state.store(Store::clients).await?;
    clients.retain(|client| filter.lets_pass(client));
    let chosen = shape.choose(&clients, |client| client.id.clone());
    let views = chosen.entries.iter().map(|client| fields.select(&view(client, &state)));
    let views = views.collect::<Result<Vec<_>, _>>()?;
    shape.answer("clients", &chosen, &views)
}

struct Filter {
    is_global: Option<bool>,
    is_first_party: Option<bool>,
    app_types: Option<Vec<String>>,
}

impl Filter {
    fn of(params: &Params) -> Result<Self, ApiError> {
        let app_types = params.text("app_type").filter(|text| !text.is_empty());
        Ok(Self {
            is_global: params.flag("is_global")?,
            is_first_party: params.flag("is_first_party")?,
            app_types: app_types.map(|text| text.split(',').map(|name| name.trim().to_owned()).collect()),
        })
    }

    fn lets_pass(&self, client: &Client) -> bool {
        let setting = |name: &str| client.settings.get(name);
        let is_first_party = setting("is_first_party").and_then(Value::as_bool).unwrap_or(true);
        let app_type = setting("app_type").and_then(Value::as_str).unwrap_or_default();
        self.is_global != Some(true)
            && self.is_first_party.is_none_or(|wanted| wanted == is_first_party)
            && self.app_types.as_ref().is_none_or(|wanted| wanted.iter().any(|one| one == app_type))
    }
}

/// One client.
#[utoipa::path(
    get, path = "/api/v2/clients/{id}", tag = "clients", summary = "Show a client",
    params(("id" = String, Path), Narrowed),
    responses((status = 200, description = "The client", body = ClientView)),
    security(("token" = ["read:clients", "read:client_keys"])),
)]
pub(super) async fn show(
    _: Granted<ReadClients>,
    request: HttpRequest,
    state: Data<State>,
    id: Id<String>,
) -> Result<HttpResponse, ApiError> {
    let id = id.get()?;
    let fields = Fields::of(&Params::of(&request)?)?;
    let client = state.store(move |store| store.client(&id)).await?.ok_or(ApiError::NoSuchClient)?;
    json(StatusCode::OK, &fields.select(&view(&client, &state))?)
}

/// Makes a client: `201`, with its secret. It may do nothing in the API before it has a grant.
#[utoipa::path(
    post, path = "/api/v2/clients", tag = "clients", summary = "Make a client",
    request_body = NewClient,
    responses((status = 201, description = "The client, with its secret", body = ClientView)),
    security(("token" = ["create:clients"])),
)]
pub(super) async fn create(
    granted: Granted<CreateClients>,
    state: Data<State>,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let asked = Asked::to_make(read_object(payload).await?)?;
    let secret = random_text(SECRET_CHARS).map_err(ApiError::internal)?;
    let mut client = Client {
        id: random_text(ID_CHARS).map_err(ApiError::internal)?,
        name: String::new(),
        secret_hash: secret_hash(&secret),
        settings: Map::new(),
    };
    client.settings.insert("grant_types".to_owned(), json!(DEFAULT_GRANT_TYPES));
    let event = granted.caller.success(StatusCode::CREATED).with("changed", asked.names());
    asked.change(&mut client);
    check_size(&client)?;
    let (made, event) = (client.clone(), about(event, &client));
    state.change(move |store| store.create_client(&made, None, event.into())).await?;
    with_secret(StatusCode::CREATED, &client, &state, &secret)
}

/// Changes a client: `200` and how it is then. A setting that is given as null goes back to its default.
#[utoipa::path(
    patch, path = "/api/v2/clients/{id}", tag = "clients", summary = "Change a client",
    params(("id" = String, Path)),
    request_body = ClientChange,
    responses((status = 200, description = "The client as it is then", body = ClientView)),
    security(("token" = ["update:clients"])),
)]
pub(super) async fn update(
    granted: Granted<UpdateClients>,
    state: Data<State>,
    id: Id<String>,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let id = id.get()?;
    let asked = Asked::to_change(read_object(payload).await?)?;
    let client = find(&state, &id).await?;
    let event = about(granted.caller.success(StatusCode::OK), &client).with("changed", asked.names());
    let mut after = client;
    asked.clone().change(&mut after);
    check_size(&after)?;
    let change = move |client: &mut Client| asked.change(client);
    let updated = state.change(move |store| store.update_client(&id, change, event.into())).await?;
    json(StatusCode::OK, &view(&updated.ok_or(ApiError::NoSuchClient)?, &state))
}

/// Deletes a client with its grants, and disables connections for it: `204`, also if there is none. Tokens
/// it has are good until they expire.
#[utoipa::path(
    delete, path = "/api/v2/clients/{id}", tag = "clients", summary = "Delete a client",
    params(("id" = String, Path)),
    responses((status = 204, description = "There is no such client any more")),
    security(("token" = ["delete:clients"])),
)]
pub(super) async fn delete(
    granted: Granted<DeleteClients>,
    state: Data<State>,
    id: Id<String>,
) -> Result<HttpResponse, ApiError> {
    let id = id.get()?;
    let wanted = id.clone();
    if let Some(client) = state.store(move |store| store.client(&wanted)).await? {
        let event = about(granted.caller.success(StatusCode::NO_CONTENT), &client);
        state.change(move |store| store.delete_client(&id, event.into())).await?;
    }
    Ok(no_content())
}

/// Gives a client a new secret: `200`, with it. The old one is no good from now on.
#[utoipa::path(
    post, path = "/api/v2/clients/{id}/rotate-secret", tag = "clients", summary = "Give a client a new secret",
    params(("id" = String, Path)),
    responses((status = 200, description = "The client, with its new secret", body = ClientView)),
    security(("token" = ["update:client_keys"])),
)]
pub(super) async fn rotate_secret(
    granted: Granted<RotateSecret>,
    state: Data<State>,
    id: Id<String>,
) -> Result<HttpResponse, ApiError> {
    let id = id.get()?;
    let event = about(granted.caller.success(StatusCode::OK), &find(&state, &id).await?);
    let secret = random_text(SECRET_CHARS).map_err(ApiError::internal)?;
    let hash = secret_hash(&secret);
    let change = move |client: &mut Client| client.secret_hash = hash;
    let updated = state.change(move |store| store.update_client(&id, change, event.into())).await?;
    with_secret(StatusCode::OK, &updated.ok_or(ApiError::NoSuchClient)?, &state, &secret)
}

/// The client with this id, which has to be there.
async fn find(state: &State, id: &str) -> Result<Client, ApiError> {
    let id = id.to_owned();
    state.store(move |store| store.client(&id)).await?.ok_or(ApiError::NoSuchClient)
}

fn about(event: Event, client: &Client) -> Event {
    event.with("client", json!({ "client_id": client.id, "name": client.name }))
}

/// A client and the secret just made for it; nobody on the way may keep this.
fn with_secret(
    status: StatusCode,
    client: &Client,
    state: &State,
    secret: &str,
) -> Result<HttpResponse, ApiError> {
    let mut view = view(client, state);
    view.insert("client_secret".to_owned(), secret.into());
    let mut answer = json(status, &view)?;
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(answer)
}

/// A client as it is to be seen: what is set of it, and the defaults for the rest.
fn view(client: &Client, state: &State) -> Map<String, Value> {
    let head = [
        ("tenant", json!(state.tenant)),
        ("global", json!(false)),
        ("name", json!(client.name)),
        ("client_id", json!(client.id)),
        ("is_first_party", json!(true)),
        ("oidc_conformant", json!(false)),
        ("is_token_endpoint_ip_header_trusted", json!(false)),
        ("sso_disabled", json!(false)),
        ("cross_origin_authentication", json!(false)),
        ("custom_login_page_on", json!(true)),
        ("callbacks", json!([])),
        ("token_endpoint_auth_method", json!(if client.is_public() { "none" } else { "client_secret_post" })),
        ("jwt_configuration", json!({ "secret_encoded": false, "lifetime_in_seconds": 36000 })),
        ("refresh_token", refresh_token()),
    ];
    let mut view: Map<String, Value> =
        head.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    view.extend(client.settings.clone());
    view
}

/// What Auth0 gives with every client; there are no refresh tokens here.
fn refresh_token() -> Value {
    json!({
        "rotation_type": "non-rotating", "expiration_type": "non-expiring", "leeway": 0,
        "token_lifetime": 31_557_600, "idle_token_lifetime": 2_592_000,
        "infinite_token_lifetime": true, "infinite_idle_token_lifetime": true,
    })
}
