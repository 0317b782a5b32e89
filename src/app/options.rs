//! What each room needs to know of the settings, in its own terms.

use std::num::NonZeroU32;
use std::path::PathBuf;

use super::Address;
use crate::config::{ByteSize, Mail, MailTransport, Settings, SmtpSecurity};
use crate::http;
use crate::import::Limits;
use crate::login;
use crate::notify::letters::Desk;
use crate::notify::mailer::Patience;
use crate::notify::post::{PostSettings, Security, SmtpSettings, Way};
use crate::notify::streams::{self, Targets};
use crate::store;
use crate::upkeep::Keep;

/// Where letters go that are to be files, in the data directory.
const MAIL_FOLDER: &str = "mail";

/// The rules for rows that can be set.
pub fn limits(settings: &Settings) -> Limits {
    let bytes = settings.import.max_metadata_size.bytes();
    let max_metadata_bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    Limits { max_metadata_bytes, schema: settings.import.schema }
}

/// What all letters have in common.
pub(super) fn desk(settings: &Settings, address: &Address) -> Desk {
    Desk {
        tenant: settings.tenant.name.as_str().to_owned(),
        public_url: address.public_url.clone(),
        owners: each_once(settings.tenant.owners.iter().map(|owner| owner.0.as_str())),
        writes: settings.mail.transport != MailTransport::Off,
    }
}

/// How users sign in.
pub(super) fn logins(settings: &Settings) -> login::Rules {
    let login = &settings.login;
    login::Rules {
        default_connection: login.default_connection.clone(),
        explain_password_change: login.explain_password_change,
        max_failures: login.max_failures.get(),
        max_address_failures: login.max_address_failures.get(),
        block_for: login.block_for,
        reset_mail_pause: login.reset_mail_pause,
        reset_link_lifetime: login.reset_link_lifetime,
        verification_link_lifetime: login.verification_link_lifetime,
    }
}

/// Where letters go, if they are to be files.
pub(super) fn mail_folder(settings: &Settings) -> Option<PathBuf> {
    (settings.mail.transport == MailTransport::File).then(|| settings.storage.path.join(MAIL_FOLDER))
}

/// How letters are sent.
pub(super) fn post(settings: &Settings) -> PostSettings {
    let mail = &settings.mail;
    let way = match mail.transport {
        MailTransport::Off => Way::Off,
        MailTransport::File => Way::File(settings.storage.path.join(MAIL_FOLDER)),
        MailTransport::Smtp => Way::Smtp(SmtpSettings {
            host: mail.smtp_host.clone(),
            port: mail.port(),
            security: match mail.smtp_security {
                SmtpSecurity::Tls => Security::Tls,
                SmtpSecurity::StartTls => Security::StartTls,
                SmtpSecurity::None => Security::None,
            },
            login: (!mail.smtp_user.is_empty())
                .then(|| (mail.smtp_user.clone(), mail.smtp_password.expose().to_owned())),
            ca_file: Some(mail.smtp_ca_file.clone()).filter(|path| !path.as_os_str().is_empty()),
            timeout: mail.timeout,
        }),
    };
    PostSettings { from: mail.from.as_str().to_owned(), way }
}

/// How long the mailer keeps trying.
pub(super) fn patience(settings: &Settings) -> Patience {
    let Mail { retry_first, retry_longest, give_up_after, .. } = settings.mail;
    Patience { retry_first, retry_longest, give_up_after }
}

/// Whose pages may use the API.
pub(super) fn cors_origins(settings: &Settings) -> Vec<String> {
    settings.server.cors_origins.iter().map(|origin| origin.as_str().to_owned()).collect()
}

/// How many requests one client may make, if that is limited.
pub(super) fn rate_limit(settings: &Settings) -> Option<http::RateLimit> {
    let positive = |number: usize| NonZeroU32::new(u32::try_from(number).ok()?);
    let limit = settings.rate_limit;
    Some(http::RateLimit { per_second: positive(limit.requests_per_second)?, burst: positive(limit.burst)? })
}

/// What clients may take, if there are handles for so many connections.
pub(super) fn bounds(settings: &Settings, max_connections: usize) -> http::Bounds {
    let limits = &settings.limits;
    let size = |size: ByteSize| usize::try_from(size.bytes()).unwrap_or(usize::MAX);
    http::Bounds {
        max_connections,
        max_uploads: limits.max_uploads,
        max_uri_size: size(limits.max_uri_size),
        max_headers: limits.max_headers,
        max_header_size: size(limits.max_header_size),
        header_timeout: limits.header_timeout,
        pace: http::Pace { pause: limits.max_pause, grace: limits.rate_grace, rate: limits.min_rate.bytes() },
        body_timeout: limits.body_timeout,
        max_body_size: limits.max_body_size.bytes(),
        max_parts: limits.max_parts,
        max_field_size: size(limits.max_field_size),
    }
}

/// How events are sent.
pub(super) fn streams(settings: &Settings) -> streams::Options {
    let webhooks = &settings.webhooks;
    streams::Options {
        targets: if webhooks.allow_private_targets { Targets::Any } else { Targets::Public },
        timeout: webhooks.timeout,
        retry_first: webhooks.retry_first,
        retry_longest: webhooks.retry_longest,
        suspend_after: webhooks.suspend_after,
        max_streams: webhooks.max_streams,
    }
}

/// How long things are kept.
pub(super) fn keep(settings: &Settings) -> Keep {
    let kept = &settings.retention;
    Keep {
        jobs: kept.jobs,
        logs: kept.logs,
        unsent_logs: kept.unsent_logs,
        letters: kept.letters,
        exports: kept.exports,
        check_every: kept.check_every,
        clock_patience: kept.clock_patience,
    }
}

/// What the store may take.
pub(super) fn store(settings: &Settings) -> store::Options {
    store::Options {
        path: settings.storage.path.clone(),
        cache_bytes: settings.storage.cache.bytes(),
        min_free_disk: settings.storage.min_free_disk.bytes(),
        reserve: settings.storage.reserve.bytes(),
        max_active_jobs: settings.import.active_jobs_limit(),
        open_timeout: settings.storage.open_timeout,
    }
}

/// The texts in their order, without those that came before.
fn each_once<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut seen = Vec::new();
    for text in texts {
        if !seen.iter().any(|one| one == text) {
            seen.push(text.to_owned());
        }
    }
    seen
}
