//! What each property of a row may be. Text that breaks a rule is noted with the rule, and is none.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use url::Url;

use crate::domain::{Code, Email, Fault, Profile, UserId, UserIdFault, Username, UsernameFault};
use crate::import::tokens::decode;

use super::Limits;
use super::faults::{Faults, cut};
use super::metadata::Metadata;
use super::row::Row;

/// Characters of `name` and `nickname`.
const NAME_CHARS: RangeInclusive<usize> = 1..=300;
/// Characters of `given_name` and `family_name`.
const PART_CHARS: RangeInclusive<usize> = 1..=150;
/// Characters of `picture`.
const PICTURE_CHARS: RangeInclusive<usize> = 1..=2048;
/// What a phone number looks like, as a regular expression.
const PHONE: &str = r"^\+[0-9]{1,15}$";
/// Digits of a phone number.
const PHONE_DIGITS: RangeInclusive<usize> = 1..=15;

/// Notes that a property is missing if it is one that must be there.
pub(super) fn required(must: &[&str], name: &str, value: Option<&str>, faults: &mut Faults) {
    if value.is_none() && must.contains(&name) {
        let rule = format!("Missing required property: {name}");
        faults.note(Fault::of_property(Code::ObjectRequired, name, rule));
    }
}

pub(super) fn email(value: &str, faults: &mut Faults) -> Option<Email> {
    let text = text_at("email", value, faults)?;
    match Email::parse(&text) {
        Ok(email) => Some(email),
        Err(why) => {
            faults.note(of_format("email", "email", &text).with_hint(why.to_string()));
            None
        }
    }
}

pub(super) fn username(value: &str, faults: &mut Faults) -> Option<Username> {
    use UsernameFault as F;
    let text = text_at("username", value, faults)?;
    let code = |why| match why {
        F::TooShort(_) => Code::MinLength,
        F::TooLong(_) => Code::MaxLength,
    };
    let parsed = Username::parse(&text);
    parsed.map_err(|why| faults.note(Fault::of_property(code(why), "username", why))).ok()
}

pub(super) fn user_id(value: &str, faults: &mut Faults) -> Option<UserId> {
    use UserIdFault as F;
    let text = text_at("user_id", value, faults)?;
    let code = |why| match why {
        F::Empty => Code::MinLength,
        F::TooLong(_) => Code::MaxLength,
        F::Blank | F::OtherProvider => Code::Pattern,
    };
    let parsed = UserId::parse_given(&text);
    parsed.map_err(|why| faults.note(Fault::of_property(code(why), "user_id", why))).ok()
}

pub(super) fn flag(name: &str, value: Option<&str>, faults: &mut Faults) -> Option<bool> {
    match value? {
        "true" => Some(true),
        "false" => Some(false),
        value => {
            faults.note_type(name, "boolean", value);
            None
        }
    }
}

pub(super) fn profile<'a>(row: &Row<'a>, faults: &mut Faults) -> Profile<Cow<'a, str>> {
    Profile {
        name: row.name.and_then(|value| full_name(value, faults)),
        nickname: row.nickname.and_then(|value| nickname(value, faults)),
        given_name: row.given_name.and_then(|value| given_name(value, faults)),
        family_name: row.family_name.and_then(|value| family_name(value, faults)),
        picture: row.picture.and_then(|value| picture(value, faults)),
        phone_number: row.phone_number.and_then(|value| phone_number(value, faults)),
        phone_verified: flag("phone_verified", row.phone_verified, faults),
    }
}

pub(super) fn full_name<'a>(value: &'a str, faults: &mut Faults) -> Option<Cow<'a, str>> {
    sized("name", value, &NAME_CHARS, faults)
}

pub(super) fn nickname<'a>(value: &'a str, faults: &mut Faults) -> Option<Cow<'a, str>> {
    sized("nickname", value, &NAME_CHARS, faults)
}

pub(super) fn given_name<'a>(value: &'a str, faults: &mut Faults) -> Option<Cow<'a, str>> {
    sized("given_name", value, &PART_CHARS, faults)
}

pub(super) fn family_name<'a>(value: &'a str, faults: &mut Faults) -> Option<Cow<'a, str>> {
    sized("family_name", value, &PART_CHARS, faults)
}

pub(super) fn picture<'a>(value: &'a str, faults: &mut Faults) -> Option<Cow<'a, str>> {
    let text = sized("picture", value, &PICTURE_CHARS, faults)?;
    if Url::parse(&text).is_ok() {
        return Some(text);
    }
    faults.note(of_format("picture", "uri", &text));
    None
}

pub(super) fn phone_number<'a>(value: &'a str, faults: &mut Faults) -> Option<Cow<'a, str>> {
    let text = text_at("phone_number", value, faults)?;
    let is_number = |digits: &str| {
        PHONE_DIGITS.contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit())
    };
    if text.strip_prefix('+').is_some_and(is_number) {
        return Some(text);
    }
    let rule = format!("String does not match pattern {PHONE}: {}", cut(&text));
    faults.note(Fault::of_property(Code::Pattern, "phone_number", rule));
    None
}

/// Metadata objects, without blanks: the application's, and the user's own.
pub(super) type BothMetadata<'a> = (Option<Cow<'a, str>>, Option<Cow<'a, str>>);

/// Both metadata objects. If they are too large nothing else is told of them.
pub(super) fn metadata<'a>(row: &Row<'a>, limits: Limits, faults: &mut Faults) -> BothMetadata<'a> {
    let app = object_at("app_metadata", row.app_metadata.as_ref(), faults);
    let user = object_at("user_metadata", row.user_metadata.as_ref(), faults);
    let texts = (app.map(Metadata::compact), user.map(Metadata::compact));
    if let Some(fault) = too_large(texts.0.as_deref(), texts.1.as_deref(), limits) {
        faults.note(fault);
    } else {
        let found = [app, user].into_iter().flatten().flat_map(|metadata| &metadata.faults);
        found.for_each(|fault| faults.note(fault.clone()));
    }
    texts
}

/// What is wrong with the size of a user's metadata, if anything is.
pub(super) fn too_large(app: Option<&str>, user: Option<&str>, limits: Limits) -> Option<Fault> {
    let size = app.map_or(0, str::len) + user.map_or(0, str::len);
    let limit = limits.max_metadata_bytes;
    (limit < size).then(|| {
        let message = format!(
            "The metadata of a user has {size} bytes, the limit is {limit} (import.max_metadata_size)"
        );
        Fault::of_row(Code::ProfileSizeExceeded, message)
    })
}

/// What a value says that must be a text.
fn text_at<'a>(path: &str, value: &'a str, faults: &mut Faults) -> Option<Cow<'a, str>> {
    if !value.starts_with('"') {
        faults.note_type(path, "string", value);
        return None;
    }
    let text = decode(value);
    if text.is_none() {
        faults.note_broken(path);
    }
    text
}

/// What a value says that must be a text of so many characters.
fn sized<'a>(
    path: &str,
    value: &'a str,
    length: &RangeInclusive<usize>,
    faults: &mut Faults,
) -> Option<Cow<'a, str>> {
    let text = text_at(path, value, faults)?;
    let (chars, least, most) = (text.chars().count(), length.start(), length.end());
    let (code, rule) = match chars {
        _ if chars < *least => {
            (Code::MinLength, format!("String is too short ({chars} chars), minimum {least}"))
        }
        _ if *most < chars => {
            (Code::MaxLength, format!("String is too long ({chars} chars), maximum {most}"))
        }
        _ => return Some(text),
    };
    faults.note(Fault::of_property(code, path, rule));
    None
}

fn of_format(path: &str, format: &str, text: &str) -> Fault {
    let rule = format!("Object didn't pass validation for format {format}: {}", cut(text));
    Fault::of_property(Code::InvalidFormat, path, rule)
}

/// Metadata, which must be an object if they are there.
fn object_at<'r, 'a>(
    path: &str,
    metadata: Option<&'r Metadata<'a>>,
    faults: &mut Faults,
) -> Option<&'r Metadata<'a>> {
    let metadata = metadata?;
    if metadata.text.starts_with('{') {
        return Some(metadata);
    }
    faults.note_type(path, "object", metadata.text);
    None
}
