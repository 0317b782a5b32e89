//! What becomes of uploads: progress, outcome, failed rows, and the list of jobs.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::helpers::{Form, PATIENCE, Server};

fn rows(count: usize) -> String {
    let row = |at| format!("{{\"email\":\"user{at}@example.test\",\"email_verified\":true}}");
    format!("[{}]", (0..count).map(row).collect::<Vec<_>>().join(",\n"))
}

fn upload(server: &Server, connection: &str, file: &str, external_id: &str) -> String {
    let form = Form::import(connection, file, false).with("external_id", external_id);
    let answer = server.upload(&form);
    assert_eq!(answer.status, 202, "{}", answer.text);
    answer.json()["id"].as_str().unwrap().to_owned()
}

#[test]
fn an_unfinished_job_is_pending_and_its_progress_never_goes_back() {
    let server = Server::ephemeral_with(&[("INTAKE_IMPORT_MAX_FILE_SIZE", "50MB")]);
    let id = upload(&server, &server.connection_id(), &rows(150_000), "");
    let (mut seen, deadline) = (Vec::new(), Instant::now() + PATIENCE);
    loop {
        let mut job = server.get(&format!("/api/v2/jobs/{id}")).json();
        if job["status"] != "pending" {
            break;
        }
        assert!(Instant::now() < deadline);
        seen.push(job["percentage_done"].as_u64().expect("a whole number"));
        assert!(job["time_left_seconds"].is_u64(), "{job}");
        let errors = server.get(&format!("/api/v2/jobs/{id}/errors"));
        assert!(errors.status == 204 && errors.text.is_empty(), "{errors:?}");
        job.as_object_mut().unwrap().retain(|name, _| {
            !["percentage_done", "time_left_seconds", "created_at"].contains(&name.as_str())
        });
        let expected = json!({
            "type": "users_import", "status": "pending", "connection_id": server.about["connection_id"],
            "connection": "Username-Password-Authentication", "id": id,
        });
        assert_eq!(job, expected);
        thread::sleep(Duration::from_millis(1));
    }
    assert!(seen.is_sorted(), "{seen:?}");
    assert!(seen.iter().all(|percent| *percent <= 100));
    assert!(seen.iter().any(|percent| 0 < *percent && *percent < 100), "no progress was seen: {seen:?}");
}

#[test]
fn a_completed_job_has_its_summary_and_no_progress() {
    let server = Server::ephemeral();
    let file = r#"[{"email":"a@x.test","email_verified":true},{"email":"no"},{"email":"b@x.test","email_verified":false}]"#;
    let form = Form::import(&server.connection_id(), file, false).with("external_id", "batch-17");
    let accepted = server.upload(&form).json();
    let job = server.wait(accepted["id"].as_str().unwrap());
    let mut expected = accepted;
    expected["status"] = "completed".into();
    expected["summary"] = json!({ "failed": 1, "updated": 0, "inserted": 2, "total": 3 });
    assert_eq!(job, expected);
}

#[test]
fn a_job_is_completed_even_if_every_row_failed_or_there_is_none() {
    let server = Server::ephemeral();
    let all_failed = server.import(r#"[{}, 1, null, {"email":"no"}]"#, false);
    assert_eq!(all_failed["status"], "completed");
    assert_eq!(all_failed["summary"], json!({ "failed": 4, "updated": 0, "inserted": 0, "total": 4 }));
    for nothing in ["[]", " [ \n ] ", "\u{feff}[]"] {
        let job = server.import(nothing, true);
        assert_eq!(job["status"], "completed", "{job}");
        assert_eq!(job["summary"], json!({ "failed": 0, "updated": 0, "inserted": 0, "total": 0 }));
    }
}

#[test]
fn a_file_that_is_no_array_fails_as_a_whole_and_says_where() {
    let server = Server::ephemeral();
    let row = r#"{"email":"ann@example.test","email_verified":true}"#;
    let begin = "Failed to parse users file JSON when importing users: ";
    for (file, contains) in [
        (format!("[{row},"), "line 1 column 53 (byte 52)"),
        (format!("[{row}\n{row}]"), "line 2 column 1 (byte 52)"),
        (format!("{row}\n{row}\n"), "NDJSON"),
        (row.to_owned(), "wrap it in [ ]"),
        (format!("[{row}] x"), "line 1 column 54 (byte 53)"),
        ("no json".to_owned(), "line 1 column 1 (byte 0)"),
        (format!("[\r\n{row},\r\n'']"), "line 3 column 1"),
        ("[".repeat(100_000), "nested deeper than 100"),
    ] {
        let job = server.import(&file, false);
        assert_eq!(job["status"], "failed", "{job}");
        assert!(job.get("summary").is_none() && job.get("percentage_done").is_none(), "{job}");
        let details = job["status_details"].as_str().unwrap();
        assert!(details.starts_with(begin) && details.contains(contains), "{contains}: {details}");
        let answer = server.get(&format!("/api/v2/jobs/{}/errors", job["id"].as_str().unwrap()));
        assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
        assert_eq!(answer.json(), job);
    }
    let nobody = server.get("/api/v2/users-by-email?email=ann@example.test").text;
    assert_eq!(nobody, "[]", "a row of a bad file was imported");
}

#[test]
fn without_failed_rows_the_answer_about_errors_is_empty() {
    let server = Server::ephemeral();
    let job = server.import(&rows(3), false);
    let answer = server.get(&format!("/api/v2/jobs/{}/errors", job["id"].as_str().unwrap()));
    assert_eq!((answer.status, &*answer.text), (204, ""));
    assert_eq!(answer.header("content-type"), "application/json");
}

#[test]
fn any_number_of_failed_rows_comes_whole_and_in_the_order_of_the_file() {
    const COUNT: usize = 20_000;
    let server = Server::ephemeral_with(&[("INTAKE_IMPORT_MAX_FILE_SIZE", "50MB")]);
    let row = |at| match at % 10 {
        3 => format!("{{\"email\":\"good{at}@x.test\",\"email_verified\":true}}"),
        _ => format!("{{\"email\":\"bad{at}\",\"email_verified\":true}}"),
    };
    let file = format!("[{}]", (0..COUNT).map(row).collect::<Vec<_>>().join(",\n"));
    let job = server.import(&file, false);
    assert_eq!(job["summary"]["failed"], COUNT / 10 * 9);
    let answer = server.get(&format!("/api/v2/jobs/{}/errors", job["id"].as_str().unwrap()));
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
    let errors = answer.json();
    let expected = (0..COUNT).filter(|at| at % 10 != 3);
    let found = errors.as_array().unwrap();
    assert_eq!(found.len(), COUNT / 10 * 9);
    for (at, failed) in expected.zip(found) {
        let email = format!("bad{at}");
        let message =
            format!("Error in email property - Object didn't pass validation for format email: {email}");
        let expected = json!({
            "user": { "email": email, "email_verified": true }, "index": at, "line": at + 1,
            "errors": [{ "code": "INVALID_FORMAT", "message": message, "path": "email", "hint": "there is no @" }],
        });
        assert_eq!(*failed, expected);
    }
}

#[test]
fn a_job_that_is_not_there_is_not_found() {
    let server = Server::ephemeral();
    let answer = server.get("/api/v2/jobs/job_0000000000000000");
    answer.assert_refusal(404, "Not Found", "Job not found.", "inexistent_job");
    let answer = server.get("/api/v2/jobs/job_0000000000000000/errors");
    answer.assert_refusal(404, "Not Found", "The job does not exist", "inexistent_job");
    for id in
        ["nonsense", "job_", "job_00000000000000000", "con_0000000000000000", "%20", "job_000000000000000%F0"]
    {
        let message =
            "Path validation error: 'String does not match pattern ^job_[A-Za-z0-9]{16}$' on property id.";
        for path in [format!("/api/v2/jobs/{id}"), format!("/api/v2/jobs/{id}/errors")] {
            server.get(&path).assert_refusal(400, "Bad Request", message, "invalid_uri");
        }
    }
}

fn external_ids(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|job| job["external_id"].as_str().unwrap_or("")).collect()
}

#[test]
fn jobs_are_listed_newest_first_by_filter_and_page() {
    let server = Server::with_two_connections();
    assert_eq!(server.get("/api/v2/jobs").text, "[]");
    let (one, two) = ("con_0000000000000001", "con_0000000000000002");
    let mut ids = Vec::new();
    for (connection, file, external_id) in
        [(one, "[]", "a"), (two, "[]", "b"), (one, "x", "b"), (two, "[1]", "c"), (one, "[]", "")]
    {
        ids.push(upload(&server, connection, file, external_id));
        server.wait(&ids[ids.len() - 1]);
    }
    let list = |query: &str| {
        let answer = server.get(&format!("/api/v2/jobs?{query}"));
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()
    };
    let all = list("");
    let listed: Vec<&str> = all.as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap()).collect();
    assert_eq!(listed, ids.iter().rev().collect::<Vec<_>>());
    for job in all.as_array().unwrap() {
        assert_eq!(server.get(&format!("/api/v2/jobs/{}", job["id"].as_str().unwrap())).json(), *job);
    }
    for (query, expected) in [
        ("status=failed", &["b"][..]),
        ("status=completed", &["", "c", "b", "a"]),
        ("status=pending", &[]),
        ("connection=one", &["", "b", "a"]),
        ("connection=con_0000000000000002", &["c", "b"]),
        ("connection=three", &[]),
        ("external_id=b", &["b", "b"]),
        ("external_id=b&connection=two&status=completed", &["b"]),
        ("external_id=", &[]),
        ("per_page=2", &["", "c"]),
        ("per_page=2&page=1", &["b", "b"]),
        ("per_page=2&page=2", &["a"]),
        ("per_page=2&page=3", &[]),
        ("connection=one&per_page=1&page=1", &["b"]),
        ("unknown=1&include_fields=true", &["", "c", "b", "b", "a"]),
    ] {
        assert_eq!(external_ids(&list(query)), expected, "{query}");
    }
    let mut page = list("include_totals=true&per_page=2&page=1&connection=one");
    assert_eq!(external_ids(&page["jobs"].take()), ["a"]);
    assert_eq!(page, json!({ "start": 2, "limit": 2, "length": 1, "total": 3, "jobs": null }));
}

#[test]
fn a_list_of_jobs_that_cannot_be_is_refused() {
    let server = Server::ephemeral();
    for (query, rule, property) in [
        ("status=processing", "No enum match for: processing", "status"),
        ("status=", "No enum match for: ", "status"),
        ("per_page=101", "Value 101 is greater than maximum 100", "per_page"),
        ("per_page=0", "Value 0 is less than minimum 1", "per_page"),
        ("page=x", "Expected type integer but found type string", "page"),
        ("include_totals=yes", "Expected type boolean but found type string", "include_totals"),
    ] {
        let message = format!("Query validation error: '{rule}' on property {property}.");
        let answer = server.get(&format!("/api/v2/jobs?{query}"));
        answer.assert_refusal(400, "Bad Request", &message, "invalid_query_string");
    }
}
