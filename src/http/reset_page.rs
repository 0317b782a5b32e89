//! `GET` and `POST /u/reset-password`: the page where users set their passwords.
//!
//! **Invariant:** looking at the page never uses its ticket up, as programs that check mail look at it, too.

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use url::Url;

use super::body::{Incoming, form_or_json, read_small};
use super::caller;
use super::error::ApiError;
use super::hosted::{self, see_other};
use super::params::Params;
use super::{State, now};
use crate::domain::TicketKind;
use crate::login::{Opened, Password, Redeemed, Reset};

/// Largest form, in bytes: two passwords, each byte of them escaped, and a ticket.
const LARGEST_FORM: u64 = 16 << 10;

/// What the page shows.
#[derive(Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
enum Page<'a> {
    /// Two fields, and what is asked of a password.
    Form { ticket: &'a str, email: &'a str, rules: Vec<String>, objections: Vec<String> },
    /// The password is set.
    Done,
    /// The ticket is not good.
    Gone,
}

#[derive(Deserialize)]
struct Form {
    ticket: String,
    password: Password,
    again: Password,
}

/// The page for a ticket: a form, or a word about links that do not work any more.
pub(super) async fn show(request: HttpRequest, state: Data<State>) -> Result<HttpResponse, ApiError> {
    let ticket = Params::of(&request)?.text("ticket").unwrap_or_default().to_owned();
    let text = ticket.clone();
    match state.logins(move |logins| logins.open(&text, TicketKind::SetPassword, now())).await? {
        Some(opened) => form(StatusCode::OK, &ticket, &opened, Vec::new()),
        None => gone(),
    }
}

/// Sets a password; if it breaks rules the form comes again, with all of those.
pub(super) async fn submit(
    request: HttpRequest,
    state: Data<State>,
    payload: Incoming,
) -> Result<HttpResponse, ApiError> {
    let Form { ticket, password, again } = read(&request, payload).await?;
    let text = ticket.clone();
    let Some(opened) = state.logins(move |logins| logins.open(&text, TicketKind::SetPassword, now())).await?
    else {
        return gone();
    };
    let reset = Reset { password, again, origin: caller::origin(&request, &state) };
    let judged = state.logins(move |logins| {
        let objections = logins.objections(&opened, &reset, now())?;
        Ok((opened, reset, objections))
    });
    let (opened, reset, objections) = judged.await?;
    if !objections.is_empty() {
        return form(StatusCode::BAD_REQUEST, &ticket, &opened, objections);
    }
    let turn = state.logins.turn().await.ok_or(ApiError::Busy)?;
    match state.logins(move |logins| logins.redeem(opened, &reset, &turn, now())).await? {
        Redeemed::Gone => gone(),
        Redeemed::Done(None) => render(StatusCode::OK, &Page::Done, None),
        Redeemed::Done(Some(url)) => Ok(see_other(url.as_str())),
    }
}

/// Where the page was until 2019.
pub(super) async fn moved(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let params = Params::of(&request)?;
    let ticket: String =
        params.text("ticket").unwrap_or_default().chars().filter(char::is_ascii_alphanumeric).collect();
    Ok(see_other(&format!("../u/reset-password?ticket={ticket}")))
}

async fn read(request: &HttpRequest, payload: Incoming) -> Result<Form, ApiError> {
    let content = read_small(payload, LARGEST_FORM).await?;
    let missing = || {
        let rule = "Expected a form with ticket, password and again";
        ApiError::invalid(super::error::Place::Payload, rule, None)
    };
    form_or_json(request, &content).ok_or_else(missing)
}

fn form(
    status: StatusCode,
    ticket: &str,
    opened: &Opened,
    objections: Vec<String>,
) -> Result<HttpResponse, ApiError> {
    let page = Page::Form { ticket, email: &opened.user.email, rules: opened.policy().rules(), objections };
    render(status, &page, opened.result_url.as_ref())
}

fn gone() -> Result<HttpResponse, ApiError> {
    render(StatusCode::NOT_FOUND, &Page::Gone, None)
}

fn render(status: StatusCode, page: &Page, way_on: Option<&Url>) -> Result<HttpResponse, ApiError> {
    hosted::render(status, hosted::RESET_PASSWORD, page, way_on)
}
