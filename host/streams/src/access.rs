//! How to reach AWS, or something that speaks like it.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest single attempt. A page of 1 MB over a slow line fits.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(15);

/// Longest call with all its retries.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);

/// Attempts of one call, the first counted.
const ATTEMPTS_MAX: u32 = 5;

/// Where AWS is. Everything that is not set comes from where every AWS tool looks: environment, profile, instance role.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AwsAccess {
    /// Region, `eu-central-1`.
    pub region: Option<String>,
    /// URL to use in place of the service's own, `http://127.0.0.1:8000`.
    pub endpoint: Option<String>,
    /// Signs with fixed test credentials: for emulators, which take any.
    pub test_credentials: bool,
}

impl AwsAccess {
    /// Works out the configuration that a client of a service is made from.
    pub async fn load(&self) -> SdkConfig {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .operation_attempt_timeout(ATTEMPT_TIMEOUT)
            .operation_timeout(CALL_TIMEOUT)
            .build();
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .timeout_config(timeouts)
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS_MAX));
        if let Some(region) = &self.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(endpoint) = &self.endpoint {
            loader = loader.endpoint_url(endpoint);
            if endpoint.starts_with("http://") {
                loader = loader.http_client(aws_smithy_http_client::Builder::new().build_http());
            }
        }
        if self.test_credentials {
            loader = loader
                .credentials_provider(aws_credential_types::Credentials::new(
                    "test", "test", None, None, "weir",
                ))
                .region(Region::new(
                    self.region.clone().unwrap_or_else(|| "us-east-1".to_owned()),
                ));
        }
        loader.load().await
    }
}

/// What an AWS call failed with, in one line: the service's code and message, or what kept the call from being made.
///
/// The client library's own rendering repeats the raw answer, and with it what was read from the database.
#[must_use]
pub fn explain<E: std::error::Error + ProvideErrorMetadata>(error: &E) -> String {
    if let Some(code) = error.code() {
        return format!("{code}: {}", error.message().unwrap_or("the service gave no message"));
    }
    let mut parts: Vec<String> = Vec::new();
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        let text = error.to_string();
        if !parts.last().is_some_and(|last| last.contains(&text)) {
            parts.push(text);
        }
        cause = error.source();
    }
    let text = parts.join(": ");
    if text.contains("credentials") {
        return format!("{text}. Give AWS credentials by the environment, a profile or a role, as for any AWS tool");
    }
    text
}
