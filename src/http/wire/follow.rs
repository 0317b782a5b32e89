//! Tells a connection when a request is in hand, and what it left behind when it is answered.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::http::ConnectionType;
use actix_web::middleware::Next;
use actix_web::web::Bytes;
use futures_util::stream::Stream;

use super::line::{Course, Rest};

/// Follows a request from its head to the end of its answer.
pub(in crate::http) async fn follow(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + Unpin + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let course = request.conn_data::<Course>().cloned();
    if let Some(course) = &course {
        course.begin();
    }
    let mut end = End { course, is_read: watch(&mut request), is_last: false };
    let answer = next.call(request).await?;
    end.is_last = answer.response().head().connection_type() == ConnectionType::Close;
    Ok(answer.map_body(|_, body| Followed { body, _end: end }))
}

/// Notes when the body of a request has been read to its end, if it has one.
fn watch(request: &mut ServiceRequest) -> Rc<Cell<bool>> {
    let payload = request.parts_mut().1.take();
    if let Payload::None = payload {
        return Rc::new(Cell::new(true));
    }
    let is_read = Rc::new(Cell::new(false));
    let watched = Watched { payload, is_read: is_read.clone() };
    request.set_payload(Payload::Stream { payload: Box::pin(watched) });
    is_read
}

/// The body of a request, and whether its end was seen.
struct Watched {
    payload: Payload,
    is_read: Rc<Cell<bool>>,
}

impl Stream for Watched {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = Pin::new(&mut self.payload).poll_next(context);
        if let Poll::Ready(None) = next {
            self.is_read.set(true);
        }
        next
    }
}

/// The end of an answer, when it is dropped.
struct End {
    course: Option<Course>,
    is_read: Rc<Cell<bool>>,
    is_last: bool,
}

impl Drop for End {
    fn drop(&mut self) {
        let rest = match (self.is_last, self.is_read.get()) {
            (true, _) => Rest::Nothing,
            (false, false) => Rest::Body,
            (false, true) => Rest::Requests,
        };
        if let Some(course) = &self.course {
            course.end(rest);
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
