//! Lists of what intake does not have, always empty: tools of Auth0's ask for them before they look at
//! what is here.
//!
//! Deliberately absent: making any of it, and every such list that no tool needs for connections, clients
//! and users (`auth0-deploy-cli` and the SDKs). Those are no endpoints.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

use super::auth::{Granted, ReadActions, ReadDirectoryProvisionings, ReadResourceServers};
use super::error::ApiError;
use super::json;
use super::lists::Shape;
use super::openapi::asked::{From, Paged};
use super::params::{Checkpoint, LARGEST_PAGE, Page, Params};

/// Descriptions of APIs: none, grants are for any audience.
#[utoipa::path(
    get, path = "/api/v2/resource-servers", tag = "absent", summary = "Descriptions of APIs: there are none",
    params(Paged, From),
    responses((status = 200, description = "No APIs", body = serde_json::Value)),
    security(("token" = ["read:resource_servers"])),
)]
pub(super) async fn resource_servers(
    _: Granted<ReadResourceServers>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let shape = Shape::<String>::in_pages(&Params::of(&request)?)?;
    shape.answer("resource_servers", &shape.choose(&[], String::clone), &[])
}

/// Code that runs at sign-in: none. The answer is the object that this list always is, with the page's number
/// and size instead of its start.
#[utoipa::path(
    get, path = "/api/v2/actions/actions", tag = "absent", summary = "Actions: there are none",
    params(Paged),
    responses((status = 200, description = "No actions", body = serde_json::Value)),
    security(("token" = ["read:actions"])),
)]
pub(super) async fn actions(_: Granted<ReadActions>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let Page { start, limit, .. } = Page::of(&Params::of(&request)?)?;
    json(StatusCode::OK, &json!({ "total": 0, "page": start / limit, "per_page": limit, "actions": [] }))
}

/// Directories that connections are filled from: none.
#[utoipa::path(
    get, path = "/api/v2/connections-directory-provisionings", tag = "absent",
    summary = "Directories that connections are filled from: there are none",
    params(From),
    responses((status = 200, description = "No directories", body = serde_json::Value)),
    security(("token" = ["read:directory_provisionings"])),
)]
pub(super) async fn directory_provisionings(
    _: Granted<ReadDirectoryProvisionings>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    Checkpoint::<String>::of(&Params::of(&request)?, LARGEST_PAGE)?;
    json(StatusCode::OK, &json!({ "directory_provisionings": [] }))
}
