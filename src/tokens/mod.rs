//! The server's signing keys and the tokens made with them; the JWT and crypto crates are named here
//! and nowhere else.
//!
//! **Invariants:** a token is taken for what it says only if its algorithm is that of the key it names, its
//! signature is ours, it asks for no understanding that we do not have (`crit`), issuer and audience are this
//! server, and it is neither too old nor too new; there is no leeway, as the same clock writes and reads. Tokens of users are not taken at all,
//! whoever they are for: the API is there for clients. A server has one audience in tokens, however many
//! URLs it has: other names for it count where tokens are asked for ([`Tokens::meant_by`]), never where they
//! are checked. The private key leaves the process only into
//! its file, which nobody else may read.
//!
//! Deliberately absent: revocation. Tokens end by expiring, or all at once by a new key without overlap
//! ([`Keys::rotate`]); and any key but our own: what a token's header says of keys (`jwk`, `jku`, `x5c`) is not
//! looked at.

mod keys;
mod known;
mod links;
mod ring;
#[cfg(test)]
mod rotation_tests;
#[cfg(test)]
mod tests;
mod users;
#[cfg(test)]
mod vectors;
mod watch;

use std::borrow::Cow;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::{constant_time, digest, rand};
use jsonwebtoken::errors::{Error as JwtError, ErrorKind};
use jsonwebtoken::{Header, Validation};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::domain::{Scope, SigningAlgorithm, Timestamp};
pub use keys::KeyError;
use keys::{Key, algorithm_of};
use known::Known;
pub use ring::{KEY_FILE, Keys, Rotation, remove_expired};
pub use users::{OpenIdScope, UserTokens};
pub use watch::KeyWatch;

/// Makes and checks access tokens.
#[derive(Debug, Clone)]
pub struct Tokens {
    ring: Arc<RwLock<Arc<Ring>>>,
    issuer: String,
    audience: String,
    aliases: Arc<[String]>,
    lifetime: Duration,
}

/// Keys, and the tokens that were found good by them.
#[derive(Debug)]
struct Ring {
    keys: Keys,
    known: Known,
}

impl Ring {
    fn new(keys: Keys) -> Self {
        Self { keys, known: Known::default() }
    }
}

/// What stands behind a client's id where it is the subject of a token.
const CLIENT_SUFFIX: &str = "@clients";

/// What a token that was found good allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Whose token it is, e.g. `<client_id>@clients`.
    pub subject: String,
    /// What it may do; scopes this server does not know are left out.
    pub scopes: Vec<Scope>,
}

impl Grant {
    /// The id of the client it was made for.
    pub fn client_id(&self) -> &str {
        self.subject.strip_suffix(CLIENT_SUFFIX).unwrap_or(&self.subject)
    }

    /// Whether it has at least one of these scopes.
    pub fn has_any(&self, wanted: &[Scope]) -> bool {
        wanted.iter().any(|scope| self.scopes.contains(scope))
    }
}

/// What a token says that is ours.
#[derive(Debug)]
struct Checked {
    grant: Grant,
    /// It is good from this second on, and before that one.
    from: Option<u64>,
    until: u64,
}

/// Why a token was not found good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TokenFault {
    /// No token of this server: malformed, too long, or by or for somebody else.
    #[error("Invalid token")]
    Invalid,
    /// Not signed with our key.
    #[error("Invalid signature received for JSON Web Token validation")]
    Signature,
    /// Too old.
    #[error("Expired token received for JSON Web Token validation")]
    Expired,
}

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: OneOrMany,
    sub: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    azp: Option<String>,
    iat: u64,
    exp: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    nbf: Option<u64>,
    #[serde(default)]
    scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    gty: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl Tokens {
    /// Longest token looked at, in bytes.
    pub const MAX_BYTES: usize = 8 << 10;

    /// Tokens of the server that clients reach by `public_url` (no slash at its end), valid for
    /// `lifetime` unless said otherwise.
    pub fn new(keys: Keys, public_url: &str, lifetime: Duration) -> Self {
        let issuer = format!("{public_url}/");
        let audience = format!("{public_url}/api/v2/");
        let (ring, aliases) = (Arc::new(RwLock::new(Arc::new(Ring::new(keys)))), Arc::default());
        Self { ring, issuer, audience, aliases, lifetime }
    }

    /// The same for a server that clients may also name by these URLs (no slash at their ends).
    #[must_use]
    pub fn known_as(self, urls: Vec<String>) -> Self {
        Self { aliases: urls.into(), ..self }
    }

    /// The audience that a client means: one of this server by any of its URLs is the one by the public URL,
    /// and that of anybody else is what it is.
    pub fn meant_by<'a>(&'a self, audience: &'a str) -> Cow<'a, str> {
        let mut paths = self.aliases.iter().filter_map(|url| audience.strip_prefix(url.as_str()));
        paths
            .find_map(|path| match path {
                "/api/v2/" => Some(Cow::Borrowed(self.audience())),
                "/userinfo" => Some(Cow::Owned(self.userinfo())),
                _ => None,
            })
            .unwrap_or(Cow::Borrowed(audience))
    }

    /// The issuer: the public URL and a slash.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The audience: the URL of the API.
    pub fn audience(&self) -> &str {
        &self.audience
    }

    /// How long tokens are valid by default.
    pub fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// Makes a token for a client to use here.
    pub fn mint(
        &self,
        client_id: &str,
        scopes: &[Scope],
        lifetime: Duration,
        now: Timestamp,
    ) -> Result<String, KeyError> {
        self.mint_for(client_id, &self.audience, &join(scopes), lifetime, now)
    }

    /// Makes a token for a client to use in some API.
    pub fn mint_for(
        &self,
        client_id: &str,
        audience: &str,
        scope: &str,
        lifetime: Duration,
        now: Timestamp,
    ) -> Result<String, KeyError> {
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: OneOrMany::One(audience.to_owned()),
            sub: format!("{client_id}{CLIENT_SUFFIX}"),
            azp: Some(client_id.to_owned()),
            iat: now.seconds(),
            exp: now.seconds().saturating_add(lifetime.as_secs()),
            nbf: None,
            scope: scope.to_owned(),
            gty: Some("client-credentials".to_owned()),
        };
        self.sign(&claims)
    }

    fn sign(&self, claims: &impl Serialize) -> Result<String, KeyError> {
        let ring = self.ring();
        let key = &ring.keys.current;
        let mut header = Header::new(algorithm_of(key.algorithm));
        header.kid = Some(key.id.clone());
        let token = jsonwebtoken::encode(&header, claims, &key.signing);
        token.map_err(|_| KeyError::Crypto("no token was signed"))
    }

    /// The keys as they are now.
    fn ring(&self) -> Arc<Ring> {
        self.ring.read().clone()
    }

    /// Uses these keys from now on; tells whether another one signs than before.
    fn renew(&self, keys: Keys) -> bool {
        let is_other = self.ring().keys.current.id != keys.current.id;
        *self.ring.write() = Arc::new(Ring::new(keys));
        is_other
    }

    /// What `token` allows at the time `now`.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Grant, TokenFault> {
        if token.len() > Self::MAX_BYTES {
            return Err(TokenFault::Invalid);
        }
        let ring = self.ring();
        let checked = ring.known.find(token, || self.check(&ring.keys, token, now))?;
        let Checked { grant, from, until } = &*checked;
        if *until <= now.seconds() {
            return Err(TokenFault::Expired);
        }
        if from.is_some_and(|from| now.seconds() < from) {
            return Err(TokenFault::Invalid);
        }
        Ok(grant.clone())
    }

    /// The same for a token that nobody looked at before.
    fn check(&self, keys: &Keys, token: &str, now: Timestamp) -> Result<Checked, TokenFault> {
        let header = jsonwebtoken::decode_header(token).map_err(|error| fault_of(&error))?;
        let (key, believed_until) = keys.named(header.kid.as_deref(), now);
        let decoded = jsonwebtoken::decode::<Claims>(token, &key.verifying, &self.validation(key));
        let decoded = decoded.map_err(|error| fault_of(&error))?;
        if decoded.header.crit.is_some() {
            return Err(TokenFault::Invalid); // whoever wrote that relies on what is unknown here
        }
        let claims = decoded.claims;
        if claims.exp <= now.seconds() {
            return Err(TokenFault::Expired);
        }
        if !claims.sub.ends_with(CLIENT_SUFFIX) {
            return Err(TokenFault::Invalid); // a user's
        }
        let scopes = claims.scope.split(' ').filter_map(|name| name.parse().ok()).collect();
        let grant = Grant { subject: claims.sub, scopes };
        Ok(Checked { grant, from: claims.nbf, until: claims.exp.min(believed_until) })
    }

    /// What a token signed with this key has to be like.
    fn validation(&self, key: &Key) -> Validation {
        let mut validation = Validation::new(algorithm_of(key.algorithm));
        validation.set_required_spec_claims(&["iss", "aud", "exp"]);
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[&self.audience]);
        // Times are checked in `verify`, against the clock it is given.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation
    }

    /// The public keys as others need them to check our tokens, that of new ones first.
    pub fn jwks(&self, now: Timestamp) -> serde_json::Value {
        let ring = self.ring();
        let keys: Vec<_> = ring.keys.believed(now).map(|(key, _)| &key.public).collect();
        serde_json::json!({ "keys": keys })
    }

    /// The algorithms of these keys.
    pub fn algorithms(&self, now: Timestamp) -> Vec<SigningAlgorithm> {
        let ring = self.ring();
        let is_used = |one: &SigningAlgorithm| ring.keys.believed(now).any(|(key, _)| key.algorithm == *one);
        [SigningAlgorithm::Es256, SigningAlgorithm::Rs256].into_iter().filter(is_used).collect()
    }
}

fn fault_of(error: &JwtError) -> TokenFault {
    match error.kind() {
        ErrorKind::InvalidSignature => TokenFault::Signature,
        _ => TokenFault::Invalid,
    }
}

/// Scopes as they stand in tokens and answers.
pub fn join(scopes: &[Scope]) -> String {
    let names: Vec<&str> = scopes.iter().map(|scope| scope.name()).collect();
    names.join(" ")
}

/// The hash under which a client's secret is kept.
pub fn secret_hash(secret: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, secret.as_bytes()).as_ref());
    hash
}

/// Whether two hashes are the same, in a time that does not tell where they differ.
pub fn same_hash(one: &[u8; 32], other: &[u8; 32]) -> bool {
    constant_time::verify_slices_are_equal(one, other).is_ok()
}

/// Random bytes.
pub fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| io::Error::other("the system gives no random bytes"))?;
    Ok(bytes)
}

/// A random text of letters and digits, each as likely as the others.
pub fn random_text(length: usize) -> io::Result<String> {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut text = String::with_capacity(length);
    while text.len() < length {
        let fair = random::<64>()?.into_iter().filter(|byte| usize::from(*byte) < 4 * ALPHABET.len());
        let letters = fair.map(|byte| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()]));
        text.extend(letters.take(length - text.len()));
    }
    Ok(text)
}
