//! The tenant log: what happened, told in the terms of the API.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{InvalidId, Timestamp};

/// Defines [`EventType`] from the table of its codes.
macro_rules! event_types {
    ($($name:ident => $code:literal, $category:literal, $meaning:literal;)+) => {
        /// What kind of thing happened.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum EventType {
            $(#[doc = concat!("`", $code, "`: ", $meaning)] #[serde(rename = $code)] $name,)+
        }

        impl EventType {
            /// Every type there is.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The code in `type`.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }

            /// The category that filters of log streams name.
            pub const fn category(self) -> &'static str {
                match self { $(Self::$name => $category,)+ }
            }

            /// What it means, for people.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$name => $meaning,)+ }
            }
        }
    };
}

event_types! {
    ApiSuccess => "sapi", "management.success", "Success API Operation";
    ApiFailure => "fapi", "management.fail", "Failed API Operation";
    ImportCompleted => "sui", "user.success", "Successful Users Import";
    ImportFailed => "fui", "system.notification", "Failed Users Import";
    Login => "s", "auth.login.success", "Success Login";
    LoginFailed => "f", "auth.login.fail", "Failed Login";
    WrongPassword => "fp", "auth.login.fail", "Failed Login (Incorrect Password)";
    UnknownUser => "fu", "auth.login.fail", "Failed Login (Invalid Email/Username)";
    LoginBlocked => "limit_wc", "auth.login.fail", "Blocked Account";
    ClientLogin => "seccft", "auth.token_exchange.success", "Success Exchange (Client Credentials)";
    ClientLoginFailed => "feccft", "auth.token_exchange.fail", "Failed Exchange (Client Credentials)";
    PasswordChanged => "scp", "user.success", "Success Change Password";
    PasswordChangeFailed => "fcp", "user.fail", "Failed Change Password";
    PasswordChangeRequested => "scpr", "user.success", "Success Change Password Request";
    PasswordChangeRequestFailed => "fcpr", "user.fail", "Failed Change Password Request";
    EmailVerified => "sv", "user.success", "Success Verification Email";
    EmailVerificationFailed => "fv", "user.fail", "Failed Verification Email";
    EmailVerificationRequested => "svr", "user.success", "Success Verification Email Request";
    EmailVerificationRequestFailed => "fvr", "user.fail", "Failed Verification Email Request";
    UserDeleted => "sdu", "user.success", "Successful User Deletion";
    MailNotSent => "fn", "system.notification", "Failed Sending Notification";
    StreamSuspended => "flss", "system.notification", "Log Stream Suspended";
}

/// A text that is no code of an [`EventType`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no event type \"{0}\"")]
pub struct UnknownEventType(
    /// What was given.
    pub String,
);

impl FromStr for EventType {
    type Err = UnknownEventType;
    fn from_str(text: &str) -> Result<Self, UnknownEventType> {
        let found = Self::ALL.iter().find(|kind| kind.code() == text);
        found.copied().ok_or_else(|| UnknownEventType(text.to_owned()))
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// One thing that happened. What is not known is left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub date: Timestamp,
    /// What kind of thing.
    pub r#type: EventType,
    /// What, for people.
    pub description: String,
    /// Name of the connection it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
    /// Id of that connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_id: Option<String>,
    /// Who asked for it, or for whom.
    #[serde(flatten)]
    pub origin: Origin,
    /// The user it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// What that user is called: the e-mail address, or what was typed instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_name: Option<String>,
    /// The kind of connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<String>,
    /// The API that a token was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// What that token was to allow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// More, depending on the type.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub details: Map<String, Value>,
}

/// Where a request came from; all of it absent for what the server does by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Address of the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// The program it says it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// The client whose token or id it used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Name of that client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_name: Option<String>,
    /// The server's own host name, as clients know it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
}

impl Event {
    /// An event of which nothing but time and type is known yet.
    pub fn new(date: Timestamp, r#type: EventType, description: impl Into<String>) -> Self {
        Self {
            date,
            r#type,
            description: description.into(),
            connection: None,
            connection_id: None,
            origin: Origin::default(),
            user_id: None,
            user_name: None,
            strategy: None,
            audience: None,
            scope: None,
            details: Map::new(),
        }
    }

    /// The same, caused by a request.
    #[must_use]
    pub fn by(self, origin: Origin) -> Self {
        Self { origin, ..self }
    }

    /// The same, about a connection.
    #[must_use]
    pub fn about(self, connection: &super::Connection) -> Self {
        Self {
            connection: Some(connection.name.clone()),
            connection_id: Some(connection.id.to_string()),
            strategy: Some(connection.strategy.clone()),
            ..self
        }
    }

    /// The same, about a user.
    #[must_use]
    pub fn about_user(self, user: &super::User) -> Self {
        Self { user_id: Some(user.id.to_string()), user_name: Some(user.email.clone()), ..self }
    }

    /// The same, with one detail more.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.details.insert(name.to_owned(), value.into());
        self
    }
}

/// The id of an event: `900`, its time, and its number. Later events have higher ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogId {
    /// Time of the event, or of the one before if the clock was set back.
    pub at: Timestamp,
    /// The event's place in the log.
    pub number: u64,
}

impl LogId {
    /// What every log id looks like, as a regular expression.
    pub const PATTERN: &'static str = "^900[0-9]{53}$";
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits: String = self.at.to_string().chars().filter(char::is_ascii_digit).collect();
        write!(f, "900{digits}{:036}", self.number)
    }
}

impl FromStr for LogId {
    type Err = InvalidId;
    /// Reads the number; of the time only that it is digits, as it says nothing the number does not.
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let fault = InvalidId(Self::PATTERN);
        let is_id = text.len() == 56 && text.starts_with("900") && text.bytes().all(|b| b.is_ascii_digit());
        let number = text.get(20..).filter(|_| is_id).ok_or(fault)?.parse().map_err(|_| fault)?;
        Ok(Self { at: Timestamp::from_millis(0), number })
    }
}

/// An event as it stands in the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Logged {
    /// Its id, in words of the API.
    pub log_id: String,
    /// The same again; clients ask for either.
    #[serde(rename = "_id")]
    pub id: String,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

impl Logged {
    /// The event with its id.
    pub fn new(id: LogId, event: Event) -> Self {
        let id = id.to_string();
        Self { log_id: id.clone(), id, event }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may")]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_id_sorts_by_time_and_number_and_leads_back_to_the_number() {
        let at = Timestamp::from_millis(1_520_242_381_204);
        let id = LogId { at, number: 17 }.to_string();
        assert_eq!(id, "90020180305093301204000000000000000000000000000000000017");
        assert_eq!(id.parse::<LogId>().unwrap().number, 17);
        assert!(id < LogId { at, number: 18 }.to_string());
        for wrong in ["", "900", &id[1..], &id.replace('7', "x"), &format!("9{}", &id[..55])] {
            assert!(wrong.parse::<LogId>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_event_reads_as_in_the_contract_and_comes_back() {
        let event = Event::new(Timestamp::from_millis(1_520_242_381_204), EventType::ImportCompleted, "Done")
            .with("job_id", "job_1");
        let logged = Logged::new(LogId { at: event.date, number: 1 }, event);
        let value = serde_json::to_value(&logged).unwrap();
        let id = "90020180305093301204000000000000000000000000000000000001";
        let expected = json!({
            "log_id": id, "_id": id, "date": "2018-03-05T09:33:01.204Z", "type": "sui",
            "description": "Done", "details": { "job_id": "job_1" },
        });
        assert_eq!(value, expected);
        assert_eq!(serde_json::from_value::<Logged>(value).unwrap(), logged);
    }
}
