//! What a body may say of a client: the documented settings, most of them only kept.
//!
//! What the server acts on are the name, `grant_types` and `app_type`. The others belong to sign-in pages
//! that are not here; they are checked by type and given back, so that tools find what they have set.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use super::super::error::{ApiError, Place};
use super::super::payload::{ANY, Object};
use crate::domain::{Client, GRANT_TYPES};

/// Characters of a description.
const DESCRIPTION_CHARS: RangeInclusive<usize> = 0..=140;
/// Characters of a URL.
pub(super) const URL_CHARS: RangeInclusive<usize> = 0..=2048;
/// Most members of the metadata, and characters of their names and texts.
pub(super) const METADATA: (usize, usize) = (10, 255);

/// What kind of value a setting has.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Flag,
    Text(&'static RangeInclusive<usize>),
    OneOf(&'static [&'static str]),
    Urls,
    GrantTypes,
    Metadata,
    Object,
    Any,
}

/// The settings there are.
pub(super) const SETTINGS: &[(&str, Kind)] = &[
    ("description", Kind::Text(&DESCRIPTION_CHARS)),
    ("app_type", Kind::OneOf(&["native", "spa", "regular_web", "non_interactive"])),
    ("grant_types", Kind::GrantTypes),
    ("token_endpoint_auth_method", Kind::OneOf(&["none", "client_secret_post", "client_secret_basic"])),
    ("client_metadata", Kind::Metadata),
    ("is_first_party", Kind::Flag),
    ("oidc_conformant", Kind::Flag),
    ("is_token_endpoint_ip_header_trusted", Kind::Flag),
    ("sso", Kind::Flag),
    ("sso_disabled", Kind::Flag),
    ("cross_origin_authentication", Kind::Flag),
    ("custom_login_page_on", Kind::Flag),
    ("require_pushed_authorization_requests", Kind::Flag),
    ("require_proof_of_possession", Kind::Flag),
    ("skip_non_verifiable_callback_uri_confirmation_prompt", Kind::Flag),
    ("callbacks", Kind::Urls),
    ("allowed_origins", Kind::Urls),
    ("web_origins", Kind::Urls),
    ("client_aliases", Kind::Urls),
    ("allowed_clients", Kind::Urls),
    ("allowed_logout_urls", Kind::Urls),
    ("logo_uri", Kind::Text(&URL_CHARS)),
    ("cross_origin_loc", Kind::Text(&URL_CHARS)),
    ("initiate_login_uri", Kind::Text(&URL_CHARS)),
    ("custom_login_page", Kind::Text(&ANY)),
    ("custom_login_page_preview", Kind::Text(&ANY)),
    ("form_template", Kind::Text(&ANY)),
    ("organization_usage", Kind::OneOf(&["deny", "allow", "require"])),
    ("organization_require_behavior", Kind::OneOf(&["no_prompt", "pre_login_prompt", "post_login_prompt"])),
    ("organization_discovery_methods", Kind::Any),
    ("compliance_level", Kind::Text(&URL_CHARS)),
    ("resource_server_identifier", Kind::Text(&URL_CHARS)),
    ("par_request_expiry", Kind::Any),
    ("jwt_configuration", Kind::Object),
    ("refresh_token", Kind::Object),
    ("encryption_key", Kind::Object),
    ("addons", Kind::Object),
    ("mobile", Kind::Object),
    ("native_social_login", Kind::Object),
    ("oidc_logout", Kind::Object),
    ("oidc_backchannel_logout", Kind::Object),
    ("session_transfer", Kind::Object),
    ("default_organization", Kind::Object),
    ("client_authentication_methods", Kind::Object),
    ("signed_request_object", Kind::Object),
    ("token_exchange", Kind::Object),
    ("token_quota", Kind::Object),
];

/// What is to be different about a client.
#[derive(Debug, Clone, Default)]
pub(super) struct Asked {
    name: Option<String>,
    /// Null takes a setting back to its default.
    settings: Map<String, Value>,
}

impl Asked {
    /// What a body says of a client to be made.
    pub(super) fn to_make(mut body: Object) -> Result<Self, ApiError> {
        let name = name(&mut body)?;
        let name = body.required(name, "name")?;
        Ok(Self { name: Some(name), ..Self::to_change(body)? })
    }

    /// What a body says of a client that is there.
    pub(super) fn to_change(mut body: Object) -> Result<Self, ApiError> {
        let mut asked = Self { name: name(&mut body)?, settings: Map::new() };
        for (name, kind) in SETTINGS {
            if let Some(value) = setting(&mut body, name, *kind)? {
                asked.settings.insert((*name).to_owned(), value);
            }
        }
        body.close()?;
        Ok(asked)
    }

    /// What is to be different, by name.
    pub(super) fn names(&self) -> Vec<&str> {
        self.name.iter().map(|_| "name").chain(self.settings.keys().map(String::as_str)).collect()
    }

    /// Changes a client.
    pub(super) fn change(self, client: &mut Client) {
        if let Some(name) = self.name {
            client.name = name;
        }
        for (name, value) in self.settings {
            if value.is_null() {
                client.settings.shift_remove(&name);
            } else {
                client.settings.insert(name, value);
            }
        }
    }
}

/// Most that is kept of a client's settings, in bytes.
const LARGEST: u64 = 64 << 10;

/// Refuses a client about which there is more to keep than one body can say.
pub(super) fn check_size(client: &Client) -> Result<(), ApiError> {
    let bytes = serde_json::to_string(&client.settings).map_err(ApiError::internal)?.len() as u64;
    if bytes <= LARGEST {
        return Ok(());
    }
    let rule = format!("The client's settings are too large ({bytes} bytes), maximum {LARGEST}");
    Err(ApiError::invalid(Place::Payload, rule, None))
}

fn name(body: &mut Object) -> Result<Option<String>, ApiError> {
    let name = body.text("name", 1..=usize::MAX)?;
    if name.as_ref().is_some_and(|name| name.contains(['<', '>'])) {
        return Err(body.refuse("name", "String does not match pattern ^[^<>]+$"));
    }
    Ok(name)
}

fn setting(body: &mut Object, name: &str, kind: Kind) -> Result<Option<Value>, ApiError> {
    // No grant types at all would be any of them: that is not to be had by leaving something out.
    if !matches!(kind, Kind::GrantTypes) && body.null(name) {
        return Ok(Some(Value::Null));
    }
    Ok(match kind {
        Kind::Flag => body.flag(name)?.map(Value::from),
        Kind::Text(length) => body.text(name, length.clone())?.map(Value::from),
        Kind::OneOf(words) => body.one_of(name, words)?.map(Value::from),
        Kind::Urls => body.texts(name, ANY, URL_CHARS)?.map(Value::from),
        Kind::GrantTypes => grant_types(body, name)?,
        Kind::Metadata => metadata(body, name)?,
        Kind::Object => body.object(name)?.map(|object| object.rest().into()),
        Kind::Any => body.value(name),
    })
}

fn grant_types(body: &mut Object, name: &str) -> Result<Option<Value>, ApiError> {
    let given = body.texts(name, ANY, ANY)?;
    for (at, one) in given.iter().flatten().enumerate() {
        if !GRANT_TYPES.contains(&one.as_str()) {
            let one: String = one.chars().take(100).collect();
            return Err(body.refuse(&format!("{name}[{at}]"), format!("No enum match for: {one}")));
        }
    }
    Ok(given.map(Value::from))
}

fn metadata(body: &mut Object, name: &str) -> Result<Option<Value>, ApiError> {
    let (members, chars) = METADATA;
    let metadata = body.object_of_texts(name, members, chars)?;
    Ok(metadata.map(Value::from))
}
