//! The certificate that https is served with, read from files and read again when it was renewed; names
//! rustls' server side and, in [`throwaway`], rcgen.
//!
//! **Invariants:** there is always a whole pair in use: a new one takes the place of the old one only once
//! both files were read and belong together. Connections keep what they began with. Nothing of a key is in a
//! message or in `Debug` output.
//!
//! Deliberately absent: client certificates, a choice of certificates by name, and whether a certificate is
//! trusted or still valid, which is for clients to judge.

#[cfg(test)]
mod tests;
mod throwaway;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fmt, fs, io};

use parking_lot::RwLock;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, ServerConfig};
use thiserror::Error;
use tracing::warn;

pub use throwaway::Throwaway;

/// Why there is no pair of certificate and key.
#[derive(Debug, Error)]
pub enum TlsFault {
    /// A file is not there or may not be read.
    #[error("{setting}: {path} cannot be read: {source}")]
    Unreadable {
        /// Which setting names it.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file without a certificate.
    #[error(
        "server.tls.certificate: there is no certificate in {0}: name a PEM file with the server's own \
         certificate first and those that lead to its root after it"
    )]
    NoCertificate(PathBuf),
    /// A file without a key.
    #[error(
        "server.tls.key: there is no private key in {0}: name a PEM file with a key that is not encrypted"
    )]
    NoKey(PathBuf),
    /// A key of a kind that cannot be used.
    #[error(
        "server.tls.key: the key in {0} cannot be used: it must be RSA (2048 bits or more), ECDSA or Ed25519"
    )]
    UnusableKey(PathBuf),
    /// Certificate and key are not of one pair.
    #[error(
        "server.tls.key: the key in {key} does not belong to the first certificate in {certificate}: name the \
         key that this certificate was made for, and put the server's own certificate first"
    )]
    Mismatch {
        /// The file with the certificate.
        certificate: PathBuf,
        /// The file with the key.
        key: PathBuf,
    },
    /// A throwaway pair could not be made.
    #[error("no throwaway certificate could be made: {0}")]
    Throwaway(io::Error),
}

/// The certificate and key in use. Clones share them.
#[derive(Debug, Clone)]
pub struct Certificates(Arc<Pair>);

struct Pair {
    certificate: PathBuf,
    key: PathBuf,
    current: RwLock<Arc<CertifiedKey>>,
}

impl Certificates {
    /// Reads a certificate with its chain, and its key, both PEM.
    pub fn open(certificate: &Path, key: &Path) -> Result<Self, TlsFault> {
        let current = RwLock::new(read_pair(certificate, key)?);
        Ok(Self(Arc::new(Pair { certificate: certificate.to_owned(), key: key.to_owned(), current })))
    }

    /// Reads both files again, for connections from now on. On an error the pair before stays in use.
    pub fn reload(&self) -> Result<(), TlsFault> {
        let fresh = read_pair(&self.0.certificate, &self.0.key)?;
        *self.0.current.write() = fresh;
        Ok(())
    }

    /// How TLS 1.2 and 1.3 are spoken with them.
    pub fn server_config(&self) -> Result<ServerConfig, rustls::Error> {
        let versions =
            ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
        Ok(versions.with_no_client_auth().with_cert_resolver(self.0.clone()))
    }
}

impl ResolvesServerCert for Pair {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.read().clone())
    }
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Pair");
        shown.field("certificate", &self.certificate).field("key", &self.key).finish_non_exhaustive()
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn read_pair(certificate: &Path, key: &Path) -> Result<Arc<CertifiedKey>, TlsFault> {
    let chain = read_chain(certificate)?;
    let private = read_key(key)?;
    let pair = CertifiedKey::from_der(chain, private, &provider());
    pair.map(Arc::new).map_err(|error| match error {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            TlsFault::Mismatch { certificate: certificate.to_owned(), key: key.to_owned() }
        }
        rustls::Error::InvalidCertificate(_) => TlsFault::NoCertificate(certificate.to_owned()),
        _ => TlsFault::UnusableKey(key.to_owned()),
    })
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsFault> {
    let pem = read("server.tls.certificate", path)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let chain = chain.ok().filter(|chain| !chain.is_empty());
    chain.ok_or_else(|| TlsFault::NoCertificate(path.to_owned()))
}

/// What is wrong with a malformed key is not said, as that might quote it.
fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsFault> {
    let pem = read("server.tls.key", path)?;
    if fs::metadata(path).is_ok_and(|about| about.permissions().mode() & 0o004 != 0) {
        warn!("server.tls.key: every user of this machine may read {}: chmod o-r it", path.display());
    }
    PrivateKeyDer::from_pem_slice(&pem).map_err(|_| TlsFault::NoKey(path.to_owned()))
}

fn read(setting: &'static str, path: &Path) -> Result<Vec<u8>, TlsFault> {
    fs::read(path).map_err(|source| TlsFault::Unreadable { setting, path: path.to_owned(), source })
}
