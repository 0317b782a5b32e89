//! A dump holds everything, and a store that was made of one goes on as the dumped one would have.

use std::fs;
use std::io::{BufReader, Read, Write as _};
use std::path::PathBuf;

use proptest::prelude::*;

use super::history::{client, enqueue, everything, export, grant, live, profile, put_export, stream};
use super::*;
use crate::domain::{ContentFormat, Errand, Fate, Leave, Task, TaskStage, UserTicket};
use crate::store::format::write_half_made;

const WRITTEN: Written = Written { program: "0.0.0", at: NOW };

/// A dump of version 1, as it was written when that was the newest.
const VERSION_1: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/version-1.dump");

/// A store with something of every kind.
pub(super) fn furnished() -> TestStore {
    let store = TestStore::new();
    fs::write(store.options.path.join("signing-key.pem"), "-----BEGIN PRIVATE KEY-----\n").unwrap();
    std::fs::set_permissions(
        store.options.path.join("signing-key.pem"),
        std::os::unix::fs::PermissionsExt::from_mode(0o600),
    )
    .unwrap();
    store.create_client(&client(1), Some(&grant(1, None)), Owed::nothing()).unwrap();
    store
        .update_connection(&connection(1).id, |one| one.enabled_clients.push(client(1).id), Owed::nothing())
        .unwrap();
    people(&store);
    let awkward = r#"{"a":1,"a":2.50,"big":123456789012345678901234567890}"#;
    let rows = vec![Row::from(("bob@acme.test", "bob")).app(awkward), Row::from("bob@acme.test")];
    let insert = Import::insert(1, rows);
    enqueue(&store, &insert, &store.connection);
    insert.finish(&store, 9);
    let rows = rows![("bob@acme.test", "robert"), "bob@acme.test", "cy@acme.test", "dan@acme.test"];
    let upsert = Import::upsert(2, rows);
    enqueue(&store, &upsert, &store.connection);
    upsert.step(&store, 3).unwrap();
    told(&store);
    let gone = store.create_connection(connection(2), Owed::nothing()).unwrap();
    let lost = Import::insert(3, rows!["eve@acme.test", "eve@acme.test"]);
    enqueue(&store, &lost, &gone);
    let chunk = lost.step(&store, 1).unwrap();
    store.delete_connection(&gone.id, Owed::nothing()).unwrap();
    store.fail(&chunk, "CONNECTION_NOT_FOUND".to_owned(), NOW, &ended).unwrap();
    store
}

/// A user with everything, her password, and her tickets.
fn people(store: &TestStore) {
    let row = Row::from(("ann@acme.test", "ann")).app("{}").user(r#"{"t":"\n\"é"}"#);
    let candidate = Candidate { profile: profile(), blocked: false, ..row.candidate() };
    let (connection, id) = (&store.connection.id, UserId::parse_given("ann-1").unwrap());
    let password = tickets::credential(NOW);
    store
        .create_user(connection, &candidate, &id, Some(&password), NOW, |_| Owed::nothing())
        .unwrap()
        .unwrap();
    store.note_login(connection, &id, Some("203.0.113.7".to_owned()), NOW, Owed::nothing()).unwrap();
    let email = "ann@acme.test".to_owned();
    let leaves =
        [Leave::SetPassword { proves_email: true, email: email.clone() }, Leave::VerifyEmail { email }];
    for (number, leave) in (1..).zip(leaves) {
        let ticket = UserTicket {
            user: id.clone(),
            connection: connection.clone(),
            leave,
            created_at: NOW,
            expires_at: NOW.after(Duration::from_mins(1)),
            result_url: Some("https://acme.test/?a=b".to_owned()),
            include_email_in_redirect: true,
            client_id: Some(client(1).id),
        };
        store.issue_ticket([number; 32], ticket, Owed::nothing()).unwrap();
    }
}

/// Letters of each fate, a log stream, and tasks of each kind.
fn told(store: &TestStore) {
    let number = store.letters().unwrap()[0].number;
    store.letter_not_sent(number, "550 no", Fate::GivenUp(NOW), Owed::nothing()).unwrap();
    store.create_stream(&stream(1), Some(1), 9, Owed::nothing()).unwrap();
    store
        .note_stream_progress(&stream(1).id, |progress| {
            progress.delivered = 1;
            progress.last_error = Some("refused".to_owned());
        })
        .unwrap();
    put_export(store, 1, b"a file");
    store.put_task(&export(2, TaskStage::Pending), Owed::nothing()).unwrap();
    let failed = TaskStage::Failed { at: NOW, reason: "nobody is there".to_owned() };
    let what = Errand::VerificationEmail { user: tickets::ann(), connection: connection(1).id };
    store.put_task(&Task { what, ..export(3, failed) }, Owed::nothing()).unwrap();
}

/// The dump of a store, which is closed by that.
pub(super) fn dump(store: &mut TestStore) -> String {
    store.close();
    dump_of(&store.options)
}

pub(super) fn dump_of(options: &Options) -> String {
    let mut text = Vec::new();
    Store::dump(options, WRITTEN, &mut text).unwrap();
    String::from_utf8(text).unwrap()
}

/// A store made of a dump, in a directory of its own.
fn load(text: &str) -> TestStore {
    let directory = tempfile::tempdir().unwrap();
    let options = options(&directory.path().join("data"));
    Store::load(&options, &mut text.as_bytes()).unwrap();
    let store = Store::open(options.clone()).unwrap();
    let connection = store.connections().unwrap().remove(0);
    TestStore { store: Some(store), connection, options, mask: u64::MAX, _directory: directory }
}

#[test]
fn the_format_is_what_it_was() {
    insta::with_settings!({ snapshot_path => "../../../tests/data", prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("dump", dump(&mut furnished()));
    });
}

#[test]
fn a_dump_of_version_1_can_still_be_loaded() {
    let text = fs::read_to_string(VERSION_1).unwrap();
    let mut store = load(&text);
    let ann = store.by_email("ann@acme.test").unwrap();
    assert_eq!(ann.user_metadata.as_deref(), Some(r#"{"t":"\n\"é"}"#));
    let awkward = r#"{"a":1,"a":2.50,"big":123456789012345678901234567890}"#;
    assert_eq!(store.by_email("bob@acme.test").unwrap().app_metadata.as_deref(), Some(awkward));
    assert_eq!(store.streams().unwrap()[0].sink.format, ContentFormat::JsonArray);
    assert_eq!(store.unfinished().unwrap().len(), 1);
    assert_eq!(dump(&mut store), text);
}

#[test]
fn what_is_loaded_is_what_was_dumped() {
    let mut store = furnished();
    let before = everything(&store);
    let text = dump(&mut store);
    let mut loaded = load(&text);
    assert_eq!(everything(&loaded), before);
    let key = loaded.options.path.join("signing-key.pem");
    assert_eq!(fs::read_to_string(&key).unwrap(), "-----BEGIN PRIVATE KEY-----\n");
    assert_eq!(dump(&mut loaded), text);
    assert_eq!(Store::examine(&loaded.options).unwrap().findings, []);
}

#[test]
fn what_deletions_have_left_is_not_in_it() {
    let mut store = furnished();
    assert!(store.has_garbage().unwrap());
    let text = dump(&mut store);
    assert!(!text.contains("\"email\":\"eve@acme.test\""));
}

/// Cut anywhere, dumped and loaded, jobs end as in one life: the same users, ids, failed rows, events and letters.
#[test]
fn jobs_go_on_in_the_loaded_store_as_they_would_have() {
    let rounds = workload::rounds(400);
    let expected = workload::undisturbed(&rounds);
    for cut in [1, 3, 5, 9, 14] {
        let mut store = TestStore::new();
        for _ in 0..cut {
            workload::step(&store, &rounds, &mut |_| {});
        }
        let loaded = load(&dump(&mut store));
        workload::run(&loaded, &rounds, |_| {});
        assert_eq!(workload::holdings(&loaded, &rounds), expected, "dumped after {cut} steps");
    }
}

#[test]
fn a_loaded_store_gives_no_number_twice() {
    let mut store = furnished();
    let text = dump(&mut store);
    store.open().unwrap();
    let loaded = load(&text);
    let outcome = |store: &TestStore| {
        let job = enqueue(store, &Import::insert(9, rows!["zoe@acme.test"]), &store.connection);
        let made = store.create_connection(connection(9), Owed::nothing()).unwrap();
        store.tell(ended(&job)).unwrap();
        let events = store.events_from(0, usize::MAX).unwrap().pop().unwrap();
        (job.ticket, made.number, events.0, events.1.log_id, store.letters().unwrap().pop().unwrap().number)
    };
    assert_eq!(outcome(&loaded), outcome(&store));
}

/// A dump with another last line, as somebody makes who changes it and knows the format.
fn sealed(lines: &[&str]) -> String {
    let text = lines.join("\n") + "\n";
    let mut counts = Counts::new();
    for line in &lines[1..] {
        let kind = line.split('"').nth(3).unwrap_or_default().to_owned();
        *counts.entry(kind).or_default() += 1;
    }
    let counts = serde_json::to_string(&counts).unwrap();
    let sum = crc32fast::hash(text.as_bytes());
    format!("{text}{{\"kind\":\"end\",\"counts\":{counts},\"crc32\":\"{sum:08x}\"}}\n")
}

/// Why a text is not loaded; nothing may be left of it.
#[track_caller]
fn refusal(text: &[u8]) -> String {
    let directory = tempfile::tempdir().unwrap();
    let place: PathBuf = directory.path().join("data");
    let error = Store::load(&options(&place), &mut &*text).unwrap_err().to_string();
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0, "{error}");
    // Neither where an empty directory was.
    fs::create_dir(&place).unwrap();
    Store::load(&options(&place), &mut &*text).unwrap_err();
    let left: Vec<_> = fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["lock"], "{error}");
    error
}

#[test]
fn a_dump_that_is_no_good_loads_nothing_and_names_the_line() {
    let text = dump(&mut furnished());
    let lines: Vec<&str> = text.lines().collect();
    let (last, all) = (lines.len(), &lines[..lines.len() - 1]);
    let with = |at: usize, line: &str| {
        let mut lines = all.to_vec();
        lines[at - 1] = line;
        sealed(&lines)
    };
    let user = 1 + all.iter().position(|line| line.starts_with("{\"kind\":\"user\"")).unwrap();
    let cases = [
        (String::new(), "it is empty".to_owned()),
        ("[]\n".to_owned(), "its first line is no header".to_owned()),
        (text.replacen("\"version\":1", "\"version\":2", 1), "it is of version 2".to_owned()),
        (text.replacen("intake-dump", "other", 1), "names the format \"other\"".to_owned()),
        (lines[..last - 1].join("\n") + "\n", format!("line {last} of the dump: it is missing")),
        (text[..text.len() / 2].to_owned(), "it does not end".to_owned()),
        (text[..text.len() - 1].to_owned(), format!("line {last} of the dump: it does not end")),
        (
            text.replacen("ann@acme", "amy@acme", 1),
            format!("line {last} of the dump: the lines before have the sum"),
        ),
        (text.clone() + "{}\n", format!("line {} of the dump: it comes after the last one", last + 1)),
        (with(3, "{\"kind\":\"wish\",\"a\":1}"), "line 3 of the dump: there is no kind \"wish\"".to_owned()),
        (with(3, "{\"a\":1}"), "line 3 of the dump: it does not begin with".to_owned()),
        (
            with(3, "{\"kind\":\"user\"}"),
            "line 3 of the dump: there is nothing in it but its kind".to_owned(),
        ),
        (
            with(user, "{\"kind\":\"user\",\"b\":1}"),
            format!("line {user} of the dump: it is not as its kind"),
        ),
        (
            with(user, &lines[user - 1].replace("\"email\"", "\"more\":1,\"email\"")),
            format!("line {user} of the dump: it is not as its kind should be: unknown field"),
        ),
        (
            with(user, &lines[user - 1].replace("con_1111", "con_9999")),
            format!("line {user} of the dump: there is no connection con_9999"),
        ),
        (with(user, lines[user]), "have a key in common".to_owned()),
    ];
    for (text, expected) in cases {
        let error = refusal(text.as_bytes());
        assert!(error.contains(&expected), "{error}\n{expected}");
    }
    for name in ["../signing-key.pem", "signing-key/../../x.pem", "server.json", "signing-key.pem.exe"] {
        let key = format!("{{\"kind\":\"signing_key\",\"file\":\"{name}\",\"pem\":\"\"}}");
        assert!(refusal(with(3, &key).as_bytes()).contains("is no name of a signing key"), "{name}");
    }
    let dropped: Vec<&str> = all.iter().filter(|line| !line.contains("\"upload\"")).copied().collect();
    assert!(refusal(sealed(&dropped).as_bytes()).contains("lacks the file of job number"));
}

#[test]
fn any_byte_that_is_changed_is_noticed() {
    let text = dump(&mut furnished()).into_bytes();
    let mut dice = Dice(7);
    for _ in 0..setting("INTAKE_FLIPS", 40) {
        let mut damaged = text.clone();
        let at = dice.below(damaged.len() as u64) as usize;
        damaged[at] ^= 1 << dice.below(8);
        // Of the first line no more is promised than that it says what this is.
        if at > text.iter().position(|byte| *byte == b'\n').unwrap() {
            refusal(&damaged);
        }
    }
}

#[test]
fn nothing_is_loaded_where_something_is() {
    let text = dump(&mut furnished());
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("data");
    fs::create_dir(&place).unwrap();
    let mut file = fs::File::create(place.join("notes")).unwrap();
    file.write_all(b"mine").unwrap();
    let error = Store::load(&options(&place), &mut text.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("notes"), "{error}");
    assert_eq!(fs::read(place.join("notes")).unwrap(), b"mine");
    fs::remove_file(place.join("notes")).unwrap();
    Store::load(&options(&place), &mut text.as_bytes()).unwrap();
    assert_eq!(dump_of(&options(&place)), text, "an empty directory will do");
}

/// A dump that looks around whenever it is read on.
struct Watchful<'a> {
    text: &'a [u8],
    place: Options,
    looked: usize,
}

impl Read for Watchful<'_> {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        let opened = Store::open(self.place.clone());
        assert!(matches!(opened, Err(StoreError::HalfMade(_))), "{opened:?}");
        let loaded = Store::load(&self.place, &mut self.text);
        assert!(matches!(loaded, Err(LoadError::Store(StoreError::Locked(_)))), "{loaded:?}");
        self.looked += 1;
        self.text.read(to)
    }
}

#[test]
fn while_a_directory_is_loaded_nobody_else_opens_it_or_loads_it() {
    let text = dump(&mut furnished());
    for is_there in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let place = options(&directory.path().join("data"));
        if is_there {
            fs::create_dir(&place.path).unwrap();
        }
        let mut from = Watchful { text: text.as_bytes(), place: place.clone(), looked: 0 };
        Store::load(&place, &mut BufReader::with_capacity(text.len() / 2, &mut from)).unwrap();
        assert!(from.looked > 2);
        assert_eq!(dump_of(&place), text);
    }
}

#[test]
fn a_load_that_was_cut_short_is_no_store_and_can_be_repeated() {
    let text = dump(&mut furnished());
    let directory = tempfile::tempdir().unwrap();
    let place = options(&directory.path().join("data"));
    Store::load(&place, &mut text.as_bytes()).unwrap();
    write_half_made(&place.path).unwrap();
    fs::write(place.path.join("retired-key-1-x.pem"), b"another dump's").unwrap();
    fs::write(place.path.join("database/conf"), b"half").unwrap();
    let refused = Store::open(place.clone()).unwrap_err();
    assert!(refused.to_string().contains("(intake restore or intake load;"), "{refused}");
    Store::load(&place, &mut text.as_bytes()).unwrap();
    assert!(!place.path.join("retired-key-1-x.pem").exists());
    assert_eq!(dump_of(&place), text);
}

#[test]
fn a_store_that_is_open_is_not_dumped() {
    let store = furnished();
    let error = Store::dump(&store.options, WRITTEN, &mut Vec::new()).unwrap_err();
    assert!(matches!(error, StoreError::Locked(_)), "{error}");
    let nowhere = options(&store.options.path.join("nowhere"));
    let error = Store::dump(&nowhere, WRITTEN, &mut Vec::new()).unwrap_err();
    assert!(matches!(error, StoreError::Absent(_)), "{error}");
    assert!(!nowhere.path.exists());
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: setting("INTAKE_CASES", 24) as u32,
        max_shrink_iters: 100,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_has_happened_a_store_comes_back_from_its_dump(seed in any::<u64>(), steps in 0..150_u64) {
        let mut store = live(seed, steps);
        store.restart();
        let before = everything(&store);
        let text = dump(&mut store);
        prop_assert_eq!(Store::examine(&store.options).unwrap().findings, []);
        let mut loaded = load(&text);
        prop_assert_eq!(everything(&loaded), before);
        prop_assert_eq!(dump(&mut loaded), text);
        prop_assert_eq!(Store::examine(&loaded.options).unwrap().findings, []);
    }
}
