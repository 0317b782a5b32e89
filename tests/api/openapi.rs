//! The description of the API: it is one, it tells the truth, and the server stands what is made from it.
//!
//! schemathesis sends requests that the description allows and requests that it forbids, and compares the answers
//! with what is described; `tests/tools/schemathesis.toml` names the exceptions. `SCHEMATHESIS_EXAMPLES` asks for
//! more of them for each operation.

use std::env;
use std::process::Command;

use serde_json::{Value, json};

use crate::helpers::{Form, Server, installed};

/// Requests for each operation beside those that are made from the limits in its description.
const EXAMPLES: &str = "5";
/// The fewest requests that are worth the name of a test.
const CASES: u64 = 3000;

/// Some operations that succeed only if what they name is there; the examples in the description do that.
const FOUND: [&str; 7] = [
    "POST /api/v2/users",
    "GET /api/v2/users/{id}",
    "PATCH /api/v2/users/{id}",
    "POST /api/v2/jobs/users-imports",
    "POST /api/v2/jobs/verification-email",
    "POST /api/v2/tickets/password-change",
    "POST /api/v2/tickets/email-verification",
];

/// The operations of the document: method, path, description.
fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    paths
        .flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().iter();
            methods.map(|(method, operation)| (method.to_uppercase(), path.clone(), operation.clone()))
        })
        .collect()
}

/// The scopes of which one will do, as the document says; none if it takes no token.
fn scopes(operation: &Value) -> Option<Vec<&str>> {
    let scopes = operation["security"][0]["token"].as_array()?;
    Some(scopes.iter().map(|scope| scope.as_str().unwrap()).collect())
}

#[test]
fn who_has_none_of_the_scopes_in_the_description_is_refused_in_its_words() {
    let server = Server::ephemeral();
    let document = server.get("/openapi.json").json();
    let operations = operations(&document);
    // A scope that opens none of the others.
    let other = ["read:stats", "read:outbox", "delete:log_streams"];
    let tokens = other.map(|scope| (scope, server.token_for(scope)));
    let mut guarded = 0;
    for (method, path, operation) in &operations {
        let Some(scopes) = scopes(operation) else { continue };
        guarded += 1;
        let path = path.replace("{id}", "1");
        let nobody = server.request(method, &path, &[], b"");
        assert_eq!(nobody.status, 401, "{method} {path}: {}", nobody.text);
        let (_, token) = tokens.iter().find(|(scope, _)| !scopes.contains(scope)).unwrap();
        let refused = server.send_as(method, &path, &Value::Null, token);
        let message = format!("Insufficient scope, expected any of: {}", scopes.join(","));
        assert_eq!((refused.status, &refused.json()["message"]), (403, &json!(message)), "{method} {path}");
    }
    assert!(40 < guarded && guarded < operations.len());
}

#[test]
fn the_document_is_a_good_one() {
    let Some(python) = installed("target/schemathesis/bin/python") else { return };
    let server = Server::ephemeral();
    let program = "import json, sys\nfrom openapi_spec_validator import OpenAPIV31SpecValidator\n\
                   OpenAPIV31SpecValidator(json.load(open(sys.argv[1]))).validate()";
    let validate = |document: &Value| {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), document.to_string()).unwrap();
        Command::new(&python).args(["-c", program]).arg(file.path()).output().unwrap()
    };
    let mut document = server.get("/openapi.json").json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."));
    assert_eq!(document["servers"][0]["url"], server.url);
    let output = validate(&document);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    document["paths"]["/healthz"]["get"]["responses"] = json!([]);
    assert!(!validate(&document).status.success(), "the validator looks");
}

#[test]
fn the_server_answers_as_described_whatever_it_is_sent() {
    let Some(schemathesis) = installed("target/schemathesis/bin/schemathesis") else { return };
    let mut server = Server::with_two_connections();
    let ann = json!({ "connection": "one", "email": "ann@acme.test", "user_id": "ann" });
    assert_eq!(server.send("POST", "/api/v2/users", &ann).status, 201);
    let folder = tempfile::tempdir().unwrap();
    let [document, report] = ["openapi.json", "report.json"].map(|name| folder.path().join(name));
    // From a file, as its own address is left out otherwise.
    std::fs::write(&document, server.get("/openapi.json").text).unwrap();
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tools/schemathesis.toml");
    let examples = env::var("SCHEMATHESIS_EXAMPLES").unwrap_or_else(|_| EXAMPLES.to_owned());
    let mut command = Command::new(schemathesis);
    command.current_dir(folder.path()).args(["--config-file", config, "run"]);
    command.arg(&document).args(["--url", &server.url]);
    command.args(["--header", &format!("Authorization: Bearer {}", server.token)]);
    command.args([
        "--seed",
        "1",
        "--max-examples",
        &examples,
        "--continue-on-failure",
        "--request-timeout",
        "60",
    ]);
    command.arg("--report-json-path").arg(&report).args(["--report", "json"]);
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
    let described = operations(&server.get("/openapi.json").json()).len();
    assert_eq!(report["operations"]["tested"], described, "{text}");
    for operation in FOUND {
        let rates = report["valid_rates"][operation].as_object().unwrap().values();
        let accepted = rates.filter_map(|phase| phase["accepted"].as_u64()).sum::<u64>();
        assert!(0 < accepted, "{operation} never succeeded: {text}");
    }
    let cases = report["test_cases"]["generated"].as_u64().unwrap();
    eprintln!("{cases} requests to {described} operations in {} seconds", report["running_time"]);
    assert!(CASES <= cases, "{text}");
    assert!(server.child.try_wait().unwrap().is_none(), "the server lives");
    // Whatever became of what was there, a connection can be made and users be brought to it.
    let client = server.send("POST", "/api/v2/clients", &json!({ "name": "afterwards" })).json();
    let body = json!({ "name": "afterwards", "strategy": "auth0", "enabled_clients": [client["client_id"]] });
    let connection = server.send("POST", "/api/v2/connections", &body).json();
    let file = json!([{ "email": "ann@acme.test", "email_verified": true }]).to_string();
    let upload = server.upload(&Form::import(connection["id"].as_str().unwrap(), &file, false));
    let job = server.wait(upload.json()["id"].as_str().unwrap());
    assert_eq!(job["summary"]["inserted"], 1, "{job}");
}
