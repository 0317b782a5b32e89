//! The e-mail rule, and the only type an address travels in once it has passed.

#[cfg(test)]
mod tests;

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
        // A few letters grow when lower-cased; the limits hold for what is stored.
        let address = if raw.is_ascii() { raw.to_ascii_lowercase() } else { raw.to_lowercase() };
        if address.len() > Self::MAX_BYTES {
            return Err(EmailFault::TooLong);
        }
        let at = end_of_local(&address)?;
        let (local, domain) = (&address[..at], &address[at + 1..]);
        check_local(local)?;
        if is_domain_name(domain) || is_address_literal(domain) {
            Ok(Self(address))
        } else {
            Err(EmailFault::DomainMalformed)
        }
    }

    /// The address, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
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
            // Letters beyond ASCII came with RFC 6531, but not behind a backslash.
            _ if escaped && !byte.is_ascii() => return Err(EmailFault::LocalMalformed),
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
        Some(quoted) => quoted.chars().all(|c| c == ' ' || is_visible(c)),
        None => is_atoms(local),
    };
    match local.len() {
        0 => Err(EmailFault::LocalEmpty),
        length if length > Email::MAX_LOCAL_BYTES => Err(EmailFault::LocalTooLong),
        _ if well_formed => Ok(()),
        _ => Err(EmailFault::LocalMalformed),
    }
}

/// Atoms with a dot between each two.
fn is_atoms(local: &str) -> bool {
    let mut was_dot = true;
    let is_fine = local.chars().all(|c| {
        let is_fine = match c {
            '.' => !was_dot,
            _ if c.is_ascii_alphanumeric() => true,
            '!' | '#'..='\'' | '*' | '+' | '-' | '/' | '=' | '?' | '^'..='`' | '{'..='~' => true,
            _ => !c.is_ascii() && is_visible(c),
        };
        was_dot = c == '.';
        is_fine
    });
    is_fine && !was_dot
}

fn is_visible(c: char) -> bool {
    !c.is_control() && !c.is_whitespace()
}

/// Labels of letters, digits and inner hyphens. A name beyond ASCII must have an ASCII form, and one
/// that claims to *be* such a form must be right (IDNA).
fn is_domain_name(domain: &str) -> bool {
    if !domain.is_ascii()
        || domain.as_bytes().split(|byte| *byte == b'.').any(|label| label.starts_with(b"xn--"))
    {
        return idna::domain_to_ascii_strict(domain).is_ok_and(|ascii| is_host_name(&ascii));
    }
    is_host_name(domain)
}

fn is_host_name(domain: &str) -> bool {
    domain.as_bytes().split(|byte| *byte == b'.').all(|label| {
        (1..=63).contains(&label.len())
            && label.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
            && !label.starts_with(b"-")
            && !label.ends_with(b"-")
    })
}

/// An IP address in brackets, as RFC 5321 section 4.1.3 spells it. Nobody has registered any other
/// kind of address for use there.
fn is_address_literal(domain: &str) -> bool {
    let Some(inner) = domain.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) else {
        return false;
    };
    match inner.strip_prefix("ipv6:") {
        Some(address) => is_ipv6(address),
        None => is_ipv4(inner),
    }
}

/// Zeros in front are fine, unlike in `std`'s parser.
fn is_ipv4(text: &str) -> bool {
    let is_number = |part: &str| {
        let digits = (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        digits && part.parse::<u8>().is_ok()
    };
    text.split('.').count() == 4 && text.split('.').all(is_number)
}

/// `::` stands for two groups at least, unlike in `std`'s parser.
fn is_ipv6(text: &str) -> bool {
    match text.split_once("::") {
        Some((before, after)) => match (groups(before, false), groups(after, true)) {
            (Some(before), Some(after)) => before + after <= 6,
            _ => false,
        },
        None => groups(text, true) == Some(8),
    }
}

/// How many groups of 16 bits there are in a part of an IPv6 address, if it is one. An IPv4
/// address may end it.
fn groups(text: &str, ipv4_may_end: bool) -> Option<usize> {
    if text.is_empty() {
        return Some(0);
    }
    let (hex, tail) = match text.rsplit_once(':') {
        _ if ipv4_may_end && is_ipv4(text) => return Some(2),
        Some((hex, last)) if ipv4_may_end && is_ipv4(last) => (hex, 2),
        _ => (text, 0),
    };
    let is_group = |part: &str| (1..=4).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_hexdigit());
    hex.split(':').all(is_group).then(|| hex.split(':').count() + tail)
}
