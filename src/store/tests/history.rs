//! Random lives of a store, the same for the same number, and everything that is in a store afterwards.

use super::*;
use crate::domain::{
    Client, ClientGrant, ContentFormat, Credential, Errand, EventFilter, Export, ExportField, ExportFormat,
    Fate, GrantId, HttpSink, Leave, LogStream, StreamId, StreamStatus, Task, TaskStage, TicketKind,
    UserTicket,
};

/// Uploads a file that has the bytes which cursors of tests name.
pub(super) fn enqueue(store: &Store, import: &Import, connection: &Connection) -> Arc<Job> {
    let mut upload = store.begin_upload(&import.id()).unwrap();
    upload.write(&vec![b' '; 100 * import.rows.len() + 2]).unwrap();
    store.enqueue(import.new_job(connection), upload, accepted(&import.id())).unwrap()
}

/// A log stream with all there can be.
pub(super) fn stream(number: u8) -> LogStream {
    LogStream {
        id: StreamId::from_entropy([number; 16]),
        name: format!("siem-{number}"),
        declared_as: Some("siem".to_owned()),
        status: StreamStatus::Active,
        sink: HttpSink {
            endpoint: "https://siem.test".to_owned(),
            authorization: Some("Bearer hush".to_owned()),
            content_type: "application/json".to_owned(),
            format: ContentFormat::JsonArray,
            custom_headers: vec![("x-key".to_owned(), "value".to_owned())],
            batch_size: 7,
            secret: Some("whsec_hush".to_owned()),
        },
        filters: vec![EventFilter::event("sui").unwrap(), EventFilter::category("user.fail").unwrap()],
        created_at: NOW,
    }
}

pub(super) fn client(number: u8) -> Client {
    let settings = serde_json::json!({ "app_type": "spa", "n": number }).as_object().unwrap().clone();
    Client { id: format!("client-{number}"), name: "App".to_owned(), secret_hash: [number; 32], settings }
}

pub(super) fn grant(number: u8, audience: Option<&str>) -> ClientGrant {
    ClientGrant {
        id: GrantId::from_entropy([number; 16]),
        client_id: client(number).id,
        audience: audience.map(str::to_owned),
        scope: vec!["read:users".to_owned()],
    }
}

pub(super) fn export(number: u8, stage: TaskStage) -> Task {
    Task {
        id: JobId::from_entropy([100 + number; 16]),
        created_at: NOW,
        what: Errand::Export(Export {
            connection: Some((connection(1).id, connection(1).name)),
            format: if number.is_multiple_of(2) { ExportFormat::Csv } else { ExportFormat::Json },
            limit: Some(9),
            fields: vec![ExportField { name: "email".to_owned(), export_as: Some("mail".to_owned()) }],
        }),
        attempts: 1,
        stage,
    }
}

/// Makes an export with its file.
pub(super) fn put_export(store: &Store, number: u8, content: &[u8]) {
    use std::io::Write as _;
    let task = export(number, TaskStage::Completed { at: NOW, users: 3 });
    let mut file = store.begin_export(&task.id, task.export().unwrap().format).unwrap();
    file.write_all(content).unwrap();
    file.finish().unwrap();
    store.put_task(&task, Owed::nothing()).unwrap();
}

/// A life in progress.
struct Life {
    store: TestStore,
    dice: Dice,
    imports: Vec<Import>,
    connections: Vec<Connection>,
    last_connection: u8,
    made: u8,
}

/// Numbers beyond it make the ids of earlier ones.
const IDS: u8 = 60;

/// A store that has lived through so many steps.
pub(super) fn live(seed: u64, steps: u64) -> TestStore {
    let store = TestStore::new();
    let connections = vec![store.connection.clone()];
    let mut life =
        Life { store, dice: Dice(seed), imports: Vec::new(), connections, last_connection: 1, made: 0 };
    for _ in 0..steps {
        life.step();
    }
    life.store
}

impl Life {
    fn step(&mut self) {
        match self.dice.below(24) {
            0 | 1 => self.enqueue(),
            2..=9 => self.chunk(),
            10 => self.create(),
            11 | 12 => self.delete(),
            13 => self.change_address(),
            14 => self.ticket(),
            15 => self.set_password(),
            16 => self.sign_in(),
            17 => self.letters(),
            18 => self.stream(),
            19 => self.task(),
            20 => self.connection(),
            21 => self.sweep(),
            22 => self.store.restart(),
            _ => self.client(),
        }
    }

    fn next(&mut self) -> u8 {
        self.made += 1;
        self.made
    }

    fn enqueue(&mut self) {
        let number = 1 + self.imports.len() as u8;
        if number > IDS {
            return;
        }
        let upsert = self.dice.below(2) == 0;
        let rows = (0..self.dice.below(60)).map(|_| self.row()).collect();
        let import = Import { number, upsert, rows };
        let at = self.dice.below(self.connections.len() as u64) as usize;
        enqueue(&self.store, &import, &self.connections[at]);
        self.imports.push(import);
    }

    fn row(&mut self) -> Row {
        const AWKWARD: &str =
            r#"{"a":1,"a":2.50,"big":123456789012345678901234567890,"t":"\n\u0000\"\\é😀"}"#;
        let at = self.dice.below(40);
        Row {
            verified: self.dice.below(2) == 0,
            username: (self.dice.below(2) == 0).then(|| format!("n{}", at / (1 + self.dice.below(2)))),
            id: (self.dice.below(9) == 0).then(|| UserId::parse_given(&format!("id-{at}")).unwrap()),
            app_metadata: (self.dice.below(3) == 0).then(|| AWKWARD.to_owned()),
            user_metadata: (self.dice.below(3) == 0).then(|| {
                let bytes = 30 + 9000 * self.dice.below(2) as usize;
                self.dice.noise(bytes)
            }),
            malformed: self.dice.below(9) == 0,
            ..Row::from(&*format!("u{at}@acme.test"))
        }
    }

    fn chunk(&mut self) {
        let is_open = |import: &&Import| {
            let job = self.store.job(&import.id()).unwrap();
            job.is_some_and(|job| job.progress().is_some())
        };
        let open: Vec<Import> = self.imports.iter().filter(is_open).cloned().collect();
        if open.is_empty() {
            return;
        }
        let import = &open[self.dice.below(open.len() as u64) as usize];
        if let Err(StoreError::ConnectionGone(name)) =
            import.step(&self.store, 1 + self.dice.below(25) as usize)
        {
            let job = self.store.job(&import.id()).unwrap().unwrap();
            self.store.fail(&job, format!("{name} is gone"), NOW, &ended).unwrap();
        }
    }

    /// Somebody, if there is anybody.
    fn somebody(&mut self) -> Option<(Connection, User)> {
        let all: Vec<_> = self
            .connections
            .iter()
            .flat_map(|connection| {
                scan(&self.store, connection).into_iter().map(|user| (connection.clone(), user))
            })
            .collect();
        let at = self.dice.below(all.len().max(1) as u64) as usize;
        all.into_iter().nth(at)
    }

    fn create(&mut self) {
        let (number, row) = (self.next(), self.row());
        let id = UserId::from_bytes([number; 12]);
        let candidate = Candidate { profile: profile(), blocked: true, ..row.candidate() };
        let credential = tickets::credential(NOW);
        let connection = self.connections[0].id.clone();
        let made =
            self.store.create_user(&connection, &candidate, &id, Some(&credential), NOW, |_| Owed::nothing());
        drop(made.unwrap());
    }

    fn delete(&mut self) {
        if let Some((connection, user)) = self.somebody() {
            self.store.delete_user(&connection.id, &user.id, Owed::nothing()).unwrap();
        }
    }

    fn change_address(&mut self) {
        let number = self.dice.below(90);
        if let Some((connection, user)) = self.somebody() {
            let make = |user: &mut User| {
                user.email = format!("u{number}@acme.test");
                Ok::<_, Refused>(None)
            };
            drop(self.store.change_user(&connection.id, &user.id, make, |_| Owed::nothing()).unwrap());
        }
    }

    fn ticket(&mut self) {
        let (number, kind) = (self.next(), self.dice.below(2));
        if let Some((connection, user)) = self.somebody() {
            let email = user.email.clone();
            let leave = match kind {
                0 => Leave::SetPassword { proves_email: true, email },
                _ => Leave::VerifyEmail { email },
            };
            let ticket = UserTicket {
                user: user.id,
                connection: connection.id,
                leave,
                created_at: NOW,
                expires_at: NOW.after(Duration::from_mins(1)),
                result_url: Some("https://acme.test/?a=b".to_owned()),
                include_email_in_redirect: true,
                client_id: Some("client-1".to_owned()),
            };
            self.store.issue_ticket([number; 32], ticket, Owed::nothing()).unwrap();
        }
    }

    fn set_password(&mut self) {
        for number in 1..=self.made {
            let credential = Credential { hash: format!("$argon2id$…{number}"), changed_at: NOW };
            if self.store.redeem_ticket([number; 32], &credential, Owed::nothing()).unwrap() {
                return;
            }
        }
    }

    fn sign_in(&mut self) {
        if let Some((connection, user)) = self.somebody() {
            let ip = Some("203.0.113.7".to_owned());
            self.store.note_login(&connection.id, &user.id, ip, NOW, Owed::nothing()).unwrap();
        }
    }

    fn letters(&mut self) {
        for letter in self.store.letters().unwrap() {
            let number = letter.number;
            match self.dice.below(4) {
                0 => self.store.letter_sent(number).unwrap(),
                1 => self.store.letter_not_sent(number, "no", Fate::GivenUp(NOW), Owed::nothing()).unwrap(),
                2 => self.store.letter_not_sent(number, "later", Fate::Due(NOW), Owed::nothing()).unwrap(),
                _ => {}
            }
        }
    }

    fn stream(&mut self) {
        let number = self.next();
        self.store.create_stream(&stream(number), Some(0), 200, Owed::nothing()).unwrap();
        let end = self.store.next_event().unwrap();
        let next = self.dice.below(end + 1);
        self.store
            .note_stream_progress(&stream(number).id, |progress| {
                progress.next = next;
                progress.last_error = Some("refused".to_owned());
                progress.failing_since = Some(NOW);
            })
            .unwrap();
    }

    fn task(&mut self) {
        let number = self.next();
        match self.dice.below(4) {
            0 => put_export(&self.store, number, &vec![number; self.dice.below(300_000) as usize]),
            1 => self.store.put_task(&export(number, TaskStage::Pending), Owed::nothing()).unwrap(),
            2 => {
                let stage = TaskStage::Failed { at: NOW, reason: "no room".to_owned() };
                self.store.put_task(&export(number, stage), Owed::nothing()).unwrap();
            }
            _ => {
                let (user, connection) = (tickets::ann(), connection(1).id);
                let what = Errand::VerificationEmail { user, connection };
                let task = Task { what, ..export(number, TaskStage::Completed { at: NOW, users: 0 }) };
                self.store.put_task(&task, Owed::nothing()).unwrap();
            }
        }
    }

    fn connection(&mut self) {
        if self.connections.len() < 3 && self.last_connection < IDS {
            self.last_connection += 1;
            let made = connection(self.last_connection);
            self.connections.push(self.store.create_connection(made, Owed::nothing()).unwrap());
        } else if self.connections.len() > 1 {
            let gone = self.connections.pop().unwrap();
            self.store.delete_connection(&gone.id, Owed::nothing()).unwrap();
        }
    }

    fn sweep(&mut self) {
        let old = if self.dice.below(2) == 0 { NOW.after(Duration::from_mins(1)) } else { NOW };
        let ages = Ages { jobs: old, events: old, unsent_events: NOW, letters: old, tasks: old, now: NOW };
        let mut sweep = Sweep::of(ages);
        for _ in 0..self.dice.below(3) {
            self.store.sweep(&mut sweep).unwrap();
        }
    }

    fn client(&mut self) {
        let number = self.next();
        self.store
            .create_client(&client(number), Some(&grant(number, Some("https://api"))), Owed::nothing())
            .unwrap();
        if self.dice.below(3) == 0 {
            self.store.delete_client(&client(number).id, Owed::nothing()).unwrap();
        }
    }
}

pub(super) fn profile() -> Profile<std::borrow::Cow<'static, str>> {
    Profile {
        name: Some("Ann Example".into()),
        nickname: Some("ann".into()),
        given_name: Some("Ann".into()),
        family_name: Some("Example".into()),
        picture: Some("https://acme.test/ann.png".into()),
        phone_number: Some("+15550100".into()),
        phone_verified: Some(true),
    }
}

/// All that somebody may ask a store for, in words.
pub(super) fn everything(store: &Store) -> Vec<String> {
    let core = store.core().unwrap();
    let database::Head { next_ticket, next_connection, next_event, last_event, next_number, .. } =
        core.writer.lock().head;
    let mut all = vec![format!("{next_ticket} {next_connection} {next_event} {last_event} {next_number}")];
    all.extend(store.clients().unwrap().iter().map(|client| serde_json::to_string(client).unwrap()));
    all.extend(store.grants().unwrap().iter().map(|grant| format!("{grant:?}")));
    for connection in store.connections().unwrap() {
        all.push(format!("{connection:?}"));
        for user in scan(store, &connection) {
            let password = store.credential(&connection, &user.id).unwrap();
            let hash = password.as_ref().map(|password| password.hash.clone());
            all.push(format!("{user:?} {password:?} {hash:?}"));
        }
    }
    for number in 0..=u8::MAX {
        for kind in TicketKind::ALL {
            all.extend(
                store.ticket([number; 32], kind, NOW).unwrap().map(|ticket| format!("{number} {ticket:?}")),
            );
        }
        all.extend(store.task(&JobId::from_entropy([number; 16])).unwrap().map(|task| format!("{task:?}")));
    }
    for job in store.jobs(&|_| true, 0, usize::MAX, false).unwrap().jobs {
        all.push(format!("{job:?}"));
        let mut from = Some(0);
        while let Some(first) = from {
            let (rows, next) = store.failed_rows(job.ticket, first).unwrap();
            all.extend(rows.iter().map(|row| format!("{row:?}")));
            from = next;
        }
        all.extend(store.file(&job).ok().map(|file| format!("{} bytes", file.metadata().unwrap().len())));
    }
    let events = store.events_from(0, usize::MAX).unwrap();
    all.extend(events.iter().map(|event| format!("{event:?}")));
    all.extend(store.letters().unwrap().iter().map(|letter| format!("{letter:?}")));
    for stream in store.streams().unwrap() {
        let sink = serde_json::to_string(&stream).unwrap();
        all.push(format!("{sink} {:?}", store.stream_progress(&stream.id).unwrap()));
    }
    all
}
