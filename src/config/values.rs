//! The kinds of values that settings have, each with the one way to read it.

use std::fmt;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};
use url::Url;

use crate::domain::Email;

/// A text that is shown to nobody.
#[derive(Clone, PartialEq, Eq, Deserialize)]
pub struct Secret(pub(super) String);

impl Secret {
    /// Shortest secret taken. Only a plain hash of it is kept, which guards long ones only.
    pub const MIN_CHARS: usize = 16;

    /// The secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The only line of a file.
    pub(super) fn from_file(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self(text.trim_end_matches(['\r', '\n']).to_owned()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A text with something in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NonEmpty(pub(super) String);

impl NonEmpty {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NonEmpty {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.trim().is_empty() { Err("may not be empty") } else { Ok(Self(text.to_owned())) }
    }
}

/// An e-mail address of an owner.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Address(pub Email);

impl TryFrom<String> for Address {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        Email::parse(&text).map(Self).map_err(|fault| format!("\"{text}\" is no e-mail address: {fault}"))
    }
}

/// The URL clients use, or nothing if it follows from the bound address. No slash at its end.
#[derive(Default, Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl(Option<String>);

impl PublicUrl {
    /// The URL, if one is set.
    pub fn as_str(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// The URL of a server that listens at `address`.
    pub fn local(scheme: &str, address: SocketAddr) -> String {
        format!("{scheme}://{address}")
    }
}

impl FromStr for PublicUrl {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FAULT: &str = "expected an http:// or https:// URL without query or fragment";
        if text.is_empty() {
            return Ok(Self(None));
        }
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let authority = rest.and_then(|rest| rest.split('/').next()).ok_or(FAULT)?;
        let well_formed = text.bytes().all(|byte| byte.is_ascii_graphic())
            && !text.contains(['?', '#', '"', '<', '>', '\\', '{', '}', '|', '^', '`'])
            && is_authority(authority);
        if well_formed { Ok(Self(Some(text.trim_end_matches('/').to_owned()))) } else { Err(FAULT) }
    }
}

fn is_authority(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    !host.is_empty() && !host.contains('@') && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

/// The origin of web pages, written as browsers write it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct WebOrigin(String);

impl WebOrigin {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for WebOrigin {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let url = Url::parse(&text).ok().filter(|url| ["http", "https"].contains(&url.scheme()));
        match url.map(|url| url.origin().ascii_serialization()) {
            Some(written) if written == text => Ok(Self(text)),
            Some(written) => Err(format!("\"{text}\" is no origin; browsers would write {written}")),
            None => {
                Err(format!("\"{text}\" is no origin like https://app.example.com (and * is not allowed)"))
            }
        }
    }
}

/// A number of bytes; written `500KB` or plainly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

impl ByteSize {
    const UNITS: [(&'static str, u64); 7] = [
        ("KB", 1 << 10),
        ("MB", 1 << 20),
        ("GB", 1 << 30),
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("B", 1),
    ];

    /// The number.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for ByteSize {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unit = Self::UNITS
            .iter()
            .find_map(|(name, factor)| text.strip_suffix(name).map(|number| (number.trim_end(), *factor)));
        let (number, factor) = unit.unwrap_or((text, 1));
        let digits_only = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        let number = number.parse::<u64>().ok().filter(|_| digits_only);
        number
            .and_then(|number| number.checked_mul(factor))
            .map(Self)
            .ok_or("expected a size like 500KB, 64MB or a number of bytes")
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole_units = Self::UNITS[..3].iter().rev();
        let mut fitting = whole_units.filter(|(_, unit)| self.0 > 0 && self.0.is_multiple_of(*unit));
        match fitting.next() {
            Some((name, unit)) => write!(f, "{}{name}", self.0 / unit),
            None => write!(f, "{}B", self.0),
        }
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Size;
        impl Visitor<'_> for Size {
            type Value = ByteSize;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size like 500KB, or a number of bytes")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<ByteSize, E> {
                text.parse().map_err(E::custom)
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<ByteSize, E> {
                Ok(ByteSize(number))
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<ByteSize, E> {
                u64::try_from(number).map(ByteSize).map_err(|_| E::custom("may not be negative"))
            }
        }
        deserializer.deserialize_any(Size)
    }
}

/// Takes a text, not a number that could be made one, and parses it.
pub(super) fn text<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: FromStr<Err: fmt::Display>,
    D: Deserializer<'de>,
{
    struct Text<T>(PhantomData<T>);
    impl<T: FromStr<Err: fmt::Display>> Visitor<'_> for Text<T> {
        type Value = T;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a text")
        }
        fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
            text.parse().map_err(E::custom)
        }
    }
    deserializer.deserialize_any(Text(PhantomData))
}

/// Takes a whole number, not a text that could be read as one.
pub(super) fn whole<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: TryFrom<usize, Error: fmt::Display>,
    D: Deserializer<'de>,
{
    struct Whole<T>(PhantomData<T>);
    impl<T: TryFrom<usize, Error: fmt::Display>> Visitor<'_> for Whole<T> {
        type Value = T;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a whole number")
        }
        fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
            let number = usize::try_from(number).map_err(|_| E::custom("may not be negative"))?;
            T::try_from(number).map_err(|_| E::custom("must be at least 1"))
        }
    }
    deserializer.deserialize_any(Whole(PhantomData))
}

/// Takes a text like `24h`.
pub(super) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    struct Wait(Duration);
    impl FromStr for Wait {
        type Err = String;
        fn from_str(text: &str) -> Result<Self, String> {
            let parsed = humantime::parse_duration(text);
            parsed.map(Self).map_err(|_| "expected a duration like 30s, 10m or 24h".to_owned())
        }
    }
    text::<Wait, D>(deserializer).map(|wait| wait.0)
}

/// A setting that makes no sense, and why.
pub(super) type Fault = (&'static str, String);

/// The first rule that is not kept, of rules about settings: each with the setting's name, whether it is
/// kept, and its words.
pub(super) fn first_broken<const N: usize>(rules: [(&'static str, bool, &str); N]) -> Option<Fault> {
    let broken = rules.into_iter().find(|(_, is_kept, _)| !is_kept);
    broken.map(|(key, _, rule)| (key, rule.to_owned()))
}
