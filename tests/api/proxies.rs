//! Proxies that the environment names: nothing of ours goes through them unasked.

use std::fs;
use std::io::ErrorKind;
use std::net::TcpListener;

use serde_json::json;

use crate::helpers::{Server, intake};
use crate::receiver::{EAGER, Receiver};

/// Every spelling that some library looks for.
const NAMES: [&str; 8] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "PROXY",
    "SOCKS_PROXY",
];

struct Trap {
    listener: TcpListener,
    url: String,
}

impl Trap {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        Self { listener, url }
    }

    fn settings(&self) -> Vec<(&str, &str)> {
        let none = [("NO_PROXY", ""), ("no_proxy", "")];
        NAMES.iter().map(|name| (*name, &*self.url)).chain(none).collect()
    }

    #[track_caller]
    fn assert_unseen(&self) {
        assert_eq!(self.listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    }
}

/// A proxy would look names up by itself, and so undo the check of the addresses they lead to.
#[test]
fn webhooks_go_to_their_receiver_and_through_no_proxy() {
    let Some(receiver) = Receiver::start() else { return };
    let (trap, directory) = (Trap::new(), tempfile::tempdir().unwrap());
    let server = Server::on(directory.path(), &[EAGER, &trap.settings()].concat());
    let stream = json!({ "name": "one", "type": "http", "sink": {
        "httpEndpoint": receiver.url(), "httpContentFormat": "JSONARRAY", "httpContentType": "application/json",
    }});
    let made = server.send("POST", "/api/v2/log-streams", &stream);
    assert!(made.status < 300, "{}", made.text);
    assert_eq!(server.send("POST", "/api/v2/clients", &json!({ "name": "another" })).status, 201);
    receiver.wait_for(1);
    trap.assert_unseen();
}

/// Its token has all scopes.
#[test]
fn commands_talk_to_the_server_of_a_data_directory_through_no_proxy() {
    let (trap, files) = (Trap::new(), tempfile::tempdir().unwrap());
    let (data, rows) = (files.path().join("data"), files.path().join("rows.json"));
    fs::write(&rows, r#"[{ "email": "ann@example.test", "email_verified": true }]"#).unwrap();
    let settings = [trap.settings(), vec![("INTAKE_STORAGE_PATH", data.to_str().unwrap())]].concat();
    let run = |arguments: &[&str]| {
        let output = intake(arguments, &settings).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let place = |name: &str| files.path().join(name).to_str().unwrap().to_owned();
    run(&["import", rows.to_str().unwrap()]);
    let server = Server::on(&data, &[]);
    let away = ["import", rows.to_str().unwrap(), "--upsert", "--url", &server.url, "--token", &server.token];
    for command in [
        &["import", rows.to_str().unwrap(), "--upsert"][..],
        &away,
        &["rotate-key"],
        &["token"],
        &["backup", &place("backup")],
        &["dump", &place("users.dump")],
        &["dump"],
        &["doctor"],
    ] {
        run(command);
        trap.assert_unseen();
    }
}
