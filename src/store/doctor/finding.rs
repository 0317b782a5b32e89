//! What can be wrong with a data directory, and what to do about it.

use serde::Serialize;

/// Defines [`Ailment`] from the table of its names.
macro_rules! ailments {
    ($($ailment:ident => $name:literal, $advice:expr;)+) => {
        /// A kind of thing that can be wrong.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub(in crate::store) enum Ailment {
            $(#[doc = concat!("`", $name, "`")] $ailment,)+
        }

        impl Ailment {
            /// Every ailment there is.
            #[cfg(test)]
            pub(in crate::store) const ALL: &'static [Self] = &[$(Self::$ailment),+];

            /// Its name, for programs.
            pub(in crate::store) const fn name(self) -> &'static str {
                match self { $(Self::$ailment => $name,)+ }
            }

            /// What to do.
            pub(super) const fn advice(self) -> &'static str {
                match self { $(Self::$ailment => $advice,)+ }
            }
        }
    };
}

const RESTORE: &str = "restore the data directory from a backup";
const REPORT: &str = "this is a fault of the program: keep a copy of the data directory and report it; \
                      a backup from before does not have it";

ailments! {
    DatabaseMissing => "database-missing", RESTORE;
    DatabaseUnopenable => "database-unopenable", RESTORE;
    DatabaseUnreadable => "database-unreadable", RESTORE;
    ExaminationStuck => "examination-stuck",
        "raise storage.open_timeout and examine again; only if that does not help, restore the data directory from a \
         backup";
    HalfMade => "half-restored", "repeat what was to make it: intake restore, intake load, or a backup elsewhere";
    BackupDamaged => "backup-damaged", "take another backup: this one is not what it was when it was made";
    OtherVersion => "other-version", "use the program that the data directory was made with";
    CommitsLost => "commits-lost",
        "restore the data directory from a backup, or start once with --accept-loss to go on without what was lost";
    WitnessDisagrees => "witness-disagrees", "put back database and witness from one and the same backup";
    WitnessMissing => "witness-missing",
        "nobody can tell whether the end of the database is there: compare with a backup; the next start makes a new one";
    ValuesOutsideLog => "values-outside-log", REPORT;
    ForeignKeys => "foreign-keys", RESTORE;
    ValueDamaged => "value-damaged", RESTORE;
    OrphanedData => "orphaned-data", REPORT;
    BlockDamaged => "block-damaged", RESTORE;
    BlockMissing => "block-missing", RESTORE;
    UserDamaged => "user-damaged", RESTORE;
    UserInvalid => "user-invalid", "change the user over the API, or restore a backup from before";
    KeyTaken => "key-taken", REPORT;
    ConnectionClash => "connection-clash", "give one of the connections another name or other realms";
    CredentialStale => "credential-stale", REPORT;
    TicketStale => "ticket-stale", "nothing: it leads nowhere, and goes when it expires";
    TicketPointer => "ticket-pointer", "send the user a new link";
    GrantStale => "grant-stale", "delete the grant";
    JobIndex => "job-index", RESTORE;
    QueueWrong => "queue-wrong", RESTORE;
    SpoolFile => "spool-file", "restore a backup; or start the server, where the job fails, and upload its file again";
    CursorWrong => "cursor-wrong", RESTORE;
    SummaryWrong => "summary-wrong", REPORT;
    FailedRowsWrong => "failed-rows-wrong", RESTORE;
    RowsBeyondCursor => "rows-beyond-cursor", RESTORE;
    RowsUncounted => "rows-uncounted", REPORT;
    ClaimsWrong => "claims-wrong", RESTORE;
    EventsHole => "events-hole",
        "restore a backup if you need them; a clock that was set back leaves holes, too, where old events were removed";
    EventId => "event-id", REPORT;
    LetterNumber => "letter-number", REPORT;
    StreamProgress => "stream-progress", "delete the log stream and make it again";
    CounterBehind => "counter-behind", RESTORE;
    ExportFile => "export-file", "export again";
    FileMode => "file-mode", "take it from the others: chmod 0700 for the directory, 0600 for files in it";
    FileOwner => "file-owner", "chown the whole data directory to the user that runs the server";
    DiskNearlyFull => "disk-nearly-full", "make room, or uploads are refused (storage.min_free_disk)";
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The name of its kind.
    pub name: &'static str,
    /// What is wrong, and where.
    pub what: String,
    /// What to do.
    pub advice: &'static str,
}

/// Findings of one kind that are told one by one; the others are counted.
const TOLD: usize = 20;

/// What was found so far.
#[derive(Debug, Default)]
pub(super) struct Findings {
    found: Vec<(Ailment, Vec<String>, usize)>,
}

impl Findings {
    pub(super) fn add(&mut self, ailment: Ailment, what: String) {
        let at = self.found.iter().position(|(known, ..)| *known == ailment).unwrap_or_else(|| {
            self.found.push((ailment, Vec::new(), 0));
            self.found.len() - 1
        });
        let (_, told, more) = &mut self.found[at];
        if told.len() < TOLD { told.push(what) } else { *more += 1 }
    }

    pub(super) fn list(&self) -> Vec<Finding> {
        let mut list = Vec::new();
        for (ailment, told, more) in &self.found {
            let (name, advice) = (ailment.name(), ailment.advice());
            let rest = (*more > 0).then(|| format!("and {more} more of this kind"));
            list.extend(told.iter().cloned().chain(rest).map(|what| Finding { name, what, advice }));
        }
        list
    }
}
