//! `POST /api/v2/jobs/users-imports`: a file of users comes in.

use std::io::{self, Write};
use std::pin::Pin;
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};
use tracing::info;

use super::auth::{Granted, Import};
use super::body::{Body, Incoming, content_length};
use super::caller::{Caller, cut};
use super::error::ApiError;
use super::openapi::sent::Import as ImportSent;
use super::openapi::told::Job as JobTold;
use super::upload::{Most, Order, receive};
use super::views::JobView;
use super::{State, json as answer, now};
use crate::domain::{Connection, Event, FileFault, IdSeries, Job, JobId, Timestamp};
use crate::import::{Scanner, UnpackError, Unpacker};
use crate::store::{NewJob, StoreError, Upload};
use crate::tokens::random;

/// Accepts a file of users: `202` and the pending job. Nothing is imported yet, but file and job
/// are on disk, and will be worked on even if the process dies now. After any refusal nothing is
/// left of the upload.
#[utoipa::path(
    post, path = "/api/v2/jobs/users-imports", tag = "jobs", summary = "Import users",
    request_body(content = ImportSent, content_type = "multipart/form-data"),
    responses((status = 202, description = "The job, which has not begun yet", body = JobTold)),
    security(("token" = ["create:users"])),
)]
pub(super) async fn create(
    granted: Granted<Import>,
    request: HttpRequest,
    state: Data<State>,
    incoming: Incoming,
) -> Result<HttpResponse, ApiError> {
    let body = incoming.up_to(state.max_file_size);
    let id = JobId::from_entropy(random().map_err(ApiError::internal)?);
    let mut spool = Spool { state: state.clone(), id, writing: None };
    let accepted = accept(&granted.caller, &request, &state, &body, &mut spool).await;
    spool.clear().await;
    body.drain().await;
    let job = accepted?;
    info!("import job {} accepted: {} bytes for {}", job.id, job.bytes, job.connection_name);
    answer(StatusCode::ACCEPTED, &JobView::accepted(&job))
}

async fn accept(
    caller: &Caller,
    request: &HttpRequest,
    state: &Data<State>,
    body: &Body,
    spool: &mut Spool,
) -> Result<Arc<Job>, ApiError> {
    let _place = state.uploads.try_acquire().map_err(|_| ApiError::TooManyUploads)?;
    let announced = content_length(request).unwrap_or(0);
    state.store(move |store| store.admit(announced)).await?;
    let most = Most { parts: state.bounds.max_parts, text: state.bounds.max_field_size };
    let form = receive(request.headers(), body, most, async |batch| spool.write(batch).await).await?;
    let order = form.complete()?;
    let connection_id = order.connection_id.clone();
    let connection = state.store(move |store| store.connection(&connection_id)).await?;
    let connection = importable(connection)?;
    let file = spool.finish().await?.ok_or(ApiError::EmptyUsers)?;
    enqueue(caller, state, spool.id.clone(), connection, order, file).await
}

fn importable(connection: Option<Connection>) -> Result<Connection, ApiError> {
    match connection {
        None => Err(ApiError::UnknownConnection),
        Some(connection) if !connection.is_database() => Err(ApiError::NoDatabase),
        Some(connection) if !connection.is_enabled() => Err(ApiError::NotEnabled),
        Some(connection) => Ok(connection),
    }
}

async fn enqueue(
    caller: &Caller,
    state: &State,
    id: JobId,
    connection: Connection,
    order: Order,
    (upload, rows): (Upload, Rows),
) -> Result<Arc<Job>, ApiError> {
    let created_at = now();
    let ids = IdSeries::new(created_at, random().map_err(ApiError::internal)?);
    let engine = state.engine.clone();
    let event = accepted(caller, &id, &connection, &order, created_at);
    let enqueued = state.change(move |store| {
        let job = NewJob {
            id,
            connection,
            external_id: order.external_id,
            upsert: order.upsert,
            send_completion_email: order.send_completion_email,
            created_at,
            ids,
            rows,
        };
        let job = store.enqueue(job, upload, event.into())?;
        // Here and not after the answer: the client may be gone, the job is not.
        engine.submit(job.ticket);
        Ok(job)
    });
    enqueued.await
}

/// What the tenant log says of an upload.
fn accepted(
    caller: &Caller,
    id: &JobId,
    connection: &Connection,
    order: &Order,
    created_at: Timestamp,
) -> Event {
    let external_id = order.external_id.as_deref().map(cut);
    let request = json!({
        "connection_id": connection.id, "external_id": external_id, "upsert": order.upsert,
        "send_completion_email": order.send_completion_email,
    });
    let response = json!({
        "id": id, "type": "users_import", "status": "pending", "connection_id": connection.id,
        "connection": connection.name, "external_id": external_id, "created_at": created_at,
    });
    caller
        .success_with(StatusCode::ACCEPTED, without_nulls(request), without_nulls(response))
        .about(connection)
        .with("job_id", id.as_str())
        .with("external_id", order.external_id.as_deref())
}

fn without_nulls(mut value: Value) -> Value {
    if let Value::Object(members) = &mut value {
        members.retain(|_, member| !member.is_null());
    }
    value
}

/// How many rows a file has, or why it is no file of users.
type Rows = Result<u64, FileFault>;

/// A file on its way to disk, and the check of it.
struct Spooled {
    upload: Upload,
    scanner: Scanner,
}

impl Write for Spooled {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.upload.write(bytes).map_err(|fault| match fault {
            StoreError::Io(error) => error,
            other => io::Error::other(other),
        })?;
        self.scanner.push_unreported(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The same, unpacked first if it comes packed.
type Arriving = Unpacker<Spooled>;

/// A batch being written.
type Writing = Pin<Box<dyn Future<Output = Result<Arriving, ApiError>>>>;

/// Writes batches on another thread, one at a time, while the next is being received.
struct Spool {
    state: Data<State>,
    id: JobId,
    writing: Option<Writing>,
}

impl Spool {
    async fn write(&mut self, batch: Vec<u8>) -> Result<(), ApiError> {
        let begun = self.wait().await?;
        let id = self.id.clone();
        let most = self.state.max_unpacked_size;
        let writing = self.state.store(move |store| {
            let mut file = if let Some(file) = begun {
                file
            } else {
                let spooled = Spooled { upload: store.begin_upload(&id)?, scanner: Scanner::new() };
                Unpacker::new(spooled, most)
            };
            Ok(file.push(&batch).map(|()| file))
        });
        self.writing = Some(Box::pin(async move { writing.await?.map_err(|fault| refusal(fault, most)) }));
        Ok(())
    }

    /// Removes a file that was not taken, before the client is told so.
    async fn clear(&mut self) {
        drop(self.wait().await);
    }

    /// The file and what was found in it, once the last batch is written; `None` if there was none.
    async fn finish(&mut self) -> Result<Option<(Upload, Rows)>, ApiError> {
        let Some(file) = self.wait().await? else {
            return Ok(None);
        };
        let most = self.state.max_unpacked_size;
        let (file, damage) = file.finish().map_err(|fault| refusal(fault, most))?;
        let rows = damage.map_or_else(|| file.scanner.finish(), Err);
        Ok(Some((file.upload, rows)))
    }

    async fn wait(&mut self) -> Result<Option<Arriving>, ApiError> {
        match self.writing.take() {
            Some(writing) => writing.await.map(Some),
            None => Ok(None),
        }
    }
}

fn refusal(fault: UnpackError, most: u64) -> ApiError {
    match fault {
        UnpackError::TooLarge => ApiError::UnpacksTooLarge(most),
        UnpackError::Write(error) => ApiError::Store(error.into()),
    }
}
