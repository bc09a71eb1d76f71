//! What time the service says it is: the `Date` of its answers. Its records carry its time, not ours.
//!
//! # Invariants
//!
//! - What stands between us and the service has a clock of its own, and sets none: only an answer with a request id is the
//!   service's.

use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_dynamodbstreams::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_dynamodbstreams::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodbstreams::error::BoxError;
use jiff::Timestamp;

/// Which request it was that the service answers: what only the service knows, whatever the status is.
const REQUEST_ID: &str = "x-amzn-requestid";

/// Keeps the `Date` of the last answer of the calls that it is given to.
#[derive(Clone, Debug, Default)]
pub(crate) struct ServiceTime {
    date: Arc<Mutex<Option<Timestamp>>>,
}

impl ServiceTime {
    /// The service's time, whole seconds; ours if it did not say.
    pub(crate) fn told(&self) -> Timestamp {
        let told = *self.date.lock().unwrap_or_else(PoisonError::into_inner);
        told.unwrap_or_else(Timestamp::now)
    }
}

impl Intercept for ServiceTime {
    fn name(&self) -> &'static str {
        "ServiceTime"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let headers = context.response().headers();
        // RFC 9110, section 5.6.7: the preferred form of an HTTP date is one of RFC 2822.
        let date = headers.get("date").filter(|_| headers.contains_key(REQUEST_ID));
        let date = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
        if let Some(date) = date {
            *self.date.lock().unwrap_or_else(PoisonError::into_inner) = Some(date.timestamp());
        }
        Ok(())
    }
}
