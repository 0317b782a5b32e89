//! Failed rows by kind of fault, and in pages: what the API has beyond the list of all of them.

use serde_json::{Value, json};

use crate::helpers::{Form, Server};

fn path(job: &Value) -> String {
    format!("/api/v2/jobs/{}/errors", job["id"].as_str().unwrap())
}

/// All rows of a kind, fetched so many at a time.
fn pages(server: &Server, job: &Value, query: &str, take: usize) -> Vec<Value> {
    let (mut rows, mut next) = (Vec::new(), json!(0));
    while !next.is_null() {
        let page = server.get(&format!("{}?{query}&take={take}&from={next}", path(job))).json();
        let found = page["rows"].as_array().unwrap();
        assert!(found.len() <= take, "{} rows instead of {take}", found.len());
        rows.extend(found.iter().cloned());
        next = page["next"].clone();
    }
    rows
}

fn with_code(rows: &Value, code: &str) -> Vec<Value> {
    let has = |row: &&Value| row["errors"].as_array().unwrap().iter().any(|error| error["code"] == code);
    rows.as_array().unwrap().iter().filter(has).cloned().collect()
}

#[test]
fn the_kinds_of_faults_are_counted_the_commonest_first() {
    let server = Server::ephemeral();
    let file = json!([{ "email": "no" }, { "email": "a@x.test", "email_verified": 1 }, { "email": "nor" }]);
    let job = server.import(&file.to_string(), false);
    let groups = server.get(&format!("{}?group_by=code", path(&job))).json();
    let told = groups.as_array().unwrap().iter().map(|group| {
        assert!(!group["message"].as_str().unwrap().is_empty());
        (group["code"].as_str().unwrap(), group["rows"].as_u64().unwrap())
    });
    let expected = vec![("OBJECT_REQUIRED", 2), ("INVALID_FORMAT", 2), ("INVALID_TYPE", 1)];
    assert_eq!(told.collect::<Vec<_>>(), expected);
    let good = server.import(r#"[{"email":"b@x.test","email_verified":true}]"#, false);
    assert_eq!(server.get(&format!("{}?group_by=code", path(&good))).json(), json!([]));
    assert_eq!(server.get(&format!("{}?take=5", path(&good))).json(), json!({ "rows": [], "next": null }));
}

#[test]
fn every_row_of_a_kind_comes_once_however_the_pages_are_cut() {
    let server = Server::ephemeral_with(&[("INTAKE_IMPORT_MAX_FILE_SIZE", "50MB")]);
    let row = |at: usize| match at % 10 {
        3 => json!({ "email": format!("user{at}@x.test"), "email_verified": true }),
        4 => json!({ "email": format!("user{at}@x.test"), "email_verified": "yes" }),
        _ => {
            json!({ "email": format!("{at}"), "email_verified": true, "user_metadata": { "a": "x".repeat(100) } })
        }
    };
    let file = Value::from((0..3000).map(row).collect::<Vec<_>>()).to_string();
    let job = server.import(&file, false);
    let all = server.errors(&job);
    assert_eq!(all.as_array().unwrap().len(), 2700);
    for code in ["INVALID_FORMAT", "INVALID_TYPE", "DUPLICATED_USER"] {
        let expected = with_code(&all, code);
        for take in [7, 50, 100] {
            let rows = pages(&server, &job, &format!("code={code}"), take);
            assert!(rows == expected, "{code} by {take}: {} rows, not {}", rows.len(), expected.len());
        }
    }
    assert!(pages(&server, &job, "x=1", 100) == *all.as_array().unwrap());
}

#[test]
fn a_call_looks_at_so_many_rows_and_says_where_to_go_on() {
    let server = Server::ephemeral_with(&[("INTAKE_IMPORT_MAX_FILE_SIZE", "50MB")]);
    let row = |at: usize| {
        let verified = if at == 59_999 { json!("yes") } else { json!(true) };
        json!({ "email": format!("{at}"), "email_verified": verified }).to_string()
    };
    let file = format!("[{}]", (0..60_000).map(row).collect::<Vec<_>>().join(","));
    let job = server.import(&file, false);
    let first = server.get(&format!("{}?code=INVALID_TYPE", path(&job))).json();
    assert_eq!(first["rows"], json!([]), "{first}");
    assert!(first["next"].as_u64().unwrap() < 59_999, "{first}");
    let found = pages(&server, &job, "code=INVALID_TYPE", 50);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["index"], 59_999);
}

#[test]
fn questions_that_make_no_sense_are_refused() {
    let server = Server::ephemeral();
    let job = server.import(r#"[{"email":"no"}]"#, false);
    let export = server.send("POST", "/api/v2/jobs/users-exports", &json!({})).json();
    for (query, rule) in [
        ("group_by=line", "'No enum match for: line' on property group_by"),
        ("code=NONE", "'No enum match for: NONE' on property code"),
        ("take=0", "'Value 0 is less than minimum 1' on property take"),
        ("take=101", "'Value 101 is greater than maximum 100' on property take"),
        ("from=-1", "'Value -1 is less than minimum 0' on property from"),
        ("group_by=code&from=null", "'Expected type integer but found type string' on property from"),
    ] {
        for job in [&job, &export] {
            let answer = server.get(&format!("{}?{query}", path(job)));
            let message = format!("Query validation error: {rule}.");
            answer.assert_refusal(400, "Bad Request", &message, "invalid_query_string");
        }
    }
    let nobody = server.get("/api/v2/jobs/job_0000000000000000/errors?group_by=code");
    nobody.assert_refusal(404, "Not Found", "The job does not exist", "inexistent_job");
}

#[test]
fn an_unfinished_or_failed_job_tells_of_the_rows_it_got_to() {
    let server = Server::ephemeral_with(&[("INTAKE_IMPORT_MAX_FILE_SIZE", "50MB")]);
    let broken = server.import("no json", false);
    assert_eq!(server.get(&format!("{}?group_by=code", path(&broken))).json(), json!([]));
    let file = format!("[{}]", vec![r#"{"email":"no","email_verified":true}"#; 60_000].join(","));
    let job = server.upload(&Form::import(&server.connection_id(), &file, false)).json();
    let mut last = 0;
    loop {
        let state = server.get(&format!("/api/v2/jobs/{}", job["id"].as_str().unwrap())).json();
        let groups = server.get(&format!("{}?group_by=code", path(&job))).json();
        let rows = groups[0]["rows"].as_u64().unwrap_or(0);
        assert!(last <= rows, "the count went back from {last} to {rows}");
        last = rows;
        if state["status"] != "pending" {
            break;
        }
    }
    assert_eq!(server.get(&format!("{}?group_by=code", path(&job))).json()[0]["rows"], 60_000);
}
