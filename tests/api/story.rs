//! The whole story: somebody moves in, cannot sign in, sets a password by mail and page, and stays.

use std::fs;

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::helpers::{Answer, Form, Server};
use crate::smtp::MailServer;

const CONNECTION: &str = "con_0000000000000001";
const PASSWORD: &str = "correct Horse 7 battery";

fn rows(theme: &str) -> String {
    let ann = json!({
        "email": "ann@example.test", "email_verified": false, "user_metadata": { "theme": theme },
    });
    json!([ann]).to_string()
}

fn import(server: &Server, theme: &str, upsert: bool) -> Value {
    let answer = server.upload(&Form::import(CONNECTION, &rows(theme), upsert));
    server.wait(answer.json()["id"].as_str().unwrap())["summary"].clone()
}

fn sign_in(server: &Server, password: &str) -> Answer {
    let form = [
        ("grant_type", "http://auth0.com/oauth/grant-type/password-realm"),
        ("realm", "staff"),
        ("client_id", "app"),
        ("client_secret", "0123456789abcdef0123456789abcdef"),
        ("username", "ann@example.test"),
        ("password", password),
        ("scope", "openid email"),
    ];
    let form = form.map(|(name, value)| format!("{name}={}", crate::helpers::escape(value))).join("&");
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    server.request("POST", "/oauth/token", &headers, form.as_bytes())
}

/// The types and descriptions of the events of this user, oldest first.
fn told(server: &Server) -> Vec<(String, String)> {
    let id = server.user("ann@example.test")["user_id"].as_str().unwrap().replace('|', "%7C");
    let events = server.get(&format!("/api/v2/users/{id}/logs?sort=date:1")).json();
    let text = |event: &Value, name: &str| event[name].as_str().unwrap().to_owned();
    let events = events.as_array().unwrap().iter();
    events.map(|event| (text(event, "type"), text(event, "description"))).collect()
}

#[test]
fn an_imported_user_sets_a_password_before_signing_in_and_keeps_it_in_the_next_import() {
    let (Some(mail), Some(browser)) = (MailServer::start(&[]), Browser::start()) else { return };
    let directory = tempfile::tempdir().unwrap();
    let port = mail.settings().into_iter().find(|(name, _)| name == "INTAKE_MAIL_SMTP_PORT").unwrap().1;
    let config = directory.path().join("test.toml");
    let settings = format!(
        r#"
        [mail]
        transport = "smtp"
        smtp_host = "127.0.0.1"
        smtp_port = {port}
        smtp_security = "none"
        [[clients]]
        client_id = "app"
        client_secret = "0123456789abcdef0123456789abcdef"
        [[connections]]
        name = "staff"
        id = "{CONNECTION}"
        clients = ["app"]
        "#
    );
    fs::write(&config, settings).unwrap();
    let server = Server::configured(&directory.path().join("data"), &config);

    let summary = import(&server, "light", false);
    assert_eq!(summary, json!({ "failed": 0, "updated": 0, "inserted": 1, "total": 1 }));

    let refused = sign_in(&server, PASSWORD);
    assert_eq!(refused.status, 403);
    let wrong = json!({ "error": "invalid_grant", "error_description": "Wrong email or password." });
    assert_eq!(refused.json(), wrong);
    assert_eq!(told(&server), [("fp".to_owned(), "Password change required".to_owned())]);

    let letter = mail.wait_for_letters(1).remove(0);
    assert_eq!(letter["to"], "ann@example.test");
    let text = letter["text"].as_str().unwrap();
    let link = text.split_whitespace().find(|word| word.contains("/u/reset-password?ticket=")).unwrap();
    // Nobody here knows the name by which the world reaches this server.
    let link = link.replacen("http://intake.test", &server.url, 1);
    browser.open(&link);
    browser.until_text("h1", "Choose a password");
    browser.shoot("reset-password");
    browser.type_into("#password", "short");
    browser.type_into("#again", "short");
    browser.click("button[type=submit]");
    browser.until_text("[role=alert]", "At least 8 characters");
    browser.shoot("reset-password-refused");
    browser.type_into("#password", PASSWORD);
    browser.type_into("#again", PASSWORD);
    browser.click("button[type=submit]");
    browser.until_text("h1", "Your password is set");
    browser.shoot("reset-password-done");
    // The browser remarks on the status of the refusal, and has nothing else to say.
    let console = browser.console();
    assert!(console.len() == 1 && console[0].contains("400 (Bad Request)"), "{console:?}");
    browser.open(&link);
    browser.until_text("h1", "This link does not work any more");

    let answer = sign_in(&server, PASSWORD);
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert!(answer.json()["access_token"].is_string() && answer.json()["id_token"].is_string());
    assert_eq!(server.user("ann@example.test")["email_verified"], true, "the link has proven the address");

    let summary = import(&server, "dark", true);
    assert_eq!(summary, json!({ "failed": 0, "updated": 1, "inserted": 0, "total": 1 }));
    assert_eq!(server.user("ann@example.test")["user_metadata"], json!({ "theme": "dark" }));
    assert_eq!(sign_in(&server, PASSWORD).status, 200);
    assert_eq!(sign_in(&server, "another").status, 403);
    let types: Vec<String> = told(&server).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(types, ["fp", "fcp", "scp", "s", "s", "fp"]);
}
