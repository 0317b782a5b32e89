//! Passwords: hashed with argon2id, a few at a time. Argon2 is named here and nowhere else.
//!
//! **Invariants:** whoever hashes or compares holds a [`Turn`], so that a burst of sign-ins takes
//! [`AT_ONCE`] times [`MEMORY_KIB`] of memory and no more. Comparing takes as long whether there is a
//! password to compare with or not.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use serde::{Deserialize, Deserializer};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::LoginError;
use crate::tokens::random;

/// Memory of one hash, in KiB; with [`ROUNDS`] what OWASP asks of argon2id.
const MEMORY_KIB: u32 = 19 * 1024;
/// How often that memory is gone through.
const ROUNDS: u32 = 2;
/// Hashes made at once. More would not be faster where there are no more processors.
const AT_ONCE: usize = 4;
/// How many may wait for that.
const WAITING: usize = 500;
/// How long they may wait.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// A password as it was typed; nobody gets to see it.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// Longest password taken, in bytes.
    pub const MAX_BYTES: usize = 1024;

    /// What was typed.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

impl<'de> Deserialize<'de> for Password {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

/// Leave to hash once; the next one may when it is dropped.
#[derive(Debug)]
pub struct Turn {
    _turn: OwnedSemaphorePermit,
    _place: OwnedSemaphorePermit,
}

/// Gives out turns.
#[derive(Debug)]
pub(super) struct Passwords {
    places: Arc<Semaphore>,
    turns: Arc<Semaphore>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(WAITING + AT_ONCE)), turns: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

impl Passwords {
    pub(super) async fn turn(&self) -> Option<Turn> {
        let place = self.places.clone().try_acquire_owned().ok()?;
        let turn = timeout(LONGEST_WAIT, self.turns.clone().acquire_owned()).await.ok()?.ok()?;
        Some(Turn { _turn: turn, _place: place })
    }
}

/// The hash of a password, in the PHC string format.
pub(super) fn hash(_: &Turn, password: &Password) -> Result<String, LoginError> {
    let fault = |error: &dyn fmt::Display| LoginError::Crypto(format!("no password was hashed: {error}"));
    let salt: [u8; 16] = random().map_err(|error| fault(&error))?;
    let hashed = argon2()?.hash_password_with_salt(password.0.as_bytes(), &salt);
    Ok(hashed.map_err(|error| fault(&error))?.to_string())
}

/// Whether this is the password with that hash. Without one it is not, but that takes as long to find out.
pub(super) fn verify(_: &Turn, password: &Password, kept: Option<&str>) -> Result<bool, LoginError> {
    /// Of no password anybody knows.
    const NOBODYS: &str =
        "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IGhhcyB0aGlzIQ$Tm8gcGFzc3dvcmQgaXMga25vd24gdG8gYmUgdGhpcy4";
    let parsed = PasswordHash::new(kept.unwrap_or(NOBODYS));
    let parsed =
        parsed.map_err(|error| LoginError::Crypto(format!("a stored hash is malformed: {error}")))?;
    let is_right = argon2()?.verify_password(password.0.as_bytes(), &parsed).is_ok();
    Ok(is_right && kept.is_some())
}

fn argon2() -> Result<Argon2<'static>, LoginError> {
    let params = Params::new(MEMORY_KIB, ROUNDS, 1, None);
    let params = params.map_err(|error| LoginError::Crypto(error.to_string()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may")]
mod tests {
    use super::*;

    fn password(text: &str) -> Password {
        Password::new(text.to_owned())
    }

    fn wait<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(work)
    }

    #[test]
    fn a_password_is_known_again_and_no_other() {
        let turn = wait(Passwords::default().turn()).unwrap();
        let kept = hash(&turn, &password("Pa55-wörd")).unwrap();
        assert!(kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{kept}");
        assert!(!kept.contains("Pa55"));
        assert_ne!(kept, hash(&turn, &password("Pa55-wörd")).unwrap());
        assert!(verify(&turn, &password("Pa55-wörd"), Some(&kept)).unwrap());
        for wrong in ["", "pa55-wörd", "Pa55-wörd ", "Pa55-word"] {
            assert!(!verify(&turn, &password(wrong), Some(&kept)).unwrap(), "{wrong}");
        }
        assert!(!verify(&turn, &password("Pa55-wörd"), None).unwrap());
        assert!(verify(&turn, &password("x"), Some("no hash")).is_err());
    }

    #[test]
    fn only_so_many_are_hashed_at_once_and_only_so_many_wait() {
        let passwords = Passwords::default();
        let mut turns = Vec::new();
        for _ in 0..AT_ONCE {
            turns.push(wait(passwords.turn()).unwrap());
        }
        assert_eq!(passwords.turns.available_permits(), 0);
        let waiting = passwords.places.clone().try_acquire_many_owned(u32::try_from(WAITING).unwrap());
        let waiting = waiting.unwrap();
        assert!(wait(passwords.turn()).is_none());
        drop((waiting, turns.pop()));
        assert!(wait(passwords.turn()).is_some());
    }

    #[test]
    fn nobody_reads_a_password_in_a_log() {
        assert_eq!(format!("{:?}", password("secret")), "Password(…)");
    }
}
