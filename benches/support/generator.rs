//! Rows of a users file, each a function of its number: about 258 bytes of JSON.

#![allow(clippy::cast_possible_truncation, reason = "any bits will do")]

/// The address of row `i`.
pub(crate) fn email(i: u64) -> String {
    format!("user{i}@customers.acme-corporation.example")
}

/// The user name of row `i`; every second one has one.
pub(crate) fn username(i: u64) -> Option<String> {
    i.is_multiple_of(2).then(|| format!("user-name-{i}"))
}

/// Whether the address of row `i` is verified.
pub(crate) fn email_verified(i: u64) -> bool {
    !i.is_multiple_of(3)
}

/// The `app_metadata` of row `i`.
pub(crate) fn app_metadata(i: u64) -> String {
    let plan = ["free", "team", "enterprise"][mixed(i) as usize % 3];
    format!(r#"{{"plan":"{plan}","seats":{},"legacy_id":"{:016x}"}}"#, i % 40, mixed(i))
}

/// The `user_metadata` of row `i`.
pub(crate) fn user_metadata(i: u64) -> String {
    noted(i, i)
}

/// The same with another note, of the same length.
pub(crate) fn changed_user_metadata(i: u64) -> String {
    noted(i, !i >> 1)
}

/// The same with a note that depends on another number.
fn noted(i: u64, note: u64) -> String {
    let language = ["de", "en", "fr", "pt-BR"][mixed(i + 1) as usize % 4];
    let (one, two) = (mixed(note + 2), mixed(note + 3) as u32);
    format!(
        r#"{{"language":"{language}","newsletter":{},"note":"{one:016x}{two:08x}"}}"#,
        i.is_multiple_of(5)
    )
}

/// Row `i` as the file has it.
pub(crate) fn row(i: u64) -> String {
    written(i, &email(i), &user_metadata(i))
}

/// Row `i` with another note.
pub(crate) fn changed_row(i: u64) -> String {
    written(i, &email(i), &changed_user_metadata(i))
}

/// Row `i`, but nobody can have such an address.
pub(crate) fn broken_row(i: u64) -> String {
    written(i, &email(i).replace('@', "@@"), &user_metadata(i))
}

/// A tenth of the numbers below `end`, each but once, in an order that looks random.
pub(crate) fn random_tenth(end: u64) -> Vec<u64> {
    let mut tenth: Vec<u64> = (0..end / 10).map(|i| i * 10 + mixed(i) % 10).collect();
    tenth.sort_by_key(|i| mixed(!i));
    tenth
}

fn written(i: u64, email: &str, user_metadata: &str) -> String {
    let username = username(i).map_or_else(String::new, |name| format!(r#""username":"{name}","#));
    format!(
        r#"{{"email":"{email}","email_verified":{},{username}"app_metadata":{},"user_metadata":{user_metadata}}}"#,
        email_verified(i),
        app_metadata(i),
    )
}

/// Looks random; is not.
fn mixed(i: u64) -> u64 {
    let i = i.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let i = (i ^ (i >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let i = (i ^ (i >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    i ^ (i >> 31)
}
