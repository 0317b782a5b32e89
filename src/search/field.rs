//! The fields of a user: every one the API shows, and paths into metadata.

use super::metadata;
use super::value::{Test, Value};
use crate::domain::{Connection, UserId, UserRef};

/// What of a user is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Field {
    /// A field of every user.
    Root(Root),
    /// A path into `app_metadata`; empty for all of it.
    App(String),
    /// A path into `user_metadata`; empty for all of it.
    User(String),
    /// Any of the texts people know a user by.
    Anywhere,
    /// A field that nobody has.
    Unknown(String),
}

/// A field that the API shows of users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Root {
    UserId,
    Email,
    EmailDomain,
    EmailVerified,
    Username,
    Name,
    Nickname,
    GivenName,
    FamilyName,
    Picture,
    PhoneNumber,
    PhoneVerified,
    Blocked,
    CreatedAt,
    UpdatedAt,
    LastLogin,
    LastIp,
    LoginsCount,
    LastPasswordReset,
    Connection,
    Provider,
    IsSocial,
    IdentityId,
}

/// Their names.
pub(super) const ROOTS: [(&str, Root); 23] = [
    ("user_id", Root::UserId),
    ("email", Root::Email),
    ("email.domain", Root::EmailDomain),
    ("email_verified", Root::EmailVerified),
    ("username", Root::Username),
    ("name", Root::Name),
    ("nickname", Root::Nickname),
    ("given_name", Root::GivenName),
    ("family_name", Root::FamilyName),
    ("picture", Root::Picture),
    ("phone_number", Root::PhoneNumber),
    ("phone_verified", Root::PhoneVerified),
    ("blocked", Root::Blocked),
    ("created_at", Root::CreatedAt),
    ("updated_at", Root::UpdatedAt),
    ("last_login", Root::LastLogin),
    ("last_ip", Root::LastIp),
    ("logins_count", Root::LoginsCount),
    ("last_password_reset", Root::LastPasswordReset),
    ("identities.connection", Root::Connection),
    ("identities.provider", Root::Provider),
    ("identities.isSocial", Root::IsSocial),
    ("identities.user_id", Root::IdentityId),
];

/// Where terms are looked for that name no field.
const ANYWHERE: [Root; 8] = [
    Root::Email,
    Root::Username,
    Root::Name,
    Root::Nickname,
    Root::GivenName,
    Root::FamilyName,
    Root::PhoneNumber,
    Root::UserId,
];

const APP_METADATA: &str = "app_metadata";
const USER_METADATA: &str = "user_metadata";

impl Field {
    /// The field of this name.
    pub(super) fn parse(name: &str) -> Self {
        if let Some((_, root)) = ROOTS.iter().find(|(known, _)| *known == name) {
            return Self::Root(*root);
        }
        match name.split_once('.').unwrap_or((name, "")) {
            (APP_METADATA, path) => Self::App(path.to_owned()),
            (USER_METADATA, path) => Self::User(path.to_owned()),
            _ => Self::Unknown(name.to_owned()),
        }
    }

    /// Its name; empty for [`Field::Anywhere`].
    pub(super) fn name(&self) -> String {
        let under = |metadata: &str, path: &str| match path {
            "" => metadata.to_owned(),
            path => format!("{metadata}.{path}"),
        };
        match self {
            Self::Root(root) => {
                let found = ROOTS.iter().find(|(_, known)| known == root);
                found.map(|(name, _)| (*name).to_owned()).unwrap_or_default()
            }
            Self::App(path) => under(APP_METADATA, path),
            Self::User(path) => under(USER_METADATA, path),
            Self::Anywhere => String::new(),
            Self::Unknown(name) => name.clone(),
        }
    }

    /// Shows the field's values to `see`, until that has seen enough; tells whether it has.
    pub(super) fn any(
        &self,
        user: &UserRef,
        connection: &Connection,
        see: &mut dyn FnMut(&Value) -> bool,
    ) -> bool {
        match self {
            Self::Root(root) => root.any(user, connection, see),
            Self::App(path) => user.app_metadata.is_some_and(|text| metadata::any(text, path, see)),
            Self::User(path) => user.user_metadata.is_some_and(|text| metadata::any(text, path, see)),
            Self::Anywhere => ANYWHERE.iter().any(|root| root.any(user, connection, see)),
            Self::Unknown(_) => false,
        }
    }

    /// What is wrong with asking this of the field, if no value it could have would do.
    pub(super) fn fault(&self, test: &Test) -> Option<&'static str> {
        let Self::Root(root) = self else {
            return None;
        };
        let terms: Vec<_> = match test {
            Test::Exists | Test::Like(_) => return None,
            Test::Is(term) => vec![term],
            Test::Within(range) => range.bounds().map(|bound| &bound.term).collect(),
        };
        match root.kind() {
            Kind::Text => None,
            Kind::Time => terms.iter().any(|term| term.time.is_none()).then_some(
                "this field is a date: write it as 2018-03-05 or 2018-03-05T09:31:12.481Z, in UTC",
            ),
            Kind::Count => terms.iter().any(|term| term.number.is_none()).then_some("this field is a number"),
            Kind::Flag => {
                let is_range = matches!(test, Test::Within(_));
                let is_fault = is_range || terms.iter().any(|term| term.flag().is_none());
                is_fault.then_some("this field is true or false")
            }
        }
    }
}

/// What the values of a field are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Time,
    Count,
    Flag,
}

impl Root {
    fn kind(self) -> Kind {
        match self {
            Self::EmailVerified | Self::PhoneVerified | Self::Blocked | Self::IsSocial => Kind::Flag,
            Self::CreatedAt | Self::UpdatedAt | Self::LastLogin | Self::LastPasswordReset => Kind::Time,
            Self::LoginsCount => Kind::Count,
            _ => Kind::Text,
        }
    }

    /// Shows the value to `see`, if there is one; tells what that says of it.
    fn any(self, user: &UserRef, connection: &Connection, see: &mut dyn FnMut(&Value) -> bool) -> bool {
        let profile = &user.profile;
        let value = match self {
            Self::UserId => return see(&Value::Text(&format!("{}{}", UserId::PREFIX, user.id.bare()))),
            Self::IdentityId => return see(&Value::Text(&user.id.bare())),
            Self::Email => Some(Value::Name(user.email)),
            Self::EmailDomain => user.email.rsplit_once('@').map(|(_, domain)| Value::Name(domain)),
            Self::EmailVerified => Some(Value::Flag(user.email_verified)),
            Self::Username => user.username.map(Value::Text),
            Self::Name => Some(Value::Name(user.name())),
            Self::Nickname => Some(Value::Name(user.nickname())),
            Self::GivenName => profile.given_name.map(Value::Name),
            Self::FamilyName => profile.family_name.map(Value::Name),
            Self::Picture => profile.picture.map(Value::Text),
            Self::PhoneNumber => profile.phone_number.map(Value::Text),
            Self::PhoneVerified => profile.phone_verified.map(Value::Flag),
            // Shown of those only who are; but whoever asks for the others means them.
            Self::Blocked => Some(if user.blocked { Value::Flag(true) } else { Value::Unsaid(false) }),
            Self::CreatedAt => Some(Value::Time(user.created_at)),
            Self::UpdatedAt => Some(Value::Time(user.updated_at)),
            Self::LastLogin => user.last_login.map(Value::Time),
            Self::LastIp => user.last_ip.map(Value::Text),
            Self::LoginsCount => Some(Value::Count(user.logins_count)).filter(|_| user.logins_count > 0),
            Self::LastPasswordReset => user.last_password_reset.map(Value::Time),
            Self::Connection => Some(Value::Text(&connection.name)),
            Self::Provider => Some(Value::Text(&connection.strategy)),
            Self::IsSocial => Some(Value::Flag(false)),
        };
        value.is_some_and(|value| see(&value))
    }
}
