//! What must hold of a value in the database, whatever its bytes: it is read or it is an error, and what was
//! read is written as it was.

#![expect(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a panic is how this says no")]

use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::block::{Block, compress, decompress};
use super::database::Head;
use super::failures;
use super::keys::{
    CLIENTS, CONNECTIONS, CREDENTIALS, EVENTS, GARBAGE, GRANTS, HEAD, JOBS, Keyspace, LETTERS,
    NEWEST_TICKETS, STREAM_PROGRESS, STREAMS, TASKS, TICKETS,
};
use super::record::{Keys, Record, Touch};
use crate::domain::{
    Activity, Code, Connection, Event, EventType, FailedRow, Fault, FileFault, IdSeries, Job, LogId, Logged,
    Profile, Progress, Stage, Summary, Timestamp, User, UserId,
};

/// A value, and in its first byte of which family it is.
pub fn store_codec(bytes: &[u8]) {
    let Some((family, value)) = bytes.split_first() else { return };
    match family % 18 {
        0 => block(value),
        1 => record(value),
        2 => failed_rows(value),
        3 => packed(value),
        4 => same(&HEAD, value),
        5 => same(&JOBS, value),
        6 => same(&CREDENTIALS, value),
        7 => same(&NEWEST_TICKETS, value),
        8 => same(&GARBAGE, value),
        9 => same(&CONNECTIONS, value),
        10 => same(&CLIENTS, value),
        11 => same(&GRANTS, value),
        12 => same(&TASKS, value),
        13 => same(&TICKETS, value),
        14 => same(&EVENTS, value),
        15 => same(&LETTERS, value),
        16 => same(&STREAMS, value),
        _ => same(&STREAM_PROGRESS, value),
    }
}

/// The bytes of a block before they are packed: few bytes at random are a good packing.
fn block(raw: &[u8]) {
    let Ok(block) = Block::decode(&compress(raw).unwrap()) else { return };
    assert_eq!(decompress(&block.encode().unwrap()).unwrap(), raw);
    let mut seen = 0;
    for (slot, bytes) in block.records() {
        assert_eq!(block.record(slot), Some(bytes));
        record(bytes);
        seen += bytes.len();
    }
    assert_eq!(seen, block.bytes());
    let mut emptied = block.clone();
    for slot in (0..block.len()).rev() {
        emptied.delete(slot);
        assert_eq!(emptied.record(slot), None);
    }
    assert_eq!((emptied.bytes(), emptied.len()), (0, block.len()));
}

fn record(bytes: &[u8]) {
    let Ok(record) = Record::decode(bytes) else { return };
    assert_eq!(Keys::decode(bytes).unwrap(), record.keys);
    let written = record.encode().unwrap();
    assert_eq!(Record::decode(&written).unwrap(), record);
    let user = record.to_user();
    assert_eq!(Record::of(&user, record.touches.clone()).to_user(), user);
}

fn failed_rows(page: &[u8]) {
    if let Ok(rows) = failures::decode(page) {
        assert!(rows.len() <= page.len());
    }
}

/// What is packed comes out again; what was never packed is an error, or comes out.
fn packed(bytes: &[u8]) {
    assert_eq!(decompress(&compress(bytes).unwrap()).unwrap(), bytes);
    if let Ok(raw) = decompress(bytes) {
        assert_eq!(decompress(&compress(&raw).unwrap()).unwrap(), raw);
    }
}

fn same<V: Serialize + DeserializeOwned + Debug>(family: &Keyspace<V>, bytes: &[u8]) {
    let Ok(value) = family.decode(bytes) else { return };
    let again = family.decode(&family.encode(&value).unwrap()).unwrap();
    assert_eq!(format!("{again:?}"), format!("{value:?}"));
}

/// Values of some families.
pub fn seeds() -> Vec<Vec<u8>> {
    let now = Timestamp::parse("2018-03-05T09:31:12.481Z").unwrap();
    let user = User {
        id: UserId::parse_given("legacy-1").unwrap(),
        email: "ann@example.test".to_owned(),
        email_verified: true,
        username: Some("ann.k".to_owned()),
        created_at: now,
        updated_at: now,
        blocked: true,
        profile: Profile { name: Some("Ann".to_owned()), phone_verified: Some(true), ..Profile::default() },
        activity: Activity { last_ip: Some("::1".to_owned()), logins_count: 300, ..Activity::default() },
        app_metadata: Some("{\"a\":1.0}".to_owned()),
        user_metadata: None,
    };
    let touches = vec![Touch { ticket: 3, row: 700, named: true }];
    let record = Record::of(&user, touches).encode().unwrap();
    let mut block = Block::default();
    for bytes in [&record[..], b"", &record[..]] {
        block.push(bytes);
    }
    let faults = vec![Fault::of_row(Code::ProfileSizeExceeded, "too large".to_owned())];
    let failed = FailedRow::new(7, 9, "{}".to_owned(), faults);
    let stage = Stage::Failed { reason: "x".to_owned(), summary: Summary::default(), at: now };
    let job = |stage, rows| Job {
        id: "job_8dQ2xYz0aBcD1eFg".parse().unwrap(),
        ticket: 17,
        connection: "con_8dQ2xYz0aBcD1eFg".parse().unwrap(),
        connection_name: "staff-db".to_owned(),
        external_id: Some("x".to_owned()),
        upsert: true,
        send_completion_email: false,
        created_at: now,
        bytes: 1 << 40,
        rows,
        ids: IdSeries::new(now, [7; 8]),
        attempts: 1,
        stage,
    };
    let fault = FileFault { what: "w".to_owned(), line: 1, column: 2, byte: 3, hint: Some("h".to_owned()) };
    let connection =
        Connection::database("con_0000000000000001".parse().unwrap(), "a".to_owned(), Vec::new());
    let event = Event::new(now, EventType::ApiSuccess, "x").about(&connection).with("a", "b");
    let values = [
        (0, decompress(&block.encode().unwrap()).unwrap()),
        (1, record),
        (2, postcard::to_allocvec(&failed).unwrap()),
        (3, compress(b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa").unwrap()),
        (4, HEAD.encode(&Head::default()).unwrap()),
        (5, JOBS.encode(&job(stage, Ok(9))).unwrap()),
        (5, JOBS.encode(&job(Stage::Pending(Progress::default()), Err(fault))).unwrap()),
        (8, GARBAGE.encode(&(vec![1], vec![2])).unwrap()),
        (9, CONNECTIONS.encode(&connection).unwrap()),
        (14, EVENTS.encode(&Logged::new(LogId { at: now, number: 17 }, event)).unwrap()),
    ];
    values.into_iter().map(|(family, value)| [vec![family], value].concat()).collect()
}
