//! Strings that are hard on naive programs, where people and other programs are told of them: in mails, by
//! webhooks, in the log, and on the page in a browser.

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::helpers::{Form, Server, escape};
use crate::naughty::strings;
use crate::receiver::{EAGER, Receiver};
use crate::smtp::MailServer;

/// Those that fit an external id.
fn external_ids() -> Option<Vec<String>> {
    let mut strings = strings()?;
    strings.retain(|text| !text.is_empty() && text.len() <= 4096);
    Some(strings)
}

/// Imports a file whose only row fails, under this name; the job.
fn import(server: &Server, connection: &str, external_id: &str, row: &Value) -> Value {
    let parts = [("connection_id", connection), ("external_id", external_id)];
    let form = Form::of(&parts).with_file(json!([row]).to_string().as_bytes());
    let answer = server.upload(&form);
    assert_eq!(answer.status, 202, "{external_id:?}: {}", answer.text);
    server.wait(answer.json()["id"].as_str().unwrap())
}

/// The text as a mail shows it: on one line, without control characters, and of 200 characters.
fn on_a_line(text: &str) -> String {
    let is_break = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    let mut line: String = text.chars().take(200).map(|c| if is_break(c) { ' ' } else { c }).collect();
    if text.chars().count() > 200 {
        line.push('…');
    }
    line.trim().to_owned()
}

/// HTML as its reader sees it.
fn unescaped(html: &str) -> String {
    let pairs =
        [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#x27;", "'"), ("&#x2f;", "/"), ("&amp;", "&")];
    pairs.iter().fold(html.to_owned(), |html, (escaped, plain)| html.replace(escaped, plain))
}

#[test]
fn naughty_strings_are_texts_in_mails_and_never_headers_or_markup() {
    let Some(ids) = external_ids() else { return };
    let Some(mail) = MailServer::start(&[]) else { return };
    let directory = tempfile::tempdir().unwrap();
    let tenant = "<b>\u{202e}acme</b>\u{85}\u{2028}Bcc: eve@acme.test \u{1f4a9}";
    let mut settings = mail.settings();
    settings.push(("INTAKE_TENANT_OWNERS".to_owned(), "ann@acme.test".to_owned()));
    settings.push(("INTAKE_TENANT_NAME".to_owned(), tenant.to_owned()));
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (&**name, &**value)).collect();
    let server = Server::on(directory.path(), &settings);
    let connection = server.connection_id();
    // An empty file of rows, so that the letters differ by their ids alone.
    let jobs: Vec<Value> = ids.iter().map(|id| import(&server, &connection, id, &json!({}))).collect();
    let letters = mail.wait_for_letters(ids.len());
    assert_eq!(letters.len(), ids.len());
    let tags = |html: &str| html.matches('<').count();
    let expected = tags(letters[0]["html"].as_str().unwrap());
    for (id, job) in ids.iter().zip(&jobs) {
        let sent = format!("<{}.0@", job["id"].as_str().unwrap());
        let letter = letters.iter().find(|letter| letter["message_id"].as_str().unwrap().starts_with(&sent));
        let letter = letter.unwrap();
        assert_eq!(letter["defects"], json!([]), "{id:?}");
        let subject = format!(
            "[intake] Import user job for tenant {} and connection Username-Password-Authentication completed",
            on_a_line(tenant)
        );
        assert_eq!(letter["subject"], subject, "{id:?}");
        let headers: Vec<&String> = letter["headers"].as_object().unwrap().keys().collect();
        let usual = letters[0]["headers"].as_object().unwrap().keys();
        assert_eq!(headers, usual.collect::<Vec<_>>(), "{id:?}");
        assert_eq!(letter["headers"]["bcc"], Value::Null);
        let line = format!("External id: {}\n", on_a_line(id));
        let text = letter["text"].as_str().unwrap();
        assert!(text.contains(&line), "{line:?} is not in {text}");
        let html = letter["html"].as_str().unwrap();
        assert_eq!(tags(html), expected, "{id:?} makes markup: {html}");
        assert!(unescaped(html).contains(&on_a_line(id)), "{id:?} is not in {html}");
    }
}

#[test]
fn naughty_strings_are_told_byte_for_byte_by_the_log_and_by_webhooks() {
    let Some(ids) = external_ids() else { return };
    let Some(receiver) = Receiver::start() else { return };
    let server = Server::ephemeral_with(EAGER);
    let stream = json!({
        "name": "one", "type": "http", "sink": { "httpEndpoint": receiver.url() },
        "filters": [{ "type": "event", "name": "sui" }],
    });
    assert_eq!(server.send("POST", "/api/v2/log-streams", &stream).status, 200);
    let connection = server.connection_id();
    let told = |event: &Value| event["details"]["external_id"].as_str().unwrap().to_owned();
    for id in &ids {
        let job = import(&server, &connection, id, &json!({}));
        let event = server.get("/api/v2/logs?q=type:sui&per_page=1").json()[0].clone();
        assert_eq!((&event["details"]["job_id"], told(&event)), (&job["id"], id.clone()));
    }
    let sent: Vec<String> = receiver.wait_for(ids.len()).iter().map(|event| told(&event["data"])).collect();
    assert_eq!(sent, ids);
}

/// What a browser runs of a text shows in its window, or as a message that stops every further command.
#[test]
fn naughty_strings_are_texts_on_the_page() {
    let Some(ids) = external_ids() else { return };
    let Some(browser) = Browser::start() else { return };
    let server = Server::ephemeral();
    let connection = server.connection_id();
    let row = |text: &String| json!({ "email": text, "email_verified": text, text.clone(): text });
    // Markup and scripts, and some of each other kind.
    let is_markup = |text: &str| text.contains(['<', '&']) || text.contains("javascript");
    let shown = ids.iter().enumerate().filter(|(at, text)| is_markup(text) || at % 9 == 0);
    let shown: Vec<String> = shown.map(|(_, text)| text.clone()).collect();
    assert!(shown.len() > 150, "{}", shown.len());
    let jobs: Vec<Value> = shown.iter().map(|id| import(&server, &connection, id, &json!({}))).collect();

    browser.open(server.about["page"].as_str().unwrap());
    let mut seen = Vec::new();
    while seen.len() < shown.len() {
        let newest = &jobs[jobs.len() - 1 - seen.len()]["id"];
        browser.until(&format!("document.querySelector('#jobs tbody a')?.hash === '#/jobs/' + {newest}"));
        let names = browser.script(
            "return [...document.querySelectorAll('#jobs tbody a.name')].map((one) => one.textContent)",
        );
        seen.extend(names.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()));
        assert_nothing_ran(&browser);
        let older = "return [...document.querySelectorAll('#jobs .turn button')].find((one) => one.textContent === 'Older').click()";
        browser.script(older);
    }
    seen.reverse();
    assert_eq!(seen, shown);

    // All of them as failed rows of one job.
    let rows: Vec<Value> = shown.iter().map(row).collect();
    let form =
        Form::import(&connection, &Value::from(rows).to_string(), false).with("external_id", &shown[0]);
    let answer = server.upload(&form);
    let job = server.wait(answer.json()["id"].as_str().unwrap());
    assert_eq!(job["summary"]["failed"], shown.len(), "{job}");
    browser.open(&format!("{}/#/jobs/{}", server.url, escape(job["id"].as_str().unwrap())));
    browser.until("document.querySelector('#failed .group')");
    browser.script("document.querySelectorAll('#failed .group summary').forEach((one) => one.click())");
    browser.until(
        "[...document.querySelectorAll('#failed .group')].every((one) => one.querySelector('tbody tr'))",
    );
    let more = "[...document.querySelectorAll('#failed .group button')].filter((one) => one.checkVisibility() && !one.disabled)";
    browser.until(&format!("({more}.forEach((one) => one.click()), {more}.length === 0)"));
    let text = browser.script("return document.querySelector('#failed').textContent");
    let text = text.as_str().unwrap();
    for naughty in shown.iter().filter(|naughty| is_markup(naughty)) {
        let start: String = naughty.chars().take(60).collect();
        let quoted = json!(start).to_string();
        let quoted = &quoted[1..quoted.len() - 1];
        assert!(text.contains(&start) || text.contains(quoted), "{naughty:?} is not on the page");
    }
    assert_nothing_ran(&browser);
}

/// No element came out of a text, no script ran, and the policy had nothing to refuse.
#[track_caller]
fn assert_nothing_ran(browser: &Browser) {
    let foreign = browser.script(
        "return [...document.querySelectorAll('script, img, iframe, svg, object, embed, base, meta[http-equiv], style, b, body *')]
            .filter((one) => [...one.attributes].some((it) => it.name.startsWith('on'))
                || (/^(script|img|iframe|object|embed|base|style)$/i.test(one.tagName) && !one.getAttribute('src')?.startsWith('/static/')))
            .map((one) => one.outerHTML)",
    );
    assert_eq!(foreign, json!([]));
    assert_eq!(browser.script("return document.title.includes('XSS') || 'xss' in window"), false);
    assert_eq!(browser.console(), Vec::<String>::new());
}
