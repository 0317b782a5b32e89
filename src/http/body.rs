//! A request's body: counted while it is read, and drained when it is not wanted.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::http::header;
use actix_web::rt::time::timeout;
use actix_web::web::{self, Bytes, Query};
use futures_util::stream::{Stream, StreamExt};
use serde::de::DeserializeOwned;

use super::error::ApiError;

/// What is read of an unwanted body at most, in bytes.
const DRAINED_BYTES: usize = 8 << 20;
/// How long a body that is wanted may pause. Without an end to that, silent clients would pile up
/// half-written files.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// How long an unwanted body is read at most.
const DRAINED_TIME: Duration = Duration::from_secs(2);

/// A handle on a request's body; clones share it. As a stream it ends with
/// [`PayloadError::Overflow`] when it turns out larger than allowed.
#[derive(Clone)]
pub(super) struct Body(Rc<RefCell<Counted>>);

struct Counted {
    payload: Payload,
    seen: u64,
    limit: u64,
}

impl Body {
    /// A body of at most `limit` bytes, everything between the parts of a form included.
    pub(super) fn new(payload: Payload, limit: u64) -> Self {
        Self(Rc::new(RefCell::new(Counted { payload, seen: 0, limit })))
    }

    /// Whether more came than is allowed.
    pub(super) fn is_over(&self) -> bool {
        let counted = self.0.borrow();
        counted.seen > counted.limit
    }

    /// The bytes allowed.
    pub(super) fn limit(&self) -> u64 {
        self.0.borrow().limit
    }

    /// All of it, in memory. It is small and has to come in one go: this is read for people who
    /// have not said yet who they are.
    pub(super) async fn read(&mut self) -> Result<Vec<u8>, PayloadError> {
        let whole = async {
            let mut all = Vec::new();
            while let Some(bytes) = self.next().await {
                all.extend_from_slice(&bytes?);
            }
            Ok(all)
        };
        patiently(whole).await.ok_or(PayloadError::Incomplete(None))?
    }

    /// Reads on for a while and forgets what it reads. Many clients look for an answer only after
    /// they have sent everything; to those that go on longer the connection is closed.
    pub(super) async fn drain(self) {
        let forget = async {
            let mut left = DRAINED_BYTES;
            while let Some(Ok(bytes)) = poll_fn(|context| self.poll(context)).await {
                left = left.saturating_sub(bytes.len());
                if left == 0 {
                    break;
                }
            }
        };
        // Too late is as good as done.
        drop(timeout(DRAINED_TIME, forget).await);
    }

    fn poll(&self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, PayloadError>>> {
        Pin::new(&mut self.0.borrow_mut().payload).poll_next(context)
    }
}

impl Stream for Body {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = self.poll(context);
        if let Poll::Ready(Some(Ok(bytes))) = &next {
            self.0.borrow_mut().seen += bytes.len() as u64;
            if self.is_over() {
                return Poll::Ready(Some(Err(PayloadError::Overflow)));
            }
        }
        next
    }
}

/// The whole of a body of at most `limit` bytes. What is too much is read for a while and forgotten, so that
/// the client gets to see why.
pub(super) async fn read_small(payload: web::Payload, limit: u64) -> Result<Vec<u8>, ApiError> {
    let mut body = Body::new(payload.into_inner(), limit);
    let content = body.read().await;
    let is_over = body.is_over();
    body.drain().await;
    if is_over { Err(ApiError::TooLarge(limit)) } else { content.map_err(|_| ApiError::Stalled) }
}

/// Waits for more of a body; `None` if the client has fallen silent.
pub(super) async fn patiently<T>(more: impl Future<Output = T>) -> Option<T> {
    timeout(LONGEST_PAUSE, more).await.ok()
}

/// What a body says that is JSON, if its type says so, or else a form.
pub(super) fn form_or_json<T: DeserializeOwned>(request: &HttpRequest, content: &[u8]) -> Option<T> {
    let content_type = request.headers().get(header::CONTENT_TYPE).map_or(&b""[..], |it| it.as_bytes());
    let text = str::from_utf8(content).ok()?;
    if content_type.to_ascii_lowercase().starts_with(b"application/json") {
        serde_json::from_str(text).ok()
    } else {
        Query::<T>::from_query(text).ok().map(Query::into_inner)
    }
}

/// The size a request gives for its body.
pub(super) fn content_length(request: &HttpRequest) -> Option<u64> {
    request.headers().get(header::CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}
