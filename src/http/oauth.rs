//! `POST /oauth/token` and what others need to check our tokens.
//!
//! Refusals here have the shape OAuth gives them, not that of the rest of the API.
//!
//! **Invariant:** an unknown client and a wrong secret are told apart neither by the answer nor by
//! the time it takes.

mod exchange;

use std::fmt;
use std::time::Duration;

use actix_web::http::{StatusCode, header};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::body::{Incoming, form_or_json, read_small};
use super::error::ApiError;
use super::openapi::sent::TokenRequest as TokenAsked;
use super::openapi::told::OauthRefusal;
use super::rate_limits::whole_seconds;
use super::{State, now, sign_in};
use crate::domain::{Client, Scope};
use crate::login::Password;
use crate::tokens::{same_hash, secret_hash};
pub(super) use exchange::WrongSecrets;

/// Largest request for a token, in bytes.
const LARGEST_REQUEST: u64 = 64 << 10;

/// Makes an access token for a client that proves itself by its secret, in the body (form or
/// JSON) or by Basic authentication. `scope` narrows what the token may do.
#[utoipa::path(
    post, path = "/oauth/token", tag = "login", summary = "Ask for a token",
    request_body(content((TokenAsked = "application/json"), (TokenAsked = "application/x-www-form-urlencoded"))),
    responses(
        (status = 200, description = "A token", body = TokenAnswer),
        (status = 400, description = "The request makes no sense", body = OauthRefusal),
        (status = 401, description = "No such client, or not its secret", body = OauthRefusal),
        (status = 403, description = "Not for this client, or not with this password", body = OauthRefusal),
        (status = 408, description = "The body does not come, or too slowly", body = OauthRefusal),
        (status = 413, description = "The body is too large", body = OauthRefusal),
        (status = 429, description = "Too many failures", body = OauthRefusal, headers(("Retry-After"))),
        (status = 503, description = "Not now; try again", body = OauthRefusal, headers(("Retry-After"))),
    ),
)]
pub(super) async fn token(
    request: HttpRequest,
    state: Data<State>,
    payload: Incoming,
) -> Result<HttpResponse, OauthError> {
    let content = read_small(payload, LARGEST_REQUEST).await.map_err(|fault| match fault {
        ApiError::TooLarge(_) => OauthError::TooLarge,
        ApiError::Slow | ApiError::Stalled => OauthError::TooSlow(fault),
        _ => OauthError::Malformed("The request could not be read."),
    })?;
    let asked = TokenRequest::read(&request, &content)?;
    if asked.grant_type.as_deref().is_some_and(sign_in::is_ours) {
        return sign_in::token(&request, &state, asked).await;
    }
    let client = match authenticate(&state, &asked).await {
        Err(OauthError::Unauthorized) => return Err(exchange::unauthorized(&request, &state, &asked)),
        found => found?,
    };
    let answer = exchange::client_credentials(&request, &state, &asked, &client).await?;
    Ok(respond(StatusCode::OK, &answer))
}

/// The public keys.
#[utoipa::path(
    get, path = "/.well-known/jwks.json", tag = "login", summary = "Show the keys tokens are signed with",
    responses((status = 200, description = "The keys", body = Object)),
)]
pub(super) async fn jwks(state: Data<State>) -> Result<HttpResponse, ApiError> {
    super::json(StatusCode::OK, &state.tokens.jwks(now()))
}

/// Where everything is.
#[utoipa::path(
    get, path = "/.well-known/openid-configuration", tag = "login", summary = "Show where everything is",
    responses((status = 200, description = "The endpoints", body = Object)),
)]
pub(super) async fn configuration(state: Data<State>) -> Result<HttpResponse, ApiError> {
    let issuer = state.tokens.issuer();
    let scopes: Vec<&str> = Scope::ALL.iter().map(|scope| scope.name()).collect();
    let algorithms: Vec<_> = state.tokens.algorithms(now()).iter().map(ToString::to_string).collect();
    let document = json!({
        "issuer": issuer,
        "token_endpoint": format!("{issuer}oauth/token"),
        "jwks_uri": format!("{issuer}.well-known/jwks.json"),
        "grant_types_supported": ["client_credentials", sign_in::PASSWORD, sign_in::PASSWORD_REALM],
        "response_types_supported": ["token"],
        "subject_types_supported": ["public"],
        "scopes_supported": scopes,
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "id_token_signing_alg_values_supported": algorithms,
    });
    super::json(StatusCode::OK, &document)
}

/// What a request for a token asks, whichever way.
#[derive(Default, Deserialize)]
pub(super) struct TokenRequest {
    pub(super) grant_type: Option<String>,
    pub(super) client_id: Option<String>,
    pub(super) client_secret: Option<String>,
    pub(super) audience: Option<String>,
    pub(super) scope: Option<String>,
    pub(super) username: Option<String>,
    pub(super) password: Option<Password>,
    pub(super) realm: Option<String>,
}

impl TokenRequest {
    fn read(request: &HttpRequest, content: &[u8]) -> Result<Self, OauthError> {
        const MALFORMED: OauthError = OauthError::Malformed("The request is malformed.");
        let asked: Self = form_or_json(request, content).ok_or(MALFORMED)?;
        match basic(request) {
            Some((client_id, client_secret)) => {
                let (client_id, client_secret) = (Some(client_id), Some(client_secret));
                Ok(Self { client_id, client_secret, ..asked })
            }
            None => Ok(asked),
        }
    }
}

/// Id and secret sent by Basic authentication.
fn basic(request: &HttpRequest) -> Option<(String, String)> {
    let given = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, credentials) = given.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let credentials = String::from_utf8(STANDARD.decode(credentials.trim()).ok()?).ok()?;
    let (id, secret) = credentials.split_once(':')?;
    Some((id.to_owned(), secret.to_owned()))
}

async fn authenticate(state: &State, asked: &TokenRequest) -> Result<Client, OauthError> {
    let grant_type = asked.grant_type.as_deref();
    let grant_type = grant_type.ok_or(OauthError::Malformed("Missing required parameter: grant_type"))?;
    let (client, is_right) = named_client(state, asked).await?;
    let client = client.filter(|_| is_right).ok_or(OauthError::Unauthorized)?;
    match grant_type {
        "client_credentials" => Ok(client),
        other => Err(OauthError::GrantType(other.to_owned())),
    }
}

/// The client that a request names, and whether the secret that came with it is that client's.
pub(super) async fn named_client(
    state: &State,
    asked: &TokenRequest,
) -> Result<(Option<Client>, bool), OauthError> {
    let id = asked.client_id.clone().unwrap_or_default();
    let client = state.store(move |store| store.client(&id)).await?;
    let given = secret_hash(asked.client_secret.as_deref().unwrap_or_default());
    // Compared in any case, so that nobody learns by the clock which clients there are.
    let kept = client.as_ref().map_or([0; 32], |client| client.secret_hash);
    Ok((client, same_hash(&kept, &given)))
}

#[derive(Serialize, ToSchema)]
struct TokenAnswer {
    access_token: String,
    scope: String,
    expires_in: u64,
    token_type: &'static str,
}

/// An answer that nobody may keep.
pub(super) fn respond(status: StatusCode, body: &impl Serialize) -> HttpResponse {
    HttpResponse::build(status)
        .content_type("application/json")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::PRAGMA, "no-cache"))
        .body(serde_json::to_string(body).unwrap_or_default())
}

/// Why there is no token.
#[derive(Debug)]
pub(super) enum OauthError {
    /// The request makes no sense.
    Malformed(&'static str),
    /// The request is too long.
    TooLarge,
    /// It does not come, or too slowly.
    TooSlow(ApiError),
    /// No such client, or a wrong secret.
    Unauthorized,
    /// Another way to ask for a token than ours.
    GrantType(String),
    /// An API the client has no grant for.
    Audience(String),
    /// Wrong password, unknown user, or a user without a password.
    WrongPassword,
    /// A user without a password, where that may be told.
    PasswordChangeRequired {
        /// Whether a letter with a link is on its way.
        is_mailed: bool,
    },
    /// A user who may not sign in, and knows the password.
    UserBlocked,
    /// Too many failures from there; when to come back.
    TooManyAttempts(Duration),
    /// No such connection for this client.
    UnknownRealm,
    /// No connection named, and none that goes without saying.
    NoDefaultConnection,
    /// An API for which users of this client get no tokens.
    PasswordAudience,
    /// Not the client's fault.
    Server(ApiError),
}

impl From<ApiError> for OauthError {
    fn from(error: ApiError) -> Self {
        Self::Server(error)
    }
}

#[derive(Serialize)]
struct OauthBody {
    error: &'static str,
    error_description: String,
}

impl OauthError {
    fn row(&self) -> (StatusCode, &'static str, String) {
        use StatusCode as S;
        match self {
            Self::Malformed(why) => (S::BAD_REQUEST, "invalid_request", (*why).to_owned()),
            Self::TooLarge => {
                (S::PAYLOAD_TOO_LARGE, "invalid_request", "The request is too large.".to_owned())
            }
            Self::TooSlow(error) => (error.status_code(), "invalid_request", error.to_string()),
            Self::Unauthorized => (S::UNAUTHORIZED, "access_denied", "Unauthorized".to_owned()),
            Self::GrantType(name) => (
                S::FORBIDDEN,
                "unauthorized_client",
                format!("Grant type '{name}' not allowed for the client."),
            ),
            Self::Audience(name) => {
                let advice = "You need to create a \"client-grant\" associated to this API.";
                let description = format!("Client is not authorized to access \"{name}\". {advice}");
                (S::FORBIDDEN, "access_denied", description)
            }
            Self::Server(error) => (error.status_code(), "server_error", error.to_string()),
            of_sign_in => {
                let (status, error, description) = of_sign_in.sign_in_row();
                (status, error, description.to_owned())
            }
        }
    }

    fn sign_in_row(&self) -> (StatusCode, &'static str, &'static str) {
        use StatusCode as S;
        match self {
            Self::PasswordChangeRequired { is_mailed: true } => (
                S::FORBIDDEN,
                "invalid_grant",
                "Password change required. A mail with a link to set a password was sent.",
            ),
            Self::PasswordChangeRequired { is_mailed: false } => {
                (S::FORBIDDEN, "invalid_grant", "Password change required.")
            }
            Self::UserBlocked => (S::FORBIDDEN, "unauthorized", "user is blocked"),
            Self::TooManyAttempts(_) => (
                S::TOO_MANY_REQUESTS,
                "too_many_attempts",
                "Your account has been blocked after multiple consecutive login attempts. Wait, or set a new \
                 password.",
            ),
            Self::UnknownRealm => (
                S::BAD_REQUEST,
                "invalid_request",
                "The realm is no database connection that is enabled for the client.",
            ),
            Self::NoDefaultConnection => (
                S::INTERNAL_SERVER_ERROR,
                "server_error",
                "Authorization server not configured with default connection.",
            ),
            Self::PasswordAudience => {
                (S::BAD_REQUEST, "invalid_request", "invalid audience specified for password grant exchange")
            }
            _ => (S::FORBIDDEN, "invalid_grant", "Wrong email or password."),
        }
    }

    /// In how many seconds to come back, if later is better.
    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::TooManyAttempts(time) => Some(whole_seconds(*time)),
            _ => None,
        }
    }
}

impl fmt::Display for OauthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.row().2)
    }
}

impl ResponseError for OauthError {
    fn status_code(&self) -> StatusCode {
        self.row().0
    }

    fn error_response(&self) -> HttpResponse {
        if let Self::Server(error) = self {
            error.log();
        }
        let (status, error, error_description) = self.row();
        let mut response = respond(status, &OauthBody { error, error_description });
        if let Self::Server(error) = self
            && let Some((name, value)) = error.header()
        {
            response.headers_mut().insert(name, value);
        }
        if let Some(seconds) = self.retry_after() {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may")]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;
    use crate::store::StoreError;

    fn read(content_type: &str, content: &str) -> Option<(String, String, Option<String>)> {
        let request = TestRequest::post().insert_header(("content-type", content_type));
        let asked = TokenRequest::read(&request.to_http_request(), content.as_bytes()).ok()?;
        Some((asked.client_id?, asked.client_secret?, asked.audience))
    }

    #[test]
    fn a_request_is_a_form_or_json() {
        let form = "application/x-www-form-urlencoded";
        let expected = Some(("a".to_owned(), "b c".to_owned(), Some("http://x/".to_owned())));
        let body = "client_id=a&client_secret=b+c&audience=http%3A%2F%2Fx%2F&organization=";
        assert_eq!(read(form, body), expected);
        assert_eq!(read("", body), expected);
        let body =
            r#"{"client_id":"a","client_secret":"b c","audience":"http://x/","organization":null,"x":1}"#;
        assert_eq!(read("application/json; charset=utf-8", body), expected);
        let body = r#"{"client_id":"a","client_secret":"b","audience":null}"#;
        assert_eq!(read("application/json", body).unwrap().2, None);
        assert_eq!(read("application/json", "{"), None);
        assert_eq!(read(form, "client_id=a&client_id=b"), None);
    }

    #[test]
    fn who_meets_a_busy_server_is_told_when_to_come_back() {
        let response = OauthError::from(ApiError::from(StoreError::Unavailable)).error_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers().get(header::RETRY_AFTER).unwrap(), "5");
        assert_eq!(response.headers().get(header::CACHE_CONTROL).unwrap(), "no-store");
    }

    #[test]
    fn basic_authentication_carries_id_and_secret() {
        let credentials = |text: &str| {
            let value = format!("Basic {}", STANDARD.encode(text));
            basic(&TestRequest::post().insert_header(("authorization", value)).to_http_request())
        };
        assert_eq!(credentials("a:b:c"), Some(("a".to_owned(), "b:c".to_owned())));
        assert_eq!(credentials("a"), None);
        let other = TestRequest::post().insert_header(("authorization", "Bearer x"));
        assert_eq!(basic(&other.to_http_request()), None);
    }
}
