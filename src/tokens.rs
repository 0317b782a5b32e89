//! The server's signing key and the access tokens made with it; the JWT and crypto crates are
//! named here and nowhere else.
//!
//! **Invariants:** a token is taken for what it says only if its algorithm is the key's, its
//! signature is ours, issuer and audience are this server, and it is neither too old nor too new;
//! there is no leeway, as the same clock writes and reads. The private key leaves the process only
//! into its file, which nobody else may read.
//!
//! Deliberately absent: revocation. Tokens end by expiring, or all at once by deleting the key
//! file.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::{self, SystemRandom};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RsaKeyPair, RsaPublicKeyComponents,
};
use aws_lc_rs::{constant_time, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::errors::{Error as JwtError, ErrorKind};
use jsonwebtoken::jwk::{Jwk, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::domain::{Scope, SigningAlgorithm, Timestamp};

/// Name of the key file in the data directory.
pub const KEY_FILE: &str = "signing-key.pem";

/// The signing key, ready for use.
#[derive(Clone)]
pub struct Keys {
    algorithm: Algorithm,
    signing: EncodingKey,
    verifying: DecodingKey,
    public: Jwk,
    id: String,
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
                let pem = write_pem(&generate(algorithm)?);
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
        Ok(Self { algorithm, signing, verifying, public, id })
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

const PEM_BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const PEM_END: &str = "-----END PRIVATE KEY-----";

fn write_pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut pem = format!("{PEM_BEGIN}\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = more;
    }
    pem + PEM_END + "\n"
}

fn read_pem(pem: &[u8]) -> Option<Vec<u8>> {
    let text = str::from_utf8(pem).ok()?;
    let (_, rest) = text.split_once(PEM_BEGIN)?;
    let (body, _) = rest.split_once(PEM_END)?;
    let body: String = body.split_ascii_whitespace().collect();
    STANDARD.decode(body).ok()
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

/// Makes and checks access tokens.
#[derive(Debug, Clone)]
pub struct Tokens {
    keys: Arc<Keys>,
    issuer: String,
    audience: String,
    lifetime: Duration,
    validation: Arc<Validation>,
}

/// What a token that was found good allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Whose token it is, e.g. `<client_id>@clients`.
    pub subject: String,
    /// What it may do; scopes this server does not know are left out.
    pub scopes: Vec<Scope>,
}

impl Grant {
    /// Whether it has at least one of these scopes.
    pub fn has_any(&self, wanted: &[Scope]) -> bool {
        wanted.iter().any(|scope| self.scopes.contains(scope))
    }
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
        let mut validation = Validation::new(keys.algorithm);
        validation.set_required_spec_claims(&["iss", "aud", "exp"]);
        validation.set_issuer(&[&issuer]);
        validation.set_audience(&[&audience]);
        // Times are checked in `verify`, against the clock it is given.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        Self { keys: Arc::new(keys), issuer, audience, lifetime, validation: Arc::new(validation) }
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

    /// Makes a token for a client.
    pub fn mint(
        &self,
        client_id: &str,
        scopes: &[Scope],
        lifetime: Duration,
        now: Timestamp,
    ) -> Result<String, KeyError> {
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: OneOrMany::One(self.audience.clone()),
            sub: format!("{client_id}@clients"),
            azp: Some(client_id.to_owned()),
            iat: now.seconds(),
            exp: now.seconds().saturating_add(lifetime.as_secs()),
            nbf: None,
            scope: join(scopes),
            gty: Some("client-credentials".to_owned()),
        };
        let mut header = Header::new(self.keys.algorithm);
        header.kid = Some(self.keys.id.clone());
        let token = jsonwebtoken::encode(&header, &claims, &self.keys.signing);
        token.map_err(|_| KeyError::Crypto("no token was signed"))
    }

    /// What `token` allows at the time `now`.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Grant, TokenFault> {
        if token.len() > Self::MAX_BYTES {
            return Err(TokenFault::Invalid);
        }
        let decoded = jsonwebtoken::decode::<Claims>(token, &self.keys.verifying, &self.validation);
        let claims = decoded.map_err(|error| fault_of(&error))?.claims;
        if claims.exp <= now.seconds() {
            return Err(TokenFault::Expired);
        }
        if claims.nbf.is_some_and(|from| now.seconds() < from) {
            return Err(TokenFault::Invalid);
        }
        let scopes = claims.scope.split(' ').filter_map(|name| name.parse().ok()).collect();
        Ok(Grant { subject: claims.sub, scopes })
    }

    /// The public key as others need it to check our tokens.
    pub fn jwks(&self) -> serde_json::Value {
        serde_json::json!({ "keys": [self.keys.public] })
    }

    /// Name of the signing algorithm.
    pub fn algorithm(&self) -> SigningAlgorithm {
        match self.keys.algorithm {
            Algorithm::RS256 => SigningAlgorithm::Rs256,
            _ => SigningAlgorithm::Es256,
        }
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

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may")]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::{Value, json};

    use super::*;

    const URL: &str = "http://127.0.0.1:3000";
    const DAY: Duration = Duration::from_hours(24);
    const NOW: Timestamp = Timestamp::from_millis(1_520_242_272_481);

    fn keys(algorithm: SigningAlgorithm) -> Keys {
        let directory = tempfile::tempdir().unwrap();
        Keys::open_or_create(directory.path(), algorithm).unwrap()
    }

    fn tokens() -> Tokens {
        Tokens::new(keys(SigningAlgorithm::Es256), URL, DAY)
    }

    fn part(value: &Value) -> String {
        URL_SAFE_NO_PAD.encode(value.to_string())
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    #[test]
    fn a_token_goes_round_with_either_algorithm() {
        for algorithm in [SigningAlgorithm::Es256, SigningAlgorithm::Rs256] {
            let tokens = Tokens::new(keys(algorithm), URL, DAY);
            let scopes = [Scope::CreateUsers, Scope::ReadUsers];
            let token = tokens.mint("abc", &scopes, DAY, NOW).unwrap();
            let grant = tokens.verify(&token, NOW).unwrap();
            assert_eq!(grant, Grant { subject: "abc@clients".to_owned(), scopes: scopes.to_vec() });
            assert!(grant.has_any(&[Scope::ReadConnections, Scope::ReadUsers]));
            assert!(!grant.has_any(&[Scope::ReadConnections]));
            let header = jsonwebtoken::decode_header(&token).unwrap();
            let jwks = tokens.jwks();
            assert_eq!(header.typ.as_deref(), Some("JWT"));
            assert_eq!(jwks["keys"][0]["kid"], json!(header.kid));
            assert_eq!(jwks["keys"][0]["alg"], json!(algorithm.to_string()));
            assert_eq!(jwks["keys"][0]["use"], "sig");
        }
    }

    #[test]
    fn published_keys_show_the_public_half_only() {
        let members = |algorithm| {
            let jwks = Tokens::new(keys(algorithm), URL, DAY).jwks();
            let mut names: Vec<String> = jwks["keys"][0].as_object().unwrap().keys().cloned().collect();
            names.sort();
            names.join(" ")
        };
        assert_eq!(members(SigningAlgorithm::Es256), "alg crv kid kty use x y");
        assert_eq!(members(SigningAlgorithm::Rs256), "alg e kid kty n use");
    }

    #[test]
    fn claims_are_those_of_the_contract() {
        let token = tokens().mint("abc", &[Scope::ReadUsers], DAY, NOW).unwrap();
        let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
        let claims: Value = serde_json::from_slice(&claims).unwrap();
        let expected = json!({
            "iss": "http://127.0.0.1:3000/", "aud": "http://127.0.0.1:3000/api/v2/",
            "sub": "abc@clients", "azp": "abc", "iat": 1_520_242_272, "exp": 1_520_328_672,
            "scope": "read:users", "gty": "client-credentials",
        });
        assert_eq!(claims, expected);
    }

    #[test]
    fn a_token_ends_with_its_last_second() {
        let tokens = tokens();
        let token = tokens.mint("abc", &[], Duration::from_secs(10), at(100)).unwrap();
        assert!(tokens.verify(&token, at(109)).is_ok());
        assert_eq!(tokens.verify(&token, at(110)), Err(TokenFault::Expired));
    }

    #[test]
    fn a_token_that_was_changed_is_refused() {
        let tokens = tokens();
        let token = tokens.mint("abc", &[], DAY, NOW).unwrap();
        let parts: Vec<&str> = token.split('.').collect();
        let claims = json!({
            "iss": tokens.issuer(), "aud": tokens.audience(), "sub": "abc@clients",
            "iat": NOW.seconds(), "exp": NOW.seconds() + 10, "scope": "create:users",
        });
        let forged = format!("{}.{}.{}", parts[0], part(&claims), parts[2]);
        assert_eq!(tokens.verify(&forged, NOW), Err(TokenFault::Signature));
        let none = format!("{}.{}.", part(&json!({ "alg": "none", "typ": "JWT" })), part(&claims));
        assert_eq!(tokens.verify(&none, NOW), Err(TokenFault::Invalid));
    }

    #[test]
    fn the_public_key_is_no_shared_secret() {
        let tokens = tokens();
        let public = tokens.jwks()["keys"][0].to_string();
        let claims = json!({
            "iss": tokens.issuer(), "aud": tokens.audience(), "sub": "abc@clients",
            "iat": NOW.seconds(), "exp": NOW.seconds() + 10, "scope": "create:users",
        });
        let secret = EncodingKey::from_secret(public.as_bytes());
        let forged = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &secret);
        assert_eq!(tokens.verify(&forged.unwrap(), NOW), Err(TokenFault::Invalid));
    }

    #[test]
    fn a_token_by_or_for_somebody_else_is_refused() {
        let tokens = tokens();
        let other_key = Tokens::new(keys(SigningAlgorithm::Es256), URL, DAY);
        let token = other_key.mint("abc", &[], DAY, NOW).unwrap();
        assert_eq!(tokens.verify(&token, NOW), Err(TokenFault::Signature));
        let other_algorithm = Tokens::new(keys(SigningAlgorithm::Rs256), URL, DAY);
        let token = other_algorithm.mint("abc", &[], DAY, NOW).unwrap();
        assert_eq!(tokens.verify(&token, NOW), Err(TokenFault::Invalid));
        let other_url = Tokens::new((*tokens.keys).clone(), "http://other.test", DAY);
        let token = other_url.mint("abc", &[], DAY, NOW).unwrap();
        assert_eq!(tokens.verify(&token, NOW), Err(TokenFault::Invalid));
    }

    #[test]
    fn each_claim_is_checked() {
        let tokens = tokens();
        let good = json!({
            "iss": tokens.issuer(), "aud": [tokens.audience(), "userinfo"], "sub": "abc@clients",
            "iat": NOW.seconds(), "exp": NOW.seconds() + 10, "scope": "create:users delete:world",
        });
        let verify = |claims: &Value| {
            let header = Header::new(tokens.keys.algorithm);
            let token = jsonwebtoken::encode(&header, claims, &tokens.keys.signing).unwrap();
            tokens.verify(&token, NOW)
        };
        assert_eq!(verify(&good).unwrap().scopes, [Scope::CreateUsers]);
        let changes = [
            ("iss", json!("http://other.test/")),
            ("iss", Value::Null),
            ("aud", json!(["userinfo"])),
            ("aud", Value::Null),
            ("exp", json!("soon")),
            ("exp", Value::Null),
            ("nbf", json!(NOW.seconds() + 1)),
        ];
        for (name, value) in changes {
            let mut claims = good.clone();
            claims[name] = value;
            assert_eq!(verify(&claims), Err(TokenFault::Invalid), "{claims}");
        }
    }

    #[test]
    fn no_text_is_too_strange_to_be_refused() {
        let tokens = tokens();
        let long = "a".repeat(Tokens::MAX_BYTES + 1);
        for text in ["", ".", "..", "...", "a.b.c", "\u{1f600}.\u{1f600}.", long.as_str()] {
            assert_eq!(tokens.verify(text, NOW), Err(TokenFault::Invalid));
        }
        let scopes = vec![Scope::CreateUsers; 900];
        let oversized = tokens.mint("abc", &scopes, DAY, NOW).unwrap();
        assert_eq!(tokens.verify(&oversized, NOW), Err(TokenFault::Invalid));
    }

    #[test]
    fn the_key_file_is_private_and_used_again() {
        let directory = tempfile::tempdir().unwrap();
        let first = Keys::open_or_create(directory.path(), SigningAlgorithm::Es256).unwrap();
        let path = directory.path().join(KEY_FILE);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        let again = Keys::open_or_create(directory.path(), SigningAlgorithm::Es256).unwrap();
        assert_eq!(first.id, again.id);
        let shown = format!("Keys {{ algorithm: ES256, id: {:?}, .. }}", first.id);
        assert_eq!(format!("{again:?}"), shown);
        let refused = Keys::open_or_create(directory.path(), SigningAlgorithm::Rs256).unwrap_err();
        assert!(refused.to_string().contains("set tokens.algorithm to ES256"), "{refused}");
        fs::write(&path, "no key").unwrap();
        let refused = Keys::open_or_create(directory.path(), SigningAlgorithm::Es256).unwrap_err();
        assert!(matches!(refused, KeyError::Malformed(_)));
    }

    #[test]
    fn of_two_who_make_the_key_one_wins() {
        let directory = tempfile::tempdir().unwrap();
        let make = || Keys::open_or_create(directory.path(), SigningAlgorithm::Es256).unwrap().id;
        let ids: Vec<String> = std::thread::scope(|scope| {
            let makers: Vec<_> = (0..4).map(|_| scope.spawn(make)).collect();
            makers.into_iter().map(|maker| maker.join().unwrap()).collect()
        });
        assert!(ids.iter().all(|id| *id == ids[0]));
    }

    #[test]
    fn random_texts_are_letters_and_digits() {
        let text = random_text(100).unwrap();
        assert!(text.len() == 100 && text.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert_ne!(text, random_text(100).unwrap());
        assert!(same_hash(&secret_hash("a"), &secret_hash("a")));
        assert!(!same_hash(&secret_hash("a"), &secret_hash("b")));
    }
}
