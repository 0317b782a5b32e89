//! What is to be different about a user, judged by the rules for rows.

use std::borrow::Cow;

use crate::domain::{Email, Fault, Profile, User, Username};

use super::Limits;
use super::faults::Faults;
use super::merge::merged;
use super::row::Row;
use super::rules;

/// What is to be different about a user; `None` stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UserChange {
    /// Another address.
    pub email: Option<Email>,
    /// Whether the address is known to be the user's.
    pub email_verified: Option<bool>,
    /// Another user name.
    pub username: Option<Username>,
    /// Whether the user may not sign in.
    pub blocked: Option<bool>,
    /// Names and the like.
    pub profile: Profile<TextChange>,
    /// Members of the application's metadata, to be merged with those there are.
    pub app_metadata: Option<String>,
    /// Members of the user's metadata, to be merged with those there are.
    pub user_metadata: Option<String>,
}

/// What is to become of a text that a user may do without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextChange {
    /// It goes.
    Unset,
    /// It is to be this one.
    Set(String),
}

/// Judges the JSON text of a change; members that users do not have are let be.
pub fn judge_change(text: &str, limits: &Limits) -> Result<UserChange, Vec<Fault>> {
    let row = Row::parse(text).map_err(|fault| vec![fault])?.open();
    let mut faults = Faults::default();
    let noted = &mut faults;
    let email = row.email.and_then(|value| rules::email(value, noted));
    let email_verified = rules::flag("email_verified", row.email_verified, noted);
    let username = row.username.and_then(|value| rules::username(value, noted));
    let blocked = rules::flag("blocked", row.blocked, noted);
    let profile = Profile {
        name: nullable(row.name, noted, rules::full_name),
        nickname: nullable(row.nickname, noted, rules::nickname),
        given_name: nullable(row.given_name, noted, rules::given_name),
        family_name: nullable(row.family_name, noted, rules::family_name),
        picture: nullable(row.picture, noted, rules::picture),
        phone_number: nullable(row.phone_number, noted, rules::phone_number),
        phone_verified: rules::flag("phone_verified", row.phone_verified, noted),
    };
    let (app, user) = rules::metadata(&row, *limits, noted);
    row.note_strangers(noted);
    if !faults.list.is_empty() {
        return Err(faults.list);
    }
    let (app_metadata, user_metadata) = (app.map(Cow::into_owned), user.map(Cow::into_owned));
    Ok(UserChange { email, email_verified, username, blocked, profile, app_metadata, user_metadata })
}

type Rule<'a> = fn(&'a str, &mut Faults) -> Option<Cow<'a, str>>;

/// The text that is given, to be unset by null.
fn nullable<'a>(value: Option<&'a str>, faults: &mut Faults, rule: Rule<'a>) -> Option<TextChange> {
    match value? {
        "null" => Some(TextChange::Unset),
        value => rule(value, faults).map(|text| TextChange::Set(text.into_owned())),
    }
}

impl UserChange {
    /// What is to be different, by name.
    pub fn names(&self) -> Vec<&'static str> {
        let profile = &self.profile;
        let named = [
            ("email", self.email.is_some()),
            ("email_verified", self.email_verified.is_some()),
            ("username", self.username.is_some()),
            ("blocked", self.blocked.is_some()),
            ("name", profile.name.is_some()),
            ("nickname", profile.nickname.is_some()),
            ("given_name", profile.given_name.is_some()),
            ("family_name", profile.family_name.is_some()),
            ("picture", profile.picture.is_some()),
            ("phone_number", profile.phone_number.is_some()),
            ("phone_verified", profile.phone_verified.is_some()),
            ("app_metadata", self.app_metadata.is_some()),
            ("user_metadata", self.user_metadata.is_some()),
        ];
        named.into_iter().filter_map(|(name, is_given)| is_given.then_some(name)).collect()
    }

    /// Changes a user, unless that makes its metadata too large. Nobody has shown yet that another address or
    /// number is the user's, unless the change says so.
    pub fn apply(self, user: &mut User, limits: &Limits) -> Result<(), Fault> {
        if let Some(email) = self.email.filter(|email| email.as_str() != user.email) {
            email.as_str().clone_into(&mut user.email);
            user.email_verified = false;
        }
        user.email_verified = self.email_verified.unwrap_or(user.email_verified);
        user.username = self.username.map(|name| name.as_str().to_owned()).or(user.username.take());
        user.blocked = self.blocked.unwrap_or(user.blocked);
        change_profile(&mut user.profile, self.profile);
        merge(&mut user.app_metadata, self.app_metadata);
        merge(&mut user.user_metadata, self.user_metadata);
        rules::too_large(user.app_metadata.as_deref(), user.user_metadata.as_deref(), *limits)
            .map_or(Ok(()), Err)
    }
}

fn change_profile(profile: &mut Profile<String>, change: Profile<TextChange>) {
    let number = profile.phone_number.clone();
    set(&mut profile.name, change.name);
    set(&mut profile.nickname, change.nickname);
    set(&mut profile.given_name, change.given_name);
    set(&mut profile.family_name, change.family_name);
    set(&mut profile.picture, change.picture);
    set(&mut profile.phone_number, change.phone_number);
    if number != profile.phone_number {
        profile.phone_verified = None;
    }
    profile.phone_verified = change.phone_verified.or(profile.phone_verified);
}

fn set(place: &mut Option<String>, change: Option<TextChange>) {
    match change {
        None => {}
        Some(TextChange::Unset) => *place = None,
        Some(TextChange::Set(text)) => *place = Some(text),
    }
}

fn merge(stored: &mut Option<String>, change: Option<String>) {
    if let Some(change) = change {
        *stored = Some(merged(stored.as_deref().unwrap_or("{}"), &change));
    }
}
