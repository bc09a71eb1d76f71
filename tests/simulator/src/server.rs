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
use axum::http::{HeaderMap, Method, Response, StatusCode, Uri, header};
use serde_json::{Value, json};

use crate::connection::{Cutter, CuttingListener};
use crate::fault::{Fault, Strike};
use crate::service::iterator::ShardIterator;
use crate::service::{Answer, ApiError, Call};
use crate::simulator::Simulator;

const STREAMS: &str = "DynamoDBStreams_20120810.";
const JSON_1_0: &str = "application/x-amz-json-1.0";

/// Answers until the task is stopped.
pub(crate) async fn serve(listener: CuttingListener, simulator: Simulator) -> io::Result<()> {
    let router = Router::new()
        .fallback(handle)
        .layer(DefaultBodyLimit::disable())
        .with_state(simulator);
    axum::serve(listener, router.into_make_service_with_connect_info::<Cutter>()).await
}

/// What goes out, if no fault keeps it.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) body: String,
    /// Changes whose records are in it, by number.
    pub(crate) changes: Vec<usize>,
}

async fn handle(
    State(simulator): State<Simulator>,
    ConnectInfo(cutter): ConnectInfo<Cutter>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok());
    let request = Request::parse(target.unwrap_or_default(), &body);
    let (operation, shard) = (request.operation.as_str(), request.shard.as_deref());
    let strike = simulator.state().strike(operation, shard);
    let _ = (method, uri);
    match strike {
        None => {
            let reply = request.answer(&simulator);
            simulator.state().service.mark_read(&reply.changes);
            whole(&simulator, &reply)
        }
        Some(Strike { fault, after_effect }) => {
            let reply = after_effect.then(|| request.answer(&simulator));
            spoil(&simulator, &cutter, &request, fault, reply).await
        }
    }
}

/// A call, as far as it must be understood before it is made.
struct Request {
    operation: String,
    shard: Option<String>,
    call: Result<Call, ApiError>,
}

impl Request {
    fn parse(target: &str, body: &[u8]) -> Self {
        let operation = target.strip_prefix(STREAMS).unwrap_or_default().to_owned();
        let call: Result<Call, ApiError> =
            serde_json::from_slice(body).map_err(|error| ApiError::new("SerializationException", error.to_string()));
        let shard = call.as_ref().ok().and_then(|call| {
            let iterator = call.shard_iterator.as_deref().and_then(ShardIterator::from_token);
            call.shard_id.clone().or(iterator.map(|iterator| iterator.shard))
        });
        Self { operation, shard, call }
    }

    fn answer(&self, simulator: &Simulator) -> Reply {
        let answer = match &self.call {
            Ok(call) => simulator.state().service.answer(&self.operation, call),
            Err(error) => Err(error.clone()),
        };
        match answer {
            Ok(Answer { body, changes }) => Reply {
                status: 200,
                content_type: JSON_1_0,
                body: body.to_string(),
                changes,
            },
            Err(error) => self.refuse(&error),
        }
    }

    fn refuse(&self, error: &ApiError) -> Reply {
        Reply {
            status: error.status,
            content_type: JSON_1_0,
            body: json!({ "__type": error_type(&error.code), "message": error.message }).to_string(),
            changes: Vec::new(),
        }
    }
}

/// The code with the name space that the service puts before it.
fn error_type(code: &str) -> Value {
    let name_space = match code {
        "ThrottlingException" => "com.amazon.coral.availability",
        "ValidationException" => "com.amazon.coral.validate",
        "SerializationException" | "UnknownOperationException" => "com.amazon.coral.service",
        _ => "com.amazonaws.dynamodb.v20120810",
    };
    format!("{name_space}#{code}").into()
}

/// Answers with a fault. `reply` is there if the call took effect.
async fn spoil(
    simulator: &Simulator,
    cutter: &Cutter,
    request: &Request,
    fault: Fault,
    reply: Option<Reply>,
) -> Response<Body> {
    let refuse = |status: u16, code: &str| {
        let error = ApiError {
            status,
            ..ApiError::new(code, "a fault that was asked for")
        };
        whole(simulator, &request.refuse(&error))
    };
    match fault {
        Fault::InternalServerError => refuse(500, "InternalServerError"),
        Fault::LimitExceeded => refuse(400, "LimitExceededException"),
        Fault::Throttling => refuse(400, "ThrottlingException"),
        Fault::Error { status, code } => refuse(status, &code),
        Fault::Bare { status } => bare(status),
        Fault::Reset => {
            cutter.cut();
            bare(500)
        }
        Fault::Hang => std::future::pending().await,
        Fault::Truncated => truncated(&reply.unwrap_or_else(|| request.answer(simulator))),
        Fault::Delay { milliseconds } => {
            tokio::time::sleep(Duration::from_millis(milliseconds)).await;
            let reply = reply.unwrap_or_else(|| request.answer(simulator));
            simulator.state().service.mark_read(&reply.changes);
            whole(simulator, &reply)
        }
    }
}

fn whole(simulator: &Simulator, reply: &Reply) -> Response<Body> {
    let response = Response::builder()
        .status(reply.status)
        .header(header::CONTENT_TYPE, reply.content_type)
        .header(header::DATE, simulator.state().service.world.clock.http_date())
        .header("x-amzn-requestid", simulator.next_request_id());
    built(response.body(Body::from(reply.body.clone())))
}

/// Half an answer that says it is a whole one, then the end of the connection.
fn truncated(reply: &Reply) -> Response<Body> {
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
    let response = Response::builder()
        .status(reply.status)
        .header(header::CONTENT_TYPE, reply.content_type)
        .header(header::CONTENT_LENGTH, bytes.len());
    built(response.body(Body::from_stream(broken)))
}

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
