//! What must hold of a query, whatever the text.

#![expect(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a panic is how these say no")]

use super::{Query, Sort};
use crate::domain::{Activity, Connection, Profile, Timestamp, User, UserId, UserKey};

/// A query, and an order: reading ends, what is printed is the same query, and users are looked at.
pub fn search_query(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let connections = ["staff-db", "a"].map(connection);
    let users = users();
    if let Ok(sort) = Sort::parse(&text) {
        let mut keys: Vec<_> = users.iter().map(|user| sort.key(&user.as_ref(), &connections[0])).collect();
        keys.sort();
        assert!(keys.is_sorted());
    }
    let query = match Query::parse(&text) {
        Ok(query) => query,
        Err(fault) => {
            assert!(!fault.why.is_empty() && fault.at <= text.chars().count() + 1, "{fault}");
            return;
        }
    };
    let printed = query.to_string();
    // A field is printed before each of its values, so that it may become longer than queries may be.
    let is_too_long = printed.chars().count() > Query::MAX_CHARS;
    let is_same = Query::parse(&printed).map_or(is_too_long, |again| again == query);
    assert!(is_same, "{text:?} printed as {printed:?}");
    let (keys, names) = (query.keys(), query.connections());
    for (user, connection) in users.iter().flat_map(|user| connections.iter().map(move |it| (user, it))) {
        let is_named = names.as_ref().is_none_or(|names| names.iter().any(|name| *name == *connection.name));
        if query.matches(&user.as_ref(), connection) {
            assert!(keys.as_ref().is_none_or(|keys| keys.iter().any(|key| finds(key, user))), "{printed}");
            assert!(is_named, "{printed}");
        } else {
            assert!(!is_named || !query.is_about_connections_only(), "{printed}");
        }
    }
}

fn finds(key: &UserKey, user: &User) -> bool {
    match key {
        UserKey::Email(email) => *email == user.email,
        UserKey::Username(name) => Some(name) == user.username.as_ref(),
        UserKey::Id(id) => *id == user.id,
    }
}

fn connection(name: &str) -> Connection {
    Connection::database("con_0000000000000001".parse().unwrap(), name.to_owned(), Vec::new())
}

/// Somebody with nothing, and somebody with a value everywhere.
fn users() -> [User; 2] {
    let at = |text: &str| Timestamp::parse(text).unwrap();
    let plain = User {
        id: UserId::parse_given("legacy-1").unwrap(),
        email: "a@b.c".to_owned(),
        email_verified: false,
        username: None,
        created_at: at("2018-03-05T09:31:12.481Z"),
        updated_at: at("2020-02-29T12:00:00Z"),
        blocked: false,
        profile: Profile::default(),
        activity: Activity::default(),
        app_metadata: None,
        user_metadata: None,
    };
    let ann = User {
        id: UserId::parse_given("5a9d0e50c55b3650a5c9fff9").unwrap(),
        email: "ann@example.test".to_owned(),
        email_verified: true,
        username: Some("ann.k".to_owned()),
        blocked: true,
        profile: Profile {
            name: Some("Ann K\u{e6}r".to_owned()),
            nickname: Some("Annie".to_owned()),
            given_name: Some("Ann".to_owned()),
            family_name: Some("K\u{e6}r".to_owned()),
            picture: Some("https://cdn.example.test/Ann.png".to_owned()),
            phone_number: Some("+4512345678".to_owned()),
            phone_verified: Some(false),
        },
        activity: Activity {
            last_login: Some(at("2021-05-06T07:08:09.010Z")),
            last_ip: Some("203.0.113.9".to_owned()),
            logins_count: 12,
            last_password_reset: Some(at("2021-01-01T00:00:00Z")),
        },
        app_metadata: Some(
            r#"{"plan":"Gold","roles":["admin",[{"a":-1.50}]],"huge":12345678901234567890123e400,"beta":true,"no":[],"a.b":{"c":null},"na\u006de":"esc\u0061ped"}"#
                .to_owned(),
        ),
        user_metadata: Some(r#"{"age":41,"zip":"02134","":{"":"x"},"when":"2018-03-05"}"#.to_owned()),
        ..plain.clone()
    };
    [plain, ann]
}
