//! Lists as they are answered: a bare array, or an object where totals or a checkpoint are asked for.

use std::borrow::Cow;

use utoipa::openapi::schema::{AnyOfBuilder, ArrayBuilder, ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::super::clients::ClientView;
use super::super::grants::GrantView;
use super::super::logs::LogView;
use super::super::outbox::LetterView;
use super::super::views::ConnectionView;
use super::told::{Job, User};

/// Defines the lists: whose entries, what objects call them, and whether they can be read from a checkpoint.
macro_rules! lists {
    ($($list:ident: [$entry:ty], $name:literal $(, $next:literal)?;)+) => {
        $(
            #[doc = concat!("A list of ", $name, ".")]
            pub(in crate::http) struct $list;

            impl PartialSchema for $list {
                fn schema() -> RefOr<Schema> {
                    list($name, &<$entry as ToSchema>::name(), &[$($next)?])
                }
            }

            impl ToSchema for $list {
                fn name() -> Cow<'static, str> {
                    stringify!($list).into()
                }

                fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
                    schemas.push((<$entry as ToSchema>::name().into_owned(), <$entry as PartialSchema>::schema()));
                    <$entry as ToSchema>::schemas(schemas);
                }
            }
        )+
    };
}

lists! {
    ConnectionList: [ConnectionView<'static>], "connections", "next";
    ClientList: [ClientView], "clients", "next";
    GrantList: [GrantView<'static>], "client_grants", "next";
    JobList: [Job], "jobs";
    UserList: [User], "users";
    LogList: [LogView], "logs";
    LetterListed: [LetterView<'static>], "letters";
}

/// The forms of a list.
fn list(name: &str, entry: &str, next: &[&str]) -> RefOr<Schema> {
    let entries = || ArrayBuilder::new().items(Ref::from_schema_name(entry));
    let number = || ObjectBuilder::new().schema_type(SchemaType::new(Type::Integer));
    let totals = ["start", "limit", "total"]
        .into_iter()
        .fold(ObjectBuilder::new(), |object, name| object.property(name, number()).required(name));
    let forms = AnyOfBuilder::new().item(entries()).item(totals.property(name, entries()).required(name));
    let forms = next.iter().fold(forms, |forms, next| {
        let text = ObjectBuilder::new().schema_type(SchemaType::new(Type::String));
        forms.item(ObjectBuilder::new().property(*next, text).property(name, entries()).required(name))
    });
    forms.into()
}
