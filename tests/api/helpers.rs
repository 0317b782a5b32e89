//! A real server in a process of its own, and a client to talk to it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use intake::store::{Options, Store};
use serde_json::{Value, json};
use ureq::Agent;
use ureq::http::{HeaderMap, HeaderName, Response};

/// The program under test.
pub const INTAKE: &str = env!("CARGO_BIN_EXE_intake");
/// Nothing here takes longer, but on a machine that is busy with something else.
pub const PATIENCE: Duration = Duration::from_mins(1);
/// Servers on a directory of their own are known by this name, whatever their port.
const PUBLIC_URL: &str = "http://intake.test";

/// A command with the program and no settings but these.
pub fn intake(arguments: &[&str], settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(INTAKE);
    command.args(arguments).current_dir(std::env::temp_dir());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("INTAKE_")) {
        command.env_remove(name);
    }
    command.envs(settings.iter().copied());
    command
}

/// A running server; killed when dropped.
pub struct Server {
    pub child: Child,
    pub url: String,
    pub token: String,
    pub about: Value,
    agent: Agent,
}

/// What a server said.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl Server {
    /// A throwaway server.
    pub fn ephemeral() -> Self {
        Self::ephemeral_with(&[])
    }

    /// A throwaway server with some settings, as environment variables.
    pub fn ephemeral_with(settings: &[(&str, &str)]) -> Self {
        Self::spawn_ephemeral(&mut intake(&["serve", "--ephemeral"], settings))
    }

    /// A throwaway server with this configuration file.
    pub fn ephemeral_configured(file: &str) -> Self {
        let mut path = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
        path.write_all(file.as_bytes()).unwrap();
        let arguments = ["serve", "--ephemeral", "--config", path.path().to_str().unwrap()];
        Self::spawn_ephemeral(&mut intake(&arguments, &[]))
    }

    /// A throwaway server with the connections `one` and `two`, whose ids end with their numbers.
    pub fn with_two_connections() -> Self {
        Self::ephemeral_configured(
            r#"
        [[clients]]
        client_id = "importer"
        client_secret = "0123456789abcdef0123456789abcdef"
        [[connections]]
        name = "one"
        id = "con_0000000000000001"
        clients = ["importer"]
        [[connections]]
        name = "two"
        id = "con_0000000000000002"
        clients = ["importer"]
            "#,
        )
    }

    /// A throwaway server with https beside http.
    pub fn ephemeral_with_tls(settings: &[(&str, &str)]) -> Self {
        Self::spawn_ephemeral(&mut intake(&["serve", "--ephemeral", "--tls"], settings))
    }

    /// What the command starts is a throwaway server.
    pub fn spawn_ephemeral(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let about: Value = serde_json::from_str(&first_line(child.stdout.take().unwrap())).unwrap();
        let text = |name: &str| about[name].as_str().unwrap().to_owned();
        Self { child, url: text("http_url"), token: text("token"), agent: agent(), about }
    }

    /// A server on a directory that stays.
    pub fn on(directory: &Path, settings: &[(&str, &str)]) -> Self {
        Self::ready(Self::spawn_unready(directory, settings), directory, settings)
    }

    /// A server on a directory that stays, with this configuration file.
    pub fn configured(directory: &Path, config: &Path) -> Self {
        let arguments = ["serve", "--bind", "127.0.0.1:0", "--config", config.to_str().unwrap()];
        Self::ready(spawn(intake(&arguments, &on(directory, &[]))), directory, &[])
    }

    /// A server on a directory that stays, which writes its log to a file.
    pub fn logging_to(log: &Path, directory: &Path, settings: &[(&str, &str)]) -> Self {
        Self::log_to(log, directory, &[], settings)
    }

    /// The same with further arguments.
    pub fn logging_with(log: &Path, directory: &Path, arguments: &[&str]) -> Self {
        Self::log_to(log, directory, arguments, &[])
    }

    fn log_to(log: &Path, directory: &Path, arguments: &[&str], settings: &[(&str, &str)]) -> Self {
        let arguments = [&["serve", "--bind", "127.0.0.1:0"], arguments].concat();
        let command = intake(&arguments, &on(directory, settings));
        Self::logging(command, log, directory, settings)
    }

    /// The same with this command, which has its settings.
    pub fn logging(mut command: Command, log: &Path, directory: &Path, settings: &[(&str, &str)]) -> Self {
        let file = std::fs::File::create(log).unwrap();
        let child = command.stdout(Stdio::null()).stderr(file).spawn().unwrap();
        let mut server =
            Self { child, url: String::new(), token: String::new(), agent: agent(), about: Value::Null };
        let deadline = Instant::now() + PATIENCE;
        while server.url.is_empty() {
            let said = std::fs::read_to_string(log).unwrap();
            assert!(Instant::now() < deadline, "the server did not start: {said}");
            thread::sleep(Duration::from_millis(10));
            server.url = said.lines().find_map(url_in).unwrap_or_default();
        }
        server.token = token(directory, &[], settings);
        server
    }

    /// A server on a directory that stays, started by this command, which has its settings.
    pub fn started_by(command: Command, directory: &Path, settings: &[(&str, &str)]) -> Self {
        Self::ready(spawn(command), directory, settings)
    }

    /// The same with a token that was made before.
    pub fn started_for(token: &str, command: Command) -> Self {
        Self::listening(spawn(command), token.to_owned())
    }

    /// Waits until the server says where it listens.
    fn ready(child: Child, directory: &Path, settings: &[(&str, &str)]) -> Self {
        let mut server = Self::listening(child, String::new());
        server.token = token(directory, &[], settings);
        server
    }

    fn listening(mut child: Child, token: String) -> Self {
        let url = told_url(&mut child).expect("the server did not start");
        Self { child, url, token, agent: agent(), about: Value::Null }
    }

    /// Starts a server on a directory, without waiting for it.
    pub fn spawn_unready(directory: &Path, settings: &[(&str, &str)]) -> Child {
        spawn(intake(&["serve", "--bind", "127.0.0.1:0"], &on(directory, settings)))
    }

    pub fn get(&self, path: &str) -> Answer {
        self.get_as(path, &self.token)
    }

    pub fn get_as(&self, path: &str, token: &str) -> Answer {
        self.try_get_as(path, token).unwrap()
    }

    pub fn try_get(&self, path: &str) -> Result<Answer, ureq::Error> {
        self.try_get_as(path, &self.token)
    }

    fn try_get_as(&self, path: &str, token: &str) -> Result<Answer, ureq::Error> {
        let request = self.agent.get(format!("{}{path}", self.url));
        Answer::read(request.header("authorization", format!("Bearer {token}")).call()?)
    }

    /// Sends an upload with these parts.
    pub fn upload(&self, form: &Form) -> Answer {
        self.try_upload(form).unwrap()
    }

    pub fn try_upload(&self, form: &Form) -> Result<Answer, ureq::Error> {
        let request = self.agent.post(format!("{}/api/v2/jobs/users-imports", self.url));
        let request = request
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", format!("multipart/form-data; boundary={BOUNDARY}"));
        Answer::read(request.send(&form.body[..])?)
    }

    /// Sends bytes as they are, all of them before anything is read, and reads until the server
    /// closes.
    pub fn raw(&self, request: &[u8]) -> Answer {
        let mut stream = self.dial();
        stream.write_all(request).unwrap();
        read_answer(&mut stream)
    }

    /// A connection to the server that waits for no answer longer than [`PATIENCE`].
    pub fn dial(&self) -> TcpStream {
        let stream = TcpStream::connect(self.url.strip_prefix("http://").unwrap()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Any request; nothing is added but the body's length.
    pub fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: intake.test\r\nconnection: close\r\n");
        let length = body.len().to_string();
        let framing = (!body.is_empty()).then_some(("content-length", &*length));
        for (name, value) in headers.iter().copied().chain(framing) {
            head.extend([name, ": ", value, "\r\n"]);
        }
        self.raw(&[head.as_bytes(), b"\r\n", body].concat())
    }

    /// A request with a JSON body by the owner of the usual token.
    pub fn send(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.send_as(method, path, body, &self.token)
    }

    /// A request with a JSON body; null is none.
    pub fn send_as(&self, method: &str, path: &str, body: &Value, token: &str) -> Answer {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", &*bearer), ("content-type", "application/json")];
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.request(method, path, &headers, body.as_bytes())
    }

    /// The same, where the server may be gone.
    pub fn try_send(&self, method: &str, path: &str, body: &Value) -> Result<Answer, ureq::Error> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.try_send_text(method, path, "application/json", body)
    }

    /// The same with a body of any kind.
    pub fn try_send_text(
        &self,
        method: &str,
        path: &str,
        kind: &str,
        body: String,
    ) -> Result<Answer, ureq::Error> {
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", kind);
        if body.is_empty() {
            return Answer::read(self.agent.run(request.body(()).unwrap())?);
        }
        Answer::read(self.agent.run(request.body(body).unwrap())?)
    }

    /// The headers of an upload by the owner of this token.
    pub fn upload_head(token: &str, framing: &str) -> String {
        format!(
            "POST /api/v2/jobs/users-imports HTTP/1.1\r\nhost: intake.test\r\nconnection: close\r\n\
             authorization: Bearer {token}\r\n\
             content-type: multipart/form-data; boundary={BOUNDARY}\r\n{framing}\r\n\r\n"
        )
    }

    /// A token of the server's own client with no more than these scopes.
    pub fn token_for(&self, scopes: &str) -> String {
        let text = |name: &str| escape(self.about[name].as_str().unwrap());
        let (id, secret, scopes) = (text("client_id"), text("client_secret"), escape(scopes));
        let form =
            format!("grant_type=client_credentials&client_id={id}&client_secret={secret}&scope={scopes}");
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let answer = self.request("POST", "/oauth/token", &headers, form.as_bytes());
        answer.json()["access_token"].as_str().unwrap().to_owned()
    }

    /// The id of the connection that every fresh server has.
    pub fn connection_id(&self) -> String {
        self.get("/api/v2/connections").json()[0]["id"].as_str().unwrap().to_owned()
    }

    /// Uploads a file and waits for its job to end.
    pub fn import(&self, file: &str, upsert: bool) -> Value {
        let form = Form::import(&self.connection_id(), file, upsert);
        let answer = self.upload(&form);
        assert_eq!(answer.status, 202, "{}", answer.text);
        self.wait(answer.json()["id"].as_str().unwrap())
    }

    /// Polls a job until it has ended.
    pub fn wait(&self, job: &str) -> Value {
        self.try_wait(job).unwrap()
    }

    pub fn try_wait(&self, job: &str) -> Result<Value, ureq::Error> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.try_get_as(&format!("/api/v2/jobs/{job}"), &self.token)?;
            let status = answer.json()["status"].clone();
            if status != "pending" {
                return Ok(answer.json());
            }
            assert!(Instant::now() < deadline, "job {job} did not end: {}", answer.text);
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// The failed rows of a job.
    pub fn errors(&self, job: &Value) -> Value {
        let answer = self.get(&format!("/api/v2/jobs/{}/errors", job["id"].as_str().unwrap()));
        if answer.status == 204 { json!([]) } else { answer.json() }
    }

    /// The only user with this address.
    pub fn user(&self, email: &str) -> Value {
        let users = self.get(&format!("/api/v2/users-by-email?email={}", escape(email))).json();
        assert_eq!(users.as_array().map(Vec::len), Some(1), "{users}");
        users[0].clone()
    }

    /// Sends the process a signal, by its name without `SIG`.
    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    /// Asks the process to stop; tells its exit status.
    pub fn stop(self) -> std::process::ExitStatus {
        self.stop_by("TERM")
    }

    /// The same by another signal.
    pub fn stop_by(mut self, signal: &str) -> std::process::ExitStatus {
        self.signal(signal);
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "the server does not stop");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only when the process has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Answer {
    fn read(mut response: Response<ureq::Body>) -> Result<Self, ureq::Error> {
        let text = response.body_mut().with_config().limit(u64::MAX).read_to_string()?;
        Ok(Self { status: response.status().as_u16(), headers: response.headers().clone(), text })
    }
}

/// Reads an answer to the end of its connection.
pub fn read_answer(stream: &mut TcpStream) -> Answer {
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap_or_else(|error| panic!("{error} after {}", all.escape_ascii()));
    let split = all.windows(4).position(|four| four == b"\r\n\r\n");
    let split = split.unwrap_or_else(|| panic!("no answer: {}", all.escape_ascii()));
    let head = str::from_utf8(&all[..split]).unwrap();
    assert!(!head.starts_with("HTTP/1.1 100 "), "not a final answer: {head}");
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let header = |line: &str| {
        let (name, value) = line.split_once(':').unwrap();
        (HeaderName::try_from(name).unwrap(), value.trim().parse().unwrap())
    };
    let headers: HeaderMap = lines.map(header).collect();
    assert!(!headers.contains_key("transfer-encoding"), "this reader knows no chunks: {head}");
    Answer { status, headers, text: String::from_utf8(all.split_off(split + 4)).unwrap() }
}

pub const BOUNDARY: &str = "x-----------------boundary";

/// The body of an upload.
#[derive(Debug, Clone, Default)]
pub struct Form {
    body: Vec<u8>,
}

impl Form {
    /// The bytes to send.
    pub fn bytes(&self) -> &[u8] {
        &self.body
    }

    /// The usual form.
    pub fn import(connection_id: &str, file: &str, upsert: bool) -> Self {
        Self::of(&[("connection_id", connection_id), ("upsert", if upsert { "true" } else { "false" })])
            .with_file(file.as_bytes())
    }

    /// A form of text parts.
    pub fn of(parts: &[(&str, &str)]) -> Self {
        parts.iter().fold(Self::open(), |form, (name, value)| form.with(name, value))
    }

    fn open() -> Self {
        Self { body: format!("--{BOUNDARY}--\r\n").into_bytes() }
    }

    /// Adds a text part.
    pub fn with(self, name: &str, value: &str) -> Self {
        self.with_part(&format!("content-disposition: form-data; name=\"{name}\""), value.as_bytes())
    }

    /// Adds the file.
    pub fn with_file(self, file: &[u8]) -> Self {
        self.with_part(
            "content-disposition: form-data; name=\"users\"; filename=\"users.json\"\r\ncontent-type: application/json",
            file,
        )
    }

    /// Adds a part with these headers.
    pub fn with_part(mut self, headers: &str, content: &[u8]) -> Self {
        let end = format!("--{BOUNDARY}--\r\n").len();
        self.body.truncate(self.body.len() - end);
        self.body.extend(format!("--{BOUNDARY}\r\n{headers}\r\n\r\n").bytes());
        self.body.extend_from_slice(content);
        self.body.extend(format!("\r\n--{BOUNDARY}--\r\n").bytes());
        self
    }
}

/// The store of a server that is not running.
pub fn open_store(directory: &Path) -> Store {
    Store::open(Options {
        path: directory.to_owned(),
        cache_bytes: 64 << 20,
        min_free_disk: 0,
        reserve: 0,
        max_active_jobs: None,
        open_timeout: PATIENCE,
    })
    .unwrap()
}

fn spawn(mut command: Command) -> Child {
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// The URL that a starting server says it listens on; `None` if it ends before that.
fn told_url(child: &mut Child) -> Option<String> {
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let url = lines.by_ref().map_while(Result::ok).find_map(|line| url_in(&line));
    // Somebody must read on, or the server would block on a full pipe.
    thread::spawn(move || lines.for_each(drop));
    url
}

fn url_in(line: &str) -> Option<String> {
    Some(line.strip_prefix("intake listens on ")?.split(',').next()?.to_owned())
}

/// The settings of a server on this directory.
pub fn on<'a>(directory: &'a Path, settings: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let path = ("INTAKE_STORAGE_PATH", directory.to_str().unwrap());
    settings.iter().copied().chain([path, ("INTAKE_SERVER_PUBLIC_URL", PUBLIC_URL)]).collect()
}

/// A token from the key of a data directory.
pub fn token(directory: &Path, arguments: &[&str], settings: &[(&str, &str)]) -> String {
    let arguments = [&["token"], arguments].concat();
    let output = intake(&arguments, &on(directory, settings)).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn agent() -> Agent {
    Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE)).build().into()
}

fn first_line(from: impl Read) -> String {
    let mut line = String::new();
    BufReader::new(from).read_line(&mut line).unwrap();
    line
}

impl Answer {
    /// Checks that it is the API's error object, whole, with these words and this code (none: "").
    #[track_caller]
    pub fn assert_refusal(&self, status: u16, error: &str, message: &str, code: &str) {
        let mut expected = json!({ "statusCode": status, "error": error, "message": message });
        if !code.is_empty() {
            expected["errorCode"] = code.into();
        }
        if status == 401 && message != "Missing authentication" {
            expected["attributes"] = json!({ "error": message });
        }
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.json(), expected);
        assert_eq!(self.header("content-type"), "application/json; charset=utf-8");
    }
}

/// A text as it stands in a query.
pub fn escape(text: &str) -> String {
    text.bytes().fold(String::new(), |all, byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            all + &char::from(byte).to_string()
        }
        _ => all + &format!("%{byte:02X}"),
    })
}

/// A folder with test data that others have made, if this machine has it.
pub fn shared(folder: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpora").join(folder);
    if !path.is_dir() {
        eprintln!("skipped: {} is not here", path.display());
        return None;
    }
    Some(path)
}

/// A program that tests need, from `target/python` or the path; `tests/run` installs it and insists on it.
pub fn tool(name: &str) -> Option<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/python/bin");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::iter::once(own).chain(std::env::split_paths(&path)).map(|folder| folder.join(name));
    insist(name, found.into_iter().find(|program| program.is_file()))
}

/// The same for a file of this project that `tests/run` makes.
pub fn installed(path: &str) -> Option<PathBuf> {
    insist(path, Some(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).filter(|path| path.exists()))
}

fn insist(name: &str, found: Option<PathBuf>) -> Option<PathBuf> {
    if found.is_none() {
        assert!(std::env::var_os("REQUIRE_TEST_TOOLS").is_none(), "{name} is not installed");
        eprintln!("skipped: {name} is not here; tests/run installs it");
    }
    found
}

/// Asks again until there is an answer.
#[track_caller]
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "in vain until {what}");
        thread::sleep(Duration::from_millis(5));
    }
}
