//! The server that `import` talks to for a data directory at hand: the one that runs, or one of its
//! own for as long as it takes.

use std::io;
use std::thread::{self, JoinHandle};

use tokio::sync::oneshot;

use super::Problem;
use super::serve::introduce_client;
use crate::app::{self, App, StartError, Until};
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
    /// Starts a server on the settings' data directory, unless one has it open: then uses that.
    pub(super) fn find_or_start(settings: &Settings) -> Result<Self, Problem> {
        let mut settings = settings.clone();
        settings.server.bind = ([127, 0, 0, 1], 0).into();
        settings.server.public_url = PublicUrl::default();
        match App::build(&settings) {
            Ok(app) => {
                if app.new_client().is_some() {
                    eprintln!("made the data directory {}", settings.storage.path.display());
                    introduce_client(&app);
                }
                Self::start(app)
            }
            Err(error) if error.is_locked() => Self::find(&settings, &error),
            Err(error) => Err(error.into()),
        }
    }

    fn start(app: App) -> Result<Self, Problem> {
        let (url, token) = (app.address().local_url.clone(), app.full_token(CLIENT)?);
        let (stop, stopped) = oneshot::channel();
        let thread =
            thread::Builder::new().name("server".to_owned()).spawn(move || app.run(Until::Told(stopped)))?;
        Ok(Self { url, token, own: Some(Own { stop, thread }) })
    }

    /// Uses the server that holds the directory, if `error` comes from one.
    fn find(settings: &Settings, error: &StartError) -> Result<Self, Problem> {
        let directory = &settings.storage.path;
        let address = app::running(directory).ok_or_else(|| Problem::new(error.to_string()))?;
        let token = app::token_for(settings, CLIENT, Scope::ALL, None)?;
        eprintln!("using the server at {}, which has {} open", address.local_url, directory.display());
        Ok(Self { url: address.local_url, token, own: None })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn token(&self) -> &str {
        &self.token
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let Some(own) = self.own.take() else { return };
        // An error means that the server has stopped already.
        let _ = own.stop.send(());
        match own.thread.join() {
            Ok(Ok(())) => {}
            Ok(Err(error)) => eprintln!("intake: the server did not stop cleanly: {error}"),
            Err(_) => eprintln!("intake: the server ended by a panic"),
        }
    }
}
