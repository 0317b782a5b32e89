//! Where a server is, told to the commands that are given the same data directory.
//!
//! A full disk keeps no server from running: nobody is told then, until there is room.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::files::remove;
use crate::store;

/// While a server that was announced runs, this file in the data directory says where.
const ADDRESS_FILE: &str = "server.json";
/// Pause before it is seen whether there is room for it.
const RETRY: Duration = Duration::from_secs(1);

/// Where a running server is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Address {
    /// The URL clients reach it by, which its tokens name.
    pub public_url: String,
    /// The plain one on this machine.
    pub local_url: String,
    /// The one with TLS on this machine, if there is TLS.
    #[serde(default)]
    pub local_https_url: Option<String>,
}

impl Address {
    /// Host and port of the public URL, which is what the constructors of SDKs take.
    pub fn domain(&self) -> &str {
        let place = self.public_url.split_once("://").map_or(&*self.public_url, |(_, place)| place);
        place.split('/').next().unwrap_or(place)
    }

    /// Announces the server that is there; `false` if there is no room for it.
    pub(super) fn announce(&self, directory: &Path) -> io::Result<bool> {
        match fs::write(directory.join(ADDRESS_FILE), serde_json::to_vec(self)?) {
            Err(error) if store::is_full(&error) => forget(directory).map(|()| false),
            written => written.map(|()| true),
        }
    }

    /// Announces it as soon as there is room, if there ever is; `false` if `stop` was ready before that.
    pub(super) async fn announce_late(&self, directory: &Path, stop: &mut oneshot::Receiver<()>) -> bool {
        while timeout(RETRY, &mut *stop).await.is_err() {
            match self.announce(directory) {
                Ok(false) => {}
                Ok(true) => {
                    tracing::info!("commands on this machine find this server now");
                    return true;
                }
                Err(error) => {
                    tracing::error!("commands on this machine will not find this server: {error}");
                    return true;
                }
            }
        }
        false
    }
}

/// Removes what a server announced, if one did.
pub(super) fn forget(directory: &Path) -> io::Result<()> {
    remove(&directory.join(ADDRESS_FILE))
}

/// Where the server is that has this data directory open, if one has and has announced it.
pub fn running(directory: &Path) -> Option<Address> {
    if !store::is_locked(directory) {
        return None;
    }
    serde_json::from_slice(&fs::read(directory.join(ADDRESS_FILE)).ok()?).ok()
}
