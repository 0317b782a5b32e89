//! What tokens promise.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::fs;
use std::os::unix::fs::PermissionsExt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

use super::*;

const URL: &str = "http://127.0.0.1:3000";
const DAY: Duration = Duration::from_hours(24);
const NOW: Timestamp = Timestamp::from_millis(1_520_242_272_481);

fn keys(algorithm: SigningAlgorithm) -> Keys {
    let directory = tempfile::tempdir().unwrap();
    Keys::open_or_create(directory.path(), algorithm).unwrap()
}

fn tokens() -> Tokens {
    Tokens::new(keys(SigningAlgorithm::Es256), URL, DAY)
}

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

#[test]
fn a_token_goes_round_with_either_algorithm() {
    for algorithm in [SigningAlgorithm::Es256, SigningAlgorithm::Rs256] {
        let tokens = Tokens::new(keys(algorithm), URL, DAY);
        let scopes = [Scope::CreateUsers, Scope::ReadUsers];
        let token = tokens.mint("abc", &scopes, DAY, NOW).unwrap();
        let grant = tokens.verify(&token, NOW).unwrap();
        assert_eq!(grant, Grant { subject: "abc@clients".to_owned(), scopes: scopes.to_vec() });
        assert!(grant.has_any(&[Scope::ReadConnections, Scope::ReadUsers]));
        assert!(!grant.has_any(&[Scope::ReadConnections]));
        let header = jsonwebtoken::decode_header(&token).unwrap();
        let jwks = tokens.jwks(NOW);
        assert_eq!(header.typ.as_deref(), Some("JWT"));
        assert_eq!(jwks["keys"][0]["kid"], json!(header.kid));
        assert_eq!(jwks["keys"][0]["alg"], json!(algorithm.to_string()));
        assert_eq!(jwks["keys"][0]["use"], "sig");
    }
}

#[test]
fn published_keys_show_the_public_half_only() {
    let members = |algorithm| {
        let jwks = Tokens::new(keys(algorithm), URL, DAY).jwks(NOW);
        let mut names: Vec<String> = jwks["keys"][0].as_object().unwrap().keys().cloned().collect();
        names.sort();
        names.join(" ")
    };
    assert_eq!(members(SigningAlgorithm::Es256), "alg crv kid kty use x y");
    assert_eq!(members(SigningAlgorithm::Rs256), "alg e kid kty n use");
}

#[test]
fn claims_are_those_of_the_contract() {
    let token = tokens().mint("abc", &[Scope::ReadUsers], DAY, NOW).unwrap();
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    let expected = json!({
        "iss": "http://127.0.0.1:3000/", "aud": "http://127.0.0.1:3000/api/v2/",
        "sub": "abc@clients", "azp": "abc", "iat": 1_520_242_272, "exp": 1_520_328_672,
        "scope": "read:users", "gty": "client-credentials",
    });
    assert_eq!(claims, expected);
}

#[test]
fn a_token_ends_with_its_last_second() {
    let tokens = tokens();
    let token = tokens.mint("abc", &[], Duration::from_secs(10), at(100)).unwrap();
    assert!(tokens.verify(&token, at(109)).is_ok());
    assert_eq!(tokens.verify(&token, at(110)), Err(TokenFault::Expired));
}

#[test]
fn a_token_that_was_changed_is_refused() {
    let tokens = tokens();
    let token = tokens.mint("abc", &[], DAY, NOW).unwrap();
    let parts: Vec<&str> = token.split('.').collect();
    let claims = json!({
        "iss": tokens.issuer(), "aud": tokens.audience(), "sub": "abc@clients",
        "iat": NOW.seconds(), "exp": NOW.seconds() + 10, "scope": "create:users",
    });
    let forged = format!("{}.{}.{}", parts[0], part(&claims), parts[2]);
    assert_eq!(tokens.verify(&forged, NOW), Err(TokenFault::Signature));
    let none = format!("{}.{}.", part(&json!({ "alg": "none", "typ": "JWT" })), part(&claims));
    assert_eq!(tokens.verify(&none, NOW), Err(TokenFault::Invalid));
}

#[test]
fn the_public_key_is_no_shared_secret() {
    let tokens = tokens();
    let public = tokens.jwks(NOW)["keys"][0].to_string();
    let claims = json!({
        "iss": tokens.issuer(), "aud": tokens.audience(), "sub": "abc@clients",
        "iat": NOW.seconds(), "exp": NOW.seconds() + 10, "scope": "create:users",
    });
    let secret = EncodingKey::from_secret(public.as_bytes());
    let forged = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &secret);
    assert_eq!(tokens.verify(&forged.unwrap(), NOW), Err(TokenFault::Invalid));
}

#[test]
fn a_token_by_or_for_somebody_else_is_refused() {
    let tokens = tokens();
    let other_key = Tokens::new(keys(SigningAlgorithm::Es256), URL, DAY);
    let token = other_key.mint("abc", &[], DAY, NOW).unwrap();
    assert_eq!(tokens.verify(&token, NOW), Err(TokenFault::Signature));
    let other_algorithm = Tokens::new(keys(SigningAlgorithm::Rs256), URL, DAY);
    let token = other_algorithm.mint("abc", &[], DAY, NOW).unwrap();
    assert_eq!(tokens.verify(&token, NOW), Err(TokenFault::Invalid));
    let other_url = Tokens::new(tokens.ring().keys.clone(), "http://other.test", DAY);
    let token = other_url.mint("abc", &[], DAY, NOW).unwrap();
    assert_eq!(tokens.verify(&token, NOW), Err(TokenFault::Invalid));
}

#[test]
fn each_claim_is_checked() {
    let tokens = tokens();
    let good = json!({
        "iss": tokens.issuer(), "aud": [tokens.audience(), "userinfo"], "sub": "abc@clients",
        "iat": NOW.seconds(), "exp": NOW.seconds() + 10, "scope": "create:users delete:world",
    });
    let verify = |claims: &Value| {
        let ring = tokens.ring();
        let key = &ring.keys.current;
        let header = Header::new(algorithm_of(key.algorithm));
        let token = jsonwebtoken::encode(&header, claims, &key.signing).unwrap();
        tokens.verify(&token, NOW)
    };
    assert_eq!(verify(&good).unwrap().scopes, [Scope::CreateUsers]);
    let changes = [
        ("iss", json!("http://other.test/")),
        ("iss", Value::Null),
        ("aud", json!(["userinfo"])),
        ("aud", Value::Null),
        ("exp", json!("soon")),
        ("exp", Value::Null),
        ("nbf", json!(NOW.seconds() + 1)),
    ];
    for (name, value) in changes {
        let mut claims = good.clone();
        claims[name] = value;
        assert_eq!(verify(&claims), Err(TokenFault::Invalid), "{claims}");
    }
}

#[test]
fn no_text_is_too_strange_to_be_refused() {
    let tokens = tokens();
    let long = "a".repeat(Tokens::MAX_BYTES + 1);
    for text in ["", ".", "..", "...", "a.b.c", "\u{1f600}.\u{1f600}.", long.as_str()] {
        assert_eq!(tokens.verify(text, NOW), Err(TokenFault::Invalid));
    }
    let scopes = vec![Scope::CreateUsers; 900];
    let oversized = tokens.mint("abc", &scopes, DAY, NOW).unwrap();
    assert_eq!(tokens.verify(&oversized, NOW), Err(TokenFault::Invalid));
}

#[test]
fn the_key_file_is_private_and_used_again() {
    let directory = tempfile::tempdir().unwrap();
    let first = Keys::open_or_create(directory.path(), SigningAlgorithm::Es256).unwrap();
    let path = directory.path().join(KEY_FILE);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let again = Keys::open_or_create(directory.path(), SigningAlgorithm::Es256).unwrap();
    assert_eq!(first.current.id, again.current.id);
    let shown = format!(
        "Keys {{ current: Key {{ algorithm: Es256, id: {:?}, .. }}, retired: [] }}",
        first.current.id
    );
    assert_eq!(format!("{again:?}"), shown);
    let refused = Keys::open_or_create(directory.path(), SigningAlgorithm::Rs256).unwrap_err();
    assert!(refused.to_string().contains("set tokens.algorithm to ES256"), "{refused}");
    fs::write(&path, "no key").unwrap();
    let refused = Keys::open_or_create(directory.path(), SigningAlgorithm::Es256).unwrap_err();
    assert!(matches!(refused, KeyError::Malformed(_)));
}

#[test]
fn of_two_who_make_the_key_one_wins() {
    let directory = tempfile::tempdir().unwrap();
    let make = || Keys::open_or_create(directory.path(), SigningAlgorithm::Es256).unwrap().current.id;
    let ids: Vec<String> = std::thread::scope(|scope| {
        let makers: Vec<_> = (0..4).map(|_| scope.spawn(make)).collect();
        makers.into_iter().map(|maker| maker.join().unwrap()).collect()
    });
    assert!(ids.iter().all(|id| *id == ids[0]));
}

#[test]
fn random_texts_are_letters_and_digits() {
    let text = random_text(100).unwrap();
    assert!(text.len() == 100 && text.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    assert_ne!(text, random_text(100).unwrap());
    assert!(same_hash(&secret_hash("a"), &secret_hash("a")));
    assert!(!same_hash(&secret_hash("a"), &secret_hash("b")));
}

#[test]
fn a_token_of_a_user_opens_nothing_here() {
    let tokens = tokens();
    let user = crate::domain::User {
        id: crate::domain::UserId::from_bytes([7; 12]),
        email: "ann@example.test".to_owned(),
        email_verified: true,
        username: Some("annie".to_owned()),
        created_at: NOW,
        updated_at: NOW,
        blocked: false,
        profile: crate::domain::Profile::default(),
        activity: crate::domain::Activity::default(),
        app_metadata: None,
        user_metadata: None,
    };
    let minted = tokens.mint_for_user(&user, "abc", tokens.audience(), &OpenIdScope::ALL, NOW).unwrap();
    assert_eq!(tokens.verify(&minted.access, NOW), Err(TokenFault::Invalid));
    assert_eq!(tokens.verify(&minted.id.unwrap(), NOW), Err(TokenFault::Invalid));
    // Even an id token whose audience is said to be this API, by a client with an odd name.
    let odd = tokens.mint_for_user(&user, tokens.audience(), "x", &OpenIdScope::ALL, NOW).unwrap();
    assert_eq!(tokens.verify(&odd.id.unwrap(), NOW), Err(TokenFault::Invalid));
}

#[test]
fn a_link_is_good_for_its_path_and_its_time_and_no_longer() {
    let directory = tempfile::tempdir().unwrap();
    let open =
        || Tokens::new(Keys::open_or_create(directory.path(), SigningAlgorithm::Es256).unwrap(), URL, DAY);
    let signature = open().sign_link("/exports/a", 100);
    let is_good =
        |path, expires, signature: &str, now| open().is_good_link(path, expires, signature, at(now));
    assert!(is_good("/exports/a", 100, &signature, 99));
    assert!(!is_good("/exports/a", 100, &signature, 100));
    assert!(!is_good("/exports/a", 101, &signature, 99));
    assert!(!is_good("/exports/b", 100, &signature, 99));
    assert!(!is_good("/exports/a", 100, "", 99));
    assert!(!is_good("/exports/a", 100, &signature.replace(&signature[..1], "!"), 99));
    assert!(!tokens().is_good_link("/exports/a", 100, &signature, at(99)), "the key is another");
    assert!(!format!("{:?}", open()).contains("hmac"), "the key is shown to nobody");
}

#[test]
fn an_audience_by_any_name_of_this_server_is_the_one_it_has() {
    let names = ["https://localhost:3443", "http://localhost:3000"].map(str::to_owned);
    let tokens = tokens().known_as(names.to_vec());
    let meant = |audience: &str| tokens.meant_by(audience).into_owned();
    assert_eq!(meant("https://localhost:3443/api/v2/"), tokens.audience());
    assert_eq!(meant("http://localhost:3000/api/v2/"), tokens.audience());
    assert_eq!(meant("https://localhost:3443/userinfo"), tokens.userinfo());
    assert_eq!(meant(tokens.audience()), tokens.audience());
    for foreign in [
        "",
        "https://localhost:3443",
        "https://localhost:3443/api/v2",
        "https://localhost:3443/api/v2/x",
        "https://localhost:34430/api/v2/",
        "https://localhost:3443.evil.test/api/v2/",
        "https://user@localhost:3443/api/v2/",
        "https://localhost:3000/api/v2/",
        "https://orders.test/api/v2/",
    ] {
        assert_eq!(meant(foreign), foreign);
    }
}

#[test]
fn other_names_of_this_server_are_not_taken_in_tokens() {
    let alias = "https://localhost:3443";
    let tokens = tokens().known_as(vec![alias.to_owned()]);
    let token = tokens.mint_for("abc", &format!("{alias}/api/v2/"), "read:users", DAY, NOW).unwrap();
    assert_eq!(tokens.verify(&token, NOW), Err(TokenFault::Invalid));
}
