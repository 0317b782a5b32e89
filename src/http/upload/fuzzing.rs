//! What must hold of a form, whatever the bytes.

#![expect(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a panic is how this says no")]

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use actix_web::web::Bytes;
use futures_util::stream;
use tokio::runtime::{Builder, Runtime};

use super::{Form, Most, Order, receive};
use crate::domain::testing::pieces;
use crate::http::Pace;
use crate::http::body::Body;

thread_local! {
    /// Timers have to belong to one; time does not pass in it.
    static RUNTIME: Runtime = Builder::new_current_thread().enable_time().build().unwrap();
}

/// As by default.
const MOST: Most = Most { parts: 100, text: 4 << 10 };
/// Nobody is too slow.
const PATIENT: Pace = Pace { pause: DAY, grace: DAY, rate: 0 };
const DAY: Duration = Duration::from_hours(24);

/// The body of an upload. Its first line says what its boundary is; so does its content type.
///
/// Reading ends, and how the bytes arrive makes no difference.
pub fn multipart_form(bytes: &[u8]) {
    let content_type = content_type(bytes);
    let whole = read(&content_type, &[bytes], u64::MAX);
    let cut = read(&content_type, &pieces(bytes), u64::MAX);
    assert_eq!(whole.0, cut.0, "in pieces");
    if let Ok((_, length)) = &whole.0 {
        assert_eq!((&whole.1, *length), (&cut.1, whole.1.len() as u64), "the file in pieces");
        // Every byte counts.
        let length = bytes.len() as u64;
        assert!(read(&content_type, &pieces(bytes), length).0.is_ok());
        assert!(read(&content_type, &pieces(bytes), length - 1).0.is_err());
    }
}

fn content_type(bytes: &[u8]) -> HeaderValue {
    let line = bytes.split(|byte| b"\r\n".contains(byte)).find(|line| !line.is_empty()).unwrap_or_default();
    let boundary = str::from_utf8(line.strip_prefix(b"--").unwrap_or(b"B")).unwrap_or("B");
    // In quotes it may be nearly anything.
    let quoted = format!("multipart/form-data; boundary=\"{boundary}\"");
    HeaderValue::from_str(&quoted).unwrap_or(HeaderValue::from_static("multipart/form-data; boundary=B"))
}

/// The order and the bytes of its file, and the file.
type Read = (Result<(Order, u64), String>, Vec<u8>);

/// What is read of a body that comes in these pieces.
fn read(content_type: &HeaderValue, pieces: &[&[u8]], limit: u64) -> Read {
    RUNTIME.with(|runtime| {
        let _time = runtime.enter();
        let body = Body::new(payload(pieces), limit, PATIENT);
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, content_type.clone());
        let mut file = Vec::new();
        let form = finish(async {
            let form = receive(&headers, &body, MOST, async |batch| {
                file.extend_from_slice(&batch);
                Ok(())
            });
            let form = form.await;
            body.drain().await;
            form
        });
        let order = form.and_then(|form: Form| {
            let length = form.users.unwrap_or(0);
            Ok((form.complete()?, length))
        });
        (order.map_err(|error| error.to_string()), file)
    })
}

/// A body that comes in these pieces, with pauses between them.
fn payload(pieces: &[&[u8]]) -> Payload {
    let mut pieces: Vec<Bytes> = pieces.iter().rev().map(|piece| Bytes::copy_from_slice(piece)).collect();
    let mut is_pause = false;
    let stream = stream::poll_fn(move |context: &mut Context<'_>| {
        is_pause = !is_pause;
        if is_pause && !pieces.is_empty() {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(pieces.pop().map(Ok::<_, PayloadError>))
    });
    Payload::Stream { payload: Box::pin(stream) }
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Works on it until it is done. If it waits for something, and nobody will wake it, that is never.
fn finish<T>(work: impl Future<Output = T>) -> T {
    let woken = Arc::new(Flag(AtomicBool::new(true)));
    let waker = Waker::from(woken.clone());
    let mut work = pin!(work);
    while woken.0.swap(false, Ordering::Relaxed) {
        if let Poll::Ready(done) = work.as_mut().poll(&mut Context::from_waker(&waker)) {
            return done;
        }
    }
    panic!("it waits for ever");
}
