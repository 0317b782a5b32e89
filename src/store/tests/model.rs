//! Random imports, and users made and changed one by one, against a model that knows only the rules.

use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;

use super::*;

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
    /// Which row made or changed a user.
    rows: HashMap<UserId, u64>,
    /// The same for users whose own name goes with that row.
    named: HashMap<UserId, u64>,
    /// Names that a row gave to a user who keeps another one.
    claims: HashMap<String, u64>,
    failed: Vec<(u64, Vec<(Code, Option<u64>)>)>,
    inserted: u64,
    updated: u64,
}

/// A user to be made, by the numbers of its keys.
#[derive(Debug, Clone, Copy)]
struct Wish {
    email: u64,
    username: Option<u64>,
    id: Option<u64>,
}

/// What becomes different about a user.
#[derive(Debug, Clone, Copy)]
struct Change {
    email: Option<u64>,
    username: Option<u64>,
    email_verified: Option<bool>,
    blocked: Option<bool>,
}

impl Change {
    fn make(self, user: &mut User) {
        user.email = self.email.map(email_of).unwrap_or(user.email.clone());
        user.username = self.username.map(name_of).or(user.username.take());
        user.email_verified = self.email_verified.unwrap_or(user.email_verified);
        user.blocked = self.blocked.unwrap_or(user.blocked);
    }
}

fn email_of(number: u64) -> String {
    format!("u{number}@acme.test")
}

fn name_of(number: u64) -> String {
    format!("n{number}")
}

fn id_of(number: u64) -> UserId {
    UserId::parse_given(&format!("id-{number}")).unwrap()
}

impl Model {
    /// Deletes the user with this address; gives back its id.
    fn delete(&mut self, email: &str) -> Option<UserId> {
        let user = self.users.remove(email)?;
        for given in self.given.values_mut() {
            given.rows.remove(&user.id);
            given.named.remove(&user.id);
        }
        Some(user.id)
    }

    /// What of a user to be is somebody else's.
    fn taken(&self, wanted: &User, own: Option<&UserId>) -> Option<Taken> {
        let others = || self.users.values().filter(|user| Some(&user.id) != own);
        if others().any(|user| user.email == wanted.email) {
            Some(Taken::Email)
        } else if wanted.username.is_some() && others().any(|user| user.username == wanted.username) {
            Some(Taken::Username)
        } else {
            others().any(|user| user.id == wanted.id).then_some(Taken::Id)
        }
    }

    /// Changes the user with this address; gives back its id, and why it stays as it is.
    fn update(&mut self, email: &str, change: Change) -> Option<(UserId, Option<Taken>)> {
        let mut user = self.users.get(email)?.clone();
        let id = user.id.clone();
        change.make(&mut user);
        let taken = self.taken(&user, Some(&id));
        if taken.is_none() {
            self.users.remove(email);
            self.users.insert(user.email.clone(), user);
        }
        Some((id, taken))
    }

    /// Makes a user, unless somebody has one of its keys.
    fn create(&mut self, row: &Row, made: &UserId) -> Option<Taken> {
        let user = row.candidate().to_user(made, NOW);
        let taken = self.taken(&user, None);
        if taken.is_none() {
            self.users.insert(user.email.clone(), user);
        }
        taken
    }

    fn named(&self, name: &str) -> Option<&User> {
        self.users.values().find(|user| user.username.as_deref() == Some(name))
    }

    fn row(&mut self, import: &Import, index: u64) {
        let row = &import.rows[index as usize];
        let given = self.given.remove(&import.number).unwrap_or_default();
        let given = self.meet(import, index, row, given);
        self.given.insert(import.number, given);
    }

    fn meet(&mut self, import: &Import, index: u64, row: &Row, mut given: Given) -> Given {
        if row.malformed {
            given.failed.push((index, vec![(Code::InvalidFormat, None)]));
            return given;
        }
        let email = row.email.to_lowercase();
        let name = row.username.as_ref().map(|name| name.to_lowercase());
        let known = self.users.get(&email);
        let mut faults: Vec<(Code, Option<u64>)> = Vec::new();
        // That a user exists is said once; that two keys were given before, for each of them.
        let note = |faults: &mut Vec<_>, fault: (Code, Option<u64>)| {
            if fault.1.is_some() || !faults.contains(&fault) {
                faults.push(fault);
            }
        };
        match known.map(|user| given.rows.get(&user.id)) {
            Some(Some(first)) => note(&mut faults, (Code::DuplicatedUser, Some(*first))),
            Some(None) if !import.upsert => note(&mut faults, (Code::DuplicatedUser, None)),
            _ => {}
        }
        if let Some(name) = &name {
            let holder = self.named(name);
            let first = given.claims.get(name).or_else(|| given.named.get(&holder?.id));
            match (first, holder) {
                (Some(first), _) => note(&mut faults, (Code::DuplicatedUser, Some(*first))),
                (None, Some(_)) if !import.upsert => note(&mut faults, (Code::DuplicatedUser, None)),
                (None, Some(_)) if known.is_none() => note(&mut faults, (Code::ConflictUsername, None)),
                _ => {}
            }
        }
        let holder = row.id.as_ref().and_then(|id| self.users.values().find(|user| user.id == *id));
        if let Some(holder) = holder.filter(|_| known.is_none()) {
            match given.rows.get(&holder.id) {
                Some(first) => note(&mut faults, (Code::DuplicatedUser, Some(*first))),
                None if !import.upsert => note(&mut faults, (Code::DuplicatedUser, None)),
                None => note(&mut faults, (Code::Conflict, None)),
            }
        }
        if !faults.is_empty() {
            given.failed.push((index, faults));
            return given;
        }
        if let Some(user) = self.users.get_mut(&email) {
            given.updated += 1;
            given.rows.insert(user.id.clone(), index);
            if name.is_some() && name == user.username {
                given.named.insert(user.id.clone(), index);
            } else {
                given.claims.extend(name.map(|name| (name, index)));
            }
            user.email_verified = row.verified;
            user.app_metadata = row.app_metadata.clone().or(user.app_metadata.take());
            user.user_metadata = row.user_metadata.clone().or(user.user_metadata.take());
            return given;
        }
        given.inserted += 1;
        let user = row.candidate().to_user(&import.ids().id(index), NOW);
        given.rows.insert(user.id.clone(), index);
        // Ids made here tell the row of a user also when it gets a name later.
        if row.id.is_none() || name.is_some() {
            given.named.insert(user.id.clone(), index);
        }
        self.users.insert(email, user);
        given
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
            let (email, name) = (email_of(at), name_of(at));
            assert_eq!(store.by_email(&email).is_some(), self.users.contains_key(&email));
            assert_eq!(store.by_username(&name).as_ref(), self.named(&name));
            let held = self.users.values().any(|user| user.id == id_of(at));
            assert_eq!(store.user(&id_of(at)).unwrap().is_some(), held);
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
    Create(Wish),
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
        proptest::option::weighted(0.2, 0..EMAILS),
    )
        .prop_map(|(local, verified, username, app_metadata, user_metadata, malformed, id)| Row {
            email: format!("{local}@Acme.test"),
            verified,
            username,
            id: id.map(id_of),
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

fn a_number(weight: f64) -> impl Strategy<Value = Option<u64>> {
    proptest::option::weighted(weight, 0..EMAILS)
}

fn a_wish() -> impl Strategy<Value = Wish> {
    (0..EMAILS, a_number(0.5), a_number(0.5)).prop_map(|(email, username, id)| Wish { email, username, id })
}

fn a_change() -> impl Strategy<Value = Change> {
    (a_number(0.5), a_number(0.5), any::<Option<bool>>(), any::<Option<bool>>()).prop_map(
        |(email, username, email_verified, blocked)| Change { email, username, email_verified, blocked },
    )
}

fn some_steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        10 => (0..5_usize, 1..12_usize).prop_map(|(job, rows)| Step::Chunk(job, rows)),
        1 => Just(Step::Restart),
        1 => (0..5_usize).prop_map(Step::TryAgain),
        3 => (0..EMAILS).prop_map(Step::Delete),
        3 => a_wish().prop_map(Step::Create),
        5 => (0..EMAILS, a_change()).prop_map(|(at, change)| Step::Update(at, change)),
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
        let mut made = 100;
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
                    let id = model.delete(&email_of(at));
                    let nobody = UserId::from_bytes([7; 12]);
                    let deleted = store.delete_user(&store.connection.id, &id.clone().unwrap_or(nobody), Owed::nothing());
                    prop_assert_eq!(deleted.unwrap(), id.is_some());
                }
                Step::Create(wish) => {
                    made += 1;
                    let id = UserId::from_bytes([made; 12]);
                    let row = Row {
                        username: wish.username.map(name_of),
                        id: wish.id.map(id_of),
                        ..Row::from(&*email_of(wish.email))
                    };
                    let taken = model.create(&row, &id);
                    let created = store.create_user(
                        &store.connection.id, &row.candidate(), &id, None, NOW, |_| Owed::nothing(),
                    );
                    prop_assert_eq!(created.unwrap().err(), taken.map(Refused::Taken));
                }
                Step::Update(at, change) => {
                    let found = model.update(&email_of(at), change);
                    let refused = found.as_ref().map_or(Some(Refused::NoUser), |(_, taken)| taken.map(Refused::Taken));
                    let id = found.map_or(UserId::from_bytes([7; 12]), |(id, _)| id);
                    let make = |user: &mut User| {
                        change.make(user);
                        Ok::<_, Refused>(None)
                    };
                    let updated = store.change_user(&store.connection.id, &id, make, |_| Owed::nothing());
                    prop_assert_eq!(updated.unwrap().err(), refused);
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
