//! The outbox: letters that are owed, until they are sent or given up.

use super::Store;
use super::commit::Core;
use super::database::Change;
use super::error::Result;
use super::keys::LETTERS;
use crate::domain::{Fate, Owed, Posted, Timestamp};

impl Store {
    /// All letters that are not sent, oldest first.
    pub fn letters(&self) -> Result<Vec<Posted>> {
        let core = self.core()?;
        let end = core.told().next_number;
        let letters = LETTERS.values(core.database.tree());
        letters.filter(|letter| letter.as_ref().map_or(true, |letter| letter.number < end)).collect()
    }

    /// The letter with this number, unless it is sent.
    pub fn letter(&self, number: u64) -> Result<Option<Posted>> {
        LETTERS.get(self.core()?.database.tree(), &[&number.to_be_bytes()])
    }

    /// Takes a letter that was sent out of the outbox.
    pub fn letter_sent(&self, number: u64) -> Result<()> {
        let mut change = Change::default();
        LETTERS.remove(&mut change, &[&number.to_be_bytes()]);
        self.core()?.commit_with_others(change)
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
    pub fn try_letter_again(&self, number: u64, now: Timestamp) -> Result<bool> {
        let changed =
            self.change_letter(number, |letter| Posted { fate: Fate::Due(now), ..letter }, Owed::nothing())?;
        self.bell().ring();
        Ok(changed)
    }

    /// Removes a letter that nobody wants sent any more.
    pub fn drop_letter(&self, number: u64) -> Result<()> {
        self.letter_sent(number)
    }

    fn change_letter(&self, number: u64, how: impl FnOnce(Posted) -> Posted, owed: Owed) -> Result<bool> {
        let core = self.core()?;
        let mut writer = core.writer.lock();
        let Some(letter) = letter(&core, number)? else {
            return Ok(false);
        };
        let mut change = Change::default();
        LETTERS.put(&mut change, &[&number.to_be_bytes()], &how(letter))?;
        change.owe(owed);
        core.commit(&mut writer, change)?.done();
        Ok(true)
    }
}

fn letter(core: &Core, number: u64) -> Result<Option<Posted>> {
    LETTERS.get(core.database.tree(), &[&number.to_be_bytes()])
}
