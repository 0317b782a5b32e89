//! Ctrl-C, SIGTERM and SIGHUP, from before anybody knows that the server is there; and SIGXFSZ, which would end it.

use std::{io, thread};

use futures_util::future::select_all;
use rustix::process::Signal;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot::{self, Receiver};

/// Who hears of a hangup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hangup {
    /// It stops the server, as nobody else wants to know of it.
    Stops,
    /// It is left to whoever renews the certificate.
    Renews,
}

/// Tells when the server is to stop. From now on these signals end nothing by themselves.
pub(super) fn stop(hangup: Hangup) -> io::Result<Receiver<()>> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let mut signals = {
        let _inside = runtime.enter();
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        kinds.into_iter().map(signal).collect::<io::Result<Vec<_>>>()?
    };
    if hangup == Hangup::Renews {
        // It is caught nevertheless, also before somebody is there to renew anything.
        signals.pop();
    }
    let (sender, receiver) = oneshot::channel();
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            let each = signals.into_iter().map(|mut one| Box::pin(async move { one.recv().await }));
            select_all(each).await;
        });
        // Nobody there any more has stopped already.
        let _ = sender.send(());
    })?;
    Ok(receiver)
}

/// From now on a write beyond the process's limit for files is an error like others; left alone, its signal would end
/// the process.
pub(super) fn outlive_file_limit() -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let _inside = runtime.enter();
    // Once caught, it stays so; there is nobody to be told of it.
    signal(SignalKind::from_raw(Signal::XFSZ.as_raw())).map(drop)
}
