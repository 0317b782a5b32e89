//! Clients as the description of the API has them: made from the table of settings that is also what checks them.

use std::borrow::Cow;

use utoipa::openapi::schema::{AdditionalProperties, ArrayBuilder, ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::super::openapi::{one_of, or_null, text, texts};
use super::asked::{Kind, METADATA, SETTINGS, URL_CHARS};
use crate::domain::GRANT_TYPES;

/// A client to be made.
pub(in crate::http) struct NewClient;
/// What is to be different about a client.
pub(in crate::http) struct ClientChange;
/// A client as it is answered.
pub(in crate::http) struct ClientView;

impl PartialSchema for NewClient {
    fn schema() -> RefOr<Schema> {
        settings().required("name").additional_properties(Some(closed())).into()
    }
}

impl PartialSchema for ClientChange {
    fn schema() -> RefOr<Schema> {
        settings().additional_properties(Some(closed())).into()
    }
}

impl PartialSchema for ClientView {
    fn schema() -> RefOr<Schema> {
        let names = ["client_id", "client_secret", "tenant"];
        names.into_iter().fold(settings(), |object, name| object.property(name, text())).into()
    }
}

impl ToSchema for NewClient {
    fn name() -> Cow<'static, str> {
        "NewClient".into()
    }
}

impl ToSchema for ClientChange {
    fn name() -> Cow<'static, str> {
        "ClientChange".into()
    }
}

impl ToSchema for ClientView {
    fn name() -> Cow<'static, str> {
        "Client".into()
    }
}

fn settings() -> ObjectBuilder {
    let name = text().min_length(Some(1)).pattern(Some("^[^<>]+$"));
    SETTINGS.iter().fold(ObjectBuilder::new().property("name", name), |object, (name, kind)| {
        object.property(*name, setting(*kind))
    })
}

/// Null takes a setting back to its default, but for grant types.
fn setting(kind: Kind) -> RefOr<Schema> {
    match kind {
        Kind::Flag => or_null(of_type(Type::Boolean)),
        Kind::Text(length) => {
            or_null(text().max_length(Some(*length.end()).filter(|most| *most < usize::MAX)))
        }
        Kind::OneOf(words) => or_null(one_of(words.iter().copied())),
        Kind::Urls => or_null(ArrayBuilder::new().items(text().max_length(Some(*URL_CHARS.end())))),
        Kind::GrantTypes => ArrayBuilder::new().items(one_of(GRANT_TYPES)).into(),
        Kind::Metadata => or_null(texts(METADATA)),
        Kind::Object => or_null(of_type(Type::Object)),
        Kind::Any => ObjectBuilder::new().schema_type(SchemaType::AnyValue).into(),
    }
}

fn of_type(kind: Type) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::new(kind))
}

fn closed() -> AdditionalProperties<Schema> {
    AdditionalProperties::FreeForm(false)
}
