//! Who may do what: a handler takes the permission it needs as an argument.
//!
//! **Invariant:** the order is rate limit (429), token (401), size (413), scope (403); all of it before a byte of
//! the body is read. A client that is refused while it is still sending gets to see why.

use std::marker::PhantomData;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::{FromRequest, HttpMessage, HttpRequest};

use super::body::{content_length, drain};
use super::caller::{self, Caller};
use super::error::ApiError;
use super::rate_limits::{self, Who};
use super::{State, now};
use crate::domain::Scope;
use crate::tokens::{Grant, TokenFault};

/// What a handler asks of a token.
pub(super) trait Needs: 'static {
    /// One of these scopes will do.
    const ANY_OF: &'static [Scope];
    /// What the tenant log calls the operation; empty if it changes nothing.
    const OPERATION: &'static str = "";

    /// Largest body it takes, in bytes, if it takes one.
    fn max_body(state: &State) -> Option<u64> {
        (!Self::OPERATION.is_empty()).then_some(state.bounds.max_body_size)
    }
}

/// Defines a type for each permission: the scopes of which one will do, the operation as the tenant log
/// names it (those that change nothing have none), and how large its body may be if that is unusual.
macro_rules! permissions {
    ($($name:ident: $($scope:ident)|+ $(, $operation:literal $(, $max_body:expr)?)?;)+) => {
        $(
            #[doc = concat!("Leave to `", stringify!($name), "`.")]
            pub(super) struct $name;

            impl Needs for $name {
                const ANY_OF: &'static [Scope] = &[$(Scope::$scope),+];
                $(
                    const OPERATION: &'static str = $operation;
                    $(
                        fn max_body(state: &State) -> Option<u64> {
                            let max_body: fn(&State) -> u64 = $max_body;
                            Some(max_body(state))
                        }
                    )?
                )?
            }
        )+
    };
}

permissions! {
    Import: CreateUsers, "Create import users job", |state| state.max_file_size;
    Export: ReadUsers, "Create export users job";
    ReadJobs: CreateUsers | ReadUsers;
    ReadUsers: ReadUsers;
    CreateUser: CreateUsers, "Create a User";
    UpdateUser: UpdateUsers | UpdateUsersAppMetadata, "Update a User";
    DeleteUser: DeleteUsers, "Delete a User";
    DeleteConnectionUser: DeleteUsers, "Delete a Connection User";
    ReadConnections: ReadConnections;
    CreateConnections: CreateConnections, "Create a Connection";
    UpdateConnections: UpdateConnections, "Update a Connection";
    DeleteConnections: DeleteConnections, "Delete a Connection";
    ReadClients: ReadClients | ReadClientKeys;
    CreateClients: CreateClients, "Create a Client";
    UpdateClients: UpdateClients, "Update a Client";
    DeleteClients: DeleteClients, "Delete a Client";
    RotateSecret: UpdateClientKeys, "Rotate a Client Secret";
    ReadGrants: ReadClientGrants;
    ReadActions: ReadActions;
    ReadResourceServers: ReadResourceServers;
    ReadDirectoryProvisionings: ReadDirectoryProvisionings;
    CreateGrants: CreateClientGrants, "Create Client Grant";
    UpdateGrants: UpdateClientGrants, "Update Client Grant";
    DeleteGrants: DeleteClientGrants, "Delete Client Grant";
    CreateTickets: CreateUserTickets, "Create a Password Change Ticket";
    CreateVerificationTickets: CreateUserTickets, "Create an Email Verification Ticket";
    SendVerification: UpdateUsers, "Send an Email Address Verification Email";
    ReadLogs: ReadLogs | ReadLogsUsers;
    ReadStreams: ReadLogStreams;
    CreateStreams: CreateLogStreams, "Create a Log Stream";
    UpdateStreams: UpdateLogStreams, "Update a Log Stream";
    DeleteStreams: DeleteLogStreams, "Delete a Log Stream";
    ReadOutbox: ReadOutbox;
    UpdateOutbox: UpdateOutbox, "Update the Outbox";
    CreateBackups: CreateBackups, "Create a Backup";
}

/// Proof that the request may do what `N` names.
pub(super) struct Granted<N> {
    /// Who asks.
    pub(super) caller: Caller,
    grant: Grant,
    proof: PhantomData<N>,
}

impl<N: Needs> FromRequest for Granted<N> {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let refusal = match judge::<N>(request) {
            Ok((caller, grant)) => {
                return Box::pin(async { Ok(Self { caller, grant, proof: PhantomData }) });
            }
            Err(refusal) => refusal,
        };
        let payload = payload.take();
        Box::pin(async move {
            drain(payload).await;
            Err(refusal)
        })
    }
}

impl<N> Granted<N> {
    /// Refuses who may not do this, too.
    pub(super) fn require(&self, scope: &'static [Scope]) -> Result<(), ApiError> {
        if self.grant.has_any(scope) { Ok(()) } else { Err(ApiError::InsufficientScope(scope)) }
    }
}

fn judge<N: Needs>(request: &HttpRequest) -> Result<(Caller, Grant), ApiError> {
    let state = State::of(request)?;
    let grant = grant(request, state);
    let who = match &grant {
        Ok(grant) => Who::Client(&grant.subject),
        Err(_) => Who::Address(caller::address(request, state)),
    };
    rate_limits::admit(request, state, who)?;
    let grant = grant?;
    let caller = Caller::new(request, state, grant.client_id(), N::OPERATION);
    request.extensions_mut().insert(caller.clone());
    if let (Some(most), Some(length)) = (N::max_body(state), content_length(request))
        && length > most
    {
        return Err(ApiError::TooLarge(most));
    }
    if grant.has_any(N::ANY_OF) { Ok((caller, grant)) } else { Err(ApiError::InsufficientScope(N::ANY_OF)) }
}

fn grant(request: &HttpRequest, state: &State) -> Result<Grant, ApiError> {
    state.tokens.verify(bearer(request)?, now()).map_err(ApiError::Token)
}

/// The token that a request brings, whatever it is worth.
pub(super) fn bearer(request: &HttpRequest) -> Result<&str, ApiError> {
    let given = request.headers().get(header::AUTHORIZATION);
    let given = given.ok_or(ApiError::MissingAuthentication)?;
    let given = given.to_str().map_err(|_| ApiError::Token(TokenFault::Invalid))?;
    match given.trim().split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim()),
        _ => Err(ApiError::MissingAuthentication),
    }
}
