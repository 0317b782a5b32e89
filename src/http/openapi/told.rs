//! Answers whose views are not described where they are: those of other rooms, those that come in several forms,
//! and those too small for a type.

#![expect(clippy::struct_field_names, reason = "the names the API gives them")]
#![expect(dead_code, reason = "they describe what is answered; nothing makes one")]

use serde::Serialize;
use utoipa::openapi::schema::{AnyOfBuilder, ArrayBuilder, KnownFormat, SchemaFormat};
use utoipa::openapi::{Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::{code, or_null, text};

/// A job of any kind. What is there depends on the kind, on how far it is, and on `include`.
#[derive(ToSchema)]
pub(in crate::http) struct Job {
    id: String,
    r#type: JobType,
    status: JobStatus,
    #[schema(format = DateTime)]
    created_at: String,
    connection_id: Option<String>,
    connection: Option<String>,
    external_id: Option<String>,
    /// Of exports.
    format: Option<ExportFormat>,
    /// Of exports.
    limit: Option<u64>,
    /// Of exports.
    fields: Option<Vec<ExportedField>>,
    #[schema(maximum = 100)]
    percentage_done: Option<u64>,
    time_left_seconds: Option<u64>,
    /// Where the file of an export is.
    #[schema(format = "uri")]
    location: Option<String>,
    summary: Option<Summary>,
    /// Why it failed.
    status_details: Option<String>,
    upsert: Option<bool>,
    file_size: Option<u64>,
    #[schema(format = DateTime)]
    ended_at: Option<String>,
    progress: Option<Progress>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum JobType {
    UsersImport,
    UsersExport,
    VerificationEmail,
}

/// Where a job stands.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::http) enum JobStatus {
    Pending,
    Completed,
    Failed,
}

/// The format of an export.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::http) enum ExportFormat {
    Json,
    Csv,
}

#[derive(ToSchema)]
struct ExportedField {
    name: String,
    export_as: Option<String>,
}

/// What became of the rows of a file.
#[derive(ToSchema)]
struct Summary {
    failed: u64,
    updated: u64,
    inserted: u64,
    total: u64,
}

/// How far an import is, in rows.
#[derive(ToSchema)]
struct Progress {
    rows_done: u64,
    rows_total: Option<u64>,
    inserted: u64,
    updated: u64,
    failed: u64,
}

/// What went wrong: the rows, or the job if it failed as a whole; kinds of faults or some of the rows where
/// that is asked for.
pub(in crate::http) struct JobErrors;

impl PartialSchema for JobErrors {
    fn schema() -> RefOr<Schema> {
        let [rows, groups] = [FailedRow::name(), FaultGroup::name()]
            .map(|name| ArrayBuilder::new().items(Ref::from_schema_name(name)));
        let [some, failed] = [SomeRows::name(), FailedJob::name()].map(Ref::from_schema_name);
        AnyOfBuilder::new().item(rows).item(groups).item(some).item(failed).into()
    }
}

impl ToSchema for JobErrors {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        fn add<T: ToSchema>(schemas: &mut Vec<(String, RefOr<Schema>)>) {
            schemas.push((T::name().into_owned(), T::schema()));
            T::schemas(schemas);
        }
        add::<FailedRow>(schemas);
        add::<FaultGroup>(schemas);
        add::<SomeRows>(schemas);
        add::<FailedJob>(schemas);
    }
}

/// A row that could not be imported.
#[derive(Serialize, ToSchema)]
struct FailedRow {
    /// As it was given, but for what nobody may read.
    #[schema(value_type = Value)]
    user: (),
    errors: Vec<RowFault>,
    index: u64,
    line: u64,
}

#[derive(Serialize, ToSchema)]
struct RowFault {
    #[schema(schema_with = code)]
    code: String,
    message: String,
    path: Option<String>,
    duplicate_of: Option<u64>,
    hint: Option<String>,
}

/// The rows with faults of one kind.
#[derive(Serialize, ToSchema)]
struct FaultGroup {
    #[schema(schema_with = code)]
    code: String,
    rows: u64,
    message: String,
}

#[derive(Serialize, ToSchema)]
struct SomeRows {
    rows: Vec<FailedRow>,
    /// What `from` has to be for more, if there may be more.
    #[schema(schema_with = number_or_null)]
    next: Option<u64>,
}

/// A job that failed as a whole.
#[derive(Serialize, ToSchema)]
struct FailedJob {
    id: String,
    r#type: String,
    status: String,
    status_details: String,
}

/// A user.
#[derive(ToSchema)]
pub(in crate::http) struct User {
    user_id: String,
    email: String,
    email_verified: bool,
    username: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
    #[schema(min_items = 1, max_items = 1)]
    identities: Vec<Identity>,
    name: String,
    nickname: String,
    given_name: Option<String>,
    family_name: Option<String>,
    picture: Option<String>,
    phone_number: Option<String>,
    phone_verified: Option<bool>,
    #[schema(format = DateTime)]
    last_login: Option<String>,
    last_ip: Option<String>,
    logins_count: Option<u64>,
    #[schema(format = DateTime)]
    last_password_reset: Option<String>,
    blocked: Option<bool>,
    #[schema(value_type = Option<Object>)]
    app_metadata: Option<()>,
    #[schema(value_type = Option<Object>)]
    user_metadata: Option<()>,
}

#[derive(ToSchema)]
struct Identity {
    provider: String,
    connection: String,
    #[schema(rename = "isSocial")]
    is_social: bool,
    user_id: String,
}

/// A link for the caller to deliver.
#[derive(ToSchema)]
pub(in crate::http) struct Ticket {
    #[schema(format = "uri")]
    ticket: String,
}

/// How the server is.
#[derive(ToSchema)]
pub(in crate::http) struct Health {
    status: String,
}

/// A refusal as OAuth words it.
#[derive(ToSchema)]
pub(in crate::http) struct OauthRefusal {
    error: String,
    error_description: String,
}

/// A refusal as this endpoint always worded it.
#[derive(ToSchema)]
pub(in crate::http) struct LegacyRefusal {
    error: String,
}

/// A time, or null.
pub(in crate::http) fn time_or_null() -> RefOr<Schema> {
    or_null(text().format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime))))
}

/// A text, or null.
pub(in crate::http) fn text_or_null() -> RefOr<Schema> {
    or_null(text())
}

fn number_or_null() -> RefOr<Schema> {
    or_null(u64::schema())
}
