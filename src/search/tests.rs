//! The language, as tables of queries and users.

#![allow(clippy::unwrap_used, reason = "tests")]

mod properties;

use super::reader::LEAST_AFTER_STAR;
use super::*;
use crate::domain::{Activity, Profile, Timestamp, User, UserId};

fn connection(name: &str) -> Connection {
    Connection::database("con_0000000000000001".parse().unwrap(), name.to_owned(), Vec::new())
}

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

fn user(email: &str) -> User {
    User {
        id: UserId::parse_given("legacy-1").unwrap(),
        email: email.to_owned(),
        email_verified: false,
        username: None,
        created_at: at("2018-03-05T09:31:12.481Z"),
        updated_at: at("2020-02-29T12:00:00Z"),
        blocked: false,
        profile: Profile::default(),
        activity: Activity::default(),
        app_metadata: None,
        user_metadata: None,
    }
}

/// Somebody with a value everywhere.
fn ann() -> User {
    User {
        id: UserId::parse_given("5a9d0e50c55b3650a5c9fff9").unwrap(),
        email_verified: true,
        username: Some("ann.k".to_owned()),
        blocked: true,
        profile: Profile {
            name: Some("Ann Kær".to_owned()),
            nickname: Some("Annie".to_owned()),
            given_name: Some("Ann".to_owned()),
            family_name: Some("Kær".to_owned()),
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
            r#"{"plan":"Gold","roles":["admin","writer"],"seats":15,"score":-1.50,"huge":12345678901234567890123,
                "beta":true,"nothing":null,"no":[],"none":{},"deep":{"er":{"still":"here"}},
                "teams":[{"name":"red","size":3},{"name":"blue"}],"a.b":{"c":1},"na\u006de":"esc\u0061ped","hollow":{"x":null,"y":[]}}"#
                .to_owned(),
        ),
        user_metadata: Some(r#"{"addresses":[[{"city":"Paris"}],{"city":"Lyon"}],"age":41,"zip":"02134"}"#.to_owned()),
        ..user("ann@example.test")
    }
}

fn matches(query: &str, user: &User) -> bool {
    let parsed = Query::parse(query).unwrap_or_else(|fault| panic!("{query}: {fault}"));
    parsed.matches(&user.as_ref(), &connection("staff-db"))
}

#[track_caller]
fn check(user: &User, yes: &[&str], no: &[&str]) {
    for query in yes {
        assert!(matches(query, user), "{query} should match");
        assert!(!matches(&format!("NOT ({query})"), user), "NOT ({query}) should not match");
    }
    for query in no {
        assert!(!matches(query, user), "{query} should not match");
    }
}

#[test]
fn every_field_that_is_shown_can_be_searched() {
    check(
        &ann(),
        &[
            "user_id:auth0|5a9d0e50c55b3650a5c9fff9",
            r#"user_id:"auth0|5a9d0e50c55b3650a5c9fff9""#,
            r#"email:"ann@example.test""#,
            "email:ann@example.test",
            r#"email.domain:"example.test""#,
            "email_verified:true",
            "username:ann.k",
            r#"name:"Ann Kær""#,
            "nickname:annie",
            "given_name:ann",
            "family_name:kær",
            r#"picture:"https://cdn.example.test/Ann.png""#,
            "picture:https://cdn.example.test/Ann.png",
            r"phone_number:\+4512345678",
            "phone_number:+4512345678",
            "phone_verified:false",
            "blocked:true",
            "created_at:2018-03-05",
            "created_at:2018-03-05T09:31:12.481Z",
            "updated_at:2020",
            "last_login:2021-05",
            "last_ip:203.0.113.9",
            "logins_count:12",
            r#"logins_count:"12""#,
            "last_password_reset:2021-01-01T00:00:00.000Z",
            r#"identities.connection:"staff-db""#,
            "identities.provider:auth0",
            "identities.isSocial:false",
            "identities.user_id:5a9d0e50c55b3650a5c9fff9",
        ],
        &[
            "user_id:5a9d0e50c55b3650a5c9fff9",
            "user_id:auth0",
            "email:ann",
            "email.domain:test",
            "email_verified:false",
            "name:Ann",
            "phone_verified:true",
            "blocked:false",
            "created_at:2018-03-06",
            "created_at:2018-03-05T09:31:12.480Z",
            "logins_count:1",
            r#"identities.connection:"other""#,
            "identities.isSocial:true",
            "nosuch:ann",
            "_exists_:nosuch",
            "multifactor:x",
        ],
    );
}

#[test]
fn case_counts_but_in_the_names_of_people() {
    check(
        &ann(),
        &[
            "email:ANN@Example.TEST",
            "name:\"ann KÆR\"",
            "name:ANN*",
            "nickname:[annib TO ANNIF]",
            "given_name:aNN",
            "family_name:KÆR",
        ],
        &[
            "username:Ann.K",
            "app_metadata.plan:gold",
            "app_metadata.plan:g*",
            "picture:*ann.png",
            "identities.connection:Staff-DB",
            "Email:ann@example.test",
        ],
    );
}

#[test]
fn metadata_are_searched_by_path_through_arrays() {
    check(
        &ann(),
        &[
            "app_metadata.plan:Gold",
            "app_metadata.roles:admin",
            "app_metadata.roles:\"writer\"",
            "app_metadata.seats:15",
            "app_metadata.seats:15.0",
            "app_metadata.score:-1.5",
            "app_metadata.huge:12345678901234567890123",
            "app_metadata.beta:true",
            "app_metadata.deep.er.still:here",
            "app_metadata.teams.name:blue",
            "app_metadata.teams.size:[2 TO 3]",
            "app_metadata.a.b.c:1",
            r"app_metadata.a\.b.c:1",
            "app_metadata.name:escaped",
            "user_metadata.addresses.city:\"Paris\"",
            "user_metadata.addresses.city:Lyon",
            "user_metadata.age:{40 TO 41]",
            "user_metadata.zip:02134",
            "user_metadata.zip:021*",
            "user_metadata.addresses.city:*yon",
            "_exists_:app_metadata",
            "_exists_:app_metadata.plan",
            "_exists_:app_metadata.deep",
            "_exists_:app_metadata.teams",
            "_exists_:app_metadata.beta",
            "app_metadata.deep.er:*",
        ],
        &[
            "app_metadata:Gold",
            "app_metadata.roles:adm",
            "app_metadata.huge:12345678901234567890124",
            "app_metadata.beta:false",
            "app_metadata.deep.er:here",
            "app_metadata.deep.still:here",
            "app_metadata.teams:red",
            "app_metadata.plan.x:Gold",
            "app_metadata.nothing:null",
            "user_metadata.zip:2134",
            "user_metadata.plan:Gold",
            "_exists_:app_metadata.nothing",
            "_exists_:app_metadata.no",
            "_exists_:app_metadata.none",
            "_exists_:app_metadata.hollow",
            "_exists_:app_metadata.hollow.x",
            "_exists_:app_metadata.x",
        ],
    );
}

#[test]
fn stars_stand_for_any_characters() {
    check(
        &ann(),
        &[
            "name:an*",
            "name:*kær",
            "name:*n\\ k*",
            "name:a*k*r",
            "name:a**r",
            "name:Ann\\ K*",
            "email:*example*",
            "name:*",
            "created_at:2018*",
            "logins_count:1*",
            "email_verified:t*",
        ],
        &[
            "name:kær*",
            "name:*ann",
            "name:a*z*r",
            "name:\"Ann*\"",
            r"name:Ann\*",
            "app_metadata.plan:*gold*",
            "name:annk*kær",
        ],
    );
    // A star cannot be filled by what is before and after it at once.
    check(
        &User { username: Some("aba".to_owned()), ..ann() },
        &["username:ab*"],
        &["username:aba*aba", "username:ab*ba"],
    );
    assert_eq!(fault("name:*hn"), "at character 6: a pattern that begins with * needs 3 characters at least");
    assert!(Query::parse("name:*joh").is_ok() && Query::parse("name:*jo*").is_err());
    assert!(Query::parse(r"name:*a\*b").is_ok(), "a star that is none is a character");
    assert_eq!(LEAST_AFTER_STAR, 3);
}

#[test]
fn ranges_take_their_ends_in_or_not() {
    check(
        &ann(),
        &[
            "logins_count:[12 TO 12]",
            "logins_count:[12 TO 13}",
            "logins_count:{11 TO 12]",
            "logins_count:{11 TO *]",
            "logins_count:[* TO 12]",
            "logins_count:[* TO *]",
            "logins_count:>11",
            "logins_count:>=12",
            "logins_count:<=12",
            "logins_count:<12.5",
            "created_at:[2018-03-05 TO 2018-03-05]",
            "created_at:[2018-01-01 TO *]",
            "created_at:[1900-01-01 TO 2018-03-05T09:31]",
            "created_at:{2018-03-04 TO 2018-03-06}",
            "created_at:[\"2018-03-05T09:31:12.481Z\" TO \"2018-03-05T09:31:12.481Z\"]",
            "created_at:<2019",
            "family_name:[k TO l]",
            "app_metadata.score:[-2 TO -1.5]",
            "username:[ann TO bob]",
        ],
        &[
            "logins_count:{12 TO *]",
            "logins_count:[* TO 12}",
            "logins_count:>12",
            "created_at:{2018-03-05 TO *]",
            "created_at:[* TO 2018-03-05}",
            "created_at:>2018-03-05",
            "username:[bob TO *]",
            "username:[\"ANN\" TO \"Zed\"]",
            "app_metadata.beta:[a TO z]",
            "app_metadata.plan:[1 TO 9]",
            "app_metadata.deep:[a TO z]",
        ],
    );
}

#[test]
fn what_is_not_shown_is_not_there() {
    let bob = user("bob@example.test");
    check(
        &bob,
        &[
            "NOT _exists_:last_login",
            "NOT _exists_:logins_count",
            "NOT _exists_:blocked",
            "blocked:false",
            "NOT _exists_:email_verified OR email_verified:false",
            "_exists_:email_verified",
            "_exists_:name",
            "name:bob@example.test",
            "nickname:bob",
            "-_exists_:app_metadata",
        ],
        &[
            "logins_count:0",
            "phone_verified:false",
            "_exists_:username",
            "_exists_:given_name",
            "last_login:[* TO *]",
            "last_login:<2030",
        ],
    );
}

#[test]
fn a_term_without_a_field_is_sought_in_what_people_are_known_by() {
    check(
        &ann(),
        &["ann@example.test", "ann.k", "annie", "\"ann kær\"", "ann*", "*4567*", "auth0|5a9d*", "*"],
        &["Gold", "Paris", "02134", "203.0.113.9", "12", "true", "Kærann"],
    );
}

#[test]
fn operators_are_a_logic() {
    // The user is e and v, and neither x nor y.
    let ann = ann();
    let side = |c: char| match c {
        'e' => "given_name:ann".to_owned(),
        'v' => "blocked:true".to_owned(),
        'x' => "given_name:bob".to_owned(),
        'y' => "blocked:false".to_owned(),
        other => other.to_string(),
    };
    let sides = |query: &str| query.chars().map(side).collect::<String>();
    for (query, expected) in [
        ("e AND v", true),
        ("e AND x", false),
        ("e OR x", true),
        ("x OR y", false),
        ("NOT x", true),
        ("NOT e", false),
        ("x AND y OR e", true),
        ("e OR x AND y", true),
        ("x AND (y OR e)", false),
        ("(x OR e) AND v", true),
        ("e && v", true),
        ("x || e", true),
        ("!x", true),
        ("! e", false),
        ("NOT NOT e", true),
        ("NOT (x OR y)", true),
        ("e x", true),
        ("x y", false),
        ("x e", true),
        ("+e x", true),
        ("e +x", false),
        ("+e +v", true),
        ("e -v", false),
        ("e -x", true),
        ("x -y", false),
        ("-x", true),
        ("-x -e", false),
        ("e NOT v", false),
        ("e NOT x", true),
        ("NOT x e", true),
        ("NOT x y", false),
        ("x OR NOT y", true),
        ("NOT e OR v", true),
        ("NOT e OR x", false),
        ("e AND NOT x", true),
        ("e AND -v", false),
        ("x OR y e", true),
        ("e OR x -v", false),
        ("+x OR e", false),
        ("e AND v x", true),
        ("(e)(x)", true),
    ] {
        assert_eq!(matches(&sides(query), &ann), expected, "{query}");
    }
    check(
        &ann,
        &[
            "given_name:(ann OR bob)",
            "given_name:(bob \"ANN\")",
            "given_name:(+ann -bob)",
            "given_name:(NOT bob)",
            "app_metadata.roles:(admin AND writer)",
            "name:(zoe OR email:ann*)",
            "given_name: ann",
            "logins_count:([1 TO 3] OR >10)",
        ],
        &["given_name:(bob OR zoe)", "app_metadata.roles:(admin AND boss)", "given_name:(ann AND NOT ann)"],
    );
    // Words in lower case, in quotes or with a colon are no operators.
    check(
        &User { username: Some("or".to_owned()), ..ann.clone() },
        &["or", "\"or\"", "username:or"],
        &["\"OR\"", "AND:x", "and"],
    );
}

fn fault(query: &str) -> String {
    Query::parse(query).map(|query| query.to_string()).unwrap_err().to_string()
}

#[test]
fn a_fault_says_where_it_is_and_what_to_do() {
    for (query, expected) in [
        ("", "at character 1: there is nothing to search for"),
        ("  ", "at character 3: there is nothing to search for"),
        ("name:", "at character 6: there is no value after the colon"),
        ("name:()", "at character 7: there is nothing to search for"),
        ("(name:a", "at character 1: this ( is never closed; add a )"),
        ("name:a)", r"at character 7: this ) closes nothing; write \) to search for it"),
        ("name:\"a", r#"at character 6: this phrase never ends; add a ", or write \" to search for one"#),
        ("a AND", "at character 6: there is no term after AND or OR"),
        ("OR a", "at character 1: there is no term before this AND or OR; put it in quotes to search for it"),
        (
            "a AND OR b",
            "at character 7: there is no term before this AND or OR; put it in quotes to search for it",
        ),
        ("NOT", "at character 4: there is no term after this sign or NOT"),
        ("a -", "at character 4: there is no term after this sign or NOT"),
        (":a", r"at character 1: there is no field before this colon; write \: to search for it"),
        ("na*e:a", r"at character 1: the name of a field has no wildcard; write \* for a star in it"),
        ("*:a", "at character 4: only * can be asked of *; leave the field away to search in all of them"),
        (
            "name:jo?n",
            r"at character 8: ? means nothing here; write \?, or put the term in quotes, to search for it",
        ),
        (
            "name:john~2",
            r"at character 10: ~ means nothing here; write \~, or put the term in quotes, to search for it",
        ),
        ("name:\"john\"~2", "at character 12: phrases are compared as they are; take this away"),
        ("name:/joh?n/", r"at character 6: there are no regular expressions; write \/ to search for a slash"),
        (r"name:a\", r"at character 7: there is nothing after this backslash; write \\ to search for one"),
        ("[1 TO 2]", "at character 1: a range needs a field, as in logins_count:[1 TO 9]"),
        ("name:[a b]", "at character 9: a range is written as [low TO high]; TO is missing here"),
        ("name:[a TO b", "at character 13: a range is written as [low TO high]; its end is missing here"),
        ("name:[a TO ]", "at character 12: a range is written as [low TO high]; a value is missing here"),
        ("logins_count:>", "at character 15: there is no value after this < or >"),
        ("_exists_:a*", "at character 10: _exists_ takes the name of a field"),
        (
            "created_at:yesterday",
            "at character 12: this field is a date: write it as 2018-03-05 or 2018-03-05T09:31:12.481Z, in UTC",
        ),
        (
            "created_at:[now-1d TO *]",
            "at character 12: this field is a date: write it as 2018-03-05 or 2018-03-05T09:31:12.481Z, in UTC",
        ),
        ("logins_count:many", "at character 14: this field is a number"),
        ("email_verified:yes", "at character 16: this field is true or false"),
        ("blocked:[false TO true]", "at character 9: this field is true or false"),
        ("ü AND email:ü [", "at character 15: a range is written as [low TO high]; a value is missing here"),
    ] {
        let expected = if query.ends_with(" [") { expected.replace("15", "16") } else { expected.to_owned() };
        assert_eq!(fault(query), expected, "{query}");
    }
}

#[test]
fn queries_have_bounds() {
    let long = |chars: usize| Query::parse(&"ü".repeat(chars));
    assert!(long(Query::MAX_CHARS).is_ok());
    assert_eq!(long(Query::MAX_CHARS + 1).unwrap_err().at, Query::MAX_CHARS + 1);
    let wide = |terms: usize| Query::parse(&vec!["a"; terms].join(" OR "));
    assert!(wide(Query::MAX_TERMS).is_ok());
    assert_eq!(
        wide(Query::MAX_TERMS + 1).unwrap_err().to_string(),
        "at character 1281: a query has at most 256 terms, ask in several"
    );
    let most = Query::MAX_DEPTH;
    for (open, close) in [("(", ")"), ("NOT ", ""), ("-", "")] {
        let deep = |depth: usize| Query::parse(&format!("{}a{}", open.repeat(depth), close.repeat(depth)));
        assert!(deep(most).is_ok());
        assert!(
            deep(most + 1).unwrap_err().to_string().ends_with("parentheses and NOT may be 20 deep at most")
        );
    }
}

#[test]
fn keys_tell_whom_a_query_can_mean() {
    let keys = |query: &str| Query::parse(query).unwrap().keys();
    let email = |text: &str| UserKey::Email(text.to_owned());
    let id = |text: &str| UserKey::Id(text.parse().unwrap());
    assert_eq!(keys("email:Ann@Example.test"), Some(vec![email("ann@example.test")]));
    assert_eq!(keys("username:Ann"), Some(vec![UserKey::Username("Ann".to_owned())]));
    assert_eq!(keys("user_id:(auth0|a auth0|b)"), Some(vec![id("auth0|a"), id("auth0|b")]));
    assert_eq!(keys("identities.user_id:a"), Some(vec![id("auth0|a")]));
    assert_eq!(keys("user_id:nonsense"), Some(vec![]));
    assert_eq!(
        keys("email:(a OR b) AND username:c AND blocked:true"),
        Some(vec![UserKey::Username("c".to_owned())])
    );
    assert_eq!(keys("email:a -blocked:true"), Some(vec![email("a")]));
    assert_eq!(keys("email:a OR user_id:auth0|b"), Some(vec![email("a"), id("auth0|b")]));
    for query in
        ["email:a OR blocked:true", "NOT email:a", "email:a*", "a", "*", "email:[a TO b]", "-email:a"]
    {
        assert_eq!(keys(query), None, "{query}");
    }
}

#[test]
fn connections_tell_where_a_query_can_lead() {
    let connections = |query: &str| {
        let query = Query::parse(query).unwrap();
        (query.connections().map(|names| names.join(",")), query.is_about_connections_only())
    };
    let some = |names: &str| Some(names.to_owned());
    assert_eq!(connections("identities.connection:a"), (some("a"), true));
    assert_eq!(connections("identities.connection:(\"a\" OR \"b\")"), (some("a,b"), true));
    assert_eq!(connections("identities.connection:a AND blocked:true"), (some("a"), false));
    assert_eq!(connections("identities.connection:a OR blocked:true"), (None, false));
    assert_eq!(connections("NOT identities.connection:a"), (None, false));
    assert_eq!(connections("identities.connection:a*"), (None, false));
    assert_eq!(connections("identities.connection:a AND identities.connection:b"), (some("a"), false));
    assert_eq!(connections("*"), (None, true));
    assert_eq!(connections("*:*"), (None, true));
    assert_eq!(connections("blocked:true"), (None, false));
}

#[test]
fn users_are_sorted_by_any_field_and_stay_in_their_order_where_it_is_the_same() {
    let people: Vec<User> = [("zoe", 3, "10"), ("Bob", 0, "9"), ("ann", 3, "\"a\""), ("Cy", 12, "null")]
        .into_iter()
        .map(|(name, logins, level)| {
            let mut user = user(&format!("{name}@example.test").to_lowercase());
            user.profile.name = Some(name.to_owned());
            user.activity.logins_count = logins;
            user.app_metadata = Some(format!(r#"{{"level":{level}}}"#));
            user
        })
        .collect();
    let order = |sort: &str, most| {
        let (sort, connection) = (Sort::parse(sort).unwrap(), connection("a"));
        let mut best = Best::of(most);
        for user in &people {
            best.offer(sort.key(&user.as_ref(), &connection), || user.name());
        }
        best.into_sorted().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(order("name:1", 9), "ann Bob Cy zoe");
    assert_eq!(order("name:-1", 9), "zoe Cy Bob ann");
    assert_eq!(order("logins_count:1", 9), "zoe ann Cy Bob");
    assert_eq!(order("logins_count:-1", 9), "Cy zoe ann Bob");
    assert_eq!(order("logins_count:-1", 2), "Cy zoe");
    assert_eq!(order("created_at:1", 3), "zoe Bob ann");
    assert_eq!(order("app_metadata.level:1", 9), "Bob zoe ann Cy");
    assert_eq!(order("name:1", 0), "");
    for text in ["", "name", "name:2", "name:", "name:asc", "name:1:1x"] {
        assert_eq!(Sort::parse(text), Err(SortFault::Malformed), "{text}");
    }
    assert_eq!(Sort::parse("nosuch:1"), Err(SortFault::Unknown("nosuch".to_owned())));
    assert!(SortFault::Unknown("x".to_owned()).to_string().contains("created_at"));
}
