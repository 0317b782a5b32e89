//! `POST /api/v2/jobs/users-exports`: users are to be written to a file, which [`mod@file`] hands out.

pub(super) mod file;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::Data;
use serde_json::{Value, json};
use tracing::info;

use super::auth::{Export as Leave, Granted};
use super::caller::Caller;
use super::error::ApiError;
use super::openapi::sent::NewExport;
use super::openapi::told::Job;
use super::payload::{Object, Payload, read_object};
use super::tasks::TaskView;
use super::{State, json as answer, now};
use crate::domain::{
    ConnectionId, Errand, Event, Export, ExportField, ExportFormat, JobId, Owed, Task, TaskStage,
};
use crate::tokens::random;

/// Most columns of CSV.
const MOST_COLUMNS: usize = 30;
/// Most fields of a row of JSON: as many as a body of that size can name.
const MOST_FIELDS: usize = 1000;
/// Longest name, in characters.
const LONGEST_NAME: usize = 100;

/// Accepts an export: `200` and the pending job. `429` while as many wait as the settings allow.
#[utoipa::path(
    post, path = "/api/v2/jobs/users-exports", tag = "jobs", summary = "Export users",
    request_body = NewExport,
    responses((status = 200, description = "The job, which has not begun yet", body = Job)),
    security(("token" = ["read:users"])),
)]
pub(super) async fn create(
    granted: Granted<Leave>,
    state: Data<State>,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let (connection_id, export) = read(read_object(payload).await?)?;
    let id = JobId::from_entropy(random().map_err(ApiError::internal)?);
    let (exports, most) = (state.exports.clone(), state.max_pending_exports);
    let created_at = now();
    let accepted = state.change(move |store| {
        let connection = match &connection_id {
            None => None,
            Some(id) => match store.connection(id)? {
                None => return Ok(None),
                found => found,
            },
        };
        let chosen = connection.as_ref().map(|one| (one.id.clone(), one.name.clone()));
        let what = Errand::Export(Export { connection: chosen, ..export });
        let task = Task { id, created_at, what, attempts: 0, stage: TaskStage::Pending };
        let mut event = event(&granted.caller, &task);
        if let Some(connection) = &connection {
            event = event.about(connection);
        }
        store.accept_export(&task, Owed::from(event), most)?;
        // Here and not after the answer: the client may be gone, the job is not.
        exports.submit();
        Ok(Some(task))
    });
    let task = accepted.await?.ok_or(ApiError::UnknownConnection)?;
    info!("export job {} accepted", task.id);
    answer(StatusCode::OK, &TaskView::accepted(&task))
}

/// What a body asks for; the connection is still to be found.
fn read(mut body: Object) -> Result<(Option<ConnectionId>, Export), ApiError> {
    let connection_id = body.parsed("connection_id")?;
    let format = match body.one_of("format", &["json", "csv"])? {
        Some("json") => ExportFormat::Json,
        _ => ExportFormat::Csv,
    };
    let limit = body.whole("limit", 1..=u64::MAX)?;
    let most = if format == ExportFormat::Csv { MOST_COLUMNS } else { MOST_FIELDS };
    let fields = body.objects("fields", 0..=most)?.unwrap_or_default();
    let fields = fields.into_iter().map(read_field).collect::<Result<_, _>>()?;
    body.close()?;
    Ok((connection_id, Export { connection: None, format, limit, fields }))
}

fn read_field(mut field: Object) -> Result<ExportField, ApiError> {
    let name = field.text("name", 1..=LONGEST_NAME)?;
    let name = field.required(name, "name")?;
    let export_as = field.text("export_as", 1..=LONGEST_NAME)?;
    field.close()?;
    Ok(ExportField { name, export_as })
}

/// What the tenant log says of it.
fn event(caller: &Caller, task: &Task) -> Event {
    let view = serde_json::to_value(TaskView::accepted(task)).unwrap_or_default();
    let asked = ["connection_id", "format", "limit"];
    let request = asked.into_iter().filter_map(|name| Some((name.to_owned(), view.get(name)?.clone())));
    let request = Value::Object(request.collect());
    let response = json!({ "id": task.id, "type": "users_export", "status": "pending" });
    caller.success_with(StatusCode::OK, request, response).with("job_id", task.id.as_str())
}
