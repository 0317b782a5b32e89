//! How users are found: by what they have, where that is asked for; else by looking at everybody.

use std::ops::ControlFlow;
use std::time::Instant;

use crate::domain::{Connection, User, UserKey, UserRef};
use crate::http::params::Page;
use crate::search::{Best, Query, Sort};
use crate::store::{Browsed, Store, StoreError};

/// What is asked for.
#[derive(Debug)]
pub(super) struct Wanted {
    /// Who; everybody, if nothing is said.
    pub(super) query: Option<Query>,
    /// In which order; as stored, if nothing is said.
    pub(super) sort: Option<Sort>,
    /// Which of them.
    pub(super) page: Page,
}

/// What was found.
#[derive(Debug)]
pub(super) struct Found {
    /// The users of the page.
    pub(super) users: Vec<(User, Connection)>,
    /// How many there are in all; less than that, if nobody wanted to know.
    pub(super) total: u64,
}

impl Wanted {
    /// Whether it takes a look at everybody in some connection.
    pub(super) fn looks_at_everybody(&self) -> bool {
        let has_keys = self.query.as_ref().is_some_and(|query| query.keys().is_some());
        !has_keys && (self.filter().is_some() || self.sort.is_some())
    }

    /// Looks for them; `None` if that takes longer than until `deadline`.
    pub(super) fn find(&self, store: &Store, deadline: Instant) -> Result<Option<Found>, StoreError> {
        let mut gathered = Gathered::new(self);
        if let Some(keys) = self.query.as_ref().and_then(Query::keys) {
            for (user, connection) in store.users_with_any(&keys)? {
                let _ = gathered.see(&user.as_ref(), &connection);
            }
            return gathered.found(store).map(Some);
        }
        let connections = self.connections(store)?;
        if store.browse(&connections, deadline, |user, connection| gathered.see(user, connection))?
            == Browsed::Overdue
        {
            return Ok(None);
        }
        let mut found = gathered.found(store)?;
        if self.filter().is_none() {
            let counts = connections.iter().map(|connection| store.count(connection));
            found.total = counts.sum::<Result<u64, _>>()?;
        }
        Ok(Some(found))
    }

    /// The part of the query that each user has to be looked at for.
    fn filter(&self) -> Option<&Query> {
        self.query.as_ref().filter(|query| !query.is_about_connections_only())
    }

    /// Where they are.
    fn connections(&self, store: &Store) -> Result<Vec<Connection>, StoreError> {
        let mut connections = store.connections()?;
        if let Some(names) = self.query.as_ref().and_then(Query::connections) {
            connections.retain(|connection| names.contains(&connection.name));
        }
        Ok(connections)
    }

    /// Whether those after the page have to be seen, too.
    fn counts_by_looking(&self) -> bool {
        self.page.totals && self.looks_at_everybody()
    }
}

/// The users of a page, as they come by.
struct Gathered<'w> {
    wanted: &'w Wanted,
    users: Vec<(User, Connection)>,
    /// In place of these, where they are sorted, the first ones so far: no more of them than what finds them.
    best: Option<(&'w Sort, Best<UserKey>)>,
    seen: u64,
}

impl<'w> Gathered<'w> {
    fn new(wanted: &'w Wanted) -> Self {
        let Page { start, limit, .. } = wanted.page;
        let best = wanted.sort.as_ref().map(|sort| (sort, Best::of(start + limit)));
        Self { wanted, users: Vec::new(), best, seen: 0 }
    }

    fn see(&mut self, user: &UserRef, connection: &Connection) -> ControlFlow<()> {
        let Wanted { query, page, .. } = self.wanted;
        if query.as_ref().is_some_and(|query| !query.matches(user, connection)) {
            return ControlFlow::Continue(());
        }
        self.seen += 1;
        if let Some((sort, best)) = &mut self.best {
            best.offer(sort.key(user, connection), || UserKey::Id(user.id.to_owned()));
            return ControlFlow::Continue(());
        }
        // Who is moved meanwhile comes by twice.
        let is_new = self.users.iter().all(|(known, _)| known.id.as_ref() != user.id);
        if is_new && self.users.len() < page.limit && (page.start as u64) < self.seen {
            self.users.push((user.to_user(), connection.clone()));
        }
        let is_enough = self.users.len() == page.limit && !self.wanted.counts_by_looking();
        if is_enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn found(self, store: &Store) -> Result<Found, StoreError> {
        let Page { start, limit, .. } = self.wanted.page;
        let users = match self.best {
            None => self.users,
            Some((_, best)) => {
                let keys: Vec<UserKey> = best.into_sorted().skip(start).take(limit).collect();
                store.users_with_any(&keys)?
            }
        };
        Ok(Found { users, total: self.seen })
    }
}
