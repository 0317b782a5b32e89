//! What letters say, and that texts of others do not break them.

#![expect(clippy::unwrap_used, reason = "a test may")]

use super::links::in_words;
use super::*;
use crate::domain::{FailedRow, Fault, FaultCounts, FileFault, IdSeries};

fn desk() -> Desk {
    Desk {
        tenant: "acme".to_owned(),
        public_url: "https://users.acme.test:8443/intake".to_owned(),
        owners: vec!["ann@acme.test".to_owned(), "bob@acme.test".to_owned()],
        writes: true,
    }
}

fn job(stage: Stage) -> Job {
    let created_at = Timestamp::from_millis(1_520_242_272_481);
    Job {
        id: "job_Zk3vT9pQm2Lx7RcB".parse().unwrap(),
        ticket: 1,
        connection: "con_8dQ2xYz0aBcD1eFg".parse().unwrap(),
        connection_name: "staff-db".to_owned(),
        external_id: Some("batch-17".to_owned()),
        upsert: false,
        send_completion_email: true,
        created_at,
        bytes: 2,
        rows: Ok(15),
        ids: IdSeries::new(created_at, [0; 8]),
        attempts: 0,
        stage,
    }
}

fn faults(codes: &[Code]) -> FaultCounts {
    let mut counts = FaultCounts::default();
    for code in codes {
        let faults = vec![Fault::of_row(*code, "")];
        counts.add(&FailedRow { index: 0, line: 1, user: String::new(), faults });
    }
    counts
}

fn completed() -> Job {
    use Code::{DuplicatedUser, InvalidFormat, InvalidType, MaxLength};
    let faults =
        faults(&[InvalidFormat, DuplicatedUser, DuplicatedUser, InvalidType, MaxLength, InvalidType]);
    let summary = Summary { failed: 6, updated: 0, inserted: 9, total: 15, faults };
    job(Stage::Completed { summary, at: Timestamp::from_millis(1_520_242_272_481 + 83_456) })
}

fn failed() -> Job {
    let fault =
        FileFault { what: "expected ',' or ']'".to_owned(), line: 3, column: 7, byte: 61, hint: None };
    let reason = format!("Failed to parse users file JSON when importing users: {fault}");
    let at = Timestamp::from_millis(1_520_242_272_481 + 12);
    let stage = Stage::Failed { reason, summary: Summary::default(), at };
    Job { rows: Err(fault), external_id: None, ..job(stage) }
}

#[test]
fn every_owner_is_told_what_became_of_a_job() {
    let letters = job_ended(&desk(), &completed());
    let to: Vec<_> = letters.iter().map(|letter| (&*letter.to, &*letter.message_id)).collect();
    let expected = [
        ("ann@acme.test", "job_Zk3vT9pQm2Lx7RcB.0@users.acme.test"),
        ("bob@acme.test", "job_Zk3vT9pQm2Lx7RcB.1@users.acme.test"),
    ];
    assert_eq!(to, expected);
    assert_eq!(letters[0].written_at, completed().ended_at().unwrap());
    let subject = "[intake] Import user job for tenant acme and connection staff-db completed";
    assert_eq!(letters[0].subject, subject);
    insta::assert_snapshot!(letters[0].text, @r#"
    New users: 9
    Total users: 15
    Duplicate Users: 2
    Updated users: 0
    Failed rows: 6

    Total users are the rows of the file; duplicate users are rows whose user the connection has already, or an earlier row of the file gave.

    What was wrong most often (3 of 4 kinds):
    - 2 rows INVALID_TYPE: a value is of the wrong type, for example a number instead of a text
    - 2 rows DUPLICATED_USER: the user exists already, or an earlier row of the file gave it
    - 1 row INVALID_FORMAT: a text is not what it should be, for example no e-mail address

    Job: job_Zk3vT9pQm2Lx7RcB
    External id: batch-17
    Connection: staff-db (con_8dQ2xYz0aBcD1eFg)
    Existing users: left alone
    Accepted: 2018-03-05T09:31:12.481Z
    Ended: 2018-03-05T09:32:35.937Z
    Duration: 1m 23s

    The job, with every row that failed:
    https://users.acme.test:8443/intake/#/jobs/job_Zk3vT9pQm2Lx7RcB

    You get this mail as an owner of this installation (tenant.owners). Imports with send_completion_email=false send none.
    "#);
    insta::assert_snapshot!(letters[0].html, @r#"
    <!doctype html>
    <html lang="en">
    <head>
    <meta charset="utf-8">
    <meta name="color-scheme" content="light dark">
    <title>[intake] Import user job for tenant acme and connection staff-db completed</title>
    </head>
    <body style="font-family: sans-serif; line-height: 1.4">
    <h1 style="font-size: 1.2em">Import user job for tenant acme and connection staff-db completed</h1>
    <p>
    New users: 9<br>
    Total users: 15<br>
    Duplicate Users: 2<br>
    Updated users: 0<br>
    Failed rows: 6<br>
    </p>
    <p>Total users are the rows of the file; duplicate users are rows whose user the connection has already, or an earlier row of the file gave.</p>
    <p>What was wrong most often (3 of 4 kinds):</p>
    <ul>
    <li>2 rows <code>INVALID_TYPE</code>: a value is of the wrong type, for example a number instead of a text</li>
    <li>2 rows <code>DUPLICATED_USER</code>: the user exists already, or an earlier row of the file gave it</li>
    <li>1 row <code>INVALID_FORMAT</code>: a text is not what it should be, for example no e-mail address</li>
    </ul>
    <table>
    <tr><th align="left" scope="row">Job</th><td>job_Zk3vT9pQm2Lx7RcB</td></tr>
    <tr><th align="left" scope="row">External id</th><td>batch-17</td></tr>
    <tr><th align="left" scope="row">Connection</th><td>staff-db (con_8dQ2xYz0aBcD1eFg)</td></tr>
    <tr><th align="left" scope="row">Existing users</th><td>left alone</td></tr>
    <tr><th align="left" scope="row">Accepted</th><td>2018-03-05T09:31:12.481Z</td></tr>
    <tr><th align="left" scope="row">Ended</th><td>2018-03-05T09:32:35.937Z</td></tr>
    <tr><th align="left" scope="row">Duration</th><td>1m 23s</td></tr>
    </table>
    <p><a href="https:&#x2f;&#x2f;users.acme.test:8443&#x2f;intake&#x2f;#&#x2f;jobs&#x2f;job_Zk3vT9pQm2Lx7RcB">The job, with every row that failed</a><br>https:&#x2f;&#x2f;users.acme.test:8443&#x2f;intake&#x2f;#&#x2f;jobs&#x2f;job_Zk3vT9pQm2Lx7RcB</p>
    <p>You get this mail as an owner of this installation (tenant.owners). Imports with send_completion_email=false send none.</p>
    </body>
    </html>
    "#);
}

#[test]
fn a_letter_about_a_failure_begins_with_why() {
    let letter = job_ended(&desk(), &failed()).remove(0);
    let subject = "[intake] Import user job for tenant acme and connection staff-db failed";
    assert_eq!(letter.subject, subject);
    insta::assert_snapshot!(letter.text, @r#"
    Failed to parse users file JSON when importing users: expected ',' or ']' at line 3 column 7 (byte 61)
    Nothing was imported. Please check that the file is valid JSON: an array of users.

    New users: 0
    Total users: 0
    Duplicate Users: 0
    Updated users: 0
    Failed rows: 0

    Total users are the rows of the file; duplicate users are rows whose user the connection has already, or an earlier row of the file gave.

    Job: job_Zk3vT9pQm2Lx7RcB
    Connection: staff-db (con_8dQ2xYz0aBcD1eFg)
    Existing users: left alone
    Accepted: 2018-03-05T09:31:12.481Z
    Ended: 2018-03-05T09:31:12.493Z
    Duration: 12ms

    The job, with every row that failed:
    https://users.acme.test:8443/intake/#/jobs/job_Zk3vT9pQm2Lx7RcB

    You get this mail as an owner of this installation (tenant.owners). Imports with send_completion_email=false send none.
    "#);
    assert!(letter.html.contains("at line 3 column 7"), "{}", letter.html);
}

#[test]
fn a_job_that_goes_on_has_no_letter() {
    let pending = job(Stage::Pending(crate::domain::Progress::default()));
    assert_eq!(job_ended(&desk(), &pending), []);
}

#[test]
fn a_link_to_choose_a_password_says_whose_and_for_how_long() {
    let now = Timestamp::from_millis(1_520_242_272_481);
    let link = "https://users.acme.test/u/reset-password?ticket=x&y=\"z\"";
    let letter = reset_password(&desk(), "Eve@x.test", link, Duration::from_mins(7290), "reset.k1", now);
    assert_eq!((&*letter.to, &*letter.message_id), ("Eve@x.test", "reset.k1@users.acme.test"));
    insta::assert_snapshot!(letter.text, @r#"
    Somebody, probably you, wants to choose a password for the account Eve@x.test at acme. Open this link to do so:

    https://users.acme.test/u/reset-password?ticket=x&y="z"

    The link works once, for 5 days 1 hour 30 minutes from when this mail was written, and only until a newer one is sent.

    If you did not ask for this, you need not do anything: as long as nobody opens the link, nothing changes. Do not pass this mail on, as whoever has the link can choose the password.
    "#);
    assert!(letter.html.contains("ticket=x&amp;y=&quot;z&quot;"), "{}", letter.html);
}

#[test]
fn texts_of_others_break_neither_headers_nor_markup() {
    let naughty = [
        "x\r\nBcc: eve@x.test",
        "x\n\n<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "</td></table>{{ 7 * 7 }}{% raw %}",
        "\u{2028}a\u{2029}b\u{85}c\u{0}d\u{1b}[31m",
        "ЁЂЃ 田中さん 🐵 \u{202e}txt.exe",
        &"long ".repeat(1000),
        "",
    ];
    for text in naughty {
        let job = Job { external_id: Some(text.to_owned()), connection_name: text.to_owned(), ..completed() };
        let desk = Desk { tenant: text.to_owned(), ..desk() };
        let letter = job_ended(&desk, &job).remove(0);
        let is_plain = |line: &str| !line.chars().any(char::is_control);
        assert!(is_plain(&letter.subject) && letter.subject.chars().count() < 600, "{}", letter.subject);
        assert!(letter.text.lines().all(is_plain), "{}", letter.text);
        assert_eq!(letter.text.lines().count(), job_ended(&desk, &completed())[0].text.lines().count());
        for markup in ["<script", "<img", "</td></table>{", "49"] {
            assert!(!letter.html.contains(markup), "{markup} in {}", letter.html);
        }
        let reset =
            reset_password(&desk, "a@x.test", "https://x", Duration::from_mins(1), "k", job.created_at);
        assert!(is_plain(&reset.subject) && !reset.html.contains("<script"), "{reset:?}");
    }
}

#[test]
fn time_spans_read_well() {
    let spans = [
        (90, "1 minute 30 seconds"),
        (3600, "1 hour"),
        (86_400, "1 day"),
        (2_592_000, "30 days"),
        (5 * 86_400 + 7200, "5 days 2 hours"),
    ];
    for (seconds, words) in spans {
        assert_eq!(in_words(Duration::from_secs(seconds)), words);
    }
}

#[test]
fn a_message_id_has_a_host_whatever_the_url() {
    for (url, host) in
        [("http://[::1]:3000", "[::1]"), ("http://127.0.0.1:1", "127.0.0.1"), ("?", "localhost")]
    {
        let desk = Desk { public_url: url.to_owned(), ..desk() };
        assert_eq!(message_id(&desk, "k"), format!("k@{host}"));
    }
}
