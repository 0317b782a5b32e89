//! Users as lines of JSON, and as CSV.
//!
//! A text in CSV that a spreadsheet would take for a formula gets a `'` in front. Dates and numbers are
//! never one.

use std::io::{self, Write};

use serde_json::value::RawValue;

use super::fields::{Path, Wanted};
use crate::domain::{Connection, Export, ExportField, ExportFormat, ShownUser, User};

/// What CSV has when nothing else is asked for: names in the file, and of whose value.
const USUAL: [(&str, &str); 9] = [
    ("Id", "user_id"),
    ("Given Name", "given_name"),
    ("Family Name", "family_name"),
    ("Nickname", "nickname"),
    ("Name", "name"),
    ("Email", "email"),
    ("Email Verified", "email_verified"),
    ("Created At", "created_at"),
    ("Updated At", "updated_at"),
];

/// The property that an import knows exports by; it comes first.
const FIRST: &str = "user_id";

/// Begins a text that a spreadsheet may take for a formula.
const FORMULA_STARTS: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];

/// A file of users in the making.
pub struct Sheet<W: Write> {
    to: W,
    form: Form,
    /// The row in hand, as JSON and as it is written.
    json: Vec<u8>,
    row: Vec<u8>,
}

enum Form {
    Lines(Option<Wanted>),
    Csv(Vec<Path>),
}

impl<W: Write> Sheet<W> {
    /// Begins a file, with what stands before the first user.
    pub fn new(what: &Export, mut to: W) -> io::Result<Self> {
        let form = match what.format {
            ExportFormat::Json => Form::Lines(wanted(&what.fields)),
            ExportFormat::Csv => {
                let columns = columns(&what.fields);
                let names = columns.iter().map(|(name, _)| guarded(name.clone()));
                let head = csv_row(names, Vec::new())?;
                to.write_all(&head)?;
                Form::Csv(columns.into_iter().map(|(_, path)| path).collect())
            }
        };
        Ok(Self { to, form, json: Vec::new(), row: Vec::new() })
    }

    /// Adds a user of a connection.
    pub fn add(&mut self, user: &User, connection: &Connection) -> io::Result<()> {
        self.json.clear();
        serde_json::to_writer(&mut self.json, &ShownUser::of(user, connection)?)?;
        match &self.form {
            Form::Lines(None) => self.json.push(b'\n'),
            Form::Lines(Some(wanted)) => {
                self.row.clear();
                wanted.write(serde_json::from_slice(&self.json)?, &mut self.row)?;
                self.row.push(b'\n');
                return self.to.write_all(&self.row);
            }
            Form::Csv(paths) => {
                let user: &RawValue = serde_json::from_slice(&self.json)?;
                let cells = paths.iter().map(|path| path.find(user).map(cell).unwrap_or_default());
                self.row.clear();
                self.row = csv_row(cells, std::mem::take(&mut self.row))?;
                return self.to.write_all(&self.row);
            }
        }
        self.to.write_all(&self.json)
    }

    /// Gives back what was written to.
    pub fn finish(self) -> W {
        self.to
    }
}

/// The wanted fields of a row of JSON; `None` if that is all of them.
fn wanted(fields: &[ExportField]) -> Option<Wanted> {
    if fields.is_empty() {
        return None;
    }
    let (first, others): (Vec<_>, Vec<_>) = fields.iter().partition(|field| field.name == FIRST);
    Some(Wanted::of(first.into_iter().chain(others).map(|field| Path::parse(&field.name))))
}

/// The columns of CSV: what they are called, and what is in them.
fn columns(fields: &[ExportField]) -> Vec<(String, Path)> {
    if fields.is_empty() {
        return USUAL.map(|(name, path)| (name.to_owned(), Path::parse(path))).to_vec();
    }
    let name = |field: &ExportField| field.export_as.clone().unwrap_or_else(|| field.name.clone());
    fields.iter().map(|field| (name(field), Path::parse(&field.name))).collect()
}

/// A line of CSV, written behind what `line` holds.
fn csv_row(cells: impl Iterator<Item = String>, line: Vec<u8>) -> io::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(line);
    for cell in cells {
        writer.write_field(cell)?;
    }
    writer.write_record(None::<&[u8]>)?;
    writer.into_inner().map_err(|error| io::Error::other(error.to_string()))
}

/// A value as a cell: texts as they are read, everything else as it is written.
fn cell(value: &RawValue) -> String {
    match value.get() {
        "null" => String::new(),
        // Half a surrogate pair is no text, and stays what it is.
        token if token.starts_with('"') => {
            guarded(serde_json::from_str(token).unwrap_or_else(|_| token.to_owned()))
        }
        token => token.to_owned(),
    }
}

/// The text, or one that no spreadsheet takes for a formula.
fn guarded(text: String) -> String {
    if text.starts_with(FORMULA_STARTS) { format!("'{text}") } else { text }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may")]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{Activity, Profile, Timestamp, UserId};

    fn user(name: &str, metadata: &str) -> User {
        User {
            id: UserId::from_bytes([0x5a; 12]),
            email: "ann@example.test".to_owned(),
            email_verified: true,
            username: None,
            created_at: Timestamp::from_millis(1_520_242_272_590),
            updated_at: Timestamp::from_millis(1_520_242_272_590),
            blocked: false,
            profile: Profile { name: Some(name.to_owned()), ..Profile::default() },
            activity: Activity::default(),
            app_metadata: Some(metadata.to_owned()),
            user_metadata: None,
        }
    }

    fn field(name: &str, export_as: Option<&str>) -> ExportField {
        ExportField { name: name.to_owned(), export_as: export_as.map(str::to_owned) }
    }

    fn written(format: ExportFormat, fields: &[ExportField], users: &[User]) -> String {
        let connection =
            Connection::database("con_8dQ2xYz0aBcD1eFg".parse().unwrap(), "db".to_owned(), Vec::new());
        let what = Export { connection: None, format, limit: None, fields: fields.to_vec() };
        let mut sheet = Sheet::new(&what, Vec::new()).unwrap();
        for user in users {
            sheet.add(user, &connection).unwrap();
        }
        String::from_utf8(sheet.finish()).unwrap()
    }

    #[test]
    fn a_line_of_json_begins_with_the_id_and_keeps_metadata_as_they_are() {
        let users = [user("Ann", r#"{"z":1.000,"s":"\ud800"}"#)];
        let line = written(ExportFormat::Json, &[], &users);
        assert_eq!(
            line,
            concat!(
                r#"{"user_id":"auth0|5a5a5a5a5a5a5a5a5a5a5a5a","email":"ann@example.test","email_verified":true,"#,
                r#""created_at":"2018-03-05T09:31:12.590Z","updated_at":"2018-03-05T09:31:12.590Z","#,
                r#""identities":[{"provider":"auth0","connection":"db","isSocial":false,"#,
                r#""user_id":"5a5a5a5a5a5a5a5a5a5a5a5a"}],"name":"Ann","nickname":"ann","#,
                r#""app_metadata":{"z":1.000,"s":"\ud800"}}"#,
                "\n"
            )
        );
        let some = [field("app_metadata.z", Some("other")), field("user_id", None), field("username", None)];
        let line = written(ExportFormat::Json, &some, &users);
        assert_eq!(line, "{\"user_id\":\"auth0|5a5a5a5a5a5a5a5a5a5a5a5a\",\"app_metadata\":{\"z\":1.000}}\n");
    }

    #[test]
    fn csv_has_a_line_of_names_and_cells_that_are_no_formulas() {
        let users = [user("=1+1, \"x\"", r#"{"n":-5,"t":"-5","o":{"a":[1,"b"]},"z":null,"u":"\ud800"}"#)];
        assert_eq!(
            written(ExportFormat::Csv, &[], &users),
            "Id,Given Name,Family Name,Nickname,Name,Email,Email Verified,Created At,Updated At\n\
             auth0|5a5a5a5a5a5a5a5a5a5a5a5a,,,ann,\"'=1+1, \"\"x\"\"\",ann@example.test,true,\
             2018-03-05T09:31:12.590Z,2018-03-05T09:31:12.590Z\n"
        );
        let names =
            ["n", "t", "o", "z", "u", "none"].map(|name| field(&format!("app_metadata.{name}"), None));
        let fields = [&names[..], &[field("name", Some("=cmd"))]].concat();
        assert_eq!(
            written(ExportFormat::Csv, &fields, &users),
            "app_metadata.n,app_metadata.t,app_metadata.o,app_metadata.z,app_metadata.u,app_metadata.none,'=cmd\n\
             -5,'-5,\"{\"\"a\"\":[1,\"\"b\"\"]}\",,\"\"\"\\ud800\"\"\",,\"'=1+1, \"\"x\"\"\"\n"
        );
        assert_eq!(written(ExportFormat::Csv, &[field("given_name", None)], &users), "given_name\n\"\"\n");
    }

    proptest! {
        #[test]
        fn any_name_comes_back_from_csv_and_is_no_formula(name in any::<String>()) {
            let text = written(ExportFormat::Csv, &[field("name", None)], &[user(&name, "{}")]);
            let mut reader = csv::Reader::from_reader(text.as_bytes());
            let found = reader.records().next().unwrap().unwrap()[0].to_owned();
            let wanted = if name.starts_with(FORMULA_STARTS) { format!("'{name}") } else { name };
            prop_assert!(!found.starts_with(FORMULA_STARTS));
            prop_assert_eq!(found, wanted);
        }
    }
}
