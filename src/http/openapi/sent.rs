//! Bodies of requests. Only their description: what reads them is beside each handler, and refuses what
//! is not described here. What is about users is in `users`, what is about
//! log streams in `streams`.

#![expect(dead_code, reason = "they describe what is sent; nothing makes one")]

mod streams;
mod users;

use serde::Deserialize;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::told::{ExportFormat, text_or_null};
use super::{one_of, or_null, text, texts};
use crate::domain::PASSWORD_POLICIES;
pub(in crate::http) use streams::{Filter, NewStream, StreamChange};
pub(in crate::http) use users::{Addressee, NewUser, PasswordTicket, UserChange, VerificationTicket};

/// A file of users; the parts may come in any order.
#[derive(Deserialize, ToSchema)]
#[schema(example = json!({ "connection_id": "con_0000000000000001", "users": "[{\"email\":\"cid@acme.test\",\"email_verified\":true}]" }))]
pub(in crate::http) struct Import {
    /// A JSON array of users.
    #[schema(value_type = String, format = Binary)]
    users: Vec<u8>,
    /// Where the users go.
    #[schema(pattern = "^con_[A-Za-z0-9]{16}$")]
    connection_id: String,
    /// Whether rows of existing users change them.
    #[schema(default = false)]
    upsert: Option<bool>,
    /// Your own id for the job.
    external_id: Option<String>,
    /// Whether the tenant's owners get a mail at the end.
    #[schema(default = true)]
    send_completion_email: Option<bool>,
}

/// Which users are to be written to a file, and what of them.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "format": "json", "fields": [{ "name": "email" }] }))]
pub(in crate::http) struct NewExport {
    /// Only those of this connection.
    #[schema(pattern = "^con_[A-Za-z0-9]{16}$")]
    connection_id: Option<String>,
    /// `csv`, if nothing is said.
    #[schema(value_type = Option<ExportFormat>)]
    format: Option<String>,
    /// No more users than this.
    #[schema(schema_with = limit)]
    limit: Option<u64>,
    /// All there is if none is named; the columns of CSV, of which there are 30 at most.
    #[schema(max_items = 30)]
    fields: Option<Vec<Column>>,
}

fn limit() -> RefOr<Schema> {
    let whole = ObjectBuilder::new().schema_type(SchemaType::new(Type::Integer));
    whole.minimum(Some(1)).maximum(Some(usize::MAX)).into()
}

/// A field of an export.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Column {
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// What it is called in the file.
    #[schema(min_length = 1, max_length = 100)]
    export_as: Option<String>,
}

/// A connection to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct NewConnection {
    #[schema(max_length = 128, pattern = "^[a-zA-Z0-9](-[a-zA-Z0-9]|[a-zA-Z0-9])*$")]
    name: String,
    /// The kind of connection: a database.
    #[schema(pattern = "^auth0$")]
    strategy: String,
    #[schema(min_length = 1, max_length = 128)]
    display_name: Option<String>,
    options: Option<ConnectionOptions>,
    /// Ids of clients.
    #[schema(schema_with = names)]
    enabled_clients: Option<Vec<String>>,
    is_domain_connection: Option<bool>,
    show_as_button: Option<bool>,
    #[schema(schema_with = names)]
    realms: Option<Vec<String>>,
    #[schema(schema_with = metadata)]
    metadata: Option<serde::de::IgnoredAny>,
}

/// What is to be different about a connection.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct ConnectionChange {
    #[schema(min_length = 1, max_length = 128)]
    display_name: Option<String>,
    options: Option<ConnectionOptions>,
    /// Ids of clients.
    #[schema(schema_with = names)]
    enabled_clients: Option<Vec<String>>,
    is_domain_connection: Option<bool>,
    show_as_button: Option<bool>,
    #[schema(schema_with = names)]
    realms: Option<Vec<String>>,
    #[schema(schema_with = metadata)]
    metadata: Option<serde::de::IgnoredAny>,
}

/// Options of a connection: those named here are checked, others are kept as they are given.
#[derive(Deserialize, ToSchema)]
pub(in crate::http) struct ConnectionOptions {
    /// How strong passwords must be.
    #[schema(schema_with = policy)]
    #[serde(rename = "passwordPolicy")]
    password_policy: Option<String>,
    requires_username: Option<bool>,
    brute_force_protection: Option<bool>,
    disable_signup: Option<bool>,
    import_mode: Option<bool>,
    #[serde(rename = "enabledDatabaseCustomization")]
    enabled_database_customization: Option<bool>,
    #[schema(schema_with = complexity)]
    password_complexity_options: Option<()>,
    #[schema(schema_with = validation)]
    validation: Option<()>,
}

fn names() -> RefOr<Schema> {
    ArrayBuilder::new().items(text().min_length(Some(1)).max_length(Some(128))).into()
}

fn metadata() -> RefOr<Schema> {
    texts((10, 255)).into()
}

fn policy() -> RefOr<Schema> {
    or_null(one_of(PASSWORD_POLICIES))
}

fn complexity() -> RefOr<Schema> {
    or_null(ObjectBuilder::new().property("min_length", chars()))
}

/// Of user names.
fn validation() -> RefOr<Schema> {
    let username = ObjectBuilder::new().property("min", chars()).property("max", chars());
    or_null(ObjectBuilder::new().property("username", or_null(username)))
}

fn chars() -> ObjectBuilder {
    let whole = ObjectBuilder::new().schema_type(SchemaType::new(Type::Integer));
    whole.minimum(Some(1)).maximum(Some(128))
}

/// For which clients a connection is to be enabled, and for which it is not.
pub(in crate::http) struct Switches;

impl PartialSchema for Switches {
    fn schema() -> RefOr<Schema> {
        ArrayBuilder::new().items(Switch::schema()).min_items(Some(1)).max_items(Some(50)).into()
    }
}

impl ToSchema for Switches {}

/// Whether a connection is to be enabled for a client.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Switch {
    client_id: String,
    status: bool,
}

/// Which API a client may have tokens for, and for what.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct NewGrant {
    client_id: String,
    #[schema(min_length = 1, max_length = 600)]
    audience: String,
    #[schema(max_items = 1000)]
    scope: Option<Vec<ScopeName>>,
}

/// What a grant is to allow.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct GrantChange {
    #[schema(max_items = 1000)]
    scope: Vec<ScopeName>,
}

/// The name of a scope.
#[derive(Deserialize, ToSchema)]
#[schema(value_type = String, pattern = r"^[\x21\x23-\x5B\x5D-\x7E]{1,280}$")]
pub(in crate::http) struct ScopeName(String);

/// A request for a token. Id and secret may also come by Basic authentication.
#[derive(Deserialize, ToSchema)]
#[schema(example = json!({ "grant_type": "client_credentials", "client_id": "importer", "client_secret": "0123456789abcdef0123456789abcdef" }))]
pub(in crate::http) struct TokenRequest {
    /// `client_credentials`, `password` or `http://auth0.com/oauth/grant-type/password-realm`.
    grant_type: String,
    #[schema(schema_with = text_or_null)]
    client_id: Option<String>,
    #[schema(schema_with = text_or_null)]
    client_secret: Option<String>,
    #[schema(schema_with = text_or_null)]
    audience: Option<String>,
    /// Scopes, separated by blanks.
    #[schema(schema_with = text_or_null)]
    scope: Option<String>,
    #[schema(schema_with = text_or_null)]
    username: Option<String>,
    #[schema(schema_with = text_or_null)]
    password: Option<String>,
    /// Name of a connection.
    #[schema(schema_with = text_or_null)]
    realm: Option<String>,
}

/// Who wants a link to set a password.
#[derive(Deserialize, ToSchema)]
#[schema(example = json!({ "email": "ann@acme.test", "connection": "one" }))]
pub(in crate::http) struct PasswordRequest {
    #[schema(min_length = 1)]
    email: String,
    /// Name of a connection.
    #[schema(min_length = 1)]
    connection: String,
    #[schema(schema_with = text_or_null)]
    client_id: Option<String>,
}
