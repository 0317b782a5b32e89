//! Which passwords a connection takes: its level, its own least length, and nothing of the user's own name.
//!
//! Characters are counted as Unicode counts them, and letters of all scripts have their case.

use serde_json::Value;

use super::password::Password;
use crate::domain::{Connection, User};

/// How strong a password has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    None,
    Low,
    Fair,
    Good,
    Excellent,
}

/// What a connection asks of passwords.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    level: Level,
    min_length: usize,
    no_personal_info: bool,
}

/// Shortest part of a name that may not be in a password, in characters.
const SHORTEST_NAME: usize = 3;

impl Policy {
    /// The policy in the options of a connection. One that names none has `good`; `null` is `none`.
    pub fn of(connection: &Connection) -> Self {
        let options = &connection.options;
        let level = match options.get("passwordPolicy") {
            Some(Value::Null) => Level::None,
            Some(Value::String(name)) => match name.as_str() {
                "none" => Level::None,
                "low" => Level::Low,
                "fair" => Level::Fair,
                "excellent" => Level::Excellent,
                _ => Level::Good,
            },
            _ => Level::Good,
        };
        let least = match level {
            Level::None => 1,
            Level::Low => 6,
            Level::Fair | Level::Good => 8,
            Level::Excellent => 10,
        };
        let own = options.get("password_complexity_options").and_then(|it| it.get("min_length")?.as_u64());
        let own = own.and_then(|own| usize::try_from(own).ok()).filter(|own| (1..=128).contains(own));
        let personal = options.get("password_no_personal_info").and_then(|it| it.get("enable")?.as_bool());
        Self { level, min_length: own.unwrap_or(least), no_personal_info: personal.unwrap_or(false) }
    }

    /// The rules, for people.
    pub fn rules(&self) -> Vec<String> {
        let mut rules = vec![self.length_rule()];
        rules.extend(self.class_rules().into_iter().map(|(rule, _)| rule.to_owned()));
        if self.level == Level::Excellent {
            rules.push(NO_REPEATS.to_owned());
        }
        if self.no_personal_info {
            rules.push(NOTHING_PERSONAL.to_owned());
        }
        rules
    }

    /// The rules that a password of this user breaks, for people.
    pub fn broken(&self, password: &Password, user: &User) -> Vec<String> {
        let text = password.as_str();
        let mut broken = Vec::new();
        if text.chars().count() < self.min_length {
            broken.push(self.length_rule());
        }
        if text.len() > Password::MAX_BYTES {
            broken.push(format!("At most {} bytes, which is as many plain letters", Password::MAX_BYTES));
        }
        let missed = self.class_rules().into_iter().filter(|(_, is_kept)| !is_kept(Classes::of(text)));
        broken.extend(missed.map(|(rule, _)| rule.to_owned()));
        if self.level == Level::Excellent && has_three_in_a_row(text) {
            broken.push(NO_REPEATS.to_owned());
        }
        if self.no_personal_info && tells_of(text, user) {
            broken.push(NOTHING_PERSONAL.to_owned());
        }
        broken
    }

    fn length_rule(&self) -> String {
        match self.min_length {
            1 => "At least 1 character".to_owned(),
            least => format!("At least {least} characters"),
        }
    }

    fn class_rules(&self) -> Vec<ClassRule> {
        match self.level {
            Level::None | Level::Low => Vec::new(),
            Level::Fair => vec![
                ("A lower case letter (a to z)", |it| it.lower),
                ("An upper case letter (A to Z)", |it| it.upper),
                ("A digit (0 to 9)", |it| it.digit),
            ],
            Level::Good | Level::Excellent => vec![(
                "At least 3 of these 4: lower case letters, upper case letters, digits, other characters \
                 (such as !@#$%)",
                |it| it.count() >= 3,
            )],
        }
    }
}

/// A rule about kinds of characters, for people, and whether it is kept.
type ClassRule = (&'static str, fn(Classes) -> bool);

const NO_REPEATS: &str = "No character more than twice in a row";
const NOTHING_PERSONAL: &str = "Nothing of your name, user name or e-mail address";

/// The kinds of characters in a text.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "they are the four kinds of the rule")]
struct Classes {
    lower: bool,
    upper: bool,
    digit: bool,
    other: bool,
}

impl Classes {
    fn of(text: &str) -> Self {
        text.chars().fold(Self::default(), |seen, c| match c {
            _ if c.is_lowercase() => Self { lower: true, ..seen },
            _ if c.is_uppercase() => Self { upper: true, ..seen },
            _ if c.is_numeric() => Self { digit: true, ..seen },
            _ => Self { other: true, ..seen },
        })
    }

    fn count(self) -> usize {
        [self.lower, self.upper, self.digit, self.other].into_iter().filter(|is_there| *is_there).count()
    }
}

fn has_three_in_a_row(text: &str) -> bool {
    let chars: Vec<char> = text.chars().collect();
    chars.windows(3).any(|three| three[0] == three[1] && three[1] == three[2])
}

/// Whether a text has a part of what the user is called in it.
fn tells_of(text: &str, user: &User) -> bool {
    let text = text.to_lowercase();
    let local = user.email.rsplit_once('@').map_or(&*user.email, |(local, _)| local);
    let metadata: Option<Value> = user.user_metadata.as_deref().and_then(|it| serde_json::from_str(it).ok());
    let told = ["name", "first", "last", "given_name", "family_name"]
        .map(|member| metadata.as_ref()?.get(member)?.as_str());
    let profile = &user.profile;
    let named = [&profile.name, &profile.nickname, &profile.given_name, &profile.family_name];
    let own = [Some(local), user.username.as_deref()].into_iter().chain(named.map(|name| name.as_deref()));
    let whole = own.chain(told).flatten();
    whole
        .flat_map(|name| std::iter::once(name).chain(name.split(|c: char| !c.is_alphanumeric())))
        .any(|name| name.chars().count() >= SHORTEST_NAME && text.contains(&name.to_lowercase()))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may")]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::{Timestamp, UserId};

    fn policy(options: &Value) -> Policy {
        let id = "con_8dQ2xYz0aBcD1eFg".parse().unwrap();
        let connection = Connection::database(id, "db".to_owned(), Vec::new());
        Policy::of(&Connection { options: options.as_object().unwrap().clone(), ..connection })
    }

    fn user() -> User {
        let at = Timestamp::from_millis(0);
        User {
            id: UserId::from_bytes([0; 12]),
            email: "ann.keller@example.test".to_owned(),
            email_verified: true,
            username: Some("anniek".to_owned()),
            created_at: at,
            updated_at: at,
            blocked: false,
            profile: crate::domain::Profile::default(),
            activity: crate::domain::Activity::default(),
            app_metadata: None,
            user_metadata: Some(r#"{"name":"Ann Marie Keller-Ötz","first":1}"#.to_owned()),
        }
    }

    /// How many rules a password breaks.
    fn breaks(options: &Value, password: &str) -> usize {
        policy(options).broken(&Password::new(password.to_owned()), &user()).len()
    }

    #[test]
    fn each_level_takes_what_it_says_and_nothing_less() {
        let table = [
            ("none", "", 1),
            ("none", "a", 0),
            ("low", "aaaaa", 1),
            ("low", "aaaaaa", 0),
            ("fair", "aaaaaA1", 1),
            ("fair", "aaaaaaA1", 0),
            ("fair", "aaaaaaA!", 1),
            ("fair", "AAAAAAA!", 2),
            ("fair", "", 4),
            ("good", "aaaaaA1", 1),
            ("good", "aaaaaaA1", 0),
            ("good", "aaaaaaA!", 0),
            ("good", "aaaaaa1!", 0),
            ("good", "AAAAAA1!", 0),
            ("good", "aaaaaaAA", 1),
            ("good", "éééééé1!", 0),
            ("good", "éÉéÉéÉé1", 0),
            ("good", "aA1", 1),
            ("excellent", "aabbccA1!", 1),
            ("excellent", "aabbccdA1!", 0),
            ("excellent", "aabbbcdA1!", 1),
            ("excellent", "aaabbbcccc", 2),
        ];
        for (level, password, rules) in table {
            assert_eq!(breaks(&json!({ "passwordPolicy": level }), password), rules, "{level} {password}");
        }
    }

    #[test]
    fn a_connection_that_says_nothing_asks_for_good_and_null_asks_for_nothing() {
        assert_eq!(policy(&json!({})), policy(&json!({ "passwordPolicy": "good" })));
        assert_eq!(policy(&json!({ "passwordPolicy": null })), policy(&json!({ "passwordPolicy": "none" })));
        assert_eq!(policy(&json!({ "passwordPolicy": "odd" })), policy(&json!({})));
    }

    #[test]
    fn a_length_of_its_own_takes_the_place_of_the_levels() {
        let options = |length: u64| json!({ "passwordPolicy": "good", "password_complexity_options": { "min_length": length } });
        assert_eq!(breaks(&options(3), "aA1"), 0);
        assert_eq!(breaks(&options(4), "aA1"), 1);
        assert_eq!(policy(&options(12)).rules()[0], "At least 12 characters");
        for nonsense in [0, 129] {
            assert_eq!(policy(&options(nonsense)), policy(&json!({})));
        }
    }

    #[test]
    fn names_are_refused_where_that_is_set() {
        let options = json!({ "passwordPolicy": "none", "password_no_personal_info": { "enable": true } });
        for password in ["xKELLERx", "my-ann.keller", "1anniek", "marie", "ÖTZ", "ann"] {
            assert_eq!(breaks(&options, password), 1, "{password}");
        }
        for password in ["example", "kelle", "an", "test"] {
            assert_eq!(breaks(&options, password), 0, "{password}");
        }
        assert_eq!(breaks(&json!({ "passwordPolicy": "none" }), "keller"), 0);
    }

    #[test]
    fn a_password_has_an_end() {
        let options = json!({ "passwordPolicy": "none" });
        assert_eq!(breaks(&options, &"a".repeat(Password::MAX_BYTES)), 0);
        assert_eq!(breaks(&options, &"a".repeat(Password::MAX_BYTES + 1)), 1);
    }

    #[test]
    fn every_rule_that_is_broken_was_told_before() {
        for level in ["none", "low", "fair", "good", "excellent"] {
            let policy =
                policy(&json!({ "passwordPolicy": level, "password_no_personal_info": { "enable": true } }));
            let rules = policy.rules();
            for password in ["", "ann", "aaakeller"] {
                let broken = policy.broken(&Password::new(password.to_owned()), &user());
                assert!(!broken.is_empty() || level == "low" || level == "none");
                assert!(broken.iter().all(|rule| rules.contains(rule)), "{level} {password}: {broken:?}");
            }
        }
    }
}
