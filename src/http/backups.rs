//! `POST /api/v2/backups`: a copy of the data directory, made inside of it.
//!
//! Deliberately absent: any path in the request, and a way to fetch a backup. Who asks is on the server's machine
//! and may read the data directory, or has no use for it.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::Data;
use serde::Serialize;
use serde_json::{Value, json};
use tracing::info;
use utoipa::ToSchema;

use super::auth::{CreateBackups, Granted};
use super::error::{ApiError, ErrorObject};
use super::{State, json as answer, now};
use crate::domain::{BackupId, Timestamp};
use crate::tokens::random;

/// Makes a backup; `201` when it is on disk, and where. `409` while another one is made.
#[utoipa::path(
    post, path = "/api/v2/backups", tag = "operation", summary = "Make a backup in the data directory",
    responses(
        (status = 201, description = "The backup, which is on disk", body = BackupView),
        (status = 409, description = "A backup is being made already", body = ErrorObject),
    ),
    security(("token" = ["create:backups"])),
)]
pub(super) async fn create(
    granted: Granted<CreateBackups>,
    state: Data<State>,
) -> Result<HttpResponse, ApiError> {
    let id = BackupId::from_entropy(random().map_err(ApiError::internal)?);
    let made = state.store(move |store| {
        let (path, manifest) = store.back_up(&id, now())?;
        let path = std::path::absolute(&path)?.to_string_lossy().into_owned();
        let view = BackupView {
            id: id.to_string(),
            path,
            created_at: manifest.made_at,
            commit: manifest.commit,
            users: manifest.users,
            unfinished_jobs: manifest.unfinished_jobs,
            files: manifest.files.len() as u64,
            bytes: manifest.bytes(),
        };
        let told = json!({ "id": view.id, "bytes": view.bytes });
        store.tell(granted.caller.success_with(StatusCode::CREATED, Value::Null, told).into())?;
        Ok(view)
    });
    let view = made.await?;
    info!("backup {} is made, as of commit {}, with {} bytes", view.id, view.commit, view.bytes);
    answer(StatusCode::CREATED, &view)
}

/// A backup that was made.
#[derive(Serialize, ToSchema)]
#[schema(as = Backup)]
pub(super) struct BackupView {
    id: String,
    /// Its directory on the server's machine, for whoever asked to take it away.
    path: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// The last commit in it.
    commit: u64,
    users: u64,
    unfinished_jobs: u64,
    files: u64,
    bytes: u64,
}
