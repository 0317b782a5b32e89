//! `GET /metrics`: figures for Prometheus.
//!
//! With a token in the settings, whoever brings that gets them; without one, callers on this machine only.
//! The text is the classic one of Prometheus, or that of `OpenMetrics` for those who ask for it.
//!
//! **Invariants:** a scrape reads neither the jobs nor the letters nor the log, however many there are. No
//! label names a person, a secret or a URL.

mod book;
mod process;
mod requests;
mod table;

use std::net::IpAddr;

use actix_web::http::header;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};

use super::State;
use super::auth::bearer;
use super::caller::{address, named_address};
use super::error::{ApiError, ErrorObject};
use crate::tokens::{TokenFault, same_hash, secret_hash};
use book::Form;
pub(super) use requests::{Requests, count};
use table::{Scraped, table};

/// Who may read the figures: who has the secret with this hash, or everybody on this machine.
pub type MetricsToken = Option<[u8; 32]>;

/// The figures as they are now.
#[utoipa::path(
    get, path = "/metrics", tag = "operation", summary = "Show figures for Prometheus",
    responses(
        (status = 200, description = "The figures", content((String = "text/plain"), (String = "application/openmetrics-text"))),
        (status = 401, description = "Not the token of the settings", body = ErrorObject),
        (status = 403, description = "Only callers on this machine", body = ErrorObject),
    ),
)]
pub(super) async fn show(request: HttpRequest, state: Data<State>) -> Result<HttpResponse, ApiError> {
    check(&request, &state)?;
    let form = Form::asked_by(request.headers().get(header::ACCEPT));
    let scraped = Scraped::now(&state).await?;
    let text = table(&state, &scraped).write(form).map_err(ApiError::internal)?;
    Ok(HttpResponse::Ok().content_type(form.content_type()).body(text))
}

fn check(request: &HttpRequest, state: &State) -> Result<(), ApiError> {
    match state.metrics_token {
        Some(hash) if same_hash(&hash, &secret_hash(bearer(request)?)) => Ok(()),
        Some(_) => Err(ApiError::Token(TokenFault::Invalid)),
        None if is_local(request, state) => Ok(()),
        None => Err(ApiError::NotLocal),
    }
}

/// Headers by which a proxy shows itself, besides `X-Forwarded-For`.
const PROXIED: [&str; 5] = ["forwarded", "via", "x-forwarded-host", "x-forwarded-proto", "x-real-ip"];

/// Whether the caller is on this machine. A proxy on it, trusted or not, does not make its callers local if
/// it names them.
fn is_local(request: &HttpRequest, state: &State) -> bool {
    let named = request.headers().get_all("x-forwarded-for");
    let is_loopback = |text: &str| named_address(text.trim()).is_some_and(|ip| ip.is_loopback());
    address(request, state).is_some_and(|ip: IpAddr| ip.is_loopback())
        && named.flat_map(|value| value.to_str().unwrap_or_default().split(',')).all(is_loopback)
        && !PROXIED.iter().any(|name| request.headers().contains_key(*name))
}
