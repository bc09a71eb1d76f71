//! The server: routes, the token, and an end that lets requests finish.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use weir_ledger::{Database, Ledger};

use crate::error::ApiError;
use crate::{Token, history, ledger};

/// Longest request. The largest answer is a page of a few megabytes.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// What answers need.
#[derive(Clone)]
pub(crate) struct Answers {
    pub(crate) database: Database,
    pub(crate) ledger: Ledger,
}

/// The API of one ledger.
pub struct Api {
    answers: Answers,
    token: Arc<Token>,
}

/// Why the server ended by itself.
#[derive(Debug, thiserror::Error)]
#[error("the API cannot be served")]
pub struct ServeError(#[from] std::io::Error);

impl Api {
    /// For this ledger; who has the token may ask.
    #[must_use]
    pub fn new(database: Database, ledger: Ledger, token: Token) -> Self {
        Self {
            answers: Answers { database, ledger },
            token: Arc::new(token),
        }
    }

    /// Serves until `stop` is cancelled, and lets requests in hand finish.
    ///
    /// # Errors
    ///
    /// The listener failed.
    pub async fn run(self, listener: TcpListener, stop: CancellationToken) -> Result<(), ServeError> {
        let v1 = Router::new()
            .route("/ledger", get(ledger::head))
            .route("/dead-letters", get(ledger::dead_letters))
            .route("/tables/{table}/history", get(history::history))
            .fallback(not_found)
            .layer(middleware::from_fn_with_state(self.token, require_token));
        let app = Router::new()
            .nest("/v1", v1)
            .route("/livez", get(|| async { "alive\n" }))
            .route("/readyz", get(ready))
            .fallback(not_found)
            .layer(middleware::from_fn(limit_time))
            .with_state(self.answers);
        Ok(axum::serve(listener, app)
            .with_graceful_shutdown(stop.cancelled_owned())
            .await?)
    }
}

async fn require_token(State(token): State<Arc<Token>>, request: Request, next: Next) -> Response {
    let presented = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "));
    if presented.is_some_and(|presented| token.is(presented)) {
        return next.run(request).await;
    }
    let message = "send `Authorization: Bearer TOKEN` with the token from the file that `api.token_file` names";
    ApiError::new(StatusCode::UNAUTHORIZED, "unauthorized", message).into_response()
}

async fn limit_time(request: Request, next: Next) -> Response {
    tokio::time::timeout(REQUEST_TIMEOUT, next.run(request))
        .await
        .unwrap_or_else(|_| {
            ApiError::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                "the answer took too long; try again",
            )
            .into_response()
        })
}

async fn ready(State(answers): State<Answers>) -> Response {
    if answers.database.is_reachable().await {
        "ready\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "Postgres does not answer\n").into_response()
    }
}

async fn not_found() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "not-found", "there is nothing at this path")
}
