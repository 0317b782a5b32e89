//! Secrets and people's data are where they belong and nowhere else: not in the log at its most talkative, not
//! in refusals, not in the tenant log, not in figures.
//!
//! A server is told many secrets, each with a mark in it; then all that it has said is searched for the marks.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;

use serde_json::{Value, json};

use crate::helpers::{Answer, Form, Server, escape, intake, until};
use crate::mail::certificate;
use crate::receiver::{Receiver, SECRET as SIGNING_SECRET};
use crate::smtp::MailServer;

const CONNECTION: &str = "con_0000000000000001";
const CLIENT_SECRET: &str = "MARKclientsecret0123456789";
const METRICS_TOKEN: &str = "MARKmetricstoken0123456789";
const SMTP_PASSWORD: &str = "MARKsmtppassword";
const JSON: (&str, &str) = ("content-type", "application/json");
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

/// Everything said so far that may hold no mark.
struct Ears {
    server: Server,
    /// Refusals, with their headers.
    refusals: String,
    /// Secrets that were made on the way, which have no mark.
    secrets: Vec<String>,
}

impl Ears {
    fn note(&mut self, what: &str, answer: &Answer) {
        assert!(answer.status < 500, "{what}: {answer:?}");
        if 400 <= answer.status {
            // The form for a password goes back to whoever sent its ticket, to be filled in again.
            let own =
                answer.text.split_once("name=\"ticket\" value=\"").and_then(|(_, rest)| rest.split_once('"'));
            let shown = format!("{what}: {answer:?}");
            let shown = own.map_or(shown.clone(), |(ticket, _)| shown.replace(ticket, ""));
            writeln!(self.refusals, "{shown}").unwrap();
        }
    }

    fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let answer = self.server.request(method, path, headers, body.as_bytes());
        self.note(&format!("{method} {}", path.split('?').next().unwrap().replace("MARK", "")), &answer);
        answer
    }

    /// A request by the administrator.
    fn call(&mut self, method: &str, path: &str, body: &Value) -> Answer {
        let bearer = format!("Bearer {}", self.server.token);
        let text = if body.is_null() { String::new() } else { body.to_string() };
        self.send(method, path, &[JSON, ("authorization", &bearer)], &text)
    }

    /// What is made of a secret that nobody chose.
    fn keep(&mut self, secret: &Value) -> String {
        let secret = secret.as_str().unwrap_or_else(|| panic!("no secret")).to_owned();
        // Of a token, what nobody can guess: the rest is in other tokens, too.
        self.secrets.push(secret.rsplit('.').next().unwrap().to_owned());
        secret
    }
}

fn config(mail: &MailServer, receiver: &Receiver, certificate: &str, format: &str) -> String {
    let port = mail.settings().iter().find(|(name, _)| name.ends_with("SMTP_PORT")).unwrap().1.clone();
    format!(
        r#"
        [tenant]
        owners = ["MARKowner@example.test"]
        [log]
        level = "trace"
        format = "{format}"
        [metrics]
        token = "{METRICS_TOKEN}"
        [mail]
        transport = "smtp"
        smtp_host = "127.0.0.1"
        smtp_port = {port}
        smtp_ca_file = "{certificate}"
        smtp_user = "intake"
        smtp_password = "{SMTP_PASSWORD}"
        [webhooks]
        allow_private_targets = true
        retry_first = "20ms"
        retry_longest = "100ms"
        timeout = "1s"
        [login]
        max_failures = 1000
        [[clients]]
        client_id = "app"
        client_secret = "{CLIENT_SECRET}"
        [[connections]]
        name = "staff"
        id = "{CONNECTION}"
        clients = ["app"]
        [[log_streams]]
        name = "hooks"
        endpoint = "{}?key=MARKendpoint"
        authorization = "Bearer MARKauthorization"
        secret = "{SIGNING_SECRET}"
        headers = {{ x-key = "MARKheader" }}
        "#,
        receiver.url()
    )
}

#[test]
fn no_secret_and_nobodys_data_is_said_in_text() {
    tell_and_search("text");
}

#[test]
fn no_secret_and_nobodys_data_is_said_in_json() {
    tell_and_search("json");
}

fn tell_and_search(format: &str) {
    let files = tempfile::tempdir().unwrap();
    let (certificate, both) = certificate(files.path());
    let options = ["--certificate", &both, "--user", "intake", "--password", SMTP_PASSWORD];
    let (Some(mail), Some(receiver)) = (MailServer::start(&options), Receiver::start()) else { return };
    let (data, log, file) =
        (files.path().join("data"), files.path().join("log"), files.path().join("c.toml"));
    fs::write(&file, config(&mail, &receiver, &certificate, format)).unwrap();
    let settings =
        [("INTAKE_STORAGE_PATH", data.to_str().unwrap()), ("INTAKE_SERVER_PUBLIC_URL", "http://intake.test")];
    let arguments = ["serve", "--bind", "127.0.0.1:0", "--config", file.to_str().unwrap()];
    let server = Server::logging(intake(&arguments, &settings), &log, &data, &settings);
    let mut ears = Ears { server, refusals: String::new(), secrets: Vec::new() };
    let token = ears.server.token.clone();
    ears.keep(&token.into());

    ask_for_tokens(&mut ears);
    import(&mut ears, &receiver);
    set_passwords(&mut ears, &mail);
    change_by_the_api(&mut ears, &receiver);
    send_nonsense(&mut ears);

    receiver.treat("ok");
    let events = ears.server.get("/api/v2/logs?per_page=100").json();
    let number = events.as_array().unwrap().len();
    assert!(20 < number, "{number} events");
    until("all events are delivered", || {
        let came = receiver.taken();
        events
            .as_array()
            .unwrap()
            .iter()
            .all(|one| came.iter().any(|it| it["log_id"] == one["log_id"]))
            .then_some(())
    });
    let figures = figures(&ears.server, METRICS_TOKEN).text;
    assert!(figures.contains("intake_http_requests"), "{figures}");
    until("no letter waits", || (ears.server.get("/api/v2/outbox").json() == json!([])).then_some(()));
    let (refusals, mut secrets) = (ears.refusals.clone(), ears.secrets.clone());
    assert!(ears.server.stop().success());
    let log = fs::read_to_string(&log).unwrap();
    assert!(log.contains("import job") && 10 <= log.lines().count(), "{log}");
    // The link to the status page is said at the start, for people at a terminal: see --no-secrets.
    let log: String = log
        .lines()
        .filter(|line| !line.starts_with("  status page "))
        .fold(String::new(), |all, line| all + line + "\n");

    secrets.push(SIGNING_SECRET.trim_start_matches("whsec_").to_owned());
    for (name, said) in [("the log", &log), ("figures", &figures)] {
        assert_silent(name, said, &["MARK"], &secrets);
    }
    // Who may read the tenant log may see addresses; the rest of a user's data and secrets are not in it.
    let bodies: String = receiver.taken().iter().map(ToString::to_string).collect();
    let marks = [
        "MARKclientsecret",
        "MARKmetricstoken",
        "MARKsmtppassword",
        "MARKendpoint",
        "MARKauthorization",
        "MARKheader",
        "MARKpassword",
        "MARKwrong",
        "MARKbad",
        "MARKmetadata",
        "MARKquery",
        "MARKnonsense",
    ];
    assert_silent("the tenant log", &events.to_string(), &marks, &secrets);
    assert_silent("webhooks", &bodies, &marks, &secrets);
    assert_silent("refusals", &refusals, &marks, &secrets);
    assert!(15 < refusals.lines().count(), "{refusals}");
}

#[track_caller]
fn assert_silent(name: &str, said: &str, marks: &[&str], secrets: &[String]) {
    // Addresses are kept in lower case, so a mark has none; what was made by chance has.
    let lower = said.to_ascii_lowercase();
    let marks = marks.iter().find_map(|mark| lower.find(&mark.to_ascii_lowercase()));
    let secrets = secrets.iter().find_map(|secret| said.find(secret));
    if let Some(at) = marks.or(secrets) {
        let from = said.floor_char_boundary(at.saturating_sub(300));
        panic!("{name}: …{}", &said[from..said.ceil_char_boundary(at + 100)]);
    }
}

fn figures(server: &Server, token: &str) -> Answer {
    server.request("GET", "/metrics", &[("authorization", &format!("Bearer {token}"))], b"")
}

fn ask_for_tokens(ears: &mut Ears) {
    let asking = |secret: &str| {
        format!("grant_type=client_credentials&client_id=app&client_secret={secret}&scope=read:users")
    };
    let answer = ears.send("POST", "/oauth/token", &[FORM], &asking(CLIENT_SECRET));
    let token = ears.keep(&answer.json()["access_token"]);
    ears.send("POST", "/oauth/token", &[FORM], &asking("MARKwrongsecret"));
    ears.send(
        "POST",
        "/oauth/token",
        &[JSON],
        r#"{"client_id":"app","client_secret":"MARKwrongsecret","grant_type":"MARKnonsense"#,
    );
    ears.send(
        "POST",
        "/oauth/token",
        &[("authorization", "Basic TUFSS3dyb25nOk1BUkt3cm9uZw==")],
        "grant_type=client_credentials",
    );
    let tampered = format!("{}A", &token[..token.len() - 1]);
    for bad in ["MARKbadtoken", "MARKbad.MARKbad.MARKbad", &tampered] {
        ears.send("GET", "/api/v2/jobs", &[("authorization", &format!("Bearer {bad}"))], "");
        ears.send("GET", "/metrics", &[("authorization", &format!("Bearer {bad}"))], "");
    }
    ears.send("GET", "/api/v2/jobs", &[("authorization", "MARKbadscheme MARKbadtoken")], "");
    ears.send("GET", "/api/v2/jobs?access_token=MARKquery", &[], "");
    ears.call(
        "PATCH",
        "/api/v2/clients/app?token=MARKquery&client_secret=MARKquery",
        &json!({ "client_secret": "MARKwrong" }),
    );
    ears.send(
        "GET",
        "/exports/job_0000000000000000.json.gz?expires=99999999999&signature=MARKquery",
        &[],
        "",
    );
    ears.send("POST", "/u/sign-in", &[JSON], r#"{"code":"MARKwrongcode"}"#);
    ears.send("POST", "/u/sign-in", &[JSON], r#"{"code":"MARKnonsense"#);
}

fn upload(ears: &mut Ears, file: &str, upsert: bool) -> Value {
    let answer = ears.server.upload(&Form::import(CONNECTION, file, upsert));
    ears.note("an upload", &answer);
    ears.server.wait(answer.json()["id"].as_str().unwrap())
}

fn import(ears: &mut Ears, receiver: &Receiver) {
    receiver.treat("500");
    let rows = json!([
        { "email": "MARKann@example.test", "email_verified": true, "username": "MARKann",
          "app_metadata": { "MARKmetadatakey": "MARKmetadata" }, "user_metadata": { "a": ["MARKmetadata"] } },
        { "email": "MARKbob@example.test", "email_verified": false },
        { "email": "MARKann@example.test", "email_verified": true },
        { "email": "MARKbroken", "email_verified": "MARK", "MARKproperty": 1, "app_metadata": { "_id": "MARK" } },
    ]);
    assert_eq!(upload(ears, &rows.to_string(), false)["summary"]["inserted"], 2);
    assert_eq!(upload(ears, &rows.to_string(), true)["summary"]["updated"], 2);
    for broken in [r#"[{"email":"MARKcut@example.test"#, "MARK", "{\"MARK\":1}", "[\"MARK\x01\"]", "[1,MARK]"]
    {
        assert_eq!(upload(ears, broken, false)["status"], "failed");
    }
    receiver.treat("drop");
    // One that is never finished.
    let form = Form::import(CONNECTION, &"{\"MARK\":".repeat(2000), false);
    let head = Server::upload_head(&ears.server.token, &format!("content-length: {}", form.bytes().len()));
    let mut stream = ears.server.dial();
    stream.write_all(&[head.as_bytes(), &form.bytes()[..8000]].concat()).unwrap();
    drop(stream);
    for query in
        ["q=email:MARKann@example.test", "q=app_metadata.a:MARK", "q=MARK(", "sort=MARK", "fields=MARK"]
    {
        ears.call(
            "GET",
            &format!("/api/v2/users?search_engine=v3&{}", query.replace(' ', "+")),
            &Value::Null,
        );
    }
    ears.call("GET", "/api/v2/users-by-email?email=MARKann@example.test", &Value::Null);
    let export = ears.call(
        "POST",
        "/api/v2/jobs/users-exports",
        &json!({ "connection_id": CONNECTION, "format": "csv" }),
    );
    let done = ears.server.wait(export.json()["id"].as_str().unwrap());
    let link = done["location"].as_str().unwrap().strip_prefix("http://intake.test").unwrap().to_owned();
    ears.secrets.push(link.split_once("signature=").unwrap().1.to_owned());
    assert_eq!(ears.send("HEAD", &link, &[], "").status, 200);
}

fn sign_in(ears: &mut Ears, name: &str, password: &str) -> Answer {
    let asked = json!({
        "grant_type": "password", "client_id": "app", "client_secret": CLIENT_SECRET, "username": name,
        "password": password, "scope": "openid profile email",
    });
    ears.send("POST", "/oauth/token", &[JSON], &asked.to_string())
}

fn set_passwords(ears: &mut Ears, mail: &MailServer) {
    let set = |ears: &mut Ears, ticket: &str, password: &str, again: &str| {
        let form = format!("ticket={ticket}&password={}&again={}", escape(password), escape(again));
        ears.send("POST", "/u/reset-password", &[FORM], &form)
    };
    let ann = json!({ "connection_id": CONNECTION, "email": "MARKann@example.test" });
    let link = ears.call("POST", "/api/v2/tickets/password-change", &ann).json()["ticket"].clone();
    let ticket = crate::login::ticket_in(link.as_str().unwrap());
    ears.secrets.push(ticket.clone());
    ears.send("GET", &format!("/u/reset-password?ticket={ticket}"), &[], "");
    for (password, again) in
        [("MARKpassword1", "MARKpassword2"), ("MARKpassword", "MARKpassword"), ("", "MARKpassword")]
    {
        assert_eq!(set(ears, &ticket, password, again).status, 400);
    }
    assert_eq!(set(ears, &ticket, "MARKpassword-1 good", "MARKpassword-1 good").status, 200);
    assert_eq!(set(ears, &ticket, "MARKpassword-2 good", "MARKpassword-2 good").status, 404);
    assert_eq!(set(ears, "MARKwrongticket", "MARKpassword", "MARKpassword").status, 404);
    ears.send("POST", "/u/reset-password", &[JSON], r#"{"password":"MARKnonsense"#);
    let answer = sign_in(ears, "MARKann@example.test", "MARKpassword-1 good");
    assert_eq!(answer.status, 200, "{}", answer.text);
    ears.keep(&answer.json()["access_token"]);
    ears.keep(&answer.json()["id_token"]);
    sign_in(ears, "MARKann@example.test", "MARKwrongpassword");
    sign_in(ears, "MARKnobody@example.test", "MARKwrongpassword");
    // A user without a password is mailed a link, at this try and on asking.
    sign_in(ears, "MARKbob@example.test", "MARKwrongpassword");
    let bob = json!({ "connection": "staff", "email": "MARKbob@example.test", "client_id": "app" });
    ears.send("POST", "/dbconnections/change_password", &[JSON], &bob.to_string());
    let user = ears.server.user("markbob@example.test")["user_id"].clone();
    ears.call("POST", "/api/v2/jobs/verification-email", &json!({ "user_id": user }));
    until("links have come", || {
        let letters = mail.letters();
        let links: Vec<String> = letters
            .iter()
            .filter_map(|letter| {
                Some(
                    letter["text"]
                        .as_str()?
                        .split_once("ticket=")?
                        .1
                        .chars()
                        .take_while(char::is_ascii_alphanumeric)
                        .collect(),
                )
            })
            .collect();
        (2 <= links.len()).then(|| ears.secrets.extend(links))
    });
}

fn change_by_the_api(ears: &mut Ears, receiver: &Receiver) {
    let user = json!({
        "connection": "staff", "email": "MARKcarl@example.test", "password": "MARKpassword-3 good",
        "user_metadata": { "a": "MARKmetadata" }, "verify_email": false,
    });
    let made = ears.call("POST", "/api/v2/users", &user);
    assert_eq!(made.status, 201, "{}", made.text);
    ears.call("POST", "/api/v2/users", &user);
    let weak = json!({ "connection": "staff", "email": "MARKdora@example.test", "password": "MARKpassword" });
    ears.call("POST", "/api/v2/users", &weak);
    let path = format!("/api/v2/users/{}", escape(made.json()["user_id"].as_str().unwrap()));
    ears.call("PATCH", &path, &json!({ "password": "MARKpassword-4 good", "connection": "staff" }));
    ears.call("PATCH", &path, &json!({ "password": { "MARKpassword": 1 } }));
    ears.call("PATCH", &path, &json!({ "app_metadata": { "MARKmetadata": "MARKmetadata" } }));
    ears.call("DELETE", &path, &Value::Null);
    let client = ears.call("POST", "/api/v2/clients", &json!({ "name": "another" })).json();
    ears.keep(&client["client_secret"]);
    let rotate = format!("/api/v2/clients/{}/rotate-secret", client["client_id"].as_str().unwrap());
    let rotated = ears.call("POST", &rotate, &Value::Null).json();
    ears.keep(&rotated["client_secret"]);
    let stream = json!({ "name": "second", "type": "http", "sink": {
        "httpEndpoint": format!("{}?key=MARKendpoint", receiver.url()), "httpAuthorization": "MARKauthorization",
        "httpContentFormat": "JSONARRAY", "httpContentType": "application/json",
        "httpCustomHeaders": [{ "header": "x-key", "value": "MARKheader" }],
    }});
    let made = ears.call("POST", "/api/v2/log-streams", &stream);
    assert!(made.status < 300, "{}", made.text);
    for endpoint in ["https://MARKwrong:MARKwrong@example.test/", "ftp://MARKwrong", "MARKwrong"] {
        let mut broken = stream.clone();
        broken["sink"]["httpEndpoint"] = endpoint.into();
        ears.call("POST", "/api/v2/log-streams", &broken);
    }
    let mut broken = stream;
    broken["sink"]["httpAuthorization"] = "MARKauthorization\n".into();
    ears.call("POST", "/api/v2/log-streams", &broken);
}

fn send_nonsense(ears: &mut Ears) {
    let bearer = format!("Bearer {}", ears.server.token);
    for (method, path) in [
        ("POST", "/api/v2/users"),
        ("POST", "/api/v2/clients"),
        ("POST", "/api/v2/log-streams"),
        ("POST", "/api/v2/connections"),
        ("POST", "/api/v2/client-grants"),
        ("POST", "/api/v2/tickets/password-change"),
        ("POST", "/api/v2/jobs/users-exports"),
        ("POST", "/dbconnections/change_password"),
    ] {
        let headers = [JSON, ("authorization", &*bearer), ("user-agent", "MARKagent")];
        for body in
            [r#"{"client_secret":"MARKnonsense"#, r#"["MARKnonsense"]"#, "MARKnonsense", "\"MARKnonsense\""]
        {
            ears.send(method, path, &headers, body);
        }
    }
    let multipart =
        [("authorization", &*bearer), ("content-type", "multipart/form-data; boundary=MARKnonsense")];
    ears.send(
        "POST",
        "/api/v2/jobs/users-imports",
        &multipart,
        "--MARKnonsense\r\nMARKnonsense: MARKnonsense\r\n\r\nMARKnonsense",
    );
    ears.send("GET", "/MARKpath", &[("cookie", "MARKnonsense")], "");
    ears.send("MARKMETHOD", "/api/v2/jobs", &[("authorization", &bearer)], "");
    let raw = ears.server.raw(b"GET / HTTP/1.1\r\nMARKnonsense\r\nconnection: close\r\n\r\n");
    ears.note("no header", &raw);
}

/// Where the settings are wrong, the words about them quote nothing that was to be secret.
#[test]
fn a_setting_that_is_wrong_is_named_and_no_secret_is_quoted() {
    let files = tempfile::tempdir().unwrap();
    let said = |file: &str, settings: &[(&str, &str)]| {
        let path = files.path().join("wrong.toml");
        fs::write(&path, file).unwrap();
        let output = intake(&["serve", "--config", path.to_str().unwrap()], settings).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!said.contains("MARK"), "{said}");
        said
    };
    assert!(said("[metrics]\ntoken = \"MARKshort\"", &[]).contains("metrics.token"));
    assert!(said("[[clients]]\nclient_id = \"a\"\nclient_secret = \"MARK\"", &[]).contains("secret"));
    assert!(said("[mail]\nsmtp_password = [\"MARK\"]", &[]).contains("smtp_password"));
    assert!(said("", &[("INTAKE_METRICS_TOKEN", "MARK")]).contains("metrics.token"));
    let broken = "[[log_streams]]\nname = \"a\"\nendpoint = \"https://a.test/\"\nsecret = \"MARK\"";
    assert!(said(broken, &[]).contains("secret"));
    said("[mail]\nsmtp_password = \"MARK", &[]);
    said("[mail]\nsmtp_password = MARK", &[]);
}
