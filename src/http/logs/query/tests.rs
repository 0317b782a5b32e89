//! What can be asked of the tenant log, and what is refused.

#![expect(clippy::unwrap_used, reason = "a test may")]

use proptest::prelude::*;

use super::*;
use crate::domain::{EventType, LogId, Origin};

fn logged() -> Logged {
    let date = Timestamp::parse("2018-03-05T09:33:01.204Z").unwrap();
    let origin = Origin {
        ip: Some("::1".to_owned()),
        user_agent: Some("curl/8.5.0".to_owned()),
        client_id: Some("importer".to_owned()),
        client_name: None,
        hostname: Some("intake.test".to_owned()),
    };
    let event = Event {
        connection: Some("staff db".to_owned()),
        connection_id: Some("con_8dQ2xYz0aBcD1eFg".to_owned()),
        user_id: Some("auth0|5a5a".to_owned()),
        user_name: Some("ann@acme.test".to_owned()),
        strategy: Some("auth0".to_owned()),
        ..Event::new(date, EventType::ApiSuccess, "Create import users job").by(origin)
    };
    Logged::new(LogId { at: date, number: 17 }, event)
}

#[test]
fn terms_hold_or_not() {
    let event = logged();
    let matching = [
        "",
        "  ",
        "type:sapi",
        "type:sapi AND connection:\"staff db\"",
        "type:sapi connection:\"staff db\"",
        "connection:staff*",
        "connection:\"staff d\"*",
        "connection:staff\\ db",
        "connection:*",
        "connection_id:con_8dQ2xYz0aBcD1eFg",
        "client_id:importer",
        "hostname:intake.test strategy:auth0",
        "ip:::1",
        "user_id:auth0|5a5a",
        "user_id:auth0\\|5a5a",
        "user_id:\"auth0|5a5a\"",
        "user_agent:curl",
        "user_agent:curl*",
        "description:import",
        "description:\"import users\"",
        "description:\"Create import users job\"",
        "description:Cre*",
        "date:2018-03-05*",
        "date:2018-03-05T09:33:01.204Z",
        "date:[2018-03-05 TO 2018-03-05]",
        "date:[2018-03-05T09:33:01.204Z TO 2018-03-05T09:33:01.204Z]",
        "date:[\"2018-03-05T09:33:01Z\" TO *] type:sapi",
        "date:[* TO *]",
        "log_id:90020180305093301204000000000000000000000000000000000017",
        "90020180305093301204000000000000000000000000000000000017",
        "sapi",
        "sapi AND users AND \"staff db\" ann@acme.test ::1",
        "ann*",
    ];
    for text in matching {
        let query = Query::parse(text).unwrap_or_else(|fault| panic!("{text}: {fault}"));
        assert!(query.matches(&event), "{text}");
    }
    let others = [
        "type:SAPI",
        "type:sap",
        "type:fapi",
        "type:sapi AND type:fapi",
        "connection:staff",
        "connection:\"staff*\"",
        "client_name:*",
        "organization_id:*",
        "strategy_type:x",
        "description:impor",
        "description:mport*",
        "description:Import",
        "date:[2018-03-06 TO *]",
        "date:[* TO 2018-03-04]",
        "date:[2018-03-05T09:33:01.205Z TO *]",
        "date:[* TO 2018-03-05T09:33:01.203Z]",
        "importer",
        "curl",
        "sapi nobody",
    ];
    for text in others {
        assert!(!Query::parse(text).unwrap().matches(&event), "{text}");
    }
}

#[test]
fn what_is_not_understood_is_refused() {
    let refused = [
        ("type:sui OR type:fui", "OR or NOT is not supported"),
        ("NOT type:sui", "OR or NOT is not supported"),
        ("-type:sui", "- is not supported"),
        ("!sui", "! is not supported"),
        ("(type:sui)", "( is not supported"),
        ("type:(sui fui)", "type:( is not supported"),
        ("type:sui || fui", "|| is not supported"),
        ("type:sui && fui", "&& is not supported"),
        ("type:s*i", "* before the end of a value is not supported"),
        ("type:[a TO b]", "type:[ is not supported"),
        ("date:{2018-03-05 TO *}", "date:{ is not supported"),
        ("date:>2018-03-05", "date:> is not supported"),
        ("date:[2018-03-05]", "Expected date:[from TO to]"),
        ("date:[2018-03-05 TO", "Expected date:[from TO to]"),
        ("date:[2018-13-05 TO *]", "Expected date:[from TO to]"),
        ("date:[* TO *]x", "Expected date:[from TO to]"),
        ("colour:red", "Unknown field colour; these can be searched: client_id,client_name,"),
        ("type: sui", "There is no value after type:"),
        ("type:", "There is no value after type:"),
        ("connection:\"staff", "A quote is not closed"),
        ("connection:\"staff\"db", "d is not supported"),
        ("AND type:sui", "AND is not between two terms"),
        ("type:sui AND", "AND is not between two terms"),
        ("type:sui AND AND type:fui", "AND is not between two terms"),
    ];
    for (text, expected) in refused {
        let said = Query::parse(text).unwrap_err().to_string();
        assert!(said.starts_with(expected), "{text}: {said}");
    }
    assert!(Query::parse(&"x".repeat(MAX_BYTES)).is_ok());
    assert_eq!(Query::parse(&"x".repeat(MAX_BYTES + 1)), Err(Fault::TooLong));
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in ".{0,80}", odd in r#"([a-z_]{0,6}[:"\\*\[\] ()A-Z-]{0,4}){0,12}"#) {
        let event = logged();
        for text in [text, odd] {
            if let Ok(query) = Query::parse(&text) {
                query.matches(&event);
            }
        }
    }

    #[test]
    fn a_value_in_quotes_means_itself(value in "[^\u{0}]{1,40}") {
        let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
        let event = Event { user_name: Some(value), ..logged().event };
        let event = Logged { event, ..logged() };
        let query = Query::parse(&format!("user_name:\"{quoted}\"")).unwrap();
        prop_assert!(query.matches(&event));
    }
}
