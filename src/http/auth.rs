//! Who may do what: a handler takes the permission it needs as an argument.
//!
//! **Invariant:** the order is token (401), size (413), scope (403); all of it before a byte of
//! the body is read. A client that is refused while it is still sending gets to see why.

use std::marker::PhantomData;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::{FromRequest, HttpRequest, web};

use super::body::{Body, content_length};
use super::error::ApiError;
use super::{State, now};
use crate::domain::Scope;
use crate::tokens::{Grant, TokenFault};

/// What a handler asks of a token.
pub(super) trait Needs: 'static {
    /// One of these scopes will do.
    const ANY_OF: &'static [Scope];

    /// Largest body it takes, in bytes, if it takes one.
    fn max_body(_: &State) -> Option<u64> {
        None
    }
}

/// To take users in.
pub(super) struct Import;

impl Needs for Import {
    const ANY_OF: &'static [Scope] = &[Scope::CreateUsers];
    fn max_body(state: &State) -> Option<u64> {
        Some(state.max_file_size)
    }
}

/// To look at jobs.
pub(super) struct ReadJobs;

impl Needs for ReadJobs {
    const ANY_OF: &'static [Scope] = &[Scope::CreateUsers, Scope::ReadUsers];
}

/// To look at users.
pub(super) struct ReadUsers;

impl Needs for ReadUsers {
    const ANY_OF: &'static [Scope] = &[Scope::ReadUsers];
}

/// To look at connections.
pub(super) struct ReadConnections;

impl Needs for ReadConnections {
    const ANY_OF: &'static [Scope] = &[Scope::ReadConnections];
}

/// Proof that the request may do what `N` names.
pub(super) struct Granted<N>(PhantomData<N>);

impl<N: Needs> FromRequest for Granted<N> {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let Err(refusal) = judge::<N>(request) else {
            return Box::pin(async { Ok(Self(PhantomData)) });
        };
        let body = Body::new(payload.take(), 0);
        Box::pin(async move {
            body.drain().await;
            Err(refusal)
        })
    }
}

fn judge<N: Needs>(request: &HttpRequest) -> Result<(), ApiError> {
    let state = request.app_data::<web::Data<State>>();
    let state = state.ok_or_else(|| ApiError::internal("the routes have no state"))?;
    let grant = grant(request, state)?;
    if let (Some(most), Some(length)) = (N::max_body(state), content_length(request))
        && length > most
    {
        return Err(ApiError::TooLarge(most));
    }
    if grant.has_any(N::ANY_OF) { Ok(()) } else { Err(ApiError::InsufficientScope(N::ANY_OF)) }
}

fn grant(request: &HttpRequest, state: &State) -> Result<Grant, ApiError> {
    let given = request.headers().get(header::AUTHORIZATION);
    let given = given.ok_or(ApiError::MissingAuthentication)?;
    let given = given.to_str().map_err(|_| ApiError::Token(TokenFault::Invalid))?;
    let token = match given.trim().split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
        _ => return Err(ApiError::MissingAuthentication),
    };
    state.tokens.verify(token, now()).map_err(ApiError::Token)
}
