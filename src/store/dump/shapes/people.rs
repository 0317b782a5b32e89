//! Users, and what they sign in with.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::super::super::record::{Record, Touch};
use super::{Fault, Hex, Line, is_false, read, user_id};
use crate::domain::{
    Activity, Connection, Credential, Leave, Profile, Timestamp, User, UserId, UserRef, UserTicket,
};

/// A user. Metadata is the JSON text itself, as a text: so it comes back byte for byte.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct UserLine<'a> {
    #[serde(borrow)]
    pub(in super::super) connection: Cow<'a, str>,
    #[serde(borrow)]
    user_id: Cow<'a, str>,
    #[serde(borrow)]
    email: Cow<'a, str>,
    email_verified: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    username: Option<Cow<'a, str>>,
    created_at: Timestamp,
    updated_at: Timestamp,
    #[serde(default, skip_serializing_if = "is_false")]
    blocked: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nickname: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    given_name: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    family_name: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    picture: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    phone_number: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    phone_verified: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_login: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_ip: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "is_zero")]
    logins_count: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_password_reset: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    app_metadata: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user_metadata: Option<Cow<'a, str>>,
    /// Rows of jobs that made it or changed it, as long as such a job may have to know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    rows: Vec<RowShape>,
}

/// A row of a job that gave a user.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RowShape {
    job: u64,
    row: u64,
    #[serde(default, skip_serializing_if = "is_false")]
    named: bool,
}

impl Line for UserLine<'_> {
    const KIND: &'static str = "user";
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl<'a> UserLine<'a> {
    /// A record of a connection.
    pub(in super::super) fn of(connection: &'a str, record: &Record<'a>) -> Self {
        let user: UserRef<'a> = record.as_user();
        let text = |text: Option<&'a str>| text.map(Cow::Borrowed);
        Self {
            connection: connection.into(),
            user_id: user.id.to_string().into(),
            email: user.email.into(),
            email_verified: user.email_verified,
            username: text(user.username),
            created_at: user.created_at,
            updated_at: user.updated_at,
            blocked: user.blocked,
            name: text(user.profile.name),
            nickname: text(user.profile.nickname),
            given_name: text(user.profile.given_name),
            family_name: text(user.profile.family_name),
            picture: text(user.profile.picture),
            phone_number: text(user.profile.phone_number),
            phone_verified: user.profile.phone_verified,
            last_login: user.last_login,
            last_ip: text(user.last_ip),
            logins_count: user.logins_count,
            last_password_reset: user.last_password_reset,
            app_metadata: text(user.app_metadata),
            user_metadata: text(user.user_metadata),
            rows: record.touches.iter().map(RowShape::of).collect(),
        }
    }

    /// The user, and the rows that gave it.
    pub(in super::super) fn into_user(self) -> Result<(User, Vec<Touch>), Fault> {
        let own = |text: Option<Cow<str>>| text.map(Cow::into_owned);
        let touches = self.rows.iter().map(RowShape::to_touch).collect();
        let user = User {
            id: user_id(&self.user_id)?,
            email: self.email.into_owned(),
            email_verified: self.email_verified,
            username: own(self.username),
            created_at: self.created_at,
            updated_at: self.updated_at,
            blocked: self.blocked,
            profile: Profile {
                name: own(self.name),
                nickname: own(self.nickname),
                given_name: own(self.given_name),
                family_name: own(self.family_name),
                picture: own(self.picture),
                phone_number: own(self.phone_number),
                phone_verified: self.phone_verified,
            },
            activity: Activity {
                last_login: self.last_login,
                last_ip: own(self.last_ip),
                logins_count: self.logins_count,
                last_password_reset: self.last_password_reset,
            },
            app_metadata: own(self.app_metadata),
            user_metadata: own(self.user_metadata),
        };
        Ok((user, touches))
    }
}

impl RowShape {
    fn of(touch: &Touch) -> Self {
        Self { job: touch.ticket, row: touch.row, named: touch.named }
    }

    fn to_touch(&self) -> Touch {
        Touch { ticket: self.job, row: self.row, named: self.named }
    }
}

/// A password, hashed.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct PasswordLine {
    pub(in super::super) connection: String,
    user_id: String,
    hash: String,
    changed_at: Timestamp,
}

impl Line for PasswordLine {
    const KIND: &'static str = "password";
}

impl PasswordLine {
    pub(in super::super) fn of(connection: &Connection, user: &UserId, credential: Credential) -> Self {
        let Credential { hash, changed_at } = credential;
        Self { connection: connection.id.to_string(), user_id: user.to_string(), hash, changed_at }
    }

    pub(in super::super) fn into_credential(self) -> Result<(UserId, Credential), Fault> {
        let credential = Credential { hash: self.hash, changed_at: self.changed_at };
        Ok((user_id(&self.user_id)?, credential))
    }
}

/// Leave to set a password or to verify an address.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct TicketLine {
    sha256: Hex,
    pub(in super::super) connection: String,
    user_id: String,
    allows: Allows,
    email: String,
    #[serde(default, skip_serializing_if = "is_false")]
    proves_email: bool,
    created_at: Timestamp,
    expires_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    result_url: Option<String>,
    #[serde(default, skip_serializing_if = "is_false")]
    include_email_in_redirect: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    client_id: Option<String>,
    /// Whether it is the newest of its kind that its user has: only that one is good.
    pub(in super::super) newest: bool,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Allows {
    SetPassword,
    VerifyEmail,
}

impl Line for TicketLine {
    const KIND: &'static str = "ticket";
}

impl TicketLine {
    pub(in super::super) fn of(hash: [u8; 32], ticket: UserTicket, newest: bool) -> Self {
        let (allows, email, proves_email) = match ticket.leave {
            Leave::SetPassword { proves_email, email } => (Allows::SetPassword, email, proves_email),
            Leave::VerifyEmail { email } => (Allows::VerifyEmail, email, false),
        };
        Self {
            sha256: Hex(hash),
            connection: ticket.connection.to_string(),
            user_id: ticket.user.to_string(),
            allows,
            email,
            proves_email,
            created_at: ticket.created_at,
            expires_at: ticket.expires_at,
            result_url: ticket.result_url,
            include_email_in_redirect: ticket.include_email_in_redirect,
            client_id: ticket.client_id,
            newest,
        }
    }

    pub(in super::super) fn into_ticket(self) -> Result<([u8; 32], UserTicket), Fault> {
        let (email, proves_email) = (self.email, self.proves_email);
        let ticket = UserTicket {
            user: user_id(&self.user_id)?,
            connection: read("connection", &self.connection)?,
            leave: match self.allows {
                Allows::SetPassword => Leave::SetPassword { proves_email, email },
                Allows::VerifyEmail => Leave::VerifyEmail { email },
            },
            created_at: self.created_at,
            expires_at: self.expires_at,
            result_url: self.result_url,
            include_email_in_redirect: self.include_email_in_redirect,
            client_id: self.client_id,
        };
        Ok((self.sha256.0, ticket))
    }
}
