//! Bodies about users: what they may be, and links and letters for them.

use serde::Deserialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};

use super::super::{or_null, text};

/// A user to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "connection": "one", "email": "bob@acme.test", "user_metadata": { "plan": "gold" } }))]
pub(in crate::http) struct NewUser {
    /// The name of a connection.
    #[schema(min_length = 1)]
    connection: String,
    #[schema(format = "email", max_length = 254)]
    email: String,
    /// What the password may be is for the connection to say.
    #[schema(min_length = 1)]
    password: Option<String>,
    email_verified: Option<bool>,
    /// Whether the user is asked by a letter to verify the address; usual, if it is not known to be the user's.
    verify_email: Option<bool>,
    /// Where the connection has user names.
    #[schema(min_length = 1, max_length = 128)]
    username: Option<String>,
    /// One is made if none is given; `auth0|` in front is understood.
    #[schema(pattern = r"^[^\s|]{0,255}$")]
    user_id: Option<String>,
    blocked: Option<bool>,
    #[schema(min_length = 1, max_length = 300)]
    name: Option<String>,
    #[schema(min_length = 1, max_length = 300)]
    nickname: Option<String>,
    #[schema(min_length = 1, max_length = 150)]
    given_name: Option<String>,
    #[schema(min_length = 1, max_length = 150)]
    family_name: Option<String>,
    #[schema(format = "uri", max_length = 2048)]
    picture: Option<String>,
    #[schema(pattern = r"^\+[0-9]{1,15}$")]
    phone_number: Option<String>,
    phone_verified: Option<bool>,
    #[schema(value_type = Option<Object>)]
    app_metadata: Option<serde::de::IgnoredAny>,
    #[schema(value_type = Option<Object>)]
    user_metadata: Option<serde::de::IgnoredAny>,
}

/// What is to be different about a user. Some members cannot be changed together: the password, the user name
/// and the address.
#[derive(Deserialize, ToSchema)]
#[schema(example = json!({ "email_verified": true, "given_name": "Ann", "app_metadata": { "roles": ["admin"] } }))]
pub(in crate::http) struct UserChange {
    /// The name of the user's connection, to be sure.
    connection: Option<String>,
    /// Who is said to ask for a letter.
    #[schema(min_length = 1, max_length = 128)]
    client_id: Option<String>,
    #[schema(format = "email", max_length = 254)]
    email: Option<String>,
    #[schema(min_length = 1)]
    password: Option<String>,
    email_verified: Option<bool>,
    verify_email: Option<bool>,
    #[schema(min_length = 1, max_length = 128)]
    username: Option<String>,
    blocked: Option<bool>,
    #[schema(schema_with = name)]
    name: Option<String>,
    #[schema(schema_with = name)]
    nickname: Option<String>,
    #[schema(schema_with = part_of_name)]
    given_name: Option<String>,
    #[schema(schema_with = part_of_name)]
    family_name: Option<String>,
    #[schema(schema_with = picture)]
    picture: Option<String>,
    #[schema(schema_with = phone_number)]
    phone_number: Option<String>,
    phone_verified: Option<bool>,
    /// Merged with what there is; null takes a member away.
    #[schema(value_type = Option<Object>)]
    app_metadata: Option<serde::de::IgnoredAny>,
    /// Merged with what there is; null takes a member away.
    #[schema(value_type = Option<Object>)]
    user_metadata: Option<serde::de::IgnoredAny>,
}

/// Whose password is to be set: `user_id`, or `connection_id` and `email`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "user_id": "auth0|ann", "ttl_sec": 3600 }))]
pub(in crate::http) struct PasswordTicket {
    #[schema(min_length = 1, max_length = 200)]
    user_id: Option<String>,
    #[schema(pattern = "^con_[A-Za-z0-9]{16}$")]
    connection_id: Option<String>,
    #[schema(min_length = 1, max_length = 254)]
    email: Option<String>,
    /// Where to go afterwards.
    #[schema(format = "uri", pattern = "^https?://", max_length = 2000)]
    result_url: Option<String>,
    /// How long the link is good; 0 is five days.
    #[schema(minimum = 0, maximum = 2_592_000)]
    ttl_sec: Option<u32>,
    #[schema(min_length = 1, max_length = 128)]
    client_id: Option<String>,
    mark_email_as_verified: Option<bool>,
    #[serde(rename = "includeEmailInRedirect")]
    include_email_in_redirect: Option<bool>,
}

/// Who is to verify the address, and how the link is to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "user_id": "auth0|ann" }))]
pub(in crate::http) struct VerificationTicket {
    #[schema(min_length = 1, max_length = 300)]
    user_id: String,
    identity: Option<Identity>,
    /// Where to go afterwards.
    #[schema(format = "uri", pattern = "^https?://", max_length = 2000)]
    result_url: Option<String>,
    /// How long the link is good; 0 is five days.
    #[schema(minimum = 0, maximum = 2_592_000)]
    ttl_sec: Option<u32>,
    #[schema(min_length = 1, max_length = 128)]
    client_id: Option<String>,
    #[serde(rename = "includeEmailInRedirect")]
    include_email_in_redirect: Option<bool>,
    #[schema(schema_with = nothing)]
    organization_id: Option<()>,
}

/// Who is to verify the address.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "user_id": "auth0|ann" }))]
pub(in crate::http) struct Addressee {
    #[schema(min_length = 1, max_length = 300)]
    user_id: String,
    identity: Option<Identity>,
    #[schema(min_length = 1, max_length = 128)]
    client_id: Option<String>,
    #[schema(schema_with = nothing)]
    organization_id: Option<()>,
}

/// The user's identity, to be sure.
#[derive(Deserialize, ToSchema)]
#[schema(as = IdentityNamed)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Identity {
    #[schema(min_length = 1, max_length = 300)]
    user_id: String,
    provider: String,
    #[schema(pattern = "^con_[A-Za-z0-9]{16}$")]
    connection_id: Option<String>,
}

fn name() -> RefOr<Schema> {
    or_null(text().min_length(Some(1)).max_length(Some(300)))
}

fn part_of_name() -> RefOr<Schema> {
    or_null(text().min_length(Some(1)).max_length(Some(150)))
}

fn picture() -> RefOr<Schema> {
    let format = utoipa::openapi::SchemaFormat::Custom("uri".to_owned());
    or_null(text().format(Some(format)).max_length(Some(2048)))
}

fn phone_number() -> RefOr<Schema> {
    or_null(text().pattern(Some(r"^\+[0-9]{1,15}$")))
}

/// There are no organizations.
fn nothing() -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(SchemaType::new(Type::Null)).into()
}
