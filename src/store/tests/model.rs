//! Random imports against a model that knows only the rules.

use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;

use super::*;
use crate::domain::Activity;

/// The rules, without a store.
#[derive(Default)]
struct Model {
    /// By address.
    users: BTreeMap<String, User>,
    /// What the rows of each job gave, and which row it was.
    given: HashMap<u8, Given>,
}

#[derive(Default)]
struct Given {
    emails: HashMap<String, u64>,
    names: HashMap<String, Name>,
    failed: Vec<(u64, Vec<(Code, Option<u64>)>)>,
    inserted: u64,
    updated: u64,
}

/// What becomes different about a user.
#[derive(Debug, Clone, Copy)]
struct Change {
    email_verified: Option<bool>,
    blocked: Option<bool>,
}

impl Change {
    fn make(self, user: &mut User) {
        user.email_verified = self.email_verified.unwrap_or(user.email_verified);
        user.blocked = self.blocked.unwrap_or(user.blocked);
    }
}

/// A user name that a row gave.
struct Name {
    row: u64,
    /// Whether it is that of the row's user, and goes with it; else the user keeps another one.
    is_own: bool,
}

impl Model {
    /// Deletes the user with this address; gives back its id.
    fn delete(&mut self, email: &str) -> Option<UserId> {
        let user = self.users.remove(email)?;
        for given in self.given.values_mut() {
            given.emails.remove(email);
            given.names.retain(|name, given| !given.is_own || user.username.as_ref() != Some(name));
        }
        Some(user.id)
    }

    fn update(&mut self, email: &str, change: Change) -> Option<UserId> {
        let user = self.users.get_mut(email)?;
        change.make(user);
        Some(user.id.clone())
    }

    fn row(&mut self, import: &Import, index: u64) {
        let row = &import.rows[index as usize];
        let given = self.given.entry(import.number).or_default();
        if row.malformed {
            given.failed.push((index, vec![(Code::InvalidFormat, None)]));
            return;
        }
        let email = row.email.to_lowercase();
        let name = row.username.as_ref().map(|name| name.to_lowercase());
        let mut faults = Vec::new();
        match given.emails.get(&email) {
            Some(first) => faults.push((Code::DuplicatedUser, Some(*first))),
            None if self.users.contains_key(&email) && !import.upsert => {
                faults.push((Code::DuplicatedUser, None));
            }
            None => {}
        }
        if let Some(name) = &name {
            let held = self.users.values().any(|user| user.username.as_ref() == Some(name));
            let known = self.users.contains_key(&email);
            let fault = match given.names.get(name) {
                Some(first) => Some((Code::DuplicatedUser, Some(first.row))),
                None if held && !import.upsert => Some((Code::DuplicatedUser, None)),
                None if held && !known => Some((Code::ConflictUsername, None)),
                None => None,
            };
            // That a user exists is said once; that two keys were given before, for each of them.
            let said = |fault: &(Code, Option<u64>)| fault.1.is_none() && faults.contains(fault);
            let fault = fault.filter(|fault| !said(fault));
            faults.extend(fault);
        }
        if !faults.is_empty() {
            given.failed.push((index, faults));
            return;
        }
        given.emails.insert(email.clone(), index);
        if let Some(name) = &name {
            let is_own = self.users.get(&email).is_none_or(|user| user.username.as_ref() == Some(name));
            given.names.insert(name.clone(), Name { row: index, is_own });
        }
        if let Some(user) = self.users.get_mut(&email) {
            given.updated += 1;
            user.email_verified = row.verified;
            user.app_metadata = row.app_metadata.clone().or(user.app_metadata.take());
            user.user_metadata = row.user_metadata.clone().or(user.user_metadata.take());
            return;
        }
        given.inserted += 1;
        let user = User {
            id: import.ids().id(index),
            email: email.clone(),
            email_verified: row.verified,
            username: name,
            created_at: NOW,
            updated_at: NOW,
            blocked: false,
            profile: Profile::default(),
            activity: Activity::default(),
            app_metadata: row.app_metadata.clone(),
            user_metadata: row.user_metadata.clone(),
        };
        self.users.insert(email, user);
    }

    fn assert_same(&self, store: &TestStore, imports: &[Import]) {
        let mut users = store.users();
        users.sort_by(|one, other| one.email.cmp(&other.email));
        assert_eq!(users, self.users.values().cloned().collect::<Vec<_>>());
        for user in self.users.values() {
            assert_eq!(store.by_email(&user.email).as_ref(), Some(user));
            assert_eq!(store.user(&user.id).unwrap().unwrap().0, *user);
            if let Some(name) = &user.username {
                assert_eq!(store.by_username(name).as_ref(), Some(user));
            }
        }
        for at in 0..EMAILS {
            let (email, name) = (format!("u{at}@acme.test"), format!("n{at}"));
            assert_eq!(store.by_email(&email).is_some(), self.users.contains_key(&email));
            let held = self.users.values().any(|user| user.username.as_ref() == Some(&name));
            assert_eq!(store.by_username(&name).is_some(), held);
        }
        let nothing = Given::default();
        for import in imports {
            let given = self.given.get(&import.number).unwrap_or(&nothing);
            assert_eq!(store.failures(import), given.failed);
            let job = store.job(&import.id()).unwrap().unwrap();
            assert_eq!(counts(&job), [given.inserted, given.updated, given.failed.len() as u64]);
        }
    }
}

const EMAILS: u64 = 10;

#[derive(Debug, Clone)]
enum Step {
    /// A chunk of one of the jobs.
    Chunk(usize, usize),
    Restart,
    /// The process notes that it tries the job again.
    TryAgain(usize),
    Delete(u64),
    Update(u64, Change),
}

fn a_text(prefix: &'static str, upper: &'static str) -> impl Strategy<Value = String> {
    (0..EMAILS, any::<bool>()).prop_map(move |(at, up)| format!("{}{at}", if up { upper } else { prefix }))
}

fn a_metadata() -> impl Strategy<Value = Option<String>> {
    prop_oneof![
        4 => Just(None),
        4 => (0..1000_u64).prop_map(|number| Some(format!("{{\"a\":{number}.0}}"))),
        2 => (any::<u64>(), 20_000..60_000_usize).prop_map(|(seed, size)| Some(Dice(seed).noise(size))),
    ]
}

fn a_row() -> impl Strategy<Value = Row> {
    (
        a_text("u", "U"),
        any::<bool>(),
        proptest::option::weighted(0.7, a_text("n", "N")),
        a_metadata(),
        a_metadata(),
        prop::bool::weighted(0.05),
    )
        .prop_map(|(local, verified, username, app_metadata, user_metadata, malformed)| Row {
            email: format!("{local}@Acme.test"),
            verified,
            username,
            id: None,
            app_metadata,
            user_metadata,
            malformed,
        })
}

fn some_imports() -> impl Strategy<Value = Vec<Import>> {
    let import = (any::<bool>(), prop::collection::vec(a_row(), 0..30));
    prop::collection::vec(import, 1..5).prop_map(|imports| {
        let numbered = (1..).zip(imports);
        numbered.map(|(number, (upsert, rows))| Import { number, upsert, rows }).collect()
    })
}

fn some_steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        10 => (0..5_usize, 1..12_usize).prop_map(|(job, rows)| Step::Chunk(job, rows)),
        1 => Just(Step::Restart),
        1 => (0..5_usize).prop_map(Step::TryAgain),
        3 => (0..EMAILS).prop_map(Step::Delete),
        3 => (0..EMAILS, any::<Option<bool>>(), any::<Option<bool>>()).prop_map(
            |(at, email_verified, blocked)| Step::Update(at, Change { email_verified, blocked })
        ),
    ];
    prop::collection::vec(step, 0..35)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: setting("INTAKE_CASES", 48) as u32,
        max_shrink_iters: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_is_imported_the_store_holds_what_the_rules_say(
        imports in some_imports(),
        steps in some_steps(),
        colliding in any::<bool>(),
    ) {
        let mut store = TestStore::hashing(if colliding { 0xff } else { u64::MAX });
        let mut model = Model::default();
        for import in &imports {
            store.enqueue(import);
        }
        let drain = (0..imports.len()).map(|job| Step::Chunk(job, 1000));
        for step in steps.into_iter().chain(drain) {
            match step {
                Step::Restart => {
                    store.restart();
                    model.assert_same(&store, &imports);
                }
                Step::Chunk(job, rows) => {
                    let import = &imports[job % imports.len()];
                    let job = store.job(&import.id()).unwrap().unwrap();
                    if job.progress().is_none() {
                        continue;
                    }
                    let chunk = import.chunk(&store, &job, rows);
                    import.apply(&store, &job, &chunk).unwrap();
                    for row in &chunk {
                        model.row(import, row.index);
                    }
                }
                Step::Delete(at) => {
                    let id = model.delete(&format!("u{at}@acme.test"));
                    let nobody = UserId::from_bytes([7; 12]);
                    let deleted = store.delete_user(&store.connection.id, &id.clone().unwrap_or(nobody), Owed::nothing());
                    prop_assert_eq!(deleted.unwrap(), id.is_some());
                }
                Step::Update(at, change) => {
                    let id = model.update(&format!("u{at}@acme.test"), change);
                    let id_or_nobody = id.clone().unwrap_or(UserId::from_bytes([7; 12]));
                    let make = |user: &mut User| {
                        change.make(user);
                        Ok::<_, Refused>(None)
                    };
                    let updated =
                        store.change_user(&store.connection.id, &id_or_nobody, make, |_| Owed::nothing());
                    prop_assert_eq!(updated.unwrap().is_ok(), id.is_some());
                }
                Step::TryAgain(job) => {
                    let import = &imports[job % imports.len()];
                    let job = store.job(&import.id()).unwrap().unwrap();
                    prop_assert_eq!(store.try_again(&job).is_ok(), job.progress().is_some());
                }
            }
        }
        prop_assert!(store.unfinished().unwrap().is_empty());
        assert_jobs_told(&store);
        model.assert_same(&store, &imports);
        store.restart();
        model.assert_same(&store, &imports);
    }
}
