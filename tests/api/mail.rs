//! Letters about imports: written with the job's end, and brought to a real mail server whatever happens.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use intake::domain::Logged;
use intake::store::{Options, Order, Store};
use serde_json::{Value, json};

use crate::helpers::{Form, Server, intake, until};
use crate::smtp::MailServer;

const OWNERS: (&str, &str) = ("INTAKE_TENANT_OWNERS", "ann@acme.test,bob@acme.test");
pub const OWNER: (&str, &str) = ("INTAKE_TENANT_OWNERS", "ann@acme.test");
pub const ONE_ROW: &str = r#"[{ "email": "new@example.test", "email_verified": true }]"#;

/// A server on a directory, with the settings of a mail server and some more that win over them.
fn serve(directory: &Path, mail: &[(String, String)], more: &[(&str, &str)]) -> Server {
    Server::on(directory, &settings(mail, more))
}

fn settings<'a>(mail: &'a [(String, String)], more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    mail.iter().map(|(name, value)| (&**name, &**value)).chain(more.iter().copied()).collect()
}

pub fn outbox(server: &Server) -> Vec<Value> {
    let answer = server.get("/api/v2/outbox");
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json().as_array().unwrap().clone()
}

fn wait_for_empty_outbox(server: &Server) {
    until("the outbox is empty", || outbox(server).is_empty().then_some(()));
}

fn change(server: &Server, method: &str, path: &str) -> u16 {
    let authorization = format!("Bearer {}", server.token);
    server.request(method, path, &[("authorization", &authorization)], b"").status
}

fn ids(letters: &[Value]) -> Vec<&str> {
    letters.iter().map(|letter| letter["message_id"].as_str().unwrap()).collect()
}

/// The tenant log of a directory without a server.
fn events(directory: &Path) -> Vec<Logged> {
    let store = Store::open(Options {
        path: directory.to_owned(),
        cache_bytes: 64 << 20,
        min_free_disk: 0,
        reserve: 0,
        max_active_jobs: None,
        open_timeout: Duration::from_mins(1),
    });
    store.unwrap().events(None, Order::OldestFirst, 0, usize::MAX, false).unwrap().events
}

fn of_type(events: &[Logged], code: &str) -> Vec<Value> {
    let found = events.iter().filter(|logged| logged.event.r#type.code() == code);
    found.map(|logged| serde_json::to_value(&logged.event).unwrap()).collect()
}

#[test]
fn every_owner_gets_a_letter_when_a_job_has_ended() {
    let Some(mail) = MailServer::start(&[]) else { return };
    let directory = tempfile::tempdir().unwrap();
    let server = serve(
        directory.path(),
        &mail.settings(),
        &[OWNERS, ("INTAKE_TENANT_NAME", "acme"), ("INTAKE_MAIL_FROM", "Imports <no-reply@acme.test>")],
    );
    let rows = json!([
        { "email": "one@example.test", "email_verified": true },
        { "email": "ONE@example.test", "email_verified": true },
        { "email": "no address", "email_verified": true },
        { "email": "two@example.test", "email_verified": false },
    ]);
    let form = Form::import(&server.connection_id(), &rows.to_string(), false);
    let answer = server.upload(&form.with("external_id", "<b>batch</b>\r\nBcc: eve@acme.test"));
    let job = server.wait(answer.json()["id"].as_str().unwrap());
    let mut letters = mail.wait_for_letters(2);
    letters.sort_by_key(|letter| letter["to"].to_string());
    for (number, (letter, owner)) in letters.iter().zip(["ann@acme.test", "bob@acme.test"]).enumerate() {
        let id = job["id"].as_str().unwrap();
        assert_eq!(letter["to"], owner);
        assert_eq!(letter["envelope_to"], json!([owner]));
        assert_eq!(letter["envelope_from"], "no-reply@acme.test");
        assert_eq!(letter["defects"], json!([]));
        let headers = &letter["headers"];
        assert_eq!(headers["from"], "Imports <no-reply@acme.test>");
        assert_eq!(headers["message-id"], format!("<{id}.{number}@intake.test>"));
        assert_eq!(headers["auto-submitted"], "auto-generated");
        assert_eq!(headers["bcc"], Value::Null);
        assert!(headers["date"].is_string(), "{headers}");
        let subject = "[intake] Import user job for tenant acme and connection Username-Password-Authentication completed";
        assert_eq!(letter["subject"], subject);
        let text = letter["text"].as_str().unwrap();
        assert!(text.starts_with("New users: 2\nTotal users: 4\nDuplicate Users: 1\n"), "{text}");
        for words in
            ["1 row DUPLICATED_USER: ", "1 row INVALID_FORMAT: ", &*format!("http://intake.test/#/jobs/{id}")]
        {
            assert!(text.contains(words), "{words} is not in {text}");
        }
        let html = letter["html"].as_str().unwrap();
        assert!(html.contains("&lt;b&gt;batch") && !html.contains("<b>"), "{html}");
    }
    wait_for_empty_outbox(&server);
    assert!(server.stop().success());
    let events = events(directory.path());
    let ended = of_type(&events, "sui");
    assert_eq!(ended.len(), 1);
    assert_eq!(ended[0]["connection"], "Username-Password-Authentication");
    let details = &ended[0]["details"];
    assert_eq!(details["job_id"], job["id"]);
    assert_eq!(details["summary"], json!({ "inserted": 2, "updated": 0, "failed": 2, "total": 4 }));
    assert_eq!(details["errors"], json!({ "DUPLICATED_USER": 1, "INVALID_FORMAT": 1 }));
    assert_eq!(details["tenant"], "acme");
}

#[test]
fn a_letter_about_a_failed_job_says_where_the_file_is_wrong() {
    let Some(mail) = MailServer::start(&[]) else { return };
    let directory = tempfile::tempdir().unwrap();
    let server = serve(directory.path(), &mail.settings(), &[OWNER]);
    let job = server.import("[\n  { \"email\": \"a@example.test\" },\n  { ]", false);
    assert_eq!(job["status"], "failed");
    let letter = &mail.wait_for_letters(1)[0];
    let subject = letter["subject"].as_str().unwrap();
    assert!(subject.ends_with(" failed"), "{subject}");
    let text = letter["text"].as_str().unwrap();
    let reason = job["status_details"].as_str().unwrap();
    assert!(reason.contains("at line 3 column 5"), "{reason}");
    assert!(text.starts_with(reason) && text.contains("check that the file is valid JSON"), "{text}");
    assert!(server.stop().success());
    let ended = of_type(&events(directory.path()), "fui");
    assert_eq!(ended[0]["details"]["reason"], job["status_details"]);
}

#[test]
fn a_letter_refused_for_now_comes_later_as_the_same_letter() {
    let Some(mail) = MailServer::start(&["--refuse-first", "2"]) else { return };
    let directory = tempfile::tempdir().unwrap();
    let server = serve(directory.path(), &mail.settings(), &[OWNER]);
    server.import(ONE_ROW, false);
    mail.wait_for_letters(1);
    wait_for_empty_outbox(&server);
    let brought = mail.brought();
    let answers: Vec<_> = brought.iter().map(|letter| &letter["answer"].as_str().unwrap()[..3]).collect();
    assert_eq!(answers, ["451", "451", "250"]);
    let ids: BTreeSet<_> = ids(&brought).into_iter().collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(brought[0], {
        let mut last = brought[2].clone();
        last["answer"] = brought[0]["answer"].clone();
        last
    });
}

#[test]
fn a_letter_refused_for_good_is_kept_to_be_seen_and_can_be_sent_again() {
    let Some(mut mail) = MailServer::start(&["--reject"]) else { return };
    let directory = tempfile::tempdir().unwrap();
    let server = serve(directory.path(), &mail.settings(), &[OWNERS]);
    let job = server.import(ONE_ROW, false);
    let given_up = |letters: &Vec<Value>| letters.iter().all(|letter| letter["status"] == "given_up");
    let letters = until("both are given up", || Some(outbox(&server)).filter(given_up));
    assert_eq!(letters.len(), 2);
    for letter in &letters {
        let mut names: Vec<_> = letter.as_object().unwrap().keys().map(String::as_str).collect();
        names.sort_unstable();
        let expected = [
            "attempts",
            "given_up_at",
            "id",
            "last_answer",
            "message_id",
            "status",
            "subject",
            "to",
            "written_at",
        ];
        assert_eq!(names, expected);
        assert_eq!(letter["attempts"], 1);
        let answer = letter["last_answer"].as_str().unwrap();
        assert!(answer.contains("550") && answer.contains("no such mailbox"), "{answer}");
    }
    assert_eq!(mail.brought().len(), 2);
    assert!(letters[0]["message_id"].as_str().unwrap().starts_with(job["id"].as_str().unwrap()));
    mail.come_back(&[]);
    let [again, unwanted] = [0, 1].map(|at| letters[at]["id"].as_str().unwrap().to_owned());
    assert_eq!(change(&server, "POST", &format!("/api/v2/outbox/{again}/retry")), 204);
    mail.wait_for_letters(1);
    until("one is left", || (outbox(&server).len() == 1).then_some(()));
    for _ in 0..2 {
        assert_eq!(change(&server, "DELETE", &format!("/api/v2/outbox/{unwanted}")), 204);
    }
    assert_eq!(outbox(&server), Vec::<Value>::new());
    for unknown in [unwanted.as_str(), "0999999", "x"] {
        let path = format!("/api/v2/outbox/{unknown}/retry");
        assert_eq!(change(&server, "POST", &path), 404, "{unknown}");
    }
    assert!(server.stop().success());
    let events = events(directory.path());
    let told = of_type(&events, "fn");
    assert_eq!(told.len(), 2);
    assert!(told[0]["details"]["last_answer"].as_str().unwrap().contains("550"), "{}", told[0]);
    let changes = of_type(&events, "sapi");
    let changes = changes.iter().filter(|event| event["description"] == "Update the Outbox");
    assert_eq!(changes.count(), 2, "the second deletion changed nothing");
}

#[test]
fn the_outbox_needs_permission() {
    let server = Server::ephemeral();
    let token = server.token_for("read:users read:logs");
    assert_eq!(server.get_as("/api/v2/outbox", &token).status, 403);
    let headers = [("authorization", &*format!("Bearer {}", server.token_for("read:outbox")))];
    assert_eq!(server.request("GET", "/api/v2/outbox", &headers, b"").status, 200);
    assert_eq!(server.request("POST", "/api/v2/outbox/1/retry", &headers, b"").status, 403);
    assert_eq!(server.request("DELETE", "/api/v2/outbox/1", &headers, b"").status, 403);
    let page = server.get("/api/v2/outbox?include_totals=true&per_page=5").json();
    assert_eq!(page, json!({ "start": 0, "limit": 5, "length": 0, "total": 0, "letters": [] }));
}

#[test]
fn a_slow_mail_server_delays_neither_jobs_nor_the_end_of_the_server() {
    let Some(mut mail) = MailServer::start(&["--delay", "3600"]) else { return };
    let directory = tempfile::tempdir().unwrap();
    let server = serve(directory.path(), &mail.settings(), &[OWNER, ("INTAKE_MAIL_TIMEOUT", "10m")]);
    for _ in 0..3 {
        assert_eq!(server.import(ONE_ROW, true)["status"], "completed");
    }
    assert_eq!(outbox(&server).len(), 3);
    assert!(server.stop().success());
    mail.come_back(&[]);
    let server = serve(directory.path(), &mail.settings(), &[OWNER]);
    let letters = mail.wait_for_letters(3);
    assert_eq!(ids(&letters).into_iter().collect::<BTreeSet<_>>().len(), 3);
    wait_for_empty_outbox(&server);
}

#[test]
fn no_letter_is_lost_while_the_mail_server_is_gone_and_the_server_is_killed() {
    let Some(mut mail) = MailServer::start(&["--delay", "0.02"]) else { return };
    let directory = tempfile::tempdir().unwrap();
    let mail_settings = mail.settings();
    mail.go();
    let mut wanted = BTreeSet::new();
    for _ in 0..4 {
        let mut server = serve(directory.path(), &mail_settings, &[OWNERS]);
        for _ in 0..5 {
            let job = server.import(ONE_ROW, true);
            let id = job["id"].as_str().unwrap();
            wanted.extend([0, 1].map(|number| format!("<{id}.{number}@intake.test>")));
        }
        server.child.kill().unwrap();
    }
    let server = serve(directory.path(), &mail_settings, &[OWNERS]);
    let waiting = outbox(&server);
    assert_eq!(waiting.len(), wanted.len());
    let tried = until("one was tried", || {
        outbox(&server).into_iter().find(|letter| letter["attempts"].as_u64() > Some(0))
    });
    assert_eq!(tried["status"], "waiting");
    assert!(tried["last_answer"].as_str().unwrap().contains("refused"), "{tried}");
    mail.come_back(&["--delay", "0.02"]);
    // Killed over and over in the middle of sending.
    let mut server = Some(server);
    for some in [5, 15, 25] {
        mail.wait_for_letters(some);
        server.take().unwrap().child.kill().unwrap();
        server = Some(serve(directory.path(), &mail_settings, &[OWNERS]));
    }
    wait_for_empty_outbox(&server.unwrap());
    let letters = mail.letters();
    let mut came = BTreeMap::<String, usize>::new();
    for id in ids(&letters) {
        *came.entry(id.to_owned()).or_default() += 1;
    }
    assert_eq!(came.keys().cloned().collect::<BTreeSet<_>>(), wanted);
    let twice = letters.len() - came.len();
    eprintln!("{} letters, {twice} of them twice", came.len());
    // At most the one in hand at each kill.
    assert!(twice <= 3, "{came:?}");
}

#[test]
fn a_letter_that_cannot_be_sent_for_too_long_is_given_up() {
    let Some(mut mail) = MailServer::start(&[]) else { return };
    mail.go();
    let directory = tempfile::tempdir().unwrap();
    let server = serve(directory.path(), &mail.settings(), &[OWNERS, ("INTAKE_MAIL_GIVE_UP_AFTER", "1s")]);
    server.import(ONE_ROW, false);
    let given_up = |letters: &Vec<Value>| letters.iter().all(|letter| letter["status"] == "given_up");
    let letters = until("both are given up", || Some(outbox(&server)).filter(given_up));
    assert_eq!(letters.len(), 2);
    assert!(letters[0]["last_answer"].as_str().unwrap().contains("refused"), "{}", letters[0]);
}

#[test]
fn letters_go_into_files_until_a_mail_server_is_set_up() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::on(directory.path(), &[OWNERS]);
    let job = server.import(ONE_ROW, false);
    wait_for_empty_outbox(&server);
    let folder = directory.path().join("mail");
    let mut names: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let id = job["id"].as_str().unwrap();
    assert_eq!(names, [0, 1].map(|number| format!("{id}.{number}@intake.test.eml")));
    let path = folder.join(&names[0]);
    let letter = fs::read_to_string(&path).unwrap();
    for line in
        ["To: ann@acme.test\r\n", &*format!("Message-ID: <{id}.0@intake.test>\r\n"), "New users: 1\r\n"]
    {
        assert!(letter.contains(line), "{line:?} is not in {letter}");
    }
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn a_folder_that_cannot_be_written_to_keeps_the_letters_in_the_outbox() {
    let directory = tempfile::tempdir().unwrap();
    let in_the_way = directory.path().join("mail");
    let server = Server::on(directory.path(), &[OWNERS, ("INTAKE_MAIL_RETRY_FIRST", "100ms")]);
    fs::write(&in_the_way, "").unwrap();
    server.import(ONE_ROW, false);
    until("one was tried", || outbox(&server).iter().any(|letter| letter["attempts"] == 1).then_some(()));
    fs::remove_file(&in_the_way).unwrap();
    wait_for_empty_outbox(&server);
    assert_eq!(fs::read_dir(&in_the_way).unwrap().count(), 2);
}

#[test]
fn no_letter_is_written_when_mail_is_off_or_the_upload_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::on(directory.path(), &[OWNERS, ("INTAKE_MAIL_TRANSPORT", "off")]);
    server.import(ONE_ROW, false);
    assert_eq!(outbox(&server), Vec::<Value>::new());
    assert!(server.stop().success());
    let server = Server::on(directory.path(), &[OWNERS]);
    let form = Form::import(&server.connection_id(), ONE_ROW, true).with("send_completion_email", "false");
    server.wait(server.upload(&form).json()["id"].as_str().unwrap());
    assert_eq!(outbox(&server), Vec::<Value>::new());
    assert!(server.stop().success());
    assert!(!directory.path().join("mail").exists());
    assert_eq!(of_type(&events(directory.path()), "sui").len(), 2);
}

/// A certificate for 127.0.0.1, and the same with its key, as files.
pub fn certificate(directory: &Path) -> (String, String) {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let (certificate, both) = (directory.join("certificate.pem"), directory.join("both.pem"));
    fs::write(&certificate, made.cert.pem()).unwrap();
    fs::write(&both, made.cert.pem() + &made.signing_key.serialize_pem()).unwrap();
    (certificate.to_str().unwrap().to_owned(), both.to_str().unwrap().to_owned())
}

#[test]
fn letters_go_encrypted_and_only_to_a_server_that_is_trusted() {
    let files = tempfile::tempdir().unwrap();
    let (certificate, both) = certificate(files.path());
    for (security, options) in
        [("starttls", &["--certificate", &both][..]), ("tls", &["--certificate", &both, "--tls"])]
    {
        let Some(mail) = MailServer::start(options) else { return };
        let directory = tempfile::tempdir().unwrap();
        let security = ("INTAKE_MAIL_SMTP_SECURITY", security);
        let server = serve(directory.path(), &mail.settings(), &[OWNER, security]);
        server.import(ONE_ROW, false);
        let tried = until("it was tried", || {
            outbox(&server).into_iter().find(|letter| letter["attempts"].as_u64() > Some(0))
        });
        assert!(tried["last_answer"].as_str().unwrap().contains("certificate"), "{tried}");
        assert!(server.stop().success());
        assert_eq!(mail.brought(), Vec::<Value>::new());
        let trusted = ("INTAKE_MAIL_SMTP_CA_FILE", certificate.as_str());
        let server = serve(directory.path(), &mail.settings(), &[OWNER, security, trusted]);
        assert_eq!(mail.wait_for_letters(1)[0]["tls"], true);
        wait_for_empty_outbox(&server);
    }
}

#[test]
fn nothing_is_sent_to_a_server_that_does_not_offer_the_encryption_asked_for() {
    let Some(mail) = MailServer::start(&[]) else { return };
    let directory = tempfile::tempdir().unwrap();
    let server =
        serve(directory.path(), &mail.settings(), &[OWNER, ("INTAKE_MAIL_SMTP_SECURITY", "starttls")]);
    server.import(ONE_ROW, false);
    let tried = until("it was tried", || {
        outbox(&server).into_iter().find(|letter| letter["attempts"].as_u64() > Some(0))
    });
    assert!(tried["last_answer"].as_str().unwrap().contains("no STARTTLS"), "{tried}");
    assert_eq!(mail.brought(), Vec::<Value>::new());
}

#[test]
fn letters_wait_for_the_right_password() {
    let files = tempfile::tempdir().unwrap();
    let (certificate, both) = certificate(files.path());
    let options = ["--certificate", &both, "--user", "intake", "--password", "right-horse"];
    let Some(mail) = MailServer::start(&options) else { return };
    let directory = tempfile::tempdir().unwrap();
    let common = [
        OWNER,
        ("INTAKE_MAIL_SMTP_SECURITY", "starttls"),
        ("INTAKE_MAIL_SMTP_CA_FILE", &certificate),
        ("INTAKE_MAIL_SMTP_USER", "intake"),
    ];
    let wrong = [&common[..], &[("INTAKE_MAIL_SMTP_PASSWORD", "wrong-horse")]].concat();
    let log = files.path().join("log");
    let server = Server::logging_to(&log, directory.path(), &settings(&mail.settings(), &wrong));
    server.import(ONE_ROW, false);
    let tried = until("it was tried twice", || {
        outbox(&server).into_iter().find(|letter| letter["attempts"].as_u64() > Some(1))
    });
    assert_eq!(tried["status"], "waiting");
    let answer = tried["last_answer"].as_str().unwrap();
    assert!(answer.contains("535") && !answer.contains("horse"), "{answer}");
    assert!(server.stop().success());
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains("letters wait, as none can be sent (the mail server said 535)"), "{log}");
    assert!(!log.contains("horse") && !log.contains("acme.test"), "{log}");
    assert_eq!(mail.brought(), Vec::<Value>::new());
    let secret = files.path().join("password");
    fs::write(&secret, "right-horse\n").unwrap();
    let right = [&common[..], &[("INTAKE_MAIL_SMTP_PASSWORD_FILE", secret.to_str().unwrap())]].concat();
    let server = serve(directory.path(), &mail.settings(), &right);
    assert_eq!(mail.wait_for_letters(1)[0]["authenticated"], true);
    wait_for_empty_outbox(&server);
}

#[test]
fn the_log_names_no_reader() {
    let Some(mail) = MailServer::start(&["--reject"]) else { return };
    let files = tempfile::tempdir().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let log = files.path().join("log");
    let mail_settings = mail.settings();
    let debug = settings(&mail_settings, &[OWNER, ("INTAKE_LOG_LEVEL", "trace")]);
    let server = Server::logging_to(&log, directory.path(), &debug);
    server.import(ONE_ROW, false);
    until("it is given up", || (outbox(&server)[0]["status"] == "given_up").then_some(()));
    assert!(server.stop().success());
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains("was refused for good (the mail server said 550)"), "{log}");
    assert!(!log.contains("acme.test") && !log.contains("New users"), "{log}");
}

#[test]
fn a_start_that_could_send_no_letter_fails_and_says_which_setting_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data");
    let empty = directory.path().join("empty.pem");
    fs::write(&empty, "").unwrap();
    let ca_file = ("INTAKE_MAIL_SMTP_CA_FILE", empty.to_str().unwrap());
    let smtp = ("INTAKE_MAIL_TRANSPORT", "smtp");
    let wrong: [(&[(&str, &str)], &str); 4] = [
        (&[("INTAKE_MAIL_FROM", "nobody at all")], "\"mail.from\""),
        (&[smtp, ("INTAKE_MAIL_SMTP_CA_FILE", "/no/such.pem")], "\"mail.smtp_ca_file\": /no/such.pem"),
        (&[smtp, ca_file], "holds no certificate"),
        (&[smtp, ("INTAKE_MAIL_SMTP_HOST", "mail server")], "\"mail.smtp_host\""),
    ];
    for (settings, expected) in wrong {
        let settings = [settings, &[("INTAKE_STORAGE_PATH", path.to_str().unwrap())]].concat();
        let output = intake(&["serve", "--bind", "127.0.0.1:0"], &settings).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(told.contains(expected), "{expected} is not in {told}");
        assert!(!path.exists(), "nothing may be left of a start that fails by a setting");
    }
}
