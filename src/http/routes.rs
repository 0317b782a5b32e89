//! Every endpoint there is, and the answers to requests that meet none.
//!
//! Each answers `OPTIONS`, and `HEAD` if it answers `GET`: nobody has to say so.

use std::future::ready;

use actix_web::body::MessageBody;
use actix_web::dev::{AppService, HttpServiceFactory, ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::error::PathError;
use actix_web::http::Method;
use actix_web::http::header;
use actix_web::middleware::{Compress, DefaultHeaders, from_fn};
use actix_web::web;
use actix_web::{App, FromRequest, Handler, HttpResponse, Responder, Route};
use url::Url;

use super::error::{ALWAYS, ApiError, Place};
use super::{
    State, absent, backups, bounds, caller, clients, connections, cors, exports, grants, gzip, head, health,
    hosted, imports, jobs, log_streams, logs, metrics, no_content, oauth, openapi, outbox, page,
    page_sign_in, passwords, rate_limits, reset_page, tickets, user_search, users, verification,
    verification_page, wire,
};

/// All endpoints, and the answers to requests that meet none.
pub(super) fn all(
    state: web::Data<State>,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody + 'static>,
        Error = actix_web::Error,
        InitError = (),
    >,
> {
    let mut headers = ALWAYS.into_iter().fold(DefaultHeaders::new(), DefaultHeaders::add);
    if is_for_https_alone(&state.public_url) {
        headers = headers.add(("strict-transport-security", "max-age=31536000"));
    }
    let path = web::PathConfig::default().error_handler(|error, _| path_fault(&error).into());
    let all = App::new().app_data(state).app_data(path);
    endpoints()
        .into_iter()
        .fold(all, App::service)
        .service(page::files())
        .default_service(web::to(no_such_route))
        // The first of these is next to the endpoint, the last one has the last word.
        .wrap(from_fn(caller::note_refusal))
        .wrap(from_fn(rate_limits::tell))
        .wrap(from_fn(bounds::check_head))
        .wrap(headers)
        .wrap(from_fn(gzip::leave_small))
        .wrap(Compress::default())
        .wrap(from_fn(gzip::negotiate))
        .wrap(from_fn(cors::allow_origins))
        .wrap(from_fn(metrics::count))
        .wrap(from_fn(head::drop_body))
        .wrap(from_fn(wire::follow))
}

/// Whether browsers may be told to come by https only. They keep that for all ports of a name, so that it has
/// to be a name of its own, on the usual port.
fn is_for_https_alone(public_url: &str) -> bool {
    let is_own = |name: &str| name.contains('.') && !name.ends_with(".localhost");
    Url::parse(public_url)
        .is_ok_and(|url| url.scheme() == "https" && url.port().is_none() && url.domain().is_some_and(is_own))
}

/// All endpoints with a path of their own.
pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        at("/api/v2/jobs/users-imports").post(imports::create),
        at("/api/v2/jobs/users-exports").post(exports::create),
        at("/exports/{name}").get(exports::file::show),
        at("/api/v2/jobs/verification-email").post(verification::send),
        at("/api/v2/jobs").get(jobs::list),
        at("/api/v2/jobs/{id}").get(jobs::show),
        at("/api/v2/jobs/{id}/errors").get(jobs::errors),
        at("/api/v2/connections").get(connections::list).post(connections::create),
        at("/api/v2/connections/{id}")
            .get(connections::show)
            .patch(connections::update)
            .delete(connections::delete),
        at("/api/v2/connections/{id}/clients").get(connections::clients).patch(connections::change_clients),
        at("/api/v2/connections/{id}/users").delete(connections::delete_user),
        at("/api/v2/clients").get(clients::list).post(clients::create),
        at("/api/v2/clients/{id}").get(clients::show).patch(clients::update).delete(clients::delete),
        at("/api/v2/clients/{id}/rotate-secret").post(clients::rotate_secret),
        at("/api/v2/client-grants").get(grants::list).post(grants::create),
        at("/api/v2/client-grants/{id}").get(grants::show).patch(grants::update).delete(grants::delete),
        at("/api/v2/users-by-email").get(users::by_email),
        at("/api/v2/users").get(user_search::list).post(users::create),
        at("/api/v2/users/{id}").get(users::show).patch(users::change).delete(users::delete),
        at("/api/v2/tickets/password-change").post(tickets::change_password),
        at("/api/v2/tickets/email-verification").post(tickets::verify_email),
        at("/api/v2/outbox").get(outbox::list),
        at("/api/v2/outbox/{id}").delete(outbox::delete),
        at("/api/v2/outbox/{id}/retry").post(outbox::retry),
        at("/api/v2/backups").post(backups::create),
        at("/api/v2/log-streams").get(log_streams::list).post(log_streams::create),
        at("/api/v2/log-streams/{id}")
            .get(log_streams::show)
            .patch(log_streams::update)
            .delete(log_streams::delete),
        at("/api/v2/users/{id}/logs").get(logs::of_user),
        at("/api/v2/logs").get(logs::list),
        at("/api/v2/logs/{id}").get(logs::show),
        at("/oauth/token").post(oauth::token),
        at("/dbconnections/change_password").post(passwords::request_change),
        at("/u/reset-password").get(reset_page::show).post(reset_page::submit),
        at("/u/email-verification").get(verification_page::show).post(verification_page::submit),
        at("/u/pages.css").get(hosted::style),
        at("/lo/reset").get(reset_page::moved),
        at("/.well-known/jwks.json").get(oauth::jwks),
        at("/.well-known/openid-configuration").get(oauth::configuration),
        at("/api/v2/resource-servers").get(absent::resource_servers),
        at("/api/v2/actions/actions").get(absent::actions),
        at("/api/v2/connections-directory-provisionings").get(absent::directory_provisionings),
        at("/openapi.json").get(openapi::document),
        at("/u/sign-in").post(page_sign_in::sign_in),
        at("/healthz").get(health::alive),
        at("/readyz").get(health::ready),
        at("/metrics").get(metrics::show),
    ]
}

/// A path and what its methods do; others are refused, and these are named.
pub(super) struct Endpoint {
    path: &'static str,
    routes: Vec<(Method, Route)>,
}

/// The endpoint at a path.
pub(super) fn at(path: &'static str) -> Endpoint {
    Endpoint { path, routes: Vec::new() }
}

/// Defines a function for each method, or for some that belong together.
macro_rules! methods {
    ($($name:ident: $($method:ident)+;)+) => {
        impl Endpoint {
            $(
                #[doc = concat!("What `", stringify!($name), "` does.")]
                pub(super) fn $name<F, Args>(self, handler: F) -> Self
                where
                    F: Handler<Args, Output: Responder + 'static>,
                    Args: FromRequest + 'static,
                {
                    let methods = [$(Method::$method),+];
                    methods.into_iter().fold(self, |endpoint, method| endpoint.on(method, handler.clone()))
                }
            )+
        }
    };
}

methods! {
    get: GET HEAD;
    post: POST;
    patch: PATCH;
    delete: DELETE;
}

impl Endpoint {
    /// Its path, and the methods it was given.
    #[cfg(test)]
    pub(super) fn named(&self) -> (&'static str, Vec<&Method>) {
        (self.path, self.routes.iter().map(|(method, _)| method).collect())
    }

    fn on<F, Args>(mut self, method: Method, handler: F) -> Self
    where
        F: Handler<Args, Output: Responder + 'static>,
        Args: FromRequest + 'static,
    {
        self.routes.push((method.clone(), web::method(method).to(handler)));
        self
    }
}

impl HttpServiceFactory for Endpoint {
    fn register(self, config: &mut AppService) {
        let methods = self.routes.iter().map(|(method, _)| method).chain([&Method::OPTIONS]);
        let allowed = methods.map(Method::as_str).collect::<Vec<_>>().join(", ");
        let refused = allowed.clone();
        let refuse = move || ready(Err::<HttpResponse, _>(ApiError::MethodNotAllowed(refused.clone())));
        // Everybody may know what can be asked.
        let tell = move || ready(no_content().customize().insert_header((header::ALLOW, allowed.clone())));
        let resource = web::resource(self.path).default_service(web::to(refuse));
        let resource = self.routes.into_iter().fold(resource, |resource, (_, route)| resource.route(route));
        resource.route(web::method(Method::OPTIONS).to(tell)).register(config);
    }
}

async fn no_such_route() -> Result<HttpResponse, ApiError> {
    Err(ApiError::NoSuchRoute)
}

fn path_fault(error: &PathError) -> ApiError {
    let rule = match error {
        PathError::Deserialize(fault) => fault.to_string(),
        other => other.to_string(),
    };
    ApiError::invalid(Place::Path, rule, "id")
}
