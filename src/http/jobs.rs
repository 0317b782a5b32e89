//! `GET /api/v2/jobs`, `…/{id}` and `…/{id}/errors`: what became of uploads.

use std::io;

use actix_web::http::StatusCode;
use actix_web::web::{Bytes, Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::stream::{Stream, try_unfold};
use serde::Serialize;

use super::auth::{Granted, ReadJobs};
use super::error::{ApiError, Place, log_store_fault};
use super::openapi::asked::{Faults, Paged, Progress};
use super::openapi::lists::JobList;
use super::openapi::told::{self, JobErrors};
use super::params::{Page, Params};
use super::views::{Detail, FailedRowView, JobView, status};
use super::{State, failures, json, tasks};
use crate::domain::{FailedRow, Job, JobId, Scope, Stage, Ticket};
use crate::store::{Store, StoreError};

/// The content type of a list of failed rows; unlike elsewhere there is no charset.
pub(super) const PLAIN_JSON: &str = "application/json";

/// One job and how it stands.
#[utoipa::path(
    get, path = "/api/v2/jobs/{id}", tag = "jobs", summary = "Show a job",
    params(("id" = String, Path), Progress),
    responses((status = 200, description = "The job", body = told::Job)),
    security(("token" = ["create:users", "read:users"])),
)]
pub(super) async fn show(
    granted: Granted<ReadJobs>,
    request: HttpRequest,
    state: Data<State>,
    id: Path<JobId>,
) -> Result<HttpResponse, ApiError> {
    let detail = Detail::of(&Params::of(&request)?)?;
    if let Ok(Some(job)) = state.store.unfinished_with_id(&id) {
        return json(StatusCode::OK, &JobView::of(&job, &state.engine, detail));
    }
    let wanted = id.clone();
    let Some(job) = state.store(move |store| store.job(&wanted)).await? else {
        let may_read_users = granted.require(&[Scope::ReadUsers]).is_ok();
        return tasks::show(&state, id.into_inner(), may_read_users).await;
    };
    json(StatusCode::OK, &JobView::of(&job, &state.engine, detail))
}

/// A page of jobs, newest first, for which every given filter holds: `status`, `connection` (id
/// or name), `external_id`.
#[utoipa::path(
    get, path = "/api/v2/jobs", tag = "jobs", summary = "List imports",
    params(
        Paged, Progress, ("status" = Option<told::JobStatus>, Query), ("connection" = Option<String>, Query),
        ("external_id" = Option<String>, Query),
    ),
    responses((status = 200, description = "The jobs", body = JobList)),
    security(("token" = ["create:users", "read:users"])),
)]
pub(super) async fn list(
    _: Granted<ReadJobs>,
    request: HttpRequest,
    state: Data<State>,
) -> Result<HttpResponse, ApiError> {
    let params = Params::of(&request)?;
    let page = Page::of(&params)?;
    let detail = Detail::of(&params)?;
    let filter = Filter::of(&params)?;
    let found = state
        .store(move |store| store.jobs(&|job| filter.lets_pass(job), page.start, page.limit, page.totals));
    let found = found.await?;
    let jobs: Vec<_> = found.jobs.iter().map(|job| JobView::of(job, &state.engine, detail)).collect();
    let Some(total) = found.total else {
        return json(StatusCode::OK, &jobs);
    };
    let (start, limit, length) = (page.start, page.limit, jobs.len());
    json(StatusCode::OK, &JobPage { start, limit, length, total, jobs })
}

impl Detail {
    /// `include=progress` asks for what other servers of this API do not tell.
    fn of(params: &Params) -> Result<Self, ApiError> {
        match params.text("include") {
            None => Ok(Self::Usual),
            Some("progress") => Ok(Self::Progress),
            Some(other) => {
                let rule = format!("No enum match for: {other}");
                Err(ApiError::invalid(Place::Query, rule, "include"))
            }
        }
    }
}

#[derive(Serialize)]
struct JobPage<'a> {
    start: usize,
    limit: usize,
    length: usize,
    total: usize,
    jobs: Vec<JobView<'a>>,
}

struct Filter {
    status: Option<String>,
    connection: Option<String>,
    external_id: Option<String>,
}

impl Filter {
    fn of(params: &Params) -> Result<Self, ApiError> {
        let text = |name| params.text(name).map(str::to_owned);
        let status = text("status");
        if let Some(other) = &status
            && !["pending", "completed", "failed"].contains(&other.as_str())
        {
            let rule = format!("No enum match for: {other}");
            return Err(ApiError::invalid(Place::Query, rule, "status"));
        }
        Ok(Self { status, connection: text("connection"), external_id: text("external_id") })
    }

    fn lets_pass(&self, job: &Job) -> bool {
        let is =
            |wanted: &Option<String>, given: Option<&str>| wanted.is_none() || wanted.as_deref() == given;
        is(&self.status, Some(status(job)))
            && is(&self.external_id, job.external_id.as_deref())
            && (is(&self.connection, Some(job.connection.as_str()))
                || is(&self.connection, Some(&job.connection_name)))
    }
}

/// The rows of a job that could not be imported: an array of any length, sent as it is read. For
/// a job that failed as a whole the job and why; an empty `204` if there is nothing to tell. Other
/// forms are in [`failures`].
#[utoipa::path(
    get, path = "/api/v2/jobs/{id}/errors", tag = "jobs", summary = "Show what went wrong with a job",
    params(("id" = String, Path), Faults),
    responses((status = 200, description = "What went wrong", body = JobErrors), (status = 204, description = "Nothing")),
    security(("token" = ["create:users", "read:users"])),
)]
pub(super) async fn errors(
    _: Granted<ReadJobs>,
    request: HttpRequest,
    state: Data<State>,
    id: Path<JobId>,
) -> Result<HttpResponse, ApiError> {
    let form = failures::Form::of(&Params::of(&request)?)?;
    let wanted = id.clone();
    let Some(job) = state.store(move |store| store.job(&wanted)).await? else {
        return tasks::errors(&state, id.into_inner()).await;
    };
    if let Some(form) = form {
        return form.answer(&state, &job).await;
    }
    let mut response = HttpResponse::Ok();
    response.content_type(PLAIN_JSON);
    match &job.stage {
        Stage::Failed { reason, .. } => {
            let body = serde_json::to_string(&JobView::failure(&job, reason));
            Ok(response.body(body.map_err(ApiError::internal)?))
        }
        Stage::Completed { summary, .. } if summary.failed > 0 => {
            let ticket = job.ticket;
            // The first page is read before the status is sent, so that it can be a 500.
            let first = state.store(move |store| page(store, ticket, 0)).await?;
            Ok(response.streaming(failed_rows(state, ticket, first)))
        }
        Stage::Pending(_) | Stage::Completed { .. } => {
            Ok(HttpResponse::NoContent().content_type(PLAIN_JSON).finish())
        }
    }
}

/// A piece of the array, and the row the next one starts with.
type Piece = (Bytes, Option<u64>);

enum Next {
    Ready(Piece),
    Read(u64),
    End,
}

fn failed_rows(
    state: Data<State>,
    ticket: Ticket,
    first: Piece,
) -> impl Stream<Item = Result<Bytes, io::Error>> {
    try_unfold((state, Next::Ready(first)), move |(state, next)| async move {
        let (bytes, next) = match next {
            Next::End => return Ok(None),
            Next::Ready(piece) => piece,
            Next::Read(from) => {
                let piece = state.store(move |store| page(store, ticket, from)).await;
                piece.map_err(|fault| cut_off(&fault))?
            }
        };
        let next = next.map_or(Next::End, Next::Read);
        Ok(Some((bytes, (state, next))))
    })
}

/// Ends an answer whose status is long sent: the connection breaks, so no client takes it for
/// complete.
fn cut_off(fault: &ApiError) -> io::Error {
    match fault {
        ApiError::Store(fault) => log_store_fault(fault),
        other => tracing::error!("a list of failed rows was cut off: {other:?}"),
    }
    io::Error::other("the list of failed rows could not be read to its end")
}

fn page(store: &Store, ticket: Ticket, from: u64) -> Result<Piece, StoreError> {
    let (rows, next) = store.failed_rows(ticket, from)?;
    let text = piece(&rows, from == 0, next.is_none());
    let text = text.map_err(|fault| StoreError::Corrupt(format!("a failed row: {fault}")))?;
    Ok((text.into(), next))
}

/// The JSON text of some rows, as the part of the array they are.
fn piece(rows: &[FailedRow], is_first: bool, is_last: bool) -> serde_json::Result<Vec<u8>> {
    let mut text = if is_first { b"[".to_vec() } else { Vec::new() };
    for (number, row) in rows.iter().enumerate() {
        if !is_first || number > 0 {
            text.push(b',');
        }
        serde_json::to_writer(&mut text, &FailedRowView::of(row)?)?;
    }
    if is_last {
        text.push(b']');
    }
    Ok(text)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may")]
mod tests {
    use super::*;
    use crate::domain::{Code, Fault};

    fn rows(indexes: std::ops::Range<u64>) -> Vec<FailedRow> {
        let faults = vec![Fault::of_row(Code::DuplicatedUser, "again")];
        let row = |index| FailedRow { index, line: index + 1, user: "{}".to_owned(), faults: faults.clone() };
        indexes.map(row).collect()
    }

    #[test]
    fn pieces_make_one_array_however_they_are_cut() {
        let whole = piece(&rows(0..5), true, true).unwrap();
        let parsed: serde_json::Value = serde_json::from_slice(&whole).unwrap();
        assert_eq!(parsed.as_array().unwrap().len(), 5);
        for cut in 1..=5 {
            let mut text = piece(&rows(0..cut), true, false).unwrap();
            text.extend(piece(&rows(cut..5), false, true).unwrap());
            assert!(text == whole, "cut after {cut}");
        }
    }
}
