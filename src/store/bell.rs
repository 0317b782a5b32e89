//! A bell that threads wait for: it rings when the outbox, the tenant log or the garbage has grown.

use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// Counts its rings, so that one that came too early is not missed.
#[derive(Debug, Default)]
pub struct Bell {
    rings: Mutex<u64>,
    rung: Condvar,
}

impl Bell {
    /// Wakes everybody who waits.
    pub fn ring(&self) {
        *self.rings.lock() += 1;
        self.rung.notify_all();
    }

    /// Rings so far; what happens after this call is not missed by a wait that is given the number. So ask before
    /// looking at anything that is told by a ring, a request to stop among it.
    pub fn rings(&self) -> u64 {
        *self.rings.lock()
    }

    /// Waits until it has rung more often than `heard`, but not longer than `patience`.
    pub fn wait(&self, heard: u64, patience: Duration) {
        // A wait of years is cut to what the clock can name.
        let deadline = Instant::now() + patience.min(Duration::from_hours(24));
        let mut rings = self.rings.lock();
        while *rings == heard {
            if self.rung.wait_until(&mut rings, deadline).timed_out() {
                return;
            }
        }
    }
}
