//! Bodies about log streams.

use serde::Deserialize;
use utoipa::openapi::schema::{AdditionalProperties, AnyOfBuilder, ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::super::{one_of, or_null, text};
use crate::domain::{EventFilter, EventType};

/// A log stream to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct NewStream {
    #[schema(min_length = 1, max_length = 255)]
    name: String,
    #[schema(pattern = "^http$")]
    r#type: String,
    sink: Sink,
    #[schema(max_items = 50)]
    filters: Option<Vec<Filter>>,
    /// Changes nothing.
    #[serde(rename = "isPriority")]
    is_priority: Option<bool>,
    /// Events from then on are sent, too.
    #[schema(format = DateTime)]
    #[serde(rename = "startFrom")]
    start_from: Option<String>,
    #[schema(schema_with = nothing)]
    pii_config: Option<()>,
}

/// What is to be different about a log stream.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct StreamChange {
    #[schema(min_length = 1, max_length = 255)]
    name: Option<String>,
    status: Option<Wanted>,
    sink: Option<Sink>,
    #[schema(max_items = 50)]
    filters: Option<Vec<Filter>>,
    /// Changes nothing.
    #[serde(rename = "isPriority")]
    is_priority: Option<bool>,
    #[schema(schema_with = nothing)]
    pii_config: Option<()>,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Wanted {
    Active,
    Paused,
}

/// Where events go.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the names the API gives them")]
struct Sink {
    /// An https:// URL; http:// and private addresses only where a setting allows them.
    #[schema(format = "uri", min_length = 1, max_length = 2048)]
    http_endpoint: String,
    /// The Authorization header. What answers show in its place keeps it, null removes it.
    #[schema(schema_with = authorization)]
    http_authorization: Option<String>,
    #[schema(pattern = "^[!-~]([ -~]{0,4094}[!-~])?$")]
    http_content_type: Option<String>,
    http_content_format: Option<Format>,
    #[schema(max_items = 20)]
    http_custom_headers: Option<Vec<Header>>,
    #[schema(minimum = 1, maximum = 1000)]
    http_batch_size: Option<u32>,
    /// 24 to 64 bytes in base64; `generate` asks for one to be made, null removes it.
    #[schema(schema_with = signing_secret)]
    http_signing_secret: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
#[expect(clippy::enum_variant_names, reason = "the names the API gives them")]
enum Format {
    JsonLines,
    JsonArray,
    JsonObject,
}

/// A header that is sent as well; none that the server writes itself.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Header {
    #[schema(pattern = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,4096}$")]
    header: String,
    #[schema(pattern = "^[!-~]([ -~]{0,4094}[!-~])?$")]
    value: String,
}

/// Only events that one of the filters names are sent: those of a category, or of one type.
#[derive(Deserialize)]
pub(in crate::http) struct Filter;

impl PartialSchema for Filter {
    fn schema() -> RefOr<Schema> {
        let events = EventType::ALL.iter().map(|kind| kind.code());
        AnyOfBuilder::new()
            .item(filter("category", EventFilter::CATEGORIES.iter().copied()))
            .item(filter("event", events))
            .into()
    }
}

impl ToSchema for Filter {}

fn filter<'a>(kind: &str, names: impl IntoIterator<Item = &'a str>) -> ObjectBuilder {
    ObjectBuilder::new()
        .property("type", one_of([kind]))
        .required("type")
        .property("name", one_of(names))
        .required("name")
        .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)))
}

fn authorization() -> RefOr<Schema> {
    or_null(text().pattern(Some("^([!-~]([ -~]{0,4094}[!-~])?)?$")))
}

fn signing_secret() -> RefOr<Schema> {
    or_null(text().pattern(Some(r"^(whsec_([A-Za-z0-9+/]{4}){8,21}|generate|\*{8}|)$")))
}

/// Events are sent as they are.
fn nothing() -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(SchemaType::new(Type::Null)).into()
}
