//! A user that somebody else holds, so that millions can be looked at without a copy of any; and what one
//! user can be found by.

use super::{Activity, Profile, Timestamp, User, UserId, UserIdRef};

/// What one user of a connection is found by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserKey {
    /// The e-mail address, in lower case.
    Email(String),
    /// The user name, in lower case.
    Username(String),
    /// The id.
    Id(UserId),
}

/// A user, borrowed; see [`User`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserRef<'a> {
    /// Its id.
    pub id: UserIdRef<'a>,
    /// E-mail address, in lower case.
    pub email: &'a str,
    /// Whether the address is known to be the user's.
    pub email_verified: bool,
    /// User name, in lower case.
    pub username: Option<&'a str>,
    /// When it was imported first.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
    /// Whether it may not sign in.
    pub blocked: bool,
    /// Names and the like.
    pub profile: Profile<&'a str>,
    /// When the user signed in last.
    pub last_login: Option<Timestamp>,
    /// The address that was from.
    pub last_ip: Option<&'a str>,
    /// How often the user has signed in.
    pub logins_count: u64,
    /// When the password was set last.
    pub last_password_reset: Option<Timestamp>,
    /// JSON text of an object.
    pub app_metadata: Option<&'a str>,
    /// JSON text of an object.
    pub user_metadata: Option<&'a str>,
}

impl<'a> UserRef<'a> {
    /// Full name; the address where there is none.
    pub fn name(&self) -> &'a str {
        self.profile.name.unwrap_or(self.email)
    }

    /// Short name; the part of the address before the `@` where there is none.
    pub fn nickname(&self) -> &'a str {
        let local = || self.email.rsplit_once('@').map_or(self.email, |(local, _)| local);
        self.profile.nickname.unwrap_or_else(local)
    }

    /// The user as one's own.
    pub fn to_user(&self) -> User {
        User {
            id: self.id.to_owned(),
            email: self.email.to_owned(),
            email_verified: self.email_verified,
            username: self.username.map(str::to_owned),
            created_at: self.created_at,
            updated_at: self.updated_at,
            blocked: self.blocked,
            profile: self.profile.map(|text| (*text).to_owned()),
            activity: Activity {
                last_login: self.last_login,
                last_ip: self.last_ip.map(str::to_owned),
                logins_count: self.logins_count,
                last_password_reset: self.last_password_reset,
            },
            app_metadata: self.app_metadata.map(str::to_owned),
            user_metadata: self.user_metadata.map(str::to_owned),
        }
    }
}

impl User {
    /// The user, borrowed.
    pub fn as_ref(&self) -> UserRef<'_> {
        UserRef {
            id: self.id.as_ref(),
            email: &self.email,
            email_verified: self.email_verified,
            username: self.username.as_deref(),
            created_at: self.created_at,
            updated_at: self.updated_at,
            blocked: self.blocked,
            profile: self.profile.map(String::as_str),
            last_login: self.activity.last_login,
            last_ip: self.activity.last_ip.as_deref(),
            logins_count: self.activity.logins_count,
            last_password_reset: self.activity.last_password_reset,
            app_metadata: self.app_metadata.as_deref(),
            user_metadata: self.user_metadata.as_deref(),
        }
    }
}
