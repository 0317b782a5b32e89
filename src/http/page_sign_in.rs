//! `POST /u/sign-in`: the one-time link of the status page is exchanged for a token.
//!
//! **Invariants:** the code is kept as a hash, in memory only, compared in a time that tells nothing, and
//! gone after its first use, after [`OneTimeCode::MAX_TRIES`] wrong ones, and after its time. Only JSON is
//! read: a page of another site cannot send that, and so can use up nobody's code.

use actix_web::http::{StatusCode, header};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::body::{Incoming, read_small};
use super::error::{ApiError, Place};
use super::{State, caller, now};
use crate::domain::{Event, EventType, Origin, Scope, Timestamp};
use crate::tokens::{join, same_hash, secret_hash};

/// What tokens of the page are made out to.
const CLIENT: &str = "intake-page";
/// Largest body, in bytes.
const LARGEST_REQUEST: u64 = 4 << 10;

/// What the first reader of a link proves himself by.
pub struct OneTimeCode {
    hash: [u8; 32],
    until: Timestamp,
    wrong: u32,
}

impl OneTimeCode {
    /// Characters of a code.
    pub const LENGTH: usize = 32;
    /// Wrong codes after which the right one is worth nothing.
    pub const MAX_TRIES: u32 = 20;

    /// A code that is good until some time.
    pub fn new(code: &str, until: Timestamp) -> Self {
        Self { hash: secret_hash(code), until, wrong: 0 }
    }

    /// Takes the code out of `place` if `given` is right.
    fn redeem(place: &Mutex<Option<Self>>, given: &str, now: Timestamp) -> Option<Self> {
        let hash = secret_hash(given);
        let mut place = place.lock();
        let code = place.as_mut()?;
        if code.until <= now {
            *place = None;
            return None;
        }
        if same_hash(&code.hash, &hash) {
            return place.take();
        }
        code.wrong += 1;
        if Self::MAX_TRIES <= code.wrong {
            *place = None;
        }
        None
    }
}

#[derive(Deserialize)]
struct Asked {
    code: String,
}

#[derive(Serialize)]
struct Answer {
    access_token: String,
    scope: String,
    expires_in: u64,
    token_type: &'static str,
}

/// A token of all scopes for who has the code; each code works once.
pub(super) async fn sign_in(
    request: HttpRequest,
    state: Data<State>,
    payload: Incoming,
) -> Result<HttpResponse, ApiError> {
    let asked = read(&request, &read_small(payload, LARGEST_REQUEST).await?)?;
    let code = OneTimeCode::redeem(&state.page_code, &asked.code, now()).ok_or(ApiError::UsedCode)?;
    let event = event(&request, &state);
    if let Err(error) = state.change(move |store| store.tell(event.into())).await {
        *state.page_code.lock() = Some(code);
        return Err(error);
    }
    answer(&state)
}

fn read(request: &HttpRequest, content: &[u8]) -> Result<Asked, ApiError> {
    let content_type = request.headers().get(header::CONTENT_TYPE).map_or(&b""[..], |it| it.as_bytes());
    if !content_type.to_ascii_lowercase().starts_with(b"application/json") {
        return Err(ApiError::invalid(Place::Payload, "Expected content type application/json", None));
    }
    serde_json::from_slice(content)
        .map_err(|_| ApiError::invalid(Place::Payload, "Missing required property: code", None))
}

fn event(request: &HttpRequest, state: &State) -> Event {
    let origin = Origin { client_id: Some(CLIENT.to_owned()), ..caller::origin(request, state) };
    Event::new(now(), EventType::ClientLogin, "Sign-in to the status page by its one-time link").by(origin)
}

fn answer(state: &State) -> Result<HttpResponse, ApiError> {
    let tokens = &state.tokens;
    let minted = tokens.mint(CLIENT, Scope::ALL, tokens.lifetime(), now());
    let answer = Answer {
        access_token: minted.map_err(ApiError::internal)?,
        scope: join(Scope::ALL),
        expires_in: tokens.lifetime().as_secs(),
        token_type: "Bearer",
    };
    let mut response = super::json(StatusCode::OK, &answer)?;
    response.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNTIL: Timestamp = Timestamp::from_millis(1000);
    const BEFORE: Timestamp = Timestamp::from_millis(999);

    fn place() -> Mutex<Option<OneTimeCode>> {
        Mutex::new(Some(OneTimeCode::new("right", UNTIL)))
    }

    #[test]
    fn a_code_works_once_and_in_its_time() {
        let place = place();
        assert!(OneTimeCode::redeem(&place, "right", BEFORE).is_some());
        assert!(OneTimeCode::redeem(&place, "right", BEFORE).is_none());
        let place = self::place();
        assert!(OneTimeCode::redeem(&place, "right", UNTIL).is_none());
    }

    #[test]
    fn so_many_wrong_codes_are_forgiven_and_no_more() {
        for (wrong, works) in [(OneTimeCode::MAX_TRIES - 1, true), (OneTimeCode::MAX_TRIES, false)] {
            let place = place();
            for _ in 0..wrong {
                assert!(OneTimeCode::redeem(&place, "wrong", BEFORE).is_none());
            }
            assert_eq!(OneTimeCode::redeem(&place, "right", BEFORE).is_some(), works, "after {wrong}");
        }
    }
}
