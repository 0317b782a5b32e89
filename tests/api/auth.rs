//! Tokens and scopes, and what meets no endpoint.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::helpers::{Answer, Server, read_answer};

const ISSUER: &str = "http://intake.test/";
const AUDIENCE: &str = "http://intake.test/api/v2/";

fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Claims that are good in every way.
fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "me@clients", "iat": seconds(), "exp": seconds() + 60,
        "scope": "read:users read:connections create:users",
    })
}

/// A token signed with the key of this server.
fn signed(directory: &Path, claims: &Value) -> String {
    let key = fs::read(directory.join("signing-key.pem")).unwrap();
    encode(&Header::new(Algorithm::ES256), claims, &EncodingKey::from_ec_pem(&key).unwrap()).unwrap()
}

fn ask(server: &Server, authorization: &str) -> Answer {
    server.request("GET", "/api/v2/connections", &[("authorization", authorization)], b"")
}

#[test]
fn without_a_token_nothing_is_told() {
    let server = Server::ephemeral();
    for (method, path) in [
        ("POST", "/api/v2/jobs/users-imports"),
        ("GET", "/api/v2/jobs"),
        ("GET", "/api/v2/jobs/job_0000000000000000"),
        ("GET", "/api/v2/jobs/nonsense"),
        ("GET", "/api/v2/jobs/job_0000000000000000/errors"),
        ("GET", "/api/v2/connections?per_page=nonsense"),
        ("GET", "/api/v2/connections/con_0000000000000000"),
        ("GET", "/api/v2/users-by-email"),
        ("GET", "/api/v2/users/nonsense"),
    ] {
        let answer = server.request(method, path, &[], b"");
        answer.assert_refusal(401, "Unauthorized", "Missing authentication", "");
        assert_eq!(answer.header("www-authenticate"), "Bearer");
    }
    for authorization in ["", "Bearer", "Basic YTpi", "insecure"] {
        ask(&server, authorization).assert_refusal(401, "Unauthorized", "Missing authentication", "");
    }
}

#[test]
fn the_word_bearer_has_no_case() {
    let server = Server::ephemeral();
    assert_eq!(ask(&server, &format!("bEARER {}", server.token)).status, 200);
}

#[test]
fn only_this_servers_unaltered_tokens_are_taken() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::on(directory.path(), &[]);
    let good = signed(directory.path(), &claims());
    assert_eq!(ask(&server, &format!("Bearer {good}")).status, 200);
    let with = |name: &str, value: Value| {
        let mut claims = claims();
        claims[name] = value;
        signed(directory.path(), &claims)
    };
    let without = |name: &str| {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(name);
        signed(directory.path(), &claims)
    };
    let [header, payload, signature] = good.split('.').collect::<Vec<_>>()[..] else { panic!() };
    let encode_json = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let mut more = claims();
    more["scope"] = "read:logs".into();
    let none = encode_json(&json!({ "alg": "none", "typ": "JWT" }));
    let public = server.request("GET", "/.well-known/jwks.json", &[], b"").text;
    let shared_secret =
        encode(&Header::new(Algorithm::HS256), &claims(), &EncodingKey::from_secret(public.as_bytes()));
    let (invalid, broken, expired) = (
        "Invalid token",
        "Invalid signature received for JSON Web Token validation",
        "Expired token received for JSON Web Token validation",
    );
    let mut other = signature.as_bytes().to_vec();
    other[10] = if other[10] == b'A' { b'B' } else { b'A' };
    let table = [
        ("garbage".to_owned(), invalid),
        ("a.b.c".to_owned(), invalid),
        ("insecure".to_owned(), invalid),
        ("x".repeat(20_000), invalid),
        (format!("{header}.{payload}"), invalid),
        (format!("{none}.{payload}."), invalid),
        (format!("{none}.{payload}.{signature}"), invalid),
        (shared_secret.unwrap(), invalid),
        (format!("{header}.{}.{signature}", encode_json(&more)), broken),
        (format!("{header}.{payload}.{}", String::from_utf8(other).unwrap()), broken),
        (with("exp", json!(seconds() - 1)), expired),
        (with("exp", json!(seconds())), expired),
        (without("exp"), invalid),
        (with("nbf", json!(seconds() + 30)), invalid),
        (with("aud", json!("http://intake.test/api/v2")), invalid),
        (with("aud", json!("http://elsewhere.test/api/v2/")), invalid),
        (without("aud"), invalid),
        (with("iss", json!("http://elsewhere.test/")), invalid),
        (without("iss"), invalid),
    ];
    for (token, message) in table {
        let answer = ask(&server, &format!("Bearer {token}"));
        answer.assert_refusal(401, "Unauthorized", message, "");
        assert_eq!(answer.header("www-authenticate"), "Bearer error=\"invalid_token\"");
    }
    assert_eq!(ask(&server, &format!("Bearer {}", with("aud", json!(["x", AUDIENCE])))).status, 200);
}

#[test]
fn any_one_of_an_endpoints_scopes_will_do() {
    let server = Server::ephemeral();
    let create = server.token_for("create:users");
    let read = server.token_for("read:users");
    let connections = server.token_for("read:connections");
    let other = server.token_for("read:logs update:users");
    let job = "/api/v2/jobs/job_0000000000000000";
    let errors = &format!("{job}/errors");
    let missing_user = "/api/v2/users/auth0%7C000000000000000000000000";
    let table = [
        ("/api/v2/jobs", "create:users,read:users", [200, 200, 403, 403]),
        (job, "create:users,read:users", [404, 404, 403, 403]),
        (errors, "create:users,read:users", [404, 404, 403, 403]),
        ("/api/v2/connections", "read:connections", [403, 403, 200, 403]),
        ("/api/v2/connections/con_0000000000000000", "read:connections", [403, 403, 404, 403]),
        ("/api/v2/users-by-email?email=a", "read:users", [403, 200, 403, 403]),
        (missing_user, "read:users", [403, 404, 403, 403]),
    ];
    for (path, scopes, statuses) in table {
        for (token, status) in [&create, &read, &connections, &other].into_iter().zip(statuses) {
            let answer = server.get_as(path, token);
            assert_eq!(answer.status, status, "{path}: {}", answer.text);
            if status == 403 {
                let message = format!("Insufficient scope, expected any of: {scopes}");
                answer.assert_refusal(403, "Forbidden", &message, "insufficient_scope");
            }
        }
    }
    for (token, status) in [(&create, 400), (&read, 403), (&connections, 403)] {
        let headers = [("authorization", &*format!("Bearer {token}"))];
        assert_eq!(server.request("POST", "/api/v2/jobs/users-imports", &headers, b"").status, status);
    }
}

/// Endpoints that read and change what there is, each with its scope and what those who hold it get for a
/// request that says nothing.
const GUARDED: [(&str, &str, &str, u16); 16] = [
    ("POST", "/api/v2/connections", "create:connections", 400),
    ("PATCH", "/api/v2/connections/con_0000000000000000", "update:connections", 400),
    ("DELETE", "/api/v2/connections/con_0000000000000000", "delete:connections", 204),
    ("GET", "/api/v2/connections/con_0000000000000000/clients", "read:connections", 404),
    ("PATCH", "/api/v2/connections/con_0000000000000000/clients", "update:connections", 400),
    ("DELETE", "/api/v2/connections/con_0000000000000000/users", "delete:users", 400),
    ("GET", "/api/v2/clients", "read:clients,read:client_keys", 200),
    ("POST", "/api/v2/clients", "create:clients", 400),
    ("GET", "/api/v2/clients/nobody", "read:clients,read:client_keys", 404),
    ("PATCH", "/api/v2/clients/nobody", "update:clients", 400),
    ("DELETE", "/api/v2/clients/nobody", "delete:clients", 204),
    ("POST", "/api/v2/clients/nobody/rotate-secret", "update:client_keys", 404),
    ("GET", "/api/v2/client-grants", "read:client_grants", 200),
    ("POST", "/api/v2/client-grants", "create:client_grants", 400),
    ("PATCH", "/api/v2/client-grants/cgr_0000000000000000", "update:client_grants", 400),
    ("DELETE", "/api/v2/client-grants/cgr_0000000000000000", "delete:client_grants", 204),
];

#[test]
fn each_operation_has_its_scopes_and_no_others() {
    let server = Server::ephemeral();
    let document = server.request("GET", "/.well-known/openid-configuration", &[], b"").json();
    let all: Vec<&str> =
        document["scopes_supported"].as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect();
    for (method, path, scopes, status) in GUARDED {
        let enough: Vec<&str> = scopes.split(',').collect();
        for scope in &enough {
            let answer = server.send_as(method, path, &Value::Null, &server.token_for(scope));
            assert_eq!(answer.status, status, "{method} {path} with {scope}: {}", answer.text);
        }
        let others: Vec<&str> = all.iter().copied().filter(|scope| !enough.contains(scope)).collect();
        let answer = server.send_as(method, path, &Value::Null, &server.token_for(&others.join(" ")));
        let message = format!("Insufficient scope, expected any of: {scopes}");
        answer.assert_refusal(403, "Forbidden", &message, "insufficient_scope");
        server.request(method, path, &[], b"").assert_refusal(
            401,
            "Unauthorized",
            "Missing authentication",
            "",
        );
    }
}

#[test]
fn token_size_and_scope_come_before_the_path_and_the_body() {
    let server = Server::ephemeral();
    let reader = server.token_for("read:users");
    let head = |request: &str, token: &str, length: usize| {
        format!(
            "{request} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {token}\r\ncontent-length: {length}\r\n\r\n"
        )
    };
    let mut table = Vec::new();
    for request in
        ["PATCH /api/v2/connections/nonsense", "PATCH /api/v2/client-grants/nonsense", "POST /api/v2/clients"]
    {
        table.push((head(request, "garbage", 262_145), 401));
        table.push((head(request, &reader, 262_145), 413));
        table.push((head(request, &reader, 262_144), 403));
        table.push((head(request, &server.token, 262_145), 413));
    }
    table.push((head("PATCH /api/v2/connections/nonsense", &server.token, 262_144), 400));
    let server = &server;
    thread::scope(|scope| {
        for (head, status) in &table {
            scope.spawn(move || assert_eq!(announce(server, head), *status, "{head}"));
        }
    });
}

#[test]
fn a_json_body_has_a_largest_size_and_has_to_be_an_object() {
    let server = Server::ephemeral();
    let bearer = format!("Bearer {}", server.token);
    let headers = [("authorization", &*bearer), ("content-type", "application/json")];
    let post = |body: &[u8]| server.request("POST", "/api/v2/clients", &headers, body);
    let padded = |length: usize| {
        let body = r#"{"name":"App"}"#;
        [body.as_bytes(), &vec![b' '; length - body.len()]].concat()
    };
    let too_large = "Payload content length greater than maximum allowed: 262144";
    assert_eq!(post(&padded(262_144)).status, 201);
    post(&padded(262_145)).assert_refusal(413, "Request Entity Too Large", too_large, "");
    let chunked = |length: usize| {
        let head = format!(
            "POST /api/v2/clients HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: {bearer}\r\ntransfer-encoding: chunked\r\n\r\n{length:x}\r\n"
        );
        server.raw(&[head.as_bytes(), &padded(length), b"\r\n0\r\n\r\n"].concat())
    };
    assert_eq!(chunked(262_144).status, 201);
    chunked(262_145).assert_refusal(413, "Request Entity Too Large", too_large, "");
    for (body, rule) in [
        ("", "Expected type object but found type null"),
        ("null", "Expected type object but found type null"),
        ("[]", "Expected type object but found type array"),
        ("{\"name\":", "Invalid JSON: EOF while parsing a value at line 1 column 8"),
        ("name=App", "Invalid JSON: expected ident at line 1 column 2"),
    ] {
        let message = format!("Payload validation error: '{rule}'.");
        post(body.as_bytes()).assert_refusal(400, "Bad Request", &message, "invalid_body");
    }
    let clients = server.get("/api/v2/clients").json();
    assert_eq!(clients.as_array().unwrap().len(), 3);
}

/// Announces a body, never sends it, and reads the answer.
fn announce(server: &Server, head: &str) -> u16 {
    let mut stream = server.dial();
    stream.write_all(head.as_bytes()).unwrap();
    read_answer(&mut stream).status
}

#[test]
fn who_is_refused_is_told_so_before_it_has_sent_anything() {
    let server = Server::ephemeral();
    let reader = server.token_for("read:users");
    let upload = |token: &str, length| Server::upload_head(token, &format!("content-length: {length}"));
    let other = |request: &str| {
        format!("{request} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 600000\r\n\r\n")
    };
    let table = [
        (upload("garbage", 600_000), 401),
        (upload(&reader, 600_000), 413),
        (upload(&reader, 600), 403),
        (upload(&server.token, 600_000), 413),
        (other("POST /api/v2/nothing"), 404),
        (other("PUT /api/v2/jobs/users-imports"), 405),
    ];
    let begun = Instant::now();
    // All at once: each takes as long as the server hopes for a body.
    let server = &server;
    thread::scope(|scope| {
        for (head, status) in &table {
            scope.spawn(move || assert_eq!(announce(server, head), *status, "{head}"));
        }
    });
    assert!(begun.elapsed() < Duration::from_secs(20));
}

#[test]
fn what_meets_no_endpoint_is_refused_in_the_same_way() {
    let server = Server::ephemeral();
    let bearer = format!("Bearer {}", server.token);
    for path in [
        "/nothing",
        "/api/v2",
        "/api/v2/",
        "/api/v2/nothing",
        "/api/v2/jobs/",
        "/api/v2/jobs/usersimports/x/y",
        "/..",
        "//",
    ] {
        let answer = server.request("GET", path, &[("authorization", &bearer)], b"");
        answer.assert_refusal(404, "Not Found", "Not Found", "");
    }
    for (method, path, allowed) in [
        ("DELETE", "/api/v2/jobs/job_0000000000000000", "GET, HEAD, OPTIONS"),
        ("PUT", "/api/v2/connections/con_0000000000000000", "GET, HEAD, PATCH, DELETE, OPTIONS"),
        ("DELETE", "/api/v2/connections", "GET, HEAD, POST, OPTIONS"),
        ("POST", "/api/v2/connections/con_0000000000000000/clients", "GET, HEAD, PATCH, OPTIONS"),
        ("GET", "/api/v2/connections/con_0000000000000000/users", "DELETE, OPTIONS"),
        ("PUT", "/api/v2/clients/x", "GET, HEAD, PATCH, DELETE, OPTIONS"),
        ("GET", "/api/v2/clients/x/rotate-secret", "POST, OPTIONS"),
        ("PUT", "/api/v2/client-grants/cgr_0000000000000000", "GET, HEAD, PATCH, DELETE, OPTIONS"),
        ("TRACE", "/api/v2/users-by-email", "GET, HEAD, OPTIONS"),
        ("BREW", "/api/v2/jobs", "GET, HEAD, OPTIONS"),
        ("PUT", "/api/v2/jobs/users-imports", "POST, OPTIONS"),
        ("GET", "/oauth/token", "POST, OPTIONS"),
        ("POST", "/.well-known/jwks.json", "GET, HEAD, OPTIONS"),
    ] {
        let answer = server.request(method, path, &[("authorization", &bearer)], b"");
        let message = format!("Method Not Allowed, expected {allowed}");
        answer.assert_refusal(405, "Method Not Allowed", &message, "");
        assert_eq!(answer.header("allow"), allowed);
    }
}

#[test]
fn an_upload_is_not_mistaken_for_a_job() {
    let server = Server::ephemeral();
    let answer = server.get("/api/v2/jobs/users-imports");
    answer.assert_refusal(405, "Method Not Allowed", "Method Not Allowed, expected POST, OPTIONS", "");
}
