//! How clients get tokens, and how others check them.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::helpers::{Answer, Server, escape};

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const JSON: (&str, &str) = ("content-type", "application/json");

fn ask(server: &Server, headers: &[(&str, &str)], body: &str) -> Answer {
    server.request("POST", "/oauth/token", headers, body.as_bytes())
}

fn client(server: &Server) -> (String, String) {
    let text = |name: &str| server.about[name].as_str().unwrap().to_owned();
    (text("client_id"), text("client_secret"))
}

#[track_caller]
fn assert_refused(answer: &Answer, status: u16, error: &str, description: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.json(), json!({ "error": error, "error_description": description }));
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!((answer.header("cache-control"), answer.header("pragma")), ("no-store", "no-cache"));
}

fn decode(part: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(part).unwrap()
}

/// Checks a token by the published key alone, and gives its claims.
pub fn verified(server: &Server, token: &str, algorithm: &str) -> Value {
    let [header, payload, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!("{token}") };
    let answer = server.request("GET", "/.well-known/jwks.json", &[], b"");
    assert_eq!(answer.header("content-type"), "application/json; charset=utf-8");
    let keys = answer.json();
    assert_eq!(keys["keys"].as_array().unwrap().len(), 1);
    let key = &keys["keys"][0];
    let header_says: Value = serde_json::from_slice(&decode(header)).unwrap();
    assert_eq!(header_says, json!({ "alg": algorithm, "typ": "JWT", "kid": key["kid"] }));
    assert_eq!((&key["alg"], &key["use"]), (&json!(algorithm), &json!("sig")));
    let (message, signature) = (format!("{header}.{payload}"), decode(signature));
    let number = |name: &str| decode(key[name].as_str().unwrap());
    assert!(key.get("d").is_none(), "the private key is published");
    if algorithm == "ES256" {
        assert_eq!((&key["kty"], &key["crv"]), (&json!("EC"), &json!("P-256")));
        let point = [&[4][..], &number("x"), &number("y")].concat();
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
        key.verify(message.as_bytes(), &signature).unwrap();
    } else {
        assert_eq!(key["kty"], "RSA");
        let key = RsaPublicKeyComponents { n: number("n"), e: number("e") };
        key.verify(&RSA_PKCS1_2048_8192_SHA256, message.as_bytes(), &signature).unwrap();
    }
    serde_json::from_slice(&decode(payload)).unwrap()
}

#[test]
fn a_client_gets_a_token_by_form_json_or_basic_authentication() {
    let server = Server::ephemeral();
    let (id, secret) = client(&server);
    let audience = format!("{}/api/v2/", server.url);
    let form = format!(
        "grant_type=client_credentials&client_id={id}&client_secret={secret}&audience={}&scope=read:users",
        escape(&audience)
    );
    let json = json!({
        "grant_type": "client_credentials", "client_id": id, "client_secret": secret, "audience": audience,
        "scope": "read:users", "organization": null,
    });
    let basic = format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")));
    let answers = [
        ask(&server, &[FORM], &form),
        ask(&server, &[], &form),
        ask(&server, &[JSON], &json.to_string()),
        ask(&server, &[("content-type", "application/json; charset=utf-8")], &json.to_string()),
        ask(&server, &[FORM, ("authorization", &basic)], "grant_type=client_credentials&scope=read:users"),
    ];
    for answer in answers {
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(answer.header("content-type"), "application/json");
        assert_eq!((answer.header("cache-control"), answer.header("pragma")), ("no-store", "no-cache"));
        let mut body = answer.json();
        let token = body["access_token"].take();
        let expected = json!({ "access_token": null, "scope": "read:users", "expires_in": 86400, "token_type": "Bearer" });
        assert_eq!(body, expected);
        let token = token.as_str().unwrap();
        assert_eq!(server.get_as("/api/v2/users-by-email?email=a", token).status, 200);
        assert_eq!(server.get_as("/api/v2/connections", token).status, 403);
    }
}

#[test]
fn anyone_can_check_a_token_by_the_published_key() {
    let server = Server::ephemeral();
    let token = server.token_for("read:users create:users");
    let mut claims = verified(&server, &token, "ES256");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let issued = claims["iat"].as_u64().unwrap();
    assert!(now - 60 < issued && issued <= now);
    assert_eq!(claims["exp"], issued + 86400);
    claims.as_object_mut().unwrap().retain(|name, _| name != "iat" && name != "exp");
    let (id, _) = client(&server);
    let expected = json!({
        "iss": format!("{}/", server.url), "aud": format!("{}/api/v2/", server.url),
        "sub": format!("{id}@clients"), "azp": id, "scope": "create:users read:users",
        "gty": "client-credentials",
    });
    assert_eq!(claims, expected);
}

#[test]
fn rs256_is_a_setting() {
    let server =
        Server::ephemeral_with(&[("INTAKE_TOKENS_ALGORITHM", "RS256"), ("INTAKE_TOKENS_LIFETIME", "90s")]);
    let claims = verified(&server, &server.token_for("create:users"), "RS256");
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 90);
    let row = r#"[{"email":"ann@example.test","email_verified":true}]"#;
    assert_eq!(server.import(row, false)["summary"]["inserted"], 1);
}

#[test]
fn a_scope_narrows_and_never_widens() {
    let server = Server::ephemeral_configured(
        r#"
        [[clients]]
        client_id = "importer"
        client_secret = "0123456789abcdef0123456789abcdef"
        scopes = ["create:users", "read:users"]
        "#,
    );
    let scope = |asked: &str| {
        let form = format!(
            "grant_type=client_credentials&client_id=importer&client_secret=0123456789abcdef0123456789abcdef{asked}"
        );
        ask(&server, &[FORM], &form).json()["scope"].as_str().unwrap().to_owned()
    };
    assert_eq!(scope(""), "create:users read:users");
    assert_eq!(scope("&scope="), "create:users read:users");
    assert_eq!(scope("&scope=read:users+read:connections"), "read:users");
    assert_eq!(scope("&scope=nonsense"), "");
}

#[test]
fn a_wrong_secret_and_an_unknown_client_look_the_same() {
    let server = Server::ephemeral();
    let (id, secret) = client(&server);
    let wrong = [
        format!("grant_type=client_credentials&client_id={id}&client_secret=wrong"),
        format!("grant_type=client_credentials&client_id={id}"),
        format!("grant_type=client_credentials&client_id={id}&client_secret="),
        format!("grant_type=client_credentials&client_id=nobody&client_secret={secret}"),
        format!("grant_type=client_credentials&client_secret={secret}"),
        "grant_type=password".to_owned(),
    ];
    for form in wrong {
        assert_refused(&ask(&server, &[FORM], &form), 401, "access_denied", "Unauthorized");
    }
}

#[test]
fn other_grants_and_audiences_are_refused() {
    let server = Server::ephemeral();
    let (id, secret) = client(&server);
    let who = format!("client_id={id}&client_secret={secret}");
    let form = format!("{who}&grant_type=refresh_token&refresh_token=a");
    let answer = ask(&server, &[FORM], &form);
    let description = "Grant type 'refresh_token' not allowed for the client.";
    assert_refused(&answer, 403, "unauthorized_client", description);
    let form = format!("{who}&grant_type=client_credentials&audience=https://x.test/");
    let answer = ask(&server, &[FORM], &form);
    let description = "Client is not authorized to access \"https://x.test/\". You need to create a \"client-grant\" \
                       associated to this API.";
    assert_refused(&answer, 403, "access_denied", description);
    let answer = ask(&server, &[FORM], &who);
    assert_refused(&answer, 400, "invalid_request", "Missing required parameter: grant_type");
}

#[test]
fn a_request_for_a_token_that_makes_no_sense_is_refused() {
    let server = Server::ephemeral();
    let malformed = [
        (JSON, "{".as_bytes()),
        (JSON, b"[]"),
        (JSON, b"{\"client_id\":1}"),
        (JSON, b""),
        (FORM, b"client_id=a&client_id=b"),
        (FORM, b"\xff\xfe"),
    ];
    for (kind, body) in malformed {
        let answer = server.request("POST", "/oauth/token", &[kind], body);
        assert_refused(&answer, 400, "invalid_request", "The request is malformed.");
    }
    let large = format!("grant_type={}", "x".repeat(64 << 10));
    let answer = ask(&server, &[FORM], &large);
    assert_refused(&answer, 413, "invalid_request", "The request is too large.");
}

#[test]
fn the_configuration_document_says_where_everything_is() {
    let server = Server::ephemeral();
    let answer = server.request("GET", "/.well-known/openid-configuration", &[], b"");
    assert_eq!(answer.header("content-type"), "application/json; charset=utf-8");
    let document = answer.json();
    assert_eq!(document["issuer"], format!("{}/", server.url));
    assert_eq!(document["token_endpoint"], format!("{}/oauth/token", server.url));
    assert_eq!(document["jwks_uri"], format!("{}/.well-known/jwks.json", server.url));
    let realm = "http://auth0.com/oauth/grant-type/password-realm";
    assert_eq!(document["grant_types_supported"], json!(["client_credentials", "password", realm]));
}

/// Whoever sends the request chooses that header.
#[test]
fn nothing_follows_the_host_header() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::on(directory.path(), &[]);
    let request = "GET /.well-known/openid-configuration HTTP/1.1\r\nhost: evil.test\r\n\
                   x-forwarded-host: evil.test\r\nforwarded: host=evil.test\r\nconnection: close\r\n\r\n";
    let answer = server.raw(request.as_bytes());
    assert_eq!(answer.json()["issuer"], "http://intake.test/");
    assert!(!answer.text.contains("evil"), "{}", answer.text);
    let claims = verified(&server, &server.token, "ES256");
    assert_eq!(
        (&claims["iss"], &claims["aud"]),
        (&json!("http://intake.test/"), &json!("http://intake.test/api/v2/"))
    );
}
