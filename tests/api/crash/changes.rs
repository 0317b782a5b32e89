//! Small changes, one request each: what was answered is there; what was not is there as a whole, or not at all.

use std::sync::mpsc::Sender;
use std::time::{Duration, SystemTime};

use intake::domain::{TicketKind, UserId};
use intake::store::Store;
use intake::tokens::secret_hash;
use serde_json::{Value, json};

use super::house::{CLIENT, SECRET, connection, connection_id, connection_name};
use super::imports::{array, row};
use super::{Act, Asked, Phase};
use crate::helpers::{Form, Server, escape};

/// The connection of a round is made.
pub struct Opening {
    round: usize,
}

impl Opening {
    pub fn new(round: usize) -> Self {
        Self { round }
    }
}

/// Makes a connection, unless an earlier request has that got no answer.
fn make_connection(server: &Server, name: &str) -> Asked<()> {
    let wish = json!({ "name": name, "strategy": "auth0", "enabled_clients": [CLIENT] });
    let answer = server.try_send("POST", "/api/v2/connections", &wish)?;
    assert!([201, 409].contains(&answer.status), "{}", answer.text);
    Ok(())
}

impl Act for Opening {
    fn go_on(&mut self, server: &Server, begun: &Sender<()>) -> Asked<()> {
        let _ = begun.send(());
        make_connection(server, &connection_name(self.round))
    }

    fn look(&mut self, _: &Store) -> Vec<Phase> {
        Vec::new()
    }

    fn span(&self) -> Duration {
        Duration::from_millis(10)
    }
}

/// How far something is: which step was answered last, and whether the next one was asked for.
#[derive(Debug, Clone, Copy, Default)]
struct Steps {
    done: usize,
    asked: bool,
}

impl Steps {
    /// Takes the next step.
    fn take<T>(&mut self, step: impl FnOnce(usize) -> Asked<T>) -> Asked<T> {
        self.asked = true;
        let answer = step(self.done)?;
        *self = Self { done: self.done + 1, asked: false };
        Ok(answer)
    }

    /// Whether so many steps may have been taken.
    fn allows(self, steps: usize) -> bool {
        steps == self.done || (self.asked && steps == self.done + 1)
    }
}

/// Users that are made, changed twice, and every third of them deleted.
pub struct Users {
    round: usize,
    users: Vec<(Steps, Option<UserId>)>,
}

impl Users {
    pub fn new(round: usize) -> Self {
        Self { round, users: vec![(Steps::default(), None); 12] }
    }

    fn email(&self, number: usize) -> String {
        format!("single{number}@round{}.test", self.round)
    }

    fn last(number: usize) -> usize {
        if number.is_multiple_of(3) { 4 } else { 3 }
    }

    fn step(&self, server: &Server, number: usize, step: usize) -> Asked<Option<UserId>> {
        let version = json!({ "v": step });
        let mut body =
            json!({ "nickname": step.to_string(), "user_metadata": version, "app_metadata": version });
        if step == 0 {
            body["email"] = self.email(number).into();
            body["connection"] = connection_name(self.round).into();
            body["verify_email"] = false.into();
            if number.is_multiple_of(4) {
                body["password"] = "Pa55-wörd and more".into();
            }
            let answer = server.try_send("POST", "/api/v2/users", &body)?;
            assert!([201, 409].contains(&answer.status), "{}", answer.text);
            return Ok(answer.json()["user_id"].as_str().map(|id| id.parse().unwrap()));
        }
        let id = self.users[number].1.as_ref().unwrap();
        let path = format!("/api/v2/users/{}", escape(&id.to_string()));
        let (method, body, status) =
            if step == 3 { ("DELETE", Value::Null, 204) } else { ("PATCH", body, 200) };
        let answer = server.try_send(method, &path, &body)?;
        assert_eq!(answer.status, status, "{}", answer.text);
        Ok(None)
    }
}

impl Act for Users {
    fn go_on(&mut self, server: &Server, begun: &Sender<()>) -> Asked<()> {
        for step in 0..4 {
            for number in 0..self.users.len() {
                let (mut steps, _) = self.users[number];
                if steps.done != step || step >= Self::last(number) {
                    continue;
                }
                let _ = begun.send(());
                self.users[number].0.asked = true;
                let id = steps.take(|step| self.step(server, number, step))?;
                self.users[number].0 = steps;
                if id.is_some() {
                    self.users[number].1 = id;
                }
            }
        }
        Ok(())
    }

    fn look(&mut self, store: &Store) -> Vec<Phase> {
        let connection = connection(store, &connection_name(self.round)).unwrap();
        let mut met = Vec::new();
        for number in 0..self.users.len() {
            let email = self.email(number);
            let user = store.user_in(&connection, &email).unwrap();
            let steps = self.users[number].0;
            if steps.asked {
                met.push(Phase::ChangingUsers);
            }
            let Some(user) = user else {
                assert!(steps.allows(0) || steps.allows(4), "{email} is gone: {steps:?}");
                if steps.asked && steps.done == 3 {
                    self.users[number].0 = Steps { done: 4, asked: false };
                }
                continue;
            };
            let version: usize = user.profile.nickname.as_deref().unwrap().parse().unwrap();
            assert!(steps.allows(version + 1), "{email} is at {version}: {steps:?}");
            let whole = Some(format!("{{\"v\":{version}}}"));
            assert_eq!((&user.user_metadata, &user.app_metadata), (&whole, &whole), "{email}");
            let has_password = store.credential(&connection, &user.id).unwrap().is_some();
            assert_eq!(has_password, number.is_multiple_of(4), "{email}");
            self.users[number] = (Steps { done: version + 1, asked: false }, Some(user.id));
        }
        met.truncate(1);
        met
    }

    fn span(&self) -> Duration {
        Duration::from_millis(150)
    }
}

/// Users that were imported set a password, each by a link.
pub struct Passwords {
    round: usize,
    users: Vec<(Steps, Option<String>)>,
}

/// Rows of the first file that are users.
const IMPORTED: [usize; 5] = [0, 1, 2, 4, 6];

impl Passwords {
    pub fn new(round: usize) -> Self {
        Self { round, users: vec![(Steps::default(), None); IMPORTED.len()] }
    }

    fn email(&self, number: usize) -> String {
        format!("first{}@round{}.test", IMPORTED[number], self.round)
    }

    fn password(&self, number: usize) -> String {
        format!("Pa55-wörd {number} {}", self.round)
    }

    fn ticket(&self, server: &Server, number: usize) -> Asked<String> {
        let connection = connection_id(server, &connection_name(self.round))?;
        let wish = json!({ "connection_id": connection, "email": self.email(number) });
        let answer = server.try_send("POST", "/api/v2/tickets/password-change", &wish)?;
        assert_eq!(answer.status, 201, "{}", answer.text);
        let link = answer.json()["ticket"].as_str().unwrap().to_owned();
        let (_, text) = link.split_once("ticket=").unwrap();
        Ok(text.split(['#', '&']).next().unwrap().to_owned())
    }

    fn set(&self, server: &Server, number: usize, ticket: &str) -> Asked<()> {
        let password = escape(&self.password(number));
        let form = format!("ticket={}&password={password}&again={password}", escape(ticket));
        let kind = "application/x-www-form-urlencoded";
        let answer = server.try_send_text("POST", "/u/reset-password", kind, form)?;
        assert_eq!(answer.status, 200, "{}", answer.text);
        Ok(())
    }

    fn sign_in(&self, server: &Server, number: usize) -> Asked<()> {
        let asked = json!({
            "grant_type": "http://auth0.com/oauth/grant-type/password-realm",
            "realm": connection_name(self.round), "client_id": CLIENT, "client_secret": SECRET,
            "username": self.email(number), "password": self.password(number), "scope": "openid",
        });
        let answer = server.try_send("POST", "/oauth/token", &asked)?;
        assert_eq!(answer.status, 200, "{}", answer.text);
        Ok(())
    }
}

impl Act for Passwords {
    fn go_on(&mut self, server: &Server, begun: &Sender<()>) -> Asked<()> {
        for number in 0..self.users.len() {
            if self.users[number].0.done == 0 {
                // A new link ends the one before, answered or not.
                self.users[number].1 = None;
                let ticket = self.ticket(server, number)?;
                self.users[number] = (Steps { done: 0, asked: true }, Some(ticket.clone()));
                let _ = begun.send(());
                self.set(server, number, &ticket)?;
                self.users[number].0 = Steps { done: 1, asked: false };
            }
            self.sign_in(server, number)?;
        }
        Ok(())
    }

    fn look(&mut self, store: &Store) -> Vec<Phase> {
        let connection = connection(store, &connection_name(self.round)).unwrap();
        let mut met = Vec::new();
        for number in 0..self.users.len() {
            let (steps, ticket) = &self.users[number];
            let user = store.user_in(&connection, &self.email(number)).unwrap().unwrap();
            let is_set = store.credential(&connection, &user.id).unwrap().is_some();
            assert!(steps.allows(usize::from(is_set)), "{steps:?}");
            assert_eq!(user.activity.last_password_reset.is_some(), is_set);
            if let Some(ticket) = ticket {
                let ticket =
                    store.ticket(secret_hash(ticket), TicketKind::SetPassword, SystemTime::now().into());
                assert_eq!(ticket.unwrap().is_none(), is_set, "the link and what it was for");
            }
            if steps.asked {
                met.push(Phase::SettingPasswords);
            }
            self.users[number].0 = Steps { done: usize::from(is_set), asked: false };
        }
        met
    }

    fn span(&self) -> Duration {
        Duration::from_millis(150)
    }
}

/// Clients that are made, granted something, renamed, and some of them deleted.
pub struct Clients {
    round: usize,
    clients: Vec<(Steps, Option<String>)>,
}

impl Clients {
    pub fn new(round: usize) -> Self {
        Self { round, clients: vec![(Steps::default(), None); 6] }
    }

    fn name(&self, number: usize) -> String {
        format!("client {} {number}", self.round)
    }

    fn step(&self, server: &Server, number: usize, step: usize) -> Asked<Option<String>> {
        let id = self.clients[number].1.as_deref().unwrap_or_default();
        let path = format!("/api/v2/clients/{id}");
        let answer = match step {
            0 => server.try_send("POST", "/api/v2/clients", &json!({ "name": self.name(number) }))?,
            1 => {
                let audience = "http://intake.test/api/v2/";
                let wish = json!({ "client_id": id, "audience": audience, "scope": ["read:users"] });
                server.try_send("POST", "/api/v2/client-grants", &wish)?
            }
            2 => server.try_send("PATCH", &path, &json!({ "description": "changed" }))?,
            _ => server.try_send("DELETE", &path, &Value::Null)?,
        };
        assert!(answer.status < 300 || (step == 1 && answer.status == 409), "{}", answer.text);
        Ok((step == 0).then(|| answer.json()["client_id"].as_str().unwrap().to_owned()))
    }
}

impl Act for Clients {
    fn go_on(&mut self, server: &Server, begun: &Sender<()>) -> Asked<()> {
        for number in 0..self.clients.len() {
            let last = if number.is_multiple_of(2) { 4 } else { 3 };
            while self.clients[number].0.done < last {
                let (mut steps, _) = self.clients[number];
                let _ = begun.send(());
                self.clients[number].0.asked = true;
                let id = steps.take(|step| self.step(server, number, step))?;
                self.clients[number].0 = steps;
                if id.is_some() {
                    self.clients[number].1 = id;
                }
            }
        }
        Ok(())
    }

    fn look(&mut self, store: &Store) -> Vec<Phase> {
        let (clients, grants) = (store.clients().unwrap(), store.grants().unwrap());
        let is_known = |id: &str| clients.iter().any(|client| client.id == id);
        assert!(grants.iter().all(|grant| is_known(&grant.client_id)), "a grant of nobody");
        let mut met = Vec::new();
        for number in 0..self.clients.len() {
            let name = self.name(number);
            let found: Vec<_> = clients.iter().filter(|client| client.name == name).collect();
            assert!(found.len() <= 1, "{name} was made twice");
            let steps = self.clients[number].0;
            if steps.asked {
                met.push(Phase::ChangingClients);
            }
            let Some(client) = found.first() else {
                assert!(steps.allows(0) || steps.allows(4), "{name} is gone: {steps:?}");
                if steps.done >= 3 {
                    self.clients[number].0 = Steps { done: 4, asked: false };
                }
                continue;
            };
            let is_granted = grants.iter().any(|grant| grant.client_id == client.id);
            let is_changed = client.settings.contains_key("description");
            assert!(is_granted || !is_changed, "{name} was changed before it was granted anything");
            let done = 1 + usize::from(is_granted) + usize::from(is_changed);
            assert!(steps.allows(done), "{name} is at {done}: {steps:?}");
            self.clients[number] = (Steps { done, asked: false }, Some(client.id.clone()));
        }
        met.truncate(1);
        met
    }

    fn span(&self) -> Duration {
        Duration::from_millis(60)
    }
}

/// A connection that is filled, and deleted with all that is in it.
pub struct Doomed {
    round: usize,
    is_filled: bool,
    steps: Steps,
}

const DOOMED: usize = 12_000;

impl Doomed {
    pub fn new(round: usize) -> Self {
        Self { round, is_filled: false, steps: Steps::default() }
    }

    fn name(&self) -> String {
        format!("doomed-{}", self.round)
    }

    fn email(&self, at: usize) -> String {
        format!("doomed{at}@round{}.test", self.round)
    }

    fn fill(&mut self, server: &Server) -> Asked<()> {
        make_connection(server, &self.name())?;
        let id = connection_id(server, &self.name())?.unwrap();
        let jobs = server.try_get(&format!("/api/v2/jobs?external_id={}", self.name()))?.json();
        let job = if let Some(job) = jobs[0]["id"].as_str() {
            job.to_owned()
        } else {
            let file = array((0..DOOMED).map(|at| row(&self.email(at), at, "doomed")));
            let form = Form::import(&id, &file, false).with("external_id", &self.name());
            let answer = server.try_upload(&form)?;
            assert_eq!(answer.status, 202, "{}", answer.text);
            answer.json()["id"].as_str().unwrap().to_owned()
        };
        assert_eq!(server.try_wait(&job)?["summary"]["inserted"], DOOMED);
        self.is_filled = true;
        Ok(())
    }
}

impl Act for Doomed {
    fn go_on(&mut self, server: &Server, begun: &Sender<()>) -> Asked<()> {
        if !self.is_filled {
            self.fill(server)?;
        }
        let _ = begun.send(());
        if self.steps.done == 0 {
            let Some(id) = connection_id(server, &self.name())? else { return Ok(()) };
            self.steps
                .take(|_| server.try_send("DELETE", &format!("/api/v2/connections/{id}"), &Value::Null))?;
        }
        Ok(())
    }

    fn look(&mut self, store: &Store) -> Vec<Phase> {
        let found = connection(store, &self.name());
        let met = self.steps.asked || store.has_garbage().unwrap();
        if let Some(connection) = found.filter(|_| self.is_filled) {
            assert!(self.steps.allows(0), "a deleted connection is there");
            assert_eq!(store.count(&connection).unwrap(), DOOMED as u64, "part of it is gone");
            self.steps = Steps::default();
        } else if self.is_filled {
            assert!(self.steps.allows(1), "the connection is gone");
            self.steps = Steps { done: 1, asked: false };
            for at in [0, DOOMED / 2, DOOMED - 1] {
                assert_eq!(store.users_by_email(&self.email(at)).unwrap(), []);
            }
        }
        met.then_some(Phase::Deleting).into_iter().collect()
    }

    fn span(&self) -> Duration {
        // Less than it takes to remove what was in it: some hundred blocks, in steps with pauses.
        Duration::from_millis(40)
    }
}
