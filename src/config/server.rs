//! `[server]` and `[server.tls]`: where the server listens and how it is known.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

use super::values::{Fault, PublicUrl, WebOrigin, duration, first_broken, text};

/// `[server]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Address and port for plain http.
    #[serde(deserialize_with = "address")]
    pub bind: SocketAddr,
    /// The URL clients use.
    #[serde(deserialize_with = "text")]
    pub public_url: PublicUrl,
    /// Addresses of proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpAddr>,
    /// Origins whose pages may use the API from a browser.
    pub cors_origins: Vec<WebOrigin>,
    /// How long a connection may be idle.
    #[serde(deserialize_with = "duration")]
    pub idle_timeout: Duration,
    /// https.
    pub tls: Tls,
}

impl Server {
    /// Shortest and longest time that a connection can be let idle.
    pub const IDLE_TIMES: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(1);

    /// The first of the settings that makes no sense, and why.
    pub(super) fn fault(&self) -> Option<Fault> {
        let is_idle_time = Self::IDLE_TIMES.contains(&self.idle_timeout);
        first_broken([("server.idle_timeout", is_idle_time, "must be 1s to 1h")]).or_else(|| self.tls.fault())
    }

    /// The URL clients use, if the server listens at these addresses: https if there is that.
    pub fn url(&self, plain: SocketAddr, tls: Option<SocketAddr>) -> String {
        let bound = || tls.map_or(PublicUrl::local("http", plain), |tls| PublicUrl::local("https", tls));
        self.public_url.as_str().map_or_else(bound, str::to_owned)
    }

    /// The same from the settings alone.
    pub fn expected_url(&self) -> String {
        self.url(self.bind, self.tls.bind())
    }
}

/// `[server.tls]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// Address and port for https.
    #[serde(deserialize_with = "address")]
    pub bind: SocketAddr,
    /// The certificate and its chain (PEM); empty: no https.
    #[serde(deserialize_with = "text")]
    pub certificate: PathBuf,
    /// The certificate's key (PEM).
    #[serde(deserialize_with = "text")]
    pub key: PathBuf,
}

impl Tls {
    /// Whether there is https.
    pub fn is_on(&self) -> bool {
        !self.certificate.as_os_str().is_empty()
    }

    /// Where there is https, if there is.
    pub fn bind(&self) -> Option<SocketAddr> {
        self.is_on().then_some(self.bind)
    }

    /// No https.
    pub fn switch_off(&mut self) {
        self.certificate = PathBuf::new();
        self.key = PathBuf::new();
    }

    /// The first of the settings that makes no sense, and why.
    fn fault(&self) -> Option<Fault> {
        let has_key = !self.key.as_os_str().is_empty();
        first_broken([
            ("server.tls.key", has_key || !self.is_on(), "may not be empty when there is a certificate"),
            ("server.tls.certificate", self.is_on() || !has_key, "may not be empty when there is a key"),
        ])
    }
}

/// The address and port that a text names.
pub fn parse_bind(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "expected a numeric address and a port, like 127.0.0.1:3000 or [::]:3000")
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    struct Bind(SocketAddr);
    impl FromStr for Bind {
        type Err = &'static str;
        fn from_str(text: &str) -> Result<Self, Self::Err> {
            parse_bind(text).map(Self)
        }
    }
    text::<Bind, D>(deserializer).map(|bind| bind.0)
}
