//! What endpoints have in common, added to the document once all are described: names, refusals, what ids look
//! like, and that a property that may be left out is not null instead.

use utoipa::Modify;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, Parameter, ParameterIn, PathItem};
use utoipa::openapi::schema::{SchemaType, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    ContentBuilder, Info, OpenApi as Document, Ref, RefOr, Response, ResponseBuilder, Schema,
};

use crate::domain::{ConnectionId, GrantId, JobId, LogId, StreamId};

/// What the ids in some paths look like.
const IDS: [(&str, &str); 4] = [
    ("/api/v2/jobs/", JobId::PATTERN),
    ("/api/v2/connections/", ConnectionId::PATTERN),
    ("/api/v2/client-grants/", GrantId::PATTERN),
    ("/api/v2/log-streams/", StreamId::PATTERN),
];

/// What `from` looks like in some lists; it may be empty everywhere.
const CHECKPOINTS: [(&str, &str); 3] = [
    ("/api/v2/connections", "^[0-9]{1,19}$"),
    ("/api/v2/client-grants", GrantId::PATTERN),
    ("/api/v2/logs", LogId::PATTERN),
];

/// Where an id that is none is that of nothing.
const LENIENT: (&str, &str) = ("delete", "/api/v2/log-streams/{id}");

/// Answers of which `fields` may leave out any property.
const NARROWED: [&str; 5] = ["Client", "Connection", "Grant", "LogEvent", "User"];

/// Bodies that have to say something. (The attribute for that writes `maxProperties`.)
const NEVER_EMPTY: [&str; 2] = ["ConnectionChange", "UserChange"];

/// What endpoints have in common.
pub(super) struct Common;

impl Modify for Common {
    fn modify(&self, document: &mut Document) {
        document.info = Info::new("intake", env!("CARGO_PKG_VERSION"));
        document.info.description = Some(env!("CARGO_PKG_DESCRIPTION").to_owned());
        let components = document.components.get_or_insert_default();
        let token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
        components.add_security_scheme("token", SecurityScheme::Http(token));
        for (name, schema) in &mut components.schemas {
            if let RefOr::T(schema) = schema {
                without_null(schema);
                bound(name, schema);
            }
        }
        for (path, item) in &mut document.paths.paths {
            for (method, operation) in operations(item) {
                operation.operation_id = Some(operation_id(method, path));
                operation
                    .parameters
                    .iter_mut()
                    .flatten()
                    .for_each(|parameter| refine(method, path, parameter));
                add_refusals(method, operation);
            }
        }
    }
}

/// The operations of a path, by method.
pub(super) fn operations(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    let PathItem { get, post, patch, delete, .. } = item;
    let all = [("get", get), ("post", post), ("patch", patch), ("delete", delete)];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// A name of its own for each: `get_connections_id_clients`.
fn operation_id(method: &str, path: &str) -> String {
    let path = path.strip_prefix("/api/v2").unwrap_or(path);
    let words = path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.fold(method.to_owned(), |name, word| format!("{name}_{word}"))
}

/// Says what an id looks like, and that no parameter is null: there is no such thing in a URL.
fn refine(method: &str, path: &str, parameter: &mut Parameter) {
    let Some(RefOr::T(schema)) = &mut parameter.schema else { return };
    strip(schema);
    let Schema::Object(object) = schema else { return };
    if parameter.parameter_in == ParameterIn::Path {
        object.min_length.get_or_insert(1);
        let known = IDS.iter().find(|(start, _)| path.starts_with(start));
        let known = known.filter(|_| (method, path) != LENIENT);
        object.pattern = known.map(|(_, pattern)| (*pattern).to_owned());
    } else if parameter.name == "from"
        && let Some((_, pattern)) = CHECKPOINTS.iter().find(|(known, _)| path == *known)
    {
        object.pattern = Some(format!("^$|{pattern}"));
    }
}

/// Every endpoint may refuse what it is sent, and whoever sends it.
fn add_refusals(method: &str, operation: &mut Operation) {
    let has_path = |parameter: &Parameter| parameter.parameter_in == ParameterIn::Path;
    let mut refusals = vec![("400", "Something sent breaks a rule"), ("503", "Not now; try again")];
    if operation.security.is_some() {
        refusals.extend([
            ("401", "No token, or none that is good"),
            ("403", "The token has none of the scopes"),
            ("429", "Too many requests"),
        ]);
        if method != "get" {
            refusals.push(("507", "The server's disk is nearly full"));
        }
    }
    if operation.request_body.is_some() {
        refusals.extend([("413", "The body is too large"), ("408", "The body stopped coming")]);
    }
    if operation.parameters.iter().flatten().any(has_path) {
        refusals.push(("404", "It does not exist"));
    }
    for (status, description) in refusals {
        let responses = &mut operation.responses.responses;
        responses.entry(status.to_owned()).or_insert_with(|| refusal(status, description).into());
    }
}

fn refusal(status: &str, description: &str) -> Response {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Error"))).build();
    let refusal = ResponseBuilder::new().description(description).content("application/json", content);
    if !["429", "503"].contains(&status) {
        return refusal.build();
    }
    let retry_after = HeaderBuilder::new().description(Some("When to come back, in seconds"));
    refusal.header("Retry-After", retry_after.build()).build()
}

fn bound(name: &str, schema: &mut Schema) {
    let Schema::Object(object) = schema else { return };
    if NARROWED.contains(&name) {
        object.required.clear();
    }
    if NEVER_EMPTY.contains(&name) {
        object.min_properties = Some(1);
    }
}

/// What may be left out is left out; null is something else.
fn without_null(schema: &mut Schema) {
    let Schema::Object(object) = schema else { return };
    for property in object.properties.values_mut() {
        match property {
            RefOr::T(Schema::OneOf(either)) if either.items.len() == 2 => {
                *property = either.items.pop().unwrap_or_else(|| property.clone());
            }
            RefOr::T(inner) => strip(inner),
            RefOr::Ref(_) => {}
        }
    }
}

fn strip(schema: &mut Schema) {
    let schema_type = match schema {
        Schema::Object(object) => &mut object.schema_type,
        Schema::Array(array) => &mut array.schema_type,
        _ => return,
    };
    if let SchemaType::Array(types) = schema_type {
        types.retain(|one| *one != Type::Null);
        if let [only] = &types[..] {
            *schema_type = SchemaType::Type(only.clone());
        }
    }
}
