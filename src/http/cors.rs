//! Pages of other origins may use the API from a browser: those that `server.cors_origins` names.
//!
//! **Invariants:** an origin is the one that the setting writes, or it is nobody's: no origin is reflected and
//! there is no `*`. Without the setting no answer has any of these headers. A preflight needs no token, as
//! browsers send none; what it may ask for is what the endpoint's `OPTIONS` says.
//!
//! Deliberately absent: credentials. Tokens travel in a header that the page sets itself; there are no cookies.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::web::Data;

use super::State;

/// Headers of answers that pages may read besides the few they always may.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "link, location, retry-after, x-intake-max-file-size, x-ratelimit-limit, x-ratelimit-remaining, x-ratelimit-reset",
);
/// For how many seconds a browser need not ask again.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");

/// Tells browsers which pages may read the answer.
pub(super) async fn allow_origins(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let origins = request.app_data::<Data<State>>().map_or(&[][..], |state| &state.cors_origins);
    if origins.is_empty() {
        return next.call(request).await;
    }
    let given = request.headers().get(header::ORIGIN);
    let origin =
        given.filter(|given| origins.iter().any(|origin| origin.as_bytes() == given.as_bytes())).cloned();
    let asked = asked_headers(&request);
    let mut answer = next.call(request).await?;
    let headers = answer.headers_mut();
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        if let Some(asked) = asked {
            allow_request(headers, asked);
        }
    }
    Ok(answer)
}

/// The names of headers that a preflight asks for, if `request` is one.
fn asked_headers(request: &ServiceRequest) -> Option<HeaderValue> {
    let is_preflight = request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let asked = request.headers().get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned();
    is_preflight.then(|| asked.unwrap_or_else(|| HeaderValue::from_static("")))
}

/// Lets the page go on with any method of the endpoint and the headers it asked for.
fn allow_request(headers: &mut HeaderMap, asked: HeaderValue) {
    const METHODS: HeaderName = header::ACCESS_CONTROL_ALLOW_METHODS;
    if let Some(methods) = headers.get(header::ALLOW).cloned() {
        headers.insert(METHODS, methods);
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked);
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    }
}
