//! A user as the API shows it and exports have it, in one form for both.
//!
//! The form stands here as text and is not derived: what serde does for it, looking through names and metadata
//! once more, takes longer than the writing.

use super::{Connection, Timestamp, UserId, UserRef};

/// Why something cannot be written: in truth, nothing is.
type Result = serde_json::Result<()>;

impl UserRef<'_> {
    /// Writes the user as JSON. Its id is what an export begins each row with: that is how an import knows
    /// them. Metadata are exactly as they were sent. Nobody gets a `picture` made up: its address would tell a
    /// third party a hash of the e-mail's.
    pub fn show(&self, connection: &Connection, to: &mut String) -> Result {
        let bare_id = self.id.bare();
        text(to, r#"{"user_id":"#, &[UserId::PREFIX, &bare_id].concat())?;
        text(to, r#","email":"#, self.email)?;
        raw(to, r#","email_verified":"#, truth(self.email_verified));
        text_if(to, r#","username":"#, self.username)?;
        self.show_times(to);
        text(to, r#","identities":[{"provider":"#, &connection.strategy)?;
        text(to, r#","connection":"#, &connection.name)?;
        text(to, r#","isSocial":false,"user_id":"#, &bare_id)?;
        text(to, r#"}],"name":"#, self.name())?;
        text(to, r#","nickname":"#, self.nickname())?;
        self.show_rest_of_profile(to)?;
        self.show_activity(to)?;
        raw_if(to, r#","blocked":"#, self.blocked.then_some("true"));
        raw_if(to, r#","app_metadata":"#, self.app_metadata);
        raw_if(to, r#","user_metadata":"#, self.user_metadata);
        to.push('}');
        Ok(())
    }

    /// Most users were never changed: their two times are one.
    fn show_times(&self, to: &mut String) {
        let created_at = self.created_at.to_string();
        plain(to, r#","created_at":"#, &created_at);
        let changed = self.updated_at != self.created_at;
        let updated_at = if changed { self.updated_at.to_string() } else { created_at };
        plain(to, r#","updated_at":"#, &updated_at);
    }

    fn show_rest_of_profile(&self, to: &mut String) -> Result {
        let profile = &self.profile;
        text_if(to, r#","given_name":"#, profile.given_name)?;
        text_if(to, r#","family_name":"#, profile.family_name)?;
        text_if(to, r#","picture":"#, profile.picture)?;
        text_if(to, r#","phone_number":"#, profile.phone_number)?;
        raw_if(to, r#","phone_verified":"#, profile.phone_verified.map(truth));
        Ok(())
    }

    fn show_activity(&self, to: &mut String) -> Result {
        let time = |at: Option<Timestamp>| at.map(|at| at.to_string());
        text_if(to, r#","last_login":"#, time(self.last_login).as_deref())?;
        text_if(to, r#","last_ip":"#, self.last_ip)?;
        let count = Some(self.logins_count).filter(|count| *count > 0);
        raw_if(to, r#","logins_count":"#, count.map(|count| count.to_string()).as_deref());
        text_if(to, r#","last_password_reset":"#, time(self.last_password_reset).as_deref())
    }
}

/// Writes what leads to a value, and the value: a text, quoted and escaped.
fn text(to: &mut String, lead: &str, text: &str) -> Result {
    if needs_escapes(text) {
        raw(to, lead, &serde_json::to_string(text)?);
    } else {
        plain(to, lead, text);
    }
    Ok(())
}

/// Writes what leads to a value, and the value: a text that nothing is to be escaped in.
fn plain(to: &mut String, lead: &str, text: &str) {
    to.push_str(lead);
    to.push('"');
    to.push_str(text);
    to.push('"');
}

fn text_if(to: &mut String, lead: &str, value: Option<&str>) -> Result {
    value.map_or(Ok(()), |value| text(to, lead, value))
}

/// Writes what leads to a value, and the value, which is JSON.
fn raw(to: &mut String, lead: &str, json: &str) {
    to.push_str(lead);
    to.push_str(json);
}

fn raw_if(to: &mut String, lead: &str, json: Option<&str>) {
    if let Some(json) = json {
        raw(to, lead, json);
    }
}

const fn truth(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

/// Looks at every byte, however soon it knows: that way it looks at many in one go.
fn needs_escapes(text: &str) -> bool {
    let special = text.bytes().map(|byte| u8::from(matches!(byte, ..b' ' | b'"' | b'\\')));
    special.fold(0, |any, one| any | one) != 0
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may")]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{Profile, User, UserIdRef};

    const AT: Timestamp = Timestamp::from_millis(1_520_242_272_590);

    fn ann() -> UserRef<'static> {
        UserRef {
            id: UserIdRef::Made([0x5a; 12]),
            email: "ann@example.test",
            email_verified: true,
            username: None,
            created_at: AT,
            updated_at: AT,
            blocked: false,
            profile: Profile::default(),
            last_login: None,
            last_ip: None,
            logins_count: 0,
            last_password_reset: None,
            app_metadata: Some(r#"{"z":1.000,"a":12345678901234567890123}"#),
            user_metadata: None,
        }
    }

    fn shown(user: &UserRef) -> String {
        let id = "con_8dQ2xYz0aBcD1eFg".parse().unwrap();
        let connection = Connection::database(id, "staff-db".to_owned(), Vec::new());
        let mut json = String::new();
        user.show(&connection, &mut json).unwrap();
        json
    }

    #[test]
    fn metadata_come_back_as_they_were_sent() {
        let expected = concat!(
            r#"{"user_id":"auth0|5a5a5a5a5a5a5a5a5a5a5a5a","#,
            r#""email":"ann@example.test","email_verified":true,"#,
            r#""created_at":"2018-03-05T09:31:12.590Z","updated_at":"2018-03-05T09:31:12.590Z","#,
            r#""identities":[{"provider":"auth0","connection":"staff-db","isSocial":false,"#,
            r#""user_id":"5a5a5a5a5a5a5a5a5a5a5a5a"}],"#,
            r#""name":"ann@example.test","nickname":"ann","#,
            r#""app_metadata":{"z":1.000,"a":12345678901234567890123}}"#,
        );
        assert_eq!(shown(&ann()), expected);
    }

    #[test]
    fn whatever_is_known_of_a_user_is_shown() {
        let user = UserRef {
            id: UserIdRef::Given("legacy-\"17\""),
            email_verified: false,
            username: Some("ann"),
            updated_at: AT.after(std::time::Duration::from_secs(1)),
            blocked: true,
            profile: Profile {
                name: Some("Ann \"\\\n\u{1}\u{7f}ü"),
                nickname: Some("nick"),
                given_name: Some("Ann"),
                family_name: Some("Lee"),
                picture: Some("https://example.test/a.png"),
                phone_number: Some("+4930123"),
                phone_verified: Some(false),
            },
            last_login: Some(AT),
            last_ip: Some("::1"),
            logins_count: 7,
            last_password_reset: Some(AT),
            user_metadata: Some("{}"),
            ..ann()
        };
        let expected = concat!(
            r#"{"user_id":"auth0|legacy-\"17\"","email":"ann@example.test","email_verified":false,"#,
            r#""username":"ann","#,
            r#""created_at":"2018-03-05T09:31:12.590Z","updated_at":"2018-03-05T09:31:13.590Z","#,
            r#""identities":[{"provider":"auth0","connection":"staff-db","isSocial":false,"#,
            r#""user_id":"legacy-\"17\""}],"name":"Ann \"\\\n\u0001"#,
            "\u{7f}",
            r#"ü","nickname":"nick","given_name":"Ann","family_name":"Lee","#,
            r#""picture":"https://example.test/a.png","phone_number":"+4930123","phone_verified":false,"#,
            r#""last_login":"2018-03-05T09:31:12.590Z","last_ip":"::1","logins_count":7,"#,
            r#""last_password_reset":"2018-03-05T09:31:12.590Z","blocked":true,"#,
            r#""app_metadata":{"z":1.000,"a":12345678901234567890123},"user_metadata":{}}"#,
        );
        assert_eq!(shown(&user), expected);
    }

    proptest! {
        #[test]
        fn any_text_is_written_as_serde_writes_it(name in any::<String>()) {
            let user = User { profile: Profile { name: Some(name.clone()), ..Profile::default() }, ..ann().to_user() };
            let quoted = serde_json::to_string(&name).unwrap();
            let json = shown(&user.as_ref());
            let whole = format!("\"name\":{quoted},\"nickname\"");
            prop_assert!(json.contains(&whole));
        }
    }
}
