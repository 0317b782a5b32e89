//! Signatures of links that are good for a while, whoever has them.
//!
//! Their key is made of the signing key: it is as secret, ends with it, and tells nothing of it.

use std::fmt;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::Tokens;
use crate::domain::Timestamp;

/// What the key is made for.
const PURPOSE: &[u8] = b"intake links 1";

/// The key of links.
#[derive(Clone)]
pub(super) struct LinkKey(hmac::Key);

impl LinkKey {
    /// The key that goes with a private key.
    pub(super) fn of(private: &[u8]) -> Self {
        let derived = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, private), PURPOSE);
        Self(hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref()))
    }
}

impl fmt::Debug for LinkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkKey(…)")
    }
}

impl Tokens {
    /// Signs a path for everybody who has the link, until that second.
    pub fn sign_link(&self, path: &str, expires: u64) -> String {
        let ring = self.ring();
        let LinkKey(key) = &ring.keys.current.links;
        URL_SAFE_NO_PAD.encode(hmac::sign(key, text(path, expires).as_bytes()))
    }

    /// Whether this is our signature for that path, by a key that is believed, and its time is not over.
    pub fn is_good_link(&self, path: &str, expires: u64, signature: &str, now: Timestamp) -> bool {
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap_or_default();
        let is_by = |LinkKey(key): &LinkKey| hmac::verify(key, text(path, expires).as_bytes(), &signature);
        let ring = self.ring();
        ring.keys.believed(now).any(|(key, _)| is_by(&key.links).is_ok()) && now.seconds() < expires
    }
}

fn text(path: &str, expires: u64) -> String {
    format!("{path}\n{expires}")
}
