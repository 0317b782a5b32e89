//! Who may do what: a handler takes the permission it needs as an argument.
//!
//! **Invariant:** the order is token (401), size (413), scope (403); all of it before a byte of
//! the body is read. A client that is refused while it is still sending gets to see why.

use std::marker::PhantomData;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::{FromRequest, HttpMessage, HttpRequest, web};

use super::body::{Body, content_length};
use super::caller::Caller;
use super::error::ApiError;
use super::{State, now, payload};
use crate::domain::Scope;
use crate::tokens::{Grant, TokenFault};

/// What a handler asks of a token.
pub(super) trait Needs: 'static {
    /// One of these scopes will do.
    const ANY_OF: &'static [Scope];
    /// What the tenant log calls the operation; empty if it changes nothing.
    const OPERATION: &'static str = "";

    /// Largest body it takes, in bytes, if it takes one.
    fn max_body(_: &State) -> Option<u64> {
        (!Self::OPERATION.is_empty()).then_some(payload::LARGEST)
    }
}

/// Defines a type for each permission: the scopes of which one will do, and the operation as the
/// tenant log names it (those that change nothing have none).
macro_rules! permissions {
    ($($name:ident: $($scope:ident)|+ $(, $operation:literal)?;)+) => {
        $(
            #[doc = concat!("Leave to `", stringify!($name), "`.")]
            pub(super) struct $name;
            permissions!(@needs $name, [$(Scope::$scope),+], $($operation)?);
        )+
    };
    (@needs Import, $scopes:expr, $operation:literal) => {
        impl Needs for Import {
            const ANY_OF: &'static [Scope] = &$scopes;
            const OPERATION: &'static str = $operation;
            fn max_body(state: &State) -> Option<u64> {
                Some(state.max_file_size)
            }
        }
    };
    (@needs $name:ident, $scopes:expr, $($operation:literal)?) => {
        impl Needs for $name {
            const ANY_OF: &'static [Scope] = &$scopes;
            $(const OPERATION: &'static str = $operation;)?
        }
    };
}

permissions! {
    Import: CreateUsers, "Create import users job";
    ReadJobs: CreateUsers | ReadUsers;
    ReadUsers: ReadUsers;
    UpdateUsers: UpdateUsers, "Update a User";
    DeleteUsers: DeleteUsers, "Delete a Connection User";
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
    ReadDirectoryProvisionings: ReadDirectoryProvisionings;
    CreateGrants: CreateClientGrants, "Create Client Grant";
    UpdateGrants: UpdateClientGrants, "Update Client Grant";
    DeleteGrants: DeleteClientGrants, "Delete Client Grant";
    CreateTickets: CreateUserTickets, "Create a Password Change Ticket";
    ReadLogs: ReadLogs | ReadLogsUsers;
    ReadStreams: ReadLogStreams;
    CreateStreams: CreateLogStreams, "Create a Log Stream";
    UpdateStreams: UpdateLogStreams, "Update a Log Stream";
    DeleteStreams: DeleteLogStreams, "Delete a Log Stream";
    ReadOutbox: ReadOutbox;
    UpdateOutbox: UpdateOutbox, "Update the Outbox";
}

/// Proof that the request may do what `N` names.
pub(super) struct Granted<N> {
    /// Who asks.
    pub(super) caller: Caller,
    proof: PhantomData<N>,
}

impl<N: Needs> FromRequest for Granted<N> {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let refusal = match judge::<N>(request) {
            Ok(caller) => return Box::pin(async { Ok(Self { caller, proof: PhantomData }) }),
            Err(refusal) => refusal,
        };
        let body = Body::new(payload.take(), 0);
        Box::pin(async move {
            body.drain().await;
            Err(refusal)
        })
    }
}

fn judge<N: Needs>(request: &HttpRequest) -> Result<Caller, ApiError> {
    let state = request.app_data::<web::Data<State>>();
    let state = state.ok_or_else(|| ApiError::internal("the routes have no state"))?;
    let grant = grant(request, state)?;
    let caller = Caller::new(request, state, grant.client_id(), N::OPERATION);
    request.extensions_mut().insert(caller.clone());
    if let (Some(most), Some(length)) = (N::max_body(state), content_length(request))
        && length > most
    {
        return Err(ApiError::TooLarge(most));
    }
    if grant.has_any(N::ANY_OF) { Ok(caller) } else { Err(ApiError::InsufficientScope(N::ANY_OF)) }
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
