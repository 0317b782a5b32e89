//! Letters with a link that only their reader may open.

use std::fmt::Write as _;
use std::time::Duration;

use minijinja::context;

use super::{Desk, message_id, one_line, render};
use crate::domain::{Letter, Timestamp};

const TEMPLATE: (&str, &str) = ("link.html", include_str!("../../../static/letters/link.html"));

/// Brings somebody the link to choose a password with. `message_key` is what only this letter has.
pub fn reset_password(
    desk: &Desk,
    to: &str,
    link: &str,
    lifetime: Duration,
    message_key: &str,
    now: Timestamp,
) -> Letter {
    let tenant = one_line(&desk.tenant);
    let words = Words {
        subject: format!("Choose your password for {tenant}"),
        why: format!(
            "Somebody, probably you, wants to choose a password for the account {} at {tenant}. Open this link to do so:",
            one_line(to)
        ),
        link_text: "Choose a password",
        not_asked: "If you did not ask for this, you need not do anything: as long as nobody opens the link, \
                    nothing changes. Do not pass this mail on, as whoever has the link can choose the password.",
    };
    words.letter(desk, to, link, lifetime, message_key, now)
}

/// Brings somebody the link to say that an address is theirs. `message_key` is what only this letter has.
pub fn verify_email(
    desk: &Desk,
    to: &str,
    link: &str,
    lifetime: Duration,
    message_key: &str,
    now: Timestamp,
) -> Letter {
    let tenant = one_line(&desk.tenant);
    let words = Words {
        subject: format!("Verify your email address for {tenant}"),
        why: format!(
            "There is an account at {tenant} with the address {}. If it is yours, open this link to verify that \
             mail to this address reaches you:",
            one_line(to)
        ),
        link_text: "Verify the address",
        not_asked: "If you have no such account, you need not do anything: as long as nobody opens the link, \
                    nothing changes. Do not pass this mail on, as whoever has the link can verify the address.",
    };
    words.letter(desk, to, link, lifetime, message_key, now)
}

/// What such letters say differently.
struct Words {
    subject: String,
    why: String,
    link_text: &'static str,
    not_asked: &'static str,
}

impl Words {
    fn letter(
        self,
        desk: &Desk,
        to: &str,
        link: &str,
        lifetime: Duration,
        message_key: &str,
        now: Timestamp,
    ) -> Letter {
        let Self { subject, why, link_text, not_asked } = self;
        let how_long = format!(
            "The link works once, for {} from when this mail was written, and only until a newer one is sent.",
            in_words(lifetime)
        );
        let text = format!("{why}\n\n{link}\n\n{how_long}\n\n{not_asked}\n");
        let html =
            render(TEMPLATE, context! { subject => &subject, why, link, link_text, how_long, not_asked });
        let message_id = message_id(desk, message_key);
        Letter { to: to.to_owned(), subject, text, html, message_id, written_at: now }
    }
}

/// A time span for people: `5 days`, `1 hour 30 minutes`.
pub(super) fn in_words(time: Duration) -> String {
    let seconds = time.as_secs();
    let units = [("day", 86_400, u64::MAX), ("hour", 3600, 24), ("minute", 60, 60), ("second", 1, 60)];
    let mut words = String::new();
    for (unit, length, most) in units {
        let count = seconds / length % most;
        if count > 0 {
            let (space, plural) =
                (if words.is_empty() { "" } else { " " }, if count == 1 { "" } else { "s" });
            // Writing to a text does not fail.
            let _ = write!(words, "{space}{count} {unit}{plural}");
        }
    }
    words
}
