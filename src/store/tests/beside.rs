//! Random histories beside running imports: roll calls, passwords, single users, another connection that comes
//! and goes, and sweeps. What one of them does, none of the others undoes.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::domain::Credential;

const USERS: u64 = 30;

#[derive(Debug, Clone)]
enum Step {
    /// A chunk of one of the jobs.
    Chunk(usize, usize),
    /// A user of its own, with a password or without.
    Create(u64, bool),
    Delete(u64),
    /// Metadata of so many bytes: a user that grows moves to another block.
    Grow(u64, usize),
    Password(u64, u8),
    /// The other connection comes with so many users, or goes.
    Other(u64),
    /// A step of what removes old jobs, and what was deleted.
    Sweep,
    /// The roll is called on.
    Meet,
}

fn some_steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..3_usize, 1..9_usize).prop_map(|(job, rows)| Step::Chunk(job, rows)),
        2 => (0..USERS, any::<bool>()).prop_map(|(at, password)| Step::Create(at, password)),
        2 => (0..USERS).prop_map(Step::Delete),
        3 => (0..USERS, 10..60_000_usize).prop_map(|(at, bytes)| Step::Grow(at, bytes)),
        2 => (0..USERS, any::<u8>()).prop_map(|(at, word)| Step::Password(at, word)),
        1 => (0..40_u64).prop_map(Step::Other),
        1 => Just(Step::Sweep),
        3 => Just(Step::Meet),
    ];
    prop::collection::vec(step, 0..60)
}

fn email_of(at: u64) -> String {
    format!("u{at}@acme.test")
}

fn password(word: u8) -> Credential {
    Credential { hash: format!("$argon2id${word}"), changed_at: NOW }
}

/// Three jobs over the same users, each in its own order.
fn imports() -> [Import; 3] {
    let rows = |step: u64, bytes: usize| {
        (0..USERS)
            .map(move |at| Row::from(&*email_of(at * step % USERS)).app(&Dice(at).noise(bytes)))
            .collect()
    };
    [Import::insert(1, rows(7, 300)), Import::upsert(2, rows(11, 5000)), Import::upsert(3, rows(13, 20_000))]
}

/// What has to be so, but for the users of the connection themselves.
#[derive(Default)]
struct Model {
    passwords: HashMap<UserId, Credential>,
    deleted: Vec<UserId>,
    /// The other connection, and how many users it has.
    other: Option<(Connection, u64)>,
    made: u8,
}

impl Model {
    fn change(&mut self, store: &TestStore, at: u64, make: impl FnOnce(&mut User) -> Option<Credential>) {
        let Some(user) = store.user_in(&store.connection, &email_of(at)).unwrap() else { return };
        let mut set = None;
        let how = |user: &mut User| {
            set = make(user);
            Ok::<_, Refused>(set.clone())
        };
        store.change_user(&store.connection.id, &user.id, how, |_| Owed::nothing()).unwrap().unwrap();
        self.passwords.extend(set.map(|set| (user.id, set)));
    }

    fn create(&mut self, store: &TestStore, at: u64, has_password: bool) {
        self.made += 1;
        let id = UserId::from_bytes([self.made; 12]);
        let credential = has_password.then(|| password(self.made));
        let (row, connection) = (Row::from(&*email_of(at)), &store.connection.id);
        let made = store
            .create_user(connection, &row.candidate(), &id, credential.as_ref(), NOW, |_| Owed::nothing());
        if made.unwrap().is_ok() {
            self.passwords.extend(credential.map(|credential| (id, credential)));
        }
    }

    fn delete(&mut self, store: &TestStore, at: u64) {
        let Some(user) = store.user_in(&store.connection, &email_of(at)).unwrap() else { return };
        assert!(store.delete_user(&store.connection.id, &user.id, Owed::nothing()).unwrap());
        self.passwords.remove(&user.id);
        self.deleted.push(user.id);
    }

    /// The other connection has the same addresses.
    fn other(&mut self, store: &TestStore, users: u64) {
        self.made += 1;
        if let Some((other, _)) = self.other.take() {
            return assert!(store.delete_connection(&other.id, Owed::nothing()).unwrap());
        }
        let other = Connection { name: "other".to_owned(), ..connection(100 + self.made % 100) };
        let other = store.create_connection(other, Owed::nothing()).unwrap();
        for at in 0..users {
            let id = UserId::from_bytes([self.made, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, at as u8]);
            let row = Row::from(&*email_of(at));
            let made = store
                .create_user(&other.id, &row.candidate(), &id, Some(&password(1)), NOW, |_| Owed::nothing());
            made.unwrap().unwrap();
        }
        self.other = Some((other, users));
    }

    fn assert_holds(&self, store: &TestStore) {
        for user in store.users() {
            let found = store.credential(&store.connection, &user.id).unwrap();
            assert_eq!(found.as_ref(), self.passwords.get(&user.id), "{}", user.email);
        }
        for id in &self.deleted {
            assert_eq!(store.user(id).unwrap(), None);
            assert_eq!(store.credential(&store.connection, id).unwrap(), None);
        }
        let connections = store.connections().unwrap();
        assert_eq!(connections.len(), 1 + usize::from(self.other.is_some()));
        if let Some((other, users)) = &self.other {
            assert_eq!(scan(store, other).len() as u64, *users);
            assert!(
                scan(store, other)
                    .iter()
                    .all(|user| { store.credential(other, &user.id).unwrap() == Some(password(1)) })
            );
        }
    }
}

/// The next chunk of a job, unless it has ended or is gone by age.
fn step(store: &TestStore, import: &Import, rows: usize) {
    let job = store.job(&import.id()).unwrap();
    if let Some(job) = job.filter(|job| job.progress().is_some()) {
        import.apply(store, &job, &import.chunk(store, &job, rows)).unwrap();
    }
}

fn sweep(store: &TestStore) {
    let later = Timestamp::from_millis(NOW.millis() + 1);
    let old = Ages { jobs: later, events: NOW, unsent_events: NOW, letters: NOW, tasks: NOW, now: NOW };
    store.sweep(&mut Sweep::of(old)).unwrap();
    store.sweep_garbage().unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: setting("INTAKE_CASES", 24) as u32,
        max_shrink_iters: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn what_goes_on_beside_imports_disturbs_nobody(before in 0..9_usize, steps in some_steps()) {
        let mut store = TestStore::new();
        let imports = imports();
        let mut model = Model::default();
        imports.iter().for_each(|import| drop(store.enqueue(import)));
        (0..before).for_each(|at| step(&store, &imports[at % 3], 5));
        let there: Vec<UserId> = store.users().into_iter().map(|user| user.id).collect();
        let mut met: HashMap<UserId, usize> = HashMap::new();
        let mut call = store.roll_call(&store.connection).unwrap();
        let mut meet = || {
            let block = call.next();
            for user in block.iter().flat_map(|block| block.as_ref().unwrap().users()) {
                *met.entry(user.unwrap().id.to_owned()).or_default() += 1;
            }
            block.is_some()
        };
        for next in steps {
            match next {
                Step::Chunk(job, rows) => step(&store, &imports[job], rows),
                Step::Create(at, has_password) => model.create(&store, at, has_password),
                Step::Delete(at) => model.delete(&store, at),
                Step::Grow(at, bytes) => model.change(&store, at, |user| {
                    user.user_metadata = Some(Dice(bytes as u64).noise(bytes));
                    None
                }),
                Step::Password(at, word) => model.change(&store, at, |_| Some(password(word))),
                Step::Other(users) => model.other(&store, users),
                Step::Sweep => sweep(&store),
                Step::Meet => drop(meet()),
            }
        }
        while meet() {}
        prop_assert!(met.values().all(|times| *times == 1), "somebody was met twice: {:?}", met);
        for id in &there {
            prop_assert!(met.contains_key(id) || model.deleted.contains(id), "{} was not met", id);
        }
        prop_assert!(met.keys().all(|id| there.contains(id)), "somebody was met who came later");
        model.assert_holds(&store);
        store.restart();
        model.assert_holds(&store);
    }
}
