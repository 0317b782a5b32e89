//! `/` and `/static/…`: the status page, compiled in.
//!
//! It is a client of the API like any other and sees nothing that its token may not see, so that its files
//! are for everybody.
//!
//! **Invariant:** what a browser makes of it is bound by [`POLICY`]: it runs and asks nothing that is not
//! from here, text never becomes markup, and no other page frames it.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse};

use super::error::ApiError;
use super::hosted::guarded;
use super::routes::{Endpoint, at};

/// What the page may do. `require-trusted-types-for` makes browsers refuse every use of `innerHTML` and
/// the like.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    img-src 'self' data:; form-action 'none'; frame-ancestors 'none'; base-uri 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";

/// One file of the page.
struct File {
    path: &'static str,
    content_type: &'static str,
    content: &'static str,
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml; charset=utf-8";

/// Files of the page, from `static/`.
macro_rules! files {
    ($($path:literal: $content_type:expr, $file:literal;)+) => {
        const FILES: &[File] = &[$(File {
            path: $path,
            content_type: $content_type,
            content: include_str!(concat!("../../static/", $file)),
        }),+];
    };
}

files! {
    "/": HTML, "status.html";
    "/static/status.css": CSS, "status.css";
    "/static/icon.svg": SVG, "icon.svg";
    "/static/status.js": SCRIPT, "status.js";
    "/static/api.js": SCRIPT, "api.js";
    "/static/dom.js": SCRIPT, "dom.js";
    "/static/format.js": SCRIPT, "format.js";
    "/static/inspect.js": SCRIPT, "inspect.js";
    "/static/start.js": SCRIPT, "start.js";
    "/static/jobs.js": SCRIPT, "jobs.js";
    "/static/job.js": SCRIPT, "job.js";
    "/static/failed.js": SCRIPT, "failed.js";
    "/static/panels.js": SCRIPT, "panels.js";
}

/// All files, each at its path.
pub(super) fn files() -> Vec<Endpoint> {
    FILES.iter().map(|file| at(file.path).get(move |request: HttpRequest| serve(file, request))).collect()
}

#[expect(clippy::unused_async, reason = "handlers are")]
async fn serve(file: &'static File, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    // Weak, because the bytes sent may be compressed.
    let tag = format!("W/\"{:08x}-{}\"", crc32fast::hash(file.content.as_bytes()), file.content.len());
    let known = request.headers().get(header::IF_NONE_MATCH);
    let is_known = known.is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let status = if is_known { StatusCode::NOT_MODIFIED } else { StatusCode::OK };
    let mut response = guarded(status, POLICY);
    response.content_type(file.content_type).insert_header((header::ETAG, tag));
    Ok(if is_known { response.finish() } else { response.body(file.content) })
}
