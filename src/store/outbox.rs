//! The outbox: letters that are owed, until they are sent or given up.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Store;
use super::commit::Core;
use super::database::Change;
use super::error::Result;
use super::keys::LETTERS;
use crate::domain::{Fate, Owed, Posted, Timestamp};

/// Some letters out of many.
#[derive(Debug)]
pub struct LetterPage {
    /// The letters asked for.
    pub letters: Vec<Posted>,
    /// How many there are in all, if that was asked.
    pub total: Option<usize>,
}

/// The letters that are to be sent now.
#[derive(Debug)]
pub struct DueLetters {
    /// Their numbers; who waits longest comes first.
    pub numbers: Vec<u64>,
    /// When the next one is due, if one waits.
    pub next: Option<Timestamp>,
}

/// A state of the outbox: as long as it is the same, no letter has come, and none was put forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutboxMark {
    next_number: u64,
    /// How often letters were put forward since the store was opened.
    pub put_forward: u64,
}

impl Store {
    /// What tells whether there is more to send than before; costs nothing.
    pub fn outbox_mark(&self) -> Result<OutboxMark> {
        let put_forward = self.put_forward.load(Ordering::SeqCst);
        Ok(OutboxMark { next_number: self.core()?.told().next_number, put_forward })
    }

    /// The letters that are due. No pause is longer than `longest`: a letter that is due later than that was
    /// written before the clock was set back.
    pub fn due_letters(&self, now: Timestamp, longest: Duration) -> Result<DueLetters> {
        let core = self.core()?;
        let end = core.told().next_number;
        let mut due = Vec::new();
        let mut next: Option<Timestamp> = None;
        for letter in LETTERS.values(core.database.tree()) {
            let letter = letter?;
            match letter.fate {
                Fate::Due(at) if letter.number < end && (at <= now || now.after(longest) < at) => {
                    due.push((at, letter.number));
                }
                Fate::Due(at) if letter.number < end => next = Some(next.map_or(at, |next| next.min(at))),
                Fate::Due(_) | Fate::GivenUp(_) => {}
            }
        }
        due.sort_unstable();
        Ok(DueLetters { numbers: due.into_iter().map(|(_, number)| number).collect(), next })
    }

    /// All letters that are not sent, oldest first.
    pub fn letters(&self) -> Result<Vec<Posted>> {
        let core = self.core()?;
        let end = core.told().next_number;
        let letters = LETTERS.values(core.database.tree());
        letters.filter(|letter| letter.as_ref().map_or(true, |letter| letter.number < end)).collect()
    }

    /// Letters that are not sent, newest first; `counted` also tells how many there are.
    pub fn newest_letters(&self, skip: usize, take: usize, counted: bool) -> Result<LetterPage> {
        let core = self.core()?;
        let numbers = || LETTERS.numbers_below(core.database.tree(), core.told().next_number);
        let mut letters = Vec::new();
        for number in numbers().rev().skip(skip).take(take) {
            // It may have been sent meanwhile.
            letters.extend(letter(&core, number?)?);
        }
        let total = counted.then(|| numbers().map(|number| number.map(|_| 1)).sum()).transpose()?;
        Ok(LetterPage { letters, total })
    }

    /// The letter with this number, unless it is sent.
    pub fn letter(&self, number: u64) -> Result<Option<Posted>> {
        LETTERS.get(self.core()?.database.tree(), &[&number.to_be_bytes()])
    }

    /// Takes a letter that was sent out of the outbox.
    pub fn letter_sent(&self, number: u64) -> Result<()> {
        let mut change = Change::default();
        LETTERS.remove(&mut change, &[&number.to_be_bytes()]);
        let core = self.core()?;
        core.commit_with_others(change)?;
        core.unsent.lock().remove(number);
        Ok(())
    }

    /// Notes a try that did not work, and what is to become of the letter. Does nothing if it is gone.
    pub fn letter_not_sent(&self, number: u64, answer: &str, fate: Fate, owed: Owed) -> Result<()> {
        let noted = |letter: Posted| Posted {
            attempts: letter.attempts + 1,
            last_answer: Some(answer.to_owned()),
            fate,
            ..letter
        };
        self.change_letter(number, noted, owed).map(drop)
    }

    /// Puts a letter forward, given up or not; tells whether there is one.
    pub fn try_letter_again(&self, number: u64, now: Timestamp, owed: Owed) -> Result<bool> {
        let changed = self.change_letter(number, |letter| Posted { fate: Fate::Due(now), ..letter }, owed)?;
        if changed {
            self.put_forward.fetch_add(1, Ordering::SeqCst);
            self.bell().ring();
        }
        Ok(changed)
    }

    /// Removes a letter that nobody wants sent any more; tells whether there was one.
    pub fn drop_letter(&self, number: u64, owed: Owed) -> Result<bool> {
        let core = self.core()?;
        let mut writer = core.writer.lock();
        if letter(&core, number)?.is_none() {
            return Ok(false);
        }
        let mut change = Change::default();
        LETTERS.remove(&mut change, &[&number.to_be_bytes()]);
        change.owe(owed);
        let unpublished = core.commit(&mut writer, change)?;
        core.unsent.lock().remove(number);
        unpublished.done();
        Ok(true)
    }

    fn change_letter(&self, number: u64, how: impl FnOnce(Posted) -> Posted, owed: Owed) -> Result<bool> {
        let core = self.core()?;
        let mut writer = core.writer.lock();
        let Some(letter) = letter(&core, number)? else {
            return Ok(false);
        };
        let letter = how(letter);
        let mut change = Change::default();
        LETTERS.put(&mut change, &[&number.to_be_bytes()], &letter)?;
        change.owe(owed);
        let unpublished = core.commit(&mut writer, change)?;
        core.unsent.lock().put(&letter);
        unpublished.done();
        Ok(true)
    }
}

fn letter(core: &Core, number: u64) -> Result<Option<Posted>> {
    LETTERS.get(core.database.tree(), &[&number.to_be_bytes()])
}
