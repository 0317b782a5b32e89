//! What must hold of a question to the log, whatever the text.

#![expect(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a panic is how this says no")]

use super::query::Query;
use crate::domain::{Event, EventType, LogId, Logged, Origin, Timestamp};

/// A question: reading it ends, an empty one holds for every event, and one more term never finds more.
pub fn log_query(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let query = match Query::parse(&text) {
        Ok(query) => query,
        Err(fault) => return assert!(!fault.to_string().is_empty()),
    };
    for logged in events() {
        let holds = query.matches(&logged);
        assert!(holds || !query.is_empty());
        for (term, is_one) in [("type:sapi", logged.event.r#type == EventType::ApiSuccess), ("date:*", true)]
        {
            if let Ok(both) = Query::parse(&format!("{term} AND {text}")) {
                assert_eq!(both.matches(&logged), holds && is_one, "{term} AND {text:?}");
            }
        }
    }
}

fn events() -> [Logged; 2] {
    let date = Timestamp::parse("2018-03-05T09:33:01.204Z").unwrap();
    let origin = Origin {
        ip: Some("::1".to_owned()),
        user_agent: Some("curl/8.5.0 (x)".to_owned()),
        client_id: Some("importer".to_owned()),
        client_name: Some("K\u{e6}r \"1\"".to_owned()),
        hostname: Some("intake.test".to_owned()),
    };
    let whole = Event {
        connection: Some("staff db".to_owned()),
        connection_id: Some("con_8dQ2xYz0aBcD1eFg".to_owned()),
        user_id: Some("auth0|5a5a".to_owned()),
        user_name: Some("ann@acme.test".to_owned()),
        strategy: Some("auth0".to_owned()),
        ..Event::new(date, EventType::ApiSuccess, "Create import users job").by(origin)
    };
    let bare = Event::new(date, EventType::ImportFailed, "");
    [whole, bare].map(|event| Logged::new(LogId { at: date, number: 17 }, event))
}
