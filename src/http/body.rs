//! A request's body: counted and timed while it is read, and drained when it is not wanted.

use std::cell::RefCell;
use std::future::{Ready, ready};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready as when_ready};
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::http::header;
use actix_web::rt::time::timeout;
use actix_web::web::{Bytes, Query};
use actix_web::{FromRequest, HttpRequest};
use futures_util::stream::{Stream, StreamExt};
use serde::de::DeserializeOwned;

use super::State;
use super::error::ApiError;
use super::pace::{Meter, Pace, TooSlow};

/// What is read of an unwanted body at most, in bytes.
const DRAINED_BYTES: usize = 8 << 20;
/// How long an unwanted body is read at most.
const DRAINED_TIME: Duration = Duration::from_secs(2);

/// A body as handlers take it.
pub(super) struct Incoming {
    payload: Payload,
    pace: Pace,
    timeout: Duration,
}

impl FromRequest for Incoming {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        ready(State::of(request).map(|state| Self {
            payload: payload.take(),
            pace: state.bounds.pace,
            timeout: state.bounds.body_timeout,
        }))
    }
}

impl Incoming {
    /// The same, of at most `limit` bytes, to be read as it comes.
    pub(super) fn up_to(self, limit: u64) -> Body {
        Body::new(self.payload, limit, self.pace)
    }
}

/// A handle on a request's body; clones share it. As a stream it ends with
/// [`PayloadError::Overflow`] when it turns out larger than allowed, and with [`PayloadError::Incomplete`] when it
/// does not come fast enough.
#[derive(Clone)]
pub(super) struct Body(Rc<RefCell<Counted>>);

struct Counted {
    payload: Payload,
    seen: u64,
    limit: u64,
    meter: Meter,
    /// Why nothing more is read.
    too_slow: Option<TooSlow>,
}

impl Body {
    /// A body of at most `limit` bytes, everything between the parts of a form included, that keeps this pace.
    pub(super) fn new(payload: Payload, limit: u64, pace: Pace) -> Self {
        let meter = Meter::new(pace);
        Self(Rc::new(RefCell::new(Counted { payload, seen: 0, limit, meter, too_slow: None })))
    }

    /// What is wrong with how much came, and how, if anything is.
    pub(super) fn fault(&self) -> Option<ApiError> {
        let counted = self.0.borrow();
        match counted.too_slow {
            Some(TooSlow::Stalled) => Some(ApiError::Stalled),
            Some(TooSlow::Slow) => Some(ApiError::Slow),
            None if counted.seen > counted.limit => Some(ApiError::TooLarge(counted.limit)),
            None => None,
        }
    }

    /// All of it, in memory.
    async fn read(&mut self) -> Result<Vec<u8>, PayloadError> {
        let mut all = Vec::new();
        while let Some(bytes) = self.next().await {
            all.extend_from_slice(&bytes?);
        }
        Ok(all)
    }

    /// Reads on for a while, unless the rest does not come anyway.
    pub(super) async fn drain(self) {
        let payload = Payload::take(&mut self.0.borrow_mut().payload);
        if self.0.borrow().too_slow.is_none() {
            drain(payload).await;
        }
    }
}

/// Reads a body of which nothing is wanted for a while, and forgets what it reads. Many clients look for an answer
/// only after they have sent everything; to those that go on longer the connection is closed.
pub(super) async fn drain(mut payload: Payload) {
    let forget = async {
        let mut left = DRAINED_BYTES;
        while let Some(Ok(bytes)) = payload.next().await {
            left = left.saturating_sub(bytes.len());
            if left == 0 {
                break;
            }
        }
    };
    // Too late is as good as done.
    drop(timeout(DRAINED_TIME, forget).await);
}

impl Counted {
    /// The next bytes, unless they do not come.
    fn poll_in_time(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, PayloadError>>> {
        let next = Pin::new(&mut self.payload).poll_next(context);
        match &next {
            Poll::Ready(Some(Ok(bytes))) => self.meter.moved(bytes.len()),
            Poll::Ready(_) => {}
            Poll::Pending => {
                self.too_slow = Some(when_ready!(self.meter.wait(context)));
                return Poll::Ready(Some(Err(too_late())));
            }
        }
        next
    }
}

impl Stream for Body {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut counted = self.0.borrow_mut();
        if counted.too_slow.is_some() {
            return Poll::Ready(Some(Err(too_late())));
        }
        let next = counted.poll_in_time(context);
        if let Poll::Ready(Some(Ok(bytes))) = &next {
            counted.seen += bytes.len() as u64;
            if counted.seen > counted.limit {
                return Poll::Ready(Some(Err(PayloadError::Overflow)));
            }
        }
        next
    }
}

fn too_late() -> PayloadError {
    PayloadError::Incomplete(Some(io::ErrorKind::TimedOut.into()))
}

/// The whole of a body of at most `limit` bytes. What is too much is read for a while and forgotten, so that
/// the client gets to see why.
pub(super) async fn read_small(incoming: Incoming, limit: u64) -> Result<Vec<u8>, ApiError> {
    let time = incoming.timeout;
    let mut body = incoming.up_to(limit);
    // What is read for people who have not said yet who they are has to come in one go.
    let Ok(content) = timeout(time, body.read()).await else {
        return Err(ApiError::Slow);
    };
    let fault = body.fault();
    body.drain().await;
    // Whose body ends too early is gone.
    fault.map_or_else(|| content.map_err(|_| ApiError::Stalled), Err)
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
