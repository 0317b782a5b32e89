//! Refusals of requests that never get to an endpoint, as bytes.

use actix_web::ResponseError;
use actix_web::body::MessageBody;

use super::super::error::{ALWAYS, ApiError};

/// What actix answers to a head that it does not take: a status line and no body.
const OF_ACTIX: [(&[u8], ApiError); 2] =
    [(b"HTTP/1.1 400 ", ApiError::Malformed), (b"HTTP/1.1 431 ", ApiError::UnreadableHead)];
/// Bytes of such an answer at most.
const LONGEST_OF_ACTIX: usize = 256;

/// An answer of the API after which the connection is closed. It has the headers that all answers have.
pub(super) fn text(error: &ApiError) -> Vec<u8> {
    let answer = error.error_response();
    let mut text = format!("HTTP/1.1 {}\r\nconnection: close\r\n", answer.status()).into_bytes();
    let always = ALWAYS.map(|(name, value)| format!("{name}: {value}\r\n"));
    text.extend(always.concat().bytes());
    for (name, value) in answer.headers() {
        text.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    let body = answer.into_body().try_into_bytes().unwrap_or_default();
    text.extend(format!("content-length: {}\r\n\r\n", body.len()).bytes());
    text.extend(body);
    text
}

/// What is written in place of a refusal of actix at the end of these bytes, if there is one, and the answers before it.
/// Actix writes nothing after one. None of ours is without a body, and no body of ours ends like a head.
pub(super) fn instead_of(bytes: &[u8]) -> Option<(&[u8], Vec<u8>)> {
    let heads = bytes.strip_suffix(b"\r\n\r\n")?;
    let tail = heads.len().saturating_sub(LONGEST_OF_ACTIX);
    let at = |start: &[u8]| heads.get(tail..)?.windows(start.len()).rposition(|part| part == start);
    let (at, error) = OF_ACTIX.iter().find_map(|(start, error)| Some((tail + at(start)?, error)))?;
    let (before, refusal) = heads.split_at_checked(at)?;
    let mut lines = str::from_utf8(refusal).ok()?.split("\r\n").skip(1);
    let is_of_actix =
        |line| ["content-length: 0", "connection: close"].contains(&line) || line.starts_with("date: ");
    lines.all(is_of_actix).then(|| (before, text(error)))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may")]
mod tests {
    use super::*;

    #[test]
    fn an_empty_refusal_becomes_an_error_object_and_nothing_else_does() {
        let date = "date: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\n";
        let swapped = |text: &str| {
            let (before, text) = instead_of(text.as_bytes())?;
            Some(String::from_utf8([before, &text].concat()).unwrap())
        };
        let refusal = swapped(&format!("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n{date}")).unwrap();
        let expected = "HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\
                        cache-control: no-cache\r\nx-content-type-options: nosniff\r\n\
                        content-type: application/json; charset=utf-8\r\ncontent-length: ";
        assert!(refusal.starts_with(expected), "{refusal}");
        assert!(refusal.ends_with(r#""message":"The request is not well-formed HTTP."}"#), "{refusal}");
        let too_large = "HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\n";
        assert!(swapped(&format!("{too_large}{date}")).unwrap().contains("\"statusCode\":431"));
        // It may wait with answers before it, and those may be refusals, too.
        let answer = "HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\ncontent-type: text/plain\r\n\r\nno";
        let both = format!("{answer}HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n{date}");
        assert_eq!(swapped(&both), Some(format!("{answer}{refusal}")));
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
