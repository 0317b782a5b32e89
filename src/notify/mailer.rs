//! Takes letters out of the outbox, and sends them: one thread, one letter after the other.
//!
//! A letter leaves the outbox only once somebody else has it: if the process dies in between, it is sent
//! twice with the same `Message-ID`, never not at all. What is to become of a letter that was not taken is
//! kept in the store; that the server as a whole is out of reach, in memory.
//!
//! **Invariants**
//! - While no server can be reached, or it takes nothing from us, one letter at a time is tried, whatever
//!   the number of those that wait.
//! - The log says which letter (its number in the outbox), never for whom or what is in it, nor what a mail
//!   server said but for its number.
//! - While a letter is on its way, the store is not held: it can be closed without waiting for a mail server.
//! - Pauses are measured by the clock that nobody can set: a letter never waits because the time of day was.

#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;

use super::post::{Blame, Failure, Post, Wording};
use crate::domain::{Event, EventType, Fate, Owed, Posted, Timestamp};
use crate::store::{Bell, OutboxMark, Store, StoreError};

/// Pause after a fault of the store, before it is asked again.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a letter in hand may take when the server is to stop.
const GRACE: Duration = Duration::from_secs(3);
/// Longest pause while there is nobody to disturb by trying.
const LONGEST_UNREACHED: Duration = Duration::from_mins(1);
/// How long at most until the outbox is looked through again without a reason.
const LONGEST_UNSEEN: Duration = Duration::from_hours(24);

/// How long to wait for what.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Pause after the first try that failed; it doubles with every further one.
    pub retry_first: Duration,
    /// Longest pause.
    pub retry_longest: Duration,
    /// Age at which a letter that is not taken is given up.
    pub give_up_after: Duration,
}

impl Patience {
    /// The pause after so many failures in a row.
    fn pause(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        self.retry_first.saturating_mul(1 << doublings).min(self.retry_longest)
    }
}

/// The thread that sends letters.
pub struct Mailer {
    stopping: Arc<AtomicBool>,
    bell: Arc<Bell>,
    /// With the thread comes what hangs up when it ends.
    thread: Mutex<Option<(JoinHandle<()>, Receiver<()>)>>,
}

impl Mailer {
    /// Starts the thread; it begins with what an earlier process left. There is none if mail is off:
    /// letters from before that wait until it is on again.
    pub fn start(store: &Arc<Store>, post: Post, patience: Patience) -> io::Result<Self> {
        let stopping = Arc::new(AtomicBool::new(false));
        let bell = store.bell().clone();
        let is_off = post.is_off();
        let (alive, ended) = channel::<()>();
        let mut rounds = Rounds {
            store: Arc::downgrade(store),
            bell: bell.clone(),
            stopping: stopping.clone(),
            patience,
            rest: None,
            seen: None,
        };
        let work = move || {
            rounds.run(&post);
            drop(alive);
        };
        let spawn = || thread::Builder::new().name("mailer".to_owned()).spawn(work);
        let thread = if is_off { None } else { Some((spawn()?, ended)) };
        Ok(Self { stopping, bell, thread: Mutex::new(thread) })
    }

    /// Lets the letter in hand go, and ends the thread. A server that takes too long for that gets the
    /// letter again at the next start.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.bell.ring();
        let Some((thread, ended)) = self.thread.lock().take() else { return };
        if ended.recv_timeout(GRACE) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!("the mail server is slow; the letter in hand is sent again at the next start");
        } else if thread.join().is_err() {
            tracing::error!("the mailer ended by a panic");
        }
    }
}

impl Drop for Mailer {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for Mailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailer").finish_non_exhaustive()
    }
}

/// A time in which the server is left alone.
#[derive(Debug, Clone, Copy)]
struct Rest {
    failures: u32,
    until: Instant,
    /// How often letters were put forward by then; one more ends it.
    put_forward: u64,
}

/// What is known of the outbox: as long as it is as it was, there is nothing to do before `next`.
#[derive(Debug, Clone, Copy)]
struct Seen {
    mark: OutboxMark,
    next: Instant,
}

struct Rounds {
    store: Weak<Store>,
    bell: Arc<Bell>,
    stopping: Arc<AtomicBool>,
    patience: Patience,
    rest: Option<Rest>,
    seen: Option<Seen>,
}

/// Why a round was cut short.
enum Cut {
    /// The store is closed: it is over.
    Closed,
    /// The store cannot be asked.
    Fault(StoreError),
}

impl From<StoreError> for Cut {
    fn from(fault: StoreError) -> Self {
        Self::Fault(fault)
    }
}

impl Rounds {
    fn run(&mut self, post: &Post) {
        loop {
            let heard = self.bell.rings();
            if self.is_stopping() {
                return;
            }
            let pause = match catch_unwind(AssertUnwindSafe(|| self.round(post))) {
                Ok(Ok(pause)) => pause,
                Ok(Err(Cut::Closed)) => return,
                // Somebody else reopens it, or has said that the disk is full.
                Ok(Err(Cut::Fault(StoreError::Unavailable | StoreError::NoRoom(_)))) => PAUSE,
                Ok(Err(Cut::Fault(fault))) => {
                    tracing::error!("letters wait, as the outbox cannot be read: {fault}");
                    PAUSE
                }
                Err(_) => {
                    tracing::error!("the mailer panicked, which is a bug; it goes on in a minute");
                    LONGEST_UNREACHED
                }
            };
            self.bell.wait(heard, pause);
        }
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    fn store(&self) -> Result<Arc<Store>, Cut> {
        self.store.upgrade().ok_or(Cut::Closed)
    }

    /// Sends what is due; tells how long there is nothing more to do, unless the bell rings.
    fn round(&mut self, post: &Post) -> Result<Duration, Cut> {
        let mark = self.store()?.outbox_mark()?;
        let tick = Instant::now();
        // The bell rings for others, too.
        if let Some(seen) = self.seen.filter(|seen| seen.mark == mark && tick < seen.next) {
            return Ok(seen.next - tick);
        }
        // To look for letters takes long when there are many.
        let resting = self.rest.filter(|rest| tick < rest.until && rest.put_forward == mark.put_forward);
        if let Some(rest) = resting {
            return Ok(rest.until - tick);
        }
        let now = now();
        let due = self.store()?.due_letters(now, self.patience.retry_longest)?;
        if due.numbers.is_empty() {
            let wait = due.next.map_or(LONGEST_UNSEEN, |next| next.since(now).min(LONGEST_UNSEEN));
            self.seen = Some(Seen { mark, next: tick + wait });
            return Ok(wait);
        }
        self.seen = None;
        self.send(post, &due.numbers, mark)?;
        Ok(Duration::ZERO)
    }

    fn send(&mut self, post: &Post, numbers: &[u64], mark: OutboxMark) -> Result<(), Cut> {
        let mut round = post.round();
        for (at, number) in numbers.iter().enumerate() {
            if self.is_stopping() {
                return Ok(());
            }
            // Somebody may have dropped it meanwhile.
            let Some(posted) = self.store()?.letter(*number)? else { continue };
            // A letter whose sending cannot be written down would be sent again and again.
            self.store()?.check_room()?;
            match round.send(&posted.letter) {
                Ok(()) => {
                    self.store()?.letter_sent(*number)?;
                    if self.rest.take().is_some() {
                        tracing::info!("letters can be sent again");
                    }
                    tracing::debug!("letter {number} was sent");
                }
                Err(failure) => {
                    self.note(&posted, &failure, mark)?;
                    if self.rest.is_some_and(|rest| Instant::now() < rest.until) {
                        return self.give_up_old(&numbers[at + 1..], &failure);
                    }
                }
            }
        }
        Ok(())
    }

    /// Writes down what is to become of a letter that was not taken.
    fn note(&mut self, posted: &Posted, failure: &Failure, mark: OutboxMark) -> Result<(), Cut> {
        let number = posted.number;
        let own = self.patience.pause(posted.attempts.saturating_add(1));
        let pause = match failure.blame {
            Blame::Refused => {
                tracing::warn!(
                    "letter {number} was refused for good ({}); the outbox says more",
                    said(failure)
                );
                return self.give_up(posted, failure);
            }
            Blame::Deferred => own,
            Blame::Silent => {
                self.begin_rest(failure, LONGEST_UNREACHED, mark);
                own
            }
            Blame::Unreachable => self.begin_rest(failure, LONGEST_UNREACHED, mark),
            Blame::Unwilling => self.begin_rest(failure, Duration::MAX, mark),
        };
        if self.is_old(posted) {
            tracing::warn!("letter {number} was given up: it could not be sent for too long");
            return self.give_up(posted, failure);
        }
        tracing::debug!("letter {number} was not taken ({}), it is tried again", said(failure));
        let fate = Fate::Due(now().after(pause));
        Ok(self.store()?.letter_not_sent(number, &failure.answer, fate, Owed::nothing())?)
    }

    /// Leaves the server alone for a while, longer each time; tells how long.
    fn begin_rest(&mut self, failure: &Failure, longest: Duration, mark: OutboxMark) -> Duration {
        let failures = self.rest.map_or(1, |rest| rest.failures.saturating_add(1));
        if failures == 1 {
            tracing::warn!("letters wait, as none can be sent ({})", said(failure));
        }
        let pause = self.patience.pause(failures).min(longest);
        self.rest = Some(Rest { failures, until: Instant::now() + pause, put_forward: mark.put_forward });
        pause
    }

    fn is_old(&self, posted: &Posted) -> bool {
        self.patience.give_up_after <= now().since(posted.letter.written_at)
    }

    /// Gives up those that are too old already, as they cannot be tried one by one.
    fn give_up_old(&self, numbers: &[u64], failure: &Failure) -> Result<(), Cut> {
        for number in numbers {
            let posted = self.store()?.letter(*number)?;
            if let Some(posted) = posted.filter(|posted| self.is_old(posted)) {
                tracing::warn!("letter {number} was given up: none could be sent for too long");
                self.give_up(&posted, failure)?;
            }
        }
        Ok(())
    }

    fn give_up(&self, posted: &Posted, failure: &Failure) -> Result<(), Cut> {
        let at = now();
        let event = Event::new(at, EventType::MailNotSent, EventType::MailNotSent.meaning())
            .with("outbox_id", posted.number.to_string())
            .with("message_id", posted.letter.message_id.as_str())
            .with("subject", posted.letter.subject.as_str())
            .with("attempts", posted.attempts.saturating_add(1))
            .with("last_answer", failure.answer.as_str());
        let fate = Fate::GivenUp(at);
        Ok(self.store()?.letter_not_sent(posted.number, &failure.answer, fate, event.into())?)
    }
}

/// A failure for the log: without the server's words, as they may name people.
fn said(failure: &Failure) -> String {
    match (failure.status, failure.wording, failure.blame) {
        (Some(status), _, _) => format!("the mail server said {status}"),
        (None, Wording::Theirs, _) => "the mail server said what is no answer; the outbox has it".to_owned(),
        (None, Wording::Ours, Blame::Unreachable | Blame::Unwilling) => failure.answer.clone(),
        (None, Wording::Ours, Blame::Silent) => format!("no answer to a letter: {}", failure.answer),
        (None, Wording::Ours, Blame::Refused | Blame::Deferred) => "it cannot be put into a mail".to_owned(),
    }
}

/// Where the time of day enters.
fn now() -> Timestamp {
    SystemTime::now().into()
}
