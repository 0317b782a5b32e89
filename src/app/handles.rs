//! Handles of the operating system: as many as may be had, and no more connections than there are handles for.

use rustix::process::{Resource, getrlimit, setrlimit};
use tracing::{debug, warn};

use crate::config::Limits;

/// Handles for all that is no connection and no upload: the database, exports, letters, events, the log.
const OTHERS: u64 = 256;
/// Connections that there are in any case.
const FEWEST: u64 = 16;

/// How many connections there can be, once the process may have as many handles as the system lets it.
pub(super) fn connections(limits: &Limits) -> usize {
    let handles = raise();
    let (wanted, uploads) = (limits.max_connections as u64, limits.max_uploads as u64);
    let room = room(handles, wanted, uploads);
    if room < wanted {
        warn!(
            "{handles} handles are enough for {room} connections only, not the {wanted} of limits.max_connections: \
             raise the limit of open files (ulimit -n, LimitNOFILE=) to {}",
            wanted.saturating_add(uploads.min(wanted)).saturating_add(OTHERS)
        );
    }
    usize::try_from(room).unwrap_or(usize::MAX)
}

/// Connections for which there are handles. An upload is a connection with a file.
fn room(handles: u64, wanted: u64, uploads: u64) -> u64 {
    let free = handles.saturating_sub(OTHERS);
    let room = if free / 2 <= uploads { free / 2 } else { free - uploads };
    room.max(FEWEST).min(wanted)
}

/// Takes what can be had; how many handles that is.
fn raise() -> u64 {
    let mut limit = getrlimit(Resource::Nofile);
    let soft = limit.current;
    limit.current = limit.maximum;
    if soft != limit.maximum
        && let Err(error) = setrlimit(Resource::Nofile, limit)
    {
        debug!("the limit of open files stays as it is: {error}");
        return soft.unwrap_or(u64::MAX);
    }
    limit.maximum.unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::room;

    #[test]
    fn each_connection_has_a_handle_and_each_upload_another_one() {
        assert_eq!(room(u64::MAX, 4096, 1000), 4096);
        assert_eq!(room(4096 + 1000 + 256, 4096, 1000), 4096);
        assert_eq!(room(4096 + 1000 + 255, 4096, 1000), 4095);
        assert_eq!(room(1024, 4096, 1000), 384);
        assert_eq!(room(1024, 4096, 100), 668);
        assert_eq!(room(0, 4096, 1000), 16);
        assert_eq!(room(0, 5, 1000), 5);
    }
}
