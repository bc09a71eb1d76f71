//! The wire: HTTP in, a call of one of the services or of the control endpoint, HTTP out, or a fault in its place.
//!
//! ```text
//! X-Amz-Target: DynamoDBStreams_20120810.*   AWS JSON 1.0   DynamoDB Streams
//!               AmazonSQS.*                  AWS JSON 1.0   SQS
//!               AWSEvents.*                  AWS JSON 1.1   EventBridge
//! Action=... in a form                       query, XML     SNS
//! /_simulator/...                            JSON           the control endpoint
//! ```
//!
//! # Invariants
//!
//! - The state is locked for one call at a time, and never while something waits.
//! - Signatures are not looked at: any credentials will do.

use std::io;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, DefaultBodyLimit, State};
use axum::http::{HeaderMap, Method, Response, StatusCode, Uri, header, response};

use crate::connection::{Cutter, CuttingListener};
use crate::control;
use crate::fault::{Fault, Strike};
use crate::request::{Reply, Request};
use crate::service::ApiError;
use crate::simulator::Simulator;

/// Where the control endpoint is.
const CONTROL: &str = "/_simulator/";

/// Answers until the task is stopped.
pub(crate) async fn serve(listener: CuttingListener, simulator: Simulator) -> io::Result<()> {
    let router = Router::new()
        .fallback(handle)
        .layer(DefaultBodyLimit::disable())
        .with_state(simulator);
    axum::serve(listener, router.into_make_service_with_connect_info::<Cutter>()).await
}

async fn handle(
    State(simulator): State<Simulator>,
    ConnectInfo(cutter): ConnectInfo<Cutter>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    if let Some(name) = uri.path().strip_prefix(CONTROL) {
        let reply = control::answer(&simulator, &method, name, &body);
        return whole(&simulator, reply);
    }
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok());
    let request = Request::parse(target, &body);
    let strike = simulator.state().arrive(&request.operation, request.shard.as_deref());
    match strike {
        None => whole(&simulator, make(&simulator, &request)),
        Some(strike) => spoil(&simulator, &cutter, &request, strike).await,
    }
}

/// Makes a call. The lock is gone when it returns.
fn make(simulator: &Simulator, request: &Request<'_>) -> Reply {
    request.answer(&mut simulator.state())
}

/// Answers with a fault.
async fn spoil(simulator: &Simulator, cutter: &Cutter, request: &Request<'_>, strike: Strike) -> Response<Body> {
    let reply = strike.after_effect.then(|| make(simulator, request));
    let refuse = |status: u16, code: &str| {
        let error = ApiError {
            status,
            ..ApiError::new(code, "a fault that was asked for")
        };
        whole(simulator, request.refuse(&error))
    };
    match strike.fault {
        Fault::InternalServerError => refuse(500, request.internal_code()),
        Fault::LimitExceeded => refuse(400, "LimitExceededException"),
        Fault::Throttling => refuse(400, "ThrottlingException"),
        Fault::Error { status, code } => refuse(status, &code),
        Fault::Bare { status } => bare(status),
        Fault::Reset => {
            cutter.cut();
            bare(500)
        }
        Fault::Hang => std::future::pending().await,
        Fault::Truncated => truncated(simulator, &reply.unwrap_or_else(|| make(simulator, request))),
        Fault::Delay { milliseconds } => {
            tokio::time::sleep(Duration::from_millis(milliseconds)).await;
            whole(simulator, reply.unwrap_or_else(|| make(simulator, request)))
        }
    }
}

/// An answer that arrives: what is in it counts as read.
fn whole(simulator: &Simulator, reply: Reply) -> Response<Body> {
    simulator.mark_read(&reply.changes);
    built(head(simulator, &reply).body(Body::from(reply.body)))
}

/// What the service says before the body of an answer: its time, and which request it answers.
fn head(simulator: &Simulator, reply: &Reply) -> response::Builder {
    let now = || simulator.state().service.world.clock.http_date();
    Response::builder()
        .status(reply.status)
        .header(header::CONTENT_TYPE, reply.content_type)
        .header(header::DATE, reply.date.clone().unwrap_or_else(now))
        .header("x-amzn-requestid", simulator.next_request_id())
}

/// Half an answer that says it is a whole one, then the end of the connection.
fn truncated(simulator: &Simulator, reply: &Reply) -> Response<Body> {
    let bytes = reply.body.as_bytes();
    let half = Bytes::copy_from_slice(&bytes[..bytes.len() / 2]);
    let broken = futures_util::stream::unfold(Some(half), |half| async move {
        if let Some(half) = half {
            return Some((Ok(half), None));
        }
        // Gives the first half a chance to leave before the connection breaks.
        tokio::task::yield_now().await;
        Some((Err(io::Error::from(io::ErrorKind::ConnectionReset)), None))
    });
    let response = head(simulator, reply).header(header::CONTENT_LENGTH, bytes.len());
    built(response.body(Body::from_stream(broken)))
}

/// An answer of what stands between the client and the service. Its time is that of this machine, not the service's.
fn bare(status: u16) -> Response<Body> {
    built(Response::builder().status(status).body(Body::empty()))
}

/// A status that is none, which a fault may ask for, becomes a 500.
fn built(response: Result<Response<Body>, axum::http::Error>) -> Response<Body> {
    response.unwrap_or_else(|_| {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::Setup;

    /// Or what was left out a moment ago is left out a quarter of an hour later, and a reader takes it for gone.
    #[tokio::test]
    async fn an_answer_is_of_the_time_at_which_it_was_made_whenever_it_leaves() {
        let simulator = Simulator::start(Setup::default()).await.unwrap();
        let before = simulator.state().service.world.clock.http_date();
        let reply = make(
            &simulator,
            &Request::parse(Some("DynamoDBStreams_20120810.ListStreams"), b"{}"),
        );
        simulator.step(Duration::from_mins(16));
        let answer = whole(&simulator, reply);
        assert_eq!(answer.headers()[header::DATE], before);
    }
}
