//! What others have found verifiers to get wrong: the vectors of Wycheproof for JSON Web Signatures.
//!
//! Their keys are written as key files of ours, read by the code that reads those, and each vector's signature
//! is judged as that of a token is.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pem::Pem;
use serde_json::Value;

use super::*;
use crate::domain::testing::corpus;

/// The JSON Web Keys of a group, if all it says of them is what a key file of ours can say, too.
fn key_of(group: &Value) -> Option<&Value> {
    let private = &group["private"];
    let key = match private["keys"].as_array() {
        Some(keys) if keys.len() == 1 => &keys[0],
        Some(_) => return None,
        None => private,
    };
    let is_for_signing = key["use"] != "enc" && (key["key_ops"].is_null() || key["key_ops"] == "verify");
    let is_ours = match key["alg"].as_str() {
        Some("RS256") => key["kty"] == "RSA",
        Some("ES256") => key["kty"] == "EC" && key["crv"] == "P-256",
        _ => false,
    };
    // Keys that are weak in a way nobody sees: the loader makes none of these, and an operator who brings one
    // is believed.
    let is_weak = group["comment"].as_str().unwrap_or_default().contains("roca");
    (is_for_signing && is_ours && !is_weak).then_some(key)
}

fn bytes(key: &Value, name: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(key[name].as_str().unwrap()).unwrap()
}

/// The key as PKCS#8.
fn pkcs8(key: &Value) -> Vec<u8> {
    if key["kty"] == "EC" {
        let public = [vec![4], bytes(key, "x"), bytes(key, "y")].concat();
        let public = der_of(0xa1, &der_of(3, &[vec![0], public].concat()));
        let private = der_of(4, &bytes(key, "d"));
        let pair = der_of(0x30, &[integer(&[1]), private, public].concat());
        return private_key_info(&der_of(0x30, &[EC_PUBLIC_KEY, P256].concat()), &pair);
    }
    let numbers = ["n", "e", "d", "p", "q", "dp", "dq", "qi"].map(|name| integer(&bytes(key, name)));
    let rsa = der_of(0x30, &[integer(&[0]), numbers.concat()].concat());
    private_key_info(&der_of(0x30, RSA_ENCRYPTION), &rsa)
}

const EC_PUBLIC_KEY: &[u8] = &[6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
const P256: &[u8] = &[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
const RSA_ENCRYPTION: &[u8] = &[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0];

fn private_key_info(algorithm: &[u8], key: &[u8]) -> Vec<u8> {
    der_of(0x30, &[integer(&[0]), algorithm.to_vec(), der_of(4, key)].concat())
}

fn integer(bytes: &[u8]) -> Vec<u8> {
    let sign = if bytes[0] & 0x80 == 0 { &[][..] } else { &[0] };
    der_of(2, &[sign, bytes].concat())
}

fn der_of(tag: u8, content: &[u8]) -> Vec<u8> {
    let [.., a, b] = content.len().to_be_bytes();
    let length = match content.len() {
        0..128 => vec![b],
        128..256 => vec![0x81, b],
        _ => vec![0x82, a, b],
    };
    [&[tag][..], &length, content].concat()
}

/// Whether the signature of a vector is good by our verifier. What is signed in them are no claims, so that
/// reading those is what fails then.
fn is_signed(tokens: &Tokens, token: &str) -> bool {
    let Ok(header) = jsonwebtoken::decode_header(token) else { return false };
    let ring = tokens.ring();
    let (key, _) = ring.keys.named(header.kid.as_deref(), Timestamp::default());
    let judged = jsonwebtoken::decode::<Claims>(token, &key.verifying, &tokens.validation(key));
    matches!(judged.unwrap_err().kind(), ErrorKind::Json(_) | ErrorKind::Utf8(_))
}

#[test]
fn our_verdict_on_each_vector_is_that_of_wycheproof() {
    let Some(corpus) = corpus("wycheproof") else { return };
    let (mut good, mut bad, mut keys) = (0, 0, 0);
    for file in ["json_web_signature_test", "json_web_crypto_test", "json_web_key_test"] {
        let text = fs::read_to_string(corpus.join(file).with_extension("json")).unwrap();
        let vectors: Value = serde_json::from_str(&text).unwrap();
        for group in vectors["testGroups"].as_array().unwrap() {
            let Some(key) = key_of(group) else { continue };
            let tests = group["tests"].as_array().unwrap();
            let directory = tempfile::tempdir().unwrap();
            let pem = pem::encode(&Pem::new("PRIVATE KEY", pkcs8(key)));
            fs::write(directory.path().join(KEY_FILE), pem).unwrap();
            let Ok(opened) = Keys::open(directory.path()) else {
                // A key that is none of ours: too short, a public exponent of one, not a point of its curve.
                assert!(tests.iter().all(|test| test["result"] == "invalid"), "{}", group["comment"]);
                continue;
            };
            keys += 1;
            let tokens = Tokens::new(opened, "http://intake.test", Duration::from_secs(1));
            for test in tests {
                let Some(token) = test["jws"].as_str() else { continue };
                let expected = test["result"] == "valid";
                assert_eq!(
                    is_signed(&tokens, token),
                    expected,
                    "{file} {} {}",
                    test["tcId"],
                    test["comment"]
                );
                assert!(tokens.verify(token, Timestamp::default()).is_err());
                if expected { good += 1 } else { bad += 1 }
            }
        }
    }
    eprintln!("{keys} keys, {good} vectors good and {bad} bad");
    assert!(10 <= good && 250 <= bad && 8 <= keys, "{keys} keys, {good} good, {bad} bad");
}
