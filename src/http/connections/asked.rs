//! What a body may say of a connection: a closed object, but for its options.
//!
//! Options that are known here are checked; others are kept as they are given.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use super::super::error::ApiError;
use super::super::payload::{ANY, Object};
use crate::domain::{Connection, PASSWORD_POLICIES, PASSWORD_POLICY};

/// Characters of a display name, a realm, or the id of a client.
const NAME_CHARS: RangeInclusive<usize> = 1..=128;
/// Most members of the metadata.
const METADATA_MEMBERS: usize = 10;
/// Most characters of a text in the metadata, and of its name.
const METADATA_CHARS: usize = 255;
/// Characters of passwords and user names that a connection may ask for.
const CHARS: RangeInclusive<u64> = 1..=128;

/// What is to be different about a connection; `None` stays as it is.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Asked {
    display_name: Option<String>,
    options: Option<Map<String, Value>>,
    enabled_clients: Option<Vec<String>>,
    is_domain_connection: Option<bool>,
    show_as_button: Option<bool>,
    realms: Option<Vec<String>>,
    metadata: Option<Map<String, Value>>,
}

impl Asked {
    /// All that is left of a body.
    pub(super) fn of(mut body: Object) -> Result<Self, ApiError> {
        let asked = Self {
            display_name: body.text("display_name", NAME_CHARS)?,
            options: options(&mut body)?,
            enabled_clients: body.texts("enabled_clients", ANY, NAME_CHARS)?.map(without_repetition),
            is_domain_connection: body.flag("is_domain_connection")?,
            show_as_button: body.flag("show_as_button")?,
            realms: body.texts("realms", ANY, NAME_CHARS)?.map(without_repetition),
            metadata: body.object_of_texts("metadata", METADATA_MEMBERS, METADATA_CHARS)?,
        };
        body.close()?;
        Ok(asked)
    }

    /// What is to be different, by name.
    pub(super) fn names(&self) -> Vec<&'static str> {
        let named = [
            ("display_name", self.display_name.is_some()),
            ("options", self.options.is_some()),
            ("enabled_clients", self.enabled_clients.is_some()),
            ("is_domain_connection", self.is_domain_connection.is_some()),
            ("show_as_button", self.show_as_button.is_some()),
            ("realms", self.realms.is_some()),
            ("metadata", self.metadata.is_some()),
        ];
        named.into_iter().filter_map(|(name, is_asked)| is_asked.then_some(name)).collect()
    }

    /// Makes a new connection as it is asked for; options that are not given stay the defaults.
    pub(super) fn make(mut self, connection: &mut Connection) {
        if let Some(given) = self.options.take() {
            connection.options.extend(given);
        }
        self.change(connection);
    }

    /// Changes a connection.
    pub(super) fn change(self, connection: &mut Connection) {
        connection.display_name = self.display_name.or(connection.display_name.take());
        connection.is_domain_connection =
            self.is_domain_connection.unwrap_or(connection.is_domain_connection);
        connection.show_as_button = self.show_as_button.or(connection.show_as_button);
        set(&mut connection.options, self.options);
        set(&mut connection.enabled_clients, self.enabled_clients);
        set(&mut connection.realms, self.realms);
        set(&mut connection.metadata, self.metadata);
    }
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

fn without_repetition(texts: Vec<String>) -> Vec<String> {
    texts.into_iter().fold(Vec::new(), |mut all, text| {
        if !all.contains(&text) {
            all.push(text);
        }
        all
    })
}

/// The options as they are given, those known here checked.
fn options(body: &mut Object) -> Result<Option<Map<String, Value>>, ApiError> {
    let Some(options) = body.object("options")? else {
        return Ok(None);
    };
    check_options(options.clone())?;
    Ok(Some(options.rest()))
}

fn check_options(mut options: Object) -> Result<(), ApiError> {
    if !options.null(PASSWORD_POLICY) {
        options.one_of(PASSWORD_POLICY, &PASSWORD_POLICIES)?;
    }
    for excluded in ["requires_username", "validation"] {
        if options.has("attributes") && options.has(excluded) {
            let rule = format!("Cannot set both options.attributes and options.{excluded}");
            return Err(options.refuse("attributes", rule));
        }
    }
    for name in [
        "requires_username",
        "brute_force_protection",
        "disable_signup",
        "import_mode",
        "enabledDatabaseCustomization",
    ] {
        options.flag(name)?;
    }
    if let Some(mut complexity) = nullable(&mut options, "password_complexity_options")? {
        complexity.whole("min_length", CHARS)?;
    }
    if let Some(mut validation) = nullable(&mut options, "validation")?
        && let Some(mut username) = nullable(&mut validation, "username")?
    {
        let (min, max) = (username.whole("min", CHARS)?, username.whole("max", CHARS)?);
        if let (Some(min), Some(max)) = (min, max)
            && max < min
        {
            return Err(username.refuse("min", format!("Value {min} is greater than maximum {max}")));
        }
    }
    Ok(())
}

fn nullable(object: &mut Object, name: &str) -> Result<Option<Object>, ApiError> {
    if object.null(name) { Ok(None) } else { object.object(name) }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may")]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::ConnectionId;

    fn asked(body: Value) -> Result<Asked, String> {
        Asked::of(Object::of(body, String::new()).unwrap()).map_err(|refusal| refusal.to_string())
    }

    #[track_caller]
    fn refused(body: Value, rule: &str, property: &str) {
        let message = format!("Payload validation error: '{rule}' on property {property}.");
        assert_eq!(asked(body).unwrap_err(), message);
    }

    #[test]
    fn each_property_has_its_limits() {
        let text = |chars: usize| "\u{e4}".repeat(chars);
        for good in [
            json!({ "display_name": text(128) }),
            json!({ "realms": [text(128)], "enabled_clients": [text(128)] }),
            json!({ "metadata": { (text(255)): text(255), "empty": "" } }),
            json!({ "metadata": { "1":"","2":"","3":"","4":"","5":"","6":"","7":"","8":"","9":"","10":"" } }),
        ] {
            asked(good).unwrap();
        }
        let rule = "String is too long (129 chars), maximum 128";
        refused(json!({ "display_name": text(129) }), rule, "display_name");
        refused(json!({ "display_name": "" }), "String is too short (0 chars), minimum 1", "display_name");
        refused(json!({ "realms": ["a", text(129)] }), rule, "realms[1]");
        refused(
            json!({ "enabled_clients": [""] }),
            "String is too short (0 chars), minimum 1",
            "enabled_clients[0]",
        );
        let eleven =
            json!({ "1":"","2":"","3":"","4":"","5":"","6":"","7":"","8":"","9":"","10":"","11":"" });
        refused(json!({ "metadata": eleven }), "Too many properties defined (11), maximum 10", "metadata");
        refused(
            json!({ "metadata": { "a": text(256) } }),
            "String is too long (256 chars), maximum 255",
            "metadata.a",
        );
        refused(
            json!({ "metadata": { "a": 1 } }),
            "Expected type string but found type integer",
            "metadata.a",
        );
        let name = json!({ "metadata": { (text(256)): "" } });
        refused(name, "A property's name is too long (256 chars), maximum 255", "metadata");
        let not_a_flag = "Expected type boolean but found type string";
        refused(json!({ "show_as_button": "yes" }), not_a_flag, "show_as_button");
        refused(json!({ "is_domain_connection": "yes" }), not_a_flag, "is_domain_connection");
    }

    #[test]
    fn known_options_are_checked_and_others_kept() {
        for good in [
            json!({ "passwordPolicy": null, "own": [1.50, { "deep": null }] }),
            json!({ "passwordPolicy": "excellent", "password_complexity_options": { "min_length": 1, "x": 1 } }),
            json!({ "password_complexity_options": { "min_length": 128 } }),
            json!({ "validation": { "username": { "min": 1, "max": 128 } }, "requires_username": true }),
            json!({ "validation": { "username": null } }),
            json!({ "validation": null, "password_complexity_options": null }),
            json!({ "attributes": {} }),
        ] {
            let kept = asked(json!({ "options": good })).unwrap().options.unwrap();
            assert_eq!(Value::Object(kept), good);
        }
        let above = "Value 129 is greater than maximum 128";
        let below = "Value 0 is less than minimum 1";
        let policy = json!({ "passwordPolicy": "strong" });
        let length = |length: Value| json!({ "password_complexity_options": { "min_length": length } });
        let username =
            |min: u64, max: u64| json!({ "validation": { "username": { "min": min, "max": max } } });
        let both = json!({ "attributes": {}, "requires_username": true });
        for (options, rule, property) in [
            (policy, "No enum match for: strong", "options.passwordPolicy"),
            (length(json!(0)), below, "options.password_complexity_options.min_length"),
            (length(json!(129)), above, "options.password_complexity_options.min_length"),
            (username(0, 9), below, "options.validation.username.min"),
            (username(1, 129), above, "options.validation.username.max"),
            (username(9, 8), "Value 9 is greater than maximum 8", "options.validation.username.min"),
            (both, "Cannot set both options.attributes and options.requires_username", "options.attributes"),
            (
                json!({ "disable_signup": 1 }),
                "Expected type boolean but found type integer",
                "options.disable_signup",
            ),
        ] {
            refused(json!({ "options": options }), rule, property);
        }
    }

    #[test]
    fn a_new_connection_keeps_the_defaults_and_a_change_replaces_all_options() {
        let id: ConnectionId = "con_8dQ2xYz0aBcD1eFg".parse().unwrap();
        let mut connection = Connection::database(id, "a".to_owned(), Vec::new());
        let body =
            json!({ "options": { "passwordPolicy": "low", "own": 1 }, "enabled_clients": ["a", "b", "a"] });
        asked(body).unwrap().make(&mut connection);
        let expected = json!({ "strategy_version": 2, "passwordPolicy": "low", "brute_force_protection": true, "own": 1 });
        assert_eq!(Value::Object(connection.options.clone()), expected);
        assert_eq!(connection.enabled_clients, ["a", "b"]);
        asked(json!({ "options": { "own": 2 } })).unwrap().change(&mut connection);
        assert_eq!(Value::Object(connection.options), json!({ "own": 2 }));
        assert_eq!(connection.enabled_clients, ["a", "b"]);
    }
}
