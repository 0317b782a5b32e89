//! Tokens that were found good before: clients send the same one with every request, and to check its signature
//! costs more than most answers do.
//!
//! What changes with time is not remembered: that is looked at for every request. Tokens themselves are not
//! kept, only their hashes. Deliberately absent: tokens that were refused.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Checked, secret_hash};

/// Tokens remembered at most; when there are more, all are forgotten.
const MOST: usize = 4096;

/// Hashes of good tokens, and what the tokens say.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<HashMap<[u8; 32], Arc<Checked>>>);

impl Known {
    /// What a token says; `check` is asked about those not seen before.
    pub(super) fn find<E>(
        &self,
        token: &str,
        check: impl FnOnce() -> Result<Checked, E>,
    ) -> Result<Arc<Checked>, E> {
        let hash = secret_hash(token);
        if let Some(checked) = self.0.lock().get(&hash) {
            return Ok(checked.clone());
        }
        let checked = Arc::new(check()?);
        let mut known = self.0.lock();
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(hash, checked.clone());
        Ok(checked)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may")]
mod tests {
    use super::super::Grant;
    use super::*;

    fn checked(subject: &str) -> Checked {
        let grant = Grant { subject: subject.to_owned(), scopes: Vec::new() };
        Checked { grant, from: None, until: 0 }
    }

    #[test]
    fn a_good_token_is_checked_once_and_a_bad_one_each_time() {
        let known = Known::default();
        assert_eq!(known.find("bad", || Err("bad")).unwrap_err(), "bad");
        assert_eq!(known.find("bad", || Err("still bad")).unwrap_err(), "still bad");
        assert_eq!(known.find("good", || Ok::<_, ()>(checked("ann"))).unwrap().grant.subject, "ann");
        assert_eq!(known.find("good", || Err("asked again")).unwrap().grant.subject, "ann");
        assert!(known.find("other", || Err("asked")).is_err());
    }

    #[test]
    fn no_more_than_so_many_are_kept() {
        let known = Known::default();
        for number in 0..=MOST {
            known.find(&number.to_string(), || Ok::<_, ()>(checked("x"))).unwrap();
            assert!(known.0.lock().len() <= MOST);
        }
        assert_eq!(known.0.lock().len(), 1);
    }
}
