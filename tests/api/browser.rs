//! A real browser: headless Chromium with a profile of its own, driven by chromedriver.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use fantoccini::actions::{InputSource, KeyAction, KeyActions};
use fantoccini::elements::Element;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use ureq::http::Method;
use url::Url;

use crate::helpers::{PATIENCE, tool};

const ARGUMENTS: [&str; 10] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--lang=en",
];
/// Where pictures of the pages go, to be looked at.
const SCREENSHOTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/screenshots");
/// Widths of windows that everything has to fit in.
const WIDTHS: [u32; 2] = [1280, 360];

/// Keys, as the driver knows them.
pub const TAB: &str = "\u{e004}";
pub const ENTER: &str = "\u{e007}";
pub const SPACE: &str = " ";

/// A browser with one window; it and its driver end when this is dropped.
pub struct Browser {
    client: Option<Client>,
    driver: Child,
    runtime: Runtime,
    directory: TempDir,
}

impl Browser {
    /// Starts one, if this machine has it.
    pub fn start() -> Option<Self> {
        let (program, chromium) = (tool("chromedriver")?, tool("chromium")?);
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("downloads")).unwrap();
        let mut driver = Command::new(program)
            .arg("--port=0")
            .env("HOME", directory.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let port = told_port(&mut driver);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut browser = Self { client: None, driver, runtime, directory };
        let capabilities = capabilities(&chromium, browser.directory.path());
        let connected = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&format!("http://127.0.0.1:{port}"))
            .await_in(&browser.runtime);
        browser.client = Some(connected.unwrap());
        browser.device(WIDTHS[0], "light");
        // What the browser opens by itself is no business of the tests.
        browser.goto("about:blank");
        browser.requests();
        Some(browser)
    }

    fn client(&self) -> &Client {
        self.client.as_ref().unwrap()
    }

    pub fn goto(&self, url: &str) {
        self.client().goto(url).await_in(&self.runtime).unwrap();
    }

    /// Opens an address as a new page, even if only what stands behind its # is new.
    pub fn open(&self, url: &str) {
        self.goto("about:blank");
        self.goto(url);
    }

    pub fn url(&self) -> String {
        self.client().current_url().await_in(&self.runtime).unwrap().to_string()
    }

    pub fn find(&self, selector: &str) -> Element {
        let found = self.client().find(Locator::Css(selector)).await_in(&self.runtime);
        found.unwrap_or_else(|error| panic!("{selector}: {error}"))
    }

    pub fn click(&self, selector: &str) {
        let clicked = self.find(selector).click().await_in(&self.runtime);
        clicked.unwrap_or_else(|error| panic!("{selector}: {error}"));
    }

    /// Types into an element, or chooses a file.
    pub fn type_into(&self, selector: &str, text: &str) {
        self.find(selector).send_keys(text).await_in(&self.runtime).unwrap();
    }

    /// Types wherever the focus is.
    pub fn press(&self, keys: &str) {
        let strokes = keys.chars().flat_map(|value| [KeyAction::Down { value }, KeyAction::Up { value }]);
        let strokes = strokes.fold(KeyActions::new("keyboard".to_owned()), KeyActions::then);
        self.client().perform_actions(strokes).await_in(&self.runtime).unwrap();
    }

    /// Goes from control to control until the focus is on this one.
    pub fn tab_to(&self, selector: &str) {
        for _ in 0..60 {
            self.press(TAB);
            if self.script(&format!("return document.activeElement.matches({})", json!(selector))) == true {
                return;
            }
        }
        panic!("the keyboard does not reach {selector}");
    }

    pub fn script(&self, script: &str) -> Value {
        self.client().execute(script, Vec::new()).await_in(&self.runtime).unwrap()
    }

    /// A script that ends by calling its last argument.
    pub fn script_with(&self, script: &str, arguments: Vec<Value>) -> Value {
        self.client().execute_async(script, arguments).await_in(&self.runtime).unwrap()
    }

    /// The text of an element as it is seen; empty if it is hidden or not there.
    pub fn text(&self, selector: &str) -> String {
        let script = format!("return document.querySelector({})?.innerText ?? ''", json!(selector));
        let is_seen =
            format!("return document.querySelector({})?.checkVisibility() ?? false", json!(selector));
        let text = self.script(&script).as_str().unwrap().trim().to_owned();
        if self.script(&is_seen) == true { text } else { String::new() }
    }

    /// Waits until an expression holds.
    #[track_caller]
    pub fn until(&self, condition: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.script(&format!("return Boolean({condition})")) != true {
            let seen = self.script("return document.body.innerText");
            assert!(Instant::now() < deadline, "never: {condition}\n{seen}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until an element shows a text.
    #[track_caller]
    pub fn until_text(&self, selector: &str, part: &str) {
        self.until(&format!(
            "(document.querySelector({})?.checkVisibility() && document.querySelector({}).innerText.includes({}))",
            json!(selector),
            json!(selector),
            json!(part)
        ));
    }

    /// Pictures in wide and narrow windows, light and dark. None may have to be scrolled sideways.
    #[track_caller]
    pub fn shoot(&self, name: &str) {
        fs::create_dir_all(SCREENSHOTS).unwrap();
        for width in WIDTHS {
            for scheme in ["light", "dark"] {
                self.device(width, scheme);
                let wide = self.script("return [document.documentElement.scrollWidth, innerWidth]");
                assert!(wide[0].as_u64() <= wide[1].as_u64(), "{name} is too wide for {width}: {wide}");
                let picture =
                    self.devtools("Page.captureScreenshot", &json!({ "captureBeyondViewport": true }));
                let picture = picture["data"].as_str().unwrap();
                let picture = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, picture);
                let path = Path::new(SCREENSHOTS).join(format!("{name}-{width}-{scheme}.png"));
                fs::write(path, picture.unwrap()).unwrap();
            }
        }
        self.device(WIDTHS[0], "light");
    }

    fn device(&self, width: u32, scheme: &str) {
        let metrics = json!({ "width": width, "height": 800, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", &metrics);
        let features = json!([
            { "name": "prefers-color-scheme", "value": scheme },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ]);
        self.devtools("Emulation.setEmulatedMedia", &json!({ "features": features }));
    }

    fn devtools(&self, command: &str, parameters: &Value) -> Value {
        self.own("goog/cdp/execute", json!({ "cmd": command, "params": parameters }))
    }

    fn own(&self, endpoint: &'static str, body: Value) -> Value {
        self.client().issue_cmd(Own { endpoint, body }).await_in(&self.runtime).unwrap()
    }

    /// What the console says since it was asked last: errors, warnings, and what a policy refused.
    pub fn console(&self) -> Vec<String> {
        let entries = self.own("se/log", json!({ "type": "browser" }));
        let entries = entries.as_array().unwrap().iter();
        entries.map(|entry| entry["message"].as_str().unwrap().to_owned()).collect()
    }

    /// The addresses of all requests since it was asked last.
    pub fn requests(&self) -> Vec<String> {
        let entries = self.own("se/log", json!({ "type": "performance" }));
        let messages = entries.as_array().unwrap().iter();
        let messages = messages.map(|entry| entry["message"].as_str().unwrap());
        let messages = messages.map(|text| serde_json::from_str::<Value>(text).unwrap());
        let sent = messages.filter(|it| it["message"]["method"] == "Network.requestWillBeSent");
        sent.map(|it| it["message"]["params"]["request"]["url"].as_str().unwrap().to_owned()).collect()
    }

    /// Waits for a file to be downloaded.
    pub fn download(&self) -> (String, String) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let files = fs::read_dir(self.directory.path().join("downloads")).unwrap();
            let names = files.map(|file| file.unwrap().path());
            let is_whole = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "json");
            if let Some(path) = names.into_iter().find(is_whole) {
                let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                return (name, fs::read_to_string(path).unwrap());
            }
            assert!(Instant::now() < deadline, "nothing was downloaded");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver ends its browser when the session is closed; each fails only if it is gone already.
        if let Some(client) = self.client.take() {
            let _ = client.close().await_in(&self.runtime);
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// The tests are not asynchronous, the driver's client is.
trait AwaitIn: Future + Sized {
    fn await_in(self, runtime: &Runtime) -> Self::Output {
        runtime.block_on(self)
    }
}

impl<F: Future> AwaitIn for F {}

fn capabilities(chromium: &Path, directory: &Path) -> Map<String, Value> {
    let profile = format!("--user-data-dir={}", directory.join("profile").display());
    let arguments: Vec<&str> = ARGUMENTS.into_iter().chain([profile.as_str()]).collect();
    let capabilities = json!({
        "goog:chromeOptions": {
            "binary": chromium,
            "args": arguments,
            "prefs": { "download.default_directory": directory.join("downloads") },
        },
        "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
    });
    capabilities.as_object().unwrap().clone()
}

/// The port that the driver says it took.
fn told_port(driver: &mut Child) -> u16 {
    let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines().map_while(Result::ok);
    let port = lines.find_map(|line| {
        let rest = line.split_once("successfully on port ")?.1;
        rest.trim_end_matches('.').parse().ok()
    });
    // Somebody must read on, or the driver would block on a full pipe.
    thread::spawn(move || lines.for_each(drop));
    port.expect("chromedriver did not start")
}

/// A command that this driver has and others have not.
#[derive(Debug)]
struct Own {
    endpoint: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Own {
    fn endpoint(&self, base_url: &Url, session_id: Option<&str>) -> Result<Url, url::ParseError> {
        base_url.join(&format!("session/{}/{}", session_id.unwrap_or_default(), self.endpoint))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.body.to_string()))
    }
}
