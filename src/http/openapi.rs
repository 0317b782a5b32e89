//! `GET /openapi.json`: what there is, for programs; made from the descriptions above the handlers.
//!
//! | file | describes |
//! |---|---|
//! | `asked` | parameters that many endpoints have |
//! | `sent` | bodies of requests |
//! | `lists` | lists in their forms |
//! | `told` | answers whose views are not described where they are |
//! | `common` | what all endpoints have in common, and is not said at each |
//!
//! Answers are described by the views themselves, where these are of this room.
//!
//! **Invariant:** every endpoint is described, but for those in the list that the tests have.
//!
//! Deliberately absent: pages for people (`/u/…`, `/`), and that bodies may be forms as well as JSON.

pub(super) mod asked;
mod common;
pub(super) mod lists;
pub(super) mod sent;
#[cfg(test)]
mod tests;
pub(super) mod told;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::Data;
use utoipa::OpenApi;
use utoipa::openapi::schema::{AnyOfBuilder, ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema, Server};

use super::error::{ApiError, ErrorObject};
use super::{
    State, absent, backups, clients, connections, exports, grants, health, imports, jobs, json, log_streams,
    logs, metrics, oauth, openapi, outbox, passwords, tickets, user_search, users, verification,
};
use crate::domain::Code;
use common::Common;

/// Everything that is described.
#[derive(OpenApi)]
#[openapi(
    paths(
        imports::create,
        exports::create,
        exports::file::show,
        verification::send,
        jobs::list,
        jobs::show,
        jobs::errors,
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
        users::by_email,
        user_search::list,
        users::create::create,
        users::show,
        users::change::change,
        users::delete,
        logs::of_user,
        tickets::change_password,
        tickets::verify_email,
        outbox::list,
        outbox::retry,
        outbox::delete,
        backups::create,
        log_streams::list,
        log_streams::show,
        log_streams::create,
        log_streams::update,
        log_streams::delete,
        logs::list,
        logs::show,
        oauth::token,
        oauth::jwks,
        oauth::configuration,
        passwords::request_change,
        absent::resource_servers,
        absent::actions,
        absent::directory_provisionings,
        openapi::document,
        health::alive,
        health::ready,
        metrics::show,
    ),
    components(schemas(ErrorObject)),
    modifiers(&Common),
)]
struct Described;

/// The document.
#[utoipa::path(
    get, path = "/openapi.json", tag = "operation", summary = "Show this document",
    responses((status = 200, description = "The document", body = Object)),
)]
pub(super) async fn document(state: Data<State>) -> Result<HttpResponse, ApiError> {
    let mut document = Described::openapi();
    document.servers = Some(vec![Server::new(&state.public_url)]);
    json(StatusCode::OK, &document)
}

/// What may be null as well; elsewhere what may be left out is left out, and null is refused.
pub(super) fn or_null(schema: impl Into<RefOr<Schema>>) -> RefOr<Schema> {
    let null = ObjectBuilder::new().schema_type(SchemaType::new(Type::Null));
    AnyOfBuilder::new().item(schema).item(null).into()
}

/// A text.
pub(super) fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::new(Type::String))
}

/// One of some words.
pub(super) fn one_of<'a>(words: impl IntoIterator<Item = &'a str>) -> ObjectBuilder {
    text().enum_values(Some(words))
}

/// An object of so many texts at most, each with so many characters, and its name too.
pub(super) fn texts((members, chars): (usize, usize)) -> ObjectBuilder {
    ObjectBuilder::new()
        .property_names(Some(text().max_length(Some(chars))))
        .additional_properties(Some(text().max_length(Some(chars))))
        .max_properties(Some(members))
}

/// The kind of a fault.
fn code() -> RefOr<Schema> {
    text().enum_values(Some(Code::ALL.map(|code| code.to_string()))).into()
}
