//! Whose turn it is.

use std::collections::{HashSet, VecDeque};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::Load;
use crate::domain::Ticket;

/// How long a thread without work sleeps before it looks after the store.
const NAP: Duration = Duration::from_secs(1);

/// Tickets in the order of their next turn. A bell makes it prompt, a nap makes it certain.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    bell: Condvar,
    /// Rings when it is time to stop.
    end: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Ticket>,
    /// Waiting or in a thread's hands.
    known: HashSet<Ticket>,
    /// Left by an earlier process, and not yet worked on by this one.
    left_over: HashSet<Ticket>,
    stopping: bool,
}

impl Queue {
    pub(super) fn new(left_over: Vec<Ticket>) -> Self {
        let set: HashSet<Ticket> = left_over.iter().copied().collect();
        let state = State { waiting: left_over.into(), known: set.clone(), left_over: set, stopping: false };
        Self { state: Mutex::new(state), bell: Condvar::new(), end: Condvar::new() }
    }

    /// Adds a job, unless it is here already.
    pub(super) fn submit(&self, ticket: Ticket) {
        let mut state = self.state.lock();
        if state.known.insert(ticket) {
            state.waiting.push_back(ticket);
            self.bell.notify_one();
        }
    }

    /// The next job; `None` when it is time to stop. `idle` is called now and then while none waits.
    pub(super) fn next(&self, idle: impl Fn()) -> Option<Ticket> {
        let mut state = self.state.lock();
        loop {
            if state.stopping {
                return None;
            }
            if let Some(ticket) = state.waiting.pop_front() {
                return Some(ticket);
            }
            if self.bell.wait_for(&mut state, NAP).timed_out() {
                drop(state);
                idle();
                state = self.state.lock();
            }
        }
    }

    /// Takes back a job after its turn.
    pub(super) fn give_back(&self, ticket: Ticket, ended: bool) {
        let mut state = self.state.lock();
        if ended {
            state.known.remove(&ticket);
        } else {
            state.waiting.push_back(ticket);
            self.bell.notify_one();
        }
    }

    /// Whether an earlier process left this job; true once for each.
    pub(super) fn is_left_over(&self, ticket: Ticket) -> bool {
        self.state.lock().left_over.remove(&ticket)
    }

    /// How many jobs wait for a turn, and how many are in a thread's hands.
    pub(super) fn load(&self) -> Load {
        let state = self.state.lock();
        let waiting = state.waiting.len();
        Load { waiting, running: state.known.len().saturating_sub(waiting) }
    }

    /// Whether somebody waits for a turn.
    pub(super) fn is_wanted(&self) -> bool {
        !self.state.lock().waiting.is_empty()
    }

    /// Waits for so long, or until it is time to stop.
    pub(super) fn rest(&self, pause: Duration) {
        let deadline = Instant::now() + pause;
        let mut state = self.state.lock();
        while !state.stopping && !self.end.wait_until(&mut state, deadline).timed_out() {}
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.state.lock().stopping
    }

    pub(super) fn stop(&self) {
        self.state.lock().stopping = true;
        self.bell.notify_all();
        self.end.notify_all();
    }
}
