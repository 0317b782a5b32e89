//! The document and the routes say the same.

use std::collections::BTreeSet;

use actix_web::http::Method;
use utoipa::OpenApi;

use super::Described;
use super::common::operations;
use crate::http::routes;

/// Pages for people, and what belongs to them.
const FOR_PEOPLE: [&str; 6] = [
    "get /lo/reset",
    "get /u/email-verification",
    "get /u/pages.css",
    "get /u/reset-password",
    "post /u/email-verification",
    "post /u/reset-password",
];
/// What the status page alone has a use for.
const OF_THE_STATUS_PAGE: [&str; 1] = ["post /u/sign-in"];

#[test]
fn every_endpoint_is_described_and_no_other() {
    let mut described = BTreeSet::new();
    for (path, item) in &mut Described::openapi().paths.paths {
        described.extend(operations(item).map(|(method, _)| format!("{method} {path}")));
    }
    let mut routed = BTreeSet::new();
    for endpoint in routes::endpoints() {
        let (path, methods) = endpoint.named();
        let methods = methods.iter().filter(|method| **method != Method::HEAD);
        routed.extend(methods.map(|method| format!("{} {path}", method.as_str().to_lowercase())));
    }
    let exceptions = FOR_PEOPLE.iter().chain(&OF_THE_STATUS_PAGE).map(|name| (*name).to_owned());
    described.extend(exceptions);
    let strangers: Vec<_> = described.symmetric_difference(&routed).collect();
    assert!(strangers.is_empty(), "only described, or only routed: {strangers:?}");
}

#[test]
fn every_operation_has_a_name_of_its_own() {
    let mut names = BTreeSet::new();
    for item in Described::openapi().paths.paths.values_mut() {
        for (_, operation) in operations(item) {
            assert!(names.insert(operation.operation_id.clone()), "{:?}", operation.operation_id);
            assert!(operation.summary.is_some() && operation.tags.is_some(), "{:?}", operation.operation_id);
        }
    }
}
