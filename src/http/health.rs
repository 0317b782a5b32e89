//! `GET /healthz` and `GET /readyz`, for those who watch over processes: no token, and nothing is told but that.
//!
//! A server that is starting up does not listen yet; to be refused the connection says "not ready" as well.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::Data;
use serde_json::json;

use super::error::ApiError;
use super::openapi::told::Health;
use super::{State, json};
use crate::store::Condition;

/// `200` as long as the process serves, whatever state the store is in.
#[utoipa::path(
    get, path = "/healthz", tag = "operation", summary = "Tell whether the process is alive",
    responses((status = 200, description = "The process serves", body = Health)),
)]
pub(super) async fn alive() -> Result<HttpResponse, ApiError> {
    json(StatusCode::OK, &json!({ "status": "ok" }))
}

/// `200` if reads can be served now; else `503` and the reason. The status is `full` while there is no room to write:
/// another server would not help, and this one goes on to answer what it can.
#[utoipa::path(
    get, path = "/readyz", tag = "operation", summary = "Tell whether the server is ready",
    responses((status = 200, description = "Reads can be served, and uploads unless the status is `full`", body = Health)),
)]
pub(super) async fn ready(state: Data<State>) -> Result<HttpResponse, ApiError> {
    match state.store.condition() {
        Condition::Ready => json(StatusCode::OK, &json!({ "status": "ready" })),
        Condition::Full => json(StatusCode::OK, &json!({ "status": "full" })),
        not_ready => Err(ApiError::NotReady(not_ready)),
    }
}
