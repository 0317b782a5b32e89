//! A client of the API: just what commands need of it.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufReader, Read};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde::de::{DeserializeOwned, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use ureq::config::ConfigBuilder;
use ureq::http::{Response, StatusCode};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::typestate::AgentScope;
use ureq::{Agent, Body, SendBody};
use url::{Host, Url};

use super::Problem;
use super::report::FailedRow;

/// Largest body the server takes, if it does not say: the documented 500 KB.
const DOCUMENTED_LIMIT: u64 = 512_000;
const BOUNDARY: &str = "intake-5b7d0d3c2f8e4a61-users";
const PATIENCE: Duration = Duration::from_mins(1);
/// Pause before a server that is not available is asked again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// A server and the right to use it.
pub(super) struct Client {
    agent: Agent,
    base: String,
    token: String,
}

/// A connection as the API shows it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Connection {
    pub(super) id: String,
    pub(super) name: String,
}

/// A job as the API shows it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Job {
    pub(super) id: String,
    pub(super) status: String,
    #[serde(default)]
    pub(super) percentage_done: u64,
    pub(super) summary: Option<Summary>,
    pub(super) status_details: Option<String>,
}

/// What became of a job's rows.
#[derive(Debug, Clone, Copy, Default, Deserialize, serde::Serialize)]
pub(super) struct Summary {
    pub(super) inserted: u64,
    pub(super) updated: u64,
    pub(super) failed: u64,
    pub(super) total: u64,
}

impl Summary {
    pub(super) fn add(&mut self, other: Self) {
        self.inserted += other.inserted;
        self.updated += other.updated;
        self.failed += other.failed;
        self.total += other.total;
    }
}

/// The text parts of an upload.
#[derive(Debug)]
pub(super) struct Form<'a> {
    pub(super) connection_id: &'a str,
    pub(super) upsert: bool,
    pub(super) external_id: Option<&'a str>,
    pub(super) send_completion_email: bool,
}

/// What the server said to an upload.
pub(super) enum Answer {
    Accepted(Job),
    /// Too many jobs or requests: try again after this time.
    Later(Duration),
}

#[derive(Deserialize)]
struct Backup {
    id: String,
}

#[derive(Deserialize)]
struct Keys {
    keys: Vec<Key>,
}

#[derive(Deserialize)]
struct Key {
    kid: String,
}

#[derive(Deserialize)]
struct ErrorBody {
    message: Option<String>,
}

impl Client {
    /// For a server wherever it is, maybe behind a proxy that the environment names. Trusts the certificates in
    /// `ca_file`, or else the public ones.
    pub(super) fn anywhere(url: &str, token: &str, ca_file: Option<&Path>) -> Result<Self, Problem> {
        let config = config(roots(ca_file)?);
        let config = if is_here(url) { config.proxy(None) } else { config };
        Ok(Self::asking(config.build().into(), url, token))
    }

    /// For a server on this machine: what is sent to it is for no proxy's eyes, whatever the environment says
    /// of proxies.
    pub(super) fn here(url: &str, token: &str) -> Self {
        Self::asking(config(RootCerts::WebPki).proxy(None).build().into(), url, token)
    }

    fn asking(agent: Agent, url: &str, token: &str) -> Self {
        Self { agent, base: url.trim_end_matches('/').to_owned(), token: token.to_owned() }
    }

    /// The ids of the keys that the server signs with, or has signed with and still believes; the newest first.
    pub(super) fn key_ids(&self) -> Result<Vec<String>, Problem> {
        let keys: Keys = read(&mut self.get("/.well-known/jwks.json")?)?;
        Ok(keys.keys.into_iter().map(|key| key.kid).collect())
    }

    /// The database connections, and the largest body an upload may have.
    pub(super) fn connections(&self) -> Result<(Vec<Connection>, u64), Problem> {
        let mut response = self.get("/api/v2/connections?strategy=auth0")?;
        let limit = response
            .headers()
            .get("x-intake-max-file-size")
            .and_then(|value| value.to_str().ok()?.parse().ok());
        Ok((read(&mut response)?, limit.unwrap_or(DOCUMENTED_LIMIT)))
    }

    /// Sends a file of `bytes` bytes.
    ///
    /// An upload without an answer is not sent again, because its job may be there.
    pub(super) fn upload(&self, form: &Form, file: Box<dyn Read>, bytes: u64) -> Result<Answer, Problem> {
        let (head, tail) = (form.head(), format!("\r\n--{BOUNDARY}--\r\n"));
        let length = head.len() as u64 + bytes + tail.len() as u64;
        let mut body = head.as_bytes().chain(file).chain(tail.as_bytes());
        let mut response = self
            .agent
            .post(self.url("/api/v2/jobs/users-imports"))
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", format!("multipart/form-data; boundary={BOUNDARY}"))
            .header("content-length", length)
            .send(SendBody::from_reader(&mut body))
            .map_err(|error| self.unreachable(&error))?;
        if response.status() == StatusCode::TOO_MANY_REQUESTS {
            let seconds =
                response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
            return Ok(Answer::Later(Duration::from_secs(seconds.unwrap_or(5))));
        }
        accept(&mut response)?;
        Ok(Answer::Accepted(read(&mut response)?))
    }

    /// Has a backup made in the data directory; tells its id. That takes as long as it takes.
    pub(super) fn back_up(&self) -> Result<String, Problem> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut response = self
                .agent
                .post(self.url("/api/v2/backups"))
                .config()
                .timeout_recv_response(None)
                .build()
                .header("authorization", format!("Bearer {}", self.token))
                .send_empty()
                .map_err(|error| self.unreachable(&error))?;
            let is_later =
                [StatusCode::CONFLICT, StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS];
            if is_later.contains(&response.status()) && Instant::now() < deadline {
                thread::sleep(RETRY_PAUSE);
                continue;
            }
            accept(&mut response)?;
            return Ok(read::<Backup>(&mut response)?.id);
        }
    }

    pub(super) fn job(&self, id: &str) -> Result<Job, Problem> {
        read(&mut self.get(&format!("/api/v2/jobs/{id}"))?)
    }

    /// Shows each failed row of a job to `see`, without keeping them.
    pub(super) fn failed_rows(&self, job: &Job, mut see: impl FnMut(FailedRow)) -> Result<(), Problem> {
        if job.status == "failed" {
            // The answer would be the job again.
            return Ok(());
        }
        let mut response = self.get(&format!("/api/v2/jobs/{}/errors", job.id))?;
        if response.status() == StatusCode::NO_CONTENT {
            return Ok(());
        }
        let reader = BufReader::new(response.body_mut().with_config().limit(u64::MAX).reader());
        let mut json = serde_json::Deserializer::from_reader(reader);
        Ok(json.deserialize_seq(EachRow(&mut see))?)
    }

    /// Asks again while the server says that it will be back in a moment.
    fn get(&self, path: &str) -> Result<Response<Body>, Problem> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut response = self
                .agent
                .get(self.url(path))
                .header("authorization", format!("Bearer {}", self.token))
                .call()
                .map_err(|error| self.unreachable(&error))?;
            let is_later = [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS];
            if is_later.contains(&response.status()) && Instant::now() < deadline {
                thread::sleep(RETRY_PAUSE);
                continue;
            }
            accept(&mut response)?;
            return Ok(response);
        }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    fn unreachable(&self, error: &ureq::Error) -> Problem {
        Problem::new(format!("no answer from {}: {error}", self.base))
    }
}

impl Form<'_> {
    /// The body up to the first byte of the file.
    fn head(&self) -> String {
        let mut fields = vec![
            ("connection_id", self.connection_id.to_owned()),
            ("upsert", self.upsert.to_string()),
            ("send_completion_email", self.send_completion_email.to_string()),
        ];
        fields.extend(self.external_id.map(|id| ("external_id", id.to_owned())));
        let mut head = String::new();
        for (name, value) in fields {
            // Writing to a String cannot fail.
            let _ = write!(
                head,
                "--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
            );
        }
        head + "--"
            + BOUNDARY
            + "\r\ncontent-disposition: form-data; name=\"users\"; filename=\"users.json\"\r\n\
               content-type: application/json\r\n\r\n"
    }
}

fn config(roots: RootCerts) -> ConfigBuilder<AgentScope> {
    // Fails when a provider is there already, which is as good.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Agent::config_builder()
        .http_status_as_error(false)
        .tls_config(TlsConfig::builder().root_certs(roots).build())
        .timeout_connect(Some(PATIENCE))
        .timeout_recv_response(Some(PATIENCE))
}

/// Whether a URL names this machine: what is sent there would mean another one to a proxy.
fn is_here(url: &str) -> bool {
    let url = Url::parse(url).ok();
    match url.as_ref().and_then(Url::host) {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// The certificates to trust.
fn roots(ca_file: Option<&Path>) -> Result<RootCerts, Problem> {
    let Some(path) = ca_file else {
        return Ok(RootCerts::WebPki);
    };
    let pem = fs::read(path)
        .map_err(|error| Problem::new(format!("--ca-file {} cannot be read: {error}", path.display())))?;
    let items: Vec<PemItem> = parse_pem(&pem).filter_map(Result::ok).collect();
    let found = items.into_iter().filter_map(|item| match item {
        PemItem::Certificate(certificate) => Some(certificate),
        _ => None,
    });
    let found: Vec<Certificate> = found.collect();
    if found.is_empty() {
        return Err(Problem::new(format!("--ca-file {}: there is no certificate in it", path.display())));
    }
    Ok(RootCerts::from(found))
}

/// Turns an error answer into its message.
fn accept(response: &mut Response<Body>) -> Result<(), Problem> {
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    let message = read::<ErrorBody>(response).ok().and_then(|body| body.message);
    Err(Problem::new(format!("the server answered {status}: {}", message.unwrap_or_default())))
}

fn read<T: DeserializeOwned>(response: &mut Response<Body>) -> Result<T, Problem> {
    Ok(serde_json::from_reader(response.body_mut().as_reader())?)
}

/// Hands rows on as they arrive: there may be more of them than memory.
struct EachRow<'a, F>(&'a mut F);

impl<'de, F: FnMut(FailedRow)> Visitor<'de> for EachRow<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("an array of failed rows")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<(), A::Error> {
        while let Some(row) = rows.next_element()? {
            (self.0)(row);
        }
        Ok(())
    }
}
