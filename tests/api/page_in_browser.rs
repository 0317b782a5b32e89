//! The status page in a real browser: what people do with it, and what they see.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::browser::{Browser, ENTER, SPACE};
use crate::helpers::{PATIENCE, Server};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data");
/// Every name here would do harm if it were taken for markup, or for a part of a command.
const HOSTILE: &str = "<img src=x onerror=alert(1)>'\"\\;,$(touch harm)`.json";
const HOSTILE_ID: &str = "<script>alert('1')</script> @$HOME \"x\"";

fn sign_in(browser: &Browser, server: &Server) {
    browser.open(server.about["page"].as_str().unwrap());
    browser.until_text("#connections", "con_");
}

fn paste_token(browser: &Browser, token: &str) {
    browser.until("document.getElementById('sign-in').checkVisibility()");
    browser.script("document.getElementById('token').value = ''");
    browser.type_into("#token", token);
    browser.press(ENTER);
}

fn choose(browser: &Browser, path: &Path) {
    browser.type_into("#file", path.to_str().unwrap());
}

/// The job whose page is open, as the API tells it.
fn open_job(browser: &Browser, server: &Server) -> Value {
    browser.until("location.hash.startsWith('#/jobs/')");
    let id = browser.url().rsplit('/').next().unwrap().to_owned();
    server.wait(&id)
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn assert_quiet(browser: &Browser) {
    assert_eq!(browser.console(), Vec::<String>::new());
}

fn assert_no_other_origin(browser: &Browser, server: &Server) {
    let requests = browser.requests();
    let is_ours = |url: &&String| {
        url.starts_with(&format!("{}/", server.url))
            || ["about:", "blob:", "data:"].iter().any(|scheme| url.starts_with(scheme))
    };
    assert!(requests.len() > 10, "{requests:?}");
    assert_eq!(requests.iter().filter(|url| !is_ours(url)).collect::<Vec<_>>(), Vec::<&String>::new());
}

fn assert_no_markup_from_data(browser: &Browser) {
    let foreign = browser.script(
        "return [...document.querySelectorAll('script, img, b, iframe')]
            .map((one) => one.getAttribute('src')).filter((src) => !src?.startsWith('/static/'))",
    );
    assert_eq!(foreign, json!([]));
}

#[test]
fn a_file_with_bad_rows_is_imported_and_its_failed_rows_read_and_downloaded() {
    let Some(browser) = Browser::start() else { return };
    let server = Server::ephemeral();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(HOSTILE);
    let rows = fs::read_to_string(format!("{DATA}/mixed.json")).unwrap();
    let rows = rows.replace("finn@example.test", "<b>finn</b>@example.test").replace("Finn", "<b>Finn</b>");
    fs::write(&file, &rows).unwrap();

    sign_in(&browser, &server);
    assert_eq!(browser.url(), format!("{}/", server.url));
    let history = browser.script("return [history.length, location.hash]");
    assert_eq!(history[1], "", "{history}");
    browser.until_text("#jobs", "No imports yet");
    browser.shoot("overview-empty");

    choose(&browser, &file);
    browser.until_text("#file-rows", "7 rows");
    assert!(browser.text(".file-facts").contains(HOSTILE));
    assert!(browser.text(".file-facts").contains(&format!("{} bytes", rows.len())));
    assert_eq!(browser.script("return document.querySelectorAll('#first-rows li').length"), 3);
    let shown = browser.text("#first-rows");
    assert!(shown.contains("dora@example.test") && shown.contains("<b>finn</b>@"), "{shown}");
    assert_eq!(browser.text("#connection-id"), server.about["connection_id"].as_str().unwrap());
    browser.type_into("#external-id", HOSTILE_ID);
    browser.click(".curl summary");
    browser.shoot("file-chosen");
    let command = browser.text("#curl");

    browser.click("#start-button");
    let job = open_job(&browser, &server);
    browser.until_text(".badge", "With errors");
    assert_eq!(job["external_id"], HOSTILE_ID);
    assert_eq!(browser.text("#job h1"), HOSTILE_ID);
    assert_eq!(browser.text("#percent"), "100 %");
    for (name, count) in job["summary"].as_object().unwrap() {
        assert_eq!(browser.text(&format!("#count-{name}")), count.to_string(), "{name}");
    }
    browser.until("document.querySelector('#failed .group')");
    browser.shoot("job-with-errors");

    let groups = server.get(&format!("/api/v2/jobs/{}/errors?group_by=code", job["id"].as_str().unwrap()));
    let expected: Vec<Value> =
        groups.json().as_array().unwrap().iter().map(|it| it["code"].clone()).collect();
    let codes = "return [...document.querySelectorAll('#failed .group .code')].map((one) => one.innerText)";
    assert_eq!(browser.script(codes), Value::from(expected.clone()));
    for at in 1..=expected.len() {
        browser.click(&format!("#failed .group:nth-child({at}) summary"));
        browser.until(&format!("document.querySelector('#failed .group:nth-child({at}) tbody tr')"));
    }
    let invalid = browser.text("#failed");
    for part in ["<b>finn</b>@example.test", "email_verified", "Expected type boolean but found type string"]
    {
        assert!(invalid.contains(part), "{part}: {invalid}");
    }
    assert!(invalid.contains("Row 1 of the file is the first."), "{invalid}");
    browser.shoot("failed-rows");
    assert_no_markup_from_data(&browser);

    browser.click("#download");
    let (name, content) = browser.download();
    assert_eq!(name, format!("{}.failed-rows.json", job["id"].as_str().unwrap()));
    let all = server.errors(&job);
    assert!(all.as_array().is_some_and(|rows| rows.len() == 5));
    assert_eq!(serde_json::from_str::<Value>(&content).unwrap(), all);

    let output = Command::new("sh")
        .args(["-c", &command])
        .current_dir(folder.path())
        .env("TOKEN", &server.token)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command}\n{}", String::from_utf8_lossy(&output.stderr));
    let again: Value = serde_json::from_str(&told).unwrap_or_else(|_| panic!("{command}\n{told}"));
    assert_eq!(again["external_id"], HOSTILE_ID, "{command}");
    assert_eq!(server.wait(again["id"].as_str().unwrap())["summary"]["total"], 7);
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        1,
        "the command did more than it should: {command}"
    );

    browser.click(".back a");
    browser.until("document.querySelectorAll('#jobs tbody tr').length === 2");
    assert!(browser.text("#jobs").contains(HOSTILE_ID));
    browser.shoot("overview");
    assert_no_markup_from_data(&browser);
    assert_quiet(&browser);
    assert_no_other_origin(&browser, &server);
}

/// A server that gets a tenth of its time, until this is dropped: on every machine there is time to look.
struct Slowed {
    over: Arc<AtomicBool>,
    slower: Option<JoinHandle<()>>,
}

impl Slowed {
    fn begin(server: &Server) -> Self {
        let process = server.child.id().to_string();
        let over = Arc::new(AtomicBool::new(false));
        let told = over.clone();
        let signal = move |name: &str| {
            assert!(Command::new("kill").args([name, &process]).status().unwrap().success());
        };
        let slower = thread::spawn(move || {
            while !told.load(Ordering::SeqCst) {
                signal("-STOP");
                thread::sleep(Duration::from_millis(90));
                signal("-CONT");
                thread::sleep(Duration::from_millis(10));
            }
        });
        Self { over, slower: Some(slower) }
    }
}

impl Drop for Slowed {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        self.slower.take().unwrap().join().unwrap();
    }
}

#[test]
fn a_running_import_is_watched_to_its_end_and_the_end_is_told() {
    let Some(browser) = Browser::start() else { return };
    let settings = [("INTAKE_IMPORT_MAX_FILE_SIZE", "200MB"), ("INTAKE_IMPORT_WORKERS", "1")];
    let server = Server::ephemeral_with(&settings);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("many.json");
    let row = |at: usize| match at % 100 {
        7 => format!(r#"{{"email":"user{at}@@example.test","email_verified":true}}"#),
        _ => format!(r#"{{"email":"user{at}@example.test","email_verified":true}}"#),
    };
    fs::write(&file, format!("[{}]", (0..300_000).map(row).collect::<Vec<_>>().join(",\n"))).unwrap();
    sign_in(&browser, &server);
    choose(&browser, &file);
    browser.until_text("#file-rows", "300,000 rows");
    browser.click("#start-button");
    browser.until("location.hash.startsWith('#/jobs/')");
    let slowed = Slowed::begin(&server);
    browser.until_text("#pace", "rows/s");
    browser.until_text("#pace", "left");
    browser.until("document.querySelector('#failed .group')");
    browser.script("document.querySelector('#failed .group summary').click()");
    browser.shoot("job-running");
    assert!(!browser.text("#announce").contains("ended"));
    drop(slowed);
    let job = open_job(&browser, &server);
    browser.until("document.getElementById('announce').textContent.includes('has ended')");
    let told = browser.script("return document.getElementById('announce').textContent");
    let expected = format!(
        "Import {} has ended: 297,000 inserted, 0 updated, 3,000 failed.",
        job["id"].as_str().unwrap()
    );
    assert_eq!(told, expected);
    browser.until("document.querySelector('#failed tbody').childElementCount === 25");
    browser.until_text("#failed .group-rows .quiet", "25 of 3,000 shown");
    browser.click("#failed .group-rows .quiet");
    browser.until("document.querySelector('#failed tbody').childElementCount === 50");
    let lines =
        "return [...document.querySelectorAll('#failed tbody tr')].map((row) => row.cells[0].innerText)";
    let expected: Vec<Value> = (0..50_u64).map(|at| at * 100 + 8).map(grouped).collect();
    assert_eq!(browser.script(lines), Value::from(expected));
    assert_quiet(&browser);
}

/// A number below a million as the page writes it.
fn grouped(number: u64) -> Value {
    match number {
        0..1000 => number.to_string().into(),
        _ => format!("{},{:03}", number / 1000, number % 1000).into(),
    }
}

#[test]
fn a_file_that_cannot_be_imported_says_where_and_why_before_it_is_sent_or_after() {
    let Some(browser) = Browser::start() else { return };
    let server = Server::ephemeral_with(&[("INTAKE_IMPORT_MAX_FILE_SIZE", "2KB")]);
    let folder = tempfile::tempdir().unwrap();
    sign_in(&browser, &server);
    let is_ready = "return !document.getElementById('start-button').disabled";
    for (name, why) in [
        ("broken/cut-short.json", "inside of a text, at line 3, column 23"),
        ("broken/ndjson.json", "begins with { instead of [, at line 1, column 1"),
        ("broken/table.csv", "no JSON array"),
        ("broken/trailing-comma.json", "comma after the last row, at line 3, column 1"),
    ] {
        choose(&browser, &Path::new(DATA).join(name));
        browser.until_text("#start-fault", why);
        assert_eq!(browser.script(is_ready), false, "{name}");
    }
    browser.shoot("file-broken");

    let large = folder.path().join("large.json");
    fs::write(&large, format!("[{}]", vec!["{}"; 800].join(","))).unwrap();
    choose(&browser, &large);
    browser.until_text("#start-fault", "this server takes up to 2 KB");
    assert!(browser.text("#start-fault").contains("intake import large.json"));
    assert_eq!(browser.text("#file-rows"), "800 rows");
    assert_eq!(browser.script(is_ready), false);
    browser.shoot("file-too-large");

    // The page does not look into rows; the server does.
    let dropped = "const data = new DataTransfer();
        data.items.add(new File(['[\\n  { \"email\": nope }\\n]'], 'dropped.json'));
        document.querySelector('.drop').dispatchEvent(
            new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true }))";
    browser.script(dropped);
    browser.until_text("#file-rows", "1 row");
    browser.until("!document.getElementById('start-button').disabled");
    browser.click("#start-button");
    browser.until_text("#reason", "line 2 column 15");
    browser.until_text(".badge", "Failed");
    browser.shoot("job-failed");
    browser.open(&format!("{}/#/jobs/job_0000000000000000", server.url));
    browser.until_text("#reason", "There is no such import");
    let console = browser.console();
    assert!(console.iter().all(|line| line.contains("404")), "{console:?}");
}

#[test]
fn mail_and_events_that_wait_are_seen_with_the_reason_and_mail_can_be_tried_again() {
    let Some(browser) = Browser::start() else { return };
    // Nobody listens at this port any more.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = Server::ephemeral_with(&[
        ("INTAKE_TENANT_OWNERS", "ann@acme.test"),
        ("INTAKE_MAIL_TRANSPORT", "smtp"),
        ("INTAKE_MAIL_SMTP_HOST", "127.0.0.1"),
        ("INTAKE_MAIL_SMTP_PORT", &port.to_string()),
        ("INTAKE_MAIL_SMTP_SECURITY", "none"),
        ("INTAKE_MAIL_RETRY_FIRST", "1h"),
        ("INTAKE_WEBHOOKS_ALLOW_PRIVATE_TARGETS", "true"),
    ]);
    let sink = json!({
        "httpEndpoint": format!("http://127.0.0.1:{port}/"), "httpContentType": "application/json",
        "httpContentFormat": "JSONLINES",
    });
    let stream = json!({ "type": "http", "name": "<b>Results</b>", "sink": sink }).to_string();
    let bearer = format!("Bearer {}", server.token);
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let made = server.request("POST", "/api/v2/log-streams", &headers, stream.as_bytes());
    assert!(made.status < 300, "{made:?}");
    let job = server.import(include_str!("../data/mixed.json"), false);
    let attempts = || server.get("/api/v2/outbox").json()[0]["attempts"].as_u64().unwrap_or(0);
    wait_until("the letter was tried", || attempts() == 1);
    let failing = || server.get("/api/v2/log-streams").json()[0]["delivery"]["failing_since"].is_string();
    wait_until("the stream has failed", failing);

    sign_in(&browser, &server);
    browser.until_text("#outbox", "Waiting");
    let letter = server.get("/api/v2/outbox").json()[0].clone();
    let shown = browser.text("#outbox");
    for name in ["to", "subject", "last_answer"] {
        let words = letter[name].as_str().unwrap();
        assert!(shown.contains(words), "{words}: {shown}");
    }
    assert!(shown.contains("1 try, next"), "{shown}");
    browser.until_text("#streams", "Failing");
    assert!(browser.text("#streams").contains("<b>Results</b>"));
    let id = job["id"].as_str().unwrap();
    browser.until(&format!("document.querySelector('#logs a[href=\"#/jobs/{id}\"]')"));
    assert!(browser.text("#logs").contains("sui"));
    browser.shoot("mail-and-streams");
    assert_no_markup_from_data(&browser);
    browser.click("#outbox button");
    browser.until_text("#outbox", "It is tried again");
    wait_until("the letter was tried again", || attempts() == 2);
    browser.click("#logs a");
    browser.until_text("#job h1", id);
    assert_quiet(&browser);
}

#[test]
fn people_sign_in_with_a_token_and_out_again() {
    let Some(browser) = Browser::start() else { return };
    let server = Server::ephemeral();
    browser.open(&server.url);
    browser.until_text("#sign-in", "intake token");
    browser.shoot("sign-in");
    paste_token(&browser, "ñ no token");
    browser.until_text("#sign-in-fault", "This is no access token");
    paste_token(&browser, &server.token.replace('.', "x"));
    browser.until_text("#sign-in-fault", "The server does not take this token: Invalid token");
    browser.shoot("sign-in-refused");
    assert_eq!(browser.script("return sessionStorage.length"), 0);

    paste_token(&browser, &format!("Bearer {}", server.token));
    browser.until_text("#connections", "con_");
    browser.click("#sign-out");
    browser.until("document.getElementById('sign-in').checkVisibility()");
    assert_eq!(
        browser.script("return [sessionStorage.length, localStorage.length, document.cookie]"),
        json!([0, 0, ""])
    );
    browser.script("location.hash = '#/jobs/job_0000000000000000'");
    browser.until("document.getElementById('sign-in').checkVisibility()");

    browser.open(&server.url);
    paste_token(&browser, &server.token_for("read:users"));
    browser.until_text("#connections", "it lacks the scope read:connections");
    choose(&browser, &Path::new(DATA).join("mixed.json"));
    browser.until_text("#start", "your token lacks the scope read:connections");
    assert_eq!(browser.script("return document.getElementById('start-button').disabled"), true);
    assert_eq!(browser.text("#start-fault"), "");
    browser.shoot("scope-missing");
    // What the server no longer takes brings the sign-in back, wherever it is met.
    browser.script(&format!(
        "sessionStorage.setItem('intake.token', {})",
        json!(server.token.replace('.', "x"))
    ));
    browser.until_text("#sign-in-fault", "The server no longer takes your token");

    let link = server.about["page"].as_str().unwrap();
    sign_in(&browser, &server);
    browser.click("#sign-out");
    browser.open(link);
    browser.until_text("#sign-in-fault", "This sign-in link does not work any more");
    assert_eq!(browser.url(), format!("{}/", server.url));
    let console = browser.console();
    let expected = |line: &String| ["401", "403", "404"].iter().any(|status| line.contains(status));
    assert!(console.iter().all(expected), "{console:?}");
    assert_no_other_origin(&browser, &server);
}

#[test]
fn everything_can_be_done_by_keyboard() {
    let Some(browser) = Browser::start() else { return };
    let server = Server::ephemeral();
    browser.open(&server.url);
    browser.until("document.activeElement.id === 'token'");
    browser.press(&server.token);
    browser.press(ENTER);
    browser.until_text("#connections", "con_");
    browser.tab_to("#file");
    let ring = "return getComputedStyle(document.querySelector('.drop')).outlineStyle";
    assert_eq!(browser.script(ring), "solid", "nobody sees where the focus is");
    choose(&browser, &Path::new(DATA).join("mixed.json"));
    browser.until_text("#file-rows", "7 rows");
    browser.tab_to("#connection");
    browser.tab_to("#upsert");
    browser.press(SPACE);
    browser.tab_to("#mail");
    browser.press(SPACE);
    browser.tab_to("#start-button");
    browser.press(ENTER);
    let job = open_job(&browser, &server);
    let asked = server.get(&format!("/api/v2/jobs/{}?include=progress", job["id"].as_str().unwrap()));
    assert_eq!(asked.json()["upsert"], true);
    browser.until("document.querySelector('#failed .group')");
    browser.tab_to("#failed .group summary");
    browser.press(ENTER);
    browser.until("document.querySelector('#failed .group[open] tbody tr')");
    browser.tab_to("#sign-out");
    browser.press(ENTER);
    browser.until("document.getElementById('sign-in').checkVisibility()");
    assert_quiet(&browser);
}

#[test]
fn every_control_has_a_name_and_every_table_a_caption() {
    let Some(browser) = Browser::start() else { return };
    let server = Server::ephemeral();
    sign_in(&browser, &server);
    choose(&browser, &Path::new(DATA).join("mixed.json"));
    browser.until_text("#file-rows", "7 rows");
    let nameless = "return [...document.querySelectorAll('input, select, button, a, progress')].filter((one) =>
            !(one.labels?.length || one.getAttribute('aria-label') || one.textContent.trim())).map((one) => one.outerHTML)";
    assert_eq!(browser.script(nameless), json!([]));
    browser.click("#start-button");
    open_job(&browser, &server);
    browser.until("document.querySelector('#failed .group')");
    assert_eq!(browser.script(nameless), json!([]));
    let bare = "return [...document.querySelectorAll('table')].filter((one) => !one.caption).length
        + [...document.querySelectorAll('section')].filter((one) =>
            !one.getAttribute('aria-label') && !document.getElementById(one.getAttribute('aria-labelledby'))).length";
    assert_eq!(browser.script(bare), 0);
    let headings = "return document.querySelectorAll('main, h1').length > 1 && document.documentElement.lang";
    assert_eq!(browser.script(headings), "en");
}

#[test]
fn page_and_server_agree_on_what_is_an_array_and_how_many_rows_it_has() {
    let Some(browser) = Browser::start() else { return };
    let server = Server::ephemeral();
    browser.open(&server.url);
    let row = r#"{"email":"a\"]@x.test","m":[{"}":1},"[\\"]}"#;
    let texts = [
        "[]".to_owned(),
        " [ \n ] ".to_owned(),
        "\u{feff}[1]".to_owned(),
        format!("[{row},{row} , 1,true,\n\"a,b\"]"),
        format!("[{row}{row}]"),
        format!("[{row} {row}]"),
        format!("[{row},]"),
        format!("[,{row}]"),
        format!("[{row}"),
        format!("[{row}}}"),
        format!("[{row}] x"),
        "[[1]".to_owned(),
        "[{]}".to_owned(),
        "[\"a\n\"]".to_owned(),
        "[\"a]".to_owned(),
        "{}".to_owned(),
        " \n".to_owned(),
        row.to_owned(),
    ];
    let script = "const done = arguments[1];
        const look = ({ inspect }) =>
            inspect(new Blob([arguments[0]]), new AbortController().signal, () => {});
        import('/static/inspect.js').then(look)
            .then((scanner) => done(scanner.rows), (fault) => done(fault.message))";
    for text in texts {
        let seen = browser.script_with(script, vec![json!(text)]);
        let job = server.import(&text, false);
        let told = &job["summary"]["total"];
        assert_eq!(seen.is_string(), job["status"] == "failed", "{text}: {seen}, {job}");
        if !seen.is_string() {
            assert_eq!(&seen, told, "{text}");
        }
    }
}
