//! What settings promise.

#![expect(clippy::unwrap_used, reason = "a test may")]

use super::*;
use crate::domain::Scope;

fn load(file: &str, environment: &[(&str, &str)]) -> Result<Settings, ConfigError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("settings.toml");
    std::fs::write(&path, file).unwrap();
    let pairs = environment.iter().map(|(name, text)| (OsString::from(*name), OsString::from(*text)));
    Settings::load(Some(&path), pairs)
}

/// The message, with the name of the file made the same each time.
fn refusal(file: &str, environment: &[(&str, &str)]) -> String {
    let message = load(file, environment).expect_err(file).to_string();
    match (message.find("by /"), message.find("settings.toml")) {
        (Some(from), Some(to)) => format!("{}by {}", &message[..from], &message[to..]),
        _ => message,
    }
}

#[test]
fn defaults_are_what_the_manual_says() {
    let settings = load("", &[]).unwrap();
    assert_eq!(settings.server.bind.to_string(), "127.0.0.1:3000");
    assert_eq!(settings.server.expected_url(), "http://127.0.0.1:3000");
    assert_eq!(settings.server.tls.bind.to_string(), "127.0.0.1:3443");
    assert!(!settings.server.tls.is_on());
    assert_eq!(settings.tenant.name.as_str(), "intake");
    assert!(settings.tenant.owners.is_empty());
    assert_eq!(settings.storage.path, Path::new("intake-data"));
    assert_eq!(settings.storage.cache.bytes(), 64 << 20);
    assert_eq!(settings.storage.min_free_disk.bytes(), 256 << 20);
    assert_eq!(settings.storage.reserve.bytes(), 32 << 20);
    assert_eq!(settings.storage.open_timeout, Duration::from_mins(10));
    assert_eq!(settings.import.workers.get(), 2);
    assert_eq!(settings.import.max_file_size.bytes(), 512_000);
    assert_eq!(settings.import.active_jobs_limit(), None);
    assert_eq!(settings.import.max_metadata_size.bytes(), 65_536);
    assert_eq!(settings.import.max_unpacked_size.bytes(), 64 << 20);
    assert_eq!(settings.exports.link_lifetime, Duration::from_mins(1));
    assert_eq!(settings.exports.max_pending, 1000);
    assert_eq!(settings.retention.exports, Duration::from_hours(24));
    assert_eq!(settings.tokens.algorithm, SigningAlgorithm::Es256);
    assert_eq!(settings.tokens.lifetime, Duration::from_hours(24));
    assert!(settings.server.cors_origins.is_empty());
    assert_eq!(settings.server.idle_timeout, Duration::from_secs(75));
    let limits = &settings.limits;
    assert_eq!((limits.max_connections, limits.max_uploads), (4096, 1000));
    assert_eq!((limits.max_headers, limits.max_parts), (64, 100));
    let sizes = [limits.max_uri_size, limits.max_header_size, limits.max_body_size, limits.max_field_size];
    assert_eq!(sizes.map(|size| size.bytes() >> 10), [60, 64, 256, 4]);
    assert_eq!((limits.min_rate.bytes(), limits.rate_grace), (1024, Duration::from_secs(10)));
    let times = [limits.header_timeout, limits.max_pause, limits.body_timeout];
    assert_eq!(times.map(|time| time.as_secs()), [10, 15, 30]);
    assert_eq!((settings.rate_limit.requests_per_second, settings.rate_limit.burst), (50_000, 100_000));
    let kept = &settings.retention;
    assert_eq!([kept.jobs, kept.logs, kept.letters], [Duration::from_hours(90 * 24); 3]);
    assert_eq!(kept.unsent_logs, Duration::from_hours(365 * 24));
    assert_eq!(kept.check_every, Duration::from_mins(1));
    assert_eq!(settings.login.default_connection, "");
    assert!(!settings.login.explain_password_change);
    assert_eq!((settings.login.max_failures.get(), settings.login.max_address_failures.get()), (10, 100));
    assert_eq!(settings.login.block_for, Duration::from_mins(15));
    assert_eq!(settings.login.reset_mail_pause, Duration::from_mins(15));
    assert_eq!(settings.login.reset_link_lifetime, Duration::from_hours(5 * 24));
    assert_eq!(settings.log.format, LogFormat::Text);
    assert_eq!(settings.log.level, LevelFilter::INFO);
    assert!(settings.connections.is_empty() && settings.clients.is_empty());
}

#[test]
fn https_is_there_when_it_has_a_certificate_and_is_then_the_public_url() {
    let file = "[server.tls]\ncertificate = \"a.pem\"\nkey = \"b.pem\"";
    let server = load(file, &[("INTAKE_SERVER_TLS_BIND", "127.0.0.1:8443")]).unwrap().server;
    assert_eq!(server.tls.bind().map(|bind| bind.to_string()), Some("127.0.0.1:8443".to_owned()));
    assert_eq!(server.expected_url(), "https://127.0.0.1:8443");
    let variables = [("INTAKE_SERVER_TLS_CERTIFICATE", "a.pem"), ("INTAKE_SERVER_TLS_KEY", "b.pem")];
    let server = load("server.public_url = \"http://a.test\"", &variables).unwrap().server;
    assert_eq!((server.tls.key.as_path(), &*server.expected_url()), (Path::new("b.pem"), "http://a.test"));
    let half = "\"server.tls.key\" (given by settings.toml): may not be empty when there is a certificate";
    assert!(refusal("[server.tls]\ncertificate = \"a.pem\"", &[]).contains(half));
    let half = "\"server.tls.certificate\" (given by settings.toml): may not be empty when there is a key";
    assert!(refusal("[server.tls]\nkey = \"b.pem\"", &[]).contains(half));
    assert!(refusal("[server.tls]\ncert = \"b.pem\"", &[]).contains("no setting \"server.tls.cert\""));
}

#[test]
fn things_can_be_kept_from_a_second_to_a_century() {
    let keep = |age: &str, check: &str| {
        let ages =
            ["jobs", "logs", "unsent_logs", "letters", "exports"].map(|name| format!("{name} = \"{age}\"\n"));
        load(&format!("[retention]\n{}check_every = \"{check}\"", ages.concat()), &[]).unwrap().retention
    };
    assert_eq!(keep("1s", "100ms").jobs, Duration::from_secs(1));
    assert_eq!(keep("36500d", "1d").unsent_logs, Duration::from_hours(36_500 * 24));
    let patience = |text: &str| {
        load(&format!("retention.clock_patience = \"{text}\""), &[]).unwrap().retention.clock_patience
    };
    assert_eq!([patience("0s"), patience("30d")], [Duration::ZERO, Duration::from_hours(30 * 24)]);
}

#[test]
fn searches_may_take_what_is_set() {
    let search = |text: &str| load(&format!("[search]\n{text}"), &[]).unwrap().search;
    let (least, most) =
        (search("timeout = \"1ms\"\nmax_concurrent = 1"), search("timeout = \"10m\"\nmax_concurrent = 64"));
    assert_eq!((least.timeout, least.max_concurrent.get()), (Duration::from_millis(1), 1));
    assert_eq!((most.timeout, most.max_concurrent.get()), (Duration::from_mins(10), 64));
    let usual = search("");
    assert_eq!((usual.timeout, usual.max_concurrent.get()), (Duration::from_secs(2), 2));
}

#[test]
fn the_commented_lists_of_the_manual_work_when_uncommented() {
    let (_, lists) = DEFAULTS.split_once("# [[connections]]").unwrap();
    let lists = format!("[[connections]]{}", lists.replace("\n# ", "\n"));
    let lists = lists.replace("\n#", "\n");
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "0123456789abcdef\n").unwrap();
    let lists = lists.replace("/run/secrets/importer", &secret.path().display().to_string());
    let settings = load(&lists, &[]).unwrap();
    assert_eq!(settings.connections[0].name.as_str(), "staff-db");
    assert_eq!(settings.clients[0].secret.expose(), "0123456789abcdef");
    assert_eq!(settings.clients[0].scopes.len(), 3);
    assert_eq!(settings.connections[0].password_policy.as_deref(), Some("good"));
    assert_eq!(settings.clients[0].grant_types, Some(vec!["client_credentials".to_owned()]));
    let stream = &settings.log_streams[0];
    assert_eq!((stream.name.as_str(), stream.filters.len()), ("imports", 2));
    assert_eq!(stream.sink.custom_headers, [("x-team".to_owned(), "growth".to_owned())]);
    assert_eq!(stream.sink.authorization.as_deref(), Some("Bearer 0123"));
}

/// A declared stream with a line more.
fn stream(line: &str) -> String {
    format!("[[log_streams]]\nname = \"a\"\nendpoint = \"https://a.test/\"\n{line}\n")
}

#[test]
fn a_declared_stream_that_makes_no_sense_is_refused_by_name() {
    let long = format!("name = \"{}\"\nendpoint = \"\"", "x".repeat(256));
    let cases = [
        (stream("typs = []"), "unknown field `typs`"),
        (stream("types = [\"suis\"]"), "types: there is no event type \"suis\""),
        (stream("categories = [\"users\"]"), "categories: there is no category \"users\""),
        (stream("format = \"JSON\""), "format: expected one of JSONLINES, JSONARRAY, JSONOBJECT"),
        (stream("batch_size = 0"), "batch_size: must be 1 to 1000"),
        (stream("batch_size = 1001"), "batch_size: must be 1 to 1000"),
        (stream("headers = { host = \"x\" }"), "headers: host is a header the server writes itself"),
        (stream("headers = { x-key = \"hush\\n\" }"), "headers: x-key has no value"),
        (stream("authorization = \"\""), "authorization: has no value"),
        (stream("authorization = \"a\"\nauthorization_file = \"b\""), "expected either authorization or"),
        (stream("secret = \"hush\""), "secret: is no signing secret"),
        (stream("secret_file = \"/no/such\""), "secret_file /no/such"),
        (format!("[[log_streams]]\n{long}"), "there are 256 characters of name, at most 255 can be"),
        ("[[log_streams]]\nname = \"a\"".to_owned(), "setting \"log_streams[0]"),
        ("[[log_streams]]\nname = \" \"\nendpoint = \"\"".to_owned(), "name: may not be empty"),
        (stream("") + &stream(""), "\"a\" is declared twice"),
        (format!("webhooks.max_streams = 0\n{}", stream("")), "there are 1, webhooks.max_streams allows 0"),
    ];
    for (file, expected) in cases {
        let message = refusal(&file, &[]);
        assert!(message.contains(expected), "{file}\n  said: {message}\n  not:  {expected}");
        assert!(!message.contains("hush"), "{message}");
    }
    for line in ["batch_size = 1000", "batch_size = 1", "headers = { X-Key = \"a\" }"] {
        load(&stream(line), &[]).unwrap();
    }
}

#[test]
fn settings_of_webhooks_have_limits() {
    let good = [
        "timeout = \"100ms\"\nretry_first = \"10ms\"\nretry_longest = \"10ms\"\nsuspend_after = \"1s\"\nmax_streams = 0",
        "timeout = \"5m\"\nretry_first = \"1h\"\nretry_longest = \"1d\"\nsuspend_after = \"365d\"\nmax_streams = 100",
    ];
    for file in good {
        load(&format!("[webhooks]\n{file}"), &[]).unwrap();
    }
    let bad = [
        ("timeout = \"99ms\"", "webhooks.timeout"),
        ("timeout = \"301s\"", "webhooks.timeout"),
        ("retry_first = \"9ms\"", "webhooks.retry_first"),
        ("retry_first = \"61m\"\nretry_longest = \"2h\"", "webhooks.retry_first"),
        ("retry_first = \"2s\"\nretry_longest = \"1s\"", "webhooks.retry_longest"),
        ("retry_longest = \"25h\"", "webhooks.retry_longest"),
        ("suspend_after = \"999ms\"", "webhooks.suspend_after"),
        ("suspend_after = \"366d\"", "webhooks.suspend_after"),
        ("max_streams = 101", "webhooks.max_streams"),
        ("allow_private_targets = \"perhaps\"", "webhooks.allow_private_targets"),
    ];
    for (file, expected) in bad {
        let message = refusal(&format!("[webhooks]\n{file}"), &[]);
        assert!(message.contains(&format!("setting \"{expected}\"")), "{file}\n  said: {message}");
    }
}

#[test]
fn a_file_wins_over_the_defaults_and_the_environment_over_the_file() {
    let file = "[import]\nworkers = 3\nmax_file_size = \"1MB\"\n[tenant]\nname = \"acme\"";
    let environment = [
        ("INTAKE_IMPORT_MAX_FILE_SIZE", "2MB"),
        ("INTAKE_IMPORT_MAX_ACTIVE_JOBS", "2"),
        ("INTAKE_TENANT_OWNERS", "Ann@acme.test, bob@acme.test"),
        ("INTAKE_SERVER_PUBLIC_URL", "https://users.acme.test/"),
        ("INTAKE", "not ours"),
        ("HOME", "/root"),
    ];
    let settings = load(file, &environment).unwrap();
    assert_eq!(settings.import.workers.get(), 3);
    assert_eq!(settings.import.max_file_size.bytes(), 2 << 20);
    assert_eq!(settings.import.active_jobs_limit(), Some(2));
    assert_eq!(settings.tenant.name.as_str(), "acme");
    let owners: Vec<&str> = settings.tenant.owners.iter().map(|owner| owner.0.as_str()).collect();
    assert_eq!(owners, ["ann@acme.test", "bob@acme.test"]);
    let url = settings.server.expected_url();
    assert_eq!(url, "https://users.acme.test");
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table, a line for each fault")]
fn a_setting_that_makes_no_sense_is_refused_by_name() {
    let file = [
        ("[server]\nbindd = \"x\"", "there is no setting \"server.bindd\" (given by settings.toml)"),
        ("[serverr]\nbind = \"x\"", "there is no setting \"serverr.bind\""),
        ("bind = \"x\"", "there is no setting \"bind\""),
        ("server = 5", "setting \"server\" (given by settings.toml): expected a section"),
        ("[import.workers]\na = 1", "there is no setting \"import.workers.a\""),
        ("[server]\nbind = 3000", "setting \"server.bind\" (given by settings.toml): invalid type"),
        (
            "[server]\nbind = \"localhost:3000\"",
            "setting \"server.bind\" (given by settings.toml): expected a numeric address and a port, like 127.0.0.1:",
        ),
        ("[server]\npublic_url = \"users.acme.test\"", "setting \"server.public_url\""),
        ("[server]\npublic_url = \"ftp://acme.test\"", "setting \"server.public_url\""),
        ("[server]\npublic_url = \"https://\"", "setting \"server.public_url\""),
        ("[server]\npublic_url = \"https://a b\"", "setting \"server.public_url\""),
        ("[server]\npublic_url = \"https://a?x\"", "setting \"server.public_url\""),
        ("[tenant]\nname = 5", "setting \"tenant.name\""),
        ("[tenant]\nname = \" \"", "setting \"tenant.name\" (given by settings.toml): may not"),
        (
            "[tenant]\nowners = \"ann@acme.test\"",
            "setting \"tenant.owners\" (given by settings.toml): invalid type: string \"ann@acme.test\", expected a list like [\"…\", \"…\"]",
        ),
        ("[tenant]\nowners = [\"ann\"]", "setting \"tenant.owners[0]\""),
        ("[storage]\npath = \"\"", "setting \"storage.path\""),
        ("[storage]\ncache = \"64 megs\"", "setting \"storage.cache\""),
        ("[storage]\ncache = true", "setting \"storage.cache\""),
        ("[storage]\nmin_free_disk = -1", "setting \"storage.min_free_disk\""),
        (
            "[storage]\nreserve = 16777215",
            "setting \"storage.reserve\" (given by settings.toml): must be 16MB to 1024GB",
        ),
        ("[storage]\nopen_timeout = 10", "setting \"storage.open_timeout\""),
        ("[storage]\nopen_timeout = \"soon\"", "setting \"storage.open_timeout\""),
        ("[import]\nworkers = 0", "setting \"import.workers\" (given by settings.toml): must be at"),
        ("[import]\nworkers = 65", "setting \"import.workers\" (given by settings.toml): must be 1 to 64"),
        ("[import]\nworkers = \"2\"", "setting \"import.workers\""),
        ("[import]\nmax_file_size = 0", "setting \"import.max_file_size\""),
        ("[import]\nmax_active_jobs = -2", "setting \"import.max_active_jobs\""),
        ("[rate_limit]\nrequests_per_second = 1000001", "setting \"rate_limit.requests_per_second\""),
        ("[rate_limit]\nburst = 0", "setting \"rate_limit.burst\""),
        ("[rate_limit]\nburst = 1000001", "must be 1 to 1000000"),
        ("[server]\ncors_origins = [\"*\"]", "setting \"server.cors_origins"),
        ("[server]\ncors_origins = [\"https://a.test/\"]", "browsers would write https://a.test"),
        ("[import]\nmax_metadata_size = \"97KB\"", "setting \"import.max_metadata_size\""),
        ("[import]\nmax_unpacked_size = 0", "setting \"import.max_unpacked_size\""),
        ("[exports]\nlink_lifetime = \"999ms\"", "must be 1s to 1d"),
        ("[exports]\nlink_lifetime = \"25h\"", "setting \"exports.link_lifetime\""),
        ("[exports]\nmax_pending = 0", "setting \"exports.max_pending\""),
        ("[exports]\nmax_pending = 100001", "must be 1 to 100000"),
        ("[retention]\nexports = \"999ms\"", "\"retention.exports\""),
        ("[import]\nmax_metadata_size = 1023", "must be 1KB to 96KB"),
        (
            "[import]\nschema = \"full\"",
            "setting \"import.schema\" (given by settings.toml): expected basic or",
        ),
        ("[tokens]\nalgorithm = \"HS256\"", "setting \"tokens.algorithm\""),
        ("[server]\nidle_timeout = \"999ms\"", "setting \"server.idle_timeout\""),
        ("[server]\nidle_timeout = \"61m\"", "setting \"server.idle_timeout\""),
        ("[tokens]\nlifetime = \"0s\"", "setting \"tokens.lifetime\""),
        ("[tokens]\nlifetime = \"366d\"", "setting \"tokens.lifetime\""),
        ("[login]\ndefault_connection = \"a--b\"", "setting \"login.default_connection\""),
        ("[login]\nexplain_password_change = \"perhaps\"", "setting \"login.explain_password_change\""),
        ("[login]\nmax_failures = 0", "setting \"login.max_failures\""),
        ("[login]\nmax_failures = 10001", "must be 1 to 10000"),
        ("[login]\nmax_address_failures = 10001", "setting \"login.max_address_failures\""),
        ("[login]\nblock_for = \"999ms\"", "setting \"login.block_for\""),
        ("[login]\nblock_for = \"31d\"", "must be 1s to 30d"),
        ("[login]\nreset_mail_pause = \"31d\"", "setting \"login.reset_mail_pause\""),
        ("[login]\nreset_link_lifetime = \"59s\"", "setting \"login.reset_link_lifetime\""),
        ("[login]\nreset_link_lifetime = \"31d\"", "must be 1m to 30d"),
        (
            "[search]\ntimeout = \"0s\"",
            "setting \"search.timeout\" (given by settings.toml): must be 1ms to 10m",
        ),
        ("[search]\ntimeout = \"601s\"", "\"search.timeout\""),
        ("[search]\nmax_concurrent = 0", "must be at least 1"),
        (
            "[search]\nmax_concurrent = 65",
            "setting \"search.max_concurrent\" (given by settings.toml): must be 1 to 64",
        ),
        ("[mail]\nfrom = \"\"", "setting \"mail.from\""),
        ("[mail]\ntransport = \"pigeon\"", "setting \"mail.transport\""),
        ("[mail]\nsmtp_host = \" \"", "setting \"mail.smtp_host\""),
        (
            "[mail]\nsmtp_port = 65536",
            "setting \"mail.smtp_port\" (given by settings.toml): must be 0 to 65535",
        ),
        ("[mail]\nsmtp_user = \"a\"", "setting \"mail.smtp_user\" (given by settings.toml): needs"),
        ("[mail]\nsmtp_password = \"hush\"", "setting \"mail.smtp_user\" (given by settings.toml): may not"),
        (
            "[mail]\nsmtp_password_file = \"/no/such\"",
            "setting \"mail.smtp_password_file\" (given by settings.toml): /no/such",
        ),
        ("[mail]\nsmtp_password_file = \"/dev/null\"\nsmtp_password = \"hush\"", "either smtp_password or"),
        (
            "[mail]\ntimeout = \"999ms\"",
            "setting \"mail.timeout\" (given by settings.toml): must be 1s to 10m",
        ),
        ("[mail]\ntimeout = \"601s\"", "setting \"mail.timeout\""),
        ("[mail]\nretry_first = \"99ms\"", "setting \"mail.retry_first\""),
        (
            "[mail]\nretry_first = \"2h\"",
            "setting \"mail.retry_longest\" (given by settings.toml): must be retry_first to 7d",
        ),
        ("[mail]\nretry_longest = \"169h\"", "setting \"mail.retry_longest\""),
        ("[mail]\ngive_up_after = \"999ms\"", "setting \"mail.give_up_after\""),
        ("[mail]\ngive_up_after = \"61d\"", "setting \"mail.give_up_after\""),
        (
            "[retention]\njobs = \"999ms\"",
            "\"retention.jobs\" (given by settings.toml): must be 1s to 36500d",
        ),
        ("[retention]\nlogs = \"0s\"", "\"retention.logs\""),
        ("[retention]\nletters = \"36501d\"", "\"retention.letters\""),
        ("[retention]\nunsent_logs = \"36501d\"", "\"retention.unsent_logs\""),
        ("[retention]\ncheck_every = \"99ms\"", "\"retention.check_every\""),
        ("[retention]\ncheck_every = \"25h\"", "must be 100ms to 1d"),
        ("[retention]\nclock_patience = \"30d 1s\"", "\"retention.clock_patience\""),
        (
            "[retention]\nlogs = \"366d\"",
            "\"retention.unsent_logs\" (given by settings.toml): may not be shorter",
        ),
        ("[log]\nformat = \"xml\"", "setting \"log.format\""),
        ("[log]\nlevel = \"loud\"", "setting \"log.level\""),
        ("[[connections]]\nname = \"a--b\"", "setting \"connections[0].name\""),
        ("[[connections]]\nname = \"-a\"", "setting \"connections[0].name\""),
        ("[[connections]]\nstrategy = \"auth0\"", "setting \"connections[0].name\""),
        ("[[connections]]\nname = \"a\"\nid = \"x\"", "setting \"connections[0].id\""),
        ("[[connections]]\nname = \"a\"\nnam = \"b\"", "unknown field `nam`"),
        ("[[connections]]\nname = \"a\"\n[[connections]]\nname = \"a\"", "\"a\" is declared twice"),
        ("[[connections]]\nname = \"a\"\npassword_policy = \"strong\"", "expected one of none, low, fair"),
        (
            "[[clients]]\nclient_id = \"a\"\nclient_secret = \"0123456789abcdef\"\ngrant_types = [\"x\"]",
            "there is no grant type \"x\"",
        ),
        ("[[clients]]\nclient_id = \"a\"", "setting \"clients[0]\""),
        ("[[clients]]\nclient_id = \"a\"\nclient_secret = \"short\"", "fewer than 16"),
        ("[[clients]]\nclient_id = \"a\"\nclient_secret_file = \"/no/such\"", "/no/such"),
        ("[[clients]]\nclient_id = \"a:b\"\nclient_secret = \"0123456789abcdef\"", "client_id"),
        (
            "[[clients]]\nclient_id = \"a\"\nclient_secret = \"0123456789abcdef\"\nscopes = [\"x\"]",
            "there is no scope \"x\"",
        ),
    ];
    for (file, expected) in file {
        let message = refusal(file, &[]);
        assert!(message.contains(expected), "{file}\n  said: {message}\n  not:  {expected}");
    }
}

#[test]
fn a_variable_that_makes_no_sense_is_refused_by_name() {
    let variables = [
        ("INTAKE_SERVER_BINDD", "x", "there is no setting \"INTAKE_SERVER_BINDD\""),
        ("INTAKE_CONNECTIONS", "x", "there is no setting \"INTAKE_CONNECTIONS\""),
        ("INTAKE_IMPORT_WORKERS", "two", "(given by INTAKE_IMPORT_WORKERS): expected a whole"),
        ("INTAKE_IMPORT_WORKERS", "0", "(given by INTAKE_IMPORT_WORKERS): must be at least 1"),
        ("INTAKE_SERVER_BIND", "x", "\"server.bind\" (given by INTAKE_SERVER_BIND)"),
        ("INTAKE_TENANT_OWNERS", "x", "\"tenant.owners[0]\" (given by INTAKE_TENANT_OWNERS)"),
        ("INTAKE_IMPORT_MAX_METADATA_SIZE", "1GB", "(given by INTAKE_IMPORT_MAX_METADATA_SIZE)"),
    ];
    for (name, text, expected) in variables {
        let message = refusal("", &[(name, text)]);
        assert!(message.contains(expected), "{name}={text}\n  said: {message}");
    }
}

#[test]
fn a_variable_that_is_no_text_matters_only_if_it_is_ours() {
    use std::os::unix::ffi::OsStringExt;
    let load = |name: &str| {
        let pair = (OsString::from(name), OsString::from_vec(b"data-\xff".to_vec()));
        Settings::load(Some(Path::new("/dev/null")), std::iter::once(pair))
    };
    assert_eq!(load("OLDPWD").unwrap().storage.path, Path::new("intake-data"));
    let message = load("INTAKE_STORAGE_PATH").unwrap_err().to_string();
    assert!(message.contains("INTAKE_STORAGE_PATH") && message.contains("UTF-8"), "{message}");
}

#[test]
fn a_missing_or_broken_file_is_named() {
    let error = Settings::load(Some(Path::new("/no/such.toml")), std::iter::empty()).unwrap_err();
    assert!(error.to_string().contains("/no/such.toml"));
    let message = refusal("[[clients]]\nclient_secret = \"hush-hush-hush", &[]);
    assert!(message.contains("line 2") && !message.contains("hush"), "{message}");
}

#[test]
fn sizes_read_and_write() {
    let check = |text: &str, bytes: Option<u64>| {
        assert_eq!(text.parse().ok().map(ByteSize::bytes), bytes, "{text}");
    };
    check("500KB", Some(512_000));
    check("500 KiB", Some(512_000));
    check("512000", Some(512_000));
    check("512000B", Some(512_000));
    check("64MB", Some(64 << 20));
    check("1GiB", Some(1 << 30));
    for wrong in ["", "KB", "-1KB", "+1", "1.5MB", "1kb", "1TB", "99999999999999999999", "17179869184GB"] {
        check(wrong, None);
    }
    for text in ["500KB", "64MB", "2GB", "1B", "0B", "1025B"] {
        assert_eq!(text.parse::<ByteSize>().unwrap().to_string(), text);
    }
}

#[test]
fn mail_settings_are_taken_up_to_their_limits() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "hush-hush\r\n").unwrap();
    let file = format!(
        "[mail]\nsmtp_user = \"a\"\nsmtp_password_file = \"{}\"\nsmtp_port = 65535\ntimeout = \"10m\"\n\
         retry_first = \"100ms\"\nretry_longest = \"7d\"\ngive_up_after = \"60d\"",
        secret.path().display()
    );
    let settings = load(&file, &[]).unwrap();
    assert_eq!((settings.mail.smtp_password.expose(), settings.mail.port()), ("hush-hush", Some(65_535)));
    assert!(!format!("{settings:?}").contains("hush"));
    let shortest =
        "[mail]\ntimeout = \"1s\"\nretry_first = \"24h\"\nretry_longest = \"24h\"\ngive_up_after = \"1s\"";
    assert_eq!(load(shortest, &[]).unwrap().mail.port(), None);
}

#[test]
fn secrets_stay_out_of_debug_output() {
    let client = "[[clients]]\nclient_id = \"a\"\nclient_secret = \"hush-hush-hush-hush\"";
    let settings = load(client, &[]).unwrap();
    assert_eq!(settings.clients[0].scopes.len(), Scope::ALL.len());
    assert!(!format!("{settings:?}").contains("hush"));
}

#[test]
fn settings_of_exports_go_to_the_edge_of_their_ranges() {
    for exports in ["link_lifetime = \"1s\"\nmax_pending = 1", "link_lifetime = \"1d\"\nmax_pending = 100000"]
    {
        load(&format!("[exports]\n{exports}"), &[]).unwrap();
    }
}

#[test]
fn settings_of_the_login_go_to_the_edge_of_their_ranges() {
    for login in [
        "default_connection = \"staff-db\"\nmax_failures = 1\nmax_address_failures = 1\nblock_for = \"1s\"\n\
         reset_mail_pause = \"0s\"\nreset_link_lifetime = \"1m\"",
        "max_failures = 10000\nmax_address_failures = 10000\nblock_for = \"30d\"\nreset_mail_pause = \"30d\"\n\
         reset_link_lifetime = \"30d\"",
    ] {
        load(&format!("[login]\n{login}"), &[]).unwrap();
    }
}

#[test]
fn limits_go_to_the_edge_of_their_ranges_and_no_further() {
    let edges = [
        ("max_connections", "1", "1000000", "0", "1000001"),
        ("max_uploads", "1", "1000000", "0", "1000001"),
        ("max_headers", "8", "96", "7", "97"),
        ("max_parts", "5", "10000", "4", "10001"),
        ("max_uri_size", "\"1KB\"", "\"60KB\"", "1023", "61441"),
        ("max_header_size", "\"1KB\"", "\"64KB\"", "1023", "65537"),
        ("max_body_size", "\"4KB\"", "\"1MB\"", "4095", "1048577"),
        ("max_field_size", "64", "\"8KB\"", "63", "8193"),
        ("min_rate", "0", "\"1MB\"", "-1", "1048577"),
        ("header_timeout", "\"100ms\"", "\"1h\"", "\"99ms\"", "\"3601s\""),
        ("max_pause", "\"100ms\"", "\"1h\"", "\"99ms\"", "\"3601s\""),
        ("rate_grace", "\"100ms\"", "\"1h\"", "\"99ms\"", "\"3601s\""),
        ("body_timeout", "\"100ms\"", "\"1h\"", "\"99ms\"", "\"3601s\""),
    ];
    assert_edges("limits", &edges);
}

#[test]
fn what_the_database_takes_goes_to_the_edge_of_its_ranges_and_no_further() {
    let edges = [
        ("cache", "\"1MB\"", "\"1024GB\"", "1048575", "1099511627777"),
        ("reserve", "\"16MB\"", "\"1024GB\"", "16777215", "1099511627777"),
        ("open_timeout", "\"10s\"", "\"7d\"", "\"9999ms\"", "\"604801s\""),
    ];
    assert_edges("storage", &edges);
}

/// Each with the least and the most that is good, and what is just below and above.
#[track_caller]
fn assert_edges(section: &str, edges: &[(&str, &str, &str, &str, &str)]) {
    for (name, least, most, below, above) in edges {
        for good in [least, most] {
            load(&format!("[{section}]\n{name} = {good}"), &[]).unwrap();
        }
        for bad in [below, above] {
            let message = refusal(&format!("[{section}]\n{name} = {bad}"), &[]);
            let start = format!("\"{section}.{name}\" (given by settings.toml): m");
            assert!(message.contains(&start), "{message}");
        }
    }
}

#[test]
fn the_token_for_metrics_is_long_and_comes_from_one_place() {
    assert_eq!(load("", &[]).unwrap().metrics.token(), None);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "0123456789abcdef\n").unwrap();
    let from_file = format!("[metrics]\ntoken_file = \"{}\"", file.path().display());
    for settings in [load(&from_file, &[]), load("", &[("INTAKE_METRICS_TOKEN", "0123456789abcdef")])] {
        let settings = settings.unwrap();
        assert_eq!(settings.metrics.token(), Some("0123456789abcdef"));
        assert!(!format!("{settings:?}").contains("0123456789abcdef"));
    }
    let bad = [
        ("token = \"hush-hush-hush-\"", "\"metrics.token\" (given by settings.toml): must be at least 16"),
        ("token = \"hush hush hush hush\"", "without blanks"),
        ("token_file = \"/no/such\"", "\"metrics.token_file\" (given by settings.toml): /no/such"),
        ("token_file = \"/dev/null\"", "no token in its only line"),
        ("token = \"hush\"\ntoken_file = \"/dev/null\"", "either token or token_file"),
    ];
    for (file, expected) in bad {
        let message = refusal(&format!("[metrics]\n{file}"), &[]);
        assert!(message.contains(expected) && !message.contains("hush"), "{file}\n  said: {message}");
    }
}
