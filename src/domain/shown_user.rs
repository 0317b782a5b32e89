//! A user as the API shows it and exports have it, in one form for both.

use serde::Serialize;
use serde_json::value::RawValue;

use super::{Connection, Timestamp, User};

/// A user of a connection. Its id is what an export begins each row with: that is how an import knows them.
/// Nobody gets a `picture` made up: its address would tell a third party a hash of the e-mail's.
#[derive(Debug, Serialize)]
pub struct ShownUser<'a> {
    user_id: String,
    email: &'a str,
    email_verified: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<&'a str>,
    created_at: Timestamp,
    updated_at: Timestamp,
    identities: [Identity<'a>; 1],
    name: &'a str,
    nickname: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    given_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    family_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    picture: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    phone_number: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    phone_verified: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_login: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_ip: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logins_count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_password_reset: Option<Timestamp>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    blocked: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    app_metadata: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_metadata: Option<&'a RawValue>,
}

#[derive(Debug, Serialize)]
struct Identity<'a> {
    provider: &'a str,
    connection: &'a str,
    #[serde(rename = "isSocial")]
    is_social: bool,
    user_id: String,
}

impl<'a> ShownUser<'a> {
    /// Metadata are exactly as they were sent; an error if what is stored is no JSON.
    pub fn of(user: &'a User, connection: &'a Connection) -> serde_json::Result<Self> {
        Ok(Self {
            user_id: user.id.to_string(),
            email: &user.email,
            email_verified: user.email_verified,
            username: user.username.as_deref(),
            created_at: user.created_at,
            updated_at: user.updated_at,
            identities: [Identity {
                provider: &connection.strategy,
                connection: &connection.name,
                is_social: false,
                user_id: user.id.bare().into_owned(),
            }],
            name: user.name(),
            nickname: user.nickname(),
            given_name: user.profile.given_name.as_deref(),
            family_name: user.profile.family_name.as_deref(),
            picture: user.profile.picture.as_deref(),
            phone_number: user.profile.phone_number.as_deref(),
            phone_verified: user.profile.phone_verified,
            last_login: user.activity.last_login,
            last_ip: user.activity.last_ip.as_deref(),
            logins_count: Some(user.activity.logins_count).filter(|count| *count > 0),
            last_password_reset: user.activity.last_password_reset,
            blocked: user.blocked,
            app_metadata: user.app_metadata.as_deref().map(serde_json::from_str).transpose()?,
            user_metadata: user.user_metadata.as_deref().map(serde_json::from_str).transpose()?,
        })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may")]
mod tests {
    use super::*;
    use crate::domain::{Activity, Profile, UserId};

    #[test]
    fn metadata_come_back_as_they_were_sent() {
        let at = Timestamp::from_millis(1_520_242_272_590);
        let user = User {
            id: UserId::from_bytes([0x5a; 12]),
            email: "ann@example.test".to_owned(),
            email_verified: true,
            username: None,
            created_at: at,
            updated_at: at,
            blocked: false,
            profile: Profile::default(),
            activity: Activity::default(),
            app_metadata: Some(r#"{"z":1.000,"a":12345678901234567890123}"#.to_owned()),
            user_metadata: None,
        };
        let id = "con_8dQ2xYz0aBcD1eFg".parse().unwrap();
        let connection = Connection::database(id, "staff-db".to_owned(), Vec::new());
        let view = serde_json::to_string(&ShownUser::of(&user, &connection).unwrap()).unwrap();
        let expected = concat!(
            r#"{"user_id":"auth0|5a5a5a5a5a5a5a5a5a5a5a5a","#,
            r#""email":"ann@example.test","email_verified":true,"#,
            r#""created_at":"2018-03-05T09:31:12.590Z","updated_at":"2018-03-05T09:31:12.590Z","#,
            r#""identities":[{"provider":"auth0","connection":"staff-db","isSocial":false,"#,
            r#""user_id":"5a5a5a5a5a5a5a5a5a5a5a5a"}],"#,
            r#""name":"ann@example.test","nickname":"ann","#,
            r#""app_metadata":{"z":1.000,"a":12345678901234567890123}}"#,
        );
        assert_eq!(view, expected);
    }
}
