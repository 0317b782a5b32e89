//! Exports that are made while the server is killed.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Duration;

use flate2::read::GzDecoder;
use intake::domain::{ExportFormat, TaskStage};
use intake::store::Store;
use serde_json::json;

use super::house::{connection_id, connection_name};
use super::{Act, Asked, Phase};
use crate::helpers::Server;

/// Exports of the same users, one after the other.
pub struct Exporting {
    round: usize,
    /// Those that were accepted, with what the finished ones have.
    exports: BTreeMap<String, Option<String>>,
}

const EXPORTS: usize = 4;

impl Exporting {
    pub fn new(round: usize) -> Self {
        Self { round, exports: BTreeMap::new() }
    }

    fn finish(&mut self, server: &Server, id: &str) -> Asked<()> {
        loop {
            let job = server.try_get(&format!("/api/v2/jobs/{id}"))?.json();
            match job["status"].as_str() {
                Some("completed") => break,
                Some("pending") => thread::sleep(Duration::from_millis(1)),
                _ => panic!("{job}"),
            }
        }
        // What is read by the API is read from the store as well, once it is looked at.
        self.exports.insert(id.to_owned(), Some(String::new()));
        Ok(())
    }
}

/// The lines of an export, in an order that kills do not change.
fn lines(store: &Store, id: &str) -> String {
    let file = store.export_file(&id.parse().unwrap(), ExportFormat::Json).unwrap();
    let mut text = String::new();
    GzDecoder::new(file.expect("the file of a completed export is gone")).read_to_string(&mut text).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines.join("\n")
}

impl Act for Exporting {
    fn go_on(&mut self, server: &Server, begun: &Sender<()>) -> Asked<()> {
        let connection = connection_id(server, &connection_name(self.round))?;
        let unfinished = self.exports.iter().filter(|(_, lines)| lines.is_none());
        for id in unfinished.map(|(id, _)| id.clone()).collect::<Vec<_>>() {
            let _ = begun.send(());
            self.finish(server, &id)?;
        }
        while self.exports.len() < EXPORTS {
            let _ = begun.send(());
            let fields = json!([{ "name": "email" }, { "name": "user_metadata" }]);
            let wish = json!({ "connection_id": connection, "format": "json", "fields": fields });
            let answer = server.try_send("POST", "/api/v2/jobs/users-exports", &wish)?;
            assert_eq!(answer.status, 200, "{}", answer.text);
            let id = answer.json()["id"].as_str().unwrap().to_owned();
            self.exports.insert(id.clone(), None);
            self.finish(server, &id)?;
        }
        Ok(())
    }

    fn look(&mut self, store: &Store) -> Vec<Phase> {
        let mut before: Option<String> = None;
        for (id, seen) in &mut self.exports {
            let task = store.task(&id.parse().unwrap()).unwrap().expect("an accepted export is gone");
            if seen.is_none() {
                continue;
            }
            let TaskStage::Completed { users, .. } = task.stage else { panic!("{:?}", task.stage) };
            let lines = lines(store, id);
            assert_eq!(lines.lines().count() as u64, users);
            assert!(before.as_ref().is_none_or(|before| *before == lines), "two exports differ");
            before = Some(lines.clone());
            *seen = Some(lines);
        }
        let is_met = !store.pending_exports().unwrap().is_empty();
        is_met.then_some(Phase::Exporting).into_iter().collect()
    }

    fn span(&self) -> Duration {
        Duration::from_millis(150)
    }
}
