//! `GET /api/v2/logs`, `…/{id}` and `GET /api/v2/users/{id}/logs`: the tenant log.
//!
//! A list comes in pages, of which the first [`LAST_PAGED`] events can be had, or from a checkpoint
//! without an end. Orders are those of writing: where a clock was set back, dates are not sorted.

#[cfg(any(test, fuzzing))]
pub(super) mod fuzzing;
mod query;

use actix_web::http::{StatusCode, header};
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::auth::{Granted, ReadLogs};
use super::error::{ApiError, Place};
use super::openapi::asked::{From, Narrowed, PagedToThousand};
use super::openapi::lists::LogList;
use super::params::{Fields, LARGEST_PAGE, PAGE, Page, Params};
use super::{State, json};
use crate::domain::{LogId, Logged};
use crate::store::{EventPage, Order};
use query::Query;

/// Events that pages lead to; what lies behind them is read from a checkpoint.
const LAST_PAGED: usize = 1000;

/// Events of the tenant log, newest first: those for which `q` (or `search`) holds, by `page`,
/// `per_page`, `include_totals`, `sort`, `fields`. With `from` or `take` the events after a checkpoint,
/// oldest first, and a `Link` to those that follow; nothing else is looked at then.
#[utoipa::path(
    get, path = "/api/v2/logs", tag = "logs", summary = "List events of the tenant log",
    params(PagedToThousand, From, Narrowed, ("q" = Option<String>, Query), ("search" = Option<String>, Query), ("sort" = Option<String>, Query, pattern = "^(date:-?1)?$")),
    responses((status = 200, description = "The events", body = LogList)),
    security(("token" = ["read:logs", "read:logs_users"])),
)]
pub(super) async fn list(
    _: Granted<ReadLogs>,
    request: HttpRequest,
    state: Data<State>,
) -> Result<HttpResponse, ApiError> {
    let params = Params::of(&request)?;
    if let Some(checkpoint) = Checkpoint::of(&params)? {
        return after(&state, checkpoint).await;
    }
    let text = params.text("q").map(|text| ("q", text));
    let (name, text) = text.or(params.text("search").map(|text| ("search", text))).unwrap_or_default();
    let query = Query::parse(text);
    let query = query.map_err(|fault| ApiError::invalid(Place::Query, fault.to_string(), name))?;
    let list = List::of(&params)?;
    let wanted = (!query.is_empty()).then_some(move |logged: &Logged| query.matches(logged));
    list.answer(&state, wanted).await
}

/// One event.
#[utoipa::path(
    get, path = "/api/v2/logs/{id}", tag = "logs", summary = "Show an event",
    params(("id" = String, Path), Narrowed),
    responses((status = 200, description = "The event", body = LogView)),
    security(("token" = ["read:logs", "read:logs_users"])),
)]
pub(super) async fn show(
    _: Granted<ReadLogs>,
    request: HttpRequest,
    state: Data<State>,
    id: Path<String>,
) -> Result<HttpResponse, ApiError> {
    let fields = Fields::of(&Params::of(&request)?)?;
    let id = id.into_inner();
    let parsed: LogId = id.parse().map_err(|_| ApiError::NoSuchLog)?;
    let found = state.store(move |store| store.event(parsed)).await?;
    let logged = found.filter(|logged| logged.log_id == id).ok_or(ApiError::NoSuchLog)?;
    json(StatusCode::OK, &fields.select(&logged)?)
}

/// Events about one user, also of one who is gone; newest first, in pages like those of all events.
#[utoipa::path(
    get, path = "/api/v2/users/{id}/logs", tag = "users", summary = "List events about a user",
    params(("id" = String, Path), PagedToThousand, Narrowed, ("sort" = Option<String>, Query, pattern = "^(date:-?1)?$")),
    responses((status = 200, description = "The events", body = LogList)),
    security(("token" = ["read:logs", "read:logs_users"])),
)]
pub(super) async fn of_user(
    _: Granted<ReadLogs>,
    request: HttpRequest,
    state: Data<State>,
    id: Path<String>,
) -> Result<HttpResponse, ApiError> {
    let list = List::of(&Params::of(&request)?)?;
    let id = id.into_inner();
    list.answer(&state, Some(move |logged: &Logged| logged.event.user_id.as_ref() == Some(&id))).await
}

/// What part of a list is wanted, and in which form.
struct List {
    page: Page,
    order: Order,
    fields: Fields,
}

impl List {
    fn of(params: &Params) -> Result<Self, ApiError> {
        let page = Page::of(params)?;
        if LAST_PAGED < page.start + page.limit {
            let rule = format!(
                "Pages lead to the first {LAST_PAGED} events only; read on at /api/v2/logs with from (the \
                 log_id of the last event you have) and take"
            );
            return Err(ApiError::invalid(Place::Query, rule, "page"));
        }
        let order = match params.text("sort") {
            None | Some("" | "date:-1") => Order::NewestFirst,
            Some("date:1") => Order::OldestFirst,
            Some(_) => {
                let rule = "Expected date:1 (oldest first) or date:-1 (newest first)";
                return Err(ApiError::invalid(Place::Query, rule, "sort"));
            }
        };
        Ok(Self { page, order, fields: Fields::of(params)? })
    }

    async fn answer(
        self,
        state: &State,
        wanted: Option<impl Fn(&Logged) -> bool + Send + 'static>,
    ) -> Result<HttpResponse, ApiError> {
        let Self { page: Page { start, limit, totals }, order, fields } = self;
        let found = state.store(move |store| {
            let wanted = wanted.as_ref().map(|wanted| wanted as &dyn Fn(&Logged) -> bool);
            store.events(wanted, order, start, limit, totals)
        });
        let EventPage { events, total } = found.await?;
        let logs = events.iter().map(|logged| fields.select(logged)).collect::<Result<Vec<_>, _>>()?;
        match total {
            None => json(StatusCode::OK, &logs),
            Some(total) => json(StatusCode::OK, &LogPage { start, limit, length: logs.len(), total, logs }),
        }
    }
}

/// An event of the tenant log. There may be more in it than is described here.
#[derive(ToSchema)]
#[schema(as = LogEvent)]
#[expect(dead_code, reason = "it describes what the domain's event is answered as")]
pub(super) struct LogView {
    log_id: String,
    _id: String,
    #[schema(format = DateTime)]
    date: String,
    r#type: String,
    description: Option<String>,
    connection: Option<String>,
    connection_id: Option<String>,
    client_id: Option<String>,
    client_name: Option<String>,
    ip: Option<String>,
    hostname: Option<String>,
    user_id: Option<String>,
    user_name: Option<String>,
    user_agent: Option<String>,
    audience: Option<String>,
    scope: Option<String>,
    #[schema(value_type = Option<Object>)]
    details: Option<()>,
}

#[derive(Serialize)]
struct LogPage {
    start: usize,
    limit: usize,
    length: usize,
    total: usize,
    logs: Vec<Box<RawValue>>,
}

/// A place in the log, and how many of the events behind it are wanted.
struct Checkpoint {
    after: Option<LogId>,
    take: usize,
}

impl Checkpoint {
    /// `from` and `take`, if either is there.
    fn of(params: &Params) -> Result<Option<Self>, ApiError> {
        let after = match params.text("from").filter(|text| !text.is_empty()) {
            None => None,
            Some(text) => Some(text.parse().map_err(|_| {
                let rule = format!("String does not match pattern {}", LogId::PATTERN);
                ApiError::invalid(Place::Query, rule, "from")
            })?),
        };
        let take = params.whole("take", 1, LARGEST_PAGE)?;
        let wanted = after.is_some() || take.is_some();
        Ok(wanted.then(|| Self { after, take: take.unwrap_or(PAGE) }))
    }
}

/// Events after a checkpoint. The link is there whenever an event is: who polls asks again behind the
/// last one, whether there are more by then or not.
async fn after(state: &State, checkpoint: Checkpoint) -> Result<HttpResponse, ApiError> {
    let Checkpoint { after, take } = checkpoint;
    let found = state.store(move |store| {
        let end = store.next_event()?;
        match after {
            Some(id) if end <= id.number => Ok(None),
            Some(id) => store.events_from(id.number + 1, take).map(Some),
            None => store.events_from(0, take).map(Some),
        }
    });
    let Some(events) = found.await? else {
        let rule = "There is no event with this id yet; it is from another log";
        return Err(ApiError::invalid(Place::Query, rule, "from"));
    };
    let events: Vec<Logged> = events.into_iter().map(|(_, logged)| logged).collect();
    let mut answer = json(StatusCode::OK, &events)?;
    if let Some(last) = events.last() {
        let next =
            format!("<{}/api/v2/logs?from={}&take={take}>; rel=\"next\"", state.public_url, last.log_id);
        let next = next.parse().map_err(ApiError::internal)?;
        answer.headers_mut().insert(header::LINK, next);
    }
    Ok(answer)
}
