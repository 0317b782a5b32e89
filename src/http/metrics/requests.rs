//! Counting answers by the class of their status.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::middleware::Next;
use actix_web::web::Data;
use prometheus_client::metrics::counter::Counter;

use super::super::State;

/// Answers so far: 1xx to 5xx.
#[derive(Debug, Default)]
pub(in crate::http) struct Requests([Counter; 5]);

impl Requests {
    fn note(&self, status: StatusCode) {
        if let Some(counter) = self.0.get(usize::from(status.as_u16() / 100).wrapping_sub(1)) {
            counter.inc();
        }
    }

    /// Each class that an HTTP server can answer with, and how often it did.
    pub(super) fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        ["1xx", "2xx", "3xx", "4xx", "5xx"].into_iter().zip(self.0.iter().map(Counter::get)).skip(1)
    }
}

/// Counts every answer.
pub(in crate::http) async fn count(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let answer = next.call(request).await?;
    if let Some(state) = answer.request().app_data::<Data<State>>() {
        state.requests.note(answer.status());
    }
    Ok(answer)
}
