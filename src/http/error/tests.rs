//! What clients read of refusals.

#![expect(clippy::unwrap_used, reason = "a test may")]

use actix_web::body::to_bytes;
use serde_json::{Value, json};

use super::*;

async fn answer(error: ApiError) -> (Value, Option<String>) {
    let response = error.error_response();
    let content_type = response.headers().get(header::CONTENT_TYPE).unwrap();
    assert_eq!(content_type, "application/json; charset=utf-8");
    let header = error
        .header()
        .map(|(name, _)| format!("{name}: {}", response.headers().get(&name).unwrap().to_str().unwrap()));
    let status = response.status().as_u16();
    let body: Value = serde_json::from_slice(&to_bytes(response.into_body()).await.unwrap()).unwrap();
    assert_eq!(body["statusCode"], status);
    (body, header)
}

#[actix_web::test]
async fn refusals_read_as_in_the_contract() {
    let (body, header) = answer(ApiError::MissingAuthentication).await;
    let expected = json!({
        "statusCode": 401, "error": "Unauthorized", "message": "Missing authentication",
    });
    assert_eq!((body, header), (expected, Some("www-authenticate: Bearer".to_owned())));
    let (body, _) = answer(ApiError::TooLarge(512_000)).await;
    let expected = json!({
        "statusCode": 413, "error": "Request Entity Too Large",
        "message": "Payload content length greater than maximum allowed: 512000",
    });
    assert_eq!(body, expected);
    let rule = "Expected type boolean but found type string";
    let (body, _) = answer(ApiError::invalid(Place::Payload, rule, "upsert")).await;
    let expected = json!({
        "statusCode": 400, "error": "Bad Request", "errorCode": "invalid_body",
        "message": "Payload validation error: 'Expected type boolean but found type string' \
                    on property upsert.",
    });
    assert_eq!(body, expected);
    let scopes = &[Scope::CreateUsers, Scope::ReadUsers];
    let (body, _) = answer(ApiError::InsufficientScope(scopes)).await;
    let expected = "Insufficient scope, expected any of: create:users,read:users";
    assert_eq!((&body["message"], &body["error"]), (&json!(expected), &json!("Forbidden")));
    let (body, header) = answer(StoreError::TooManyActiveJobs(2).into()).await;
    assert_eq!(body["errorCode"], "too_many_requests");
    assert_eq!(header.as_deref(), Some("retry-after: 5"));
    let full = StoreError::DiskFull { free: 1, needed: 2 };
    assert_eq!(answer(full.into()).await.0["error"], "Insufficient Storage");
}

#[actix_web::test]
async fn the_cause_of_a_500_is_not_told() {
    let (body, _) = answer(StoreError::Corrupt("/secret/path".to_owned()).into()).await;
    assert!(!body.to_string().contains("secret"));
    let (body, _) = answer(ApiError::internal("/secret/path")).await;
    assert_eq!(body["message"], "Internal error.");
}
