//! Tells a connection when a request is in hand, and whether another may follow once it is answered.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::http::header::CONTENT_LENGTH;
use actix_web::http::{ConnectionType, Version};
use actix_web::middleware::Next;
use actix_web::web::Bytes;
use futures_util::stream::Stream;
use tokio::task::yield_now;

use super::course::Course;

/// Follows a request from its head to the end of its answer. After an answer to one whose body is not all here the
/// connection is closed: nobody waits for the rest.
pub(in crate::http) async fn follow(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + Unpin + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let course = request.conn_data::<Course>().cloned();
    if let Some(course) = &course {
        course.begin(length(&mut request));
    }
    let is_old = request.version() < Version::HTTP_11;
    let asked = request.head().connection_type();
    let payload = watch(&mut request, course.clone());
    let mut end = End { course: course.clone(), is_last: true };
    let mut answer = next.call(request).await?;
    let knows_no_chunks = is_old && answer.response().body().size() == BodySize::Stream;
    let head = answer.response_mut().head_mut();
    head.no_chunking(knows_no_chunks);
    // Actix takes heads of answers from a pool, with the version of those before, which would tell how this one ends.
    head.version = Version::HTTP_11;
    // Actix ends a connection whose client would rather speak something else, and would not say so.
    let is_last = knows_no_chunks || asked == ConnectionType::Upgrade;
    if !is_all_here(payload, course).await || is_last {
        head.set_connection_type(ConnectionType::Close);
    }
    end.is_last = asked == ConnectionType::Close || head.connection_type() == ConnectionType::Close;
    Ok(answer.map_body(|_, body| Followed { body, _end: end }))
}

/// Bytes of the body of a request; if only its chunks tell, all there are.
fn length(request: &mut ServiceRequest) -> u64 {
    if let Payload::None = request.parts_mut().1 {
        return 0;
    }
    let length = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    length.and_then(|length| length.parse().ok()).unwrap_or(u64::MAX)
}

/// The body of a request: whoever answers that may read it, or drop it.
type Shared = Rc<RefCell<Payload>>;

/// Has the connection read on when more of a body is wanted.
fn watch(request: &mut ServiceRequest, course: Option<Course>) -> Shared {
    let payload = Rc::new(RefCell::new(request.parts_mut().1.take()));
    if !matches!(*payload.borrow(), Payload::None) {
        let watched = Watched { payload: payload.clone(), course };
        request.set_payload(Payload::Stream { payload: Box::pin(watched) });
    }
    payload
}

/// Whether all of a body has come. What came together with the head may still have to be read, which takes actix some
/// turns: in the first of them it may poll us twice.
async fn is_all_here(payload: Shared, course: Option<Course>) -> bool {
    const TURNS: usize = 3;
    let mut is_all_here = has_ended(&payload);
    for _ in 0..TURNS {
        if is_all_here {
            break;
        }
        if let Some(course) = &course {
            course.want();
        }
        yield_now().await;
        is_all_here = has_ended(&payload);
    }
    // Actix reads over the rest of what nobody has a handle on.
    payload.replace(Payload::None);
    is_all_here
}

/// Takes what there is, without waiting for more.
fn has_ended(payload: &Shared) -> bool {
    let (mut payload, mut context) = (payload.borrow_mut(), Context::from_waker(Waker::noop()));
    loop {
        match Pin::new(&mut *payload).poll_next(&mut context) {
            Poll::Ready(Some(Ok(_))) => {}
            Poll::Ready(None) => return true,
            Poll::Ready(Some(Err(_))) | Poll::Pending => return false,
        }
    }
}

/// The body of a request whose reader is waited for.
struct Watched {
    payload: Shared,
    course: Option<Course>,
}

impl Stream for Watched {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = Pin::new(&mut *self.payload.borrow_mut()).poll_next(context);
        if let (Poll::Pending, Some(course)) = (&next, &self.course) {
            course.want();
        }
        next
    }
}

/// The end of an answer, when it is dropped.
struct End {
    course: Option<Course>,
    is_last: bool,
}

impl Drop for End {
    fn drop(&mut self) {
        if let Some(course) = &self.course {
            course.end(self.is_last);
        }
    }
}

/// The body of an answer, and its end.
struct Followed<B> {
    body: B,
    _end: End,
}

impl<B: MessageBody + Unpin> MessageBody for Followed<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(context)
    }
}
