//! The home of a server that is killed: its data directory, its settings, and whom it writes to.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use intake::domain::Connection;
use intake::store::Store;
use serde_json::json;
use tempfile::TempDir;

use crate::helpers::{Server, intake, on, open_store, token};
use crate::receiver::{EAGER, Receiver};
use crate::smtp::MailServer;

pub const CLIENT: &str = "app";
pub const SECRET: &str = "0123456789abcdef0123456789abcdef";
pub const OWNER: &str = "owner@acme.test";

pub struct House {
    directory: TempDir,
    settings: Vec<(String, String)>,
    token: String,
    pub mail: Option<MailServer>,
    pub receiver: Option<Receiver>,
}

impl House {
    /// One where nobody is told of anything.
    pub fn quiet() -> Self {
        Self::with(&[("INTAKE_MAIL_TRANSPORT", "off"), ("INTAKE_LOG_LEVEL", "error")], None, None)
    }

    /// One that writes to a mail server and to a receiver of webhooks; `None` where their tools are missing.
    pub fn telling() -> Option<Self> {
        // Letters take a while, so that the server is sometimes killed while it sends one.
        let (mail, receiver) = (MailServer::start(&["--delay", "0.01"])?, Receiver::start()?);
        let mailing = mail.settings();
        let mailing = mailing.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let settings: Vec<_> =
            EAGER.iter().copied().chain(mailing).chain([("INTAKE_TENANT_OWNERS", OWNER)]).collect();
        Some(Self::with(&settings, Some(mail), Some(receiver)))
    }

    /// One with these settings.
    pub fn with(settings: &[(&str, &str)], mail: Option<MailServer>, receiver: Option<Receiver>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let declared = format!(
            "[[clients]]\nclient_id = \"{CLIENT}\"\nclient_secret = \"{SECRET}\"\n\
             [[connections]]\nname = \"staff\"\nclients = [\"{CLIENT}\"]\n"
        );
        fs::write(directory.path().join("import.toml"), declared).unwrap();
        let usual = [("INTAKE_IMPORT_MAX_FILE_SIZE", "50MB")];
        let settings = usual.iter().chain(settings);
        let settings = settings.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let data = directory.path().join("data");
        fs::create_dir(&data).unwrap();
        let token = token(&data, &[], &on(&data, &[]));
        let house = Self { directory, settings, token, mail, receiver };
        if let Some(receiver) = &house.receiver {
            let stream = json!({ "name": "all", "type": "http", "sink": { "httpEndpoint": receiver.url() } });
            assert_eq!(house.start().send("POST", "/api/v2/log-streams", &stream).status, 200);
        }
        house
    }

    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn command(&self) -> Command {
        let config = self.directory.path().join("import.toml");
        let arguments = ["serve", "--bind", "127.0.0.1:0", "--config", config.to_str().unwrap()];
        let settings: Vec<_> =
            self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        intake(&arguments, &on(&self.data(), &settings))
    }

    pub fn start(&self) -> Server {
        Server::started_for(&self.token, self.command())
    }

    /// Starts a server without waiting for it.
    pub fn begin_to_start(&self) -> Child {
        self.command().stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// The store of a server that is not running, which has to be sound.
    pub fn open(&self) -> Store {
        let store = open_store(&self.data());
        assert_eq!(store.check().unwrap(), Vec::<String>::new());
        store
    }
}

/// Waits until a server that was begun listens.
pub fn wait_until_it_listens(child: &mut Child) {
    let mut lines = BufReader::new(child.stderr.as_mut().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("intake listens on")), "it did not start");
}

/// Kills a server that was begun; tells whether it was still starting.
pub fn kill_at_start(mut child: Child) -> bool {
    child.kill().unwrap();
    child.wait().unwrap();
    let mut told = String::new();
    child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    assert!(!told.contains("intake: "), "it did not start: {told}");
    !told.contains("intake listens on")
}

/// The connection of a round.
pub fn connection_name(round: usize) -> String {
    format!("round-{round}")
}

pub fn connection(store: &Store, name: &str) -> Option<Connection> {
    store.connection_named(name).unwrap()
}

/// The id that a running server knows a connection by.
pub fn connection_id(server: &Server, name: &str) -> Result<Option<String>, ureq::Error> {
    let found = server.try_get(&format!("/api/v2/connections?name={name}"))?.json();
    Ok(found[0]["id"].as_str().map(str::to_owned))
}
