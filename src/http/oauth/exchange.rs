//! `client_credentials`: what a client gets for its secret, and what the tenant log says of it.
//!
//! The grants of a client decide for which API it gets tokens, and with which scopes. For this server's own
//! API only scopes that it knows go into a token.
//!
//! **Invariant:** nobody can fill the log. Requests for unknown clients are not told at all, wrong secrets
//! of a known one once a minute at most; and no answer waits for either, so the clock tells nothing.

use std::collections::HashMap;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::web::Data;
use parking_lot::Mutex;

use super::super::caller::{cut, origin};
use super::super::error::ApiError;
use super::super::{State, now};
use super::{OauthError, TokenAnswer, TokenRequest};
use crate::domain::{Client, ClientGrant, Event, EventType, Origin, Scope, Timestamp};
use crate::store::StoreError;

/// The name of this way to ask for a token.
const GRANT_TYPE: &str = "client_credentials";
/// A wrong secret is told this long after the last one for the same client, and not before.
const PAUSE: Duration = Duration::from_mins(1);

/// When the last wrong secret for a client was told.
#[derive(Debug, Default)]
pub(in crate::http) struct WrongSecrets(Mutex<HashMap<String, Timestamp>>);

impl WrongSecrets {
    /// Whether one for this client, which exists, is to be told now.
    fn is_news(&self, client_id: &str, now: Timestamp) -> bool {
        let mut told = self.0.lock();
        if told.get(client_id).is_some_and(|last| *last <= now && now < last.after(PAUSE)) {
            return false;
        }
        told.insert(client_id.to_owned(), now);
        true
    }
}

/// A token for a client that has proved who it is.
pub(super) async fn client_credentials(
    request: &HttpRequest,
    state: &State,
    asked: &TokenRequest,
    client: &Client,
) -> Result<TokenAnswer, OauthError> {
    let audience = asked.audience.as_deref().unwrap_or_else(|| state.tokens.audience());
    let audience = &*state.tokens.meant_by(audience);
    let by = Origin {
        client_id: Some(client.id.clone()),
        client_name: Some(client.name.clone()),
        ..origin(request, state)
    };
    let scope = match scope(state, asked, client, audience).await {
        Err(fault @ OauthError::Server(_)) => return Err(fault),
        other => other,
    };
    let event = match &scope {
        Ok(scope) => {
            let event = Event::new(now(), EventType::ClientLogin, "Client Credentials for Access Token");
            Event { scope: Some(cut(scope)), ..event }
        }
        Err(refusal) => Event::new(now(), EventType::ClientLoginFailed, cut(&refusal.to_string())),
    };
    let event = Event { audience: Some(cut(audience)), ..event.by(by) };
    match state.change(move |store| store.tell(event.into())).await {
        // Who only reads is not locked out by a full disk.
        Err(ApiError::Store(StoreError::NoRoom(_))) => {}
        told => told?,
    }
    let scope = scope?;
    let tokens = &state.tokens;
    let minted = tokens.mint_for(&client.id, audience, &scope, tokens.lifetime(), now());
    Ok(TokenAnswer {
        access_token: minted.map_err(ApiError::internal)?,
        scope,
        expires_in: tokens.lifetime().as_secs(),
        token_type: "Bearer",
    })
}

/// What the client's token may do in an API.
async fn scope(
    state: &State,
    asked: &TokenRequest,
    client: &Client,
    audience: &str,
) -> Result<String, OauthError> {
    if !client.may_use(GRANT_TYPE) {
        return Err(OauthError::GrantType(GRANT_TYPE.to_owned()));
    }
    let (id, other) = (client.id.clone(), audience != state.tokens.audience());
    let api = other.then(|| audience.to_owned());
    let grant = state.store(move |store| store.grant_for(&id, api.as_deref())).await?;
    let grant = grant.ok_or_else(|| OauthError::Audience(audience.to_owned()))?;
    Ok(narrow(&grant, asked.scope.as_deref()))
}

/// The scopes of a grant, or those of them that are asked for.
fn narrow(grant: &ClientGrant, asked: Option<&str>) -> String {
    let asked: Vec<&str> = asked.unwrap_or_default().split_whitespace().collect();
    let is_known = |name: &str| grant.audience.is_some() || name.parse::<Scope>().is_ok();
    let wanted = |name: &&str| (asked.is_empty() || asked.contains(name)) && is_known(name);
    grant.scope.iter().map(String::as_str).filter(wanted).collect::<Vec<_>>().join(" ")
}

/// The refusal of a request that nobody's secret came with.
pub(super) fn unauthorized(request: &HttpRequest, state: &Data<State>, asked: &TokenRequest) -> OauthError {
    if asked.grant_type.as_deref() == Some(GRANT_TYPE)
        && let Some(id) = asked.client_id.clone()
    {
        let (by, shared) = (origin(request, state), state.clone());
        // Nobody waits for it, see above.
        drop(state.change(move |store| {
            let Some(client) = store.client(&id)?.filter(|_| shared.wrong_secrets.is_news(&id, now())) else {
                return Ok(());
            };
            let by = Origin { client_id: Some(client.id), client_name: Some(client.name), ..by };
            store.tell(Event::new(now(), EventType::ClientLoginFailed, "Wrong client secret").by(by).into())
        }));
    }
    OauthError::Unauthorized
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may")]
mod tests {
    use super::*;

    #[test]
    fn asked_scopes_narrow_and_never_widen() {
        let own = ClientGrant {
            id: "cgr_0000000000000000".parse().unwrap(),
            client_id: "a".to_owned(),
            audience: None,
            scope: ["create:users", "read:users", "old:scope"].map(str::to_owned).to_vec(),
        };
        assert_eq!(narrow(&own, None), "create:users read:users");
        assert_eq!(narrow(&own, Some(" ")), "create:users read:users");
        assert_eq!(narrow(&own, Some("read:users read:logs")), "read:users");
        assert_eq!(narrow(&own, Some("read:logs old:scope")), "");
        let other = ClientGrant { audience: Some("https://x.test/".to_owned()), ..own };
        assert_eq!(narrow(&other, None), "create:users read:users old:scope");
        assert_eq!(narrow(&other, Some("old:scope read:logs")), "old:scope");
    }

    #[test]
    fn a_wrong_secret_is_told_once_a_minute_for_each_client() {
        let (told, at) = (WrongSecrets::default(), Timestamp::from_millis);
        assert!(told.is_news("a", at(1000)) && told.is_news("b", at(1000)));
        assert!(!told.is_news("a", at(60_999)));
        assert!(told.is_news("a", at(61_000)));
        assert!(!told.is_news("a", at(61_001)));
        // The clock was set back.
        assert!(told.is_news("a", at(5)));
    }
}
