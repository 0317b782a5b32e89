//! Listing and searching users.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::{Value, json};

use crate::helpers::{Answer, Form, Server, escape};

/// Users whose addresses are `u0000@example.test` and so on; every third is verified.
fn file(users: usize) -> String {
    let mut file = String::from("[");
    for at in 0..users {
        let comma = if at == 0 { "" } else { "," };
        let (verified, team) = (at % 3 == 0, at % 7);
        write!(
            file,
            r#"{comma}{{"email":"u{at:04}@example.test","email_verified":{verified},"app_metadata":{{"team":"t{team}","rank":{at}}}}}"#
        )
        .unwrap();
    }
    file + "]"
}

const PEOPLE: &str = r#"[
    {"email": "ann@example.test", "email_verified": true, "username": "ann.k",
     "app_metadata": {"plan": "Gold", "roles": ["admin", "writer"], "seats": 15, "empty": {}},
     "user_metadata": {"addresses": [{"city": "Paris"}], "age": 41}},
    {"email": "bob@example.test", "email_verified": false, "app_metadata": {"plan": "Silver", "seats": 3}},
    {"email": "cy@other.test", "email_verified": false, "username": "cy"}
]"#;

fn people() -> Server {
    let server = Server::ephemeral();
    let job = server.import(PEOPLE, false);
    assert_eq!(server.errors(&job), json!([]));
    let ann = server.user("ann@example.test")["user_id"].as_str().unwrap().to_owned();
    let path = format!("/api/v2/users/{}", escape(&ann));
    assert_eq!(server.send("PATCH", &path, &json!({ "blocked": true })).status, 200);
    server
}

fn search(server: &Server, query: &str) -> Answer {
    server.get(&format!("/api/v2/users?q={}", escape(query)))
}

/// The local parts of the addresses of users in a list.
fn names(users: &Value) -> String {
    let users = users.as_array().unwrap_or_else(|| panic!("no list: {users}")).iter();
    users.map(|user| user["email"].as_str().unwrap().split('@').next().unwrap()).collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn check(server: &Server, query: &str, expected: &str) {
    let answer = search(server, query);
    assert_eq!(answer.status, 200, "{query}: {}", answer.text);
    assert_eq!(names(&answer.json()), expected, "{query}");
}

#[test]
fn every_documented_form_of_query_finds_users() {
    let server = people();
    for (query, expected) in [
        (r#"email:"ann@example.test""#, "ann"),
        ("email:ANN@example.test", "ann"),
        ("username:ann.k", "ann"),
        ("username:Ann.K", ""),
        ("name:an*", "ann"),
        ("name:*other.test", "cy"),
        ("nickname:bob", "bob"),
        (r#"email.domain:"example.test""#, "ann bob"),
        ("email_verified:true", "ann"),
        ("NOT _exists_:email_verified OR email_verified:false", "bob cy"),
        ("blocked:true", "ann"),
        ("-blocked:true", "bob cy"),
        ("_exists_:username", "ann cy"),
        ("_exists_:app_metadata.plan", "ann bob"),
        ("_exists_:app_metadata.empty", ""),
        ("app_metadata.plan:\"Gold\"", "ann"),
        ("app_metadata.plan:gold", ""),
        ("app_metadata.roles:\"admin\"", "ann"),
        ("app_metadata.seats:[3 TO 15}", "bob"),
        ("app_metadata.seats:{3 TO *]", "ann"),
        ("user_metadata.addresses.city:\"Paris\"", "ann"),
        ("user_metadata.age:[40 TO 50]", "ann"),
        ("created_at:[2018-01-01 TO *]", "ann bob cy"),
        ("created_at:[* TO 2018-01-01]", ""),
        ("NOT _exists_:last_login", "ann bob cy"),
        ("email:(\"ann@example.test\" OR \"cy@other.test\")", "ann cy"),
        ("email:(\"cy@other.test\" OR \"ann@example.test\") AND blocked:true", "ann"),
        ("identities.connection:\"Username-Password-Authentication\"", "ann bob cy"),
        (
            "identities.connection:\"Username-Password-Authentication\" AND app_metadata.plan:(Gold Silver)",
            "ann bob",
        ),
        ("identities.connection:\"nosuch\"", ""),
        ("identities.provider:auth0", "ann bob cy"),
        ("ann.k", "ann"),
        ("Paris", ""),
        ("nosuch:field", ""),
        ("*", "ann bob cy"),
        ("", "ann bob cy"),
    ] {
        check(&server, query, expected);
    }
    let id = server.user("ann@example.test")["user_id"].as_str().unwrap().to_owned();
    check(&server, &format!("user_id:\"{id}\""), "ann");
    check(&server, &format!("user_id:{}*", &id[..20]), "ann bob cy");
    check(&server, &format!("identities.user_id:{}", &id["auth0|".len()..]), "ann");
}

#[test]
fn a_list_has_the_users_as_they_are_shown_one_by_one() {
    let server = people();
    let bob = server.user("bob@example.test");
    assert_eq!(search(&server, "email:bob@example.test").json(), json!([bob]));
    assert_eq!(server.get("/api/v2/users?per_page=1&page=1").json(), json!([bob]));
    let answer = server.get("/api/v2/users?fields=email,nickname&include_fields=true&q=nickname%3Abob");
    assert_eq!(answer.json(), json!([{ "email": "bob@example.test", "nickname": "bob" }]));
    let others = server
        .get("/api/v2/users?fields=app_metadata,identities&include_fields=false&q=nickname%3Abob")
        .json();
    assert!(others[0]["app_metadata"].is_null() && others[0]["user_id"] == bob["user_id"], "{others}");
}

#[test]
fn pages_are_counted_from_zero_and_may_come_with_totals() {
    let server = Server::ephemeral();
    server.import(&file(130), false);
    let get = |query: &str| server.get(&format!("/api/v2/users?{query}")).json();
    assert_eq!(get("").as_array().unwrap().len(), 50);
    assert_eq!(get("per_page=100").as_array().unwrap().len(), 100);
    assert_eq!(names(&get("per_page=2&page=3")), "u0006 u0007");
    assert_eq!(get("page=3"), json!([]));
    let head = |mut answer: Value| {
        let users = answer.as_object_mut().unwrap().remove("users").unwrap();
        (users.as_array().unwrap().len(), answer)
    };
    for (query, length, total) in [
        ("page=0", 50, 130),
        ("page=2", 30, 130),
        ("page=3", 0, 130),
        ("page=2&sort=email%3A-1", 30, 130),
        ("q=email_verified%3Atrue", 44, 44),
        ("q=app_metadata.rank%3A%5B10%20TO%20109%5D&page=1", 50, 100),
        ("q=app_metadata.rank%3A%5B10%20TO%20109%5D&page=1&sort=email%3A1", 50, 100),
        ("q=identities.connection%3AUsername-Password-Authentication&page=2", 30, 130),
        ("q=email%3Au0001%40example.test", 1, 1),
        ("q=username%3Anobody", 0, 0),
    ] {
        let page = query.split("page=").nth(1).map_or(0, |rest| rest[..1].parse().unwrap());
        let expected = json!({ "start": page * 50, "limit": 50, "length": length, "total": total });
        assert_eq!(head(get(&format!("{query}&include_totals=true"))), (length, expected), "{query}");
    }
    let connection = server.connection_id();
    let delete = format!("/api/v2/connections/{connection}/users?email=u0007%40example.test");
    assert_eq!(
        server
            .request("DELETE", &delete, &[("authorization", &format!("Bearer {}", server.token))], b"")
            .status,
        204
    );
    assert_eq!(get("include_totals=true&per_page=1")["total"], 129);
    assert_eq!(names(&get("per_page=2&page=3")), "u0006 u0008");
}

#[test]
fn users_come_in_the_order_asked_for() {
    let server = Server::ephemeral();
    server.import(&file(300), false);
    let get = |query: &str| names(&server.get(&format!("/api/v2/users?{query}")).json());
    assert_eq!(get("sort=email%3A-1&per_page=3"), "u0299 u0298 u0297");
    assert_eq!(get("sort=email%3A-1&per_page=3&page=1"), "u0296 u0295 u0294");
    assert_eq!(get("sort=app_metadata.rank%3A-1&per_page=2"), "u0299 u0298");
    assert_eq!(get("sort=app_metadata.team%3A-1&per_page=2"), "u0006 u0013");
    assert_eq!(get("sort=created_at%3A1&per_page=2&primary_order=true"), "u0000 u0001");
    assert_eq!(get("sort=email%3A-1&per_page=2&q=email_verified%3Atrue"), "u0297 u0294");
    assert_eq!(
        get("sort=email%3A-1&q=email%3A(u0001%40example.test%20OR%20u0002%40example.test)"),
        "u0002 u0001"
    );
    let refusal = |sort: &str| {
        let answer = server.get(&format!("/api/v2/users?sort={}", escape(sort)));
        assert_eq!((answer.status, &answer.json()["errorCode"]), (400, &json!("invalid_query_string")));
        answer.json()["message"].as_str().unwrap().to_owned()
    };
    assert_eq!(
        refusal("email"),
        "Query validation error: 'Expected <field>:1, or <field>:-1 for the other direction' on property sort."
    );
    assert!(
        refusal("nosuch:1").starts_with(
            "Query validation error: 'No enum match for: nosuch (expected one of user_id, email, "
        )
    );
}

#[test]
fn a_search_in_one_connection_shows_no_other() {
    let server = Server::with_two_connections();
    for (connection, host) in [("con_0000000000000001", "one"), ("con_0000000000000002", "two")] {
        let row = |email: &str| json!({ "email": email, "email_verified": true });
        let file = json!([row(&format!("a@{host}.test")), row("both@example.test")]).to_string();
        let job = server.upload(&Form::import(connection, &file, false)).json();
        let job = server.wait(job["id"].as_str().unwrap());
        assert_eq!(server.errors(&job), json!([]));
    }
    let found = |query: &str| {
        let answer = server.get(&format!("/api/v2/users?include_totals=true&q={}", escape(query))).json();
        let users = answer["users"].as_array().unwrap();
        assert_eq!(answer["total"], users.len());
        let of = |user: &Value| {
            format!(
                "{}/{}",
                user["identities"][0]["connection"].as_str().unwrap(),
                user["nickname"].as_str().unwrap()
            )
        };
        users.iter().map(of).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(found("identities.connection:\"one\""), "one/a one/both");
    assert_eq!(found("identities.connection:\"two\" AND nickname:b*"), "two/both");
    assert_eq!(found("identities.connection:(one two)"), "one/a one/both two/a two/both");
    assert_eq!(found("identities.connection:one OR nickname:both"), "one/a one/both two/both");
    assert_eq!(found("email:both@example.test"), "one/both two/both");
    assert_eq!(found("email:both@example.test AND identities.connection:two"), "two/both");
    assert_eq!(found("NOT identities.connection:one"), "two/a two/both");
}

#[test]
fn nobody_pages_beyond_the_first_thousand() {
    let server = Server::ephemeral();
    server.import(&file(1100), false);
    for query in ["", "&q=email_verified%3Afalse", "&sort=email%3A1"] {
        let last = server.get(&format!("/api/v2/users?per_page=100&page=9&include_totals=true{query}"));
        assert_eq!(last.status, 200, "{}", last.text);
        let expected = if query.contains("q=") { 733 } else { 1100 };
        assert_eq!(last.json()["total"], expected);
        for page in ["per_page=100&page=10", "page=20", "per_page=99&page=10", "page=10000000"] {
            server.get(&format!("/api/v2/users?{page}{query}")).assert_refusal(
                400,
                "Bad Request",
                "You can only page through the first 1000 records. See POST /api/v2/jobs/users-exports for all of them.",
                "invalid_paging",
            );
        }
    }
    assert_eq!(server.get("/api/v2/users?per_page=40&page=24").status, 200);
    assert_eq!(server.get("/api/v2/users?per_page=41&page=24").status, 400);
}

#[test]
fn what_cannot_be_searched_is_refused_with_advice() {
    let server = people();
    let refusal = |query: &str| {
        let answer = server.get(&format!("/api/v2/users?{query}"));
        assert_eq!(answer.status, 400, "{query}: {}", answer.text);
        let body = answer.json();
        (body["message"].as_str().unwrap().to_owned(), body["errorCode"].as_str().unwrap().to_owned())
    };
    let invalid = |message: &str| (message.to_owned(), "invalid_query_string".to_owned());
    assert_eq!(
        refusal(&format!("q={}", escape("name:(ann OR "))),
        invalid("Query validation error: 'at character 14: there is no term after AND or OR' on property q.")
    );
    assert_eq!(
        refusal(&format!("q={}", escape("name:*hn"))),
        invalid(
            "Query validation error: 'at character 6: a pattern that begins with * needs 3 characters at least' on property q."
        )
    );
    assert_eq!(
        refusal("search_engine=v4&q=a"),
        invalid("Query validation error: 'No enum match for: v4' on property search_engine.")
    );
    assert_eq!(
        refusal("search_engine=v1").0,
        "You are not allowed to use search_engine=v1. Use search_engine=v3."
    );
    assert_eq!(
        refusal("search_engine=v2&q=a").0,
        "You are not allowed to use search_engine=v2. Use search_engine=v3."
    );
    assert_eq!(
        refusal("connection=staff-db"),
        invalid(
            "The connection parameter is not supported by search_engine=v3. Use q=identities.connection:\"<name>\"."
        )
    );
    assert!(refusal("per_page=101").0.contains("greater than maximum 100"));
    assert!(refusal("page=-1").0.contains("less than minimum 0"));
    assert!(refusal("include_totals=maybe").0.contains("Expected type boolean"));
    let long = |chars: usize| server.get(&format!("/api/v2/users?q={}", escape(&"ü".repeat(chars))));
    assert_eq!(long(10_000).status, 200);
    assert!(long(10_001).json()["message"].as_str().unwrap().contains("at most 10000 characters"));
    // These are sent by some, and mean nothing here.
    for query in [
        "search_engine=v3&q=nickname%3Abob",
        "primary_order=false&take=1&from=x&q=nickname%3Abob&connection=",
        "q=+nickname%3Abob",
    ] {
        assert_eq!(names(&server.get(&format!("/api/v2/users?{query}")).json()), "bob", "{query}");
    }
}

#[test]
fn only_readers_of_users_may_list_them() {
    let server = people();
    let token = server.token_for("create:users read:connections");
    server.get_as("/api/v2/users", &token).assert_refusal(
        403,
        "Forbidden",
        "Insufficient scope, expected any of: read:users",
        "insufficient_scope",
    );
    assert_eq!(server.request("GET", "/api/v2/users", &[], b"").status, 401);
    assert_eq!(server.get_as("/api/v2/users", &server.token_for("read:users")).status, 200);
}

#[test]
fn a_search_that_takes_too_long_is_refused_and_what_needs_no_search_is_not() {
    // Nobody looks at so many in a thousandth of a second.
    let settings = [("INTAKE_SEARCH_TIMEOUT", "1ms"), ("INTAKE_IMPORT_MAX_FILE_SIZE", "10MB")];
    let server = Server::ephemeral_with(&settings);
    assert_eq!(server.import(&file(50_000), false)["summary"]["inserted"], 50_000);
    let message = "The query exceeded the timeout. Please try refining your search criteria. See the setting \
                   search.timeout; POST /api/v2/jobs/users-exports gives all users however many they are.";
    for query in [
        "q=app_metadata.team%3A%22nosuch%22",
        "sort=email%3A1",
        "q=email_verified%3Atrue&include_totals=true",
    ] {
        let answer = server.get(&format!("/api/v2/users?{query}"));
        answer.assert_refusal(503, "Service Unavailable", message, "");
        assert_eq!(answer.header("retry-after"), "5");
    }
    let users =
        |query: &str| server.get(&format!("/api/v2/users?include_totals=true&q={}", escape(query))).json();
    assert_eq!(users("email:u49999@example.test AND app_metadata.rank:49999")["length"], 1);
    assert_eq!(server.user("u49999@example.test")["app_metadata"]["rank"], 49_999);
}

/// Tells others that it is over, however that comes about.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn others_are_answered_while_everybody_is_looked_at() {
    let settings = [
        ("INTAKE_SEARCH_TIMEOUT", "50ms"),
        ("INTAKE_SEARCH_MAX_CONCURRENT", "1"),
        ("INTAKE_IMPORT_MAX_FILE_SIZE", "10MB"),
    ];
    let server = Server::ephemeral_with(&settings);
    server.import(&file(50_000), false);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let over = Over(&done);
        let searchers: Vec<_> = (0..6)
            .map(|_| {
                scope.spawn(|| {
                    let mut refused = 0;
                    while !done.load(Ordering::Relaxed) {
                        let answer = search(&server, "app_metadata.team:nosuch OR user_metadata.a.b:c*");
                        assert!([200, 503].contains(&answer.status), "{}", answer.text);
                        refused += usize::from(answer.status == 503);
                    }
                    refused
                })
            })
            .collect();
        for at in 0..10 {
            assert_eq!(server.user(&format!("u{at:04}@example.test"))["app_metadata"]["rank"], at);
            let job = server
                .import(&format!(r#"[{{"email":"new{at}@example.test","email_verified":true}}]"#), false);
            assert_eq!(job["summary"]["inserted"], 1);
        }
        drop(over);
        let refused: usize = searchers.into_iter().map(|searcher| searcher.join().unwrap()).sum();
        assert!(refused > 0, "they did not have to wait for one another");
    });
    assert_eq!(server.get("/api/v2/users?include_totals=true&per_page=1").json()["total"], 50_010);
}
