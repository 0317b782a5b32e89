//! One request with some events: written, signed, sent, and what came of it.
//!
//! **Invariant:** what is told of a failure holds no header, no URL and nothing the receiver sent but its
//! status: it is stored, logged and shown.

use std::error::Error as _;
use std::fmt::Display;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;
use standardwebhooks::{HEADER_WEBHOOK_ID, HEADER_WEBHOOK_SIGNATURE, HEADER_WEBHOOK_TIMESTAMP, Webhook};
use ureq::Agent;
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::DefaultConnector;

use super::target::{Guard, TargetFault, Targets, parse};
use crate::domain::{ContentFormat, LogStream, Logged, Timestamp};

/// How long a request in hand may still take when everything is to stop.
const GRACE: Duration = Duration::from_secs(1);
/// How often it is looked whether everything is to stop.
const GLANCE: Duration = Duration::from_millis(50);
/// What is read of an answer, in bytes and in time: just so that the connection can be used again.
const ANSWER_BYTES: u64 = 64 << 10;
const ANSWER_TIME: Duration = Duration::from_secs(1);

/// One event, as receivers get it.
#[derive(Serialize)]
struct Item<'a> {
    log_id: &'a str,
    data: &'a Logged,
}

/// Events in the words of a format.
pub(super) fn body(format: ContentFormat, events: &[&Logged]) -> Result<String, serde_json::Error> {
    let items: Vec<Item> = events.iter().map(|event| Item { log_id: &event.log_id, data: event }).collect();
    match (format, &items[..]) {
        (ContentFormat::JsonObject, [item]) => serde_json::to_string(item),
        (ContentFormat::JsonArray | ContentFormat::JsonObject, items) => serde_json::to_string(items),
        (ContentFormat::JsonLines, items) => {
            let lines = items.iter().map(serde_json::to_string);
            lines.map(|line| Ok(line? + "\n")).collect()
        }
    }
}

/// The same for the same content, and for no other.
pub(super) fn content_id(stream: &LogStream, first: u64, last: u64, body: &str) -> String {
    format!("{}_{first}_{last}_{:08x}", stream.id, crc32fast::hash(body.as_bytes()))
}

/// What came of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The receiver has taken it.
    Taken,
    /// It has not, as far as can be seen.
    Failed(String),
    /// Nobody waited for the end.
    Abandoned,
}

/// Sends requests.
#[derive(Debug, Clone)]
pub(super) struct Poster {
    agent: Agent,
    timeout: Duration,
}

impl Poster {
    pub(super) fn new(targets: Targets, timeout: Duration) -> Self {
        // Fails when a provider is there already, which is as good.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .user_agent(concat!("intake/", env!("CARGO_PKG_VERSION")))
            .timeout_global(Some(timeout))
            .timeout_recv_body(Some(timeout.min(ANSWER_TIME)))
            .build();
        let guard = Guard { targets, names: DefaultResolver::default() };
        Self { agent: Agent::with_parts(config, DefaultConnector::default(), guard), timeout }
    }

    /// Sends a body to the stream's receiver. Returns soon after `stop` says so, whatever the receiver does.
    pub(super) fn post(
        &self,
        stream: &LogStream,
        id: &str,
        body: String,
        now: Timestamp,
        stop: impl Fn() -> bool,
    ) -> Outcome {
        let (url, headers) =
            match parse(&stream.sink.endpoint).map(|url| (url, headers(stream, id, &body, now))) {
                Ok((url, Ok(headers))) => (url.to_string(), headers),
                Ok((_, Err(why))) => return Outcome::Failed(why),
                Err(fault) => return Outcome::Failed(fault.to_string()),
            };
        let (tell, told) = mpsc::sync_channel(1);
        let poster = self.clone();
        // A thread of its own: this one may have to leave while a receiver says nothing.
        let sending = thread::Builder::new().name("webhook".to_owned()).spawn(move || {
            // Nobody may listen any more.
            let _ = tell.send(poster.send(&url, headers, &body));
        });
        if sending.is_err() {
            return Outcome::Failed("the system has no thread left to send it".to_owned());
        }
        let mut deadline = None;
        loop {
            match told.recv_timeout(GLANCE) {
                Ok(Ok(())) => return Outcome::Taken,
                Ok(Err(why)) => return Outcome::Failed(why),
                Err(RecvTimeoutError::Disconnected) => {
                    return Outcome::Failed("the request crashed".to_owned());
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            if stop() && *deadline.get_or_insert(Instant::now() + GRACE) <= Instant::now() {
                return Outcome::Abandoned;
            }
        }
    }

    fn send(&self, url: &str, headers: Vec<(String, String)>, body: &str) -> Result<(), String> {
        let mut request = self.agent.post(url);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let mut response = request.send(body).map_err(|error| self.explain(&error))?;
        // What it says does not matter, not even whether it says it.
        let _ = response.body_mut().with_config().limit(ANSWER_BYTES).read_to_vec();
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let note = if status.is_redirection() { "; redirects are not followed" } else { "" };
        Err(format!("the receiver answered {status}{note}"))
    }

    /// What went wrong, in words that are good for everybody's eyes.
    fn explain(&self, error: &ureq::Error) -> String {
        use ureq::Error as E;
        match error {
            E::Timeout(_) => {
                format!("the receiver did not answer within {}", humantime::format_duration(self.timeout))
            }
            E::HostNotFound => "the receiver's name has no address".to_owned(),
            E::Io(error) => format!("no connection to the receiver: {}", innermost(error)),
            E::ConnectionFailed => "no connection to the receiver".to_owned(),
            E::Tls(why) => format!("no private connection to the receiver: {why}"),
            E::Rustls(why) => format!("no private connection to the receiver: {why}"),
            E::Protocol(_) | E::LargeResponseHeader(..) => "the receiver does not speak HTTP".to_owned(),
            E::Other(why) if why.is::<TargetFault>() => format!("nothing was sent: {why}"),
            _ => "the request could not be sent".to_owned(),
        }
    }
}

/// The words of the fault at the bottom.
fn innermost(error: &std::io::Error) -> impl Display {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        words = inner.to_string();
        source = inner.source();
    }
    words
}

fn headers(
    stream: &LogStream,
    id: &str,
    body: &str,
    now: Timestamp,
) -> Result<Vec<(String, String)>, String> {
    let sink = &stream.sink;
    let mut headers = sink.custom_headers.clone();
    headers.push(("content-type".to_owned(), sink.content_type.clone()));
    headers.extend(sink.authorization.clone().map(|value| ("authorization".to_owned(), value)));
    if let Some(secret) = &sink.secret {
        let seconds = now.seconds();
        let signed =
            Webhook::new(secret).and_then(|key| key.sign(id, seconds.cast_signed(), body.as_bytes()));
        let signature = signed.map_err(|_| "the signing secret is not good".to_owned())?;
        headers.push((HEADER_WEBHOOK_ID.to_owned(), id.to_owned()));
        headers.push((HEADER_WEBHOOK_TIMESTAMP.to_owned(), seconds.to_string()));
        headers.push((HEADER_WEBHOOK_SIGNATURE.to_owned(), signature));
    }
    Ok(headers)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may")]
mod tests {
    use std::net::TcpListener;

    use serde_json::{Value, json};

    use super::*;
    use crate::domain::{Event, EventType, HttpSink, LogId, StreamId, StreamStatus};

    fn logged(number: u64) -> Logged {
        let event = Event::new(Timestamp::from_millis(1), EventType::ImportCompleted, "line\nbreak");
        Logged::new(LogId { at: event.date, number }, event)
    }

    fn stream(endpoint: &str) -> LogStream {
        LogStream {
            id: StreamId::from_entropy([7; 16]),
            name: "one".to_owned(),
            declared_as: None,
            status: StreamStatus::Active,
            sink: HttpSink {
                endpoint: endpoint.to_owned(),
                authorization: Some("hush".to_owned()),
                content_type: HttpSink::CONTENT_TYPE.to_owned(),
                format: ContentFormat::JsonLines,
                custom_headers: Vec::new(),
                batch_size: 1,
                secret: None,
            },
            filters: Vec::new(),
            created_at: Timestamp::default(),
        }
    }

    const SOON: Duration = Duration::from_secs(5);

    /// What a request to this URL comes to.
    fn post(targets: Targets, endpoint: &str, timeout: Duration, stop: impl Fn() -> bool) -> Outcome {
        let poster = Poster::new(targets, timeout);
        poster.post(&stream(endpoint), "id", "{}".to_owned(), Timestamp::default(), stop)
    }

    #[test]
    fn a_name_that_leads_to_a_private_address_is_not_even_dialled() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        for host in ["localhost", "127.0.0.1", "0x7f.1", "[::ffff:127.0.0.1]"] {
            let Outcome::Failed(why) =
                post(Targets::Public, &format!("https://{host}:{port}/?key=hush"), SOON, || false)
            else {
                panic!("{host} was taken");
            };
            assert!(why.starts_with("nothing was sent: the host is or resolves to a private"), "{why}");
            assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
        }
    }

    #[test]
    fn a_receiver_that_says_nothing_is_left_when_all_is_to_stop() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        assert_eq!(post(Targets::Any, &url, Duration::from_mins(5), || true), Outcome::Abandoned);
        drop(listener);
        let Outcome::Failed(why) = post(Targets::Any, &format!("{url}?key=hush"), SOON, || false) else {
            panic!("nobody was there");
        };
        assert!(why.starts_with("no connection to the receiver: ") && !why.contains("hush"), "{why}");
    }

    #[test]
    fn the_same_content_has_the_same_id_and_no_other_has_it() {
        let stream = stream("https://acme.test/");
        let id = |first, last, body| content_id(&stream, first, last, body);
        assert_eq!(id(1, 2, "a"), id(1, 2, "a"));
        for other in [id(1, 2, "b"), id(1, 3, "a"), id(2, 2, "a")] {
            assert_ne!(id(1, 2, "a"), other);
        }
    }

    #[test]
    fn each_format_is_written_as_documented() {
        let events = [logged(1), logged(2)];
        let all: Vec<&Logged> = events.iter().collect();
        let item = |event: &Logged| json!({ "log_id": event.log_id, "data": event });
        let items: Vec<Value> = events.iter().map(item).collect();
        let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        assert_eq!(read(&body(ContentFormat::JsonArray, &all).unwrap()), json!(items));
        assert_eq!(read(&body(ContentFormat::JsonArray, &all[..1]).unwrap()), json!([items[0]]));
        assert_eq!(read(&body(ContentFormat::JsonObject, &all[..1]).unwrap()), items[0]);
        let lines = body(ContentFormat::JsonLines, &all).unwrap();
        assert!(lines.ends_with("}\n"), "{lines}");
        assert_eq!(lines.lines().map(read).collect::<Vec<_>>(), items);
    }
}
