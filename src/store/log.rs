//! The tenant log. Events are written by the commits they tell of; see [`Owed`].

use super::Store;
use super::commit::Core;
use super::database::Change;
use super::error::Result;
use super::keys::{EVENTS, trailing_u64};
use crate::domain::{LogId, Logged, Owed, Timestamp};

/// Some events out of many.
#[derive(Debug)]
pub struct EventPage {
    /// The events asked for.
    pub events: Vec<Logged>,
    /// How many there are in all, if that was asked.
    pub total: Option<usize>,
}

/// In which order events are looked through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// As they happened.
    OldestFirst,
    /// The other way round.
    NewestFirst,
}

impl Store {
    /// Writes down what is to be told without any other change.
    pub fn tell(&self, owed: Owed) -> Result<()> {
        let mut change = Change::default();
        change.owe(owed);
        self.core()?.commit_with_others(change)
    }

    /// The event with this id; the time in it does not matter.
    pub fn event(&self, id: LogId) -> Result<Option<Logged>> {
        let core = self.core()?;
        if core.told().next_event <= id.number {
            return Ok(None);
        }
        EVENTS.get(core.database.tree(), &[&id.number.to_be_bytes()])
    }

    /// At most `take` events from this number on, each with its number.
    pub fn events_from(&self, number: u64, take: usize) -> Result<Vec<(u64, Logged)>> {
        let core = self.core()?;
        let entries = told(&core, number).take(take);
        entries.map(|entry| entry.and_then(|(key, event)| Ok((trailing_u64(&key)?, event)))).collect()
    }

    /// The number of the first event at this time or later; the next one's if there is none yet.
    pub fn first_event_since(&self, at: Timestamp) -> Result<u64> {
        let core = self.core()?;
        let tree = core.database.tree();
        let mut end = core.told().next_event;
        let oldest = EVENTS.entries(tree).next().transpose()?;
        let mut first = oldest.map_or(Ok(end), |(key, _)| trailing_u64(&key))?;
        // Ids go on where clocks do not: by them the log is sorted.
        let bound = LogId { at, number: 0 }.to_string();
        while first < end {
            let middle = first + (end - first) / 2;
            match EVENTS.get(tree, &[&middle.to_be_bytes()])? {
                Some(event) if bound <= event.log_id => end = middle,
                _ => first = middle + 1,
            }
        }
        Ok(first)
    }

    /// The number the next event will have.
    pub fn next_event(&self) -> Result<u64> {
        Ok(self.core()?.told().next_event)
    }

    /// Events that are `wanted`, or any; `counted` also tells how many there are. Only to count those that
    /// are wanted, all have to be read.
    pub fn events(
        &self,
        wanted: Option<&dyn Fn(&Logged) -> bool>,
        order: Order,
        skip: usize,
        take: usize,
        counted: bool,
    ) -> Result<EventPage> {
        let core = self.core()?;
        let mut all = told(&core, 0).map(|entry| entry.map(|(_, logged)| logged));
        let mut events = Vec::new();
        let mut matches = 0;
        while (counted && wanted.is_some()) || events.len() < take {
            let next = match order {
                Order::OldestFirst => all.next(),
                Order::NewestFirst => all.next_back(),
            };
            let Some(event) = next.transpose()? else { break };
            if wanted.is_none_or(|wanted| wanted(&event)) {
                if skip <= matches && events.len() < take {
                    events.push(event);
                }
                matches += 1;
            }
        }
        let total = match (counted, wanted) {
            (false, _) => None,
            (true, Some(_)) => Some(matches),
            (true, None) => Some(count(&core)?),
        };
        Ok(EventPage { events, total })
    }
}

/// How many events there are on disk for good. A clock that was set back leaves holes in their numbers.
fn count(core: &Core) -> Result<usize> {
    let numbers = EVENTS.numbers_below(core.database.tree(), core.told().next_event);
    numbers.map(|number| number.map(|_| 1)).sum()
}

/// The events from a number on that are on disk for good, each with its key.
fn told(core: &Core, from: u64) -> impl DoubleEndedIterator<Item = Result<(sled::IVec, Logged)>> {
    let keys = core
        .told()
        .next_event
        .checked_sub(1)
        .filter(|last| from <= *last)
        .map(|last| EVENTS.key(&[&from.to_be_bytes()])..=EVENTS.key(&[&last.to_be_bytes()]));
    keys.into_iter().flat_map(move |keys| EVENTS.entries_in(core.database.tree(), keys))
}
