//! The composition root: opens the store, binds the port, starts the engine, and shuts all down in
//! order. Whatever can go wrong at start goes wrong in [`App::build`].

mod furnish;

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::sync::oneshot;

use crate::config::{Mail, MailTransport, PublicUrl, Settings, SmtpSecurity, Webhooks};
use crate::domain::{Connection, Job, Scope, Timestamp};
use crate::http::{self, OneTimeCode};
use crate::import::Limits;
use crate::jobs::Engine;
use crate::notify;
use crate::notify::letters::Desk;
use crate::notify::mailer::{Mailer, Patience};
use crate::notify::post::{Post, PostFault, PostSettings, Security, SmtpSettings, Way};
use crate::notify::streams::{self, Streams, TargetFault, Targets};
use crate::store::{self, Store, StoreError};
use crate::tokens::{KeyError, Keys, Tokens, random_text};
use crate::upkeep::{Keep, Upkeep};
use furnish::furnish;
pub use furnish::{DEFAULT_CONNECTION, NewClient};

/// While a server that was announced runs, this file in the data directory says where.
const ADDRESS_FILE: &str = "server.json";
/// Where letters go that are to be files.
const MAIL_FOLDER: &str = "mail";

/// Why the server cannot start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The signing key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The port.
    #[error("cannot listen on {0}: {1}; choose another address with --bind or server.bind")]
    Bind(SocketAddr, io::Error),
    /// A declared connection names a client that is nowhere.
    #[error(
        "connections: \"{connection}\" is to be enabled for the client \"{client}\", which is neither declared nor stored"
    )]
    UnknownClient {
        /// Name of the connection.
        connection: String,
        /// Id of the client.
        client: String,
    },
    /// How letters are to be sent.
    #[error(transparent)]
    Mail(#[from] PostFault),
    /// Events cannot go where a declared log stream wants them.
    #[error("log_streams: \"{stream}\" cannot have its endpoint: {fault}")]
    Target {
        /// Name of the stream.
        stream: String,
        /// Why.
        fault: TargetFault,
    },
    /// The disk or the system's randomness.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl StartError {
    /// Whether another process has the data directory open.
    pub fn is_locked(&self) -> bool {
        matches!(self, Self::Store(StoreError::Locked(_)))
    }
}

/// A server that is ready to run: connections already queue at its port.
pub struct App {
    address: Address,
    listener: TcpListener,
    store: Arc<Store>,
    engine: Arc<Engine>,
    mailer: Mailer,
    streams: Arc<Streams>,
    upkeep: Upkeep,
    tokens: Tokens,
    max_file_size: u64,
    trusted_proxies: Vec<IpAddr>,
    page_code: Option<OneTimeCode>,
    tenant: String,
    new_client: Option<NewClient>,
}

/// What ends a running server.
#[derive(Debug)]
pub enum Until {
    /// Ctrl-C or SIGTERM.
    Signalled,
    /// A word from another thread, or the end of it.
    Told(oneshot::Receiver<()>),
}

/// Where a running server is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Address {
    /// The URL clients reach it by, which its tokens name.
    pub public_url: String,
    /// The URL on this machine.
    pub local_url: String,
}

impl App {
    /// Opens everything; the data directory is made and furnished when missing.
    pub fn build(settings: &Settings) -> Result<Self, StartError> {
        let post = Post::new(post_settings(&settings.mail, &settings.storage.path))?;
        let store = Store::open(store_options(settings))?;
        forget_address(store.path())?;
        let keys = Keys::open_or_create(store.path(), settings.tokens.algorithm)?;
        let bind = settings.server.bind;
        let listener = TcpListener::bind(bind).map_err(|error| StartError::Bind(bind, error))?;
        let bound = listener.local_addr()?;
        // Not before the port is ours: the secret of a new client is shown once, at a start that succeeds.
        let new_client = furnish(&store, settings)?;
        let address = Address {
            public_url: settings.server.public_url.or_bound(bound),
            local_url: PublicUrl::default().or_bound(bound),
        };
        let store = Arc::new(store);
        let desk = desk(settings, &address);
        let ended = Box::new(move |job: &Job| notify::ended(&desk, job));
        let engine = Engine::start(store.clone(), limits(settings), settings.import.workers, ended)?;
        let mailer = Mailer::start(&store, post, patience(&settings.mail))?;
        let streams = Streams::start(store.clone(), stream_options(&settings.webhooks))?;
        let upkeep = Upkeep::start(store.clone(), keep(settings))?;
        Ok(Self {
            tokens: Tokens::new(keys, &address.public_url, settings.tokens.lifetime),
            address,
            listener,
            store,
            engine: Arc::new(engine),
            mailer,
            streams: Arc::new(streams),
            upkeep,
            max_file_size: settings.import.max_file_size.bytes(),
            trusted_proxies: settings.server.trusted_proxies.clone(),
            page_code: None,
            tenant: settings.tenant.name.as_str().to_owned(),
            new_client,
        })
    }

    /// Where it is.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Tells commands that are given the same data directory where it is, for as long as it runs.
    pub fn announce(&self) -> io::Result<()> {
        fs::write(self.store.path().join(ADDRESS_FILE), serde_json::to_vec(&self.address)?)
    }

    /// The client made at this start, if one was.
    pub fn new_client(&self) -> Option<&NewClient> {
        self.new_client.as_ref()
    }

    /// The connections there are.
    pub fn connections(&self) -> Result<Vec<Connection>, StoreError> {
        self.store.connections()
    }

    /// A token with all scopes, for a client that need not exist.
    pub fn full_token(&self, client_id: &str) -> Result<String, KeyError> {
        self.tokens.mint(client_id, Scope::ALL, self.tokens.lifetime(), SystemTime::now().into())
    }

    /// Makes the link that signs its first reader in to the status page. The code is in the fragment,
    /// which browsers do not send, so that it is in no log of a server or proxy.
    pub fn page_link(&mut self) -> io::Result<String> {
        let code = random_text(OneTimeCode::LENGTH)?;
        let until = Timestamp::from(SystemTime::now()).after(self.tokens.lifetime());
        self.page_code = Some(OneTimeCode::new(&code, until));
        Ok(format!("{}/#code={code}", self.address.public_url))
    }

    /// Serves until it is stopped; jobs stop at their next safe point.
    pub fn run(self, until: Until) -> io::Result<()> {
        let path = self.store.path().to_owned();
        let (store, engine, streams) = (self.store.clone(), self.engine.clone(), self.streams.clone());
        let (mailer, upkeep) = (self.mailer, self.upkeep);
        let state = http::State::new(http::Parts {
            store: self.store,
            engine: self.engine,
            tokens: self.tokens,
            max_file_size: self.max_file_size,
            public_url: self.address.public_url,
            trusted_proxies: self.trusted_proxies,
            page_code: self.page_code,
            tenant: self.tenant,
            streams: self.streams,
        });
        let served = http::serve(self.listener, state, until_future(until));
        engine.stop();
        mailer.stop();
        streams.stop();
        upkeep.stop();
        // Nobody asks for the address once the lock of the directory is gone.
        let forgotten = forget_address(&path);
        drop(store);
        served.and(forgotten)
    }
}

/// Removes what a server announced, if one did.
fn forget_address(directory: &Path) -> io::Result<()> {
    match fs::remove_file(directory.join(ADDRESS_FILE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn until_future(until: Until) -> Option<impl Future<Output = ()>> {
    match until {
        Until::Signalled => None,
        Until::Told(receiver) => Some(async move {
            // An error means that the other side is gone, which says the same.
            let _ = receiver.await;
        }),
    }
}

/// Where the server is that has this data directory open, if one has and has announced it.
pub fn running(directory: &Path) -> Option<Address> {
    if !store::is_locked(directory) {
        return None;
    }
    serde_json::from_slice(&fs::read(directory.join(ADDRESS_FILE)).ok()?).ok()
}

/// A token that the server of the settings' data directory takes, whether it runs or not.
pub fn token_for(
    settings: &Settings,
    client_id: &str,
    scopes: &[Scope],
    lifetime: Option<Duration>,
) -> Result<String, KeyError> {
    let directory = &settings.storage.path;
    let keys = Keys::open_or_create(directory, settings.tokens.algorithm)?;
    let url = match running(directory) {
        Some(address) => address.public_url,
        None => settings.server.public_url.or_bound(settings.server.bind),
    };
    let tokens = Tokens::new(keys, &url, settings.tokens.lifetime);
    tokens.mint(client_id, scopes, lifetime.unwrap_or(tokens.lifetime()), SystemTime::now().into())
}

/// The rules for rows that can be set.
pub fn limits(settings: &Settings) -> Limits {
    let bytes = settings.import.max_metadata_size.bytes();
    Limits { max_metadata_bytes: usize::try_from(bytes).unwrap_or(usize::MAX) }
}

/// What all letters have in common.
fn desk(settings: &Settings, address: &Address) -> Desk {
    Desk {
        tenant: settings.tenant.name.as_str().to_owned(),
        public_url: address.public_url.clone(),
        owners: settings.tenant.owners.iter().map(|owner| owner.0.as_str().to_owned()).collect(),
        writes: settings.mail.transport != MailTransport::Off,
    }
}

fn post_settings(mail: &Mail, directory: &Path) -> PostSettings {
    let way = match mail.transport {
        MailTransport::Off => Way::Off,
        MailTransport::File => Way::File(directory.join(MAIL_FOLDER)),
        MailTransport::Smtp => Way::Smtp(SmtpSettings {
            host: mail.smtp_host.clone(),
            port: mail.port(),
            security: match mail.smtp_security {
                SmtpSecurity::Tls => Security::Tls,
                SmtpSecurity::StartTls => Security::StartTls,
                SmtpSecurity::None => Security::None,
            },
            login: (!mail.smtp_user.is_empty())
                .then(|| (mail.smtp_user.clone(), mail.smtp_password.expose().to_owned())),
            ca_file: Some(mail.smtp_ca_file.clone()).filter(|path| !path.as_os_str().is_empty()),
            timeout: mail.timeout,
        }),
    };
    PostSettings { from: mail.from.as_str().to_owned(), way }
}

fn patience(mail: &Mail) -> Patience {
    let Mail { retry_first, retry_longest, give_up_after, .. } = *mail;
    Patience { retry_first, retry_longest, give_up_after }
}

/// How events are sent.
fn stream_options(webhooks: &Webhooks) -> streams::Options {
    streams::Options {
        targets: if webhooks.allow_private_targets { Targets::Any } else { Targets::Public },
        timeout: webhooks.timeout,
        retry_first: webhooks.retry_first,
        retry_longest: webhooks.retry_longest,
        suspend_after: webhooks.suspend_after,
        max_streams: webhooks.max_streams,
    }
}

/// How long things are kept.
fn keep(settings: &Settings) -> Keep {
    let kept = &settings.retention;
    Keep {
        jobs: kept.jobs,
        logs: kept.logs,
        unsent_logs: kept.unsent_logs,
        letters: kept.letters,
        check_every: kept.check_every,
    }
}

fn store_options(settings: &Settings) -> store::Options {
    store::Options {
        path: settings.storage.path.clone(),
        cache_bytes: settings.storage.cache.bytes(),
        min_free_disk: settings.storage.min_free_disk.bytes(),
        max_active_jobs: settings.import.active_jobs_limit(),
        open_timeout: settings.storage.open_timeout,
    }
}
