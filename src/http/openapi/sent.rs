//! Bodies of requests. Only their description: what reads them is beside each handler, and refuses what
//! is not described here.

#![expect(dead_code, reason = "they describe what is sent; nothing makes one")]

use serde::Deserialize;
use utoipa::ToSchema;

/// A file of users; the parts may come in any order.
#[derive(Deserialize, ToSchema)]
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
    enabled_clients: Option<Vec<String>>,
    is_domain_connection: Option<bool>,
    show_as_button: Option<bool>,
    realms: Option<Vec<String>>,
    #[schema(value_type = Option<Object>)]
    metadata: Option<serde::de::IgnoredAny>,
}

/// What is to be different about a connection.
#[derive(Deserialize, ToSchema)]
#[schema(min_properties = 1)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct ConnectionChange {
    #[schema(min_length = 1, max_length = 128)]
    display_name: Option<String>,
    options: Option<ConnectionOptions>,
    /// Ids of clients.
    enabled_clients: Option<Vec<String>>,
    is_domain_connection: Option<bool>,
    show_as_button: Option<bool>,
    realms: Option<Vec<String>>,
    #[schema(value_type = Option<Object>)]
    metadata: Option<serde::de::IgnoredAny>,
}

/// Options of a connection: those named here are checked, others are kept as they are given.
#[derive(Deserialize, ToSchema)]
pub(in crate::http) struct ConnectionOptions {
    /// How strong passwords must be.
    #[schema(nullable = true)]
    #[serde(rename = "passwordPolicy")]
    password_policy: Option<PasswordPolicy>,
    requires_username: Option<bool>,
    brute_force_protection: Option<bool>,
    disable_signup: Option<bool>,
    import_mode: Option<bool>,
    #[serde(rename = "enabledDatabaseCustomization")]
    enabled_database_customization: Option<bool>,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::http) enum PasswordPolicy {
    None,
    Low,
    Fair,
    Good,
    Excellent,
}

/// Whether a connection is to be enabled for a client.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Switch {
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

/// A log stream to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct NewStream {
    #[schema(min_length = 1, max_length = 255)]
    name: String,
    #[schema(pattern = "^http$")]
    r#type: String,
    sink: Sink,
    filters: Option<Vec<Filter>>,
    #[serde(rename = "isPriority")]
    is_priority: Option<bool>,
    /// Events from then on are sent, too.
    #[schema(format = DateTime)]
    #[serde(rename = "startFrom")]
    start_from: Option<String>,
}

/// What is to be different about a log stream.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct StreamChange {
    #[schema(min_length = 1, max_length = 255)]
    name: Option<String>,
    status: Option<Wanted>,
    sink: Option<Sink>,
    filters: Option<Vec<Filter>>,
    #[serde(rename = "isPriority")]
    is_priority: Option<bool>,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::http) enum Wanted {
    Active,
    Paused,
}

/// Where events go.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the names the API gives them")]
pub(in crate::http) struct Sink {
    /// An https:// URL; http:// and private addresses only where a setting allows them.
    #[schema(format = "uri", max_length = 2048)]
    http_endpoint: String,
    /// The Authorization header.
    http_authorization: Option<String>,
    http_content_type: Option<String>,
    http_content_format: Option<Format>,
    #[schema(max_items = 20)]
    http_custom_headers: Option<Vec<Header>>,
    #[schema(minimum = 1, maximum = 1000)]
    http_batch_size: Option<u32>,
    /// `whsec_` and 24 to 64 bytes in base64, or `generate`.
    http_signing_secret: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
#[expect(clippy::enum_variant_names, reason = "the names the API gives them")]
pub(in crate::http) enum Format {
    JsonLines,
    JsonArray,
    JsonObject,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Header {
    header: String,
    value: String,
}

/// Only events that one of the filters names are sent.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Filter {
    r#type: FilterType,
    /// A category, or a type of events.
    name: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::http) enum FilterType {
    Category,
    Event,
}

/// Whose password is to be set: `user_id`, or `connection_id` and `email`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct PasswordTicket {
    #[schema(min_length = 1)]
    user_id: Option<String>,
    #[schema(pattern = "^con_[A-Za-z0-9]{16}$")]
    connection_id: Option<String>,
    #[schema(min_length = 1, max_length = 254)]
    email: Option<String>,
    /// Where to go afterwards.
    #[schema(format = "uri", max_length = 2000)]
    result_url: Option<String>,
    /// How long the link is good; 0 is five days.
    #[schema(minimum = 0, maximum = 2_592_000)]
    ttl_sec: Option<u32>,
    client_id: Option<String>,
    mark_email_as_verified: Option<bool>,
    #[serde(rename = "includeEmailInRedirect")]
    include_email_in_redirect: Option<bool>,
}

/// A request for a token. Id and secret may also come by Basic authentication.
#[derive(Deserialize, ToSchema)]
pub(in crate::http) struct TokenRequest {
    /// `client_credentials`, `password` or `http://auth0.com/oauth/grant-type/password-realm`.
    grant_type: String,
    client_id: Option<String>,
    client_secret: Option<String>,
    audience: Option<String>,
    /// Scopes, separated by blanks.
    scope: Option<String>,
    username: Option<String>,
    password: Option<String>,
    /// Name of a connection.
    realm: Option<String>,
}

/// Who wants a link to set a password.
#[derive(Deserialize, ToSchema)]
pub(in crate::http) struct PasswordRequest {
    email: String,
    /// Name of a connection.
    connection: String,
    client_id: Option<String>,
}
