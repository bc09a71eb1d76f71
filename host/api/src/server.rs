//! The server: routes, the token, and an end that lets requests finish.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use weir_ledger::{Database, Ledger, Pausable};
use weir_pipeline::{IntakeStatus, Publication, Scrubbed};
use weir_runtime::COMPONENT_BYTES_MAX;

use crate::error::ApiError;
use crate::{
    Configure, PluginGate, Token, configuration, dead_letter, delivery, erasure, explain, history, ledger, lookup,
    metrics, plugin, promotion, proof, publication, replay, route, shard, tap, withheld,
};

/// Longest request. The largest answer is a page of a few megabytes.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Longest request that uploads, promotes or rolls back a plugin: it may have to be compiled, which has a limit of its own.
const PLUGIN_TIMEOUT: Duration = Duration::from_secs(240);

/// Largest upload: a component, its signature and its configuration.
const UPLOAD_BYTES_MAX: usize = COMPONENT_BYTES_MAX + (1 << 20);

/// Largest lookup table as it is sent, with whatever white space it has.
const LOOKUP_BYTES_MAX: usize = 32 << 20;

/// What answers need.
#[derive(Clone)]
pub(crate) struct Answers {
    pub(crate) database: Database,
    pub(crate) ledger: Ledger,
    pub(crate) publication: Publication,
    pub(crate) scrubbed: watch::Receiver<Scrubbed>,
    pub(crate) eraser: Arc<Notify>,
    pub(crate) intake: IntakeStatus,
    pub(crate) gate: PluginGate,
    pub(crate) configure: Option<Arc<dyn Configure>>,
}

/// Who may ask for what.
pub struct Tokens {
    /// Everything.
    pub operator: Token,
    /// Entries, proofs and the head.
    pub auditor: Token,
}

/// The API of one ledger.
pub struct Api {
    answers: Answers,
    tokens: Arc<Tokens>,
}

/// Why the server ended by itself.
#[derive(Debug, thiserror::Error)]
#[error("the API cannot be served")]
pub struct ServeError(#[from] std::io::Error);

impl Api {
    /// For the ledger of this publication; who has a token may ask. `eraser` is notified of orders to erase.
    #[must_use]
    pub fn new(
        database: Database,
        publication: Publication,
        scrubbed: watch::Receiver<Scrubbed>,
        eraser: Arc<Notify>,
        intake: IntakeStatus,
        gate: PluginGate,
        tokens: Tokens,
    ) -> Self {
        Self {
            answers: Answers {
                database,
                ledger: publication.ledger().clone(),
                publication,
                scrubbed,
                eraser,
                intake,
                gate,
                configure: None,
            },
            tokens: Arc::new(tokens),
        }
    }

    /// With one who says what can be applied. Without one, nothing can.
    #[must_use]
    pub fn configured_by(mut self, configure: Option<Arc<dyn Configure>>) -> Self {
        self.answers.configure = configure;
        self
    }

    /// Serves until `stop` is cancelled, and lets requests in hand finish.
    ///
    /// # Errors
    ///
    /// The listener failed.
    pub async fn run(self, listener: TcpListener, stop: CancellationToken) -> Result<(), ServeError> {
        let for_auditors = Router::new()
            .route("/v1/ledger", get(ledger::head))
            .route("/v1/proofs/inclusion", get(proof::inclusion))
            .route("/v1/proofs/consistency", get(proof::consistency))
            .route("/v1/proofs/range", get(proof::range))
            .route("/tile/entries/{*index}", get(publication::entries))
            .layer(middleware::from_fn_with_state(
                Arc::clone(&self.tokens),
                require_any_token,
            ));
        let for_operators = Router::new()
            .route("/ledger/adopt", post(publication::adopt))
            .route("/ledger/continue", post(publication::continue_anew))
            .route("/entries", get(proof::entries))
            .route("/erasures", get(erasure::list))
            .route("/holds", get(erasure::holds).post(erasure::place_hold))
            .route("/holds/{id}/release", post(erasure::release_hold))
            .route("/dead-letters", get(dead_letter::list))
            .route("/dead-letters/{delivery}", get(dead_letter::show))
            .route("/dead-letters/redrive", post(dead_letter::redrive))
            .route("/dead-letters/drop", post(dead_letter::throw_away))
            .route("/parked", get(delivery::parked))
            .route("/routes/{route}/replay", post(replay::order))
            .route("/routes/{route}/replay/cancel", post(replay::cancel))
            .route("/routes/{route}/replay/preview", post(replay::preview))
            .merge(delivery::pausing(Pausable::Route, "/routes/{route}"))
            .merge(delivery::pausing(Pausable::Sink, "/sinks/{sink}"))
            .route("/routes", get(delivery::routes))
            .route("/sinks", get(delivery::sinks))
            .route(
                "/lookups/{name}",
                post(lookup::upload).layer(DefaultBodyLimit::max(LOOKUP_BYTES_MAX)),
            )
            .route("/lookups", get(lookup::list))
            .route("/plugins", get(plugin::list))
            .route("/plugins/{plugin}", get(plugin::show))
            .route("/routes/{route}/versions", get(route::versions))
            .route("/shards", get(shard::shards))
            .route("/withheld", get(withheld::list))
            .route("/withheld/{position}", get(withheld::show))
            .route("/workers", get(shard::workers))
            .route("/workers/{worker}/drain", post(shard::drain))
            .route("/workers/{worker}/resume", post(shard::resume))
            .route("/tables/{table}/history", get(history::history))
            .fallback(not_found)
            .layer(middleware::from_fn_with_state(
                Arc::clone(&self.tokens),
                require_operator,
            ));
        // What compiles and tries plugins takes its time.
        let of_plugins = Router::new()
            .route(
                "/v1/plugins",
                post(plugin::upload).layer(DefaultBodyLimit::max(UPLOAD_BYTES_MAX)),
            )
            .route("/v1/routes/{route}/promote", post(promotion::promote))
            .route("/v1/routes/{route}/promote/preview", post(promotion::preview))
            .route("/v1/routes/{route}/rollback", post(promotion::roll_back))
            .route("/v1/routes/{route}/explain/{position}", get(explain::explain))
            .route("/v1/withheld/annotate", post(withheld::annotate))
            .route("/v1/tap", post(tap::tap))
            .route("/v1/configuration", post(configuration::apply).get(configuration::show))
            .layer(middleware::from_fn_with_state(
                Arc::clone(&self.tokens),
                require_operator,
            ))
            .layer(middleware::from_fn(|request, next| {
                limit_time(PLUGIN_TIMEOUT, request, next)
            }));
        // Searches the whole ledger, however long that takes; who does not wait for it has ordered nothing.
        let without_limit = Router::new()
            .route("/v1/erasures", post(erasure::order))
            .layer(middleware::from_fn_with_state(self.tokens, require_operator));
        let app = Router::new()
            .merge(for_auditors)
            .nest("/v1", for_operators)
            .route("/checkpoint", get(publication::checkpoint))
            .route("/tile/{level}/{*index}", get(publication::tile))
            .route("/livez", get(|| async { "alive\n" }))
            .route("/readyz", get(ready))
            .route("/metrics", get(metrics::metrics))
            .fallback(not_found)
            .layer(middleware::from_fn(|request, next| {
                limit_time(REQUEST_TIMEOUT, request, next)
            }))
            .merge(of_plugins)
            .merge(without_limit)
            .with_state(self.answers);
        Ok(axum::serve(listener, app)
            .with_graceful_shutdown(stop.cancelled_owned())
            .await?)
    }
}

async fn require_operator(State(tokens): State<Arc<Tokens>>, request: Request, next: Next) -> Response {
    let is_operator = presented(&request).is_some_and(|presented| tokens.operator.is(presented));
    require(is_operator, request, next).await
}

async fn require_any_token(State(tokens): State<Arc<Tokens>>, request: Request, next: Next) -> Response {
    let is_known = |presented: &str| tokens.operator.is(presented) | tokens.auditor.is(presented);
    let is_known = presented(&request).is_some_and(is_known);
    require(is_known, request, next).await
}

fn presented(request: &Request) -> Option<&str> {
    let value = request.headers().get(header::AUTHORIZATION)?;
    value.to_str().ok()?.strip_prefix("Bearer ")
}

async fn require(may: bool, request: Request, next: Next) -> Response {
    if may {
        return next.run(request).await;
    }
    let message = "send `Authorization: Bearer TOKEN` with the token from the file that `api.token_file` names";
    ApiError::new(StatusCode::UNAUTHORIZED, "unauthorized", message).into_response()
}

async fn limit_time(limit: Duration, request: Request, next: Next) -> Response {
    tokio::time::timeout(limit, next.run(request))
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
    let mut wrong = answers.intake.stuck();
    if !answers.database.is_reachable().await {
        wrong.insert(0, "Postgres does not answer".to_owned());
    }
    if wrong.is_empty() {
        "ready\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, wrong.join("\n") + "\n").into_response()
    }
}

async fn not_found() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "not-found", "there is nothing at this path")
}
