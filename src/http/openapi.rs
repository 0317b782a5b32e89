//! `GET /openapi.json`: what there is, for programs; made from the descriptions above the handlers.
//!
//! | file | describes |
//! |---|---|
//! | `asked` | parameters that many endpoints have |
//! | `sent` | bodies of requests |
//! | `lists` | lists in their forms |
//!
//! Answers are described by the views themselves. What all endpoints have in common is added here:
//! refusals, and that no property of an answer has to be there, as `fields` may leave it out.
//!
//! Deliberately absent: pages for people (`/u/…`, `/`).

pub(super) mod asked;
pub(super) mod lists;
pub(super) mod sent;

use std::sync::OnceLock;

use actix_web::HttpResponse;
use actix_web::web::Data;
use utoipa::openapi::path::{Operation, Parameter, ParameterIn, PathItem};
use utoipa::openapi::schema::{SchemaType, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    ContentBuilder, Info, OpenApi as Document, Ref, RefOr, ResponseBuilder, Schema, Server,
};
use utoipa::{Modify, OpenApi};

use super::error::ErrorObject;
use super::{
    State, absent, clients, connections, grants, imports, log_streams, logs, oauth, outbox, passwords,
};

/// Everything that is described.
#[derive(OpenApi)]
#[openapi(
    paths(
        absent::resource_servers,
        absent::actions,
        absent::directory_provisionings,
        connections::list,
        connections::show,
        connections::create,
        connections::update,
        connections::delete,
        connections::members::clients,
        connections::members::change_clients,
        connections::members::delete_user,
        clients::list,
        clients::show,
        clients::create,
        clients::update,
        clients::delete,
        clients::rotate_secret,
        grants::list,
        grants::show,
        grants::create,
        grants::update,
        grants::delete,
        imports::create,
        logs::list,
        logs::show,
        logs::of_user,
        log_streams::list,
        log_streams::show,
        log_streams::create,
        log_streams::update,
        log_streams::delete,
        outbox::list,
        outbox::retry,
        outbox::delete,
        oauth::token,
        oauth::jwks,
        oauth::configuration,
        passwords::request_change,
    ),
    components(schemas(ErrorObject)),
    modifiers(&Common),
)]
struct Described;

/// The document.
pub(super) async fn document(state: Data<State>) -> HttpResponse {
    static TEXT: OnceLock<String> = OnceLock::new();
    let text = TEXT.get_or_init(|| text(&state.public_url));
    HttpResponse::Ok().content_type("application/json; charset=utf-8").body(text.as_str())
}

fn text(public_url: &str) -> String {
    let mut document = Described::openapi();
    document.servers = Some(vec![Server::new(public_url)]);
    document.to_json().unwrap_or_default()
}

/// What endpoints have in common.
struct Common;

impl Modify for Common {
    fn modify(&self, document: &mut Document) {
        document.info = Info::new("intake", env!("CARGO_PKG_VERSION"));
        document.info.description = Some(env!("CARGO_PKG_DESCRIPTION").to_owned());
        let components = document.components.get_or_insert_default();
        let token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
        components.add_security_scheme("token", SecurityScheme::Http(token));
        components.schemas.values_mut().for_each(without_null);
        for (path, item) in &mut document.paths.paths {
            for (method, operation) in operations(item) {
                operation.operation_id = Some(operation_id(method, path));
                add_refusals(operation);
            }
        }
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    let PathItem { get, post, patch, delete, .. } = item;
    let all = [("get", get), ("post", post), ("patch", patch), ("delete", delete)];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// A name of its own for each: `get_connections_id_clients`.
fn operation_id(method: &str, path: &str) -> String {
    let path = path.strip_prefix("/api/v2").unwrap_or(path);
    let words = path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.fold(method.to_owned(), |name, word| format!("{name}_{word}"))
}

/// Every endpoint may refuse what it is sent, and whoever sends it.
fn add_refusals(operation: &mut Operation) {
    let has_path = |parameter: &Parameter| parameter.parameter_in == ParameterIn::Path;
    let mut refusals = vec![("400", "Something sent breaks a rule"), ("503", "Not now; try again")];
    if operation.security.is_some() {
        refusals.extend([
            ("401", "No token, or none that is good"),
            ("403", "The token has none of the scopes"),
            ("429", "Too many requests"),
        ]);
    }
    if operation.request_body.is_some() {
        refusals.extend([("413", "The body is too large"), ("408", "The body stopped coming")]);
    }
    if operation.parameters.iter().flatten().any(has_path) {
        refusals.push(("404", "It does not exist"));
    }
    let content = || ContentBuilder::new().schema(Some(Ref::from_schema_name("Error"))).build();
    for (status, description) in refusals {
        let refusal =
            || ResponseBuilder::new().description(description).content("application/json", content());
        let responses = &mut operation.responses.responses;
        responses.entry(status.to_owned()).or_insert_with(|| refusal().build().into());
    }
}

/// What may be left out is left out; null is something else.
fn without_null(schema: &mut RefOr<Schema>) {
    let RefOr::T(Schema::Object(object)) = schema else { return };
    for property in object.properties.values_mut() {
        match property {
            RefOr::T(Schema::Object(inner)) => strip(&mut inner.schema_type),
            RefOr::T(Schema::Array(inner)) => strip(&mut inner.schema_type),
            RefOr::T(Schema::OneOf(either)) if either.items.len() == 2 => {
                *property = either.items.pop().unwrap_or_else(|| property.clone());
            }
            _ => {}
        }
    }
}

fn strip(schema_type: &mut SchemaType) {
    if let SchemaType::Array(types) = schema_type {
        types.retain(|one| *one != Type::Null);
        if let [only] = &types[..] {
            *schema_type = SchemaType::Type(only.clone());
        }
    }
}
