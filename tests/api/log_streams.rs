//! Log streams: events arrive at a real receiver, in order and none missing, whatever happens to either side.

use std::borrow::Borrow;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use intake::domain::Timestamp;
use intake::store::{Ages, Sweep};
use serde_json::{Value, json};

use crate::helpers::{Answer, Form, Server, open_store, until};
use crate::receiver::{EAGER, Receiver, SECRET, items, once};

const STREAMS: &str = "/api/v2/log-streams";

/// Starts a receiver, or ends the test where its tools are missing.
macro_rules! receiver {
    () => {
        match Receiver::start() {
            Some(receiver) => receiver,
            None => return,
        }
    };
}

fn call_as(server: &Server, token: &str, method: &str, path: &str, body: &Value) -> Answer {
    let token = format!("Bearer {token}");
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let headers = [("authorization", &*token), ("content-type", "application/json")];
    server.request(method, path, &headers, body.as_bytes())
}

fn call(server: &Server, method: &str, path: &str, body: &Value) -> Answer {
    call_as(server, &server.token, method, path, body)
}

#[track_caller]
fn create(server: &Server, body: &Value) -> Value {
    let answer = call(server, "POST", STREAMS, body);
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

/// A stream of these types of events.
fn stream(url: &str, types: &[&str]) -> Value {
    let filters: Vec<Value> = types.iter().map(|name| json!({ "type": "event", "name": name })).collect();
    json!({ "name": "one", "type": "http", "sink": { "httpEndpoint": url }, "filters": filters })
}

fn path(stream: &Value) -> String {
    format!("{STREAMS}/{}", stream["id"].as_str().unwrap())
}

fn show(server: &Server, stream: &Value) -> Value {
    server.get(&path(stream)).json()
}

#[track_caller]
fn patch(server: &Server, stream: &Value, body: impl Borrow<Value>) -> Value {
    let answer = call(server, "PATCH", &path(stream), body.borrow());
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

/// Makes so many `fapi` events.
fn fail(server: &Server, count: usize) {
    for _ in 0..count {
        assert_eq!(call(server, "POST", STREAMS, &json!({})).status, 400);
    }
}

/// All events of a type in the log of a directory that no server has open.
fn logged(directory: &Path, code: &str) -> Vec<String> {
    let events = open_store(directory).events_from(0, usize::MAX).unwrap();
    let wanted = events.into_iter().filter(|(_, logged)| logged.event.r#type.code() == code);
    wanted.map(|(_, logged)| logged.log_id).collect()
}

#[test]
fn a_stream_is_made_shown_changed_and_deleted() {
    let server = Server::ephemeral_with(EAGER);
    assert_eq!(server.get(STREAMS).json(), json!([]));
    let asked = json!({
        "name": "imports", "type": "http", "isPriority": false, "pii_config": null,
        "sink": {
            "httpEndpoint": "http://127.0.0.1:1/hook", "httpAuthorization": "Bearer hush",
            "httpContentType": "application/x-ndjson", "httpContentFormat": "JSONARRAY",
            "httpCustomHeaders": [{ "header": "x-team", "value": "growth" }],
            "httpBatchSize": 7, "httpSigningSecret": SECRET,
        },
        "filters": [{ "type": "category", "name": "user.success" }, { "type": "event", "name": "fui" }],
    });
    let made = create(&server, &asked);
    let id = made["id"].as_str().unwrap();
    assert!(id.len() == 20 && id.starts_with("lst_"), "{id}");
    let mut expected = json!({
        "id": id, "name": "imports", "type": "http", "status": "active",
        "sink": {
            "httpEndpoint": "http://127.0.0.1:1/hook", "httpAuthorization": "********",
            "httpContentType": "application/x-ndjson", "httpContentFormat": "JSONARRAY",
            "httpCustomHeaders": [{ "header": "x-team", "value": "growth" }],
            "httpBatchSize": 7, "httpSigningSecret": "********",
        },
        "filters": [{ "type": "category", "name": "user.success" }, { "type": "event", "name": "fui" }],
        "isPriority": false,
        "delivery": {
            "waiting": 0, "delivered": 0, "lost": 0, "attempts": 0,
            "failing_since": null, "last_error": null, "last_delivery_at": null,
        },
    });
    assert_eq!(made, expected);
    assert_eq!((show(&server, &made), server.get(STREAMS).json()), (expected.clone(), json!([expected])));

    let changed = patch(&server, &made, json!({ "name": "all", "status": "paused", "filters": [] }));
    expected["name"] = "all".into();
    expected["status"] = "paused".into();
    expected["filters"] = json!([]);
    expected["delivery"]["waiting"] = changed["delivery"]["waiting"].clone();
    assert_eq!(changed, expected);
    assert!(changed["delivery"]["waiting"].as_u64() >= Some(1), "{changed}");
    assert_eq!(patch(&server, &made, json!({}))["name"], "all");

    for _ in 0..2 {
        let answer = call(&server, "DELETE", &path(&made), &Value::Null);
        assert_eq!((answer.status, &*answer.text), (204, ""));
    }
    let gone = "The log stream does not exist.";
    server.get(&path(&made)).assert_refusal(404, "Not Found", gone, "");
    call(&server, "PATCH", &path(&made), &json!({})).assert_refusal(404, "Not Found", gone, "");
    assert_eq!(server.get(STREAMS).json(), json!([]));
    let malformed = format!("{STREAMS}/lst_1");
    for method in ["GET", "PATCH"] {
        call(&server, method, &malformed, &json!({})).assert_refusal(404, "Not Found", gone, "");
    }
    assert_eq!(call(&server, "DELETE", &malformed, &Value::Null).status, 204);
    for method in ["GET", "PATCH", "DELETE"] {
        assert_eq!(server.request(method, &malformed, &[], b"").status, 401, "{method}");
    }
}

#[test]
fn a_sink_is_replaced_but_its_secrets_stay_unless_they_would_be_led_out() {
    let server = Server::ephemeral_with(EAGER);
    let mut asked = stream("http://127.0.0.1:1/a", &["sui"]);
    asked["sink"]["httpAuthorization"] = "Bearer hush".into();
    asked["sink"]["httpSigningSecret"] = "generate".into();
    asked["sink"]["httpBatchSize"] = 5.into();
    let made = create(&server, &asked);
    let secret = made["sink"]["httpSigningSecret"].as_str().unwrap();
    assert!(secret.starts_with("whsec_") && secret.len() == 50, "{secret}");
    assert_eq!(show(&server, &made)["sink"]["httpSigningSecret"], "********");

    let sink = |endpoint: &str, more: Value| {
        let mut sink = more;
        sink["httpEndpoint"] = endpoint.into();
        json!({ "sink": sink })
    };
    let changed = patch(&server, &made, sink("http://127.0.0.1:1/b", json!({})));
    let expected = json!({
        "httpEndpoint": "http://127.0.0.1:1/b", "httpAuthorization": "********",
        "httpContentType": "application/json", "httpContentFormat": "JSONLINES",
        "httpCustomHeaders": [], "httpBatchSize": 100, "httpSigningSecret": "********",
    });
    assert_eq!(changed["sink"], expected);
    // What an answer showed can be sent back.
    assert_eq!(patch(&server, &made, json!({ "sink": expected }))["sink"], expected);

    let refused = "Payload validation error: 'httpAuthorization has to be given again (or null) when \
                   httpEndpoint leads elsewhere' on property sink.";
    for more in [json!({}), json!({ "httpAuthorization": "********" })] {
        let answer = call(&server, "PATCH", &path(&made), &sink("http://127.0.0.1:2/b", more));
        answer.assert_refusal(400, "Bad Request", refused, "invalid_body");
    }
    let without = json!({ "httpAuthorization": null, "httpSigningSecret": null });
    let changed = patch(&server, &made, sink("http://127.0.0.1:2/b", without));
    assert_eq!(
        (changed["sink"].get("httpAuthorization"), changed["sink"].get("httpSigningSecret")),
        (None, None)
    );
    let changed =
        patch(&server, &made, sink("http://127.0.0.1:3/b", json!({ "httpSigningSecret": "generate" })));
    assert!(changed["sink"]["httpSigningSecret"].as_str().unwrap().starts_with("whsec_"));
}

#[test]
fn each_operation_needs_its_scope() {
    let server = Server::ephemeral_with(EAGER);
    let made = create(&server, &stream("http://127.0.0.1:1/", &[]));
    let (one, body) = (path(&made), stream("http://127.0.0.1:1/", &[]));
    let all = "create:log_streams read:log_streams update:log_streams delete:log_streams";
    let calls = [
        ("POST", STREAMS, &body, "create:log_streams", 200),
        ("GET", STREAMS, &Value::Null, "read:log_streams", 200),
        ("GET", &*one, &Value::Null, "read:log_streams", 200),
        ("PATCH", &*one, &json!({ "name": "two" }), "update:log_streams", 200),
        ("DELETE", &*one, &Value::Null, "delete:log_streams", 204),
    ];
    for (method, path, body, scope, status) in calls {
        let others: Vec<&str> = all.split(' ').filter(|other| *other != scope).collect();
        let answer = call_as(&server, &server.token_for(&others.join(" ")), method, path, body);
        let words = format!("Insufficient scope, expected any of: {scope}");
        answer.assert_refusal(403, "Forbidden", &words, "insufficient_scope");
        assert_eq!(call_as(&server, &server.token_for(scope), method, path, body).status, status, "{scope}");
        let answer = server.request(method, path, &[], b"");
        answer.assert_refusal(401, "Unauthorized", "Missing authentication", "");
    }
    let answer = call(&server, "PUT", STREAMS, &body);
    answer.assert_refusal(
        405,
        "Method Not Allowed",
        "Method Not Allowed, expected GET, HEAD, POST, OPTIONS",
        "",
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn a_body_that_breaks_a_rule_is_refused_by_the_rule() {
    let server = Server::ephemeral_with(EAGER);
    let good = stream("http://127.0.0.1:1/", &[]);
    let with = |pointer: &str, value: Value| {
        let mut body = good.clone();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        body.pointer_mut(parent).unwrap()[name] = value;
        body
    };
    let without = |name: &str| {
        let mut body = good.clone();
        body.as_object_mut().unwrap().remove(name);
        body
    };
    let headers = |count: usize| json!(vec![json!({ "header": "x-a", "value": "b" }); count]);
    let filters = |count: usize| json!(vec![json!({ "type": "event", "name": "sui" }); count]);
    let long = |length: usize| json!("x".repeat(length));
    let endpoint = |length: usize| json!(format!("http://127.0.0.1:1/{}", "x".repeat(length - 19)));
    let cases = [
        (json!([]), "'Expected type object but found type array'"),
        (without("name"), "'Missing required property: name'"),
        (without("type"), "'Missing required property: type'"),
        (without("sink"), "'Missing required property: sink'"),
        (with("/sink", json!({})), "'Missing required property: httpEndpoint' on property sink"),
        (with("/names", json!(1)), "'Additional properties not allowed: names'"),
        (with("/sink/httpx", json!(1)), "'Additional properties not allowed: httpx' on property sink"),
        (with("/status", json!("active")), "'Additional properties not allowed: status'"),
        (with("/type", json!("splunk")), "'No enum match for: splunk' on property type"),
        (with("/name", json!("")), "'String is too short (0 chars), minimum 1' on property name"),
        (with("/name", long(256)), "'String is too long (256 chars), maximum 255' on property name"),
        (
            with("/isPriority", json!(1)),
            "'Expected type boolean but found type integer' on property isPriority",
        ),
        (
            with("/pii_config", json!({ "log_fields": ["first_name"] })),
            "'Not supported: events are sent as they are' on property pii_config",
        ),
        (
            with("/startFrom", json!("yesterday")),
            "'Object didn't pass validation for format date-time: yesterday' on property startFrom",
        ),
        (
            with("/sink/httpEndpoint", json!("acme.test")),
            "'expected an https:// URL' on property sink.httpEndpoint",
        ),
        (
            with("/sink/httpEndpoint", endpoint(2049)),
            "(2049 chars), maximum 2048' on property sink.httpEndpoint",
        ),
        (
            with("/sink/httpEndpoint", json!("https://ann:hush@acme.test/")),
            "without user name and password; there is an authorization header' on property sink.httpEndpoint",
        ),
        (with("/sink/httpContentFormat", json!("JSON")), "'No enum match for: JSON'"),
        (with("/sink/httpContentType", json!("a\nb")), "on property sink.httpContentType"),
        (with("/sink/httpAuthorization", json!("hush\r\nx: y")), "on property sink.httpAuthorization"),
        (with("/sink/httpAuthorization", long(4097)), "on property sink.httpAuthorization"),
        (with("/sink/httpSigningSecret", json!("hush")), "on property sink.httpSigningSecret"),
        (with("/sink/httpBatchSize", json!(0)), "'Value 0 is less than minimum 1'"),
        (with("/sink/httpBatchSize", json!(1001)), "'Value 1001 is greater than maximum 1000'"),
        (with("/sink/httpCustomHeaders", headers(21)), "'Array is too long (21), maximum 20'"),
        (
            with("/sink/httpCustomHeaders", json!([{ "header": "Host", "value": "a" }])),
            "'is a header the server writes itself' on property sink.httpCustomHeaders[0].header",
        ),
        (
            with("/sink/httpCustomHeaders", json!([{ "header": "a" }])),
            "'Missing required property: value' on property sink.httpCustomHeaders[0]",
        ),
        (with("/filters", filters(51)), "'Array is too long (51), maximum 50' on property filters"),
        (
            with("/filters", json!([{ "type": "event", "name": "suis" }])),
            "'No enum match for: suis' on property filters[0].name",
        ),
        (
            with("/filters", json!([{ "type": "category", "name": "sui" }])),
            "'No enum match for: sui' on property filters[0].name",
        ),
        (with("/filters", json!([{ "type": "x", "name": "sui" }])), "'No enum match for: x'"),
    ];
    for (body, expected) in cases {
        let answer = call(&server, "POST", STREAMS, &body);
        let message = answer.json()["message"].as_str().unwrap().to_owned();
        assert_eq!((answer.status, &answer.json()["errorCode"]), (400, &json!("invalid_body")), "{message}");
        assert!(
            message.starts_with("Payload validation error: '") && message.contains(expected),
            "{message}"
        );
        assert!(!message.contains("hush"), "{message}");
    }
    assert_eq!(server.get(STREAMS).json(), json!([]));
    let least = [
        with("/name", long(255)),
        with("/sink/httpEndpoint", endpoint(2048)),
        with("/sink/httpAuthorization", long(4096)),
        with("/sink/httpBatchSize", json!(1)),
        with("/sink/httpBatchSize", json!(1000)),
        with("/sink/httpCustomHeaders", headers(20)),
        with("/filters", filters(50)),
    ];
    for body in least {
        let made = create(&server, &body);
        for status in ["suspended", "gone"] {
            let answer = call(&server, "PATCH", &path(&made), &json!({ "status": status }));
            let words =
                format!("Payload validation error: 'No enum match for: {status}' on property status.");
            answer.assert_refusal(400, "Bad Request", &words, "invalid_body");
        }
        call(&server, "DELETE", &path(&made), &Value::Null);
    }
}

#[test]
fn targets_that_are_not_public_are_refused_unless_the_setting_allows_them() {
    let server = Server::ephemeral();
    let private = "the host is or resolves to a private, loopback or link-local address; that needs the \
                   setting webhooks.allow_private_targets";
    let plain = "expected an https:// URL; plain http needs the setting webhooks.allow_private_targets";
    let cases = [
        ("https://127.0.0.1:1/", private),
        ("https://localhost:1/", private),
        ("https://[::1]/", private),
        ("https://10.1.2.3/", private),
        ("https://169.254.169.254/latest", private),
        ("https://2130706433/", private),
        ("http://127.0.0.1:1/", plain),
        ("http://1.1.1.1/", plain),
    ];
    let made = create(&server, &stream("https://receiver.invalid/", &["sui"]));
    for (url, words) in cases {
        let words = format!("Payload validation error: '{words}' on property sink.httpEndpoint.");
        let answer = call(&server, "POST", STREAMS, &stream(url, &[]));
        answer.assert_refusal(400, "Bad Request", &words, "invalid_body");
        let answer = call(&server, "PATCH", &path(&made), &json!({ "sink": { "httpEndpoint": url } }));
        answer.assert_refusal(400, "Bad Request", &words, "invalid_body");
    }
    let server = Server::ephemeral_with(EAGER);
    for (url, _) in cases.iter().filter(|(url, _)| !url.contains("1.1.1.1")) {
        let made = create(&server, &stream(url, &["sui"]));
        call(&server, "DELETE", &path(&made), &Value::Null);
    }
}

#[test]
fn there_are_no_more_streams_than_the_setting_allows() {
    let settings = [EAGER, &[("INTAKE_WEBHOOKS_MAX_STREAMS", "2")]].concat();
    let server = Server::ephemeral_with(&settings);
    let body = stream("http://127.0.0.1:1/", &["sui"]);
    let first = create(&server, &body);
    create(&server, &body);
    let words = "There are 2 log streams already, as many as webhooks.max_streams allows.";
    call(&server, "POST", STREAMS, &body).assert_refusal(409, "Conflict", words, "");
    call(&server, "DELETE", &path(&first), &Value::Null);
    create(&server, &body);
}

#[test]
fn each_format_comes_as_documented_with_all_its_headers() {
    let receiver = receiver!();
    let server = Server::ephemeral_with(EAGER);
    for (format, per_request) in [("JSONLINES", 3), ("JSONARRAY", 3), ("JSONOBJECT", 1)] {
        let mut asked = stream(&format!("{}/{format}?key=1", receiver.url()), &["fapi"]);
        asked["sink"]["httpContentFormat"] = format.into();
        asked["sink"]["httpContentType"] = "application/x-events".into();
        asked["sink"]["httpAuthorization"] = "Bearer hush".into();
        asked["sink"]["httpCustomHeaders"] = json!([{ "header": "X-Team", "value": "growth" }]);
        asked["sink"]["httpBatchSize"] = 3.into();
        asked["sink"]["httpSigningSecret"] = SECRET.into();
        let made = create(&server, &asked);
        // Paused meanwhile, so that batches fill.
        patch(&server, &made, json!({ "status": "paused" }));
        fail(&server, 6);
        patch(&server, &made, json!({ "status": "active" }));
        let path = format!("/hook/{format}?key=1");
        let requests = until("the requests", || {
            let mut requests = receiver.treated("ok");
            requests.retain(|request| request["path"] == path);
            (requests.len() == 6 / per_request).then_some(requests)
        });
        for request in &requests {
            let headers = &request["headers"];
            assert_eq!(headers["content-type"], "application/x-events");
            assert_eq!(headers["authorization"], "Bearer hush");
            assert_eq!(headers["x-team"], "growth");
            assert_eq!(headers["user-agent"], concat!("intake/", env!("CARGO_PKG_VERSION")));
            assert_eq!(request["signature"], "good", "{request}");
            let body = request["body"].as_str().unwrap();
            match format {
                "JSONLINES" => assert!(body.ends_with("}\n") && body.lines().count() == 3, "{body}"),
                "JSONARRAY" => assert!(body.starts_with("[{") && body.ends_with("}]"), "{body}"),
                _ => assert!(body.starts_with("{\"log_id\":\"900"), "{body}"),
            }
            let items = items(request);
            assert_eq!(items.len(), per_request);
            for item in items {
                assert_eq!(item.as_object().unwrap().len(), 2, "{item}");
                assert_eq!(
                    (&item["log_id"], &item["data"]["type"]),
                    (&item["data"]["log_id"], &json!("fapi"))
                );
                assert_eq!(item["data"]["description"], "Create a Log Stream");
            }
        }
        let ids: BTreeSet<&str> =
            requests.iter().map(|request| request["headers"]["webhook-id"].as_str().unwrap()).collect();
        assert_eq!(ids.len(), requests.len());
        call(&server, "DELETE", &self::path(&made), &Value::Null);
    }
}

#[test]
fn a_signature_by_another_secret_is_not_good_and_without_a_secret_there_is_none() {
    let receiver = receiver!();
    let server = Server::ephemeral_with(EAGER);
    let mut asked = stream(&receiver.url(), &["fapi"]);
    asked["sink"]["httpSigningSecret"] = "whsec_OTg3NjU0MzIxMGFiY2RlZjAxMjM0NTY3".into();
    let made = create(&server, &asked);
    fail(&server, 1);
    receiver.wait_for(1);
    patch(&server, &made, json!({ "sink": { "httpEndpoint": receiver.url(), "httpSigningSecret": null } }));
    fail(&server, 1);
    receiver.wait_for(2);
    let signatures: Vec<Value> = receiver.requests().iter().map(|it| it["signature"].clone()).collect();
    assert_eq!(signatures, ["No matching signature found", "Missing required headers"]);
    assert_eq!(receiver.requests()[1]["headers"].get("webhook-id"), None);
}

#[test]
fn filters_choose_by_type_and_category_and_events_begin_where_the_stream_does() {
    let receiver = receiver!();
    let server = Server::ephemeral_with(EAGER);
    fail(&server, 2);
    let types = |prefix: &str| -> Vec<String> {
        let mut requests = receiver.treated("ok");
        requests.retain(|request| request["path"].as_str().unwrap().ends_with(prefix));
        let items = requests.iter().flat_map(items);
        items.map(|item| item["data"]["type"].as_str().unwrap().to_owned()).collect()
    };
    let url = |name: &str| format!("{}/{name}", receiver.url());
    create(&server, &stream(&url("all"), &[]));
    create(&server, &stream(&url("fapi"), &["fapi"]));
    let mut asked = stream(&url("category"), &["sui", "fui"]);
    asked["filters"].as_array_mut().unwrap().push(json!({ "type": "category", "name": "management.fail" }));
    create(&server, &asked);
    let mut asked = stream(&url("early"), &["fapi"]);
    asked["startFrom"] = "2020-01-01T00:00:00.000Z".into();
    create(&server, &asked);
    let mut asked = stream(&url("late"), &["fapi"]);
    asked["startFrom"] = "2099-01-01T00:00:00.000Z".into();
    create(&server, &asked);
    fail(&server, 3);
    let got = |prefix: &str, expected: &[&str]| {
        until(prefix, || (types(prefix) == expected).then_some(()));
    };
    // The first of all tells of the stream itself.
    got("all", &["sapi", "sapi", "sapi", "sapi", "sapi", "fapi", "fapi", "fapi"]);
    got("fapi", &["fapi"; 3]);
    got("category", &["fapi"; 3]);
    got("early", &["fapi"; 5]);
    got("late", &["fapi"; 3]);

    let all = receiver.taken();
    let mut early: Vec<&Value> = all.iter().map(|item| &item["data"]).collect();
    early.retain(|data| data["type"] == "fapi");
    early.sort_by_key(|data| data["log_id"].as_str());
    early.dedup();
    let since = early[3]["date"].as_str().unwrap();
    let count = early.iter().filter(|data| since <= data["date"].as_str().unwrap()).count();
    let mut asked = stream(&url("middle"), &["fapi"]);
    asked["startFrom"] = since.into();
    create(&server, &asked);
    got("middle", &vec!["fapi"; count]);
}

#[test]
fn a_receiver_that_fails_gets_every_event_in_order_when_it_is_back() {
    let mut receiver = receiver!();
    let directory = tempfile::tempdir().unwrap();
    let server = Server::on(directory.path(), EAGER);
    let mut asked = stream(&receiver.url(), &["fapi"]);
    asked["sink"]["httpBatchSize"] = 4.into();
    asked["sink"]["httpSigningSecret"] = SECRET.into();
    let made = create(&server, &asked);
    let mut count = 0;
    let faults = [
        ("500", "the receiver answered 500 Internal Server Error"),
        ("404", "the receiver answered 404 Not Found"),
        ("redirect", "the receiver answered 307 Temporary Redirect; redirects are not followed"),
        ("hang", "the receiver did not answer within 1s"),
        ("drop", "no connection to the receiver: "),
        ("gone", "no connection to the receiver: "),
    ];
    for (mode, words) in faults {
        if mode == "gone" {
            receiver.go();
        } else {
            receiver.treat(mode);
        }
        fail(&server, 7);
        let failing = until(words, || {
            let delivery = show(&server, &made)["delivery"].clone();
            let error = delivery["last_error"].as_str().unwrap_or_default();
            (error.starts_with(words) && delivery["attempts"].as_u64() > Some(2)).then_some(delivery)
        });
        assert!(failing["failing_since"].is_string(), "{failing}");
        assert_eq!((&failing["waiting"], &failing["delivered"]), (&json!(7), &json!(count)), "{mode}");
        if mode == "gone" {
            receiver.come(&[]);
        } else {
            receiver.treat("ok");
        }
        count += 7;
        receiver.wait_for(count);
        let well = until("a stream without failures", || {
            let delivery = show(&server, &made)["delivery"].clone();
            (delivery["waiting"] == 0).then_some(delivery)
        });
        assert_eq!((&well["attempts"], &well["failing_since"]), (&json!(0), &Value::Null), "{well}");
        assert_eq!((&well["delivered"], &well["lost"]), (&json!(count), &json!(0)));
    }
    assert_eq!(receiver.requests().iter().filter(|request| request["path"] != "/hook").count(), 0);
    // The same content has the same id, every time it is sent.
    let mut contents = BTreeSet::new();
    let mut names = BTreeSet::new();
    for request in receiver.requests() {
        let id = request["headers"]["webhook-id"].as_str().unwrap().to_owned();
        assert_eq!(request["signature"], "good");
        contents.insert((id.clone(), request["body"].to_string()));
        names.insert(id);
    }
    assert_eq!(contents.len(), names.len());
    assert!(names.len() < receiver.requests().len());
    drop(server);
    let (got, again) = once(&receiver.taken());
    assert_eq!(got, logged(directory.path(), "fapi"));
    eprintln!("{count} events, {again} of them came again");
}

#[test]
fn killed_while_the_receiver_is_down_nothing_is_missing() {
    let mut receiver = receiver!();
    let directory = tempfile::tempdir().unwrap();
    let mut server = Server::on(directory.path(), EAGER);
    let mut asked = stream(&receiver.url(), &["fapi"]);
    asked["sink"]["httpContentFormat"] = "JSONOBJECT".into();
    let made = create(&server, &asked);
    let mut count = 0;
    for _ in 0..3 {
        fail(&server, 10);
        // Killed while it sends, and again while nobody listens.
        drop(server);
        receiver.go();
        server = Server::on(directory.path(), EAGER);
        fail(&server, 5);
        until("a failure", || (show(&server, &made)["delivery"]["attempts"] != 0).then_some(()));
        drop(server);
        server = Server::on(directory.path(), EAGER);
        fail(&server, 5);
        receiver.come(&[]);
        count += 20;
        receiver.wait_for(count);
    }
    drop(server);
    let (got, again) = once(&receiver.taken());
    assert_eq!(got, logged(directory.path(), "fapi"));
    eprintln!("{count} events, {again} of them came again");
}

#[test]
fn a_stream_that_keeps_failing_is_suspended_and_resumed_without_loss() {
    let receiver = receiver!();
    let directory = tempfile::tempdir().unwrap();
    let settings = [EAGER, &[("INTAKE_WEBHOOKS_SUSPEND_AFTER", "1s")]].concat();
    let server = Server::on(directory.path(), &settings);
    receiver.treat("503");
    let made = create(&server, &stream(&receiver.url(), &["fapi"]));
    fail(&server, 3);
    let suspended = until("a suspension", || {
        let stream = show(&server, &made);
        (stream["status"] == "suspended").then_some(stream)
    });
    let delivery = &suspended["delivery"];
    assert!(delivery["failing_since"].is_string() && delivery["attempts"].as_u64() > Some(1), "{delivery}");
    assert_eq!(delivery["last_error"], "the receiver answered 503 Service Unavailable");
    assert_eq!(delivery["waiting"], 3);
    let tried = receiver.requests().iter().filter(|request| request["path"] == "/hook").count();
    fail(&server, 2);
    // It stays suspended, also over a restart.
    drop(server);
    let server = Server::on(directory.path(), &settings);
    receiver.treat("ok");
    let mut asked = stream(&format!("{}/news", receiver.url()), &["flss"]);
    asked["startFrom"] = "2020-01-01T00:00:00Z".into();
    create(&server, &asked);
    let news = until("news of the suspension", || {
        let mut news = receiver.taken();
        news.retain(|item| item["data"]["type"] == "flss");
        news.pop()
    });
    assert_eq!(news["data"]["details"]["log_stream_id"], made["id"]);
    assert_eq!(news["data"]["details"]["last_error"], "the receiver answered 503 Service Unavailable");
    assert_eq!(show(&server, &made)["status"], "suspended");
    let now = receiver.requests().iter().filter(|request| request["path"] == "/hook").count();
    assert_eq!(now, tried, "it was tried while it was suspended");

    let resumed = patch(&server, &made, json!({ "status": "active" }));
    assert_eq!((&resumed["status"], &resumed["delivery"]["attempts"]), (&json!("active"), &json!(0)));
    assert_eq!(resumed["delivery"]["failing_since"], Value::Null);
    fail(&server, 1);
    until("all", || (show(&server, &made)["delivery"]["delivered"] == 6).then_some(()));
    drop(server);
    let mut taken = receiver.taken();
    taken.retain(|item| item["data"]["type"] == "fapi");
    assert_eq!(once(&taken).0, logged(directory.path(), "fapi"));
}

#[test]
fn events_that_went_by_age_before_they_could_be_sent_are_counted_as_lost() {
    let receiver = receiver!();
    let directory = tempfile::tempdir().unwrap();
    let server = Server::on(directory.path(), EAGER);
    let made = create(&server, &stream(&receiver.url(), &["fapi"]));
    fail(&server, 2);
    receiver.wait_for(2);
    until("a checkpoint", || (show(&server, &made)["delivery"]["delivered"] == 2).then_some(()));
    patch(&server, &made, json!({ "status": "paused" }));
    fail(&server, 5);
    drop(server);
    let store = open_store(directory.path());
    let later = Timestamp::from_millis(u64::MAX);
    let old =
        Ages { jobs: later, events: later, unsent_events: later, letters: later, tasks: later, now: later };
    let mut sweep = Sweep::of(old);
    while store.sweep(&mut sweep).unwrap() {}
    drop(store);
    let server = Server::on(directory.path(), EAGER);
    patch(&server, &made, json!({ "status": "active" }));
    fail(&server, 3);
    receiver.wait_for(5);
    let delivery = until("a checkpoint", || {
        let delivery = show(&server, &made)["delivery"].clone();
        (delivery["delivered"] == 5).then_some(delivery)
    });
    // Five failures, and the event that told of the pause.
    assert_eq!((&delivery["lost"], &delivery["waiting"]), (&json!(6), &json!(0)));
}

#[test]
fn a_paused_stream_sends_nothing_until_it_is_active_and_a_deleted_one_never() {
    let receiver = receiver!();
    let directory = tempfile::tempdir().unwrap();
    let server = Server::on(directory.path(), EAGER);
    let url = |name: &str| format!("{}/{name}", receiver.url());
    let paused = create(&server, &stream(&url("paused"), &["fapi"]));
    let deleted = create(&server, &stream(&url("deleted"), &["fapi"]));
    create(&server, &stream(&url("active"), &["fapi"]));
    let count = |name: &str| {
        let requests = receiver.treated("ok").into_iter().filter(|it| it["path"] == format!("/hook/{name}"));
        requests.map(|request| items(&request).len()).sum::<usize>()
    };
    fail(&server, 2);
    let names = ["paused", "deleted", "active"];
    until("events for all", || (names.map(count) == [2, 2, 2]).then_some(()));
    patch(&server, &paused, json!({ "status": "paused" }));
    assert_eq!(call(&server, "DELETE", &path(&deleted), &Value::Null).status, 204);
    fail(&server, 3);
    until("events for the active one", || (count("active") == 5).then_some(()));
    assert_eq!(names.map(count), [2, 2, 5]);
    patch(&server, &paused, json!({ "status": "active" }));
    until("events for the resumed one", || (names.map(count) == [5, 2, 5]).then_some(()));
}

#[test]
fn a_stream_that_is_changed_while_it_rests_tries_at_once() {
    let receiver = receiver!();
    let settings = [EAGER, &[("INTAKE_WEBHOOKS_RETRY_FIRST", "1h"), ("INTAKE_WEBHOOKS_RETRY_LONGEST", "1h")]];
    let server = Server::ephemeral_with(&settings.concat());
    let made = create(&server, &stream("http://127.0.0.1:1/", &["fapi"]));
    fail(&server, 2);
    until("a failure", || (show(&server, &made)["delivery"]["attempts"] == 1).then_some(()));
    patch(&server, &made, json!({ "sink": { "httpEndpoint": receiver.url() } }));
    assert_eq!(receiver.wait_for(2).len(), 2);
}

/// What was to be sent to the first before is not what is to be sent to it now.
#[test]
fn a_stream_that_is_led_elsewhere_and_back_sends_nothing_again() {
    let (first, second) = (receiver!(), receiver!());
    let server = Server::ephemeral_with(EAGER);
    first.treat("500");
    let made = create(&server, &stream(&first.url(), &["fapi"]));
    fail(&server, 1);
    until("a failure", || show(&server, &made)["delivery"]["attempts"].as_u64().filter(|count| *count > 0));
    patch(&server, &made, json!({ "sink": { "httpEndpoint": second.url() } }));
    fail(&server, 5);
    assert_eq!(second.wait_for(6).len(), 6);
    until("all is sent", || (show(&server, &made)["delivery"]["waiting"] == 0).then_some(()));
    first.treat("ok");
    patch(&server, &made, json!({ "sink": { "httpEndpoint": first.url() } }));
    fail(&server, 2);
    until("all is sent", || (show(&server, &made)["delivery"]["delivered"] == 8).then_some(()));
    let (at_first, at_second) = (first.taken(), second.taken());
    assert_eq!((at_first.len(), at_second.len()), (2, 6));
    assert!(at_first.iter().all(|event| !at_second.contains(event)));
}

#[test]
fn a_receiver_that_hangs_does_not_keep_the_server_from_stopping() {
    let receiver = receiver!();
    let directory = tempfile::tempdir().unwrap();
    // Waiting for the receiver would take longer than this test has patience.
    let settings = [EAGER, &[("INTAKE_WEBHOOKS_TIMEOUT", "5m")]].concat();
    let mut server = Server::on(directory.path(), &settings);
    receiver.treat("hang");
    create(&server, &stream(&receiver.url(), &["fapi"]));
    fail(&server, 1);
    until("a request", || receiver.requests().first().cloned());
    server.signal("TERM");
    let ended = until("an end", || server.child.try_wait().unwrap());
    assert!(ended.success(), "{ended}");
    drop(server);
    receiver.treat("ok");
    let server = Server::on(directory.path(), &settings);
    receiver.wait_for(1);
    drop(server);
}

#[test]
fn a_declared_stream_is_made_once_and_never_changed() {
    let receiver = receiver!();
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("settings.toml");
    let write = |batch_size: u32| {
        let file = format!(
            r#"
            [webhooks]
            allow_private_targets = true
            [[log_streams]]
            name = "failures"
            endpoint = "{}"
            types = ["fapi"]
            categories = ["user.fail"]
            format = "JSONARRAY"
            batch_size = {batch_size}
            authorization = "Bearer hush"
            secret = "{SECRET}"
            headers = {{ x-team = "growth" }}
            "#,
            receiver.url()
        );
        fs::write(&config, file).unwrap();
    };
    write(5);
    let data = directory.path().join("data");
    let server = Server::configured(&data, &config);
    let streams = server.get(STREAMS).json();
    let expected = json!({
        "httpEndpoint": receiver.url(), "httpAuthorization": "********",
        "httpContentType": "application/json", "httpContentFormat": "JSONARRAY",
        "httpCustomHeaders": [{ "header": "x-team", "value": "growth" }],
        "httpBatchSize": 5, "httpSigningSecret": "********",
    });
    assert_eq!((streams.as_array().unwrap().len(), &streams[0]["sink"]), (1, &expected));
    assert_eq!(
        streams[0]["filters"],
        json!([{ "type": "event", "name": "fapi" }, { "type": "category", "name": "user.fail" }])
    );
    fail(&server, 1);
    receiver.wait_for(1);
    let request = &receiver.requests()[0];
    assert_eq!(
        (&request["signature"], &request["headers"]["authorization"]),
        (&json!("good"), &json!("Bearer hush"))
    );
    drop(server);
    write(6);
    let server = Server::configured(&data, &config);
    let streams = server.get(STREAMS).json();
    assert_eq!((streams.as_array().unwrap().len(), &streams[0]["sink"]["httpBatchSize"]), (1, &json!(5)));
    patch(&server, &streams[0], json!({ "name": "renamed" }));
    drop(server);
    let server = Server::configured(&data, &config);
    let streams = server.get(STREAMS).json();
    assert_eq!((streams.as_array().unwrap().len(), &streams[0]["name"]), (1, &json!("renamed")));
}

#[test]
fn every_change_of_a_stream_is_told_without_its_secrets() {
    let receiver = receiver!();
    let server = Server::ephemeral_with(EAGER);
    create(&server, &stream(&receiver.url(), &["sapi"]));
    let mut asked = stream("http://127.0.0.1:1/", &["sui"]);
    asked["sink"]["httpAuthorization"] = "hush".into();
    let made = create(&server, &asked);
    patch(&server, &made, json!({ "name": "two" }));
    call(&server, "DELETE", &path(&made), &Value::Null);
    call(&server, "DELETE", &path(&made), &Value::Null);
    let told: Vec<Value> = receiver.wait_for(4);
    let told: Vec<(Value, Value, Value)> = told[1..]
        .iter()
        .map(|item| {
            let data = &item["data"];
            assert!(!item.to_string().contains("hush"));
            let status = &data["details"]["response"]["statusCode"];
            (data["description"].clone(), status.clone(), data["details"]["log_stream_id"].clone())
        })
        .collect();
    let row = |words: &str, status: u16| (json!(words), json!(status), made["id"].clone());
    let expected =
        [row("Create a Log Stream", 200), row("Update a Log Stream", 200), row("Delete a Log Stream", 204)];
    assert_eq!(told, expected);
}

#[test]
fn a_stream_of_import_results_gets_those_and_nothing_else() {
    let receiver = receiver!();
    let server = Server::ephemeral_with(EAGER);
    create(&server, &stream(&receiver.url(), &["sui", "fui"]));
    fail(&server, 2);
    let import = |file: &str, name: &str| {
        let form = Form::import(&server.connection_id(), file, false).with("external_id", name);
        let answer = server.upload(&form);
        assert_eq!(answer.status, 202, "{}", answer.text);
        server.wait(answer.json()["id"].as_str().unwrap())
    };
    let good = import(r#"[{"email":"ann@acme.test"},{"email":"ann"}]"#, "batch-17");
    let bad = import("[{", "batch-18");
    fail(&server, 1);
    let told = receiver.wait_for(2);
    assert_eq!(told.len(), 2, "{told:?}");
    for (item, job, kind) in [(&told[0], &good, "sui"), (&told[1], &bad, "fui")] {
        let (data, details) = (&item["data"], &item["data"]["details"]);
        assert_eq!((&data["type"], &details["job_id"]), (&json!(kind), &job["id"]), "{item}");
        assert_eq!(details["external_id"], job["external_id"]);
        assert_eq!(
            (&data["connection_id"], &data["connection"]),
            (&job["connection_id"], &job["connection"])
        );
    }
    assert_eq!(told[0]["data"]["details"]["summary"], good["summary"]);
}
