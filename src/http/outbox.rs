//! `GET /api/v2/outbox`, `POST …/{id}/retry`, `DELETE …/{id}`: letters that are not sent, or not yet.
//!
//! **Invariant:** nobody gets to read a letter's text here, as it may hold a link that is as good as a
//! password.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use utoipa::ToSchema;

use super::auth::{Granted, ReadOutbox, UpdateOutbox};
use super::error::ApiError;
use super::openapi::asked::Paged;
use super::openapi::lists::LetterListed;
use super::params::{Page, Params};
use super::{State, json, no_content, now};
use crate::domain::{Fate, Posted, Timestamp};

/// Letters that wait or were given up, newest first; `page`, `per_page` and `include_totals` as elsewhere.
#[utoipa::path(
    get, path = "/api/v2/outbox", tag = "outbox", summary = "List letters that wait or were given up",
    params(Paged),
    responses((status = 200, description = "The letters, newest first", body = LetterListed)),
    security(("token" = ["read:outbox"])),
)]
pub(super) async fn list(
    _: Granted<ReadOutbox>,
    request: HttpRequest,
    state: Data<State>,
) -> Result<HttpResponse, ApiError> {
    let Page { start, limit, totals } = Page::of(&Params::of(&request)?)?;
    let found = state.store(move |store| store.newest_letters(start, limit, totals)).await?;
    let letters: Vec<_> = found.letters.iter().map(LetterView::of).collect();
    match found.total {
        None => json(StatusCode::OK, &letters),
        Some(total) => {
            json(StatusCode::OK, &LetterList { start, limit, length: letters.len(), total, letters })
        }
    }
}

/// Sends a letter as soon as it goes, given up or not.
#[utoipa::path(
    post, path = "/api/v2/outbox/{id}/retry", tag = "outbox", summary = "Try a letter again",
    params(("id" = String, Path)),
    responses((status = 204, description = "It is tried as soon as it goes")),
    security(("token" = ["update:outbox"])),
)]
pub(super) async fn retry(
    granted: Granted<UpdateOutbox>,
    state: Data<State>,
    id: Path<String>,
) -> Result<HttpResponse, ApiError> {
    let number = number(&id).ok_or(ApiError::NoSuchLetter)?;
    let event = granted.caller.success(StatusCode::NO_CONTENT);
    let found = state.change(move |store| store.try_letter_again(number, now(), event.into())).await?;
    if found { Ok(no_content()) } else { Err(ApiError::NoSuchLetter) }
}

/// Takes a letter out of the outbox unsent. It is no error if it is not there.
#[utoipa::path(
    delete, path = "/api/v2/outbox/{id}", tag = "outbox", summary = "Drop a letter",
    params(("id" = String, Path)),
    responses((status = 204, description = "There is no such letter any more")),
    security(("token" = ["update:outbox"])),
)]
pub(super) async fn delete(
    granted: Granted<UpdateOutbox>,
    state: Data<State>,
    id: Path<String>,
) -> Result<HttpResponse, ApiError> {
    if let Some(number) = number(&id) {
        let event = granted.caller.success(StatusCode::NO_CONTENT);
        state.change(move |store| store.drop_letter(number, event.into())).await?;
    }
    Ok(no_content())
}

/// The id of a letter is its number, as a text: clients that read numbers as floats keep it whole.
fn number(id: &str) -> Option<u64> {
    id.parse().ok().filter(|number: &u64| number.to_string() == id)
}

/// A letter, without its text.
#[derive(Serialize, ToSchema)]
#[schema(as = Letter)]
pub(super) struct LetterView<'a> {
    id: String,
    message_id: &'a str,
    to: &'a str,
    subject: &'a str,
    #[schema(value_type = String, format = DateTime)]
    written_at: Timestamp,
    attempts: u32,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    next_attempt_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    given_up_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_answer: Option<&'a str>,
}

impl<'a> LetterView<'a> {
    fn of(posted: &'a Posted) -> Self {
        let (status, next_attempt_at, given_up_at) = match posted.fate {
            Fate::Due(at) => ("waiting", Some(at), None),
            Fate::GivenUp(at) => ("given_up", None, Some(at)),
        };
        Self {
            id: posted.number.to_string(),
            message_id: &posted.letter.message_id,
            to: &posted.letter.to,
            subject: &posted.letter.subject,
            written_at: posted.letter.written_at,
            attempts: posted.attempts,
            status,
            next_attempt_at,
            given_up_at,
            last_answer: posted.last_answer.as_deref(),
        }
    }
}

#[derive(Serialize)]
struct LetterList<'a> {
    start: usize,
    limit: usize,
    length: usize,
    total: usize,
    letters: Vec<LetterView<'a>>,
}
