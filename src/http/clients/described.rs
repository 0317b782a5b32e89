//! Clients as the description of the API has them: made from the table of settings that is also what checks them.

use std::borrow::Cow;

use utoipa::openapi::schema::{AdditionalProperties, ArrayBuilder, ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::asked::{Kind, SETTINGS};
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

fn setting(kind: Kind) -> RefOr<Schema> {
    match kind {
        Kind::Flag => of_type(Type::Boolean).into(),
        Kind::Text(length) => text().max_length(Some(*length.end()).filter(|most| *most < usize::MAX)).into(),
        Kind::OneOf(words) => text().enum_values(Some(words.iter().copied())).into(),
        Kind::Urls => ArrayBuilder::new().items(text().max_length(Some(2048))).into(),
        Kind::GrantTypes => ArrayBuilder::new().items(text().enum_values(Some(GRANT_TYPES))).into(),
        Kind::Metadata => {
            let members = text().max_length(Some(255));
            of_type(Type::Object).additional_properties(Some(members)).max_properties(Some(10)).into()
        }
        Kind::Object => of_type(Type::Object).into(),
        Kind::Any => ObjectBuilder::new().schema_type(SchemaType::AnyValue).into(),
    }
}

fn text() -> ObjectBuilder {
    of_type(Type::String)
}

fn of_type(kind: Type) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::new(kind))
}

fn closed() -> AdditionalProperties<Schema> {
    AdditionalProperties::FreeForm(false)
}
