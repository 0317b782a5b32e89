//! SIGHUP: the certificate and key of https are read again.

use std::io;

use actix_web::rt::signal::unix::{SignalKind, signal};
use actix_web::{rt, web};
use tracing::{error, info};

use crate::tls::Certificates;

/// Reads the certificates again at each SIGHUP from now on, for as long as the server runs.
pub(super) fn on_hangup(certificates: Certificates) -> io::Result<()> {
    let mut hangups = signal(SignalKind::hangup())?;
    rt::spawn(async move {
        while hangups.recv().await.is_some() {
            let certificates = certificates.clone();
            match web::block(move || certificates.reload()).await {
                Ok(Ok(())) => info!("the TLS certificate was read again"),
                Ok(Err(fault)) => error!("the TLS certificate before stays in use: {fault}"),
                Err(_) => error!("the TLS certificate before stays in use: reading it again panicked"),
            }
        }
    });
    Ok(())
}
