//! A mail server, and connections to it: in the clear, or inside TLS from the first byte or from STARTTLS on.
//!
//! **Invariants**
//! - Nothing that was said in the clear counts inside TLS.
//! - Lettre gets a connection only once that is as private as was asked for. So neither a letter nor a
//!   password goes over any other.

use std::error::Error as StdError;
use std::fmt::Display;
use std::fs;
use std::io;
use std::net::ToSocketAddrs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lettre::address::Envelope;
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, AsyncTokioStream};
use lettre::transport::smtp::commands::{Ehlo, Starttls};
use lettre::transport::smtp::extension::{ClientId, Extension, ServerInfo};
use lettre::transport::smtp::response::{Response, Severity};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::line::{Line, LineFault};
use super::{Blame, Failure, PostFault, Security, SmtpSettings};

/// What lettre waits for, as a connection begins with it. Behind STARTTLS no server says it again.
const GREETING: &[u8] = b"220 \r\n";

/// A mail server.
pub(super) struct MailServer {
    host: String,
    port: u16,
    privacy: Privacy,
    login: Option<Credentials>,
    timeout: Duration,
}

enum Privacy {
    None,
    Tls(Tls),
    StartTls(Tls),
}

struct Tls {
    connector: TlsConnector,
    /// What its certificate has to be for.
    name: ServerName<'static>,
}

/// A connection over which letters can be sent.
pub(super) struct Connection {
    smtp: AsyncSmtpConnection,
    runtime: Runtime,
}

impl Connection {
    /// Whether the server is still there.
    pub(super) fn holds(&mut self) -> bool {
        self.runtime.block_on(self.smtp.test_connected())
    }

    /// Sends a letter; the server has taken it when this returns `Ok`.
    pub(super) fn send(&mut self, envelope: &Envelope, letter: &[u8]) -> Result<(), Failure> {
        let sent = self.runtime.block_on(self.smtp.send(envelope, letter));
        sent.map(drop).map_err(|error| over_a_letter(&error))
    }

    /// Says goodbye. All letters are delivered; how this goes does not matter.
    pub(super) fn quit(mut self) {
        let _ = self.runtime.block_on(self.smtp.quit());
    }
}

impl MailServer {
    pub(super) fn new(settings: SmtpSettings) -> Result<Self, PostFault> {
        let SmtpSettings { host, port, security, login, ca_file, timeout } = settings;
        let roots = trusted(ca_file.as_deref())?;
        let privacy = match security {
            Security::None => Privacy::None,
            Security::Tls => Privacy::Tls(Tls::new(&host, roots)?),
            Security::StartTls => Privacy::StartTls(Tls::new(&host, roots)?),
        };
        let port = port.unwrap_or(security.usual_port());
        let login = login.map(|(user, password)| Credentials::new(user, password));
        Ok(Self { host, port, privacy, login, timeout })
    }

    /// Connects and says who we are.
    pub(super) fn connect(&self) -> Result<Connection, Failure> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| unreachable(&error))?;
        let smtp = runtime.block_on(self.open())?;
        Ok(Connection { smtp, runtime })
    }

    async fn open(&self) -> Result<AsyncSmtpConnection, Failure> {
        let hello = ClientId::default();
        let line = self.dial().await?;
        let stream: Box<dyn AsyncTokioStream> = match &self.privacy {
            Privacy::None => Box::new(line),
            Privacy::Tls(tls) => Box::new(self.encrypt(tls, line).await?),
            Privacy::StartTls(tls) => {
                let line = ask_for_tls(line, &hello).await?;
                Box::new(self.encrypt(tls, line).await?.with_foreword(GREETING))
            }
        };
        let connected = AsyncSmtpConnection::connect_with_transport(stream, &hello).await;
        let mut smtp = connected.map_err(|error| on_the_way(&error))?;
        if let Some(login) = &self.login {
            smtp.auth(DEFAULT_MECHANISMS, login).await.map_err(|error| on_the_way(&error))?;
        }
        Ok(smtp)
    }

    /// Tries one address after the other. Looking up the name blocks the thread, on which nothing else runs.
    async fn dial(&self) -> Result<Line<TcpStream>, Failure> {
        let addresses = (self.host.as_str(), self.port).to_socket_addrs();
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in addresses.map_err(|error| unreachable(&error))? {
            let connected = timeout(self.timeout, TcpStream::connect(address)).await;
            match connected.unwrap_or_else(|_| Err(LineFault::Late.into())) {
                Ok(stream) => return Ok(Line::new(stream, address, self.timeout)),
                Err(error) => last = error,
            }
        }
        Err(unreachable(&last))
    }

    async fn encrypt(
        &self,
        tls: &Tls,
        line: Line<TcpStream>,
    ) -> Result<Line<TlsStream<Line<TcpStream>>>, Failure> {
        let peer = line.peer();
        let stream = tls.connector.connect(tls.name.clone(), line).await;
        let stream = stream.map_err(|error| unreachable(&error))?;
        // Writes of TLS itself give nobody more time for an answer.
        Ok(Line::new(stream, peer, self.timeout))
    }
}

impl Tls {
    fn new(host: &str, roots: RootCertStore) -> Result<Self, PostFault> {
        let fault = |why: String| PostFault { setting: "mail.smtp_host", why };
        let name = ServerName::try_from(host.to_owned());
        let name = name.map_err(|_| fault(format!("no certificate can be for \"{host}\"")))?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| fault(error.to_string()))?;
        let client = builder.with_root_certificates(roots).with_no_client_auth();
        Ok(Self { connector: TlsConnector::from(Arc::new(client)), name })
    }
}

/// Whose certificates are good: the public authorities', and those of a file.
fn trusted(file: Option<&Path>) -> Result<RootCertStore, PostFault> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let Some(path) = file else { return Ok(roots) };
    let public = roots.len();
    let fault = |why: &dyn Display| PostFault {
        setting: "mail.smtp_ca_file",
        why: format!("{}: {why}", path.display()),
    };
    let pem = fs::read(path).map_err(|error| fault(&error))?;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        roots.add(certificate.map_err(|error| fault(&error))?).map_err(|error| fault(&error))?;
    }
    if roots.len() == public {
        return Err(fault(&"it holds no certificate (PEM)"));
    }
    Ok(roots)
}

/// Asks for TLS, in the clear; gives the line back where TLS is to begin.
async fn ask_for_tls(line: Line<TcpStream>, hello: &ClientId) -> Result<Line<TcpStream>, Failure> {
    let mut line = BufReader::new(line);
    answer(&mut line).await?;
    let offer = ask(&mut line, Ehlo::new(hello.clone())).await?;
    let offer = ServerInfo::from_response(&offer).map_err(|error| on_the_way(&error))?;
    if !offer.supports_feature(Extension::StartTls) {
        let why = "the mail server offers no STARTTLS, and mail.smtp_security asks for it";
        return Err(Failure::new(Blame::Unwilling, why));
    }
    ask(&mut line, Starttls).await?;
    // Anybody on the way may have added that.
    if !line.buffer().is_empty() {
        let why = "the mail server said more than it was asked before TLS began";
        return Err(Failure::new(Blame::Unwilling, why));
    }
    Ok(line.into_inner())
}

async fn ask(line: &mut BufReader<Line<TcpStream>>, command: impl Display) -> Result<Response, Failure> {
    let sent = line.get_mut().write_all(command.to_string().as_bytes()).await;
    sent.map_err(|error| unreachable(&error))?;
    answer(line).await
}

/// Reads a whole answer. All but "yes" is a failure.
async fn answer(line: &mut BufReader<Line<TcpStream>>) -> Result<Response, Failure> {
    let mut text = String::new();
    loop {
        let begin = text.len();
        line.read_line(&mut text).await.map_err(|error| unreachable(&error))?;
        // Behind the number of the last line there is no hyphen.
        if text.as_bytes().get(begin + 3) != Some(&b'-') {
            break;
        }
    }
    let response: Response = text
        .parse()
        .map_err(|_| Failure::quoting(Blame::Unreachable, None, &format!("no answer: {text}")))?;
    if response.code().severity == Severity::PositiveCompletion {
        return Ok(response);
    }
    Err(Failure::quoting(Blame::Unwilling, Some(response.code().into()), &text))
}

fn unreachable(error: &io::Error) -> Failure {
    Failure::new(Blame::Unreachable, &error.to_string())
}

/// A failure before any letter was in hand.
fn on_the_way(error: &SmtpError) -> Failure {
    let status = status(error);
    let answered = status.is_some() || error.is_client();
    told(if answered { Blame::Unwilling } else { Blame::Unreachable }, error)
}

/// A failure over a letter.
fn over_a_letter(error: &SmtpError) -> Failure {
    let blame = match status(error) {
        // It closes down, or wants to know who we are: no letter is to blame for that.
        Some(421 | 530..=538) => Blame::Unwilling,
        Some(400..500) => Blame::Deferred,
        Some(_) => Blame::Refused,
        None if error.is_client() => Blame::Refused,
        None => Blame::Silent,
    };
    told(blame, error)
}

fn status(error: &SmtpError) -> Option<u16> {
    error.status().map(u16::from)
}

/// What lettre says is not its own but where it was to blame, or the system.
fn told(blame: Blame, error: &SmtpError) -> Failure {
    let is_own = error.is_client() || error.source().is_some_and(<dyn StdError>::is::<io::Error>);
    if is_own {
        return Failure::new(blame, &error.to_string());
    }
    Failure::quoting(blame, status(error), &error.to_string())
}
