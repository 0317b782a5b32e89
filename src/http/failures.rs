//! `GET /api/v2/jobs/{id}/errors` in the forms that are ours: `group_by=code`, and `code`, `from`, `take`.
//!
//! Clients of other servers of this API send none of these parameters and meet none of this.
//!
//! **Invariant:** no call reads more than [`PAGES`] pages of failed rows; one that finds too little in them
//! says where to go on.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use serde::Serialize;
use serde::de::value::{Error as NameFault, StrDeserializer};
use serde::de::{Deserialize, IntoDeserializer};

use super::error::{ApiError, Place};
use super::params::Params;
use super::views::FailedRowView;
use super::{State, json};
use crate::domain::{Code, FailedRow, Job, Ticket};
use crate::store::{Store, StoreError};

/// Most pages of the store that one call reads: about 2 MB of rows.
const PAGES: usize = 32;
/// Rows of an answer, unless another number is asked for.
const TAKE: usize = 50;
/// Rows of an answer at most.
const MOST: usize = 100;
/// Highest row to begin at. No file has that many.
const LAST_ROW: usize = 1 << 53;

/// A form of the answer that has to be asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// In how many rows there is each kind of fault.
    Groups,
    /// Some of the rows.
    Rows(Wanted),
}

/// Which rows, and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted {
    code: Option<Code>,
    from: u64,
    take: usize,
}

impl Form {
    /// The form asked for, if it is none of the usual ones.
    pub(super) fn of(params: &Params) -> Result<Option<Self>, ApiError> {
        let is_grouped = match params.text("group_by") {
            None => false,
            Some("code") => true,
            Some(other) => return Err(no_match(other, "group_by")),
        };
        let code = params.text("code").map(|name| code(name).ok_or_else(|| no_match(name, "code")));
        let code = code.transpose()?;
        let from = params.whole("from", 0, LAST_ROW)?;
        let take = params.whole("take", 1, MOST)?;
        if is_grouped {
            return Ok(Some(Self::Groups));
        }
        if code.is_none() && from.is_none() && take.is_none() {
            return Ok(None);
        }
        let (from, take) = (from.unwrap_or(0) as u64, take.unwrap_or(TAKE));
        Ok(Some(Self::Rows(Wanted { code, from, take })))
    }

    /// The answer about a job.
    pub(super) async fn answer(self, state: &State, job: &Job) -> Result<HttpResponse, ApiError> {
        match self {
            Self::Groups => json(StatusCode::OK, &groups(job)),
            Self::Rows(wanted) => {
                let ticket = job.ticket;
                let found = state.store(move |store| find(store, ticket, wanted)).await?;
                let rows = found.rows.iter().map(FailedRowView::of).collect::<Result<Vec<_>, _>>();
                let rows = rows.map_err(ApiError::internal)?;
                json(StatusCode::OK, &RowsView { rows, next: found.next })
            }
        }
    }
}

fn no_match(given: &str, property: &'static str) -> ApiError {
    ApiError::invalid(Place::Query, format!("No enum match for: {given}"), property)
}

fn code(name: &str) -> Option<Code> {
    let name: StrDeserializer<'_, NameFault> = name.into_deserializer();
    Code::deserialize(name).ok()
}

/// The rows with faults of one kind. A row with several kinds is in several groups.
#[derive(Serialize)]
struct Group {
    code: Code,
    rows: u64,
    message: &'static str,
}

/// The commonest kind first. Of an unfinished job: so far.
fn groups(job: &Job) -> Vec<Group> {
    let found = job.summary().faults.commonest();
    found.into_iter().map(|(code, rows)| Group { code, rows, message: code.meaning() }).collect()
}

#[derive(Serialize)]
struct RowsView<'a> {
    rows: Vec<FailedRowView<'a>>,
    /// What `from` has to be for more, if there may be more.
    next: Option<u64>,
}

#[derive(Debug, Default)]
struct Found {
    rows: Vec<FailedRow>,
    next: Option<u64>,
}

fn find(store: &Store, ticket: Ticket, wanted: Wanted) -> Result<Found, StoreError> {
    let is_wanted =
        |row: &FailedRow| wanted.code.is_none_or(|code| row.faults.iter().any(|fault| fault.code == code));
    let mut found = Found { rows: Vec::new(), next: Some(wanted.from) };
    for _ in 0..PAGES {
        let Some(from) = found.next else { break };
        let (page, after) = store.failed_rows(ticket, from)?;
        found.next = after;
        for row in page.into_iter().filter(is_wanted) {
            if found.rows.len() == wanted.take {
                found.next = Some(row.index);
                return Ok(found);
            }
            found.rows.push(row);
        }
    }
    Ok(found)
}
