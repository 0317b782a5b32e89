//! The signing key: made once, kept in a file that nobody else may read.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RsaKeyPair, RsaPublicKeyComponents,
};
use jsonwebtoken::jwk::{Jwk, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use pem::{EncodeConfig, LineEnding, Pem};
use thiserror::Error;

use super::links::LinkKey;
use crate::domain::SigningAlgorithm;

/// Name of the key file in the data directory.
pub const KEY_FILE: &str = "signing-key.pem";

/// The signing key, ready for use.
#[derive(Clone)]
pub struct Keys {
    pub(super) algorithm: Algorithm,
    pub(super) signing: EncodingKey,
    pub(super) verifying: DecodingKey,
    pub(super) public: Jwk,
    pub(super) id: String,
    pub(super) links: LinkKey,
}

/// Why there is no signing key.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The file cannot be read or written.
    #[error("cannot read or write the signing key {path}: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file holds a key for another algorithm than the one set.
    #[error(
        "the signing key {path} is not made for {wanted}: set tokens.algorithm to {found}, or move \
         the file away to have a new key made (tokens signed with the old one end with it)"
    )]
    OtherAlgorithm {
        /// Which file.
        path: PathBuf,
        /// The algorithm set.
        wanted: SigningAlgorithm,
        /// The algorithm of the key.
        found: SigningAlgorithm,
    },
    /// The file holds no key.
    #[error(
        "{0} holds no private key this server can use (PKCS#8 PEM, P-256 or RSA of 2048 bits or \
         more): move it away to have a new key made"
    )]
    Malformed(PathBuf),
    /// A key or a signature could not be made.
    #[error("the crypto library failed: {0}")]
    Crypto(&'static str),
}

impl Keys {
    /// Reads the key file in `directory`, or makes one. Of two processes that make it at the same
    /// moment one wins and both use its key; a half-written file is never seen.
    pub fn open_or_create(directory: &Path, algorithm: SigningAlgorithm) -> Result<Self, KeyError> {
        let path = directory.join(KEY_FILE);
        match fs::read(&path) {
            Ok(pem) => Self::from_pem(&path, &pem, algorithm),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let pem = write_pem(generate(algorithm)?);
                let placed = place(directory, &path, pem.as_bytes()).and_then(|()| fs::read(&path));
                let pem = placed.map_err(|source| KeyError::File { path: path.clone(), source })?;
                Self::from_pem(&path, &pem, algorithm)
            }
            Err(source) => Err(KeyError::File { path, source }),
        }
    }

    fn from_pem(path: &Path, pem: &[u8], wanted: SigningAlgorithm) -> Result<Self, KeyError> {
        let malformed = || KeyError::Malformed(path.to_owned());
        let der = read_pem(pem).ok_or_else(malformed)?;
        let (found, verifying) = public_half(&der).ok_or_else(malformed)?;
        if found != wanted {
            return Err(KeyError::OtherAlgorithm { path: path.to_owned(), wanted, found });
        }
        let (algorithm, signing) = match found {
            SigningAlgorithm::Es256 => (Algorithm::ES256, EncodingKey::from_ec_pem(pem)),
            SigningAlgorithm::Rs256 => (Algorithm::RS256, EncodingKey::from_rsa_pem(pem)),
        };
        let signing = signing.map_err(|_| malformed())?;
        let mut public = Jwk::from_decoding_key(&verifying, Some(algorithm)).map_err(|_| malformed())?;
        let id = public.thumbprint(ThumbprintHash::SHA256).map_err(|_| malformed())?;
        public.common.public_key_use = Some(PublicKeyUse::Signature);
        public.common.key_id = Some(id.clone());
        Ok(Self { algorithm, signing, verifying, public, id, links: LinkKey::of(&der) })
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Keys");
        shown.field("algorithm", &self.algorithm).field("id", &self.id).finish_non_exhaustive()
    }
}

/// A new private key as PKCS#8 DER.
fn generate(algorithm: SigningAlgorithm) -> Result<Vec<u8>, KeyError> {
    const FAILED: KeyError = KeyError::Crypto("no key was made");
    match algorithm {
        SigningAlgorithm::Es256 => {
            let random = SystemRandom::new();
            let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random);
            Ok(made.map_err(|_| FAILED)?.as_ref().to_vec())
        }
        SigningAlgorithm::Rs256 => {
            let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| FAILED)?;
            let der: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| FAILED)?;
            Ok(der.as_ref().to_vec())
        }
    }
}

/// The public half of a private key, and which algorithm it is for.
fn public_half(der: &[u8]) -> Option<(SigningAlgorithm, DecodingKey)> {
    if let Ok(pair) = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der) {
        let key = DecodingKey::from_ec_der(pair.public_key().as_ref());
        return Some((SigningAlgorithm::Es256, key));
    }
    let pair = RsaKeyPair::from_pkcs8(der).ok()?;
    let public = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public_key());
    let key = DecodingKey::from_rsa_raw_components(&public.n, &public.e);
    Some((SigningAlgorithm::Rs256, key))
}

const PEM_TAG: &str = "PRIVATE KEY";

fn write_pem(der: Vec<u8>) -> String {
    pem::encode_config(&Pem::new(PEM_TAG, der), EncodeConfig::new().set_line_ending(LineEnding::LF))
}

fn read_pem(text: &[u8]) -> Option<Vec<u8>> {
    pem::parse(text).ok().filter(|pem| pem.tag() == PEM_TAG).map(Pem::into_contents)
}

/// Writes a file of mode 0600 that is there wholly or not at all; one that is already there stays.
fn place(directory: &Path, path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Err(lost) if lost.error.kind() != io::ErrorKind::AlreadyExists => Err(lost.error),
        _ => File::open(directory)?.sync_all(),
    }
}
