//! Tokens that somebody has tampered with, and those that others have found servers to fall for.
//!
//! Each is sent to a real server, which has to say 401 and nothing else. That a token would be taken without its
//! fault is tested first: the same maker makes them all.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use jsonwebtoken::crypto::sign;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::helpers::{Answer, Server, shared, token};

const ES256: &str = r#"{"alg":"ES256","typ":"JWT"}"#;
/// A good token as it may stand in a text, so that only its fault tells another from it.
const MESSAGES: [&str; 3] = [
    "Invalid token",
    "Invalid signature received for JSON Web Token validation",
    "Expired token received for JSON Web Token validation",
];

/// A server, and its key in the wrong hands.
struct Target {
    server: Server,
    directory: TempDir,
}

impl Target {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { server: Server::on(directory.path(), &[]), directory }
    }

    fn key(&self) -> EncodingKey {
        key_in(self.directory.path())
    }

    /// A token with these texts as header and claims, signed as this server signs.
    fn signed(&self, header: &str, claims: &str) -> String {
        signed_with(&self.key(), Algorithm::ES256, header, claims)
    }

    fn ask(&self, authorization: &[u8]) -> Answer {
        let head = b"GET /api/v2/connections HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: ";
        self.server.raw(&[&head[..], authorization, b"\r\n\r\n"].concat())
    }

    #[track_caller]
    fn assert_taken(&self, what: &str, token: &str) {
        let answer = self.ask(format!("Bearer {token}").as_bytes());
        assert_eq!(answer.status, 200, "{what}: {}", answer.text);
    }

    #[track_caller]
    fn assert_refused(&self, what: &str, token: &str) {
        let answer = self.ask(format!("Bearer {token}").as_bytes());
        assert_eq!(answer.status, 401, "{what}: {token}: {}", answer.text);
        let message = answer.json()["message"].as_str().unwrap().to_owned();
        assert!(MESSAGES.contains(&&*message), "{what}: {message}");
        answer.assert_refusal(401, "Unauthorized", &message, "");
        assert_eq!(answer.header("www-authenticate"), "Bearer error=\"invalid_token\"", "{what}");
    }
}

fn key_in(directory: &Path) -> EncodingKey {
    EncodingKey::from_ec_pem(&fs::read(directory.join("signing-key.pem")).unwrap()).unwrap()
}

fn part(text: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

fn signed_with(key: &EncodingKey, algorithm: Algorithm, header: &str, claims: &str) -> String {
    let message = format!("{}.{}", part(header), part(claims));
    let signature = sign(message.as_bytes(), key, algorithm).unwrap();
    format!("{message}.{signature}")
}

fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Claims that are good in every way.
fn claims() -> Value {
    json!({
        "iss": "http://intake.test/", "aud": "http://intake.test/api/v2/", "sub": "me@clients",
        "iat": seconds(), "exp": seconds() + 600, "scope": "read:connections",
    })
}

fn with(name: &str, value: Value) -> String {
    let mut claims = claims();
    claims[name] = value;
    claims.to_string()
}

/// The good claims with a member more in front, as a text: a map would not hold two of a name.
fn doubled(member: &str) -> String {
    claims().to_string().replacen('{', &format!("{{{member},"), 1)
}

#[test]
fn no_algorithm_but_the_keys_own_is_taken() {
    let target = Target::new();
    let good = target.signed(ES256, &claims().to_string());
    target.assert_taken("the good one", &good);
    let (_, signature) = good.rsplit_once('.').unwrap();
    let body = part(claims().to_string());
    for name in ["none", "None", "NONE", "nOnE", "", "es256", "Es256", "ES256 ", "ES256K", "EdDSA", "dir"] {
        let header = part(format!(r#"{{"alg":"{name}","typ":"JWT"}}"#));
        target.assert_refused(name, &format!("{header}.{body}."));
        target.assert_refused(name, &format!("{header}.{body}.{signature}"));
        let signed = target.signed(&format!(r#"{{"alg":"{name}"}}"#), &claims().to_string());
        target.assert_refused(name, &signed);
    }
    for name in ["ES384", "RS256", "RS384", "RS512", "PS256", "HS256"] {
        let signed = target.signed(&format!(r#"{{"alg":"{name}"}}"#), &claims().to_string());
        target.assert_refused(name, &signed);
    }
    for header in [
        r#"{"typ":"JWT"}"#,
        r#"{"alg":null}"#,
        r#"{"alg":["ES256"]}"#,
        r#"{"alg":256}"#,
        "{}",
        "[]",
        "null",
        "",
    ] {
        target.assert_refused(header, &target.signed(header, &claims().to_string()));
    }
}

#[test]
fn nothing_public_is_a_shared_secret() {
    let target = Target::new();
    let jwks = target.server.request("GET", "/.well-known/jwks.json", &[], b"").text;
    let key = serde_json::from_str::<Value>(&jwks).unwrap()["keys"][0].clone();
    let coordinate = |name: &str| URL_SAFE_NO_PAD.decode(key[name].as_str().unwrap()).unwrap();
    let point = [vec![4], coordinate("x"), coordinate("y")].concat();
    // The frame of a P-256 key as SubjectPublicKeyInfo.
    let frame = "3059301306072a8648ce3d020106082a8648ce3d030107034200";
    let frame = (0..frame.len()).step_by(2).map(|at| u8::from_str_radix(&frame[at..at + 2], 16).unwrap());
    let info: Vec<u8> = frame.chain(point.iter().copied()).collect();
    let pem = pem::encode_config(
        &pem::Pem::new("PUBLIC KEY", info.clone()),
        pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF),
    );
    let text = key.to_string();
    let secrets: [&[u8]; 9] = [
        b"",
        b"secret",
        jwks.as_bytes(),
        text.as_bytes(),
        pem.as_bytes(),
        pem.trim_end().as_bytes(),
        &info,
        &point,
        key["kid"].as_str().unwrap().as_bytes(),
    ];
    for secret in secrets {
        for (algorithm, name) in
            [(Algorithm::HS256, "HS256"), (Algorithm::HS384, "HS384"), (Algorithm::HS512, "HS512")]
        {
            for kid in [None, key["kid"].as_str()] {
                let header = json!({ "alg": name, "typ": "JWT", "kid": kid }).to_string();
                let forged =
                    signed_with(&EncodingKey::from_secret(secret), algorithm, &header, &claims().to_string());
                target.assert_refused(&header, &forged);
            }
        }
    }
}

#[test]
fn a_token_brings_no_key_of_its_own() {
    let target = Target::new();
    let stranger = tempfile::tempdir().unwrap();
    token(stranger.path(), &[], &[]);
    let strangers = key_in(stranger.path());
    let other = Server::on(stranger.path(), &[]);
    let jwk = other.request("GET", "/.well-known/jwks.json", &[], b"").json()["keys"][0].clone();
    let own = target.server.request("GET", "/.well-known/jwks.json", &[], b"").json()["keys"][0].clone();
    let trap = TcpListener::bind("127.0.0.1:0").unwrap();
    trap.set_nonblocking(true).unwrap();
    let url = format!("http://{}/jwks.json", trap.local_addr().unwrap());
    let headers = [
        json!({ "alg": "ES256" }),
        json!({ "alg": "ES256", "kid": own["kid"] }),
        json!({ "alg": "ES256", "kid": jwk["kid"] }),
        json!({ "alg": "ES256", "jwk": jwk }),
        json!({ "alg": "ES256", "kid": own["kid"], "jwk": jwk }),
        json!({ "alg": "ES256", "jku": url, "kid": jwk["kid"] }),
        json!({ "alg": "ES256", "x5u": url }),
        json!({ "alg": "ES256", "x5c": [STANDARD.encode("a certificate")] }),
        json!({ "alg": "ES256", "kid": "../../../../dev/null" }),
        json!({ "alg": "ES256", "kid": "signing-key.pem" }),
        json!({ "alg": "ES256", "kid": "' UNION SELECT 'key" }),
        json!({ "alg": "ES256", "kid": url }),
        json!({ "alg": "ES256", "kid": "" }),
        json!({ "alg": "ES256", "kid": "a".repeat(4000) }),
        json!({ "alg": "ES256", "kid": ["a"] }),
        json!({ "alg": "ES256", "kid": 7 }),
    ];
    for header in headers {
        let header = header.to_string();
        let forged = signed_with(&strangers, Algorithm::ES256, &header, &claims().to_string());
        target.assert_refused(&header, &forged);
    }
    let blocked = std::io::ErrorKind::WouldBlock;
    assert_eq!(trap.accept().unwrap_err().kind(), blocked, "no key is fetched from anywhere");
}

#[test]
fn what_a_token_says_twice_or_wants_understood_is_not_believed() {
    let target = Target::new();
    let good = claims().to_string();
    target.assert_taken("an unknown member", &target.signed(ES256, &with("color", json!("red"))));
    for header in [
        r#"{"alg":"none","alg":"ES256"}"#,
        r#"{"alg":"ES256","alg":"none"}"#,
        r#"{"alg":"ES256","kid":"a","kid":"b"}"#,
        r#"{"alg":"ES256","crit":["exp"]}"#,
        r#"{"alg":"ES256","crit":["b64"],"b64":false}"#,
        r#"{"alg":"ES256","crit":["urn:example:unknown"],"urn:example:unknown":true}"#,
        r#"{"alg":"ES256","crit":[]}"#,
        r#"{"alg":"ES256","crit":"exp"}"#,
        r#"{"alg":"ES256"} {"alg":"ES256"}"#,
        "{\"alg\":\"ES256\"}\0",
    ] {
        target.assert_refused(header, &target.signed(header, &good));
    }
    for member in [
        r#""exp":99999999999"#,
        r#""aud":"http://intake.test/api/v2/""#,
        r#""iss":"http://evil.test/""#,
        r#""sub":"you@clients""#,
        r#""scope":"delete:users""#,
        r#""nbf":1,"nbf":1"#,
    ] {
        target.assert_refused(member, &target.signed(ES256, &doubled(member)));
    }
    for claims in ["", "null", "[]", "\"me\"", "{}", &format!("{good}{good}"), &format!("[{good}]")] {
        target.assert_refused(claims, &target.signed(ES256, claims));
    }
}

#[test]
fn a_claim_of_another_type_or_for_somebody_else_is_refused() {
    let target = Target::new();
    let ours = "http://intake.test/api/v2/";
    for value in [json!(ours), json!([ours]), json!(["x", ours])] {
        target.assert_taken("aud", &target.signed(ES256, &with("aud", value)));
    }
    target.assert_taken("exp", &target.signed(ES256, &with("exp", json!(u64::MAX))));
    target.assert_taken("nbf", &target.signed(ES256, &with("nbf", json!(seconds()))));
    let table = [
        (
            "aud",
            vec![
                json!([]),
                json!([[ours]]),
                json!({ ours: true }),
                json!([1, ours]),
                json!(""),
                json!(null),
                json!("http://intake.test/api/v2"),
                json!("HTTP://INTAKE.TEST/api/v2/"),
                json!(format!("{ours} x")),
                json!(format!(" {ours}")),
                json!(["x", "http://intake.test/"]),
                json!("http://127.0.0.1/api/v2/"),
            ],
        ),
        (
            "iss",
            vec![
                json!(["http://intake.test/"]),
                json!("http://intake.test"),
                json!(""),
                json!(null),
                json!(1),
                json!("http://intake.test/ "),
                json!("https://intake.test/"),
                json!("http://intake.test/x/"),
            ],
        ),
        (
            "exp",
            vec![
                json!("99999999999"),
                json!(99_999_999_999.5),
                json!(1e300),
                json!(-1),
                json!(0),
                json!(true),
                json!(null),
                json!([99_999_999_999_u64]),
                json!(seconds() - 1),
                json!({}),
            ],
        ),
        ("nbf", vec![json!(seconds() + 60), json!(u64::MAX), json!("0"), json!(-1), json!(0.5), json!([])]),
        ("iat", vec![json!("now"), json!(-1), json!(1.5), json!(null), json!([])]),
        (
            "sub",
            vec![json!(null), json!(1), json!(""), json!("me"), json!("auth0|5a"), json!(["me@clients"])],
        ),
        ("scope", vec![json!(["read:connections"]), json!(1), json!(null)]),
    ];
    for (name, values) in table {
        for value in values {
            let claims = with(name, value);
            target.assert_refused(&claims, &target.signed(ES256, &claims));
        }
        let mut without = claims();
        without.as_object_mut().unwrap().remove(name);
        if !["nbf", "scope"].contains(&name) {
            target.assert_refused(name, &target.signed(ES256, &without.to_string()));
        }
    }
    let huge = claims().to_string().replacen("\"exp\":", "\"exp\":18446744073709551616,\"was\":", 1);
    target.assert_refused(&huge, &target.signed(ES256, &huge));
}

#[test]
fn a_token_has_one_spelling() {
    let target = Target::new();
    let good = target.signed(ES256, &claims().to_string());
    let [header, body, signature] = good.split('.').collect::<Vec<_>>()[..] else { panic!() };
    target.assert_taken("the good one", &good);
    target.assert_taken("blanks around it", &format!("   {good}  "));
    let padded = |text: &str| URL_SAFE.encode(URL_SAFE_NO_PAD.decode(text).unwrap());
    // A part of other bits at its end, which no byte has: base64 in more than one spelling. A signature of 64
    // bytes has four of those.
    let last = signature.chars().last().unwrap();
    let other = char::from(last as u8 + 1);
    assert_eq!(URL_SAFE_NO_PAD.decode(signature).unwrap().len(), 64);
    let raw = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let table = [
        format!("{header}.{body}.{signature}="),
        format!("{header}.{body}.{signature}=="),
        format!("{}.{body}.{signature}", padded(header) + "="),
        format!("{header}.{body}.{}", padded(signature)),
        format!("{header}.{body}.{}{other}", &signature[..signature.len() - 1]),
        format!("{header}.{body}.{signature}A"),
        format!("{header}.{body}.{}", &signature[..signature.len() - 1]),
        format!("{header}.{body}.{}", &signature[..signature.len() - 4]),
        format!("{header}.{body}.{}", part([0_u8; 64])),
        format!("{header}.{body}.{}", part([&raw[..], &[0]].concat())),
        format!("{header}.{body}.{}", part([&[0][..], &raw].concat())),
        format!("{header}.{body}.{}", part(der(&raw))),
        format!("{header}.{body}.+{}", &signature[1..]),
        format!("{header}.{body}.{signature}."),
        format!(".{header}.{body}.{signature}"),
        format!("{header}..{body}.{signature}"),
        format!("{header}.{body}.{signature}.{signature}"),
        format!("{header}.{body}..{signature}"),
        format!("{header}.{body}"),
        format!("{header}.{body}."),
        format!("{header}..{signature}"),
        format!(".{body}.{signature}"),
        format!("{header} .{body}.{signature}"),
        format!("{header}. {body}.{signature}"),
        format!("{header}.\t{body}.{signature}"),
        format!("\"{good}\""),
        format!("{good},{good}"),
        format!("{good} {good}"),
        format!("Bearer {good}"),
        good.replace('.', "%2e"),
        good.to_uppercase(),
        format!("{header}.{body}.a.b.{signature}"),
        json!({ "protected": header, "payload": body, "signature": signature }).to_string(),
    ];
    for text in table {
        target.assert_refused("another spelling", &text);
    }
    for path in [format!("?access_token={good}"), format!("?token={good}")] {
        let answer = target.server.request("GET", &format!("/api/v2/connections{path}"), &[], b"");
        assert_eq!(answer.status, 401, "a token in a query is none");
    }
    for bytes in [&b"Bearer \xff\xfe"[..], "Bearer \u{e9}.\u{e9}.\u{e9}".as_bytes()] {
        assert_eq!(target.ask(bytes).status, 401);
    }
}

/// A signature as X.509 writes it.
fn der(raw: &[u8]) -> Vec<u8> {
    let integer = |bytes: &[u8]| {
        let sign: &[u8] = if bytes[0] & 0x80 == 0 { &[] } else { &[0] };
        let length = u8::try_from(sign.len() + bytes.len()).unwrap();
        [&[2, length], sign, bytes].concat()
    };
    let both = [integer(&raw[..32]), integer(&raw[32..])].concat();
    [vec![0x30, u8::try_from(both.len()).unwrap()], both].concat()
}

#[test]
fn a_token_of_8_kib_is_taken_and_one_of_a_byte_more_is_not() {
    let target = Target::new();
    // Three more bytes of claims are four more of the token; what is in between is in the header.
    let sized = |wanted: usize| {
        let bare = target.signed(ES256, &with("pad", json!(""))).len();
        let guess = (wanted - bare) * 3 / 4;
        (guess.saturating_sub(8)..guess + 8).find_map(|length| {
            let claims = with("pad", json!("a".repeat(length)));
            ["", " ", "  "].iter().find_map(|blanks| {
                let token = target.signed(&format!("{ES256}{blanks}"), &claims);
                (token.len() == wanted).then_some(token)
            })
        })
    };
    target.assert_taken("8192 bytes", &sized(8192).unwrap());
    target.assert_refused("8193 bytes", &sized(8193).unwrap());
    target.assert_refused("60 KiB", &"a".repeat(60 << 10));
    // Heads of requests have a largest size of their own.
    let mut stream = target.server.dial();
    let head = format!("GET / HTTP/1.1\r\nauthorization: Bearer {}\r\n\r\n", "a".repeat(1 << 20));
    // It may be closed on us while we write.
    let _ = stream.write_all(head.as_bytes());
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    target.assert_taken("afterwards", &target.signed(ES256, &claims().to_string()));
}

/// Those of Wycheproof for signed and encrypted tokens, whatever key they were made with.
#[test]
fn no_token_of_anybody_elses_collection_opens_anything() {
    let Some(corpus) = shared("wycheproof") else { return };
    for algorithm in ["ES256", "RS256"] {
        let directory = tempfile::tempdir().unwrap();
        let settings = [("INTAKE_TOKENS_ALGORITHM", algorithm)];
        let target = Target { server: Server::on(directory.path(), &settings), directory };
        let mut sent = 0;
        for file in ["json_web_signature_test", "json_web_crypto_test", "json_web_key_test"] {
            let text = fs::read_to_string(corpus.join(file).with_extension("json")).unwrap();
            let vectors: Value = serde_json::from_str(&text).unwrap();
            let groups = vectors["testGroups"].as_array().unwrap();
            for test in groups.iter().flat_map(|group| group["tests"].as_array().unwrap()) {
                let token = match &test[if test["jws"].is_null() { "jwe" } else { "jws" }] {
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                };
                let is_header = token.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
                let what = format!("{file} {}", test["tcId"]);
                if is_header && !token.trim().is_empty() {
                    target.assert_refused(&what, &token);
                } else {
                    let answer = target.ask(format!("Bearer {token}").as_bytes());
                    assert!([400, 401].contains(&answer.status), "{what}: {answer:?}");
                }
                sent += 1;
            }
        }
        assert_eq!(sent, 401 + 83 + 26);
    }
}
