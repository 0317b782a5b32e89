//! Connections: how they are taken, limited and ended.
//!
//! The server of actix stops taking connections where there are too many, and half-open TLS handshakes hold up all
//! others: so its parts are put together here, with a [`Line`] around each connection.
//!
//! **Invariants:** no more than `max_connections` are open, but for some that are told so and closed. Every one of
//! them ends in bounded time if its client does nothing, or disappears.

mod course;
mod follow;
mod line;
mod refusal;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use actix_http::{Extensions, HttpService, KeepAlive, Response};
use actix_server::{GracefulShutdownSignal, Server};
use actix_service::{IntoServiceFactory, ServiceFactory, ServiceFactoryExt, fn_service, map_config};
use actix_web::body::BoxBody;
use actix_web::dev::AppConfig;
use actix_web::rt::net::TcpStream;
use actix_web::rt::time::timeout;
use actix_web::web;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;

use super::error::ApiError;
use super::{State, reload, routes};
use crate::tls::Certificates;
use course::Turns;
pub(super) use follow::follow;
use line::Line;

/// Where the server listens.
#[derive(Debug)]
pub struct Doors {
    /// For plain http.
    pub plain: TcpListener,
    /// For https, if there is that.
    pub tls: Option<TlsDoor>,
}

/// Where the server listens for https, and who it is there.
#[derive(Debug)]
pub struct TlsDoor {
    /// The port.
    pub listener: TcpListener,
    /// What it shows to clients.
    pub certificates: Certificates,
}

/// Connections that wait in the system until they are taken. Clients that find the line full try again after a second
/// or more, and the standard library's, of 128, is soon full.
const WAITING: i32 = 1024;
/// How long a connection may take to close.
const CLOSE_TIME: Duration = Duration::from_secs(2);
/// Actix closes connections after their last answer by its own clock; ours is for those it forgets.
const SLACK: Duration = Duration::from_secs(1);
/// How long requests in hand may go on once the server is asked to stop.
const GRACE: Duration = Duration::from_secs(3);
/// Connections above the limit that are told so at the same time; others are closed without a word.
const TURNED_AWAY: usize = 48;
/// Connections above the limit that are taken at all, so that handles do not run out; others wait in the system.
const ABOVE: usize = 64;
/// How long that may take.
const FAREWELL: Duration = Duration::from_secs(1);
/// Bytes of answers that the system holds for a client that takes none. It tells of room only when a good part of
/// what it holds is gone: with megabytes of them, as it would have, who takes little would seem to take nothing.
const UNSENT: u32 = 16 << 10;
/// The protocols spoken inside TLS.
const PROTOCOLS: [&[u8]; 2] = [b"http/1.1", b"http/1.0"];

/// Takes a port.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    // To listen once more only makes the line longer.
    SockRef::from(&listener).listen(WAITING)?;
    Ok(listener)
}

/// Serves the API until `stop` is ready.
pub fn serve(doors: Doors, state: State, stop: impl Future<Output = ()> + 'static) -> io::Result<()> {
    let places = Places::new(&state);
    let state = web::Data::new(state);
    actix_web::rt::System::new().block_on(async move {
        let workers = available_parallelism().map_or(1, NonZeroUsize::get);
        let server = Server::build()
            .workers(workers)
            .max_concurrent_connections(places.most.saturating_add(ABOVE).div_ceil(workers))
            .shutdown_timeout(GRACE.as_secs())
            .disable_signals();
        let signal = server.graceful_shutdown_signal();
        let (app, door) = (Api { state: state.clone(), signal: signal.clone() }, places.clone());
        let server = server.listen("http", doors.plain, move || plain(door.clone(), app.clone()))?;
        let server = match doors.tls {
            Some(TlsDoor { listener, certificates }) => {
                let acceptor = acceptor(&certificates)?;
                reload::on_hangup(certificates)?;
                let app = Api { state, signal };
                server.listen("https", listener, move || {
                    secure(acceptor.clone(), places.clone(), app.clone())
                })?
            }
            None => server,
        };
        let server = server.run();
        let handle = server.handle();
        actix_web::rt::spawn(async move {
            stop.await;
            handle.stop(true).await;
        });
        server.await
    })
}

fn acceptor(certificates: &Certificates) -> io::Result<TlsAcceptor> {
    let mut config = certificates.server_config().map_err(io::Error::other)?;
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// What answers requests.
#[derive(Clone)]
struct Api {
    state: web::Data<State>,
    signal: GracefulShutdownSignal,
}

impl Api {
    /// What answers those of a connection of some kind.
    fn on<T>(
        self,
    ) -> impl ServiceFactory<(Line<T>, Option<SocketAddr>), Config = (), Response = (), Error = (), InitError = ()>
    where
        T: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let Self { state, signal } = self;
        let app = routes::all(state).into_factory();
        let app = app.map_err(|fault: actix_web::Error| Response::<BoxBody>::from(fault.error_response()));
        HttpService::build()
            .keep_alive(KeepAlive::Os)
            .client_request_timeout(Duration::ZERO)
            .client_disconnect_timeout(CLOSE_TIME)
            .graceful_shutdown_signal(move || {
                let signal = signal.clone();
                async move { signal.notified().await }
            })
            .on_connect_ext(|line: &Line<T>, data: &mut Extensions| drop(data.insert(line.course())))
            .h1(map_config(app, |()| AppConfig::default()))
            .map_err(drop)
    }
}

/// What takes connections with plain http.
fn plain(
    places: Places,
    api: Api,
) -> impl ServiceFactory<TcpStream, Config = (), Response = (), Error = (), InitError = ()> {
    let take = move |stream: TcpStream| {
        let places = places.clone();
        async move {
            let Some(place) = places.take(&stream) else {
                places.turn_away(stream).await;
                return Err(());
            };
            let peer = stream.peer_addr().ok();
            Ok((Line::new(stream, places.turns, place), peer))
        }
    };
    fn_service(take).and_then(api.on())
}

/// The same with TLS.
fn secure(
    acceptor: TlsAcceptor,
    places: Places,
    api: Api,
) -> impl ServiceFactory<TcpStream, Config = (), Response = (), Error = (), InitError = ()> {
    let take = move |stream: TcpStream| {
        let (acceptor, places) = (acceptor.clone(), places.clone());
        async move {
            let place = places.take(&stream).ok_or(())?;
            let peer = stream.peer_addr().ok();
            let shaken = timeout(places.turns.head, acceptor.accept(stream)).await;
            let stream = shaken.map_err(drop)?.map_err(drop)?;
            Ok((Line::new(stream, places.turns, place), peer))
        }
    };
    fn_service(take).and_then(api.on())
}

/// The places for connections.
#[derive(Clone)]
struct Places {
    most: usize,
    free: Arc<Semaphore>,
    turned_away: Arc<Semaphore>,
    turns: Turns,
}

impl Places {
    fn new(state: &State) -> Self {
        let bounds = &state.bounds;
        let turns = Turns {
            head: bounds.header_timeout,
            idle: state.idle_timeout,
            close: CLOSE_TIME + SLACK,
            pace: bounds.pace,
        };
        let most = bounds.max_connections.min(Semaphore::MAX_PERMITS);
        let turned_away = Arc::new(Semaphore::new(TURNED_AWAY));
        Self { most, free: Arc::new(Semaphore::new(most)), turned_away, turns }
    }

    /// A place for a connection, if there is one.
    fn take(&self, stream: &TcpStream) -> Option<OwnedSemaphorePermit> {
        let place = self.free.clone().try_acquire_owned().ok()?;
        if let Err(error) = see_what_clients_take(stream, self.turns.pace.pause) {
            tracing::debug!("a slow client may seem to be gone, and a dead one to be slow: {error}");
        }
        Some(place)
    }

    /// Tells a client that there is no place. What it sends meanwhile is read, or it might not get to see that.
    async fn turn_away(&self, mut stream: TcpStream) {
        let Ok(_place) = self.turned_away.try_acquire() else {
            return;
        };
        let tell = async {
            stream.write_all(&refusal::text(&ApiError::TooManyConnections)).await?;
            stream.shutdown().await?;
            let mut unread = [0; 4096];
            while stream.read(&mut unread).await? > 0 {}
            Ok::<_, io::Error>(())
        };
        // Too late, or gone, is as good as told.
        drop(timeout(FAREWELL, tell).await);
    }
}

/// Has the system tell soon what a client takes, and end the connection when its other side does not answer any more
/// while a request is in hand. `TCP_USER_TIMEOUT` is not for us: it also ends those whose clients take an answer slowly.
fn see_what_clients_take(stream: &TcpStream, pause: Duration) -> io::Result<()> {
    let socket = SockRef::from(stream);
    socket.set_tcp_notsent_lowat(UNSENT)?;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(pause).with_interval(pause / 3).with_retries(3))
}
