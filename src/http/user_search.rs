//! `GET /api/v2/users`: all users, or those that a query asks for, in pages.
//!
//! `find` looks for them. Those searches that have to look at everybody wait for a place, of which there are few,
//! so that they leave the machine to others; and they end in time.
//!
//! Deliberately absent: pages beyond the first thousand users (an export has all), a checkpoint.

mod find;

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout_at;

use super::auth::{Granted, ReadUsers};
use super::error::{ApiError, Place};
use super::openapi::asked::{Narrowed, PagedToThousand, Search};
use super::openapi::lists::UserList;
use super::params::{Fields, Page, Params};
use super::views::UserView;
use super::{State, json};
use crate::search::{Query, Sort};
use find::{Found, Wanted};

/// Users that can be paged through.
pub(super) const FIRST: usize = 1000;

/// Those who may look at everybody at the same time, and how long each may take.
#[derive(Debug)]
pub(super) struct Searches {
    places: Arc<Semaphore>,
    timeout: Duration,
}

impl Searches {
    /// This many at a time.
    pub(super) fn new(most: usize, timeout: Duration) -> Self {
        Self { places: Arc::new(Semaphore::new(most)), timeout }
    }

    /// A place, as soon as there is one.
    async fn place(&self, deadline: Instant) -> Result<OwnedSemaphorePermit, ApiError> {
        let place = timeout_at(deadline.into(), self.places.clone().acquire_owned()).await;
        place.map_err(|_| ApiError::SearchOverdue)?.map_err(ApiError::internal)
    }
}

/// A page with its totals.
#[derive(Serialize)]
struct Totals<'a> {
    start: usize,
    limit: usize,
    length: usize,
    total: u64,
    users: &'a [Box<RawValue>],
}

/// A page of users, in the order they were stored unless another is asked for.
#[utoipa::path(
    get, path = "/api/v2/users", tag = "users", summary = "List or search users",
    params(PagedToThousand, Narrowed, Search),
    responses((status = 200, description = "The users", body = UserList)),
    security(("token" = ["read:users"])),
)]
pub(super) async fn list(
    _: Granted<ReadUsers>,
    request: HttpRequest,
    state: Data<State>,
) -> Result<HttpResponse, ApiError> {
    let params = Params::of(&request)?;
    let fields = Fields::of(&params)?;
    let wanted = wanted(&params)?;
    let page = wanted.page;
    let Found { users, total } = find(&state, wanted).await?;
    let views = users.iter().map(|(user, connection)| UserView::of(user, connection));
    let views = views.map(|view| fields.select(&view?)).collect::<Result<Vec<_>, _>>()?;
    if !page.totals {
        return json(StatusCode::OK, &views);
    }
    let (start, limit, length) = (page.start, page.limit, views.len());
    json(StatusCode::OK, &Totals { start, limit, length, total, users: &views })
}

async fn find(state: &State, wanted: Wanted) -> Result<Found, ApiError> {
    let deadline = Instant::now() + state.searches.timeout;
    let place = if wanted.looks_at_everybody() { Some(state.searches.place(deadline).await?) } else { None };
    let found = state.store(move |store| {
        let found = wanted.find(store, deadline);
        drop(place); // not before the search has ended, whoever still waits for it
        found
    });
    found.await?.ok_or(ApiError::SearchOverdue)
}

fn wanted(params: &Params) -> Result<Wanted, ApiError> {
    let text = |name: &str| params.text(name).filter(|text| !text.trim().is_empty());
    match text("search_engine") {
        None | Some("v3") => {}
        Some(engine @ ("v1" | "v2")) => return Err(ApiError::SearchEngine(engine.to_owned())),
        Some(engine) => {
            let engine: String = engine.chars().take(100).collect();
            return Err(refusal(format!("No enum match for: {engine}"), "search_engine"));
        }
    }
    if text("connection").is_some() {
        return Err(ApiError::SearchByConnection);
    }
    let page = Page::of(params)?;
    if page.start + page.limit > FIRST {
        return Err(ApiError::BeyondFirst(FIRST));
    }
    let query = text("q").map(Query::parse).transpose();
    let sort = text("sort").map(Sort::parse).transpose();
    Ok(Wanted {
        query: query.map_err(|fault| refusal(fault.to_string(), "q"))?,
        sort: sort.map_err(|fault| refusal(fault.to_string(), "sort"))?,
        page,
    })
}

fn refusal(rule: String, parameter: &'static str) -> ApiError {
    ApiError::invalid(Place::Query, rule, parameter)
}
