//! Where events may go: which URLs, and which addresses behind their names.
//!
//! **Invariant:** the addresses judged are those connected to: [`Guard`] gives no others to the HTTP
//! client, whatever a name resolved to when the stream was made.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use thiserror::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;
use url::{Host, Url};

/// Which targets there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Targets {
    /// Public ones, by `https`.
    Public,
    /// Any, and by plain `http` as well.
    Any,
}

/// Why events cannot go to a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TargetFault {
    /// It is none.
    #[error("expected an https:// URL")]
    Malformed,
    /// It is not `https`.
    #[error("expected an https:// URL; plain http needs the setting webhooks.allow_private_targets")]
    Plain,
    /// It has a user name or a password.
    #[error("expected an https:// URL without user name and password; there is an authorization header")]
    Credentials,
    /// It leads to an address that is not public.
    #[error(
        "the host is or resolves to a private, loopback or link-local address; that needs the setting \
         webhooks.allow_private_targets"
    )]
    Private,
}

impl Targets {
    /// Reads a URL that events can go to. Waits for a name server where a name has to be looked up; a name
    /// without an address will do, it may have one later.
    pub fn check(self, endpoint: &str) -> Result<(), TargetFault> {
        let url = parse(endpoint)?;
        if self == Self::Any {
            return Ok(());
        }
        if url.scheme() != "https" {
            return Err(TargetFault::Plain);
        }
        let is_private = match url.host() {
            Some(Host::Ipv4(address)) => !is_public(address.into()),
            Some(Host::Ipv6(address)) => !is_public(address.into()),
            _ => url.socket_addrs(|| None).unwrap_or_default().iter().any(|found| !is_public(found.ip())),
        };
        if is_private { Err(TargetFault::Private) } else { Ok(()) }
    }
}

/// The URL as it is asked for.
pub(super) fn parse(endpoint: &str) -> Result<Url, TargetFault> {
    let url = Url::parse(endpoint).map_err(|_| TargetFault::Malformed)?;
    if !["http", "https"].contains(&url.scheme()) || !url.has_host() {
        return Err(TargetFault::Malformed);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(TargetFault::Credentials);
    }
    // Two parsers read it; what only one of them takes is nobody's URL.
    url.as_str().parse::<Uri>().map_err(|_| TargetFault::Malformed)?;
    Ok(url)
}

/// Whether two URLs lead to the same server.
pub fn same_origin(one: &str, other: &str) -> bool {
    matches!((parse(one), parse(other)), (Ok(one), Ok(other)) if one.origin() == other.origin())
}

/// Resolves names for the HTTP client, and refuses those that lead where nothing may go.
pub(super) struct Guard {
    pub(super) targets: Targets,
    pub(super) names: DefaultResolver,
}

impl Resolver for Guard {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let found = self.names.resolve(uri, config, timeout)?;
        let is_refused = |address: &SocketAddr| !is_public(address.ip());
        if self.targets == Targets::Public && found.iter().any(is_refused) {
            return Err(ureq::Error::Other(Box::new(TargetFault::Private)));
        }
        Ok(found)
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.targets.fmt(f)
    }
}

/// Networks that are not part of the public internet, or lead to such: address and prefix length.
const NOT_PUBLIC_V4: [(Ipv4Addr, u32); 15] = [
    (Ipv4Addr::UNSPECIFIED, 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// The one network of public IPv6 addresses, and parts of it that are not.
const PUBLIC_V6: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
const NOT_PUBLIC_V6: [(Ipv6Addr, u32); 4] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];
/// IPv6 addresses that stand for IPv4 addresses, where names are translated.
const TRANSLATED: (Ipv6Addr, u32) = (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);

/// Whether an address is one of the public internet.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let bits = address.to_bits();
            !NOT_PUBLIC_V4.iter().any(|(network, prefix)| (bits ^ network.to_bits()) >> (32 - prefix) == 0)
        }
        IpAddr::V6(address) => {
            let is_in = |(network, prefix): &(Ipv6Addr, u32)| {
                (address.to_bits() ^ network.to_bits()) >> (128 - prefix) == 0
            };
            if is_in(&TRANSLATED) {
                let [.., a, b, c, d] = address.octets();
                return is_public(Ipv4Addr::new(a, b, c, d).into());
            }
            is_in(&PUBLIC_V6) && !NOT_PUBLIC_V6.iter().any(is_in)
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may")]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_the_public_internet_are_told_from_all_others() {
        let public = [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700:4700::1111",
            "2a00::1",
            "64:ff9b::1.1.1.1",
        ];
        for text in public {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
        let others = [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.7",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:1.1.1.1",
            "::127.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::1",
            "100::1",
            "fe80::1",
            "fec0::1",
            "fc00::1",
            "fd12:3456::1",
            "ff02::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "3fff::1",
            "4000::1",
        ];
        for text in others {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn scheme_name_and_port_make_an_origin() {
        assert!(same_origin("https://acme.test/a", "https://ACME.test:443/b?c"));
        for other in ["http://acme.test/a", "https://acme.test:8443/a", "https://acme.test.evil/a", "", "x"] {
            assert!(!same_origin("https://acme.test/a", other), "{other}");
        }
    }

    #[test]
    fn a_url_is_taken_or_refused_by_the_setting() {
        let check = |url: &str, public, any| {
            assert_eq!(Targets::Public.check(url), public, "{url}");
            assert_eq!(Targets::Any.check(url), any, "{url}");
        };
        check("https://1.1.1.1/hook?key=1", Ok(()), Ok(()));
        check("https://[2606:4700::1]:8443", Ok(()), Ok(()));
        check("https://name.invalid/", Ok(()), Ok(()));
        check("http://1.1.1.1/", Err(TargetFault::Plain), Ok(()));
        let private = [
            "https://127.0.0.1/",
            "https://localhost:1/",
            "https://[::1]/",
            "https://[::ffff:10.0.0.1]/",
            "https://0x7f.1/",
            "https://2130706433/",
            "https://169.254.169.254/latest/meta-data",
            "https://10.1.2.3:8443/",
        ];
        for url in private {
            check(url, Err(TargetFault::Private), Ok(()));
        }
        for url in ["", "acme.test", "ftp://acme.test/", "https://", "https:///", "file:///etc/passwd"] {
            check(url, Err(TargetFault::Malformed), Err(TargetFault::Malformed));
        }
        for url in ["https://ann:hush@acme.test/", "https://ann@acme.test/"] {
            check(url, Err(TargetFault::Credentials), Err(TargetFault::Credentials));
        }
    }
}
