//! Users as lines of JSON, and as CSV.
//!
//! A text in CSV that a spreadsheet would take for a formula gets a `'` in front, and so does one that looks as
//! if it had got one, so that the guard can be told from the text. Dates and numbers are never a formula.

use std::borrow::Cow;
use std::io::{self, Write};

use super::fields::Wanted;
use crate::domain::{Connection, Export, ExportField, ExportFormat, UserRef};

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
    form: Form<W>,
    /// The user in hand as JSON, and what is wanted of it.
    json: String,
    row: String,
}

enum Form<W: Write> {
    Lines { to: W, wanted: Option<Wanted> },
    Csv { to: Box<csv::Writer<W>>, wanted: Wanted, columns: usize },
}

impl<W: Write> Sheet<W> {
    /// Begins a file, with what stands before the first user.
    pub fn new(what: &Export, to: W) -> io::Result<Self> {
        let form = match what.format {
            ExportFormat::Json => Form::Lines { to, wanted: wanted(&what.fields) },
            ExportFormat::Csv => {
                let (names, paths): (Vec<_>, Vec<_>) = columns(&what.fields).into_iter().unzip();
                let mut to = csv::Writer::from_writer(to);
                write_row(&mut to, names.into_iter().map(guarded))?;
                Form::Csv { to: to.into(), columns: paths.len(), wanted: Wanted::of(paths) }
            }
        };
        Ok(Self { form, json: String::new(), row: String::new() })
    }

    /// Adds a user of a connection.
    pub fn add(&mut self, user: &UserRef, connection: &Connection) -> io::Result<()> {
        self.json.clear();
        user.show(connection, &mut self.json)?;
        match &mut self.form {
            Form::Lines { to, wanted: None } => {
                self.json.push('\n');
                to.write_all(self.json.as_bytes())
            }
            Form::Lines { to, wanted: Some(wanted) } => {
                self.row.clear();
                wanted.write(&self.json, &mut self.row)?;
                self.row.push('\n');
                to.write_all(self.row.as_bytes())
            }
            Form::Csv { to, wanted, columns } => {
                let mut values = vec![None; *columns];
                wanted.find(&self.json, &mut values);
                write_row(to, values.into_iter().map(|value| value.map(cell).unwrap_or_default()))
            }
        }
    }

    /// Gives back what was written to.
    pub fn finish(self) -> io::Result<W> {
        match self.form {
            Form::Lines { to, .. } => Ok(to),
            Form::Csv { to, .. } => to.into_inner().map_err(csv::IntoInnerError::into_error),
        }
    }
}

/// The wanted fields of a row of JSON; `None` if that is all of them.
fn wanted(fields: &[ExportField]) -> Option<Wanted> {
    if fields.is_empty() {
        return None;
    }
    let (first, others): (Vec<_>, Vec<_>) = fields.iter().partition(|field| field.name == FIRST);
    Some(Wanted::of(first.into_iter().chain(others).map(|field| &*field.name)))
}

/// The columns of CSV: what they are called, and the path to what is in them.
fn columns<'f>(fields: &'f [ExportField]) -> Vec<(Cow<'f, str>, &'f str)> {
    if fields.is_empty() {
        return USUAL.map(|(name, path)| (name.into(), path)).to_vec();
    }
    let column = |field: &'f ExportField| {
        let name = field.export_as.as_ref().unwrap_or(&field.name);
        (name.into(), &*field.name)
    };
    fields.iter().map(column).collect()
}

/// Adds a line of CSV.
fn write_row<'a>(
    to: &mut csv::Writer<impl Write>,
    cells: impl Iterator<Item = Cow<'a, str>>,
) -> io::Result<()> {
    for cell in cells {
        to.write_field(cell.as_bytes())?;
    }
    Ok(to.write_record(None::<&[u8]>)?)
}

/// A value as a cell: texts as they are read, everything else as it is written.
fn cell(json: &str) -> Cow<'_, str> {
    let quoted = json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    match quoted {
        Some(text) if !text.contains('\\') => guarded(text.into()),
        // Half a surrogate pair is no text, and stays what it is.
        Some(_) => guarded(serde_json::from_str(json).map_or(json.into(), Cow::Owned)),
        None if json == "null" => Cow::default(),
        None => json.into(),
    }
}

/// The text, or one that no spreadsheet takes for a formula.
fn guarded(text: Cow<'_, str>) -> Cow<'_, str> {
    let is_risky = text.trim_start_matches('\'').starts_with(FORMULA_STARTS);
    if is_risky { format!("'{text}").into() } else { text }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may")]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{Activity, Profile, Timestamp, User, UserId};

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
            sheet.add(&user.as_ref(), &connection).unwrap();
        }
        String::from_utf8(sheet.finish().unwrap()).unwrap()
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
        fn any_name_comes_back_from_csv_and_is_no_formula(
            name in prop_oneof![any::<String>(), "'{0,2}[=+@\\t\\r＝x]{0,2}[\",\n']{0,2}"],
        ) {
            let text = written(ExportFormat::Csv, &[field("name", None)], &[user(&name, "{}")]);
            let mut reader = csv::Reader::from_reader(text.as_bytes());
            let found = reader.records().next().unwrap().unwrap()[0].to_owned();
            prop_assert!(!found.starts_with(FORMULA_STARTS));
            let bare = found.strip_prefix('\'').filter(|rest| rest.trim_start_matches('\'').starts_with(FORMULA_STARTS));
            prop_assert_eq!(bare.unwrap_or(&found), name);
        }
    }
}
