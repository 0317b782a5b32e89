//! Signing in with a password after an import.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{fs, thread};

use serde_json::{Value, json};

use crate::helpers::{Answer, Form, PATIENCE, Server};
use crate::oauth::verified;

const JSON: (&str, &str) = ("content-type", "application/json");
const SECRET: &str = "0123456789abcdef0123456789abcdef";
pub const CONNECTION: &str = "con_0000000000000001";
/// What every connection here takes as a password.
pub const PASSWORD: &str = "Pa55-wörd and more";
const USERS: &str = r#"[
    {"email": "ann@example.test", "email_verified": false, "username": "annie"},
    {"email": "bob@example.test", "email_verified": false},
    {"email": "\"<b>&'x\"@example.test", "email_verified": false}
]"#;

/// A server with imported users, none of whom has a password.
pub struct World {
    pub server: Server,
    pub directory: tempfile::TempDir,
}

/// What a client asks for when a user signs in, as it can be changed by a test.
pub fn asking(name: &str, password: &str) -> Value {
    json!({
        "grant_type": "password", "client_id": "app", "client_secret": SECRET, "username": name,
        "password": password, "scope": "openid profile email",
    })
}

impl World {
    /// With these lines in `[login]`, and three users in the connection `staff`.
    pub fn with(login: &str) -> Self {
        Self::configured(login, "file")
    }

    /// The same without letters.
    pub fn without_mail(login: &str) -> Self {
        Self::configured(login, "off")
    }

    fn configured(login: &str, transport: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = format!(
            r#"
            [server]
            trusted_proxies = ["127.0.0.1"]
            [mail]
            transport = "{transport}"
            [login]
            {login}
            [[clients]]
            client_id = "app"
            name = "The app"
            client_secret = "{SECRET}"
            [[clients]]
            client_id = "other"
            client_secret = "{SECRET}"
            [[connections]]
            name = "staff"
            id = "{CONNECTION}"
            clients = ["app"]
            [[connections]]
            name = "customers"
            id = "con_0000000000000002"
            clients = ["other"]
            "#
        );
        let path = directory.path().join("test.toml");
        fs::write(&path, config).unwrap();
        let server = Server::configured(&directory.path().join("data"), &path);
        let world = Self { server, directory };
        assert_eq!(world.import(false)["summary"]["inserted"], 3);
        world
    }

    pub fn import(&self, upsert: bool) -> Value {
        let answer = self.server.upload(&Form::import(CONNECTION, USERS, upsert));
        self.server.wait(answer.json()["id"].as_str().unwrap())
    }

    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// Posts JSON without a token, as if from this address.
    pub fn post(&self, address: &str, path: &str, body: &Value) -> Answer {
        let headers = [JSON, ("x-forwarded-for", address)];
        self.server.request("POST", path, &headers, body.to_string().as_bytes())
    }

    pub fn ask(&self, body: &Value) -> Answer {
        self.post("10.0.0.1", "/oauth/token", body)
    }

    pub fn sign_in(&self, name: &str, password: &str) -> Answer {
        self.ask(&asking(name, password))
    }

    /// Calls the API with JSON and the administrator's token.
    pub fn call(&self, method: &str, path: &str, body: &Value) -> Answer {
        let bearer = format!("Bearer {}", self.server.token);
        let headers = [JSON, ("authorization", &bearer)];
        self.server.request(method, path, &headers, body.to_string().as_bytes())
    }

    /// The text of the ticket for a user with which a password can be set.
    pub fn ticket(&self, email: &str) -> String {
        let asked = json!({ "connection_id": CONNECTION, "email": email });
        let answer = self.call("POST", "/api/v2/tickets/password-change", &asked);
        assert_eq!(answer.status, 201, "{}", answer.text);
        ticket_in(answer.json()["ticket"].as_str().unwrap())
    }

    /// Sends the form of the page.
    pub fn set(&self, ticket: &str, password: &str, again: &str) -> Answer {
        let escape = crate::helpers::escape;
        let form = format!("ticket={}&password={}&again={}", escape(ticket), escape(password), escape(again));
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        self.server.request("POST", "/u/reset-password", &headers, form.as_bytes())
    }

    pub fn set_password(&self, email: &str) {
        let answer = self.set(&self.ticket(email), PASSWORD, PASSWORD);
        assert_eq!(answer.status, 200, "{}", answer.text);
    }

    /// Events of these types, oldest first.
    pub fn events(&self, types: &[&str]) -> Vec<Value> {
        let answer = self.server.get("/api/v2/logs?per_page=100&sort=date:1");
        let Value::Array(mut events) = answer.json() else { panic!("{answer:?}") };
        events.retain(|event| types.contains(&event["type"].as_str().unwrap()));
        events
    }

    /// The letters written so far, once none of them waits to be sent; each undone of its encoding.
    pub fn letters(&self) -> Vec<String> {
        let deadline = Instant::now() + PATIENCE;
        while self.server.get("/api/v2/outbox").json() != json!([]) {
            assert!(Instant::now() < deadline, "letters stay in the outbox");
            thread::sleep(Duration::from_millis(5));
        }
        let Ok(folder) = fs::read_dir(self.data().join("mail")) else {
            return Vec::new();
        };
        let files = folder.map(|entry| entry.unwrap().path());
        let letters = files.filter(|path| path.extension().is_some_and(|end| end == "eml"));
        letters.map(|path| readable(&fs::read_to_string(path).unwrap())).collect()
    }
}

/// A letter without the escapes of quoted-printable.
fn readable(letter: &str) -> String {
    letter.replace("=\r\n", "").replace("=3D", "=")
}

/// The text of the ticket in a link, wherever that is.
pub fn ticket_in(text: &str) -> String {
    let start = "http://intake.test/u/reset-password?ticket=";
    let (_, rest) = text.split_once(start).unwrap_or_else(|| panic!("no link in {text}"));
    rest.chars().take_while(char::is_ascii_alphanumeric).collect()
}

#[track_caller]
pub fn assert_oauth(answer: &Answer, status: u16, error: &str, description: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.json(), json!({ "error": error, "error_description": description }));
    assert_eq!((answer.header("cache-control"), answer.header("pragma")), ("no-store", "no-cache"));
}

#[track_caller]
fn assert_wrong(answer: &Answer) {
    assert_oauth(answer, 403, "invalid_grant", "Wrong email or password.");
}

#[test]
fn an_imported_user_sets_a_password_by_the_letter_and_keeps_it() {
    let world = World::with("");
    for _ in 0..3 {
        assert_wrong(&world.sign_in("ann@example.test", PASSWORD));
    }
    let failed = world.events(&["s", "f", "fp", "fu"]);
    assert_eq!(failed.len(), 3);
    for event in &failed {
        assert_eq!(
            (&event["type"], &event["description"]),
            (&json!("fp"), &json!("Password change required"))
        );
    }
    let letters = world.letters();
    assert_eq!(letters.len(), 1, "{letters:?}");
    assert!(letters[0].contains("To: ann@example.test"), "{}", letters[0]);
    let ticket = ticket_in(&letters[0]);
    assert_eq!(world.set(&ticket, PASSWORD, PASSWORD).status, 200);

    let answer = world.sign_in("ann@example.test", PASSWORD);
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(
        world.server.user("ann@example.test")["email_verified"],
        true,
        "the letter proves the address"
    );
    assert_wrong(&world.sign_in("ann@example.test", "Pa55-word and more"));

    assert_eq!(world.import(true)["summary"]["updated"], 3);
    assert_eq!(world.server.user("ann@example.test")["email_verified"], false);
    assert_eq!(world.sign_in("ann@example.test", PASSWORD).status, 200);
    assert_eq!(world.letters().len(), 1, "no more letters for one who has a password");
}

#[test]
fn nobody_can_find_out_who_was_imported() {
    let world = World::with("");
    world.set_password("bob@example.test");
    let names =
        ["nobody@example.test", "nobody", "<script>", "ann@example.test", "annie", "bob@example.test"];
    let answers = names.map(|name| world.sign_in(name, "wrong"));
    for answer in &answers {
        assert_wrong(answer);
        let mut headers: Vec<String> = answer.headers.keys().map(ToString::to_string).collect();
        headers.sort();
        assert_eq!(answer.text, answers[0].text);
        assert_eq!(headers.len(), answers[0].headers.len(), "{headers:?}");
    }
    let events = world.events(&["f", "fp", "fu"]);
    let told: Vec<(&str, &str)> =
        events.iter().map(|it| (it["type"].as_str().unwrap(), it["user_name"].as_str().unwrap())).collect();
    let expected = [
        ("fu", "nobody@example.test"),
        ("fu", "nobody"),
        ("fu", "<script>"),
        ("fp", "ann@example.test"),
        ("fp", "ann@example.test"),
        ("fp", "bob@example.test"),
    ];
    assert_eq!(told, expected);
    let description = |at: usize| events[at]["description"].as_str().unwrap();
    assert_eq!((description(3), description(5)), ("Password change required", "Wrong email or password."));
    assert!(events[0].get("user_id").is_none() && events[3]["user_id"].is_string());
}

#[test]
fn a_user_who_signs_in_gets_tokens_that_say_who_it_is() {
    let world = World::with("");
    world.set_password("ann@example.test");
    let user = world.server.user("ann@example.test");
    let answer = world.sign_in("Ann@Example.TEST", PASSWORD);
    let mut body = answer.json();
    let (access, id) = (body["access_token"].take(), body["id_token"].take());
    let expected = json!({
        "access_token": null, "id_token": null, "scope": "openid profile email", "expires_in": 86400,
        "token_type": "Bearer",
    });
    assert_eq!(body, expected);
    let mut claims = verified(&world.server, access.as_str().unwrap(), "ES256");
    let issued = claims["iat"].take().as_u64().unwrap();
    let expected = json!({
        "iss": "http://intake.test/", "sub": user["user_id"], "aud": "http://intake.test/userinfo",
        "iat": null, "exp": issued + 86400, "scope": "openid profile email", "gty": "password", "azp": "app",
    });
    assert_eq!(claims, expected);
    let mut claims = verified(&world.server, id.as_str().unwrap(), "ES256");
    claims["iat"].take();
    let expected = json!({
        "iss": "http://intake.test/", "sub": user["user_id"], "aud": "app", "iat": null,
        "exp": issued + 36000, "nickname": "ann", "name": "ann@example.test", "preferred_username": "annie",
        "updated_at": user["updated_at"], "email": "ann@example.test", "email_verified": false,
    });
    assert_eq!(claims, expected);

    let event = &world.events(&["s"])[0];
    assert_eq!(event["user_id"], user["user_id"]);
    assert_eq!((&event["client_id"], &event["client_name"]), (&json!("app"), &json!("The app")));
    assert_eq!((&event["connection"], &event["ip"]), (&json!("staff"), &json!("10.0.0.1")));
    assert_eq!(event["audience"], "http://intake.test/userinfo");
}

#[test]
fn scopes_and_names_can_be_fewer() {
    let world = World::with("");
    world.set_password("ann@example.test");
    let mut asked = asking("annie", PASSWORD);
    asked["scope"] = "email read:users offline_access".into();
    let body = world.ask(&asked).json();
    assert_eq!((&body["scope"], body.get("id_token")), (&json!("email"), None));
    asked["scope"] = "openid".into();
    let body = world.ask(&asked).json();
    let claims = verified(&world.server, body["id_token"].as_str().unwrap(), "ES256");
    let mut members: Vec<&String> = claims.as_object().unwrap().keys().collect();
    members.sort();
    assert_eq!(members, ["aud", "exp", "iat", "iss", "sub"]);
}

#[test]
fn tokens_of_users_are_no_tokens_for_the_management_api() {
    let world = World::with("");
    world.set_password("ann@example.test");
    let mut asked = asking("ann@example.test", PASSWORD);
    asked["scope"] = "openid read:users create:users".into();
    for audience in [Value::Null, json!("http://intake.test/api/v2/"), json!("http://intake.test/userinfo")] {
        asked["audience"] = audience;
        let answer = world.ask(&asked);
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(answer.json()["scope"], "openid");
        for token in ["access_token", "id_token"] {
            let token = answer.json()[token].as_str().unwrap().to_owned();
            let refused = world.server.get_as("/api/v2/users-by-email?email=ann@example.test", &token);
            refused.assert_refusal(401, "Unauthorized", "Invalid token", "");
        }
    }
    asked["audience"] = "https://elsewhere.test/".into();
    let description = "invalid audience specified for password grant exchange";
    assert_oauth(&world.ask(&asked), 400, "invalid_request", description);
}

#[test]
fn a_client_has_to_prove_itself_and_name_a_place_where_users_are() {
    let world = World::with("");
    world.set_password("ann@example.test");
    let change = |name: &str, value: Value| {
        let mut asked = asking("ann@example.test", PASSWORD);
        asked[name] = value;
        asked
    };
    let ask = |name: &str, value: Value| world.ask(&change(name, value));
    assert_oauth(&ask("client_secret", json!("wrong")), 401, "access_denied", "Unauthorized");
    assert_oauth(&ask("client_id", json!("nobody")), 401, "access_denied", "Unauthorized");
    let missing = |name: &str| format!("Missing required parameter: {name}");
    assert_oauth(&ask("username", Value::Null), 400, "invalid_request", &missing("username"));
    assert_oauth(&ask("password", Value::Null), 400, "invalid_request", &missing("password"));
    let realm = "http://auth0.com/oauth/grant-type/password-realm";
    assert_oauth(&ask("grant_type", json!(realm)), 400, "invalid_request", &missing("realm"));
    let mut asked = change("grant_type", json!(realm));
    asked["realm"] = "staff".into();
    assert_eq!(world.ask(&asked).status, 200);
    for elsewhere in ["customers", "nowhere"] {
        asked["realm"] = elsewhere.into();
        let description = "The realm is no database connection that is enabled for the client.";
        assert_oauth(&world.ask(&asked), 400, "invalid_request", description);
    }
    assert_wrong(&ask("client_id", json!("other")));
}

#[test]
fn a_client_that_can_keep_no_secret_needs_none_and_may_be_kept_from_asking() {
    let world = World::with("");
    world.set_password("ann@example.test");
    let mut asked = asking("ann@example.test", PASSWORD);
    asked.as_object_mut().unwrap().remove("client_secret");
    assert_oauth(&world.ask(&asked), 401, "access_denied", "Unauthorized");
    let set = |settings: Value| {
        let answer = world.call("PATCH", "/api/v2/clients/app", &settings);
        assert_eq!(answer.status, 200, "{}", answer.text);
    };
    set(json!({ "token_endpoint_auth_method": "none" }));
    assert_eq!(world.ask(&asked).status, 200);
    asked["grant_type"] = "client_credentials".into();
    assert_oauth(&world.ask(&asked), 401, "access_denied", "Unauthorized");
    asked["grant_type"] = "password".into();
    set(json!({ "grant_types": ["client_credentials"] }));
    let refusal = "Grant type 'password' not allowed for the client.";
    assert_oauth(&world.ask(&asked), 403, "unauthorized_client", refusal);
    set(json!({ "grant_types": ["password"] }));
    assert_eq!(world.ask(&asked).status, 200);
}

#[test]
fn a_connection_is_found_by_its_realms_and_other_audiences_by_grants() {
    let world = World::with("");
    world.set_password("ann@example.test");
    let path = format!("/api/v2/connections/{CONNECTION}");
    assert_eq!(world.call("PATCH", &path, &json!({ "realms": ["people"] })).status, 200);
    let mut asked = asking("ann@example.test", PASSWORD);
    asked["grant_type"] = "http://auth0.com/oauth/grant-type/password-realm".into();
    asked["realm"] = "staff".into();
    assert_eq!(world.ask(&asked).json()["error"], "invalid_request", "the name is not among the realms");
    asked["realm"] = "people".into();
    assert_eq!(world.ask(&asked).status, 200);
    assert_eq!(world.sign_in("ann@example.test", PASSWORD).status, 200);
    let audience = "https://orders.test/";
    asked["audience"] = audience.into();
    assert_eq!(world.ask(&asked).status, 400);
    let grant = json!({ "client_id": "app", "audience": audience, "scope": ["read:orders"] });
    assert_eq!(world.call("POST", "/api/v2/client-grants", &grant).status, 201);
    let body = world.ask(&asked).json();
    let claims = verified(&world.server, body["access_token"].as_str().unwrap(), "ES256");
    assert_eq!((&claims["aud"], &claims["scope"]), (&json!(audience), &json!("openid profile email")));
}

#[test]
fn without_a_default_connection_users_must_name_theirs() {
    let world = World::with("default_connection = \"customers\"");
    let description = "Authorization server not configured with default connection.";
    assert_oauth(&world.sign_in("ann@example.test", PASSWORD), 500, "server_error", description);
    let mut asked = asking("ann@example.test", PASSWORD);
    asked["client_id"] = "other".into();
    assert_wrong(&world.ask(&asked));
    asked["client_id"] = "app".into();
    asked["realm"] = "staff".into();
    assert_wrong(&world.ask(&asked));
    let connections: Vec<Value> =
        world.events(&["fu", "fp"]).iter().map(|it| it["connection"].clone()).collect();
    assert_eq!(connections, ["customers", "staff"]);
}

#[test]
fn a_blocked_user_learns_that_by_the_right_password_only() {
    let world = World::with("");
    world.set_password("ann@example.test");
    let id = world.server.user("ann@example.test")["user_id"].as_str().unwrap().replace('|', "%7C");
    let path = format!("/api/v2/users/{id}");
    let answer = world.call("PATCH", &path, &json!({ "blocked": true }));
    assert_eq!((answer.status, &answer.json()["blocked"]), (200, &json!(true)));
    assert_eq!(world.server.user("ann@example.test")["blocked"], true);
    assert_oauth(&world.sign_in("ann@example.test", PASSWORD), 403, "unauthorized", "user is blocked");
    assert_wrong(&world.sign_in("ann@example.test", "wrong"));
    assert_eq!(world.events(&["f"])[0]["description"], "user is blocked");
    assert_eq!(world.call("PATCH", &path, &json!({ "blocked": false })).json().get("blocked"), None);
    assert_eq!(world.sign_in("ann@example.test", PASSWORD).status, 200);
    let told = world.events(&["sapi"]);
    let told = told.iter().filter(|event| event["description"] == "Update a User");
    assert_eq!(told.count(), 2);
}

impl World {
    /// A token with no more than these scopes.
    pub fn token(data: &Path, scopes: &str) -> String {
        crate::helpers::token(data, &["--scope", scopes], &[])
    }
}

#[test]
fn who_guesses_is_blocked_and_nobody_else_is() {
    let world = World::with("max_failures = 3\nmax_address_failures = 5\nblock_for = \"1h\"");
    world.set_password("ann@example.test");
    world.set_password("bob@example.test");
    let ask = |address: &str, name: &str, password: &str| {
        world.post(address, "/oauth/token", &asking(name, password))
    };
    for _ in 0..3 {
        assert_wrong(&ask("10.0.0.1", "ann@example.test", "wrong"));
    }
    let blocked = ask("10.0.0.1", "ann@example.test", PASSWORD);
    assert_eq!((blocked.status, &blocked.json()["error"]), (429, &json!("too_many_attempts")), "{blocked:?}");
    let wait: u64 = blocked.header("retry-after").parse().unwrap();
    assert!((1..=3600).contains(&wait), "{wait}");
    assert_eq!(ask("10.0.0.2", "ann@example.test", PASSWORD).status, 200);
    assert_eq!(ask("10.0.0.1", "bob@example.test", PASSWORD).status, 200);
    // Names that nobody has are counted like others.
    for _ in 0..2 {
        assert_wrong(&ask("10.0.0.1", "nobody@example.test", "wrong"));
    }
    assert_eq!(
        ask("10.0.0.1", "bob@example.test", PASSWORD).status,
        429,
        "the address has failed five times"
    );
    assert_eq!(ask("10.0.0.2", "bob@example.test", PASSWORD).status, 200);
    let events = world.events(&["limit_wc"]);
    assert_eq!(events.len(), 2, "one for each block: {events:?}");
    assert_eq!((&events[0]["user_name"], &events[0]["ip"]), (&json!("ann@example.test"), &json!("10.0.0.1")));
}

#[test]
fn a_block_ends_by_itself_and_by_a_new_password() {
    let world = World::with("max_failures = 2\nblock_for = \"1s\"");
    world.set_password("ann@example.test");
    let guess = || world.sign_in("ann@example.test", "wrong").status;
    let deadline = Instant::now() + PATIENCE;
    while guess() != 429 {
        assert!(Instant::now() < deadline, "there is never a block");
    }
    while world.sign_in("ann@example.test", PASSWORD).status != 200 {
        assert!(Instant::now() < deadline, "the block never ends");
        thread::sleep(Duration::from_millis(20));
    }

    let world = World::with("max_failures = 2\nblock_for = \"1h\"");
    world.set_password("ann@example.test");
    let statuses: Vec<u16> = (0..3).map(|_| world.sign_in("ann@example.test", "wrong").status).collect();
    assert_eq!(statuses, [403, 403, 429]);
    world.set_password("ann@example.test");
    assert_eq!(world.sign_in("ann@example.test", PASSWORD).status, 200);
}

#[test]
fn the_right_password_makes_failures_forgotten() {
    let world = World::with("max_failures = 3");
    world.set_password("ann@example.test");
    for password in ["wrong", "wrong", PASSWORD, "wrong", "wrong", PASSWORD] {
        let expected = if password == PASSWORD { 200 } else { 403 };
        assert_eq!(world.sign_in("ann@example.test", password).status, expected);
    }
}

#[test]
fn many_guesses_at_once_are_no_way_around_the_block() {
    let world = World::with("max_failures = 3\nblock_for = \"1h\"");
    let statuses: Vec<u16> = thread::scope(|scope| {
        let guesses: Vec<_> =
            (0..12).map(|_| scope.spawn(|| world.sign_in("ann@example.test", "wrong").status)).collect();
        guesses.into_iter().map(|guess| guess.join().unwrap()).collect()
    });
    let judged = statuses.iter().filter(|status| **status == 403).count();
    assert!(judged <= 3 && statuses.iter().all(|status| [403, 429].contains(status)), "{statuses:?}");
    assert_eq!(world.letters().len(), 1, "and no way to more than one letter");
}

#[test]
fn after_the_pause_there_is_another_letter() {
    let world = World::with("reset_mail_pause = \"0s\"");
    assert_wrong(&world.sign_in("ann@example.test", "x"));
    assert_wrong(&world.sign_in("ann@example.test", "x"));
    let letters = world.letters();
    assert_eq!(letters.len(), 2);
    let good = |letter: &&String| world.set(&ticket_in(letter), "short", "short").status == 400;
    assert_eq!(letters.iter().filter(good).count(), 1, "the link of the older one is dead");
}

#[test]
fn closed_networks_can_tell_users_to_set_a_password() {
    let world = World::with("explain_password_change = true\nmax_failures = 3");
    let description = "Password change required. A mail with a link to set a password was sent.";
    assert_oauth(&world.sign_in("ann@example.test", "x"), 403, "invalid_grant", description);
    let again = world.sign_in("ann@example.test", "x");
    assert_oauth(&again, 403, "invalid_grant", "Password change required.");
    assert_eq!(world.letters().len(), 1);
    assert_wrong(&world.sign_in("nobody@example.test", "x"));
    world.set_password("ann@example.test");
    assert_wrong(&world.sign_in("ann@example.test", "x"));
}

#[test]
fn passwords_are_on_disk_as_hashes_only() {
    let world = World::with("");
    let ticket = world.ticket("ann@example.test");
    assert_eq!(world.set(&ticket, PASSWORD, PASSWORD).status, 200);
    assert_eq!(world.sign_in("ann@example.test", PASSWORD).status, 200);
    let World { server, directory } = world;
    assert!(server.stop().success());
    let mut all = Vec::new();
    let mut folders = vec![directory.path().join("data")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { all.extend(fs::read(path).unwrap()) }
        }
    }
    let has = |text: &str| all.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(has("$argon2id$v=19$m=19456,t=2,p=1$"));
    assert!(!has(PASSWORD) && !has("and more"));
    assert!(!has(&ticket), "the ticket itself is kept");
}
