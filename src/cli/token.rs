//! `intake token`: access tokens from the key in the data directory.

use super::owner::work_for_owner_of;
use super::said;
use super::serve::start_quiet_log;
use super::{Exit, Problem, Token};
use crate::app;
use crate::domain::Scope;

/// What tokens made by hand are made out to.
const CLIENT: &str = "intake-cli";

impl Token {
    pub(super) fn run(self) -> Result<Exit, Problem> {
        let settings = self.config.load()?;
        start_quiet_log(&settings.log);
        let directory = &settings.storage.path;
        if !directory.is_dir() {
            let directory = directory.display();
            return Err(Problem::new(format!(
                "there is no data directory {directory} yet: run `intake serve` first"
            )));
        }
        let scopes = self.scope.as_ref().map_or(Scope::ALL, |scopes| &scopes.0);
        work_for_owner_of(directory);
        let token = app::token_for(&settings, CLIENT, scopes, self.ttl)?;
        said::result(token)?;
        Ok(Exit::Done)
    }
}
