//! The ways a letter can go: into a file, or to a mail server. Names lettre, with nobody else.
//!
//! [`server`] has the connections to mail servers, [`line`](mod@line) the bounds of what these may say.
//!
//! **Invariants:** the same letter always makes the same bytes, `Message-ID` included. Without the privacy
//! that the settings ask for nothing is sent, no password either.
//!
//! Deliberately absent: the outbox, and when to try again; `mailer` decides that by the [`Blame`].

mod line;
mod server;

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use lettre::address::{Address, Envelope};
use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue};
use lettre::message::{Body, Mailbox, Message, MultiPart, MultiPartKind, SinglePart};
use thiserror::Error;

use crate::domain::{Email, Letter};
use crate::files;
use server::{Connection, MailServer};

/// How much of an answer is kept, in characters.
const LONGEST_KEPT: usize = 500;
/// Longest name of a file, in bytes, without its extension.
const LONGEST_NAME: usize = 200;
/// No line of a quoted-printable text begins like this.
const BOUNDARY: &str = "=_intake_letter";

/// How letters are to be sent.
pub struct PostSettings {
    /// Who they are from: an address, or `Name <address>`.
    pub from: String,
    /// Which way they go.
    pub way: Way,
}

/// Where letters go.
pub enum Way {
    /// Nowhere.
    Off,
    /// Into files in this folder.
    File(PathBuf),
    /// To a mail server.
    Smtp(SmtpSettings),
}

/// A mail server.
pub struct SmtpSettings {
    /// Its name or address.
    pub host: String,
    /// Its port; the usual one if there is none.
    pub port: Option<u16>,
    /// How the connection is kept private.
    pub security: Security,
    /// User and password, if it asks for them.
    pub login: Option<(String, String)>,
    /// A file with certificates to trust besides the public ones.
    pub ca_file: Option<PathBuf>,
    /// How long it may take for each answer.
    pub timeout: Duration,
}

/// How a connection to a mail server is kept private.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// TLS from the first byte.
    Tls,
    /// TLS after a greeting, or nothing is sent.
    StartTls,
    /// Not at all.
    None,
}

impl Security {
    const fn usual_port(self) -> u16 {
        match self {
            Self::Tls => 465,
            Self::StartTls => 587,
            Self::None => 25,
        }
    }
}

/// A setting with which no letter can be sent.
#[derive(Debug, Error)]
#[error("setting \"{setting}\": {why}")]
pub struct PostFault {
    setting: &'static str,
    why: String,
}

/// Everything needed to send letters.
pub struct Post {
    from: Mailbox,
    route: Route,
}

enum Route {
    Off,
    File(PathBuf),
    Smtp(Box<MailServer>),
}

impl Post {
    /// Checks the settings; reads the file with certificates, but talks to no server yet.
    pub fn new(settings: PostSettings) -> Result<Self, PostFault> {
        let from = settings.from.parse().map_err(|_| PostFault {
            setting: "mail.from",
            why: format!("\"{}\" is neither an address nor \"Name <address>\"", settings.from),
        })?;
        let route = match settings.way {
            Way::Off => Route::Off,
            Way::File(folder) => Route::File(folder),
            Way::Smtp(server) => Route::Smtp(Box::new(MailServer::new(server)?)),
        };
        Ok(Self { from, route })
    }

    /// Whether letters are sent at all.
    pub(super) fn is_off(&self) -> bool {
        matches!(self.route, Route::Off)
    }

    /// A round of sending, over one connection as long as it holds.
    pub(super) fn round(&self) -> Round<'_> {
        Round { post: self, connection: None }
    }

    fn message(&self, letter: &Letter) -> Result<Message, Failure> {
        let refuse = |why: String| Failure::new(Blame::Refused, &why);
        let to = reader(&letter.to).ok_or_else(|| refuse("its reader has no e-mail address".to_owned()))?;
        let envelope = Envelope::new(Some(self.from.email.clone()), vec![to.clone()]);
        let message = Message::builder()
            .envelope(envelope.map_err(|error| refuse(error.to_string()))?)
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(&letter.subject)
            .date(UNIX_EPOCH + Duration::from_millis(letter.written_at.millis()))
            .message_id(Some(format!("<{}>", letter.message_id)))
            .raw_header(by_machine());
        let parts = MultiPart::builder().kind(MultiPartKind::Alternative).boundary(BOUNDARY);
        let parts = parts.singlepart(part(ContentType::TEXT_PLAIN, &letter.text)?);
        let parts = match letter.html.as_str() {
            "" => parts,
            html => parts.singlepart(part(ContentType::TEXT_HTML, html)?),
        };
        message.multipart(parts).map_err(|error| refuse(error.to_string()))
    }
}

/// An address as mail servers know it. Its domain is sent in ASCII, as most servers take no other. Lettre's
/// own rule is narrower than ours, which is that of SMTP.
fn reader(to: &str) -> Option<Address> {
    let email = Email::parse(to).ok()?;
    let (local, domain) = email.as_str().rsplit_once('@')?;
    let domain =
        if domain.is_ascii() { domain.to_owned() } else { idna::domain_to_ascii_strict(domain).ok()? };
    Some(Address::new_dangerous(local, domain))
}

/// Keeps programs that answer mails by themselves from doing so.
fn by_machine() -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned())
}

fn part(kind: ContentType, text: &str) -> Result<SinglePart, Failure> {
    let body = Body::new_with_encoding(text.to_owned(), ContentTransferEncoding::QuotedPrintable);
    let body = body.map_err(|_| Failure::new(Blame::Refused, "the text cannot be encoded"))?;
    Ok(SinglePart::builder().header(kind).body(body))
}

/// Whose fault it is that a letter was not sent, and so what is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blame {
    /// This letter will never be taken.
    Refused,
    /// This letter is not taken now; others may be.
    Deferred,
    /// The server fell silent over this letter; with others it may go better, or not.
    Silent,
    /// There is no server, so no letter can be sent.
    Unreachable,
    /// There is a server, and it takes nothing from us.
    Unwilling,
}

/// Why a letter was not sent.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) blame: Blame,
    /// What the server said, or was done instead: for owners' eyes, as it may name people.
    pub(super) answer: String,
    /// The number it said it with.
    pub(super) status: Option<u16>,
    /// Whose words the answer has.
    pub(super) wording: Wording,
}

/// Whose words something is told in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wording {
    /// Ours and the system's: fit for the log.
    Ours,
    /// A stranger's.
    Theirs,
}

impl Failure {
    /// A failure in our words.
    fn new(blame: Blame, why: &str) -> Self {
        Self { wording: Wording::Ours, ..Self::quoting(blame, None, why) }
    }

    /// A failure in words that the server may have chosen.
    fn quoting(blame: Blame, status: Option<u16>, answer: &str) -> Self {
        let plain = answer.trim_end().chars().map(|c| if c.is_control() { ' ' } else { c });
        Self { blame, answer: plain.take(LONGEST_KEPT).collect(), status, wording: Wording::Theirs }
    }
}

/// One round of sending.
pub(super) struct Round<'a> {
    post: &'a Post,
    connection: Option<Connection>,
}

impl Round<'_> {
    /// Sends a letter. When this returns `Ok`, somebody else has it safely.
    pub(super) fn send(&mut self, letter: &Letter) -> Result<(), Failure> {
        let message = self.post.message(letter)?;
        match &self.post.route {
            Route::Off => Err(Failure::new(Blame::Unwilling, "mail.transport is off")),
            Route::File(folder) => write(folder, &file_name(&letter.message_id), &message.formatted())
                .map_err(|error| Failure::new(Blame::Unreachable, &format!("{}: {error}", folder.display()))),
            Route::Smtp(server) => self.hand_over(server, message.envelope(), &message.formatted()),
        }
    }

    fn hand_over(&mut self, server: &MailServer, envelope: &Envelope, letter: &[u8]) -> Result<(), Failure> {
        // Many servers end a connection after some letters.
        let held = self.connection.take().and_then(|mut held| held.holds().then_some(held));
        let mut connection = match held {
            Some(connection) => connection,
            None => server.connect()?,
        };
        connection.send(envelope, letter)?;
        self.connection = Some(connection);
        Ok(())
    }
}

impl Drop for Round<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.quit();
        }
    }
}

/// The name of a letter's file: the same for the same letter, whatever its id is made of.
fn file_name(message_id: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || "._@-".contains(c) { c } else { '_' };
    let name: String = message_id.chars().take(LONGEST_NAME).map(safe).collect();
    format!("{}.eml", name.trim_start_matches('.'))
}

/// Writes a file, and its folder where that is missing.
fn write(folder: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    files::make_folder(folder)?;
    files::write(&folder.join(name), content)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may")]
mod tests {
    use super::*;
    use crate::domain::Timestamp;

    fn letter() -> Letter {
        Letter {
            to: "ann@acme.test".to_owned(),
            subject: "Grüße".to_owned(),
            text: "Ünïcode\n--=_intake_letter--\n.\n".to_owned(),
            html: "<p>Ünïcode</p>".to_owned(),
            message_id: "job_1.0@users.acme.test".to_owned(),
            written_at: Timestamp::from_millis(1_520_242_272_481),
        }
    }

    fn post() -> Post {
        Post::new(PostSettings { from: "Importe <intake@acme.test>".to_owned(), way: Way::Off }).unwrap()
    }

    #[test]
    fn a_letter_always_makes_the_same_bytes() {
        let message = String::from_utf8(post().message(&letter()).unwrap().formatted()).unwrap();
        insta::assert_snapshot!(message.replace('\r', ""), @r#"
        From: Importe <intake@acme.test>
        To: ann@acme.test
        Subject: =?utf-8?b?R3LDvMOfZQ==?=
        Date: Mon, 05 Mar 2018 09:31:12 +0000
        Message-ID: <job_1.0@users.acme.test>
        Auto-Submitted: auto-generated
        MIME-Version: 1.0
        Content-Type: multipart/alternative; boundary="=_intake_letter"

        --=_intake_letter
        Content-Type: text/plain; charset=utf-8
        Content-Transfer-Encoding: quoted-printable

        =C3=9Cn=C3=AFcode
        --=3D_intake_letter--
        .

        --=_intake_letter
        Content-Type: text/html; charset=utf-8
        Content-Transfer-Encoding: quoted-printable

        <p>=C3=9Cn=C3=AFcode</p>
        --=_intake_letter--
        "#);
        let again = post().message(&letter()).unwrap().formatted();
        assert!(message.as_bytes() == again && message.lines().count() == message.matches("\r\n").count());
    }

    #[test]
    fn every_address_of_ours_can_be_written_to() {
        let check = |to: &str, expected: Option<&str>| {
            let to = Letter { to: to.to_owned(), ..letter() };
            let message = post().message(&to);
            let reader = message.as_ref().ok().map(|message| message.envelope().to()[0].to_string());
            assert_eq!(reader.as_deref(), expected, "{to:?}");
        };
        check("ann@localhost", Some("ann@localhost"));
        check("a.b+c!#$%&'*/=?^_`{|}~-@x.y", Some("a.b+c!#$%&'*/=?^_`{|}~-@x.y"));
        check(r#""a@b\" ..(,>"@x.y"#, Some(r#""a@b\" ..(,>"@x.y"#));
        check("ann@[ipv6:2001:db8::1]", Some("ann@[ipv6:2001:db8::1]"));
        check("jürgen@müller.example", Some("jürgen@xn--mller-kva.example"));
        for wrong in ["ann", "Ann <ann@acme.test>", "a@x.test, b@x.test", "a@x.test\r\nBcc: b@x.test", ""] {
            check(wrong, None);
        }
    }

    #[test]
    fn a_file_is_named_by_its_letter_and_stays_in_its_folder() {
        assert_eq!(file_name("job_1.0@users.acme.test"), "job_1.0@users.acme.test.eml");
        assert_eq!(file_name("../../etc/passwd"), "_.._etc_passwd.eml");
        assert_eq!(file_name("k@[::1]"), "k@___1_.eml");
        assert_eq!(file_name(&"x".repeat(300)).len(), LONGEST_NAME + 4);
    }
}
