//! Who looks in: `/healthz`, `/readyz`, and `/metrics` with figures that are right and cost little.

#![expect(clippy::float_cmp, clippy::cast_precision_loss, reason = "all of them are whole numbers")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::helpers::{Answer, Form, Server, tool, until};
use crate::receiver::{EAGER, Receiver};

const OPEN: (&str, &str) = ("accept", "application/openmetrics-text;version=1.0.0,text/plain;q=0.5");

fn get(server: &Server, path: &str, headers: &[(&str, &str)]) -> Answer {
    server.request("GET", path, headers, b"")
}

/// The figures of a scrape by name and labels, as they stand in the text.
struct Scrape(BTreeMap<String, f64>);

impl Scrape {
    fn of(server: &Server) -> Self {
        let answer = get(server, "/metrics", &[]);
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
        Self(parse(&answer.text))
    }

    #[track_caller]
    fn get(&self, name: &str) -> f64 {
        *self.0.get(name).unwrap_or_else(|| panic!("no {name} in {:#?}", self.0.keys()))
    }

    /// The figures of a family with one label, in the order asked for.
    #[track_caller]
    fn each<const N: usize>(&self, family: &str, label: &str, values: [&str; N]) -> [f64; N] {
        values.map(|value| self.get(&format!("{family}{{{label}=\"{value}\"}}")))
    }

    fn rows(&self) -> [f64; 3] {
        self.each("intake_rows_total", "outcome", ["inserted", "updated", "failed"])
    }

    fn letters(&self) -> [f64; 2] {
        self.each("intake_outbox_letters", "state", ["waiting", "given_up"])
    }

    fn ended(&self, kind: &str) -> [f64; 2] {
        let name = |outcome| format!("intake_jobs_ended_total{{type=\"{kind}\",outcome=\"{outcome}\"}}");
        ["completed", "failed"].map(|outcome| self.get(&name(outcome)))
    }
}

fn is_name(text: &str) -> bool {
    !text.starts_with(|c: char| c.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// Reads the classic form, and takes nothing that is not as it should be.
fn parse(text: &str) -> BTreeMap<String, f64> {
    assert!(text.ends_with('\n'));
    let (mut samples, mut families) = (BTreeMap::new(), BTreeMap::new());
    let (mut described, mut family, mut kind) = ("", "", "");
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, words) = help.split_once(' ').expect(line);
            assert!(words.ends_with('.') && !words.contains('\\'), "{line}");
            described = name;
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            (family, kind) = rest.split_once(' ').expect(line);
            assert_eq!(family, described, "a type follows its help");
            assert!(family.starts_with("intake_") || family.starts_with("process_"), "{line}");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert_eq!(family.ends_with("_total"), kind == "counter", "{line}");
            assert!(is_name(family) && families.insert(family, kind).is_none(), "{line}");
        } else {
            let (series, value) = line.rsplit_once(' ').expect(line);
            let (name, labels) = series
                .split_once('{')
                .map_or((series, ""), |(name, rest)| (name, rest.strip_suffix('}').expect(line)));
            let suffix = name.strip_prefix(family).unwrap_or_else(|| panic!("{line} is not in {family}"));
            let suffixes: &[&str] = if kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
            assert!(suffixes.contains(&suffix), "{line}");
            for label in labels.split(',').filter(|label| !label.is_empty()) {
                let (name, value) = label.split_once('=').expect(line);
                let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).expect(line);
                let is_plain = |c: char| c.is_ascii_alphanumeric() || "_.+".contains(c);
                assert!(is_name(name) && !value.is_empty() && value.chars().all(is_plain), "{line}");
            }
            let value: f64 = value.parse().expect(line);
            assert!(0.0 <= value, "{line}");
            assert!(samples.insert(series.to_owned(), value).is_none(), "{line} is there twice");
        }
    }
    samples
}

#[test]
fn anybody_is_told_that_the_server_lives_and_is_ready() {
    let server = Server::ephemeral();
    let alive = get(&server, "/healthz", &[]);
    assert_eq!((alive.status, alive.json()), (200, json!({ "status": "ok" })));
    let ready = get(&server, "/readyz", &[("authorization", "Bearer nonsense")]);
    assert_eq!((ready.status, ready.json()), (200, json!({ "status": "ready" })));
    assert_eq!(ready.header("cache-control"), "no-cache");
    assert_eq!(server.send("POST", "/readyz", &json!({})).status, 405);
}

/// The limit is on the size of every file that the process writes, as if its disk were full.
#[test]
fn a_server_that_cannot_write_lives_and_is_ready_and_says_that_it_is_full() {
    let Some(prlimit) = tool("prlimit") else { return };
    let limit = |server: &Server, bytes: &str| {
        let id = server.child.id().to_string();
        let set = Command::new(&prlimit).args(["--pid", &id, &format!("--fsize={bytes}:")]).status();
        assert!(set.unwrap().success());
    };
    let server = Server::ephemeral();
    assert_eq!(Scrape::of(&server).get("intake_store_full"), 0.0);
    limit(&server, "0");
    for _ in 0..3 {
        assert_eq!(server.send("POST", "/api/v2/clients", &json!({ "name": "x" })).status, 507);
        let ready = get(&server, "/readyz", &[]);
        assert_eq!((ready.status, ready.json()), (200, json!({ "status": "full" })));
        assert_eq!(server.get("/api/v2/connections").status, 200, "it told the truth");
        assert_eq!(get(&server, "/healthz", &[]).status, 200);
    }
    let meanwhile = Scrape::of(&server);
    assert_eq!((meanwhile.get("intake_ready"), meanwhile.get("intake_store_full")), (1.0, 1.0));
    assert_eq!(meanwhile.each("intake_store_commits_total", "outcome", ["failed"]), [0.0]);
    assert!(meanwhile.get("intake_disk_free_bytes") > 0.0);
    limit(&server, "unlimited");
    assert_eq!(get(&server, "/readyz", &[]).json(), json!({ "status": "ready" }));
    assert_eq!(server.import(&rows(&["a"]), false)["status"], "completed");
    let after = Scrape::of(&server);
    assert_eq!((after.get("intake_ready"), after.rows()), (1.0, [1.0, 0.0, 0.0]));
}

fn rows(names: &[&str]) -> String {
    let row = |name: &&str| json!({ "email": format!("{name}@acme.test"), "email_verified": true });
    names.iter().map(row).collect::<Value>().to_string()
}

#[test]
fn what_was_imported_is_counted_exactly() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::on(directory.path(), &[]);
    let before = Scrape::of(&server);
    assert_eq!((before.rows(), before.ended("users_import")), ([0.0; 3], [0.0; 2]));
    server.import(&rows(&["a", "b", "c", "a"]), false);
    server.import(&rows(&["b", "c", "d"]), true);
    server.import(&rows(&["b", "no address"]), false);
    server.import("[{]", false);
    let after = Scrape::of(&server);
    assert_eq!(after.rows(), [4.0, 2.0, 3.0]);
    assert_eq!(after.ended("users_import"), [3.0, 1.0]);
    assert_eq!(after.ended("users_export"), [0.0, 0.0]);
    assert_eq!(after.get("intake_jobs_unprocessed_bytes"), 0.0);
    let connection = server.connection_id();
    assert_eq!(after.each("intake_users", "connection", [&connection]), [4.0]);
    assert_eq!(after.get("intake_directory_keys"), 8.0, "an address and an id each");
    assert!(after.get("intake_directory_bytes") > 8.0 * 12.0);
    let [written, failed] = after.each("intake_store_commits_total", "outcome", ["written", "failed"]);
    assert_eq!((after.get("intake_store_commit_duration_seconds_count"), failed), (written, 0.0));
    assert!(written >= before.each("intake_store_commits_total", "outcome", ["written"])[0] + 8.0);
    let bounds = ["0.0005", "0.001", "0.01", "0.1", "1.0", "10.0", "+Inf"];
    let classes = after.each("intake_store_commit_duration_seconds_bucket", "le", bounds);
    assert!(classes.is_sorted() && classes[6] == written, "{classes:?}");
    until("a second is over", || (Scrape::of(&server).get("intake_rows_per_second") > 0.0).then_some(()));

    // What there is survives a restart, what is counted begins again.
    assert!(server.stop().success());
    let server = Server::on(directory.path(), &[]);
    let again = Scrape::of(&server);
    assert_eq!((again.rows(), again.ended("users_import")), ([0.0; 3], [0.0; 2]));
    assert_eq!(again.each("intake_users", "connection", [&connection]), [4.0]);
    assert_eq!(again.get("intake_directory_keys"), 8.0);
}

#[test]
fn answers_are_counted_by_the_class_of_their_status() {
    let server = Server::ephemeral();
    let counts =
        || Scrape::of(&server).each("intake_http_requests_total", "class", ["2xx", "3xx", "4xx", "5xx"]);
    let before = counts();
    assert_eq!(get(&server, "/api/v2/jobs", &[]).status, 401);
    assert_eq!(get(&server, "/nowhere", &[]).status, 404);
    assert_eq!(server.get("/api/v2/connections").status, 200);
    // The scrape before is in it, this one is not yet.
    assert_eq!(counts(), [before[0] + 2.0, before[1], before[2] + 2.0, before[3]]);
}

#[test]
fn a_job_that_goes_on_is_told_with_the_bytes_it_still_has() {
    let server =
        Server::ephemeral_with(&[("INTAKE_IMPORT_MAX_FILE_SIZE", "64MB"), ("INTAKE_IMPORT_WORKERS", "1")]);
    let names: Vec<String> = (0..20_000).map(|number| format!("u{number}")).collect();
    let file = rows(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let form = Form::import(&server.connection_id(), &file, false);
    let jobs: Vec<String> =
        (0..3).map(|_| server.upload(&form).json()["id"].as_str().unwrap().to_owned()).collect();
    let scrape = Scrape::of(&server);
    let [pending, running] = scrape.each("intake_jobs", "state", ["pending", "running"]);
    assert!(running <= 1.0 && pending + running <= 3.0 && 1.0 <= pending + running);
    let left = scrape.get("intake_jobs_unprocessed_bytes");
    assert!(0.0 < left && left <= 3.0 * file.len() as f64, "{left}");
    for job in &jobs {
        server.wait(job);
    }
    until("none is left", || {
        let scrape = Scrape::of(&server);
        let jobs = scrape.each("intake_jobs", "state", ["pending", "running"]);
        (jobs == [0.0; 2] && scrape.get("intake_jobs_unprocessed_bytes") == 0.0).then_some(())
    });
}

#[test]
fn letters_that_wait_and_those_given_up_are_told_also_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let settings = [
        ("INTAKE_MAIL_TRANSPORT", "smtp"),
        ("INTAKE_MAIL_SMTP_HOST", "127.0.0.1"),
        ("INTAKE_MAIL_SMTP_PORT", "1"),
        ("INTAKE_MAIL_SMTP_SECURITY", "none"),
        ("INTAKE_TENANT_OWNERS", "ann@acme.test,bob@acme.test"),
        ("INTAKE_MAIL_RETRY_FIRST", "100ms"),
        ("INTAKE_MAIL_RETRY_LONGEST", "200ms"),
    ];
    let server = Server::on(directory.path(), &settings);
    assert_eq!(Scrape::of(&server).letters(), [0.0, 0.0]);
    server.import(&rows(&["a"]), false);
    assert_eq!(Scrape::of(&server).letters(), [2.0, 0.0]);
    until("they get older", || {
        (Scrape::of(&server).get("intake_outbox_oldest_age_seconds") > 0.1).then_some(())
    });
    assert!(server.stop().success());
    let impatient = [&settings[..], &[("INTAKE_MAIL_GIVE_UP_AFTER", "1s")]].concat();
    let server = Server::on(directory.path(), &impatient);
    assert_eq!(Scrape::of(&server).letters().iter().sum::<f64>(), 2.0);
    until("both are given up", || (Scrape::of(&server).letters() == [0.0, 2.0]).then_some(()));
    assert_eq!(Scrape::of(&server).get("intake_outbox_oldest_age_seconds"), 0.0);
    let letter = server.get("/api/v2/outbox").json()[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(server.send("DELETE", &format!("/api/v2/outbox/{letter}"), &Value::Null).status, 204);
    assert_eq!(Scrape::of(&server).letters(), [0.0, 1.0]);
}

#[test]
fn a_log_stream_lags_while_its_receiver_is_down_and_one_that_wants_nothing_does_not() {
    let Some(mut receiver) = Receiver::start() else { return };
    let server = Server::ephemeral_with(EAGER);
    receiver.go();
    let stream = |types: &[&str]| {
        let filters: Vec<Value> = types.iter().map(|name| json!({ "type": "event", "name": name })).collect();
        let sink = json!({ "httpEndpoint": receiver.url() });
        let body = json!({ "name": "one", "type": "http", "sink": sink, "filters": filters });
        server.send("POST", "/api/v2/log-streams", &body).json()["id"].as_str().unwrap().to_owned()
    };
    let (all, none) = (stream(&[]), stream(&["sui"]));
    for _ in 0..5 {
        assert_eq!(server.send("POST", "/api/v2/log-streams", &json!({})).status, 400);
    }
    let told = |family: &str, id: &str| Scrape::of(&server).each(family, "stream", [id])[0];
    // Five refusals, and that both streams were made.
    assert_eq!(told("intake_log_stream_lag_events", &all), 7.0);
    assert_eq!(told("intake_log_stream_delivered_events_total", &all), 0.0);
    until("all are passed over", || (told("intake_log_stream_lag_events", &none) == 0.0).then_some(()));
    receiver.come(&[]);
    until("all are taken", || (told("intake_log_stream_lag_events", &all) == 0.0).then_some(()));
    assert_eq!(told("intake_log_stream_delivered_events_total", &all), 7.0);
    assert_eq!(told("intake_log_stream_delivered_events_total", &none), 0.0);
    assert_eq!(told("intake_log_stream_lost_events_total", &all), 0.0);
    assert_eq!(told("intake_log_stream_suspended", &all), 0.0);
    let text = get(&server, "/metrics", &[]).text;
    assert!(!text.contains("hook"), "no URL is told");
}

#[test]
fn a_suspended_stream_is_told() {
    let settings = [EAGER, &[("INTAKE_WEBHOOKS_SUSPEND_AFTER", "1s")]].concat();
    let server = Server::ephemeral_with(&settings);
    let sink = json!({ "httpEndpoint": "http://127.0.0.1:1/" });
    let made =
        server.send("POST", "/api/v2/log-streams", &json!({ "name": "x", "type": "http", "sink": sink }));
    let id = made.json()["id"].as_str().unwrap().to_owned();
    let told = |family: &str| Scrape::of(&server).each(family, "stream", [&id])[0];
    until("it is suspended", || (told("intake_log_stream_suspended") == 1.0).then_some(()));
    assert!(1.0 <= told("intake_log_stream_lag_events"));
}

#[test]
fn without_a_token_in_the_settings_only_this_machine_is_answered() {
    let server = Server::ephemeral();
    assert_eq!(get(&server, "/metrics", &[("x-forwarded-for", "127.0.0.1, ::1")]).status, 200);
    for header in [
        ("x-forwarded-for", "203.0.113.9"),
        ("x-forwarded-for", "203.0.113.9, 127.0.0.1"),
        ("x-forwarded-for", "unknown"),
        ("forwarded", "for=203.0.113.9"),
    ] {
        get(&server, "/metrics", &[header]).assert_refusal(
            403,
            "Forbidden",
            "Figures are told to callers on this machine only, unless the setting metrics.token names a token.",
            "",
        );
    }
}

#[test]
fn with_a_token_whoever_brings_it_is_answered_and_nobody_else() {
    let token = "a-token-of-some-length";
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), format!("{token}\n")).unwrap();
    for setting in
        [("INTAKE_METRICS_TOKEN", token), ("INTAKE_METRICS_TOKEN_FILE", file.path().to_str().unwrap())]
    {
        let server = Server::ephemeral_with(&[setting]);
        let bearer = format!("Bearer {token}");
        let ask = |headers: &[(&str, &str)]| get(&server, "/metrics", headers);
        let away = ("x-forwarded-for", "203.0.113.9");
        assert_eq!(ask(&[("authorization", &bearer), away]).status, 200);
        ask(&[]).assert_refusal(401, "Unauthorized", "Missing authentication", "");
        for wrong in [&format!("Bearer {}", server.token), &format!("{bearer}x"), "Bearer "] {
            assert_eq!(ask(&[("authorization", wrong)]).status, 401, "{wrong}");
        }
        assert_eq!(get(&server, "/readyz", &[]).status, 200, "that needs no token");
    }
}

/// The samples that Prometheus' own library finds in a text.
fn read_by_others(form: &str, text: &str) -> Option<Vec<Value>> {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tools/check_metrics.py");
    let mut command = Command::new(tool("python")?);
    let mut child =
        command.args([program, form]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{form}: {text}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_library_of_prometheus_reads_both_forms_and_finds_the_same() {
    let server = Server::ephemeral();
    server.import(&rows(&["a", "a"]), false);
    server.send("POST", "/api/v2/log-streams", &json!({
        "name": "x", "type": "http", "status": "paused", "sink": { "httpEndpoint": "https://hooks.example.com/" },
    }));
    let (classic, open) = (get(&server, "/metrics", &[]), get(&server, "/metrics", &[OPEN]));
    assert_eq!(open.header("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    let Some(found) = read_by_others("classic", &classic.text) else { return };
    let found_open = read_by_others("open", &open.text).unwrap();
    let names = |found: &[Value]| -> Vec<String> {
        let mut names: Vec<String> =
            found.iter().map(|one| format!("{} {} {}", one["type"], one["name"], one["labels"])).collect();
        names.sort();
        names
    };
    assert_eq!(names(&found), names(&found_open));
    let inserted = found_open
        .iter()
        .find(|one| one["name"] == "intake_rows_total" && one["labels"] == json!({ "outcome": "inserted" }));
    assert_eq!(inserted.unwrap()["value"], 1.0);
    assert_eq!(found.len(), parse(&classic.text).len());
}
