//! `/api/v2/log-streams` and `…/{id}`: who is sent the events of the tenant log.
//!
//! Beyond what the API documents, a sink has `httpBatchSize` and `httpSigningSecret`, a filter may name a
//! type of events, and every answer tells in `delivery` how far the stream is.
//!
//! **Invariant:** no answer shows `httpAuthorization`, or the signing secret but for the one that was just
//! made here. Neither can be led out by a change of the endpoint.

mod body;
mod view;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::Data;
use tracing::info;

use super::auth::{CreateStreams, DeleteStreams, Granted, ReadStreams, UpdateStreams};
use super::error::{ApiError, ErrorObject, Place};
use super::openapi::sent::{NewStream as NewStreamSent, StreamChange as StreamChangeSent};
use super::params::Id;
use super::payload::{Payload, read_object};
use super::{State, json, no_content, now};
use crate::domain::{HttpSink, LogStream, StreamId, StreamStatus};
use crate::notify::streams::{TargetFault, same_origin};
use crate::store::{Store, StoreError};
use crate::tokens::random;
use body::{Change, NewStream, StreamChange};
use view::{Known, StreamView};

/// All streams, as a bare array.
#[utoipa::path(
    get, path = "/api/v2/log-streams", tag = "logs", summary = "List log streams",
    responses((status = 200, description = "All of them", body = Vec<StreamView>)),
    security(("token" = ["read:log_streams"])),
)]
pub(super) async fn list(_: Granted<ReadStreams>, state: Data<State>) -> Result<HttpResponse, ApiError> {
    let known = state.store(|store| {
        let streams = store.streams()?;
        streams.into_iter().map(|stream| Known::of(store, stream)).collect::<Result<Vec<_>, _>>()
    });
    let known = known.await?;
    let views: Vec<StreamView> = known.iter().map(StreamView::from).collect();
    json(StatusCode::OK, &views)
}

/// One stream.
#[utoipa::path(
    get, path = "/api/v2/log-streams/{id}", tag = "logs", summary = "Show a log stream",
    params(("id" = String, Path)),
    responses((status = 200, description = "The stream", body = StreamView)),
    security(("token" = ["read:log_streams"])),
)]
pub(super) async fn show(
    _: Granted<ReadStreams>,
    state: Data<State>,
    id: Id<StreamId>,
) -> Result<HttpResponse, ApiError> {
    let id = id.get().map_err(|_| ApiError::NoSuchStream)?;
    let known = state.store(move |store| find(store, &id)).await?;
    json(StatusCode::OK, &StreamView::from(&known.ok_or(ApiError::NoSuchStream)?))
}

fn find(store: &Store, id: &StreamId) -> Result<Option<Known>, StoreError> {
    store.stream(id)?.map(|stream| Known::of(store, stream)).transpose()
}

/// Adds a stream: `200` and the stream. It begins with the event that tells of it, or at `startFrom`.
#[utoipa::path(
    post, path = "/api/v2/log-streams", tag = "logs", summary = "Make a log stream",
    request_body = NewStreamSent,
    responses((status = 200, description = "The stream", body = StreamView), (status = 409, description = "There are as many as there may be", body = ErrorObject)),
    security(("token" = ["create:log_streams"])),
)]
pub(super) async fn create(
    granted: Granted<CreateStreams>,
    state: Data<State>,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let entropy = random().map_err(ApiError::internal)?;
    let NewStream { name, sink, made_secret, filters, start_from } =
        body::new_stream(read_object(payload).await?, entropy)?;
    check_target(&state, &sink.endpoint).await?;
    let id = StreamId::from_entropy(random().map_err(ApiError::internal)?);
    let event = granted.caller.success(StatusCode::OK).with("log_stream_id", id.as_str());
    let status = StreamStatus::Active;
    let stream = LogStream { id, name, declared_as: None, status, sink, filters, created_at: now() };
    let most = state.streams.options().max_streams;
    let known = state.change(move |store| {
        let next = start_from.map(|at| store.first_event_since(at)).transpose()?;
        store.create_stream(&stream, next, most, event.into())?;
        Known::of(store, stream)
    });
    let known = known.await?;
    info!("log stream {} was created", known.stream.id);
    json(StatusCode::OK, &StreamView::from(&known).with_secret(made_secret.as_deref()))
}

/// Changes a stream. A `sink` replaces the one before, but for `httpAuthorization` and
/// `httpSigningSecret`, which stay when they are not given. A suspended or paused stream goes on at its
/// checkpoint when `status` becomes `active`.
#[utoipa::path(
    patch, path = "/api/v2/log-streams/{id}", tag = "logs", summary = "Change a log stream",
    params(("id" = String, Path)),
    request_body = StreamChangeSent,
    responses((status = 200, description = "The stream as it is then", body = StreamView)),
    security(("token" = ["update:log_streams"])),
)]
pub(super) async fn update(
    granted: Granted<UpdateStreams>,
    state: Data<State>,
    id: Id<StreamId>,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let id = id.get().map_err(|_| ApiError::NoSuchStream)?;
    let entropy = random().map_err(ApiError::internal)?;
    let change = body::stream_change(read_object(payload).await?, entropy)?;
    let wanted = id.clone();
    let stored = state.store(move |store| store.stream(&wanted)).await?;
    let stored = stored.ok_or(ApiError::NoSuchStream)?;
    if let Some(sink) = &change.sink {
        check_target(&state, &sink.endpoint).await?;
        if sink.authorization == Change::Keep && would_lead_out(&stored.sink, &sink.endpoint) {
            let rule = "httpAuthorization has to be given again (or null) when httpEndpoint leads elsewhere";
            return Err(ApiError::invalid(Place::Payload, rule, "sink"));
        }
    }
    let made_secret = change.made_secret().map(str::to_owned);
    let event = granted.caller.success(StatusCode::OK).with("log_stream_id", id.as_str());
    let known = state.change(move |store| {
        let updated = store.update_stream(&id, |stream| apply(stream, change), event.into())?;
        updated.map(|stream| Known::of(store, stream)).transpose()
    });
    let known = known.await?.ok_or(ApiError::NoSuchStream)?;
    json(StatusCode::OK, &StreamView::from(&known).with_secret(made_secret.as_deref()))
}

fn would_lead_out(stored: &HttpSink, endpoint: &str) -> bool {
    stored.authorization.is_some() && !same_origin(&stored.endpoint, endpoint)
}

fn apply(stream: &mut LogStream, change: StreamChange) {
    stream.name = change.name.unwrap_or_else(|| stream.name.clone());
    stream.status = change.status.unwrap_or(stream.status);
    stream.filters = change.filters.unwrap_or_else(|| stream.filters.clone());
    if let Some(sink) = change.sink {
        // Once more, as somebody else may have changed it meanwhile.
        let kept = stream.sink.authorization.take_if(|_| same_origin(&stream.sink.endpoint, &sink.endpoint));
        stream.sink = sink.onto(kept, stream.sink.secret.take());
    }
}

/// Deletes a stream, if there is one: `204` in any case.
#[utoipa::path(
    delete, path = "/api/v2/log-streams/{id}", tag = "logs", summary = "Delete a log stream",
    params(("id" = String, Path)),
    responses((status = 204, description = "There is no such stream any more")),
    security(("token" = ["delete:log_streams"])),
)]
pub(super) async fn delete(
    granted: Granted<DeleteStreams>,
    state: Data<State>,
    id: Id<StreamId>,
) -> Result<HttpResponse, ApiError> {
    let Ok(id) = id.get() else {
        return Ok(no_content());
    };
    let event = granted.caller.success(StatusCode::NO_CONTENT).with("log_stream_id", id.as_str());
    if state
        .change({
            let id = id.clone();
            move |store| store.delete_stream(&id, event.into())
        })
        .await?
    {
        info!("log stream {id} was deleted");
    }
    Ok(no_content())
}

/// Refuses a URL that events cannot go to.
async fn check_target(state: &Data<State>, endpoint: &str) -> Result<(), ApiError> {
    let (targets, endpoint) = (state.streams.options().targets, endpoint.to_owned());
    let checked: Result<(), TargetFault> = state.store(move |_| Ok(targets.check(&endpoint))).await?;
    checked.map_err(|fault| ApiError::invalid(Place::Payload, fault.to_string(), "sink.httpEndpoint"))
}
