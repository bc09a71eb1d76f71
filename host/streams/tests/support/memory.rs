//! DynamoDB Streams in memory: an HTTP connector without a socket, which answers every read with one page.
//!
//! All else is the client library as it runs in production: endpoint, signature, retries, time limits. The benchmarks use
//! it as well.

use aws_config::SdkConfig;
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use weir_streams::AwsAccess;

/// What to make a client of, for which every `GetRecords` is answered by this page.
pub(crate) async fn answering(page: &str) -> SdkConfig {
    let service = SharedHttpConnector::new(Memory {
        page: SdkBody::from(page),
    });
    let access = AwsAccess {
        region: Some("us-east-1".to_owned()),
        // Nothing is sent there, but a plain endpoint saves looking for root certificates.
        endpoint: Some("http://memory.invalid".to_owned()),
        test_credentials: true,
    };
    let config = access.load().await.into_builder();
    config.http_client(http_client_fn(move |_, _| service.clone())).build()
}

#[derive(Debug)]
struct Memory {
    page: SdkBody,
}

impl HttpConnector for Memory {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let body = if target.ends_with(".GetShardIterator") {
            SdkBody::from(r#"{"ShardIterator": "first"}"#)
        } else {
            self.page.try_clone().expect("a body in memory can be sent again")
        };
        let status = 200.try_into().expect("a status");
        HttpConnectorFuture::ready(Ok(HttpResponse::new(status, body)))
    }
}
