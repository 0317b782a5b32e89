//! What must hold of an address, a name or an id, whatever the text.

#![expect(clippy::missing_panics_doc, reason = "a panic is how this says no")]

use super::{ConnectionName, Email, LogId, Timestamp, UserId, Username};

/// A text that may be an address, a name, an id or a time: what it is read as is read as itself.
pub fn domain_names(bytes: &[u8]) {
    let text = &*String::from_utf8_lossy(bytes);
    if let Ok(email) = Email::parse(text) {
        let address = email.as_str();
        assert_eq!(Email::parse(address).as_ref(), Ok(&email));
        assert!(address == text.to_lowercase() && address.len() <= Email::MAX_BYTES);
        // A line end would be a header of its own in a mail.
        assert!(!address.contains(|c: char| c.is_ascii_control()), "{address:?}");
        assert!(address.rsplit_once('@').is_some_and(|(local, domain)| {
            (1..=Email::MAX_LOCAL_BYTES).contains(&local.len()) && !domain.is_empty()
        }));
    }
    if let Ok(name) = Username::parse(text) {
        assert_eq!(Username::parse(name.as_str()).as_ref(), Ok(&name));
    }
    if let Ok(id) = UserId::parse_given(text) {
        assert_eq!(UserId::parse_given(&id.to_string()).as_ref(), Ok(&id));
        assert_eq!((id.to_string().parse().as_ref(), id.as_ref().to_owned()), (Ok(&id), id.clone()));
    }
    if let Some(time) = Timestamp::parse(text) {
        assert_eq!(Timestamp::parse(&time.to_string()), Some(time));
    }
    if let Ok(name) = text.parse::<ConnectionName>() {
        assert_eq!(name.as_str(), text);
    }
    if let Ok(id) = text.parse::<LogId>() {
        assert_eq!(id.to_string().parse().as_ref(), Ok(&id));
    }
}
