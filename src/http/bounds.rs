//! What one request may take: the numbers, and the check of its head.

use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::HeaderMap;
use actix_web::middleware::Next;

use super::State;
use super::body::drain;
use super::error::ApiError;
use super::pace::Pace;

/// What clients may take.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Connections at the same time.
    pub max_connections: usize,
    /// Uploads at the same time.
    pub max_uploads: usize,
    /// Longest path with query, in bytes.
    pub max_uri_size: usize,
    /// Most headers.
    pub max_headers: usize,
    /// Largest first line and headers together, in bytes.
    pub max_header_size: usize,
    /// How long a head may take.
    pub header_timeout: Duration,
    /// How fast bodies have to come, and answers to be taken.
    pub pace: Pace,
    /// How long a body may take as a whole that is no upload.
    pub body_timeout: Duration,
    /// Largest body of the API that is no upload, in bytes.
    pub max_body_size: u64,
    /// Most parts of an upload.
    pub max_parts: usize,
    /// Longest text part of an upload, in bytes.
    pub max_field_size: usize,
}

impl Bounds {
    fn judge(&self, request: &ServiceRequest) -> Result<(), ApiError> {
        let path = request.uri().path_and_query().map_or(0, |text| text.as_str().len());
        let headers = request.headers();
        if path > self.max_uri_size {
            return Err(ApiError::UriTooLong(self.max_uri_size));
        }
        if headers.len() > self.max_headers {
            return Err(ApiError::TooManyHeaders(self.max_headers));
        }
        if first_line(request, path) + size(headers) > self.max_header_size {
            return Err(ApiError::HeadTooLarge(self.max_header_size));
        }
        Ok(())
    }
}

/// Bytes of the line that has a path, and the place before it if one is named.
fn first_line(request: &ServiceRequest, path: usize) -> usize {
    let uri = request.uri();
    let scheme = uri.scheme_str().map_or(0, |scheme| scheme.len() + "://".len());
    let place = scheme + uri.authority().map_or(0, |authority| authority.as_str().len());
    request.method().as_str().len() + " ".len() + place + path + " HTTP/1.1\r\n".len()
}

/// Bytes of headers, each on a line of its own.
fn size(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len()).sum()
}

/// Refuses requests with more of a head than may be.
pub(super) async fn check_head(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse, actix_web::Error> {
    if let Err(refusal) = State::of(request.request()).and_then(|state| state.bounds.judge(&request)) {
        drain(request.parts_mut().1.take()).await;
        return Ok(request.error_response(refusal));
    }
    Ok(next.call(request).await?.map_into_boxed_body())
}
