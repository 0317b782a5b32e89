//! Who calls, and what the tenant log says of it.
//!
//! A change of an administrator is told by an event in the same commit ([`Caller::success`]); a refused
//! one by the event that [`note_refusal`] writes before the answer goes out. Requests without a good token
//! leave no event: otherwise anybody could fill the log.

use std::net::{IpAddr, SocketAddr};

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::{StatusCode, header};
use actix_web::middleware::Next;
use actix_web::web::{Data, Query};
use actix_web::{HttpMessage, HttpRequest};
use serde_json::{Map, Value, json};

use super::error::ApiError;
use super::{State, now};
use crate::domain::{Event, EventType, Origin};

/// Longest text of a caller that is written down, in characters.
const LONGEST: usize = 500;

/// Parameters of a query that are written down.
const MOST_PARAMETERS: usize = 20;

/// A caller with a good token, and the operation asked for.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    /// Where the request came from.
    pub(super) origin: Origin,
    operation: &'static str,
    request: Value,
}

impl Caller {
    /// The caller of an operation; an empty one is never written down.
    pub(super) fn new(
        request: &HttpRequest,
        state: &State,
        client_id: &str,
        operation: &'static str,
    ) -> Self {
        let origin = Origin { client_id: Some(client_id.to_owned()), ..origin(request, state) };
        let method = request.method().as_str().to_lowercase();
        let mut told = json!({ "method": method, "path": cut(request.path()) });
        if !request.query_string().is_empty() {
            told["query"] = query(request);
        }
        Self { origin, operation, request: told }
    }

    /// The event of an operation that is done in the same step.
    pub(super) fn success(&self, status: StatusCode) -> Event {
        self.event(EventType::ApiSuccess, status, Map::new())
    }

    /// The same, with what is to be told of the bodies of request and answer; never a secret.
    pub(super) fn success_with(&self, status: StatusCode, request: Value, response: Value) -> Event {
        let mut caller = self.clone();
        caller.request["body"] = request;
        let response = Map::from_iter([("body".to_owned(), response)]);
        caller.event(EventType::ApiSuccess, status, response)
    }

    fn event(&self, kind: EventType, status: StatusCode, mut response: Map<String, Value>) -> Event {
        response.insert("statusCode".to_owned(), status.as_u16().into());
        Event::new(now(), kind, self.operation)
            .by(self.origin.clone())
            .with("request", self.request.clone())
            .with("response", response)
    }
}

/// Where a request came from.
pub(super) fn origin(request: &HttpRequest, state: &State) -> Origin {
    let agent = request.headers().get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    Origin {
        ip: address(request, state).map(|ip| ip.to_string()),
        user_agent: agent.map(cut),
        client_id: None,
        client_name: None,
        hostname: Some(state.hostname.clone()),
    }
}

/// The address of the caller: the peer's, or behind proxies we know the last one they do not know.
pub(super) fn address(request: &HttpRequest, state: &State) -> Option<IpAddr> {
    let mut caller = request.peer_addr()?.ip().to_canonical();
    let headers: Vec<_> = request.headers().get_all("x-forwarded-for").collect();
    let named = headers.iter().rev().flat_map(|value| value.to_str().unwrap_or_default().rsplit(','));
    // Each proxy has named the one before it; what stands further left may be anybody's invention.
    for text in named {
        if !state.trusted_proxies.contains(&caller) {
            break;
        }
        let Some(ip) = named_address(text.trim()) else { break };
        caller = ip;
    }
    Some(caller)
}

/// The address in an entry of `X-Forwarded-For`, which some proxies write with a port.
pub(super) fn named_address(text: &str) -> Option<IpAddr> {
    let with_port = || text.parse::<SocketAddr>().map(|address| address.ip());
    text.parse::<IpAddr>().or_else(|_| with_port()).ok().map(|ip| ip.to_canonical())
}

/// The parameters in a query, less what may open doors.
fn query(request: &HttpRequest) -> Value {
    let parsed = Query::<Vec<(String, String)>>::from_query(request.query_string());
    let parsed = parsed.map(Query::into_inner).unwrap_or_default().into_iter().take(MOST_PARAMETERS);
    let is_secret = |name: &str| ["token", "secret", "password"].iter().any(|word| name.contains(word));
    let shown = parsed.filter(|(name, _)| !is_secret(&name.to_lowercase()));
    shown.map(|(name, value)| (cut(&name), Value::from(cut(&value)))).collect::<Map<_, _>>().into()
}

/// The text as it is written down.
pub(super) fn cut(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}

/// Writes an event for every operation that a caller with a good token was refused.
pub(super) async fn note_refusal(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let answer = next.call(request).await?;
    let status = answer.status();
    let caller = answer.request().extensions().get::<Caller>().cloned();
    let refused = caller.filter(|caller| status.is_client_error() && !caller.operation.is_empty());
    if let (Some(caller), Some(state)) = (refused, answer.request().app_data::<Data<State>>().cloned()) {
        let error = answer.response().error().and_then(|error| error.as_error::<ApiError>());
        let message = error.map(|error| ("body".to_owned(), json!({ "message": cut(&error.to_string()) })));
        let event = caller.event(EventType::ApiFailure, status, message.into_iter().collect());
        // The answer is not held back by a log that cannot be written; the store has logged why.
        drop(state.change(move |store| store.tell(event.into())).await);
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_name_addresses_with_or_without_a_port() {
        let named = |text| named_address(text).map(|ip| ip.to_string());
        assert_eq!(named("203.0.113.9"), Some("203.0.113.9".to_owned()));
        assert_eq!(named("203.0.113.9:51234"), Some("203.0.113.9".to_owned()));
        assert_eq!(named("[2001:db8::1]:443"), Some("2001:db8::1".to_owned()));
        assert_eq!(named("::ffff:203.0.113.9"), Some("203.0.113.9".to_owned()));
        assert_eq!(named("unknown"), None);
        assert_eq!(named(""), None);
    }
}
