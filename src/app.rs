//! The composition root: opens the store, binds the port, starts the engine, and shuts all down in
//! order. Whatever can go wrong at start goes wrong in [`App::build`].

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::sync::oneshot;

use crate::config::{DeclaredClient, DeclaredConnection, PublicUrl, Settings};
use crate::domain::{Client, Connection, ConnectionId, DATABASE_STRATEGY, Scope};
use crate::http;
use crate::import::Limits;
use crate::jobs::Engine;
use crate::store::{self, Store, StoreError};
use crate::tokens::{self, KeyError, Keys, Tokens};

/// Name of the connection that is made when none is declared.
pub const DEFAULT_CONNECTION: &str = "Username-Password-Authentication";
/// Name of the client that is made when none is declared.
const DEFAULT_CLIENT: &str = "Default client";
/// While a server that was announced runs, this file in the data directory says where.
const ADDRESS_FILE: &str = "server.json";

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
    tokens: Tokens,
    max_file_size: u64,
    new_client: Option<NewClient>,
}

/// A client made at this start; its secret cannot be had again later.
#[derive(Debug, Clone)]
pub struct NewClient {
    /// Public id.
    pub id: String,
    /// What it proves itself with.
    pub secret: String,
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
        let engine = Engine::start(store.clone(), limits(settings), settings.import.workers)?;
        Ok(Self {
            tokens: Tokens::new(keys, &address.public_url, settings.tokens.lifetime),
            address,
            listener,
            store,
            engine: Arc::new(engine),
            max_file_size: settings.import.max_file_size.bytes(),
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

    /// Serves until it is stopped; jobs stop at their next safe point.
    pub fn run(self, until: Until) -> io::Result<()> {
        let path = self.store.path().to_owned();
        let (store, engine) = (self.store.clone(), self.engine.clone());
        let state = http::State::new(self.store, self.engine, self.tokens, self.max_file_size);
        let served = http::serve(self.listener, state, until_future(until));
        engine.stop();
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

fn store_options(settings: &Settings) -> store::Options {
    store::Options {
        path: settings.storage.path.clone(),
        cache_bytes: settings.storage.cache.bytes(),
        min_free_disk: settings.storage.min_free_disk.bytes(),
        max_active_jobs: settings.import.active_jobs_limit(),
        open_timeout: settings.storage.open_timeout,
    }
}

/// Makes the declared clients and connections that are missing, and one of each where there would be
/// none. What is there already is never changed.
fn furnish(store: &Store, settings: &Settings) -> Result<Option<NewClient>, StartError> {
    for declared in &settings.clients {
        let client = client_of(declared);
        match store.client(&client.id)? {
            None => store.put_client(&client)?,
            Some(stored) if stored != client => note_difference("client", &client.id),
            Some(_) => {}
        }
    }
    let new_client = if store.clients()?.is_empty() { Some(make_client(store)?) } else { None };
    let stored = store.connections()?;
    for declared in &settings.connections {
        match stored.iter().find(|stored| stored.name == declared.name.as_str()) {
            None => drop(store.create_connection(connection_of(store, declared)?)?),
            Some(stored) if !is_as_declared(stored, declared) => note_difference("connection", &stored.name),
            Some(_) => {}
        }
    }
    if store.connections()?.is_empty() {
        let enabled_clients = store.clients()?.into_iter().map(|client| client.id).collect();
        store.create_connection(Connection {
            number: 0,
            id: ConnectionId::from_entropy(tokens::random()?),
            name: DEFAULT_CONNECTION.to_owned(),
            strategy: DATABASE_STRATEGY.to_owned(),
            enabled_clients,
        })?;
    }
    Ok(new_client)
}

fn note_difference(kind: &str, name: &str) {
    tracing::warn!("{kind} {name} is declared otherwise than it is stored; what is stored stays");
}

fn is_as_declared(stored: &Connection, declared: &DeclaredConnection) -> bool {
    stored.strategy == declared.strategy.as_str()
        && stored.enabled_clients == declared.clients
        && declared.id.as_ref().is_none_or(|id| *id == stored.id)
}

fn make_client(store: &Store) -> Result<NewClient, StartError> {
    let client = NewClient { id: tokens::random_text(32)?, secret: tokens::random_text(64)? };
    store.put_client(&Client {
        id: client.id.clone(),
        name: DEFAULT_CLIENT.to_owned(),
        secret_hash: tokens::secret_hash(&client.secret),
        scopes: Scope::ALL.iter().map(ToString::to_string).collect(),
    })?;
    Ok(client)
}

fn client_of(declared: &DeclaredClient) -> Client {
    Client {
        id: declared.client_id.clone(),
        name: declared.name.clone(),
        secret_hash: tokens::secret_hash(declared.secret.expose()),
        scopes: declared.scopes.iter().map(ToString::to_string).collect(),
    }
}

fn connection_of(store: &Store, declared: &DeclaredConnection) -> Result<Connection, StartError> {
    for client in &declared.clients {
        if store.client(client)?.is_none() {
            return Err(StartError::UnknownClient {
                connection: declared.name.as_str().to_owned(),
                client: client.clone(),
            });
        }
    }
    let id = match &declared.id {
        Some(id) => id.clone(),
        None => ConnectionId::from_entropy(tokens::random()?),
    };
    Ok(Connection {
        number: 0,
        id,
        name: declared.name.as_str().to_owned(),
        strategy: declared.strategy.as_str().to_owned(),
        enabled_clients: declared.clients.clone(),
    })
}
