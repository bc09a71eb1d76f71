//! The body of an answer as it came, in place of what the client library makes of it.
//!
//! ```text
//! endpoint, credentials, signature, time limits, retries ──▶ answer ──┬── error ──▶ the library's own error
//!            all of it the library's                                  └── success ─▶ its body, kept for `decode`
//! ```
//!
//! The library has no way to ask for this, but looks up what reads an answer in the configuration of the call, and an
//! interceptor may put something else there. It is worth it: the library's types took two thirds of the time of decoding
//! (benchmark `decode`, 2026), and had no place for what was new to them.
//!
//! # Invariants
//!
//! - Whether an answer is an error, which one, and whether to ask again, is for the library to say.
//! - A body is kept only if it arrived whole.

use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_dynamodbstreams::config::interceptors::BeforeSerializationInterceptorContextRef;
use aws_sdk_dynamodbstreams::config::{ConfigBag, Intercept};
use aws_sdk_dynamodbstreams::error::BoxError;
use aws_sdk_dynamodbstreams::operation::get_records::{GetRecords, GetRecordsOutput};
use aws_smithy_runtime_api::client::interceptors::context::{Error, Output};
use aws_smithy_runtime_api::client::orchestrator::{HttpResponse, OrchestratorError};
use aws_smithy_runtime_api::client::runtime_plugin::RuntimePlugin as _;
use aws_smithy_runtime_api::client::ser_de::{DeserializeResponse, SharedResponseDeserializer};
use aws_smithy_types::body::SdkBody;

/// Keeps the body of the answer of one call of `GetRecords`. The call's own output is then empty.
#[derive(Clone, Debug, Default)]
pub(crate) struct AnswerBody {
    kept: Arc<Mutex<Option<SdkBody>>>,
}

impl AnswerBody {
    /// The body, if the call succeeded.
    pub(crate) fn take(&self) -> Option<SdkBody> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Intercept for AnswerBody {
    fn name(&self) -> &'static str {
        "AnswerBody"
    }

    fn read_before_execution(
        &self,
        _: &BeforeSerializationInterceptorContextRef<'_>,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let keeps = SharedResponseDeserializer::new(self.clone());
        config.interceptor_state().store_put(keeps);
        Ok(())
    }
}

impl DeserializeResponse for AnswerBody {
    /// Is called when the whole body is in memory.
    fn deserialize_nonstreaming_with_config(
        &self,
        response: &HttpResponse,
        config: &ConfigBag,
    ) -> Result<Output, OrchestratorError<Error>> {
        if !response.status().is_success() {
            let library = GetRecords::new().config().expect("the operation has a configuration");
            let library = library.load::<SharedResponseDeserializer>();
            let library = library.expect("which says how its answers are read");
            return library.deserialize_nonstreaming_with_config(response, config);
        }
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = response.body().try_clone();
        Ok(Output::erase(GetRecordsOutput::builder().build()))
    }
}
