//! Forms that others have made to break readers of multipart, sent as uploads.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::helpers::{Answer, Server, shared};

/// A form, the type it is sent with, and where it is from.
struct Sample {
    name: String,
    content_type: String,
    body: Vec<u8>,
}

impl Sample {
    fn new(name: &str, boundary: &str, body: Vec<u8>) -> Self {
        let content_type = format!("multipart/form-data; boundary={boundary}");
        Self { name: name.to_owned(), content_type, body }
    }

    fn boundary(&self) -> &str {
        let (_, rest) = self.content_type.split_once("boundary=").unwrap();
        rest.split(';').next().unwrap().trim_matches('"')
    }

    fn send(&self, server: &Server, body: &[u8]) -> Answer {
        let bearer = format!("Bearer {}", server.token);
        let headers = [("authorization", &*bearer), ("content-type", &*self.content_type)];
        server.request("POST", "/api/v2/jobs/users-imports", &headers, body)
    }

    /// The form with the parts of an import before its first one.
    fn with_import(&self, connection: &str) -> Option<Vec<u8>> {
        let delimiter = format!("--{}", self.boundary());
        let at = self.body.windows(delimiter.len()).position(|bytes| bytes == delimiter.as_bytes())?;
        let part = |name: &str, content: &str| {
            format!("{delimiter}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{content}\r\n")
        };
        let parts = part("users", "[]") + &part("connection_id", connection);
        Some([&self.body[..at], parts.as_bytes(), &self.body[at..]].concat())
    }
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|it| it == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Bodies with their boundary beside them.
fn of_busboy(folder: &Path) -> Vec<Sample> {
    let text = fs::read_to_string(folder.join("multipart_cases.json")).unwrap();
    let cases: Vec<Value> = serde_json::from_str(&text).unwrap();
    let sample = |case: &Value| {
        let text = |name: &str| case[name].as_str().unwrap();
        Sample::new(text("what"), text("boundary"), STANDARD.decode(text("source_b64")).unwrap())
    };
    cases.iter().map(sample).collect()
}

/// Whole requests.
fn of_multiparty(folder: &Path) -> Vec<Sample> {
    let sample = |path: &PathBuf| {
        let request = fs::read(path).unwrap();
        let end = request.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let head = String::from_utf8_lossy(&request[..end]).into_owned();
        let line = |line: &str| {
            line.to_lowercase().starts_with("content-type:").then(|| line[13..].trim().to_owned())
        };
        let content_type = head.lines().find_map(line).unwrap();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        Sample { name, content_type, body: request[end + 4..].to_vec() }
    };
    files(folder, "http").iter().map(sample).collect()
}

/// Bodies with a file about each, whose first line is the boundary.
fn of_python(folder: &Path) -> Vec<Sample> {
    let sample = |path: &PathBuf| {
        let about = fs::read_to_string(path.with_extension("yaml")).unwrap();
        let boundary = about.lines().find_map(|line| line.strip_prefix("boundary:")).unwrap().trim();
        Sample::new(path.file_stem().unwrap().to_str().unwrap(), boundary, fs::read(path).unwrap())
    };
    files(folder, "http").iter().map(sample).collect()
}

const LACKING: &str = "Must provide 'users' file as multipart part.";
const MALFORMED: &str = "Payload validation error: 'Invalid multipart payload format'.";

/// Checks that all are answered, and tells those that are malformed.
fn malformed(samples: &[Sample]) -> Vec<&str> {
    let server = Server::ephemeral();
    let connection = server.connection_id();
    let mut malformed = Vec::new();
    for sample in samples {
        let answer = sample.send(&server, &sample.body);
        match answer.json()["message"].as_str().unwrap() {
            LACKING => {
                let whole =
                    sample.with_import(&connection).unwrap_or_else(|| panic!("{} has no part", sample.name));
                let answer = sample.send(&server, &whole);
                assert_eq!(answer.status, 202, "{}: {}", sample.name, answer.text);
            }
            MALFORMED => malformed.push(&*sample.name),
            other => panic!("{}: {other}", sample.name),
        }
        assert_eq!(answer.status, 400, "{}: {}", sample.name, answer.text);
    }
    malformed.sort_unstable();
    malformed
}

/// Each list ends with what others read and this server does not: a header of a part that is folded (its sender is no
/// browser), a part without a name, a form that is nothing but its end, a line in a file that begins like a boundary (RFC
/// 2046 forbids to send that), and boundaries with characters that have to be in quotes.
#[test]
fn the_forms_of_busboy_are_read() {
    let Some(folder) = shared("busboy") else { return };
    let samples = of_busboy(&folder);
    assert_eq!(samples.len(), 26);
    let cut = ["No fields and no files", "Stopped mid-header", "Stopped mid-file #1", "Stopped mid-file #2"];
    let broken = ["Empty content-type and empty content-disposition", "Oversized part header"];
    let unusual = ["Folded header value", "Skip field parts if no listener", "Parts limit"];
    let odd = ["empty form", "No Content-Disposition"];
    assert_eq!(malformed(&samples), sorted(&[&cut[..], &broken, &unusual, &odd].concat()));
}

#[test]
fn the_forms_of_multiparty_are_read() {
    let Some(folder) = shared("multiparty/http") else { return };
    let samples = of_multiparty(&folder);
    assert!(samples.len() > 20);
    let unquoted =
        ["custom-equal-sign", "beta-sticker-1.png", "binaryfile.tar.gz", "blank.gif", "menu_seperator.png"];
    assert_eq!(malformed(&samples), sorted(&unquoted));
}

#[test]
fn the_forms_of_python_multipart_are_read() {
    let Some(folder) = shared("python-multipart/http") else { return };
    let samples = of_python(&folder);
    assert!(samples.len() > 25);
    let wrong = [
        "CRLF_in_header",
        "CR_in_header",
        "CR_in_header_value",
        "bad_end_of_headers",
        "bad_header_char",
        "bad_initial_boundary",
        "empty_header",
        "empty_message_with_bad_end",
    ];
    let like_a_boundary = [
        "almost_match_boundary_without_CR",
        "almost_match_boundary_without_LF",
        "almost_match_boundary_without_final_hyphen",
    ];
    // Its last line ends with half an end of line.
    let odd = ["single_field_blocks"];
    assert_eq!(malformed(&samples), sorted(&[&wrong[..], &like_a_boundary, &odd].concat()));
}

fn sorted<'a>(names: &[&'a str]) -> Vec<&'a str> {
    let mut names = names.to_vec();
    names.sort_unstable();
    names
}
