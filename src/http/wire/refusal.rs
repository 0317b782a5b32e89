//! Refusals of requests that never get to an endpoint, as bytes.

use actix_web::ResponseError;
use actix_web::body::MessageBody;

use super::super::error::ApiError;

/// What actix answers to a head that it does not take: a status line and no body.
const OF_ACTIX: [(&[u8], ApiError); 2] =
    [(b"HTTP/1.1 400 ", ApiError::Malformed), (b"HTTP/1.1 431 ", ApiError::UnreadableHead)];

/// An answer of the API after which the connection is closed.
pub(super) fn text(error: &ApiError) -> Vec<u8> {
    let answer = error.error_response();
    let mut text = format!("HTTP/1.1 {}\r\nconnection: close\r\n", answer.status()).into_bytes();
    for (name, value) in answer.headers() {
        text.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    let body = answer.into_body().try_into_bytes().unwrap_or_default();
    text.extend(format!("content-length: {}\r\n\r\n", body.len()).bytes());
    text.extend(body);
    text
}

/// What is written in place of these bytes, if they are a refusal of actix. None of ours is without a body.
pub(super) fn instead_of(bytes: &[u8]) -> Option<Vec<u8>> {
    let (_, error) = OF_ACTIX.iter().find(|(start, _)| bytes.starts_with(start))?;
    let head = str::from_utf8(bytes).ok()?.strip_suffix("\r\n\r\n")?;
    let is_empty = !head.contains("\r\n\r\n") && head.contains("\r\ncontent-length: 0\r\n");
    (is_empty && !head.contains("content-type")).then(|| text(error))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may")]
mod tests {
    use super::*;

    #[test]
    fn an_empty_refusal_becomes_an_error_object_and_nothing_else_does() {
        let date = "date: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\n";
        let swapped = |text: &str| instead_of(text.as_bytes()).map(|text| String::from_utf8(text).unwrap());
        let refusal = swapped(&format!("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n{date}")).unwrap();
        let expected = "HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\
                        content-type: application/json; charset=utf-8\r\ncontent-length: ";
        assert!(refusal.starts_with(expected), "{refusal}");
        assert!(refusal.ends_with(r#""message":"The request is not well-formed HTTP."}"#), "{refusal}");
        let too_large = "HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\n";
        assert!(swapped(&format!("{too_large}{date}")).unwrap().contains("\"statusCode\":431"));
        for other in [
            "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\ndate: x\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\ncontent-type: text/plain\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nx: y\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\ncontent-le",
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        ] {
            assert_eq!(swapped(other), None, "{other}");
        }
    }
}
