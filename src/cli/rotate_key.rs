//! `intake rotate-key`: a new signing key in the data directory, and the wait until its server uses it.

use std::thread;
use std::time::{Duration, Instant};

use super::client::Client;
use super::owner::work_for_owner_of;
use super::said::{self, notice};
use super::serve::start_quiet_log;
use super::{Exit, Problem, RotateKey};
use crate::app;

/// How long a server may take to use the new key.
const PATIENCE: Duration = Duration::from_secs(10);
/// Pause before it is asked again.
const PAUSE: Duration = Duration::from_millis(50);

impl RotateKey {
    pub(super) fn run(self) -> Result<Exit, Problem> {
        let settings = self.config.load()?;
        start_quiet_log(&settings.log);
        let directory = &settings.storage.path;
        if !directory.is_dir() {
            return Err(Problem::new(format!("there is no data directory {}", directory.display())));
        }
        work_for_owner_of(directory);
        let overlap = if self.now { Some(Duration::ZERO) } else { self.overlap };
        let made = app::rotate_key(&settings, overlap)?;
        // Whatever becomes of the words, the server has the key first.
        let address = app::running(directory);
        let used = address.as_ref().map_or(Ok(()), |address| wait_for(&address.local_url, &made.id));
        said::result(&made.id)?;
        notice(format_args!("new tokens are signed with that key ({})", made.algorithm));
        match made.overlap_ends {
            Some(end) => {
                notice(format_args!(
                    "  tokens of the old key stay good until they expire, {end} at the latest"
                ));
            }
            None => notice(format_args!("  all that was signed before is refused")),
        }
        used?;
        if let Some(address) = address {
            notice(format_args!("  the server at {} uses it", address.local_url));
        }
        Ok(Exit::Done)
    }
}

/// Waits until the server has this key.
fn wait_for(url: &str, id: &str) -> Result<(), Problem> {
    let client = Client::here(url, "");
    let deadline = Instant::now() + PATIENCE;
    while client.key_ids()?.iter().all(|one| one != id) {
        if deadline <= Instant::now() {
            return Err(Problem::new(format!(
                "the server at {url} does not use the new key: its log says why; restart it"
            )));
        }
        thread::sleep(PAUSE);
    }
    Ok(())
}
