//! A certificate for a server that lives as long as a test, and the authority that signed it.
//!
//! **Invariant:** the authority's key is in no file and gone when the certificate is made, so whoever trusts
//! the authority trusts this one certificate and no other.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

use super::TlsFault;

/// The names every throwaway certificate is good for.
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
/// How long the certificate is good; some clients take none that is good for longer than 398 days.
const LIFETIME: Duration = Duration::from_hours(397 * 24);
/// How far the clock of a client may be behind.
const LEEWAY: Duration = Duration::from_hours(24);

/// The files of a throwaway certificate.
#[derive(Debug)]
pub struct Throwaway {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// What clients have to trust.
    pub ca: PathBuf,
}

impl Throwaway {
    /// Makes a certificate in `directory`, for this machine and for `host` if there is one.
    pub fn make(directory: &Path, host: Option<&str>) -> Result<Self, TlsFault> {
        let files = Self {
            certificate: directory.join("tls-certificate.pem"),
            key: directory.join("tls-key.pem"),
            ca: directory.join("ca.pem"),
        };
        let (ca, certificate, key) =
            sign(host).map_err(|error| TlsFault::Throwaway(io::Error::other(error)))?;
        let written = fs::write(&files.ca, ca.pem())
            .and_then(|()| fs::write(&files.certificate, certificate.pem()))
            .and_then(|()| write_private(&files.key, &key.serialize_pem()));
        written.map(|()| files).map_err(TlsFault::Throwaway)
    }
}

/// An authority, a certificate by it, and the certificate's key.
fn sign(host: Option<&str>) -> Result<(Certificate, Certificate, KeyPair), rcgen::Error> {
    let mut authority = dated(Vec::new(), "intake throwaway authority")?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let authority_key = KeyPair::generate()?;
    let ca = authority.self_signed(&authority_key)?;

    let others = host.filter(|host| !NAMES.contains(host));
    let names = NAMES.into_iter().chain(others).map(str::to_owned).collect();
    let mut server = dated(names, "intake throwaway server")?;
    server.is_ca = IsCa::ExplicitNoCa;
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    server.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let certificate = server.signed_by(&key, &Issuer::new(authority, authority_key))?;
    Ok((ca, certificate, key))
}

fn dated(names: Vec<String>, common_name: &str) -> Result<CertificateParams, rcgen::Error> {
    let mut certificate = CertificateParams::new(names)?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let now = date_time_ymd(1970, 1, 1) + now;
    certificate.not_before = now - LEEWAY;
    certificate.not_after = now - LEEWAY + LIFETIME;
    certificate.distinguished_name.push(DnType::CommonName, common_name);
    Ok(certificate)
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}
