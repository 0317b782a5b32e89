//! The e-mail rule, and the only type an address travels in once it has passed.

use std::net::{Ipv4Addr, Ipv6Addr};

use thiserror::Error;

/// A mailbox address in lower case: two spellings of one address are one user.
///
/// Source of the rule: the `Mailbox` of RFC 5321 section 4.1.2, with the letters beyond ASCII that
/// RFC 6531 adds. `docs/email-rule.md` compares it with three public collections of addresses.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Email(String);

/// Why a text is no e-mail address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum EmailFault {
    /// Longer than [`Email::MAX_BYTES`].
    #[error("an address has at most {} bytes", Email::MAX_BYTES)]
    TooLong,
    /// No `@` outside quotes.
    #[error("there is no @")]
    NoAt,
    /// Nothing before the `@`.
    #[error("there is nothing before the @")]
    LocalEmpty,
    /// More than [`Email::MAX_LOCAL_BYTES`] before the `@`.
    #[error("the part before the @ has at most {} bytes", Email::MAX_LOCAL_BYTES)]
    LocalTooLong,
    /// A character or a dot that may not stand before the `@`.
    #[error("the part before the @ has a character or a dot that may not stand there")]
    LocalMalformed,
    /// Not a host name or address literal after the `@`.
    #[error("the part after the @ is no domain name and no address in brackets")]
    DomainMalformed,
}

impl Email {
    /// Longest address accepted, in bytes.
    pub const MAX_BYTES: usize = 254;
    /// Longest part before the `@`, in bytes.
    pub const MAX_LOCAL_BYTES: usize = 64;

    /// Parses `raw`; the only way to obtain an [`Email`].
    pub fn parse(raw: &str) -> Result<Self, EmailFault> {
        if raw.len() > Self::MAX_BYTES {
            return Err(EmailFault::TooLong);
        }
        let at = end_of_local(raw)?;
        let (local, domain) = (&raw[..at], &raw[at + 1..]);
        check_local(local)?;
        if !is_domain_name(domain) && !is_address_literal(domain) {
            return Err(EmailFault::DomainMalformed);
        }
        let lower = if raw.is_ascii() { raw.to_ascii_lowercase() } else { raw.to_lowercase() };
        // A few letters grow when lower-cased; the limit holds for what is stored, too.
        if lower.len() > Self::MAX_BYTES { Err(EmailFault::TooLong) } else { Ok(Self(lower)) }
    }

    /// The address, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the `@`.
    pub fn local_part(&self) -> &str {
        self.0.rsplit_once('@').map_or(&self.0, |(local, _)| local)
    }
}

/// Where the `@` between the two halves is: the first one that is not inside quotes.
fn end_of_local(raw: &str) -> Result<usize, EmailFault> {
    if !raw.starts_with('"') {
        return raw.find('@').ok_or(EmailFault::NoAt);
    }
    let mut escaped = false;
    for (at, byte) in raw.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' if raw.as_bytes().get(at + 1) == Some(&b'@') => return Ok(at + 1),
            b'"' => return Err(EmailFault::LocalMalformed),
            _ => {}
        }
    }
    Err(EmailFault::NoAt)
}

fn check_local(local: &str) -> Result<(), EmailFault> {
    let well_formed = match local.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(quoted) => !quoted.is_empty() && quoted.chars().all(|c| c == ' ' || is_visible(c)),
        None => local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atom_char)),
    };
    match local.len() {
        0 => Err(EmailFault::LocalEmpty),
        length if length > Email::MAX_LOCAL_BYTES => Err(EmailFault::LocalTooLong),
        _ if well_formed => Ok(()),
        _ => Err(EmailFault::LocalMalformed),
    }
}

fn is_atom_char(c: char) -> bool {
    if c.is_ascii() { c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) } else { is_visible(c) }
}

fn is_visible(c: char) -> bool {
    !c.is_control() && !c.is_whitespace()
}

/// Labels of letters, digits and inner hyphens. A name beyond ASCII must have an ASCII form (IDNA).
fn is_domain_name(domain: &str) -> bool {
    if !domain.is_ascii() {
        return idna::domain_to_ascii_strict(domain).is_ok_and(|ascii| is_domain_name(&ascii));
    }
    domain.split('.').all(|label| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    })
}

fn is_address_literal(domain: &str) -> bool {
    let Some(inner) = domain.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) else {
        return false;
    };
    match inner.get(..5) {
        Some(tag) if tag.eq_ignore_ascii_case("ipv6:") => inner[5..].parse::<Ipv6Addr>().is_ok(),
        _ => inner.parse::<Ipv4Addr>().is_ok(),
    }
}
