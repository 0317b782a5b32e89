//! Takes an upload apart: a multipart form, read as it comes.
//!
//! **Invariants:** the file is handed on in batches and never collected; a text has a small
//! bound; parts come in any order; content types and file names are not looked at; unknown parts
//! are read over. Whatever is malformed is a 400, never a panic.

#[cfg(any(test, fuzzing))]
pub(super) mod fuzzing;

use actix_multipart::{Field, Multipart, MultipartError};
use actix_web::http::header::HeaderMap;
use futures_util::StreamExt;

use super::body::Body;
use super::error::{ApiError, Place};
use crate::domain::ConnectionId;

/// A batch of the file is handed on when it has this many bytes.
const BATCH: usize = 256 << 10;

/// How much of a form is taken.
#[derive(Debug, Clone, Copy)]
pub(super) struct Most {
    /// Parts, unknown ones too.
    pub(super) parts: usize,
    /// Bytes of a text part.
    pub(super) text: usize,
}

/// What the parts say, apart from the users.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Form {
    users: Option<u64>,
    connection_id: Option<ConnectionId>,
    upsert: Option<bool>,
    external_id: Option<String>,
    send_completion_email: Option<bool>,
}

/// An upload that lacks nothing.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Order {
    /// Where the users go.
    pub(super) connection_id: ConnectionId,
    /// Whether rows of existing users change them.
    pub(super) upsert: bool,
    /// The client's own id.
    pub(super) external_id: Option<String>,
    /// Whether the owners want a mail.
    pub(super) send_completion_email: bool,
}

impl Form {
    /// The order, if nothing is missing.
    pub(super) fn complete(self) -> Result<Order, ApiError> {
        match self.users {
            None => return Err(ApiError::NoUsers),
            Some(0) => return Err(ApiError::EmptyUsers),
            Some(_) => {}
        }
        Ok(Order {
            connection_id: self.connection_id.ok_or(ApiError::NoConnectionId)?,
            upsert: self.upsert.unwrap_or(false),
            external_id: self.external_id.filter(|id| !id.is_empty()),
            send_completion_email: self.send_completion_email.unwrap_or(true),
        })
    }

    fn has(&self, part: Part) -> bool {
        match part {
            Part::Users => self.users.is_some(),
            Part::ConnectionId => self.connection_id.is_some(),
            Part::Upsert => self.upsert.is_some(),
            Part::ExternalId => self.external_id.is_some(),
            Part::SendCompletionEmail => self.send_completion_email.is_some(),
        }
    }

    fn set(&mut self, part: Part, text: String) -> Result<(), ApiError> {
        match part {
            Part::Users => {}
            Part::ConnectionId => {
                let id = text.parse().map_err(|_| ApiError::MalformedConnectionId)?;
                self.connection_id = Some(id);
            }
            Part::Upsert => self.upsert = Some(flag(part, &text)?),
            Part::ExternalId => self.external_id = Some(text),
            Part::SendCompletionEmail => self.send_completion_email = Some(flag(part, &text)?),
        }
        Ok(())
    }
}

/// The parts that mean something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Users,
    ConnectionId,
    Upsert,
    ExternalId,
    SendCompletionEmail,
}

impl Part {
    const ALL: [Self; 5] =
        [Self::Users, Self::ConnectionId, Self::Upsert, Self::ExternalId, Self::SendCompletionEmail];

    const fn name(self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::ConnectionId => "connection_id",
            Self::Upsert => "upsert",
            Self::ExternalId => "external_id",
            Self::SendCompletionEmail => "send_completion_email",
        }
    }

    fn of(field: &Field) -> Option<Self> {
        let name = field.name()?;
        Self::ALL.into_iter().find(|part| part.name() == name)
    }
}

/// Reads all parts; `take` gets the bytes of the file.
pub(super) async fn receive(
    headers: &HeaderMap,
    body: &Body,
    most: Most,
    mut take: impl AsyncFnMut(Vec<u8>) -> Result<(), ApiError>,
) -> Result<Form, ApiError> {
    let mut fields = Multipart::new(headers, body.clone());
    let mut form = Form::default();
    let mut parts = 0;
    while let Some(field) = fields.next().await {
        let field = field.map_err(|fault| unreadable(body, &fault))?;
        parts += 1;
        if parts > most.parts {
            let rule = format!("Too many parts, maximum {}", most.parts);
            return Err(ApiError::invalid(Place::Payload, rule, None));
        }
        let Some(part) = Part::of(&field) else {
            continue;
        };
        if form.has(part) {
            return Err(ApiError::invalid(Place::Payload, "Part given twice", part.name()));
        }
        if part == Part::Users {
            form.users = Some(pass_on(field, body, &mut take).await?);
        } else {
            form.set(part, text(part, field, body, most.text).await?)?;
        }
    }
    read_over(body.clone()).await?;
    Ok(form)
}

/// Reads what follows the last part. It means nothing, but counts.
async fn read_over(mut rest: Body) -> Result<(), ApiError> {
    while let Some(bytes) = rest.next().await {
        bytes.map_err(|fault| unreadable(&rest, &MultipartError::Payload(fault)))?;
    }
    Ok(())
}

/// Hands the file on in batches; how many bytes it has.
async fn pass_on(
    mut field: Field,
    body: &Body,
    take: &mut impl AsyncFnMut(Vec<u8>) -> Result<(), ApiError>,
) -> Result<u64, ApiError> {
    let mut length = 0;
    let mut batch = Vec::new();
    while let Some(bytes) = field.next().await {
        let bytes = bytes.map_err(|fault| unreadable(body, &fault))?;
        length += bytes.len() as u64;
        batch.extend_from_slice(&bytes);
        if batch.len() >= BATCH {
            take(std::mem::take(&mut batch)).await?;
        }
    }
    if !batch.is_empty() {
        take(batch).await?;
    }
    Ok(length)
}

async fn text(part: Part, mut field: Field, body: &Body, most: usize) -> Result<String, ApiError> {
    let refuse = |rule: String| ApiError::invalid(Place::Payload, rule, part.name());
    let mut text = Vec::new();
    while let Some(bytes) = field.next().await {
        let bytes = bytes.map_err(|fault| unreadable(body, &fault))?;
        if text.len() + bytes.len() > most {
            return Err(refuse(format!("String is too long, maximum {most} bytes")));
        }
        text.extend_from_slice(&bytes);
    }
    String::from_utf8(text).map_err(|_| refuse("String is not valid UTF-8".to_owned()))
}

fn flag(part: Part, text: &str) -> Result<bool, ApiError> {
    text.parse().map_err(|_| {
        let rule = "Expected type boolean but found type string";
        ApiError::invalid(Place::Payload, rule, part.name())
    })
}

fn unreadable(body: &Body, fault: &MultipartError) -> ApiError {
    if let Some(fault) = body.fault() {
        return fault;
    }
    tracing::debug!("refused an upload: {fault}");
    ApiError::invalid(Place::Payload, "Invalid multipart payload format", None)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may")]
mod tests {
    use std::time::Duration;

    use actix_web::FromRequest;
    use actix_web::http::header::{CONTENT_TYPE, HeaderValue};
    use actix_web::test::TestRequest;
    use actix_web::web::{Bytes, Payload};
    use proptest::prelude::*;

    use super::super::pace::Pace;
    use super::*;

    const ID: &str = "con_8dQ2xYz0aBcD1eFg";
    const MOST: Most = Most { parts: 10, text: 4096 };

    /// What is read of `body`, sent with this content type; the file comes second.
    async fn read(content_type: &str, body: &[u8], limit: u64) -> (Result<Form, ApiError>, Vec<u8>) {
        let request = TestRequest::post().set_payload(Bytes::copy_from_slice(body));
        let (request, mut payload) = request.to_http_parts();
        let payload = Payload::from_request(&request, &mut payload).await.unwrap();
        let pace = Pace { pause: Duration::from_mins(1), grace: Duration::from_mins(1), rate: 0 };
        let body = Body::new(payload.into_inner(), limit, pace);
        let mut headers = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_str(content_type) {
            headers.insert(CONTENT_TYPE, value);
        }
        let mut file = Vec::new();
        let form = receive(&headers, &body, MOST, async |batch| {
            file.extend_from_slice(&batch);
            Ok(())
        });
        let form = form.await;
        body.drain().await;
        (form, file)
    }

    fn form(parts: &[(&str, &str)]) -> Vec<u8> {
        let part = |(name, value): &(&str, &str)| {
            let header = format!("Content-Disposition: form-data; name=\"{name}\"");
            format!("--B\r\n{header}\r\n\r\n{value}\r\n")
        };
        let parts: String = parts.iter().map(part).collect();
        (parts + "--B--\r\n").into_bytes()
    }

    async fn order(parts: &[(&str, &str)]) -> Result<Order, String> {
        let (form, _) = read("multipart/form-data; boundary=B", &form(parts), 1 << 20).await;
        form.and_then(Form::complete).map_err(|error| error.to_string())
    }

    #[actix_web::test]
    async fn parts_come_in_any_order_and_unknown_ones_are_read_over() {
        let expected = Order {
            connection_id: ID.parse().unwrap(),
            upsert: true,
            external_id: Some("a b".to_owned()),
            send_completion_email: false,
        };
        let mut parts = [
            ("users", "[]"),
            ("connection_id", ID),
            ("unknown", "x"),
            ("unknown", "y"),
            ("upsert", "true"),
            ("external_id", "a b"),
            ("send_completion_email", "false"),
        ];
        for _ in 0..parts.len() {
            parts.rotate_left(1);
            assert_eq!(order(&parts).await.as_ref(), Ok(&expected));
        }
    }

    #[actix_web::test]
    async fn what_is_not_said_has_defaults() {
        let expected = Order {
            connection_id: ID.parse().unwrap(),
            upsert: false,
            external_id: None,
            send_completion_email: true,
        };
        let parts = [("users", "[]"), ("connection_id", ID), ("external_id", "")];
        assert_eq!(order(&parts).await, Ok(expected));
    }

    #[actix_web::test]
    async fn each_refusal_has_its_words() {
        let (users, id) = (("users", "[]"), ("connection_id", ID));
        let long = "x".repeat(MOST.text + 1);
        let refused: [(&[(&str, &str)], &str); 11] = [
            (&[id], "Must provide 'users' file as multipart part."),
            (&[id, ("users", "")], "Users file must not be empty."),
            (&[users], "Must provide 'connection_id' as multipart part."),
            (
                &[users, ("connection_id", "staff-db")],
                "Payload validation error: 'String does not match pattern \
                 ^con_[A-Za-z0-9]{16}$' on property connection_id (the id of the connection, not \
                 its name).",
            ),
            (
                &[users, id, ("upsert", "True")],
                "Payload validation error: 'Expected type boolean but found type string' on \
                 property upsert.",
            ),
            (
                &[users, id, ("send_completion_email", "")],
                "Payload validation error: 'Expected type boolean but found type string' on \
                 property send_completion_email.",
            ),
            (&[users, users, id], "Payload validation error: 'Part given twice' on property users."),
            (&[users, id, id], "Payload validation error: 'Part given twice' on property connection_id."),
            (
                &[users, id, ("external_id", ""), ("external_id", "")],
                "Payload validation error: 'Part given twice' on property external_id.",
            ),
            (
                &[("external_id", &long)],
                "Payload validation error: 'String is too long, maximum 4096 bytes' on property \
                 external_id.",
            ),
            (&[], "Must provide 'users' file as multipart part."),
        ];
        for (parts, message) in refused {
            assert_eq!(order(parts).await.unwrap_err(), message);
        }
    }

    #[actix_web::test]
    async fn what_is_no_form_is_refused() {
        let good = form(&[("users", "[]"), ("connection_id", ID)]);
        let cut = &good[..good.len() - 4];
        let boundary = "multipart/form-data; boundary=B";
        let cases: [(&str, &[u8]); 9] = [
            ("", &good),
            ("application/json", b"{}"),
            ("multipart/form-data", &good),
            ("multipart/form-data; boundary=", &good),
            ("multipart/form-data; boundary=C", &good),
            (boundary, b""),
            (boundary, cut),
            (boundary, b"--B\r\nContent-Disposition: form-data\r\n\r\nx\r\n--B--\r\n"),
            (boundary, b"--B\r\nno header\r\n\r\nx\r\n--B--\r\n"),
        ];
        for (content_type, body) in cases {
            let (form, _) = read(content_type, body, 1 << 20).await;
            let message = "Payload validation error: 'Invalid multipart payload format'.";
            assert_eq!(form.unwrap_err().to_string(), message, "{content_type} {body:?}");
        }
    }

    #[actix_web::test]
    async fn every_byte_of_the_body_counts() {
        let body = form(&[("users", "[]"), ("connection_id", ID)]);
        let length = body.len() as u64;
        let boundary = "multipart/form-data; boundary=B";
        assert!(read(boundary, &body, length).await.0.is_ok());
        let (form, _) = read(boundary, &body, length - 1).await;
        assert!(matches!(form, Err(ApiError::TooLarge(limit)) if limit == length - 1));
    }

    #[actix_web::test]
    async fn the_file_arrives_whole() {
        let file = "[\r\n--\r\n--C\r\n\r".repeat(80_000);
        let body = form(&[("connection_id", ID), ("users", &file)]);
        let (form, taken) = read("multipart/form-data; boundary=B", &body, 1 << 30).await;
        assert_eq!(form.unwrap().users, Some(file.len() as u64));
        assert!(taken == file.as_bytes());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]
        #[test]
        fn no_body_is_too_strange(
            pieces in prop::collection::vec(prop_oneof![
                Just("--B".to_owned()), Just("--".to_owned()), Just("\r\n".to_owned()),
                Just("\r".to_owned()), Just("\n".to_owned()), Just("Content-Length: 3".to_owned()),
                Just("Content-Disposition: form-data; name=\"users\"\r\n\r\n".to_owned()),
                Just("Content-Disposition: form-data; name=\"upsert\"\r\n\r\ntrue".to_owned()),
                Just("Content-Type: multipart/mixed; boundary=C\r\n".to_owned()),
                ".{0,12}".prop_map(String::from),
            ], 0..24)
        ) {
            let body = pieces.concat();
            actix_web::rt::System::new().block_on(async {
                drop(read("multipart/form-data; boundary=B", body.as_bytes(), 1 << 20).await);
            });
        }
    }
}
