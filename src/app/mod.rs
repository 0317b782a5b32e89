//! The composition root: opens the store, binds the ports, starts the engine, and shuts all down in
//! order. Whatever can go wrong at start goes wrong in [`App::build`].

mod announce;
mod doors;
mod furnish;
mod handles;
mod offline;
mod options;

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use thiserror::Error;
use tokio::sync::oneshot;

use crate::config::Settings;
use crate::domain::{Connection, Job, Scope, Timestamp};
use crate::export::Exports;
use crate::http::{self, Doors, OneTimeCode};
use crate::jobs::Engine;
use crate::login::Logins;
use crate::notify;
use crate::notify::mailer::Mailer;
use crate::notify::post::{Post, PostFault};
use crate::notify::streams::{Streams, TargetFault};
use crate::store::{self, Loss, Store, StoreError};
pub use crate::store::{Counts, Diagnosis, Manifest, OnLoss, check_empty, has_no_room, is_locked, unseal};
use crate::tls::TlsFault;
use crate::tokens::{KeyError, KeyWatch, Keys, Rotation, Tokens, random_text, secret_hash};
use crate::upkeep::Upkeep;
use announce::forget;
pub use announce::{Address, running};
pub use doors::throw_in_certificate;
use furnish::furnish;
pub use furnish::{DEFAULT_CONNECTION, NewClient};
pub use offline::{Packing, back_up, dump, examine, has_data, load, move_backup, restore};
pub use options::limits;

/// Why the server cannot start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The signing key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A port.
    #[error("cannot listen on {0}: {1}; choose another address with {2}")]
    Bind(SocketAddr, io::Error, &'static str),
    /// The certificate.
    #[error(transparent)]
    Tls(#[from] TlsFault),
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
    doors: Doors,
    parts: http::Parts,
    mailer: Mailer,
    upkeep: Upkeep,
    key_watch: KeyWatch,
    /// It is still to be announced, for want of room.
    owes_address: bool,
    page_code: Option<OneTimeCode>,
    new_client: Option<NewClient>,
}

impl App {
    /// Opens everything; the data directory is made and furnished when missing.
    pub fn build(settings: &Settings) -> Result<Self, StartError> {
        Self::build_despite(settings, OnLoss::Refuse)
    }

    /// The same, even if acknowledged commits are missing and that is accepted: see [`App::loss`].
    pub fn build_despite(settings: &Settings, on_loss: OnLoss) -> Result<Self, StartError> {
        store::check_format(&settings.storage.path)?;
        let certificates = doors::certificates(&settings.server.tls)?;
        let max_connections = handles::connections(&settings.limits);
        let started_at = SystemTime::now().into();
        let post = Post::new(options::post(settings))?;
        let store = Store::open_despite(options::store(settings), on_loss)?;
        options::mail_folder(settings).map_or(Ok(()), |folder| store::check_writable(&folder))?;
        warn_of_readers(store.path());
        forget(store.path())?;
        let keys = Keys::open_or_create(store.path(), settings.tokens.algorithm)?;
        let doors = doors::open(&settings.server, certificates)?;
        // Not before the ports are ours: the secret of a new client is shown once, at a start that succeeds.
        let new_client = furnish(&store, settings)?;
        let address = doors::address(&settings.server, &doors)?;
        let store = Arc::new(store);
        let upkeep = Upkeep::start(store.clone(), options::keep(settings))?;
        let desk = options::desk(settings, &address);
        let logins = Logins::new(store.clone(), options::logins(settings), desk.clone());
        let ended = Box::new(move |job: &Job| notify::ended(&desk, job));
        let engine = Engine::start(store.clone(), limits(settings), settings.import.workers, ended)?;
        let mailer = Mailer::start(&store, post, options::patience(settings))?;
        let streams = Streams::start(store.clone(), options::streams(settings))?;
        let exports = Exports::start(store.clone())?;
        let tokens = Tokens::new(keys, &address.public_url, settings.tokens.lifetime)
            .known_as(doors::aliases(&doors)?);
        let key_watch = tokens.watch(store.path())?;
        let parts = http::Parts {
            store,
            exports: Arc::new(exports),
            max_pending_exports: settings.exports.max_pending,
            link_lifetime: settings.exports.link_lifetime,
            engine: Arc::new(engine),
            tokens,
            logins: Arc::new(logins),
            streams: Arc::new(streams),
            max_file_size: settings.import.max_file_size.bytes(),
            max_unpacked_size: settings.import.max_unpacked_size.bytes(),
            limits: limits(settings),
            public_url: address.public_url.clone(),
            bounds: options::bounds(settings, max_connections),
            idle_timeout: settings.server.idle_timeout,
            trusted_proxies: settings.server.trusted_proxies.clone(),
            search_timeout: settings.search.timeout,
            max_searches: settings.search.max_concurrent.get(),
            cors_origins: options::cors_origins(settings),
            rate_limit: options::rate_limit(settings),
            tenant: settings.tenant.name.as_str().to_owned(),
            metrics_token: settings.metrics.token().map(secret_hash),
            started_at,
        };
        let (owes_address, page_code) = (false, None);
        Ok(Self { address, doors, parts, mailer, upkeep, key_watch, owes_address, page_code, new_client })
    }

    /// Where it is.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Tells commands that are given the same data directory where it is, for as long as it runs.
    ///
    /// On a full disk nobody is told before there is room, and the server runs all the same.
    pub fn announce(&mut self) -> io::Result<()> {
        self.owes_address = !self.address.announce(self.parts.store.path())?;
        if self.owes_address {
            tracing::warn!(
                "the disk is full: commands on this machine will not find this server until there is room"
            );
        }
        Ok(())
    }

    /// What was missing at this start, and accepted.
    pub fn loss(&self) -> Option<&Loss> {
        self.parts.store.loss()
    }

    /// The client made at this start, if one was.
    pub fn new_client(&self) -> Option<&NewClient> {
        self.new_client.as_ref()
    }

    /// The connections there are.
    pub fn connections(&self) -> Result<Vec<Connection>, StoreError> {
        self.parts.store.connections()
    }

    /// A token with all scopes, for a client that need not exist.
    pub fn full_token(&self, client_id: &str) -> Result<String, KeyError> {
        let tokens = &self.parts.tokens;
        tokens.mint(client_id, Scope::ALL, tokens.lifetime(), SystemTime::now().into())
    }

    /// Makes the link that signs its first reader in to the status page. The code is in the fragment,
    /// which browsers do not send, so that it is in no log of a server or proxy.
    pub fn page_link(&mut self) -> io::Result<String> {
        let code = random_text(OneTimeCode::LENGTH)?;
        let until = Timestamp::from(SystemTime::now()).after(self.parts.tokens.lifetime());
        self.page_code = Some(OneTimeCode::new(&code, until));
        Ok(format!("{}/#code={code}", self.address.public_url))
    }

    /// Serves until `stop` has a word or its other side is gone; jobs stop at their next safe point.
    pub fn run(self, mut stop: oneshot::Receiver<()>) -> io::Result<()> {
        let Self { parts, mailer, upkeep, key_watch, address, owes_address, .. } = self;
        let (store, engine, streams) = (parts.store.clone(), parts.engine.clone(), parts.streams.clone());
        let exports = parts.exports.clone();
        let directory = store.path().to_owned();
        let stopped = async move {
            if !owes_address || address.announce_late(&directory, &mut stop).await {
                drop(stop.await);
            }
        };
        let served = http::serve(self.doors, http::State::new(parts, self.page_code), stopped);
        engine.stop();
        exports.stop();
        mailer.stop();
        streams.stop();
        upkeep.stop();
        drop(key_watch);
        // Nobody asks for the address once the lock of the directory is gone.
        let forgotten = forget(store.path());
        drop(store);
        served.and(forgotten)
    }
}

/// A data directory that was made by others may let more people in than ours do.
fn warn_of_readers(directory: &Path) {
    if fs::metadata(directory).is_ok_and(|found| found.mode() & 0o077 != 0) {
        let directory = directory.display();
        tracing::warn!("other users of this machine may look into {directory}: chmod 700 it");
    }
}

/// A token that the server of the settings' data directory takes, whether it runs or not.
pub fn token_for(
    settings: &Settings,
    client_id: &str,
    scopes: &[Scope],
    lifetime: Option<Duration>,
) -> Result<String, StartError> {
    let directory = &settings.storage.path;
    // It may make a key file.
    store::check_format(directory)?;
    let keys = Keys::open_or_create(directory, settings.tokens.algorithm)?;
    let url = match running(directory) {
        Some(address) => address.public_url,
        None => settings.server.expected_url(),
    };
    let tokens = Tokens::new(keys, &url, settings.tokens.lifetime);
    Ok(tokens.mint(client_id, scopes, lifetime.unwrap_or(tokens.lifetime()), SystemTime::now().into())?)
}

/// Makes a new signing key for the settings' data directory, whether a server runs there or not. Tokens of the
/// one before stay good for as long as `overlap`, by default until the last of them that has the usual
/// lifetime expires.
pub fn rotate_key(settings: &Settings, overlap: Option<Duration>) -> Result<Rotation, StartError> {
    let (directory, tokens) = (&settings.storage.path, &settings.tokens);
    store::check_format(directory)?;
    let overlap = overlap.unwrap_or(tokens.lifetime);
    Ok(Keys::rotate(directory, tokens.algorithm, overlap, SystemTime::now().into())?)
}
