//! What the targets begin with: files, forms and texts that others have collected, and some of our own that
//! have everything in them.
//!
//! Where the collections of others are missing there are fewer of them.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::domain::testing::corpus;

const EXPORT: &str =
    "{\"user_id\":\"auth0|a\",\"email\":\"a@b.c\",\"email_verified\":true}\n{\"user_id\":\"auth0|b\"} {}\r\n";
const ARRAY: &str = "\u{feff}[\n{\"email\":\"a@b.c\",\"email_verified\":true},\n \"\\ud83d\\ude00\", -1.5e+10, [{}], null\n]\n";
/// Rows with everything in them, secrets above all.
const ROWS: [&str; 6] = [
    r#"{"email":"Ann@Acme.test","email_verified":true,"username":"Ann","app_metadata":{"a":[1,{"b":null}]},"user_metadata":{"x":-1.50e3}}"#,
    r#"{"user_id":"auth0|legacy-17","email":"a@b.c","email_verified":false,"blocked":true,"name":"A","nickname":"n","given_name":"g","family_name":"f","picture":"https://x.test/","phone_number":"+491","phone_verified":true,"last_ip":"::1","identities":[]}"#,
    r#"{"email":"a@b.c","email_verified":true,"password":"hunter2","clientSecret":["x"],"pass\u0077ord_hash":"$2b$10$abc"}"#,
    r#"{"custom_password_hash":{"algorithm":"hmac","hash":{"value":"x","encoding":"hex","digest":"md5","key":{"value":"k","encoding":"utf8"}},"salt":{"value":"s","position":"prefix"},"keylen":32}}"#,
    r#"{"mfa_factors":[{"totp":{"secret":"x"}},{"phone":{"value":"+1"}},{"secret":["x"]}]}"#,
    r#"{"email":7,"email_verified":"yes","username":null,"app_metadata":{"_id":1,"a":{"b":1,"b":2}},"user_metadata":"{}","\ud83d":1}"#,
];
const QUERIES: [&str; 16] = [
    r#"email:"ann@example.test" AND NOT name:jane*"#,
    r#"app_metadata.roles:"admin" OR user_metadata.age:[1 TO 99}"#,
    "created_at:[2018-01-01 TO *] -blocked:true +email_verified:true",
    "_exists_:user_metadata.zip && !(nickname:*nie || given_name:A*n)",
    "logins_count:>=5 logins_count:<20",
    r"app_metadata.a\.b.c:* AND (name:(Ann OR Annie))",
    r#"identities.connection:"staff-db""#,
    r#"user_id:"auth0|5a9d0e50c55b3650a5c9fff9""#,
    "email.domain:\"example.test\"",
    "{a TO b] OR [* TO *}",
    "ann username:ann.k phone_number:+45*",
    "created_at:2018-03",
    "app_metadata.huge:12345678901234567890123e400",
    "user_metadata.age:1",
    "created_at:-1",
    "NOT NOT NOT ((a))",
];
const LOG_QUERIES: [&str; 8] = [
    "type:sapi AND connection:\"staff db\" date:[2018-03-05 TO *]",
    "user_name:ann* description:\"Create import users job\"",
    r"connection:staff\ db user_id:auth0\|5a5a",
    "date:[\"2018-03-05T09:33:01Z\" TO 2018-03-06] type:sapi",
    "client_name:* ip:::1",
    "hostname:intake.test strategy:auth0 ann*",
    "type:(a OR b)",
    "date:2018-03-05*",
];
const NAMES: [&str; 9] = [
    "Ann@Acme.test",
    "\"a b\\\"@\"@[IPv6:::1]",
    "a.b+c@[127.0.0.1]",
    "\u{f6}@\u{e4}.\u{fc}",
    "auth0|5a9d0e50c55b3650a5c9fff9",
    "staff-db-2",
    "2018-03-05T09:31:12.481+01:00",
    "90020180305093301204000000000000000000000000000000000017",
    "\u{130}\u{3a3}",
];
/// The parts of an upload.
const PARTS: [&str; 5] = ["users", "connection_id", "upsert", "external_id", "send_completion_email"];

/// Files of users, some of them packed.
pub(super) fn files() -> Vec<Vec<u8>> {
    let mut files: Vec<Vec<u8>> =
        [EXPORT, ARRAY, "", "[", "{\"a\":1}"].map(|text| text.as_bytes().to_vec()).into();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    files.extend(contents(&folder));
    files.extend(contents(&folder.join("broken")));
    files.extend(corpus("JSONTestSuite/test_parsing").iter().flat_map(|folder| contents(folder)));
    let packed: Vec<_> = files.iter().step_by(10).map(|file| packed(file)).collect();
    files.push(packed[..2].concat());
    files.extend(packed);
    files
}

fn packed(file: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(file).and_then(|()| encoder.finish()).unwrap_or_default()
}

/// Rows, and what stands in metadata.
pub(super) fn rows() -> Vec<Vec<u8>> {
    let mut rows: Vec<Vec<u8>> = ROWS.map(|row| row.as_bytes().to_vec()).into();
    for text in naughty() {
        let row = json!({ "email": "a@b.c", "email_verified": true, "username": text, "name": text, "user_metadata": { &*text: text } });
        rows.push(row.to_string().into_bytes());
    }
    for address in addresses().iter().step_by(5) {
        rows.push(json!({ "email": address, "email_verified": true }).to_string().into_bytes());
    }
    for value in corpus("JSONTestSuite/test_parsing").iter().flat_map(|folder| contents(folder)) {
        if value.len() < 1000 {
            let members =
                [&br#"{"email":"a@b.c","email_verified":true,"app_metadata":{"a":"#[..], &value, b"}}"];
            rows.push(members.concat());
        }
    }
    rows
}

/// Bodies of uploads: as they are, and with the names of our parts.
pub(super) fn forms() -> Vec<Vec<u8>> {
    let mut forms = vec![own_form()];
    for folder in ["python-multipart/http", "multiparty/http"].iter().filter_map(|name| corpus(name)) {
        forms.extend(contents(&folder).into_iter().filter(|body| body.len() < 20_000));
    }
    let cases = corpus("busboy/multipart_cases.json").and_then(|path| fs::read(path).ok());
    let cases: Vec<Value> = cases.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    let sources = cases.iter().filter_map(|case| BASE64_STANDARD.decode(case["source_b64"].as_str()?).ok());
    forms.extend(sources.filter(|body| body.len() < 20_000));
    // Where a whole request was recorded, the body is what counts.
    let bodies = forms.iter().map(|form| match find(form, b"\r\n\r\n") {
        Some(end) if form.starts_with(b"POST ") => form[end + 4..].to_vec(),
        _ => form.clone(),
    });
    let bodies: Vec<Vec<u8>> = bodies.collect();
    bodies.iter().map(|body| renamed(body)).chain(bodies.clone()).collect()
}

fn own_form() -> Vec<u8> {
    let values = ["[]", "con_8dQ2xYz0aBcD1eFg", "true", "batch-17 \u{e4}", "false"];
    let parts = PARTS.iter().zip(values).map(|(name, value)| {
        let file_name = if *name == "users" { "; filename=\"a \\\"b\\\".json\"" } else { "" };
        format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"{file_name}\r\n\r\n{value}\r\n")
    });
    (parts.collect::<String>() + "--B--\r\n").into_bytes()
}

/// The same with the names of our parts, one after the other.
fn renamed(body: &[u8]) -> Vec<u8> {
    let (mut form, mut rest) = (Vec::new(), body);
    for part in PARTS.iter().cycle() {
        let Some(start) = find(rest, b" name=\"").map(|at| at + 7) else { break };
        let Some(length) = find(&rest[start..], b"\"") else { break };
        form.extend_from_slice(&rest[..start]);
        form.extend_from_slice(part.as_bytes());
        rest = &rest[start + length..];
    }
    form.extend_from_slice(rest);
    form
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|part| part == wanted)
}

/// Searches for users.
pub(super) fn queries() -> Vec<Vec<u8>> {
    let quoted = |text: String| format!("name:\"{}\"", text.replace('\\', r"\\").replace('"', "\\\""));
    let naughty = naughty();
    let texts = QUERIES.map(str::to_owned).into_iter().chain(naughty.clone().into_iter().map(quoted));
    texts.chain(naughty).map(String::into_bytes).collect()
}

/// Questions to the log.
pub(super) fn log_queries() -> Vec<Vec<u8>> {
    let texts = LOG_QUERIES.iter().chain(&QUERIES).map(|text| (*text).to_owned());
    texts.chain(naughty()).map(String::into_bytes).collect()
}

/// Addresses, names and ids.
pub(super) fn names() -> Vec<Vec<u8>> {
    let texts = NAMES.iter().map(|text| (*text).to_owned());
    texts.chain(addresses()).chain(naughty()).map(String::into_bytes).collect()
}

/// Strings that are hard on naive readers.
fn naughty() -> Vec<String> {
    let path = corpus("blns/blns.json");
    let texts = path.and_then(|path| serde_json::from_slice(&fs::read(path).ok()?).ok());
    texts.unwrap_or_default()
}

/// Addresses that others call good or bad.
fn addresses() -> Vec<String> {
    let listed = corpus("email-validator/addresses.json").and_then(|path| fs::read(path).ok());
    let listed: Vec<Value> = listed.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    let listed = listed.iter().filter_map(|case| Some(case["address"].as_str()?.to_owned()));
    let suite =
        corpus("isemail/tests.xml").and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default();
    let tagged = suite.split("<address>").skip(1).filter_map(|rest| Some(rest.split_once("</address>")?.0));
    let tagged = tagged.map(|text| text.replace("&quot;", "\"").replace("&lt;", "<").replace("&amp;", "&"));
    listed.chain(tagged).collect()
}

/// What the files in a folder hold, and in those below.
fn contents(folder: &Path) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    let read = |path: &PathBuf| {
        if path.is_dir() { contents(path) } else { fs::read(path).into_iter().collect() }
    };
    paths.iter().flat_map(read).collect()
}
