//! `intake serve`: the server for real, or a throwaway one.

use std::io::{self, IsTerminal};

use serde_json::json;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::said::{self, notice};
use super::signals::{self, Hangup};
use super::{Exit, Problem, Serve, panics};
use crate::app::{self, App, OnLoss};
use crate::config::{ByteSize, Log, LogFormat, Settings};

/// What tokens of throwaway servers are made out to.
const TEST_CLIENT: &str = "intake-ephemeral";

impl Serve {
    pub(super) fn run(self) -> Result<Exit, Problem> {
        let mut settings = self.config.load()?;
        start_log(&settings.log);
        if self.ephemeral {
            settings.server.bind = ([127, 0, 0, 1], 0).into();
            settings.server.tls.bind = ([127, 0, 0, 1], 0).into();
        }
        if let Some(bind) = self.bind {
            settings.server.bind = bind;
        }
        if let Some(bind) = self.tls_bind {
            settings.server.tls.bind = bind;
        }
        let throws_in = self.ephemeral && self.tls;
        if (self.tls || self.tls_bind.is_some()) && !settings.server.tls.is_on() && !throws_in {
            return Err(Problem::new(
                "https needs a certificate: set server.tls.certificate and server.tls.key, or try it with \
                 --ephemeral --tls, which makes a throwaway one",
            ));
        }
        if self.ephemeral {
            return run_ephemeral(settings, throws_in);
        }
        let on_loss = if self.accept_loss { OnLoss::Accept } else { OnLoss::Refuse };
        run(&settings, on_loss, if self.no_secrets { Told::Rest } else { Told::All })
    }
}

/// What is said at the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    /// Everything, also what opens doors: for people at a terminal.
    All,
    /// All but that.
    Rest,
}

fn run(settings: &Settings, on_loss: OnLoss, told: Told) -> Result<Exit, Problem> {
    let stop = signals::stop(hangup(settings))?;
    let mut app = App::build_despite(settings, on_loss)?;
    tell_loss(&app);
    app.announce()?;
    let page = if told == Told::All { Some(app.page_link()?) } else { None };
    introduce(&app, settings, page.as_deref())?;
    app.run(stop)?;
    Ok(Exit::Done)
}

/// The directory goes when this returns, so the store must be closed by then.
fn run_ephemeral(mut settings: Settings, throws_in_certificate: bool) -> Result<Exit, Problem> {
    let directory = tempfile::Builder::new().prefix("intake-").tempdir()?;
    directory.path().clone_into(&mut settings.storage.path);
    // Nobody needs it after a full disk.
    settings.storage.reserve = ByteSize(0);
    let ca_file = throws_in_certificate.then(|| app::throw_in_certificate(&mut settings)).transpose()?;
    let stop = signals::stop(hangup(&settings))?;
    let mut app = App::build(&settings)?;
    let page = app.page_link()?;
    let connection = app.connections()?.into_iter().next();
    let client = app.new_client();
    let about = json!({
        "url": app.address().public_url,
        "domain": app.address().domain(),
        "token": app.full_token(TEST_CLIENT)?,
        "client_id": client.map(|client| &client.id),
        "client_secret": client.map(|client| &client.secret),
        "connection_id": connection.as_ref().map(|connection| &connection.id),
        "connection": connection.as_ref().map(|connection| &connection.name),
        "page": page,
        "http_url": app.address().local_url,
        "ca_file": ca_file,
    });
    said::result(about)?;
    app.run(stop)?;
    directory.close()?;
    Ok(Exit::Done)
}

/// Without a certificate there is nothing to renew.
fn hangup(settings: &Settings) -> Hangup {
    if settings.server.tls.is_on() { Hangup::Renews } else { Hangup::Stops }
}

/// Says where everything is, and what to type next.
fn introduce(app: &App, settings: &Settings, page: Option<&str>) -> Result<(), Problem> {
    let address = app.address();
    notice(format_args!(
        "intake listens on {}, data is in {}",
        address.local_url,
        settings.storage.path.display()
    ));
    if let Some(url) = &address.local_https_url {
        notice(format_args!("  https on {url}"));
    }
    if ![Some(&address.local_url), address.local_https_url.as_ref()].contains(&Some(&address.public_url)) {
        notice(format_args!("  public URL {}", address.public_url));
    }
    for connection in app.connections()? {
        notice(format_args!("  connection {} ({})", connection.name, connection.id));
    }
    if let Some(page) = page {
        introduce_client(app);
        notice(format_args!("  status page {page} (signs you in once)"));
    } else if let Some(client) = app.new_client() {
        notice(format_args!("  client_id {} (rotate its secret by the API to get one)", client.id));
    }
    notice(format_args!("next: intake import users.json     (in another terminal)"));
    notice(format_args!("      TOKEN=$(intake token)        (for curl and SDKs)"));
    Ok(())
}

/// Says what is gone, and what is left of it.
fn tell_loss(app: &App) {
    let Some(loss) = app.loss() else { return };
    let (found, acknowledged) = (loss.found, loss.acknowledged);
    notice(format_args!(
        "accepted a loss: the database ends at commit {found}, commit {acknowledged} was acknowledged; what the {} \
         in between did is gone",
        acknowledged - found
    ));
    for file in &loss.kept {
        notice(format_args!("  an upload whose job is gone is kept as {}", file.display()));
    }
    if let Some(file) = loss.kept.first() {
        notice(format_args!("  once you have looked at it: intake import {}", file.display()));
    }
}

/// Shows the secret of a client that was made at this start, because nobody can later.
pub(super) fn introduce_client(app: &App) {
    if let Some(client) = app.new_client() {
        notice(format_args!("  client_id {}", client.id));
        notice(format_args!("  client_secret {} (keep it: it is not shown again)", client.secret));
    }
}

/// The log of a command whose outcome tells what a log would; what it can't tell is a warning.
pub(super) fn start_quiet_log(settings: &Log) {
    start_log(&Log { level: settings.level.min(LevelFilter::WARN), ..settings.clone() });
}

/// Log lines go to stderr: text for people, JSON for machines.
pub(super) fn start_log(settings: &Log) {
    // What libraries say of their work holds whole rows, headers and URLs: their warnings are all there is.
    let quiet = settings.level.min(LevelFilter::WARN);
    // The framework calls every request that is no HTTP an error, and warns of broken forms. Anybody can send those.
    let wanted = Targets::new()
        .with_default(quiet)
        .with_target(env!("CARGO_CRATE_NAME"), settings.level)
        .with_target("actix_http", LevelFilter::OFF)
        .with_target("actix_multipart", LevelFilter::OFF);
    // A line that cannot be written is lost; told of on stderr, which is what failed, it would be a panic.
    let lines =
        fmt::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal()).log_internal_errors(false);
    let registry = tracing_subscriber::registry().with(wanted);
    match settings.format {
        LogFormat::Json => registry.with(lines.json()).init(),
        LogFormat::Text => registry.with(lines).init(),
    }
    panics::log();
}
