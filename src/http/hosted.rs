//! Pages for people with a browser and nothing else: what they look like, and what they let in and out. They
//! work without JavaScript, and there is none.
//!
//! **Invariants:** nothing that was sent gets into a page but as text. Whoever sees a page's address gets
//! nothing by it from other sites: no referrer, no cache, no frame.

use std::sync::LazyLock;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, HttpResponseBuilder};
use minijinja::Environment;
use minijinja::value::Serde;
use serde::Serialize;
use url::Url;

use super::error::ApiError;

/// The page where passwords are set.
pub(super) const RESET_PASSWORD: &str = "reset-password.html";
/// The page where addresses are verified.
pub(super) const EMAIL_VERIFICATION: &str = "email-verification.html";

const STYLE: &str = include_str!("../../static/pages.css");

static PAGES: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut pages = Environment::new();
    // A template that does not parse is noticed by every test of its page.
    drop(pages.add_template(RESET_PASSWORD, include_str!("../../static/reset-password.html")));
    drop(pages.add_template(EMAIL_VERIFICATION, include_str!("../../static/email-verification.html")));
    pages
});

/// The style sheet of the pages.
pub(super) async fn style() -> Result<HttpResponse, ApiError> {
    Ok(HttpResponse::Ok().content_type("text/css; charset=utf-8").body(STYLE))
}

/// A page from which a form may lead to this server, and from here to `way_on`.
pub(super) fn render(
    status: StatusCode,
    template: &str,
    page: &impl Serialize,
    way_on: Option<&Url>,
) -> Result<HttpResponse, ApiError> {
    let template = PAGES.get_template(template).map_err(ApiError::internal)?;
    let html = template.render(Serde(page)).map_err(ApiError::internal)?;
    Ok(guarded(status, &security_policy(way_on))
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(html))
}

/// The beginning of a page, or of something on one, that other sites get nothing of.
pub(super) fn guarded(status: StatusCode, policy: &str) -> HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    response
        .insert_header((header::CONTENT_SECURITY_POLICY, policy))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        // For browsers that know no frame-ancestors.
        .insert_header((header::X_FRAME_OPTIONS, "DENY"))
        .insert_header(("cross-origin-opener-policy", "same-origin"))
        .insert_header(("cross-origin-resource-policy", "same-origin"));
    response
}

/// Browsers hold the answer to a form to the form's own rule, so the place it leads to has to be in it. One that would
/// be read as more than a place is not: browsers do not go on to it.
fn security_policy(way_on: Option<&Url>) -> String {
    let is_place = |origin: &String| !origin.contains([';', ',', '\'', '"', '*', ' ']);
    let origin = way_on.map(|url| url.origin().ascii_serialization()).filter(is_place);
    let origin = origin.map(|origin| format!(" {origin}")).unwrap_or_default();
    format!(
        "default-src 'none'; style-src 'self'; form-action 'self'{origin}; frame-ancestors 'none'; base-uri 'none'"
    )
}

/// The way to another page.
pub(super) fn see_other(to: &str) -> HttpResponse {
    HttpResponse::SeeOther()
        .insert_header((header::LOCATION, to))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .finish()
}
