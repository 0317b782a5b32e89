//! The grants `password` and `password-realm` of `POST /oauth/token`: a user signs in.
//!
//! **Invariant:** a wrong password, an unknown user and a user who never set a password get one answer, and
//! get it equally fast, unless `login.explain_password_change` says otherwise.

use std::net::IpAddr;

use actix_web::http::StatusCode;
use actix_web::rt::time::sleep;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;

use super::caller;
use super::error::ApiError;
use super::oauth::{OauthError, TokenRequest, named_client, respond};
use super::{State, now};
use crate::domain::{Client, Connection, Origin, User};
use crate::login::{Logins, Password, SignIn, Verdict};
use crate::tokens::{OpenIdScope, UserTokens};

/// The grant for users of the default connection.
pub(super) const PASSWORD: &str = "password";
/// The grant for users of a connection that is named.
pub(super) const PASSWORD_REALM: &str = "http://auth0.com/oauth/grant-type/password-realm";

#[derive(Serialize)]
struct Answer {
    access_token: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    id_token: Option<String>,
    scope: String,
    expires_in: u64,
    token_type: &'static str,
}

/// Whether a grant is one of those here.
pub(super) fn is_ours(grant_type: &str) -> bool {
    [PASSWORD, PASSWORD_REALM].contains(&grant_type)
}

/// Signs a user in: an access token, and an id token if `openid` is asked for.
pub(super) async fn token(
    request: &HttpRequest,
    state: &State,
    asked: TokenRequest,
) -> Result<HttpResponse, OauthError> {
    let client = client(state, &asked).await?;
    let (name, password) = credentials(&asked)?;
    let connection = connection(state, &client, asked.realm.clone()).await?;
    let audience = audience(state, &client, asked.audience.as_deref()).await?;
    let scopes = scopes(asked.scope.as_deref());
    let names: Vec<&str> = scopes.iter().map(|scope| scope.name()).collect();
    let scope = names.join(" ");
    let origin = Origin {
        client_id: Some(client.id.clone()),
        client_name: Some(client.name.clone()),
        ..caller::origin(request, state)
    };
    let sign_in =
        SignIn { connection, name, password, origin, audience: audience.clone(), scope: scope.clone() };
    let tokens = state.tokens.clone();
    let mint = move |user: &User| {
        let minted = tokens.mint_for_user(user, &client.id, &audience, &scopes, now());
        minted.map_err(ApiError::internal)
    };
    let minted = sign_in_user(state, caller::address(request, state), sign_in, mint).await?;
    let expires_in = state.tokens.lifetime().as_secs();
    let answer =
        Answer { access_token: minted.access, id_token: minted.id, scope, expires_in, token_type: "Bearer" };
    Ok(respond(StatusCode::OK, &answer))
}

/// The client that asks, if it is the one it says and may ask so. One that can keep no secret needs none.
async fn client(state: &State, asked: &TokenRequest) -> Result<Client, OauthError> {
    let (client, is_right) = named_client(state, asked).await?;
    let client = client.filter(|client| is_right || client.is_public()).ok_or(OauthError::Unauthorized)?;
    let grant_type = asked.grant_type.as_deref().unwrap_or_default();
    if client.may_use(grant_type) { Ok(client) } else { Err(OauthError::GrantType(grant_type.to_owned())) }
}

fn credentials(asked: &TokenRequest) -> Result<(String, Password), OauthError> {
    let name = asked.username.clone().filter(|name| !name.is_empty());
    let password = asked.password.clone();
    let is_realm_missing = asked.grant_type.as_deref() == Some(PASSWORD_REALM)
        && asked.realm.as_deref().is_none_or(str::is_empty);
    if is_realm_missing {
        return Err(OauthError::Malformed("Missing required parameter: realm"));
    }
    Ok((
        name.ok_or(OauthError::Malformed("Missing required parameter: username"))?,
        password.ok_or(OauthError::Malformed("Missing required parameter: password"))?,
    ))
}

async fn connection(state: &State, client: &Client, realm: Option<String>) -> Result<Connection, OauthError> {
    let realm = realm.filter(|realm| !realm.is_empty());
    let is_named = realm.is_some();
    let client = client.clone();
    let found = state.logins(move |logins| logins.connection_for(&client, realm.as_deref())).await?;
    found.ok_or(if is_named { OauthError::UnknownRealm } else { OauthError::NoDefaultConnection })
}

/// The API that the token is for: none in particular, this server's own (where it opens nothing), or one
/// that the client has a grant for.
async fn audience(state: &State, client: &Client, asked: Option<&str>) -> Result<String, OauthError> {
    let tokens = &state.tokens;
    let Some(asked) = asked.filter(|asked| !asked.is_empty()) else {
        return Ok(tokens.userinfo());
    };
    let asked = tokens.meant_by(asked).into_owned();
    if asked == tokens.userinfo() || asked == tokens.audience() {
        return Ok(asked);
    }
    let (id, audience) = (client.id.clone(), asked.clone());
    let grant = state.store(move |store| store.grant_for(&id, Some(&audience))).await?;
    grant.map(|_| asked).ok_or(OauthError::PasswordAudience)
}

/// The scopes asked for that users can give.
fn scopes(asked: Option<&str>) -> Vec<OpenIdScope> {
    let asked: Vec<&str> = asked.unwrap_or_default().split_whitespace().collect();
    OpenIdScope::ALL.into_iter().filter(|scope| asked.contains(&scope.name())).collect()
}

/// Signs a user in and makes the tokens, both on a thread that may be kept busy.
async fn sign_in_user(
    state: &State,
    address: Option<IpAddr>,
    asked: SignIn,
    mint: impl FnOnce(&User) -> Result<UserTokens, ApiError> + Send + 'static,
) -> Result<UserTokens, OauthError> {
    let attempt = state.logins.attempt(address, &asked.connection, &asked.name, now());
    let attempt = attempt.map_err(|refused| OauthError::TooManyAttempts(refused.retry_after))?;
    sleep(attempt.pause()).await;
    let turn = state.logins.turn().await.ok_or(ApiError::Busy)?;
    let work = move |logins: &Logins| {
        Ok(match logins.sign_in(&asked, attempt, &turn, now())? {
            Verdict::Welcome(user) => mint(&user).map_err(OauthError::from),
            Verdict::Blocked => Err(OauthError::UserBlocked),
            Verdict::Wrong => Err(OauthError::WrongPassword),
            Verdict::MustSetPassword { is_mailed } => Err(OauthError::PasswordChangeRequired { is_mailed }),
        })
    };
    state.logins(work).await?
}
