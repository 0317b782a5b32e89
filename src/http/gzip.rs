//! Answers are compressed for clients that ask for it.
//!
//! The work is actix's: it compresses piece by piece, on threads that may wait, and what was begun goes out
//! whenever the sender of a stream pauses. Here is only what it is asked to do.
//!
//! **Invariant:** without `accept-encoding: gzip` an answer has the bytes and the length it always had. No
//! request is refused for what it accepts.
//!
//! Deliberately absent: other encodings, and compressed requests.

use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{
    self, AcceptEncoding, ContentEncoding, Encoding, Header, HeaderMap, HeaderValue,
};
use actix_web::middleware::Next;

/// Shorter answers fit a packet as they are, in bytes.
const SHORTEST: u64 = 1 << 10;
/// What is compressed already.
const COMPRESSED: &[&str] = &["application/gzip", "application/x-gzip", "application/zip"];
/// Says inside the house that an answer stays as it is.
const AS_IT_IS: HeaderValue = HeaderValue::from_static("identity");

/// Outside of the compression: it is asked for gzip or for nothing.
pub(super) async fn negotiate(
    mut request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let takes_gzip = takes_gzip(&request);
    let headers = request.headers_mut();
    headers.remove(header::ACCEPT_ENCODING);
    if takes_gzip {
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    }
    let mut answer = next.call(request).await?;
    let headers = answer.headers_mut();
    if headers.get(header::CONTENT_ENCODING) == Some(&AS_IT_IS) {
        headers.remove(header::CONTENT_ENCODING);
    }
    if !varies(headers) {
        headers.append(header::VARY, HeaderValue::from_static("accept-encoding"));
    }
    Ok(answer)
}

/// Inside of the compression: what it would only make longer is left alone.
pub(super) async fn leave_small(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let mut answer = next.call(request).await?;
    let is_short = match answer.response().body().size() {
        BodySize::None => true,
        BodySize::Sized(length) => length < SHORTEST,
        BodySize::Stream => false,
    };
    let headers = answer.headers_mut();
    if (is_short || is_compressed(headers)) && !headers.contains_key(header::CONTENT_ENCODING) {
        headers.insert(header::CONTENT_ENCODING, AS_IT_IS);
    }
    Ok(answer)
}

/// Whether the client wants gzip at least as much as nothing.
fn takes_gzip(request: &ServiceRequest) -> bool {
    let known = [Encoding::gzip(), Encoding::identity()];
    let asked = AcceptEncoding::parse(request).ok();
    let is_asked = request.headers().contains_key(header::ACCEPT_ENCODING);
    let chosen = asked.filter(|_| is_asked).and_then(|asked| asked.negotiate(known.iter()));
    chosen == Some(Encoding::Known(ContentEncoding::Gzip))
}

fn is_compressed(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type.is_some_and(|given| COMPRESSED.iter().any(|one| given.starts_with(one)))
}

fn varies(headers: &HeaderMap) -> bool {
    headers.get_all(header::VARY).any(|value| value == "accept-encoding")
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may")]
mod tests {
    use std::future::poll_fn;
    use std::io::{self, Read};
    use std::pin::pin;

    use actix_web::middleware::{Compress, from_fn};
    use actix_web::test::{TestRequest, call_service, init_service};
    use actix_web::web::{self, Bytes};
    use actix_web::{App, HttpResponse};
    use flate2::read::GzDecoder;
    use futures_util::stream::{StreamExt, iter, pending};

    use super::*;

    /// The beginning of an answer that never ends has to come, or it was gathered as a whole.
    #[actix_web::test]
    async fn what_a_stream_has_sent_goes_out_while_it_goes_on() {
        async fn endless() -> HttpResponse {
            let first = iter([Ok::<_, io::Error>(Bytes::from(vec![b'x'; 5000])), Ok(Bytes::from("end"))]);
            HttpResponse::Ok().streaming(first.chain(pending()))
        }
        let app = App::new()
            .route("/", web::get().to(endless))
            .wrap(from_fn(leave_small))
            .wrap(Compress::default())
            .wrap(from_fn(negotiate));
        let service = init_service(app).await;
        let request = TestRequest::get().insert_header((header::ACCEPT_ENCODING, "gzip"));
        let answer = call_service(&service, request.to_request()).await;
        assert_eq!(answer.headers().get(header::CONTENT_ENCODING).unwrap(), "gzip");
        let mut body = pin!(answer.into_body().boxed());
        let (mut packed, mut text) = (Vec::new(), Vec::new());
        while !text.ends_with(b"end") {
            let piece = poll_fn(|context| body.as_mut().poll_next(context)).await;
            packed.extend(piece.unwrap().unwrap());
            text.clear();
            // The packed text is cut off, as there is more to come.
            drop(GzDecoder::new(&packed[..]).read_to_end(&mut text));
        }
        assert_eq!(text.len(), 5003);
    }

    #[test]
    fn a_client_is_taken_at_its_word() {
        let takes = |accepts: &str| {
            let request = TestRequest::get().insert_header((header::ACCEPT_ENCODING, accepts));
            takes_gzip(&request.to_srv_request())
        };
        for accepts in ["gzip", "gzip, deflate", "deflate, gzip;q=0.5", "gzip, identity;q=0", "br, gzip"] {
            assert!(takes(accepts), "{accepts}");
        }
        for accepts in ["", "identity", "deflate, br", "gzip;q=0", "gzip;q=0.5, identity", "*;q=0", "*"] {
            assert!(!takes(accepts), "{accepts}");
        }
        assert!(!takes_gzip(&TestRequest::get().to_srv_request()));
    }

    #[test]
    fn archives_are_not_packed_again() {
        let is = |content_type: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
            is_compressed(&headers)
        };
        assert!(is("application/gzip") && is("application/zip"));
        assert!(!is("application/json") && !is("application/x-ndjson"));
    }
}
