//! `GET /exports/{file}`: the file of an export, for everybody who has a link that is still good.
//!
//! It stays the gzip file it is: no content encoding says that it is packed, so that no client unpacks what it
//! was to store.

use std::fs::File;
use std::io::{self, Read};

use actix_web::body::SizedStream;
use actix_web::http::header;
use actix_web::web::{Bytes, Data, Path};
use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::stream::{Stream, try_unfold};

use super::super::error::{ApiError, ErrorObject};
use super::super::params::Params;
use super::super::{State, now};
use crate::domain::{ExportFormat, JobId, Task};

/// Bytes read in one go.
const PIECE: usize = 256 << 10;

/// Where such files are.
const FOLDER: &str = "/exports/";

/// A fresh link to the file of an export that has ended well.
pub(in super::super) fn link(state: &State, task: &Task) -> Option<String> {
    let path = format!("{FOLDER}{}", task.file_format()?.file_name(&task.id));
    let expires = now().after(state.link_lifetime).seconds();
    let signature = state.tokens.sign_link(&path, expires);
    Some(format!("{}{path}?expires={expires}&signature={signature}", state.public_url))
}

/// Hands out a file. `403` without a good link, `404` once it is gone.
#[utoipa::path(
    get, path = "/exports/{name}", tag = "jobs", summary = "Fetch the file of an export",
    params(("name" = String, Path), ("expires" = i64, Query), ("signature" = String, Query)),
    responses(
        (status = 200, description = "The file", body = Vec<u8>, content_type = "application/gzip"),
        (status = 403, description = "The link is not good (any more)", body = ErrorObject),
    ),
)]
pub(in super::super) async fn show(
    request: HttpRequest,
    state: Data<State>,
    name: Path<String>,
) -> Result<HttpResponse, ApiError> {
    let name = name.into_inner();
    check(&state, &name, &Params::of(&request)?)?;
    let (id, format) = parse(&name).ok_or(ApiError::NoSuchExport)?;
    let file = state.store(move |store| store.export_file(&id, format)).await?;
    let file = file.ok_or(ApiError::NoSuchExport)?;
    let length = file.metadata().map_err(ApiError::internal)?.len();
    Ok(HttpResponse::Ok()
        .content_type("application/gzip")
        .insert_header((header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(SizedStream::new(length, pieces(file))))
}

/// Refuses whoever has no good link to this file.
fn check(state: &State, name: &str, params: &Params) -> Result<(), ApiError> {
    let expires = params.text("expires").and_then(|text| text.parse().ok());
    let signature = params.text("signature");
    let (expires, signature) = expires.zip(signature).ok_or(ApiError::NoGoodLink)?;
    let is_good = state.tokens.is_good_link(&format!("{FOLDER}{name}"), expires, signature, now());
    if is_good { Ok(()) } else { Err(ApiError::NoGoodLink) }
}

fn parse(name: &str) -> Option<(JobId, ExportFormat)> {
    let (id, _) = name.split_once('.')?;
    let id: JobId = id.parse().ok()?;
    let formats = [ExportFormat::Json, ExportFormat::Csv];
    let format = formats.into_iter().find(|format| format.file_name(&id) == name)?;
    Some((id, format))
}

/// The file's bytes, each piece read on a thread that may wait.
fn pieces(file: File) -> impl Stream<Item = io::Result<Bytes>> {
    try_unfold(file, |mut file| async move {
        let read = web::block(move || {
            let mut piece = Vec::with_capacity(PIECE);
            file.by_ref().take(PIECE as u64).read_to_end(&mut piece)?;
            Ok((piece, file))
        });
        let (piece, file) = read.await.map_err(io::Error::other).flatten()?;
        Ok((!piece.is_empty()).then(|| (Bytes::from(piece), file)))
    })
}
