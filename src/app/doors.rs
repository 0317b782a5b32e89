//! Where the server listens, and the URLs by which it is known there.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;

use url::Url;

use super::{Address, StartError};
use crate::config::{PublicUrl, Server, Settings, Tls};
use crate::http::{Doors, TlsDoor, listen};
use crate::tls::{Certificates, Throwaway};

/// Takes the ports. Https is there if it has a certificate; plain http always is.
pub(super) fn open(server: &Server, certificates: Option<Certificates>) -> Result<Doors, StartError> {
    let plain = bind(server.bind, "--bind or server.bind")?;
    let tls = certificates.map(|certificates| {
        let listener = bind(server.tls.bind, "--tls-bind or server.tls.bind")?;
        Ok::<_, StartError>(TlsDoor { listener, certificates })
    });
    Ok(Doors { plain, tls: tls.transpose()? })
}

fn bind(address: SocketAddr, settings: &'static str) -> Result<TcpListener, StartError> {
    listen(address).map_err(|error| StartError::Bind(address, error, settings))
}

/// The certificate in the settings, if there is one.
pub(super) fn certificates(tls: &Tls) -> Result<Option<Certificates>, StartError> {
    let opened = tls.is_on().then(|| Certificates::open(&tls.certificate, &tls.key));
    Ok(opened.transpose()?)
}

/// Puts a throwaway certificate into the settings, with its files in the data directory, which has to be
/// there; tells the file that clients have to trust.
pub fn throw_in_certificate(settings: &mut Settings) -> Result<PathBuf, StartError> {
    let public_url = settings.server.public_url.as_str().and_then(|url| Url::parse(url).ok());
    let host = public_url.as_ref().and_then(Url::host_str).map(|host| host.trim_matches(['[', ']']));
    let Throwaway { certificate, key, ca } = Throwaway::make(&settings.storage.path, host)?;
    settings.server.tls.certificate = certificate;
    settings.server.tls.key = key;
    Ok(ca)
}

/// Where a server with these doors is.
pub(super) fn address(server: &Server, doors: &Doors) -> Result<Address, StartError> {
    let plain = doors.plain.local_addr()?;
    let tls = doors.tls.as_ref().map(|door| door.listener.local_addr()).transpose()?;
    Ok(Address {
        public_url: server.url(plain, tls),
        local_url: PublicUrl::local("http", plain),
        local_https_url: tls.map(|bound| PublicUrl::local("https", bound)),
    })
}

/// The URLs that mean this server on this machine, whatever its public one is.
pub(super) fn aliases(doors: &Doors) -> Result<Vec<String>, StartError> {
    let mut all = urls("http", 80, doors.plain.local_addr()?);
    if let Some(door) = &doors.tls {
        all.extend(urls("https", 443, door.listener.local_addr()?));
    }
    Ok(all)
}

/// The URLs of a port. Loopback has several names, which all lead to a server that listens everywhere.
fn urls(scheme: &str, usual_port: u16, bound: SocketAddr) -> Vec<String> {
    let port = bound.port();
    let mut places = vec![bound.to_string()];
    if bound.ip().is_loopback() || bound.ip().is_unspecified() {
        let names = ["localhost", "127.0.0.1", "[::1]"].map(|host| format!("{host}:{port}"));
        places.extend(names.into_iter().filter(|name| *name != bound.to_string()));
    }
    let mut urls: Vec<_> = places.iter().map(|place| format!("{scheme}://{place}")).collect();
    if port == usual_port {
        let suffix = format!(":{port}");
        let short: Vec<_> =
            urls.iter().filter_map(|url| url.strip_suffix(&suffix).map(str::to_owned)).collect();
        urls.extend(short);
    }
    urls
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may")]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_known_by_the_names_that_lead_to_it_and_by_no_other() {
        let urls = |scheme, usual, bound: &str| urls(scheme, usual, bound.parse().unwrap()).join(" ");
        assert_eq!(
            urls("https", 443, "127.0.0.1:3443"),
            "https://127.0.0.1:3443 https://localhost:3443 https://[::1]:3443"
        );
        assert_eq!(
            urls("http", 80, "0.0.0.0:3000"),
            "http://0.0.0.0:3000 http://localhost:3000 http://127.0.0.1:3000 http://[::1]:3000"
        );
        assert_eq!(urls("http", 80, "192.0.2.7:443"), "http://192.0.2.7:443");
        assert_eq!(
            urls("https", 443, "[2001:db8::7]:443"),
            "https://[2001:db8::7]:443 https://[2001:db8::7]"
        );
    }
}
