//! Tokens of users who have signed in: one to show to others' APIs, and one that tells the client who it is.
//!
//! **Invariant:** neither opens anything here.

use std::time::Duration;

use serde::Serialize;

use super::{KeyError, Tokens};
use crate::domain::{Timestamp, User};

/// How long an id token is valid.
const ID_TOKEN_LIFETIME: Duration = Duration::from_hours(10);

/// What a client can learn of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenIdScope {
    /// Who it is: there is an id token.
    OpenId,
    /// What the user is called.
    Profile,
    /// The user's address.
    Email,
}

impl OpenIdScope {
    /// Every one there is.
    pub const ALL: [Self; 3] = [Self::OpenId, Self::Profile, Self::Email];

    /// Its name in requests.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OpenId => "openid",
            Self::Profile => "profile",
            Self::Email => "email",
        }
    }
}

/// What a user gets at sign-in.
#[derive(Debug)]
pub struct UserTokens {
    /// For APIs.
    pub access: String,
    /// For the client, if it asked who it is.
    pub id: Option<String>,
}

#[derive(Serialize)]
struct AccessClaims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    iat: u64,
    exp: u64,
    scope: &'a str,
    gty: &'static str,
    azp: &'a str,
}

#[derive(Serialize)]
struct IdClaims<'a> {
    #[serde(flatten)]
    profile: Option<Profile<'a>>,
    #[serde(flatten)]
    email: Option<EmailClaims<'a>>,
    iss: &'a str,
    aud: &'a str,
    sub: &'a str,
    iat: u64,
    exp: u64,
}

#[derive(Serialize)]
struct Profile<'a> {
    nickname: &'a str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    preferred_username: Option<&'a str>,
    updated_at: Timestamp,
}

#[derive(Serialize)]
struct EmailClaims<'a> {
    email: &'a str,
    email_verified: bool,
}

impl Tokens {
    /// The audience of tokens that are for no API in particular.
    pub fn userinfo(&self) -> String {
        format!("{}userinfo", self.issuer)
    }

    /// Makes the tokens of a user who has signed in to a client.
    pub fn mint_for_user(
        &self,
        user: &User,
        client_id: &str,
        audience: &str,
        scopes: &[OpenIdScope],
        now: Timestamp,
    ) -> Result<UserTokens, KeyError> {
        let subject = user.id.to_string();
        let names: Vec<&str> = scopes.iter().map(|scope| scope.name()).collect();
        let access = self.sign(&AccessClaims {
            iss: &self.issuer,
            sub: &subject,
            aud: audience,
            iat: now.seconds(),
            exp: now.seconds().saturating_add(self.lifetime.as_secs()),
            scope: &names.join(" "),
            gty: "password",
            azp: client_id,
        })?;
        let has = |scope| scopes.contains(&scope);
        let id = has(OpenIdScope::OpenId).then(|| {
            let email = EmailClaims { email: &user.email, email_verified: user.email_verified };
            self.sign(&IdClaims {
                profile: has(OpenIdScope::Profile).then(|| Profile::of(user)),
                email: has(OpenIdScope::Email).then_some(email),
                iss: &self.issuer,
                aud: client_id,
                sub: &subject,
                iat: now.seconds(),
                exp: now.seconds().saturating_add(ID_TOKEN_LIFETIME.as_secs()),
            })
        });
        Ok(UserTokens { access, id: id.transpose()? })
    }
}

impl<'a> Profile<'a> {
    fn of(user: &'a User) -> Self {
        Self {
            nickname: user.email.rsplit_once('@').map_or(&user.email, |(local, _)| local),
            name: &user.email,
            preferred_username: user.username.as_deref(),
            updated_at: user.updated_at,
        }
    }
}
