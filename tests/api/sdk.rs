//! The published SDKs and tools of Auth0, unmodified, against a real server. `tests/run` installs them; what
//! they call is in `tests/sdk`.
//!
//! Which calls pass is printed (`tests/run sdk --nocapture`), and kept in `target/sdk`.

use std::fs;
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::helpers::{INTAKE, Server, installed, tool};

/// Limits that are met, identity tokens that SDKs can check, a log stream to this machine, and patience with
/// tools that compute on a busy one.
const SETTINGS: [(&str, &str); 5] = [
    ("INTAKE_IMPORT_MAX_ACTIVE_JOBS", "2"),
    ("INTAKE_IMPORT_WORKERS", "1"),
    ("INTAKE_SERVER_IDLE_TIMEOUT", "10m"),
    ("INTAKE_TOKENS_ALGORITHM", "RS256"),
    ("INTAKE_WEBHOOKS_ALLOW_PRIVATE_TARGETS", "true"),
];

fn path(of: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(of)
}

/// A command whose settings are its own.
fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(std::env::temp_dir());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("INTAKE_")) {
        command.env_remove(name);
    }
    command
}

/// Makes a command trust a server's certificate, in the ways their manuals say.
fn trusting<'a>(command: &'a mut Command, server: &Server) -> &'a mut Command {
    let ca_file = server.about["ca_file"].as_str().unwrap();
    for name in ["NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE"] {
        command.env(name, ca_file);
    }
    command
}

/// Runs a command to its end; shows and keeps what it says.
fn run(name: &str, command: &mut Command) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    eprint!("{said}");
    fs::create_dir_all(path("target/sdk")).unwrap();
    fs::write(path("target/sdk").join(name), &*said).unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {}, see above\n{complaints}", output.status);
}

/// Runs a command with the line of a server of its own on its standard input.
fn drive(name: &str, command: &mut Command) {
    let server = Server::ephemeral_with_tls(&SETTINGS);
    let mut line = tempfile::tempfile().unwrap();
    line.write_all(server.about.to_string().as_bytes()).unwrap();
    line.rewind().unwrap();
    run(name, trusting(command.stdin(Stdio::from(line)), &server));
}

fn npm(name: &str) {
    let (Some(node), Some(_)) = (tool("node"), installed(&format!("tests/sdk/node_modules/{name}"))) else {
        return;
    };
    drive(name, command(&node).arg(path("tests/sdk/node/scenario.mjs")).arg(name));
}

fn pypi(major: &str) {
    let Some(python) = installed(&format!("target/auth0-python-{major}/bin/python")) else { return };
    drive(&format!("auth0-python-{major}"), command(&python).arg(path("tests/sdk/python/scenario.py")));
}

#[test]
fn the_newest_sdk_for_node_works_unmodified() {
    npm("auth0");
}

#[test]
fn version_5_of_the_sdk_for_node_works_unmodified() {
    npm("auth0-5");
}

#[test]
fn version_4_of_the_sdk_for_node_works_unmodified() {
    npm("auth0-4");
}

#[test]
fn the_newest_sdk_for_python_works_unmodified() {
    pypi("6");
}

#[test]
fn version_5_of_the_sdk_for_python_works_unmodified() {
    pypi("5");
}

#[test]
fn version_4_of_the_sdk_for_python_works_unmodified() {
    pypi("4");
}

#[test]
fn the_documented_curl_commands_work_as_they_stand() {
    if tool("curl").is_some() {
        drive("curl", &mut command(&path("tests/sdk/curl.sh")));
    }
}

/// The examples of the README start their own server, by its name.
fn example(program: &Path, file: &str) {
    let mut folders = vec![Path::new(INTAKE).parent().unwrap().to_owned()];
    folders.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    let mut example = command(program);
    example.arg(path("tests/sdk/examples").join(file)).env("PATH", std::env::join_paths(folders).unwrap());
    run(file, &mut example);
    let lines = fs::read_to_string(path("tests/sdk/examples").join(file)).unwrap().lines().count();
    assert!(lines <= 30, "{file} has {lines} lines");
}

#[test]
fn the_example_for_node_works() {
    let (Some(node), Some(_)) = (tool("node"), installed("tests/sdk/node_modules/auth0")) else { return };
    example(&node, "import.mjs");
}

#[test]
fn the_example_for_python_works() {
    let Some(python) = installed("target/auth0-python-6/bin/python") else { return };
    example(&python, "import_users.py");
}

/// Runs `a0deploy` with the credentials of a server. It looks at what is named here; the rest of its default set
/// are pages, factors and settings of a tenant that intake does not have.
fn deploy(server: &Server, arguments: &[&str]) -> Option<()> {
    let (node, program) = (tool("node")?, installed("tests/sdk/node_modules/auth0-deploy-cli/lib/index.js")?);
    let text = |name: &str| server.about[name].as_str().unwrap();
    let mut deploy = command(&node);
    deploy
        .arg(program)
        .args(arguments)
        .env("AUTH0_DOMAIN", text("domain"))
        .env("AUTH0_CLIENT_ID", text("client_id"))
        .env("AUTH0_CLIENT_SECRET", text("client_secret"))
        .env(
            "AUTH0_INCLUDED_ONLY",
            r#"["databases", "connections", "clients", "clientGrants", "logStreams"]"#,
        );
    run(&format!("auth0-deploy-cli-{}", arguments[0]), trusting(&mut deploy, server));
    Some(())
}

/// The entries of a list by their names, less what differs from server to server.
fn entries(server: &Server, path: &str, less: &[&str]) -> Value {
    let mut list = server.get(path).json();
    for entry in list.as_array_mut().unwrap() {
        entry.as_object_mut().unwrap().retain(|name, _| !less.contains(&name.as_str()));
    }
    list.as_array_mut().unwrap().sort_by_key(|entry| entry["name"].to_string());
    list
}

#[test]
fn the_deploy_cli_carries_connections_and_clients_to_another_server() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().to_str().unwrap();
    let [from, to] = [(); 2].map(|()| Server::ephemeral_with_tls(&SETTINGS));
    let client = json!({
        "name": "Shop", "app_type": "regular_web", "callbacks": ["https://shop.test/back"],
        "client_metadata": { "team": "growth" },
    });
    let client = from.send("POST", "/api/v2/clients", &client).json();
    let connection = json!({
        "name": "customers", "strategy": "auth0", "display_name": "Customers", "metadata": { "region": "eu" },
        "options": { "passwordPolicy": "fair", "requires_username": true },
        "enabled_clients": [client["client_id"]],
    });
    assert_eq!(from.send("POST", "/api/v2/connections", &connection).status, 201);
    let grant = json!({
        "client_id": client["client_id"], "audience": "https://shop.test/api", "scope": ["read:orders"],
    });
    assert_eq!(from.send("POST", "/api/v2/client-grants", &grant).status, 201);

    if deploy(&from, &["export", "--format", "directory", "--output_folder", folder]).is_none() {
        return;
    }
    deploy(&to, &["import", "--input_file", folder]).unwrap();

    let connections = |server| entries(server, "/api/v2/connections", &["id", "enabled_clients"]);
    let mut carried = connections(&to);
    for connection in carried.as_array_mut().unwrap() {
        let options = connection["options"].as_object_mut().unwrap();
        let of_its_own = options.shift_remove("disable_self_service_change_password");
        assert_eq!(of_its_own, Some(json!(false)), "the tool adds it to every database");
    }
    assert_eq!(carried, connections(&from));
    let clients = |server| entries(server, "/api/v2/clients", &["client_id"]);
    assert_eq!(clients(&to), clients(&from));
    let id = |path: &str, key: &str| to.get(path).json()[0][key].clone();
    let customers = to.get("/api/v2/connections?name=customers").json();
    let shop = id("/api/v2/clients?app_type=regular_web", "client_id");
    assert_eq!(customers[0]["enabled_clients"], json!([shop]));
    let grants = to.get("/api/v2/client-grants?audience=https%3A%2F%2Fshop.test%2Fapi").json();
    assert_eq!((&grants[0]["client_id"], &grants[0]["scope"]), (&shop, &json!(["read:orders"])));
}

#[test]
fn a_connection_may_be_idle_for_as_long_as_is_set() {
    let asks_again = |server: &Server| {
        let mut stream = server.dial();
        let mut ask = move || {
            let request = b"HEAD /.well-known/jwks.json HTTP/1.1\r\nhost: intake.test\r\n\r\n";
            let mut head = [0; 12];
            let answered = stream.write_all(request).and_then(|()| stream.read_exact(&mut head));
            // The rest of the head, to its end.
            let mut rest = Vec::new();
            while answered.is_ok() && !rest.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                rest.extend(byte);
            }
            answered.is_ok() && head == *b"HTTP/1.1 200"
        };
        assert!(ask());
        thread::sleep(Duration::from_secs(6));
        ask()
    };
    let short = Server::ephemeral_with(&[("INTAKE_SERVER_IDLE_TIMEOUT", "1s")]);
    let long = Server::ephemeral();
    assert_eq!([&short, &long].map(asks_again), [false, true]);
}

#[test]
fn lists_of_what_is_not_here_are_empty_in_their_own_forms() {
    let server = Server::ephemeral();
    let actions = |query: &str| server.get(&format!("/api/v2/actions/actions{query}"));
    let none = |page, per_page| json!({ "total": 0, "page": page, "per_page": per_page, "actions": [] });
    assert_eq!(actions("").json(), none(0, 50));
    assert_eq!(actions("?page=3&per_page=100").json(), none(3, 100));
    let rule = "Query validation error: 'Value 101 is greater than maximum 100' on property per_page.";
    actions("?per_page=101").assert_refusal(400, "Bad Request", rule, "invalid_query_string");
    let servers = "/api/v2/resource-servers";
    let get = |query: &str| server.get(&format!("{servers}{query}")).json();
    assert_eq!(get(""), json!([]));
    let totals = json!({ "start": 20, "limit": 10, "total": 0, "resource_servers": [] });
    assert_eq!(get("?page=2&per_page=10&include_totals=true"), totals);
    assert_eq!(get("?take=5"), json!({ "resource_servers": [] }));
    let directories = "/api/v2/connections-directory-provisionings";
    assert_eq!(
        server.get(&format!("{directories}?take=50")).json(),
        json!({ "directory_provisionings": [] })
    );
    for (path, scope) in [
        (servers, "read:resource_servers"),
        ("/api/v2/actions/actions", "read:actions"),
        (directories, "read:directory_provisionings"),
    ] {
        let refused = server.get_as(path, &server.token_for("read:users"));
        let message = format!("Insufficient scope, expected any of: {scope}");
        refused.assert_refusal(403, "Forbidden", &message, "insufficient_scope");
        assert_eq!(server.get_as(path, &server.token_for(scope)).status, 200);
        assert_eq!(server.send("POST", path, &json!({})).status, 405);
    }
}
