//! `GET` and `POST /u/email-verification`: the page where users say that an address is theirs.
//!
//! **Invariant:** looking at the page verifies nothing and never uses its ticket up: programs that check mail
//! look at every link, and they are not the user. Only the button does.

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};

use super::body::{Incoming, form_or_json, read_small};
use super::caller;
use super::error::{ApiError, Place};
use super::hosted::{self, EMAIL_VERIFICATION, see_other};
use super::params::Params;
use super::{State, now};
use crate::domain::TicketKind;
use crate::login::Redeemed;

/// Largest form, in bytes: a ticket.
const LARGEST_FORM: u64 = 1 << 10;

/// What the page shows.
#[derive(Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
enum Page<'a> {
    /// A button.
    Form { ticket: &'a str, email: &'a str },
    /// The address is verified.
    Done,
    /// The ticket is not good.
    Gone,
}

#[derive(Deserialize)]
struct Form {
    ticket: String,
}

/// The page for a ticket: a button, or a word about links that do not work any more.
pub(super) async fn show(request: HttpRequest, state: Data<State>) -> Result<HttpResponse, ApiError> {
    let ticket = Params::of(&request)?.text("ticket").unwrap_or_default().to_owned();
    let text = ticket.clone();
    let opened = state.logins(move |logins| logins.open(&text, TicketKind::VerifyEmail, now()));
    let Some(opened) = opened.await? else {
        return gone();
    };
    let page = Page::Form { ticket: &ticket, email: &opened.user.email };
    hosted::render(StatusCode::OK, EMAIL_VERIFICATION, &page, opened.result_url.as_ref())
}

/// Verifies the address.
pub(super) async fn submit(
    request: HttpRequest,
    state: Data<State>,
    payload: Incoming,
) -> Result<HttpResponse, ApiError> {
    let content = read_small(payload, LARGEST_FORM).await?;
    let form: Option<Form> = form_or_json(&request, &content);
    let ticket =
        form.ok_or_else(|| ApiError::invalid(Place::Payload, "Expected a form with ticket", None))?;
    let origin = caller::origin(&request, &state);
    let redeemed = state.logins(move |logins| {
        let opened = logins.open(&ticket.ticket, TicketKind::VerifyEmail, now())?;
        opened.map_or(Ok(Redeemed::Gone), |opened| logins.verify(opened, &origin, now()))
    });
    match redeemed.await? {
        Redeemed::Gone => gone(),
        Redeemed::Done(None) => hosted::render(StatusCode::OK, EMAIL_VERIFICATION, &Page::Done, None),
        Redeemed::Done(Some(url)) => Ok(see_other(url.as_str())),
    }
}

fn gone() -> Result<HttpResponse, ApiError> {
    hosted::render(StatusCode::NOT_FOUND, EMAIL_VERIFICATION, &Page::Gone, None)
}
