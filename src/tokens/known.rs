//! Tokens whose signature was checked before: clients send the same one with every request, and the check
//! costs more than most answers do.
//!
//! What changes with time is not remembered: that is looked at for every request. Tokens themselves are not
//! kept, only their hashes. Deliberately absent: tokens that were refused.

use std::collections::HashMap;

use aws_lc_rs::digest::{SHA256, digest};
use parking_lot::Mutex;

use super::Claims;

/// Tokens remembered at most; when there are more, all are forgotten.
const MOST: usize = 4096;

/// Hashes of good tokens, and what the tokens say.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<HashMap<Vec<u8>, Claims>>);

impl Known {
    /// What a token says; `check` is asked about those not seen before.
    pub(super) fn claims<E>(
        &self,
        token: &str,
        check: impl FnOnce() -> Result<Claims, E>,
    ) -> Result<Claims, E> {
        let hash = digest(&SHA256, token.as_bytes()).as_ref().to_vec();
        if let Some(claims) = self.0.lock().get(&hash) {
            return Ok(claims.clone());
        }
        let claims = check()?;
        let mut known = self.0.lock();
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(hash, claims.clone());
        Ok(claims)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may")]
mod tests {
    use super::super::OneOrMany;
    use super::*;

    fn claims(sub: &str) -> Claims {
        let aud = OneOrMany::One(String::new());
        let (iss, sub, scope) = (String::new(), sub.to_owned(), String::new());
        Claims { iss, aud, sub, azp: None, iat: 0, exp: 0, nbf: None, scope, gty: None }
    }

    #[test]
    fn a_good_token_is_checked_once_and_a_bad_one_each_time() {
        let known = Known::default();
        assert_eq!(known.claims("bad", || Err("bad")).unwrap_err(), "bad");
        assert_eq!(known.claims("bad", || Err("still bad")).unwrap_err(), "still bad");
        assert_eq!(known.claims("good", || Ok::<_, ()>(claims("ann"))).unwrap().sub, "ann");
        assert_eq!(known.claims("good", || Err("asked again")).unwrap().sub, "ann");
        assert!(known.claims("other", || Err("asked")).is_err());
    }

    #[test]
    fn no_more_than_so_many_are_kept() {
        let known = Known::default();
        for number in 0..=MOST {
            known.claims(&number.to_string(), || Ok::<_, ()>(claims("x"))).unwrap();
            assert!(known.0.lock().len() <= MOST);
        }
        assert_eq!(known.0.lock().len(), 1);
    }
}
