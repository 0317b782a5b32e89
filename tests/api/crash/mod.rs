//! `kill -9` at any moment loses nothing and does nothing twice.
//!
//! A server does one thing after another (`acts`), and is killed in the midst of each. After every kill its store
//! is opened, has to be sound, and to hold whatever was answered before. In the end the whole store (`holdings`) is
//! that of a server which did the same and was never killed.
//!
//! `INTAKE_TEST_KILLS` sets how many kills there are at least.

mod changes;
mod exports;
mod holdings;
mod house;
mod imports;
mod sweeping;

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use intake::store::Store;

use crate::helpers::{PATIENCE, Server};
use house::{House, kill_at_start};

/// What a server is at when it is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// It opens its store, or begins to listen.
    Starting,
    /// A file is coming in.
    Uploading,
    /// All of a file was sent, and there is no answer yet.
    Examining,
    /// Some rows of a job are in.
    Importing,
    /// A job has ended and nobody knows yet.
    Ending,
    /// Letters are on their way.
    Mailing,
    /// Events are on their way.
    Telling,
    /// An export is being made.
    Exporting,
    /// A user is made, changed or deleted.
    ChangingUsers,
    /// A user sets a password.
    SettingPasswords,
    /// A client or its grant is made, changed or deleted.
    ChangingClients,
    /// A connection is deleted, or what was in it is removed.
    Deleting,
}

impl Phase {
    const ALL: [Self; 12] = [
        Self::Starting,
        Self::Uploading,
        Self::Examining,
        Self::Importing,
        Self::Ending,
        Self::Mailing,
        Self::Telling,
        Self::Exporting,
        Self::ChangingUsers,
        Self::SettingPasswords,
        Self::ChangingClients,
        Self::Deleting,
    ];
}

/// How a request ended of a server that may be gone.
type Asked<T> = Result<T, ureq::Error>;

/// Something that a server is asked to do, in many requests.
trait Act: Send {
    /// Goes on where it was, until all is done or the server is gone; says when what it is about has begun.
    fn go_on(&mut self, server: &Server, begun: &Sender<()>) -> Asked<()>;

    /// Looks for what was answered, in the store of the server that was killed; tells what that was in the midst of.
    fn look(&mut self, store: &Store) -> Vec<Phase>;

    /// How long it takes about, from its beginning.
    fn span(&self) -> Duration;
}

/// All that is done in a round; later rounds find what earlier ones have left.
fn acts(round: usize) -> Vec<Box<dyn Act>> {
    vec![
        Box::new(changes::Opening::new(round)),
        Box::new(imports::Imports::of(round, Phase::Uploading)),
        Box::new(imports::Imports::of(round, Phase::Examining)),
        Box::new(imports::Imports::of(round, Phase::Importing)),
        Box::new(imports::Small::new(round)),
        Box::new(exports::Exporting::new(round)),
        Box::new(changes::Users::new(round)),
        Box::new(changes::Passwords::new(round)),
        Box::new(changes::Clients::new(round)),
        Box::new(changes::Doomed::new(round)),
    ]
}

/// Kills of a server in the midst of each act, until the act is done.
const KILLS_EACH: usize = 3;

/// Where no kill met some phase by chance, there are so many times as many at most.
const MOST_FOR_LUCK: usize = 4;

/// Small steps that look random, and are the same in every run.
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// A server that is killed whenever the dice say so.
struct Gauntlet {
    house: House,
    dice: Dice,
    kills: usize,
    /// How many kills met what.
    met: BTreeMap<Phase, usize>,
}

impl Gauntlet {
    /// Lets the act be done, through kills.
    fn run(&mut self, act: &mut dyn Act) {
        for _ in 0..KILLS_EACH {
            self.kill_during(act);
            while self.dice.below(3) == 0 {
                self.kill_at_start();
            }
        }
        let server = self.house.start();
        act.go_on(&server, &channel().0).unwrap();
        drop(server); // a kill as well, though at leisure
        act.look(&self.house.open());
    }

    /// What no kill has met.
    fn missed(&self) -> Vec<Phase> {
        let met = |phase: &Phase| self.met.get(phase).is_some_and(|kills| *kills > 0);
        Phase::ALL.into_iter().filter(|phase| !met(phase)).collect()
    }

    fn kill_during(&mut self, act: &mut dyn Act) {
        let mut server = self.house.start();
        let delay = Duration::from_micros(self.dice.below(u64::try_from(act.span().as_micros()).unwrap()));
        let (begun, hears) = channel();
        let process = server.child.id();
        thread::scope(|scope| {
            let (server, act) = (&server, &mut *act);
            let work = scope.spawn(move || {
                // What there is no answer to is looked at in the store.
                let _ = act.go_on(server, &begun);
                drop(begun);
            });
            let _ = hears.recv_timeout(PATIENCE);
            thread::sleep(delay);
            kill(process);
            work.join().unwrap();
        });
        server.child.wait().unwrap();
        self.kills += 1;
        for phase in act.look(&self.house.open()) {
            *self.met.entry(phase).or_default() += 1;
        }
    }

    /// Kills a server while it starts, or soon after, when it works on what is there.
    fn kill_at_start(&mut self) {
        let child = self.house.begin_to_start();
        thread::sleep(Duration::from_micros(self.dice.below(60_000)));
        let is_met = kill_at_start(child);
        self.kills += 1;
        *self.met.entry(Phase::Starting).or_default() += usize::from(is_met);
    }
}

fn kill(process: u32) {
    assert!(Command::new("kill").args(["-9", &process.to_string()]).status().unwrap().success());
}

fn wanted_kills() -> usize {
    std::env::var("INTAKE_TEST_KILLS").map_or(50, |kills| kills.parse().unwrap())
}

#[test]
fn killed_at_any_moment_the_store_ends_as_if_nothing_had_happened() {
    let Some(house) = House::telling() else { return };
    let calm = House::quiet();
    let mut wild = Gauntlet { house, dice: Dice(7), kills: 0, met: BTreeMap::new() };
    let mut rounds = 0;
    while wild.kills < wanted_kills()
        || !wild.missed().is_empty() && wild.kills < MOST_FOR_LUCK * wanted_kills()
    {
        let server = calm.start();
        for mut act in acts(rounds) {
            act.go_on(&server, &channel().0).unwrap();
        }
        drop(server);
        for mut act in acts(rounds) {
            wild.run(&mut *act);
        }
        rounds += 1;
    }
    // All that is owed is delivered before it is compared.
    let server = wild.house.start();
    holdings::assert_all_told(&server, &wild.house);
    drop(server);
    let (left, expected) = (holdings::read(&wild.house.open()), holdings::read(&calm.open()));
    left.assert_same(&expected);
    let missed = wild.missed();
    let Gauntlet { kills, met, .. } = wild;
    eprintln!("{kills} kills in {rounds} rounds; in the midst of: {met:?}");
    assert_eq!(missed, Vec::<Phase>::new(), "no kill met these");
}
