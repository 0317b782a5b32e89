//! One key: made, read from its file and written to it, and never shown.

use std::path::{Path, PathBuf};
use std::{fmt, io};

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

/// A signing key, ready for use.
#[derive(Clone)]
pub(super) struct Key {
    pub(super) algorithm: SigningAlgorithm,
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
        "the signing key {path} is not made for {wanted}: make one with `intake rotate-key` (tokens \
         signed with the old one stay good until they expire), or set tokens.algorithm to {found}"
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
         more): move it away; for a signing key, the next start makes a new one"
    )]
    Malformed(PathBuf),
    /// A key or a signature could not be made.
    #[error("the crypto library failed: {0}")]
    Crypto(&'static str),
}

impl KeyError {
    /// Whether there is just no such file.
    pub(super) fn is_absence(&self) -> bool {
        matches!(self, Self::File { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

impl Key {
    /// A new one, and the text of its file.
    pub(super) fn generate(algorithm: SigningAlgorithm) -> Result<String, KeyError> {
        Ok(write_pem(generate(algorithm)?))
    }

    /// The one in a file, whose content this is.
    pub(super) fn from_pem(path: &Path, pem: &[u8]) -> Result<Self, KeyError> {
        let malformed = || KeyError::Malformed(path.to_owned());
        let der = read_pem(pem).ok_or_else(malformed)?;
        let (algorithm, verifying) = public_half(&der).ok_or_else(malformed)?;
        let signing = match algorithm {
            SigningAlgorithm::Es256 => EncodingKey::from_ec_pem(pem),
            SigningAlgorithm::Rs256 => EncodingKey::from_rsa_pem(pem),
        };
        let signing = signing.map_err(|_| malformed())?;
        let public = Jwk::from_decoding_key(&verifying, Some(algorithm_of(algorithm)));
        let mut public = public.map_err(|_| malformed())?;
        let id = public.thumbprint(ThumbprintHash::SHA256).map_err(|_| malformed())?;
        public.common.public_key_use = Some(PublicKeyUse::Signature);
        public.common.key_id = Some(id.clone());
        Ok(Self { algorithm, signing, verifying, public, id, links: LinkKey::of(&der) })
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Key");
        shown.field("algorithm", &self.algorithm).field("id", &self.id).finish_non_exhaustive()
    }
}

/// The algorithm by the name of the JWT crate.
pub(super) fn algorithm_of(algorithm: SigningAlgorithm) -> Algorithm {
    match algorithm {
        SigningAlgorithm::Es256 => Algorithm::ES256,
        SigningAlgorithm::Rs256 => Algorithm::RS256,
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
