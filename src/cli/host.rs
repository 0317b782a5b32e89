//! The server that commands talk to for a data directory at hand: the one that runs, or, for an import, one of its
//! own for as long as it takes.
//!
//! **Invariant:** a server of its own is announced to nobody, because it ends with its import. Whoever
//! else wants the directory meanwhile waits.

use std::io;
use std::net::TcpStream;
use std::thread::{self, JoinHandle};

use tokio::sync::oneshot;

use super::Problem;
use super::client::Client;
use super::owner::work_for_owner_of;
use super::queue::Queue;
use super::said::notice;
use super::serve::introduce_client;
use crate::app::{self, Address, App};
use crate::config::{PublicUrl, Settings};
use crate::domain::Scope;

/// What tokens of the command line are made out to.
const CLIENT: &str = "intake-cli";

/// A server and the right to use it.
pub(super) struct Host {
    url: String,
    token: String,
    own: Option<Own>,
}

struct Own {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<io::Result<()>>,
}

impl Host {
    /// Uses the server that runs on the settings' data directory, or else starts one, as soon as the
    /// directory is free.
    pub(super) fn find_or_start(settings: &Settings) -> Result<Self, Problem> {
        let mut settings = settings.clone();
        settings.server.bind = ([127, 0, 0, 1], 0).into();
        settings.server.public_url = PublicUrl::default();
        settings.server.tls.switch_off();
        work_for_owner_of(&settings.storage.path);
        let mut queue = Queue::of(&settings.storage.path);
        loop {
            match App::build(&settings) {
                Ok(app) => return Self::start(app, &settings),
                Err(error) if error.is_locked() => {}
                Err(error) => return Err(error.into()),
            }
            if let Some(host) = Self::find(&settings)? {
                return Ok(host);
            }
            queue.wait()?;
        }
    }

    fn start(app: App, settings: &Settings) -> Result<Self, Problem> {
        if app.new_client().is_some() {
            notice(format_args!("made the data directory {}", settings.storage.path.display()));
            introduce_client(&app);
        }
        let (url, token) = (app.address().local_url.clone(), app.full_token(CLIENT)?);
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new().name("server".to_owned()).spawn(move || app.run(stopped))?;
        Ok(Self { url, token, own: Some(Own { stop, thread }) })
    }

    /// The server that has the directory open, if one was announced and answers. One that is being
    /// started again after a crash does not yet.
    pub(super) fn find(settings: &Settings) -> Result<Option<Self>, Problem> {
        let directory = &settings.storage.path;
        let Some(address) = app::running(directory).filter(answers) else {
            return Ok(None);
        };
        let token = app::token_for(settings, CLIENT, Scope::ALL, None)?;
        notice(format_args!(
            "using the server at {}, which has {} open",
            address.local_url,
            directory.display()
        ));
        Ok(Some(Self { url: address.local_url, token, own: None }))
    }

    /// To talk to it. Nobody else gets the token, which has all rights.
    pub(super) fn client(&self) -> Client {
        Client::here(&self.url, &self.token)
    }
}

fn answers(address: &Address) -> bool {
    address.local_url.strip_prefix("http://").is_some_and(|place| TcpStream::connect(place).is_ok())
}

impl Drop for Host {
    fn drop(&mut self) {
        let Some(own) = self.own.take() else { return };
        // An error means that the server has stopped already.
        let _ = own.stop.send(());
        match own.thread.join() {
            Ok(Ok(())) => {}
            Ok(Err(error)) => notice(format_args!("intake: the server did not stop cleanly: {error}")),
            Err(_) => notice(format_args!("intake: the server ended by a panic")),
        }
    }
}
